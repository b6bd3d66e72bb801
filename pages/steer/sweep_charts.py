"""A measured dose: what may be said, the two effects beside their controls, the curves."""

from typing import Any

import streamlit as st

from core.charts import config
from core.steering.effects.matched_controls import ALPHA, CONTROLS
from core.steering.effects.safe_ranges import SAFE_KL
from core.steering.effects.strength_sweep import RANDOM_EACH, StrengthSweep
from core.steering.plots import checks_figure, dose_figure
from core.steering.view import check_table, dose_table
from pages.steer import presets


def show(dose: StrengthSweep) -> None:
    """Draw a dose."""
    spec = dose.spec
    low, high = dose.safe
    st.markdown(
        f"**{spec.axis.replace('-', ' – ')}**, layer {spec.layer}: {dose.said} Safe from "
        f"**{low:+.0%}** to **{high:+.0%}**: there, neutral text diverges by less than "
        f"{SAFE_KL:g} nats per word."
    )
    _judged(dose)
    st.plotly_chart(
        dose_figure(dose),
        key="dose-chart",
        config=config("moralscope-dose") | {"displayModeBar": False, "scrollZoom": False},
        alt="Push, sign, divergence and perplexity against strength; the table below holds the "
        "same.",
    )
    st.caption(
        f"Blue: {dose.n_actions} held-out actions, 95 % interval. Grey: 95 % of {RANDOM_EACH} "
        "random directions of equal length, drawn as the layer's states vary, each pushed both "
        "ways. Pink: the control directions that it is judged by. "
        "Green: safe."
    )
    with st.expander("As a table"):
        columns: Any = {"strength": st.column_config.NumberColumn(format="percent")}
        st.dataframe(
            dose_table(dose),
            hide_index=True,
            key="dose-table",
            column_config=columns,
            alt="Effects, random bands, divergence and perplexity at each strength.",
        )


def _judged(dose: StrengthSweep) -> None:
    """Draw both effects beside their controls, the rule, and the way to use the strength."""
    if not dose.calibrated:
        return
    st.plotly_chart(
        checks_figure(dose),
        key="dose-checks-chart",
        config=config("moralscope-controls") | {"displayModeBar": False, "scrollZoom": False},
        alt="Push and sign at the calibrated strength beside four bands of control directions, "
        "each with its p; the table below holds the same.",
    )
    st.caption(
        "Log odds in the direction's own sense. Diamond: 95 % interval over actions; rings: mean "
        f"and 95 % of up to {CONTROLS} control directions, drawn as the layer's states vary or "
        "made from shuffled labels, of equal length, or as strong as changes neutral text as much "
        "(equal KL). p: one and the controls at least as far, of one and all. An effect counts if "
        f"its interval lies above 0 and all four p are at most {ALPHA:g}. Once so many controls "
        "are as far that p must be above it, the others are not asked, and p is their number by "
        "how many it took (Besag & Clifford 1991); nor is equal KL where equal length decides. Any "
        "push disturbs the model and may move approval by that alone; sign is half the difference "
        "of forwards and backwards: only what changes sign with the direction."
    )
    with st.expander("Its controls as a table"):
        st.dataframe(
            check_table(dose),
            hide_index=True,
            key="dose-checks",
            alt="Push and sign at the calibrated strength, with each family of controls, the share "
            "beaten with its interval, p, and divergence on neutral text.",
        )
        st.caption(
            "Isotropic directions are shown for their KL: of equal length they wreck the model, so "
            "beating them says nothing."
        )
    st.button(
        f"Steer by {dose.calibrated:+.0%}",
        icon=":material/tune:",
        on_click=presets.set_doses,
        args=({dose.spec.axis: round(100 * dose.calibrated)},),
    )
