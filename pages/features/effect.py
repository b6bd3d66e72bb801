"""What a latent causes: tried beside other latents, and the way to the steering page."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.charts import config
from core.features import jobs as features_jobs
from core.features.effect import ALPHA, MOST_ACTIONS, Effect, EffectSpec, all_tried, corrected
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
        _drawn(effect, all_tried(workbench().store, study, dictionary))
    elif not progress.making(made):
        st.caption(
            f"Its direction is added and taken away on up to {MOST_ACTIONS} held-out actions of "
            f"{spec.axis.replace('-', ' – ')}, and it is switched off where it is on; on the same "
            f"texts, pushes of the same length follow the directions of {spec.controls} random "
            "latents that are on about as often: some minutes on two cores, once."
        )
        progress.offer(st, made, "Try it", icon=":material/science:", key="effect-start")
    _steer(dictionary, latent)


def _drawn(effect: Effect, among: list[Effect]) -> None:
    st.markdown(
        f"Steered by {effect.spec.strength:.0%} of the residual norm, it "
        f"{_lower(effect.steering.verdict)}. Switched off, it {_lower(effect.ablation.verdict)}. "
        f"{_looked_at(effect, among)}"
    )
    st.plotly_chart(
        effect_figure(effect),
        key="effect-chart",
        config=config("moralscope-latent-effect") | {"displayModeBar": False, "scrollZoom": False},
        alt="Change of the read-out by this latent beside other latents' directions; the "
        "table below holds the same.",
    )
    st.caption(
        "Diamond: this latent, 95 % interval over texts. Rings: directions of random latents that "
        "are on about as often, same texts, same length. Steered: half of push minus pull; "
        "switched off: what it writes is taken away where it is on. p: one and the rings at least "
        "as far from 0, of one and all."
    )
    with st.expander("As a table"):
        st.dataframe(_table(effect), hide_index=True, key="effect-table", alt="Both experiments.")


def _lower(verdict: str) -> str:
    return verdict if not verdict.startswith("no effect") else f"has {verdict}"


def _looked_at(effect: Effect, among: list[Effect]) -> str:
    """Say how many latents were tried, and what is left after a correction over them."""
    if len(among) < 2:
        return "It is the only latent tried with this dictionary here, so no p is corrected."
    named = zip(("steered", "switched off"), corrected(effect, among), strict=True)
    told = ", ".join(f"{name} {q:.2g}" for name, q in named if q == q)
    return (
        f"{len(among)} latents were tried with this dictionary here; corrected over both "
        f"experiments of all (Benjamini–Hochberg), q: {told}; up to {ALPHA:g} counts."
    )


def _table(effect: Effect) -> list[dict[str, Any]]:
    return [
        {
            "experiment": name,
            "effect": tried.effect.value,
            "low": tried.effect.low,
            "high": tried.effect.high,
            "texts": tried.n_texts,
            "controls low": tried.band.low,
            "controls high": tried.band.high,
            "at least as far": tried.above,
            "controls": len(tried.controls),
            "p": tried.p,
        }
        for name, tried in (("steered", effect.steering), ("switched off", effect.ablation))
    ]


def _steer(dictionary: Dictionary, latent: int) -> None:
    """Offer the latent to the steering page, as a direction or as a value."""
    axis = latent_axis(dictionary, latent)
    row = st.container(horizontal=True)
    for label, operation, help_ in (
        ("Steer with it", "add", "Its direction is added, as with any axis."),
        ("Set its value", "clamp", "It is set, all else is kept; at 0 it is switched off."),
    ):
        settings = {axis: 10, "at": dictionary.info.layer, "op": operation}
        routes.way(row, label, "steer", settings, icon=":material/tune:", help=help_)
