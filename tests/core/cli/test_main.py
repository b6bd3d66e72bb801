"""How a command starts and ends: what is loaded before it, its status, Ctrl-C, a closed pipe."""

import _thread
import os
import signal
import threading

import pytest

from core.activations import extraction
from core.cli import sets
from core.cli.progress_line import ProgressLine
from core.runtime.runner import Job
from tests.core.cli.commands import python
from tests.core.leaderboard.manysets import ROWS

# Start ------------------------------------------------------------------------------------------


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


def test_a_command_shares_one_heap_before_it_begins():
    code = (
        "import core.__main__ as m\n"
        "m.share_heap, m.main = lambda: print('shared'), lambda: print('begun')\n"
        "m._run()"
    )
    out, _ = python("-c", code).communicate()
    assert out.split() == ["shared", "begun"]


def test_a_spin_count_of_ones_own_stays():
    code = "import os, core.__main__; print(os.environ['GOMP_SPINCOUNT'])"
    out, _ = python("-c", code, env=os.environ | {"GOMP_SPINCOUNT": "7"}).communicate()
    assert out == "7\n"


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


# Ctrl-C -----------------------------------------------------------------------------------------


@pytest.fixture
def heard():
    """Let Ctrl-C be heard: a shell that starts the tests in its background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("small_batches", "heard")
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
    assert sum(batches) == ROWS


@pytest.mark.usefixtures("heard")
def test_a_second_ctrl_c_leaves_at_once_while_the_step_is_still_going(run, monkeypatch):
    say = ProgressLine.say
    told, free, jobs = threading.Event(), threading.Event(), []

    def said(line, text):
        say(line, text)
        if "Ctrl-C again" in text:
            told.set()

    def stubborn(desk):
        def work(_):
            jobs.extend(desk.work.runner.jobs())
            _thread.interrupt_main()
            assert told.wait(10)
            _thread.interrupt_main()
            free.wait(10)

        desk.job({"work": "stubborn"}, "Stubborn work", work, "data")
        yield "never told"

    monkeypatch.setattr(ProgressLine, "say", said)
    monkeypatch.setattr(sets, "list_items", stubborn)
    status, out, err = run("items")
    (job,) = jobs
    active = job.active
    free.set()
    assert (status, out, active) == (130, "", True)
    assert err.startswith("Stopping after the present step. Ctrl-C again leaves at once.\n")


def test_ctrl_c_between_jobs_ends_with_130(run, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sets, "list_items", stop)
    assert run("items")[0] == 130


def test_a_stopped_process_leaves_whatever_its_threads_do():
    code = "import core.__main__ as m; m.main = lambda: 130; m._run()"
    process = python("-c", code)
    assert process.communicate() == ("", "")
    assert process.returncode == 130


@pytest.mark.usefixtures("cache")
def test_a_reader_that_has_seen_enough_causes_no_traceback():
    process = python("-m", "core", "cache")
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (141, "")
