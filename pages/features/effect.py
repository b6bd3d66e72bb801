"""What a latent causes: tried beside random latents, and the way to the steering page."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.charts import config
from core.features import jobs as features_jobs
from core.features.effect import MOST_ACTIONS, Effect, EffectSpec
from core.features.jobs import MoralLatents
from core.features.plots import effect_figure
from core.features.view import axis_of
from core.sae.dictionary import Dictionary
from core.steering.latents import latent_axis
from pages.shared import progress, routes
from pages.shared.bench import opened, workbench


def show(study: Study, dictionary: Dictionary, found: MoralLatents, latent: int) -> None:
    """Draw the effect, its running trial or an offer, and the link to steering."""
    spec = EffectSpec(latent, axis_of(found.scores, latent))
    st.markdown("**Does it cause anything?**")
    made = features_jobs.effect(workbench(), study, dictionary, found.activations, spec)
    effect = opened(made)
    if effect is not None:
        _drawn(effect)
    elif not progress.making(made):
        st.caption(
            f"Its direction is added and taken away on up to {MOST_ACTIONS} held-out actions of "
            f"{spec.axis.replace('-', ' – ')}, and it is switched off where it is on; so are "
            f"{spec.controls} random latents that are on about as often: a minute or "
            "two on two cores, once."
        )
        progress.offer(st, made, "Try it", icon=":material/science:", key="effect-start")
    _steer(dictionary, latent)


def _drawn(effect: Effect) -> None:
    st.markdown(
        f"Steered by {effect.spec.strength:.0%} of the residual norm, it "
        f"{_lower(effect.steering.verdict)}. Switched off, it {_lower(effect.ablation.verdict)}."
    )
    st.plotly_chart(
        effect_figure(effect),
        key="effect-chart",
        config=config("moralscope-latent-effect") | {"displayModeBar": False, "scrollZoom": False},
        alt="Change of the read-out by this latent beside random latents of like density; the "
        "table below holds the same.",
    )
    st.caption(
        "Diamond: this latent, 95 % interval over texts. Rings: random latents. Steered: half of "
        "push minus pull; switched off: where it is on."
    )
    with st.expander("As a table"):
        st.dataframe(_table(effect), hide_index=True, key="effect-table", alt="Both experiments.")


def _lower(verdict: str) -> str:
    return verdict if not verdict.startswith("no effect") else f"has {verdict}"


def _table(effect: Effect) -> list[dict[str, Any]]:
    return [
        {
            "experiment": name,
            "effect": tried.effect.value,
            "low": tried.effect.low,
            "high": tried.effect.high,
            "texts": tried.n_texts,
            "random low": tried.band.low,
            "random high": tried.band.high,
            "beaten": tried.beaten,
        }
        for name, tried in (("steered", effect.steering), ("switched off", effect.ablation))
    ]


def _steer(dictionary: Dictionary, latent: int) -> None:
    """Offer the latent to the steering page, as a direction or as a value."""
    axis = latent_axis(dictionary, latent)
    row = st.container(horizontal=True)
    for label, operation, help_ in (
        ("Steer with it", {}, "Its direction is added, as with any axis."),
        ("Set its value", {"op": "clamp"}, "It is set, all else is kept; at 0 it is switched off."),
    ):
        row.page_link(
            routes.page("steer"),
            label=label,
            icon=":material/tune:",
            help=help_,
            query_params={axis: "10", "at": str(dictionary.info.layer), **operation},
        )
