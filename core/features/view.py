"""What the features page shows: counts beside chance, tables of latents, reasons in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core import CoreError
from core.activations.study import Study
from core.features.comparisons import CHANCE, STATISTICS, Statistic
from core.features.dashboard import Dashboard
from core.features.feature_activations import FeatureActivations
from core.features.kinds import MORAL, RELATED, Shown
from core.features.paper_latents import paper_strict, paper_types
from core.features.scores import LatentScores, counts
from core.foundations import DIMENSIONS, FOUNDATIONS, Dimension
from core.maps.view import Colouring
from core.sae.latent_names import LatentNames

if TYPE_CHECKING:
    import pyarrow as pa

_MEANINGS: Final = {
    "selected": "pass the false discovery rate on training texts",
    RELATED: "of these, hold on held-out texts",
    MORAL: "of these, tell a pole from other texts of its foundation, on both",
    "monosemantic": "moral, no second dimension, and not its opposite",
    "moral": "moral, but not monosemantic",
    "topic": "related, but nothing shows more than the topic",
    "unconfirmed": "pass on training texts, on held-out ones the interval holds chance",
    "unrelated": "no dimension passes on training texts",
    "too rare": "on in too few texts to judge",
    "polarity collapse": "topic latents of both poles of one foundation",
    "polysemantic": "related to several foundations",
}
_PAPER: Final = "paper"


def headline(scores: LatentScores) -> str:
    """Say how many latents are related to a moral topic and how many moral, beside chance."""
    own, null = counts(scores), scores.shuffled
    n = len(scores.fires)
    if not own[RELATED]:
        return (
            f"No latent of {n:,} is related to a moral topic ({null.get(RELATED, 0)} with shuffled "
            "labels): this dictionary shows none that these texts can prove."
        )
    moral = f"{_counted(scores, MORAL)} {MORAL}" if own[MORAL] else f"none {MORAL}"
    single = f", {own['monosemantic']:,} of them for a single pole" if own[MORAL] else ""
    return (
        f"{_counted(scores, RELATED)} of {n:,} latents are {RELATED}, of these {moral}{single} "
        f"(with shuffled labels: {null.get(RELATED, 0):,} and {null.get(MORAL, 0):,})"
    )


def _counted(scores: LatentScores, name: str) -> str:
    """Return a count with what other permutations and resamples would make of it."""
    return f"{counts(scores)[name]:,} ± {scores.monte_carlo.get(name, 0):,}"


def counts_table(scores: LatentScores) -> pd.DataFrame:
    """Return how many latents are of each kind, beside the same with shuffled labels.

    Columns: kind, latents, Monte Carlo (half of the 95 % interval of other permutations and
    resamples), shuffled labels, meaning. The paper's own definitions stand at the end.
    """
    own, null = counts(scores), scores.shuffled
    rows = [
        (
            name,
            count,
            f"± {scores.monte_carlo[name]:,}" if name in scores.monte_carlo else "",
            null.get(name, 0),
            _MEANINGS.get(name, f"by the {_PAPER}'s definition"),
        )
        for name, count in own.items()
    ]
    return pd.DataFrame(
        rows, columns=["kind", "latents", "Monte Carlo", "shuffled labels", "meaning"]
    )


def latents(
    scores: LatentScores,
    dimension: Dimension | None = None,
    shown: Shown = "related",
    among: Sequence[int] | None = None,
    names: LatentNames | None = None,
) -> pd.DataFrame:
    """Return latents as a table, the surest first.

    Args:
        scores: All latents, judged.
        dimension: Whose figures are shown and sorted by; None: each latent's own best.
        shown: Moral ones, all that are related to a topic, all selected, or every latent.
        among: Only these, in their order, whatever ``shown`` says.
        names: What they are called.

    Returns:
        Columns as ``latent_table``, with ``name`` (empty where there is none) after the number;
        rows in the order they are read.
    """
    table: pd.DataFrame = latent_table(scores, dimension).to_pandas()
    called = [names.of(one) if names is not None else "" for one in table["latent"].tolist()]
    table.insert(1, "name", called)
    if among is not None:
        return table.iloc[list(among)].reset_index(drop=True)
    if shown != "all":
        passed: NDArray[np.bool_] = getattr(scores.decided, shown)
        column = None if dimension is None else DIMENSIONS.index(dimension)
        keep = passed.any(axis=1) if column is None else passed[:, column]
        table = table[keep]
    by = table["membership test"].fillna(table["membership"]).fillna(-1)
    return table.iloc[np.argsort(-by.to_numpy(), kind="stable")].reset_index(drop=True)


def latent_colouring(
    study: Study, codes: FeatureActivations, latent: int, name: str = ""
) -> Colouring:
    """Return a latent's activation as the colour of items: the strongest over a text's tokens.

    Items on which it is off have no number, so they are grey and the others stand out. The scale
    ends at the 98th percentile of the texts on which it is on.

    Raises:
        CoreError: It is on for no text.
    """
    peaks = np.zeros(codes.n_prompts)
    np.maximum.at(peaks, codes.prompt, codes.of(latent))
    on = peaks[peaks > 0]
    if not len(on):
        raise CoreError(
            f"Latent {latent} is on for no text of {study.items.provenance.name}. Choose another."
        )
    title = f"Latent {latent} · {name}" if name else f"Latent {latent}"
    values = np.where(peaks > 0, peaks, np.nan)[study.plan.rows]
    return Colouring(title, values, span=(0.0, float(np.quantile(on, 0.98))))


def why(scores: LatentScores, latent: int) -> str:
    """Say what kind a latent is, and for which figures."""
    kind = str(scores.decided.kind[latent])
    if kind == "too rare":
        return (
            f"**Too rare to judge**: on in {scores.fires[latent]} training texts, "
            f"{scores.spec.rare} are needed."
        )
    if kind in ("unconfirmed", "unrelated"):
        return _unrelated(scores, latent)
    related = np.flatnonzero(scores.decided.related[latent])
    parts = [
        f"{DIMENSIONS[one]} ({_shown(scores, 'membership', latent, int(one))})" for one in related
    ]
    said = (
        f"**{kind.capitalize()}**: related to {', '.join(parts)} on held-out texts of like length"
    )
    if kind == "topic":
        return f"{said}; {_topic(scores, latent)}."
    moral = np.flatnonzero(scores.decided.moral[latent])
    parts = [f"{DIMENSIONS[one]} ({_shown(scores, 'within', latent, int(one))})" for one in moral]
    said = f"{said}; within the foundation it tells {', '.join(parts)} from the other texts"
    if kind == "monosemantic":
        opposite = DIMENSIONS[moral[0] ^ 1]
        contrast = _shown(scores, "contrast", latent, int(moral[0]))
        return f"{said}, and from {opposite} ({contrast}); no second dimension is selected."
    return f"{said}; {_not_single(scores, latent)}."


def _shown(scores: LatentScores, statistic: Statistic, latent: int, column: int) -> str:
    """Return an AUROC on held-out texts with its interval, and q on training texts."""
    value, low, high, q = (
        getattr(effects, statistic)[latent, column]
        for effects in (scores.test, scores.low, scores.high, scores.q)
    )
    lift = 0.5 - CHANCE[statistic]
    return f"AUROC {value + lift:.2f} [{low + lift:.2f}, {high + lift:.2f}], q {_q(q)}"


def _unrelated(scores: LatentScores, latent: int) -> str:
    selected = scores.decided.selected[latent]
    if selected.any():
        names = ", ".join(DIMENSIONS[one] for one in np.flatnonzero(selected))
        return f"**Not confirmed**: selected for {names} on training texts, not on held-out ones."
    return "**Unrelated**: no dimension passes the false discovery rate on training texts."


def _topic(scores: LatentScores, latent: int) -> str:
    if scores.decided.collapsed[latent]:
        return "both poles of one foundation: its polarity has collapsed"
    return "nothing shows that it tells these from other texts of the same foundation"


def _not_single(scores: LatentScores, latent: int) -> str:
    selected = np.flatnonzero(scores.decided.selected[latent])
    if len(selected) > 1:
        return f"selected for {', '.join(DIMENSIONS[one] for one in selected)} on training texts"
    return "nothing shows that it tells this from the opposite pole"


def _q(value: float) -> str:
    return "not judged" if np.isnan(value) else "< .001" if value < 0.001 else f"{value:.3f}"


def passport_table(passport: Dashboard) -> pd.DataFrame:
    """Return a passport's figures per dimension: the table twin of its charts."""
    own, null = np.array(passport.correlation), np.array(passport.shuffled)
    return pd.DataFrame(
        {
            "dimension": list(DIMENSIONS),
            "correlation": own[:, 0],
            "low": own[:, 1],
            "high": own[:, 2],
            "shuffled low": null[:, 1],
            "shuffled high": null[:, 2],
            "cosine": passport.centres,
            "all latents low": passport.centre_bands[:, 0],
            "all latents high": passport.centre_bands[:, 1],
        }
    )


def activation_table(passport: Dashboard) -> pd.DataFrame:
    """Return how often a latent is on how strongly: the table twin of its histogram.

    Columns: from and to, activations; tokens.
    """
    ends = passport.edges
    return pd.DataFrame({"from": ends[:-1], "to": ends[1:], "tokens": passport.counts})


def axis_of(scores: LatentScores, latent: int) -> str:
    """Return the axis whose held-out actions a latent's effect is tried on.

    Its own dimension if it is moral, related or selected for one; else the foundation of the
    dimension it comes nearest to.
    """
    best = int(scores.best[latent])
    if best >= 0:
        return DIMENSIONS[best]
    effect = np.nan_to_num(np.abs(scores.train.membership[latent] - 0.5))
    return FOUNDATIONS[int(effect.argmax()) // 2]


def latent_table(scores: LatentScores, dimension: Dimension | None = None) -> "pa.Table":
    """Return one row per latent, in the order of the dictionary.

    Args:
        scores: The latents.
        dimension: Whose figures are shown; without it each latent's own best dimension, and nothing
            for latents that were selected for none.

    Returns:
        Columns ``latent``, ``kind``, ``dimension``, ``density`` (share of texts), ``fires``
        (training texts); for ``membership`` (AUROC), ``within``, ``contrast`` and ``gradient``:
        the figure where latents are selected, ``... q``, and ``... test``, ``... low``,
        ``... high`` where they are reported; ``selectivity``, ``topic selectivity`` (opposite pole
        no rival), ``flags``, and the paper's ``paper type`` and ``paper strict``. Null where there
        is none.
    """
    import pyarrow as pa

    n = len(scores.fires)
    column = scores.best if dimension is None else np.full(n, DIMENSIONS.index(dimension))
    names = [DIMENSIONS[one] if one >= 0 else None for one in column]
    columns: dict[str, Any] = {
        "latent": np.arange(n),
        "kind": scores.decided.kind.tolist(),
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
    shown = scores.decided
    own = np.take_along_axis(scores.low.within, np.maximum(scores.best, 0)[:, None], axis=1)[:, 0]
    named = {
        "polarity collapse": shown.collapsed,
        "polysemantic": shown.several,
        "within not judged": shown.related.any(axis=1) & np.isnan(own),
    }
    return [
        [name for name, which in named.items() if which[latent]]
        for latent in range(len(scores.fires))
    ]
