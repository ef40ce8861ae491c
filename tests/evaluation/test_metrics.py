"""vaner.evaluation.metrics: counts and scores, by hand, by property and against nervaluate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.document import Document
from vaner.evaluation.metrics import MICRO, RELAXED, Score, align, mention_key, mention_keys, outcome, score
from vaner.evaluation.pairing import Mention, pair
from vaner.text.segment import words

TEXT = "alpha beta gamma delta epsilon zeta eta theta iota kappa"
WORDS = words(TEXT)


def document(spans, id="d", **rest):
    """A document of ten words; spans are (first word, past last word, type)."""
    built = Document(id, TEXT, **rest)
    return built.with_spans(built.span(WORDS[a][0], WORDS[b - 1][1], type) for a, b, type in spans)


def scored(gold, predicted, types=("A", "B", "C"), **rest):
    """Scores of two lists of span lists, one per document."""
    golds = [document(s, str(i), types=frozenset(types)) for i, s in enumerate(gold)]
    return score(pair(golds, [document(s, str(i)) for i, s in enumerate(predicted)]), **rest)


def prf(entry):
    return pytest.approx((entry.precision, entry.recall, entry.f1))


def test_strict_scores_by_hand():
    #        hit          wrong end    wrong type   missed          | spurious
    gold = [[(0, 1, "A"), (2, 4, "A"), (5, 6, "B"), (7, 8, "B")], []]
    predicted = [[(0, 1, "A"), (2, 3, "A"), (5, 6, "A")], [(9, 10, "B")]]
    s = scored(gold, predicted)
    assert s[MICRO] == Score(1, 4, 4) and prf(s[MICRO]) == (1 / 4, 1 / 4, 1 / 4)
    assert s["type", "A"] == Score(1, 3, 2) and prf(s["type", "A"]) == (1 / 3, 1 / 2, 2 / 5)
    assert s["type", "B"] == Score(0, 1, 2) and prf(s["type", "B"]) == (0, 0, 0)
    assert prf(s.macro) == (1 / 6, 1 / 4, 1 / 5)
    assert list(s.table("type")) == ["A", "B"] and s.documents == 2


def test_a_type_without_any_mention_is_no_part_of_the_macro_mean():
    gold = document([(0, 1, "A")], types=frozenset("AB"))
    s = score(pair([gold], [gold], types=["A", "B"]))
    assert s["type", "B"].f1 is None and s.macro.f1 == 1


def test_ratios_without_mentions():
    assert Score(0, 0, 0).f1 is None and Score(0, 0, 0).precision is None and Score(0, 0, 0).recall is None
    assert prf(Score(0, 0, 5)) == (0, 0, 0) and prf(Score(0, 5, 0)) == (0, 0, 0)
    empty = scored([[]], [[]])
    assert empty[MICRO].f1 is None and empty.macro.f1 is None


def test_relaxed_scores_by_hand():
    gold = [[(0, 1, "A"), (2, 4, "A"), (5, 6, "B"), (7, 8, "B")], []]
    predicted = [[(0, 1, "A"), (2, 3, "A"), (5, 6, "A")], [(9, 10, "B")]]
    s = scored(gold, predicted)
    expected = {  # correct, incorrect, partial, missed, spurious
        "strict": (1, 2, 0, 1, 1),
        "exact": (2, 1, 0, 1, 1),
        "partial": (2, 0, 1, 1, 1),
        "type": (2, 1, 0, 1, 1),
    }
    for measure, counts in expected.items():
        names = ("correct", "incorrect", "partial", "missed", "spurious")
        assert tuple(s.outcomes[measure][n] for n in names) == counts, measure
        credit = counts[0] + 0.5 * counts[2]
        assert prf(s["relaxed", measure]) == (credit / 4, credit / 4, credit / 4)


def test_strict_row_of_the_relaxed_table_is_the_micro_score():
    s = scored([[(0, 1, "A"), (2, 4, "A")]], [[(0, 1, "A"), (2, 3, "A")]])
    assert s["relaxed", "strict"] == s[MICRO]


def test_lengths_count_false_positives_in_their_own_bin():
    gold = [[(0, 1, "A"), (2, 4, "A"), (5, 9, "A")]]
    predicted = [[(0, 1, "A"), (2, 3, "A"), (5, 9, "A"), (4, 5, "A")]]
    s = scored(gold, predicted)
    assert s["length", "1"] == Score(1, 3, 1)  # (2, 3) is a false positive of one word ...
    assert s["length", "2"] == Score(0, 0, 1)  # ... and its gold mention a miss of two
    assert s["length", "3+"] == Score(1, 1, 1)


def test_length_counts_punctuation_marks_as_words():
    gold = Document("d", "T-cell line")
    gold = gold.with_spans([gold.span(0, 6, "X")])
    assert score(pair([gold], []))["length", "3+"] == Score(0, 0, 1)


def test_seen_and_unseen_have_recall_and_precision_of_their_own():
    gold = [[(0, 1, "A"), (1, 2, "A"), (2, 3, "B")]]
    predicted = [[(0, 1, "A"), (3, 4, "A"), (4, 5, "A"), (2, 3, "B")]]
    #           seen by its type too: gamma was an A, here it is a B
    training = {mention_key("ALPHA", "A"), mention_key("delta", "A"), mention_key("gamma", "A")}
    s = scored(gold, predicted, training_mentions=training)
    assert s["seen", "seen"] == Score(1, 2, 1)  # alpha; and delta, a false positive
    assert s["seen", "unseen"] == Score(1, 2, 2)  # beta missed, gamma found; epsilon a false positive
    assert "seen" not in {table for table, _ in scored(gold, predicted).rows}


def test_training_keys_ignore_case_and_spacing_and_follow_the_type_map():
    built = Document("t", "A T - Cell\nline")
    built = built.with_spans([built.span(2, 15, "cell")])
    assert mention_keys([built], {"cell": "Cell"}) == {mention_key("T-cell line", "Cell")}
    assert mention_key("T-cell", "X") != mention_key("Tcell", "X")


def test_unreachable_mentions_count_as_misses_and_are_noted():
    s = scored([[(0, 1, "A"), (2, 3, "A")]], [[(0, 1, "A")]], unreachable=1)
    assert s[MICRO] == Score(1, 1, 2) and s.notes == {"unreachable_gold_mentions": 1}


def test_nested_mentions_are_compared_as_a_set():
    gold = [[(0, 3, "A"), (1, 2, "B"), (1, 3, "A")]]
    assert scored(gold, gold)[MICRO] == Score(3, 3, 3)
    assert scored(gold, [[(1, 2, "B")]])[MICRO] == Score(1, 1, 3)


def test_alignment_prefers_equal_then_same_borders_then_same_type():
    gold = [Mention(0, 10, "A", ((0, 10),)), Mention(12, 20, "A", ((12, 20),))]
    wide = Mention(5, 20, "A", ((5, 20),))
    same = Mention(0, 10, "B", ((0, 10),))
    assert set(align(gold, [wide, same])) == {(gold[0], same), (gold[1], wide)}
    other = Mention(12, 19, "B", ((12, 19),))
    assert set(align(gold[1:], [wide, other])) == {(gold[1], wide), (None, other)}


def test_discontinuous_mentions_overlap_by_their_pieces():
    gap = Mention(0, 20, "A", ((0, 5), (15, 20)))
    inside, cover = Mention(7, 12, "A", ((7, 12),)), Mention(0, 20, "A", ((0, 20),))
    assert set(align([gap], [inside])) == {(gap, None), (None, inside)}
    assert align([gap], [cover]) == [(gap, cover)]
    assert outcome("strict", gap, cover) == "incorrect" and outcome("partial", gap, cover) == "partial"


spans = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 3), st.sampled_from("AB")).map(
        lambda s: (s[0], min(s[0] + s[1], 10), s[2])
    ),
    max_size=8,
)
documents = st.lists(spans, min_size=1, max_size=4)


@given(documents)
def test_a_perfect_prediction_scores_one_everywhere(gold):
    s = scored(gold, gold)
    assert all(s[row].f1 in (None, 1.0) for row in s.rows)
    assert s.macro.f1 is None or s.macro.f1 == pytest.approx(1)


@given(st.lists(st.tuples(spans, spans), min_size=1, max_size=4))
def test_swapping_gold_and_prediction_swaps_precision_and_recall(both):
    gold, predicted = zip(*both, strict=True)
    there, back = scored(gold, predicted), scored(predicted, gold)
    for row in there.rows:
        assert (there[row].precision, there[row].recall) == (back[row].recall, back[row].precision)
        assert there[row].f1 == back[row].f1


@given(st.lists(st.tuples(spans, spans), min_size=1, max_size=4))
def test_tables_partition_the_mentions_and_relaxed_outcomes_add_up(both):
    gold, predicted = zip(*both, strict=True)
    s = scored(gold, predicted, training_mentions={mention_key("alpha", "A"), mention_key("beta gamma", "B")})
    for table in ("type", "length", "seen"):
        parts = s.table(table).values()
        assert sum(p.hits for p in parts) == s[MICRO].hits
        assert sum(p.predicted for p in parts) == s[MICRO].predicted
        assert sum(p.gold for p in parts) == s[MICRO].gold
    for measure in RELAXED:
        counts = s.outcomes[measure]
        assert counts.total() - counts["spurious"] == s[MICRO].gold
        assert counts.total() - counts["missed"] == s[MICRO].predicted
        assert s["relaxed", measure].hits >= s[MICRO].hits


@given(st.lists(st.tuples(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9))), min_size=1, max_size=5))
def test_strict_counts_are_set_operations(both):
    gold, predicted = zip(
        *[([(i, i + 1, "A") for i in g], [(i, i + 1, "A") for i in p]) for g, p in both], strict=True
    )
    hits = sum(len(g & p) for g, p in both)
    assert scored(gold, predicted)[MICRO] == Score(
        hits, sum(len(p) for _, p in both), sum(len(g) for g, _ in both)
    )


@st.composite
def _pairwise(draw):
    """Mentions that each overlap at most one of the other side: there nervaluate's greedy pairing is ours."""
    gold, predicted = [], []
    for slot in range(0, 9, 3):  # three words a slot, nothing crosses
        for side in (gold, predicted):
            if draw(st.booleans()):
                start = draw(st.integers(slot, slot + 2))
                side.append((start, draw(st.integers(start + 1, slot + 3)), draw(st.sampled_from("AB"))))
    return gold, predicted


@given(st.lists(_pairwise(), min_size=1, max_size=4))
def test_relaxed_outcomes_agree_with_nervaluate(both):
    nervaluate = pytest.importorskip("nervaluate", reason="peer implementation of the relaxed measures")
    gold, predicted = zip(*both, strict=True)

    def entities(spans):
        return [{"label": t, "start": WORDS[a][0], "end": WORDS[b - 1][1] - 1} for a, b, t in sorted(spans)]

    peer = nervaluate.Evaluator(
        [entities(g) for g in gold], [entities(p) for p in predicted], tags=["A", "B"], loader="dict"
    )
    found = peer.evaluate()["overall"]
    s = scored(gold, predicted)
    for measure, name in {
        "strict": "strict",
        "exact": "exact",
        "partial": "partial",
        "type": "ent_type",
    }.items():
        theirs, ours = found[name], s["relaxed", measure]
        counts = {n: getattr(theirs, n) for n in ("correct", "incorrect", "partial", "missed", "spurious")}
        assert counts == {n: s.outcomes[measure][n] for n in counts}
        assert theirs.f1 == pytest.approx(ours.f1 or 0)
        assert theirs.precision == pytest.approx(ours.precision or 0)
        assert theirs.recall == pytest.approx(ours.recall or 0)
