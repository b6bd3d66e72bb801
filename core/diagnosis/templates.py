"""How far the headlines hang on how the action is put: other templates, at the same layers."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from core import CoreError
from core.activations.extraction import LostStatesError
from core.activations.prompts import Pooling
from core.activations.study import Study, layer_states, states_of
from core.diagnosis.diagnosis import Diagnosis, second_half
from core.diagnosis.verdicts import Score, Verdict, verdict
from core.measures.cohort import Cohort
from core.measures.result import NOTHING, Test
from core.runtime.store import CacheError, Store
from core.statistics.bootstrap import Estimate
from core.statistics.scaling import Scaling
from core.wording import interval, number

#: Raised whenever the same states would give other figures.
FORMAT: Final = 1
#: Name of the template that the diagnosis itself was made with.
OWN: Final = "own"
#: Name of the chat turn.
CHAT: Final = "chat turn"


class Phrasing(NamedTuple):
    """One template and what it gives."""

    name: str
    """What it is called."""

    template: str
    """What the model reads."""

    figures: Mapping[Test, float]
    """Headline at the layer chosen under the own template, on the texts that did not choose it;
    NaN where nothing can be computed."""


class Spread(NamedTuple):
    """One headline over templates."""

    n: int
    """Templates with a figure."""

    sd: float
    """Standard deviation between them."""

    low: float
    """The lowest."""

    high: float
    """The highest."""

    total: Estimate
    """The figure with the interval that other texts and another such template would give."""


# --- measuring ---


def own_phrasing(diagnosis: Diagnosis) -> Phrasing:
    """Return the template of a diagnosis with its figures; nothing is measured again."""
    figures = {
        test: diagnosis.layers[layer].reported(test).observed.value
        for test, layer in diagnosis.chosen.items()
    }
    return Phrasing(OWN, diagnosis.study.plan.spec.template, figures)


def measure_template(
    store: Store,
    study: Study,
    chosen: Mapping[Test, int],
    pooling: Pooling,
    scaling: Scaling,
    cohort: Cohort,
) -> dict[Test, float]:
    """Return the headlines of one template at layers that another has chosen.

    Args:
        store: Where states lie.
        study: The items, read under the template.
        chosen: Test -> layer.
        pooling: Which pooled state.
        scaling: What is taken off the states, but for the probe.
        cohort: All items; neither resampled nor shuffled here.

    Raises:
        CoreError: The states are not stored, or were lost.
    """
    return {
        test: _headline(store, study, test, layer, pooling, scaling, cohort.plain)
        for test, layer in chosen.items()
    }


def _headline(
    store: Store,
    study: Study,
    test: Test,
    layer: int,
    pooling: Pooling,
    scaling: Scaling,
    cohort: Cohort,
) -> float:
    raw = states_of(store, study)
    try:
        states = layer_states(store, study, layer, pooling, scaling).states
    except (CacheError, LostStatesError):
        raise
    except CoreError:  # all texts alike: a result, too
        return float("nan")
    if test == "dimensional":
        states = raw.prompt_states(layer, pooling)
    return second_half(test, states[study.plan.rows], cohort).headline.observed.value


# --- what may be said ---


def spread(phrasings: Sequence[Phrasing], test: Test, observed: Estimate) -> Spread:
    """Return how far a headline differs between templates.

    The total interval's arms are ``sqrt(arm² + (t·sd)²)``, with Student's t for the number of
    templates: the figure as it would be on other texts and under another template of this kind.

    Args:
        phrasings: The own template among them.
        test: Which test.
        observed: The headline under the own template, with its interval over texts.
    """
    from scipy.stats import t

    found = np.array([one.figures.get(test, np.nan) for one in phrasings])
    found = found[np.isfinite(found)]
    if len(found) < 2:
        return Spread(len(found), np.nan, np.nan, np.nan, NOTHING)
    sd = float(found.std(ddof=1))
    more = float(t.ppf(0.975, len(found) - 1)) * sd
    value, low, high = observed
    total = Estimate(
        value,
        value - float(np.hypot(value - low, more)),
        value + float(np.hypot(high - value, more)),
    )
    return Spread(len(found), sd, float(found.min()), float(found.max()), total)


def spread_verdict(score: Score, found: Spread) -> Verdict:
    """Return what may be said when the spread between templates counts as uncertainty, too."""
    return verdict(found.total, score.figure.shuffled, score.controls)


def templates_line(score: Score, phrasings: Sequence[Phrasing]) -> str:
    """Return in one line how far a test hangs on the template."""
    found = spread(phrasings, score.test, score.figure.observed)
    if found.n < 2:
        return f"Templates: {found.n} of {len(phrasings)} computable."
    said = spread_verdict(score, found)
    changed = "" if said.level == score.verdict.level else f"; by that interval {said.words}"
    return (
        f"{found.n} templates: {number(found.low, 3)} to {number(found.high, 3)}, sd "
        f"{number(found.sd, 3)}; over texts and templates {interval(found.total, 3)}{changed}."
    )
