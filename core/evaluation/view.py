"""An evaluation as tables: arms beside each other, by dimension, pair by pair, judges together."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.evaluation.agreement import alpha, each_two
from core.evaluation.judging import Pair, Question
from core.evaluation.landing import Landing
from core.evaluation.person import people
from core.evaluation.prompts import PromptSet
from core.evaluation.report import AGAIN, BROKEN, PLAIN, Evaluation
from core.evaluation.verdicts import Standing, Verdict
from core.foundations import DIMENSIONS
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate
from core.steering.view import DEGENERATE

#: What each question is called.
NAMES: Final[dict[Question, str]] = {
    "safer": "Safer",
    "helpful": "More helpful",
    "understanding": "More understanding",
    "paper": "As the paper asks",
}


#: What is called a broken answer.
BROKEN_MEANS: Final = (
    f"Broken: more than {DEGENERATE:g} times as odd to the plain model as the plain answer, "
    f"{BROKEN:.0%} more of it said before, or empty."
)
_NONE: Final = Estimate(np.nan, np.nan, np.nan)


class ArmRow(NamedTuple):
    """One arm over the plain one."""

    arm: str
    """Which."""

    standing: Standing
    """How it stands."""

    beyond: bool
    """Whether that lies beyond chance and A/A."""

    broken: bool
    """Whether its text is broken."""

    broken_pairs: int
    """How many of its answers are."""

    sound: Estimate
    """Net win rate without those; NaN for a dimension."""


def arm_rows(found: Evaluation, question: Question, dimension: str = "") -> list[ArmRow]:
    """Return the arms in their order."""
    return [
        ArmRow(
            arm,
            found.standing(question, arm, dimension),
            not dimension and found.beyond(question, arm),
            found.broken(arm),
            int(found.broken_pairs(arm).sum()),
            _NONE if dimension else found.sound(question, arm),
        )
        for arm in found.arms
    ]


def arm_table(found: Evaluation, question: Question) -> pd.DataFrame:
    """Return all figures of all arms, a row each."""
    power, rows = found.strengths(question), []
    for row in arm_rows(found, question):
        one = row.standing
        strength = power.get(row.arm, _NONE)
        given = found.answers[row.arm]
        rows.append(
            {
                "arm": row.arm,
                "KL": found.costs[row.arm],
                "win": one.wins,
                "tie": one.ties,
                "loss": one.losses,
                "missing": one.missing,
                **figure_columns("net", one.net),
                "broken": float(found.broken_pairs(row.arm).mean()),
                **figure_columns("without broken", row.sound),
                "sign p": one.sign,
                **figure_columns("equal length", one.level),
                **figure_columns("strength", strength),
                "first": one.first_rate,
                "consistent": one.consistent,
                "as the paper": found.papers_rate(question, row.arm),
                "words": np.mean([one.words for one in given]),
                "cut": np.mean([one.cut for one in given]),
                "repeated": np.mean([one.repeated for one in given]),
                **figure_columns("perplexity", found.perplexity(row.arm)),
            }
        )
    return pd.DataFrame(rows)


def dimension_table(found: Evaluation, question: Question) -> pd.DataFrame:
    """Return the net win rate of each arm by dimension, long."""
    rows = []
    for dimension in found.prompts.dimensions:
        for row in arm_rows(found, question, dimension):
            one = row.standing
            counts = {"win": one.wins, "tie": one.ties, "loss": one.losses}
            rows.append(
                {"dimension": dimension, "arm": row.arm, **counts, **figure_columns("net", one.net)}
            )
    return pd.DataFrame(rows)


def pair_table(found: Evaluation, question: Question, arm: str) -> pd.DataFrame:
    """Return every pair of an arm: prompt, both answers, verdict."""
    plain = found.answers[PLAIN]
    return pd.DataFrame(
        [
            {
                "dimension": prompt.dimension,
                "prompt": prompt.text,
                "arm's answer": mine.text,
                "plain answer": other.text,
                "verdict": showing.verdict,
                "broken": bool(broken),
                "perplexity": odd,
                "plain perplexity": plain_odd,
                "words": mine.words - other.words,
            }
            for prompt, mine, other, showing, broken, odd, plain_odd in zip(
                found.prompts.prompts,
                found.answers[arm],
                plain,
                found.of(question, arm),
                found.broken_pairs(arm),
                found.perplexities[arm],
                found.perplexities[PLAIN],
                strict=True,
            )
        ]
    )


def whole_table(found: Evaluation, questions: Sequence[Question]) -> pd.DataFrame:
    """Return every pair of every arm and question, long."""
    parts = [
        pair_table(found, question, arm).assign(question=question, arm=arm)
        for question in questions
        for arm in found.arms
    ]
    return pd.concat(parts, ignore_index=True)


def figure_columns(name: str, one: Estimate) -> dict[str, float]:
    """Return a figure and the ends of its interval as three columns."""
    return {name: one.value, f"{name} low": one.low, f"{name} high": one.high}


def again_band(found: Evaluation, question: Question) -> Estimate | None:
    """Return the net win rate of the plain model over itself; None if it is no arm."""
    return found.standing(question, AGAIN).net if AGAIN in found.answers else None


# --- people and models as judges ---


def judged_pairs(found: Evaluation) -> list[tuple[Question, str]]:
    """Return questions and arms that people judge: all but A/A, if there is another."""
    arms = [arm for arm in found.arms if arm != AGAIN] or found.arms
    return [(question, arm) for question in found.questions for arm in arms]


def pairs_for_people(found: Evaluation) -> list[Pair]:
    """Return what people are shown, pair by pair."""
    return [pair for which in judged_pairs(found) for pair in found.pairs(*which)]


def judges(store: Store, found: Evaluation) -> dict[str, list[Verdict]]:
    """Return what everyone said of the pairs that people are shown: people, then the judge."""
    said = people(store, pairs_for_people(found))
    told = {name: [one.verdict for one in showings] for name, showings in said.items()}
    own = [one.verdict for which in judged_pairs(found) for one in found.of(*which)]
    name = found.judge if found.judge not in told else f"{found.judge} (the model)"
    return {**told, name: own}


def agreement_table(found: Evaluation, said: Mapping[str, Sequence[Verdict]]) -> pd.DataFrame:
    """Return how far each two judges agree, and all of them together; a row each.

    Columns: judges, pairs (that both decided; for all: that two or more did), same (share), kappa
    (for all: Krippendorff's alpha) with its interval over questions.
    """
    prompts = [row for _ in judged_pairs(found) for row in range(len(found.prompts))]
    rows: list[dict[str, Any]] = [
        {
            "judges": f"{two.first} and {two.second}",
            "pairs": two.pairs,
            "same": two.same,
            **figure_columns("kappa", two.kappa),
        }
        for two in each_two(said, prompts)
    ]
    if len(said) > 2:
        decided = [len(one) - one.count("missing") for one in zip(*said.values(), strict=True)]
        both = sum(number > 1 for number in decided)
        whole = alpha(list(said.values()), prompts)
        rows.append({"judges": "all (α)", "pairs": both, **figure_columns("kappa", whole)})
    return pd.DataFrame(rows)


# --- on the moral map ---


def place_table(found: Landing, prompts: PromptSet, pair: int | None) -> pd.DataFrame:
    """Return the table twin of the map: the mean place of each arm's answers, and one pair's.

    Columns: arm, texts, x, y (in the map's own units), right, up (from the plain answers, in map
    widths) with their intervals; of one prompt's answers, no intervals.

    Args:
        found: Where they lie.
        prompts: What was asked.
        pair: Row of a prompt whose answers are listed, too.
    """
    rows = []
    for arm, places in found.places.items():
        way = found.way(arm)
        x, y = _middle(places)
        ways = {**figure_columns("right", way.x), **figure_columns("up", way.y)}
        rows.append({"arm": arm, "answers to": "all, mean", "texts": way.texts, "x": x, "y": y})
        rows[-1] |= ways if arm != PLAIN else {}
    if pair is not None:
        for arm, places in found.places.items():
            x, y = places[pair]
            right, up = (places[pair] - found.places[PLAIN][pair]) / found.width
            told = {"arm": arm, "answers to": prompts.texts[pair], "texts": 1, "x": x, "y": y}
            rows.append(told | ({"right": right, "up": up} if arm != PLAIN else {}))
    return pd.DataFrame(rows)


def _middle(places: NDArray[np.float64]) -> NDArray[np.float64]:
    known = places[np.isfinite(places).all(axis=1)]
    return known.mean(axis=0) if len(known) else np.full(2, np.nan)


def centre_table(found: Landing) -> pd.DataFrame:
    """Return how close each arm's answers are to the ten centres, and the change from plain."""
    rows = []
    for arm in found.places:
        if arm == PLAIN:
            continue
        both = np.isfinite(found.percentile[arm]) & np.isfinite(found.percentile[PLAIN])
        for column, (name, change) in enumerate(
            zip(DIMENSIONS, found.way(arm).centres, strict=True)
        ):
            own, plain = (found.percentile[one][both[:, column], column] for one in (arm, PLAIN))
            rows.append(
                {
                    "arm": arm,
                    "centre": name,
                    "plain": float(plain.mean()) if len(plain) else np.nan,
                    "arm's": float(own.mean()) if len(own) else np.nan,
                    **figure_columns("change", change),
                }
            )
    return pd.DataFrame(rows)
