"""In: brat folders and zips. Out: that mentions, fragments, ids and relations survive reading and writing."""

import os
import shutil
import zipfile

import pytest

from vaner.document import Concept, Document, Span
from vaner.errors import FormatError, OffsetError, VanerError
from vaner.formats import read, write
from vaner.formats.offsets import RECOUNTED
from vaner.report import Report


def test_a_folder_with_everything(data):
    report = Report()
    one, two = read(data / "brat", report=report)
    assert one.text == "R- or S-warfarin\r\nand non\nheme iron 😀 iron"
    assert one.spans == [
        Span(0, 16, "Drug", "R- or S-warfarin", fragments=((0, 2), (8, 16))),
        Span(6, 16, "Drug", "S-warfarin", concepts=(Concept("D014859", "MESH"),)),
        Span(22, 35, "Drug", "non\nheme iron"),
        Span(38, 42, "Drug", "iron"),
    ]
    assert one.metadata["brat"]["lines"] == [
        "R1\tEFFECT Arg1:T1 Arg2:T2\t",
        "A1\tNegation T2",
        "#1\tAnnotatorNotes T1\tsee text",
    ]
    assert (two.id, two.text, two.spans) == ("sub/two", "nothing here", [])
    assert report.counts == {"text without .ann file left out": 1}


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_round_trip(data, tmp_path, name):
    before = list(read(data / "brat"))
    report = Report()
    assert write(tmp_path / name, before, "brat", report=report) == 2
    assert list(read(tmp_path / name)) == before
    assert not report.counts
    assert os.listdir(tmp_path) == [name]


def test_zip_with_subfolder_and_litter(data, tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("one.txt", "one.ann"):
            archive.write(data / "brat" / name, f"corpus/Train/{name}")
            archive.write(data / "brat" / name, f"corpus/Test/{name}")
            archive.write(data / "brat" / name, f"__MACOSX/Train/{name}")
            archive.write(data / "brat" / name, f"corpus/Train/._{name}")
        archive.writestr("corpus/.DS_Store", b"\0")
    assert [d.id for d in read(path)] == ["corpus/Test/one", "corpus/Train/one"]
    assert [d.id for d in read(path, subfolder="corpus/Train/")] == ["one"]
    with pytest.raises(FormatError, match="holds no document"):
        list(read(path, subfolder="corpus/Dev"))


def test_new_and_removed_mentions(data, tmp_path):
    one = next(read(data / "brat"))
    changed = one.with_spans([one.span(3, 5, "New"), one.spans[1]])
    report = Report()
    write(tmp_path / "out", [changed], "brat", report=report)
    assert (tmp_path / "out/one.ann").read_text() == (
        "T5\tNew 3 5\tor\n"
        "T1\tDrug 6 16\tS-warfarin\n"
        "N1\tReference T1 MESH:D014859\tS-warfarin\n"
        "#1\tAnnotatorNotes T1\tsee text\n"
    )
    assert report.counts == {"line not written": 2}


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("T1\tDrug 0 4", OffsetError, r"a\.ann:1: document a: Drug mention at 0-4 says '' but .* 'iron'"),
        ("T1\tDrug 0 4\tiorn", OffsetError, r"a\.ann:1: .* says 'iorn' but the text there is 'iron'"),
        ("T1\tDrug 0 1;3 4\tix", OffsetError, r"a\.ann:1: .* 0-1;3-4 says 'ix' but the text there is 'i n'"),
        ("T1 Drug 0 4 iron", FormatError, r"a\.ann:1: 'T1 Drug 0 4 iron' is no brat|no mention"),
        ("T1\tDrug zero 4\tiron", FormatError, r"a\.ann:1: 'Drug zero 4' is no mention"),
        ("T1\tDrug 0 4\tiron\nT1\tDrug 0 4\tiron", FormatError, r"a\.ann:2: T1 was defined before"),
        ("N1\tReference T1 M:1\tx", FormatError, r"a\.ann:1: refers to T1, which does not exist"),
        ("N1\tReference T1\tx", FormatError, r"a\.ann:1: .* is no normalisation"),
        ("hello", FormatError, r"a\.ann:1: 'hello' is no brat annotation"),
        (b"T1\tDrug 0 4\tir\xf6n", FormatError, r"a\.ann:1: byte 14 \(0xf6\) is not UTF-8"),
    ],
)
def test_bad_lines(make, line, error, message):
    make("b/a.txt", "iron")
    folder = make("b/a.ann", line).parent
    make("b/ok.txt", "x")
    make("b/ok.ann", "")
    with pytest.raises(error, match=message):
        list(read(folder))
    report = Report()
    assert [d.id for d in read(folder, on_error="skip", report=report)] == ["ok"]
    assert report.counts == {"document skipped": 1}


def test_annotations_without_text(make):
    folder = make("b/a.ann", "").parent
    with pytest.raises(FormatError, match=r"a\.ann: has no a\.txt beside it"):
        list(read(folder))


def test_text_that_is_not_utf8(make):
    make("b/a.ann", "")
    folder = make("b/a.txt", b"ab\xff").parent
    with pytest.raises(FormatError, match=r"a\.txt: byte 2 \(0xff\) is not UTF-8"):
        list(read(folder))


def test_offsets_are_repaired(make):
    make("b/a.txt", "\ufeffiron and iron")
    folder = make("b/a.ann", "T1\tDrug 0 4\tiron\nT2\tDrug 0 2;9 13\txy iron\n").parent
    report = Report()
    (document,) = read(folder, offsets="repair", report=report)
    assert [s.key for s in document.spans] == [(1, 5, "Drug")]
    assert report.counts == {RECOUNTED: 1, "mention dropped": 1}


def test_ids_become_file_names(tmp_path):
    documents = [Document(id, "x") for id in ("a b/c", "../up", ".hidden", "a//b", "100%")]
    report = Report()
    write(tmp_path / "out", documents, "brat", report=report)
    assert report.counts == {"id changed": 3}
    assert sorted(d.id for d in read(tmp_path / "out")) == [
        "%2E%2E%2Fup",
        "%2Ehidden",
        "100%",
        "a b/c",
        "a%2F%2Fb",
    ]
    with pytest.raises(FormatError, match="cannot name a file; give the document a shorter id"):
        write(tmp_path / "long", [Document("x" * 300, "")], "brat")
    with pytest.raises(FormatError, match="both need the file"):
        write(tmp_path / "twice", [Document(".a", ""), Document("%2Ea", "")], "brat")
    assert os.listdir(tmp_path) == ["out"]


def test_mentions_at_line_breaks(tmp_path):
    text = "\na\r\nb\n"
    document = Document("d", text, [Span(0, 6, "X", text), Span(2, 4, "Y", "\r\n")])
    report = Report()
    write(tmp_path / "out", [document], "brat", report=report)
    assert report.counts == {"span changed": 1, "span not written": 1}
    assert [s.key for s in next(read(tmp_path / "out")).spans] == [(1, 5, "X")]


def test_only_a_new_or_empty_folder_is_written(tmp_path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", [Document("1", "a")], "brat")
    with pytest.raises(VanerError, match="exists already"):
        write(tmp_path / "out", [Document("1", "a")], "brat")
    shutil.rmtree(tmp_path / "out")

    def broken():
        yield Document("1", "a")
        raise RuntimeError

    for name in ("out", "out.zip"):
        with pytest.raises(RuntimeError):
            write(tmp_path / name, broken(), "brat")
    assert os.listdir(tmp_path) == []


def test_no_zip(make):
    with pytest.raises(FormatError, match="neither a folder nor a zip"):
        list(read(make("x.zip", "text"), "brat"))
