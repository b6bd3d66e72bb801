"""Round trip: the written texts, read again by the plain model, beside the ten centres."""

import streamlit as st

from core import charts as core_charts
from core.activations.study import Study
from core.maps.view import ViewSpec
from core.steering.history import Run
from core.steering.plots import landing_figure
from core.steering.view import landing_table
from pages.steer import results


def show(study: Study, run: Run) -> None:
    """Draw how close a run's texts are to the ten centres, in percentiles of the actions."""
    pairs = [
        (plain, steered)
        for plain, steered in zip(run.plain, run.steered, strict=True)
        if plain.strip() and steered.strip()
    ]
    if not pairs or run.recipe.identity != study.plan.model:
        return
    st.subheader("Where do the texts land?", anchor="landing")
    plain, steered = zip(*pairs, strict=True)
    spec = ViewSpec(layer=run.recipe.layers[0])
    landed = results.landed(study, plain + steered, spec.layer, spec.pooling, spec.scaling)
    table = landing_table(landed, len(pairs))
    left, right = st.columns([1.4, 1], gap="large")
    with left:
        st.plotly_chart(
            landing_figure(table),
            key="landing",
            config=core_charts.config("moralscope-landing") | {"displayModeBar": False},
            alt="Percentile of closeness to each centre, plain and steered; the table below holds "
            "the same.",
        )
    with right:
        st.caption(
            "Closeness to the ten centres. The plain model reads both texts as it read the actions "
            f"(layer {spec.layer}). ○ plain, ● steered; mean of samples. Dotted: as close as the "
            "middle action. On the map above, each text and sentence has a mark."
        )
        with st.expander("As a table"):
            number = st.column_config.NumberColumn(format="percent")
            st.dataframe(
                table,
                hide_index=True,
                key="landing-table",
                column_config=dict.fromkeys(("plain", "steered", "change"), number),
                alt="Percentile of closeness to each centre, plain, steered and change.",
            )
