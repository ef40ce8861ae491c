"""In: Documents with mentions of every shape. Out: that the page shows their text and nests properly."""

import re
from html.parser import HTMLParser

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
    assert "<script" not in source and "http" not in source
    parsed = page(tmp_path, [document])
    assert parsed.paragraphs == [nasty]
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
    assert parsed.paragraphs == [text[:28], "here"]
    assert [(m["data-type"], "gap" in m["class"], c) for m, c in parsed.marks] == [
        ("X", False, "ocular"),
        ("X", True, " and auditory "),
        ("X", False, "toxicity"),
        ("Y", False, "toxicity"),
        ("Y", False, "here"),
    ]


def test_legend_contents_and_anchors(tmp_path):
    documents = [Document("a", "x y", [Span(0, 1, "X", "x"), Span(2, 3, "Y", "y")]), Document("b", " \n")]
    parsed = page(tmp_path, documents, title="T")
    assert parsed.ids == ["d1", "d2", "t0", "t1", "labels"]
    assert parsed.paragraphs == ["x y", "no text"]
    source = (tmp_path / "page.html").read_text()
    assert 'href="#d2">b</a></li>' in source and "2 documents, 2 mentions" in source
    assert len(set(re.findall(r"--h:(\d+)", source))) == 2
    assert page(tmp_path, []).paragraphs == []


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
        assert parsed.paragraphs == [shown]
        pieces = sum(len(content) for _, content in parsed.marks)
        assert pieces == sum(span.end - span.start for span in spans)
    assert parsed.stack == []
