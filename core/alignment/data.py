"""What alignment learns from and is judged on: tokens' states, people's labels, neutral text.

The unit is the text. Training texts choose and train latents, validation texts choose when to stop,
test texts report, once.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from core.activations.prompts import encode
from core.activations.study import Study
from core.activations.traces import state_scores
from core.alignment.spec import AlignmentError
from core.features.comparisons import TextLabels
from core.foundations import DIMENSIONS, FOUNDATIONS, GRADES
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, part, silent
from core.runtime.store import Store, fingerprint
from core.sae.dictionary import Dictionary, sparse_codes
from core.sae.training.corpora import Documents, Source
from core.sae.training.token_states import TokenStates, read_tokens

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from core.models.open_models import OpenModel

#: Neutral sentences whose divergence training holds down; those that measure it are others.
NEUTRAL: Final = (
    "The bakery on the corner sells bread until six in the evening.",
    "Snow covered the hills, and the lake was frozen at its edge.",
    "The second chapter explains how the engine turns heat into motion.",
    "A blue bicycle leans against the wall beside the gate.",
    "The bus stops in front of the museum every fifteen minutes.",
    "Cut the onions into thin slices and fry them in a little oil.",
    "The lecture begins at noon in the large hall on the first floor.",
    "Copper conducts electricity better than iron does.",
    "The film lasts two hours and was shot in the south of Italy.",
    "In autumn the leaves of the maple turn red and yellow.",
    "The letter was written in pencil on thin grey paper.",
    "This printer needs a cable and a sheet of thick paper.",
    "The island is twelve kilometres long and has three villages.",
    "After the concert the hall was swept and the chairs were stacked.",
    "The third planet from the sun has one large moon.",
    "Her office is on the left, behind the glass door.",
)
#: Draws behind the divergence of each neutral sentence.
DRAWS: Final = 16
_FILE: Final = "neutral.safetensors"
#: Fewer texts than this in a split decide nothing.
FEWEST_TEXTS: Final = 30


@dataclass(frozen=True, eq=False)
class Neutral:
    """The neutral sentences at the layer, first tokens left out."""

    states: NDArray[np.float32]
    """``(tokens, d)``."""

    scores: NDArray[np.float32]
    """Gradients of the log likelihood of words drawn, ``(draws, tokens, d)``."""

    owner: NDArray[np.int64]
    """Sentence of each token, never falling."""


@dataclass(frozen=True, eq=False)
class AlignData:
    """A set's texts as one layer reads them, with labels and splits."""

    tokens: TokenStates
    """States of all tokens but the first of each text."""

    starts: NDArray[np.int64]
    """First token of each text, and the end; ``(n + 1,)``."""

    membership: NDArray[np.float64]
    """Grade of each text in each dimension, in [0, 1]; ``(n, 10)``."""

    foundation: NDArray[np.int64]
    """A foundation that each text is about, ``(n,)``."""

    split: NDArray[np.str_]
    """``train``, ``validation`` or ``test``, ``(n,)``; others are left out. A text of two splits is
    of the first."""

    neutral: Neutral
    """What training must not change."""

    @cached_property
    def signed(self) -> NDArray[np.float64]:
        """Virtue minus vice of each foundation, in [-1, 1]; ``(n, 5)``."""
        return signed(self.membership)

    @cached_property
    def states(self) -> NDArray[np.float32]:
        """All tokens' states in float32, ``(tokens, d)``."""
        return self.tokens.rows(np.arange(len(self.tokens)))

    @cached_property
    def means(self) -> NDArray[np.float32]:
        """Each text's mean over its tokens, ``(n, d)``."""
        sums = np.add.reduceat(self.states.astype(np.float64), self.starts[:-1], axis=0)
        return (sums / np.diff(self.starts)[:, None]).astype(np.float32)

    def of(self, split: str) -> NDArray[np.int64]:
        """Return the texts of a split."""
        return np.flatnonzero(self.split == split)

    def without(self, number: int) -> "AlignData":
        """Return the same, where texts about a foundation neither train nor decide when to stop."""
        own = self.membership[:, 2 * number : 2 * number + 2].max(axis=1) > 0
        about = (own | (self.foundation == number)) & (self.split != "test")
        return replace(self, split=np.where(about, "left out", self.split))

    def shuffled(self, seed: int) -> "AlignData":
        """Return the same with labels dealt out anew, within each foundation and split."""
        rng, taken = np.random.default_rng([seed, 17]), np.arange(len(self.split))
        for split in np.unique(self.split):
            for number in range(len(FOUNDATIONS)):
                rows = np.flatnonzero((self.split == split) & (self.foundation == number))
                taken[rows] = rng.permutation(rows)
        return replace(self, membership=self.membership[taken])


def signed(membership: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return virtue minus vice of each foundation, ``(n, 5)``, from grades ``(n, 10)``."""
    difference: NDArray[np.float64] = membership[:, 0::2] - membership[:, 1::2]
    return difference


def read_data(
    store: Store, study: Study, model: "OpenModel", layer: int, report: Report = silent
) -> AlignData:
    """Let the model read a set's texts and the neutral sentences up to one layer.

    Args:
        store: Where tokens' states are kept.
        study: Items and model, plain.
        model: The open model.
        layer: Decoder layer.
        report: Told how far it is.

    Raises:
        AlignmentError: A split has too few texts, or a text is of one token only.
        CoreError: A state is not finite.
    """
    split = splits_of(study)
    for name in ("train", "validation", "test"):
        count = int((split == name).sum())
        if count < FEWEST_TEXTS:
            raise AlignmentError(
                f"{study.items.provenance.name} has {count} texts in its {name} split; alignment "
                f"needs {FEWEST_TEXTS}. Take a larger set."
            )
    ids = encode(model, study.plan.prompts, study.plan.spec.max_tokens)
    if min(map(len, ids)) < 2:
        raise AlignmentError(
            "A text is of one token, which is left out everywhere. Use a template with words in it."
        )
    source: Source = "items"
    documents = Documents(tuple(map(tuple, ids)), (source,) * len(ids))
    tokens = read_tokens(
        store, model, documents, layer, dtype="float32", report=part(report, 0.0, 0.6)
    )
    return AlignData(
        tokens,
        np.concatenate([[0], np.cumsum([len(one) - 1 for one in ids])]),
        text_grades(study),
        study.items.foundation[study.first_rows].astype(np.int64),
        split,
        kept_neutral(store, model, layer).get(part(report, 0.6, 1.0)),
    )


def text_grades(study: Study) -> NDArray[np.float64]:
    """Return the grade of each text of a study in each dimension, in [0, 1]; ``(n, 10)``."""
    n, rows = len(study.plan.prompts), study.plan.rows
    labels = TextLabels.of(study.items.vectors(), study.items.foundation, rows, n)
    return labels.membership.astype(np.float64)


def splits_of(study: Study) -> NDArray[np.str_]:
    """Return each text's split; one of several stands in the first of train, validation, test."""
    found = np.full(len(study.plan.prompts), "test", dtype="<U10")
    for name in ("validation", "train"):
        found[study.plan.rows[study.items.split == name]] = name
    return found


def kept_neutral(store: Store, model: "OpenModel", layer: int) -> Made[Neutral]:
    """Return the neutral sentences at a layer of a model."""
    from safetensors.numpy import load_file, save_file

    card = model.card
    key = {
        "format": 1,
        "model": card.identity,
        "compute": f"{card.device} {card.dtype}",
        "layer": layer,
        "texts": fingerprint(NEUTRAL),
        "draws": DRAWS,
    }
    return artefact(
        store,
        "neutral",
        key,
        read=lambda folder: Neutral(**load_file(folder / _FILE)),
        write=lambda folder, made: save_file(vars(made), folder / _FILE),
        make=partial(read_neutral, model, layer),
    )


def read_neutral(model: "OpenModel", layer: int, report: Report = silent) -> Neutral:
    """Return the neutral sentences' states and scores at a layer; the draws are seeded."""
    states, scores, owner = [], [], []
    for number, ids in enumerate(encode(model, NEUTRAL, 64)):
        report(number, len(NEUTRAL), f"neutral text · {number} of {len(NEUTRAL)}")
        own, drawn = state_scores(model, ids, layer, draws=DRAWS, seed=number)
        states.append(own[1:].numpy())
        scores.append(drawn[:, 1:].numpy())
        owner += [number] * (len(ids) - 1)
    return Neutral(np.concatenate(states), np.concatenate(scores, axis=1), np.array(owner))


# --- latents ---


def moral_latents(
    codes: "csr_array", data: AlignData, per_foundation: int, rare: int
) -> NDArray[np.int64]:
    """Return the latents that follow virtue minus vice of some foundation on training texts.

    Args:
        codes: Mean activation of each text, ``(n_texts, n_latents)``.
        data: Labels and splits.
        per_foundation: Latents chosen for each foundation, by the size of the correlation.
        rare: Texts that a latent has to be on in.

    Returns:
        Numbers in rising order.

    Raises:
        AlignmentError: None is on often enough, or people's vectors are all alike.
    """
    rows = data.of("train")
    own, target = codes[rows], data.signed[rows]
    alive = np.asarray((own > 0).sum(axis=0)).ravel() >= rare
    if not alive.any():
        raise AlignmentError(
            f"No latent is on in {rare} training texts or more. Choose another dictionary, or a "
            "smaller number."
        )
    r = np.abs(correlations(own, target))
    r[~alive] = -1
    r[~np.isfinite(r)] = -1  # a latent or a foundation that is the same on all texts
    best = np.argsort(-r, axis=0, kind="stable")[:per_foundation]
    chosen = [best[r[best[:, column], column] >= 0, column] for column in range(r.shape[1])]
    found = np.unique(np.concatenate(chosen)).astype(np.int64)
    if not len(found):
        raise AlignmentError(
            "People's vectors are the same on all training texts, so no latent follows them. Take "
            "a set with judgements that differ."
        )
    return found


def correlations(codes: "csr_array", target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Pearson's correlation of each latent with each column of a target.

    Args:
        codes: Shape ``(n, n_latents)``.
        target: Shape ``(n, k)``.

    Returns:
        Shape ``(n_latents, k)``; not finite where a latent or a column is constant.
    """
    mean = np.asarray(codes.mean(axis=0)).ravel()
    square = np.asarray(codes.multiply(codes).mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    centred = target - target.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = np.asarray(codes.T @ centred) / len(target)
        found: NDArray[np.float64] = covariance / spread[:, None] / centred.std(axis=0)
    return found


def like_latents(
    chosen: NDArray[np.int64], densities: NDArray[np.float64], seed: int
) -> NDArray[np.int64]:
    """Draw as many other latents that are on about as often, each matched to one chosen.

    Args:
        chosen: The latents to match.
        densities: Share of tokens on which each latent is on, in actions and in neutral text,
            ``(n_latents, 2)``.
        seed: Order in which they are matched, and which of the nearest five is taken.

    Raises:
        AlignmentError: There are not as many others.
    """
    rng = np.random.default_rng([seed, 23])
    free = densities.max(axis=1) > 0
    free[chosen] = False
    if free.sum() < len(chosen):
        raise AlignmentError(
            f"{len(chosen)} latents cannot be matched by others: only {int(free.sum())} are ever "
            "on. Choose fewer."
        )
    place = np.log10(densities + 1e-4)
    found = []
    for one in rng.permutation(chosen):
        far = np.linalg.norm(place - place[one], axis=1)
        far[~free] = np.inf
        near = np.argsort(far, kind="stable")[: min(5, int(free.sum()))]
        taken = int(rng.choice(near))
        free[taken] = False
        found.append(taken)
    return np.sort(np.array(found, np.int64))


def densities_of(
    dictionary: Dictionary, data: AlignData, codes: "csr_array"
) -> NDArray[np.float64]:
    """Return how often each latent is on, in actions' tokens and in neutral text, ``(n, 2)``.

    Args:
        dictionary: The dictionary.
        data: Neutral text.
        codes: Activations on the actions' tokens, ``(n_tokens, n_latents)``.
    """
    neutral = sparse_codes(dictionary, data.neutral.states)
    both = [np.asarray((one > 0).mean(axis=0)).ravel() for one in (codes, neutral)]
    return np.column_stack(both).astype(np.float64)


def strata(data: AlignData, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the stratum of some texts: foundation, pole and grade; balanced batches draw by it."""
    membership = data.membership[rows]
    pole = np.where(membership.max(axis=1) > 0, membership.argmax(axis=1), len(DIMENSIONS))
    grade = np.abs(membership.max(axis=1)[:, None] - np.array(GRADES)).argmin(axis=1)
    grade[pole == len(DIMENSIONS)] = 0
    key = data.foundation[rows] * 1000 + pole * 20 + grade
    return np.unique(key, return_inverse=True)[1].astype(np.int64)


def as_tensor(array: NDArray[Any], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return an array as float32 on a device."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)
