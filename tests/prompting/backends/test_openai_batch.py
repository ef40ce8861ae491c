"""In: an imitation of the Batch API. Out: each request is sent once, also by a run that was interrupted."""

from __future__ import annotations

import json
import re

import pytest
from werkzeug import Request as Called
from werkzeug import Response

from vaner.prompting.backends import openai_batch
from vaner.prompting.backends.openai import OpenAIBackend
from vaner.prompting.request import Answer, Failure, Message, Request, Unavailable
from vaner.prompting.sending import Sender
from vaner.prompting.store import RequestStore

KEY = "sk-recognisable-7f3a"


def ask(text, **more) -> Request:
    return Request((Message("user", text),), 50, **more)


def json_response(body, status=200):
    return Response(json.dumps(body), status, content_type="application/json")


class Service:
    """Files and batches; each batch needs two questions before it is done."""

    def __init__(self, server):
        self.files: dict[str, str] = {}
        self.batches: dict[str, dict] = {}
        self.status = "completed"
        server.expect_request("/v1/files", method="POST").respond_with_handler(self.upload)
        server.expect_request("/v1/batches", method="POST").respond_with_handler(self.create)
        server.expect_request(_starts("/v1/batches/"), method="GET").respond_with_handler(self.retrieve)
        server.expect_request(_starts("/v1/files/"), method="GET").respond_with_handler(self.content)

    def upload(self, called: Called) -> Response:
        assert called.form["purpose"] == "batch"
        name = f"file-{len(self.files)}"
        self.files[name] = called.files["file"].read().decode()
        return json_response({"id": name, "object": "file"})

    def create(self, called: Called) -> Response:
        asked = called.get_json()
        name = f"batch-{len(self.batches)}"
        self.batches[name] = {"left": 2, **asked}
        return json_response(self.said(name, "validating"))

    def said(self, name, status, **more):
        batch = self.batches[name]
        return {"id": name, "object": "batch", "status": status, "endpoint": batch["endpoint"], "created_at": 0,
                "completion_window": "24h", "input_file_id": batch["input_file_id"], **more}  # fmt: skip

    def retrieve(self, called: Called) -> Response:
        name = called.path.split("/")[-1]
        if name not in self.batches:
            return json_response({"error": {"message": "no such batch"}}, 404)
        batch = self.batches[name]
        batch["left"] -= 1
        if batch["left"] > 0:
            return json_response(self.said(name, "in_progress"))
        if self.status == "failed":
            errors = {
                "data": [{"code": "token_limit", "message": f"too many tokens for {KEY}"}],
                "object": "list",
            }
            return json_response(self.said(name, "failed", errors=errors))
        good, bad = [], []
        for line in self.files[batch["input_file_id"]].splitlines():
            read = json.loads(line)
            text = (
                read["body"]["messages"][0]["content"]
                if "messages" in read["body"]
                else read["body"]["prompt"]
            )
            if text == "left out":
                continue
            if text == "bad":
                body = {"error": {"message": f"no {KEY}", "code": "invalid"}}
                bad.append(
                    {
                        "custom_id": read["custom_id"],
                        "response": {"status_code": 400, "body": body},
                        "error": None,
                    }
                )
                continue
            choice = {"finish_reason": "stop", "text": text.upper(), "message": {"content": text.upper()}}
            body = {
                "model": "m-1",
                "choices": [choice],
                "usage": {"prompt_tokens": 7, "completion_tokens": 2},
            }
            good.append(
                {
                    "custom_id": read["custom_id"],
                    "response": {"status_code": 200, "body": body},
                    "error": None,
                }
            )
        # In any order, and a line's text may hold what other readers take for the end of a line.
        self.files[name + "-out"] = "".join(
            json.dumps(line, ensure_ascii=False) + "\n" for line in reversed(good)
        )
        self.files[name + "-bad"] = "".join(json.dumps(line) + "\n" for line in bad)
        return json_response(
            self.said(
                name, self.status, output_file_id=name + "-out", error_file_id=name + "-bad" if bad else None
            )
        )

    def content(self, called: Called) -> Response:
        return Response(self.files[called.path.split("/")[-2]], content_type="application/jsonl")


def _starts(path):
    return re.compile(re.escape(path) + ".+")


@pytest.fixture
def service(httpserver, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("INITIAL_RETRY_DELAY", "MAX_RETRY_DELAY"):
        monkeypatch.setattr(f"openai._base_client.{name}", 0.01)
    return Service(httpserver)


def backend(httpserver, notes=None, **more) -> OpenAIBackend:
    return OpenAIBackend(
        "m", httpserver.url_for("/v1"), batch_api=True, poll_seconds=0.01, notes=notes, retries=1, **more
    )


def test_each_line_finds_its_request(httpserver, service):
    made = backend(httpserver)
    texts = ["a", "b\u2028c", "bad", "a", "left out"]
    requests = [*(ask(text) for text in texts), ask("plain", chat=False)]
    outcomes = dict(made.answers(requests))
    assert [getattr(outcomes[n], "text", None) for n in range(6)] == [
        "A",
        "B\u2028C",
        None,
        "A",
        None,
        "PLAIN",
    ]
    assert outcomes[0].prompt_tokens == 7 and outcomes[0].model == "m-1"
    assert outcomes[2] == Failure("batch: no [key]")
    assert "no line of it in the results" in outcomes[4].why
    assert sorted(batch["endpoint"] for batch in service.batches.values()) == [
        "/v1/chat/completions",
        "/v1/completions",
    ]
    assert len(service.files["file-0"].splitlines()) == 4, "the same request is sent once"
    assert not made.notes


def test_an_interrupted_run_finds_its_batch_again(httpserver, service, tmp_path, monkeypatch):
    requests = [ask("a"), ask("b")]

    def interrupt(_):
        raise KeyboardInterrupt

    with RequestStore(tmp_path / "s.db") as store:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(openai_batch.time, "sleep", interrupt)
            list(Sender(backend(httpserver, store.notes), store).send(requests))
        assert len(store.notes) == 2
    with RequestStore(tmp_path / "s.db") as store:
        sender = Sender(backend(httpserver, store.notes), store)
        outcomes = dict(sender.send([*requests, ask("new")]))
        assert [outcomes[n].text for n in range(3)] == ["A", "B", "NEW"]
        assert not store.notes
    assert len(service.batches) == 2
    assert len(service.files["file-0"].splitlines()) == 2
    assert KEY.encode() not in (tmp_path / "s.db").read_bytes()


def test_an_answer_that_was_not_taken_is_not_paid_again(httpserver, service):
    notes: dict[str, str] = {}
    requests = [ask("a"), ask("b")]
    answers = backend(httpserver, notes).answers(requests)
    next(answers)
    answers.close()
    assert len(notes) == 2
    assert all(isinstance(outcome, Answer) for _, outcome in backend(httpserver, notes).answers(requests))
    assert len(service.batches) == 1


@pytest.mark.parametrize(
    "status, why", [("failed", "too many tokens for [key]"), ("expired", "the batch is expired")]
)
def test_a_batch_that_comes_to_nothing_is_a_failure_of_its_requests(httpserver, service, status, why):
    service.status = status
    made = backend(httpserver)
    outcomes = dict(made.answers([ask("left out")]))
    assert why in outcomes[0].why and not made.notes


def test_a_batch_that_is_gone_is_asked_anew_by_the_next_run(httpserver, service):
    made = backend(httpserver, {"batch of " + ask("a").key(backend(httpserver).identity): "batch-9"})
    assert "no batch batch-9 any more" in dict(made.answers([ask("a")]))[0].why
    assert dict(made.answers([ask("a")]))[0].text == "A"


def test_a_server_that_cannot_be_asked_keeps_the_batch_noted(httpserver, service):
    made = backend(httpserver)
    made.notes["batch of " + ask("a").key(made.identity)] = "batch-0"
    httpserver.clear()
    with pytest.raises(Unavailable, match="batch batch-0: .*run again"):
        list(made.answers([ask("a")]))
    assert made.notes


def test_large_runs_go_in_several_files(httpserver, service, monkeypatch):
    monkeypatch.setattr(openai_batch, "MOST_REQUESTS", 2)
    outcomes = dict(backend(httpserver).answers([ask(str(n)) for n in range(5)]))
    assert sorted(outcome.text for outcome in outcomes.values()) == list("01234")
    assert len(service.batches) == 3
