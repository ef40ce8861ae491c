"""Every error of a strict score is listed once, under the right kind, with its place in the text."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SAMPLES
from vaner.document import Document, Span
from vaner.evaluation.metrics import CLASSES, MICRO, score
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
        ([(12, 31, "Disease")], [(18, 31, "Disease")], ["boundary"]),
        ([(0, 7, "Chemical")], [(0, 7, "Disease")], ["type"]),
        ([(12, 31, "Disease")], [(18, 31, "Chemical")], ["both"]),
        ([(12, 31, "Disease")], [(12, 17, "Disease"), (18, 31, "Disease")], ["boundary", "spurious"]),
        ([(0, 7, "Chemical"), (0, 7, "Drug")], [(0, 7, "Chemical")], ["missed"]),
        # The right span explains the gold mention before the right type does, whatever stands first in the text.
        ([(12, 31, "Disease")], [(12, 17, "Disease"), (12, 31, "Drug")], ["spurious", "type"]),
        ([(12, 31, "Disease")], [(12, 17, "Drug"), (18, 31, "Disease")], ["boundary", "spurious"]),
        # Two gold mentions and two predictions: paired so that both are explained.
        ([(0, 7, "Drug"), (8, 11, "Drug")], [(0, 11, "Drug"), (8, 17, "Drug")], ["boundary", "boundary"]),
        ([(12, 17, "Disease")], [(17, 31, "Disease")], ["missed", "spurious"]),
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
    assert "### bc5cdr, Disease: 1 boundary, 0 type, 0 both, 0 missed, 0 spurious" in page
    assert "| boundary | 1 | acute renal failure | Aspirin for [acute {renal failure}] \\| in mice. |" in page


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
    assert {m.kind for m in found} == {"missed", "boundary", "type"}


WORDS = [(0, 7), (8, 11), (12, 17), (18, 23), (24, 31), (32, 33), (34, 36), (37, 41)]
MENTIONS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 3), st.sampled_from(sorted(ALL))), max_size=8, unique=True
).map(lambda found: [(WORDS[a][0], WORDS[min(a + n, 7)][1], type) for a, n, type in found])


@given(MENTIONS, MENTIONS)
def test_every_mention_of_both_sides_has_one_class(gold, predicted):
    pairing = pair([replace(document(*gold), types=ALL)], [document(*predicted)])
    scores = score(pairing)
    (one,) = pairing.pairs
    for row, counts in scores.classes.items():
        explained = sum(counts[what] for what in CLASSES) - counts["spurious"]
        assert explained == scores[row].gold and counts["correct"] == scores[row].hits
    all = scores.classes[MICRO]
    assert sum(all.values()) - all["spurious"] == len(one.gold)
    assert sum(all.values()) - all["missed"] == len(one.predicted)
    for table in ("type", "length"):
        rows = [counts for (name, _), counts in scores.classes.items() if name == table]
        assert sum(rows, Counter()) == all
    assert Counter(m.kind for m in mistakes(pairing)) == +Counter({k: all[k] for k in CLASSES[1:]})


@given(MENTIONS, MENTIONS)
def test_the_classes_are_those_of_the_other_direction(gold, predicted):
    """Missed and spurious change places, and nothing else: no pairing favours a side."""
    ours, theirs = (replace(document(*side), types=ALL) for side in (gold, predicted))
    one, other = (score(pair([a], [b])).classes[MICRO] for a, b in ((ours, theirs), (theirs, ours)))
    swapped = {"missed": "spurious", "spurious": "missed"}
    assert +one == +Counter({swapped.get(what, what): n for what, n in other.items()})
