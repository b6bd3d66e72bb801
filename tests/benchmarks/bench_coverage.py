"""How often the 95 % intervals of the four headline figures cover what studies find on average.

Run as a script: ``python tests/benchmarks/bench_coverage.py [SETS]`` (default 60, seeds fixed).
Each made data set has 800 texts of 100 coordinates: a topic for each foundation, a direction for
each pole that grows with the grade, and noise, alike in all directions or mostly in a few. All is
drawn anew for each set but topics and directions, so the mean over the sets is the truth. Prints
one JSON line for each figure and noise: the mean, its spread over sets, what intervals claim of it
(``claimed`` over ``sd`` is 1 if right), and the share that covers it; of 60 sets 3 points are luck.
"""
# ruff: noqa: T201

import json
import sys
from collections.abc import Callable
from typing import Any

import cost  # noqa: F401 - puts the project on the path
import numpy as np
from numpy.typing import NDArray

from core.dataset.labels import Labels, typical_members
from core.measures import clusters, excess_opposition, gradients, probe_scores, probes
from core.measures.clustering import cluster
from core.measures.cohort import Cohort
from core.measures.geometry import centred
from core.measures.result import Measured

TEXTS = 800
WIDTH = 100
DRAWS = 400


def made_cohort(seed: int) -> Cohort:
    """Return texts of random foundation, pole and grade; no shuffles."""
    rng = np.random.default_rng([seed, 1])
    foundation = rng.integers(0, 5, TEXTS)
    pole = rng.choice(3, TEXTS, p=[0.41, 0.5, 0.09])
    grade = np.where(pole == 2, 0, rng.choice([0.125, 0.25, 0.375, 0.5, 0.75, 1.0], TEXTS))
    dimension = np.where(pole == 2, -1, 2 * foundation + pole)
    vectors = np.zeros((TEXTS, 10), np.float32)
    rows = np.flatnonzero(dimension >= 0)
    vectors[rows, dimension[rows]] = grade[rows]
    labels = Labels(dimension, grade, np.arange(TEXTS))
    members = typical_members(labels)
    return Cohort(labels, foundation, vectors, members, np.arange(TEXTS), DRAWS, 0, seed)


def made_states(cohort: Cohort, *, even: bool) -> NDArray[np.float32]:
    """Return states whose noise has unit variance on average, alike in all directions or not."""
    axes = 2 * np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, 15)))[0].T
    spread = np.ones(WIDTH) if even else 1 / np.sqrt(np.arange(1, WIDTH + 1))
    spread *= np.sqrt(WIDTH / (spread**2).sum())
    states = spread * np.random.default_rng([cohort.seed, 2]).normal(size=(len(cohort), WIDTH))
    own = np.vstack([axes[:10], np.zeros(WIDTH)])[cohort.labels.dimension]
    return centred(states + axes[10:][cohort.foundation] + own * cohort.labels.grade[:, None])


def _decoded(states: NDArray[np.float32], cohort: Cohort) -> Measured:
    return probe_scores.headline(probes.fit(states, cohort), cohort, cohort)


def _clustered(states: NDArray[np.float32], cohort: Cohort) -> Measured:
    return clusters.headline(cluster(states, cohort), cohort)


def _typical(states: NDArray[np.float32], cohort: Cohort) -> Measured:
    return gradients.measure(states, cohort, variants=gradients.VARIANTS[:1])


FIGURES: dict[str, Callable[[NDArray[np.float32], Cohort], Measured]] = {
    "excess opposition": excess_opposition.measure,
    "typicality": _typical,
    "ARI of k-means": _clustered,
    "R²": _decoded,
}


def coverage(name: str, sets: int, *, even: bool) -> dict[str, Any]:
    """Return how one figure's intervals fare."""
    rows = []
    for seed in range(sets):
        cohort = made_cohort(seed)
        found = FIGURES[name](made_states(cohort, even=even), cohort)
        rows.append([*found.headline.observed, np.nanstd(found.draws)])
    value, low, high, claimed = np.array(rows).T
    truth = value.mean()
    return {
        "benchmark": f"coverage of {name}",
        "noise": "alike in all directions" if even else "mostly in a few directions",
        "mean": round(float(truth), 4),
        "sd": round(float(value.std(ddof=1)), 4),
        "claimed": round(float(np.sqrt((claimed**2).mean())), 4),
        "covered": round(float(np.mean((low <= truth) & (truth <= high))), 3),
        "sets": sets,
    }


def main() -> None:
    """Measure and print."""
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    for name in FIGURES:
        for even in (True, False):
            print(json.dumps(coverage(name, sets, even=even), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
