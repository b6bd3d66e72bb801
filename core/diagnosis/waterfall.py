"""How much of the indifference is the instrument's own: from the paper's figure to the repaired.

Each test begins with the figure that the paper's procedure gives on this model and these items,
and repairs one thing at a time. Every step stands with its interval, and with the interval of what
it changed. Both are over the same resamples of texts, and where the highest layer is taken each
resample takes its own, with two exceptions: the raw opposition holds its layer, which the paper
chooses by another figure, and probes of the paper's optimiser are not trained again. The figure
from half of the texts has resamples of its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from core.activations.prompts import PRESETS, ReadSpec
from core.activations.study import Study
from core.diagnosis.diagnosis import FORMAT as DIAGNOSIS_FORMAT
from core.diagnosis.repairs import REPAIRS, Drawn, RepairContext, chain, layers_of
from core.measures.cohort import DRAWS, cohort_of
from core.measures.result import NOTHING, TESTS, Test, estimate
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, part
from core.runtime.store import Store, library_version
from core.statistics.bootstrap import Estimate
from core.statistics.words import counting_key

#: Raised whenever the same items and states would give other figures.
_FORMAT: Final = 3


class Step(NamedTuple):
    """One bar of the waterfall."""

    test: Test
    """Which test."""

    name: str
    """What was repaired."""

    why: str
    """Why it had to be."""

    layer: int | None
    """At which layer; None if each pole has its own, or nothing can be computed."""

    figure: Estimate
    """The test's figure after this step, with its 95 % interval over texts."""

    change: Estimate
    """What the step changed, with its interval; NaN for the first."""

    @property
    def where(self) -> str:
        """The layer, for people."""
        if self.layer is not None:
            return str(self.layer)
        return "–" if np.isnan(self.figure.value) else "each pole's highest"


#: Test -> its steps from the paper's figure to the repaired one.
Waterfall = dict[Test, list[Step]]


def step_count() -> int:
    """Return the number of steps of all tests together."""
    return sum(len(list(chain(test))) for test in TESTS)


def paper_read(read: ReadSpec) -> ReadSpec:
    """Return the paper's way to read with a template of one's own."""
    return replace(PRESETS["paper"], template=read.template)


def plain_read(read: ReadSpec) -> ReadSpec:
    """Return the repaired way to read with a template of one's own."""
    return replace(PRESETS["default"], template=read.template)


def waterfall(
    store: Store, paper: Study, plain: Study, *, draws: int = DRAWS, seed: int = 0
) -> Made[Waterfall]:
    """Return the steps of each test.

    Args:
        store: Where states and results lie.
        paper: The items as the paper reads them (``paper_read``).
        plain: The same items read without its faults (``plain_read``).
        draws: Resamples of texts behind each interval.
        seed: Seed of everything random.
    """
    return artefact(
        store,
        "waterfall",
        _key(paper, plain, draws, seed),
        read=read_json("steps.json", _read),
        write=write_json("steps.json", dict),
        make=partial(_measured, store, paper, plain, draws, seed),
        title=f"Repairing the paper's tests of {plain.card.name}, step by step",
    )


def _measured(
    store: Store, paper: Study, plain: Study, draws: int, seed: int, report: Report
) -> Waterfall:
    cohort = cohort_of(plain.items, draws=draws, shuffles=0, seed=seed)
    layers = layers_of(store, paper, plain)
    desk = RepairContext(store, paper, plain, cohort.prepare(), layers, report)
    chains = {test: list(chain(test)) for test in TESTS}
    total, done = sum(map(len, chains.values())), 0
    result: Waterfall = {}
    for test, repairs in chains.items():
        steps: list[Step] = []
        before: Drawn | None = None
        for key, make in repairs:
            here = part(report, done / total, (done + 1) / total)
            note = f"{test} test: {REPAIRS[key][0].lower()}"
            here(0, 1, note)
            now = make(replace(desk, report=here, note=note))
            steps.append(_step(test, key, now, before))
            before, done = now, done + 1
        result[test] = steps
    return result


def _read(kept: "dict[Test, list[list[Any]]]") -> Waterfall:
    return {
        test: [
            Step(test, row[1], row[2], row[3], Estimate(*row[4]), Estimate(*row[5])) for row in rows
        ]
        for test, rows in kept.items()
    }


def _key(paper: Study, plain: Study, draws: int, seed: int) -> Mapping[str, Any]:
    return {
        "format": [_FORMAT, DIAGNOSIS_FORMAT],
        "paper": paper.plan.base_key(),
        "plain": plain.plan.base_key(),
        "items": plain.items.digest,
        **counting_key(plain.plan.prompts),
        "draws": draws,
        "seed": seed,
        "versions": {name: library_version(name) for name in ("numpy", "scikit-learn", "torch")},
    }


def _step(test: Test, key: str, now: Drawn, before: Drawn | None) -> Step:
    change = NOTHING
    if before is not None:
        change = estimate(now.value - before.value, now.draws - before.draws)
    name, why = REPAIRS[key]
    return Step(test, name, why, now.layer, estimate(now.value, now.draws), change)
