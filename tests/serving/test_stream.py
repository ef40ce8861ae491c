"""In: JSON Lines of any length. Out: a line for each, in order, while they come; never more than a little in memory."""

import json
import threading
import time
import tracemalloc

import pytest

from tests.serving.conftest import eventually
from tests.serving.raw import chunk, connected, request, rest, until
from vaner.serving import streaming
from vaner.serving.streaming import Lines

HEAD = request(
    "POST", "/v1/tag/stream?types=Name", "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked"
)


def line(text, **more):
    return json.dumps({"text": text, **more}).encode() + b"\n"


def unchunked(body):
    """The data of a chunked body, and whether it is complete."""
    found, rest = b"", body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return found, True
        found += rest[:length]
        rest = rest[length + 2 :]
    return found, False


def answered(client, content, **query):
    answer = client.post(
        "/v1/tag/stream", params=query, content=content, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(one) for one in answer.text.splitlines()]


def test_a_line_for_each_in_order(serve):
    client = serve().client
    found = answered(client, b"".join(line(f"Ada{n} 12", id=f"d{n}") for n in range(300)), types="Name")
    assert [one["id"] for one in found] == [f"d{n}" for n in range(300)]
    assert all([s["text"] for s in one["spans"]] == [f"Ada{n}"] for n, one in enumerate(found))
    assert answered(client, b"") == [] and answered(client, b"\n \n") == []


def test_bad_lines_get_lines_and_the_others_go_on(serve):
    running = serve(max_text=2000, max_body=3000)
    lines = [
        line("Ada"),
        b"not json\n",
        b"\n",
        line("Bob" * 1000, id="long"),
        b'{"text": "' + b"x" * 100_000 + b'"}\n',
        b'{"txt": "x"}\n',
        b'{"text": "\\ud800"}\n',
        b"\xff\n",
        line("POISON", id="p"),
        line("REFUSED", id="r"),
        line("Cid")[:-1],
    ]
    found = answered(running.client, b"".join(lines))
    said = [one["error"]["code"] if "error" in one else one["id"] for one in found]
    assert said[:6] == ["1", "bad_request", "too_large", "too_large", "invalid", "bad_request"]
    assert said[6:] == ["bad_request", "internal", "invalid", "11"]
    assert [one["line"] for one in found if "error" in one] == [2, 4, 5, 6, 7, 8, 9, 10]
    assert found[7]["id"] == "p" and "cannot read" not in json.dumps(found[7])
    eventually(lambda: running.desk.open == 0)


def test_answers_come_while_lines_come(serve):
    running = serve()
    with connected(running.port) as wire:
        wire.sendall(HEAD + chunk(line("Ada")))
        head = until(wire, b"Ada")
        assert head.startswith(b"HTTP/1.1 200")
        wire.sendall(chunk(line("Bob")[:5]))
        wire.sendall(chunk(line("Bob")[5:] + line("Cid")))
        until(wire, b"Cid")
        wire.sendall(chunk(b""))
        assert rest(wire).endswith(b"0\r\n\r\n")


def test_wrong_questions_are_refused_before_the_first_line(serve):
    client = serve().client
    answer = client.post(
        "/v1/tag/stream?types=Nmae", content=b"", headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 422 and "did you mean Name?" in answer.json()["error"]["message"]
    assert client.post("/v1/tag/stream", content=b"").status_code == 415


def test_there_are_only_so_many_streams(serve, monkeypatch):
    monkeypatch.setattr(streaming, "STREAMS", 1)
    running = serve()
    with connected(running.port) as wire:
        wire.sendall(HEAD + chunk(line("Ada")))
        until(wire, b"Ada")
        answer = running.client.post(
            "/v1/tag/stream", content=b"", headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.status_code == 429 and answer.headers["Retry-After"]
    eventually(lambda: running.desk.open == 0)
    assert answered(running.client, line("Ada"))[0]["id"] == "1"


def test_a_client_that_goes_away_ends_its_stream(serve, words):
    running = serve()
    words.gate.clear()
    with connected(running.port) as wire:
        wire.sendall(HEAD + chunk(line("Ada")))
        eventually(lambda: words.runs)
        wire.sendall(chunk(line("Bob")))
        eventually(lambda: running.desk.batcher.waiting == 1)
    eventually(lambda: running.desk.open == 0 and running.desk.batcher.waiting == 0)
    words.gate.set()


def test_a_client_that_sends_nothing_ends_its_stream(serve):
    running = serve(timeout=0.3)
    with connected(running.port) as wire:
        wire.sendall(HEAD + chunk(line("Ada")))
        assert b"too_slow" in rest(wire)
    eventually(lambda: running.desk.open == 0)


def test_what_takes_too_long_gets_error_lines(serve, words):
    running = serve(timeout=0.5)
    words.gate.clear()
    with connected(running.port) as wire:
        wire.sendall(HEAD + chunk(line("Ada", id="a")))
        said = until(wire, b"timed_out")
        assert b'"id": "a"' in said
    words.gate.set()


def test_a_server_that_stops_answers_what_it_took_and_says_from_where_to_go_on(serve, words):
    running = serve()
    with connected(running.port) as wire:
        wire.sendall(HEAD + chunk(line("Ada")))
        until(wire, b"Ada")
        words.gate.clear()
        wire.sendall(chunk(line("Bob")))
        eventually(lambda: len(words.runs) == 2)
        running.server.handle_exit(15, None)
        words.gate.set()
        said = rest(wire)
        assert said.index(b"Bob") < said.index(b"stopping")


def test_a_stream_that_waits_ends_when_the_server_stops(serve):
    running = serve()
    with connected(running.port) as wire:
        wire.sendall(HEAD + chunk(line("Ada")))
        until(wire, b"Ada")
        running.server.handle_exit(15, None)
        assert b"stopping" in rest(wire)


def test_what_the_client_does_not_read_is_not_computed(serve, words):
    """Back-pressure: the server stops reading, so the client cannot send on."""
    running = serve(timeout=20)
    big = line("ada " * 4000)
    sent = 0
    with connected(running.port) as wire:
        wire.sendall(HEAD)
        wire.settimeout(2)
        try:
            for _ in range(20_000):
                wire.sendall(chunk(big))
                sent += len(big)
        except TimeoutError:
            pass
        taken = running.desk.metrics.registry.get_sample_value
        eventually(lambda: not running.desk.batcher.waiting)
        tagged = taken("vaner_characters_total")
        # What the kernel holds for both directions is some megabytes; the rest was never taken.
        assert sent < 200_000_000 and tagged < 50_000_000
        time.sleep(0.5)
        assert taken("vaner_characters_total") == tagged
    eventually(lambda: running.desk.open == 0)


@pytest.mark.parametrize("lines", [100, 1000])
def test_memory_does_not_grow_with_the_length(serve, words, lines):
    running = serve()
    words.runs = Forgetful()
    content = line("ada " * 500)
    found = 0
    with connected(running.port) as wire:

        def send():
            wire.sendall(HEAD)
            for _ in range(lines):
                wire.sendall(chunk(content))
            wire.sendall(chunk(b""))

        sender = threading.Thread(target=send)
        tracemalloc.start()
        try:
            sender.start()
            while part := wire.recv(1 << 16):
                found += len(part)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        sender.join()
    assert found > lines * 2000
    assert peak < 30_000_000


class Forgetful(list):
    """A list that keeps nothing."""

    def append(self, one):
        pass


def test_lines_cut_anywhere_are_the_same():
    body = line("Ada") + b"\n" + line("ü" * 5) + line("y" * 100) + b"{}\n" + line("last")[:-1]

    def read(size):
        lines = Lines(60, 50)
        parts = [body[n : n + size] for n in range(0, len(body), size)]
        found = [one for part in parts for one in lines.take(part)] + list(lines.take(b"", last=True))
        return [(one.number, one.error.code if one.error else one.document.text) for one in found]

    whole = read(len(body))
    assert whole == [(1, "Ada"), (3, "ü" * 5), (4, "too_large"), (5, "invalid"), (6, "last")]
    assert all(read(size) == whole for size in range(1, 40))
