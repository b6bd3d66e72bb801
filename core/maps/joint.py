"""Two models on one map: their states brought into one space by the texts that both have read.

Each model's states are reduced to their widest directions and brought to one size, the second's are
turned onto the first's by orthogonal Procrustes, and one picture is drawn of both together. With so
many directions to turn, some likeness can be had out of nothing: so the same is done with texts
paired at random.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.maps.displacement import displacement
from core.maps.projection import (
    UMAP_COMPONENTS,
    LayoutSpec,
    Points,
    Trust,
    judge,
    principal_axes,
    project,
)
from core.measures.result import band, estimate, recentred
from core.statistics.bootstrap import Estimate

#: Directions of each model that are turned onto each other.
COMPONENTS: Final = UMAP_COMPONENTS
#: Resamples of texts, and random pairings behind the band.
DRAWS: Final = 200


class Pair(NamedTuple):
    """Two models' texts on one picture."""

    first: Points
    """Shape ``(n, dims)``."""

    second: Points
    """The same texts, shape ``(n, dims)``."""

    trust: tuple[Trust, Trust]
    """How far to trust each model's half, against its own states."""

    @property
    def moved(self) -> NDArray[np.float64]:
        """How far each text lies from itself, shape ``(n,)``."""
        return displacement(self.second, self.first)

    @property
    def typical(self) -> float:
        """Median of the same, in medians between different texts of different models.

        0 where both models put every text in one place, about 1 by chance.
        """
        n = len(self.first)
        order = np.random.default_rng(0).permutation(n)
        apart = displacement(self.second[np.roll(order, 1)], self.first[order])
        return float(np.median(self.moved) / max(float(np.median(apart)), 1e-12))


class Joint(NamedTuple):
    """A joint map with its controls."""

    pair: Pair
    """The map."""

    alignment: Estimate
    """Procrustes similarity of the states in [0, 1]: 1 if one model's are the other's, turned. With
    95 % interval over texts."""

    shuffled: Estimate
    """Mean and 95 % band of the same with texts paired at random."""

    typical: float
    """How far texts lie from themselves, as ``Pair.typical``."""

    random: float
    """The same on a map made of texts paired at random."""

    random_trust: tuple[float, float]
    """Trustworthiness of that map's halves: turning at random spoils the second's little."""


def joint_map(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    spec: LayoutSpec,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Joint:
    """Return two models' states of the same texts on one picture.

    Args:
        first: Shape ``(n, d)``, n at least 8, finite.
        second: The same texts, shape ``(n, e)``.
        spec: How the picture is drawn.
        draws: Resamples of texts, and random pairings.
        seed: Of both.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(seed)
    one, other = reduced(first), reduced(second)
    value = _similarity(one, other)
    drawn, random = np.empty(draws), np.empty(draws)
    with threadpool_limits(1, user_api="blas"):  # so small that threads only wait for each other
        for number in range(draws):
            rows = rng.integers(0, len(one), len(one))
            drawn[number] = _similarity(one[rows], other[rows])
            random[number] = _similarity(one, other[rng.permutation(len(one))])
    order = rng.permutation(len(one))
    pair = paired(first, second, spec)
    control = paired(first, second[order], spec)
    return Joint(
        pair,
        # A resample has fewer different texts, so more of it can be turned onto each other.
        estimate(value, recentred(value, drawn)),
        band(random),
        pair.typical,
        control.typical,
        (control.trust[0].trustworthiness, control.trust[1].trustworthiness),
    )


def paired(first: NDArray[np.floating], second: NDArray[np.floating], spec: LayoutSpec) -> Pair:
    """Draw two models' states on one picture; row ``i`` of both is taken for the same text."""
    one, other = reduced(first), reduced(second)
    width = max(one.shape[1], other.shape[1])
    one, other = (np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in (one, other))
    points = project(np.vstack([one, other @ _turn(other, one)]), spec).points
    halves = points[: len(one)], points[len(one) :]
    trust = tuple(
        judge(states, half, "cosine")
        for states, half in zip(map(_centred, (first, second)), halves, strict=True)
    )
    return Pair(*halves, (trust[0], trust[1]))


def reduced(states: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return states along their widest directions, centred, of root mean square length 1.

    Args:
        states: Shape ``(n, d)``.

    Returns:
        Shape ``(n, k)``, k at most ``COMPONENTS``.
    """
    moved = _centred(states)
    scores = moved @ principal_axes(moved, COMPONENTS)[0]
    length = np.sqrt((scores**2).sum() / len(scores))
    return np.asarray(scores / (length or 1.0))


def _centred(states: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(states - states.mean(axis=0, dtype=np.float64), np.float32)


def _turn(points: NDArray[np.float64], onto: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.linalg import orthogonal_procrustes

    turn: NDArray[np.float64] = orthogonal_procrustes(points, onto)[0]
    return turn


def _similarity(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return how far the second can be turned onto the first: 1 wholly, 0 not at all."""
    one, other = (each - each.mean(axis=0) for each in (first, second))
    together = np.linalg.svd(one.T @ other, compute_uv=False).sum()
    return float(together / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-12))
