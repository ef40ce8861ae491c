"""In: files of every kind, whole and broken. Out: their texts, pages; and for each that cannot be read, why."""

from __future__ import annotations

import io
import sys
import zipfile

import pytest

from tests.prompting.retrieval.files import docx, pdf
from vaner.errors import VanerError
from vaner.prompting.retrieval.reading import NOT_READ, OTHER_KIND, files, read
from vaner.report import Report

GUIDE = """<html><head><title>not seen</title><style>p {}</style></head><body><!-- not seen -->
<h1>Guide to <i>names</i></h1><p>TNF-<b>&alpha;</b> is a gene &amp;
a <a href="x">protein</a>.<br>Second<!-- not seen --> line.</p>after
<script>var not_seen = "<p>";</script>all
<table><tr><th>Type<th>Example</tr><tr><td> Drug <td>aspirin</tr></table>
<ul><li>one<li>two</ul></body></html>"""


def text_of(path) -> str:
    return next(iter(read(files([path], Report()), Report()))).text


def test_text_and_markdown_are_as_they_are(make):
    content = "# Guide\r\n\r\n*Diseases*\tare — annotated.\n"
    for name in ("a.txt", "a.md", "a.MARKDOWN"):
        assert text_of(make(name, b"\xef\xbb\xbf" + content.encode())) == content


def test_html_is_what_a_reader_sees(make):
    assert text_of(make("a.html", GUIDE)) == (
        "Guide to names\n\nTNF-α is a gene & a protein.\nSecond line.\n\nafter all\n\n"
        "Type\tExample\nDrug\taspirin\n\none\ntwo"
    )


def test_html_is_decoded_as_it_says(make):
    page = '<html><head><meta charset="windows-1252"></head><body><p>Sjögren’s</p></body></html>'
    assert text_of(make("a.htm", page.encode("cp1252"))) == "Sjögren’s"
    assert text_of(make("b.htm", "<p>Sjögren’s</p>")) == "Sjögren’s", "UTF-8 where it says nothing"


def test_pdf_has_the_text_of_its_pages_and_where_they_begin(make):
    path = make("a.pdf", pdf([["Diseases are annotated.", "So are drugs."], [], ["Species are not."]]))
    (source,) = read(files([path], Report()), Report())
    assert source.file == "a.pdf"
    first, second, third = source.pages
    assert source.text[first:second].split() == "Diseases are annotated. So are drugs.".split()
    assert source.text[second:third].strip() == "" and source.text[third:].startswith("Species are not.")


def test_docx_has_the_text_of_its_paragraphs(make):
    text = text_of(make("a.docx", docx(["Diseases are annotated.", "Sjögren &amp; others."])))
    assert [line for line in text.splitlines() if line] == ["Diseases are annotated.", "Sjögren & others."]


def locked() -> bytes:
    import pypdf

    writer = pypdf.PdfWriter(io.BytesIO(pdf([["Secret."]])))
    writer.encrypt("password", algorithm="RC4-128")
    held = io.BytesIO()
    writer.write(held)
    return held.getvalue()


def zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.txt", "text")
    return held.getvalue()


BROKEN = {
    "scan.pdf": (lambda: pdf([[], []]), "it holds no text: a scan"),
    "cut.pdf": (lambda: pdf([["Text."]])[:60], "ended unexpectedly|EOF|trailer|startxref"),
    "locked.pdf": (locked, "it wants a password"),
    "no.docx": (lambda: b"PK no", "it is no DOCX file"),
    "other.docx": (zipped, "word/document.xml|no item|main document"),
    "latin.txt": (lambda: "Sjögren".encode("latin-1"), "byte 2 .* is not UTF-8"),
    "empty.html": (lambda: b" ", "it is empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_said_with_its_file(make, name):
    content, why = BROKEN[name]
    path = make(f"folder/{name}", content())
    make("folder/good.txt", "Read all the same.")
    with pytest.raises(VanerError, match=f"{name}: cannot be read .*({why})"):
        list(read(files([path], Report()), Report()))
    report = Report()
    assert [s.file for s in read(files([path.parent], report), report)] == ["good.txt"]
    assert report.counts == {NOT_READ: 1} and report.first(NOT_READ).startswith(f"{name}: ")


def test_of_a_folder_all_known_kinds_are_read_in_order_and_others_counted(make):
    for name in ("b.txt", "a/z.md", "a/b.HTML", ".git/x.txt", "table.xlsx", "a/.hidden.md"):
        folder = make(f"all/{name}", "<p>Text.</p>")
    report = Report()
    assert [name for name, _, _ in files([folder.parents[1]], report)] == ["a/b.HTML", "a/z.md", "b.txt"]
    assert report.counts == {OTHER_KIND: 1} and "table.xlsx" in report.first(OTHER_KIND)


def test_paths_that_are_none_are_refused(make, tmp_path):
    with pytest.raises(VanerError, match="no such file or folder"):
        files([tmp_path / "nowhere"], Report())
    with pytest.raises(VanerError, match="convert it to one of .txt"):
        files([make("a.xlsx", "x")], Report())


@pytest.mark.parametrize(
    ("module", "name", "content"), [("pypdf", "a.pdf", pdf([["x"]])), ("mammoth", "a.docx", docx(["x"]))]
)
def test_a_missing_package_is_named_with_its_extra(make, monkeypatch, module, name, content):
    path = make(f"folder/{name}", content)
    monkeypatch.setitem(sys.modules, module, None)
    for named in (path, path.parent):
        with pytest.raises(VanerError, match=rf"needs {module}; pip install 'vaner\[documents\]'"):
            list(read(files([named], Report()), Report()))
