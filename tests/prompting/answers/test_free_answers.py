"""What models write when nothing holds them."""

import math

import pytest

from tests.prompting.hard import keys, mention, unit_of
from vaner.prompting.answers import answer_format
from vaner.prompting.request import CUT_OFF, STOPPED, Answer

TYPES = ["Disease", "Chemical"]
UNIT = unit_of("Aspirin cured the flu, not IL-2 or aspirin.")
ASPIRIN, FLU, IL2 = (
    mention(UNIT, text, type)
    for text, type in (("Aspirin", "Chemical"), ("flu", "Disease"), ("IL-2", "Chemical"))
)


def read(name, answer, types=TYPES, how=None, finish=STOPPED, **options):
    format = answer_format(name, **options)
    return format.read(Answer(answer, finish), UNIT, types, how or format.alignments[0])


@pytest.mark.parametrize(
    "answer, lost",
    [
        ('{"mentions": [{"text": "Aspirin", "type": "Chemical"}, {"type": "disease", "text": "flu"}]}', {}),
        ('[{"entity": "Aspirin", "label": "Chemical"}, {"entity": "flu", "label": "Disease"}]', {}),
        ('{"Chemical": ["Aspirin"], "Disease": ["flu"]}', {}),
        ('{"Disease": ["flu"], "Chemical": ["Aspirin"], "Chemical": []}', {}),
        ('{"Aspirin": "Chemical", "flu": "Disease"}', {}),
        ("{'Chemical': ['Aspirin'], 'Disease': ['flu']}", {}),
        ('{"text": "Aspirin", "type": "Chemical"}\n{"text": "flu", "type": "Disease"}', {}),
        ('```json\n{"entities": {"Chemical": ["Aspirin"], "Disease": ["flu"]}}\n```', {}),
        ('Sure!\n{"Chemical": ["Aspirin"], "Disease": ["flu"]} I left out "IL-2".', {"text around the answer": 1}),
        ('{"Chemical": ["Aspirin", "ibuprofen"], "Disease": ["flu"]}', {"not in the text": 1}),
        ('{"Chemical": ["Aspirin"], "Disease": ["flu"], "Gene": ["IL-2"]}', {"unknown type": 1}),
        ('{"Chemical": ["Aspirin", "Aspirin"], "Disease": ["flu"]}', {"repeated": 1}),
        ('{"Chemical": ["Aspirin", null, ""], "Disease": ["flu"]}', {}),
    ],
)  # fmt: skip
def test_json_of_any_shape(answer, lost):
    found = read("json", answer)
    assert keys(found.mentions) == keys([ASPIRIN, FLU]) and found.lost == lost and found.unread_words == 0


def test_json_lists_of_texts_mean_the_one_type_that_was_asked():
    assert keys(read("json", '["Aspirin", "il 2"]', ["Chemical"]).mentions) == keys([ASPIRIN, IL2])
    assert {m.how for m in read("json", '["il 2"]', ["Chemical"]).mentions} == {"folded"}
    assert read("json", '["Aspirin"]').lost == {"malformed answer": 1}
    assert read("json", "There are none.").lost == {"malformed answer": 1}
    assert read("json", "There are none.").unread_words == len(UNIT.words)
    assert read("json", "{}").unread_words == 0


@pytest.mark.parametrize(
    "answer",
    [
        '{"mentions": [{"text": "Aspirin", "type": "Chemical"}, {"text": "IL-2", "ty',
        '{"Chemical": ["Aspirin", "IL',
        '{"Disease": [], "Chemical": ["Aspirin"',
    ],
)
def test_of_json_that_is_cut_off_the_whole_items_are_kept(answer):
    found = read("json", answer, finish=CUT_OFF)
    assert keys(found.mentions) == keys([ASPIRIN])
    assert found.lost == {"cut off": 1} and found.unread_words == len(UNIT.words)


def test_inline_takes_changed_text_by_its_words():
    found = read(
        "inline", "Answer: <Chemical>Aspirin</Chemical> cures <DISEASE>flu</DISEASE>, not <Gene>IL-2</Gene>"
    )
    assert keys(found.mentions) == keys([ASPIRIN, FLU])
    assert found.lost == {"unknown type": 1, "text around the answer": 1}
    assert found.unread_words == 5  # cured the or aspirin .
    assert read("inline", "<Chemical>ibuprofen</Chemical> cured the flu").lost == {"not in the text": 1}
    assert read("inline", "Aspirin</Chemical> cured the <Disease>flu").lost == {"malformed answer": 2}


def test_tags_by_their_number():
    assert keys(
        read("tags", "B-Chemical O O B-Disease O O B-Chemical I-Chemical I-Chemical O O O").mentions
    ) == keys([ASPIRIN, FLU, IL2])
    short = read("tags", "The tags are:\nB-Chemical O O B-Disease\n")
    assert short.lost == {"text around the answer": 1, "wrong line count": 1} and short.unread_words == 8
    assert read("tags", '["I-Chemical", "O", "O"]').repaired == 1
    assert read("tags", "B-Gene O X" + " O" * 9).lost == {"unknown type": 1, "invalid tag": 1}


def test_an_i_that_continues_nothing_begins_a_mention():
    answer = "\n".join(f"{word} : {'I-Chemical' if word == 'Aspirin' else 'O'}" for word in UNIT.words)
    found = read("token_tags", answer)
    assert keys(found.mentions) == keys([ASPIRIN]) and found.repaired == 1


def test_forced_answers_that_name_another_word_are_not_believed():
    answer = "\n".join(f"{word} : B-Chemical" for word in ["Ibuprofen", *UNIT.words[1:]])
    found = read("token_tags", answer, how="forced")
    assert found.lost == {"not in the text": 1} and found.unread_words == 1
    assert min(m.start for m in found.mentions) == 8


def test_scores():
    unit = unit_of("heart attack x")
    text = "heart : B-Disease\nattack : I-Disease\nx : O"
    b, i, o = text.index("B-"), text.index("I-"), len(text) - 1
    # Forced tokens are not among those chosen.
    tokens = ((b + 1, math.log(0.9)), (i + 1, math.log(0.4)), (o + 1, math.log(0.2)))
    found = answer_format("token_tags").read(Answer(text, tokens=tokens), unit, TYPES, "forced")
    assert found.mentions[0].score == pytest.approx(0.6)
    # All tokens: those of the words say nothing of the tags.
    every = tuple((end + 1, math.log(0.5 if text[end] == "-" else 0.9)) for end in range(len(text)))
    found = answer_format("token_tags").read(Answer(text, tokens=every), unit, TYPES, "index")
    assert found.mentions[0].score == pytest.approx(0.5 * 0.9 ** (len("B-Disease") - 1), rel=0.25)
    listed = '["heart attack"]'
    tokens = ((2, -9.0), (7, math.log(0.5)), (14, math.log(0.5)), (16, -9.0))
    found = answer_format("json").read(Answer(listed, tokens=tokens), unit, ["Disease"], "exact")
    assert found.mentions[0].score == pytest.approx(0.5)
    assert answer_format("json").read(Answer(listed), unit, ["Disease"], "exact").mentions[0].score is None
