"""The command line: run in-process on tiny models; what stands in stdout, stderr and the status."""

import _thread
import csv
import io
import itertools
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core import workbench
from core.__main__ import main
from core.activations import extraction
from core.cli import basic, measure, progress_line
from core.cli.progress_line import ProgressLine, progress_text, watch
from core.dataset import archive, sets
from core.diagnosis import diagnosis
from core.foundations import FOUNDATIONS
from core.measures.result import TESTS
from core.models.open_models import Shelf
from core.runtime.runner import Job, Runner
from core.wording import bytes_text, duration

REPO = Path(__file__).resolve().parents[2]
COMMANDS = (
    "items",
    "fetch",
    "describe",
    "read",
    "maps",
    "evidence",
    "diagnose",
    "sweep",
    "pack",
    "unpack",
    "cache",
)
TINY_ROWS = 60


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Give each test a cache of its own."""
    root = tmp_path / "cache"
    monkeypatch.setenv("MORALSCOPE_CACHE", str(root))
    return root


@pytest.fixture(scope="module")
def actions(tmp_path_factory):
    """Return a table of actions with every foundation and judgement."""
    draw = random.Random(0)
    words = ["help", "lie", "guests", "at", "the", "old", "bridge", "letters", "keep", "quietly"]
    lines = ["action,foundation,judgement,agreement"]
    for number in range(TINY_ROWS):
        text = " ".join(draw.sample(words, 4)) + f" {number}"
        lines.append(f"{text},{FOUNDATIONS[number % 5]},{number % 5 - 2},{draw.randint(1, 4)}")
    path = tmp_path_factory.mktemp("tables") / "actions.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def model(tiny_llama_folder):
    return f"folder:{tiny_llama_folder}?device=cpu"


@pytest.fixture
def run(capsys):
    """Return a function that runs a command: (status, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setitem(extraction.TOKEN_BUDGET, "cpu", 128)


def no_weights(*_):
    raise AssertionError("the weights must not be opened")


def value_of(out: str, name: str) -> str:
    """Return what stands behind a name in a list of facts."""
    return next(
        line.removeprefix(name).strip() for line in out.splitlines() if line.startswith(f"{name} ")
    )


def python(*words: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# Help and start ---------------------------------------------------------------------------------


def test_help_loads_no_torch_and_the_spin_count_is_set_before_it():
    code = (
        "import os, sys, core.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit as end: print(end.code, {'torch', 'pandas'} & set(sys.modules))\n"
        "print(os.environ['GOMP_SPINCOUNT'])"
    )
    env = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    out, _ = python("-c", code, env=env).communicate()
    assert out.splitlines()[-2:] == ["0 set()", "1000"]


def test_a_spin_count_of_ones_own_stays():
    code = "import os, core.__main__; print(os.environ['GOMP_SPINCOUNT'])"
    out, _ = python("-c", code, env=os.environ | {"GOMP_SPINCOUNT": "7"}).communicate()
    assert out == "7\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert f"example:\n  python -m core {name}" in out


@pytest.mark.parametrize(
    "words", [[], ["dance"], ["cache", "--clear"], ["maps", "m", "--dims", "4"]]
)
def test_what_is_no_command_ends_with_status_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert "usage:" in err


# Items ------------------------------------------------------------------------------------------


def test_a_table_becomes_a_stored_set_that_its_digest_opens(run, actions):
    status, out, err = run("items", actions, "--name", "Mine")
    assert (status, err) == (0, "")
    digest = value_of(out, "digest")
    assert (value_of(out, "name"), value_of(out, "rows read")) == ("Mine", str(TINY_ROWS))
    assert value_of(out, "licence") == "not stated"
    _, listed, _ = run("items")
    assert digest[:12] in listed
    assert "Mine" in listed
    assert run("read", "folder:/nowhere", "--items", digest[:12])[2].startswith(
        "There is no folder"
    )


def test_no_stored_set_is_said_so(run):
    assert run("items")[1].startswith("No set is stored yet.")


def test_the_builtin_set_says_that_it_is_authored(run):
    _, out, _ = run("items", "builtin", "--sample", "diagnosis")
    assert sets.AUTHORED_NOTE in value_of(out, "note")
    assert sets.SAMPLED_NOTE in value_of(out, "note")
    assert "diagnosis" in run("items")[1]


def test_columns_can_be_mapped_over_the_guessed_ones(run, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("sentence,foundation,verdict,pull\nlie to me,harm,-1,0.5\nhelp me,care,2,1\n")
    _, guessed, _ = run("items", path)
    _, mapped, _ = run("items", path, "--map", "score=pull")
    assert value_of(mapped, "rows read") == "2"
    assert value_of(guessed, "digest") != value_of(mapped, "digest")
    path.write_text("what,foundation,verdict\nlie to me,harm,-1\n")
    assert run("items", path)[0] == 2
    assert run("items", path, "--map", "action=what")[0] == 0


def test_bad_rows_are_refused_or_counted(run, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("action,foundation,judgement\nlie,harm,-1\nhelp,care,9\n")
    status, out, err = run("items", path)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    _, out, _ = run("items", path, "--skip-bad-rows")
    assert value_of(out, "dropped") == "1"
    assert "  1  " in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "x"], "Name the FILE"),
        (["builtin", "--map", "action=a"], "has its own columns"),
        (["TABLE", "--map", "mood=a"], "a role is one of: action"),
        (["TABLE", "--map", "action"], "Write --map ROLE=COLUMN"),
        (["TABLE", "--map", "action=nowhere"], "no column 'nowhere'"),
        (["/nowhere.csv"], "/nowhere.csv"),
    ],
)
def test_items_that_cannot_be_read_are_one_sentence(words, said, run, actions):
    status, out, err = run("items", *[actions if word == "TABLE" else word for word in words])
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_fetch_tells_the_licence_first_and_counts_beside_the_published(run, monkeypatch):
    monkeypatch.setattr(archive, "fetch", lambda store, report: sets.BUILTIN_FILE)
    status, out, _ = run("fetch")
    assert status == 0
    assert out.index(archive.CITATION) < out.index("digest")
    assert out.splitlines()[0].endswith(f"{archive.LICENCE} ({archive.LICENCE_URL})")
    assert "203,431 annotations and 251,334 rows: NOT the same" in out


def test_fetch_without_a_network_has_told_the_licence(run, monkeypatch):
    def fail(*_):
        raise archive.FetchError("The archive cannot be reached.")

    monkeypatch.setattr(archive, "fetch", fail)
    status, out, err = run("fetch")
    assert (status, err) == (2, "The archive cannot be reached.\n")
    assert archive.CITATION in out


# Models and readings ----------------------------------------------------------------------------


def test_a_model_is_described_without_its_weights(run, model, monkeypatch):
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, err = run("describe", model)
    assert (status, err) == (0, "")
    assert value_of(out, "architecture") == "LlamaForCausalLM"
    assert value_of(out, "layers").startswith("3 ")
    assert value_of(out, "width") == "32"
    assert value_of(out, "identity").startswith("folder:")
    assert "free: fits" in value_of(out, "memory")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["describe", "gpt"], "Cannot read the model 'gpt'"),
        (["describe", "folder:/nowhere"], "There is no folder /nowhere"),
        (["read", "packaged", "--items", "nothing"], "There is no set 'nothing'"),
        (["read", "packaged", "--items", "0123456789"], "No stored set"),
        (["read", "packaged", "--items", "x" * 300], "File name too long"),
        (["read", "packaged", "--template", "morally"], "exactly once"),
        (["read", "packaged", "--untrained", "-3"], "use a number from 0 up"),
        (["cache", "--clear", "acts"], "Nothing of the kind 'acts' is stored. Stored kinds: noth"),
    ],
)
def test_what_is_not_there_is_one_sentence_and_status_2(words, said, run):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_reading_a_second_time_costs_nothing_and_says_so(run, model, actions, monkeypatch):
    status, out, err = run("read", model, "--items", actions)
    assert (status, err) == (0, "")
    assert f"has read {TINY_ROWS} texts in" in out
    assert value_of(out, "poolings") == "mean, last"
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, _ = run("read", model, "--items", actions)
    assert status == 0
    assert "before: nothing to do" in out


def test_preset_template_and_control_are_readings_of_their_own(run, model, actions):
    run("read", model, "--items", actions)
    for words in (["--preset", "paper"], ["--template", "{action} is"], ["--untrained", "0"]):
        _, out, _ = run("read", model, "--items", actions, *words)
        assert "nothing to do" not in out
    assert "untrained 0" in value_of(out, "model")


@pytest.mark.usefixtures("small_batches")
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(run, model, actions, monkeypatch):
    read_prompts, cancel = extraction.read_prompts, Job.cancel
    told, batches = threading.Event(), []

    def cancelled(job):
        cancel(job)
        told.set()

    def interrupting(*args):
        batches.append(len(args[1]))
        if len(batches) == 3:
            _thread.interrupt_main()
            assert told.wait(10)
        return read_prompts(*args)

    monkeypatch.setattr(Job, "cancel", cancelled)
    monkeypatch.setattr(extraction, "read_prompts", interrupting)
    status, out, err = run("read", model, "--items", actions)
    assert (status, out) == (130, "")
    assert "Stopping after the present step" in err
    assert err.endswith(
        "Stopped. What was finished is kept: the same command goes on from there.\n"
    )
    assert "partial/ holds" in run("cache")[1]
    assert len(batches) == 3
    status, _, _ = run("read", model, "--items", actions)
    assert status == 0
    assert sum(batches) == TINY_ROWS


def test_ctrl_c_between_jobs_ends_with_130(run, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(basic, "list_items", stop)
    assert run("items")[0] == 130


def test_a_second_ctrl_c_does_not_wait_for_the_job(capsys, monkeypatch):
    begun, free = threading.Event(), threading.Event()

    def work(_):
        begun.set()
        free.wait(10)

    def impatient(*_):
        begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "wait", impatient)
    job = Runner().submit("k", "Stubborn work", work)
    with pytest.raises(KeyboardInterrupt):
        watch(job)
    assert job.active
    free.set()
    assert "leaves at once" in capsys.readouterr().err


def test_a_stopped_process_leaves_whatever_its_threads_do():
    code = "import core.__main__ as m; m.main = lambda: 130; m._run()"
    process = python("-c", code)
    assert process.communicate() == ("", "")
    assert process.returncode == 130


# Progress ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_batches")
def test_progress_stands_in_stderr_line_by_line_when_it_is_no_terminal(
    run, model, actions, monkeypatch
):
    monkeypatch.setattr(progress_line, "GRACE", 0)
    monkeypatch.setattr(progress_line, "PLAIN_PAUSE", 0)
    _, out, err = run("read", model, "--items", actions)
    assert f"Reading {TINY_ROWS} texts with" in err
    assert any(line[3:].startswith(" % · ") for line in err.splitlines())
    assert "\r" not in err
    assert "%" not in out


class Terminal(io.StringIO):
    def isatty(self):
        return True


def half_done() -> Job:
    return Job("k", "Reading", "model", "running", fraction=0.499, note="reading texts · 4 of 9")


def test_progress_on_a_terminal_is_one_line_that_goes_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    screen = Terminal()
    line = ProgressLine(half_done(), screen)
    line.show()
    line.show()
    line.clear()
    assert screen.getvalue() == 2 * "\r\x1b[K 49 % · reading tex" + "\r\x1b[K"


def test_long_work_gets_its_title_once(monkeypatch):
    monkeypatch.setattr(progress_line, "GRACE", 0)
    screen = Terminal()
    line = ProgressLine(half_done(), screen)
    line.show()
    line.show()
    assert screen.getvalue().count("Reading\n") == 1


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(progress_line, "GRACE", 0)
    screen = Terminal()
    ProgressLine(half_done(), screen).show()
    assert screen.getvalue() == "Reading\n 49 % · reading texts · 4 of 9\n"


def test_time_left_is_told_once_it_is_known(monkeypatch):
    monkeypatch.setattr(Job, "left", 150.0)
    assert progress_text(half_done()) == " 49 % · reading texts · 4 of 9 · 2 min left"
    assert progress_text(Job("k", "Reading", "model")).startswith("  0 % · Reading")


def test_sizes_and_times_are_written_for_people():
    assert [bytes_text(size) for size in (0, 12_345, 3_400_000, 2_600_000_000)] == [
        "0 kB",
        "12 kB",
        "3.4 MB",
        "2.6 GB",
    ]
    assert [duration(seconds) for seconds in (4.6, 150, 7500)] == ["5 s", "2 min", "2 h 5 min"]


def test_a_reader_that_has_seen_enough_causes_no_traceback():
    process = python("-m", "core", "cache")
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (141, "")


# Maps -------------------------------------------------------------------------------------------


def test_maps_tell_the_trust_of_every_layer_beside_chance(run, model, actions, monkeypatch):
    status, out, err = run("maps", model, "--items", actions, "--dims", "3")
    assert (status, err) == (0, "")
    assert value_of(out, "maps") == "3-D PCA, pooling mean, standardised"
    rows = [line.split() for line in out.splitlines() if line.strip()]
    table = {row[0]: row[1:] for row in rows if row[0] in ("embedding", "0", "1", "2")}
    assert list(table) == ["embedding", "0", "1", "2"]
    for trust, null, kept, chance, shown in table.values():
        assert (null, chance) == ("0.500", f"{10 / (TINY_ROWS - 1):.3f}")
        assert 0.5 < float(trust) <= 1
        assert float(chance) < float(kept) <= 1
        assert 0 < float(shown) < 1
    monkeypatch.setattr(Shelf, "get", no_weights)
    assert run("maps", model, "--items", actions, "--dims", "3")[1] == out


def test_a_layer_without_a_picture_says_why(run, model, actions):
    _, out, _ = run("maps", model, "--items", actions, "--pooling", "last")
    assert "At the embedding output the last state is the same for every text" in out
    assert len([line for line in out.splitlines() if line[:2] in ("0 ", "1 ", "2 ")]) == 3


# Evidence ---------------------------------------------------------------------------------------


def test_evidence_is_an_aligned_table_of_three_findings_a_layer(run, model, actions):
    status, out, err = run("evidence", model, "--items", actions)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    head = next(line for line in lines if line.startswith("layer "))
    table = lines[lines.index(head) + 1 : lines.index("", lines.index(head))]
    assert len(table) == 4 * 3
    assert {line[head.index("finding") :][:15].strip() for line in table} == {
        "Same foundation",
        "Same pole",
        "Typicality",
    }
    verdicts = {line[head.index("verdict") :] for line in table}
    assert verdicts <= {
        "not distinguishable from chance",
        "no better than word counts",
        "beyond chance and word counts",
        "not computable",
    }
    assert lines[-1].startswith("Typicality  ")


def test_evidence_as_json_and_csv_hold_the_same_numbers(run, model, actions, tmp_path):
    call = ("evidence", model, "--items", actions, "--layer", "-1", "--layer", "2")
    status, out, err = run(*call, "--json")
    assert (status, err) == (0, "")
    record = json.loads(out)
    assert record["model"]["model"].startswith("folder:")
    assert [row["layer"] for row in record["findings"]] == [-1] * 3 + [2] * 3
    target = tmp_path / "found.csv"
    status, out, _ = run(*call, "--csv", target)
    assert out == f"Wrote 6 findings to {target}.\n"
    rows = list(csv.DictReader(target.read_text().splitlines()))
    for row, same in zip(rows, record["findings"], strict=True):
        assert row["verdict"] == same["verdict"]
        assert float(row["observed_high"]) == pytest.approx(same["observed_high"])
        assert same["words_low"] <= same["words"] <= same["words_high"]


def test_what_cannot_be_computed_is_null_in_json(run, model, tmp_path):
    path = tmp_path / "neutral.csv"
    rows = [f"walking past house number {number},care-harm,0" for number in range(12)]
    path.write_text("\n".join(["action,foundation,judgement", *rows]) + "\n")
    record = json.loads(run("evidence", model, "--items", path, "--layer", 1, "--json")[1])
    typicality = record["findings"][2]
    assert (typicality["observed"], typicality["verdict"]) == (None, "not computable")
    assert " – " in run("evidence", model, "--items", path, "--layer", 1)[1]


def test_a_layer_that_cannot_be_measured_says_why(run, model, actions):
    _, out, _ = run("evidence", model, "--items", actions, "--pooling", "last", "--json")
    record = json.loads(out)
    assert "same for every text" in record["problems"]["-1"]
    assert {row["layer"] for row in record["findings"]} == {0, 1, 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer", "7"], "has no layer 7. Its layers are 0 to 2, and -1"),
        (["--pooling", "mean_all"], "reads the poolings mean and last, not"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_read(
    words, said, run, model, actions, monkeypatch
):
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, err = run("evidence", model, "--items", actions, *words)
    assert (status, out) == (2, "")
    assert said in err


def test_a_csv_that_cannot_be_written_is_one_sentence(run, model, actions, tmp_path):
    path = tmp_path / "no" / "found.csv"
    status, _, err = run("evidence", model, "--items", actions, "--layer", 0, "--csv", path)
    assert (status, err) == (
        2,
        f"{path} cannot be written: No such file or directory. Name another file.\n",
    )


# The four tests ---------------------------------------------------------------------------------

FEW = ("--draws", 20, "--shuffles", 20)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Return a table in which every foundation has every judgement."""
    draw = random.Random(1)
    words = ["help", "lie", "guests", "at", "the", "old", "bridge", "letters", "keep", "quietly"]
    lines = ["action,foundation,judgement,agreement"]
    for number in range(100):
        text = " ".join(draw.sample(words, 4)) + f" {number}"
        lines.append(f"{text},{FOUNDATIONS[number % 5]},{number // 5 % 5 - 2},{number // 25 + 1}")
    path = tmp_path_factory.mktemp("tables") / "graded.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory, tiny_llama_folder, graded):
    """Return a cache in which the mean states of the graded table were diagnosed."""
    root = tmp_path_factory.mktemp("diagnosed")
    call = ["diagnose", f"folder:{tiny_llama_folder}?device=cpu", "--items", str(graded)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORALSCOPE_CACHE", str(root))
        assert main([*call, *map(str, FEW), "--csv", os.devnull]) == 0
    return root


@pytest.fixture
def diagnose(run, model, graded, diagnosed, cache, monkeypatch):
    """Return a function that diagnoses the graded table quietly, in a copy of that cache."""
    shutil.copytree(diagnosed, cache)
    monkeypatch.setattr(progress_line, "GRACE", 1e9)

    def call(*words: object) -> tuple[int, str, str]:
        return run("diagnose", model, "--items", graded, *FEW, *words)

    return call


@pytest.fixture
def nothing_new(monkeypatch):
    """Let whatever would read, measure or store a figure fail."""

    def fail(*_, **__):
        raise AssertionError("this was measured before")

    monkeypatch.setattr(Shelf, "get", fail)
    monkeypatch.setattr(workbench, "diagnose", fail)
    monkeypatch.setattr(diagnosis, "save", fail)


def table_rows(out: str, *first: str) -> list[str]:
    """Return the rows that begin with one of the words."""
    return [line for line in out.splitlines() if line.split()[:1] and line.split()[0] in first]


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_a_second_diagnosis_costs_nothing_and_needs_no_states(diagnose, run):
    run("cache", "--clear", "acts")
    status, out, err = diagnose()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "All of this was measured before: nothing to do."
    assert lines[-1].startswith("Rule: a model's whole 95 % interval")
    assert [row.split()[0] for row in table_rows(out, *TESTS)] == list(TESTS)
    assert all(row.count("[") >= 6 for row in table_rows(out, "gradient", "dimensional"))
    assert [row.split()[0] for row in table_rows(out, "embedding", "0", "1", "2")] == [
        "embedding",
        "0",
        "1",
        "2",
    ]
    assert "20 resamples of texts, 20 shuffles of labels, seed 0" in value_of(out, "random")


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_diagnosis_as_json_csv_table_and_receipt_hold_the_same_figures(diagnose, tmp_path):
    files = tmp_path / "figures.csv", tmp_path / "receipt.json"
    status, out, _ = diagnose("--json", "--receipt", files[1])
    record = json.loads(out)
    assert status == 0
    assert [score["test"] for score in record["scorecard"]] == list(TESTS)
    assert {row["layer"] for row in record["figures"]} == {-1, 0, 1, 2, None}
    assert {row["states"] for row in record["figures"]} == {"model", "untrained", "words", "length"}
    assert json.loads(files[1].read_text()) == record["receipt"]
    assert value_of(diagnose()[1], "figures") == f"sha256 {record['receipt']['figures']}"
    status, out, _ = diagnose("--csv", files[0], "--receipt", files[1])
    assert out.splitlines()[-2:] == [
        f"Wrote {len(record['figures']):,} figures to {files[0]}.",
        f"Wrote the receipt to {files[1]}.",
    ]
    rows = list(csv.DictReader(files[0].read_text().splitlines()))
    for row, same in zip(rows, record["figures"], strict=True):
        assert (row["test"], row["name"], row["part"]) == (same["test"], same["name"], same["part"])
        assert row["high"] == ("" if same["high"] is None else repr(same["high"]))
    whole = [row for row in record["figures"] if row["texts"] == "all"]
    assert len(diagnose("--table")[1].splitlines()) == len(diagnose()[1].splitlines()) + 2 + len(
        whole
    )


@pytest.mark.slow
def test_a_receipt_tells_a_changed_seed_and_scaling_and_a_rerun_is_the_same(
    diagnose, run, cache, tmp_path
):
    def receipt(*words):
        path = tmp_path / "receipt.json"
        status, _, err = diagnose("--no-control", "--receipt", path, *words)
        assert (status, err) == (0, "")
        return json.loads(path.read_text())

    plain, seeded, scaled = receipt(), receipt("--seed", 3), receipt("--scaling", "raw")
    assert len({one["figures"] for one in (plain, seeded, scaled)}) == 3
    assert {n for n in plain if plain[n] != seeded[n]} == {"measured", "command", "figures"}
    assert "--seed 3 --no-control" in seeded["command"]
    assert run("cache", "--clear", "diagnosis")[0] == 0
    assert receipt() == plain
    again = shlex.split(plain["command"])[3:]
    status, out, _ = run(*again)
    assert status == 0
    assert out.startswith("All of this was measured before: nothing to do.")
    assert value_of(out, "figures") == f"sha256 {plain['figures']}"


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_a_diagnosis_tells_what_people_reach_as_the_page_does(diagnose):
    told = "No text of this set was graded by several people, so there is no human ceiling."
    assert f"Human ceiling: {told}" in diagnose()[1].splitlines()
    found = json.loads(diagnose("--json")[1])["ceiling"]
    assert (found["texts"], found["reason"]) == (0, told)
    assert (found["agreement"], found["typicality"], found["r2_low"]) == (None, None, None)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_without_control_no_verdict_claims_an_untrained_copy(diagnose):
    record = json.loads(diagnose("--no-control", "--json")[1])
    assert record["receipt"]["untrained"] is None
    assert {score["untrained"] for score in record["scorecard"]} == {None}
    assert "beyond" not in {score["level"] for score in record["scorecard"]}
    assert "untrained" not in {row["states"] for row in record["figures"]}
    with_copy = json.loads(diagnose("--json")[1])
    assert None not in {score["untrained"] for score in with_copy["scorecard"]}


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_an_untrained_model_has_no_copy_of_its_own(diagnose):
    record = json.loads(diagnose("--untrained", "--json")[1])
    assert record["model"]["spec"].endswith("untrained=0&device=cpu")
    assert record["receipt"]["untrained"] is None
    assert "--no-control" not in record["receipt"]["command"]


@pytest.mark.slow
def test_a_layer_without_differences_is_told_and_the_others_are_measured(diagnose):
    status, out, err = diagnose("--pooling", "both", "--no-control")
    assert (status, err) == (0, "")
    _, last = out.split("\n\n\n")
    assert value_of(last, "states").startswith("pooling last, centred")
    assert "At the embedding output the last state is the same for every text" in last
    embedding, first = (table_rows(last, name)[0].split() for name in ("embedding", "0"))
    assert embedding[1:] == ["–"] * 4
    assert sum("[" in cell for cell in first) >= 3
    record = json.loads(diagnose("--pooling", "both", "--no-control", "--json")[1])
    assert list(record) == ["mean", "last"]
    assert list(record["last"]["problems"]) == ["-1"]
    assert record["mean"]["problems"] == {}
    assert {row["layer"] for row in record["last"]["figures"]} == {0, 1, 2, None}


@pytest.mark.slow
def test_without_resamples_figures_have_no_interval_and_no_verdict(diagnose):
    words = ("--draws", 0, "--shuffles", 0, "--no-control", "--json")
    status, out, err = diagnose(*words)
    assert (status, err) == (0, "")
    scores = json.loads(out)["scorecard"]
    assert [score["low"] for score in scores] == [None] * 4
    assert all(score["value"] is not None for score in scores)
    assert {score["level"] for score in scores} == {"nothing"}


# Its waterfall ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repaired(tmp_path_factory, tiny_llama_folder, graded, diagnosed):
    """Return a copy of that cache in which the waterfall was measured as well."""
    root = tmp_path_factory.mktemp("repaired") / "cache"
    shutil.copytree(diagnosed, root)
    call = ["diagnose", f"folder:{tiny_llama_folder}?device=cpu", "--items", str(graded)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORALSCOPE_CACHE", str(root))
        assert main([*call, *map(str, FEW), "--waterfall", "--csv", os.devnull]) == 0
    return root


@pytest.fixture
def repair(run, model, graded, repaired, cache, monkeypatch):
    """Return a function that diagnoses with the waterfall, quietly, in a copy of that cache."""
    shutil.copytree(repaired, cache)
    monkeypatch.setattr(progress_line, "GRACE", 1e9)

    def call(*words: object) -> tuple[int, str, str]:
        return run("diagnose", model, "--items", graded, *FEW, "--waterfall", *words)

    return call


@pytest.fixture
def no_repairs(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("this was repaired before")

    monkeypatch.setattr(measure, "load_or_measure_waterfall", fail)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new", "no_repairs")
def test_the_waterfall_stands_below_the_scorecard_and_a_second_call_costs_nothing(repair, run):
    run("cache", "--clear", "acts")
    status, out, err = repair()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "All of this was measured before: nothing to do."
    begin = next(n for n, line in enumerate(lines) if line.startswith("From the paper's figure"))
    assert lines[begin - 2].startswith("Rule: a model's whole 95 % interval")
    tables = "\n".join(lines[begin:]).split("\n\n")[1:]
    assert [table.split(":")[0] for table in tables] == list(TESTS)
    for table in tables:
        _, head, first, *rest = table.splitlines()
        assert head.split() == ["step", "layer", "figure", "change", "why"]
        why = head.index("why")
        assert first.startswith("The paper's procedure ")
        assert first[:why].rstrip().endswith("–")  # the first step changed nothing
        assert rest[-1].startswith("Minus word counts ")
        assert rest[-1].count("[") == 2
        assert all(row[why - 2 : why] == "  " and row[why] != " " for row in (first, *rest))


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new", "no_repairs")
def test_the_waterfall_in_json_ends_at_the_scorecards_figure(repair, run):
    status, out, err = repair("--json", "--scaling", "centred")
    assert (status, err) == (0, "")
    found = json.loads(out)["waterfall"]
    assert list(found) == list(TESTS)
    for test, steps in found.items():
        for before, step in itertools.pairwise(steps):
            if None not in (before["figure"], step["figure"]):
                assert step["change"] == pytest.approx(step["figure"] - before["figure"])
            else:
                assert step["change"] is None
        assert [steps[0][name] for name in ("change", "change_low", "change_high")] == [None] * 3
        assert {type(step["layer"]) for step in steps[-2:]} == {int}, test
        assert all(step["why"] for step in steps)
    shown = next(line for line in repair()[1].splitlines() if line.startswith("Own text left"))
    own = next(step for step in found["gradient"] if step["step"].startswith("Own text left"))
    assert own["layer"] is None
    assert (
        f"each pole's highest  {own['figure']:.3f} [{own['low']:.3f}, {own['high']:.3f}]" in shown
    )


@pytest.mark.slow
def test_the_last_repair_is_the_scorecard_with_standardised_states(repair):
    record = json.loads(repair("--json", "--scaling", "standardised", "--no-control")[1])
    for score in record["scorecard"]:
        step = record["waterfall"][score["test"]][-2]
        assert (step["layer"], step["step"]) == (score["layer"], "Layer chosen on other texts")
        assert step["figure"] == pytest.approx(score["value"])
        assert step["low"] == pytest.approx(score["low"], abs=1e-5)


@pytest.mark.slow
def test_the_waterfall_stands_once_beside_several_poolings(repair):
    record = json.loads(repair("--json", "--pooling", "both", "--no-control")[1])
    assert list(record) == ["mean", "last", "waterfall"]
    out = repair("--pooling", "both", "--no-control")[1]
    assert out.count("From the paper's figure") == 1


@pytest.mark.slow
def test_another_seed_is_another_waterfall_and_without_the_option_there_is_none(
    repair, run, model, graded
):
    first, other = (
        json.loads(repair("--json", "--no-control", "--seed", seed)[1])["waterfall"]
        for seed in (0, 1)
    )
    assert first != other
    assert "waterfall" not in json.loads(
        run("diagnose", model, "--items", graded, *FEW, "--json")[1]
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--draws", -1], "-1 resamples cannot be drawn. Choose --draws from 0 to 10,000."),
        (["--shuffles", 10**9], "1,000,000,000 shuffles cannot be drawn."),
        (["--seed", -1], "The seed is -1; use a number from 0 up."),
        (["--pooling", "mean_all"], "reads the poolings mean and last, not mean_all"),
        (["--template", "morally"], "exactly once"),
    ],
)
def test_a_diagnosis_that_cannot_be_is_refused_before_anything_is_read(
    words, said, run, model, actions, monkeypatch
):
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, err = run("diagnose", model, "--items", actions, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("option", ["--csv", "--receipt"])
def test_a_diagnosis_that_cannot_be_written_is_refused_before_anything_is_read(
    option, run, model, actions, tmp_path, monkeypatch
):
    monkeypatch.setattr(Shelf, "get", no_weights)
    path = tmp_path / "no" / "file"
    status, out, err = run("diagnose", model, "--items", actions, option, path)
    assert (status, out) == (2, "")
    assert err == f"{path} cannot be written: there is no folder {path.parent}.\n"


# Cache ------------------------------------------------------------------------------------------


def test_the_cache_is_listed_by_kind_and_cleared_by_kind_alone(run, model, actions):
    assert "Nothing is stored." in run("cache")[1]
    run("maps", model, "--items", actions)
    _, listed, _ = run("cache")
    assert {line.split()[0] for line in listed.splitlines() if line.endswith("kB")} >= {
        "items",
        "acts",
        "layout",
    }
    status, out, _ = run("cache", "--clear", "layout")
    assert status == 0
    assert out.startswith("Removed 5 of the kind layout, ")
    _, listed, _ = run("cache")
    assert "layout" not in listed
    assert "acts" in listed
    assert "nothing to do" in run("read", model, "--items", actions)[1]
