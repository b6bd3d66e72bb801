"""What an aligned dictionary is good for at once: kept, steered with, compared, taken along."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.alignment.further import recipe_of
from core.comparison.receipt import RECIPE
from core.sae.dictionary import Dictionary
from core.sae.files import folder_zip
from core.sae.shelf import keep_dictionary, shelved
from core.steering.aligned import aligned_axis
from pages.align import training
from pages.align.choice import Choice
from pages.align.found import Found
from pages.features import arrived
from pages.shared import frame, routes
from pages.shared.bench import workbench

_KEPT = "align-kept"


def show(study: Study, found: Found, asked: Choice) -> None:
    """Draw the ways on from the first seed of the trained arm."""
    kept = training.trained(study, found, asked)
    if kept is None or kept.dictionary.digest == asked.base.digest:
        return
    after = kept.dictionary
    runs = [one for one in found.report.of(asked.recipe, asked.target) if one.seed == 0]
    share = round(runs[0].outcome.share, 2) if runs else 1.0
    st.subheader("Go on with it", anchor="use")
    st.caption(
        f"{asked.recipe}, seed 0, at {share:.0%} of its change"
        + (f", which costs {asked.target:g} nats." if runs else ".")
    )
    row = st.container(horizontal=True, vertical_alignment="center")
    settings = {
        aligned_axis(after, asked.base): round(100 * share),
        "at": asked.base.info.layer,
        "op": "align",
    }
    routes.way(row, "Steer with it", "steer", settings, icon=":material/tune:")
    recipe = recipe_of(study, asked.base, after, share)
    routes.way(
        row,
        "Compare the readings",
        "compare",
        {"b": f"{RECIPE}{recipe.packed()}"},
        icon=":material/compare_arrows:",
        help="On the Compare page: all actions as the model reads them with it, beside its plain "
        "self.",
    )
    _shelf(row, study, after)
    row.download_button(
        "For SAELens (zip)",
        lambda: folder_zip(after),
        f"aligned-layer{asked.base.info.layer}-{after.digest[:12]}.zip",
        icon=":material/download:",
        on_click="ignore",
        help="Weights and configuration as SAELens writes and reads them.",
    )


def _shelf(row: Any, study: Study, after: Dictionary) -> None:
    """Offer to keep it where Features has its dictionaries, or the way there."""
    name = st.session_state.get(_KEPT)
    here = {one.digest for one in shelved(workbench().store, study.card)}
    if name is not None and name[0] == after.digest and name[1] in here:
        settings = {"dictionary": arrived.short(name[1])}
        label = "On the shelf: open it in Features"
        routes.way(row, label, "features", settings, icon=":material/category:")
        return
    if row.button(
        "Keep it on the shelf",
        icon=":material/shelves:",
        help="Beside the dictionary that it was: then Features, Steer and this page can take it.",
    ):
        with frame.told():
            kept = keep_dictionary(workbench().store, after, study.card)
            st.session_state[_KEPT] = (after.digest, kept)
            st.rerun()
