"""How far the draws themselves move the counts of latents.

A count rests on permutations and resamples; others would put some latents on the other side of a
threshold. Permutations come in batches: drawing batches with replacement gives the p-values that as
many other permutations would have given, with all that latents share. A held-out interval excludes
chance if few of its resamples lie below: their number is binomial. Both are repeated, and latents
are counted anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.features.comparisons import Contrast, Effects, Statistic
from core.features.kinds import CLAIMS, DECIDING, Decided
from core.foundations import DIMENSIONS
from core.statistics.false_discovery import BATCHES, Counted, passing

#: Repetitions.
REPEATS: Final = 100
#: Share of resamples that may lie at or below chance for a 95 % interval to exclude it.
_MISSED: Final = 0.025


@dataclass(frozen=True, eq=False)
class Redrawn:
    """Counted permutations of all comparisons, and what others would say."""

    counted: Sequence[tuple[Contrast, Counted]]
    """Each comparison with its counts."""

    n_latents: int
    """Latents."""

    fdr: float
    """False discovery rate."""

    repeats: int
    """Repetitions; 0: nothing is said of other draws."""

    seed: int
    """Seed of the repetitions."""

    def p(self, times: NDArray[np.integer] | None = None) -> Effects:
        """Return all p-values, ``times`` as for ``Counted.p``."""
        found = Effects.nothing(self.n_latents)
        for one, counts in self.counted:
            if times is None or one.statistic in DECIDING:
                one.fill(found, counts.p(times))
        return found

    def ever_selected(self) -> NDArray[np.bool_]:
        """Return whose membership passes in any repetition, ``(n_latents, 10)``."""
        found = np.zeros((self.n_latents, len(DIMENSIONS)), bool)
        for passes in self._passing():
            found |= passes["membership"]
        return found

    def spread(self, judged: NDArray[np.bool_], missed: Effects, draws: int) -> dict[str, int]:
        """Return half of the 95 % interval of each of ``Decided.counts``; empty if none is asked.

        Args:
            judged: Latents that are on often enough, ``(n_latents,)``.
            missed: Share of resamples that do not lie above chance where latents are reported.
            draws: Resamples behind each interval.
        """
        rng = np.random.default_rng([self.seed, 12])
        found: list[dict[str, int]] = []
        for passes in self._passing():
            above = {
                name: _excluding(getattr(missed, name), draws, rng) & passes[name]
                for name in DECIDING
            }
            found.append(Decided.of(judged, passes, above).counts())
        if not found:
            return {}
        spread = {name: np.std([one[name] for one in found], ddof=1) for name in found[0]}
        return {name: round(1.96 * float(one)) for name, one in spread.items()}

    def _passing(self) -> Iterator[dict[Statistic, NDArray[np.bool_]]]:
        """Yield what passes in each repetition, the same each time it is asked."""
        rng = np.random.default_rng([self.seed, 11])
        share = np.full(BATCHES, 1 / BATCHES)
        for times in rng.multinomial(BATCHES, share, size=self.repeats):
            p = self.p(times)
            yield {name: passing(getattr(p, name), self.fdr / CLAIMS) for name in DECIDING}


def _excluding(
    missed: NDArray[np.float32], draws: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return whose interval excludes chance with other resamples, same shape."""
    known = np.isfinite(missed)
    found = np.zeros(missed.shape, bool)
    found[known] = rng.binomial(draws, missed[known].astype(np.float64)) <= _MISSED * draws
    return found
