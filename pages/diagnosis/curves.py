"""Four tests over the layers: one legend, one present layer, and a click that changes it."""

from collections.abc import Collection
from typing import Any, Final

import streamlit as st

from core.charts import config
from core.diagnosis import plots as diagnosis_plots
from core.diagnosis.diagnosis import Diagnosis
from core.diagnosis.verdicts import short_name
from core.diagnosis.view import curve
from core.measures.result import ALL, TESTS
from core.palette import CHANCE, CONTROL, CONTROL_COLOURS, MODEL, OWN
from pages.diagnosis.choice import Choice
from pages.shared.frame import coloured

#: The dashes of ``palette.CONTROL_DASHES`` in CSS: where a line is there, and where not.
_STOPS: Final = {
    "words": ((True, "0 7px"), (False, "7px 10px")),
    "length": ((True, "0 3px"), (False, "3px 6px")),
    "sentence": ((True, "0 11px"), (False, "11px 15px")),
    "untrained": ((True, "0 7px"), (False, "7px 9px"), (True, "9px 12px"), (False, "12px 14px")),
}


def show(diagnosis: Diagnosis, untrained: Diagnosis | None, choice: Choice) -> list[Any]:
    """Draw the four curves; return the figures."""
    st.subheader("Layer by layer", anchor="layers")
    missing = {"untrained"} if untrained is None else set[str]()
    missing |= {"sentence"} - set(diagnosis.baselines)
    st.html(f"<div class='ms-legend'>{_legend(missing)}</div>")
    drawn = []
    for start in range(0, len(TESTS), 2):
        for column, test in zip(st.columns(2), TESTS[start : start + 2], strict=True):
            figure = diagnosis_plots.curve_figure(
                curve(diagnosis, test, choice.part, untrained),
                choice.layer,
                named=choice.part != ALL,
            )
            drawn.append(figure)
            with column:
                _chart(test, figure)
    st.caption(
        "Figures of all texts; the cards show the half that did not choose the layer. Click into a "
        "chart to go to a layer."
    )
    return drawn


def _chart(test: str, figure: Any) -> None:
    key = f"curve-{test}"
    title = figure.layout.title.text.replace("<br>", ", ")
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: _take_over(key),
        selection_mode="points",
        config=config(f"moralscope-{test}") | {"scrollZoom": False},
        alt=f"{title} at every layer, with interval and controls; the table of all figures below "
        "holds the same.",
    )


def _take_over(key: str) -> None:
    """Make the clicked layer the present one (a callback)."""
    points = st.session_state[key].selection.points
    layers = [point["customdata"] for point in points if "customdata" in point]
    if layers:
        first = layers[0]
        st.session_state["layer"] = str(first[0] if isinstance(first, list) else first)


def _legend(missing: Collection[str]) -> str:
    signs = [
        (f"height: 3px; background: {MODEL}", "model, 95 % interval"),
        (f"height: 11px; background: {CHANCE}", "shuffled labels, 95 %"),
        *(
            (f"height: 3px; background: {_dashes(name)}", short_name(name))
            for name in _STOPS
            if name not in missing
        ),
        (f"height: 1px; background: {CONTROL}", "highest of all layers by chance"),
        (f"height: 11px; width: 2px; background: {OWN}", "present layer"),
    ]
    lines = "".join(f"<span><b style='{style}'></b>{name}</span>" for style, name in signs)
    return f"{lines}<span>{coloured('★', MODEL)} chosen on other texts</span>"


def _dashes(name: str) -> str:
    colour = CONTROL_COLOURS[name]
    stops = [f"{colour if there else 'transparent'} {part}" for there, part in _STOPS[name]]
    return f"repeating-linear-gradient(90deg, {', '.join(stops)})"
