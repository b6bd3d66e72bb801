"""All arms beside each other, here and over the layers above, each with its table."""

from collections.abc import Callable
from typing import Any, Final

import streamlit as st

from core.alignment.plots import arms_figure, layers_figure
from core.alignment.shown import FIGURES
from core.alignment.view import arm_rows, arm_table, layer_table, layers_of, meaning, over_layers
from core.charts import config
from core.wording import interval
from pages.align.choice import Choice
from pages.align.found import Found
from pages.shared.address import bound

_PLAIN: Final = {"displayModeBar": False, "scrollZoom": False}
_NUMBER: Final = st.column_config.NumberColumn
_COLUMNS: Final[dict[str, Any]] = {
    "what it is": st.column_config.TextColumn(width="medium"),
    "share": _NUMBER(format="%.2f", help="Of its change, at this cost."),
    "KL": _NUMBER(format="%.3f", help="What it costs on neutral sentences, nats per token."),
    "value": _NUMBER(format="%.3f", help="The figure itself, mean over seeds."),
    "over": _NUMBER("over untouched", format="%+.3f"),
    "low": _NUMBER(format="%+.3f"),
    "high": _NUMBER(format="%+.3f"),
    "minus": _NUMBER("recipe − it", format="%+.3f"),
    "minus low": _NUMBER("low ", format="%+.3f"),
    "minus high": _NUMBER("high ", format="%+.3f"),
    "FVU": _NUMBER(format="%.3f", help="Variance of test texts' tokens that it misses."),
    "latents on": _NUMBER(format="%.1f", help="Per token."),
    "dead": _NUMBER(format="percent", help="Latents that are on at no token of these."),
}


def show(found: Found, asked: Choice) -> list[Callable[[], Any]]:
    """Draw both charts; return functions that make them."""
    report, target, recipe = found.report, asked.target, asked.recipe
    names = [one.name for one in FIGURES]
    name = st.segmented_control(
        "Figure",
        names,
        required=True,
        label_visibility="collapsed",
        **bound("figure", names[0], names),
    )
    figure = FIGURES[names.index(str(name))]
    rows = arm_rows(report, target, figure, recipe)
    # What has no layers of its own stands beside the geometry.
    kind = figure.kind if layers_of(report, figure.kind) else FIGURES[0].kind
    title = next(one.name for one in FIGURES if one.kind == kind).removesuffix(" here")
    left, right = st.columns([1.1, 1], gap="large")
    with left:
        st.markdown(f"**{figure.name}, over the untouched model**", help=figure.meaning)
        st.plotly_chart(
            arms_figure(rows),
            key="arms-chart",
            config=config("moralscope-arms") | _PLAIN,
            alt=f"{figure.name} of each arm minus the untouched model with 95 % interval, at "
            f"{target:g} nats; the table below holds the same.",
        )
        st.caption(f"{_against(rows)} Ticks: seeds. Dotted: the untouched.")
    with right:
        st.markdown(f"**{title} over the layers above, over the untouched model**")
        st.plotly_chart(
            layers_figure(over_layers(report, target, kind, recipe), layers_of(report, kind)),
            key="layers-chart",
            config=config("moralscope-align-layers") | _PLAIN,
            alt=f"{title} of each arm minus the untouched model from layer {report.layer} to the "
            "last, with 95 % bands; the table below holds the same.",
        )
    with st.expander("As a table; what each arm is"):
        st.markdown("\n".join(f"- **{arm}**: {meaning(arm)}" for arm in report.arms))
        _table(
            arm_table(report, target, figure, recipe), "arms-table", f"{figure.name} of every arm."
        )
        _table(layer_table(report, target, kind), "layers-table", f"{title} at every layer.")
    return [
        lambda: arms_figure(rows),
        lambda: layers_figure(over_layers(report, target, kind, recipe), layers_of(report, kind)),
    ]


def _against(rows: Any) -> str:
    """Say how far the recipe exceeds each other arm."""
    told = [f"{row.arm} {interval(row.behind, signed=True)}" for row in rows[1:] if row.seeds]
    if not (rows[0].seeds and told):
        return ""
    return f"{rows[0].arm} minus " + "; ".join(told) + "."


def _table(table: Any, key: str, alt: str) -> None:
    st.dataframe(table, hide_index=True, key=key, column_config=_COLUMNS, alt=alt, placeholder="–")
