"""In: Documents with mentions of every shape. Out: that the page shows their text and nests properly."""

import base64
import hashlib
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaner.document import Concept, Document, Passage, Span
from vaner.formats import write


class Page(HTMLParser):
    """The text of each article's paragraphs and of each mark, and whether tags are balanced."""

    VOID = {"meta", "input"}

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack, self.marks, self.paragraphs, self.ids = [], [], [], []
        self.open_marks = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag in self.VOID:
            return
        self.stack.append(tag)
        if tag == "mark":
            self.open_marks.append([attrs, ""])
        if tag == "p":
            self.paragraphs.append("")

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag
        if tag == "mark":
            self.marks.append(tuple(self.open_marks.pop()))

    def handle_data(self, data):
        if "p" in self.stack:
            self.paragraphs[-1] += data
        for mark in self.open_marks:
            mark[1] += data


def page(tmp_path, documents, **options):
    write(tmp_path / "page.html", documents, "html", **options)
    parsed = Page((tmp_path / "page.html").read_text())
    assert parsed.stack == []
    return parsed


def test_everything_is_escaped(tmp_path):
    nasty = "<script>alert('x')</script> & \"quoted\""
    document = Document(nasty, nasty, [Span(0, 8, nasty, "<script>", concepts=(Concept(nasty),))])
    write(tmp_path / "p.html", [document], "html", title=nasty)
    source = (tmp_path / "p.html").read_text()
    assert source.count("<script>") == 1 and "http:" not in source and "https:" not in source
    parsed = page(tmp_path, [document])
    assert parsed.paragraphs[:-1] == [nasty]
    assert parsed.marks[0][0]["data-type"] == nasty and parsed.marks[0][1] == "<script>"


def test_nested_and_crossing_mentions(tmp_path):
    text = "breast cancer cell lines"
    spans = [
        Span(0, 24, "Line", text),
        Span(0, 13, "Disease", "breast cancer", 0.91234, (Concept("D1", "MESH", 0.5, "exact"),)),
        Span(7, 18, "Cell", "cancer cell"),
    ]
    parsed = page(tmp_path, [Document("d", text, spans)])
    shown = [
        (mark["data-type"], content, set(mark["class"].split()) & {"from", "to"})
        for mark, content in parsed.marks
    ]
    assert shown == [
        ("Cell", "cancer", {"to"}),
        ("Disease", "breast cancer", set()),
        ("Cell", " cell", {"from"}),
        ("Line", text, set()),
    ]
    assert parsed.marks[1][0]["title"] == "Disease · score 0.912 · MESH D1 (exact, 0.500)"


def test_discontinuous_mentions_and_passages(tmp_path):
    text = "ocular and auditory toxicity\nhere"
    document = Document(
        "d",
        text,
        [Span(0, 28, "X", text[:28], fragments=((0, 6), (20, 28))), Span(20, 33, "Y", text[20:])],
        [Passage(0, 28, "title"), Passage(29, 33, "abstract")],
    )
    parsed = page(tmp_path, [document])
    assert parsed.paragraphs[:-1] == [text[:28], "here"]
    assert [(m["data-type"], "gap" in m["class"], c) for m, c in parsed.marks] == [
        ("X", False, "ocular"),
        ("X", True, " and auditory "),
        ("X", False, "toxicity"),
        ("Y", False, "toxicity"),
        ("Y", False, "here"),
    ]


def test_types_list_and_anchors(tmp_path):
    documents = [
        Document("a", "x y", [Span(0, 1, "X", "x"), Span(2, 3, "Y", "y")]),
        Document("b", " \n"),
        Document("c", "y", [Span(0, 1, "Y", "y")]),
    ]
    parsed = page(tmp_path, documents, title="T")
    # The most frequent type is named first; its number is that of its first mention.
    assert parsed.ids == ["d1", "d2", "d3", "t1", "t0", "labels", "only", "all", "none"]
    assert parsed.paragraphs == ["x y", "no text", "y", "3 documents, 3 mentions"]
    source = (tmp_path / "page.html").read_text()
    assert '<li><a href="#d2"><i>b</i><b>0</b><span></span></a></li>' in source
    assert '<article id="d1" data-types="t0 t1"' in source and '<article id="d2" data-types=""' in source
    assert len(set(re.findall(r"--h:(\d+)", source))) == 2
    assert page(tmp_path, []).paragraphs == ["0 documents, 0 mentions"]


def test_the_list_shows_how_a_document_begins(tmp_path):
    write(tmp_path / "p.html", [Document("a", "One\n two " + "word " * 99)], "html")
    (entry,) = re.findall("<li>.*</li>", (tmp_path / "p.html").read_text())
    assert "<span>One two word" in entry and entry.count("word") == 14 and entry.endswith("…</span></a></li>")


def test_no_script_but_the_pages_own_may_run(tmp_path):
    write(tmp_path / "p.html", [Document("a", "x")], "html")
    source = (tmp_path / "p.html").read_text()
    (script,) = re.findall("<script>(.*)</script>", source, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in source


def test_the_page_says_who_tagged_it(tmp_path):
    def tagged(id, model):
        return Document(id, "x", metadata={"tagged_by": {"tagger": "vaner 1", "model": model}})

    documents = [tagged("a", "m"), tagged("b", "<n>"), tagged("c", "m"), Document("d", "x")]
    write(tmp_path / "p.html", documents, "html")
    source = (tmp_path / "p.html").read_text()
    said = re.findall("<div>Tagged by (.*?)</div>", source)
    assert said == ["vaner 1 · model m", "vaner 1 · model &lt;n&gt;"]


ALPHABET = "ab \n\t<&😀\u2028\x00\x0c"


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_text_and_mentions_are_shown_whole(tmp_path_factory, data):
    text = data.draw(st.text(ALPHABET, min_size=1, max_size=12))
    ranges = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(lambda r: r[0] < r[1])
    spans = [
        Span(s, e, data.draw(st.sampled_from("XY")), text[s:e])
        for s, e in data.draw(st.lists(ranges, max_size=5))
    ]
    parsed = page(tmp_path_factory.mktemp("p"), [Document("d", text, spans)])
    shown = text.replace("\x00", "\ufffd")
    if text.strip():
        assert parsed.paragraphs[:-1] == [shown]
        pieces = sum(len(content) for _, content in parsed.marks)
        assert pieces == sum(span.end - span.start for span in spans)
    assert parsed.stack == []


@pytest.mark.slow
def test_a_browser_lets_the_pages_script_run_and_no_other(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    nasty = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    documents = [Document(f"d{n}", f"x {nasty}", [Span(0, 1, "X", "x")]) for n in range(1000)]
    write(tmp_path / "page.html", documents, "html")
    page = (tmp_path / "page.html").read_text()
    # Were it not escaped, the policy would still forbid it.
    (tmp_path / "unsafe.html").write_text(page.replace(escape(nasty), nasty))
    for name in ("page.html", "unsafe.html"):
        flags = f"--headless --no-sandbox --disable-gpu --no-first-run --user-data-dir={tmp_path / 'profile'}"
        flags += " --disable-background-networking --disable-component-update --disable-sync --dump-dom"
        words = [browser, *flags.split(), (tmp_path / name).as_uri()]
        shown = subprocess.run(words, capture_output=True, text=True, timeout=120).stdout
        assert '<html lang="en" class="scripted">' in shown, name
        assert "<title>Entities</title>" in shown, name
