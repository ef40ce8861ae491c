"""In: MEDLINE records. Out: title and abstract as Documents."""

import pytest

from vaner.document import Passage
from vaner.errors import FormatError
from vaner.formats import read
from vaner.report import Report


def test_tagged_records(data):
    first, second = read(data / "mini.nbib")
    assert first.id == "227508"
    assert first.text == (
        "Naloxone reverses the antihypertensive effect.\n"
        "In rats - all of them - it did. TI  - is no field here."
    )
    assert first.passages == [Passage(0, 46, "title"), Passage(47, len(first.text), "abstract")]
    assert (second.id, second.text) == ("5", "No abstract.")


def test_crlf_and_repeated_fields(make):
    content = (
        "PMID- 1\r\nTI  - One\r\n      two\r\nTI  - other\r\n      more\r\nAB  - \r\nPMID- 2\r\nAB  - b\r\n"
    )
    first, second = read(make("x.nbib", content))
    assert (first.text, second.text, second.passages) == ("One two", "b", [Passage(0, 1, "abstract")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("TI  - a\nAB  - b\n", r"x\.nbib:1: the record has no PMID-"),
        ("PMID- 1\nsome text\n", r"x\.nbib:2: b'some text' is neither a field"),
        ("PMID- 1\n\nPMID- 1\n", r"x\.nbib:3: document id '1' was used before on line 1"),
        (b"PMID- 1\nTI  - caf\xe9\n", r"x\.nbib:2: byte 3 \(0xe9\) is not UTF-8"),
    ],
)
def test_bad_records(make, content, message):
    path = make("x.nbib", content)
    with pytest.raises(FormatError, match=message):
        list(read(path))
    report = Report()
    list(read(path, on_error="skip", report=report))
    assert report.counts == {"document skipped": 1}


def test_xml_is_named(make):
    with pytest.raises(FormatError, match=r"x\.nbib:1: is XML .* the format of PubMed's XML is pubmed"):
        list(read(make("x.nbib", "<PubmedArticleSet/>")))
