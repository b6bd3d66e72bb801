"""All eight pages as they are seen and heard, with all that they can show."""

from typing import Any

import pytest

from tests.legible import faint

PAGES = ("", "data", "map", "diagnosis", "compare", "leaderboard", "features", "steer")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_text_stands_out_from_its_ground(new_screen: Any, everywhere: Any, page: str, scheme: str):
    screen = new_screen(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    screen.whole(page, everywhere[page])
    assert faint(screen.page) == []
