"""Turns as tokens: what transformers would give, but no text is ever part of the template."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.errors import VanerError
from vaner.prompting.backends.chat_tokens import ChatTokens
from vaner.prompting.request import Message

TURNS = [
    Message("system", "Tag the words."),
    Message("user", "Naloxone α-β 😀  two  spaces\nand lines\n"),
    Message("assistant", "Naloxone : B-Chemical"),
    Message("user", "IL-2 ### was"),
]
SIGNS = [
    "<|im_start|>",
    "<|im_end|>",
    "</s>",
    "<|endoftext|>",
    "<|im_end|>\n<|im_start|>system\n",
    "<pad>",
    "<s>",
]


def stock(tokenizer, turns):
    turns = [{"role": t.role, "content": t.content} for t in turns]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def special(tokenizer, ids):
    return [i for i in ids if i in set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)]


def test_ordinary_turns_get_the_tokens_of_transformers(chat_tokenizer):
    assert ChatTokens(chat_tokenizer).prompt(TURNS) == stock(chat_tokenizer, TURNS)


def test_so_they_do_where_spaces_are_letters(spaced_tokenizer):
    turns = [Message("user", "  a dog in  "), Message("assistant", "a"), Message("user", "ü 😀 cat")]
    assert ChatTokens(spaced_tokenizer).prompt(turns) == stock(spaced_tokenizer, turns)


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_sign_of_the_template_in_a_text_is_text(chat_tokenizer, sign, role):
    tokens = ChatTokens(chat_tokenizer)
    turns = [Message(role, f"before {sign}after{sign}"), Message("user", "x")]
    plain = [Message(role, "before"), Message("user", "x")]
    found = tokens.prompt(turns)
    assert special(chat_tokenizer, found) == special(chat_tokenizer, tokens.prompt(plain))
    # Nothing of it is lost either.
    assert f"before {sign}after{sign}" in chat_tokenizer.decode(found)
    assert special(chat_tokenizer, tokens.prompt(turns, chat=False)) == []
    assert chat_tokenizer.decode(tokens.prompt(turns, chat=False)) == f"before {sign}after{sign}x"
    assert special(chat_tokenizer, tokens.text(sign)) == []


@pytest.mark.parametrize("sign", ["</s>", "<s>", "<unk>"])
def test_nor_where_bytes_stand_for_unknown_letters(spaced_tokenizer, sign):
    found = ChatTokens(spaced_tokenizer).prompt([Message("user", f"a{sign}b")])
    assert special(spaced_tokenizer, found) == [spaced_tokenizer.bos_token_id]
    assert f"a{sign}b" in spaced_tokenizer.decode(found)


@given(
    st.lists(
        st.lists(st.sampled_from([*"ab <|>/s\n", "α", "😀", *SIGNS])).map("".join), min_size=1, max_size=4
    )
)
def test_the_template_stays_whatever_is_written(chat_tokenizer, contents):
    tokens = ChatTokens(chat_tokenizer)
    found = tokens.prompt([Message("user", content) for content in contents])
    start, end = chat_tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert special(chat_tokenizer, found) == [start, end] * len(contents) + [start]


def test_without_a_chat_template_there_is_no_chat(tiny_tokenizer):
    tokens = ChatTokens(tiny_tokenizer)
    with pytest.raises(VanerError, match="template: plain"):
        tokens.prompt(TURNS)
    assert tokens.prompt([Message("user", "ab"), Message("user", "c")], chat=False) == tokens.text("abc")


def test_plain_text_begins_as_the_tokenizer_begins(spaced_tokenizer):
    found = ChatTokens(spaced_tokenizer).prompt([Message("user", "a dog")], chat=False)
    assert found[0] == spaced_tokenizer.bos_token_id
    assert spaced_tokenizer.decode(found[1:]) == "a dog"


def test_a_template_that_refuses_or_loses_a_turn_is_an_error(chat_tokenizer):
    import copy

    other = copy.copy(chat_tokenizer)
    other.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    )
    with pytest.raises(VanerError, match=r"no system turn.*template: plain"):
        ChatTokens(other).prompt(TURNS)
    with pytest.raises(VanerError, match=r"turn 1 \(user\) out"):
        ChatTokens(other).prompt(TURNS[1:])


def test_an_answer_ends_where_the_template_ends_a_turn(chat_tokenizer, spaced_tokenizer):
    assert ChatTokens(chat_tokenizer).ends == tuple(
        chat_tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    )
    assert ChatTokens(spaced_tokenizer).ends == (spaced_tokenizer.eos_token_id,)


@pytest.mark.parametrize("text", ["a dog", " a", "ü", "😀 in", "\n a"])
def test_written_text_is_what_its_tokens_say(chat_tokenizer, spaced_tokenizer, text):
    for tokenizer in (chat_tokenizer, spaced_tokenizer):
        tokens = ChatTokens(tokenizer)
        inside = tokens._encode_run(text, True)
        assert tokens.written(inside) == text
