"""What is said of a job that waits."""

import threading
import time

import pytest

from pages.shared import progress


@pytest.fixture
def gate():
    made = threading.Event()
    yield made
    made.set()


def test_a_job_that_waits_says_for_what_and_about_how_long(work, gate):
    begun = threading.Event()

    def read(report):
        report(0, 100, "reading")
        begun.set()
        gate.wait(60)

    running = work.runner.submit("reading", "Reading 100 texts", read)
    assert begun.wait(60)
    first = work.runner.submit("first", "Measuring", lambda report: None)
    second = work.runner.submit("second", "Drawing", lambda report: None)
    assert progress.waits_for(running) == ""
    assert progress.waits_for(first) == "waiting for “Reading 100 texts”"
    running._step = (running._step[0], time.monotonic() - 20, 0.0)
    running.fraction, running._heard = 0.4, time.monotonic()
    assert progress.waits_for(first) == "waiting for “Reading 100 texts”, about 30 s left"
    assert progress.waits_for(second).endswith("about 30 s left, then 1 more")
    gate.set()
    second.wait(60)
    assert progress.waits_for(second) == ""
