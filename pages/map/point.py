"""The action that was clicked: what people say of it, what lies near, and a way to steer it."""

from typing import Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core import charts as core_charts
from core.activations.study import Study
from core.dataset.items import Items
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.maps import plots as maps_plots
from core.maps import point as maps_point
from core.maps.view import ViewSpec
from pages.map import results
from pages.shared import controls, frame, routes
from pages.shared.address import bound

#: Name in the session and in the address: the clicked item's id.
_POINT: Final = "point"
#: What makes an action a prompt whose next word judges it.
_JUDGED: Final = "{action} is morally"


def clicked(items: Items) -> int | None:
    """Return the row of the item that the address names; None if there is none in the set."""
    bound(_POINT, "")
    rows = np.flatnonzero(items.item == st.session_state[_POINT])
    return int(rows[0]) if len(rows) else None


def click(row: object, items: Items) -> None:
    """Take over the row that a map reports; what is none is left out (a callback)."""
    if isinstance(row, int) and 0 <= row < len(items):
        st.session_state[_POINT] = str(items.item[row])


def neighbours(study: Study, spec: ViewSpec, row: int | None) -> NDArray[np.int64]:
    """Return the rows that lie next to an item in the model, none for no item."""
    none = np.zeros(0, np.int64)
    return none if row is None else results.neighbourhood(study, spec, row).model


def panel(items: Items, row: int, study: Study | None, spec: ViewSpec) -> None:
    """Show one item; with a study, beside what the model has around it."""
    text = items.texts()[row]
    with st.container(border=True, key="point"):
        st.markdown("**The action that you clicked**")
        st.text(text)
        st.caption(_judged(items, row))
        with st.container(horizontal=True):
            prompt = _JUDGED.format(action=text)
            with frame.told():
                if st.button(
                    "Make it the prompt",
                    key="point-steer",
                    icon=":material/tune:",
                    on_click=routes.set_widgets,
                    args=({"prompt": prompt},),
                    help="Opens Steer with: action, 'is morally'.",
                ):
                    routes.open_page("steer")
            st.button("Close", key="point-close", on_click=routes.set_widgets, args=({_POINT: ""},))
        if study is not None:
            with frame.told():
                _around(items, row, study, spec)


def _judged(items: Items, row: int) -> str:
    vector = items.vectors()[row]
    graded = [f"{name} {vector[at]:g}" for at, name in enumerate(DIMENSIONS) if vector[at]]
    foundation = FOUNDATIONS[int(items.foundation[row])].replace("-", " – ")
    grade = "" if items.pole[row] == "neutral" else f", grade {items.grade[row]:g}"
    return (
        f"People: {foundation}, {items.pole[row]}{grade}. "
        f"Moral vector: {', '.join(graded) if graded else 'zero'}. Split: {items.split[row]}."
    )


def _around(items: Items, row: int, study: Study, spec: ViewSpec) -> None:
    found = results.neighbourhood(study, spec, row)
    cosine = results.centres_by_layer(study, spec, row)
    left, right = st.columns([1.5, 1])
    with left:
        st.markdown("**Ten neighbours in both spaces**")
        st.caption(
            f"{len(found.shared)} of the model's {len(found.model)} are as near for people; drawn "
            f"at random it would be {found.chance:.1f}. Labels tie: {found.level} texts are as "
            "near for people as the farthest listed."
        )
        st.dataframe(
            maps_point.neighbour_table(items, found),
            hide_index=True,
            height=330,
            key="point-near",
            column_config={
                "how_near": st.column_config.NumberColumn(
                    "how near",
                    help="People: distance of moral vectors (0 is nearest). Model: cosine.",
                )
            },
            alt="The ten texts nearest for people and for the model; shared ones are ticked.",
        )
    with right:
        st.markdown("**Cosine to the ten centres, by layer**")
        st.plotly_chart(
            maps_plots.layers_heatmap(cosine, controls.layer_names(study)),
            key="point-layers",
            config=core_charts.config("moralscope-action-by-layer"),
            alt="Heat map of the action's cosine to the ten centres over layers; its nearest "
            "centre at each layer stands in the table below.",
        )
        st.dataframe(
            maps_point.nearest_centre_table(cosine, list(study.plan.layers)),
            hide_index=True,
            height=180,
            key="point-centres",
            column_config={
                "nearest_centre": "nearest centre",
                "lead": st.column_config.NumberColumn(
                    "ahead by", help="How much farther the second nearest centre is, in cosine."
                ),
            },
            alt="The nearest centre at each layer, its cosine and its lead over the second.",
        )
