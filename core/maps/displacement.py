"""Two pictures of the same texts, one turned onto the other: which texts lie elsewhere?

A picture depends on the texts it was made from. So beside each displacement stands how far texts
move between two pictures of one model, each made from one half of the texts.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.maps.projection import LayoutSpec, project, register

#: Displacements of a model against itself are nearly all below this quantile.
LEVEL: Final = 0.95


class Noise(NamedTuple):
    """How far texts move although the model is the same."""

    typical: float
    """Median displacement between pictures of two halves, in units of the picture."""

    most: float
    """95 % of the texts move less."""


def turned(
    points: NDArray[np.floating],
    anchor: NDArray[np.floating],
    own: NDArray[np.int64],
    its: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return a picture moved and turned (never stretched) onto another by the texts they share.

    Args:
        points: The picture, shape ``(n, dims)``.
        anchor: The other picture, shape ``(m, dims)``.
        own: Rows of ``points`` that both share, shape ``(k,)``.
        its: The same texts' rows of ``anchor``, shape ``(k,)``.

    Returns:
        All of ``points``, shape ``(n, dims)``; exactly the same where the shared rows already
        coincide.
    """
    here, there = points[own].astype(np.float64), anchor[its].astype(np.float64)
    if np.array_equal(here, there):
        return points.astype(np.float64)
    middle, target = here.mean(axis=0), there.mean(axis=0)
    turn = register(here - middle, there - target)
    result: NDArray[np.float64] = (points - middle) @ turn + target
    return result


def displacement(points: NDArray[np.floating], anchor: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how far each text lies from its place in the other picture, shape ``(n,)``.

    Args:
        points: Places after ``turned``, shape ``(n, dims)``.
        anchor: Places of the same texts, shape ``(n, dims)``.
    """
    far: NDArray[np.float64] = np.linalg.norm(points - anchor, axis=1)
    return far


def sampling_noise(states: NDArray[np.floating], spec: LayoutSpec, *, seed: int = 0) -> Noise:
    """Return how far texts move between pictures made from two halves of the same states.

    Each half's picture places the other half's texts by ``Layout.place``.

    Args:
        states: Different rows, shape ``(n, d)``, n at least 8.
        spec: How pictures are made.
        seed: Seed of the halves.
    """
    order = np.random.default_rng(seed).permutation(len(states))
    halves = order[: len(states) // 2], order[len(states) // 2 :]
    pictures = []
    for half in halves:
        known = states[np.sort(half)]
        pictures.append(project(known, spec).place(states, known))
    everything = np.arange(len(states))
    moved = turned(pictures[1], pictures[0], everything, everything)
    far = displacement(moved, pictures[0])
    return Noise(float(np.median(far)), float(np.quantile(far, LEVEL)))
