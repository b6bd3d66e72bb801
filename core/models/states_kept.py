"""What was found when a model's states were checked: kept by its content, and put into words."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from core.models.card import ModelCard
from core.models.opened import OpenModel
from core.models.states_check import (
    Checked,
    Own,
    check_served,
    check_states,
    figures_told,
    own_states,
)
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report
from core.runtime.store import Store, library_version

_FORMAT: Final = 3


def kept_check(
    store: Store, card: ModelCard, model: OpenModel | None = None, own: Own | None = None
) -> Made[Checked]:
    """Return how states read here compare with transformers' own, and what the first token is.

    Args:
        store: Where it is kept, by the model's content and how it computes.
        card: The model.
        model: The same, open; needed to make it.
        own: ``kept_own`` of the same model in transformers; needed to make it for vLLM.
    """

    def make(report: Report) -> Checked:
        if model is None:
            raise ValueError("states are checked on an open model")
        return check_states(model) if own is None else check_served(model, own, report)

    return artefact(
        store,
        "states-check",
        _key(card),
        read=read_json("check.json", lambda record: Checked(**record)),
        write=write_json("check.json", lambda checked: checked._asdict()),
        make=make,
        lane="model",
    )


def kept_own(store: Store, card: ModelCard, model: OpenModel | None = None) -> Made[Own]:
    """Return transformers' own states of the eight texts; made once, with the model open here.

    Args:
        store: Where it is kept.
        card: The model, read by transformers.
        model: The same, open; needed to make it.
    """

    def make(_: object) -> Own:
        if model is None:
            raise ValueError("transformers' states are read with an open model")
        return own_states(model)

    def write(folder: Path, own: Own) -> None:
        np.save(folder / "pooled.npy", own.pooled)
        record = {"tokens": own.tokens, "leading": own.leading, "times": own.times}
        (folder / "own.json").write_text(json.dumps(record))

    def read(folder: Path) -> Own:
        record = json.loads((folder / "own.json").read_text())
        return Own(pooled=np.load(folder / "pooled.npy"), **record)

    return artefact(
        store, "states-own", _key(card), read=read, write=write, make=make, lane="model"
    )


def _key(card: ModelCard) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "model": card.identity,
        "compute": card.compute,
        "versions": {name: library_version(name) for name in ("torch", "transformers", "nnsight")},
    }


def check_told(store: Store, card: ModelCard) -> str:
    """Say how the states compare with transformers' own; empty if this model was not opened yet."""
    checked = _kept(store, card)
    if checked is None:
        return ""
    told = "no difference"
    if checked.difference:
        told = f"{checked.difference:.0e}".replace("e-0", "e-")
    return f"checked against transformers: {told}; {figures_told(checked.cosine, checked.error)}"


def first_token_told(store: Store, card: ModelCard) -> str:
    """Say which token is left out of "mean", and why; empty if this model was not opened yet."""
    checked = _kept(store, card)
    if checked is None:
        return ""
    sink = f"its state is up to {checked.times:.0f} times as long as the others'"
    if checked.leading:
        return (
            f"{checked.leading}, which the tokenizer puts first, is left out of the mean ({sink})"
        )
    return (
        "the tokenizer puts none of its own first, so the first token of a word is left out of the "
        f"mean ({sink}); the preset paper keeps it"
    )


def _kept(store: Store, card: ModelCard) -> Checked | None:
    return None if card.packed or card.spec.remote else kept_check(store, card).open()
