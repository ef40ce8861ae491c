"""In: a backend that counts what it is asked. Out: each request once, answers kept before they are seen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from vaner.errors import VanerError
from vaner.prompting.prices import Price
from vaner.prompting.request import Abilities, Answer, Failure, Grammar, Message, Request, Spent, Unavailable
from vaner.prompting.sending import Plan, Sender, plan_summary, summary
from vaner.prompting.store import RequestStore

ROOT = Path(__file__).parents[2]
KEY = "sk-recognisable-7f3a"


class Fake:
    """Answers from the last to the first; ``bad`` fails, ``gone`` is Unavailable."""

    identity = {"backend": "fake", "model": "m"}
    can = Abilities()
    context = None

    def __init__(self):
        self.asked: list[str] = []

    def count(self, text):
        return len(text)

    def count_prompt(self, messages, chat=True):
        return sum(len(m.content) for m in messages)

    def answers(self, requests):
        for number in reversed(range(len(requests))):
            text = requests[number].messages[0].content
            self.asked.append(text)
            if text == "gone":
                raise Unavailable("nobody there")
            yield number, Failure("no") if text == "bad" else Answer(text.upper(), "stop", 10, 4, 2, 5, 0.5)

    def close(self):
        pass


def ask(text, **more) -> Request:
    return Request((Message("user", text),), 50, **more)


@pytest.fixture
def store(tmp_path):
    with RequestStore(tmp_path / "s.db") as made:
        yield made


def test_each_request_is_asked_once(store):
    backend = Fake()
    sender = Sender(backend, store)
    requests = [ask(text) for text in ("a", "b", "a", "bad", "bad")]
    outcomes = dict(sender.send(requests))
    assert [getattr(outcomes[n], "text", "-") for n in range(5)] == ["A", "B", "A", "-", "-"]
    assert sorted(backend.asked) == ["a", "b", "bad"]
    assert sender.spent == Spent(2, 1, 2, 20, 10, 8, 4, 1.0, {"no": 2})
    again = Sender(backend, store)
    assert dict(again.send(requests[:4])) == {n: outcomes[n] for n in range(4)}
    assert backend.asked[3:] == ["bad"], "what failed is asked again"
    assert again.spent == Spent(stored=3, failed=1, why={"no": 1})


def test_without_a_store_nothing_is_kept():
    backend = Fake()
    sender = Sender(backend)
    assert [dict(sender.send([ask("a")]))[0].text for _ in range(2)] == ["A", "A"]
    assert backend.asked == ["a", "a"]


def test_an_answer_is_kept_before_it_is_seen(store):
    sender = Sender(Fake(), store)
    requests = [ask("a"), ask("b")]
    for number, answer in sender.send(requests):
        assert store.get(requests[number].key(Fake.identity)) == answer
        break
    assert len(list(store.rows())) == 1


def test_what_was_answered_before_nobody_answers_is_kept(store):
    with pytest.raises(Unavailable):
        list(Sender(Fake(), store).send([ask("never"), ask("gone"), ask("a")]))
    assert [answer for _, _, answer in store.rows()] == [Answer("A", "stop", 10, 4, 2, 5, 0.5)]


def test_what_the_backend_cannot_do_is_refused_before_anything_is_sent(store):
    backend = Fake()
    with pytest.raises(VanerError, match="decoding: free"):
        Sender(backend, store).send([ask("a"), ask("b", grammar=Grammar(gbnf="x"))])
    with pytest.raises(VanerError, match="decoding: free"):
        Sender(backend, store).plan([ask("b", grammar=Grammar(gbnf="x"))], Plan())
    assert not backend.asked


def test_replay_asks_nobody(store, tmp_path):
    first = dict(Sender(Fake(), store).send([ask("a"), ask("b")]))
    store.close()
    backend = Fake()
    with RequestStore(tmp_path / "s.db", replay=True) as replayed:
        sender = Sender(backend, replayed)
        assert dict(sender.send([ask("a"), ask("b")])) == first
        with pytest.raises(VanerError, match="holds no answer to request [0-9a-f]{12} .*'what is new'"):
            sender.send([ask("a"), ask("what is new")])
    assert not backend.asked


def test_a_plan_sends_nothing_and_counts_each_request_once(store):
    backend = Fake()
    list(Sender(backend, store).send([ask("a")]))
    sender, plan = Sender(backend, store), Plan()
    for _ in range(2):
        sender.plan([ask("a"), ask("four"), ask("four")], plan)
    assert plan == Plan(requests=1, stored=5, prompt_tokens=4, most_output_tokens=50)
    assert backend.asked == ["a"]
    assert plan_summary(plan, Price(1e6, 2e6)) == (
        "1 request to send (5 from the store), about 4 prompt tokens, at most 50 answer tokens, at most 104.00 USD"
    )


def test_the_summary_says_what_was_spent_and_what_failed():
    spent = Spent(270, 40, 2, 120_344, 90_000, 9_000, 3_100, 12.13, {"timed out": 2})
    assert summary(spent, Price(0.15, 0.6, 0.075)) == (
        "312 requests (40 from the store, 2 failed: 2x timed out), 120,344 prompt tokens (90,000 kept), "
        "9,000 answer tokens in 3,100 steps, 12.1 s, 0.017 USD"
    )
    assert summary(Spent()) == "0 requests, 0 prompt tokens, 0 answer tokens, 0.0 s"
    many = Spent(failed=6, why={"a": 1, "b": 2, "c": 1, "d": 1, "e": 1})
    assert "(6 failed: 2x b; a; c; and 2 other reasons)" in summary(many)


RUN = """
import signal
import sys
from vaner.prompting.backends.openai import OpenAIBackend
from vaner.prompting.request import Message, Request
from vaner.prompting.sending import Sender
from vaner.prompting.store import RequestStore

# What a shell starts in the background ignores SIGINT, and so do its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
url, path = sys.argv[1:]
sender = Sender(OpenAIBackend("m", url, concurrency=2), RequestStore(path))
requests = [Request((Message("user", f"number {n}"),), 5) for n in range(12)]
for number, _ in sender.send(requests):
    print(number, flush=True)
"""


def run(url, path):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, url, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": KEY},
    )


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_in_the_middle_repeats_no_answered_request(tmp_path, blow):
    """The server answers five and lets the others wait; SIGINT ends the run although they do."""
    path = tmp_path / "s.db"
    answered: list[str] = []
    stuck = threading.Event()
    lock = threading.Lock()

    def answer(called):
        with lock:
            waits = len(answered) >= 5 and not stuck.is_set()
            if not waits:
                answered.append(called.get_json()["messages"][0]["content"])
        if waits:
            stuck.wait(60)
            return Response("", 500)
        choice = {"message": {"content": "x"}, "finish_reason": "stop"}
        return Response(json.dumps({"choices": [choice]}), content_type="application/json")

    with HTTPServer(threaded=True) as server:
        server.expect_request("/v1/chat/completions").respond_with_handler(answer)
        first = run(server.url_for("/v1"), path)
        seen = [first.stdout.readline().strip() for _ in range(5)]
        first.send_signal(blow)
        first.communicate(timeout=30)
        stuck.set()
        before = list(answered)
        second = run(server.url_for("/v1"), path)
        out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert sorted(out.split(), key=int) == [str(n) for n in range(12)]
    assert {f"number {n}" for n in seen} == set(before) and len(before) == 5
    assert len(answered) == 12 == len(set(answered)), "each was answered once"
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert KEY.encode() not in held and KEY not in err
