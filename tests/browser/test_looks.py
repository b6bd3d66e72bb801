"""All pages as they are seen and heard, with all that they can show."""

import re
from typing import Any

import pytest

from tests.legible import faint

PAGES = (
    *("", "data", "map", "diagnosis", "compare", "leaderboard"),
    *("features", "steer", "align", "evaluate", "claims"),
)

#: What a name must not hold: the name of an icon, signs of Markdown or HTML.
_MARKUP = re.compile(r" icon$|\b[a-z]+_[a-z_]+\b|\*\*|:material/|:[a-z]+\[|</?[a-z]+>|&[a-z]+;")
_NAMES = re.compile(r'^\s*- \'?(?P<role>[a-z]+) "(?P<name>(?:[^"\\]|\\.)*)"', re.MULTILINE)
#: Tables name their columns as their files do, and a model's template holds what it holds.
_AS_IT_IS = ("columnheader", "gridcell", "cell", "row", "option")


@pytest.mark.parametrize("page", PAGES)
def test_names_are_words(screen: Any, everywhere: Any, page: str):
    screen.whole(page, everywhere[page])
    told = screen.page.locator("body").aria_snapshot()
    names = [one.groupdict() for one in _NAMES.finditer(told) if one["role"] not in _AS_IT_IS]
    assert len(names) > 20
    assert [one for one in names if _MARKUP.search(one["name"])] == []
    # Slider names are doubled by Streamlit itself: it labels the thumb by its group and its track.


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_text_stands_out_from_its_ground(new_screen: Any, everywhere: Any, page: str, scheme: str):
    screen = new_screen(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    screen.whole(page, everywhere[page])
    assert faint(screen.page) == []
