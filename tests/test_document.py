"""In: texts with spans, passages, sentences and words, right and wrong. Out: Documents, or one line that names both."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import OffsetError, VanerError

TEXT = "BRCA1 and breast cancer"


def refused(*spans: Span, text: str = TEXT, **parts) -> str:
    """The message, which is one line."""
    with pytest.raises(OffsetError) as caught:
        Document("d1", text, list(spans), **parts)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- spans ---


def test_offsets_select_the_text_of_a_span():
    document = Document("d1", TEXT, [Span(10, 23, "Disease", "breast cancer"), Span(0, 5, "Gene", "BRCA1")])
    assert [(s.start, s.end, s.type) for s in document.spans] == [(0, 5, "Gene"), (10, 23, "Disease")]
    assert [s.key for s in document.spans] == [(0, 5, "Gene"), (10, 23, "Disease")]


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (0, 24), (24, 25), (5, 2), (-3, -1)])
def test_a_span_outside_the_text_is_refused_with_document_span_and_remedy(start, end):
    assert refused(Span(start, end, "Disease", "cancer")) == (
        f"document d1: Disease span 'cancer' at {start}-{end} lies outside the text of 23 characters; "
        "correct its offsets (code points from 0)"
    )


def test_a_span_of_other_text_is_refused_with_both_texts():
    assert refused(Span(9, 22, "Disease", "breast cancer")) == (
        "document d1: Disease span at 9-22 says 'breast cancer' but the text there is ' breast cance'; "
        "correct the offsets"
    )


@pytest.mark.parametrize("at", [0, 4, 23])
def test_an_empty_span_is_refused(at):
    assert f"document d1: Gene span at {at}-{at}" in refused(Span(at, at, "Gene", ""))


def test_a_long_text_is_cut_in_the_message():
    text = "x" * 500
    said = refused(Span(0, 500, "Gene", "y" * 500), text=text)
    assert f"'{'y' * 60}'" in said and f"'{'x' * 60}'" in said and len(said) < 250


def test_offsets_count_code_points_and_the_text_is_kept_as_it_was_read():
    # The woman is two code points, four UTF-16 units, eight bytes; e and its accent are two, and stay so.
    text = "\ufeff👩🏽 e\u0301tat\r\n\tfièvre "
    document = Document("d1", text, [Span(12, 18, "Disease", "fièvre")])
    assert document.text is text
    assert "the text there is '\\tfièvr'" in refused(Span(11, 17, "Disease", "fièvre"), text=text)


def test_spans_are_sorted_by_start_end_and_type():
    spans = [
        Span(10, 23, "Disease", "breast cancer"),
        Span(10, 16, "Disease", "breast"),
        Span(10, 16, "Anatomy", "breast"),
        Span(0, 5, "Gene", "BRCA1"),
    ]
    assert Document("d1", TEXT, spans).spans == spans[::-1]
    assert spans[0].end == 23, "the list that was given is left as it is"


@given(st.text(max_size=12), st.integers(-3, 15), st.integers(-3, 15), st.text(max_size=3))
def test_a_span_is_taken_if_and_only_if_its_offsets_select_its_text(text, start, end, other):
    right = 0 <= start < end <= len(text)
    for said in {text[start:end] if right else other, other}:
        if right and text[start:end] == said:
            assert Document("d", text, [Span(start, end, "Gene", said)]).spans[0].text == said
        else:
            with pytest.raises(OffsetError, match="document d: Gene span"):
                Document("d", text, [Span(start, end, "Gene", said)])


def test_bad_offsets_are_bad_input():
    assert issubclass(OffsetError, VanerError)


# --- mentions of several pieces ---


def test_fragments_lie_within_their_span():
    text = "breast and ovarian cancer"
    span = Span(0, 25, "Disease", text, fragments=((0, 6), (19, 25)))
    assert Document("d1", text, [span]).spans[0].fragments == ((0, 6), (19, 25))


@pytest.mark.parametrize("fragment", [(9, 16), (17, 24), (12, 12), (16, 11), (0, 30)])
def test_a_fragment_that_leaves_its_span_is_refused(fragment):
    start, end = fragment
    assert refused(Span(10, 23, "Disease", "breast cancer", fragments=((10, 16), fragment))) == (
        f"document d1: fragment {start}-{end} leaves its span 10-23 'breast cancer'; correct the fragments"
    )


# --- passages, sentences, words ---


@pytest.mark.parametrize(
    ("part", "value", "name"),
    [
        ("passages", [Passage(0, 5, "title"), Passage(6, 24, "abstract")], "abstract passage at 6-24"),
        ("passages", [Passage(-1, 5, "title")], "title passage at -1-5"),
        ("sentences", [(0, 10), (10, 24)], "sentence at 10-24"),
        ("sentences", [(7, 6)], "sentence at 7-6"),
        ("words", [(0, 5), (6, 99)], "word at 6-99"),
    ],
)
def test_a_part_outside_the_text_is_refused(part, value, name):
    assert refused(**{part: value}) == (
        f"document d1: {name} lies outside the text of 23 characters; correct its offsets (code points from 0)"
    )


def test_a_part_may_be_empty_and_reach_to_the_end():
    parts = dict(passages=[Passage(23, 23, "abstract")], sentences=[(0, 23)], words=[(0, 5), (23, 23)])
    document = Document("d1", TEXT, **parts)
    assert (document.passages, document.sentences, document.words) == tuple(parts.values())


def test_an_empty_text_is_a_document():
    document = Document("d1", "", passages=[Passage(0, 0, "title")], sentences=[], words=[])
    assert document.spans == [] and document.sentences == [] == document.words


def test_what_a_file_does_not_say_is_none_and_no_empty_list():
    document = Document("d1", TEXT)
    assert document.sentences is None and document.words is None and document.types is None
    assert document.spans == [] == document.passages and document.metadata == {}
    Document("d2", TEXT).metadata["a"] = 1
    assert Document("d3", TEXT).metadata == {}, "documents share nothing"


# --- other spans ---


@pytest.fixture
def full() -> Document:
    return Document(
        "d1",
        TEXT,
        [Span(0, 5, "Gene", "BRCA1", concepts=(Concept("672", "NCBI Gene"),))],
        passages=[Passage(0, 23, "title")],
        sentences=[(0, 23)],
        words=[(0, 5), (6, 9), (10, 16), (17, 23)],
        types=frozenset({"Gene"}),
        metadata={"pmid": "1"},
    )


def test_with_spans_keeps_the_rest(full):
    other = full.with_spans([full.span(10, 23, "Disease", score=0.5), full.span(0, 5, "Gene")])
    assert [s.key for s in other.spans] == [(0, 5, "Gene"), (10, 23, "Disease")]
    for field in dataclasses.fields(Document):
        if field.name != "spans":
            assert getattr(other, field.name) == getattr(full, field.name), field.name
    assert [s.key for s in full.spans] == [(0, 5, "Gene")], "the document itself is left as it was"


def test_with_spans_checks_them_and_takes_any_iterable(full):
    assert full.with_spans(iter(())).spans == []
    with pytest.raises(OffsetError, match="document d1: Disease span at 9-22 says"):
        full.with_spans(s for s in [Span(9, 22, "Disease", "breast cancer")])


def test_a_span_made_by_its_document_has_the_text_and_what_else_was_said(full):
    concept = Concept("D001943", "MeSH", 0.9, "exact")
    span = full.span(10, 23, "Disease", score=0.5, concepts=(concept,), fragments=((10, 16), (17, 23)))
    assert span == Span(10, 23, "Disease", "breast cancer", 0.5, (concept,), ((10, 16), (17, 23)))


def test_a_span_can_be_checked_before_it_is_put_in(full):
    full.check(full.span(10, 23, "Disease"))
    with pytest.raises(OffsetError, match="document d1: "):
        full.check(Span(0, 4, "Gene", "BRCA1"))
