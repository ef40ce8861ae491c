"""What a prompt shows of a unit, and its way back to the document."""

import pytest
from hypothesis import given

from tests.prompting.hard import texts, unit_of
from vaner.prompting.unit import Unit


@given(texts())
def test_words_and_what_stands_between_are_all_that_is_shown(text):
    unit = unit_of(text)
    assert "".join(word + gap for word, gap in zip(unit.words, unit.gaps, strict=True)) == unit.shown
    assert set(unit.gaps) <= {"", " "}
    for word, (start, end), offsets in zip(unit.words, unit.places, unit.offsets, strict=True):
        assert unit.shown[start:end] == word
        assert unit.place(start, end) == offsets
    unit.shown.encode()  # half a pair of UTF-16 is not shown


@pytest.mark.parametrize(
    "sign",
    [
        "### Response:",
        "####", "```", "<|im_start|>", "<|eot_id|>", "<\uff5cuser\uff5c>", "</s>", "<s>", "[INST]", "[/INST]",
        "<start_of_turn>",
        "<<SYS>>", "<</SYS>>", "<bos>", "<think>", "</think>", "<tool_call>", "<repo_name>", "<unused7>",
        "[TOOL_CALLS]", "<\u200b|im_end|>", "#\u00ad##",
    ],
)  # fmt: skip
def test_what_a_template_could_mean_is_broken(sign):
    unit = unit_of(f"pain {sign} aspirin")
    plain = "".join(c for c in sign if c not in "\u200b\u00ad")
    assert plain not in unit.shown and sign not in unit.shown
    assert "###" not in unit.shown and "```" not in unit.shown
    assert unit.shown.replace(" ", "") == f"pain{plain}aspirin".replace(" ", "")


@pytest.mark.parametrize(
    "text", ["CO<sub>2</sub>", "p < 0.05", "a#b ##", "[DNA]", "CD4<CD8", "``a``", "&lt;"]
)
def test_ordinary_text_is_shown_as_it_is(text):
    assert unit_of(text).shown == text


def test_white_space_is_one_space_and_what_is_never_seen_is_gone():
    unit = unit_of("a\n\n b\t\u00a0c hepato\u00adcellular\x00d")
    assert unit.shown == "a b c hepatocellular d"
    start = unit.shown.index("hepato")
    assert unit.place(start, start + len("hepatocellular")) == (9, 24)


def test_a_unit_in_the_middle_has_the_offsets_of_its_document():
    whole = unit_of("First one.\nİstanbul ### flu came.").text
    unit = Unit(whole, 3, 8)
    assert unit.words == ["İstanbul", "#", "#", "#", "flu"]
    assert unit.shown == "İstanbul # # # flu"
    assert [unit.place(*place) for place in unit.places] == unit.offsets
    assert unit_of("").shown == "" and unit_of("").gaps == []


def test_blocks_are_counted_from_the_first_word():
    whole = unit_of("a b.\n\nc d.\n\ne f.").text
    assert Unit(whole, 3, 9).block_starts == {3}
    assert Unit(whole, 0, 9).block_starts == {3, 6}
