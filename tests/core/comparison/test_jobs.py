"""A comparison as jobs: nothing to nothing missing, in order, once; then everything is there."""

from dataclasses import replace

import numpy as np
import pytest

from core.activations.jobs import study_of, untrained
from core.activations.prompts import ReadSpec
from core.comparison import jobs as comparison_jobs
from core.comparison.differences import Difference
from core.comparison.jobs import CompareSpec, comparison, reading
from core.comparison.sides import Side
from core.comparison.steered import with_aligned
from core.comparison.texts import Question
from core.diagnosis import diagnosis
from core.diagnosis.diagnosis import DiagnosisSpec
from core.measures.result import NOTHING, TESTS
from core.sae.patches import Patch
from core.sae.shelf import keep_dictionary
from core.statistics.bootstrap import Estimate
from core.workbench import Workbench
from tests.core.comparison.comparesets import set_of, worded_rows
from tests.core.sae.saesets import made_dictionary

WITHIN = 120


@pytest.fixture
def few_draws(monkeypatch):
    """Measure with few resamples: what is tested is the order of the work."""
    monkeypatch.setattr(
        CompareSpec,
        "diagnosis",
        lambda spec, side: DiagnosisSpec(side.pooling, spec.tests, draws=20, shuffles=20),
    )


@pytest.fixture
def sides(tmp_path, llama_spec, few_draws):
    """Return a workbench, and the tiny Llama beside its untrained copy; nothing is read."""
    work = Workbench.at(tmp_path / "cache")
    study = study_of(work, set_of(work.store, worded_rows(150)), llama_spec, ReadSpec())
    return work, [Side(study, 1, "mean"), Side(untrained(work, study), 1, "mean")]


def finish(work, sides):
    titles = []
    made = comparison(work, sides, CompareSpec())
    while (job := work.runner.ensure(made)) is not None:
        job.wait(WITHIN)
        assert job.state == "done", job.error
        titles.append(job.title)
        assert len(titles) < 20
    return titles


def test_from_nothing_to_everything_one_model_after_the_other(sides):
    work, both = sides
    assert comparison(work, both, CompareSpec()).open() is None
    assert comparison_jobs.unread(work, both) == [side.study for side in both]
    titles = finish(work, both)
    assert [title.split()[0] for title in titles] == [
        "Reading", "Reading", "Four", "Four", "Comparing",
    ]  # fmt: skip
    made = comparison(work, both, CompareSpec())
    assert made.has()
    found = made.open()
    assert len(found.maps) == len(found.diagnoses) == 2
    assert len(found.comparisons) == len(found.profiles) == 1
    assert (
        [one.test for one in found.best[0]] == [one.test for one in found.shown[0]] == list(TESTS)
    )
    assert (found.maps[0].moved == 0).all()
    assert (found.maps[1].moved > 0).any()


def test_what_is_kept_is_not_made_again(sides, monkeypatch):
    work, both = sides
    finish(work, both)
    monkeypatch.setattr(diagnosis, "_geometry", None)  # calling it would fail
    monkeypatch.setattr("core.comparison.pairs.cka", None)
    assert work.runner.ensure(comparison(work, both, CompareSpec())) is None
    again = Workbench.at(work.store.root)
    assert comparison(again, both, CompareSpec()).open().sides == tuple(both)
    assert not any(again.shelf.is_open(side.study.card.spec) for side in both)


@pytest.mark.parametrize("on", ["these", "others", "gone"])
def test_what_a_side_was_trained_on_is_no_evidence(sides, monkeypatch, on):
    work, (first, _) = sides
    trained = {"these": first.study.items, "others": work.items()}.get(on, first.study.items)
    base = made_dictionary(layer=0, model=first.study.card.identity)
    patch = Patch.of(base, np.arange(8))
    patch.w_dec.mul_(30)
    after = patch.applied(base, "after", {"before": base.digest, "items": trained.digest})
    for one in (base, after):
        kept = keep_dictionary(work.store, one, first.study.card)
    aligned = next(one for one in work.store.artefacts() if one.digest == kept)
    both = [first, replace(first, study=with_aligned(work.store, first.study, kept))]
    finish(work, both)
    if on == "gone":
        work.store.delete(aligned)
    for name in ("differences_at", "differences_at_best"):
        monkeypatch.setattr(comparison_jobs, name, surely)
    found = comparison(work, both, CompareSpec()).open()
    level = "beyond" if on == "others" else "taught"
    assert {one.level for one in (*found.best[0], *found.shown[0])} == {level}


def surely(*_):
    found = Estimate(0.3, 0.2, 0.4)
    return [Difference(test, found, found, found, NOTHING, "beyond") for test in TESTS]


def test_one_model_beside_itself_is_read_and_measured_once(sides):
    work, (side, _) = sides
    trio = [side, Side(side.study, 2, "mean"), Side(side.study, 1, "last")]
    titles = finish(work, trio)
    assert [title.split()[0] for title in titles] == ["Reading", "Four", "Four", "Comparing"]
    found = comparison(work, trio, CompareSpec()).open()
    assert found.diagnoses[0] is found.diagnoses[1]
    assert found.best[0] == found.shown[0]  # it has no other best layers
    assert found.layers(0, "gradient", best=True) == (1, 2)
    chosen = found.diagnoses[2].chosen["gradient"]
    assert found.layers(1, "gradient", best=True)[1] == chosen
    assert found.layers(1, "gradient", best=False) == (1, 1)
    assert len(found.comparisons) == 2


def test_a_running_job_is_found_and_another_setting_is_another_job(sides):
    work, both = sides
    made = comparison(work, both, CompareSpec())
    assert work.runner.of(made) is None
    job = work.runner.ensure(made)
    assert work.runner.of(comparison(work, both, CompareSpec())) is job
    job.wait(WITHIN)
    assert comparison(work, both, CompareSpec(scaling="centred")).name != made.name


def test_every_model_is_asked_the_same_and_answers_for_itself(sides):
    work, both = sides
    for side in both:
        work.runner.ensure(reading(work, side.study)).wait(WITHIN)
    question = Question("Lying to a friend is morally", "care-harm", 0.2, "each pole")

    def asked(some):
        job = comparison_jobs.ask_all(work, some, question)
        job.wait(WITHIN)
        assert job.state == "done", job.error
        return job.result

    told = asked(both)
    assert list(told) == ["A", "B"]
    assert told["A"].plain != told["B"].plain
    turned = asked(both[::-1])  # who is asked first changes nothing
    for one, other in (("A", "B"), ("B", "A")):
        assert told[one].plain == turned[other].plain
        assert told[one].answers.steered.tolist() == turned[other].answers.steered.tolist()
    twice = asked([both[0], both[0]])
    assert twice["A"] is twice["B"]


def test_models_of_two_families_are_asked_in_turn_and_one_stays_open(sides, gpt2_spec):
    work, (llama, _) = sides
    gpt2 = Side(study_of(work, llama.study.items, gpt2_spec, ReadSpec()), 1, "mean")
    for side in (llama, gpt2):
        work.runner.ensure(reading(work, side.study)).wait(WITHIN)
    question = Question("Lying to a friend is morally", "care-harm", 0.2, "each pole")

    def asked(*some):
        job = comparison_jobs.ask_all(work, some, question)
        job.wait(WITHIN)
        assert job.state == "done", job.error
        return job.result

    alone = asked(gpt2)["A"]
    told = asked(llama, gpt2)
    assert told["B"].plain == alone.plain
    assert told["B"].answers.steered.tolist() == alone.answers.steered.tolist()
    assert work.shelf.is_open(gpt2_spec)
    assert not work.shelf.is_open(llama.study.card.spec)
