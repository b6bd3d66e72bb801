"""How well a probe decodes moral dimensions: R², rank correlation and AUROC, beside shuffles."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS
from core.measures.cohort import Cohort
from core.measures.probe_shuffles import refitted
from core.measures.probes import Probe, fold_of
from core.measures.result import ALL, Measured, Measurement, band, estimate, moved
from core.statistics.ridge import Fold, Refit
from core.statistics.scores import (
    Explained,
    RankScores,
    auroc_draws,
    correlation_draws,
    explained,
    explained_by_text,
    mean_correlation,
    mean_known,
    ranked,
)

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

#: Shuffles for which predictions are ranked as well: AUROC and rank correlation.
RANKED: Final = 100

#: Test rows whose teachers are weighed at once: with 16,000 rows 23 MB.
_TESTED_AT_ONCE: Final = 512
#: Least share of what texts teach that is kept where all of it looks like noise.
_LEAST_TAUGHT: Final = 1 / 8
_NO_ORDER: Final = RankScores(np.empty((0, len(DIMENSIONS))), np.empty((0, len(DIMENSIONS))))


class _Scores(NamedTuple):
    """One score of the ten dimensions."""

    name: str
    n: NDArray[np.int64]
    value: Floats
    draws: Floats
    null: Floats


def measure(probe: Probe, cohort: Cohort) -> Measured:
    """Score the predictions, with intervals over texts and the probe refitted to shuffled labels.

    ``R²`` of all dimensions is the plain mean over those that vary; ``R² weighted`` weighs them by
    variance. Rank correlation is among the rows that have a dimension, AUROC between them and the
    others; these two have their band from the first ``RANKED`` shuffles, and their intervals hold
    the probe fixed. That of R² is as wide as other texts to learn from make it: a text that is
    drawn once more is tested once more, and teaches the probes of the other folds once more.

    Args:
        probe: Fitted to this cohort.
        cohort: May differ from that of the fit in draws and shuffles only.
    """
    rows = [np.arange(len(cohort))]
    (null,), shuffled = _nulls(probe, cohort, rows, ranks=RANKED)
    return _whole(probe, cohort, null, shuffled, *_pulls(probe, cohort, rows))


def measure_both(probe: Probe, cohort: Cohort, part: Cohort) -> tuple[Measured, Measured]:
    """Return what ``measure`` and ``headline`` give, the control refitted only once for both."""
    parts = [np.arange(len(cohort)), part.rows]
    (null, own), shuffled = _nulls(probe, cohort, parts, ranks=RANKED)
    whole, some = _pulls(probe, cohort, parts)
    return (
        _whole(probe, cohort, null, shuffled, whole),
        _part(probe, cohort, part, own, some),
    )


def _whole(
    probe: Probe, cohort: Cohort, null: Explained, shuffled: RankScores, pull: Floats
) -> Measured:
    """Return all scores of all rows, given those of the shuffles and what texts teach."""
    vectors = cohort.vectors.astype(np.float64)
    value, draws = _explained(probe, cohort, cohort, pull)
    order, auroc, correlation = _order(probe, cohort, vectors)
    rows, present = np.full(len(DIMENSIONS), len(cohort)), (vectors > 0).sum(axis=0)
    r2 = _Scores("R²", rows, value.each(), _moved(value.each(), draws.each()), null.each())
    ranks = _Scores(
        "rank correlation", present, order.correlation, correlation, shuffled.correlation
    )
    areas = _Scores("AUROC", rows, order.auroc, auroc, shuffled.auroc)
    joined = [
        *_figures(r2, mean_known, len(cohort)),
        _figure(
            "R² weighted",
            ALL,
            len(cohort),
            value.weighted(),
            moved(value.weighted()[0], draws.weighted()),
            null.weighted(),
        ),
        *_figures(ranks, partial(mean_correlation, n=present), int(present.sum())),
        *_figures(areas, mean_known, len(cohort)),
    ]
    return _measured(joined, mean_known(r2.draws), mean_known(null.each()))


def headline(probe: Probe, cohort: Cohort, part: Cohort) -> Measured:
    """Score the same predictions on some of the rows: R² of all dimensions only.

    Draws resample the texts of these rows; the control shuffles and refits on all rows.

    Args:
        probe: Fitted to this cohort.
        cohort: All rows, which stand in it at ``0 .. n - 1``.
        part: Those to score; its ``rows`` say where they stand among all.
    """
    (null,), _ = _nulls(probe, cohort, [part.rows], ranks=0)
    (pull,) = _pulls(probe, cohort, [part.rows])
    return _part(probe, cohort, part, null, pull)


def resampled(probe: Probe, cohort: Cohort, part: Cohort) -> tuple[float, Floats]:
    """Return R² of all dimensions on some of the rows and its resamples, as ``headline`` has them.

    Args:
        probe: Fitted to this cohort.
        cohort: All rows.
        part: Those to score, with the cohort's vectors.
    """
    (pull,) = _pulls(probe, cohort, [part.rows])
    value, draws = _explained(probe, cohort, part, pull)
    return float(mean_known(value.each())[0]), mean_known(_moved(value.each(), draws.each()))


def _part(probe: Probe, cohort: Cohort, part: Cohort, null: Explained, pull: Floats) -> Measured:
    """Return the headline of some rows, given that of the shuffles and what texts teach."""
    value, draws = _explained(probe, cohort, part, pull)
    drawn = mean_known(_moved(value.each(), draws.each()))
    shuffled = mean_known(null.each())
    figure = _figure("R²", ALL, len(part), mean_known(value.each()), drawn, shuffled)
    return _measured([figure], drawn, shuffled)


def _explained(
    probe: Probe, cohort: Cohort, part: Cohort, pull: Floats
) -> tuple[Explained, Explained]:
    """Return squared error and variance of some rows and of each draw, learning included.

    Texts of the part are drawn as they are tested; the others, which only teach, by themselves.
    """
    weights = part.weights if len(part) else np.zeros((part.draws, 0), np.uint8)
    vectors = part.vectors.astype(np.float64)
    value, draws = explained_by_text(probe.prediction[part.rows], vectors, part.text, weights)
    tested = np.zeros(cohort.n_texts, bool)
    tested[cohort.text[part.rows]] = True
    more = (weights - 1.0) @ pull[tested]
    if count := int((~tested).sum()):
        rng = np.random.default_rng([part.seed, 6])
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=part.draws)
        more += (drawn - 1.0) @ pull[~tested]
    return value, draws._replace(residual=draws.residual + more)


def _pulls(probe: Probe, cohort: Cohort, parts: Sequence[NDArray[np.int64]]) -> list[Floats]:
    """Return what one more draw of each text adds to the squared error of some rows by teaching.

    To first order, the penalty held fixed: a training row moves each prediction by its share in it
    times what the fit left of its target. Half of the noise of single pairs of a tested row and its
    teacher is taken off: resampling the one and the other counts it twice, once on either side.

    Args:
        probe: Fitted to this cohort.
        cohort: All rows.
        parts: Tested rows.

    Returns:
        For each part, shape ``(n_texts, 10)``; 0 without draws.
    """
    import torch

    place = probe.blocks[0].device
    pulls = np.zeros((len(parts), cohort.n_texts, len(DIMENSIONS)))
    if not cohort.draws:
        return list(pulls)
    errors = torch.zeros(len(parts), len(cohort), len(DIMENSIONS), device=place)
    for error, rows in zip(errors, parts, strict=True):
        error[rows] = (
            torch.as_tensor(cohort.vectors[rows] - probe.prediction[rows]).float().to(place)
        )
    taught, noise = torch.zeros_like(errors), errors.new_zeros(len(parts), len(DIMENSIONS))
    for k, refit in enumerate(probe.refits):
        fold = fold_of(probe.blocks, k)
        for start in range(0, len(fold.test), _TESTED_AT_ONCE):
            some = slice(start, start + _TESTED_AT_ONCE)
            share = _shares(probe, refit, fold, some)
            error = errors[:, fold.test[some]]
            taught[:, fold.train] -= 2 * (share.T @ error) * refit.left
            noise += 4 * (error**2 * (share**2 @ refit.left**2)).sum(dim=1)
    for pull, one in zip(pulls, taught.double().cpu().numpy(), strict=True):
        np.add.at(pull, cohort.text, one)
    square = (pulls**2).sum(axis=1)
    twice = noise.double().cpu().numpy() / np.where(square > 0, square, 1)
    return list(pulls * np.sqrt(np.maximum(1 - twice / 2, _LEAST_TAUGHT))[:, None])


def _shares(probe: Probe, refit: Refit, fold: Fold, some: slice) -> "torch.Tensor":
    """Return how much of each training target some test predictions hold, ``(t, n_train)``."""
    operator = refit.operator[some]
    if probe.states is not None:
        operator = operator @ probe.states[fold.train].T
    return operator + refit.offset[some, None] / max(len(fold.train), 1)


def _moved(value: Floats, draws: Floats) -> Floats:
    """Return each dimension's resamples ``(draws, 10)`` moved onto its figure ``(1, 10)``."""
    columns = [moved(float(one), column) for one, column in zip(value[0], draws.T, strict=True)]
    return np.stack(columns, axis=1)


def _nulls(
    probe: Probe, cohort: Cohort, parts: Sequence[NDArray[np.int64]], *, ranks: int
) -> tuple[list[Explained], RankScores]:
    """Return each part's scores for every shuffle, and the order's of all rows for ``ranks``."""
    import torch

    place = probe.blocks[0].device
    scored = torch.zeros(len(parts), len(cohort), device=place)
    for own, rows in zip(scored, parts, strict=True):
        own[torch.as_tensor(rows, device=place)] = 1
    vectors = torch.tensor(cohort.vectors, device=place)
    sums = [np.empty((len(parts), 3, 0, len(DIMENSIONS)))]
    orders, done = [_NO_ORDER], 0
    for block in refitted(probe, cohort):
        if done < ranks:
            first = block.takers[: ranks - done]
            orders.append(ranked(block.prediction[:, : len(first)], vectors, first))
        done += len(block.takers)
        targets, errors = block.targets, (block.targets - block.prediction).square_()
        totals = [
            torch.einsum("pn,nbk->pbk", scored, one) for one in (targets, errors, targets.square())
        ]
        sums.append(torch.stack(totals, dim=1).double().cpu().numpy())
    order = RankScores(*(np.vstack(scores) for scores in zip(*orders, strict=True)))
    known = []
    for rows, (once, residual, squared) in zip(parts, np.concatenate(sums, axis=2), strict=True):
        known.append(explained(residual, once, squared, len(rows)))
    return known, order


def _order(probe: Probe, cohort: Cohort, vectors: Floats) -> tuple[RankScores, Floats, Floats]:
    """Return the scores of the order, ``(1, 10)``, and AUROC and correlation of each draw."""
    import torch

    place = probe.blocks[0].device
    prediction, targets, text = (
        torch.as_tensor(array, device=place) for array in (probe.prediction, vectors, cohort.text)
    )
    itself = torch.arange(len(cohort), device=place)[None]
    value = ranked(prediction[:, None], targets, itself)
    return (
        value,
        auroc_draws(prediction, targets, text, cohort.weights),
        correlation_draws(probe.prediction, vectors, cohort.text, cohort.weights),
    )


def _figures(
    scores: _Scores, join: Callable[[Floats], Floats], together: int
) -> Iterator[Measurement]:
    """Yield a score of all dimensions together and of each."""
    name, n, *arrays = scores
    yield _figure(name, ALL, together, *(join(array) for array in arrays))
    for column, dimension in enumerate(DIMENSIONS):
        yield _figure(name, dimension, int(n[column]), *(array[:, column] for array in arrays))


def _figure(
    name: str, part: str, n: int, value: Floats, draws: Floats, null: Floats
) -> Measurement:
    return Measurement("dimensional", name, part, n, estimate(float(value[0]), draws), band(null))


def _measured(figures: list[Measurement], draws: Floats, null: Floats) -> Measured:
    return Measured(tuple(figures), draws.astype(np.float32), null.astype(np.float32))
