"""How far an untrained copy hangs on the draw of its weights: five seeds at the chosen layers."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from core.diagnosis.layer import LayerDiagnosis
from core.measures.result import NOTHING
from core.statistics.bootstrap import Estimate
from core.wording import interval, number

#: Seeds of the untrained copies; the first is measured with every diagnosis.
SEEDS: Final = tuple(range(5))
#: One copy's figures: layer -> its tests.
Copy = Mapping[int, LayerDiagnosis]


class SeedBand(NamedTuple):
    """One figure over the draws of weights."""

    n: int
    """Seeds with a figure."""

    low: float
    """The lowest of them."""

    high: float
    """The highest of them."""

    mean: Estimate
    """Their mean with the 95 % interval of Student's t, ``n`` − 1 degrees of freedom."""


def highest_of(copies: Sequence[Estimate]) -> Estimate:
    """Return what a figure must clear: mean, lowest and highest end of all seeds' intervals."""
    known = [one for one in copies if not np.isnan(one.value)]
    if not known:
        return NOTHING
    value, low, high = np.array(known).T
    # fmin and fmax pass over an end that is not known.
    return Estimate(float(value.mean()), float(np.fmin.reduce(low)), float(np.fmax.reduce(high)))


def seed_band(copies: Sequence[Estimate]) -> SeedBand:
    """Return a figure's range and mean over seeds; NaN where fewer than two have one."""
    from scipy.stats import t

    values = np.array([one.value for one in copies if not np.isnan(one.value)])
    if len(values) < 2:
        return SeedBand(len(values), np.nan, np.nan, NOTHING)
    mean, arm = values.mean(), t.ppf(0.975, len(values) - 1) * values.std(ddof=1)
    arm /= np.sqrt(len(values))
    return SeedBand(
        len(values),
        float(values.min()),
        float(values.max()),
        Estimate(float(mean), float(mean - arm), float(mean + arm)),
    )


def seeds_line(copies: Sequence[Estimate]) -> str:
    """Return in one line how far an untrained figure differs from draw to draw."""
    band = seed_band(copies)
    if band.n < 2:
        return f"Untrained copies: {band.n} of {len(copies)} seeds computable."
    return (
        f"Untrained copies, {band.n} seeds: {number(band.low, 3)} to {number(band.high, 3)}, mean "
        f"{interval(band.mean, 3)}; highest end over texts {number(highest_of(copies).high, 3)}."
    )
