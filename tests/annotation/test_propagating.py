"""In: a text and mentions. Out: the other places of their words, and none that cuts, crosses or hides anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.annotation.propagating import occurrences
from vaner.document import Document
from vaner.text.units import Text


def copies(text, *mentions, type="Disease"):
    """``(start, text)`` of what is marked beside mentions, which are the first places of words."""
    document = Document("d", text)
    spans = [
        document.span(text.index(word), text.index(word) + len(word), type, score=0.5) for word in mentions
    ]
    found = occurrences(Text.of(document), spans)
    assert all(
        text[s.start : s.end] == s.text and s.grounded == "propagated" and s.score == 0.5 for s in found
    )
    return [(span.start, span.text) for span in found]


@pytest.mark.parametrize(
    ("text", "mention", "places"),
    [
        ("fever, fever and feverish fever", "fever", ["fever", "fever"]),
        ("Aspirin or aspirin or ASPIRIN", "Aspirin", ["aspirin"]),
        ("cat and CAT and Cat", "CAT", []),
        ("cat and CAT and Cat", "cat", ["Cat"]),
        ("vitamin A or a vitamin a or Vitamin A", "vitamin A", ["Vitamin A"]),
        ("IL-2 and IL-2R and il-2 and IL - 2", "IL-2", ["IL - 2"]),
        ("breast cancer, breast\ncancer", "breast cancer", ["breast\ncancer"]),
        ("Fever. Breast. Cancer or breast. Cancer", "Fever", []),
        ("breast cancer. A breast. Cancer", "breast cancer", []),
        ("breast cancer\n\nbreast\n\ncancer", "breast cancer", []),
        ("TNF-α but not TNF-β, TNF-α", "TNF-α", ["TNF-α"]),
        ("İ and İ", "İ", ["İ"]),
        ("fe\u00adver or fever", "fever", ["fe\u00adver"]),
    ],
)
def test_the_same_words_are_marked(text, mention, places):
    assert [said for _, said in copies(text, mention)] == places


def test_nothing_that_is_marked_is_touched():
    assert copies("cancer of the breast cancer", "cancer", "breast cancer") == []
    document = Document("d", "cancer or breast cancer")
    spans = [document.span(0, 6, "Disease"), document.span(10, 16, "Anatomy")]
    assert [span.text for span in occurrences(Text.of(document), spans)] == ["cancer"]
    spans[1] = document.span(10, 23, "Anatomy")
    assert occurrences(Text.of(document), spans) == []


def test_longer_mentions_and_surer_ones_come_first():
    text = "cancer, breast cancer; a breast cancer"
    assert copies(text, "cancer", "breast cancer") == [(25, "breast cancer")]
    document = Document("d", "CAT CAT CAT")
    spans = [document.span(0, 3, "Gene", score=0.2), document.span(4, 7, "Gene", score=0.9)]
    assert [span.score for span in occurrences(Text.of(document), spans)] == [0.9]


def test_mentions_that_cut_words_or_have_gaps_are_not_looked_for():
    document = Document("d", "feverish feverish, skin and eye skin and eye")
    spans = [document.span(0, 5, "Disease"), document.span(19, 31, "Anatomy", fragments=((19, 23), (28, 31)))]
    assert occurrences(Text.of(document), spans) == []


@given(st.text(alphabet="aA bB.\n-1\u00adé", max_size=60), st.data())
def test_copies_never_overlap(text, data):
    document = Document("d", text)
    cut = Text.of(document)
    spans = []
    for first in range(0, len(cut.words), 3):
        if data.draw(st.booleans()):
            last = min(first + data.draw(st.integers(0, 1)), len(cut.words) - 1)
            spans.append(document.span(cut.offsets[first][0], cut.offsets[last][1], "Disease"))
    found = occurrences(cut, spans)
    places = sorted((span.start, span.end) for span in [*spans, *found])
    assert all(end <= start for (_, end), (start, _) in zip(places, places[1:], strict=False))
    assert all(text[span.start : span.end] == span.text for span in found)
    assert occurrences(cut, [*spans, *found]) == []
