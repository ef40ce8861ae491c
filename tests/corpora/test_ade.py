"""In: made-up relation lines. Out: one Document a sentence, mentions where they belong."""

import pytest

from vaner.corpora import ade
from vaner.errors import FormatError
from vaner.report import Report

LINES = (
    "7|Rash after aspirin and more aspirin.|Rash|100|104|aspirin|111|118\n"
    "7|Rash after aspirin and more aspirin.|Rash|100|104|aspirin|128|135\n"
    "7|A fever.|fever|202|207|x|0|1\n"
    "8|Ibuprofen rash.|rash|10|14|Ibuprofen|0|9\n"
)


def read(tmp_path, text, on_error="raise", report=None):
    path = tmp_path / "DRUG-AE.rel"
    path.write_text(text, encoding="utf-8")
    return list(ade.read(path, on_error=on_error, report=Report() if report is None else report))


def test_a_sentence_is_one_document_whatever_its_relations(tmp_path):
    report = Report()
    documents = read(tmp_path, LINES, "skip", report)
    assert [document.id for document in documents] == ["7-1", "8-1"]
    first = documents[0]
    assert first.text == "Rash after aspirin and more aspirin."
    assert [(s.start, s.end, s.type) for s in first.spans] == [
        (0, 4, "Adverse-Effect"),
        (11, 18, "Drug"),
        (28, 35, "Drug"),
    ]
    assert report.counts == {"document skipped": 1}


def test_mentions_that_no_offset_explains(tmp_path):
    with pytest.raises(FormatError, match=r"DRUG-AE.rel:3: document 7-2: 0 offsets .*'fever', 'x'"):
        read(tmp_path, LINES)


def test_mentions_that_two_offsets_explain(tmp_path):
    with pytest.raises(FormatError, match="2 offsets of the sentence fit"):
        read(tmp_path, "7|aspirin rash aspirin rash|rash|108|112|aspirin|100|107\n")


@pytest.mark.parametrize("line", ["7|A fever.|fever|202|207|x|0\n", "7|A fever.|fever|two|207|x|0|1\n"])
def test_a_line_that_is_no_relation(tmp_path, line):
    with pytest.raises(FormatError, match=r"DRUG-AE.rel:2: expected 8 columns"):
        read(tmp_path, LINES.splitlines(keepends=True)[0] + line)
