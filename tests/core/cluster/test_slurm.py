"""Rows sent to Slurm: what sbatch is given, how rows stand, what is sent again, what is refused."""

import re
from pathlib import Path

import pytest

from core import CoreError
from core.__main__ import main
from core.cluster import rows as kept_rows
from core.cluster import schedulers
from core.diagnosis import leaderboard_rows
from core.leaderboard.model_list import read_list
from core.runtime.store import Store
from tests.core.cluster.fake_slurm import FakeSlurm

ROOT = Path(__file__).resolve().parents[3]

submitit = pytest.importorskip("submitit")

LIST = """
[cluster]
partition = "gpu"
time = "0-04:00:00"
gpus = 1
memory = 64
parallel = 2
sbatch = { account = "morals" }
[[model]]
hub = "a/one"
[[model]]
hub = "a/two"
time = 90
gpus = 8
[[model]]
hub = "a/three"
[[model]]
hub = "a/four"
tim = 3
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    fake = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", str(fake.here), prepend=":")
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "store"))
    monkeypatch.setattr(submitit.SlurmJob, "watcher", submitit.slurm.slurm.SlurmInfoWatcher())
    return fake


@pytest.fixture
def models(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text(LIST)
    return path


def sweep(capsys, models, *words):
    """Run the command; return its status and what it said."""
    out = models.with_name("table.parquet")
    status = main([str(one) for one in ("sweep", models, "--out", out, *words)])
    said = capsys.readouterr()
    return status, said.out + said.err


def states(capsys, models, *words):
    submitit.SlurmJob.watcher.clear()
    _, said = sweep(capsys, models, "--states", *words)
    return [line.split()[2] for line in said.splitlines()[1:] if re.match(r" *\d", line)]


def flags(script):
    return dict(re.findall(r"#SBATCH --([\w-]+)=?(.*)", script))


def finish(tmp_path, models, number, reason=None):
    """Keep a row's part as its job would."""
    from dataclasses import asdict

    from core.cli.arguments import read_of
    from core.cli.parser import parser
    from core.cli.sweep import Sweep
    from core.diagnosis.diagnosis import DiagnosisSpec

    args = parser().parse_args(["sweep", str(models)])
    asked = Sweep("builtin", read_of(args), None, DiagnosisSpec(), True)
    rows = kept_rows.rows_of(read_list(models), asdict(asked))
    (row,) = [one for one in rows if one.number == number]
    record = leaderboard_rows.failed(row.entry.name, str(row.entry.spec), reason or "")
    record |= {} if reason else {"test": "gradient", "value": 0.5, "level": "chance"}
    kept_rows.keep_part(Store(tmp_path / "store"), row, [record])


def test_rows_of_equal_needs_go_as_one_array_with_the_lists_numbers(slurm, models, capsys):
    status, said = sweep(capsys, models, "--on", "slurm", "--draws", 20)
    assert status == 0
    assert "Sent row 1, 3 to Slurm as job 4000." in said
    assert "Sent row 2 to Slurm as job 4001." in said
    array, single = slurm.scripts()
    told = flags(array)
    assert told["array"] == "0-1%2"
    assert (told["partition"], told["time"], told["gpus-per-node"]) == ("gpu", "240", "1")
    assert (told["mem"], told["account"]) == ("64GB", "morals")
    assert "requeue" in told
    assert told["chdir"] == str(ROOT)  # where a job finds what it is to run
    assert told["signal"] == "USR2@90"
    assert flags(single)["time"] == "90"
    assert flags(single)["gpus-per-node"] == "8"
    assert "array" not in flags(single)


def test_a_jobs_command_is_the_products_own_on_this_store(slurm, models, capsys, tmp_path):
    sweep(capsys, models, "--on", "slurm", "--draws", 20, "--no-control", "--template", "{action}!")
    folder = tmp_path / "store" / "sweeps" / "jobs"
    command = submitit.SlurmJob(folder, "4000_1").submission().function
    assert command.words[1:5] == ["-m", "core", "sweep", str(models)]
    assert {"--row=3", "--draws=20", "--no-control", "--template={action}!"} <= set(command.words)
    assert command.environment["MORALSCOPE_CACHE"] == str(tmp_path / "store")
    again = command.checkpoint()  # after a timeout the same is sent
    assert again.function.words == command.words


def test_one_table_of_states_from_what_is_kept_and_what_slurm_says(slurm, models, capsys, tmp_path):
    assert states(capsys, models) == ["not", "not", "not", "wrong"]
    sweep(capsys, models, "--on", "slurm")
    assert states(capsys, models) == ["waiting", "waiting", "waiting", "wrong"]
    slurm.say(job_4000_0="RUNNING", job_4000_1="CANCELLED by 1000", job_4001="PENDING")
    assert states(capsys, models) == ["running", "waiting", "failed", "wrong"]
    finish(tmp_path, models, 1)
    finish(tmp_path, models, 2, "It does not fit.")
    assert states(capsys, models) == ["done", "failed", "failed", "wrong"]
    _, said = sweep(capsys, models, "--states")
    assert "It does not fit." in said
    assert "Its job 4000_1 ended as cancelled" in said


def test_an_array_that_waits_as_a_whole_waits_row_by_row(slurm, models, capsys):
    sweep(capsys, models, "--on", "slurm")
    (slurm.here / "states.txt").write_text("4000_[0-1%2]|PENDING|\n4001|OUT_OF_MEMORY|n1\n")
    assert states(capsys, models) == ["waiting", "failed", "waiting", "wrong"]
    assert "ended as out of memory" in sweep(capsys, models, "--states")[1]


def test_where_sacct_keeps_no_accounts_the_queue_is_asked(slurm, models, capsys):
    sweep(capsys, models, "--on", "slurm")
    (slurm.here / "queue.txt").write_text("4000_0 RUNNING\n4001 PENDING\n")
    assert states(capsys, models) == ["running", "waiting", "failed", "wrong"]
    assert "Its job 4000_1 ended without a row" in sweep(capsys, models, "--states")[1]


def test_the_same_command_sends_only_what_has_failed(slurm, models, capsys, tmp_path):
    sweep(capsys, models, "--on", "slurm")
    finish(tmp_path, models, 1)
    slurm.say(job_4000_1="TIMEOUT", job_4001="RUNNING")
    submitit.SlurmJob.watcher.clear()
    _, said = sweep(capsys, models, "--on", "slurm")
    assert [line for line in said.splitlines() if line.startswith("Sent")] == [
        "Sent row 3 to Slurm as job 4002."
    ]
    submitit.SlurmJob.watcher.clear()
    _, said = sweep(capsys, models, "--on", "slurm")
    assert "Sent" not in said
    assert "Wrote 2 rows" in said  # the one that is done, the wrong entry
    assert "2 of 4 have not ended" in said


def test_a_partition_that_is_not_there_is_told_in_sbatchs_words_and_others_go(
    slurm, models, capsys
):
    models.write_text(LIST.replace("time = 90", 'partition = "nowhere"'))
    status, said = sweep(capsys, models, "--on", "slurm")
    assert status == 0
    assert (
        "Slurm did not take row 2: invalid partition specified: nowhere; Batch job submission "
        "failed: Invalid partition name specified. Mend [cluster]"
    ) in said
    assert "Sent row 1, 3" in said
    assert states(capsys, models) == ["waiting", "not", "waiting", "wrong"]


def test_rows_are_cancelled_one_or_all_and_can_be_sent_again(slurm, models, capsys):
    sweep(capsys, models, "--on", "slurm")
    _, said = sweep(capsys, models, "--cancel", 3)
    assert "Stopped row 3" in said
    assert slurm.cancelled() == ["4000_1"]
    assert states(capsys, models) == ["waiting", "waiting", "stopped", "wrong"]
    sweep(capsys, models, "--cancel")
    assert slurm.cancelled() == ["4000_1", "4000_0", "4001"]
    assert "Nothing is running" in sweep(capsys, models, "--cancel")[1]
    assert "Sent row 1, 3" in sweep(capsys, models, "--on", "slurm")[1]


def test_logs_of_a_row_are_one_command_away(slurm, models, capsys, tmp_path):
    assert sweep(capsys, models, "--logs", 1)[0] == 2
    sweep(capsys, models, "--on", "slurm")
    log = tmp_path / "store" / "sweeps" / "jobs" / "4000_1_0_log.err"
    log.write_text("reading\nThe disk is full.\nsrun: error: task 0: Exited with exit code 2\n")
    status, said = sweep(capsys, models, "--logs", 3)
    assert status == 0
    assert "The disk is full." in said
    assert "(not there yet)" in said
    slurm.say(job_4000_1="FAILED")
    submitit.SlurmJob.watcher.clear()
    assert "ended as failed: The disk is full." in sweep(capsys, models, "--states")[1]
    assert "has no row 9" in sweep(capsys, models, "--logs", 9)[1]


def test_without_slurm_or_submitit_one_sentence_says_so(models, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "store"))
    monkeypatch.setenv("PATH", "/nowhere")
    status, said = sweep(capsys, models, "--on", "slurm")
    assert (status, said.count("\n")) == (2, 1)
    assert "There is no Slurm here: srun was not found." in said

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(schedulers, "import_module", missing)
    status, said = sweep(capsys, models, "--on", "local")
    assert (status, said.count("\n")) == (2, 1)
    assert "pip install -r core/cluster/requirements.txt" in said


def test_what_the_list_asks_for_all_rows_is_checked_at_once(tmp_path):
    path = tmp_path / "l.toml"
    for text, reason in (
        ("[cluster]\npartion = 'x'", "did you mean partition"),
        ("[cluster]\ntime = '90:00'", "time must be minutes"),
        ("[cluster]\ngpus = -1", "gpus must be a whole number from 0 up"),
        ("[clutser]\ngpus = 1", "did you mean cluster"),
        ("[cluster]\nsbatch = 'x'", "sbatch must be a table"),
    ):
        path.write_text(f'{text}\n[[model]]\nhub = "a/b"\n')
        with pytest.raises(CoreError, match=reason):
            read_list(path)


def test_a_row_that_a_script_of_ones_own_sent_is_known_once_it_runs(
    slurm, models, capsys, monkeypatch
):
    models.write_text(f'[[model]]\nfolder = "{models.with_name("gone")}"\n')
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("core.cli.cluster.measure_entry", killed)
        assert sweep(capsys, models, "--row", 1)[0] == 130
    slurm.say(job_77_1="RUNNING")
    assert states(capsys, models) == ["running"]
    assert "Sent" not in sweep(capsys, models, "--on", "slurm")[1]
    sweep(capsys, models, "--cancel", 1)
    assert slurm.cancelled() == ["77_1"]
    assert sweep(capsys, models, "--row", 1)[0] == 0  # a part that says why it failed
    assert states(capsys, models) == ["failed"]
    assert "There is no folder" in sweep(capsys, models, "--states")[1]
