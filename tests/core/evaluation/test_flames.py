"""Flames is fetched from a server, checked and kept; nothing else is taken for it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.evaluation.flames import PROMPTS, FlamesError, fetch_flames, flames, kept_file
from core.runtime.progress import silent


def lines(count):
    row = {"dimension": "Data protection", "subcomponent": "x"}
    return "\n".join(json.dumps({**row, "prompt": f"问题 {n}"}) for n in range(count)).encode()


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(made.data)))
            self.end_headers()
            self.wfile.write(made.data)

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.data, made.status = lines(PROMPTS), 200
    made.url = f"http://127.0.0.1:{made.server_port}/f.jsonl"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_it_is_fetched_once_and_kept(server, store):
    assert flames(store) is None
    found = fetch_flames(store, url=server.url)
    assert len(found) == PROMPTS
    assert found.dimensions == ["Data protection"]
    server.status = 500
    assert fetch_flames(store, url=server.url).digest == found.digest
    assert [one.name for one in kept_file(store).parent.iterdir()] == [kept_file(store).name]


@pytest.mark.parametrize(
    ("data", "status", "told"),
    [
        (lines(3), 200, "sent 3 prompts where Flames has 1,000"),
        (b"<html>", 200, "holds no prompt"),
        (b"x" * (6 * 10**6), 200, "more than Flames has"),
        (b"", 404, "answered 404"),
    ],
)
def test_anything_else_is_not_kept(server, store, data, status, told):
    server.data, server.status = data, status
    with pytest.raises(Exception, match=told):
        fetch_flames(store, url=server.url)
    assert not kept_file(store).exists()
    assert not list(store.root.rglob("*.part*"))


def test_no_network_and_no_plain_http(server, store):
    server.shutdown()
    server.server_close()
    with pytest.raises(FlamesError, match=r"cannot be reached.*in a browser"):
        fetch_flames(store, url=server.url)
    with pytest.raises(FlamesError, match="Only https"):
        fetch_flames(store, silent, url="http://example.org/x")
