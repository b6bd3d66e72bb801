"""History: runs come back as they were, marks stay, odd names and damaged files do no harm."""

import json
import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from core import CoreError
from core.activations.decoding import Decoding
from core.runtime.store import CacheError
from core.steering import history as steering_history
from core.steering.history import (
    FOLDER,
    MOST_NOTE,
    Run,
    delete_run,
    mark_run,
    open_run,
    run_json,
    run_of,
    runs,
    save_run,
)
from core.steering.recipes import VERSION, Recipe, RecipeError, Term

ROOT = Path(__file__).parents[3]


def made_run(number=0, **fields):
    recipe = Recipe(
        "packaged",
        "packaged:abc",
        "f" * 64,
        "{action} is morally",
        (9,),
        (Term("care-harm", 0.1),),
        decoding=Decoding(seed=number),
    )
    run = Run(
        recipe,
        f'Lying to a friend is "morally" ä 模型 \x01 {number}\n',
        ("wrong.", "bad\r\n"),
        ("right.", "good ‮"),
        2,
        80,
        {"device": "cpu", "versions": {"torch": "2"}},
        made=1000.0 + number,
    )
    return replace(run, **fields)


def files(store):
    folder = store.root / FOLDER
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# Round trips ------------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was(store):
    run = made_run(parent="0" * 16, note="good", pinned=True, starred=True)
    assert run_of(run_json(run)) == run
    saved = save_run(store, run)
    assert saved == run
    assert open_run(store, run.name) == run
    assert runs(store) == [run]
    assert files(store) == [f"{run.name}.json"]


def test_a_name_is_the_recipe_and_the_prompt_alone():
    run = made_run()
    assert len(run.name) == 16
    assert set(run.name) <= set("0123456789abcdef")
    assert replace(run, plain=(), note="x", made=5.0, receipt={}).name == run.name
    assert replace(run, prompt="other").name != run.name
    assert made_run(1).name != run.name


def test_a_run_says_whether_steering_changed_anything():
    assert not made_run().same
    assert made_run(steered=made_run().plain).same


def test_the_time_is_noted_unless_it_is_known(store):
    import time

    before = time.time()
    assert before <= save_run(store, made_run(made=0.0)).made <= time.time()
    assert save_run(store, made_run(1)).made == 1001.0


# Order and marks --------------------------------------------------------------------------------


def test_pinned_runs_stand_first_then_the_newest(store):
    for number in range(5):
        save_run(store, made_run(number))
    mark_run(store, made_run(1).name, pinned=True)
    mark_run(store, made_run(2).name, starred=True)
    assert [run.recipe.decoding.seed for run in runs(store)] == [1, 4, 3, 2, 0]


def test_marks_survive_the_same_run_made_again(store):
    run = save_run(store, made_run())
    mark_run(store, run.name, pinned=True, starred=True, note="keep this")
    again = save_run(store, replace(run, steered=("other", "texts"), changed_tokens=7))
    assert (again.pinned, again.starred, again.note) == (True, True, "keep this")
    assert again.steered == ("other", "texts")
    assert runs(store) == [again]


def test_a_mark_changes_nothing_else(store):
    run = save_run(store, made_run())
    assert mark_run(store, run.name, note="x" * MOST_NOTE) == replace(run, note="x" * MOST_NOTE)
    assert mark_run(store, run.name, starred=True).note == "x" * MOST_NOTE
    assert mark_run(store, run.name, note="") == replace(run, starred=True)


def test_a_note_that_is_too_long_and_a_run_that_is_gone_are_refused(store):
    run = save_run(store, made_run())
    with pytest.raises(CoreError, match="at most 2,000 characters"):
        mark_run(store, run.name, note="x" * (MOST_NOTE + 1))
    delete_run(store, run.name)
    with pytest.raises(CoreError, match="not in the history any more"):
        mark_run(store, run.name, pinned=True)
    assert runs(store) == []


def test_deleting_twice_and_from_nothing_does_nothing(store):
    delete_run(store, made_run().name)
    run = save_run(store, made_run())
    delete_run(store, run.name)
    delete_run(store, run.name)
    assert open_run(store, run.name) is None
    assert files(store) == []


# The limit --------------------------------------------------------------------------------------


def test_beyond_the_limit_the_oldest_without_a_mark_goes(store, monkeypatch):
    monkeypatch.setattr(steering_history, "MOST_RUNS", 4)
    for number in range(4):
        save_run(store, made_run(number))
    mark_run(store, made_run(0).name, pinned=True)
    mark_run(store, made_run(1).name, starred=True)
    for number in range(4, 9):
        save_run(store, made_run(number))
    kept = [run.recipe.decoding.seed for run in runs(store)]
    assert {0, 1, 8, 7} <= set(kept)
    assert len(kept) <= 5
    assert 2 not in kept


def test_a_new_run_is_kept_though_all_others_are_pinned(store, monkeypatch):
    monkeypatch.setattr(steering_history, "MOST_RUNS", 3)
    for number in range(3):
        mark_run(store, save_run(store, made_run(number)).name, pinned=True)
    new = save_run(store, made_run(9))
    assert open_run(store, new.name) == new
    old = save_run(store, made_run(10, made=1.0))
    assert open_run(store, old.name) == old


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "..",
        "",
        "/etc/passwd",
        "x" * 16,
        "A" * 16,
        "0" * 15,
        "0" * 17,
        "0" * 16 + "\n",
        "a/b",
    ],
)
def test_a_name_that_is_none_reaches_no_file(store, name):
    store.root.mkdir(parents=True)
    outside = store.root / "x.json"
    outside.write_text(run_json(made_run()))
    (store.root / FOLDER).mkdir()
    (store.root / FOLDER / "x.json").write_text("{}")
    assert open_run(store, name) is None
    with pytest.raises(CoreError):
        mark_run(store, name, pinned=True)
    delete_run(store, name)
    assert outside.exists()
    assert (store.root / FOLDER / "x.json").exists()


# Damage -----------------------------------------------------------------------------------------


def broken(**fields):
    record = json.loads(run_json(made_run())) | fields
    return json.dumps({key: value for key, value in record.items() if value is not ...})


DAMAGED = [
    "",
    "{",
    "null",
    "[]",
    "3",
    "[" * 100_000,
    broken(recipe=...),
    broken(recipe=None),
    broken(recipe={"version": VERSION + 1}),
    broken(prompt=3),
    broken(prompt=...),
    broken(prompt="\ud800"),
    broken(plain=["\ud800", "x"]),
    broken(note="\ud800"),
    broken(receipt={"a": "\ud800"}),
    broken(plain=None),
    broken(plain="text"),
    broken(plain=[1]),
    broken(steered=["one"]),
    broken(changed_tokens="2"),
    broken(calls=None),
    broken(receipt=[]),
    broken(made="yesterday"),
    broken(made=None),
    broken(made=float("nan")),
    broken(pinned="no"),
    broken(note=["a"]),
    broken(note="x" * (MOST_NOTE + 1)),
    broken(parent="../x"),
    broken(future=1),
]


@pytest.mark.parametrize("text", DAMAGED)
def test_what_is_no_run_is_refused(text):
    with pytest.raises(RecipeError):
        run_of(text)


def test_damaged_files_are_passed_by_and_can_be_written_again(store):
    good = [save_run(store, made_run(number)) for number in range(2)]
    for number, text in enumerate([*DAMAGED, b"\xff\xfe\x00"]):
        path = store.root / FOLDER / f"{number:016x}.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
    (store.root / FOLDER / f"{'e' * 16}.json").mkdir()
    assert runs(store) == good[::-1]
    mine = made_run(5)
    (store.root / FOLDER / f"{mine.name}.json").write_text("{")
    assert open_run(store, mine.name) is None
    assert save_run(store, mine) == mine
    assert open_run(store, mine.name) == mine


def test_a_file_under_another_name_is_no_run(store):
    run = save_run(store, made_run())
    path = store.root / FOLDER / f"{run.name}.json"
    path.rename(path.with_name(f"{'a' * 16}.json"))
    assert runs(store) == []
    assert open_run(store, "a" * 16) is None


def test_a_write_that_fails_leaves_the_old_run_and_no_rest(store, monkeypatch):
    run = save_run(store, made_run())

    def full(_run):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(steering_history, "run_json", full)
    with pytest.raises(CacheError, match="is full"):
        mark_run(store, run.name, pinned=True)
    monkeypatch.undo()
    assert files(store) == [f"{run.name}.json"]
    assert open_run(store, run.name) == run


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written_is_a_clear_sentence(store):
    run = save_run(store, made_run())
    folder = store.root / FOLDER
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(CacheError, match="cannot be written"):
            save_run(store, made_run(1))
    finally:
        folder.chmod(stat.S_IRWXU)
    assert runs(store) == [run]


# Several at once --------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from core.steering.history import mark_run, run_of, runs, save_run
from core.runtime.store import Store
from dataclasses import replace
store, start = Store(Path(sys.argv[1])), int(sys.argv[2])
run = run_of(sys.stdin.read())
for number in range(start, start + 20):
    own = replace(run, prompt=f"own {number}", made=float(number))
    save_run(store, own)
    mark_run(store, own.name, note=f"note {number}")
    save_run(store, replace(run, steered=(str(number),) * 2))  # all write this one
    assert runs(store)
"""


def test_two_processes_write_without_losing_a_run(store):
    command = [sys.executable, "-c", _WRITER, str(store.root)]
    started = [
        subprocess.Popen(
            [*command, str(start)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        for start in (100, 200)
    ]
    ends = [process.communicate(run_json(made_run()), timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], ends
    found = runs(store)
    assert {run.prompt for run in found} == {
        made_run().prompt,
        *(f"own {number}" for start in (100, 200) for number in range(start, start + 20)),
    }
    assert all(run.note == run.prompt.replace("own", "note") for run in found if run.note)
    assert sum(bool(run.note) for run in found) == 40
    assert not [name for name in files(store) if not name.endswith(".json")]


def test_threads_that_save_list_and_delete_do_not_disturb_each_other(store, monkeypatch):
    monkeypatch.setattr(steering_history, "MOST_RUNS", 6)
    errors = []

    def work(start):
        try:
            for number in range(start, start + 15):
                run = save_run(store, made_run(number))
                runs(store)
                delete_run(store, run.name)
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert errors == []
