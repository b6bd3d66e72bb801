"""Files from the browser: kept once, under a harmless name, inside the store."""

import errno
import threading
from pathlib import Path

import pytest

from core import CoreError
from core.runtime import uploads
from core.runtime.uploads import keep_upload


def inside(store, path):
    return path.resolve().is_relative_to(store.root.resolve())


def test_the_content_comes_back_under_its_name(store):
    path = keep_upload(store, "my table.tsv", b"a\tb\n")
    assert path.read_bytes() == b"a\tb\n"
    assert path.suffix == ".tsv"
    assert inside(store, path)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "",
        "/",
        "...",
        ".bashrc",
        "a/../../b.csv",
        "..\\..\\windows\\system32\\x.csv",
        "C:\\Users\\me\\t.csv",
        "a\0b.csv",
        "a\nb.csv",
        "$(rm -rf ~).csv",
        "<script>.csv",
        "таблица.csv",
        "a" * 5000 + ".csv",
        "." * 300,
        "-rf",
        "con.csv",
        "key.json",
    ],
)
def test_a_hostile_name_stays_inside_the_folder_and_is_plain(store, name):
    path = keep_upload(store, name, b"content")
    assert inside(store, path)
    assert path.parent.parent == store.root / "uploads"
    assert path.read_bytes() == b"content"
    assert path.name.isascii()
    assert path.name.isprintable()
    assert not set(path.name) & set("/\\<>$ ()\0\n")
    assert len(path.name) <= 80
    assert path.name.strip(".")
    assert [one for one in path.parent.iterdir() if one != path] == []


@pytest.mark.parametrize("name", ["a" * 500 + ".parquet", "таблица.parquet", "x y.parquet"])
def test_the_suffix_survives_because_it_tells_the_format(store, name):
    assert keep_upload(store, name, b"content").suffix == ".parquet"


def test_the_same_content_is_written_once(store):
    path = keep_upload(store, "t.csv", b"content")
    stamp = path.stat().st_mtime_ns, path.stat().st_ino
    assert keep_upload(store, "t.csv", b"content") == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == stamp


def test_other_content_under_the_same_name_replaces_nothing(store):
    first, second = keep_upload(store, "t.csv", b"one"), keep_upload(store, "t.csv", b"two")
    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")


def test_a_file_that_was_cut_is_written_again(store):
    path = keep_upload(store, "t.csv", b"content")
    path.write_bytes(b"con")
    assert keep_upload(store, "t.csv", b"content").read_bytes() == b"content"


def test_a_file_that_is_too_large_is_refused_in_one_sentence_and_not_written(store, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 3 * 2**20)
    keep_upload(store, "just.csv", b"x" * 3 * 2**20)
    with pytest.raises(CoreError, match=r"^big\.csv has .*3 MB at most.*'A file on this machine'"):
        keep_upload(store, "big.csv", b"x" * (3 * 2**20 + 1))
    assert len(list((store.root / "uploads").iterdir())) == 1


def test_the_limit_is_the_servers():
    config = Path(uploads.__file__).resolve().parents[2] / ".streamlit" / "config.toml"
    if not config.exists():
        pytest.skip("the server has no configuration yet")
    assert f"maxUploadSize = {uploads.MAX_BYTES // 2**20}" in config.read_text()


def test_two_uploads_of_the_same_file_at_once_do_not_disturb_each_other(store, monkeypatch):
    meet = threading.Barrier(2)

    def slowly(path, content):
        meet.wait(10)
        half = len(content) // 2
        with path.open("wb") as file:
            file.write(content[:half])
            file.flush()
            meet.wait(10)
            file.write(content[half:])
        return len(content)

    monkeypatch.setattr(Path, "write_bytes", slowly)
    content, got = b"0123456789" * 1000, []
    threads = [
        threading.Thread(target=lambda: got.append(keep_upload(store, "t.csv", content)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == content for path in got] == [True, True]


def test_a_full_disk_is_a_clear_sentence_and_leaves_nothing_half_written(store, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(CoreError, match="is full"):
            keep_upload(store, "t.csv", b"content")
    assert [one for one in store.root.rglob("*") if one.is_file()] == []
    assert keep_upload(store, "t.csv", b"content").read_bytes() == b"content"
