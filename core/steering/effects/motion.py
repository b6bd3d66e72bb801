"""What a map's points do under some strengths: the part that all ways to know it share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.statistics.bootstrap import Estimate

#: Axis of all other directions of a recipe together, at strength 1 as the recipe says.
OTHERS: Final = "others"
#: Control directions of a fan.
CONTROLS: Final = 40


def between(knots: NDArray[np.float64], at: float) -> tuple[int, float]:
    """Return the knot below a value and how far it is on the way to the next, 0 to 1.

    Beyond the ends the last stretch goes on straight.
    """
    below = int(np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2))
    return below, float((at - knots[below]) / (knots[below + 1] - knots[below]))


@dataclass(frozen=True, eq=False)
class Fan:
    """Where control directions take the middle of a map's points, at some lengths of the push.

    They are drawn as the layer's states vary, at the token whose norm is the unit of strength.
    """

    lengths: NDArray[np.float64]
    """In residual norms, growing from 0, shape ``(m,)``; straight between them."""

    ways: NDArray[np.float64]
    """What each adds to the middle, on the map's scale, shape ``(controls, m, 2)``."""

    def tips(self, length: float) -> NDArray[np.float64]:
        """Return what each adds at a length, shape ``(controls, 2)``."""
        below, part = between(self.lengths, length)
        near, far = self.ways[:, below], self.ways[:, below + 1]
        tips: NDArray[np.float64] = near + part * (far - near)
        return tips

    def travel(self, length: float) -> Estimate:
        """Return how far they go, on the map's scale: median and 95 % range over them."""
        far = np.linalg.norm(self.tips(length), axis=1)
        return Estimate(*(float(one) for one in np.quantile(far, (0.5, 0.025, 0.975))))


@dataclass(frozen=True, eq=False)
class Motion(ABC):
    """A map's points and where each of ``k`` axes moves them; ``OTHERS`` is the last."""

    points: NDArray[np.float64]
    """Places without steering, a row per item, shape ``(n, 2)``; NaN where there is none."""

    axes: tuple[str, ...]
    """Names of the pushes, length ``k``."""

    gram: NDArray[np.float64]
    """Inner products of the pushes as the model gets them, in residual norms, ``(k, k)``."""

    fan: Fan
    """Equally long pushes in control directions."""

    @abstractmethod
    def place(self, strengths: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the points' places at some strengths (others are 0), shape ``(n, 2)``."""

    def middle(self, strengths: Mapping[str, float]) -> NDArray[np.float64]:
        """Return what some strengths add to the middle of the points, shape ``(2,)``."""
        seen = np.isfinite(self.points).all(axis=1)
        moved: NDArray[np.float64] = np.nanmean(
            self.place(strengths)[seen] - self.points[seen], axis=0
        )
        return moved

    def travel(self, strengths: Mapping[str, float]) -> float:
        """Return how far the middle of the points moves, in widths of the plain map."""
        return float(np.linalg.norm(self.middle(strengths))) / self.width

    def control(self, strengths: Mapping[str, float]) -> Estimate:
        """Return how far control directions of equal length move it: median and 95 % range."""
        far = self.fan.travel(self.length(strengths))
        return Estimate(*(one / self.width for one in far))

    def length(self, strengths: Mapping[str, float]) -> float:
        """Return how long the sum of some pushes is, in residual norms."""
        doses = self.doses(strengths)
        return float(np.sqrt(max(float(doses @ self.gram @ doses), 0.0)))

    @property
    def width(self) -> float:
        """Longer side of the box around the plain points."""
        return float((np.nanmax(self.points, axis=0) - np.nanmin(self.points, axis=0)).max())

    def doses(self, strengths: Mapping[str, float]) -> NDArray[np.float64]:
        """Return strengths by axis, shape ``(k,)``."""
        return np.array([strengths.get(axis, 0.0) for axis in self.axes])
