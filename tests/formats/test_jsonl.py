"""In: JSON Lines, ours, plain and broken. Out: that every field survives and bad lines are named."""

import json

import pytest

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, OffsetError, VanerError
from vaner.formats import read, write
from vaner.report import Report

FULL = Document(
    "d1",
    "BRCA1 \u2028\x85 😀 breast\ncancer",
    [
        Span(0, 5, "Gene", "BRCA1", 0.1 + 0.2, (Concept("672", "NCBI", 0.5, "exact"), Concept("x"))),
        Span(11, 24, "Disease", "breast\ncancer", fragments=((11, 17), (18, 24))),
    ],
    [Passage(0, 17, "title"), Passage(18, 24, "abstract")],
    sentences=[(0, 24)],
    words=[(0, 5), (9, 10)],
    types=frozenset({"Gene", "Disease"}),
    metadata={"relations": [["CID", "a", "b"]], "year": 2020},
)


def test_every_field_survives(tmp_path):
    documents = [
        FULL,
        Document("empty", ""),
        Document("none", "a", types=frozenset(), words=[], sentences=[]),
    ]
    report = Report()
    assert write(tmp_path / "a.jsonl", documents, "jsonl", report=report) == 3
    assert list(read(tmp_path / "a.jsonl")) == documents
    assert not report.counts
    raw = (tmp_path / "a.jsonl").read_bytes()
    assert raw.count(b"\n") == 3 and "😀".encode() in raw


def test_plain_records(make):
    lines = [
        {"id": 12, "text": "only text", "licence": "CC BY"},
        {"id": "b", "title": "A title", "text": "body"},
        {"id": "c", "title": "A title", "abstract": "body", "metadata": {"year": 1}},
        {"id": "d", "title": "", "abstract": "body"},
        {"id": "e", "title": "A title", "abstract": None},
        {"text": "x"},
        {"id": "g", "title": "kept", "text": "ab", "spans": [{"start": 0, "end": 1, "type": "X"}]},
    ]
    path = make("raw.jsonl", "\n".join(json.dumps(line) for line in lines))
    documents = list(read(path))
    assert [d.id for d in documents] == ["12", "b", "c", "d", "e", "raw-6", "g"]
    assert [d.text for d in documents] == [
        "only text",
        "A title\nbody",
        "A title\nbody",
        "body",
        "A title",
        "x",
        "ab",
    ]
    assert documents[1].passages == [Passage(0, 7, "title"), Passage(8, 12, "abstract")]
    assert documents[3].passages == [Passage(0, 4, "abstract")]
    assert documents[0].metadata == {"licence": "CC BY"} and documents[2].metadata == {"year": 1}
    assert documents[6].metadata == {"title": "kept"} and documents[6].spans == [Span(0, 1, "X", "a")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "1", "text": "ab', r"x\.jsonl:2: no JSON at character 20 .*cut short"),
        ("[1]", r"x\.jsonl:2: expected an object"),
        ("[" * 200000, r"x\.jsonl:2: (JSON nested too deeply|no JSON)"),
        ('{"id": "1"}', r"x\.jsonl:2: document 1: 'text' must be a string, found nothing"),
        ('{"id": "1", "text": 5}', "'text' must be a string, found 5"),
        ('{"id": true, "text": "a"}', "id is True; make it a string"),
        ('{"id": "1", "title": 4}', "title is 4; make it a string"),
        ('{"id": "1", "text": "a", "spans": 4}', "'spans' must be a list of objects"),
        (
            '{"id": "1", "text": "a", "spans": [{"start": 0, "end": 1}]}',
            "'type' must be a string, found nothing",
        ),
        (
            '{"id": "1", "text": "a", "spans": [{"start": "0", "end": 1, "type": "X"}]}',
            "'start' must be a whole number",
        ),
        (
            '{"id": "1", "text": "a", "spans": [{"start": 0, "end": 1, "type": "X", "score": "hi"}]}',
            "score 'hi'",
        ),
        ('{"id": "1", "text": "a", "words": [[0]]}', "'words' must be a list of .start, end. pairs"),
        ('{"id": "1", "text": "a", "types": "X"}', "types is 'X'"),
        ('{"id": "1", "text": "a", "metadata": 3}', "metadata is 3"),
        ('{"id": "1", "text": "\\ud83d"}', "half of a surrogate pair"),
        ('{"id": "0", "text": "again"}', "document id '0' was used before on line 1"),
        (b'{"id": "1", "text": "caf\xe9"}', r"x\.jsonl:2: byte 24 \(0xe9\) is not UTF-8"),
    ],
)
def test_bad_lines(make, line, message):
    content = b'{"id": "0", "text": "ok"}\n' + (line if isinstance(line, bytes) else line.encode()) + b"\n"
    content += b'{"id": "9", "text": "ok"}\n'
    path = make("x.jsonl", content)
    with pytest.raises(FormatError, match=message):
        list(read(path))
    report = Report()
    assert [d.id for d in read(path, on_error="skip", report=report)] == ["0", "9"]
    assert report.counts == {"document skipped": 1}


@pytest.mark.parametrize(
    "span",
    [
        {"start": 0, "end": 2, "type": "X", "text": "b"},
        {"start": 0, "end": 9, "type": "X"},
        {"start": -2, "end": 1, "type": "X"},
    ],
)
def test_wrong_offsets(make, span):
    path = make("x.jsonl", json.dumps({"id": "1", "text": "abc", "spans": [span]}))
    with pytest.raises(OffsetError, match=r"x\.jsonl:1: document 1: X mention"):
        list(read(path))


def test_unknown_span_fields_are_counted(make):
    record = {
        "id": "1",
        "text": "a",
        "spans": [{"start": 0, "end": 1, "type": "X", "colour": 1, "concepts": [{"id": "D", "name": "n"}]}],
    }
    report = Report()
    list(read(make("x.jsonl", json.dumps(record)), report=report))
    assert report.counts == {"span field 'colour' ignored": 1, "concept field 'name' ignored": 1}


def test_what_json_cannot_hold(tmp_path):
    for value in ({1, 2}, float("nan")):
        with pytest.raises(VanerError, match="no JSON can hold it"):
            write(tmp_path / "a.jsonl", [Document("1", "a", metadata={"x": value})], "jsonl")
    with pytest.raises(VanerError, match="lone surrogate"):
        write(tmp_path / "a.jsonl", [Document("1", "a\ud83d")], "jsonl")
    assert list(tmp_path.iterdir()) == []
