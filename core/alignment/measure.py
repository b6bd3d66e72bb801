"""What arms of an alignment did on test texts: geometry at every layer from theirs on, behaviour.

Every arm is asked at the share of its change that costs the same divergence on neutral text, which
no arm was trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from core.activations.prompts import batches, collate, encode, pooling_masks
from core.activations.study import Study, states_of
from core.activations.traces import pooled_states
from core.alignment.data import AlignData
from core.alignment.figures import (
    Figure,
    alignment_with,
    area,
    correlation,
    similarity_of_distances,
)
from core.runtime.progress import Report, silent
from core.runtime.store import Store
from core.statistics.scaling import fit_scaler
from core.steering.edits import LayerEdit, Steering
from core.steering.effects.neutral import Neutral, cost_of, equal_strength
from core.steering.effects.readout import arms_logits, hold, log_odds
from core.steering.recipes import MOST_STRENGTH

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

_BUDGET = 1024


@dataclass(frozen=True, eq=False)
class Outcome:
    """One run of one arm at one divergence."""

    share: float
    """Of its change, or strength; NaN where the divergence cannot be reached."""

    kl: float
    """Divergence on neutral text, nats per token."""

    geometry: tuple[Figure, ...]
    """RSA with people's signed vectors at each layer from the edited one on."""

    cka: tuple[Figure, ...]
    """Debiased CKA with the same, at each of these layers."""

    readout: Figure
    """Spearman's correlation of the model's log odds with people's signed grade."""

    apart: Figure
    """Area under the ROC curve of the same for virtue against vice."""


def at_divergence(
    model: "OpenModel", held: Neutral, edit: LayerEdit, target: float
) -> tuple[float, float]:
    """Return the share of an edit that costs a divergence on neutral text, and what it costs.

    Args:
        model: The open model.
        held: Neutral sentences, held at the edit's layer or below.
        edit: With strength 1.
        target: Nats per token.

    Returns:
        NaN for both where no share up to ``MOST_STRENGTH`` does.
    """

    def kl(share: float) -> float:
        return cost_of(model, held, [scaled(edit, share)], "not first").kl

    share, found = equal_strength(kl, target, 1.0)
    return (share, found) if share <= MOST_STRENGTH else (np.nan, np.nan)


def scaled(edit: LayerEdit, share: float) -> LayerEdit:
    """Return an edit at a share of its strength."""
    return replace(edit, strengths=tuple(share * one for one in edit.strengths))


class Judge:
    """Test texts, ready to be read with different edits."""

    def __init__(
        self, store: Store, study: Study, model: "OpenModel", data: AlignData, layer: int
    ) -> None:
        """Let the plain model read them up to a layer.

        Args:
            store: Where the plain states of all texts lie.
            study: Items and model, plain.
            model: The open model.
            data: Labels and splits.
            layer: The edited layer.
        """
        self._model, self.layer = model, layer
        self.rows = data.of("test")
        self.target = data.signed[self.rows]
        prompts = [study.plan.prompts[row] for row in self.rows]
        self._ids = encode(model, prompts, study.plan.spec.max_tokens)
        self._held = hold(model, prompts, layer, max_tokens=study.plan.spec.max_tokens)
        states, train = states_of(store, study), data.of("train")
        pooling = "mean" if "mean" in study.plan.spec.poolings else study.plan.spec.poolings[0]
        self._pooling = pooling
        self._spread = [
            fit_scaler(states.prompt_states(one, pooling)[train], "standardised").scale
            for one in range(layer, study.card.n_layers)
        ]

    def outcome(
        self, edits: Sequence[LayerEdit], share: float, kl: float, report: Report = silent
    ) -> Outcome:
        """Return what edits do to the texts.

        Args:
            edits: What is done, at the strength that is told.
            share: Told.
            kl: Told.
            report: Told how far it is.
        """
        geometry, cka = [], []
        for states, spread in zip(self._states(edits, report), self._spread, strict=True):
            moved = (states - states.mean(axis=0)) / spread
            unit = moved / np.linalg.norm(moved, axis=1, keepdims=True)
            geometry.append(similarity_of_distances(unit, self.target))
            cka.append(alignment_with(unit, self.target))
        [logits] = arms_logits(self._model, self._held, [edits], "not first")
        odds = log_odds(self._model, logits)
        grade = self.target.sum(axis=1)
        return Outcome(
            share, kl, tuple(geometry), tuple(cka), correlation(odds, grade), _apart(odds, grade)
        )

    def _states(self, edits: Sequence[LayerEdit], report: Report) -> list[NDArray[np.float64]]:
        """Return the texts' states at each layer from the edited one on, ``(n, d)`` each."""
        model, device = self._model, self._model.module.device
        found: list[NDArray[np.float64]] = []
        done = 0
        for rows in batches([len(ids) for ids in self._ids], _BUDGET):
            report(done, len(self._ids), f"reading test texts · {done} of {len(self._ids)}")
            done += len(rows)
            batch = collate([self._ids[row] for row in rows], model.tokenizer.pad_token_id or 0)
            batch = {name: one.to(device) for name, one in batch.items()}
            mask = batch["attention_mask"].bool()
            steering = Steering.of(
                edits, "not first", torch.ones(len(rows), dtype=torch.bool), device
            )
            steering.aim(mask, prompt=True)
            masks = pooling_masks(mask, [self._pooling])
            pooled = pooled_states(model, batch, masks, steering.editors)[self.layer + 1 :, 0]
            if not found:
                shape = (len(self._ids), pooled.shape[-1])
                found = [np.empty(shape) for _ in range(len(pooled))]
            for target, own in zip(found, pooled.double().numpy(), strict=True):
                target[rows] = own
        return found


def _apart(odds: NDArray[np.float64], grade: NDArray[np.float64]) -> Figure:
    """Return the area for virtue against vice; neutral texts have no say."""
    graded = np.flatnonzero(grade)
    own = area(odds[graded], grade[graded] > 0)
    without = np.full(len(odds), own.value)
    without[graded] = own.without
    return Figure(own.value, without)
