"""In: plain text. Out: Documents that are the files, lines or blocks, to the character."""

import pytest

from vaner.errors import FormatError, VanerError
from vaner.formats import read
from vaner.report import Report


def test_a_file_is_a_document(make):
    content = "\ufeffOne\r\n\x0cTwo\u2028three\x85 😀e\u0301\n\n"
    (document,) = read(make("a.b.txt", content), "text")
    assert (document.id, document.text) == ("a.b", content.removeprefix("\ufeff"))


def test_200_000_characters(make):
    text = "Naloxone 😀. " * 20000
    (document,) = read(make("long.txt", text))
    assert document.text == text


def test_lines(make):
    path = make("a.txt", "one\r\n\n  two\u2028\x0c \n\t\nthree")
    assert [(d.id, d.text) for d in read(path, "text", per="line")] == [
        ("a-1", "one"),
        ("a-3", "  two\u2028\x0c "),
        ("a-5", "three"),
    ]


def test_blocks(make):
    path = make("a.txt", "\none\ntwo\n \n\nthree\n")
    assert [(d.id, d.text) for d in read(path, "text", per="block")] == [
        ("a-2", "one\ntwo"),
        ("a-6", "three"),
    ]


def test_folder(make):
    make("f/b.txt", "b")
    make("f/a/c.txt", "")
    folder = make("f/note.md", "x").parent
    assert [(d.id, d.text) for d in read(folder)] == [("a/c", ""), ("b", "b")]
    report = Report()
    assert [d.id for d in read(folder, per="line", report=report)] == ["b-1"]
    assert report.counts == {"file without text left out": 1} and "note.md" in report.messages[0]


@pytest.mark.parametrize("ending", [".ann", ".a1", ".a2"])
def test_annotations_beside_a_single_text_are_said_to_be_left_out(make, ending):
    make(f"f/a{ending}", "T1\tX 0 1\ta\n")
    report = Report()
    (document,) = read(make("f/a.txt", "a"), report=report)
    assert document.spans == [] and report.counts == {"annotations beside a text left out": 1}


def test_bad_input(make):
    with pytest.raises(FormatError, match="holds no document"):
        list(read(make("e.txt", ""), "text"))
    with pytest.raises(VanerError, match="per='word' is unknown"):
        read(make("a.txt", "a"), per="word")
    folder = make("f/a.txt", b"caf\xe9").parent
    make("f/b.txt", "b")
    with pytest.raises(FormatError, match=r"a\.txt: byte 3 \(0xe9\) is not UTF-8"):
        list(read(folder))
    report = Report()
    assert [d.id for d in read(folder, on_error="skip", report=report)] == ["b"]
    assert report.counts == {"document skipped": 1}
