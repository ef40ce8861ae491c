"""Answers of models read here, against a slow reference that reads everything again for every token."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
import torch

from vaner.errors import VanerError
from vaner.prompting.backends import open_backend
from vaner.prompting.backends.forcing import Forcing
from vaner.prompting.backends.transformers import TransformersBackend
from vaner.prompting.request import (
    CUT_OFF,
    STOPPED,
    Answer,
    Failure,
    Grammar,
    Message,
    Request,
    Sampling,
    refuse,
)

WORDS = [
    ["Naloxone", "reverses", "α", "-", "β", "😀"],
    ["IL", "-", "2"],
    ["the", "<|im_end|>", "of", "</s>", "clonidine", "in", "rats", "with", "\\n", '"']
]  # fmt: skip
SHOTS = (
    Message("system", "Tag each word of the user's text: Chemical, Disease, or none."),
    Message("user", "aspirin helps"),
    Message("assistant", "aspirin : B-Chemical\nhelps : O"),
)


def ask(words, grammar=None, shots=SHOTS, **more):
    more = {"max_tokens": 40} | more
    return Request((*shots, Message("user", " ".join(words))), grammar=grammar, **more)


def backend_of(model, tokenizer, **options):
    return TransformersBackend.of(model, tokenizer, identity={"model": "tiny"}, **options)


def collect(backend, requests):
    found = list(backend.answers(requests))
    assert sorted(number for number, _ in found) == list(range(len(requests)))
    return [answer for _, answer in sorted(found, key=lambda one: one[0])]


def reference(model, backend, request):
    """Text, finish and log-probabilities, greedily, by reading the whole row at every step with the stock model."""
    prompt = backend.tokens.prompt(request.messages, request.chat)
    ends = set(backend.tokens.ends)
    match = Forcing(backend.tokens, backend.tokens.ends).match(request.grammar) if request.grammar else None
    written, logprobs = [], []
    while len(written) < request.max_tokens:
        if match:
            written += match.forced()
            if match.over:
                return written[: request.max_tokens], STOPPED, logprobs
        if len(written) >= request.max_tokens:
            break
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + written])).logits[0, -1, : backend.tokens.size]
        if match:
            closed = torch.ones_like(logits, dtype=torch.bool)
            closed[torch.from_numpy(match.allowed())] = False
            logits = logits.masked_fill(closed, float("-inf"))
        token = int(logits.argmax())
        if token in ends:
            return written, STOPPED, logprobs
        logprobs.append(float(torch.log_softmax(logits, -1)[token]))
        written.append(token)
        if match:
            match.take(token)
    return written[: request.max_tokens], CUT_OFF, logprobs


def check(backend, model, request, answer):
    tokens, finish, logprobs = reference(model, backend, request)
    assert isinstance(answer, Answer), answer
    assert answer.text == backend.tokens.written(tokens)
    assert answer.finish == finish and answer.output_tokens == len(tokens)
    assert answer.prompt_tokens == len(backend.tokens.prompt(request.messages, request.chat))
    if request.logprobs:
        assert [logprob for _, logprob in answer.tokens] == pytest.approx(logprobs, abs=1e-3)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral"])
@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("prefix", [False, True])
def test_batched_answers_are_those_of_reading_everything_again(
    chat_tokenizer, make_generator, tag_lines, kind, forced, prefix
):
    model = make_generator(chat_tokenizer, kind)
    backend = backend_of(model, chat_tokenizer, keep=2)
    shots = SHOTS if prefix else ()
    requests = [
        ask(words, tag_lines(words) if forced else None, shots, logprobs=True, max_tokens=most)
        for words, most in [*zip(WORDS, (200, 200, 200), strict=True), (WORDS[0], 7), (WORDS[2], 23)]
    ]
    if not prefix:  # nothing in common from the first token on
        requests = [
            replace(r, messages=(Message(f"r{n}", r.messages[0].content),)) for n, r in enumerate(requests)
        ]
    requests = [replace(r, max_tokens=min(r.max_tokens, 200 if forced else 30)) for r in requests]
    for _ in range(2):
        for request, answer in zip(requests, collect(backend, requests), strict=True):
            check(backend, model, request, answer)


def test_free_and_forced_rows_share_a_batch(chat_tokenizer, make_generator, tag_lines):
    model = make_generator(chat_tokenizer)
    backend = backend_of(model, chat_tokenizer)
    tags = re.compile(r" : (O|B-Chemical|B-Disease)")
    requests = [ask(WORDS[0]), ask(WORDS[1], tag_lines(WORDS[1]), logprobs=True), ask(WORDS[2], chat=False)]
    requests += [
        ask(WORDS[2], Grammar(regex="(yes|no){1,3}")),
        ask(WORDS[1], Grammar(json_schema='{"enum":["a"]}')),
    ]
    answers = collect(backend, requests)
    for request, answer in zip(requests, answers, strict=True):
        check(backend, model, request, answer)
    assert [tags.sub("", line) for line in answers[1].text.split("\n")] == WORDS[1]
    assert re.fullmatch("(yes|no){1,3}", answers[3].text) and answers[4].text == '"a"'


@pytest.mark.parametrize("batch_size, batch_tokens", [(1, None), (2, None), (5, None), (64, 300)])
def test_an_answer_does_not_depend_on_its_batch(
    chat_tokenizer, make_generator, tag_lines, batch_size, batch_tokens
):
    model = make_generator(chat_tokenizer)
    requests = [
        ask(words, grammar, logprobs=True, sampling=Sampling(temperature, 0.9, 3), repeat=repeat)
        for words, temperature, repeat in itertools.product(WORDS, (0.0, 0.8), (0, 1))
        for grammar in (None, tag_lines(words))
    ]
    alone = [collect(backend_of(model, chat_tokenizer), [request])[0] for request in requests]
    together = collect(
        backend_of(model, chat_tokenizer, batch_size=batch_size, batch_tokens=batch_tokens), requests
    )
    for one, other in zip(alone, together, strict=True):
        assert (one.text, one.finish, one.output_tokens, one.model_steps) == (
            other.text, other.finish, other.output_tokens, other.model_steps
        )  # fmt: skip
        assert [lp for _, lp in one.tokens] == pytest.approx([lp for _, lp in other.tokens], abs=1e-3)
    drawn = [a.text for a, r in zip(alone, requests, strict=True) if r.sampling.temperature]
    assert len(set(drawn)) > len(drawn) / 2, "repeats are draws of their own"


def test_long_prompts_are_read_in_several_passes(chat_tokenizer, make_generator, monkeypatch):
    from vaner.prompting.backends import slots

    model = make_generator(chat_tokenizer)
    requests = [ask(words * times, max_tokens=8) for words, times in zip(WORDS, (1, 9, 5), strict=True)]
    monkeypatch.setattr(slots, "PASS", 30)
    monkeypatch.setattr(slots, "_GROW", 2)
    backend = backend_of(model, chat_tokenizer)
    for request, answer in zip(requests, collect(backend, requests), strict=True):
        check(backend, model, request, answer)


def test_the_output_layer_reads_one_matrix_of_last_states(chat_tokenizer, make_generator, tag_lines):
    """A strided batch of them would be multiplied row by row, each with its copy of the vocabulary's weights."""
    model = make_generator(chat_tokenizer)
    read = []
    model.get_output_embeddings().register_forward_pre_hook(lambda layer, args: read.append(args[0]))
    requests = [ask(words, tag_lines(words), max_tokens=40) for words in WORDS]
    collect(backend_of(model, chat_tokenizer), requests)
    assert any(len(states) > 1 for states in read)
    assert all(states.shape[1] == 1 and states.is_contiguous() for states in read)


def test_forced_text_is_literal_and_costs_no_passes(chat_tokenizer, make_generator, tag_lines):
    backend = backend_of(make_generator(chat_tokenizer), chat_tokenizer)
    answers = collect(
        backend, [ask(words, tag_lines(words), max_tokens=500, logprobs=True) for words in WORDS]
    )
    for words, answer in zip(WORDS, answers, strict=True):
        lines = answer.text.split("\n")
        assert [line.rsplit(" : ", 1)[0] for line in lines] == words
        assert answer.finish == STOPPED
        # Of a line only the tag is chosen.
        assert answer.model_steps < answer.output_tokens / 1.5
        # Log-probabilities are those of choices, and each lies within a tag.
        assert all(end <= len(answer.text) for end, _ in answer.tokens)
        chosen = {answer.text[:end].count("\n") for end, _ in answer.tokens}
        assert chosen == set(range(len(words)))


def test_an_answer_without_a_choice_needs_no_model(chat_tokenizer, make_generator):
    backend = backend_of(make_generator(chat_tokenizer), chat_tokenizer)
    (answer,) = collect(backend, [ask(["x"], Grammar(lark='start: "one way only α😀"'))])
    assert (answer.text, answer.model_steps, answer.finish) == ("one way only α😀", 0, STOPPED)


def test_a_grammar_is_cut_off_at_max_tokens_and_not_where_it_ends(chat_tokenizer, make_generator):
    backend = backend_of(make_generator(chat_tokenizer), chat_tokenizer)
    count = backend.count("one way only")
    grammar = Grammar(lark='start: "one way only"')
    short, exact = collect(backend, [ask(["x"], grammar, max_tokens=n) for n in (count - 1, count)])
    assert (short.finish, short.output_tokens) == (CUT_OFF, count - 1)
    assert (exact.finish, exact.text) == (STOPPED, "one way only")


def test_what_llguidance_refuses_fails_alone_with_its_reason(chat_tokenizer, make_generator):
    backend = backend_of(make_generator(chat_tokenizer), chat_tokenizer)
    bad, good = collect(backend, [ask(["x"], Grammar(lark="start: NOTHING")), ask(["y"])])
    assert isinstance(bad, Failure) and 'unknown name: "NOTHING"' in bad.why and isinstance(good, Answer)


def test_a_prompt_beyond_the_context_fails_alone(chat_tokenizer, make_generator):
    model = make_generator(chat_tokenizer, max_position_embeddings=128)
    backend = backend_of(model, chat_tokenizer)
    long, short, near = collect(
        backend,
        [ask(WORDS[2] * 9), ask(["x"], shots=()), ask(["x"] * 40, shots=(), max_tokens=500)],
    )
    assert isinstance(long, Failure) and re.search(
        r"the prompt has \d+ tokens and the model reads 128; ask", long.why
    )
    assert isinstance(short, Answer)
    assert near.finish in (CUT_OFF, STOPPED) and near.prompt_tokens + near.output_tokens <= 128


def test_the_prefix_is_read_once_and_kept(chat_tokenizer, make_generator, monkeypatch):
    from vaner.prompting.backends import slots

    model = make_generator(chat_tokenizer)
    backend = backend_of(model, chat_tokenizer, keep=2)
    read = []
    passes = slots.Rows._pass
    monkeypatch.setattr(slots.Rows, "_pass", lambda self, p: read.append(sum(map(len, p))) or passes(self, p))
    requests = [ask(words, max_tokens=1) for words in WORDS]
    answers = collect(backend, requests)
    prompt = sum(a.prompt_tokens for a in answers)
    cached = sum(a.cached_tokens for a in answers)
    assert sum(read) == prompt - cached < prompt / 1.5
    read.clear()
    again = collect(backend, requests)
    assert all(a.cached_tokens > backend.count(SHOTS[0].content) for a in again)
    assert sum(read) == sum(a.prompt_tokens - a.cached_tokens for a in again)
    # One at a time, too.
    one = collect(backend, [ask(["z", "z"], max_tokens=1)])[0]
    assert one.cached_tokens >= again[0].cached_tokens - 1
    backend.forget()
    assert collect(backend, [requests[0]])[0].cached_tokens == 0


def test_types_asked_one_by_one_share_a_prefix_each(chat_tokenizer, make_generator):
    model = make_generator(chat_tokenizer)
    backend = backend_of(model, chat_tokenizer)
    requests = [
        ask(
            words,
            shots=(Message("system", f"Mark every {kind}. {kind} means: " + "so and so " * 9),),
            max_tokens=9,
        )
        for words in WORDS
        for kind in ("Chemical", "Disease")
    ]
    answers = collect(backend, requests)
    assert sum(a.cached_tokens > 40 for a in answers) == 4
    for request, answer in zip(requests, answers, strict=True):
        check(backend, model, request, answer)


def test_stop_texts_end_an_answer(chat_tokenizer, make_generator):
    backend = backend_of(make_generator(chat_tokenizer), chat_tokenizer)
    (whole,) = collect(backend, [ask(WORDS[0], max_tokens=30)])
    stop = whole.text[len(whole.text) // 2 :][:3]
    (answer,) = collect(backend, [ask(WORDS[0], max_tokens=30, stop=(stop,), logprobs=True)])
    assert answer.finish == STOPPED and answer.text == whole.text[: whole.text.index(stop)]
    assert all(end <= len(answer.text) for end, _ in answer.tokens)


def test_an_end_token_ends_an_answer(chat_tokenizer, make_generator):
    model = make_generator(chat_tokenizer)
    backend = backend_of(model, chat_tokenizer)
    request = ask(WORDS[0], max_tokens=20)
    prompt = backend.tokens.prompt(request.messages)
    with torch.no_grad():
        third = collect(backend, [request])[0]
        # The token that came third becomes the one that ends an answer.
        ids, _, _ = reference(model, backend, request)
    backend.tokens.__dict__["ends"] = (ids[2],)
    (answer,) = collect(backend, [request])
    count = ids.index(ids[2])
    assert (answer.finish, answer.output_tokens, answer.model_steps) == (STOPPED, count, count)
    assert third.text.startswith(answer.text) and answer.prompt_tokens == len(prompt)


def test_a_model_in_training_is_left_as_it_was(chat_tokenizer, make_generator):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        make_generator(chat_tokenizer), LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
    )
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    model.train()
    backend = backend_of(model, chat_tokenizer)
    before = model.get_base_model().config._attn_implementation
    answers = backend.answers([ask(words, max_tokens=5) for words in WORDS])
    next(answers)
    assert model.training and model.get_base_model().config._attn_implementation == before
    list(answers)
    model.eval()
    check(backend, model, ask(WORDS[0]), collect(backend, [ask(WORDS[0])])[0])
    with model.disable_adapter():
        other = collect(backend, [ask(WORDS[0])])[0]
    assert other.text != collect(backend, [ask(WORDS[0])])[0].text


def test_folders_of_models_adapters_and_backbones(chat_tokenizer, make_generator, tmp_path):
    from peft import LoraConfig, get_peft_model

    model = make_generator(chat_tokenizer, tie_word_embeddings=True)
    whole, bare, headless, tuned = (str(tmp_path / n) for n in ("whole", "bare", "headless", "tuned"))
    model.save_pretrained(whole)
    model.model.save_pretrained(bare)
    make_generator(chat_tokenizer).model.save_pretrained(headless)
    for folder in (whole, bare, headless, tuned):
        chat_tokenizer.save_pretrained(folder)
    requests = [ask(words, max_tokens=9) for words in WORDS]
    wanted = [a.text for a in collect(backend_of(model, chat_tokenizer), requests)]
    for folder in (whole, bare):
        backend = open_backend("transformers", folder, dtype="float32", device="cpu")
        assert [a.text for a in collect(backend, requests)] == wanted
        assert backend.identity["model"] == folder.rsplit("/", 1)[-1]
        assert not any(str(tmp_path) in value for value in backend.identity.values())
    with pytest.raises(VanerError, match=r"has no lm_head.weight, so it cannot write"):
        open_backend("transformers", headless)

    adapted = get_peft_model(
        make_generator(chat_tokenizer, tie_word_embeddings=True), LoraConfig(r=2, target_modules=["q_proj"])
    )
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    adapted.peft_config["default"].base_model_name_or_path = whole
    adapted.save_pretrained(tuned)
    of_folder = open_backend("transformers", tuned, dtype="float32")
    of_model = backend_of(adapted, chat_tokenizer)
    texts = [a.text for a in collect(of_folder, requests)]
    assert texts == [a.text for a in collect(of_model, requests)] != wanted
    assert of_folder.identity["weights"] != open_backend("transformers", whole).identity["weights"]
    of_folder.close()


def test_what_it_is_asked_beyond_is_refused(chat_tokenizer, tiny_tokenizer, make_generator):
    backend = backend_of(make_generator(chat_tokenizer), chat_tokenizer)
    with pytest.raises(VanerError, match=r"cannot hold an answer to this grammar \(gbnf; it takes"):
        refuse(backend, [ask(["x"], Grammar(gbnf="root ::= x"))])
    refuse(
        backend, [ask(["x"], Grammar(lark="start: X"), logprobs=True, sampling=Sampling(seed=1), chat=False)]
    )
    without = backend_of(make_generator(tiny_tokenizer), tiny_tokenizer)
    with pytest.raises(VanerError, match="template: plain"):
        list(without.answers([ask(["x"])]))
    assert isinstance(collect(without, [ask(["x"], chat=False)])[0], Answer)


def test_unknown_backends_and_options_are_named():
    with pytest.raises(VanerError, match=r"unknown 'transformer' \(did you mean transformers\?\)"):
        open_backend("transformer", "x")
    with pytest.raises(VanerError, match=r"no option 'batchsize' \(did you mean batch_size\?\)"):
        open_backend("transformers", "x", batchsize=3)


@pytest.mark.slow
def test_the_embedded_model_writes_sense():
    backend = open_backend("transformers", "smollm2-135m", dtype="float32", device="cpu")
    capital = Request((Message("user", "What is the capital of France?"),), max_tokens=12)
    words = ["Naloxone", "α", "😀", "<|im_end|>", "</s>"]
    lark = "start: " + " ".join(f'"{w} :" T "\\n"' for w in words) + '\nT: " O" | " B-Chemical"\n'
    forced = Request((Message("user", " ".join(words)),), max_tokens=200, grammar=Grammar(lark=lark))
    free, held = collect(backend, [capital, forced])
    assert "Paris" in free.text and free.finish == STOPPED
    assert [line.split(" : ")[0] for line in held.text.splitlines()] == words
    assert held.model_steps < held.output_tokens / 2
    assert capital.max_tokens >= free.output_tokens and backend.identity["model"] == "smollm2-135m"
