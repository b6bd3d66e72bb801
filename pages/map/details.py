"""Under the maps: the table twin, the distribution of the colour, the files."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core import charts as core_charts
from core import exports
from core.foundations import DIMENSIONS
from core.maps import plots as maps_plots
from pages.shared import selection
from pages.shared.maps import Look

#: Rows that the table shows at most.
TABLE_ROWS = 1000


def show(look: Look) -> None:
    """Draw the selection (or all items) as a table, and how the colour is spread over it."""
    some = bool(look.chosen.any())
    shown = look.table[look.chosen] if some else look.table
    left, right = st.columns([2, 1])
    with left:
        count = f"{len(shown):,} of {len(look.items):,} actions"
        st.markdown(f"**{'Selection' if some else 'All items'}** · {count}")
        st.dataframe(
            shown.drop(columns=["item"]).head(TABLE_ROWS),
            hide_index=True,
            height=330,
            key="table",
            column_config=_columns(),
            alt="The actions on the maps with their labels and the model's figures.",
        )
        if len(shown) > TABLE_ROWS:
            st.caption(f"The first {TABLE_ROWS:,} rows are shown; the files below hold all.")
        if some:
            selection.clear_button()
    with right:
        st.markdown(f"**{look.colours.title}**")
        st.plotly_chart(
            maps_plots.distribution_figure(look.colours, look.chosen),
            key="distribution",
            config=core_charts.CONFIG,
            alt=f"{look.colours.title}: distribution over all items and over the selection.",
        )


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "text": st.column_config.TextColumn("action", width="large"),
        "grade": number("grade", format="%.3g", help="Human typicality, 0 to 1."),
        "model_typicality": st.column_config.ProgressColumn(
            "model typicality",
            min_value=0,
            max_value=1,
            format="%.2f",
            help="Percentile of closeness to the own centre among items of the same pole.",
        ),
        "residual": number(
            "residual", format="%.2f", help="People's percentile minus the model's."
        ),
        "nearest_centre": "nearest centre",
        "cosine": number("cosine", format="%.2f"),
        **{name: number(name, format="%.3g") for name in DIMENSIONS},
    }


def files(look: Look, charts: list[Callable[[], Any]]) -> None:
    """Offer what is on the page as files.

    Args:
        look: What the maps share.
        charts: They make the maps' figures, which only the file needs.
    """
    shown = look.table[look.chosen] if look.chosen.any() else look.table

    def html() -> bytes:
        return exports.html_bytes([chart() for chart in charts], "Moralscope maps")

    row = st.container(horizontal=True, vertical_alignment="center")
    offered = (
        ("CSV", lambda: exports.csv_bytes(shown), "moralscope.csv"),
        ("Parquet", lambda: exports.parquet_bytes(shown), "moralscope.parquet"),
        ("Maps as HTML", html, "moralscope.html"),
    )
    for label, make, name in offered:
        row.download_button(label, make, name, icon=":material/download:", on_click="ignore")
    row.caption("PNG and SVG: below each flat map. The address bar holds this very view.")
