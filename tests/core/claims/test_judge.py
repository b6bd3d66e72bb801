"""Verdicts rest on whole intervals and on controls; planted figures give each of the three."""

import random

import numpy as np
import pandas as pd
import pytest

from core.claims.claim import claim_of
from core.claims.judge import (
    OPEN,
    REFUTED,
    SUPPORTED,
    Reading,
    Witness,
    judge,
    judge_effect,
    side,
    widened,
)
from core.claims.view import picture
from core.leaderboard.effects import effect
from core.measures.result import NOTHING
from core.statistics.associations import NONE, Association
from core.statistics.bootstrap import Estimate

COPY = "an untrained copy"


def claimed(direction="above", threshold=0.3, **more):
    plain = {"name": "c", "test": "gradient", "direction": direction, "threshold": threshold}
    return claim_of(plain | more)


def about(value, half=0.05):
    return Estimate(value, value - half, value + half)


def seen(*values, half=0.05, copy=0.0, lack="", **more):
    own = tuple(Reading(layer, about(one, half)) for layer, one in enumerate(values))
    controls = {}
    if copy is not None:
        controls[COPY] = tuple(Reading(n, about(copy, half)) for n in range(len(values)))
    return Witness("m", "packaged", own, controls, lack=lack, **more)


@pytest.mark.parametrize(
    ("value", "word", "said"),
    [
        (0.5, SUPPORTED, "typicality 0.50 [0.45, 0.55] at layer 0: on the claimed side."),
        (0.1, REFUTED, "on the other side of the bound"),
        (0.32, OPEN, "the interval reaches over the bound"),
        (np.nan, OPEN, "It cannot be computed"),
    ],
)
def test_a_whole_interval_decides_a_point_never(value, word, said):
    verdict = judge(claimed(), [seen(value)])
    assert verdict.word == word
    assert said in verdict.why


@pytest.mark.parametrize(
    ("direction", "figure", "where"),
    [
        ("above", (0.5, 0.4, 0.6), 1),
        ("above", (0.2, 0.1, 0.25), -1),
        ("below", (0.2, 0.1, 0.25), 1),
        ("below", (0.5, 0.4, 0.6), -1),
        ("below", (0.3, 0.2, 0.4), 0),
        ("within", (0.0, -0.2, 0.2), 1),
        ("within", (-0.5, -0.6, -0.4), -1),
        ("within", (0.5, 0.4, 0.6), -1),
        ("within", (0.0, -0.4, 0.2), 0),
        ("above", (np.nan, np.nan, np.nan), 0),
    ],
)
def test_each_direction_has_two_sides(direction, figure, where):
    assert side(claimed(direction), Estimate(*figure)) == where


def test_what_an_untrained_copy_supports_as_well_is_not_supported():
    verdict = judge(claimed("above", 0.1), [seen(0.5, copy=0.4)])
    assert verdict.word == OPEN
    assert "on the claimed side, but an untrained copy supports it as well" in verdict.why
    assert judge(claimed("above", 0.1), [seen(0.5, copy=0.0)]).word == SUPPORTED


@pytest.mark.parametrize(("direction", "bound"), [("below", 0.55), ("within", 0.4)])
def test_an_absence_stands_whoever_else_lacks_it_and_says_who(direction, bound):
    verdict = judge(claimed(direction, bound), [seen(0.2, copy=0.1)])
    assert verdict.word == SUPPORTED
    assert "on the claimed side; an untrained copy lies there, too" in verdict.why
    assert "there, too" not in judge(claimed(direction, bound), [seen(0.2, copy=0.9)]).why
    assert judge(claimed(direction, bound), [seen(0.9, copy=0.1)]).word == REFUTED


def test_what_has_no_untrained_copy_is_not_supported_but_can_be_refuted():
    lacks = {"copy": None, "lack": "Its untrained copy was not measured: python -m core diagnose"}
    verdict = judge(claimed(), [seen(0.5, **lacks)])
    assert verdict.word == OPEN
    assert "python -m core diagnose" in verdict.why
    assert judge(claimed(), [seen(0.1, **lacks)]).word == REFUTED
    absent = judge(claimed("below", 0.55), [seen(0.2, **lacks)])
    assert absent.word == SUPPORTED
    assert absent.why.endswith("Its untrained copy was not measured: python -m core diagnose")


def test_every_layer_needs_all_of_them_and_falls_with_one():
    every = claimed("below", layers="every")
    assert judge(every, [seen(0.1, 0.0, 0.2, half=0.01, copy=0.6)]).word == SUPPORTED
    fallen = judge(every, [seen(0.1, 0.6, 0.2, half=0.01, copy=0.6)])
    assert (fallen.word, fallen.models[0].decisive.layer) == (REFUTED, 1)
    unknown = judge(every, [seen(0.1, np.nan, 0.2, half=0.01, copy=0.6)])
    assert unknown.word == OPEN
    assert "not computable at layer 1" in unknown.why


def test_some_layer_needs_one_of_them_and_falls_with_all():
    some = claimed("above", layers="some")
    assert judge(some, [seen(0.1, 0.6, half=0.01)]).models[0].decisive.layer == 1
    assert judge(some, [seen(0.1, 0.6, half=0.01)]).word == SUPPORTED
    assert judge(some, [seen(0.1, 0.2, half=0.01)]).word == REFUTED
    assert judge(some, [seen(0.1, 0.3, half=0.01)]).word == OPEN


def test_many_layers_and_models_widen_the_interval():
    assert widened(about(0.0), 1) == pytest.approx(about(0.0))
    assert widened(about(0.0), 18).high == pytest.approx(0.05 * 2.991 / 1.96, rel=1e-3)
    edge = seen(0.36, half=0.05)
    assert judge(claimed(), [edge]).word == SUPPORTED
    several = judge(claimed(), [edge, seen(0.6), seen(0.6)])
    assert several.word == OPEN
    assert several.models[0].looks == 3


def test_among_many_layers_of_noise_none_is_found_by_chance():
    """Simulated: 18 layers without any effect, 1,000 times; "some layer" errs in 5 % at most."""
    draw = np.random.default_rng(0)
    some = claimed("above", 0.0, layers="some")
    wrong = 0
    for _ in range(1000):
        values = draw.normal(0, 0.05, 18)
        wrong += judge(some, [seen(*values, half=1.96 * 0.05, copy=None)]).why.count("claimed side")
    assert wrong / 1000 < 0.05


def test_a_claim_of_all_models_falls_with_one_and_stands_with_all():
    good, bad, vague = seen(0.6), seen(0.0), seen(0.3)
    assert judge(claimed(), [good, good]).word == SUPPORTED
    assert judge(claimed(), [good, vague]).word == OPEN
    fallen = judge(claimed(), [good, vague, bad])
    assert fallen.word == REFUTED
    assert fallen.why.startswith("1 of 3 models speaks against it")


def test_the_order_of_models_changes_nothing():
    many = [Witness(f"m{n}", f"hub:a/m{n}", (Reading(0, about(n / 10)),)) for n in range(6)]
    told = judge(claimed(), many)
    random.Random(0).shuffle(many)
    assert judge(claimed(), many) == told


def test_a_null_is_taken_off_at_its_worst_end():
    reading = Reading(3, about(0.5), about(0.3))
    assert reading.judged == pytest.approx((0.2, 0.1, 0.3))
    against = claimed("above", 0.05, null="untrained")
    witness = Witness("m", "packaged", (reading,))
    assert judge(against, [witness]).word == SUPPORTED
    unknown = Witness("m", "packaged", (Reading(3, about(0.5), NOTHING),), lack="Measure it.")
    assert judge(against, [unknown]).word == OPEN
    assert judge(against, [unknown]).why == "Measure it."


def test_an_absence_needs_its_bound_and_a_narrow_interval():
    none = claimed("within", 0.1, null="untrained")
    alike = Reading(0, about(0.2, 0.02), about(0.2, 0.02))
    assert judge(none, [Witness("m", "packaged", (alike,))]).word == SUPPORTED
    noisy = Reading(0, about(0.2, 0.2), about(0.2, 0.2))  # no difference is seen, none excluded
    assert judge(none, [Witness("m", "packaged", (noisy,))]).word == OPEN


def test_what_may_not_decide_decides_nothing_whatever_it_says():
    for value in (0.6, 0.0):
        verdict = judge(claimed(), [seen(value, unusable="it is a control and no model.")])
        assert verdict.word == OPEN
        assert verdict.why.endswith("; it is a control and no model.")


# Over models ------------------------------------------------------------------------------------


def over(threshold=0.3, direction="within"):
    return claimed(direction, threshold, effect_of="parameters")


def test_few_models_decide_nothing_and_many_do_by_their_interval():
    few = judge_effect(over(), NONE._replace(n=2), "too few models: 2 of at least 5")
    assert (few.word, few.reason) == (OPEN, "models")
    assert few.why == (
        "Too few models: 2 of at least 5. To show that an effect is as small as claimed takes at "
        "least 44 models: 42 more."
    )
    alike = Association(0.0, -0.2, 0.2, 0.0, 0.9, 40, within=True)
    assert judge_effect(over(), alike, "permuted within families").word == SUPPORTED
    assert judge_effect(over(), alike._replace(low=-0.5), "").word == OPEN
    apart = Association(0.7, 0.4, 0.9, 0.0, 0.01, 20, within=True)
    assert judge_effect(over(), apart, "").word == REFUTED
    assert judge_effect(over(), apart._replace(p=0.2), "").word == OPEN
    assert judge_effect(over(direction="above"), apart, "").word == SUPPORTED
    assert judge_effect(over(direction="above"), apart._replace(p=0.2), "").word == OPEN


def test_an_association_without_an_interval_decides_nothing():
    kinds = Association(0.1, np.nan, np.nan, 0.1, 0.8, 20, within=True)
    verdict = judge_effect(over(), kinds, "all exchangeable")
    assert verdict.word == OPEN
    assert "no interval" in verdict.why


def models_of(*kinds, far=0.0, seed=0):
    """Return a made table of models: those of a later kind are ``far`` higher, each varies by 1."""
    kind = np.concatenate([[name] * count for name, count in kinds])
    noise = np.random.default_rng(seed).standard_normal(len(kind))
    rank = np.concatenate([[number] * count for number, (_, count) in enumerate(kinds)])
    numbers = [str(number) for number in range(len(kind))]
    return pd.DataFrame(
        {
            "identity": numbers,
            "value": far * rank + noise,
            "parameters": 10.0 ** np.arange(len(kind)),
            "training": kind,
            "family": numbers,
        }
    )


def ruled_over(models, direction, threshold=0.3):
    claim = claimed(direction, threshold, effect_of="training")
    return judge_effect(claim, *effect(models, "training"))


def test_a_planted_effect_of_kind_is_decided_as_the_claim_says():
    apart = models_of(("base", 12), ("instruct", 12), far=5.0)
    assert ruled_over(apart, "above").word == SUPPORTED
    assert ruled_over(apart, "below").word == REFUTED
    assert ruled_over(apart, "within").word == REFUTED


def test_a_perfect_trend_with_scale_is_decided():
    rising = models_of(("base", 9)).assign(value=np.arange(9.0))
    claim = claimed("above", 0.3, effect_of="parameters")
    assert judge_effect(claim, *effect(rising, "parameters")).word == SUPPORTED
    assert judge_effect(over(), *effect(rising, "parameters")).word == REFUTED


def test_no_effect_of_kind_is_an_absence_only_where_the_interval_lies_within_the_bound():
    alike = models_of(("base", 30), ("instruct", 30))
    absent = ruled_over(alike, "below")
    assert (absent.word, absent.reason) == (SUPPORTED, "decided")
    assert ruled_over(alike, "above").word == REFUTED
    narrow = ruled_over(alike, "below", 0.05)
    assert (narrow.word, narrow.reason) == (OPEN, "models")
    fewer = ruled_over(models_of(("base", 15), ("instruct", 15), far=0.5), "below")
    assert (fewer.word, fewer.reason) == (OPEN, "bound")
    assert fewer.why.endswith("the interval reaches over the bound.")


def test_no_draw_of_too_few_alike_models_is_an_absence():
    for seed in range(40):
        few = ruled_over(models_of(("base", 4), ("instruct", 4), seed=seed), "below")
        assert few.word == OPEN
        assert few.why.endswith("as small as claimed takes at least 26 models: 18 more.")


def test_two_models_say_how_many_are_missing():
    two = models_of(("base", 1), ("instruct", 1), far=9.0)
    absent, present = (ruled_over(two, direction) for direction in ("below", "above"))
    assert (absent.word, present.word) == (OPEN, OPEN)
    assert absent.why.endswith("as small as claimed takes at least 26 models: 24 more.")
    assert present.why.endswith(
        "To tell an effect from chance (p ≤ 0.05) takes at least 8 models: 6 more of the rarest "
        "kind."
    )
    rare = ruled_over(models_of(("base", 1), ("instruct", 15), far=9.0), "above")
    assert rare.word == OPEN
    assert rare.why.endswith("1 more of the rarest kind.")


def test_an_effect_of_kind_stands_beside_what_another_order_gives():
    shown = picture(ruled_over(models_of(("base", 12), ("instruct", 12), far=5.0), "above"))
    assert [one.name for one in shown.bars] == ["over models", "models in another order"]
    own, chance = (one.figure for one in shown.bars)
    assert own.low > 0.3
    assert chance.value == pytest.approx(1 / 23, abs=0.01)
