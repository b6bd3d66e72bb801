"""What an alignment did to the product's four tests: on its own texts and on others, arm by arm.

The tests are those of the Diagnosis page, paired between the model as it is and as it reads with an
arm's dictionary spliced in, at the edited layer and at the last one. The set's own test texts, a
second set and the pleasantness of plain things are asked alike: what moves all three is no moral
geometry.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from core.activations.study import Study
from core.alignment.jobs import Divergence
from core.alignment.measure import judging_pooling
from core.alignment.report import UNTOUCHED, AlignReport, report_key
from core.alignment.second_set import unseen
from core.alignment.spec import Arm
from core.comparison.differences import Difference, paired_difference
from core.comparison.jobs import reading
from core.comparison.steered import steered
from core.comparison.view import NAMES, VERDICTS
from core.diagnosis.controls import other_concept
from core.diagnosis.diagnosis import FORMAT as TESTS_FORMAT
from core.diagnosis.diagnosis import DiagnosisSpec, layer_tests, study_cohort
from core.diagnosis.layer import LayerDiagnosis
from core.measures.result import NOTHING, TESTS
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, part
from core.sae.dictionary import Dictionary, DictionaryError
from core.sae.shelf import keep_dictionary, open_dictionary
from core.statistics.bootstrap import Estimate
from core.steering.aligned import aligned_axis
from core.steering.recipes import Recipe, Term, recipe_at
from core.wording import interval

if TYPE_CHECKING:
    import pandas as pd

KIND: Final = "alignment tests"
_FILE, _FORMAT = "tests.json", 1
#: Arms that are tested, the trained one first; seed 0 of each.
TESTED: Final[tuple[Arm, ...]] = ("repaired", "shuffled", "random latents")
OWN: Final = "test texts"


class ArmDifference(NamedTuple):
    """One test of one arm, held against another reading of the same texts."""

    where: str
    """``OWN``, or the name of another set."""

    texts: int
    """How many."""

    layer: int
    """Where the states are read."""

    arm: str
    """Whose."""

    over: str
    """Against whom: ``UNTOUCHED`` or another arm."""

    difference: Difference
    """The arm minus the other, paired over texts."""


def recipe_of(study: Study, base: Dictionary, after: Dictionary, share: float) -> Recipe:
    """Return the recipe that adds a share of what an aligned dictionary changes.

    Args:
        study: Items and model.
        base: The dictionary before.
        after: After.
        share: Of its change.
    """
    terms = (Term(aligned_axis(after, base), share),)
    return recipe_at(study, base.info.layer, terms, "align", judging_pooling(study))


# --- the four tests ---


def four_tests(asked: Divergence, second: Study | None = None) -> Made[list[ArmDifference]]:
    """Return the four tests of the arms at one divergence, on all sets that are asked.

    Args:
        asked: The alignment and the divergence.
        second: How the same model reads a second set.
    """
    study = asked.study
    sets = [(OWN, unseen(study, study))]
    if second is not None:
        sets.append((second.items.provenance.name, unseen(study, second)))
    sets.append(("pleasantness", other_concept(study)))
    aligned = asked.report

    def make(report: Report) -> list[ArmDifference]:
        arms = _Arms(asked, _shares(aligned.get(), asked.target))
        found: list[ArmDifference] = []
        for number, (where, one) in enumerate(sets):
            say = part(report, number / len(sets), (number + 1) / len(sets))
            found += arms.tests(where, one, say)
        return found

    key = {
        **report_key(study, asked.base, asked.spec, asked.targets),
        "tests": [_FORMAT, TESTS_FORMAT],
        "target": asked.target,
        "sets": [one.items.digest for _, one in sets],
    }
    made = artefact(asked.work.store, KIND, key, read=_read, write=_write, make=make)
    title = f"The four tests of {asked.base.info.name}, aligned"
    return replace(made, title=title, lane="model", needs=(aligned,))


def _shares(report: AlignReport, target: float) -> dict[Arm, float]:
    """Return at which share each tested arm stands; arms out of reach are left out."""
    return {
        arm: run.outcome.share for arm in TESTED for run in report.of(arm, target) if run.seed == 0
    }


class _Arms(NamedTuple):
    """The arms that are tested, each at its share of the change."""

    asked: Divergence
    shares: dict[Arm, float]

    def tests(self, where: str, one: Study, report: Report) -> Iterator[ArmDifference]:
        """Yield the tests on one set: each arm over the untouched, the trained over the others."""
        last = self.asked.study.card.n_layers - 1
        layers = list(dict.fromkeys((self.asked.base.info.layer, last)))
        found = self._measured(where, one, layers, report)
        pairs: list[tuple[str, str]] = [(arm, UNTOUCHED) for arm in self.shares]
        if "repaired" in self.shares:
            pairs += [("repaired", arm) for arm in self.shares if arm != "repaired"]
        for name, over in pairs:
            for layer in layers:
                after, before = found[name, layer].whole, found[over, layer].whole
                for test in TESTS:
                    told = Difference(test, NOTHING, NOTHING, NOTHING, NOTHING, "nothing")
                    if test in after and test in before:
                        told = paired_difference(test, before[test], after[test])
                    yield ArmDifference(where, len(one.plan.prompts), layer, name, over, told)

    def _measured(
        self, where: str, one: Study, layers: Sequence[int], report: Report
    ) -> dict[tuple[str, int], LayerDiagnosis]:
        """Return the tests of each arm at each layer."""
        how = DiagnosisSpec(pooling=judging_pooling(one))
        cohort = study_cohort(one, how)
        studies = self._studies(one)
        found = {}
        for number, (name, its) in enumerate(studies.items()):
            say = part(report, number / len(studies), (number + 1) / len(studies))
            reading(self.asked.work, its).get(part(say, 0.0, 0.5))
            for place, layer in enumerate(layers):
                ends = (0.5 + at / len(layers) / 2 for at in (place, place + 1))
                inner = part(say, *ends)
                inner(0, 1, f"four tests · {where}, {name}")
                tests = layer_tests(self.asked.work.store, its, how, layer, cohort)
                found[name, layer] = tests.get(inner)
        return found

    def _studies(self, one: Study) -> dict[str, Study]:
        """Return how the model reads a set with each arm's dictionary, the untouched first."""
        store, card, base = self.asked.work.store, self.asked.study.card, self.asked.base
        try:
            open_dictionary(store, card, base.digest)
        except DictionaryError:  # a recipe finds what it names at hand
            keep_dictionary(store, base, card)
        studies: dict[str, Study] = {UNTOUCHED: one}
        for arm, share in self.shares.items():
            after = self.asked.arm(arm, 0).dictionary
            studies[arm] = steered(one, recipe_of(one, base, after, share))
        return studies


def _write(folder: Path, rows: list[ArmDifference]) -> None:
    told = [[*row[:5], *row.difference] for row in rows]
    (folder / _FILE).write_text(json.dumps(_plain(told)), encoding="utf-8")


def _plain(value: Any) -> Any:
    """Return JSON values: NaN is none."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _read(folder: Path) -> list[ArmDifference] | None:
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return [_row(one) for one in told]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _row(one: list[Any]) -> ArmDifference:
    where, texts, layer, arm, over, test, *figures, level = one
    found = [Estimate(*(np.nan if x is None else x for x in figure)) for figure in figures]
    first, second, difference, shuffled = found
    told = Difference(test, first, second, difference, shuffled, level)
    return ArmDifference(where, texts, layer, arm, over, told)


# --- what is shown ---


def told(rows: Sequence[ArmDifference]) -> str:
    """Return which tests the trained arm moves beyond noise and shuffled labels, set by set."""
    parts = []
    for where in dict.fromkeys(row.where for row in rows):
        own = [row for row in rows if row.where == where and row.arm == TESTED[0]]
        moved = [
            f"{NAMES[row.difference.test]} {interval(row.difference.difference, signed=True)} at "
            f"layer {row.layer}"
            for row in own
            if row.over == UNTOUCHED and row.difference.level == "beyond"
        ]
        over = [row for row in own if row.over == "random latents"]
        beyond = [NAMES[row.difference.test] for row in over if row.difference.level == "beyond"]
        text = f"{where}: {', '.join(moved) or 'nothing'} beyond noise and shuffled labels"
        if moved:
            text += f"; beyond random latents: {', '.join(dict.fromkeys(beyond)) or 'nothing'}"
        parts.append(text)
    return ". ".join(parts) + "."


def table(rows: Sequence[ArmDifference]) -> "pd.DataFrame":
    """Return the differences as a table, a row each."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "texts": f"{row.where} ({row.texts})",
                "layer": row.layer,
                "arm": row.arm,
                "over": row.over,
                "test": NAMES[row.difference.test],
                "difference": row.difference.difference.value,
                "low": row.difference.difference.low,
                "high": row.difference.difference.high,
                "shuffled low": row.difference.shuffled.low,
                "shuffled high": row.difference.shuffled.high,
                "verdict": VERDICTS[row.difference.level],
            }
            for row in rows
        ]
    )
