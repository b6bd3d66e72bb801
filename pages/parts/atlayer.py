"""One layer at a glance: its poles, its centres, its groups, and where it fails."""

from typing import Any

import streamlit as st

from core import diagnosisfigures as figures
from core import diagnosisview as view
from core.activations import EMBEDDING
from core.diagnosis import Diagnosis
from core.figures import config
from core.view import ViewSpec
from pages.parts import bench, frame, routes
from pages.parts.diagnosing import Choice

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
        st.markdown("**Ten poles**")
        poles = figures.pole_heatmap(view.pole_grid(one))
        _chart("poles", poles, "Figures of the ten poles at this layer.")
        st.caption("Grey is chance (AUROC .5, else 0), orange the best possible. – not computable.")
    with right:
        st.markdown("**Cosine of the ten centres**")
        centres = figures.cosine_heatmap(view.cosine_grid(one))
        _chart("centres", centres, "Cosines of the ten centres; opposed pairs framed.")
        st.caption("Framed: virtue and vice of one foundation. Purple opposed, orange the same.")
    _groups(one)
    with frame.told():
        _failures(diagnosis, choice, set_name)
    return [poles, centres]


def _chart(key: str, figure: Any, alt: str) -> None:
    st.plotly_chart(figure, key=key, config=config(f"moralscope-{key}") | _PLAIN, alt=alt)


def _to_map(place: Any, choice: Choice) -> None:
    settings = {
        "layer": view.layer_name(choice.layer),
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
        st.switch_page(routes.map_page())


def _groups(one: Any) -> None:
    st.markdown("**Groups against moral labels**")
    table = view.structure_table(one)
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


def _failures(diagnosis: Diagnosis, choice: Choice, set_name: str) -> None:
    """Show opposite actions held for the same, and actions graded most unlike people."""
    study, spec = diagnosis.study, choice.spec
    pairs = bench.confusions(study, spec, choice.layer)
    st.markdown("**The model does not see the difference between these two**")
    st.dataframe(
        view.confusion_table(study.items, pairs),
        hide_index=True,
        height=300,
        key="confusions",
        column_config=_PAIRS,
        alt="Pairs of a virtue and a vice of one foundation whose states are most alike.",
    )
    look = ViewSpec(layer=choice.layer, pooling=spec.pooling, scaling=spec.scaling)
    st.markdown("**Furthest from people**")
    st.dataframe(
        view.furthest_table(bench.facts(set_name, study, look)),
        hide_index=True,
        height=300,
        key="furthest",
        column_config=_FURTHEST,
        alt="Actions whose typicality people and model see most differently.",
    )


_PAIRS: Any = {
    "virtue": st.column_config.TextColumn(width=280),
    "vice": st.column_config.TextColumn(width=280),
    "virtue_grade": st.column_config.NumberColumn("grade", format="%.3g"),
    "vice_grade": st.column_config.NumberColumn("grade ", format="%.3g"),
    "cosine": st.column_config.NumberColumn(format="%.2f"),
    "closer_than": st.column_config.NumberColumn(
        "closer than",
        format="percent",
        help="Share of this foundation's pairs on the same side that are less alike.",
    ),
}
_FURTHEST: Any = {
    "text": st.column_config.TextColumn("action", width="large"),
    "grade": st.column_config.NumberColumn(format="%.3g"),
    "model_typicality": st.column_config.NumberColumn("model typicality", format="%.2f"),
    "residual": st.column_config.NumberColumn(
        format="%.2f", help="People's percentile minus the model's."
    ),
    "nearest_centre": "nearest centre",
}
