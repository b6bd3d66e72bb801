"""Which latents of a dictionary are moral: all of them at once, and what chance would find.

The unit is the text: one row of activations, pooled over its tokens. One split of the texts
selects, another reports: a claim about a latent and a dimension is confirmed if it passes the false
discovery rate among all latents and dimensions where they were selected, and its interval excludes
chance where they are reported. The same is done once more with shuffled labels, and drawing
permutations and resamples anew tells how far the draws themselves move the counts.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.features.comparisons import (
    CHANCE,
    FEWEST_TEXTS,
    STATISTICS,
    Effects,
    Split,
    TextLabels,
    comparisons,
)
from core.features.intervals import reported_effects
from core.features.kinds import CLAIMS, DECIDING, Decided
from core.features.monte_carlo import REPEATS, Redrawn
from core.features.paper_latents import paper_counts, pearson
from core.foundations import DIMENSIONS
from core.runtime.progress import Report, part, silent
from core.statistics.false_discovery import (
    Permutations,
    false_discovery,
    permutation_counts,
    pools_for,
)
from core.statistics.sparse_ranks import SortedCodes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Tests per latent that are corrected together.
_TESTS: Final = CLAIMS * len(DIMENSIONS)


class FeatureError(CoreError):
    """These texts or activations cannot tell which latents are moral."""


@dataclass(frozen=True)
class RankSpec:
    """How latents are judged."""

    permutations: int = 1000
    """Permutations of the labels over texts, per latent; latents of like density share them. At
    least ``20 / fdr``, else the most extraordinary latent could not pass alone."""

    draws: int = 1000
    """Resamples of texts behind each interval."""

    fdr: float = 0.05
    """False discovery rate among all latents times ten dimensions, in (0, 1). The two claims,
    related and moral, share it: each is corrected for both, so that with shuffled labels hardly
    more than one run in forty has any membership that passes at 0.05."""

    rare: int = 8
    """A latent that is on in fewer of the compared texts than this is not judged."""

    seed: int = 0
    """Seed of permutations, resamples and shuffled labels."""

    def __post_init__(self) -> None:
        if not 0 < self.fdr < 1:
            raise ValueError(f"fdr must lie between 0 and 1, not {self.fdr}")
        if min(self.permutations, self.draws, self.rare) < 1:
            raise ValueError("permutations, draws and rare must be at least 1")
        least = math.ceil(_TESTS / self.fdr)
        if self.permutations < least:
            raise FeatureError(
                f"{self.permutations} permutations are too few for a false discovery rate of "
                f"{self.fdr:g}: no latent could pass. Choose {least:,} or more."
            )


@dataclass(frozen=True, eq=False)
class LatentScores:
    """All latents of a dictionary, judged."""

    spec: RankSpec
    """How they were judged."""

    density: NDArray[np.float32]
    """Share of all texts on which each is on, ``(n_latents,)``."""

    fires: NDArray[np.int64]
    """Selecting texts on which each is on, ``(n_latents,)``."""

    train: Effects
    """Effects where latents are selected."""

    q: Effects
    """Least false discovery rate at which each effect passes as above chance; NaN if not judged."""

    test: Effects
    """Effects where latents are reported."""

    low: Effects
    """Lower ends of the reported effects' 95 % intervals over texts; NaN unless selected."""

    high: Effects
    """Upper ends."""

    pearson: NDArray[np.float32]
    """Pearson's correlation over all selecting items, as the paper has it, ``(n_latents, 10)``."""

    notes: tuple[str, ...] = ()
    """What could not be judged, in sentences."""

    shuffled: dict[str, int] = field(default_factory=dict)
    """``counts`` with shuffled labels: what chance finds."""

    monte_carlo: dict[str, int] = field(default_factory=dict)
    """Half of the 95 % interval within which other permutations and resamples of the same texts
    would put each of the ``counts``; none for the paper's, which draw nothing."""

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Latents that are on often enough, ``(n_latents,)``."""
        return self.fires >= self.spec.rare

    @cached_property
    def decided(self) -> Decided:
        """What was shown of each latent."""
        passes = {name: _passes(getattr(self.q, name), self.spec.fdr) for name in DECIDING}
        above = {name: _above(getattr(self.low, name), CHANCE[name]) for name in DECIDING}
        return Decided.of(self.judged, passes, above)

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """The moral dimension, else the related, else the selected one, of highest AUROC.

        -1 if there is none; shape ``(n_latents,)``.
        """
        shown = self.decided
        effect = np.where(shown.selected, self.train.membership, -1) + shown.related + shown.moral
        some = shown.selected.any(axis=1)
        best: NDArray[np.int64] = np.where(some, effect.argmax(axis=1), -1)
        return best

    def selectivity(self, *, opposite: bool = True) -> NDArray[np.float32]:
        """Return how far a dimension stands above the next, ``(n_latents, 10)``.

        ``(e - r) / e`` with ``e`` the dimension's AUROC above 0.5 and ``r`` the highest such of the
        other dimensions, at least 0: 1 where no other is above chance, 0 where another is as high
        or the dimension is not above chance itself. NaN where the dimension cannot be judged.

        Args:
            opposite: Whether the other pole of the same foundation is a rival like any other;
                without it, selectivity for the topic.
        """
        effect = self.train.membership - 0.5
        known = np.maximum(np.nan_to_num(effect), 0)
        result = np.full(effect.shape, np.nan, np.float32)
        for column in range(len(DIMENSIONS)):
            out = [column] if opposite else [column, column ^ 1]
            rival = np.delete(known, out, axis=1).max(axis=1)
            own = known[:, column]
            result[:, column] = np.maximum(own - rival, 0) / np.where(own > 0, own, 1)
        return np.where(np.isnan(effect), np.float32(np.nan), result)


def counts(scores: LatentScores) -> dict[str, int]:
    """Return how many latents are of each kind (``Decided.counts``), and of the paper's kinds."""
    return scores.decided.counts() | paper_counts(scores.pearson)


def _passes(q: NDArray[np.float32], fdr: float) -> NDArray[np.bool_]:
    passes: NDArray[np.bool_] = np.where(np.isnan(q), 1, q) <= fdr
    return passes


def _above(low: NDArray[np.float32], chance: float) -> NDArray[np.bool_]:
    above: NDArray[np.bool_] = np.where(np.isnan(low), -np.inf, low) > chance
    return above


# --- judging ---


def score_latents(
    codes: "csr_array",
    labels: TextLabels,
    tokens: NDArray[np.int64],
    split: Split,
    spec: RankSpec,
    *,
    device: str = "cpu",
    report: Report = silent,
) -> LatentScores:
    """Judge all latents, and once more with labels shuffled among texts.

    Args:
        codes: Pooled activations, shape ``(n_texts, n_latents)``, none below 0.
        labels: Labels of the same texts.
        tokens: Length of the same texts, shape ``(n_texts,)``: latents are told by texts of like
            length.
        split: Which texts select and which report.
        spec: How to judge.
        device: Where permutations are multiplied.
        report: Called between steps.

    Raises:
        FeatureError: A split is empty, or no dimension has texts enough to select for.
        CoreError: An activation is not finite.
    """
    _check(codes, labels, tokens, split)
    texts = _Texts(codes, SortedCodes.of(codes), tokens, split)
    found = []
    for step, own in enumerate((labels, split.shuffled(labels, spec.seed))):
        inner = part(report, step / 2, (step + 1) / 2)
        repeats = 0 if step else REPEATS
        found.append(_judged(texts, own, spec, device, repeats=repeats, report=inner))
    report(1, 1, "ranked")
    return replace(found[0], shuffled=counts(found[1]))


def _check(codes: "csr_array", labels: TextLabels, tokens: NDArray[np.int64], split: Split) -> None:
    if {len(labels.membership), len(tokens), *map(len, split)} != {codes.shape[0]}:
        raise ValueError(f"{codes.shape[0]} rows of activations, but other labels or split")
    if (split.train & split.test).any():
        raise ValueError("a text stands in both parts")
    for name, chosen in zip(("training", "test"), split, strict=True):
        if not chosen.any():
            raise FeatureError(
                f"The {name} split of this set is empty, so latents cannot be selected on one part "
                "and reported on another. Choose a larger set."
            )
    members = (labels.membership[split.train] > 0).sum(axis=0)
    if members.max() < FEWEST_TEXTS:
        raise FeatureError(
            f"No moral dimension has {FEWEST_TEXTS} texts in the training split, so no latent can "
            "be called moral. Choose a larger set, or one with moral labels."
        )


class _Texts(NamedTuple):
    """What is the same whatever the labels."""

    codes: "csr_array"
    """Pooled activations, ``(n_texts, n_latents)``."""

    ordered: SortedCodes
    """The same, sorted."""

    tokens: NDArray[np.int64]
    """Length of each text, ``(n_texts,)``."""

    split: Split
    """Which select and which report."""


def _judged(
    texts: _Texts, labels: TextLabels, spec: RankSpec, device: str, *, repeats: int, report: Report
) -> LatentScores:
    codes, ordered, tokens, split = texts
    n_latents = codes.shape[1]
    train, counted = Effects.nothing(n_latents), []
    fires = np.bincount(ordered.latent[split.train[ordered.row]], minlength=n_latents)
    asked = list(comparisons(labels, tokens, split.train))
    pools = pools_for(spec.permutations, spec.fdr, _TESTS)
    for step, one in enumerate(asked):
        report(step, len(asked), one.name)
        ranks = one.ranks(ordered)
        one.fill(train, one.effects(ranks))
        seed = (spec.seed, STATISTICS.index(one.statistic), one.columns[0])
        how = Permutations(spec.permutations, pools, seed, device)
        judged = (fires >= spec.rare) & (ranks.fires >= spec.rare)
        counted.append((one, permutation_counts(ranks, one.target, judged, how)))
    redrawn = Redrawn(counted, n_latents, spec.fdr, repeats, spec.seed)
    q = _corrected(redrawn.p())
    selected = _passes(q.membership, spec.fdr)
    found = reported_effects(
        codes,
        ordered,
        labels,
        tokens,
        split.test,
        selected | redrawn.ever_selected(),
        rare=spec.rare,
        draws=spec.draws,
        seed=spec.seed,
    )
    judged = fires >= spec.rare
    return LatentScores(
        spec,
        (np.bincount(ordered.latent, minlength=n_latents) / codes.shape[0]).astype(np.float32),
        fires,
        train,
        q,
        found.value,
        _among(selected, found.low),
        _among(selected, found.high),
        pearson(codes[split.train], labels.items.take(split.train)),
        _notes(labels, split, fires, spec),
        monte_carlo=redrawn.spread(judged, found.missed, spec.draws),
    )


def _among(selected: NDArray[np.bool_], effects: Effects) -> Effects:
    """Return effects of what was selected only."""
    return Effects(*(np.where(selected, one, np.float32(np.nan)) for one in effects))


def _corrected(p: Effects) -> Effects:
    """Return the least false discovery rate at which each effect passes."""
    found = []
    for name, values in p._asdict().items():
        claims = CLAIMS if name in DECIDING else 1
        found.append(np.minimum(claims * false_discovery(values.astype(np.float64)), 1))
    return Effects(*(one.astype(np.float32) for one in found))


def _notes(
    labels: TextLabels, split: Split, fires: NDArray[np.int64], spec: RankSpec
) -> tuple[str, ...]:
    notes = []
    for name, chosen in zip(("training", "test"), split, strict=True):
        n = (labels.membership[chosen] > 0).sum(axis=0)
        few = [DIMENSIONS[column] for column in np.flatnonzero(n < FEWEST_TEXTS)]
        if few:
            notes.append(
                f"The {name} split has fewer than {FEWEST_TEXTS} texts of {', '.join(few)}: no "
                "latent can be confirmed for them or told apart from them."
            )
    if not (fires >= spec.rare).any():
        notes.append(
            f"No latent is on in {spec.rare} or more training texts, so none is judged. Choose "
            "another layer or dictionary, or a larger set."
        )
    return tuple(notes)
