"""Dose: what a direction does at each strength, and up to where the model stays itself."""

from typing import Any

import streamlit as st

from core import steerjobs
from core.dose import RANDOM, SAFE_KL, STRENGTHS, Dose, DoseSpec
from core.dosefile import open_dose
from core.figures import config
from core.jobs import Job
from core.steerfigures import dose_figure
from core.steerview import dose_table
from core.study import Study
from pages.parts import progress, steerpresets
from pages.parts.address import bound
from pages.parts.bench import bench
from pages.parts.steerchoice import AXES, Choice


def show(study: Study, choice: Choice) -> None:
    """Draw the dose of one axis, its progress, or an offer to measure it."""
    st.subheader("How much is safe?", anchor="dose")
    axis = st.selectbox(
        "Direction",
        AXES,
        format_func=lambda one: one.replace("-", " – "),
        **bound("dose", "care-harm", AXES),
    )
    spec = DoseSpec(axis, choice.layers[0], choice.method, choice.pooling, choice.positions)
    dose = open_dose(bench().store, study, spec)
    if dose is not None:
        _drawn(dose)
        return
    job = bench().runner.get(steerjobs.dose_job_key(study, spec))
    if watched(job):
        return
    st.caption(
        f"{len(STRENGTHS)} strengths on held-out actions of this axis and on neutral sentences, "
        f"then {RANDOM} random directions and one of shuffled labels beside it: minutes on two "
        "cores, measured once."
    )
    if st.button("Measure the dose", icon=":material/play_arrow:", key="dose-start"):
        steerjobs.dose(bench(), study, spec)
        st.rerun()


def watched(job: Job | None) -> bool:
    """Show a running job and return True; say how one ended that did not end well."""
    if job is not None and job.active:
        progress.watch(job.key)
        return True
    if job is not None:
        progress.ended(job)
    return False


def _drawn(dose: Dose) -> None:
    spec = dose.spec
    low, high = dose.safe
    st.markdown(
        f"**{spec.axis.replace('-', ' – ')}**, layer {spec.layer}: {dose.verdict}. Safe from "
        f"**{low:+.0%}** to **{high:+.0%}**: there, neutral text diverges by less than "
        f"{SAFE_KL:g} nats per word."
    )
    st.plotly_chart(
        dose_figure(dose),
        key="dose-chart",
        config=config("moralscope-dose") | {"displayModeBar": False, "scrollZoom": False},
        alt="Effect, divergence and perplexity against strength; the table below holds the same.",
    )
    st.caption(
        f"Effect on {dose.n_actions} held-out actions in the direction's own sense, 95 % interval; "
        "green: safe. Grey diamond: random directions; pink cross: shuffled labels, both at the "
        "largest safe strength."
    )
    if dose.calibrated:
        st.button(
            f"Steer by {dose.calibrated:+.0%}",
            icon=":material/tune:",
            on_click=steerpresets.set_doses,
            args=({spec.axis: round(100 * dose.calibrated)},),
        )
    with st.expander("As a table"):
        columns: Any = {"strength": st.column_config.NumberColumn(format="percent")}
        st.dataframe(
            dose_table(dose),
            hide_index=True,
            key="dose-table",
            column_config=columns,
            alt="Effect, random band, divergence and perplexity at each strength.",
        )
