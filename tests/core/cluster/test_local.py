"""Rows as processes of this machine: side by side, killed and sent again, stopped, in process."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from core.__main__ import main
from core.cluster import rows as kept
from core.cluster import schedulers
from core.cluster.command import RowCommand
from core.cluster.rows import Sent, rows_of
from core.cluster.states import row_standings
from core.diagnosis import leaderboard_rows
from core.leaderboard.model_list import read_list
from core.runtime.store import CacheError
from tests.core.leaderboard.manysets import write_actions

submitit = pytest.importorskip("submitit")

ROOT = Path(__file__).resolve().parents[3]
#: Folders of a store that tell of jobs, not of what was found; what a killed writer left behind.
BESIDE = ("sweeps", "locks", "partial")


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_llama_folder, tiny_gpt2_folder):
    """Return a list of two models with a wrong entry and a lost model, and the set beside it."""
    folder = tmp_path_factory.mktemp("lists")
    write_actions(folder / "actions.csv")
    path = folder / "models.toml"
    path.write_text(
        "[cluster]\nparallel = 2\n"
        f'[[model]]\nfolder = "{tiny_llama_folder}"\ndevice = "cpu"\nfamily = "Llama"\n'
        f'[[model]]\nfolder = "{tiny_gpt2_folder}"\ndevice = "cpu"\nuntrained = 3\n'
        '[[model]]\nhub = "a/b"\nrevison = "x"\n[[model]]\nfolder = "gone"\n'
    )
    return path


def words(models, out, *more):
    told = ("--items", models.with_name("actions.csv"), "--draws", 20, "--shuffles", 20)
    return [str(one) for one in ("sweep", models, *told, "--out", out, *more)]


def start(models, root, *more):
    """Start the command in a process of its own, with a store of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "core", *words(models, root / "table.parquet", *more)],
        cwd=ROOT,
        env={**os.environ, "MORALSCOPE_CACHE": str(root / "store"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal of its own
        preexec_fn=_hear_ctrl_c,
    )


def _hear_ctrl_c():
    """Take back that Ctrl-C is ignored, as it is in what a shell runs behind its back."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(models, root, *more):
    process = start(models, root, *more)
    said, complained = process.communicate(timeout=300)
    assert process.returncode == 0, complained
    return said


def contents(store):
    """Return what a store holds but for times: records without ``made``, all else byte by byte."""
    found = {}
    for path in sorted(store.rglob("*")):
        place = path.relative_to(store)
        if path.is_file() and place.parts[0] not in BESIDE and ".new-" not in str(place):
            found[str(place)] = path.read_bytes()
            if path.name == "key.json":
                found[str(place)] = {**json.loads(path.read_text()), "made": None}
    return found


def row_process(process, number):
    """Return the process that measures a row, None while there is none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                line = one.cmdline()
                if f"--row={number}" in line and line[1:3] == ["-m", "core"]:
                    return one
    return None


def until(found, seconds=120.0):
    """Wait until something is found, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        one = found()
        if one:
            return one
        time.sleep(0.02)
    raise TimeoutError


@pytest.mark.slow
def test_a_row_killed_beside_another_and_sent_again_leaves_the_store_of_a_single_run(
    models, tmp_path
):
    single, several = tmp_path / "single", tmp_path / "several"
    for root in (single, several):
        root.mkdir()
    run(models, single)
    process = start(models, several, "--on", "local")
    until(lambda: row_process(process, 1) and row_process(process, 2))
    until(lambda: list((several / "store").glob("diagnosis/*/key.json")))
    row_process(process, 1).kill()
    said, _ = process.communicate(timeout=300)
    assert "Killed by SIGKILL" in said
    assert "Wrote 7 rows" in said  # one for each failure, four of the second model
    assert contents(single / "store").keys() - contents(several / "store").keys()
    said = run(models, several, "--on", "local")
    assert "1 of 4  tiny-llama: done" in said
    assert "2 of 4  tiny" not in said  # what is done is not sent again
    assert (several / "table.parquet").read_bytes() == (single / "table.parquet").read_bytes()
    assert contents(several / "store") == contents(single / "store")


@pytest.fixture
def ctrl_c():
    """Return a function that says what Ctrl-C does from now on; afterwards it does what it did."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda does: signal.signal(signal.SIGINT, does)
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_a_row_starts_is_heard_afterwards_and_the_row_never_hears_it(ctrl_c):
    ctrl_c(signal.default_int_handler)
    done = []

    def start():
        with schedulers.undisturbed():
            child = subprocess.Popen(["sleep", "30"])
            os.kill(os.getpid(), signal.SIGINT)
            child.send_signal(signal.SIGINT)
            time.sleep(0.2)
            done.append(child)

    with pytest.raises(KeyboardInterrupt):
        start()
    [child] = done
    assert child.poll() is None
    child.kill()
    child.wait()
    with schedulers.undisturbed():
        pass
    with pytest.raises(KeyboardInterrupt):  # as before
        signal.raise_signal(signal.SIGINT)
    ctrl_c(signal.SIG_IGN)
    with schedulers.undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.slow
def test_who_stops_the_command_stops_its_rows_and_they_can_go_on(models, tmp_path):
    process = start(models, tmp_path, "--on", "local")
    row = until(lambda: row_process(process, 1))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of it hears Ctrl-C
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.rstrip().endswith("the same command goes on from there.")
    until(lambda: not row.is_running() or row.status() == psutil.STATUS_ZOMBIE)
    said = run(models, tmp_path, "--states")
    assert "stopped" in said.splitlines()[1]


@pytest.mark.slow
def test_in_this_process_the_table_is_that_of_a_plain_sweep(models, tmp_path, monkeypatch, capsys):
    for name, more in (("plain", ()), ("debug", ("--on", "debug"))):
        monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / name))
        assert main(words(models, tmp_path / f"{name}.parquet", *more)) == 0
    plain, debug = (tmp_path / f"{name}.parquet" for name in ("plain", "debug"))
    assert debug.read_bytes() == plain.read_bytes()
    assert len(pq.read_table(debug)) == 10
    capsys.readouterr()
    assert main(words(models, debug, "--on", "debug")) == 0
    assert "1 of 4  tiny" not in capsys.readouterr().out  # done rows are not measured again


@pytest.mark.slow
def test_two_commands_on_one_store_send_each_row_once(models, tmp_path):
    text = models.read_text()
    good = models.with_name("good.toml")
    good.write_text(text[: text.index('[[model]]\nhub = "a/b"')])
    (tmp_path / "a" / "store").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "store").symlink_to(tmp_path / "a" / "store")
    both = [start(good, tmp_path / one, "--on", "local") for one in ("a", "b")]
    for process in both:
        _, complained = process.communicate(timeout=300)
        assert process.returncode == 0, complained
    sent = list((tmp_path / "a" / "store" / "sweeps" / "jobs").glob("*_submitted.pkl"))
    assert len(sent) == 2
    one, other = ((tmp_path / name / "table.parquet").read_bytes() for name in ("a", "b"))
    assert one == other


def test_a_row_out_of_time_is_stopped_and_sent_again(tmp_path):
    once = "echo $$ >> runs; [ $(wc -l < runs) -gt 1 ] || exec sleep 60"
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=1, signal_delay_s=1)
    job = executor.submit(RowCommand(["sh", "-c", once], tmp_path, {}))
    until(lambda: (tmp_path / "runs").exists() and (tmp_path / "runs").read_text())
    (task,) = psutil.Process(int(job.job_id)).children()
    task.send_signal(signal.SIGUSR2)  # as Slurm warns, and submitit's own controller
    job._process.wait(timeout=60)
    first, second = (tmp_path / "runs").read_text().split()
    assert first != second
    assert not psutil.pid_exists(int(first))
    assert job.result() is None


def test_a_command_does_not_hear_the_warning_its_job_hears(tmp_path):
    said = "kill -USR2 $$; kill -TERM $$; echo went on > here; exit 3"
    with pytest.raises(SystemExit) as ended:
        RowCommand(["sh", "-c", said], tmp_path, {})()
    assert ended.value.code == 3
    assert (tmp_path / "here").read_text() == "went on\n"


@pytest.fixture
def row(models):
    return rows_of(read_list(models), {})[0]


def test_a_part_is_read_by_its_path(store, row, monkeypatch):
    """A file of Python's that Arrow's threads still hold aborts a process that ends."""
    read_table = pq.read_table

    def by_path(source):
        assert isinstance(source, str | Path)
        return read_table(source)

    monkeypatch.setattr(pq, "read_table", by_path)
    record = leaderboard_rows.failed("x", "y", "z")
    assert kept.part(store, row) == []
    kept.keep_part(store, row, [record])
    (read,) = kept.part(store, row)
    assert {name: read[name] for name in record} == record


def test_a_done_row_whose_models_files_changed_is_due_again(copy_spec, store, tmp_path):
    path = tmp_path / "l.toml"
    path.write_text(f'[[model]]\nfolder = "{copy_spec.location}"\n')
    (row,) = rows_of(read_list(path), {})
    record = leaderboard_rows.failed("x", "y", "") | {"test": "gradient"}
    kept.keep_sent(store, row, Sent("local", "1", files=kept.files_now(row)))
    kept.keep_part(store, row, [record])
    assert row_standings(store, [row])[1].state == "done"
    os.utime(Path(copy_spec.location) / "model.safetensors", (1, 1))
    now = row_standings(store, [row])[1]
    assert (now.state, now.records) == ("not sent", ())
    assert "have changed" in now.told


@pytest.mark.parametrize(
    ("code", "told"), [(errno.ENOSPC, "is full"), (errno.EROFS, "cannot be written")]
)
def test_a_full_or_read_only_disk_is_told_in_one_sentence(store, row, monkeypatch, code, told):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pyarrow.parquet.write_table", refuse)
    with pytest.raises(CacheError, match=told):
        kept.keep_part(store, row, [leaderboard_rows.failed("x", "y", "z")])
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(CacheError, match=told):
        kept.keep_sent(store, row, Sent("local", "1"))
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CacheError, match=told):
        kept.jobs_folder(store)


def test_rows_of_another_machine_are_let_be_and_said(store, row, monkeypatch):
    kept.keep_sent(store, row, Sent("local", str(os.getpid()), host="elsewhere"))
    now = row_standings(store, [row])[1]
    assert (now.state, now.told) == ("running", "on elsewhere, which can be asked only there")
    kept.keep_sent(store, row, Sent("local", str(os.getpid())))  # a number used again
    now = row_standings(store, [row])[1]
    assert now.state == "failed"
    assert now.told == f"Its job {os.getpid()} ended without a row"


@pytest.mark.parametrize(
    ("gpus", "slot", "seen", "told"),
    [
        (None, 1, None, None),  # all that are seen here
        (None, 1, "2,3", "2,3"),
        (2, 1, None, "2,3"),
        (1, 1, "6,7", "7"),
        (1, 5, None, "1"),  # more rows than GPUs share them
        (0, 0, None, ""),
        (8, 0, None, "0,1,2,3"),
    ],
)
def test_rows_side_by_side_see_gpus_of_their_own(monkeypatch, gpus, slot, seen, told):
    monkeypatch.setattr(schedulers, "_gpus_here", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert schedulers.gpus_seen(gpus, slot) == {"CUDA_VISIBLE_DEVICES": told}
