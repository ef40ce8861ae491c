"""vaner.evaluation.agreement: our strict scores and seqeval's, on the same tags."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaner.document import Document
from vaner.evaluation.agreement import agreement, bio, read_columns, seqeval_scores
from vaner.evaluation.metrics import MICRO, score
from vaner.evaluation.pairing import Mention, pair
from vaner.text.segment import words

TEXT = "alpha beta gamma delta epsilon zeta"
WORDS = words(TEXT)


def mention(start, end, type="X", pieces=None):
    return Mention(start, end, type, pieces or ((start, end),))


def document(spans, id="d"):
    built = Document(id, TEXT)
    return built.with_spans(built.span(WORDS[a][0], WORDS[b - 1][1], type) for a, b, type in spans)


def test_tags_of_adjacent_mentions():
    tags = bio(WORDS, [mention(0, 10), mention(11, 16), mention(31, 35, "Y")], Counter(), "gold")
    assert tags == ["B-X", "I-X", "B-X", "O", "O", "B-Y"]


def test_what_tags_cannot_say_is_counted():
    lost = Counter()
    tags = bio(
        WORDS,
        [
            mention(6, 22),
            mention(11, 16),
            mention(24, 26),
            mention(5, 6),
            mention(31, 35, pieces=((31, 32), (34, 35))),
        ],
        lost,
        "gold",
    )
    assert tags == ["O", "B-X", "I-X", "I-X", "B-X", "B-X"]  # the longest of two, the whole of a cut word
    assert lost == {
        "gold_mentions_sharing_words": 1,
        "gold_mentions_inside_a_word": 1,
        "gold_mentions_without_a_word": 1,
        "gold_mentions_discontinuous": 1,
    }


def test_default_and_strict_mode_differ_on_tags_that_break_iob2():
    gold = [["O", "B-X", "I-X", "O", "B-X"]]
    default, strict = seqeval_scores(gold, [["O", "I-X", "I-X", "O", "B-X"]])
    assert (default.f1, strict.f1) == pytest.approx((1, 2 / 3))
    default, strict = seqeval_scores(gold, gold)
    assert default == strict and default.f1 == 1


def test_a_widened_mention_explains_a_disagreement():
    gold, predicted = Document("d", "alphas"), Document("d", "alphas")
    gold = gold.with_spans([gold.span(0, 5, "X")])
    predicted = predicted.with_spans([predicted.span(0, 6, "X")])
    found = pair([gold], [predicted])
    assert score(found)[MICRO].f1 == 0
    assert agreement(found).strict.f1 == 1 and agreement(found).lost == {"gold_mentions_inside_a_word": 1}


def test_nothing_to_tag():
    assert agreement(pair([document([])], [document([])])) is None
    assert agreement(pair([Document("d", "")], [Document("d", "")])) is None


flat = st.lists(st.tuples(st.integers(1, 2), st.sampled_from("OXYO")), max_size=6).map(
    lambda parts: [
        (sum(n for n, _ in parts[:i]), sum(n for n, _ in parts[:i]) + n, type)
        for i, (n, type) in enumerate(parts)
        if type != "O" and sum(n for n, _ in parts[:i]) + n <= len(WORDS)
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(flat, flat), min_size=1, max_size=4))
def test_seqeval_agrees_on_mentions_that_tags_can_say(both):
    golds = [document(g, str(i)) for i, (g, _) in enumerate(both)]
    found = pair(golds, [document(p, str(i)) for i, (_, p) in enumerate(both)], types=None)
    ours, theirs = score(found), agreement(found)
    if theirs is None:
        assert ours[MICRO].f1 is None
        return
    assert not theirs.lost
    for mode in (theirs.default, theirs.strict):
        assert mode.precision == pytest.approx(ours[MICRO].precision)
        assert mode.recall == pytest.approx(ours[MICRO].recall)
        assert mode.f1 == pytest.approx(ours[MICRO].f1)
        assert mode.macro_f1 == pytest.approx(ours.macro.f1)


def test_columns_of_a_file_are_scored_as_they_are(tmp_path):
    gold, predicted = tmp_path / "gold.tsv", tmp_path / "predicted.tsv"
    gold.write_text("alpha\tO\nbeta\tB-X\ngamma\tI-X\n\nalpha\tB-Y\n")
    predicted.write_text("-DOCSTART-\tO\n\nalpha\tO\nbeta\tI-X\ngamma\tI-X\n\nalpha\tB-Z\n")
    columns = read_columns(gold), read_columns(predicted, {"Z": "Y"})
    assert columns[1] == [(["alpha", "beta", "gamma"], ["O", "I-X", "I-X"]), (["alpha"], ["B-Y"])]
    golds = [Document("1", "alpha beta gamma", types=frozenset("XY"))]
    golds = [golds[0].with_spans([golds[0].span(6, 16, "X")]), Document("2", "alpha", types=frozenset("XY"))]
    golds[1] = golds[1].with_spans([golds[1].span(0, 5, "Y")])
    found = agreement(pair(golds, golds), columns)
    assert (found.default.f1, found.strict.f1) == (1, pytest.approx(2 / 3))
    only_x = agreement(pair(golds, golds, types=["X"]), columns)
    assert (only_x.default.f1, only_x.strict.f1) == (1, 0)
    other_words = [(["alpha"], ["O"])]
    assert agreement(pair(golds, golds), (columns[0], other_words)).tags == "BIO tags over words"


def test_columns_of_iobes_are_not_for_iob2(tmp_path):
    path = tmp_path / "gold.tsv"
    path.write_text("alpha\tS-X\n")
    assert read_columns(path) is None
