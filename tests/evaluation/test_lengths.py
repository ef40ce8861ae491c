"""vaner.evaluation.lengths: both binnings by hand, and gold-cut against seqeval on the cut sequences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.document import Document
from vaner.evaluation.lengths import BINS, bin_of, decoded, gold_cut, words_under
from vaner.evaluation.metrics import score
from vaner.evaluation.pairing import pair


def test_bins():
    assert [bin_of(n) for n in (0, 1, 2, 3, 40)] == ["1", "1", "2", "3+", "3+"]


def test_words_under_a_mention():
    words = [(0, 3), (4, 6), (7, 9), (10, 12)]
    assert words_under([(4, 9)], words) == 2 and words_under([(5, 6)], words) == 1
    assert words_under([(0, 3), (10, 12)], words) == 2 and words_under([(3, 4)], words) == 0


@pytest.mark.parametrize(
    ("gold", "predicted", "counts"),
    [
        # The example at the top of the file: one piece of the prediction in the mention, two words beside it.
        ("B-D I-D O O O", "O B-D I-D I-D O", {"1": (0, 2, 0), "2": (0, 1, 1), "3+": (0, 0, 0)}),
        # The wrong border turns right, and what sticks out hurts length 1.
        ("O B-D I-D O", "B-D I-D I-D O", {"1": (0, 1, 0), "2": (1, 1, 1), "3+": (0, 0, 0)}),
        # A false positive of three words is three of one word.
        ("O O O O", "B-D I-D I-D O", {"1": (0, 3, 0), "2": (0, 0, 0), "3+": (0, 0, 0)}),
        # Neighbours are apart, each in its bin; a mention over both is cut in two, and its second part is right.
        ("B-D B-D I-D", "B-D I-D I-D", {"1": (1, 1, 1), "2": (1, 1, 1), "3+": (0, 0, 0)}),
        ("B-D I-D I-D I-D", "B-D I-D I-E I-D", {"1": (0, 0, 0), "2": (0, 0, 0), "3+": (0, 3, 1)}),
        ("B-D O", "B-E O", {"1": (0, 1, 1), "2": (0, 0, 0), "3+": (0, 0, 0)}),
        ("B-D O", "Disease what", {"1": (0, 0, 1), "2": (0, 0, 0), "3+": (0, 0, 0)}),
    ],
)
def test_gold_cut_by_hand(gold, predicted, counts):
    assert gold_cut(gold.split(), predicted.split()) == counts


TAGS = st.lists(
    st.tuples(*[st.sampled_from(["O", "O", "B-D", "I-D", "B-E", "I-E"])] * 2), min_size=1, max_size=30
)


@given(TAGS)
def test_gold_cut_is_seqeval_on_the_cut_sequences(pairs):
    """Cut by the paper's recipe: a sequence for every gold mention, and one for every word outside of them."""
    from seqeval.metrics.sequence_labeling import get_entities

    gold, predicted = ["O"] * len(pairs), [p for _, p in pairs]
    for first, last, type in decoded([g for g, _ in pairs]):
        gold[first : last + 1] = [f"B-{type}", *[f"I-{type}"] * (last - first)]
    cut = {name: ([], []) for name in BINS}
    at = 0
    while at < len(gold):
        end = at + 1
        while gold[at] != "O" and end < len(gold) and gold[end].startswith("I-"):
            end += 1
        for side, tags in zip(cut[bin_of(end - at)], (gold, predicted), strict=True):
            side.append(tags[at:end])
        at = end
    for name, counts in gold_cut(gold, predicted).items():
        there, found = (set(get_entities(side)) for side in cut[name])
        assert counts == (len(there & found), len(found), len(there))


@given(TAGS)
def test_mentions_are_cut_as_by_seqeval(pairs):
    from seqeval.metrics.sequence_labeling import get_entities

    tags = [tag for tag, _ in pairs]
    assert [(type, first, last) for first, last, type in decoded(tags)] == get_entities(tags)


def documents():
    """Two gold mentions; predicted: the first with a word too many, and a false one of three words."""
    text = "no T-cell leukaemia but fever after two weeks"
    gold = Document(
        "1", text, words=[(0, 2), (3, 9), (10, 19), (20, 23), (24, 29), (30, 35), (36, 39), (40, 45)]
    )
    return (
        gold.with_spans([gold.span(3, 19, "D"), gold.span(24, 29, "S")]),
        gold.with_spans([gold.span(3, 23, "D"), gold.span(24, 29, "S"), gold.span(30, 45, "S")]),
    )


def test_both_binnings_of_one_pairing():
    gold, predicted = documents()
    scores = score(pair([gold], [predicted]), lengths_in="tokens", cut_at_gold=True)

    def counted(table):
        return [(s.hits, s.predicted, s.gold) for s in scores.table(table).values()]

    assert counted("length") == [(1, 1, 1), (0, 0, 1), (0, 2, 0)]
    # "leukaemia but" is cut to the mention and right; "but", "after", "two", "weeks" each hurt length 1.
    assert counted("gold-cut") == [(1, 5, 1), (1, 1, 1), (0, 0, 0)]


def test_lengths_in_words_count_the_hyphen():
    gold, predicted = documents()
    scores = score(pair([gold], [predicted]), cut_at_gold=True)
    assert scores["length", "3+"].gold == 1 and scores["gold-cut", "3+"].hits == 1
    assert ("gold-cut", "1") not in score(pair([gold], [predicted])).rows


def test_what_tags_cannot_hold_is_noted():
    gold, _ = documents()
    nested = gold.with_spans([*gold.spans, gold.span(10, 19, "D")])
    scores = score(pair([nested], [gold]), lengths_in="tokens", cut_at_gold=True)
    assert scores.notes["mentions_that_tags_cannot_hold"] == 1 and scores["gold-cut", "1"].gold == 1
