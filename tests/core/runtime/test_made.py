"""What is made once: opened ever after, made again if damaged, made in jobs with all it needs."""

import threading
from dataclasses import replace
from functools import partial

import pytest

from core import CoreError
from core.runtime.made import Made, artefact, read_json, several, write_json
from core.runtime.progress import Cancelled, silent
from core.runtime.runner import Runner
from core.runtime.store import Store

SOON = 10.0
WAITING = "another process counts: waiting for it"


def counted(store, key=1, *, made=None, fault=None, **options):
    """Return a kept list of numbers; each time it is made, its key is added to ``made``."""

    def make(report):
        report(0, 1, "counting")
        if made is not None:
            made.append(key)
        if fault is not None:
            raise fault
        return [key, key + 1]

    return artefact(
        store,
        "numbers",
        {"key": key},
        read=read_json("numbers.json", tuple),
        write=write_json("numbers.json", list),
        make=make,
        **options,
    )


def only_file(store):
    """Return the one payload file of the one artefact."""
    [entry] = store.artefacts()
    return store.root / entry.kind / entry.digest / "numbers.json"


# One artefact -----------------------------------------------------------------------------------


def test_what_was_made_is_opened_ever_after(store):
    made = []
    one = counted(store, made=made)
    assert not one.has()
    assert one.open() is None
    assert one.make(silent) == [1, 2]
    assert one.has()
    assert one.open() == (1, 2)
    again = counted(Store(store.root), made=made)
    assert again.has()
    assert again.open() == (1, 2)
    assert made == [1]


def test_get_makes_only_once(store):
    made, notes = [], []
    one = counted(store, made=made)
    assert one.get(lambda *step: notes.append(step)) == [1, 2]
    assert one.get(lambda *step: notes.append(step)) == (1, 2)
    assert counted(Store(store.root), made=made).get() == (1, 2)
    assert made == [1]
    assert notes == [(0, 1, "counting")]


def test_another_key_or_kind_is_another_artefact(store):
    one, other = counted(store, 1), counted(store, 2)
    one.get()
    assert not other.has()
    other.get()
    assert (one.open(), other.open()) == ((1, 2), (2, 3))


@pytest.mark.parametrize("damage", [b"[9, 9, 9, 9]", b"", b"[9, 9]"])
def test_a_damaged_artefact_is_set_aside_and_made_again(store, damage):
    made = []
    counted(store, made=made).get()
    assert len(b"[9, 9]") == only_file(store).stat().st_size  # one damage keeps the size
    only_file(store).write_bytes(damage)
    fresh = Store(store.root)
    again = counted(fresh, made=made)
    assert again.open() is None
    assert not again.has()
    assert len(list((store.root / "damaged").iterdir())) == 1
    assert "numbers was damaged" in fresh.notices[0]
    assert again.get() == [1, 2]
    assert again.open() == (1, 2)
    assert made == [1, 1]


def test_what_its_reader_makes_no_sense_of_is_set_aside_and_made_again(store):
    made = []
    counted(store, made=made).get()
    one = replace_reader(store, made)
    assert one.open() is None
    assert not one.has()
    assert "its content cannot be read" in store.notices[-1]
    assert one.get() == [1, 2]
    assert made == [1, 1]
    assert counted(store).open() == (1, 2)


def replace_reader(store, made):
    """Return the same list, whose first reading fails."""
    tries = []

    def read(folder):
        tries.append(folder)
        return None if len(tries) == 1 else (1, 2)

    one = counted(store, made=made)
    return artefact(
        store,
        one.kind,
        one.key,
        read=read,
        write=write_json("numbers.json", list),
        make=one.make,
    )


def test_what_fails_while_it_is_made_is_not_kept(store):
    made = []
    with pytest.raises(CoreError, match="cannot count"):
        counted(store, made=made, fault=CoreError("cannot count")).get()
    assert not counted(store).has()
    assert store.artefacts() == []
    assert counted(store, made=made).get() == [1, 2]
    assert made == [1, 1]


def test_what_fails_while_it_is_written_is_not_kept(store):
    def half(folder, _):
        (folder / "numbers.json").write_text("[1,")
        raise CoreError("no more")

    one = artefact(
        store,
        "numbers",
        {"key": 1},
        read=read_json("numbers.json", tuple),
        write=half,
        make=lambda _: [1, 2],
    )
    with pytest.raises(CoreError, match="no more"):
        one.get()
    assert not one.has()
    assert store.artefacts() == []


def test_title_and_lane_are_those_that_were_named(store):
    plain, named = counted(store), counted(store, title="Counting", lane="data")
    assert (plain.title, plain.lane, plain.needs, plain.live) == ("", "layout", (), None)
    assert (named.title, named.lane) == ("Counting", "data")


# One process at a time --------------------------------------------------------------------------


class Busy:
    """Another process that is in the middle of making the numbers."""

    def __init__(self, root):
        self.begun, self.free = threading.Event(), threading.Event()
        made = counted(Store(root), waiting=WAITING)
        slow = partial(self._make, made)
        self._thread = threading.Thread(target=slow, daemon=True)
        self._thread.start()
        assert self.begun.wait(SOON)

    def _make(self, made):
        def report(*_):
            self.begun.set()
            assert self.free.wait(SOON)

        made.get(report)

    def end(self):
        self.free.set()
        self._thread.join(SOON)


@pytest.fixture
def busy(store):
    other = Busy(store.root)
    yield other
    other.end()


def test_what_another_process_is_making_is_waited_for_and_handed_out(store, busy):
    made, notes = [], []

    def report(*step):
        notes.append(step)
        busy.end()

    assert counted(store, made=made, waiting=WAITING).get(report) == (1, 2)
    assert made == []
    assert notes[0] == (0, 1, WAITING)


def test_cancel_is_heard_while_another_process_makes_it(store, busy):
    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        counted(store, waiting=WAITING).get(stop)
    busy.end()
    assert counted(store, waiting=WAITING).open() == (1, 2)


@pytest.mark.usefixtures("busy")
def test_who_may_make_it_side_by_side_does_not_wait(store):
    made = []
    assert counted(store, made=made).get() == [1, 2]
    assert made == [1]


@pytest.mark.usefixtures("busy")
def test_another_key_does_not_wait(store):
    assert counted(store, 7, waiting=WAITING).get() == [7, 8]


def test_one_that_failed_lets_the_next_one_make_it(store):
    with pytest.raises(CoreError, match="no"):
        counted(store, waiting=WAITING, fault=CoreError("no")).get()
    assert counted(store, waiting=WAITING).get() == [1, 2]


# Several ----------------------------------------------------------------------------------------


def joined(parts, **options):
    return several(
        "sums", {"parts": len(parts)}, parts, lambda lists: [*map(sum, lists)], **options
    )


def test_several_make_only_what_is_missing_and_join_in_their_order(store):
    made, notes = [], []
    parts = [counted(store, key, made=made) for key in (3, 1, 2)]
    parts[1].get()
    made.clear()
    whole = joined(parts, note="counting")
    assert not whole.has()
    assert whole.open() is None
    assert whole.get(lambda *step: notes.append(step)) == [7, 3, 5]
    assert made == [3, 2]
    assert notes == [(number, 3, f"counting · {number} of 3") for number in range(3)]


def test_several_are_there_when_all_of_them_are(store):
    made = []
    parts = [counted(store, key, made=made) for key in (3, 1, 2)]
    for number, part in enumerate(parts):
        assert not joined(parts).has(), number
        assert joined(parts).open() is None
        part.get()
    made.clear()
    assert joined(parts).has()
    assert joined(parts).open() == joined(parts).get() == [7, 3, 5]
    assert made == []


def test_of_several_a_damaged_one_alone_is_made_again(store):
    made = []
    joined([counted(store, 1), counted(store, 2)]).get()
    store.delete(store.artefacts()[0])
    only_file(store).write_bytes(b"[]")
    counted(store, 2).get()
    again = Store(store.root)
    parts = [counted(again, key, made=made) for key in (1, 2)]
    assert joined(parts).open() is None
    assert joined(parts).get() == [3, 5]
    assert made == [1]


def test_several_stop_at_cancel_and_keep_what_is_done(store):
    parts = [counted(store, key) for key in (1, 2, 3)]

    def stop(done, *_):
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        joined(parts).get(stop)
    assert [part.has() for part in parts] == [True, True, False]


# Names ------------------------------------------------------------------------------------------


def test_the_name_differs_by_kind_and_key_and_by_nothing_else(store, tmp_path):
    one = counted(store, 1)
    same = counted(Store(tmp_path / "elsewhere"), 1, title="Counting", lane="data", made=[])
    assert one.name == same.name
    assert len({one.name, counted(store, 2).name, replace(one, kind="letters").name}) == 3
    ordered = (replace(one, key={"a": 1, "b": (2,)}), replace(one, key={"b": [2], "a": 1}))
    assert ordered[0].name == ordered[1].name


# In jobs ----------------------------------------------------------------------------------------


class Shelf:
    """Things that are made by being put on it; it counts how often, and can hold the work up."""

    def __init__(self):
        self.kept, self.made = set(), []
        self.free = threading.Event()
        self.free.set()
        self.fault = None

    def thing(self, name, *needs, lane="layout", live=None):
        def make(report):
            report(0, 1, f"making {name}")
            assert self.free.wait(SOON)
            report(0, 1, f"made {name}")
            if self.fault:
                raise self.fault
            self.made.append(name)
            self.kept.add(name)
            return f"the {name}"

        def open_():
            return f"the {name}" if name in self.kept else None

        return Made(
            "thing", {"name": name}, lambda: name in self.kept, open_, make, f"Making {name}", lane,
            needs, live,
        )  # fmt: skip


@pytest.fixture
def shelf():
    made = Shelf()
    yield made
    made.free.set()


@pytest.fixture
def runner():
    return Runner()


def ended(job):
    job.wait(SOON)
    assert not job.active, "the job did not end in time"
    return job


def test_what_is_kept_needs_no_job(runner, shelf):
    shelf.kept.add("cake")
    assert runner.ensure(shelf.thing("cake", shelf.thing("flour"))) is None
    assert runner.jobs() == []
    assert shelf.made == []


def test_a_job_makes_it_under_its_name_and_then_it_is_kept(runner, shelf):
    curve = []
    cake = shelf.thing("cake", lane="data", live=curve)
    job = ended(runner.ensure(cake))
    assert (job.key, job.title, job.lane) == (cake.name, "Making cake", "data")
    assert (job.state, job.result) == ("done", "the cake")
    assert job.live is curve
    assert runner.ensure(cake) is None
    assert shelf.made == ["cake"]


def test_needs_come_first_and_each_in_a_job_of_its_own(runner, shelf):
    flour, eggs = shelf.thing("flour", shelf.thing("wheat"), lane="model"), shelf.thing("eggs")
    cake = shelf.thing("cake", flour, eggs)
    jobs = []
    while (job := runner.ensure(cake)) is not None:
        jobs.append(ended(job))
    assert shelf.made == ["wheat", "flour", "eggs", "cake"]
    assert [job.title for job in jobs] == [f"Making {name}" for name in shelf.made]
    assert [job.lane for job in jobs] == ["layout", "model", "layout", "layout"]
    assert jobs[-1].key == cake.name
    assert len({job.key for job in jobs}) == 4


def test_needs_that_are_kept_are_not_made_again(runner, shelf):
    shelf.kept.add("flour")
    cake = shelf.thing("cake", shelf.thing("flour", shelf.thing("wheat")))
    assert ended(runner.ensure(cake)).key == cake.name
    assert shelf.made == ["cake"]


def test_a_running_job_is_joined(runner, shelf):
    shelf.free.clear()
    cake = shelf.thing("cake", shelf.thing("flour"))
    need = runner.ensure(cake)
    assert runner.ensure(shelf.thing("cake", shelf.thing("flour"))) is need
    assert runner.ensure(shelf.thing("bread", shelf.thing("flour"))) is need
    shelf.free.set()
    ended(need)
    shelf.free.clear()
    job = runner.ensure(cake)
    assert job is not need
    assert runner.ensure(shelf.thing("cake", shelf.thing("flour"))) is job
    shelf.free.set()
    ended(job)
    assert shelf.made == ["flour", "cake"]


def test_what_failed_or_was_cancelled_is_made_when_it_is_asked_for_again(runner, shelf):
    cake = shelf.thing("cake")
    shelf.fault = CoreError("The oven is cold.")
    failed = ended(runner.ensure(cake))
    assert (failed.state, failed.error) == ("failed", "The oven is cold.")
    shelf.fault = None
    shelf.free.clear()
    job = runner.ensure(cake)
    assert job is not failed
    job.cancel()
    again = runner.ensure(cake)
    assert again is not job
    shelf.free.set()
    assert ended(job).state == "cancelled"
    assert ended(again).state == "done"
    assert shelf.made == ["cake"]


def test_what_was_made_while_its_job_waited_is_not_made_twice(runner, shelf):
    shelf.free.clear()
    first = runner.ensure(shelf.thing("flour"))
    waiting = runner.ensure(shelf.thing("cake"))
    shelf.kept.add("cake")
    shelf.free.set()
    ended(first)
    assert ended(waiting).result == "the cake"
    assert shelf.made == ["flour"]


def test_of_something_that_was_never_started_there_is_no_job(runner, shelf):
    cake = shelf.thing("cake", shelf.thing("flour"))
    assert runner.of(cake) is None
    shelf.kept.add("cake")
    ended(runner.ensure(shelf.thing("bread")))
    assert runner.of(cake) is None


def test_an_active_job_of_the_chain_comes_before_those_that_ended(runner, shelf):
    flour = shelf.thing("flour", shelf.thing("wheat"))
    cake = shelf.thing("cake", flour)
    wheat = ended(runner.ensure(cake))
    assert runner.of(cake) is wheat
    shelf.free.clear()
    milled = runner.ensure(cake)
    assert runner.of(cake) is milled
    assert runner.of(flour) is milled
    shelf.free.set()
    ended(milled)
    baked = ended(runner.ensure(cake))
    assert runner.of(cake) is baked
    shelf.kept.clear()
    shelf.free.clear()
    anew = runner.ensure(cake)
    assert anew.title == "Making wheat"
    assert runner.of(cake) is anew


def test_of_jobs_that_ended_the_last_of_the_chain_is_told(runner, shelf):
    cake = shelf.thing("cake", shelf.thing("flour"), shelf.thing("eggs"))
    flour = ended(runner.ensure(cake))
    assert runner.of(cake) is flour
    eggs = ended(runner.ensure(cake))
    assert runner.of(cake) is eggs
    shelf.fault = CoreError("The oven is cold.")
    baked = ended(runner.ensure(cake))
    assert runner.of(cake) is baked
    assert runner.of(cake).error == "The oven is cold."
    assert runner.of(shelf.thing("flour")) is flour
