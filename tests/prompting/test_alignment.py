"""Lines of free answers -> tags of words."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.errors import VanerError
from vaner.prompting.alignment import tags_of_answer

WORDS = ["Aspirin", "cured", "the", "flu"]
RIGHT = "Aspirin:B-Chemical\ncured:O\nthe:O\nflu:B-Disease"
TAGS = ["B-Chemical", "O", "O", "B-Disease"]
TYPES = ["Chemical", "Disease"]


def read(answer, how="index", words=WORDS, types=TYPES, **options):
    aligned = tags_of_answer(words, answer, how, types=types, **options)
    assert len(aligned.tags) == len(words)
    return aligned.tags, dict(aligned.lost)


@pytest.mark.parametrize("how", ["index", "difflib", "exact", "fuzzy"])
@pytest.mark.parametrize(
    "answer, skipped",
    [
        (RIGHT, 0),
        (RIGHT.replace(":", " : "), 0),
        (f"```\n{RIGHT}\n```\n", 0),
        (f"Here are the tags:\nToken : Tag\n\n{RIGHT}\n\nI hope this helps: tell me!", 3),
        ("\n".join(f"{i}. {line}" for i, line in enumerate(RIGHT.split("\n"), 1)), 0),
        ("\n".join(f"- `{line.replace(':', '`: **')}**" for line in RIGHT.split("\n")), 0),
        (RIGHT.lower().replace("aspirin", "Aspirin"), 0),
        (RIGHT.replace("\n", "\r\n"), 0),
        (RIGHT.replace("B-", "S-"), 0),
    ],
)
def test_dressed_up_answers_say_the_same(answer, skipped, how):
    assert read(answer, how) == (TAGS, {"text around the answer": skipped} if skipped else {})


def test_what_is_missing_is_no_o():
    short = "\n".join(RIGHT.split("\n")[:2])
    assert read(short) == (["B-Chemical", "O", None, None], {"wrong line count": 1})
    assert read(short, "difflib") == (["B-Chemical", "O", None, None], {"wrong line count": 1})
    assert read("") == ([None] * 4, {"malformed answer": 1})
    assert read("I cannot do that.", "exact") == (
        [None] * 4,
        {"text around the answer": 1, "malformed answer": 1},
    )


def test_a_line_left_out_shifts_the_index_but_not_difflib():
    left_out = "cured:O\nthe:O\nflu:B-Disease"
    assert read(left_out)[0] == ["O", "O", "B-Disease", None]
    assert read(left_out, "difflib")[0] == [None, "O", "O", "B-Disease"]
    assert read(left_out, "exact")[0] == ["O", "O", "O", "B-Disease"]


def test_mentions_on_lines_without_an_equal_word_are_counted():
    changed = RIGHT.replace("flu:", "influenza:")
    assert read(changed, "difflib") == (["B-Chemical", "O", "O", None], {"not in the text": 1})
    assert read(changed, "exact") == (["B-Chemical", "O", "O", "O"], {"not in the text": 1})


@pytest.mark.parametrize(
    "tag, cause",
    [("Chemical", "invalid tag"),
     ("B-Gene", "unknown type"), ("", "invalid tag"), ("B", "invalid tag"), ("X-Chemical", "invalid tag")],
)  # fmt: skip
def test_tags_that_may_not_be_are_counted_and_keep_their_line(tag, cause):
    answer = RIGHT.replace("Aspirin:B-Chemical", f"Aspirin:{tag}")
    assert read(answer) == ([None, *TAGS[1:]], {cause: 1})
    # Also where the word has no separator at all, in the middle.
    assert read(RIGHT.replace("the:O", "the"))[0] == ["B-Chemical", "O", None, "B-Disease"]


def test_words_that_hold_the_separator():
    words = [":", "a:b", "-", "1.", "O"]
    tags = ["O", "B-Disease", "I-Disease", "O", "O"]
    answer = "\n".join(f"{word}:{tag}" for word, tag in zip(words, tags, strict=True))
    assert read(answer, "difflib", words) == (tags, {})
    assert read("x:B-Gene:Product", words=["x"], types=["Gene:Product"]) == (["B-Gene:Product"], {})


def test_long_answers_keep_autojunk_as_the_paper_has_it():
    words = ["the", "cat"] * 150
    answer = "\n".join(f"{word}:O" for word in words)
    assert read(answer, "difflib", words)[0] == ["O"] * 300
    # A word on more than one line in a hundred is none that a run of equal words is looked for from.
    assert read(f"a:O\n{answer}", "difflib", words)[0] == [None] * 300


def test_repeats_are_placed_in_order_or_everywhere():
    words = "A B A B A".split()
    assert read("A:B-Disease", "exact", words)[0] == ["B-Disease", "O", "B-Disease", "O", "B-Disease"]
    assert read("A:B-Disease", "exact", words, every=False)[0] == ["B-Disease", "O", "O", "O", "O"]
    assert read("A:B-Disease\nA:B-Disease", "exact", words)[0] == ["B-Disease", "O", "B-Disease", "O", "O"]


def test_types_may_be_left_open():
    assert read("Aspirin:B-Drug\ncured:I-x", types=None)[0] == ["B-Drug", "I-x", None, None]


def test_an_unknown_alignment_is_refused_with_a_hint():
    with pytest.raises(VanerError, match="did you mean difflib"):
        read(RIGHT, "diflib")


@given(
    st.lists(st.text(max_size=12), max_size=8),
    st.text(max_size=200),
    st.sampled_from(["index", "difflib", "exact", "fuzzy"]),
)
def test_no_answer_raises(words, answer, how):  # fmt: skip
    words = [word for word in words if word.strip()] or ["a"]
    assert len(tags_of_answer(words, answer, how).tags) == len(words)
    jumbled = RIGHT + answer
    shuffled = "".join(random.Random(1).sample(jumbled, len(jumbled)))
    assert len(tags_of_answer(words, shuffled, how, types=TYPES).tags) == len(words)
