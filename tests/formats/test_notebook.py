"""In: Documents with mentions of every shape, and hostile ones. Out: that a notebook shows their text, and it alone."""

import re
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from vaner.document import Concept, Document, Passage, Span

NASTY = "<script>alert('x')</script> & \"quoted\" $x$ </div></mark>"


class Shown(HTMLParser):
    """What is shown: the text without labels, the marks, and every tag and attribute there is."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack, self.marks, self.open_marks, self.tags, self.paragraphs = [], [], [], set(), []
        self.feed(source)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        assert attrs.keys() <= {"class", "style", "title"}
        is_label = tag == "span" and "user-select" in attrs["style"]
        self.stack.append((tag, is_label))
        if tag == "div" and "pre-wrap" in attrs["style"]:
            self.paragraphs.append("")
        if tag == "mark":
            self.open_marks.append([attrs, ""])

    def handle_endtag(self, tag):
        assert self.stack.pop()[0] == tag
        if tag == "mark":
            self.marks.append(tuple(self.open_marks.pop()))

    def handle_data(self, data):
        if any(is_label for _, is_label in self.stack):
            return
        if self.paragraphs:
            self.paragraphs[-1] += data
        for mark in self.open_marks:
            mark[1] += data


def test_a_document_shows_itself():
    span = Span(0, 13, "Disease", "breast cancer", 0.91234, (Concept("D1", "MESH", 0.5, "exact"),))
    document = Document("d", "breast cancer\nin mice", [span], [Passage(0, 13, "title")])
    source = document._repr_html_()
    shown = Shown(source)
    assert shown.paragraphs == ["breast cancer", "\nin mice"]
    ((attributes, text),) = shown.marks
    assert text == "breast cancer"
    assert attributes["title"] == "Disease · score 0.912 · MESH D1 (exact, 0.500)"
    assert ">Disease 1</span>" in source and ">Disease</span></mark>" in source
    # Prices are no formulas.
    assert 'class="vaner tex2jax_ignore mathjax_ignore"' in source


def test_nothing_of_a_document_is_more_than_text():
    span = Span(0, 8, NASTY, "<script>", concepts=(Concept(NASTY, NASTY),))
    document = Document(NASTY, NASTY + "\x00\x1b", [span], [Passage(0, 3, NASTY)])
    source = document._repr_html_()
    shown = Shown(source)
    assert shown.tags == {"div", "b", "span", "mark"}
    assert "".join(shown.paragraphs) == NASTY + "\ufffd\ufffd"
    assert not re.search(r"<style|<script|https?:|url\(|javascript:| on\w+=| id=", source)
    assert [text for _, text in shown.marks] == ["<sc", "ript>"]


def test_texts_without_words():
    for text in ("", " \n\t"):
        assert "no text" in Document("d", text)._repr_html_()


@given(st.data())
@settings(max_examples=60)
def test_all_text_is_shown_once_and_nested(data):
    text = data.draw(st.text(alphabet="ab <>&\n\u00e9\U0001f48a", min_size=1, max_size=30).filter(str.strip))
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).filter(lambda p: p[0] < p[1])
    spans = [
        Span(start, end, type, text[start:end])
        for start, end in data.draw(st.lists(places, max_size=6))
        for type in data.draw(st.lists(st.sampled_from("XYZ"), min_size=1, max_size=2))
    ]
    shown = Shown(Document("d", text, spans)._repr_html_())
    assert "".join(shown.paragraphs) == text
    assert len(shown.marks) >= len(spans)
