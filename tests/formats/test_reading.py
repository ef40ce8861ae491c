"""In: files of every format and every kind of bad input. Out: what the package's own functions promise."""

import gzip
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vaner.document import Document, Span
from vaner.errors import FormatError, VanerError
from vaner.formats import READERS, WRITERS, detect, format_to_write, read, write
from vaner.report import Report

DOCUMENTS = [Document("1", "a b", [Span(0, 1, "X", "a")]), Document("2", ""), Document("3", "c")]
FILES = {
    "bioc": "mini.BioC.xml",
    "brat": "brat",
    "conll": "mini.conll",
    "jats": "mini.nxml",
    "medline": "mini.nbib",
    "pubmed": "pubmed.xml",
    "pubtator": "mini.PubTator.txt",
}
NAMES = {
    "bioc": "o.xml",
    "brat": "o",
    "conll": "o.conll",
    "html": "o.html",
    "jsonl": "o.jsonl",
    "pubtator": "o.txt",
}


def test_tables_are_complete():
    assert sorted(READERS) == [
        "bioc", "brat", "conll", "jats", "jsonl", "medline", "pubmed", "pubtator", "text"
    ]  # fmt: skip
    assert sorted(WRITERS) == sorted(NAMES) == ["bioc", "brat", "conll", "html", "jsonl", "pubtator"]


@pytest.mark.parametrize("name", FILES)
def test_detect_by_content(data, name, tmp_path):
    assert detect(data / FILES[name]) == name
    if name != "brat":
        # Neither the name nor leading blank lines, a byte order mark or compression mislead it.
        path = tmp_path / "unnamed.gz"
        path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + (data / FILES[name]).read_bytes()))
        assert detect(path) == name
        assert len(list(read(path))) >= (1 if name == "jats" else 2)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "Some prose.\nAnd more.\n", "text"),
        ("a.txt", "vitamin B\n", "text"),
        ("a.txt", "a O\nb B-X\n\nc I-X\n", "conll"),
        ("a.txt", "a O\nb O\n\nc B_X\n", "conll"),
        ("a.txt", "[Article in German]\nMore.\n", "text"),
        ("a.tsv", "a\tNN\tO\nb\tNN\tB\n\nc\tNN\tO\n", "conll"),
        ("a.dat", '{"id": "1", "text": "x"}\n', "jsonl"),
        ("a.json", '{"text": "x"}\n', "jsonl"),
        ("a.json", '{"documents": [{"id": "1", "passages": []}]}', "bioc"),
        ("a.json", '[{"passages": [{"offset": 0}]}]', "bioc"),
        ("a.json", '[{"text": "x"}]', "jsonl"),
        ("a.json", '[\n  {\n "text": "x"}]', "jsonl"),
        ("a.json", '["x", {"entities": []}]\n', "jsonl"),
        ("a.json", '[["x", {"entities": []}]]', "jsonl"),
        ("a.json", "[]", "jsonl"),
        ("a.xml", "<?xml version='1.0'?><PubmedArticleSet>", "pubmed"),
        ("a.xml", "<MedlineCitationSet>", "pubmed"),
        ("a.nxml", "<!DOCTYPE article [<!ELEMENT x ANY>]>\n<?x y?><!-- <collection> --><j:article>", "jats"),
        ("a.xml", "<pmc-articleset><article>", "jats"),
        ("a.xml", '<OAI-PMH><record><metadata><article xmlns="x">', "jats"),
        ("a.xml", "<collection>", "bioc"),
        ("a.out", "12|t|title\n", "pubtator"),
        ("a.NBIB", "PMID- 1\n", "medline"),
    ],
)
def test_detect(make, name, content, expected):
    assert detect(make(name, content)) == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.dat", "one two three\n"), ("a.xml", "one two three\n"), ("a.json", "[1, 2]"), ("b.xml", "<html>")],
)
def test_detect_is_unsure(make, name, content):
    with pytest.raises(FormatError, match="its format cannot be told .* name its format, one of bioc, brat"):
        detect(make(name, content))


def test_a_missing_column_of_a_tsv_file_is_found_on_its_line(make):
    path = make("a.tsv", "one\tO\ntwo\nthree\tO\n")
    with pytest.raises(FormatError, match=r"a\.tsv:2: 'two' has no tag column"):
        list(read(path))


def test_options_follow_the_name_of_a_format(make, tmp_path):
    path = make("a.txt", "one\n\ntwo\n")
    assert [d.text for d in read(path, "text:per=line")] == ["one", "two"]
    assert [d.text for d in read(path, "auto:per=line")] == ["one", "two"]
    assert [d.text for d in read(path, "text:per=line", per="file")] == ["one\n\ntwo\n"]
    table = make("b.conll", "a\tB-X\t7\n")
    (document,) = read(table, "conll:tag_column=1,scheme=iob2")
    assert [s.type for s in document.spans] == ["X"]
    write(tmp_path / "c.conll", [document], "conll:scheme=iobes")
    assert "a\tS-X" in (tmp_path / "c.conll").read_text()


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("conll:schema=iob2", "format conll has no option 'schema'; did you mean scheme?"),
        ("medline:x=1", "format medline has no option 'x'; it has none"),
        ("conll:scheme", "'scheme'; write each option once, as scheme=VALUE"),
        ("conll:scheme=iob1,scheme=iob2", "'scheme=iob2'; write each option once"),
        ("conll:tag_column=last", "tag_column is 'last'; give a whole number"),
        ("conll:on_error=skip", "has no option 'on_error'"),
        ("conl:scheme=iob2", "format 'conl' is unknown; choose auto or one of"),
        ("html:title=x", "format 'html' can only be written"),
    ],
)
def test_wrong_options_of_a_format(make, format, message):
    with pytest.raises(VanerError, match=re.escape(message)):
        read(make("a.conll", "a\tO\n"), format)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.tsv", "conll"),
        ("a.iob2.gz", "conll"),
        ("a.PubTator", "pubtator"),
        ("a.PubTator.txt", "pubtator"),
        ("a.xml", "bioc"),
        ("a.HTML", "html"),
        ("a.zip", "brat"),
        ("a.nbib", "jsonl"),
        ("a", "jsonl"),
    ],
)
def test_the_format_of_a_file_to_write_follows_its_name(name, format):
    assert format_to_write(name) == format


def test_detect_refuses_utf16(make):
    with pytest.raises(FormatError, match="is UTF-16; convert it"):
        detect(make("a.txt", "prose".encode("utf-16")))


def test_detect_folders_and_zips(make, tmp_path):
    assert detect(make("t/a.txt", "x").parent) == "text"
    with pytest.raises(FormatError, match="neither .ann nor .txt"):
        detect(make("m/a.md", "x").parent)
    with pytest.raises(FormatError, match="no readable zip"):
        detect(make("a.zip", "x"))
    write(tmp_path / "b.zip", [], "brat")
    with pytest.raises(FormatError, match="holds no .ann files"):
        detect(tmp_path / "b.zip")
    with pytest.raises(FormatError, match=r"a\.ann: brat is read folder by folder; name .*b"):
        detect(make("b/a.ann", ""))
    with pytest.raises(FormatError, match="standard input cannot be detected"):
        detect("-")


def test_unknown_formats_and_settings(make):
    path = make("a.txt", "a")
    with pytest.raises(VanerError, match="format 'docx' is unknown; choose auto or one of bioc"):
        read(path, "docx")
    with pytest.raises(VanerError, match="format 'html' can only be written; choose auto"):
        read(path, "html")
    with pytest.raises(VanerError, match="format 'medline' can only be read; choose one of bioc"):
        write("x", [], "medline")
    with pytest.raises(VanerError, match="format 'docx' is unknown; choose one of"):
        write("x", [], "docx")
    with pytest.raises(VanerError, match="on_error='ignore' is unknown"):
        read(path, on_error="ignore")
    with pytest.raises(FileNotFoundError) as error:
        read("missing.txt")
    assert error.value.filename == "missing.txt"


@pytest.mark.parametrize("name", READERS)
def test_empty_files(make, name):
    if name == "brat":
        path = make("empty/note.md", "").parent
    else:
        path = make("empty.txt", "")
        with pytest.raises(FormatError, match=r"empty\.txt: the file is empty"):
            read(path)
    with pytest.raises(FormatError, match="empty") as error:
        list(read(path, name, on_error="skip"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"html"}))
def test_empty_and_long_documents_and_line_ends(tmp_path, name):
    sentence = "Naloxone (β) reverses 😀 pain. "
    text = sentence * 7000
    starts = range(0, len(text), len(sentence))
    long = Document("long", text, [Span(i, i + 8, "Chemical", "Naloxone") for i in starts])
    assert len(text) > 200_000
    path = tmp_path / NAMES[name]
    assert write(path, [long, Document("empty", "")], name) == 2
    back = {d.id: d for d in read(path, name)}
    assert back["empty"].text == ""
    assert len(back["long"].spans) == 7000 and {s.text for s in back["long"].spans} == {"Naloxone"}
    if name != "conll":
        assert back["long"].text == text and back["long"].spans == long.spans


@pytest.mark.parametrize("name", ["conll", "jsonl", "pubtator", "medline"])
def test_line_based_formats_read_alike_with_crlf_and_bom(data, make, tmp_path, name):
    if name == "jsonl":
        write(tmp_path / "in.jsonl", DOCUMENTS, "jsonl")
        plain = (tmp_path / "in.jsonl").read_bytes()
    else:
        plain = (data / FILES[name]).read_bytes()
    changed = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")
    before = list(read(make("a/x.txt", plain), name))
    assert list(read(make("b/x.txt", changed), name)) == before


LINES = {
    "bioc": '{{"id": "{}", "passages": [{{"offset": 0, "text": "a"}}]}}\n',
    "conll": "word{}\tO\n\n",
    "jsonl": '{{"id": "{}", "text": "a"}}\n',
    "medline": "PMID- {}\n",
    "pubtator": "{}|t|a\n",
    "text": "line {}\n",
}


@pytest.mark.parametrize("name", LINES)
def test_utf16_and_broken_gzip(make, name):
    content = "".join(map(LINES[name].format, range(5000)))
    with pytest.raises(FormatError, match="UTF-16|UTF-8"):
        list(read(make("x.txt", content.encode("utf-16")), name))
    path = make("x.txt.gz", gzip.compress(content.encode())[:-2000])
    with pytest.raises(FormatError, match="gzip file is broken") as error:
        list(read(path, name, on_error="skip"))
    assert "\n" not in str(error.value)


def test_reading_streams(make):
    lines = b"".join(b'{"id": "%d", "text": "a"}\n' % n for n in range(50_000))
    documents = read(make("x.jsonl", lines + b"broken"))
    assert [next(documents).id for _ in range(3)] == ["0", "1", "2"]
    documents.close()


def test_standard_input_and_output(monkeypatch, capfdbinary):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1|t|a\n1|a|b\n")))
    (document,) = read("-", "pubtator")
    assert document.text == "a\nb"
    assert write("-", [document], "pubtator") == 1
    assert capfdbinary.readouterr().out == b"1|t|a\n1|a|b\n\n"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_half_written(tmp_path, name):
    path = tmp_path / NAMES[name]

    def broken():
        yield from DOCUMENTS
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write(path, broken(), name)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FormatError, match="two documents have the id '1'"):
        write(path, [DOCUMENTS[0], DOCUMENTS[0]], name)
    assert list(tmp_path.iterdir()) == []
    if name != "brat":
        path.write_text("before")
        with pytest.raises(RuntimeError):
            write(path, broken(), name)
        assert path.read_text() == "before"
        assert write(path, iter(DOCUMENTS), name) == 3
        assert list(tmp_path.iterdir()) == [path] and path.read_text() != "before"
        assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", sorted(NAMES))
def test_compressed_and_repeatable(tmp_path, name):
    if name == "brat":
        paths = [tmp_path / "a.zip", tmp_path / "b.zip"]
    else:
        paths = [tmp_path / f"{n}{NAMES[name]}.gz" for n in "ab"]
    for path in paths:
        write(path, DOCUMENTS, name)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if name != "html":
        assert [d.text for d in read(paths[0], name)] == ["a b", "", "c"]


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(VanerError, match="is a folder"):
        write(tmp_path, DOCUMENTS, "jsonl")
    with pytest.raises(VanerError, match="does not exist; create it first"):
        write(tmp_path / "no/x.jsonl", DOCUMENTS, "jsonl")
    with pytest.raises(VanerError, match="does not exist; create it first"):
        write(tmp_path / "no/x", DOCUMENTS, "brat")


def test_links_and_devices_keep_what_they_are(tmp_path):
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    target.write_text("")
    link.symlink_to(target)
    write(link, DOCUMENTS, "jsonl")
    assert link.is_symlink() and len(list(read(target))) == 3
    assert write("/dev/null", DOCUMENTS, "jsonl") == 3
    assert not Path("/dev/null").is_file()


def test_losses_are_told(tmp_path, caplog):
    document = Document("1", "a", [Span(0, 1, "X", "a", score=0.5)])
    write(tmp_path / "x.conll", [document], "conll")
    assert "CoNLL has no room for its scores; jsonl keeps everything" in caplog.text
    caplog.clear()
    write(tmp_path / "x.conll", [document], "conll", report=Report())
    assert not caplog.records


def test_report():
    report = Report(limit=2)
    for n in range(3):
        report.warn("a", f"first {n}")
    report.warn("b", "second")
    assert report.counts == {"a": 3, "b": 1}
    assert report.messages == ["first 0", "first 1", "second"]
    assert report.summary() == ["3 x a: first 0", "b: second"]


def test_every_skipped_document_is_named(make):
    report = Report()
    path = make("a.jsonl", '{"id": "1"}\n{"id": "2", "text": "t"}\n{"id": "3"}\n')
    assert [d.id for d in read(path, on_error="skip", report=report)] == ["2"]
    first, second = report.summary()
    assert first.startswith("2 x document skipped: ") and f"{path}:1" in first
    assert second.startswith("document skipped: ") and f"{path}:3" in second


def test_importing_does_not_import_torch():
    code = "import sys, vaner.formats; sys.exit(bool({'torch', 'transformers'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
