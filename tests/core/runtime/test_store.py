"""The cache: the same key finds the same content, and no accident leaves half of it behind."""

import contextlib
import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from core.runtime import store as runtime_store
from core.runtime.arrays import create_array_file, map_array_file, to_float32, to_stored
from core.runtime.store import (
    ARRAY_FILE,
    KEY_FILE,
    CacheError,
    Store,
    default_root,
    file_sha256,
    fingerprint,
)

KEY = {"model": "m", "layer": 3, "texts": ["a", "ü"]}
VALUES = np.arange(12, dtype=np.float32).reshape(3, 4) * 1.5
ROOT = Path(__file__).parents[3]


@contextlib.contextmanager
def ordinary_user():
    """Root may write anywhere: step down to an ordinary user to meet a closed door."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed_store():
    """Give a store that holds one artefact and may be read but not written."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    closed = Store(folder / "cache")
    closed.save_array("acts", KEY, VALUES)
    closed.lock("used-before").acquire().lock.release()
    places = [folder, *folder.rglob("*")]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    with ordinary_user():
        yield closed
    for path in places:
        path.chmod(0o755)
    shutil.rmtree(folder)


def refusing(code):
    def refuse(*_args, **_options):
        raise OSError(code, os.strerror(code))

    return refuse


# Keys -------------------------------------------------------------------------------------------


def test_what_is_saved_is_opened_again_equal_and_read_only(store):
    store.save_array("acts", KEY, VALUES)
    opened = store.open_array("acts", KEY)
    np.testing.assert_array_equal(opened, VALUES)
    with pytest.raises(ValueError, match="read-only"):
        opened[0, 0] = 1


def test_a_table_is_opened_again_equal(store):
    table = pa.table({"text": ["a", "b"], "x": [1.0, None]})
    store.save_table("items", KEY, table)
    assert store.open_table("items", KEY).equals(table)


def test_the_key_stands_in_clear_beside_the_payload_with_its_checksums(store):
    store.save_array("acts", KEY, VALUES)
    folder = store.folder("acts", KEY)
    record = json.loads((folder / KEY_FILE).read_text())
    assert (record["kind"], record["key"]) == ("acts", KEY)
    assert record["files"][ARRAY_FILE]["bytes"] == (folder / ARRAY_FILE).stat().st_size
    assert "ü" in (folder / KEY_FILE).read_text()


def test_the_same_key_has_the_same_folder_whatever_its_order(store):
    turned = dict(reversed(KEY.items()))
    assert store.folder("acts", KEY) == store.folder("acts", turned)
    assert fingerprint({"a": (1, 2)}) == fingerprint({"a": [1, 2]})


@pytest.mark.parametrize(
    "other",
    [
        {**KEY, "layer": 4},
        {**KEY, "layer": "3"},
        {**KEY, "texts": ["ü", "a"]},
        {**KEY, "more": None},
        {name: KEY[name] for name in ("model", "layer")},
    ],
)
def test_another_key_has_another_folder(store, other):
    assert store.folder("acts", KEY) != store.folder("acts", other)
    store.save_array("acts", KEY, VALUES)
    assert store.open_array("acts", other) is None


def test_another_kind_has_another_digest(store):
    assert store.folder("acts", KEY).name != store.folder("items", KEY).name


def test_a_fingerprint_is_the_same_in_every_process():
    code = f"from core.runtime.store import fingerprint; print(fingerprint({KEY!r}))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert out.stdout.decode().strip() == fingerprint(KEY)


def test_the_cache_folder_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "elsewhere"))
    assert default_root() == tmp_path / "elsewhere"
    monkeypatch.delenv("MORALSCOPE_CACHE")
    assert default_root() == ROOT / "cache"


def test_artefacts_are_listed_newest_first_with_key_and_size(store, monkeypatch):
    for moment, layer in ((100.0, 1), (300.0, 2), (200.0, 3)):
        monkeypatch.setattr(runtime_store.time, "time", lambda moment=moment: moment)
        store.save_array("acts", {"layer": layer}, VALUES)
    listed = store.artefacts()
    assert [entry.key["layer"] for entry in listed] == [2, 3, 1]
    file = store.folder("acts", {"layer": 2}) / ARRAY_FILE
    assert listed[0].size == file.stat().st_size
    store.delete(listed[0])
    assert not store.has("acts", {"layer": 2})
    assert [entry.key["layer"] for entry in store.artefacts()] == [3, 1]


# Accidents while writing ------------------------------------------------------------------------

KILLED_WHILE_FILLING = """
with store.writing("acts", key) as folder:
    (folder / "array.safetensors").write_bytes(b"half")
    print("now", flush=True); time.sleep(60)
"""
KILLED_BEFORE_THE_RENAME = """
Path.rename = lambda *args: (print("now", flush=True), time.sleep(60))
store.save_array("acts", key, np.ones((3, 4), np.float32))
"""


@pytest.mark.parametrize("script", [KILLED_WHILE_FILLING, KILLED_BEFORE_THE_RENAME])
def test_a_kill_in_the_middle_of_writing_leaves_nothing_visible(store, script):
    code = (
        "import sys, time, numpy as np\nfrom pathlib import Path\n"
        "from core.runtime.store import Store\n"
        f"store, key = Store(Path(sys.argv[1])), {KEY!r}\n" + script
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, store.root], cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"now\n"
        child.send_signal(signal.SIGKILL)
    assert not store.has("acts", KEY)
    assert store.open("acts", KEY) is None
    assert store.artefacts() == []
    assert store.notices == []
    store.save_array("acts", KEY, VALUES)
    np.testing.assert_array_equal(store.open_array("acts", KEY), VALUES)


def test_leftovers_of_a_killed_writer_are_swept_after_a_day_and_never_before(store):
    left, fresh = store.root / "acts" / ".new-old", store.root / "acts" / ".new-fresh"
    for folder in (left, fresh):
        folder.mkdir(parents=True)
        (folder / "array").write_bytes(b"x")
    os.utime(left, (time.time() - 90_000,) * 2)
    store.save_array("acts", KEY, VALUES)
    store.sweep()
    assert not left.exists()
    assert fresh.exists()
    assert store.has("acts", KEY)


def test_an_exception_while_writing_leaves_nothing_behind(store):
    def fail_halfway():
        with store.writing("acts", KEY) as folder:
            (folder / "part").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert list(store.root.rglob("*")) == [store.root / "acts"]


def _write_often(root, barrier):
    store = Store(root)
    for layer in range(20):
        barrier.wait()
        store.save_array("acts", {"layer": layer}, VALUES + layer)


def test_two_processes_that_write_the_same_key_leave_one_intact_artefact(store):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    writers = [
        context.Process(target=_write_often, args=(store.root, barrier), daemon=True)
        for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    for layer in range(20):
        np.testing.assert_array_equal(store.open_array("acts", {"layer": layer}), VALUES + layer)
    assert store.notices == []
    assert len(store.artefacts()) == 20
    assert list(store.root.glob("*/.new-*")) == []


def test_what_another_process_published_meanwhile_stays(store):
    with store.writing("acts", KEY) as folder:
        (folder / "mine").write_text("late")
        store.save_array("acts", KEY, VALUES)
    np.testing.assert_array_equal(store.open_array("acts", KEY), VALUES)
    assert not (store.folder("acts", KEY) / "mine").exists()


# Damage -----------------------------------------------------------------------------------------


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def cut_short(path):
    os.truncate(path, path.stat().st_size - 5)


def lose(path):
    path.unlink()


def spoil_the_record(path):
    (path.parent / KEY_FILE).write_text('{"files": ')


def lose_the_record(path):
    (path.parent / KEY_FILE).unlink()


@pytest.mark.parametrize("harm", [flip_a_byte, cut_short, lose, spoil_the_record, lose_the_record])
@pytest.mark.parametrize("seen_before", [False, True])
def test_damage_is_noticed_set_aside_with_a_notice_and_made_again(store, caplog, harm, seen_before):
    store.save_array("acts", KEY, VALUES)
    if seen_before:
        assert store.open("acts", KEY) is not None
    harm(store.folder("acts", KEY) / ARRAY_FILE)
    assert store.open_array("acts", KEY) is None
    assert not store.has("acts", KEY)
    [notice] = store.notices
    [aside] = (store.root / "damaged").iterdir()
    assert str(aside) in notice
    assert notice in caplog.text
    assert store.artefacts() == []
    store.save_array("acts", KEY, VALUES)
    np.testing.assert_array_equal(store.open_array("acts", KEY), VALUES)
    assert len(store.notices) == 1


def test_of_a_file_too_large_to_be_hashed_a_wrong_size_is_still_noticed(store, monkeypatch):
    monkeypatch.setattr(runtime_store, "HASHED_BYTES", 10)
    store.save_array("acts", KEY, VALUES)
    cut_short(store.folder("acts", KEY) / ARRAY_FILE)
    assert store.open("acts", KEY) is None
    assert "bytes instead of" in store.notices[0]


def test_a_large_file_is_hashed_once_for_each_time_it_was_written(store, monkeypatch):
    monkeypatch.setattr(runtime_store, "HASHED_BYTES", 10)
    store.save_array("acts", KEY, VALUES)
    path = store.folder("acts", KEY) / ARRAY_FILE
    hashed = []

    def spy(one):
        hashed.append(one)
        return file_sha256(one)

    monkeypatch.setattr(runtime_store, "file_sha256", spy)
    for _ in range(2):
        assert Store(store.root).open_array("acts", KEY) is not None
    assert hashed.count(path.resolve()) == 1
    flip_a_byte(path)
    again = Store(store.root)
    assert again.open_array("acts", KEY) is None
    assert "has changed since it was written" in again.notices[0]


def test_a_large_file_in_a_cache_that_cannot_be_written_is_still_checked(store, monkeypatch):
    monkeypatch.setattr(runtime_store, "HASHED_BYTES", 10)
    store.save_array("acts", KEY, VALUES)

    def refuse(*_):
        raise CacheError("The cache folder cannot be written.")

    monkeypatch.setattr(runtime_store, "content_sha256", refuse)
    assert store.open_array("acts", KEY) is not None


def test_verifying_hashes_anew_and_sets_aside_what_is_damaged(store):
    store.save_array("acts", KEY, VALUES)
    assert store.open_array("acts", KEY) is not None
    [whole] = store.artefacts()
    assert store.verify(whole) == ""
    path = store.folder("acts", KEY) / ARRAY_FILE
    times = path.stat()
    flip_a_byte(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a failing disk would
    assert store.open("acts", KEY) is not None  # it was checked before
    assert "has changed since it was written" in store.verify(whole)
    assert not store.has("acts", KEY)


def test_a_damaged_table_is_made_again(store):
    store.save_table("items", KEY, pa.table({"x": [1, 2]}))
    flip_a_byte(store.folder("items", KEY) / "table.parquet")
    assert store.open_table("items", KEY) is None


@pytest.mark.parametrize("made_again", [False, True])
def test_the_second_to_see_the_same_damage_disturbs_nothing(store, monkeypatch, made_again):
    store.save_array("acts", KEY, VALUES)
    flip_a_byte(store.folder("acts", KEY) / ARRAY_FILE)
    second = Store(store.root)

    def aside_by_another(folder, fault, set_aside=second._set_aside):
        assert store.open("acts", KEY) is None
        if made_again:
            store.save_array("acts", KEY, VALUES)
        set_aside(folder, fault)

    monkeypatch.setattr(second, "_set_aside", aside_by_another)
    assert second.open("acts", KEY) is None
    assert len(store.notices) == 1
    assert second.notices == []
    assert store.has("acts", KEY) == made_again


def test_running_out_of_file_handles_is_no_damage(store, monkeypatch):
    store.save_array("acts", KEY, VALUES)
    with monkeypatch.context() as patch:
        patch.setattr(runtime_store, "file_sha256", refusing(errno.EMFILE))
        with pytest.raises(OSError, match="Too many open files"):
            store.open("acts", KEY)
    assert store.open("acts", KEY) is not None


# A full disk, a closed folder -------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_gives_one_clear_sentence_and_loses_nothing(store, monkeypatch, code):
    store.save_array("acts", {"old": 1}, VALUES)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refusing(code))
        with pytest.raises(CacheError, match=r"is full.*MORALSCOPE_CACHE"):
            store.save_array("acts", KEY, VALUES)
    assert store.open_array("acts", KEY) is None
    assert list(store.root.glob("*/.new-*")) == []
    np.testing.assert_array_equal(store.open_array("acts", {"old": 1}), VALUES)
    store.save_array("acts", KEY, VALUES)
    assert store.has("acts", KEY)


def test_a_full_disk_while_a_table_is_written_gives_the_same_sentence(store, monkeypatch):
    monkeypatch.setattr("pyarrow.parquet.write_table", refusing(errno.ENOSPC))
    with pytest.raises(CacheError, match=r"is full.*MORALSCOPE_CACHE"):
        store.save_table("items", KEY, pa.table({"x": [1]}))


def test_a_read_only_cache_is_still_read(closed_store):
    np.testing.assert_array_equal(closed_store.open_array("acts", KEY), VALUES)


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.save_array("acts", {"new": 1}, VALUES),
        lambda store: store.save_array("another-kind", KEY, VALUES),
        lambda store: store.save_table("items", KEY, pa.table({"x": [1]})),
        lambda store: store.delete(store.artefacts()[0]),
    ],
    ids=["array", "first-of-a-kind", "table", "delete"],
)
def test_a_read_only_cache_says_what_to_do_when_it_should_be_written(closed_store, act):
    with pytest.raises(CacheError, match=r"cannot be written.*MORALSCOPE_CACHE"):
        act(closed_store)
    np.testing.assert_array_equal(closed_store.open_array("acts", KEY), VALUES)


def test_a_read_only_cache_folder_that_cannot_be_made_says_what_to_do(closed_store):
    with pytest.raises(CacheError, match="MORALSCOPE_CACHE"):
        Store(closed_store.root / "deeper").save_array("acts", KEY, VALUES)


# The array file ---------------------------------------------------------------------------------


def test_a_float32_file_opens_in_the_safetensors_library_with_equal_values(store):
    store.save_array("acts", KEY, VALUES)
    read = load_file(store.folder("acts", KEY) / ARRAY_FILE)
    assert list(read) == ["array"]
    assert read["array"].dtype == np.float32
    np.testing.assert_array_equal(read["array"], VALUES)


def test_a_bfloat16_file_opens_in_the_safetensors_library_with_equal_values(store):
    import torch
    from safetensors.torch import load_file as load_torch

    values = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32) * 1e4
    store.save_array("acts", KEY, values, "bfloat16")
    read = load_torch(store.folder("acts", KEY) / ARRAY_FILE)["array"]
    expected = torch.from_numpy(values).to(torch.bfloat16)
    assert read.dtype == torch.bfloat16
    assert torch.equal(read, expected)
    ours = to_float32(store.open_array("acts", KEY))
    np.testing.assert_array_equal(ours, expected.float().numpy())


def _ties(rng):
    upper = rng.integers(0, 0x7F7F, 5000).astype(np.uint32) << 16
    return (upper + 0x8000).view(np.float32)


CASES = {
    "random": lambda rng: rng.normal(size=5000).astype(np.float32),
    "ties": _ties,
    "subnormals": lambda rng: rng.integers(1, 0x80_0000, 5000).astype(np.uint32).view(np.float32),
    "large": lambda rng: (rng.normal(size=5000) * 88_064).astype(np.float32),
    "about the largest": lambda rng: np.array([3.3895e38, 3.3961e38, 3.4028e38], np.float32),
    "zeros and infinities": lambda rng: np.array([0.0, -0.0, np.inf, -np.inf], np.float32),
    "no number": lambda rng: np.array(
        [0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0xFF800001], np.uint32
    ).view(np.float32),
}


@pytest.mark.parametrize("name", CASES)
def test_bfloat16_rounds_as_torch_does(name):
    import torch

    values = CASES[name](np.random.default_rng(0))
    values = np.concatenate([values, -values])
    expected = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    ours = to_float32(to_stored(values, "bfloat16"))
    np.testing.assert_array_equal(ours, expected)
    number = ~np.isnan(values)
    np.testing.assert_array_equal(np.signbit(ours[number]), np.signbit(values[number]))


def test_bfloat16_has_the_bits_of_a_rounding_done_by_hand_and_one_nan():
    upper = np.arange(2**16, dtype=np.uint32)[:, None] << 16
    bits = upper | np.array([0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    values = bits.view(np.float32)
    expected = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    expected[np.isnan(values)] = 0x7FC0
    stored = to_stored(values, "bfloat16")
    np.testing.assert_array_equal(stored.view(np.uint16), expected)
    widened = to_float32(stored).view(np.uint32)
    np.testing.assert_array_equal(widened, expected.astype(np.uint32) << 16)


def test_bfloat16_encodes_a_transposed_view_in_its_own_order():
    values = np.arange(6, dtype=np.float32).reshape(2, 3).T
    np.testing.assert_array_equal(to_float32(to_stored(values, "bfloat16")), values)


@pytest.mark.parametrize("writable", [False, True])
def test_an_array_file_that_is_cut_short_is_refused_and_never_filled_up(tmp_path, writable):
    path = tmp_path / "a.safetensors"
    create_array_file(path, (50, 4), "float32")[...] = 1
    cut_short(path)
    size = path.stat().st_size
    with pytest.raises(ValueError, match="cut short"):
        map_array_file(path, writable=writable)
    assert path.stat().st_size == size


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"\xff" * 40,
        *((2).to_bytes(8, "little") + json for json in (b"{}", b"[]", b"!!")),
    ],
)
def test_a_file_that_is_no_array_file_is_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a safetensors file"):
        map_array_file(path)


@pytest.mark.parametrize("shape", [(7,), (12, 3), (100, 3), (1, 2, 3)])
def test_the_data_begins_on_eight_bytes_as_the_format_asks(tmp_path, shape):
    path = tmp_path / "a.safetensors"
    create_array_file(path, shape, "float32")
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_an_array_filled_row_by_row_is_what_a_reader_sees(tmp_path):
    path = tmp_path / "a.safetensors"
    target = create_array_file(path, VALUES.shape, "float32")
    for row in (2, 0, 1):
        target[row] = VALUES[row]
    np.testing.assert_array_equal(map_array_file(path), VALUES)


def test_a_path_that_cannot_be_a_folder_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CacheError, match="MORALSCOPE_CACHE"):
        Store(tmp_path / "file" / "cache").prepare()
