"""In: CSV as spreadsheets and scripts write it, and broken. Out: a Document a row, or one line that names the line."""

import gzip

import pytest

from vaner.errors import FormatError, VanerError
from vaner.formats import detect, read, write
from vaner.formats.tables import EMPTY
from vaner.report import Report

TABLE = 'pmid,title,abstract\n7,"A, b","Aspirin ""relieved""\r\nit."\n\n8,,😀\n9,c,\n'


def test_fields_in_quotes_and_empty_ones(make):
    path = make("x.csv", TABLE)
    assert detect(path) == "csv"
    report = Report()
    first, second = read(path, text="abstract", id="pmid", report=report)
    assert (first.id, first.text) == ("7", 'Aspirin "relieved"\r\nit.') and first.metadata["title"] == "A, b"
    assert (second.id, second.text, second.metadata["title"]) == ("8", "😀", None)
    assert report.counts == {EMPTY: 1} and "x.csv:6: abstract is null" in report.messages[0]


def test_a_table_goes_to_parquet_and_back(make, tmp_path):
    found = list(read(make("x.csv", TABLE), text="title+abstract", id="pmid"))
    assert [d.text.split("\n")[0] for d in found] == ["A, b", "😀", "c"]
    write(tmp_path / "y.parquet", found, "parquet")
    assert [(d.id, d.text) for d in read(tmp_path / "y.parquet")] == [(d.id, d.text) for d in found]


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("x.tsv", "id\ttext\n1\ta, b; c\n", "csv"),
        ("x.csv", "id;text\n1;a, b; c\n".replace("; c", ""), "auto"),
        ("x.csv", "id|text\n1|a, b\n", "csv:sep=pipe"),
        ("x.csv", b"\xef\xbb\xbfid,text\r\n1,\"a, b\"\r\n", "auto"),
        ("x.csv", "1,\"a, b\"\n", "csv:columns=id|text"),
        ("x.csv.gz", gzip.compress(b'id,text\n1,"a, b"\n', mtime=0), "auto"),
    ],
)  # fmt: skip
def test_separators_and_headers(make, name, content, format):
    (document,) = read(make(name, content), format)
    assert document.id == "1" and document.text.startswith("a, b")


def test_a_field_may_be_long(make):
    (document,) = read(make("x.csv", f'text\n"{"a" * 1_000_000}"\n'))
    assert len(document.text) == 1_000_000 and document.id == "x-2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,n\na,1\nb,2,3\n", r"x\.csv:3: 3 fields, but 2 columns; put a field with separators in quotes"),
        ('text,n\n"a,1\nb,2\n', r"x\.csv:2: no well-formed row .*is a quote not closed"),
        ('text\n"a"b\n', r"x\.csv:2: no well-formed row"),
        ("text,text\na,b\n", "two columns are called 'text'"),
        (b"text\ncaf\xe9\n", r"x\.csv:2: byte 3 \(0xe9\) is not UTF-8"),
        (
            "a,b\n1,2\n",
            "several columns hold texts, and none is called 'text'; .*csv:text=COLUMN; .*a .string., b",
        ),
        ("text\n", "holds no document"),
    ],
)
def test_broken_tables_are_one_line(make, content, message):
    path = make("x.csv", content)
    with pytest.raises(FormatError, match=message) as error:
        list(read(path))
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))


def test_a_bad_row_may_be_skipped(make):
    report = Report()
    found = read(make("x.csv", "id,text\n1,a\n2\n3,c\n"), on_error="skip", report=report)
    assert [d.id for d in found] == ["1", "3"] and report.counts == {"document skipped": 1}


def test_wrong_options(make):
    with pytest.raises(VanerError, match="sep=x is unknown; choose auto or one of comma"):
        read(make("x.csv", "text\na\n"), "csv:sep=x")
