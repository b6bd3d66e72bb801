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

#: Runs whose luck a resample shares: other texts lead k-means elsewhere as other seeds do, and the
#: mean of all ten would hide that (calibrated in ``tests/benchmarks/bench_coverage.py``).
SEEDS_PER_DRAW: Final = 2
#: Shuffles behind the band of the silhouette, which costs a pass over the states for each.
SILHOUETTE_SHUFFLES: Final = 100
#: Rows without which the paper's score means nothing.
_FEWEST: Final = 10
#: Shuffles counted at once, labellings by silhouette, and most cells of an array of one number for
#: each row of a shuffle, text of a draw or cluster of a row (float32: 67 MB).
_COUNTED_AT_ONCE, _SCORED_AT_ONCE, _MOST_CELLS = 100, 10, 2**24


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
    own = None if found is None else found[..., part.rows]
    return agreement("k-means", own, ALL, part, scores=1)[0]


def headline_alone(states: NDArray[np.float32], cohort: Cohort, part: Cohort) -> Measured:
    """Return what ``headline`` gives of ``cluster(states, cohort)``, without all that it skips.

    Args:
        states: Scaled, shape ``(n, d)``, one for each row of the cohort.
        cohort: All rows.
        part: The rows that are scored; its ``rows`` say where they stand among all.
    """
    found = kmeans_alone(states, PARTS[ALL], cohort.seed)
    own = None if found is None else found[..., part.rows]
    return agreement("k-means", own, ALL, part, scores=1)[0]


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


def _resampled(sums: NDArray[np.number], cohort: Cohort, *, power: int = 1) -> NDArray[np.float32]:
    """Return totals of texts' sums ``(n_texts, m)``: of all, then resampled, ``(1 + draws, m)``.

    A text counts as often as it is drawn, to the given power.
    """
    each = sums.astype(np.float32)  # counts are exact below 2**24
    totals, step = [each.sum(axis=0, keepdims=True)], max(1, _MOST_CELLS // max(1, len(each)))
    for start in range(0, cohort.draws, step):
        weights = cohort.weights[start : start + step].astype(np.float32)
        totals.append(weights**power @ each)
    return np.vstack(totals)


def agreement(
    kind: str, found: Integers | None, part: str, cohort: Cohort, *, scores: int = 3
) -> list[Measured]:
    """Hold clusters, by k-means or HDBSCAN, against labels; anything follows a single class.

    Args:
        kind: ``k-means`` or ``HDBSCAN``.
        found: Cluster of each row, shape ``(n,)``, or in each of some runs, ``(runs, n)``: figures
            are the mean over runs.
        part: Which labels.
        cohort: Labels of the rows.
        scores: How many of ARI, NMI and, for HDBSCAN, ARI without noise.
    """
    names = [f"ARI of {kind}", f"NMI of {kind}", "ARI without noise"][: 2 + (kind == "HDBSCAN")]
    names = names[:scores]
    if found is None or len(np.unique(_labels(part, cohort))) < 2:
        return [_nothing(part, name, cohort) for name in names]
    runs = np.atleast_2d(found)
    count, tables = len(names), _drawn_tables(runs, part, cohort)
    itself = _drawn_squares(runs, cohort)
    each = np.stack([_scores(*one, count) for one in zip(tables, itself, strict=True)])
    nearer = map(_halfway, tables, itself)
    halfway = np.stack([_scores(*one, count) for one in nearer])
    spread = [_spread(each[:, i], halfway[:, i], cohort.seed) for i in range(count)]
    drawn = _placed(each[..., 0].mean(axis=0), np.stack(spread))
    null = [
        _scores(one.reshape(-1, *one.shape[2:]), None, count)
        for one in _mixed_tables(runs, part, cohort)
    ]
    mean = [one.reshape(count, len(runs), -1).mean(axis=1) for one in null]
    shuffled = np.hstack([np.empty((count, 0)), *mean])
    n = [runs.shape[1], runs.shape[1], int((runs[0] > NOISE).sum())]
    return [_one(part, name, n[i], drawn[i], shuffled[i]) for i, name in enumerate(names)]


def _spread(
    each: NDArray[np.float64], halfway: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Return how far a score of all runs' mean lies off in each resample, ``(b,)``, mean about 0.

    A score is of first and second order in the noise of a table, and a resample adds noise to what
    is noisy already: of second order it spreads three times as widely as the score does (variance),
    halfway to it 9/4 times. So both together tell what is of second order, and two thirds are taken
    off. What luck of seeds adds is what runs differ by beyond that: the part of second order is the
    chance that differs between any two clusterings.

    Args:
        each: The score of each run: of the rows, then of each resample, ``(runs, 1 + b)``.
        halfway: The same of tables halfway between rows and resample, ``(runs, b)``.
        seed: Of the choice of runs.
    """
    count, observed, drawn = len(each), each[:, 0], each[:, 1:]
    known = np.isfinite(drawn).all(axis=0) & np.isfinite(halfway).all(axis=0)
    spread = np.full(drawn.shape[1], np.nan)
    if not known.any() or not np.isfinite(observed).all():
        return spread
    mean = drawn[:, known].mean(axis=0)
    far = np.array([mean.var(), drawn[:, known].var(axis=1).mean()])
    near = 4 * np.array(
        [halfway[:, known].mean(axis=0).var(), halfway[:, known].var(axis=1).mean()]
    )
    second = np.maximum(far - near, 0) * 4 / 3
    spread[known] = (mean - mean.mean()) * np.sqrt(
        np.clip(1 - 2 * second[0] / max(far[0], 1e-300), 1 / 3, 1)
    )
    luck = float(observed.var())
    if luck > 0:
        own = np.sqrt(np.clip(1 - (second[1] - second[0]) / luck, 0, 1)) * count / (count - 1)
        rng = np.random.default_rng([seed, 7])
        picked = rng.integers(count, size=(SEEDS_PER_DRAW, len(spread)))
        shared = observed[picked].mean(axis=0)
        spread += own * (shared - shared.mean())
    return spread


def _placed(figures: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores ``(k,)`` and their resamples around them, in range, ``(k, 1 + b)``.

    Not where resamples lie: a table of fewer texts has more chance agreement, so with few rows the
    whole interval would lie above the figure.
    """
    least = np.array([-1.0, 0, -1])[: len(figures), None]
    return np.hstack([figures[:, None], np.clip(figures[:, None] + spread, least, 1)])


def _drawn_squares(runs: Integers, cohort: Cohort) -> NDArray[np.float64]:
    """Return how often rows pair with themselves in all rows and each resample of texts.

    Squared weights of all rows and of those in clusters, shape ``(runs, 1 + draws, 2)``: a row that
    is drawn twice is no pair of two.
    """
    rows = [np.bincount(cohort.text, among, cohort.n_texts) for among in runs > NOISE]
    every = np.bincount(cohort.text, minlength=cohort.n_texts)
    squares = _resampled(np.stack([every, *rows], axis=1), cohort, power=2).T.astype(np.float64)
    return np.stack([np.broadcast_to(squares[:1], squares[1:].shape), squares[1:]], axis=2)


def _halfway(
    tables: NDArray[np.float64], itself: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return tables and squared weights halfway from the rows to each resample."""
    drawn = np.stack([tables[1:].sum(axis=(1, 2)), tables[1:, 1:].sum(axis=(1, 2))], axis=1)
    return (tables[:1] + tables[1:]) / 2, (itself[:1] + 2 * drawn + itself[1:]) / 4


def _drawn_tables(runs: Integers, part: str, cohort: Cohort) -> NDArray[np.float64]:
    """Return each run's table of all rows and of each resample of texts.

    Shape ``(runs, 1 + draws, 1 + clusters, classes)``; the first row of a table is noise. A text
    has few rows, so its part in a table is nearly empty: sparse products count them.
    """
    from scipy.sparse import csr_array

    size, classes = int(runs.max() + 2), PARTS[part]
    cells = (runs + 1) * classes + _labels(part, cohort)
    cells += size * classes * np.arange(len(runs))[:, None]
    ones, texts = np.ones(cells.size, np.float32), np.tile(cohort.text, len(runs))
    shape = len(runs) * size * classes, cohort.n_texts
    counts = csr_array((ones, (cells.ravel(), texts)), shape=shape)
    weights = np.vstack([np.ones((1, cohort.n_texts), np.uint8), cohort.weights])
    step = max(1, _MOST_CELLS // max(1, cohort.n_texts))
    found = [
        (counts @ weights[start : start + step].T.astype(np.float32, order="C")).T
        for start in range(0, len(weights), step)
    ]
    tables = np.concatenate(found).reshape(len(weights), len(runs), size, classes)
    return np.asarray(np.moveaxis(tables, 1, 0), np.float64, order="C")


def _mixed_tables(runs: Integers, part: str, cohort: Cohort) -> Iterator[NDArray[np.float64]]:
    """Yield the tables of all shuffles, some at once, ``(runs, b, 1 + clusters, classes)``.

    A shuffle is a sparse matrix of the rows that take each label; times which row is in which
    cluster it counts all runs.
    """
    from scipy.sparse import csr_array

    size, classes, takers = int(runs.max() + 2), PARTS[part], _takers(part, cohort)
    labels, n = _labels(part, cohort), runs.shape[1]
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(classes))
    member = np.zeros((n, len(runs) * size), np.float32)
    np.put_along_axis(member, runs.T + 1 + size * np.arange(len(runs)), 1, axis=1)
    step = min(_COUNTED_AT_ONCE, max(1, _MOST_CELLS // max(1, n)))
    for start in range(0, len(takers), step):
        rows = takers[start : start + step, order]
        ends = np.append((np.arange(len(rows))[:, None] * n + starts).ravel(), rows.size)
        taken = csr_array(
            (np.ones(rows.size, np.float32), rows.ravel(), ends), shape=(len(ends) - 1, n)
        )
        tables = (taken @ member).reshape(len(rows), classes, len(runs), size)
        yield np.asarray(tables.transpose(2, 0, 3, 1), np.float64, order="C")


def _scores(
    tables: NDArray[np.float64], itself: NDArray[np.float64] | None, count: int
) -> NDArray[np.float64]:
    """Return the first of ARI, NMI and ARI without noise of a stack of tables, ``(count, b)``.

    Args:
        tables: Shape ``(b, 1 + clusters, classes)``.
        itself: As ``_drawn_squares`` has it, ``(b, 2)``; None: each row counts once.
        count: How many scores.
    """
    every, clear = (None, None) if itself is None else itself.T
    found = [_adjusted_rand(tables, every)]
    if count > 1:
        found.append(_mutual_information(tables))
    if count > 2:
        few = tables[:, 1:].sum(axis=(1, 2)) < _FEWEST
        found.append(np.where(few, np.nan, _adjusted_rand(tables[:, 1:], clear)))
    return np.stack(found)


def _adjusted_rand(
    tables: NDArray[np.float64], itself: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return adjusted Rand indices (Hubert & Arabie 1985), NaN for tables of a single class.

    Args:
        tables: Shape ``(b, clusters, classes)``.
        itself: Sums of squared weights of rows, ``(b,)``; None: each row counts once.
    """
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    total, squares = rows.sum(axis=1), (tables**2).sum(axis=(1, 2))
    alone = total if itself is None else itself
    both, apart = squares - alone, (rows**2).sum(axis=1) - squares
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
    cells = tables.reshape(len(tables), tables.shape[1] * tables.shape[2])
    total = rows.sum(axis=1, keepdims=True)
    # Sums of c log c: entropies times the number of rows.
    parts = cells, rows, columns, total
    c, r, k, t = ((x * np.log(np.where(x > 0, x, 1))).sum(axis=1) for x in parts)
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
