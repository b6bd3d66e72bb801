"""Clusters and neighbourhoods of a layer's states, found without any label."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from core.measures.cohort import Cohort
from core.measures.geometry import centred
from core.measures.result import ALL
from core.statistics.neighbours import BLOCK, normalised

if TYPE_CHECKING:
    import torch

Integers = NDArray[np.int64]
Floats = NDArray[np.floating]

#: Labels that clusters are held against, and how many there are of each; k-means makes as many.
PARTS: Final = {ALL: 15, "foundations": 5, "polarity": 3}
#: Runs of k-means, each from one seed: where it ends is partly luck, so figures are their mean.
SEEDS: Final = 10
#: Principal components that are clustered.
COMPONENTS: Final = 50
#: Neighbours of a row whose labels are compared with its own.
NEIGHBOURS: Final = 10
#: Rows that HDBSCAN is given at most: its cost grows with their square.
MOST_CLUSTERED: Final = 4000
#: Rows whose neighbours are looked for at most, among all rows.
MOST_ASKED: Final = 2000
#: HDBSCAN's label of rows it finds too sparse, and ours for rows it was not given.
NOISE: Final = -1
NOT_ASKED: Final = -2

#: Width up to which principal components come from the whole covariance.
_MOST_EXACT: Final = 1024
#: Rows of the smallest cluster.
_FEWEST: Final = 10


@dataclass(frozen=True, eq=False)
class Clustering:
    """The clusters and neighbourhoods of all rows of a layer."""

    kmeans: dict[int, NDArray[np.int64]]
    """Number of clusters -> cluster of each row in each run, shape ``(SEEDS, n)``. Numbers above
    that of different states are missing; it is empty, and nothing can be measured, if there are
    fewer than three different states or one is not finite."""

    density: NDArray[np.int64]
    """HDBSCAN's cluster of each row, ``NOISE`` or ``NOT_ASKED``, shape ``(n,)``."""

    near: NDArray[np.int64]
    """The nearest rows of other texts by cosine, shape ``(n, 10)``; -1 where there are no more, and
    throughout for rows that were not asked."""

    unit: NDArray[np.float32]
    """States of unit length, shape ``(n, d)``."""


def cluster(
    states: NDArray[np.float32],
    cohort: Cohort,
    *,
    components: int = COMPONENTS,
    seed: int | None = None,
) -> Clustering:
    """Cluster the rows of a layer, and find each row's neighbours.

    Clusters are looked for among principal components, because density means little in hundreds
    of dimensions; neighbours and cosines use all of them.

    Args:
        states: Scaled, shape ``(n, d)``, one for each row of the cohort.
        cohort: Texts of the rows.
        components: Principal components that are clustered.
        seed: Seed of everything random; the cohort's if not given.
    """
    seed = cohort.seed if seed is None else seed
    different = _different(states)
    if different < min(PARTS.values()):
        known = np.isfinite(states).all()
        noise, none = np.full(len(states), NOISE), np.full((len(states), NEIGHBOURS), -1)
        return Clustering({}, noise, none, normalised(np.where(known, states, 0)))
    reduced, unit = _reduced(states, components, seed), normalised(states)
    kmeans = {k: _kmeans(reduced, k, seed) for k in sorted(PARTS.values()) if k <= different}
    return Clustering(kmeans, _density(reduced, seed), _near(unit, cohort.text, seed), unit)


def kmeans_alone(states: NDArray[np.float32], k: int, seed: int) -> Integers | None:
    """Return the clusters that ``cluster`` finds by k-means, ``(SEEDS, n)``, without all the rest.

    None if there are fewer than ``k`` different states.
    """
    if _different(states) < k:
        return None
    return _kmeans(_reduced(states, COMPONENTS, seed), k, seed)


def _different(states: Floats) -> int:
    """Return the number of different states, 0 if one is not finite."""
    if not np.isfinite(states).all():
        return 0
    return len({hash((row + 0.0).tobytes()) for row in states})  # -0 is 0


def as_tensor(array: NDArray[np.generic]) -> "torch.Tensor":
    """Return an array where torch works on it: on a GPU if there is one."""
    import torch

    return torch.from_numpy(array).to("cuda" if torch.cuda.is_available() else "cpu")


def _reduced(states: Floats, components: int, seed: int) -> NDArray[np.float32]:
    """Return scores on the leading principal components, signs fixed by the largest loading."""
    import torch

    rows = as_tensor(centred(states))
    width = min(components, len(rows) - 1, rows.shape[1])
    if rows.shape[1] <= _MOST_EXACT:
        axes = torch.linalg.eigh(rows.T @ rows)[1].flip(1)[:, :width]
    else:
        axes = _leading_axes(rows, width, seed)
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    scores = rows @ torch.where(largest < 0, -axes, axes)
    return np.asarray(scores.cpu().numpy(), np.float32)


def _leading_axes(rows: "torch.Tensor", width: int, seed: int) -> "torch.Tensor":
    """Return the leading right singular vectors ``(d, width)`` as ``torch.svd_lowrank`` finds them.

    That takes no generator, and a global seed would reseed whatever runs beside.
    """
    import torch

    size = rows.shape[1], min(width + 10, *rows.shape)
    draw = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(rows.device)
    basis = torch.linalg.qr(rows @ draw)[0]
    for _ in range(4):
        basis = torch.linalg.qr(rows @ torch.linalg.qr(rows.T @ basis)[0])[0]
    axes: torch.Tensor = torch.linalg.svd(basis.T @ rows, full_matrices=False)[2][:width].T
    return axes


def _kmeans(points: NDArray[np.float32], k: int, seed: int) -> Integers:
    """Return the clusters of each run, ``(SEEDS, n)``."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():  # different states may still agree in all the components
        warnings.simplefilter("ignore", ConvergenceWarning)
        seeds = np.random.default_rng(seed).integers(2**31, size=SEEDS)
        runs = [KMeans(k, n_init=1, random_state=int(one)).fit_predict(points) for one in seeds]
    return np.stack(runs).astype(np.int64)


def _sample(n: int, most: int, seed: int) -> Integers:
    """Return all rows, or ``most`` random ones in ascending order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, most]).choice(n, most, replace=False))


def _density(points: NDArray[np.float32], seed: int) -> Integers:
    from sklearn.cluster import HDBSCAN

    rows = _sample(len(points), MOST_CLUSTERED, seed)
    found = np.full(len(points), NOT_ASKED)
    found[rows] = NOISE
    smallest = max(_FEWEST, len(rows) // 100)
    if len(rows) >= smallest:
        fit = HDBSCAN(min_cluster_size=smallest, min_samples=5, algorithm="brute", copy=True)
        found[rows] = fit.fit_predict(points[rows])
    return found


def _near(unit: NDArray[np.float32], text: Integers, seed: int) -> Integers:
    import torch

    near = np.full((len(unit), NEIGHBOURS), -1)
    k = min(NEIGHBOURS, len(unit))
    states, texts, asked = as_tensor(unit), as_tensor(text), _sample(len(unit), MOST_ASKED, seed)
    for start in range(0, len(asked), BLOCK):
        rows = as_tensor(asked[start : start + BLOCK])
        cosine = states[rows] @ states.T
        cosine[texts[rows, None] == texts] = -torch.inf
        value, found = cosine.topk(k)
        near[asked[start : start + BLOCK], :k] = found.masked_fill(value.isneginf(), -1).cpu()
    return near
