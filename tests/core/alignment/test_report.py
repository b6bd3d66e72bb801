"""Verdicts of an alignment follow from figures fixed beforehand; a report comes back whole."""

from dataclasses import replace

import numpy as np
import pytest

from core.alignment.figures import Figure
from core.alignment.measure import FIGURES, Outcome
from core.alignment.report import (
    MEANS,
    RIVALS,
    UNTOUCHED,
    AlignReport,
    Run,
    kept_report,
    opened_before,
)
from core.sae.training.reconstruction_report import Fit
from core.statistics.bootstrap import Estimate

N = 60
_NOISE = np.random.default_rng(0).normal(size=N) / 1000


def figure(value):
    return Figure(value, value + _NOISE * 0.1)


def run(arm, seed=0, *, here=0.1, last=0.1, readout=0.1, target=0.1, share=0.5):
    outcome = Outcome(
        share,
        target,
        (figure(0.01), figure(0.01)),
        (figure(here), figure(last)),
        (figure(readout),),
        (figure(0.6),),
        (figure(0.2),),
        tuple(figure(0.1) for _ in range(25)),
        (figure(3.0),),
        (figure(target), figure(3.0)),
    )
    digest = "before" if arm == UNTOUCHED else "" if arm == MEANS else f"{arm} {seed}"
    fit = Fit(*(Estimate(0.1, 0.05, 0.15),) * 3) if digest else None
    return Run(arm, seed, target, outcome, digest, fit, 0.3 if digest else np.nan)


def report(repaired, **others):
    """Return a report of two seeds; arms that are not named are as the untouched."""
    runs = [run(UNTOUCHED, target=0.0, share=0.0)]
    for arm in RIVALS[1:]:
        runs.append(run(arm, **others.get(arm.replace(" ", "_"), {})))
    runs += [run("repaired", seed, **repaired) for seed in range(2)]
    return AlignReport(9, tuple(runs), 12, N, 0)


@pytest.mark.parametrize(
    ("repaired", "others", "expected"),
    [
        ({}, {}, "nothing"),
        ({"here": 0.4}, {"random_latents": {"here": 0.4}}, "no more than random latents"),
        ({"here": 0.4}, {}, "geometry only"),
        ({"here": 0.4, "last": 0.2}, {}, "geometry only"),
        ({"here": 0.4, "last": 0.3}, {}, "carried downstream"),
        ({"here": 0.4, "last": 0.3, "readout": 0.3}, {}, "behaviour"),
        (
            {"here": 0.4, "last": 0.3, "readout": 0.3},
            {"difference_of_means": {"readout": 0.3}},
            "carried downstream",
        ),
    ],
)
def test_a_verdict_needs_each_step_before_it(repaired, others, expected):
    made = report(repaired, **others)
    assert made.verdict(0.1) == expected
    assert "at 0.1 nats" in made.told(0.1)


def test_a_divergence_that_cannot_be_reached_decides_nothing():
    made = report({"here": 0.4, "share": float("nan")})
    assert made.of("repaired", 0.1) == []
    assert made.verdict(0.1) == "out of reach"
    assert "Training changed nothing" not in made.told(0.1)
    gone = report({"here": 0.4, "last": 0.3}, random_latents={"share": float("nan")})
    assert gone.verdict(0.1) == "not comparable"


def test_a_training_that_changed_nothing_is_said_so():
    made = report({"share": float("nan")})
    runs = tuple(run._replace(digest="before") for run in made.runs)
    still = replace(made, runs=runs)
    assert still.unchanged("repaired")
    assert still.told(0.1).startswith("Training changed nothing.")


def test_a_report_comes_back_bit_for_bit_and_counts_how_often_test_texts_were_opened(store):
    made = report({"here": 0.4}, noise={"share": float("nan")})
    key = {"model": "m", "items": "i", "spec": 1}
    kept = kept_report(store, key, lambda _: made)
    assert not kept.has()
    kept.make(lambda *_: None)
    again = kept.open()
    assert again is not None
    for before, after in zip(made.runs, again.runs, strict=True):
        assert before[:3] == after[:3]
        np.testing.assert_array_equal(before.outcome.share, after.outcome.share)
        assert (before.fit, before.digest) == (after.fit, after.digest)
        np.testing.assert_array_equal(before.dead, after.dead)
        for name in FIGURES:
            for one, other in zip(
                getattr(before.outcome, name), getattr(after.outcome, name), strict=True
            ):
                assert one.value == other.value
                np.testing.assert_array_equal(one.without, other.without)
    assert (again.layer, again.latents, again.texts) == (9, 12, N)
    assert opened_before(store, key) == 0
    assert opened_before(store, {**key, "spec": 2}) == 1
    assert opened_before(store, {**key, "items": "j"}) == 0
    (store.folder("alignment", key) / "alignment.json").write_text("{")
    assert kept.open() is None
