"""The further controls in words: sentences for page and command line, an aligned table, records."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from core.diagnosis.concept import SAMPLES, Beside, Level
from core.diagnosis.controls import Directions, FurtherControls
from core.layers import layer_name
from core.measures.partial_gradients import Partial
from core.measures.result import HEADLINES
from core.measures.selectivity import TASKS, Selectivity
from core.statistics.bootstrap import Estimate
from core.wording import Lines, aligned, interval

#: What may be said about a test on both sets.
VERDICTS: Final[dict[Level, str]] = {
    "above": "the moral figure exceeds that of pleasantness",
    "same": "no difference beyond noise",
    "below": "pleasantness exceeds the moral figure",
    "nothing": "not computable",
}
#: How it was measured, in words for the page.
CONCEPT_RULE: Final = (
    "Pleasantness: 240 short texts about weather, food, objects, events and places, graded from "
    "unpleasant to pleasant; authored for this project, not human-annotated. The same four tests "
    "at the layers that the moral set has chosen, which favours the moral set. The moral figures "
    f"here rest on about as many items with the same grades, drawn {SAMPLES} times from the half "
    "that chose no layer, so they differ from the cards; word counts are those of the same texts. "
    "What is drawn and compared is what lies beyond labels shuffled within each foundation or "
    "domain. "
    "“Exceeds” only if the whole interval of the difference is above 0; the intervals of the four "
    "tests hold together with 95 % (each with 98.75 %)."
)
TRANSFER_RULE: Final = (
    "Directions lead from the mean of one pole to that of the other, the means of foundations or "
    "domains taken off; at the layer of the categorical test, on texts that did not choose it. The "
    "own direction is made of other texts than it parts, and its interval holds it fixed."
)
SELECTIVITY_RULE: Final = (
    "Control tasks (Hewitt & Liang 2019): each text gets the label vector of another, chosen at "
    f"random for one of its words, so it can only be memorised; same folds, {TASKS} tasks. "
    "Selectivity is the R² of the moral labels minus the mean R² of these; its interval resamples "
    "the texts that test and those that teach, and the tasks."
)
PARTIAL_RULE: Final = (
    "Within each pole, ranks of grade and closeness are regressed on the numbers of words and of "
    "characters, a word that negates, and whether the first word ends in -ing, -ed (or is a common "
    "past), -s, or is “to”; what is left is correlated. The rules for words are English: elsewhere "
    "only length is held fixed."
)


def concept_text(rows: Sequence[Beside]) -> str:
    """Say in a sentence or two whether the moral figures exceed those of pleasantness."""
    known = [row for row in rows if row.level != "nothing"]
    if not known:
        return "Morality and pleasantness cannot be compared: no test can be computed on both."
    above, below = (
        ", ".join(row.test for row in known if row.level == level) for level in ("above", "below")
    )
    told = (
        f"The moral figure exceeds that of pleasantness in: {above}."
        if above
        else "In no test does the moral figure exceed that of pleasantness."
    )
    return f"{told} Pleasantness exceeds it in: {below}." if below else told


def beside_text(row: Beside) -> str:
    """Return a test's figures on both sets, each with what shuffled labels give."""
    moral, chance, pleasant, other = (
        interval(one, 3) for one in (row.moral, row.moral_chance, row.pleasant, row.pleasant_chance)
    )
    return (
        f"Moral ({row.n} items) {moral}, shuffled {chance}; pleasantness {pleasant}, shuffled "
        f"{other}; difference beyond shuffled labels {interval(row.difference, 3, signed=True)}."
    )


def transfer_text(found: Directions | None) -> str:
    """Say whether virtue and vice are told apart by more than pleasantness."""
    if found is None or np.isnan([found.moral.low, found.moral_difference.low]).any():
        return "Directions of morality and pleasantness: not computable."
    figures = (
        f"Virtue is told from vice (AUROC) with {interval(found.moral)} along its own direction, "
        f"{interval(found.moral_crossed)} along that of pleasantness; pleasant from unpleasant "
        f"with {interval(found.pleasant)} and, along the moral one, "
        f"{interval(found.pleasant_crossed)}. "
    )
    if found.moral.low <= 0.5:
        return f"{figures}No direction is shown to part virtue from vice."
    if found.moral_difference.low <= 0:
        return f"{figures}What parts virtue from vice may be pleasantness."
    same = "" if found.moral_crossed.low > 0.5 else ", whose direction is not shown to part them"
    return f"{figures}Virtue and vice are parted by more than pleasantness{same}."


def selectivity_text(found: Selectivity | None) -> str:
    """Say whether the probe finds the labels rather than memorise words."""
    if found is None or np.isnan(found.difference).any():
        return "Selectivity of the probe: not computable."
    figures = (
        f"R² {interval(found.real, 3)}, with arbitrary labels of words "
        f"{interval(found.control, 3)}: selectivity {interval(found.difference, 3, signed=True)}. "
    )
    if found.difference.low > 0:
        said = "The probe reads the labels better than it memorises words."
    elif found.difference.high < 0:
        said = "It memorises arbitrary labels better: this R² is no sign of moral structure."
    else:
        said = "It is not shown to be selective: it may only memorise which word has which label."
    shared = f"({found.shared:.0%} of the texts share their word with others.)"
    return f"{figures}{said} {shared}"


def partial_text(found: Partial | None) -> str:
    """Say what is left of typicality at equal length, negation and form."""
    if found is None or np.isnan(found.difference).any():
        return "Typicality at equal length, negation and form: not computable."
    figures = (
        f"Typicality {interval(found.plain, 3)}; with length, negation and form of the first word "
        f"held fixed {interval(found.partial, 3)}: {interval(found.difference, 3, signed=True)}. "
    )
    if found.partial.low <= 0:
        return f"{figures}What is left cannot be told from none."
    if found.difference.high < 0:
        return f"{figures}They account for some of it, not for all."
    if found.difference.low > 0:
        return f"{figures}They hid some of it."
    return f"{figures}They change nothing beyond noise."


def text(found: FurtherControls) -> Lines:
    """Yield the further controls as text for people."""
    yield "Is it moral? Further controls, at the chosen layers. 95 % intervals in brackets."
    yield ""
    head = (
        "test", "figure", "layer", "moral", "labels shuffled", "words beyond these",
        "pleasantness", "labels shuffled", "words beyond these", "difference", "verdict",
    )  # fmt: skip
    rows = [
        (
            row.test,
            HEADLINES[row.test],
            layer_name(row.layer),
            *(interval(one, 3) for one in row[3:9]),
            interval(row.difference, 3, signed=True),
            VERDICTS[row.level],
        )
        for row in found.concept
    ]
    yield from aligned(head, rows, left=(0, 1, len(head) - 1))
    yield concept_text(found.concept)
    yield CONCEPT_RULE
    yield ""
    yield transfer_text(found.transfer)
    yield TRANSFER_RULE
    yield ""
    yield selectivity_text(found.selectivity)
    yield SELECTIVITY_RULE
    yield ""
    yield partial_text(found.partial)
    yield PARTIAL_RULE


def record(found: FurtherControls) -> dict[str, Any]:
    """Return the further controls as JSON values; what cannot be computed is None."""
    return {
        "concept": [_record(row) | {"verdict": VERDICTS[row.level]} for row in found.concept],
        "concept_rule": CONCEPT_RULE,
        "directions": found.transfer and _record(found.transfer),
        "selectivity": found.selectivity and _record(found.selectivity),
        "partial_typicality": found.partial and _record(found.partial),
    }


def _record(figures: Any) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, one in figures._asdict().items():
        if isinstance(one, Estimate):
            cells |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
        else:
            cells[name] = one
    return {name: None if one != one else one for name, one in cells.items()}
