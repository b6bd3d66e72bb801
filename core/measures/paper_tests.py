"""The four tests as the paper's released code makes them, so that the effect of each repair shows.

arXiv 2603.15615 and its repository: an item is part of the centre it is compared with, the layer is
the one that looks best, clusters are scored without the rows that HDBSCAN calls noise. Nothing here
is meant as a result of its own; ``core.paperprobe`` has the fourth test.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.measures.geometry import centres
from core.statistics.neighbours import normalised

#: The paper's settings of HDBSCAN, and the share of variance its components keep.
SMALLEST_CLUSTER: Final = 100
MIN_SAMPLES: Final = 20
VARIANCE: Final = 0.95
#: Rows that are clustered at most; HDBSCAN's cost grows with their square.
MOST_CLUSTERED: Final = 4000
#: Label of rows left out because there are too many.
NOT_ASKED: Final = -2


def closeness_in_sample(
    states: NDArray[np.floating], members: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the cosine of each state to each centre, its own text included.

    Args:
        states: Centred states, shape ``(n, d)``.
        members: Which items make up each centre, shape ``(n, 10)``.

    Returns:
        Shape ``(n, 10)``; NaN where a centre has no member.
    """
    middle = centres(states, members)
    known = np.isfinite(middle).all(axis=1)
    result = np.full((len(states), len(middle)), np.nan)
    result[:, known] = normalised(states) @ normalised(middle[known]).T
    return result


def off_diagonal(cosine: NDArray[np.float64]) -> float:
    """Return the mean cosine of different centres: the paper takes the layer where it is lowest.

    Args:
        cosine: Shape ``(10, 10)``, NaN for centres without enough texts.
    """
    other = cosine[~np.eye(len(cosine), dtype=bool)]
    known = other[np.isfinite(other)]
    return float(known.mean()) if len(known) else float("nan")


def density_clusters(states: NDArray[np.floating], *, seed: int = 0) -> NDArray[np.int64]:
    """Return the paper's clusters: HDBSCAN on the components that keep 95 % of the variance.

    Args:
        states: Centred states, shape ``(n, d)``.
        seed: Seed of the sample where there are more than ``MOST_CLUSTERED`` rows.

    Returns:
        Cluster of each row, -1 for noise, ``NOT_ASKED`` for rows outside the sample.
    """
    from sklearn.cluster import HDBSCAN
    from sklearn.decomposition import PCA

    n = len(states)
    found = np.full(n, NOT_ASKED)
    rows = np.arange(n)
    if n > MOST_CLUSTERED:
        rows = np.sort(np.random.default_rng(seed).choice(n, MOST_CLUSTERED, replace=False))
    found[rows] = -1
    if len(rows) < SMALLEST_CLUSTER or np.ptp(states[rows], axis=0).max() == 0:
        return found
    solver = "covariance_eigh" if len(rows) > states.shape[1] else "full"  # the same components
    scores = PCA(VARIANCE, svd_solver=solver).fit_transform(states[rows].astype(np.float64))
    fit = HDBSCAN(
        min_cluster_size=SMALLEST_CLUSTER,
        min_samples=MIN_SAMPLES,
        algorithm="brute",  # trees are no help in hundreds of dimensions
        copy=True,
    )
    found[rows] = fit.fit_predict(scores)
    return found
