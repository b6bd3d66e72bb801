"""A measured dose: what may be said, the two effects beside their controls, the curves."""

from typing import Any

import streamlit as st

from core.charts import config
from core.steering.effects.strength_sweep import ENOUGH, RANDOM, RANDOM_EACH, SAFE_KL, StrengthSweep
from core.steering.plots import dose_figure
from core.steering.view import check_table, dose_sentence, dose_table
from pages.steer import presets


def show(dose: StrengthSweep) -> None:
    """Draw a dose."""
    spec = dose.spec
    low, high = dose.safe
    st.markdown(
        f"**{spec.axis.replace('-', ' – ')}**, layer {spec.layer}: {dose_sentence(dose)} Safe from "
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
        f"Blue: {dose.n_actions} held-out actions, 95 % interval. Grey: 95 % of random directions "
        f"of equal length ({RANDOM_EACH} at each strength, {RANDOM} where it is judged, each "
        "pushed both ways). Pink cross: shuffled labels. Green: safe."
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
    st.dataframe(
        check_table(dose),
        hide_index=True,
        key="dose-checks",
        alt="Push and sign at the calibrated strength, with random and shuffled directions.",
    )
    st.caption(
        f"Log odds in the direction's own sense. An effect counts if its 95 % interval over "
        f"actions lies above 0 and it beats at least {ENOUGH:.0%} of random directions. Any push "
        "disturbs the model and may raise or lower approval by that alone; half the difference of "
        "forwards and backwards leaves only what changes sign with the direction."
    )
    st.button(
        f"Steer by {dose.calibrated:+.0%}",
        icon=":material/tune:",
        on_click=presets.set_doses,
        args=({dose.spec.axis: round(100 * dose.calibrated)},),
    )
