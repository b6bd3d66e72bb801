"""All moral latents: picture, search and table; a row opens its passport."""

from collections.abc import Sequence
from typing import Any, Final, cast

import streamlit as st

from core import exports
from core.featurefigures import latents_figure
from core.featurejobs import Ranked
from core.featureview import Shown, latents
from core.figures import config
from core.foundations import DIMENSIONS, Dimension
from core.sae import Dictionary
from core.study import Study
from pages.parts import featuresearch
from pages.parts.address import bound

_ANY: Final = "any"
_SHOWN: Final = ("confirmed", "selected", "all")
#: Rows of a table that a browser takes at once.
_MOST: Final = 1000


def show(study: Study, dictionary: Dictionary, found: Ranked) -> int | None:
    """Draw the list and return the latent whose passport is open."""
    row = st.columns([1.2, 1.6, 2.4])
    dimension = row[0].selectbox(
        "Sort by", (_ANY, *DIMENSIONS), **bound("sort", _ANY, (_ANY, *DIMENSIONS))
    )
    shown = row[1].segmented_control(
        "Latents", _SHOWN, required=True, **bound("latents", "confirmed", _SHOWN)
    )
    with row[2]:
        among = featuresearch.ask(study, dictionary, found)
    table = latents(
        found.scores,
        None if dimension == _ANY else cast("Dimension", dimension),
        cast("Shown", shown),
        among,
    )
    if "latent" not in st.session_state:
        _from_address(found, table)
    chosen = st.session_state.get("latent")
    if not len(table):
        st.info("No latent answers this. Show selected or all ones, or another dimension.")
    else:
        left, right = st.columns([1, 1.25], gap="large")
        with left:
            _picture(table, chosen)
        with right:
            _table(table)
    _to_address(chosen)
    return None if chosen is None else int(chosen)


def _from_address(found: Ranked, table: Any) -> None:
    """Open the latent of the address, else the first of the table."""
    asked = st.query_params.get("latent", "")
    known = asked.isascii() and asked.isdigit() and int(asked) < len(found.scores.fires)
    first = int(table["latent"].iloc[0]) if len(table) else None
    st.session_state["latent"] = int(asked) if known else first


def _to_address(chosen: Any) -> None:
    if chosen is not None and st.query_params.get("latent") != str(chosen):
        st.query_params["latent"] = str(chosen)


def _picture(table: Any, chosen: Any) -> None:
    st.plotly_chart(
        latents_figure(table.iloc[:_MOST], chosen),
        key="latents-chart",
        on_select=_picked_point,
        selection_mode="points",
        config=config("moralscope-latents") | {"displayModeBar": False, "scrollZoom": False},
        alt="Latents by share of texts and AUROC of their dimension; the table beside it holds the "
        "same. A click opens a latent.",
    )
    st.caption(
        "Colour: foundation. ● virtue, ✕ vice; bars: 95 % interval on held-out texts; dotted: "
        "chance. A click opens the passport."
    )


def _picked_point() -> None:
    points = st.session_state["latents-chart"].selection.points
    found = [point["customdata"] for point in points if "customdata" in point]
    if found:
        one = found[0]
        st.session_state["latent"] = int(one[0] if isinstance(one, Sequence) else one)


def _table(table: Any) -> None:
    st.dataframe(
        table.iloc[:_MOST],
        hide_index=True,
        key="latents-table",
        height=min(400, 40 + 35 * max(len(table), 1)),
        column_order=_ORDER,
        column_config=_columns(),
        on_select=lambda: _picked_row(table),
        selection_mode="single-row",
        alt="Latents with kind, dimension, AUROC on held-out texts with interval, q and flags.",
    )
    row = st.container(horizontal=True, vertical_alignment="center")
    row.download_button(
        "CSV",
        lambda: exports.csv_bytes(table),
        "moralscope-latents.csv",
        icon=":material/download:",
        on_click="ignore",
    )
    row.caption(f"{len(table):,} latents. Select a row to open its passport.")


def _picked_row(table: Any) -> None:
    rows = st.session_state["latents-table"].selection.rows
    if rows:
        st.session_state["latent"] = int(table["latent"].iloc[rows[0]])


_ORDER: Final = (
    "latent", "kind", "dimension", "membership test", "membership low", "membership high",
    "membership q", "contrast test", "gradient test", "selectivity", "density", "flags",
)  # fmt: skip


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "membership test": number(
            "AUROC", format="%.2f", help="Members against all other texts, held-out texts."
        ),
        "membership low": number("low", format="%.2f", help="Of the AUROC's 95 % interval."),
        "membership high": number("high", format="%.2f"),
        "membership q": number("q", format="%.3f", help="False discovery rate, training texts."),
        "contrast test": number("contrast", format="%+.2f", help="Own pole minus the opposite."),
        "gradient test": number(
            "gradient", format="%+.2f", help="Rank correlation with people's grade among members."
        ),
        "selectivity": number(format="%.2f", help="How far above the next dimension: 0 to 1."),
        "density": number("on in", format="percent", help="Share of texts."),
    }
