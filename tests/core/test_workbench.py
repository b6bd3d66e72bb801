"""What pages and commands ask: items, a reading, pictures, a sentence; paid for once."""

import random
import shutil

import numpy as np
import pytest

from core import CoreError, workbench
from core.activations.extraction import open_states
from core.activations.prompts import PRESETS, ReadSpec
from core.activations.study import layer_states
from core.dataset.sets import ItemSpec
from core.diagnosis.evidence import evidence
from core.foundations import FOUNDATIONS
from core.layers import EMBEDDING
from core.maps.layouts import model_layout
from core.maps.placing import nearest_items
from core.maps.projection import LayoutSpec
from core.models.open_models import Shelf
from core.runtime.store import default_root
from core.workbench import BUILTIN, Workbench

SOON = 120.0
PCA = LayoutSpec()
STANDARD = ("mean", "standardised")


def done(job):
    job.wait(SOON)
    assert (job.state, job.error) == ("done", "")
    return job


def write_table(path, n=24, seed=0):
    draw = random.Random(seed)
    lines = ["action\tfoundation\tjudgement\tagreement"]
    for number in range(n):
        verb = draw.choice(["help", "rob", "praise", "mock", "feed", "leave"])
        row = (f"{verb} person {number} of the town", draw.choice(FOUNDATIONS))
        lines.append("\t".join(map(str, (*row, draw.randint(-2, 2), draw.randint(1, 4)))))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def bench(tmp_path):
    return Workbench.at(tmp_path / "cache")


@pytest.fixture
def items(bench, tmp_path):
    return done(bench.add_items(ItemSpec("file", write_table(tmp_path / "t.tsv")))).result


@pytest.fixture
def study(bench, items, llama_spec):
    return bench.study(items, llama_spec, ReadSpec())


def closed(bench, monkeypatch):
    """Return a fresh workbench on the same cache that fails if it opens any weights."""

    def never(*_args, **_options):
        raise AssertionError("weights were opened")

    monkeypatch.setattr(Shelf, "get", never)
    monkeypatch.setattr("core.models.open_models.open_model", never)
    return Workbench.at(bench.store.root)


# Items ------------------------------------------------------------------------------------------


def test_the_built_in_set_is_there_without_a_table(bench):
    items = bench.items()
    assert len(items) > 1500
    assert items.provenance.kind == "builtin"
    assert bench.items(BUILTIN).digest == items.digest


def test_a_table_becomes_a_set_that_is_found_by_its_digest(bench, items):
    assert bench.items(items.digest).digest == items.digest
    assert bench.items(items.digest[:12]).item.tolist() == items.item.tolist()


@pytest.mark.parametrize("name", ["", "x", "0" * 64, "../../etc", "bu\0ilt", "builtins"])
def test_an_unknown_set_is_a_clear_sentence(bench, name):
    with pytest.raises(CoreError, match="No stored set of items has the digest"):
        bench.items(name)


def test_a_table_that_cannot_be_read_fails_with_its_reason(bench, tmp_path):
    job = bench.add_items(ItemSpec("file", tmp_path / "nowhere.tsv"))
    job.wait(SOON)
    assert job.state == "failed"
    assert "nowhere.tsv" in job.error
    assert "unexpected" not in job.error


def test_the_default_cache_is_the_one_that_the_environment_names():
    assert Workbench.at().store.root == default_root()


# Reading ----------------------------------------------------------------------------------------


def test_a_study_opens_no_weights(bench, items, llama_spec, monkeypatch):
    study = closed(bench, monkeypatch).study(items, llama_spec, ReadSpec())
    assert study.card.n_layers == 3
    assert not bench.is_read(study)


def test_a_reading_is_paid_for_once(bench, study, items, llama_spec, monkeypatch):
    done(bench.read(study))
    assert bench.is_read(study)
    made = {one.digest for one in bench.store.artefacts()}
    again = closed(bench, monkeypatch)
    same = again.study(items, llama_spec, ReadSpec())
    assert again.is_read(same)
    job = done(again.read(same))
    assert job.seconds < 1
    assert {one.digest for one in again.store.artefacts()} == made


def test_two_that_ask_for_one_reading_share_the_job(bench, study):
    first, second = bench.read(study), bench.read(study)
    assert first is second
    assert bench.runner.get(bench.read_key(study)) is first
    assert "24 texts" in first.title
    done(first)


def test_readings_that_differ_in_anything_are_different_jobs(bench, items, llama_spec):
    specs = [
        ReadSpec(),
        ReadSpec(template="{action}"),
        ReadSpec(strip=False),
        ReadSpec(poolings=("mean",)),
        ReadSpec(max_tokens=100),
        ReadSpec(dtype="bfloat16"),
    ]
    keys = [bench.read_key(bench.study(items, llama_spec, spec)) for spec in specs]
    keys.append(bench.read_key(bench.study(items, llama_spec.untrained(), ReadSpec())))
    assert len(set(keys)) == len(keys)


def test_the_untrained_control_is_another_reading(bench, study, items, llama_spec):
    control = bench.study(items, llama_spec.untrained(0), ReadSpec())
    other = bench.study(items, llama_spec.untrained(1), ReadSpec())
    for one in (study, control, other):
        done(bench.read(one))
    for layer in study.plan.layers:
        trained, first, second = (
            open_states(bench.store, one.plan).prompt_states(layer, "mean")
            for one in (study, control, other)
        )
        assert np.abs(trained - first).max() > 0.01
        assert np.abs(first - second).max() > 0.01


def test_the_untrained_control_is_the_same_in_another_process(bench, items, llama_spec, tmp_path):
    states = []
    for place in (bench, Workbench.at(tmp_path / "second")):
        control = place.study(items, llama_spec.untrained(0), ReadSpec())
        done(place.read(control))
        states.append(open_states(place.store, control.plan).prompt_states(2, "mean"))
    np.testing.assert_array_equal(*states)


def test_cancelled_reading_says_so_and_can_be_taken_up(bench, study):
    blocker = bench.runner.submit("block", "Blocking", lambda report: [report(0, 1, "")] * 3)
    job = bench.read(study)
    job.cancel()
    job.wait(SOON)
    blocker.wait(SOON)
    assert job.state == "cancelled" or bench.is_read(study)
    done(bench.read(study))
    assert bench.is_read(study)


def test_a_model_that_changed_on_disk_is_not_read_under_its_old_name(
    bench, items, copy_spec, tiny_gpt2_folder
):
    study = bench.study(items, copy_spec, ReadSpec())
    folder = study.card.folder
    shutil.rmtree(folder)
    shutil.copytree(tiny_gpt2_folder, folder)
    job = bench.read(study)
    job.wait(SOON)
    assert job.state == "failed"
    assert "has changed" in job.error
    assert not bench.is_read(study)
    anew = bench.study(items, copy_spec, ReadSpec())
    done(bench.read(anew))
    sentence = bench.sentence(study, "sell the house", *STANDARD)
    sentence.wait(SOON)
    assert "has changed" in sentence.error
    assert done(bench.sentence(anew, "sell the house", *STANDARD)).result


# Pictures ---------------------------------------------------------------------------------------


def test_the_layouts_job_draws_every_layer_and_then_nothing_is_missing(bench, study, monkeypatch):
    done(bench.read(study))
    job = done(bench.layouts(study, *STANDARD, PCA))
    assert "2-D PCA maps" in job.title
    assert bench.layouts(study, *STANDARD, PCA) is None
    monkeypatch.setattr("core.maps.layouts.project", None)  # so that drawing anything would fail
    for layer in study.plan.layers:
        shape = model_layout(bench.store, study, layer, *STANDARD, PCA).get().points.shape
        assert shape == (len(study.plan.prompts), 2)
    assert Workbench.at(bench.store.root).layouts(study, *STANDARD, PCA) is None


def test_a_layer_without_a_picture_is_not_drawn_again_and_again(bench, study):
    done(bench.read(study))
    done(bench.layouts(study, "last", "standardised", PCA))
    assert bench.layouts(study, "last", "standardised", PCA) is None
    with pytest.raises(CoreError, match="the same for every text"):
        model_layout(bench.store, study, EMBEDDING, "last", "standardised", PCA).get()


def test_every_layer_is_drawn_and_counted_once(bench, study, monkeypatch):
    done(bench.read(study))
    drawn, notes = [], []
    draw = workbench.model_layout

    def spy(store, study, layer, *rest):
        drawn.append(layer)
        notes.append(bench.runner.jobs()[0].note)
        return draw(store, study, layer, *rest)

    monkeypatch.setattr(workbench, "model_layout", spy)
    done(bench.layouts(study, *STANDARD, PCA))
    assert drawn[0] == study.anchor
    assert sorted(drawn) == list(study.plan.layers)
    assert notes[-1] == "drawing layers · 3 of 4"


def test_other_pictures_are_other_jobs(bench, study):
    done(bench.read(study))
    jobs = [
        bench.layouts(study, "mean", "standardised", PCA),
        bench.layouts(study, "mean", "standardised", LayoutSpec(dims=3)),
        bench.layouts(study, "mean", "centred", PCA),
        bench.layouts(study, "last", "standardised", PCA),
    ]
    assert len({job.key for job in jobs}) == 4
    for job in jobs:
        done(job)


def test_layouts_of_an_unread_study_are_refused(bench, study):
    with pytest.raises(CoreError, match="has not read"):
        bench.layouts(study, *STANDARD, PCA)


def test_measuring_covers_every_layer_once(bench, study, monkeypatch):
    done(bench.read(study))
    done(bench.measure(study, "last", "standardised"))
    assert bench.measure(study, "last", "standardised") is None
    monkeypatch.setattr(
        "core.diagnosis.evidence.measure", None
    )  # so that measuring anything would fail
    for layer in range(study.card.n_layers):
        assert len(evidence(bench.store, study, layer, "last", "standardised")) == 3
    assert bench.measure(study, *STANDARD) is not None


# A sentence -------------------------------------------------------------------------------------


def test_a_sentence_is_placed_at_every_layer(bench, study):
    done(bench.read(study))
    text = study.items.texts()[5]
    placed = done(bench.sentence(study, text, *STANDARD)).result
    assert placed.cosine.shape == (4, 10)
    rows, cosine = nearest_items(bench.store, study, placed.states[3], 2, *STANDARD)
    assert study.items.texts()[rows[0]] == text
    assert cosine[0] == pytest.approx(1, abs=1e-4)


def test_a_sentence_is_read_once(bench, study, monkeypatch):
    done(bench.read(study))
    first = done(bench.sentence(study, "sell the house", *STANDARD))
    monkeypatch.setattr(workbench, "place_sentence", None)
    assert bench.sentence(study, "sell the house", *STANDARD) is first


def test_another_sentence_pooling_or_scaling_is_another_job(bench, study):
    done(bench.read(study))
    asked = [
        ("sell the house", "mean", "standardised"),
        ("sell the boat", "mean", "standardised"),
        ("sell the house", "last", "standardised"),
        ("sell the house", "mean", "centred"),
    ]
    jobs = [done(bench.sentence(study, *one)) for one in asked]
    assert len({job.key for job in jobs}) == 4
    results = [job.result.cosine[-1] for job in jobs]
    assert all(np.nanmax(np.abs(results[0] - other)) > 1e-4 for other in results[1:])


def test_a_sentence_before_the_reading_is_refused_and_works_after_it(bench, study):
    job = bench.sentence(study, "sell the house", *STANDARD)
    job.wait(SOON)
    assert job.state == "failed"
    assert "has not read" in job.error
    done(bench.read(study))
    cosine = done(bench.sentence(study, "sell the house", *STANDARD)).result.cosine
    np.testing.assert_array_equal(np.isfinite(cosine[0]), study.members.any(axis=0))


def test_states_are_those_of_the_study_after_a_restart(bench, study):
    done(bench.read(study))
    before = layer_states(bench.store, study, 1, *STANDARD).states
    again = Workbench.at(bench.store.root)
    same = again.study(again.items(study.items.digest), study.card.spec, ReadSpec())
    np.testing.assert_array_equal(layer_states(again.store, same, 1, *STANDARD).states, before)


# The waterfall ----------------------------------------------------------------------------------


def test_a_waterfall_is_first_read_then_measured_then_there(bench, study, monkeypatch):
    assert bench.waterfall_job(study) is None
    paper, plain = bench.both_readings(study)
    assert plain.plan.base_key() == study.plan.base_key()  # read by default, it is one of the two
    titles = []
    for read, key in ((paper, bench.read_key(paper)), (plain, bench.read_key(plain))):
        job = bench.waterfall(study)
        assert job.key == key
        assert bench.waterfall_job(study) is job
        done(job)
        assert bench.is_read(read)
        titles.append(job.title)
    assert all(title.startswith("Reading 24 texts") for title in titles)
    job = bench.waterfall(study)
    assert job.key == bench.waterfall_key(study)
    assert "step by step" in job.title
    assert bench.waterfall(study) is job  # nobody starts it twice
    done(job)
    assert bench.waterfall_job(study) is job
    assert bench.waterfall(study) is None
    again = closed(bench, monkeypatch)
    assert again.waterfall(study) is None
    assert again.waterfall_job(study) is None


def test_a_study_that_was_read_needs_one_reading_for_its_waterfall(bench, study):
    done(bench.read(study))
    paper, plain = bench.both_readings(study)
    assert bench.is_read(plain)
    job = done(bench.waterfall(study))
    assert job.key == bench.read_key(paper)
    job = bench.waterfall(study)
    assert job.key == bench.waterfall_key(study)
    job.cancel()
    job.wait(SOON)
    assert bench.waterfall(study) is not job  # a cancelled one can be started again
    for one in bench.runner.jobs():
        one.cancel()
        one.wait(SOON)


def test_a_waterfall_is_the_same_however_the_study_was_read_but_for_its_template(bench, study):
    items, model = study.items, study.card.spec
    alike = bench.study(items, model, PRESETS["paper"])
    other = bench.study(items, model, ReadSpec(template="{action} is"))
    assert bench.waterfall_key(alike) == bench.waterfall_key(study)
    assert bench.waterfall_key(other) != bench.waterfall_key(study)
