"""The two maps and what lies under them: legend, trust, findings, table, distribution, files."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core import exports, figures, view
from core.evidence import Finding
from core.foundations import DIMENSIONS
from core.items import Items
from core.stats import Estimate
from core.view import Colour, Colouring, Picture
from pages.parts import frame, selection

#: Rows of the table when nothing is selected, and at most.
TABLE_ROWS = 1000


def legend(colours: Colouring) -> None:
    """Explain colours and shapes once for both maps."""
    frame.category_legend(colours.categories or {})


def draw(
    side: str,
    title: str,
    picture: Picture,
    colours: Colouring,
    items: Items,
    table: pd.DataFrame,
    *,
    chosen: NDArray[np.bool_],
    marked: NDArray[np.bool_],
    own: NDArray[np.floating] | None = None,
) -> object:
    """Draw one map with its trust line; return the figure."""
    st.markdown(f"**{title}**")
    figure = figures.map_figure(
        picture,
        colours,
        items.pole,
        figures.hover_texts(table),
        chosen=chosen,
        marked=marked,
        own=own,
        name=f"moralscope-{side}",
    )
    key = f"chart-{side}"
    flat = picture.points.shape[1] == 2
    st.plotly_chart(
        figure,
        key=key if flat else f"{key}-3d",
        on_select=(lambda: selection.from_chart(key, items)) if flat else "ignore",
        selection_mode=("points", "box", "lasso"),
        config=figures.CONFIG,
        alt=f"{title}: scatter of {len(items)} actions. The table below holds the same items.",
    )
    st.caption(trust_line(picture))
    return figure


def trust_line(picture: Picture) -> str:
    """Return how far to trust a picture, in one or two sentences."""
    if picture.trust is None:
        return "Each axis is a measured quantity: position is exact up to ties being spread."
    trust = picture.trust
    variance = "" if np.isnan(picture.explained) else f" · {picture.explained:.0%} of the variance"
    return (
        f"Trustworthiness {trust.trustworthiness:.2f} (random .50) · keeps {trust.kept:.0%} of the "
        f"10 true neighbours (random {trust.chance:.1%}){variance}. Distances between far groups "
        "and the sizes of groups mean nothing."
    )


def findings(rows: list[Finding]) -> None:
    """Show the layer's findings, each beside its controls."""
    for column, row in zip(st.columns(3), rows, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{row.name}** · {_span(row.observed)}")
            st.caption(row.meaning + ".")
            st.markdown(f"shuffled labels {_span(row.shuffled)}  \nword counts {_span(row.words)}")
            good = row.verdict.startswith("beyond")
            st.badge(
                row.verdict,
                icon=":material/check:" if good else ":material/block:",
                color="green" if good else "gray",
            )


def _span(figure: Estimate) -> str:
    if np.isnan(figure.value):
        return "not computable"
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def details(
    items: Items, colours: Colouring, colour: Colour, table: pd.DataFrame, chosen: NDArray[np.bool_]
) -> None:
    """Show the table twin of the selection (or of all items) and the distribution of the colour."""
    shown = table[chosen] if chosen.any() else table
    left, right = st.columns([2, 1])
    with left:
        count = f"{len(shown):,} of {len(items):,} actions"
        st.markdown(f"**{'Selection' if chosen.any() else 'All items'}** · {count}")
        event = st.dataframe(
            shown.drop(columns=["item"]).head(TABLE_ROWS),
            hide_index=True,
            height=330,
            key="table",
            column_config=_columns(),
            alt="Table of the actions on the maps with their labels and the model's figures.",
        )
        del event
        if len(shown) > TABLE_ROWS:
            st.caption(f"The first {TABLE_ROWS:,} rows are shown; the files below hold all.")
        if chosen.any():
            st.button(
                "Clear selection", icon=":material/close:", on_click=selection.choose, args=([],)
            )
    with right:
        st.markdown(f"**{view.COLOURS[colour]}**")
        st.plotly_chart(
            figures.distribution_figure(colours, chosen),
            key="distribution",
            config=figures.CONFIG,
            alt=f"Distribution of {view.COLOURS[colour]} over all items and over the selection.",
        )


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    share = st.column_config.ProgressColumn
    return {
        "text": st.column_config.TextColumn("action", width="large"),
        "grade": number("grade", format="%.3g", help="Human typicality, 0 to 1."),
        "model_typicality": share(
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


def files(table: pd.DataFrame, chosen: NDArray[np.bool_], charts: list[object]) -> None:
    """Offer what is on the page as files."""
    shown = table[chosen] if chosen.any() else table
    row = st.container(horizontal=True)
    row.download_button(
        "CSV",
        lambda: exports.csv_bytes(shown),
        "moralscope.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    row.download_button(
        "Parquet",
        lambda: exports.parquet_bytes(shown),
        "moralscope.parquet",
        icon=":material/download:",
        on_click="ignore",
    )
    row.download_button(
        "Maps as HTML",
        lambda: exports.html_bytes(charts, "Moralscope maps"),
        "moralscope.html",
        "text/html",
        icon=":material/download:",
        on_click="ignore",
    )
    row.caption("PNG: the camera above each map. The address bar holds this very view.")
