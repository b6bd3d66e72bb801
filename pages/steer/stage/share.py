"""How the stage knows where an aligned dictionary takes a map's points: each its own way."""

from typing import Any, Final

import streamlit as st

from core.activations.study import Study
from core.alignment.moves import Edit, moves_of
from core.alignment.spec import MEANINGS
from core.maps.view import MapMethod, ViewSpec
from pages.shared import progress, reading
from pages.shared.bench import opened, workbench
from pages.shared.labels import plain
from pages.steer import aligned, results
from pages.steer.choice import Choice
from pages.steer.stage.motion import Known

#: How far the places between the shares are to be trusted.
_EXACT: Final[dict[MapMethod, str]] = {
    "pca": "Exact while you drag; figures are those of the nearest quarter.",
    "axes": "Exact at every quarter of the change, straight in between.",
    "umap": "Each goes as its nearest plain neighbours lie: at every quarter, straight in between.",
}


def why_not(study: Study, choice: Choice, spec: ViewSpec) -> str:
    """Say why the map cannot follow the share; empty if it can."""
    found = aligned.chosen(study)
    if found is None:
        return "The map follows the share of an aligned dictionary's change, once one is here."
    layer = found[1].info.layer
    if choice.layers != (layer,) or spec.layer != layer:
        return (
            f"{plain(found[1].info.name)} changes layer {layer}, and the map follows its share "
            f"there: steer after layer {layer} alone, and show that layer."
        )
    return ""


def known(study: Study, choice: Choice, spec: ViewSpec) -> Known | None:
    """Return it for the dictionary that is chosen; None while its change or a control's is made.

    Raises:
        CoreError: What was kept is gone.
    """
    found = aligned.chosen(study)
    if found is None:
        return None
    axis, after, before = found
    edit = Edit(after, before, choice.operation)
    arms = results.arms_beside(study, *edit)
    made = moves_of(workbench(), study, edit)
    beside = {arm: moves_of(workbench(), study, one) for arm, one in arms.items()}
    pieces = [made, *beside.values()]
    for one in pieces:
        if opened(one) is None:
            if not progress.making(one, unasked=reading.is_cheap(study)):
                _offer(pieces)
            return None
    share, numbers = results.shares(study, spec, axis, made, beside)
    detail = "Each text goes its own way. " + "; ".join(f"{arm}: {MEANINGS[arm]}" for arm in beside)
    if beside:
        detail += ". These are made as long as the change, in the mean over texts; seed 0."
    how, count = _EXACT[spec.method], len(share.motion.rows)
    if count < len(study.items):
        how += f" Only {count:,} do, the rest go by their mean."
    return Known(share.motion, numbers, {}, how, detail, shares=share)


def _offer(pieces: list[Any]) -> None:
    st.caption(
        "The model's states of all texts go once through the dictionary before and after, and "
        "through those of its controls: seconds."
    )
    if st.button("Show where texts move", key="shares-start", icon=":material/play_arrow:"):
        for one in pieces:
            progress.begin(one)
        st.rerun()
