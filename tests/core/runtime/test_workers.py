"""Pieces of work side by side: order, errors, Cancel, threads of arithmetic."""

import os
import threading
import time

import pytest
import torch

from core.runtime.memory import Room
from core.runtime.progress import Cancelled, silent
from core.runtime.workers import MOST_WORKERS, each, workers


def test_every_piece_comes_back_once_with_its_own_result():
    found = dict(each(lambda piece: piece * piece, range(20), 3, silent, "squaring"))
    assert found == {piece: piece * piece for piece in range(20)}


def test_pieces_run_side_by_side():
    meeting = threading.Barrier(3, timeout=20)  # passes only if three are there at once
    assert len(list(each(lambda _: meeting.wait(), range(3), 3, silent, "meeting"))) == 3


def test_arithmetic_is_on_one_thread_there_and_as_before_elsewhere():
    before = torch.get_num_threads()
    found = dict(each(lambda _: torch.get_num_threads(), range(2), 2, silent, "counting"))
    assert set(found.values()) == {1}
    assert torch.get_num_threads() == before
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [before]


def test_a_piece_that_begins_its_arithmetic_late_keeps_one_thread():
    """The number that is usual is set again while pieces run: it must not become theirs."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        there, begun = threading.Barrier(2, timeout=20), threading.Event()

        def late(piece):
            there.wait()
            if piece:
                begun.wait(20)  # until the first piece was reported
            return torch.get_num_threads()

        threads = []
        for _, used in each(late, range(2), 2, silent, "counting"):
            threads.append(used)
            begun.set()
        assert threads == [1, 1]
    finally:
        torch.set_num_threads(before)


def test_an_error_of_a_piece_reaches_the_caller():
    def work(piece):
        if piece == 1:
            raise ValueError("piece 1")
        return piece

    with pytest.raises(ValueError, match="piece 1"):
        list(each(work, range(3), 1, silent, "failing"))


def test_cancel_starts_no_further_piece():
    begun = []

    def work(piece):
        begun.append(piece)
        time.sleep(0.02)

    def report(done, _total, _note):
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(each(work, range(50), 1, report, "working"))
    assert len(begun) < 50


def test_the_report_counts_up_to_all():
    told = []
    list(each(str, range(3), 1, lambda *step: told.append(step), "working"))
    assert told[0] == (0, 3, "working · 0 of 3")
    assert [step[0] for step in told] == sorted(step[0] for step in told)


def test_large_pieces_run_one_by_one():
    assert workers(2**40) == 1
    assert 1 <= workers(1) <= MOST_WORKERS


@pytest.mark.parametrize(("free", "full"), [(3e9, 1), (12e9, 2), (500e9, MOST_WORKERS)])
def test_full_layers_are_worked_on_side_by_side_where_memory_is_free(monkeypatch, free, full):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.setattr("core.runtime.workers.working_device", lambda: "cpu")
    monkeypatch.setattr("core.runtime.workers.main_memory", lambda: Room(int(free), int(free)))
    assert workers(4 * 16_000 * 4_096) == full
    assert workers(4 * 16_000 * 640) >= 6
    assert workers(4 * 100_000 * 16_384) == (1 if free < 100e9 else 4)
