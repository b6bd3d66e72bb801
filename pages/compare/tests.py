"""Four tests of all sides: figures beside each other, and paired differences."""

from typing import Any, Final

import streamlit as st

from core.charts import config
from core.comparison import plots as comparison_plots
from core.comparison import view as comparison_view
from core.comparison.differences import RULE, Difference
from core.comparison.jobs import Found
from core.comparison.sides import LETTERS
from core.diagnosis import jobs as diagnosis_jobs
from core.diagnosis.templates import Phrasing
from core.measures.result import TESTS, Test
from core.wording import interval
from pages.compare import curves, headline
from pages.compare.choice import PLACES, Choice
from pages.diagnosis.scorecard import QUESTIONS
from pages.shared.address import bound
from pages.shared.bench import opened, workbench

_COLOURS: Final = {
    "beyond": "green",
    "taught": "orange",
    "labels": "orange",
    "noise": "gray",
    "nothing": "gray",
}
#: No icons: within a text their names would be read aloud.
_SIGNS: Final = {
    "beyond": "≠",
    "taught": "✎",
    "labels": "−",
    "noise": "≈",
    "nothing": "?",
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
    headline.figures(found, choice)
    pairs = found.best if choice.best else found.shown
    # Templates are measured at the best layers alone.
    phrased = _phrasings(found) if choice.best else []
    for column, test in zip(st.columns(4), TESTS, strict=True):
        with column.container(border=True, height="stretch"):
            layers = [found.layers(n, test, best=choice.best) for n in range(len(pairs))]
            differences = [next(d for d in pair if d.test == test) for pair in pairs]
            _card(test, differences, layers, phrased)
    st.caption(RULE)
    return curves.show(found)


def _phrasings(found: Found) -> list[list[Phrasing]]:
    """Return what each side gives under several templates; none where only one was read."""
    phrased: list[list[Phrasing]] = []
    for one in found.diagnoses:
        kept: list[Phrasing] | None = opened(diagnosis_jobs.phrasings(workbench(), one))
        phrased.append(kept or [])
    return phrased


def _card(
    test: Test,
    differences: list[Difference],
    layers: list[Any],
    phrased: list[list[Phrasing]],
) -> None:
    name = f"<p class='ms-note'>{test.capitalize()}</p>"
    st.html(f"{name}<p class='ms-question'>{QUESTIONS[test]}</p>")
    sides = [differences[0].first, *(one.second for one in differences)]
    st.plotly_chart(
        comparison_plots.sides_figure(sides),
        key=f"sides-{test}",
        config=config(f"moralscope-sides-{test}") | {"displayModeBar": False},
        alt=f"{test}: "
        + "; ".join(
            f"{letter} {interval(side)}" for letter, side in zip(LETTERS, sides, strict=False)
        ),
    )
    for side, (letter, one, at) in enumerate(
        zip(LETTERS[1:], differences, layers, strict=False), start=1
    ):
        colour, sign = _COLOURS[one.level], _SIGNS[one.level]
        st.markdown(
            f"**{letter} − A** {interval(one.difference, signed=True)}  \n"
            f":{colour}[{sign} {comparison_view.VERDICTS[one.level]}]"
        )
        st.caption(
            f"{comparison_view.at_layers(at, letter)} · shuffled labels {interval(one.shuffled)}"
        )
        if phrased and (
            said := comparison_view.templates_sentence(test, phrased[0], phrased[side], letter)
        ):
            st.caption(said)
