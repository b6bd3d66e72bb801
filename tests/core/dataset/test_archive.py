"""The archive: fetched from a server on this machine that can break, resume and misbehave."""

import http.server
import io
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from core.dataset import archive
from core.dataset.archive import ARCHIVE_URL, FetchError, archive_path, fetch
from core.runtime.progress import Cancelled
from core.runtime.store import Store


def made_zip(size: int = 900_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a.tsv", bytes(range(256)) * (size // 256))
    return buffer.getvalue()


@dataclass
class Plan:
    """What the server does and what it saw."""

    data: bytes
    breaks: list[int] = field(default_factory=list)
    """Bytes to send before the connection breaks, one number per request, then no more breaks."""

    ranges: bool = True
    tag: str = '"v1"'
    stated: int | None = None
    redirect: str = ""
    status: int = 0
    seen: list[str | None] = field(default_factory=list)


def handler(plan: Plan):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            plan.seen.append(asked)
            if plan.redirect or plan.status:
                self.send_response(302 if plan.redirect else plan.status)
                self.send_header("Location", plan.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = plan.data
            if asked and plan.ranges and self.headers.get("If-Range") == plan.tag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                body = body[start:]
                self.send_response(206 if body else 416)
                self.send_header("Content-Range", f"bytes {start}-{len(plan.data) - 1}/*")
            else:
                self.send_response(200)
            self.send_header("ETag", plan.tag)
            self.send_header("Content-Length", str(plan.stated or len(body)))
            self.end_headers()
            limit = plan.breaks.pop(0) if plan.breaks else len(body)
            self.wfile.write(body[:limit])

        def log_message(self, *_args):
            pass

    return Handler


@contextmanager
def serving(plan: Plan):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(plan))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a.zip"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def leftovers(store: Store) -> list[str]:
    return sorted(path.name for path in archive_path(store).parent.iterdir())


def test_the_whole_archive_arrives_with_progress_and_only_once(store):
    plan = Plan(made_zip())
    told = []
    with serving(plan) as url:
        path = fetch(store, lambda done, total, note: told.append((done, total)), url=url)
        assert fetch(store, url=url) == path
    assert path.read_bytes() == plan.data
    assert plan.seen == [None]
    assert told[-1] == (len(plan.data), len(plan.data))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert leftovers(store) == ["social-chem-101.zip"]


def test_a_broken_connection_is_taken_up_where_it_broke(store):
    plan = Plan(made_zip(), breaks=[300_000, 300_000])
    with serving(plan) as url:
        path = fetch(store, url=url)
    assert path.read_bytes() == plan.data
    assert plan.seen == [None, "bytes=300000-", "bytes=600000-"]


def test_after_three_breaks_what_came_is_kept_for_the_next_try(store):
    plan = Plan(made_zip(), breaks=[100_000] * 3)
    with serving(plan) as url:
        with pytest.raises(FetchError, match=r"0\.3 MB \(300,000 of .*put it at .*social-chem"):
            fetch(store, url=url)
        assert leftovers(store) == ["social-chem-101.part", "social-chem-101.tag"]
        assert fetch(store, url=url).read_bytes() == plan.data
    assert plan.seen[-1] == "bytes=300000-"


def test_cancelling_keeps_the_part(store):
    plan = Plan(made_zip())

    def cancel(*_told):
        raise Cancelled

    with serving(plan) as url:
        with pytest.raises(Cancelled):
            fetch(store, cancel, url=url)
        assert "social-chem-101.part" in leftovers(store)
        assert fetch(store, url=url).read_bytes() == plan.data
    assert plan.seen[1].startswith("bytes=")


@pytest.mark.parametrize("change", ["other version", "no ranges"])
def test_a_part_of_another_version_is_never_continued(store, change):
    old, new = Plan(made_zip(), breaks=[100_000] * 3, tag='"old"'), Plan(made_zip(500_000))
    with serving(old) as url, pytest.raises(FetchError):
        fetch(store, url=url)
    if change == "no ranges":
        new.tag, new.ranges = '"old"', False
    with serving(new) as url:
        assert fetch(store, url=url).read_bytes() == new.data


def test_a_part_longer_than_the_archive_is_begun_again(store):
    plan = Plan(made_zip())
    part = archive_path(store).with_suffix(".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(plan.data + b"more")
    part.with_suffix(".tag").write_text('{"tag": "\\"v1\\""}')
    with serving(plan) as url:
        assert fetch(store, url=url).read_bytes() == plan.data


def test_more_bytes_than_the_cap_are_refused(store, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 500_000)
    with serving(Plan(made_zip())) as url, pytest.raises(FetchError, match="Nothing was kept"):
        fetch(store, url=url)
    assert leftovers(store) == []


def test_a_page_instead_of_the_archive_is_refused(store):
    plan = Plan(b"<html>log in first</html>")
    with serving(plan) as url, pytest.raises(FetchError, match="not a zip"):
        fetch(store, url=url)
    assert leftovers(store) == []


def test_a_server_that_says_no_is_quoted(store):
    with serving(Plan(b"", status=403)) as url, pytest.raises(FetchError, match="403 Forbidden"):
        fetch(store, url=url)


@pytest.mark.parametrize("url", ["http://example.org/a.zip", "file:///etc/passwd", "ftp://x/a"])
def test_only_https_is_fetched(store, url):
    with pytest.raises(FetchError, match="Only https"):
        fetch(store, url=url)
    with serving(Plan(b"", redirect=url)) as first, pytest.raises(FetchError, match="Only https"):
        fetch(store, url=first)


def test_without_a_network_it_says_what_to_do_by_hand(store):
    with serving(Plan(b"")) as url:
        pass
    with pytest.raises(FetchError) as caught:
        fetch(store, url=url)
    assert ARCHIVE_URL in str(caught.value)
    assert str(archive_path(store)) in str(caught.value)
    archive_path(store).write_bytes(made_zip())
    assert fetch(store, url=url) == archive_path(store)


def test_two_fetches_at_once_do_not_mix(store):
    with store.lock("download"), pytest.raises(FetchError, match="right now"):
        fetch(store)
