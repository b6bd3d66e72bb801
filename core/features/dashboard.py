"""A latent's passport: when it is on, on which words, and what people's labels say of those texts.

Everything comes from a set's kept codes and labels; no model runs. Each figure stands beside its
control: correlations beside shuffled labels, cosines beside those of all the other latents.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.study import Study
from core.features.comparisons import TextLabels
from core.features.feature_activations import FeatureActivations, FeaturePooling
from core.features.ranking import split_of_prompts
from core.foundations import DIMENSIONS
from core.runtime.store import Store
from core.sae.dictionary import Dictionary
from core.statistics.bootstrap import Estimate, bootstrap_correlation, chance
from core.steering.directions import DirectionError, moral_direction

#: Texts shown at the top, and around each quantile.
TOP: Final = 8
AROUND: Final = 3
#: Quantiles of a latent's own activations (where it is on) whose texts are shown as borderline.
QUANTILES: Final = (0.75, 0.5, 0.25, 0.0)
BINS: Final = 20
NEAREST: Final = 6
_SHUFFLES: Final = 500
_NOTHING: Final = Estimate(np.nan, np.nan, np.nan)


class Example(NamedTuple):
    """A text on which a latent is on."""

    prompt: int
    """Row of its prompt in the plan."""

    item: int
    """First item of that prompt."""

    peak: float
    """Its strongest activation there."""

    words: tuple[str, ...]
    """Tokens as text, the first left out."""

    heat: NDArray[np.float32]
    """Activation on each of them."""


class Around(NamedTuple):
    """Texts whose peak lies around a quantile of the texts on which the latent is on."""

    quantile: float
    """In [0, 1]."""

    level: float
    """Activation there."""

    examples: tuple[Example, ...]
    """The nearest texts."""


class Dashboard(NamedTuple):
    """What is known of a latent without running the model."""

    latent: int
    """Which one."""

    of_tokens: float
    """Share of tokens on which it is on."""

    of_texts: float
    """Share of texts on which it is on."""

    counts: NDArray[np.int64]
    """Histogram of its activation over tokens on which it is on, shape ``(BINS,)``."""

    edges: NDArray[np.float64]
    """Edges of the histogram, shape ``(BINS + 1,)``."""

    deciles: NDArray[np.float64]
    """Ten per cent quantiles of the same, shape ``(11,)``."""

    top: tuple[Example, ...]
    """Texts on which it is on most strongly."""

    borderline: tuple[Around, ...]
    """Texts around ``QUANTILES``, down to those on which it is barely on."""

    correlation: tuple[Estimate, ...]
    """Rank correlation with each of the ten dimensions on held-out texts, 95 % interval."""

    shuffled: tuple[Estimate, ...]
    """Mean and 95 % band of the same with labels shuffled over texts."""

    n_held_out: int
    """Held-out texts behind these."""

    nearest: tuple[tuple[int, float], ...]
    """Latents whose directions are nearest, with cosines."""

    centres: NDArray[np.float64]
    """Cosine of its direction with each pole's centre direction, shape ``(10,)``."""

    centre_bands: NDArray[np.float64]
    """2.5 and 97.5 % quantiles of the same over all latents, shape ``(10, 2)``."""


def text_vectors(study: Study) -> NDArray[np.float64]:
    """Return each prompt's moral vector, the highest grade over its items, ``(n_prompts, 10)``."""
    n = len(study.plan.prompts)
    items = study.items
    return TextLabels.of(items.vectors(), items.foundation, study.plan.rows, n).membership


def pole_directions(store: Store, study: Study, layer: int) -> NDArray[np.float32]:
    """Return the direction of each pole's centre, ``(10, d_model)``; NaN for a pole without one.

    Raises:
        CoreError: The items were not read.
    """
    pooling = "mean" if "mean" in study.plan.spec.poolings else study.plan.spec.poolings[0]
    rows = np.full((len(DIMENSIONS), study.card.d_model), np.nan, np.float32)
    for number, pole in enumerate(DIMENSIONS):
        try:
            rows[number] = moral_direction(store, study, pole, layer, pooling=pooling).vector
        except DirectionError:  # too few texts of this pole
            continue
    return rows


def dashboard_of(
    study: Study,
    dictionary: Dictionary,
    codes: FeatureActivations,
    latent: int,
    poles: NDArray[np.float32],
    *,
    pooling: FeaturePooling = "max",
    seed: int = 0,
) -> Dashboard:
    """Return a latent's passport.

    Args:
        study: Items and model.
        dictionary: The dictionary.
        codes: The items' codes by it.
        latent: Which latent.
        poles: Directions of the ten poles' centres, as ``pole_directions`` gives them.
        pooling: How a text's tokens become one figure, for the correlations.
        seed: Of resamples and shuffles.

    Raises:
        CoreError: There is no such latent, or it is never on in this set.
    """
    values = _activations(study, dictionary, codes, latent)
    on = values[values > 0].astype(np.float64)
    counts, edges = np.histogram(on, BINS, (0.0, float(on.max())))
    peaks = _per_text(codes, values, "max")
    correlation, shuffled, n = _correlations(study, _per_text(codes, values, pooling), seed)
    own, bands = _cosines(dictionary, poles, latent)
    return Dashboard(
        latent,
        len(on) / codes.n_tokens,
        float((peaks > 0).mean()),
        counts.astype(np.int64),
        edges,
        np.quantile(on, np.linspace(0, 1, 11)),
        tuple(_example(study, codes, values, row) for row in _strongest(peaks, TOP)),
        _borderline(study, codes, values, peaks),
        correlation,
        shuffled,
        n,
        _nearest(dictionary, latent),
        own,
        bands,
    )


def _activations(
    study: Study, dictionary: Dictionary, codes: FeatureActivations, latent: int
) -> NDArray[np.float32]:
    """Return a latent's activation on every token; refuse one that is not there or never on."""
    if not 0 <= latent < codes.n_latents:
        raise CoreError(
            f"{dictionary.info.name} has no latent {latent}. Choose 0 to {codes.n_latents - 1:,}."
        )
    values = codes.of(latent)
    if not (values > 0).any():
        raise CoreError(
            f"Latent {latent} is on for no text of {study.items.provenance.name}: nothing can be "
            "said about it here. Choose another latent, or a set in which it occurs."
        )
    return values


def _per_text(
    codes: FeatureActivations, values: NDArray[np.float32], pooling: FeaturePooling
) -> NDArray[np.float64]:
    """Return one latent's pooled activation per prompt, shape ``(n_prompts,)``."""
    pooled = np.zeros(codes.n_prompts)
    if pooling == "max":
        np.maximum.at(pooled, codes.prompt, values)
        return pooled
    tokens = np.bincount(codes.prompt, minlength=codes.n_prompts)
    return np.bincount(codes.prompt, values, codes.n_prompts) / np.maximum(tokens, 1)


def _strongest(peaks: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Return the prompts with the highest peaks, those where it is off left out."""
    order = np.argsort(-peaks, kind="stable")[:most]
    return order[peaks[order] > 0].astype(np.int64)


def _example(
    study: Study, codes: FeatureActivations, values: NDArray[np.float32], prompt: int
) -> Example:
    where = codes.tokens_of(int(prompt))
    words = tuple(codes.words[int(one)] for one in codes.token[where])
    heat = values[where]
    peak = float(heat.max()) if len(heat) else 0.0
    return Example(int(prompt), int(study.first_rows[prompt]), peak, words, heat)


def _borderline(
    study: Study, codes: FeatureActivations, values: NDArray[np.float32], peaks: NDArray[np.float64]
) -> tuple[Around, ...]:
    """Return the texts around each quantile of those on which the latent is on."""
    on = np.flatnonzero(peaks > 0)
    order = on[np.argsort(peaks[on], kind="stable")]
    result = []
    for quantile in QUANTILES:
        middle = round(quantile * (len(order) - 1))
        start = min(max(middle - AROUND // 2, 0), max(len(order) - AROUND, 0))
        some = order[start : start + AROUND][::-1]
        examples = tuple(_example(study, codes, values, row) for row in some)
        result.append(Around(quantile, float(peaks[order[middle]]), examples))
    return tuple(result)


def _correlations(
    study: Study, pooled: NDArray[np.float64], seed: int
) -> tuple[tuple[Estimate, ...], tuple[Estimate, ...], int]:
    """Return rank correlations with the ten dimensions on held-out texts, and shuffled ones."""
    from scipy.stats import rankdata

    split = split_of_prompts(study.items.split, study.plan.rows, len(pooled), "test")
    rows = np.flatnonzero(split.test)
    if len(rows) < 3:
        return (_NOTHING,) * len(DIMENSIONS), (_NOTHING,) * len(DIMENSIONS), len(rows)
    vectors = text_vectors(study)[rows]
    own, human = rankdata(pooled[rows]), rankdata(vectors, axis=0)
    groups = np.arange(len(rows))
    found = tuple(
        bootstrap_correlation(own, column, groups, seed=seed) if np.ptp(column) else _NOTHING
        for column in human.T
    )
    return found, _shuffled(own, human, seed), len(rows)


def _shuffled(
    own: NDArray[np.float64], human: NDArray[np.float64], seed: int
) -> tuple[Estimate, ...]:
    """Return mean and band of the correlations of shuffled texts, one matrix product for all."""
    rng = np.random.default_rng(seed)
    mixed = rng.permuted(np.tile(own - own.mean(), (_SHUFFLES, 1)), axis=1)
    centred = human - human.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        null = (mixed @ centred) / (np.linalg.norm(mixed[0]) * np.linalg.norm(centred, axis=0))
    return tuple(chance(one) if np.isfinite(one).all() else _NOTHING for one in null.T)


def _nearest(dictionary: Dictionary, latent: int) -> tuple[tuple[int, float], ...]:
    """Return the latents that write in the most similar direction."""
    rows = dictionary.w_dec / dictionary.w_dec.norm(dim=1, keepdim=True).clamp(min=1e-12)
    cosine = (rows @ rows[latent]).cpu().numpy()
    order = np.argsort(-cosine, kind="stable")
    order = order[order != latent][:NEAREST]
    return tuple((int(one), float(cosine[one])) for one in order)


def _cosines(
    dictionary: Dictionary, poles: NDArray[np.float32], latent: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a latent's cosine with each pole ``(10,)``, and all latents' band ``(10, 2)``."""
    rows = dictionary.w_dec.cpu().numpy().astype(np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (rows / np.where(length > 0, length, np.nan)) @ poles.T
    bands = np.full((len(poles), 2), np.nan)
    for number, column in enumerate(cosines.T):
        known = column[np.isfinite(column)]
        if len(known):
            bands[number] = np.quantile(known, [0.025, 0.975])
    return cosines[latent], bands
