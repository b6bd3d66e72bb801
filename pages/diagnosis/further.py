"""Is it moral? Further controls at the chosen layers, made by a job of their own."""

from typing import Any, Final

import streamlit as st

from core.charts import config
from core.diagnosis import controls_plots as plots
from core.diagnosis import controls_report as report
from core.diagnosis.concept import Beside, Level
from core.diagnosis.controls import FurtherControls
from core.diagnosis.diagnosis import Diagnosis
from core.diagnosis.jobs import further
from core.layers import layer_name
from pages.shared import progress
from pages.shared.bench import opened, workbench

#: Colour and sign of what may be said about a test on both sets.
_SIGNS: Final[dict[Level, tuple[str, str]]] = {
    "above": ("green", "✓"),
    "same": ("gray", "○"),
    "below": ("orange", "−"),
    "nothing": ("gray", "?"),
}


def show(diagnosis: Diagnosis) -> list[Any]:
    """Show what the further controls found, their progress, or an offer; return the figures."""
    st.subheader("Is it moral? Further controls", anchor="controls")
    made = further(workbench(), diagnosis)
    found = opened(made)
    if found is not None:
        return [*_concept(found), *_others(found)]
    st.caption(
        "What the cards show could be good against bad words, memorised words, or length. So the "
        "same tests are run on how pleasant plain things are, the probe on labels that can only be "
        "memorised, and typicality at equal length, negation and form."
    )
    if diagnosis.study.card.packed:
        st.caption(f"Here they cannot be run: {diagnosis.study.card.reason}.")
    elif not progress.making(made):
        row = st.container(horizontal=True, vertical_alignment="center")
        row.caption(
            "The model reads 240 texts more, written for this project; then a few minutes of "
            "measuring on two cores."
        )
        progress.offer(row, made, "Run the further controls", key="controls-start")
    return []


def _concept(found: FurtherControls) -> list[Any]:
    """Show the four tests on pleasantness beside those on the moral set."""
    st.markdown(f"**{report.concept_text(found.concept)}**")
    if not found.concept:
        return []
    drawn = [
        _card(column, row)
        for column, row in zip(st.columns(len(found.concept)), found.concept, strict=True)
    ]
    st.caption(report.CONCEPT_RULE)
    return drawn


def _card(column: Any, row: Beside) -> Any:
    figure = plots.concept_figure(row)
    colour, sign = _SIGNS[row.level]
    with column.container(border=True, height="stretch"):
        at = layer_name(row.layer, long=True)
        st.html(f"<p class='ms-note'>{row.test.capitalize()} · {at}</p>")
        st.markdown(f":{colour}[{sign} **{report.VERDICTS[row.level]}**]")
        _chart(row.test, figure, f"{row.test} test, {report.beside_text(row)}")
        st.caption(report.beside_text(row))
    return figure


def _others(found: FurtherControls) -> list[Any]:
    """Show directions, selectivity and partial typicality, each drawn and in words."""
    shown = (
        (
            "transfer",
            "Is it the direction of pleasantness?",
            found.transfer and plots.transfer_figure(found.transfer),
            report.transfer_text(found.transfer),
            report.TRANSFER_RULE,
        ),
        (
            "selectivity",
            "Does the probe find the labels, or memorise words?",
            found.selectivity and plots.selectivity_figure(found.selectivity),
            report.selectivity_text(found.selectivity),
            report.SELECTIVITY_RULE,
        ),
        (
            "partial",
            "Is typicality only length, negation or form?",
            found.partial and plots.partial_figure(found.partial),
            report.partial_text(found.partial),
            report.PARTIAL_RULE,
        ),
    )
    for column, (name, question, figure, told, rule) in zip(st.columns(3), shown, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{question}**")
            if figure is not None:
                _chart(name, figure, told)
            st.markdown(told)
            st.caption(rule)
    return [figure for _, _, figure, _, _ in shown if figure is not None]


def _chart(name: str, figure: Any, alt: str) -> None:
    st.plotly_chart(
        figure,
        key=f"controls-{name}",
        config=config(f"moralscope-controls-{name}") | {"displayModeBar": False},
        alt=alt,
    )
