"""The two maps: one look for both, one selection on both, how far to trust each."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core import charts as core_charts
from core.dataset.items import Items
from core.maps import plots as maps_plots
from core.maps.view import Colouring, Picture
from pages.shared import selection


@dataclass(frozen=True, eq=False)
class Look:
    """What both maps share."""

    items: Items
    """The actions, a point each."""

    table: pd.DataFrame
    """Their facts, in the same order."""

    colours: Colouring
    """What colours them."""

    chosen: NDArray[np.bool_]
    """The selection; the rest turns grey."""

    marked: NDArray[np.bool_]
    """Matches of the search; they are ringed."""


def draw(
    side: str,
    title: str,
    picture: Picture,
    look: Look,
    own: NDArray[np.floating] | None = None,
) -> object:
    """Draw one map with its trust line; return the figure."""
    st.markdown(f"**{title}**")
    figure = maps_plots.map_figure(
        picture,
        look.colours,
        look.items.pole,
        maps_plots.hover_texts(look.table),
        chosen=look.chosen,
        marked=look.marked,
        own=own,
        scale=side == "model",
        name=f"moralscope-{side}",
    )
    key = f"chart-{side}"
    flat = picture.points.shape[1] == 2  # Plotly has no selection in 3-D
    st.plotly_chart(
        figure,
        key=key if flat else f"{key}-3d",
        on_select=(lambda: selection.from_chart(key, look.items)) if flat else "ignore",
        selection_mode=("points", "box", "lasso"),
        config=core_charts.config(f"moralscope-{side}"),
        alt=f"{title}: scatter of {len(look.items)} actions; the table below holds the same.",
    )
    st.caption(trust_line(picture))
    return figure


def trust_line(picture: Picture) -> str:
    """Return how far to trust a picture, in one or two sentences."""
    if picture.trust is None:
        return (
            "Each axis is a measured quantity. Actions of other foundations sit near zero; points "
            "that share a place are spread into a disc."
        )
    trust = picture.trust
    variance = "" if np.isnan(picture.explained) else f" · {picture.explained:.0%} of the variance"
    return (
        f"Trustworthiness {trust.trustworthiness:.2f} (random .50) · keeps {trust.kept:.0%} of the "
        f"10 true neighbours (random {trust.chance:.1%}){variance}. Distances between far groups "
        "and the sizes of groups mean nothing."
    )
