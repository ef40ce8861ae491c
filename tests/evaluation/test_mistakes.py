"""Every error of a strict score is listed once, under the right kind, with its place in the text."""

from dataclasses import replace

import pytest

from tests.conftest import SAMPLES
from vaner.document import Document, Span
from vaner.evaluation.metrics import MICRO, score
from vaner.evaluation.mistakes import markdown, mistakes
from vaner.evaluation.pairing import pair
from vaner.formats import read

ALL = frozenset({"Chemical", "Disease", "Drug"})
TEXT = "Aspirin for acute renal failure | in mice."


def document(*spans):
    return Document("1", TEXT, spans=[Span(a, b, type, TEXT[a:b]) for a, b, type in spans])


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ([(0, 7, "Chemical")], [(0, 7, "Chemical")], []),
        ([(0, 7, "Chemical")], [], ["missed"]),
        ([], [(0, 7, "Chemical")], ["spurious"]),
        ([(12, 31, "Disease")], [(18, 31, "Disease")], ["borders"]),
        ([(0, 7, "Chemical")], [(0, 7, "Disease")], ["type"]),
        ([(12, 31, "Disease")], [(18, 31, "Chemical")], ["missed", "spurious"]),
        ([(12, 31, "Disease")], [(12, 17, "Disease"), (18, 31, "Disease")], ["borders", "spurious"]),
        ([(0, 7, "Chemical"), (0, 7, "Drug")], [(0, 7, "Chemical")], ["missed"]),
    ],
)
def test_kinds(gold, predicted, kinds):
    pairing = pair([replace(document(*gold), types=ALL)], [document(*predicted)])
    assert sorted(m.kind for m in mistakes(pairing)) == kinds


def test_gold_and_prediction_are_marked_in_the_text():
    found = mistakes(pair([document((12, 31, "Disease"))], [document((18, 31, "Disease"))]))
    assert found[0].context() == "Aspirin for [acute {renal failure}] | in mice."
    assert found[0].context(around=4) == "...for [acute {renal failure}] | i..."
    page = markdown({"bc5cdr": found})
    assert "### bc5cdr, Disease: 0 missed, 0 spurious, 1 borders, 0 type" in page
    assert "| borders | 1 | acute renal failure | Aspirin for [acute {renal failure}] \\| in mice. |" in page


def test_mistakes_add_up_to_the_score():
    gold = list(read(SAMPLES / "bc5cdr" / "test.pubtator"))
    # A tagger that drops every third mention, cuts a letter off every fifth, calls every seventh a Disease.
    predicted = []
    for d in gold:
        spans = []
        for i, s in enumerate(d.spans):
            if i % 3 == 0:
                continue
            start = s.start + 1 if i % 5 == 0 and s.end - s.start > 3 else s.start
            spans.append(Span(start, s.end, "Disease" if i % 7 == 0 else s.type, d.text[start : s.end]))
        predicted.append(d.with_spans(spans))
    pairing = pair(gold, predicted)
    micro = score(pairing)[MICRO]
    found = mistakes(pairing)
    assert sum(m.gold is not None for m in found) == micro.gold - micro.hits > 50
    assert sum(m.predicted is not None for m in found) == micro.predicted - micro.hits > 10
    assert {m.kind for m in found} == {"missed", "borders", "type"}
