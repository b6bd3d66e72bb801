"""Round trip: the written texts, read again by the plain model, on the map of the actions."""

import numpy as np
import streamlit as st

from core import charts as core_charts
from core.activations.study import Study
from core.maps import plots as maps_plots
from core.maps import view as maps_view
from core.maps.view import ViewSpec
from core.steering.history import Run
from core.steering.plots import landing_figure, with_arrows
from core.steering.view import landing_places, landing_table
from pages.shared import frame, maps, pictures
from pages.shared.bench import workbench
from pages.steer import results


def show(study: Study, run: Run, set_name: str) -> None:
    """Draw where a run's texts land: arrows on the map, percentiles on the ten centres."""
    pairs = [
        (plain, steered)
        for plain, steered in zip(run.plain, run.steered, strict=True)
        if plain.strip() and steered.strip()
    ]
    if not pairs or run.recipe.identity != study.plan.model:
        return
    st.subheader("Where do the texts land?", anchor="landing")
    st.caption(
        "The plain model reads both texts as it read the actions. Arrows go from the plain text to "
        "the steered one."
    )
    plain, steered = zip(*pairs, strict=True)
    spec = ViewSpec(layer=run.recipe.layers[0])
    landed = results.landed(study, plain + steered, spec.layer, spec.pooling, spec.scaling)
    table = landing_table(landed, len(pairs))
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        _map(study, spec, landing_places(workbench().store, study, landed, spec), set_name)
    with right:
        st.markdown("**Closeness to the ten centres**")
        st.plotly_chart(
            landing_figure(table),
            key="landing",
            config=core_charts.config("moralscope-landing") | {"displayModeBar": False},
            alt="Percentile of closeness to each centre, plain and steered; the table below holds "
            "the same.",
        )
        st.caption("○ plain, ● steered; mean of samples. Dotted: as close as the middle action.")
        with st.expander("As a table"):
            number = st.column_config.NumberColumn(format="percent")
            st.dataframe(
                table,
                hide_index=True,
                key="landing-table",
                column_config=dict.fromkeys(("plain", "steered", "change"), number),
                alt="Percentile of closeness to each centre, plain, steered and change.",
            )


def _map(study: Study, spec: ViewSpec, places: "np.ndarray | None", set_name: str) -> None:
    seen = pictures.closeness(study, spec)
    picture = pictures.model_picture(study, spec)
    colours = maps_view.colouring(study.items, "foundation", seen)
    st.markdown(f"**{study.card.name} · layer {spec.layer}**")
    figure = maps_plots.map_figure(
        picture,
        colours,
        study.items.pole,
        maps_plots.hover_texts(pictures.facts(set_name, study, spec)),
        name="moralscope-landing",
    )
    st.plotly_chart(
        figure if places is None else with_arrows(figure, places),
        key="landing-map",
        config=core_charts.config("moralscope-landing-map"),
        alt="Map of the actions with an arrow per sample from its plain to its steered text.",
    )
    frame.legend(colours)
    st.caption(maps.trust_line(picture))
