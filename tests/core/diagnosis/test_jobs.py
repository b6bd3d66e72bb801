"""Measuring as jobs: layers measured once, four tests after the reading, a waterfall in turn."""

from dataclasses import replace

import numpy as np
import pytest

from core import CoreError
from core.activations.jobs import reading, study_of, untrained
from core.activations.prompts import PLAIN_TURN, PRESETS, TEMPLATES, ReadSpec
from core.diagnosis import jobs
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.evidence import evidence
from core.diagnosis.jobs import diagnosis, measured, phrasings, repaired, untrained_seeds
from core.diagnosis.seeds import SEEDS
from core.layers import EMBEDDING
from tests.core.benches import closed, done, failed, finish

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


# What the scorecard hangs on --------------------------------------------------------------------


def diagnosed(bench, study):
    finish(bench, diagnosis(bench, study, FEW))
    return diagnosis(bench, study, FEW).open()


def test_five_untrained_seeds_are_read_and_measured_at_the_chosen_layers(
    bench, few_study, monkeypatch
):
    found = diagnosed(bench, few_study)
    copies = [untrained(bench, few_study, seed) for seed in SEEDS]
    assert len({copy.card.identity for copy in copies}) == 5
    first = diagnosed(bench, copies[0])
    made = untrained_seeds(bench, found, copies)
    assert [read.title for read in made.needs] == [
        f"Reading 24 texts with {copy.card.name}" for copy in copies[1:]
    ]
    assert made.open() is None
    finish(bench, made)
    seeds = made.open()
    assert [set(copy) for copy in seeds] == [set(found.chosen.values())] * 5
    layer = found.chosen["dimensional"]
    values = [copy[layer].reported("dimensional").observed for copy in seeds]
    assert values[0] == first.layers[layer].reported("dimensional").observed
    assert len(set(values)) == 5
    again = closed(bench, monkeypatch)
    assert again.runner.ensure(untrained_seeds(again, found, copies)) is None


def test_other_templates_are_read_and_measured_in_one_job_and_kept(bench, few_study, monkeypatch):
    found = diagnosed(bench, few_study)
    made = phrasings(bench, found)
    assert made.open() is None
    (job,) = finish(bench, made)
    told = made.open()
    assert [one.name for one in told] == [
        "own",
        *(name for name, one in TEMPLATES.items() if one != ReadSpec().template),
        "chat turn",
    ]
    assert told == job.result
    assert told[-1].template == PLAIN_TURN
    assert {one.template for one in told} == {*TEMPLATES.values(), PLAIN_TURN}
    for one in told:
        assert set(one.figures) == set(found.chosen)
    layer = found.chosen["dimensional"]
    observed = found.layers[layer].reported("dimensional").observed.value
    values = [one.figures["dimensional"] for one in told]
    assert values[0] == observed
    assert len(set(values)) == len(values)
    again = closed(bench, monkeypatch)
    assert again.runner.ensure(phrasings(again, found)) is None
    other = replace(found, spec=replace(FEW, seed=1))
    assert not phrasings(again, other).has()


def test_templates_that_were_read_before_the_job_was_stopped_are_not_read_again(
    bench, few_study, monkeypatch
):
    found, seen = diagnosed(bench, few_study), []

    def stopped(*what):
        seen.append(what)
        if len(seen) == 2:
            raise CoreError("Stopped.")
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "measure_template", stopped)
        assert failed(bench.runner.ensure(phrasings(bench, found))) == "Stopped."
    how = [ReadSpec(template=TEMPLATES[name], poolings=("mean",)) for name in TEMPLATES]
    reads = [reading(bench, study_of(bench, few_study.items, few_study.card.spec, h)) for h in how]
    assert [read.has() for read in reads] == [True, True, True, False, False]
    finish(bench, phrasings(bench, found))
    assert all(read.has() for read in reads)
