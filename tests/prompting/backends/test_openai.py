"""In: a server that imitates OpenAI's and its faults. Out: what the backend makes of each; no key in sight."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import traceback

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request as Called
from werkzeug import Response

from vaner.errors import VanerError
from vaner.prompting.backends.openai import OpenAIBackend
from vaner.prompting.request import (
    CUT_OFF,
    REFUSED,
    STOPPED,
    Answer,
    Failure,
    Grammar,
    Message,
    Request,
    Sampling,
    Unavailable,
    refuse,
)

KEY = "sk-recognisable-7f3a"
CHAT = "/v1/chat/completions"


def ask(text="Which?", **more) -> Request:
    return Request((Message("system", "You tag."), Message("user", text)), 50, **more)


def said(text="aspirin", finish="stop", **message) -> dict:
    return {
        "model": "m-2026",
        "choices": [{"finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}],
        "usage": {
            "prompt_tokens": 30,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 20},
        },
    }


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("INITIAL_RETRY_DELAY", "MAX_RETRY_DELAY"):
        monkeypatch.setattr(f"openai._base_client.{name}", 0.01)


@pytest.fixture
def backend(httpserver):
    made = OpenAIBackend("m", httpserver.url_for("/v1"), retries=2, timeout=5)
    yield made
    made.close()


@pytest.fixture
def threaded():
    with HTTPServer(threaded=True) as server:
        yield server


def only(backend, request=None):
    ((number, outcome),) = backend.answers([request or ask()])
    assert number == 0
    return outcome


def bodies(httpserver) -> list[dict]:
    return [json.loads(called.get_data()) for called, _ in httpserver.log]


def test_an_answer_with_what_it_took(httpserver, backend):
    httpserver.expect_request(CHAT, headers={"Authorization": f"Bearer {KEY}"}).respond_with_json(said())
    answer = only(backend)
    assert (answer.text, answer.finish, answer.model) == ("aspirin", STOPPED, "m-2026")
    assert (answer.prompt_tokens, answer.cached_tokens, answer.output_tokens) == (30, 20, 4)
    assert answer.model_steps is None and answer.seconds > 0 and answer.tokens is None
    assert bodies(httpserver) == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "You tag."}, {"role": "user", "content": "Which?"}],
            "max_tokens": 50,
            "temperature": 0.0,
            "top_p": 1.0,
        }
    ]


def test_a_text_without_a_template_goes_to_completions(httpserver, backend):
    httpserver.expect_request("/v1/completions").respond_with_json(
        {"choices": [{"finish_reason": "length", "text": " B-Drug"}], "usage": None}
    )
    answer = only(backend, ask(chat=False, stop=("\n",), sampling=Sampling(seed=3)))
    assert (answer.text, answer.finish) == (" B-Drug", CUT_OFF)
    (body,) = bodies(httpserver)
    assert body["prompt"] == "You tag.Which?" and body["stop"] == ["\n"] and body["seed"] == 3


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("gbnf", {"grammar": "G"}),
        ("regex", {"structured_outputs": {"regex": "R"}}),
        ("lark", {"structured_outputs": {"grammar": "L"}}),
        (
            "json_schema",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}},
                }
            },
        ),
    ],
)
def test_a_grammar_as_the_server_takes_it(httpserver, kind, expected):
    httpserver.expect_request(CHAT).respond_with_json(said())
    backend = OpenAIBackend(
        "m", httpserver.url_for("/v1"), grammar=kind, more={"temperature": None, "effort": "low"}
    )
    grammar = Grammar(gbnf="G", regex="R", lark="L", json_schema='{"type": "object"}')
    only(backend, ask(grammar=grammar))
    (body,) = bodies(httpserver)
    assert {name: body[name] for name in expected} == expected
    assert len({"grammar", "structured_outputs", "response_format"} & set(body)) == 1
    assert "temperature" not in body and body["effort"] == "low"
    with pytest.raises(VanerError, match="cannot hold an answer to this grammar"):
        refuse(OpenAIBackend("m"), [ask(grammar=grammar)])


def test_log_probabilities_end_where_their_characters_do(httpserver, backend):
    # The sign of two bytes comes in two tokens, and the turn's end is none of the text's.
    content = [
        {"token": "IL", "bytes": [73, 76], "logprob": -0.5},
        {"token": "\\xce", "bytes": [0xCE], "logprob": -1.0},
        {"token": "\\xb1", "bytes": [0xB1], "logprob": -0.25},
        {"token": "<end>", "bytes": list(b"<end>"), "logprob": -0.1},
    ]
    body = said("ILα")
    body["choices"][0]["logprobs"] = {"content": content}
    httpserver.expect_request(CHAT).respond_with_json(body)
    assert only(backend, ask(logprobs=True)).tokens == ((2, -0.5), (2, -1.0), (3, -0.25))


def test_log_probabilities_of_plain_texts(httpserver, backend):
    said = {"tokens": ["Il", "α", "x"], "token_logprobs": [None, -0.5, -0.25]}
    httpserver.expect_request("/v1/completions").respond_with_json(
        {"choices": [{"text": "Ilαx", "finish_reason": "stop", "logprobs": said}]}
    )
    assert only(backend, ask(logprobs=True, chat=False)).tokens == ((3, -0.5), (4, -0.25))


@pytest.mark.parametrize(
    "body, finish, text",
    [
        (said(None, refusal="I cannot help with that."), REFUSED, "I cannot help with that."),
        (said("half an", "content_filter"), REFUSED, "half an"),
        (said("half an", "length"), CUT_OFF, "half an"),
        (said(""), STOPPED, ""),
    ],
)
def test_how_an_answer_ended(httpserver, backend, body, finish, text):
    httpserver.expect_request(CHAT).respond_with_json(body)
    answer = only(backend)
    assert (answer.finish, answer.text) == (finish, text)


def test_a_prompt_that_a_filter_refuses_is_a_refusal(httpserver, backend):
    error = {"error": {"code": "content_filter", "message": "no"}}
    httpserver.expect_request(CHAT).respond_with_json(error, status=400)
    assert only(backend) == Answer("", REFUSED)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_or_broken_server_is_asked_again(httpserver, backend, status):
    for _ in range(2):
        httpserver.expect_ordered_request(CHAT).respond_with_data("", status=status)
    httpserver.expect_ordered_request(CHAT).respond_with_json(said())
    assert only(backend).text == "aspirin"
    assert len(httpserver.log) == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_stays_so_fails_this_request_alone(httpserver, backend, status):
    def answer(called: Called) -> Response:
        good = "good" in called.get_data(as_text=True)
        return Response(json.dumps(said()), 200 if good else status, content_type="application/json")

    httpserver.expect_request(CHAT).respond_with_handler(answer)
    outcomes = dict(backend.answers([ask("good"), ask("bad"), ask("good too")]))
    assert isinstance(outcomes[1], Failure) and str(status) in outcomes[1].why
    assert [outcomes[n].text for n in (0, 2)] == ["aspirin"] * 2
    assert len(httpserver.log) == 5


def test_the_server_says_how_long_to_wait(httpserver, backend, monkeypatch):
    waited = []
    monkeypatch.setattr("openai._base_client.time.sleep", waited.append)
    httpserver.expect_ordered_request(CHAT).respond_with_data("", status=429, headers={"Retry-After": "7"})
    httpserver.expect_ordered_request(CHAT).respond_with_json(said())
    assert only(backend).text == "aspirin"
    assert waited == [7.0]


def test_a_slow_server_fails_the_request(httpserver):
    httpserver.expect_request(CHAT).respond_with_handler(lambda _: time.sleep(1) or Response("{}"))
    backend = OpenAIBackend("m", httpserver.url_for("/v1"), retries=1, timeout=0.1)
    assert only(backend) == Failure("no answer within 0.1 s, tried 2 times")


@pytest.mark.parametrize(
    "written, why",
    [
        ("{oops", "not JSON: {oops"),
        ("<html>gateway</html>", "not JSON: <html>"),
        ('{"choices": []}', "holds no choice"),
        ('{"error": {"message": "overloaded"}}', "holds no choice"),
        ("[]", "holds no choice"),
        ("null", "holds no choice"),
        ('{"choices": [{"message": {"content": ["a"]}}]}', "not text"),
    ],
)
def test_what_is_no_answer_is_a_failure(httpserver, backend, written, why):
    httpserver.expect_request(CHAT).respond_with_data(written, content_type="application/json")
    outcome = only(backend)
    assert isinstance(outcome, Failure) and why in outcome.why and "\n" not in outcome.why


@pytest.fixture
def cut_server():
    """Says that more bytes come than come."""
    listener = socket.create_server(("127.0.0.1", 0))
    calls = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            calls.append(connection.recv(65536))
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
            connection.sendall(head + b'{"choices": [{"mess')
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", calls
    listener.close()


def test_a_cut_stream_is_asked_again_and_then_fails(cut_server):
    url, calls = cut_server
    outcome = only(OpenAIBackend("m", url, retries=2, timeout=5))
    assert (
        isinstance(outcome, Failure)
        and "the connection broke" in outcome.why
        and "tried 3 times" in outcome.why
    )
    assert len([call for call in calls if call]) == 3


def test_nobody_there_stops_the_run():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    backend = OpenAIBackend("m", f"http://127.0.0.1:{port}/v1", retries=1)
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}/v1: nobody answers .*look at base_url"):
        list(backend.answers([ask(), ask("b")]))


@pytest.mark.parametrize("status, look", [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "model")])
def test_a_wrong_key_or_model_stops_the_run_after_what_was_answered(httpserver, status, look):
    httpserver.expect_ordered_request(CHAT).respond_with_json(said())
    httpserver.expect_ordered_request(CHAT).respond_with_json({"error": {"message": "no"}}, status=status)
    backend = OpenAIBackend("m", httpserver.url_for("/v1"), concurrency=1)
    came = []
    with pytest.raises(Unavailable, match=look):
        for outcome in backend.answers([ask(), ask("b"), ask("c")]):
            came.append(outcome)
    assert [number for number, _ in came] == [0]
    assert len(httpserver.log) == 2


def test_several_requests_are_under_way_at_once_and_come_as_they_are_ready(threaded):
    together = threading.Barrier(3, timeout=20)
    first_may_go = threading.Event()

    def answer(called: Called) -> Response:
        together.wait()
        if "number 0" in called.get_data(as_text=True):
            first_may_go.wait(20)
        return Response(json.dumps(said()), content_type="application/json")

    threaded.expect_request(CHAT).respond_with_handler(answer)
    backend = OpenAIBackend("m", threaded.url_for("/v1"), concurrency=3, timeout=30, retries=0)
    order = []
    for number, outcome in backend.answers([ask(f"number {n}") for n in range(3)]):
        assert isinstance(outcome, Answer)
        order.append(number)
        if len(order) == 2:
            first_may_go.set()
    assert order[2] == 0


def test_no_more_is_asked_once_the_caller_stops(httpserver):
    httpserver.expect_request(CHAT).respond_with_json(said())
    backend = OpenAIBackend("m", httpserver.url_for("/v1"), concurrency=1)
    before = set(threading.enumerate())
    answers = backend.answers([ask(str(n)) for n in range(200)])
    next(answers)
    answers.close()
    for worker in set(threading.enumerate()) - before:
        worker.join(20)
    assert len(httpserver.log) < 100


def test_the_key_is_nowhere(httpserver, backend, caplog, monkeypatch):
    """Neither in errors nor in what is logged, not even where the server repeats it."""
    caplog.set_level(logging.DEBUG)
    outcomes = []
    for status in (200, 400, 401, 403, 404, 429, 500):
        httpserver.clear()
        for path in (CHAT, "/v1/completions"):
            httpserver.expect_request(path).respond_with_json(
                {"error": {"message": " ".join([KEY] * 20), "code": KEY}}, status=status
            )
        for request in (ask(), ask(chat=False)):
            try:
                outcomes += [repr(outcome) for outcome in backend.answers([request])]
            except Unavailable:
                outcomes.append(traceback.format_exc())
    assert len(outcomes) == 14
    shown = "\n".join(outcomes) + caplog.text + repr(backend) + repr(backend.identity) + repr(vars(backend))
    assert KEY[:5] not in shown
    assert "HTTP" in caplog.text, "the package logged something"


def test_a_key_that_is_not_there(httpserver, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(Unavailable, match="OPENAI_API_KEY holds no key.*key_variable: null"):
        list(OpenAIBackend("m", httpserver.url_for("/v1")).answers([ask()]))
    httpserver.expect_request(CHAT).respond_with_json(said())
    assert only(OpenAIBackend("m", httpserver.url_for("/v1"), key_variable=None)).text == "aspirin"


@pytest.mark.parametrize(
    "settings, what",
    [
        ({"grammar": "ebnf"}, "grammar"),
        ({"base_url": "localhost:80"}, "base_url"),
        ({"base_url": "http://u:secret@h/v1"}, "key_variable"),
        ({"base_url": "http://h/v1?key=secret"}, "key_variable"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_wrong_settings_are_refused(settings, what):
    with pytest.raises(VanerError, match=what) as refused:
        OpenAIBackend("m", **settings)
    assert "secret" not in str(refused.value)


def test_what_tells_answers_apart_is_in_the_identity():
    one = dict(model="m", base_url="http://h/v1")
    other = [{"model": "n"}, {"base_url": "http://i/v1"}, {"more": {"effort": "low"}}, {"grammar": "regex"}]
    identities = [OpenAIBackend(**{**one, **change}).identity for change in [{}, *other]]
    assert len({ask().key(identity) for identity in identities}) == 5
    same = OpenAIBackend(**one, timeout=3, retries=0, concurrency=9)
    assert same.identity == identities[0]


def test_a_text_that_utf_8_cannot_hold_fails_alone(httpserver, backend):
    httpserver.expect_request(CHAT).respond_with_json(said())
    outcomes = dict(backend.answers([ask("\ud800"), ask()]))
    assert isinstance(outcomes[1], Answer)


@pytest.mark.parametrize(
    "text", ["Aspirin (acetylsalicylic acid) inhibits COX-1.", "α-синуклеин 12.5 µg/ml\n\n😀"]
)
def test_the_estimate_is_not_too_low(text):
    assert 0 < OpenAIBackend("m").count(text) <= len(text.encode())
    assert OpenAIBackend("m").count("aspirin  12.5\nα") == 3 + 1 + 4 + 1 + 2
    assert OpenAIBackend("m").count_prompt([Message("user", text)]) > OpenAIBackend("m").count(text)
