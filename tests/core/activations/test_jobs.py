"""A model's reading of a set as a job: paid for once, shared by all who ask, taken up again."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from core import CoreError
from core.activations.extraction import Steered, open_states
from core.activations.jobs import reading, study_of, untrained, with_model
from core.activations.prompts import ReadSpec
from core.activations.study import layer_states
from core.runtime.progress import silent
from core.workbench import Workbench
from tests.core.benches import closed, done, failed


def read(bench, study):
    """Start (or join) the job that reads a study."""
    return bench.runner.ensure(reading(bench, study))


def test_a_study_opens_no_weights(bench, few_items, llama_spec, monkeypatch):
    study = study_of(closed(bench, monkeypatch), few_items, llama_spec, ReadSpec())
    assert study.card.n_layers == 3
    assert not reading(bench, study).has()
    assert reading(bench, study).open() is None


def test_a_reading_is_paid_for_once(bench, few_study, few_items, llama_spec, monkeypatch):
    done(read(bench, few_study))
    assert reading(bench, few_study).has()
    made = {one.digest for one in bench.store.artefacts()}
    again = closed(bench, monkeypatch)
    same = study_of(again, few_items, llama_spec, ReadSpec())
    assert reading(again, same).has()
    assert read(again, same) is None
    assert again.runner.jobs() == []
    assert reading(again, same).get().prompt_states(1, "mean").shape == (24, 32)
    assert {one.digest for one in again.store.artefacts()} == made


@pytest.mark.parametrize(("unpacked", "begins"), [(True, 0.15), (False, 0.5)])
def test_what_lies_unpacked_takes_little_of_the_bar(bench, few_study, unpacked, begins):
    if not unpacked:
        few_study = replace(few_study, card=replace(few_study.card, folder=None))
    told: list[tuple[float, str]] = []
    reading(bench, few_study).make(lambda done, total, note: told.append((done / total, note)))
    assert next(at for at, note in told if "reading texts" in note) == pytest.approx(begins)


def test_two_that_ask_for_one_reading_share_the_job(bench, few_study):
    first, second = read(bench, few_study), read(bench, few_study)
    assert first is second
    assert bench.runner.get(reading(bench, few_study).name) is first
    assert "24 texts" in first.title
    assert first.lane == "model"
    done(first)


def test_readings_that_differ_in_anything_are_different_jobs(bench, few_items, llama_spec):
    specs = [
        ReadSpec(),
        ReadSpec(template="{action}"),
        ReadSpec(strip=False),
        ReadSpec(poolings=("mean",)),
        ReadSpec(max_tokens=100),
        ReadSpec(dtype="bfloat16"),
    ]
    studies = [study_of(bench, few_items, llama_spec, spec) for spec in specs]
    studies.append(study_of(bench, few_items, llama_spec.untrained(), ReadSpec()))
    assert len({reading(bench, study).name for study in studies}) == len(studies)


def test_the_untrained_control_is_another_reading(bench, few_study, few_items, llama_spec):
    control = study_of(bench, few_items, llama_spec.untrained(0), ReadSpec())
    other = study_of(bench, few_items, llama_spec.untrained(1), ReadSpec())
    for one in (few_study, control, other):
        done(read(bench, one))
    for layer in few_study.plan.layers:
        trained, first, second = (
            open_states(bench.store, one.plan).prompt_states(layer, "mean")
            for one in (few_study, control, other)
        )
        assert np.abs(trained - first).max() > 0.01
        assert np.abs(first - second).max() > 0.01


def test_the_untrained_copy_of_a_study_is_read_the_same_way_and_has_none_itself(bench, few_study):
    copy = untrained(bench, few_study)
    assert copy.card.spec == few_study.card.spec.untrained()
    assert copy.items is few_study.items
    assert copy.plan.spec == few_study.plan.spec
    assert untrained(bench, copy) is None


def test_the_untrained_control_is_the_same_in_another_process(
    bench, few_items, llama_spec, tmp_path
):
    states = []
    for place in (bench, Workbench.at(tmp_path / "second")):
        control = study_of(place, few_items, llama_spec.untrained(0), ReadSpec())
        done(read(place, control))
        states.append(open_states(place.store, control.plan).prompt_states(2, "mean"))
    np.testing.assert_array_equal(*states)


def test_cancelled_reading_says_so_and_can_be_taken_up(bench, few_study):
    free = threading.Event()
    blocker = bench.runner.submit("block", "Blocking", lambda _: free.wait(10))
    job = read(bench, few_study)
    job.cancel()
    again = read(bench, few_study)
    assert again is not job
    free.set()
    done(blocker)
    assert job.state == "cancelled"
    done(again)
    assert reading(bench, few_study).has()


def test_a_reading_cancelled_on_its_way_is_not_there_and_goes_on(bench, few_study, monkeypatch):
    get = type(bench.shelf).get

    def cancelling(*args):
        bench.runner.jobs()[0].cancel()
        return get(*args)

    with monkeypatch.context() as patch:
        patch.setattr(type(bench.shelf), "get", cancelling)
        job = read(bench, few_study)
        job.wait(60)
    assert job.state == "cancelled"
    assert not reading(bench, few_study).has()
    done(read(bench, few_study))
    assert reading(bench, few_study).has()


def test_a_model_that_changed_on_disk_is_not_read_under_its_old_name(
    bench, few_items, copy_spec, tiny_gpt2_folder
):
    study = study_of(bench, few_items, copy_spec, ReadSpec())
    folder = study.card.folder
    shutil.rmtree(folder)
    shutil.copytree(tiny_gpt2_folder, folder)
    assert "has changed" in failed(read(bench, study))
    assert not reading(bench, study).has()
    with pytest.raises(CoreError, match="has changed"):
        with_model(bench, study, lambda model, _: model)(silent)
    anew = study_of(bench, few_items, copy_spec, ReadSpec())
    done(read(bench, anew))
    assert reading(bench, anew).has()


def test_states_are_those_of_the_study_after_a_restart(bench, few_study):
    done(read(bench, few_study))
    chosen = (1, "mean", "standardised")
    before = layer_states(bench.store, few_study, *chosen).states
    again = Workbench.at(bench.store.root)
    items = again.items(few_study.items.digest)
    same = study_of(again, items, few_study.card.spec, ReadSpec())
    np.testing.assert_array_equal(layer_states(again.store, same, *chosen).states, before)


def test_steered_states_are_not_read_without_their_edits(bench, few_study):
    plan = replace(few_study.plan, steered=Steered("d" * 64, "word"))
    with pytest.raises(ValueError, match="under the name of steered ones"):
        reading(bench, replace(few_study, plan=plan)).make(silent)
