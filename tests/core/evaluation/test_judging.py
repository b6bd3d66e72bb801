"""Judges: replies are read strictly, nothing is asked twice, an endpoint may fail in every way."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from core.evaluation.endpoint import KEY, URL, EndpointJudge, JudgeError, Prices
from core.evaluation.judging import (
    Asked,
    LocalJudge,
    VerdictLog,
    asking,
    both_orders,
    judged,
    label_of,
)
from core.evaluation.verdicts import Showing
from core.models.card import describe
from core.models.open_models import open_model
from core.models.spec import ModelSpec
from core.runtime.progress import Cancelled, silent

PAIRS = [("safer", f"May I do {number}?", f"good {number}", f"bad {number}") for number in range(5)]


class Rule:
    """A judge that follows a rule and counts what it is asked."""

    name = "rule"

    def __init__(self, rule, key="rule"):
        self.rule, self.asked, self._key = rule, [], key

    @property
    def key(self):
        return {"judge": self._key}

    def labels(self, showings, _report):
        for one in showings:
            self.asked.append(one)
            yield self.rule(one)


def good(showing):
    return "first" if showing.first.startswith("good") else "second"


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("A", "first"),
        ("B.", "second"),
        (" Answer B", "second"),
        ("tie", "tie"),
        ("Tie", "tie"),
        ("A or B", None),
        ("", None),
        ("neither", None),
        ("<html>", None),
        ("**A**", "first"),
    ],
)
def test_a_reply_names_one_answer_or_none(reply, label):
    assert label_of(reply) == label


def test_both_orders_are_shown_and_nothing_is_asked_twice(store):
    judge = Rule(good)
    found = judged(store, judge, PAIRS)
    assert found == [Showing("first", "second")] * 5
    assert len(judge.asked) == len({one.digest for one in judge.asked}) == 10
    again = Rule(good)
    assert judged(store, again, PAIRS) == found
    assert again.asked == []
    other = Rule(good, key="another")
    judged(store, other, PAIRS)
    assert len(other.asked) == 10


def test_what_was_said_before_a_stop_is_kept(store):
    judge = Rule(good)

    def stop(done, *_):
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        judged(store, judge, PAIRS, stop)
    rest = Rule(good)
    judged(store, rest, PAIRS)
    assert len(judge.asked) + len(rest.asked) == 10


def test_a_line_that_was_cut_short_is_asked_again(store):
    judge = Rule(good)
    judged(store, judge, PAIRS)
    path = VerdictLog(store, judge).path
    path.write_text(path.read_text()[:-9])
    again = Rule(good)
    judged(store, again, PAIRS)
    assert len(again.asked) == 1
    once_more = Rule(good)
    judged(store, once_more, PAIRS)
    assert once_more.asked == []  # what was said then does not hang on the broken line


def test_identical_answers_are_one_showing(store):
    judge = Rule(lambda one: "first")
    found = judged(store, judge, [("safer", "Well?", "same", "same")])
    assert len(judge.asked) == 1
    assert found[0].verdict == "tie"


# --- an OpenAI-compatible server ---


@pytest.fixture
def server(monkeypatch):
    """Return a server whose behaviour is a list of what it does next, then good verdicts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.seen.append((self.path, self.headers["Authorization"], body))
            made.at.append(time.monotonic())
            does = made.todo.pop(0) if made.todo else "good"
            does, made.after = does if isinstance(does, tuple) else (does, "0")
            if does == "die":
                self.connection.close()
                return
            if isinstance(does, int):
                self.answer(does, json.dumps({"error": {"message": "no"}}))
                return
            if does == "html":
                self.answer(200, "<html>hello</html>", "text/html")
                return
            text = body["messages"][0]["content"]
            first = text.split("Answer A: ")[1].startswith("good")
            reply = ("A" if first else "B") if does == "good" else does
            self.answer(
                200,
                json.dumps(
                    {
                        "id": "1",
                        "object": "chat.completion",
                        "created": 1,
                        "model": "m",
                        "choices": [
                            {
                                "index": 0,
                                "finish_reason": "stop",
                                "message": {"role": "assistant", "content": reply},
                            }
                        ],
                    }
                ),
            )

        def answer(self, status, text, kind="application/json"):
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", made.after)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.seen, made.todo, made.at, made.after = [], [], [], "0"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    monkeypatch.setenv(URL, f"http://127.0.0.1:{made.server_port}/v1")
    monkeypatch.setenv(KEY, "secret-key")
    yield made
    made.shutdown()
    made.server_close()


def test_an_endpoint_judges_with_the_key_of_the_environment_alone(server, store):
    judge = EndpointJudge("m")
    assert judged(store, judge, PAIRS) == [Showing("first", "second")] * 5
    path, key, body = server.seen[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer secret-key")
    assert (body["model"], body["temperature"]) == ("m", 0)
    kept = [one for one in store.root.rglob("*") if one.is_file()]
    assert kept
    assert not any("secret-key" in one.read_text(errors="ignore") for one in kept)


def test_limits_and_broken_connections_are_tried_again(server, store):
    server.todo = [429, 500, "die"]
    assert judged(store, EndpointJudge("m"), PAIRS[:1]) == [Showing("first", "second")]
    assert len(server.seen) == 5


def gaps(server):
    return [later - before for before, later in pairwise(server.at)]


def test_a_server_that_asks_for_time_is_given_it(server, store):
    judged(store, EndpointJudge("m"), PAIRS[1:2])  # the library is imported
    server.at.clear()
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)
    server.todo = [(429, soon), "good", (429, "1.5")]
    notes = []
    found = judged(store, EndpointJudge("m"), PAIRS[:1], lambda *told: notes.append(told[2]))
    assert found == [Showing("first", "second")]
    until, _, seconds = gaps(server)
    assert until >= 1.5  # a date has whole seconds
    assert seconds >= 1.5
    assert any("judges again in 2 s" in one for one in notes)


def test_a_wait_can_be_cancelled_and_an_endless_one_is_refused(server, store):
    def stop(_done, _total, note):
        if "again in" in note:
            raise Cancelled

    server.todo = [(429, "60")]
    began = time.monotonic()
    with pytest.raises(Cancelled):
        judged(store, EndpointJudge("m"), PAIRS[:1], stop)
    server.todo = [(429, "7200")]
    with pytest.raises(JudgeError, match=r"left alone for 2 h 0 min\. Start again then"):
        judged(store, EndpointJudge("m"), PAIRS[:1])
    assert time.monotonic() - began < 10


def test_requests_per_minute_are_kept_to(server, store):
    judged(store, EndpointJudge("m", per_minute=150), PAIRS[:2])
    assert len(gaps(server)) == 3
    assert sum(gaps(server)) >= 1.0  # three times .4, less what the first took to arrive
    with pytest.raises(JudgeError, match="between 1 and 10,000"):
        EndpointJudge("m", per_minute=0)


def test_the_bill_is_known_before_and_holds(server, store):
    judge = EndpointJudge("m", per_minute=30)
    showings = [one for pair in PAIRS for one in both_orders(*pair)]
    bill = judge.bill(showings, Prices(2.0, 10.0))
    assert server.seen == []
    assert (bill.requests, bill.written, bill.seconds) == (10, 120, 20)
    assert bill.money == pytest.approx((2 * bill.read + 10 * 120) / 1e6)
    assert "10 requests" in bill.told
    assert "about 20 s. They cost about 0.00 at your prices" in bill.told
    assert "cost" not in judge.bill(showings).told
    judged(store, EndpointJudge("m"), PAIRS)
    sent = sum(len(body["messages"][0]["content"]) for *_, body in server.seen)
    assert len(server.seen) == bill.requests
    assert bill.read == pytest.approx(sent / 4, rel=0.02)


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (401, "refuses the key"),
        (404, "knows no model"),
        ("html", "does not answer as"),
        (500, "status 500"),
        (429, "limits requests"),
    ],
)
def test_a_server_that_dies_half_way_loses_nothing(server, store, does, told):
    server.todo = ["good", "good", "good", *[does] * 3]
    with pytest.raises(JudgeError, match=told) as raised:
        judged(store, EndpointJudge("m", retries=1), PAIRS)
    assert "kept" in str(raised.value)
    assert "secret" not in str(raised.value)
    before = len(server.seen)
    server.todo = []
    assert judged(store, EndpointJudge("m"), PAIRS) == [Showing("first", "second")] * 5
    assert len(server.seen) - before == 7


def test_nonsense_is_missing_not_a_verdict(server, store):
    server.todo = ["I cannot say"] * 2
    found = judged(store, EndpointJudge("m"), PAIRS[:2])
    assert [one.verdict for one in found] == ["missing", "win"]


def test_an_address_has_to_be_safe(monkeypatch):
    monkeypatch.delenv(URL, raising=False)
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(JudgeError, match="No judge's address"):
        EndpointJudge("m")
    monkeypatch.setenv(URL, "http://judge.example/v1")
    with pytest.raises(JudgeError, match="https"):
        EndpointJudge("m")
    monkeypatch.setenv(URL, "https://judge.example/v1")
    with pytest.raises(JudgeError, match="wants a key"):
        EndpointJudge("m")
    monkeypatch.setenv(URL, "http://127.0.0.1:9/v1")
    with pytest.raises(JudgeError, match="cannot be reached"):
        list(EndpointJudge("m", retries=0).labels([Asked(*PAIRS[0])], silent))


# --- a model on this machine ---


def test_a_local_model_judges_by_likelihood_whatever_the_batch(tiny_llama_folder, store):
    spec = ModelSpec("folder", str(tiny_llama_folder), device="cpu")
    model = open_model(describe(spec, store), store)
    judge = LocalJudge(model.card, lambda: model)
    showings = [one for pair in PAIRS for one in both_orders(*pair)]
    together = list(judge.labels(showings, silent))
    alone = [next(iter(judge.labels([one], silent))) for one in showings]
    assert together == alone
    assert set(together) <= {"first", "second", "tie"}
    # The answers are read once for all questions: the logits are those of the whole text.
    for one in (showings[0], showings[3]):
        ids = model.tokenizer(f"{asking(one)}\nReply:", return_tensors="pt")
        whole = model.module(**ids).logits[0, -1]
        [found] = judge._margins(model, [one], (5, 9), silent)
        assert found == pytest.approx(float(whole[5] - whole[9]), abs=1e-4)
    blank = Asked("safer", "Well?", "", "")
    assert list(judge.labels([blank], silent)) == ["tie"]  # its bias for a letter is taken off
