"""An answer's text, token by token."""

from __future__ import annotations

import pytest

from vaner.prompting.backends.chat_tokens import ChatTokens
from vaner.prompting.backends.written import Written


@pytest.fixture(scope="module")
def tokens(chat_tokenizer):
    return ChatTokens(chat_tokenizer)


@pytest.mark.parametrize("text", ["Naloxone : O\n", "α-β 😀 é\U0001f469‍⚕️ İ", "�x�", ""])
def test_text_is_whole_and_every_token_has_its_end(tokens, text):
    written = Written(tokens)
    ids = tokens.text(text)
    for number in ids:
        written.add(number, -1.0)
    written.end()
    assert written.text == text and written.count == len(ids)
    ends = [end for end, _ in written.chosen()]
    assert len(ends) == len(ids) and ends == sorted(ends)
    assert not text or ends[-1] == len(text)
    # By its end alone the text up to each token is known: what is whole of it is written there.
    for number, end in enumerate(ends):
        assert text[:end].startswith(tokens.written(ids[: number + 1]).rstrip("�")) or "�" in text


def test_tokens_that_share_a_character_end_together(tokens):
    ids = tokens.text("a😀b")
    assert len(ids) > 3
    written = Written(tokens)
    for number in ids:
        written.add(number, 0.0)
    assert [end for end, _ in written.chosen()] == [1, *[2] * (len(ids) - 2), 3]


def test_an_unfinished_character_is_said(tokens):
    written = Written(tokens)
    for number in tokens.text("a😀")[:-1]:
        written.add(number)
    assert written.text == "a"
    written.end()
    assert written.text == "a�"


def test_a_stop_text_is_cut_off_with_what_follows(tokens):
    written = Written(tokens, stop=["\n\n", " stop"])
    for number in tokens.text("one two stop three"):
        written.add(number, -0.5)
        if written.stopped:
            break
    assert written.stopped and written.text == "one two"
    ends = [end for end, _ in written.chosen()]
    assert ends[-1] == len("one two") and max(ends) == ends[-1]
