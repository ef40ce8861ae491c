"""In: a GGUF file of a small instruct model. Out: answers of a real llama.cpp server in this process.

The model is ``$VANER_INSTRUCT_GGUF``, such as Qwen2.5-Coder-0.5B-Instruct.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vaner.errors import VanerError
from vaner.prompting.backends.llamacpp import LlamaCppBackend
from vaner.prompting.request import (
    CUT_OFF,
    STOPPED,
    Answer,
    Failure,
    Grammar,
    Message,
    Request,
    Sampling,
    Unavailable,
)
from vaner.prompting.sending import Sender
from vaner.prompting.store import RequestStore


def ask(text="Name a painkiller in one word.", tokens=6, **more) -> Request:
    return Request((Message("user", text),), tokens, **more)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(VanerError, match="there is no such GGUF file"):
        LlamaCppBackend(tmp_path / "none.gguf")


def test_the_file_is_told_by_its_content_never_by_its_path(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"the same")
    one, other = (LlamaCppBackend(tmp_path / name).identity for name in ("a.gguf", "b.gguf"))
    assert one == other and "a.gguf" not in str(one) and len(one["sha256"]) == 64


def test_answers_are_replayed_without_the_file(tmp_path):
    backend = LlamaCppBackend(tmp_path / "gone.gguf", sha256="ab" * 32)
    with RequestStore(tmp_path / "s.db") as store:
        store.put(ask(), backend.identity, Answer("aspirin"))
    with RequestStore(tmp_path / "s.db", replay=True) as store:
        assert dict(Sender(backend, store).send([ask()])) == {0: Answer("aspirin")}


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(VanerError, match=r"pip install 'vaner\[llamacpp\]'"):
        list(LlamaCppBackend(tmp_path / "a.gguf").answers([ask()]))


def test_turns_that_the_template_has_no_place_for_are_refused_in_one_line(tmp_path, httpserver):
    httpserver.expect_request("/apply-template").respond_with_json(
        {"error": {"message": "roles must\nalternate"}}, 500
    )
    (tmp_path / "a.gguf").write_bytes(b"x")
    backend = LlamaCppBackend(tmp_path / "a.gguf")
    backend._made = SimpleNamespace(listening_address=httpserver.url_for("").rstrip("/"))
    with pytest.raises(
        VanerError, match="a.gguf: llama.cpp cannot count this prompt .*roles must"
    ) as refused:
        backend.count_prompt(ask().messages)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_file_of_another_kind_stops_the_run(tmp_path):
    pytest.importorskip("xllamacpp")
    (tmp_path / "a.gguf").write_bytes(b"no model at all" * 100)
    with pytest.raises(Unavailable, match="a.gguf: llama.cpp cannot load it"):
        list(LlamaCppBackend(tmp_path / "a.gguf").answers([ask()]))


@pytest.fixture(scope="module")
def backend():
    pytest.importorskip("xllamacpp")
    path = os.environ.get("VANER_INSTRUCT_GGUF")
    if not path or not Path(path).is_file():
        pytest.skip("VANER_INSTRUCT_GGUF names no file")
    made = LlamaCppBackend(path, context=512, concurrency=2)
    yield made
    made.close()


def only(backend, request):
    ((_, outcome),) = backend.answers([request])
    return outcome


@pytest.mark.slow
def test_a_free_answer(backend):
    answer = only(backend, ask(logprobs=True))
    assert isinstance(answer, Answer) and answer.text
    assert (
        answer.prompt_tokens
        == backend.count_prompt(ask().messages)
        > backend.count(ask().messages[0].content)
    )
    assert answer.model == "gguf" and os.environ["VANER_INSTRUCT_GGUF"] not in repr(answer)
    assert answer.tokens and answer.tokens[-1][0] == len(answer.text)
    assert all(logprob <= 0 for _, logprob in answer.tokens)
    assert only(backend, ask()).text == answer.text, "greedy"
    assert only(backend, ask("Count from 1 to 100.", 3)).finish == CUT_OFF


@pytest.mark.slow
def test_a_text_without_a_template(backend):
    answer = only(backend, ask("1, 2, 3, 4,", 3, chat=False, logprobs=True))
    assert "5" in answer.text
    assert answer.prompt_tokens == backend.count_prompt([Message("user", "1, 2, 3, 4,")], chat=False)
    assert answer.tokens and answer.tokens[-1][0] == len(answer.text)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gbnf", "lark", "json_schema"])
def test_an_answer_is_held_to_its_grammar(backend, kind):
    words = ["α-syn : B-Gene", "α-syn : O"]
    grammar = {
        "gbnf": Grammar(gbnf='root ::= "α-syn : " ("B-Gene" | "O")'),
        "lark": Grammar(lark='start: "α-syn : " ("B-Gene" | "O")'),
        "json_schema": Grammar(json_schema=json.dumps({"enum": words})),
    }[kind]
    answer = only(backend, ask("Hello", 20, grammar=grammar))
    assert answer.finish == STOPPED
    assert (json.loads(answer.text) if kind == "json_schema" else answer.text) in words


@pytest.mark.slow
def test_a_grammar_that_is_none_fails_alone(backend):
    outcomes = dict(backend.answers([ask(grammar=Grammar(gbnf="root ::= (")), ask(tokens=1)]))
    assert isinstance(outcomes[0], Failure) and "grammar" in outcomes[0].why
    assert isinstance(outcomes[1], Answer)


@pytest.mark.slow
def test_the_same_seed_draws_the_same(backend):
    def draw(seed):
        return only(backend, ask("Write five random letters.", 8, sampling=Sampling(1.5, 1.0, seed))).text

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(1, 5)}) > 1


@pytest.mark.slow
def test_a_prompt_that_is_too_long_fails_alone(backend):
    outcomes = dict(backend.answers([ask("word " * 2000), ask(tokens=1), ask("Hello", 1)]))
    assert isinstance(outcomes[0], Failure) and "context" in outcomes[0].why
    assert isinstance(outcomes[1], Answer) and isinstance(outcomes[2], Answer)
