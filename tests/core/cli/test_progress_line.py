"""How far a job is, on stderr: a line that is written over, or plain lines in a log."""

import io
import threading

import pytest

from core.cli import progress_line
from core.cli.progress_line import ProgressLine, progress_text, watch
from core.runtime.runner import Job, Runner
from core.wording import bytes_text, duration
from tests.core.leaderboard.manysets import ROWS


@pytest.mark.usefixtures("small_batches")
def test_progress_stands_in_stderr_line_by_line_when_it_is_no_terminal(
    run, model, actions, monkeypatch
):
    monkeypatch.setattr(progress_line, "GRACE", 0)
    monkeypatch.setattr(progress_line, "PLAIN_PAUSE", 0)
    _, out, err = run("read", model, "--items", actions)
    assert f"Reading {ROWS} texts with" in err
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
