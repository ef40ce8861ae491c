"""In: too much, too slowly, clients that go away. Out: refusals that say so; nothing is held, nobody else suffers."""

import gzip
import json
import threading
import time
import zlib

import httpx
import pytest

from tests.serving.conftest import eventually
from tests.serving.raw import chunk, connected, exchanged, request, rest
from vaner.serving.bodies import Memory, unpacked
from vaner.serving.errors import RequestError

JSON = "Content-Type: application/json"


def in_threads(running, texts, answers):
    """Each text sent by a client of its own; what is answered, by text."""

    def send(text):
        with httpx.Client(base_url=running.client.base_url, timeout=60, trust_env=False) as client:
            answers[text] = client.post("/v1/tag", json={"text": text})

    threads = [threading.Thread(target=send, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    return threads


def test_requests_of_many_clients_share_runs_and_a_bad_one_fails_alone(serve, words):
    running = serve()
    words.gate.clear()
    answers = {}
    first = in_threads(running, ["First"], answers)
    eventually(lambda: words.runs)
    texts = [f"Client{n} says Hello{n}" for n in range(20)] + ["POISON pill"]
    others = in_threads(running, texts, answers)
    eventually(lambda: running.desk.batcher.waiting == 21)
    words.gate.set()
    for thread in first + others:
        thread.join()
    assert len(words.runs[1]) == 21
    bad = answers.pop("POISON pill")
    assert bad.status_code == 500 and bad.json()["error"]["code"] == "internal"
    for text, answer in answers.items():
        (document,) = answer.json()["documents"]
        assert document["text"] == text
        names = [span["text"] for span in document["spans"] if span["type"] == "Name"]
        assert names == [word for word in text.split() if word[0].isupper()]
    eventually(lambda: running.desk.open == 0 and running.desk.memory.held == 0)


def test_a_full_queue_says_when_to_come_again(serve, words):
    running = serve(max_queue=2)
    words.gate.clear()
    answers = {}
    threads = in_threads(running, ["A", "B"], answers)
    eventually(lambda: running.desk.open == 2)
    refused = running.tag("C")
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
    assert "2 requests wait already" in refused.json()["error"]["message"]
    assert running.client.get("/readyz").status_code == 200
    words.gate.set()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers.values()} == {200}
    assert running.tag("C").status_code == 200


def test_bodies_that_are_too_large(serve):
    running = serve(max_body=1000)
    assert running.tag("x" * 900).status_code == 200
    assert running.tag("x" * 1000).status_code == 413
    head = request("POST", "/v1/tag", JSON, "Transfer-Encoding: chunked")
    parts = [chunk(b" " * 100)] * 20
    answer = exchanged(running.port, head, *parts, chunk(b""))
    assert answer.startswith(b"HTTP/1.1 413") and b"more than 1,000 bytes" in answer
    # One that never ends is cut off.
    head = request("POST", "/v1/tag", JSON, "Transfer-Encoding: chunked").replace(
        b"Connection: close\r\n", b""
    )
    answer = exchanged(running.port, head, *[chunk(b" " * 100_000)] * 100)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert running.counts["/v1/tag", 413] == 3
    eventually(lambda: running.desk.memory.held == 0)
    # Who asks first sends nothing.
    asks = request("POST", "/v1/tag", JSON, "Content-Length: 5000", "Expect: 100-continue")
    assert exchanged(running.port, asks).startswith(b"HTTP/1.1 413")


def test_a_bomb_is_not_unpacked(serve):
    running = serve(max_body=100_000)
    bomb = gzip.compress(b"a" * 50_000_000)
    assert len(bomb) < 100_000
    answer = running.client.post("/v1/tag/file", params={"filename": "a.txt"}, content=bomb)
    assert (
        answer.status_code == 413
        and "unpacks to more than 100,000 bytes" in answer.json()["error"]["message"]
    )


@pytest.mark.parametrize("pieces", [1, 3])
def test_unpacking_stops_at_the_limit(monkeypatch, pieces):
    made = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, **options):
            self._inside = real(**options)

        def __getattr__(self, name):
            return getattr(self._inside, name)

        def decompress(self, data, most):
            found = self._inside.decompress(data, most)
            made.append(len(found))
            return found

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    packed = b"".join(gzip.compress(b"x" * 1000) for _ in range(pieces))
    assert unpacked(packed, 1000 * pieces) == b"x" * 1000 * pieces
    made.clear()
    with pytest.raises(RequestError):
        unpacked(gzip.compress(b"x" * 10_000_000), 100_000)
    assert sum(made) <= 100_001


def test_gzip_in_a_gzip_is_unpacked_once():
    inner = gzip.compress(b"text")
    assert unpacked(gzip.compress(inner) + b"\0\0", 1000) == inner
    for broken in (gzip.compress(b"text")[:-1], gzip.compress(b"text") + b"rubbish", b"\x1f\x8b"):
        with pytest.raises(RequestError):
            unpacked(broken, 1000)


def test_all_bodies_together_are_bounded(serve, words):
    running = serve(max_body=1000)
    with Memory(10).share() as share:
        share.take(10)
        with pytest.raises(RequestError):
            share.take(1)
    words.gate.clear()
    answers = {}
    threads = in_threads(running, [f"{n:0>900}" for n in range(40)], answers)
    eventually(lambda: len(answers) >= 4)
    words.gate.set()
    for thread in threads:
        thread.join()
    codes = sorted(answer.status_code for answer in answers.values())
    assert set(codes) == {200, 429} and codes.count(429) >= 4
    eventually(lambda: running.desk.memory.held == 0)


def test_an_answer_that_takes_too_long(serve, words):
    running = serve(timeout=0.3)
    words.gate.clear()
    answer = running.tag("Ada")
    assert answer.status_code == 504 and "more than 0.3 seconds" in answer.json()["error"]["message"]
    second = running.tag("Bob")
    assert second.status_code == 504 and running.desk.batcher.waiting == 0
    words.gate.set()
    assert running.tag("Cid").status_code == 200


def test_a_body_that_comes_too_slowly(serve):
    running = serve(timeout=0.3)
    with connected(running.port) as wire:
        wire.sendall(request("POST", "/v1/tag", JSON, "Content-Length: 500") + b'{"te')
        assert rest(wire).startswith(b"HTTP/1.1 408")
    eventually(lambda: running.desk.open == 0)


def test_texts_of_a_client_that_goes_away_leave_the_line(serve, words):
    running = serve()
    words.gate.clear()
    answers = {}
    threads = in_threads(running, ["Stays"], answers)
    eventually(lambda: words.runs)
    body = json.dumps({"text": "Gone"}).encode()
    with connected(running.port) as wire:
        wire.sendall(request("POST", "/v1/tag", JSON, body=body))
        eventually(lambda: running.desk.batcher.waiting == 1)
    eventually(lambda: running.desk.batcher.waiting == 0)
    eventually(lambda: running.desk.open == 1)
    words.gate.set()
    threads[0].join()
    assert answers["Stays"].status_code == 200
    assert len(words.runs) == 1
    assert running.desk.metrics.registry.get_sample_value("vaner_cancelled_total") == 1


def test_told_to_stop_it_answers_what_is_open_and_refuses_the_rest(serve, words):
    running = serve()
    words.gate.clear()
    answers = {}
    threads = in_threads(running, ["Open"], answers)
    eventually(lambda: words.runs)
    running.server.handle_exit(15, None)
    assert running.client.get("/readyz").status_code == 503
    assert running.client.get("/healthz").status_code == 200
    refused = running.tag("New")
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    words.gate.set()
    threads[0].join()
    assert answers["Open"].status_code == 200
    eventually(lambda: not running.server.server_state.connections and running.server.should_exit)


def test_stopping_waits_no_longer_than_it_is_told(serve, words):
    running = serve(grace=0.2)
    words.gate.clear()
    answers = {}
    in_threads(running, ["Open"], answers)
    eventually(lambda: words.runs)
    started = time.monotonic()
    running.server.handle_exit(15, None)
    eventually(lambda: running.server.should_exit)
    assert time.monotonic() - started < 20
    words.gate.set()
