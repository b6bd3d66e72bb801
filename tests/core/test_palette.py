"""Colours that text is written on: legible in both themes."""

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest

from core.palette import COUNTS, DIVERGING, EMPTY, IN_CELLS, tint
from tests.legible import LEAST, colour, contrast

_THEMES = tomllib.loads(
    (Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml").read_text()
)["theme"]


def rgb(css):
    return np.array(colour(css)[:3])


def test_figures_in_cells_stand_out_on_every_colour_of_their_scales():
    for scale in (DIVERGING, COUNTS, ((0.0, EMPTY), (1.0, EMPTY))):
        for (_, low), (_, high) in itertools.pairwise(scale):
            for share in np.linspace(0, 1, 21):
                cell = (1 - share) * rgb(low) + share * rgb(high)
                assert contrast(rgb(IN_CELLS), cell) >= LEAST


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("share", [-3.0, -1.0, 0.5, 1.0])
def test_words_stand_out_on_the_strongest_tint(theme, share):
    ink, paper = (rgb(_THEMES[theme][name]) for name in ("textColor", "backgroundColor"))
    *over, alpha = colour(tint(share))
    assert contrast(ink, alpha * np.array(over) + (1 - alpha) * paper) >= LEAST
