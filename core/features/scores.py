"""Which latents of a dictionary are moral: all of them at once, and what chance would find.

The unit is the text: one row of activations, pooled over its tokens. One split of the texts
selects, another reports: a latent is confirmed for a dimension if its membership passes the false
discovery rate among all latents and dimensions where they were selected, and its interval excludes
chance where they are reported. The same is done once more with shuffled labels.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.features.comparisons import (
    CHANCE,
    FEWEST_TEXTS,
    STATISTICS,
    Effects,
    Split,
    Statistic,
    TextLabels,
    comparisons,
)
from core.features.intervals import reported_effects
from core.features.paper_latents import paper_counts, pearson
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.runtime.progress import Report, part, silent
from core.statistics.false_discovery import Permutations, false_discovery, permutation_p, pools_for
from core.statistics.sparse_ranks import SortedCodes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Kind = Literal["monosemantic", "topic", "polysemantic", "unconfirmed", "not moral", "too rare"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: The one definition of monosemantic.
DEFINITION: Final = (
    "A latent is monosemantic if it is confirmed for exactly one of the ten dimensions and its "
    "contrast with the opposite pole passes the false discovery rate too; confirmed for one "
    "foundation without such a contrast it is a topic latent, for both poles its polarity has "
    "collapsed; confirmed otherwise it is polysemantic, selected for some dimension but confirmed "
    "for none unconfirmed, selected for none not moral, and on too few texts too rare to judge."
)


#: Statistics that decide what a latent is; a gradient is reported beside them.
DECIDING: Final[tuple[Statistic, ...]] = ("membership", "contrast")
#: Tests per latent that are corrected together.
_TESTS: Final = len(DECIDING) * len(DIMENSIONS)


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
    """False discovery rate among all latents times ten dimensions, in (0, 1). Membership and
    contrast, which decide, share it: each is corrected for both, so that with shuffled labels
    hardly more than one run in forty has any membership that passes at 0.05."""

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

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Latents that are on often enough, ``(n_latents,)``."""
        return self.fires >= self.spec.rare

    @cached_property
    def selected(self) -> NDArray[np.bool_]:
        """Membership passes the false discovery rate, ``(n_latents, 10)``."""
        return _passes(self.q.membership, self.spec.fdr)

    @cached_property
    def confirmed(self) -> NDArray[np.bool_]:
        """Selected, and the reported interval excludes chance, ``(n_latents, 10)``."""
        low = self.low.membership
        return self.selected & (np.where(np.isnan(low), 0, low) > CHANCE["membership"])

    @cached_property
    def contrasted(self) -> NDArray[np.bool_]:
        """Own pole above the opposite one at the false discovery rate, ``(n_latents, 10)``."""
        return _passes(self.q.contrast, self.spec.fdr)

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """The confirmed dimension, else the selected one, of highest AUROC; -1 if there is none."""
        effect = np.where(self.selected, self.train.membership, -1) + self.confirmed
        best: NDArray[np.int64] = np.where(self.selected.any(axis=1), effect.argmax(axis=1), -1)
        return best

    @cached_property
    def kind(self) -> NDArray[np.str_]:
        """One of ``KINDS`` for each latent, by ``DEFINITION``, ``(n_latents,)``."""
        yes = self.confirmed
        foundations = yes.reshape(-1, len(FOUNDATIONS), 2).any(axis=2).sum(axis=1)
        contrast = (yes & self.contrasted).any(axis=1)
        conditions: dict[Kind, NDArray[np.bool_]] = {
            "too rare": ~self.judged,
            "not moral": self.selected.sum(axis=1) == 0,
            "unconfirmed": foundations == 0,
            "monosemantic": (yes.sum(axis=1) == 1) & contrast,
            "topic": (foundations == 1) & ~contrast,
        }
        return np.select(list(conditions.values()), list(conditions), "polysemantic")

    @cached_property
    def collapsed(self) -> NDArray[np.bool_]:
        """Polarity collapse: a topic latent confirmed for both poles, ``(n_latents,)``."""
        topic = self.kind == "topic"
        both: NDArray[np.bool_] = topic & (self.confirmed.sum(axis=1) == 2)
        return both

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
    """Return how many latents are selected, confirmed, of each kind, and of the paper's kinds."""
    found: dict[str, int] = {
        "selected": int(scores.selected.any(axis=1).sum()),
        "confirmed": int(scores.confirmed.any(axis=1).sum()),
    }
    found |= {kind: int((scores.kind == kind).sum()) for kind in KINDS}
    found["polarity collapse"] = int(scores.collapsed.sum())
    return found | paper_counts(scores.pearson)


def _passes(q: NDArray[np.float32], fdr: float) -> NDArray[np.bool_]:
    passes: NDArray[np.bool_] = np.where(np.isnan(q), 1, q) <= fdr
    return passes


# --- judging ---


def score_latents(
    codes: "csr_array",
    labels: TextLabels,
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
        split: Which texts select and which report.
        spec: How to judge.
        device: Where permutations are multiplied.
        report: Called between steps.

    Raises:
        FeatureError: A split is empty, or no dimension has texts enough to select for.
        CoreError: An activation is not finite.
    """
    _check(codes, labels, split)
    ordered = SortedCodes.of(codes)
    found = []
    for step, own in enumerate((labels, split.shuffled(labels, spec.seed))):
        inner = part(report, step / 2, (step + 1) / 2)
        found.append(_judged(codes, ordered, own, split, spec, device, inner))
    report(1, 1, "ranked")
    return replace(found[0], shuffled=counts(found[1]))


def _check(codes: "csr_array", labels: TextLabels, split: Split) -> None:
    if not codes.shape[0] == len(labels.membership) == len(split.train) == len(split.test):
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


def _judged(
    codes: "csr_array",
    ordered: SortedCodes,
    labels: TextLabels,
    split: Split,
    spec: RankSpec,
    device: str,
    report: Report,
) -> LatentScores:
    n_latents = codes.shape[1]
    train, p = Effects.nothing(n_latents), Effects.nothing(n_latents)
    fires = ordered.among(split.train).fires
    asked = list(comparisons(labels, split.train))
    pools = pools_for(spec.permutations, spec.fdr, _TESTS)
    for step, one in enumerate(asked):
        report(step, len(asked), one.name)
        ranks = ordered.among(one.texts)
        one.fill(train, one.effects(ranks))
        seed = (spec.seed, STATISTICS.index(one.statistic), one.columns[0])
        how = Permutations(spec.permutations, pools, seed, device)
        judged = (fires >= spec.rare) & (ranks.fires >= spec.rare)
        one.fill(p, permutation_p(ranks, one.target, judged, how))
    q = _corrected(p)
    selected = _passes(q.membership, spec.fdr)
    reported = reported_effects(
        codes,
        ordered,
        labels,
        split.test,
        selected,
        rare=spec.rare,
        draws=spec.draws,
        seed=spec.seed,
    )
    return LatentScores(
        spec,
        (np.bincount(ordered.latent, minlength=n_latents) / codes.shape[0]).astype(np.float32),
        fires,
        train,
        q,
        *reported,
        pearson(codes[split.train], labels.items.take(split.train)),
        _notes(labels, split, fires, spec),
    )


def _corrected(p: Effects) -> Effects:
    """Return the least false discovery rate at which each effect passes."""
    q = [false_discovery(values.astype(np.float64)) for values in p]
    shared = [len(DECIDING) if name in DECIDING else 1 for name in STATISTICS]
    return Effects(
        *(np.minimum(n * one, 1).astype(np.float32) for n, one in zip(shared, q, strict=True))
    )


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
