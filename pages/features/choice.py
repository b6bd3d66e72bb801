"""Which dictionary takes the layer apart; or load one, or train one."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from core.activations.study import Study
from core.sae.catalogue import releases_for
from core.sae.shelf import BUILTIN, Shelved, shelved
from pages.features import arrived, bring, training
from pages.shared.address import bound
from pages.shared.bench import workbench

#: How those trained here name their rule.
_RULE: Final = re.compile(r"(?:batch)?topk (\d+)")


def ask(study: Study) -> Shelved | None:
    """Draw the picker and the ways to another dictionary; None if there is none yet."""
    chosen = pick(st, study)
    if chosen is None:
        st.info(
            f"No layer of {study.card.name} has been taken apart yet: train a dictionary here, or "
            "load a published one.",
            icon=":material/category:",
        )
    with st.expander("Another dictionary: load or train", expanded=chosen is None):
        ways = ["Load", "Train"]
        first = "Load" if chosen is not None or releases_for(study.card.name) else "Train"
        way = st.segmented_control("Way", ways, required=True, **bound("way", first, ways))
        if way == "Load":
            bring.show(study)
        else:
            training.show(study)
    return chosen


def pick(place: Any, study: Study) -> Shelved | None:
    """Draw the picker of the dictionaries at hand; None if there is none.

    Args:
        place: Where.
        study: Items and model.
    """
    known = {arrived.short(one.digest): one for one in shelved(workbench().store, study.card)}
    if not known:
        return None
    names = sorted(known, key=lambda name: name != BUILTIN)
    name = place.selectbox(
        "Dictionary",
        names,
        format_func=_labels(known).__getitem__,
        help="A sparse autoencoder of one layer. The project's own comes with the packaged model; "
        "the Features page loads published ones and trains others.",
        **bound("dictionary", names[0], names),
    )
    return known[str(name)]


def _labels(known: Mapping[str, Shelved]) -> dict[str, str]:
    """Return what each is called; those of one name show the beginning of their digest."""
    labels = {digest: _label(one) for digest, one in known.items()}
    several = Counter(labels.values())
    return {
        digest: f"{label} · {digest[:6]}" if several[label] > 1 else label
        for digest, label in labels.items()
    }


def _label(one: Shelved) -> str:
    own = "built in · " if one.digest == BUILTIN else ""
    if f"layer {one.layer}" in one.name:  # those trained here say it themselves
        return own + _RULE.sub(r"\1 on at a time", one.name)
    return f"{own}{one.name} · layer {one.layer}, {one.n_latents:,} latents"
