"""What arms of an alignment did on test texts: geometry at every layer from theirs on, behaviour.

Every arm is asked at the share of its change that costs the same divergence on neutral text, which
no arm was trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from core.activations.prompts import Pooling, batches, collate, encode, pooling_masks
from core.activations.study import Study, states_of
from core.activations.traces import pooled_states
from core.alignment.figures import (
    Figure,
    alignment_with,
    area,
    correlation,
    gap,
    mean_of,
    ratio,
    similarity_of_distances,
)
from core.alignment.spec import AlignmentError
from core.foundations import FOUNDATIONS
from core.runtime.progress import Report, silent
from core.runtime.store import Store
from core.sae.training.sampled_text import sampled_documents
from core.statistics.scaling import fit_scaler
from core.steering.edits import LayerEdit, Steering
from core.steering.effects.neutral import (
    Neutral,
    cost_of,
    equal_strength,
    hold_neutral,
    hold_sentences,
    sentence_costs,
)
from core.steering.effects.readout import arms_logits, hold, log_odds
from core.steering.recipes import MOST_STRENGTH

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

_BUDGET: Final = 1024
#: Documents that the plain model writes itself, tokens of each, seed.
_WRITTEN, _WRITTEN_TOKENS, _SEED = 12, 24, 5


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

    readout: tuple[Figure, ...]
    """Spearman's correlation of the model's log odds with people's signed grade."""

    apart: tuple[Figure, ...]
    """Area under the ROC curve of the same for virtue against vice."""

    brier: tuple[Figure, ...]
    """Mean squared error of the log odds' probability of virtue, 0 to 1: calibration and
    resolution in one (Brier 1950)."""

    poles: tuple[Figure, ...]
    """How far virtue lies from vice along each plain moral direction, at the edited layer, in
    standard deviations of training texts: a row per foundation of the texts, five directions
    each."""

    surprise: tuple[Figure, ...]
    """Cross-entropy of the neutral sentences, nats per token; the unit is the sentence."""

    own_text: tuple[Figure, ...]
    """On text that the plain model wrote itself: divergence, cross-entropy; nats per token."""


#: The figures of an outcome, each a tuple.
FIGURES: Final = tuple(one.name for one in fields(Outcome) if one.name not in ("share", "kl"))


class Judged(NamedTuple):
    """Texts of a study by which an edit is judged."""

    study: Study
    """Items and model, plain."""

    signed: NDArray[np.float64]
    """People's virtue minus vice of each foundation for each text of the study, ``(n, 5)``."""

    rows: NDArray[np.int64]
    """Those that judge."""

    known: NDArray[np.int64]
    """Those whose plain states scale all and give the moral directions."""


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
    """Texts, ready to be read with different edits."""

    def __init__(
        self,
        store: Store,
        judged: Judged,
        model: "OpenModel",
        layer: int,
        report: Report = silent,
    ) -> None:
        """Let the plain model read them up to a layer, and write a little.

        Args:
            store: Where the plain states of all texts lie.
            judged: Which texts.
            model: The open model.
            layer: The edited layer.
            report: Told how far it is.
        """
        study = judged.study
        self._model, self.layer, self.rows = model, layer, judged.rows
        self.target = judged.signed[judged.rows]
        prompts = [study.plan.prompts[row] for row in self.rows]
        self._ids = encode(model, prompts, study.plan.spec.max_tokens)
        self._held = hold(model, prompts, layer, max_tokens=study.plan.spec.max_tokens)
        states = states_of(store, study)
        self._pooling = judging_pooling(study)
        self._scalers = [
            fit_scaler(states.prompt_states(one, self._pooling)[judged.known], "standardised")
            for one in range(layer, study.card.n_layers)
        ]
        known = self._scalers[0].apply(states.prompt_states(layer, self._pooling)[judged.known])
        self._axes = moral_axes(known.astype(np.float64), judged.signed[judged.known])
        start = model.tokenizer("")["input_ids"] or [int(model.tokenizer.eos_token_id)]
        written = sampled_documents(
            store, model, [list(start)] * _WRITTEN, len(start) + _WRITTEN_TOKENS, _SEED, report
        )
        self._neutral = hold_neutral(model, layer)
        self._written = hold_sentences(model, [one for one in written if len(one) > 1], layer)

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
        poles: list[Figure] = []
        for states, scaler in zip(self._states(edits, report), self._scalers, strict=True):
            moved = (states - states.mean(axis=0)) / scaler.scale
            unit = moved / np.linalg.norm(moved, axis=1, keepdims=True)
            geometry.append(similarity_of_distances(unit, self.target))
            cka.append(alignment_with(unit, self.target))
            if not poles:
                along = moved @ self._axes.T
                poles = [gap(one, side) for side in self.target.T for one in along.T]
        [logits] = arms_logits(self._model, self._held, [edits], "not first")
        odds = log_odds(self._model, logits)
        grade = self.target.sum(axis=1)
        neutral, written = (
            sentence_costs(self._model, one, edits, "not first")
            for one in (self._neutral, self._written)
        )
        return Outcome(
            share,
            kl,
            tuple(geometry),
            tuple(cka),
            (correlation(odds, grade),),
            (_apart(odds, grade),),
            (_brier(odds, grade),),
            tuple(poles),
            (ratio(neutral.surprise, neutral.tokens.astype(np.float64)),),
            tuple(
                ratio(one, written.tokens.astype(np.float64))
                for one in (written.kl, written.surprise)
            ),
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


def _brier(odds: NDArray[np.float64], grade: NDArray[np.float64]) -> Figure:
    """Return the Brier score of virtue against vice; neutral texts have no say."""
    missed = (expit(odds) - (grade > 0)) ** 2
    return mean_of(np.where(grade != 0, missed, np.nan))


def moral_axes(states: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each foundation's direction from vice to virtue, of unit length, ``(5, d)``.

    Args:
        states: Scaled states, ``(n, d)``.
        target: People's virtue minus vice, ``(n, 5)``.

    Raises:
        AlignmentError: A foundation has no text of one of its poles.
    """
    axes = []
    for foundation, side in zip(FOUNDATIONS, target.T, strict=True):
        if not (side > 0).any() or not (side < 0).any():
            raise AlignmentError(
                f"{foundation} has no text of one of its poles among those that are needed, so its "
                "direction is unknown. Take a set with texts of both poles of each foundation."
            )
        along = states[side > 0].mean(axis=0) - states[side < 0].mean(axis=0)
        axes.append(along / np.linalg.norm(along))
    return np.stack(axes)


def judging_pooling(study: Study) -> Pooling:
    """Return the pooled state by which texts are judged: the mean, where it was read."""
    poolings = study.plan.spec.poolings
    return "mean" if "mean" in poolings else poolings[0]
