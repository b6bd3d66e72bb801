"""A sweep: its list, its table, what it does when it is killed or a model fails."""

import contextlib
import itertools
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from core import CoreError
from core.__main__ import main
from core.activations import extraction
from core.activations.jobs import untrained
from core.activations.prompts import ReadSpec
from core.claims.claim import claim_of
from core.claims.evidence import Evidence
from core.cli import measure
from core.cli.desk import Desk, ReadRequest, find_items, study_of
from core.cli.sweep import Sweep, sweep
from core.diagnosis import leaderboard_rows
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.verdicts import scorecard
from core.leaderboard import effects, view
from core.leaderboard.model_list import PAPER_FILE, read_list
from core.leaderboard.plots import standings_figure
from core.measures.result import TESTS
from core.models.card import describe
from core.models.open_models import ModelError, ModelSpec, Shelf
from core.runtime import resumable
from core.sae.patches import Patch
from core.sae.shelf import keep_dictionary
from tests.core.leaderboard.manysets import desk_at, write_actions
from tests.core.sae.saesets import made_dictionary

FEW = DiagnosisSpec(draws=20, shuffles=20)


@pytest.fixture(scope="module")
def actions(tmp_path_factory):
    return write_actions(tmp_path_factory.mktemp("tables") / "actions.csv")


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_llama_folder, tiny_gpt2_folder):
    """Return a list of two models and a wrong entry between them."""
    path = tmp_path_factory.mktemp("lists") / "models.toml"
    path.write_text(
        f'[[model]]\nfolder = "{tiny_llama_folder}"\ndevice = "cpu"\nfamily = "Llama"\n'
        'size = "tiny"\ntraining = "base"\n'
        f'[[model]]\nfolder = "{tiny_llama_folder}"\ndtyp = "float32"\n'
        f'[[model]]\nfolder = "{tiny_gpt2_folder}"\ndevice = "cpu"\nname = "Second"\n'
        "untrained = 3\n"
    )
    return path


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(extraction.TOKEN_BUDGET, "cpu", 512)
        yield


def asked(actions, control=True):
    return Sweep(str(actions), ReadSpec(), None, FEW, control)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, actions, models):
    """Return cache, table and lines of a sweep that nothing disturbed."""
    root = tmp_path_factory.mktemp("whole")
    lines = list(
        sweep(desk_at(root / "cache"), read_list(models), asked(actions), root / "table.parquet")
    )
    return root, (root / "table.parquet").read_bytes(), lines


# The list --------------------------------------------------------------------------------------


def listed(tmp_path, text):
    path = tmp_path / "list.toml"
    path.write_text(text)
    return read_list(path)


def test_the_papers_list_has_its_23_models_in_three_groups():
    entries = read_list(PAPER_FILE)
    assert [entry.problem for entry in entries if entry.problem] == []
    groups = [entry.labels.training for entry in entries]
    assert [groups.count(one) for one in ("base", "instruct", "guard")] == [7, 10, 6]
    assert len({entry.spec for entry in entries}) == 23
    assert {entry.spec.revision for entry in entries} == {"main"}


def test_options_reach_the_spec_and_relative_paths_start_at_the_list(tmp_path):
    (one, two) = listed(
        tmp_path,
        '[[model]]\nhub = "a/b"\nrevision = "v1"\ndtype = "bfloat16"\nspread = true\n'
        'untrained = 3\n[[model]]\nfolder = "sub/m"\n',
    )
    assert str(one.spec) == "hub:a/b@v1?untrained=3&dtype=bfloat16&spread=1"
    assert two.spec.location == str((tmp_path / "sub" / "m").resolve())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('hub = "a/b"\nrevison = "x"', r"Entry 1 \(a/b\): unknown key 'revison': did you mean rev"),
        ('hub = "a/b"\nfolder = "c"', "found hub and folder"),
        ('family = "x"', "Entry 1: name one of hub, folder, gguf, packaged, fetched; found none"),
        ('hub = "a b"', "is not a hub id"),
        ('hub = "a/b"\ndtype = "float16"', "float16 is refused"),
        ('hub = "a/b"\nspread = "yes"', "spread must be true or false"),
        ('hub = "a/b"\naligned = "x"\nuntrained = 0', "aligned and untrained do not go together"),
        ('hub = "a/b"\naligned = true', "aligned must be a text in quotes"),
        ("hub = 3", "hub must be a text in quotes"),
        ('hub = "a/b"\nuntrained = true', "untrained must be a seed"),
        ('folder = "/m"\nrevision = "x"', "Only hub models have revisions"),
    ],
)
def test_a_wrong_entry_says_what_is_wrong_and_the_others_stay(tmp_path, text, reason):
    import re

    wrong, right = listed(tmp_path, f'[[model]]\n{text}\n[[model]]\nhub = "c/d"\n')
    assert wrong.spec is None
    assert re.search(reason, wrong.problem), wrong.problem
    assert right.spec.location == "c/d"


def test_a_repeated_model_is_named(tmp_path):
    _, again = listed(tmp_path, '[[model]]\nhub = "a/b"\n[[model]]\nhub = "a/b"\n')
    assert again.problem == "Entry 2 repeats the model of entry 1. Leave one out."


@pytest.mark.parametrize(
    ("text", "reason"),
    [("model = [", "is not TOML"), ("x = 1", "names no model"), ("model = []", "names no model")],
)
def test_what_is_no_list_is_refused(tmp_path, text, reason):
    with pytest.raises(CoreError, match=reason):
        listed(tmp_path, text)


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CoreError, match="cannot be read: No such file"):
        read_list(tmp_path / "nothing.toml")


# The table -------------------------------------------------------------------------------------


def test_the_table_has_a_row_per_model_and_test_and_the_scorecards_figures(whole, actions):
    root, _, lines = whole
    rows = pq.read_table(root / "table.parquet").to_pylist()
    assert [(row["name"], row["test"]) for row in rows[:4]] == [
        ("tiny-llama", test) for test in TESTS
    ]
    assert [row["test"] for row in rows[4:5]] == [None]
    assert "did you mean dtype?" in rows[4]["reason"]
    assert [row["name"] for row in rows[5:]] == ["Second"] * 4
    desk = desk_at(root / "cache")
    study = study_of(desk, ReadRequest(read_list_spec(rows[0]["model"]), str(actions), ReadSpec()))
    own = four_tests(desk.work.store, study, FEW).open()
    copy = four_tests(desk.work.store, untrained(desk.work, study), FEW).open()
    by_test = {row["test"]: row for row in rows[:4]}
    scores = scorecard(own, copy)
    assert len(scores) == 3
    assert by_test["categorical"]["verdict"] == "not computable at any layer"
    for score in scores:
        row = by_test[score.test]
        assert (row["layer"], row["level"]) == (score.layer, score.verdict.level)
        assert (row["value"], row["low"]) == score.figure.observed[:2]
        assert row["untrained_high"] == score.controls["untrained"].high
    assert (rows[0]["family"], rows[0]["size"], rows[0]["training"]) == ("Llama", "tiny", "base")
    assert rows[0]["parameters"] == study.card.n_parameters
    assert "1 of 3 models failed" in lines[-1]


def read_list_spec(text):
    from core.models.spec import ModelSpec

    return ModelSpec.parse(text)


def test_a_second_sweep_opens_no_weights_and_writes_the_same_bytes(
    whole, actions, models, monkeypatch, tmp_path
):
    root, table, _ = whole
    monkeypatch.setattr(Shelf, "get", lambda *_: pytest.fail("the weights must not be opened"))
    list(sweep(desk_at(root / "cache"), read_list(models), asked(actions), tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == table


def test_a_sweep_killed_again_and_again_ends_with_the_same_table(
    whole, actions, models, monkeypatch, tmp_path
):
    _, table, _ = whole
    out, add = tmp_path / "table.parquet", resumable.Journal.add

    def killed(journal, number):
        if number == 2:
            raise SystemExit  # in the middle of the first reading: nothing is tidied up
        add(journal, number)

    for attempt in itertools.count():
        watched = partial(impatient, patience=0.02 * 3**attempt)
        desk = Desk(desk_at(tmp_path / "cache").work, watched)
        monkeypatch.setattr(resumable.Journal, "add", add if attempt else killed)
        with contextlib.suppress(KeyboardInterrupt):
            list(sweep(desk, read_list(models), asked(actions), out))
            break
    assert attempt >= 2
    assert out.read_bytes() == table


def impatient(job, patience):
    """Wait a little, then stop the job; a sweep is over when one of its jobs did not end well."""
    job.wait(patience)
    if job.active:
        job.cancel()
        job.wait()
    if job.state != "done":
        raise KeyboardInterrupt
    return job.result


# Failures --------------------------------------------------------------------------------------


def test_a_model_that_cannot_be_opened_is_a_row_with_its_reason(actions, tmp_path):
    entries = listed(tmp_path, '[[model]]\nfolder = "gone"\n')
    out = tmp_path / "table.parquet"
    lines = list(sweep(desk_at(tmp_path / "cache"), entries, asked(actions), out))
    (row,) = pq.read_table(out).to_pylist()
    assert row["test"] is None
    assert row["reason"].startswith("There is no folder")
    assert lines[0].startswith("1 of 1  gone: failed. There is no folder")


def test_a_model_whose_copy_does_not_fit_stays_in_the_table_without_it(
    whole, actions, models, monkeypatch, tmp_path
):
    root, _, _ = whole

    def too_large(*_):
        raise ModelError("The copy is too large for this machine.")

    monkeypatch.setattr("core.cli.measure.untrained", too_large)
    out = tmp_path / "table.parquet"
    list(sweep(desk_at(root / "cache"), read_list(models)[:1], asked(actions), out))
    rows = pq.read_table(out).to_pylist()
    assert {row["reason"] for row in rows} == {
        "Without its untrained copy: The copy is too large for this machine."
    }
    assert all(row["untrained"] is None and row["level"] != "beyond" for row in rows)


def test_one_model_is_in_memory_at_a_time(actions, models, monkeypatch, tmp_path):
    most, get = [0], Shelf.get

    def counted(shelf, spec, *report):
        found = get(shelf, spec, *report)
        most[0] = max(most[0], len(shelf._open))
        return found

    monkeypatch.setattr(Shelf, "get", counted)
    desk = desk_at(tmp_path / "cache")
    list(sweep(desk, read_list(models)[:1], asked(actions), tmp_path / "t"))
    assert most[0] == 1
    assert not desk.work.shelf._open


@pytest.mark.parametrize("on", ["these", "others", "unknown"])
def test_an_aligned_dictionary_is_a_row_of_its_own_beside_the_plain_model(
    actions, tiny_llama_folder, tmp_path, on
):
    desk = desk_at(tmp_path / "cache")
    trained = {
        "these": find_items(desk, str(actions)).digest,
        "others": desk.work.items().digest,
        "unknown": "0" * 64,
    }[on]
    spec = ModelSpec("folder", str(tiny_llama_folder), device="cpu")
    card = describe(spec, desk.work.store)
    base = made_dictionary(layer=0, model=card.identity)
    patch = Patch.of(base, np.arange(8))
    patch.w_dec.mul_(30)
    kept = {
        one: keep_dictionary(desk.work.store, one, card)
        for one in (base, patch.applied(base, "after", {"before": base.digest, "items": trained}))
    }
    before, after = kept.values()
    plain = f'[[model]]\nfolder = "{tiny_llama_folder}"\ndevice = "cpu"\n'
    names = (after[:12], "newest", before[:12], "0000")
    text = plain + "".join(f'{plain}aligned = "{one}"\nfamily = "Llama"\n' for one in names)
    list(sweep(desk, listed(tmp_path, text), asked(actions), tmp_path / "table.parquet"))
    rows = pq.read_table(tmp_path / "table.parquet").to_pandas()
    own, first, newest, alien, gone = (one for _, one in rows.groupby(["name"], sort=False))
    assert set(first["training"]) == {"aligned"}
    assert first["name"].iloc[0].endswith(f"tiny-llama, aligned ({after[:12]})")
    figures = [one["value"].fillna(0).tolist() for one in (first, newest, own)]
    assert figures[0] == figures[1] != figures[2]
    assert first["layer"].notna().sum() == own["layer"].notna().sum()
    assert first["untrained"].notna().any()
    assert "No dictionary" in alien["reason"].iloc[0]
    assert "no dictionaries named '0000'" in gone["reason"].iloc[0]
    taught = on != "others"  # who was trained on the labels is no evidence, nor who may have been
    assert [set(one["level"] == "taught") for one in (first, own)] == [{taught}, {False}]
    assert ("no evidence" in first["verdict"].iloc[0]) == taught
    board = leaderboard_rows.leaderboard(desk.work.store, own["items_digest"].iloc[0])
    assert board[board["training"] == "aligned"]["run"].nunique() == 1
    shown = view.measured_so(board, view.settings(board)[0], "training")
    highest = shown.assign(value=shown["value"].where(shown["training"] != "aligned", 0.99))
    assert ("aligned" in view.lead(highest, "gradient")) == (not taught)
    drawn = standings_figure(shown, "gradient")
    hollow = [one.name for one in drawn.data if "-open" in str(one.marker.symbol)]
    assert hollow == ["aligned"] * taught
    assert len(effects.models(board, "gradient")) == 1  # it is no model of its own
    court = Evidence(desk.work, own["items_digest"].iloc[0])
    claim = {"name": "c", "test": "gradient", "direction": "above", "threshold": 0.1}
    assert court.models(claim_of(claim)) == [str(spec)]
    assert court.models(claim_of({**claim, "models": {"training": "aligned"}})) == []


def test_a_set_that_is_not_there_stops_the_sweep_before_any_model(models, monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "diagnose", lambda *_: pytest.fail("no model is needed"))
    with pytest.raises(CoreError, match="There is no set 'nowhere"):
        list(
            sweep(desk_at(tmp_path), read_list(models), asked(Path("nowhere.csv")), tmp_path / "t")
        )


def test_the_command_writes_the_table(whole, actions, models, monkeypatch, tmp_path, capsys):
    root, table, _ = whole
    monkeypatch.setenv("MORALSCOPE_CACHE", str(root / "cache"))
    out = tmp_path / "table.parquet"
    words = ["sweep", models, "--items", actions, "--draws", 20, "--shuffles", 20, "--out", out]
    assert main([str(word) for word in words]) == 0
    assert out.read_bytes() == table
    assert f"Wrote 9 rows to {out}" in capsys.readouterr().out


# Standings -------------------------------------------------------------------------------------


def test_the_leaderboard_holds_each_run_once_with_its_control_and_labels(whole, models, actions):
    root, _, _ = whole
    store = desk_at(root / "cache").work.store
    digest = pq.read_table(root / "table.parquet").to_pylist()[0]["items_digest"]
    board = leaderboard_rows.leaderboard(store, digest)
    assert list(board.columns) == list(leaderboard_rows.COLUMNS)
    names = board["name"].unique().tolist()
    assert names == ["Second", "tiny-llama", "tiny-llama, untrained copy"]
    assert set(board[board["name"] != "tiny-llama"]["training"]) == {"untrained"}
    assert not board.duplicated(["run", "test"]).any()
    own = board[board["name"] == "tiny-llama"]
    assert own["untrained"].notna().sum() == own["value"].notna().sum()
    assert own["family"].tolist() == ["Llama"] * 4
    assert own["test"].tolist() == list(TESTS)


def test_runs_of_an_earlier_version_are_counted_and_not_shown(whole, tmp_path):
    root, _, _ = whole
    shutil.copytree(root / "cache", tmp_path / "cache")
    store = desk_at(tmp_path / "cache").work.store
    assert leaderboard_rows.earlier(store) == 0
    kept = next(iter(store.artefacts(leaderboard_rows.KIND)))
    digest = pq.read_table(root / "table.parquet").to_pylist()[0]["items_digest"]
    before = leaderboard_rows.leaderboard(store, digest)
    rows = before.head(1).to_dict("records")
    key = {**kept.key, "format": 1, "run": "0" * 16}
    store.save_table(leaderboard_rows.KIND, key, leaderboard_rows.table(rows))
    assert leaderboard_rows.earlier(store) == 1
    assert len(leaderboard_rows.leaderboard(store, digest)) == len(before)


def test_a_leaderboard_of_nothing_is_empty(store):
    board = leaderboard_rows.leaderboard(store, "0" * 64)
    assert board.empty
    assert list(board.columns) == list(leaderboard_rows.COLUMNS)
