"""A dictionary's latents as a table: one row each, seen from its own or a chosen dimension."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS, Dimension
from core.latentcomparisons import STATISTICS
from core.latentscores import LatentScores
from core.paperlatents import paper_strict, paper_types

if TYPE_CHECKING:
    import pyarrow as pa


def latent_table(scores: LatentScores, dimension: Dimension | None = None) -> "pa.Table":
    """Return one row per latent, in the order of the dictionary.

    Args:
        scores: The latents.
        dimension: Whose figures are shown; without it each latent's own best dimension, and nothing
            for latents that were selected for none.

    Returns:
        Columns ``latent``, ``kind``, ``dimension``, ``density`` (share of texts), ``fires``
        (training texts); for ``membership`` (AUROC), ``contrast`` and ``gradient``: the figure
        where latents are selected, ``... q``, and ``... test``, ``... low``, ``... high`` where
        they are reported; ``selectivity``, ``topic selectivity`` (opposite pole no rival),
        ``flags``, and the paper's ``paper type`` and ``paper strict``. Null where there is none.
    """
    import pyarrow as pa

    n = len(scores.fires)
    column = scores.best if dimension is None else np.full(n, DIMENSIONS.index(dimension))
    names = [DIMENSIONS[one] if one >= 0 else None for one in column]
    columns: dict[str, Any] = {
        "latent": np.arange(n),
        "kind": scores.kind.tolist(),
        "dimension": pa.array(names, pa.string()),
        "density": scores.density,
        "fires": scores.fires,
    }
    parts = {"": scores.train, " q": scores.q, " test": scores.test}
    parts |= {" low": scores.low, " high": scores.high}
    for statistic in STATISTICS:
        for ending, effects in parts.items():
            columns[statistic + ending] = _picked(getattr(effects, statistic), column)
    columns["selectivity"] = _picked(scores.selectivity(), column)
    columns["topic selectivity"] = _picked(scores.selectivity(opposite=False), column)
    columns["flags"] = ["; ".join(one) for one in _flags(scores)]
    columns["paper type"] = paper_types(scores.pearson).tolist()
    columns["paper strict"] = paper_strict(scores.pearson)
    return pa.table(columns)


def _picked(values: NDArray[np.float32], column: NDArray[np.int64]) -> "pa.Array":
    import pyarrow as pa

    own = np.take_along_axis(values, np.maximum(column, 0)[:, None], axis=1)[:, 0]
    return pa.array(own, mask=(column < 0) | np.isnan(own))


def _flags(scores: LatentScores) -> list[list[str]]:
    """Return what a reader of each row should know besides."""
    confirmed = scores.confirmed.sum(axis=1) > 0
    own = np.take_along_axis(scores.q.contrast, np.maximum(scores.best, 0)[:, None], axis=1)[:, 0]
    named = {
        "polarity collapse": scores.collapsed,
        "contrast not judged": confirmed & np.isnan(own),
    }
    return [
        [name for name, which in named.items() if which[latent]]
        for latent in range(len(scores.fires))
    ]
