"""The scorecard: a card per test, each with its verdict and all that it was held against."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import streamlit as st

from core.charts import config
from core.diagnosis import plots as diagnosis_plots
from core.diagnosis.seeds import seeds_line
from core.diagnosis.templates import Phrasing, templates_line
from core.diagnosis.verdicts import RULE, Level, Score
from core.diagnosis.view import ceiling_text, summary
from core.layers import layer_name
from core.measures.result import TESTS, Test
from core.wording import in_parts, interval
from pages.diagnosis import results

#: Question and meaning of each test's figure.
_TESTS: Final[dict[Test, tuple[str, str]]] = {
    "categorical": (
        "Does it keep virtue and vice apart?",
        "Opposition of their centres in excess of that of one point: 0 the same point, 1 unrelated "
        "(as in people's labels), 2 opposed. Noise only lowers it.",
    ),
    "gradient": (
        "Does it grade as people do?",
        "Rank correlation of people's grade with closeness to the centre of the other texts: 1 the "
        "same order, 0 none.",
    ),
    "structural": (
        "Do its natural groups follow morality?",
        "Agreement (ARI) of unsupervised clusters with 15 moral classes: 1 the same groups, 0 "
        "nothing in common.",
    ),
    "dimensional": (
        "Can the ten dimensions be read off?",
        "Variance of the human vectors that a linear probe predicts on unseen texts (R²): 1 all, 0 "
        "none, below 0 worse than the mean.",
    ),
}
#: What each test asks.
QUESTIONS: Final = {test: told[0] for test, told in _TESTS.items()}
#: Colour and sign of each level. No icon: within a text its name would be read aloud.
_BADGES: Final[dict[Level, tuple[str, str]]] = {
    "beyond": ("green", "✓"),
    "partly": ("blue", "◐"),
    "control": ("orange", "−"),
    "chance": ("gray", "○"),
    "nothing": ("gray", "?"),
    "taught": ("gray", "✎"),
}


def show(
    scores: Sequence[Score], phrasings: Sequence[Phrasing], set_name: str, missing: str
) -> None:
    """Draw the cards, the rule, and what people themselves reach.

    Args:
        scores: Of the tests.
        phrasings: The headlines under several templates; none where only one was read.
        set_name: Name of the set.
        missing: Which control was not measured; nothing where all were.
    """
    st.subheader(summary(scores), anchor="scorecard")
    by_test = {score.test: score for score in scores}
    for test, card in _cards():
        with card:
            if test in by_test:
                _card(by_test[test], phrasings)
            else:
                _verdict("nothing", "not computable at any layer")
                st.caption(_TESTS[test][1])
    st.caption(ceiling_text(results.human_ceiling(set_name)))
    st.caption(f"{RULE} {missing}")


def ask() -> None:
    """Draw what the tests ask and what their figures mean, before there are any."""
    for test, card in _cards():
        card.caption(_TESTS[test][1])


def _cards() -> Iterator[tuple[Test, Any]]:
    """Draw a card per test with its question; yield each for what follows it."""
    for column, test in zip(st.columns(4), TESTS, strict=True):
        card = column.container(border=True, height="stretch")
        name = f"<p class='ms-note'>{test.capitalize()}</p>"
        card.html(f"{name}<p class='ms-question'>{QUESTIONS[test]}</p>")
        yield test, card


def _verdict(level: Level, words: str) -> None:
    colour, sign = _BADGES[level]
    st.markdown(f":{colour}[{sign} **{words}**]")  # a badge would cut long words


def _card(score: Score, phrasings: Sequence[Phrasing]) -> None:
    observed = score.figure.observed
    value, bounds = in_parts(observed)
    st.html(
        f"<p class='ms-figure'>{value}<br><small>{bounds} · {layer_name(score.layer, long=True)}"
        "</small></p>"
    )
    _verdict(*score.verdict)
    st.plotly_chart(
        diagnosis_plots.forest_figure(score),
        key=f"forest-{score.test}",
        config=config(f"moralscope-{score.test}") | {"displayModeBar": False},
        alt=f"{score.test}: {interval(observed)} beside shuffled labels and controls; "
        f"{score.verdict.words}.",
    )
    if phrasings:
        st.caption(templates_line(score, phrasings))
    if score.seeds:
        st.caption(seeds_line(score.seeds))
    chance = interval(score.highest_by_chance)
    st.caption(f"{_TESTS[score.test][1]}  \nHighest of all layers with shuffled labels: {chance}.")
