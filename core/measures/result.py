"""What a test of moral structure returns: figures, each with its interval and its shuffled control.

Four tests, after the four indifferences of arXiv 2603.15615. Each has one headline figure, for
which the resampled and the shuffled values are kept as well; headlines are larger where a model
tells more apart, and noise in its states never makes them larger.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from core.statistics.bootstrap import Estimate

Test = Literal["categorical", "gradient", "structural", "dimensional"]
#: The four tests in the paper's order.
TESTS: Final[tuple[Test, ...]] = get_args(Test)
#: Part of a figure that speaks of all foundations, poles or classes together.
ALL: Final = "all"
NOTHING: Final = Estimate(np.nan, np.nan, np.nan)


class Measurement(NamedTuple):
    """One figure of one test."""

    test: Test
    """Which test."""

    name: str
    """What was measured, such as ``opposition``."""

    part: str
    """``ALL``, a foundation, a pole, a pair of poles ``care|harm``, or a labelling."""

    n: int
    """Items that it rests on."""

    observed: Estimate
    """The figure with its 95 % interval over texts; NaN where nothing can be computed."""

    shuffled: Estimate
    """Mean and 95 % band with labels shuffled; NaN where the figure has no such control."""


#: The figure that stands for each test, always with part ``ALL``.
HEADLINES: Final[dict[Test, str]] = {
    "categorical": "excess opposition",
    "gradient": "typicality",
    "structural": "ARI of k-means",
    "dimensional": "R²",
}


@dataclass(frozen=True, eq=False)
class Measured:
    """All figures of one test."""

    figures: tuple[Measurement, ...]
    """The headline first."""

    draws: NDArray[np.float32]
    """The headline for each resample of texts, shape ``(draws,)``; NaN if not computable."""

    null: NDArray[np.float32]
    """The headline for each shuffle of the labels, shape ``(shuffles,)``."""

    @property
    def headline(self) -> Measurement:
        """The figure that stands for the test."""
        return self.figures[0]


def estimate(value: float, draws: NDArray[np.floating]) -> Estimate:
    """Return a figure with the 95 % percentile interval of its resamples.

    Args:
        value: The figure.
        draws: Its resamples, shape ``(draws,)``; NaN ones are left out. Without any the interval
            is NaN.
    """
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(known):
        return Estimate(float(value) if np.isfinite(value) else np.nan, np.nan, np.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))


def flat(figure: Measurement) -> dict[str, Any]:
    """Return a figure as one flat record."""
    return {
        "test": figure.test,
        "name": figure.name,
        "part": figure.part,
        "n": figure.n,
        "value": figure.observed.value,
        "low": figure.observed.low,
        "high": figure.observed.high,
        "shuffled": figure.shuffled.value,
        "shuffled_low": figure.shuffled.low,
        "shuffled_high": figure.shuffled.high,
    }


def band(null: NDArray[np.floating]) -> Estimate:
    """Return mean and central 95 % band of a figure under shuffled labels ``(shuffles,)``."""
    known = null[np.isfinite(null)]
    if not len(known):
        return NOTHING
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(float(known.mean()), float(low), float(high))


def moved(value: float, draws: NDArray[np.floating], stretch: float = 1.0) -> NDArray[np.float64]:
    """Return resamples moved onto the figure; NaN ones stay NaN.

    A resample is more at one with itself, or noisier, than the sample it is drawn from: its figures
    spread as they should, but around another middle.

    Args:
        value: The figure.
        draws: Its resamples, shape ``(draws,)``.
        stretch: How much wider than the resamples the figure itself spreads.
    """
    known = draws[np.isfinite(draws)]
    if not len(known):
        return np.asarray(draws, np.float64)
    return np.asarray(stretch * (draws - known.mean()) + value, np.float64)


def recentred(
    value: float, draws: NDArray[np.floating], stretch: float = 1.0
) -> NDArray[np.float64]:
    """Return resamples of a cosine or correlation, moved onto the figure on Fisher's scale.

    A resampled centre has twice the noise of the centre itself, so its cosines lie nearer to zero
    and their plain percentiles could miss the figure.

    Args:
        value: The figure, in [-1, 1].
        draws: Its resamples, shape ``(draws,)``; NaN ones stay NaN.
        stretch: How much wider than the resamples the figure itself spreads.
    """
    inside = 1 - 1e-9
    z = np.arctanh(np.clip(np.asarray(draws, np.float64), -inside, inside))
    known = z[np.isfinite(z)]
    if not len(known):
        return z
    moved: NDArray[np.float64] = np.tanh(
        stretch * (z - known.mean()) + np.arctanh(np.clip(value, -inside, inside))
    )
    return moved
