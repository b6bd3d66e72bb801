"""Measuring as jobs: layers measured once, four tests after the reading, a waterfall in turn."""

import numpy as np
import pytest

from core.activations.jobs import reading, study_of
from core.activations.prompts import PRESETS, ReadSpec
from core.diagnosis import jobs
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.evidence import evidence
from core.diagnosis.jobs import diagnosis, measured, repaired
from core.layers import EMBEDDING
from tests.core.benches import closed, done, finish

FEW = DiagnosisSpec(draws=5, shuffles=5)


# Evidence ---------------------------------------------------------------------------------------


def test_measuring_covers_every_layer_once(bench, few_study, monkeypatch):
    made = measured(bench, few_study, "last", "standardised")
    assert made.open() is None
    read, measure = finish(bench, made)
    assert (read.key, measure.key) == (reading(bench, few_study).name, made.name)
    assert bench.runner.ensure(measured(bench, few_study, "last", "standardised")) is None
    monkeypatch.setattr("core.diagnosis.evidence.measure", None)  # measuring anything would fail
    for layer in range(few_study.card.n_layers):
        assert len(evidence(bench.store, few_study, layer, "last", "standardised")) == 3
    found = made.open()
    assert list(found.findings) == [0, 1, 2]
    assert list(found.problems) == [EMBEDDING]
    assert "the same for every text" in found.problems[EMBEDDING]
    assert found.findings == measure.result.findings
    assert not measured(bench, few_study, "mean", "standardised").has()


def test_other_layers_poolings_and_scalings_are_other_jobs(bench, few_study):
    asked = [
        measured(bench, few_study, "mean", "standardised"),
        measured(bench, few_study, "last", "standardised"),
        measured(bench, few_study, "mean", "centred"),
        measured(bench, few_study, "mean", "standardised", [1]),
    ]
    assert len({made.name for made in asked}) == 4
    assert measured(bench, few_study, "mean", "standardised").name == asked[0].name
    finish(bench, asked[-1])
    assert list(asked[-1].open().findings) == [1]
    assert not asked[0].has()


# The four tests ---------------------------------------------------------------------------------


def test_the_four_tests_come_after_the_reading_and_have_their_place_on_the_leaderboard(
    bench, few_study, monkeypatch
):
    kept = []
    monkeypatch.setattr(jobs, "keep_standing", lambda _, *what: kept.append(what))
    made = diagnosis(bench, few_study, FEW)
    read = bench.runner.ensure(made)
    assert read.key == reading(bench, few_study).name
    done(read)
    job = bench.runner.ensure(made)
    assert bench.runner.ensure(diagnosis(bench, few_study, FEW)) is job
    assert job.title.startswith("Four tests at 4 layers of tiny-llama")
    done(job)
    assert kept == [(few_study, FEW)]
    assert four_tests(bench.store, few_study, FEW).has()
    again = closed(bench, monkeypatch)
    assert again.runner.ensure(diagnosis(again, few_study, FEW)) is None
    assert list(diagnosis(again, few_study, FEW).get().layers) == list(few_study.plan.layers)
    assert kept == [(few_study, FEW)]


def test_the_job_of_the_four_tests_depends_on_all_that_they_depend_on(bench, few_study):
    items, model = few_study.items, few_study.card.spec
    others = [
        (few_study, DiagnosisSpec(draws=6, shuffles=5)),
        (few_study, DiagnosisSpec(draws=5, shuffles=5, seed=1)),
        (few_study, DiagnosisSpec("last", draws=5, shuffles=5)),
        (study_of(bench, items, model, ReadSpec(template="{action} is")), FEW),
        (study_of(bench, items, model.untrained(), ReadSpec()), FEW),
    ]
    own = diagnosis(bench, few_study, FEW).name
    names = {own} | {diagnosis(bench, *one).name for one in others}
    assert len(names) == 1 + len(others)
    assert diagnosis(bench, study_of(bench, items, model, ReadSpec()), FEW).name == own


# The waterfall ----------------------------------------------------------------------------------


def test_a_waterfall_is_first_read_then_measured_then_there(bench, few_study, monkeypatch):
    made = repaired(bench, few_study)
    assert bench.runner.of(made) is None
    paper, plain = made.needs
    assert plain.name == reading(bench, few_study).name  # read by default, it is one of the two
    titles = []
    for read in (paper, plain):
        job = bench.runner.ensure(made)
        assert job.key == read.name
        assert bench.runner.of(made) is job
        done(job)
        assert read.has()
        titles.append(job.title)
    assert all(title.startswith("Reading 24 texts") for title in titles)
    job = bench.runner.ensure(made)
    assert job.key == made.name
    assert "step by step" in job.title
    assert bench.runner.ensure(repaired(bench, few_study)) is job  # nobody starts it twice
    done(job)
    assert bench.runner.of(repaired(bench, few_study)) is job
    assert bench.runner.ensure(made) is None
    again = closed(bench, monkeypatch)
    kept = repaired(again, few_study)
    assert again.runner.ensure(kept) is None
    assert again.runner.of(kept) is None
    np.testing.assert_equal(kept.get(), job.result)


def test_a_study_that_was_read_needs_one_reading_for_its_waterfall(bench, few_study):
    finish(bench, reading(bench, few_study))
    made = repaired(bench, few_study)
    paper, plain = made.needs
    assert plain.has()
    job = done(bench.runner.ensure(made))
    assert job.key == paper.name
    job = bench.runner.ensure(made)
    assert job.key == made.name
    job.cancel()
    job.wait(60)
    assert bench.runner.ensure(made) is not job  # a cancelled one can be started again
    for one in bench.runner.jobs():
        one.cancel()
        one.wait(60)


def test_a_waterfall_is_the_same_however_the_study_was_read_but_for_its_template(bench, few_study):
    items, model = few_study.items, few_study.card.spec
    alike = study_of(bench, items, model, PRESETS["paper"])
    other = study_of(bench, items, model, ReadSpec(template="{action} is"))
    assert repaired(bench, alike).name == repaired(bench, few_study).name
    assert repaired(bench, other).name != repaired(bench, few_study).name


@pytest.mark.parametrize("choice", [{"draws": 20}, {"seed": 1}])
def test_a_waterfall_with_other_draws_is_another(bench, few_study, choice):
    assert repaired(bench, few_study, **choice).name != repaired(bench, few_study).name


# States that are lost ---------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["flipped", "deleted"])
def test_states_that_prove_to_be_lost_are_read_again_in_the_same_job(bench, few_study, damage):
    finish(bench, reading(bench, few_study))
    kept = reading(bench, few_study).open().prompt_states(1, "mean").copy()
    path = bench.store.folder("acts", few_study.plan.key(1, "mean")) / "array.safetensors"
    if damage == "flipped":
        content = bytearray(path.read_bytes())
        content[-3] ^= 255
        path.write_bytes(content)
        bench = type(bench).at(bench.store.root)  # what this process has hashed it trusts
    else:
        path.unlink()
    made = measured(bench, few_study, "mean", "standardised")
    assert reading(bench, few_study).has()  # nobody has looked into it yet
    finish(bench, made)
    assert not made.open().problems
    assert len(made.open().findings) == len(few_study.plan.layers)
    assert bench.store.notices
    np.testing.assert_array_equal(reading(bench, few_study).open().prompt_states(1, "mean"), kept)
    finish(bench, diagnosis(bench, few_study, FEW))
