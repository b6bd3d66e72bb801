"""What rows cost before they start, and the script for people who want to read it first."""

import shutil
import subprocess

import pytest

from core.__main__ import main
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.cluster import cost
from core.cluster.cost import Work
from core.cluster.rows import rows_of
from core.dataset import sets
from core.leaderboard.model_list import PAPER_FILE, read_list
from core.models.open_models import describe
from core.runtime.store import Store
from tests.core.cluster.fake_slurm import FakeSlurm

WORK = Work(prompts=1640, characters=1640 * 73, rows=1814, read=ReadSpec(), control=True)


def costs(tmp_path, text, work=WORK):
    path = tmp_path / "list.toml"
    path.write_text(text)
    rows = rows_of(read_list(path), {})
    return cost.costs(Store(tmp_path / "store"), rows, work, network=False)


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr("core.models.hub.find_release", lambda *_, **__: pytest.fail("asked"))


def test_a_models_own_files_say_what_the_card_and_the_plan_say(tmp_path, store, llama_spec):
    (found,) = costs(tmp_path, f'[[model]]\nfolder = "{llama_spec.location}"\ndevice = "cpu"\n')
    card = describe(llama_spec, store)
    plan = open_study(sets.builtin(store), card, ReadSpec()).plan
    assert found.parameters == card.n_parameters
    assert found.weight_bytes == card.weight_bytes
    assert found.needed_bytes == describe(llama_spec.untrained(), store).needed_bytes
    assert found.state_bytes == 2 * plan.size  # its own and its untrained copy's
    assert found.source == "its files"
    assert not found.misfit
    plain, row = found, f'[[model]]\nfolder = "{llama_spec.location}"\ndevice = "cpu"\n'
    (aligned,) = costs(tmp_path, f'{row}aligned = "abc"\n')
    assert aligned.state_bytes == 1.5 * plain.state_bytes  # read once more, spliced
    assert aligned.row.digest != plain.row.digest


def test_the_papers_list_is_weighed_without_a_network(tmp_path, no_network):
    rows = rows_of(read_list(PAPER_FILE), {})
    found = cost.costs(Store(tmp_path / "store"), rows, WORK, network=True)
    assert len(found) == 23
    assert {one.source for one in found} == {"the list"}
    assert not any(one.misfit for one in found)
    (large,) = [one for one in found if one.row.entry.asked == "Qwen/Qwen3-235B-A22B"]
    assert large.weight_bytes == 470_000_000_000
    # 95 arrays of each pooling and copy: 1,640 texts, 4,096 wide, four bytes
    assert large.state_bytes == 95 * 2 * 2 * 1640 * 4096 * 4


SIZE = "parameters = 109_000_000_000\nlayers = 48\nwidth = 5120\n"


@pytest.mark.parametrize(
    ("asks", "told"),
    [
        ("gpus = 1", "needs 4 GPUs of 80 GB (gpus = 4, spread = true)"),
        ("gpus = 4", "needs 4 GPUs of 80 GB (gpus = 4, spread = true)"),
        ("gpus = 4\nspread = true", ""),
        ("gpus = 2\nspread = true\ngpu_memory = 141", ""),
        ("memory = 100", "needs 481 GB of main memory (memory = 481), not 100 GB asked for"),
        ("memory = 500", ""),
        ('memory = 250\ndtype = "bfloat16"', "needs 481 GB"),  # its copy is drawn in float32
    ],
)
def test_a_row_that_does_not_fit_says_which_machine_it_needs(tmp_path, no_network, asks, told):
    (found,) = costs(tmp_path, f'[[model]]\nhub = "a/b"\n{SIZE}{asks}\n')
    assert found.misfit.startswith(told) if told else not found.misfit


def test_hours_grow_with_what_one_token_meets(tmp_path):
    row = f'[[model]]\nhub = "a/b"\n{SIZE}gpus = 4\nspread = true\n'
    long = Work(**{**vars(WORK), "characters": 10**10})
    (dense,), (mixture,) = (costs(tmp_path, text, long) for text in (row, f"{row}active = 1_000\n"))
    # 2 operations for each weight and token, tokens of 4.6 characters, read twice
    seconds = 2 * 2 * 109e9 * 10**10 / 4.6 / cost.PACE.gpu
    assert dense.seconds - mixture.seconds == pytest.approx(seconds, rel=1e-6)


def test_a_size_that_nobody_knows_is_said_and_the_others_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "store"))
    path = tmp_path / "l.toml"
    path.write_text(
        f'[[model]]\nhub = "a/b"\n[[model]]\nhub = "a/c"\n{SIZE}gpus = 1\n[[model]]\nhubb = "x"\n'
    )
    assert main(["sweep", str(path), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "The hub cannot be reached" in said
    assert "needs 4 GPUs of 80 GB" in said
    assert "1 of unknown size" in said
    assert "1 as the list states them" in said
    assert "Hours are an estimate" in said
    assert "Entry 3: unknown key 'hubb'" in said


@pytest.mark.parametrize("text", ["parameters = 'x'", "parameters = 1.5", "layers = 0"])
def test_a_size_that_cannot_be_is_refused(tmp_path, text):
    path = tmp_path / "l.toml"
    path.write_text(f'[[model]]\nhub = "a/b"\n{text}\n')
    (entry,) = read_list(path)
    assert "must be a whole number from 1 up" in entry.problem


def test_the_script_sends_each_array_and_puts_a_late_row_back(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "store"))
    path = tmp_path / "l.toml"
    path.write_text(
        '[cluster]\npartition = "gpu"\nparallel = 2\nsbatch = { account = "it\'s" }\n'
        '[[model]]\nhub = "a/b"\n[[model]]\nhubb = "x"\n[[model]]\nhub = "a/c"\n'
        '[[model]]\nhub = "a/d"\nname = """two\nlines"""\ntime = 90\n'
    )
    words = ["sweep", str(path), "--template", "It's {action}", "--emit", "sbatch"]
    assert main(words) == 0
    script = tmp_path / "send.sh"
    script.write_text(capsys.readouterr().out)
    fake = FakeSlurm(tmp_path / "slurm")
    # The fake reads a file; a here-document comes from standard input.
    (fake.here / "sbatch").write_text(f"#!/bin/sh\ncat > {fake.here}/scripts/$$.sh\n")
    monkeypatch.setenv("PATH", str(fake.here), prepend=":")
    subprocess.run(["sh", script], check=True)
    first, second = sorted(fake.scripts(), key=len)[::-1]
    if "array=4" in first:
        first, second = second, first
    assert "#SBATCH --array=1,3%2\n" in first
    assert "#SBATCH --array=4%2\n" in second
    assert "#SBATCH --time=90\n" in second
    assert "--row=$SLURM_ARRAY_TASK_ID &\n" in first
    for one in (first, second):
        assert "#SBATCH --partition=gpu\n" in one
        bash = shutil.which("bash")
        assert subprocess.run([bash, "-n"], input=one, text=True, check=False).returncode == 0


def test_the_scripts_row_goes_on_after_its_time_is_over(tmp_path, monkeypatch, capsys):
    """The array's own script, its row made a long sleep: a warning ends it and requeues the job."""
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "store"))
    path = tmp_path / "l.toml"
    path.write_text('[[model]]\nhub = "a/b"\n')
    assert main(["sweep", str(path), "--emit", "sbatch"]) == 0
    body = capsys.readouterr().out.split("<<'END'\n")[1].split("END\n")[0]
    lines = ["sleep 60 &" if "--row=" in line else line for line in body.splitlines()]
    (tmp_path / "job.sh").write_text("\n".join(lines).replace("wait $row", "echo up\nwait $row"))
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/requeued\n')
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    with subprocess.Popen(["bash", tmp_path / "job.sh"], stdout=subprocess.PIPE) as job:
        assert job.stdout.readline() == b"up\n"
        job.send_signal(12)  # SIGUSR2
        job.wait(timeout=20)
    assert (tmp_path / "requeued").read_text() == "requeue 7_1\n"
