"""Do unsupervised clusters of a layer's states follow moral labels?

The structural test of arXiv 2603.15615, whose score looks only at rows that HDBSCAN clusters: a
layer that is nearly all noise can then reach 1. Here noise is a class of its own, k-means puts
every row somewhere, and two figures need no clusters: how pure the labels' neighbourhoods are, and
how well the labels themselves would do as clusters.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.measures.clustering import (
    NOISE,
    NOT_ASKED,
    PARTS,
    Clustering,
    Floats,
    Integers,
    as_tensor,
    kmeans_alone,
)
from core.measures.cohort import Cohort
from core.measures.result import ALL, Measured, Measurement, band, estimate

#: Runs that a resample averages: other texts lead k-means elsewhere as other seeds do, and the mean
#: of all ten would hide that (calibrated on made data, ``tests/benchmarks/bench_coverage.py``).
SEEDS_PER_DRAW: Final = 2
#: Shuffles behind the band of the silhouette, which costs a pass over the states for each.
SILHOUETTE_SHUFFLES: Final = 100
#: Rows without which the paper's score means nothing.
_FEWEST: Final = 10
#: Shuffles counted at once (100 x 16,000 cells of int64 are 13 MB), and labellings by silhouette.
_COUNTED_AT_ONCE, _SCORED_AT_ONCE = 100, 10


def measure(clustering: Clustering, cohort: Cohort) -> Measured:
    """Return how far clusters, neighbourhoods and distances follow foundations and poles.

    Args:
        clustering: Of all rows of the cohort.
        cohort: Labels, resamples and shuffles.
    """
    asked = clustering.density > NOT_ASKED
    dense = cohort if asked.all() else cohort.take(asked)
    density = clustering.density[asked] if clustering.kmeans else None
    scored: list[Measured] = []
    for part, k in PARTS.items():
        scored += agreement("k-means", clustering.kmeans.get(k), part, cohort)
        scored += agreement("HDBSCAN", density, part, dense)
        scored.append(_purity(clustering.near, part, cohort))
        scored.append(_silhouette(clustering, part, cohort))
    scored += _extent(density, dense)
    figures = tuple(figure for one in scored for figure in one.figures)
    return Measured(figures, scored[0].draws, scored[0].null)


def headline(clustering: Clustering, part: Cohort) -> Measured:
    """Return the headline figure of some rows alone, the clusters being those of all rows.

    Args:
        clustering: Of all rows.
        part: The rows that are scored, resampled and shuffled among themselves; its ``rows`` say
            where they stand among all.
    """
    found = clustering.kmeans.get(PARTS[ALL])
    return agreement("k-means", None if found is None else found[..., part.rows], ALL, part)[0]


def headline_alone(states: NDArray[np.float32], cohort: Cohort, part: Cohort) -> Measured:
    """Return what ``headline`` gives of ``cluster(states, cohort)``, without all that it skips.

    Args:
        states: Scaled, shape ``(n, d)``, one for each row of the cohort.
        cohort: All rows.
        part: The rows that are scored; its ``rows`` say where they stand among all.
    """
    found = kmeans_alone(states, PARTS[ALL], cohort.seed)
    return agreement("k-means", None if found is None else found[..., part.rows], ALL, part)[0]


def _labels(part: str, cohort: Cohort) -> Integers:
    """Return the label of each row, in ``[0, PARTS[part])``, shape ``(n,)``."""
    every = {"foundations": cohort.foundation, "polarity": cohort.sign}
    return every.get(part, 3 * cohort.foundation + cohort.sign)


def _takers(part: str, cohort: Cohort) -> NDArray[np.int32]:
    return cohort.takers_anywhere if part == "foundations" else cohort.takers


def _nothing(part: str, name: str, cohort: Cohort) -> Measured:
    return _one(part, name, 0, np.full(1 + cohort.draws, np.nan), np.full(cohort.shuffles, np.nan))


def _one(part: str, name: str, n: int, drawn: Floats, null: Floats) -> Measured:
    """Return one figure: ``drawn[0]``, of which ``drawn[1:]`` are resamples."""
    figure = Measurement("structural", name, part, n, estimate(drawn[0], drawn[1:]), band(null))
    return Measured((figure,), drawn[1:].astype(np.float32), null.astype(np.float32))


def _resampled(sums: NDArray[np.number], cohort: Cohort) -> NDArray[np.float32]:
    """Return totals of texts' sums ``(n_texts, m)``: of all, then resampled, ``(1 + draws, m)``."""
    weights = np.insert(cohort.weights.astype(np.float32), 0, 1, axis=0)
    return weights @ sums.astype(np.float32)  # counts are exact below 2**24


def agreement(kind: str, found: Integers | None, part: str, cohort: Cohort) -> list[Measured]:
    """Hold clusters, by k-means or HDBSCAN, against labels; anything follows a single class.

    Args:
        kind: ``k-means`` or ``HDBSCAN``.
        found: Cluster of each row, shape ``(n,)``, or in each of some runs, ``(runs, n)``: figures
            are the mean over runs, and each resample draws texts and ``SEEDS_PER_DRAW`` runs.
        part: Which labels.
        cohort: Labels of the rows.
    """
    names = [f"ARI of {kind}", f"NMI of {kind}", "ARI without noise"][: 2 + (kind == "HDBSCAN")]
    if found is None or len(np.unique(_labels(part, cohort))) < 2:
        return [_nothing(part, name, cohort) for name in names]
    runs = np.atleast_2d(found)
    each = np.stack([_scores(_drawn_tables(run, part, cohort)) for run in runs])
    drawn = _placed(np.column_stack([each[..., 0].mean(axis=0), _some_runs(each[..., 1:], cohort)]))
    null = np.mean(
        [
            np.hstack([np.empty((3, 0)), *map(_scores, _mixed_tables(run, part, cohort))])
            for run in runs
        ],
        axis=0,
    )
    n = [runs.shape[1], runs.shape[1], int((runs[0] > NOISE).sum())]
    return [_one(part, name, n[i], drawn[i], null[i]) for i, name in enumerate(names)]


def _some_runs(each: NDArray[np.float64], cohort: Cohort) -> NDArray[np.float64]:
    """Return the mean score of the runs that a resample draws, ``(3, b)`` of ``(runs, 3, b)``."""
    count = SEEDS_PER_DRAW if len(each) > 1 else 1
    rng = np.random.default_rng([cohort.seed, 7])
    picked = rng.integers(len(each), size=(count, each.shape[2]))
    mean: NDArray[np.float64] = each[picked, :, np.arange(each.shape[2])].mean(axis=0).T
    return mean


def _placed(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return resamples ``[:, 1:]`` of the scores moved onto the figures ``[:, :1]``, in range.

    A text that is drawn twice agrees with itself, and a table of fewer texts has more chance
    agreement: with few rows the whole interval would lie above the figure. Its width is right.
    """
    known = np.isfinite(drawn[:, 1:])
    mean = drawn[:, 1:].sum(axis=1, where=known) / np.maximum(known.sum(axis=1), 1)
    moved = drawn[:, 1:] + drawn[:, :1] - mean[:, None]
    return np.hstack([drawn[:, :1], np.clip(moved, [[-1], [0], [-1]], 1)])


def _drawn_tables(found: Integers, part: str, cohort: Cohort) -> NDArray[np.float64]:
    """Return the table of all rows and of each resample, ``(1 + draws, 1 + clusters, classes)``.

    The first row of a table is noise.
    """
    size = int(found.max() + 2) * PARTS[part]
    cells = cohort.text * size + (found + 1) * PARTS[part] + _labels(part, cohort)
    counts = np.bincount(cells, minlength=size * cohort.n_texts).reshape(-1, size)
    tables = _resampled(counts, cohort)
    return tables.reshape(len(tables), -1, PARTS[part]).astype(np.float64)


def _mixed_tables(found: Integers, part: str, cohort: Cohort) -> Iterator[NDArray[np.float64]]:
    """Yield the tables of all shuffles, some at once, ``(b, 1 + clusters, classes)``."""
    size, takers = int(found.max() + 2), _takers(part, cohort)
    for start in range(0, len(takers), _COUNTED_AT_ONCE):
        taken = found[takers[start : start + _COUNTED_AT_ONCE]] + 1
        taken += size * np.arange(len(taken))[:, None]
        cells = taken * PARTS[part] + _labels(part, cohort)
        tables = np.bincount(cells.ravel(), minlength=len(taken) * size * PARTS[part])
        yield tables.reshape(len(taken), size, PARTS[part]).astype(np.float64)


def _scores(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ARI, NMI and ARI without noise of a stack of tables, ``(3, b)``."""
    clear = tables[:, 1:]
    few = clear.sum(axis=(1, 2)) < _FEWEST
    without = np.where(few, np.nan, _adjusted_rand(clear))
    return np.stack([_adjusted_rand(tables), _mutual_information(tables), without])


def _adjusted_rand(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return adjusted Rand indices (Hubert & Arabie 1985), NaN for tables of a single class."""
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    total, squares = rows.sum(axis=1), (tables**2).sum(axis=(1, 2))
    both, apart = squares - total, (rows**2).sum(axis=1) - squares
    split = (columns**2).sum(axis=1) - squares
    neither = total**2 - squares - apart - split
    above = 2 * (both * neither - apart * split)
    below = (both + apart) * (apart + neither) + (both + split) * (split + neither)
    index = np.divide(above, below, out=np.ones_like(above), where=below > 0)
    return np.where((columns > 0).sum(axis=1) > 1, index, np.nan)


def _mutual_information(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return mutual information over mean entropy, in [0, 1], NaN for tables of a single class.

    Not adjusted for chance: many clusters or few rows raise it, as its band shows.
    """
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    cells, total = tables.reshape(len(tables), -1), rows.sum(axis=1, keepdims=True)
    # Sums of c log c, no count being between 0 and 1: entropies times the number of rows.
    c, r, k, t = ((x * np.log(np.maximum(x, 1))).sum(axis=1) for x in (cells, rows, columns, total))
    mean = (t - r + t - k) / 2
    share = np.divide(t - r - k + c, mean, out=np.zeros_like(mean), where=mean > 0)
    return np.where((columns > 0).sum(axis=1) > 1, np.clip(share, 0, 1), np.nan)


def _extent(density: Integers | None, cohort: Cohort) -> list[Measured]:
    """Return how many rows HDBSCAN puts into clusters, and into how many; labels play no part."""
    share, count = "coverage of HDBSCAN", "clusters of HDBSCAN"
    if density is None:
        return [_nothing(ALL, share, cohort), _nothing(ALL, count, cohort)]
    n, clusters = len(density), np.array([density.max() + 1.0])
    inside = _means((density > NOISE).astype(float), np.arange(n), cohort)
    return [_one(ALL, share, n, inside, clusters[1:]), _one(ALL, count, n, clusters, clusters[1:])]


def _means(values: Floats, rows: Integers, cohort: Cohort) -> Floats:
    """Return the mean of some rows' values ``(m,)``, then in each resample, ``(1 + draws,)``."""
    both = values, np.ones(len(rows))
    sums = [np.bincount(cohort.text[rows], one, cohort.n_texts) for one in both]
    above, below = _resampled(np.stack(sums, axis=1), cohort).T
    means: Floats = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    return means


def _mixed(labels: Integers, takers: NDArray[np.int32]) -> NDArray[np.int8]:
    """Return the label that each row has in each shuffle, ``(shuffles, n)``."""
    result, given = np.empty(takers.shape, np.int8), labels.astype(np.int8)[None]
    np.put_along_axis(result, takers.astype(np.int64), given, axis=1)
    return result


def _purity(near: Integers, part: str, cohort: Cohort) -> Measured:
    """Return the mean share of a row's nearest neighbours that have its label."""
    rows, labels = np.flatnonzero(near[:, 0] >= 0), _labels(part, cohort)
    if not len(rows) or len(np.unique(labels)) < 2:
        return _nothing(part, "neighbour purity", cohort)
    near = near[rows]
    share = 1 / (near >= 0).sum(axis=1)
    # A missing neighbour reads the last label, which no row has.
    own = (np.append(labels, -1)[near] == labels[rows, None]).sum(axis=1) * share
    mixed = np.full((len(labels) + 1, cohort.shuffles), -1, np.int8)
    mixed[:-1] = _mixed(labels, _takers(part, cohort)).T
    given, hits = mixed[rows], np.zeros((len(rows), cohort.shuffles), np.uint8)
    for column in near.T:
        hits += mixed[column] == given
    null = share.astype(np.float32) @ hits.astype(np.float32) / len(rows)
    return _one(part, "neighbour purity", len(rows), _means(own, rows, cohort), null)


def _silhouette(clustering: Clustering, part: str, cohort: Cohort) -> Measured:
    """Return the mean silhouette of the labels themselves; its band rests on fewer shuffles."""
    labels = _labels(part, cohort)
    if not clustering.kmeans or len(np.unique(labels)) < 2:
        return _nothing(part, "silhouette", cohort)
    mixed = _mixed(labels, _takers(part, cohort)[:SILHOUETTE_SHUFFLES])
    values = _silhouettes(clustering.unit, labels[None], PARTS[part])[0]
    null = _silhouettes(clustering.unit, mixed, PARTS[part]).mean(axis=1)
    return _one(
        part, "silhouette", len(labels), _means(values, np.arange(len(labels)), cohort), null
    )


def _silhouettes(unit: NDArray[np.float32], labels: NDArray[np.integer], classes: int) -> Floats:
    """Return silhouettes (Rousseeuw 1987) with cosine distance, shape of labels ``(b, n)``.

    The mean cosine distance to a class is one minus the product with its mean unit row, so that no
    two rows have to be compared. 0 for a row alone in its class, NaN if there is only one.
    """
    import torch

    rows, result = as_tensor(unit), np.empty(labels.shape, np.float32)
    itself = (rows * rows).sum(dim=1)
    for start in range(0, len(labels), _SCORED_AT_ONCE):
        own = as_tensor(labels[start : start + _SCORED_AT_ONCE]).long()[:, None]
        member = rows.new_zeros(len(own), classes, len(rows)).scatter_(1, own, 1)
        size = member.sum(dim=2, keepdim=True)
        sums = ((member.flatten(0, 1) @ rows) @ rows.T).view_as(member)
        alone = size.expand_as(sums).gather(1, own)
        inner = 1 - (sums.gather(1, own) - itself) / (alone - 1).clamp(min=1)
        outer = 1 - sums / size.clamp(min=1)
        outer = outer.masked_fill_(size == 0, torch.inf).scatter_(1, own, torch.inf)
        outer = outer.amin(dim=1, keepdim=True)
        # Rows in one place are some 1e-7 apart by rounding, and no such share means anything.
        score = (outer - inner) / torch.maximum(inner, outer).clamp(min=1e-6)
        score = score.masked_fill_(alone == 1, 0).masked_fill_(outer.isinf(), torch.nan)
        result[start : start + _SCORED_AT_ONCE] = score[:, 0].cpu().numpy()
    return result
