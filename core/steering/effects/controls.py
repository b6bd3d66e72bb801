"""What steering is held against at once: held-out prompts, and a random push of equal length."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study, states_of
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.runtime.store import Store
from core.sae.dictionary import Dictionary
from core.steering.directions import covariance_direction
from core.steering.edits import SPLICES, Editor, Firings, LayerEdit
from core.steering.effects.pushes import held_out

EACH: Final = "each pole"


#: Which held-out actions are asked: one of each pole, or several of one foundation.
ASKED: Final[tuple[str, ...]] = (EACH, *FOUNDATIONS)


#: Actions of one foundation that are asked.
_MOST: Final = 10


#: Actions of a pole among which one is looked for that no other pole has given.
_TRIED: Final = 6


class HeldOutPrompts(NamedTuple):
    """Held-out actions that a read-out asks about."""

    texts: tuple[str, ...]
    """The actions."""

    prompts: tuple[str, ...]
    """What the model reads."""


def held_out_prompts(study: Study, which: str) -> HeldOutPrompts:
    """Return held-out actions: one of each pole, or up to ten of a foundation.

    Raises:
        CoreError: None is held out.
    """
    chosen: list[int] = []
    if which in FOUNDATIONS:
        chosen = held_out(study, which, _MOST).tolist()
    else:
        for pole in DIMENSIONS:
            try:
                rows = held_out(study, pole, _TRIED).tolist()
            except CoreError:  # a small set lacks some poles
                continue
            seen = {study.plan.rows[row] for row in chosen}
            chosen += [row for row in rows if study.plan.rows[row] not in seen][:1]
    if not chosen:
        raise CoreError("This set holds no action back, so there is none to ask about.")
    texts = study.items.texts()
    return HeldOutPrompts(
        tuple(texts[row] for row in chosen),
        tuple(study.plan.prompts[study.plan.rows[row]] for row in chosen),
    )


def control_edits(
    store: Store, study: Study, edits: Sequence[LayerEdit], seed: int = 0
) -> list[LayerEdit]:
    """Return the same edits along a random direction, as long as all terms together.

    It is drawn as the layer's states vary, at the token whose norm is the unit of strength. Where
    latents are set, as many random ones of the same dictionary are set to the same. Where an
    aligned dictionary is spliced in, it is as long as that changes the items' states.
    """
    poolings = study.plan.spec.poolings
    pooling: Pooling = "last" if "last" in poolings else poolings[0]
    result = []
    for edit in edits:
        if edit.operation in SPLICES:
            result.append(_random_push(store, study, edit, seed, pooling))
            continue
        if edit.dictionary is not None:
            result.append(_other_latents(edit, edit.dictionary, seed))
            continue
        if edit.operation == "add":
            length = float(np.linalg.norm(np.array(edit.strengths) @ edit.vectors))
        else:
            length = max(map(abs, edit.strengths))
        other = covariance_direction(store, study, edit.layer, seed, pooling)
        result.append(LayerEdit(edit.layer, (other,), (length,), edit.norm, edit.operation))
    return result


def _random_push(
    store: Store, study: Study, edit: LayerEdit, seed: int, pooling: Pooling
) -> LayerEdit:
    """Return a random push as long as a splice's change of the items' states in the middle."""
    import torch

    states = torch.from_numpy(states_of(store, study).prompt_states(edit.layer, pooling).copy())
    rows = torch.ones(len(states), dtype=torch.bool)
    with torch.no_grad():
        moved = Editor(edit, rows, Firings(), states.device)(states[:, None])[:, 0]
    length = float((moved - states).norm(dim=1).median()) / edit.norm
    other = covariance_direction(store, study, edit.layer, seed, pooling)
    return LayerEdit(edit.layer, (other,), (length,), edit.norm, "add")


def _other_latents(edit: LayerEdit, dictionary: Dictionary, seed: int) -> LayerEdit:
    alive = (dictionary.w_dec.norm(dim=1) > 0).cpu().numpy()
    alive[list(edit.latents)] = False
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(alive))[: len(edit.latents)]
    latents = tuple(int(one) for one in drawn)
    directions = tuple(
        replace(edit.directions[0], name=f"latent {one}", vector=dictionary.direction(one))
        for one in latents
    )
    return replace(
        edit, directions=directions, latents=latents, strengths=edit.strengths[: len(latents)]
    )
