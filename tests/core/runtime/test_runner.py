"""Long work beside the screen: started once, in turn, watched, cancelled, and heard of after."""

import gc
import queue
import threading
import time
import weakref

import pytest

from core import CoreError
from core.runtime import runner as runtime_runner
from core.runtime.progress import Cancelled
from core.runtime.runner import KEPT, Job, Runner

SOON = 10.0


def ended(job: Job) -> Job:
    job.wait(SOON)
    assert not job.active, "the job did not end in time"
    return job


def until(condition) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


class Gate:
    """Work that reports until it is let through, then returns; it counts its runs."""

    def __init__(self):
        self.begun = threading.Event()
        self.open = threading.Event()
        self.runs = 0

    def __call__(self, report):
        self.runs += 1
        self.begun.set()
        while not self.open.wait(0.005):
            report(1, 4, "waiting at the gate")
        return "through"


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.open.set()


@pytest.fixture
def runner():
    return Runner()


@pytest.fixture
def busy(runner, gate):
    """Return a job that keeps the lane ``model`` until the gate opens."""
    job = runner.submit("busy", "Keeping the lane", gate)
    assert gate.begun.wait(SOON)
    return job


# One piece of work ------------------------------------------------------------------------------


def test_what_the_work_returns_is_the_result(runner):
    job = ended(runner.submit("k", "Adding", lambda report: 1 + 1))
    assert (job.state, job.result, job.fraction, job.error) == ("done", 2, 1.0, "")


def test_the_same_work_is_joined_while_it_runs(runner, busy, gate):
    second = runner.submit("busy", "Keeping the lane", gate)
    assert second is busy
    gate.open.set()
    ended(busy)
    assert gate.runs == 1


@pytest.mark.usefixtures("busy")
def test_the_same_work_is_joined_while_it_waits(runner, gate):
    runs = []
    first = runner.submit("later", "Later", lambda report: runs.append(1))
    assert runner.submit("later", "Later", lambda report: runs.append(2)) is first
    gate.open.set()
    ended(first)
    assert runs == [1]


def test_many_threads_that_want_the_same_work_get_one_job(runner, gate):
    start, got = threading.Barrier(8), []

    def ask():
        start.wait()
        got.append(runner.submit("k", "Once", gate))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.open.set()
    assert len(set(map(id, got))) == 1
    ended(got[0])
    assert gate.runs == 1


def test_ended_work_is_done_again_when_it_is_asked_for_again(runner):
    first = ended(runner.submit("k", "Once", lambda report: 1))
    second = ended(runner.submit("k", "Once", lambda report: 2))
    assert first is not second
    assert runner.get("k") is second
    assert second.result == 2


def test_a_job_that_is_stopping_is_not_joined(runner, busy):
    busy.cancel()
    again = runner.submit("busy", "Keeping the lane", lambda report: "anew")
    assert again is not busy
    assert ended(busy).state == "cancelled"
    assert ended(again).result == "anew"


def test_a_job_outlives_the_thread_that_started_it(runner, gate):
    thread = threading.Thread(target=lambda: runner.submit("k", "Outliving", gate))
    thread.start()
    thread.join()
    assert gate.begun.wait(SOON)
    job = runner.get("k")
    assert job.active
    gate.open.set()
    assert ended(job).result == "through"


def test_unknown_keys_have_no_job(runner):
    assert runner.get("never") is None
    assert runner.jobs() == []


# Lanes ------------------------------------------------------------------------------------------


def test_jobs_of_one_lane_run_one_after_the_other_in_the_order_of_asking(runner):
    inside, most, order = [], [], []

    def work(number):
        def run(_):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.005)
            order.append(number)
            inside.remove(number)

        return run

    made = [runner.submit(str(number), "Turn", work(number)) for number in range(8)]
    for job in made:
        ended(job)
    assert max(most) == 1
    assert order == list(range(8))


def test_lanes_run_beside_each_other(runner):
    meet = threading.Barrier(3)
    made = [
        runner.submit(lane, "Meeting", lambda report: meet.wait(SOON), lane=lane)
        for lane in ("model", "layout", "data")
    ]
    assert {ended(job).state for job in made} == {"done"}


def test_a_job_says_what_it_waits_for(runner, busy, gate):
    elsewhere = Gate()
    other = runner.submit("other lane", "Elsewhere", elsewhere, lane="data")
    first = runner.submit("first", "First", lambda report: None)
    second = runner.submit("second", "Second", lambda report: None)
    assert elsewhere.begun.wait(SOON)
    waits = [runner.ahead(job) for job in (busy, other, first, second)]
    assert waits == [[], [], [busy], [busy, first]]
    gate.open.set()
    elsewhere.open.set()
    ended(second)
    assert [runner.ahead(job) for job in (busy, first, second)] == [[], [], []]


def test_urgent_work_goes_before_other_work_of_its_lane_that_waits(runner, busy, gate):
    order = []

    def ask(name, **how):
        return runner.submit(name, name, lambda report: order.append(name), **how)

    slow, slower = ask("slow"), ask("slower")
    answer, text = ask("answer", urgent=True), ask("text", urgent=True)
    elsewhere = ended(ask("elsewhere", urgent=True, lane="data"))
    assert runner.ahead(answer) == [busy]
    assert runner.ahead(text) == [busy, answer]
    assert runner.ahead(slower) == [busy, answer, text, slow]
    assert busy.active  # what runs is not interrupted
    gate.open.set()
    for job in (slow, slower, answer, text):
        ended(job)
    assert order == ["elsewhere", "answer", "text", "slow", "slower"]
    assert elsewhere.state == busy.state == "done"


# Cancel -----------------------------------------------------------------------------------------


def test_cancel_stops_running_work_at_its_next_report(busy, gate):
    busy.cancel()
    ended(busy)
    assert (busy.state, busy.error, busy.result) == ("cancelled", "", None)
    assert gate.runs == 1


@pytest.mark.usefixtures("busy")
def test_cancelled_work_that_waits_is_never_begun(runner, gate):
    runs = []
    waiting = runner.submit("waiting", "Waiting", lambda report: runs.append(1))
    after = runner.submit("after", "After", lambda report: runs.append(2))
    waiting.cancel()
    gate.open.set()
    ended(after)
    assert waiting.state == "cancelled"
    assert runs == [2]


def test_cancelled_work_that_waits_says_so_at_once_and_is_not_waited_for(runner, busy, gate):
    waiting = runner.submit("waiting", "Waiting", lambda report: None)
    after = runner.submit("after", "After", lambda report: None)
    waiting.cancel()
    assert waiting.state == "cancelled"
    assert busy.active
    assert runner.ahead(after) == [busy]
    gate.open.set()
    ended(after)
    assert waiting.state == "cancelled"


def test_cancelling_what_has_ended_changes_nothing(runner):
    job = ended(runner.submit("k", "Quick", lambda report: 7))
    job.cancel()
    assert (job.state, job.result) == ("done", 7)


def test_cancelled_work_can_be_started_again(runner, busy):
    busy.cancel()
    ended(busy)
    assert ended(runner.submit("busy", "Again", lambda report: "again")).result == "again"


# Waiting ----------------------------------------------------------------------------------------


def waited(job: Job) -> queue.SimpleQueue:
    """Wait for a job without a limit in a thread, and keep the state seen afterwards."""
    seen = queue.SimpleQueue()

    def wait():
        job.wait()
        seen.put((job.state, job.ended > 0))

    threading.Thread(target=wait, daemon=True).start()
    return seen


@pytest.mark.parametrize(
    ("fault", "state"), [(None, "done"), (CoreError("no"), "failed"), (Cancelled(), "cancelled")]
)
def test_who_waits_is_woken_by_the_end_and_sees_how_it_ended(runner, gate, fault, state):
    def work(report):
        gate(report)
        if fault:
            raise fault

    seen = waited(runner.submit("k", "Waited for", work))
    assert gate.begun.wait(SOON)
    assert seen.empty()
    gate.open.set()
    assert seen.get(timeout=SOON) == (state, True)


@pytest.mark.usefixtures("busy")
def test_who_waits_for_queued_work_is_woken_when_it_is_cancelled(runner):
    job = runner.submit("waiting", "Waiting", lambda report: None)
    seen = waited(job)
    job.cancel()
    assert seen.get(timeout=SOON) == ("cancelled", True)


def test_waiting_ends_when_the_seconds_have_passed(busy):
    busy.wait(0.01)
    assert busy.state == "running"


def test_waiting_for_work_that_is_done_again_waits_for_the_new_end(runner, gate):
    first = ended(runner.submit("k", "Once", lambda report: 1))
    second = runner.submit("k", "Once", gate)
    first.wait()
    seen = waited(second)
    assert gate.begun.wait(SOON)
    assert seen.empty()
    gate.open.set()
    assert seen.get(timeout=SOON) == ("done", True)


# Faults -----------------------------------------------------------------------------------------


def test_a_fault_of_the_persons_situation_is_shown_as_it_stands(runner):
    def work(_):
        raise CoreError("The table has no rows. Choose another.")

    job = ended(runner.submit("k", "Reading", work))
    assert job.state == "failed"
    assert job.error == "The table has no rows. Choose another."


@pytest.mark.parametrize("fault", [KeyError("x"), MemoryError(), SystemExit(3)])
def test_an_unexpected_fault_is_a_clear_sentence_and_the_lane_lives_on(runner, caplog, fault):
    def work(_):
        raise fault

    job = ended(runner.submit("k", "Reading the table", work))
    after = ended(runner.submit("after", "After", lambda report: "alive"))
    assert job.state == "failed"
    assert job.error.startswith("Reading the table met an unexpected fault")
    assert type(fault).__name__ in job.error
    assert "Traceback" not in job.error
    assert "Reading the table" in caplog.text  # the details, for whoever runs the server
    assert caplog.records[0].exc_info
    assert after.result == "alive"


def test_the_lane_lets_go_of_what_a_job_worked_on(runner):
    class Large:
        pass

    large = Large()
    gone = weakref.ref(large)
    job = ended(runner.submit("k", "Holding", lambda report, held=large: None))
    del large
    end = time.monotonic() + SOON
    while gone() is not None and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert job.state == "done"
    assert gone() is None


# Progress ---------------------------------------------------------------------------------------


def test_progress_is_a_share_with_the_present_step(runner, gate):
    seen = []

    def work(report):
        for done in range(3):
            report(done, 4, f"reading · {done} of 4")
            job = runner.get("k")
            seen.append((job.fraction, job.note, job.state))
        report(9, 4, "too far")
        seen.append(runner.get("k").fraction)
        report(0, 0, "nothing to count")
        seen.append(runner.get("k").fraction)

    with_gate = runner.submit("gate", "First", gate)
    runner.submit("k", "Counting", work)
    gate.open.set()
    ended(with_gate)
    assert ended(runner.get("k")).error == ""
    assert seen[:3] == [
        (0.0, "reading · 0 of 4", "running"),
        (0.25, "reading · 1 of 4", "running"),
        (0.5, "reading · 2 of 4", "running"),
    ]
    assert seen[3:] == [1.0, 0.0]


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that only the test moves."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(runtime_runner, "time", made)
    return made


def test_time_left_follows_the_pace_of_the_present_step(clock):
    job = Job("k", "Counting", "model", state="running", started=100.0)
    job._report(0, 100, "opening")
    clock.now += 50
    job._report(20, 100, "reading · 20 of 100")  # a new step: the slow opening does not count
    assert job.left is None
    clock.now += 4
    job._report(40, 100, "reading · 40 of 100")
    assert job.left == pytest.approx(4 * 60 / 20)
    clock.now += 2  # nothing heard since: it counts down
    assert job.left == pytest.approx(4 * 60 / 20 - 2)
    assert job.seconds == 56


def test_time_left_is_unknown_before_anything_is_done(clock):
    job = Job("k", "Counting", "model")
    assert job.left is None
    assert job.seconds == 0
    job._report(0, 10, "reading")
    clock.now += 30
    assert job.left is None


def test_time_left_is_unknown_once_the_job_has_ended(clock):
    job = Job("k", "Counting", "model", state="running", started=100.0)
    job._report(0, 10, "reading")
    clock.now += 5
    job._report(5, 10, "reading")
    job.ended, job.state = clock.now, "failed"
    clock.now += 100
    assert job.left is None
    assert job.seconds == 5


def test_a_report_after_cancel_raises():
    job = Job("k", "Counting", "model", state="running", started=100.0)
    job.cancel()
    with pytest.raises(Cancelled):
        job._report(1, 2, "reading")
    assert job.fraction == 0


# Memory of jobs ---------------------------------------------------------------------------------


def test_finished_jobs_are_forgotten_beyond_the_limit_oldest_first(runner):
    for number in range(KEPT + 10):
        ended(runner.submit(str(number), "Many", lambda report: None))
    kept = [job.key for job in runner.jobs()]
    assert len(kept) <= KEPT + 1
    assert kept[:3] == [str(KEPT + 9), str(KEPT + 8), str(KEPT + 7)]
    assert runner.get("0") is None


def test_active_jobs_are_never_forgotten(runner, busy, gate):
    waiting = [runner.submit(f"wait {n}", "Waiting", lambda report: None) for n in range(KEPT + 5)]
    for number in range(KEPT + 5):
        ended(runner.submit(f"data {number}", "Many", lambda report: None, lane="data"))
    assert runner.get("busy") is busy
    assert all(runner.get(job.key) is job for job in waiting)
    gate.open.set()
    ended(waiting[-1])
