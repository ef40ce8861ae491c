"""vaner.evaluation.answers: gold of any spelling, answers of any kind, and what is wrong with a line."""

import json

import pytest

from vaner.document import Document
from vaner.errors import FormatError
from vaner.evaluation.answers import NO_PREFIX, OTHER_SPELLING, STARTS_WITH_I, predicted, read_answers
from vaner.report import SKIPPED, Report

GOOD = {"id": "1", "tokens": ["No", "high", "fever"], "gold": ["O", "B-Sign", "I-Sign"], "answer": "No : O"}


def read(tmp_path, *lines, on_error="raise", ending="\n"):
    path = tmp_path / "a.jsonl"
    rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_bytes((ending.join(rows) + ending).encode())
    report = Report()
    return list(read_answers(path, on_error=on_error, report=report)), report


def gold(tmp_path, *tags):
    (one,), report = read(
        tmp_path, {**GOOD, "tokens": [f"w{i}" for i in range(len(tags))], "gold": list(tags)}
    )
    return one.gold, report.counts


def test_a_line_is_a_document_of_its_tokens(tmp_path):
    (one,), report = read(tmp_path, {**GOOD, "tokens": ["a b", "c:d", "e"], "model": "any"})
    assert one.document.text == "a b c:d e" and one.document.words == [(0, 3), (4, 7), (8, 9)]
    assert [s.key for s in one.document.spans] == [(4, 9, "Sign")]
    assert one.gold == GOOD["gold"] and one.answer == "No : O" and not report.counts


@pytest.mark.parametrize(
    ("tags", "read_as", "counts"),
    [
        (["b-Sign", "i-Sign", "o"], ["B-Sign", "I-Sign", "O"], {}),
        ([" B- Rare  Disease", "I -Rare Disease"], ["B-Rare Disease", "I-Rare Disease"], {}),
        (["I-D", "I-D", "B-D"], ["B-D", "I-D", "B-D"], {STARTS_WITH_I: 1}),
        (["D", "D", "E-cigarette", "O"], ["B-D", "I-D", "B-cigarette", "O"], {NO_PREFIX: 2}),
        (["e-cigarette", "O"], ["B-e-cigarette", "O"], {NO_PREFIX: 1}),
        (["B-D", "E-D", "S-D"], ["B-D", "I-D", "B-D"], {}),
        (["B-D", "L-D", "U-D"], ["B-D", "I-D", "B-D"], {}),
        (["B-D", "I-d"], ["B-D", "I-D"], {OTHER_SPELLING: 1}),
        (["B", "I", "O"], ["B-Entity", "I-Entity", "O"], {}),
        (["B-D", "I-E", "O"], ["B-D", "B-E", "O"], {STARTS_WITH_I: 1}),
    ],
)
def test_gold_of_any_spelling(tmp_path, tags, read_as, counts):
    assert gold(tmp_path, *tags) == (read_as, counts)


@pytest.mark.parametrize(
    ("answer", "read_as"),
    [
        (None, (None, "")),
        ("", (None, "")),
        (" \n", (None, "")),
        ({"error": "time-out"}, (None, "time-out")),
        (["No : O", "high : O"], ("No : O\nhigh : O", "")),
        ("No : O\r\nhigh : O\r\n", ("No : O\nhigh : O\n", "")),
    ],
)
def test_answers_and_failed_calls(tmp_path, answer, read_as):
    (one,), _ = read(tmp_path, {**GOOD, "answer": answer})
    assert (one.answer, one.error) == read_as


def test_an_error_beside_no_answer_is_a_failed_call(tmp_path):
    (one,), _ = read(tmp_path, {k: v for k, v in GOOD.items() if k != "answer"} | {"error": "429"})
    assert (one.answer, one.error) == (None, "429")


def test_ids_are_made_where_there_are_none_and_lines_end_as_on_windows(tmp_path):
    lines = [{**GOOD, "id": None}, "", {**GOOD, "id": 7}, {k: v for k, v in GOOD.items() if k != "id"}]
    found, _ = read(tmp_path, *lines, ending="\r\n")
    assert [one.document.id for one in found] == ["a-1", "7", "a-4"]


BAD = [
    ("{", ":1: no JSON at character 1"),
    ([1], ":1: a line is an object"),
    ({"gold": [], "answer": ""}, ':1: no "tokens"'),
    ({"tokens": ["a"], "answer": ""}, ':1: no "gold"'),
    ({**GOOD, "tokens": "No high fever"}, '"tokens" is a list of texts'),
    ({**GOOD, "tokens": ["No", "", "fever"]}, '"tokens" is a list of texts, none of them empty'),
    ({**GOOD, "tokens": ["No", "high"]}, "there are 2 tokens and 3 tags"),
    ({**GOOD, "tokens": [*GOOD["tokens"], "now"]}, "there are 4 tokens and 3 tags"),
    ({**GOOD, "gold": "O O O"}, "there are 3 tokens and 'O O O'"),
    ({**GOOD, "gold": [0, 1, 2]}, "gold tag 0 is 0; a tag is O, or B-"),
    ({**GOOD, "gold": ["O", " ", "O"]}, "gold tag 1 is ' '"),
    ({**GOOD, "answer": 3}, '"answer" is a text, null, or {"error": ...}'),
    ({k: v for k, v in GOOD.items() if k != "answer"}, ':1: no "answer"; give'),
    ({**GOOD, "id": ["x"]}, '"id" is a text or a number'),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_bad_lines_are_named(tmp_path, line, said):
    with pytest.raises(FormatError) as caught:
        read(tmp_path, line if isinstance(line, str) else json.dumps(line))
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}:1: ") and said in str(caught.value)


def test_bad_lines_are_skipped_on_request_and_an_id_is_given_once(tmp_path):
    with pytest.raises(FormatError, match=":2: document id '1' was used before on line 1"):
        read(tmp_path, GOOD, GOOD)
    found, report = read(
        tmp_path, GOOD, {**GOOD, "answer": "twice"}, "{", {**GOOD, "id": "2"}, on_error="skip"
    )
    assert [(one.document.id, one.answer) for one in found] == [("1", "No : O"), ("2", "No : O")]
    assert report.counts[SKIPPED] == 2


def test_a_file_without_lines(tmp_path):
    with pytest.raises(FormatError, match="holds no document"):
        read(tmp_path, "")


def test_predicted_tags_are_mentions():
    document = Document("1", "a b c", words=[(0, 1), (2, 3), (4, 5)])
    assert [s.key for s in predicted(document, ["I-D", "I-D", "what"]).spans] == [(0, 3, "D")]
