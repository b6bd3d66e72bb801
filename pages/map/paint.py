"""Colours that ask for more than their name: a latent's activation, the way under steering."""

from typing import Final

import numpy as np
import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.dataset.items import Items
from core.features import jobs as features_jobs
from core.features.search import latent_named
from core.features.view import latent_colouring
from core.foundations import FOUNDATIONS
from core.maps import view as maps_view
from core.maps.placing import LayerCloseness
from core.maps.view import ASKING, Colour, Colouring, ViewSpec
from core.sae.shelf import BUILTIN, shelved
from pages.map import results
from pages.shared import progress, reading
from pages.shared.address import bound
from pages.shared.bench import opened, workbench

#: Strengths as the Steer page has them, in per cent of the residual norm.
_DOSES: Final = range(-40, 41)
_DIGITS: Final = 12


def of(
    items: Items,
    study: Study | None,
    spec: ViewSpec,
    colour: Colour,
    seen: LayerCloseness | None,
) -> Colouring:
    """Return what colours the maps; what it needs besides is asked for in a row of its own.

    Raises:
        CoreError: What was asked for cannot be shown; says why.
    """
    if colour not in ASKING or study is None or seen is None:
        return maps_view.colouring(items, colour, seen)
    try:
        if colour == "latent":
            return _latent(study)
        return _moved(study, spec)
    except CoreError as error:
        st.warning(str(error))
        return maps_view.colouring(items, colour, None)


def _latent(study: Study) -> Colouring:
    """Ask for a latent by number or name and return its activation."""
    nothing = maps_view.colouring(study.items, "latent", None)
    known = {one.digest[:_DIGITS]: one for one in shelved(workbench().store, study.card)}
    if not known:
        raise CoreError(
            f"There is no dictionary of {study.card.name} yet. Load or train one on the Features "
            "page; then its latents can colour the map."
        )
    names = sorted(known, key=lambda name: name != BUILTIN)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    picked = row.selectbox(
        "Dictionary",
        names,
        format_func=lambda name: f"{known[name].name} · layer {known[name].layer}",
        width=320,
        **bound("latent-from", names[0], names),
    )
    asked = row.text_input(
        "Latent",
        max_chars=60,
        width=260,
        placeholder="a number, or part of its name",
        help="Its activation on each action: the strongest over the action's tokens.",
        **bound("latent-named", ""),
    )
    dictionary = results.dictionary(known[str(picked)])
    if not str(asked).strip():
        st.caption("Name a latent to see on which actions it is on.")
        return nothing
    called = features_jobs.names(workbench(), dictionary)
    latent = latent_named(called, dictionary.n_latents, str(asked))
    made = features_jobs.activations(workbench(), study, dictionary)
    codes = opened(made)
    if codes is None:
        note = "The model reads every text once more, token by token."
        if not progress.making(made, note, unasked=reading.is_cheap(study)):
            progress.offer(st, made, "Take the texts apart")
        return nothing
    return latent_colouring(study, codes, latent, called.of(latent))


def _moved(study: Study, spec: ViewSpec) -> Colouring:
    """Return how far each point moves under the strengths of the Steer page."""
    strengths = {axis: _strength(axis) for axis in FOUNDATIONS}
    if not any(strengths.values()):
        st.caption(
            "All sliders of the Steer page are at zero. Set one there, or in the address "
            "(care-harm=10): per cent of the residual norm, added at this layer."
        )
        return maps_view.colouring(study.items, "moved", None)
    told = ", ".join(f"{axis} {dose:+.0%}" for axis, dose in strengths.items() if dose)
    st.caption(f"Added at this layer: {told} of the residual norm, as on the Steer page.")
    moved = results.moved(study, spec, tuple(strengths.items()))
    top = float(np.nanquantile(moved, 0.98)) if np.isfinite(moved).any() else 0.0
    return Colouring("Moved, in map widths", moved, span=(0.0, max(top, 1e-6)))


def _strength(axis: str) -> float:
    bound(axis, 0, _DOSES)
    return int(st.session_state[axis]) / 100
