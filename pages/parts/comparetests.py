"""Four tests of all sides: figures beside each other, paired differences, curves over depth."""

from typing import Any, Final

import streamlit as st

from core import comparefigures as figures
from core import compareview as view
from core.comparejobs import Found
from core.comparison import RULE, Difference
from core.diagnosisview import span
from core.figures import config
from core.measured import TESTS, Test
from core.sides import LETTERS
from pages.parts.address import bound
from pages.parts.comparechoice import PLACES, Choice
from pages.parts.scorecard import QUESTIONS

_COLOURS: Final = {"beyond": "green", "labels": "orange", "noise": "gray", "nothing": "gray"}
_ICONS: Final = {
    "beyond": ":material/difference:",
    "labels": ":material/remove_circle:",
    "noise": ":material/block:",
    "nothing": ":material/help:",
}


def show(found: Found, choice: Choice) -> list[Any]:
    """Draw the cards and the curves; return the curves."""
    row = st.container(horizontal=True, vertical_alignment="center")
    row.subheader("Four tests", anchor="tests")
    row.segmented_control(
        "Compared at",
        list(PLACES),
        required=True,
        format_func=PLACES.__getitem__,
        label_visibility="collapsed",
        help="Best: the layer that one half of the texts chose, measured on the other half.",
        **bound("tests_at", "best", list(PLACES)),
    )
    pairs = found.best if choice.best else found.shown
    for column, test in zip(st.columns(4), TESTS, strict=True):
        with column.container(border=True, height="stretch"):
            _card(test, [next(d for d in pair if d.test == test) for pair in pairs])
            st.caption(_where(found, choice, test))
    st.caption(RULE)
    return _curves(found)


def _card(test: Test, differences: list[Difference]) -> None:
    name = f"<p class='ms-note'>{test.capitalize()}</p>"
    st.html(f"{name}<p class='ms-question'>{QUESTIONS[test]}</p>")
    sides = [differences[0].first, *(one.second for one in differences)]
    st.plotly_chart(
        figures.sides_figure(sides),
        key=f"sides-{test}",
        config=config(f"moralscope-sides-{test}") | {"displayModeBar": False},
        alt=f"{test}: "
        + "; ".join(f"{letter} {span(side)}" for letter, side in zip(LETTERS, sides, strict=False)),
    )
    for letter, one in zip(LETTERS[1:], differences, strict=False):
        colour, icon = _COLOURS[one.level], _ICONS[one.level]
        st.markdown(
            f"**{letter} − A** {view.signed(one.difference)}  \n"
            f":{colour}[{icon} {view.VERDICTS[one.level]}]"
        )
        st.caption(f"shuffled labels {span(one.shuffled)}")


def _where(found: Found, choice: Choice, test: Test) -> str:
    if not choice.best:
        return view.at_layers([side.layer for side in found.sides])
    return view.at_layers([one.chosen.get(test) for one in found.diagnoses])


def _curves(found: Found) -> list[Any]:
    st.markdown("**Over depth**: 0 is the embedding, 1 the last layer; bands are 95 % intervals.")
    drawn = []
    shown = [side.depth for side in found.sides]
    for start in range(0, len(TESTS), 2):
        for column, test in zip(st.columns(2), TESTS[start : start + 2], strict=True):
            figure = figures.depth_figure(test, view.depth_curves(found.diagnoses, test), shown)
            drawn.append(figure)
            with column:
                st.plotly_chart(
                    figure,
                    key=f"depth-{test}",
                    config=config(f"moralscope-depth-{test}") | {"scrollZoom": False},
                    alt=f"{figure.layout.title.text} of all sides on normalised depth; the "
                    "figures are in the files below and on the Diagnosis page.",
                )
    return drawn
