"""A whole alignment on a tiny model: every arm beside the others, kept, the same bits again."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.alignment.arms import arm_key, merit
from core.alignment.data import NEUTRAL, read_data, read_neutral, splits_of
from core.alignment.further import OWN, four_tests, recipe_of
from core.alignment.jobs import Divergence, alignment, candidates, chosen_spec, trained_arm
from core.alignment.lowrank import RANK
from core.alignment.paper import TERMS
from core.alignment.report import MEANS, UNTOUCHED, report_key
from core.alignment.second_set import second_report, unseen
from core.alignment.spec import ARMS, FORMAT, NEEDED, OBJECTIVES, AlignmentError, AlignSpec
from core.comparison.steered import steered
from core.dataset.sets import ItemSpec
from core.diagnosis.diagnosis import DiagnosisSpec, layer_tests
from core.models.spec import ModelSpec
from core.runtime.made import Made
from core.runtime.progress import Cancelled
from core.runtime.store import fingerprint
from core.sae.dictionary import DictionaryError
from core.sae.shelf import keep_dictionary, open_dictionary
from core.steering.effects import neutral
from core.workbench import Workbench
from tests.core.benches import done, failed, finish
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import balanced_rows

#: Little holds the latents back and each step is checked: even a random model gains something.
QUICK = AlignSpec(
    latents=3,
    rare=2,
    steps=20,
    patience=20,
    check=1,
    gain=0,
    batch=64,
    rate=2e-2,
    order=0,
    edit=0,
    stay=0,
    seeds=2,
)


def write(path, rows):
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def aligned(tiny_llama_folder, tmp_path_factory):
    """Return a workbench, a study, its dictionary, and the report of an alignment."""
    work = Workbench.at(tmp_path_factory.mktemp("bench") / "cache")
    table = write(tmp_path_factory.mktemp("table") / "t.tsv", balanced_rows())
    items = done(work.add_items(ItemSpec("file", table))).result
    study = study_of(
        work, items, ModelSpec("folder", str(tiny_llama_folder), device="cpu"), ReadSpec()
    )
    base = made_dictionary(96, k=6, model=study.card.identity)
    keep_dictionary(work.store, base, study.card)
    made = alignment(work, study, base, QUICK, (0.001,))
    finish(work, made)
    return work, study, base, made


def test_every_arm_stands_at_equal_divergence_beside_the_untouched(aligned):
    work, study, _, made = aligned
    report, model = made.open(), work.shelf.get(study.card.spec)
    assert report.arms == [UNTOUCHED, *NEEDED, MEANS]
    for arm in NEEDED:
        runs = report.of(arm, 0.001)
        assert [run.seed for run in runs] == [0, 1]
        assert all(run.outcome.kl == pytest.approx(0.001, rel=0.06) for run in runs)
    [plain] = report.of(UNTOUCHED, 0.001)
    assert len(plain.outcome.geometry) == study.card.n_layers - 1  # from layer 1 on
    assert all(len(one.without) == report.texts for one in plain.outcome.geometry)
    assert report.told(0.001)
    outcome = plain.outcome
    assert outcome.own_text[0].value == 0  # the plain model diverges from itself by nothing
    assert outcome.surprise[0].value == pytest.approx(
        np.log(neutral.neutral_cost(model, [], "not first").perplexity)
    )
    assert len(outcome.poles) == 25
    assert 0 <= outcome.brier[0].value <= 1
    assert plain.fit.l0.value == pytest.approx(6)
    moved = report.of("repaired", 0.001)[0]
    assert moved.outcome.own_text[0].value > 0
    assert moved.fit.fvu.value != plain.fit.fvu.value
    assert report.of(MEANS, 0.001)[0].fit is None


def test_all_arms_stand_in_one_report_and_training_leaves_nothing_behind(aligned):
    work, study, base, _ = aligned
    spec = replace(QUICK, seeds=1, arms=ARMS)
    report = alignment(work, study, base, spec, (0.001,)).get()
    assert report.arms == [UNTOUCHED, *ARMS, MEANS]
    low = trained_arm(work, study, base, spec, "LoReFT", 0)
    for arm in ARMS:
        reached = arm != "LoReFT" or low.best > 0  # where the untouched was best, nothing moves
        assert len(report.of(arm, 0.001)) == reached, arm
    [plain], [old] = report.of(UNTOUCHED, 0.001), report.of("old reconstruction", 0.001)
    assert old.digest == base.digest
    assert old.outcome.share > 0
    assert old.outcome.readout[0].value != plain.outcome.readout[0].value
    [paper], [replaced] = report.of("paper", 0.001), report.of("paper, replaced", 0.001)
    assert paper.digest == replaced.digest
    assert paper.outcome.share != pytest.approx(replaced.outcome.share, rel=1e-3)
    assert low.before.n_latents == low.dictionary.n_latents == 2 * RANK
    assert len(trained_arm(work, study, base, spec, "paper", 0).silent) == len(TERMS)
    assert not list((work.store.root / "partial").glob("aligned-*"))


def test_a_report_is_of_the_arms_that_the_same_code_trains(aligned, monkeypatch):
    _, study, base, made = aligned
    spec = replace(QUICK, seeds=2)
    assert report_key(study, base, spec, (0.001,)) == made.key
    monkeypatch.setattr("core.alignment.report.FORMAT", FORMAT + 1)
    assert report_key(study, base, spec, (0.001,)) != made.key
    assert arm_key(study, base, spec, "repaired", 0)["aligned"] == FORMAT


def test_the_objective_is_the_one_that_did_better_on_validation_texts(aligned):
    work, study, base, _ = aligned
    tried = candidates(work, study, base, QUICK)
    best = max(tried, key=lambda one: merit(tried[one]))
    assert set(tried) == set(OBJECTIVES)
    assert chosen_spec(work, study, base, QUICK) == replace(QUICK, objective=best)
    repaired = trained_arm(work, study, base, QUICK, "repaired", 0)
    assert repaired.dictionary.digest == tried[best].dictionary.digest
    assert repaired.dictionary.info.training["aligned"]["spec"]["objective"] == best
    assert chosen_spec(work, study, base, replace(QUICK, rate=1e-2)) is None
    fixed = replace(QUICK, objective="cka")
    assert chosen_spec(work, study, base, fixed) == fixed


def test_an_arm_that_was_cancelled_goes_on_to_the_same_bits(aligned):
    work, study, base, _ = aligned
    spec = replace(QUICK, rate=1.5e-2, objective="cka", seeds=1, arms=("repaired",))
    calls = iter(range(12))

    def stop(_done, _total, note):
        if "loss" in note and next(calls, None) is None:
            raise Cancelled

    with pytest.raises(Cancelled):
        alignment(work, study, base, spec, (0.001,)).make(stop)
    [state] = (work.store.root / "partial").glob("aligned-*")
    rest = json.loads(safe_open(state, "pt").metadata()["rest"])
    assert 0 < rest["counts"][0] < spec.steps
    curve = []
    alignment(work, study, base, spec, (0.001,), curve=curve).get()
    gone_on = trained_arm(work, study, base, spec, "repaired", 0)
    assert gone_on.curve == tuple(curve)
    shutil.rmtree(work.store.folder("aligned", arm_key(study, base, spec, "repaired", 0)))
    alignment(work, study, base, spec, (0.001,)).make(lambda *_: None)
    whole = trained_arm(work, study, base, spec, "repaired", 0)
    assert whole.dictionary.digest == gone_on.dictionary.digest
    assert whole.curve == gone_on.curve


def test_an_arm_is_trained_by_one_process_at_a_time(aligned):
    work, study, base, _ = aligned
    spec = replace(QUICK, objective="cka", rate=1.7e-2, seeds=1, arms=("repaired",))
    key = arm_key(study, base, spec, "repaired", 0)
    lock = work.store.lock(f"aligned-{fingerprint(key)[:16]}")
    heard = []

    def stop(_done, _total, note):
        heard.append(note)
        if "another process" in note:
            raise Cancelled

    with lock, pytest.raises(Cancelled):
        alignment(work, study, base, spec, (0.001,)).make(stop)
    assert heard[-1] == "another process trains repaired, seed 0"
    assert not work.store.has("aligned", key)


def test_an_alignment_is_kept_and_gives_the_same_bits_again(aligned):
    work, _, _, made = aligned
    report, again = made.open(), made.make(lambda *_: None)
    for one, other in zip(report.runs, again.runs, strict=True):
        assert (one.arm, one.seed, one.digest) == (other.arm, other.seed, other.digest)
        assert one.outcome.readout[0].value == other.outcome.readout[0].value
    assert work.runner.ensure(made) is None


def test_an_arm_is_found_by_its_digest_and_differs_in_the_trained_latents_only(aligned):
    work, study, base, made = aligned
    repaired = trained_arm(work, study, base, QUICK, "repaired", 0)
    shuffled = trained_arm(work, study, base, QUICK, "shuffled", 0)
    others = trained_arm(work, study, base, QUICK, "random latents", 0)
    np.testing.assert_array_equal(repaired.latents, shuffled.latents)
    assert not set(others.latents) & set(repaired.latents)
    kept = np.setdiff1d(np.arange(96), repaired.latents)
    assert torch.equal(repaired.dictionary.w_dec[kept], base.w_dec[kept])
    digest = made.open().of("repaired", 0.001)[0].digest
    assert open_dictionary(work.store, study.card, digest).digest == repaired.dictionary.digest
    assert trained_arm(work, study, base, replace(QUICK, rate=1e-2), "repaired", 0) is None


def test_sentences_that_train_are_none_of_those_that_measure():
    assert not set(NEUTRAL) & set(neutral.NEUTRAL)
    assert len(set(NEUTRAL)) == len(NEUTRAL)


def test_scores_are_seeded_and_their_mean_is_about_0(aligned, monkeypatch):
    """The expectation of a score is 0: words are drawn from the model's own distribution."""
    work, study, _, _ = aligned
    model = work.shelf.get(study.card.spec)
    monkeypatch.setattr("core.alignment.data.DRAWS", 200)
    monkeypatch.setattr("core.alignment.data.NEUTRAL", NEUTRAL[:2])
    one, two = (read_neutral(model, 1) for _ in range(2))
    np.testing.assert_array_equal(one.scores, two.scores)
    spread = one.scores.std(axis=0) / np.sqrt(200)
    assert (np.abs(one.scores.mean(axis=0)) > 4 * spread).mean() < 0.01
    assert set(one.owner) == {0, 1}


def test_what_cannot_be_aligned_says_why(aligned, tmp_path):
    work, study, base, _ = aligned
    with pytest.raises(DictionaryError, match="another model"):
        alignment(work, study, made_dictionary(96, k=6, model="folder:other"), QUICK)
    few = done(work.add_items(ItemSpec("file", write(tmp_path / "few.tsv", balanced_rows()[:60]))))
    small = study_of(work, few.result, study.card.spec, ReadSpec())
    model = work.shelf.get(study.card.spec)
    with pytest.raises(AlignmentError, match="Take a larger set"):
        read_data(work.store, small, model, 1)
    rare = alignment(work, study, base, replace(QUICK, rare=9999), (0.001,))
    assert isinstance(rare, Made)
    job = work.runner.ensure(rare)
    assert "No latent is on in 9999" in failed(job)


def test_a_divergence_out_of_reach_is_no_figure(aligned):
    work, study, base, _ = aligned
    report = alignment(work, study, base, QUICK, (50.0,)).get()
    assert report.of("repaired", 50.0) == []
    assert report.verdict(50.0) == "out of reach"


def test_a_second_set_is_judged_without_the_texts_that_were_learned_from(aligned):
    work, study, base, _ = aligned
    own = unseen(study, study)
    assert set(own.plan.prompts) == set(
        np.array(study.plan.prompts)[splits_of(study) == "test"].tolist()
    )
    few = unseen(study, study, 40)
    assert len(few.plan.prompts) == 40 < len(own.plan.prompts)
    assert few.plan.prompts == unseen(study, study, 40).plan.prompts
    learned = study.items.take(study.items.split == "train")
    with pytest.raises(AlignmentError, match="has 0 rows that the alignment has not seen"):
        unseen(study, open_study(learned, study.card, study.plan.spec))
    found = second_report(Divergence(work, study, base, QUICK, (0.001,), 0.001), study).get()
    assert found.texts == len(own.plan.prompts)
    assert found.arms == [UNTOUCHED, *NEEDED, MEANS]
    # On the set's own test texts the second report asks the same of the same arms; only what
    # states are scaled by is the judged texts' own.
    first = alignment(work, study, base, QUICK, (0.001,)).open()
    for one, other in zip(
        first.figures("repaired", 0.001, "readout"),
        found.figures("repaired", 0.001, "readout"),
        strict=True,
    ):
        assert one.value == pytest.approx(other.value, abs=1e-6)


def test_the_four_tests_are_those_of_the_aligned_model(aligned):
    work, study, base, made = aligned
    tests = four_tests(Divergence(work, study, base, QUICK, (0.001,), 0.001))
    rows = tests.get()
    assert tests.has()
    assert [row[:5] for row in tests.open()] == [row[:5] for row in rows]
    own = unseen(study, study)
    share = made.open().of("repaired", 0.001)[0].outcome.share
    after = trained_arm(work, study, base, QUICK, "repaired", 0).dictionary
    moved = steered(own, recipe_of(own, base, after, share))
    spec = DiagnosisSpec(pooling="mean")
    [row] = [
        row
        for row in rows
        if row[:5] == (OWN, len(own.plan.prompts), 1, "repaired", UNTOUCHED)
        and row.difference.test == "categorical"
    ]
    alone = layer_tests(work.store, moved, spec, 1).get().whole["categorical"].headline.observed
    assert row.difference.second == alone
    assert row.difference.first != alone
