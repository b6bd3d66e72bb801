"""One layer at a glance: its poles, its centres, its groups."""

from typing import Any

import streamlit as st

from core import layers
from core.charts import config
from core.diagnosis import plots as diagnosis_plots
from core.diagnosis import view as diagnosis_view
from core.diagnosis.diagnosis import Diagnosis
from core.layers import EMBEDDING
from pages.diagnosis import failures
from pages.diagnosis.choice import Choice
from pages.shared import frame, routes

_POLES = (
    "Typicality: people's grades against closeness to the pole's centre. Own − opposed: the same "
    "after closeness to the opposed centre is taken off. R², rank correlation and AUROC: the "
    "linear probe on unseen texts. Reliability: how far two halves of the pole's texts agree on "
    "its centre."
)
_GROUPS = (
    "ARI and NMI: agreement of clusters with labels, HDBSCAN's noise counted as a cluster. "
    "Neighbour purity: share of nearest neighbours with the same label. Chance: labels shuffled."
)
_PLAIN = {"displayModeBar": False, "scrollZoom": False}


def show(diagnosis: Diagnosis, choice: Choice, set_name: str) -> list[Any]:
    """Draw the layer; return its figures."""
    name = "The embedding" if choice.layer == EMBEDDING else f"Layer {choice.layer}"
    row = st.container(horizontal=True, vertical_alignment="center")
    row.subheader(f"{name} at a glance", anchor="layer")
    _to_map(row, choice)
    one = diagnosis.layers[choice.layer]
    if one.problem:
        st.info(one.problem, icon=":material/help:")
        return []
    left, right = st.columns([1.15, 1])
    with left:
        st.markdown("**Ten poles**", help=_POLES)
        poles = diagnosis_plots.pole_heatmap(diagnosis_view.pole_grid(one))
        _chart("poles", poles, "Figures of the ten poles at this layer.")
        st.caption("Grey is chance (AUROC .5, else 0), orange the best possible. – not computable.")
    with right:
        st.markdown("**Cosine of the ten centres**")
        centres = diagnosis_plots.cosine_heatmap(diagnosis_view.cosine_grid(one))
        _chart("centres", centres, "Cosines of the ten centres; opposed pairs framed.")
        st.caption("Framed: virtue and vice of one foundation. Purple opposed, orange the same.")
    _groups(one)
    with frame.told():
        failures.show(diagnosis.study, choice, set_name)
    return [poles, centres]


def _chart(key: str, figure: Any, alt: str) -> None:
    st.plotly_chart(figure, key=key, config=config(f"moralscope-{key}") | _PLAIN, alt=alt)


def _to_map(place: Any, choice: Choice) -> None:
    settings: dict[str, str] = {
        "layer": layers.layer_name(choice.layer),
        "scaling": choice.spec.scaling,
        "pooling": choice.spec.pooling,
        "colour": "residual",
    }
    if place.button(
        "Open the map at this layer",
        icon=":material/explore:",
        on_click=routes.set_widgets,
        args=(settings,),
    ):
        routes.open_page("map")


def _groups(one: Any) -> None:
    st.markdown("**Groups against moral labels**", help=_GROUPS)
    table = diagnosis_view.structure_table(one)
    number = st.column_config.NumberColumn
    columns = {name: number(format="%.3f") for name in ("value", "low", "high")}
    columns["chance_low"] = number("chance from", format="%.3f")
    columns["chance_high"] = number("chance to", format="%.3f")
    columns["coverage"] = number(
        format="percent", help="Share of the actions that HDBSCAN puts into a cluster."
    )
    st.dataframe(
        table,
        hide_index=True,
        height=250,
        key="groups",
        column_config=columns,
        alt="Agreement of clusters and neighbourhoods with moral labels at this layer.",
    )
