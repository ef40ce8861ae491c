"""vaner.evaluation.pairing: documents matched by id, mentions brought onto one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.pairing import Mention, pair


def document(text="BRCA1 and breast cancer", spans=(), id="d1", **rest):
    built = Document(id, text, **rest)
    return built.with_spans(
        built.span(start, end, type, **more) for start, end, type, *m in spans for more in [dict(*m)]
    )


def test_pairs_come_in_gold_order_whatever_the_order_of_the_predictions():
    gold = [document(id="a"), document(id="b"), document(id="c")]
    assert [p.id for p in pair(gold, reversed(gold)).pairs] == ["a", "b", "c"]


def test_offsets_are_carried_over_white_space():
    gold = document("a T - cell line", [(2, 10, "CellType")])
    predicted = document("a T-cell\nline ", [(2, 8, "CellType")])
    found = pair([gold], [predicted])
    assert found.pairs[0].gold == found.pairs[0].predicted == {Mention(2, 10, "CellType", ((2, 10),))}
    assert found.notes == {"documents_differing_in_white_space": 1}


def test_carried_mentions_lose_white_space_at_their_ends_on_both_sides():
    gold = document("a T - cell line", [(2, 11, "CellType")])
    predicted = document("a T-cell line", [(1, 8, "CellType")])
    found = pair([gold], [predicted]).pairs[0]
    assert found.gold == found.predicted


def test_a_predicted_mention_of_nothing_but_white_space_matches_nothing():
    gold = document("a  b", [(0, 1, "X")])
    predicted = document("a   b", [(1, 3, "X")])
    assert pair([gold], [predicted]).pairs[0].predicted == {Mention(3, 3, "X", ((3, 3),))}


@given(
    st.lists(st.tuples(st.text("abé\U0001f9ec", min_size=1), st.text(" \n\t\u2003", min_size=1)), min_size=1)
)
def test_carried_offsets_select_the_same_characters(parts):
    spaced, tight = "".join(w + s for w, s in parts), "".join(w for w, _ in parts)
    start, spans = 0, []
    for word, _ in parts:
        spans.append((start, start + len(word), "X"))
        start += len(word)
    found = pair([document(spaced, [(0, len(spaced), "X")])], [document(tight, spans)]).pairs[0]
    words = sorted("".join(spaced[m.start : m.end].split()) for m in found.predicted)
    assert words == sorted(w for w, _ in parts)


def test_texts_that_differ_name_the_document_and_the_first_difference():
    gold, predicted = document("the BRCA1 gene", id="77"), document("the  BRCA2 gene", id="77")
    with pytest.raises(
        VanerError, match=r"document 77: .* at character 8 of the gold text: '1 gene' against '2 gene'"
    ):
        pair([gold], [predicted])


@pytest.mark.parametrize(("gold", "predicted"), [("ab", "a b c"), ("a b c", "ab")])
def test_a_text_that_ends_early_differs(gold, predicted):
    with pytest.raises(VanerError, match="'' against 'c'|'c' against ''"):
        pair([document(gold)], [document(predicted)])


@pytest.mark.parametrize(("gold", "predicted", "side"), [("aa", "a", "gold"), ("a", "aa", "predictions")])
def test_an_id_twice_is_an_error(gold, predicted, side):
    with pytest.raises(VanerError, match=f"{side}: document id 'a' occurs twice"):
        pair([document(id=i) for i in gold], [document(id=i) for i in predicted])


def test_a_missing_prediction_is_empty_and_an_extra_one_an_error_unless_ignored():
    gold = [document(id="a", spans=[(0, 5, "Gene")]), document(id="b")]
    found = pair(gold, [document(id="b")])
    assert found.notes == {"documents_without_prediction": 1}
    assert len(found.pairs[0].gold) == 1 and not found.pairs[0].predicted
    with pytest.raises(VanerError, match=r"document 'c' is not in the gold.*--ignore_extra"):
        pair(gold, [document(id="c")])
    predicted = [document(id="b"), document(id="c")]
    assert pair(gold[1:], predicted, ignore_extra=True).notes["extra_documents_ignored"] == 1


def numbered(name, *texts):
    return [document(text, id=f"{name}-{n}") for n, text in enumerate(texts, 1)]


@pytest.mark.parametrize(
    ("gold", "predicted", "paired"),
    [
        (numbered("gold", "T - cell", "b", "b"), numbered("found", "T-cell", "b", "b"), 3),
        (numbered("gold", "a", "b"), [document("a", id="10"), document("b", id="3")], 2),
        ([document("a", id="10"), *numbered("gold", "b")], [*numbered("x", "b"), document("a", id="10")], 1),
        (numbered("same", "a", "b"), numbered("same", "a", "b"), 0),
    ],
)
def test_documents_with_other_ids_are_paired_where_their_texts_are_the_same_in_order(gold, predicted, paired):
    gold, predicted = ([d.with_spans([d.span(0, 1, d.text[0])]) for d in side] for side in (gold, predicted))
    found = pair(gold, predicted)
    assert found.notes["documents_paired_by_their_order"] == paired
    assert [p.id for p in found.pairs] == [d.id for d in gold]
    assert all(p.gold == p.predicted and len(p.gold) == 1 for p in found.pairs)


@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        (("a", "b"), ("b", "a")),
        (("a", "b"), ("a", "c")),
        (("a", "b"), ("a",)),
        (("a",), ("a", "b")),
    ],
)
def test_documents_in_another_order_are_not_guessed_and_never_scored_as_nothing(gold, predicted):
    sides = numbered("gold", *gold), numbered("found", *predicted)
    with pytest.raises(
        VanerError, match=r"'found-1' is not in the gold .*nor are the texts the same in the same order"
    ):
        pair(*sides)
    with pytest.raises(VanerError, match=r"none of the \d documents is in the gold documents .*same ids"):
        pair(*sides, ignore_extra=True)


def test_a_type_that_gold_does_not_annotate_is_dropped_and_counted():
    gold = document(spans=[(10, 23, "Disease")], types=frozenset({"Disease"}))
    predicted = document(spans=[(0, 5, "Gene"), (10, 23, "Disease")])
    found = pair([gold], [predicted])
    assert found.types == ("Disease",) and found.unannotated == {"Gene": 1}
    assert found.pairs[0].predicted == found.pairs[0].gold


def test_gold_that_does_not_say_annotates_the_types_of_its_mentions():
    gold = [document(id="a", spans=[(0, 5, "Gene")]), document(id="b")]
    predicted = [document(id="a"), document(id="b", spans=[(0, 5, "Gene"), (10, 23, "Disease")])]
    found = pair(gold, predicted)
    assert found.unannotated == {"Disease": 1}
    assert {m.type for m in found.pairs[1].predicted} == {"Gene"}


def test_gold_that_does_not_say_annotates_the_requested_types():
    found = pair([document()], [document(spans=[(0, 5, "Gene"), (10, 23, "Disease")])], types=["Gene"])
    assert found.types == ("Gene",) and not found.unannotated and len(found.pairs[0].predicted) == 1


def test_a_requested_type_that_gold_does_not_annotate_is_an_error():
    gold = document(spans=[(10, 23, "Disease")], types=frozenset({"Disease"}))
    with pytest.raises(
        VanerError, match="--types: no document has the entity type 'Gene'; there are: Disease"
    ):
        pair([gold], [document(spans=[(0, 5, "Gene")])], types=["Gene"])


def test_types_are_renamed_on_both_sides_and_in_what_gold_annotates():
    gold = document(spans=[(0, 5, "protein")], types=frozenset({"protein", "DNA"}))
    predicted = document(spans=[(0, 5, "Gene"), (10, 23, "DNA")])
    found = pair([gold], [predicted], type_map={"protein": "Gene", "DNA": "Gene"})
    assert found.types == ("Gene",) and found.pairs[0].gold < found.pairs[0].predicted
    empty = pair([document(types=frozenset({"protein"}))], [predicted], type_map={"protein": "Gene"})
    assert {m.type for m in empty.pairs[0].predicted} == {"Gene"} and empty.unannotated == {"DNA": 1}
    with pytest.raises(VanerError, match="--type_map: no document has the entity type 'protien'"):
        pair([gold], [predicted], type_map={"protien": "Gene"})


def test_duplicates_count_once_and_are_reported():
    gold = document(spans=[(0, 5, "Gene"), (0, 5, "Gene")])
    predicted = document(spans=[(0, 5, "Gene"), (0, 5, "Gene"), (0, 5, "Gene")])
    found = pair([gold], [predicted])
    assert found.notes == {"duplicate_gold_mentions": 1, "duplicate_predicted_mentions": 2}
    assert found.pairs[0].gold == found.pairs[0].predicted and len(found.pairs[0].gold) == 1


def test_fragments_parted_by_white_space_alone_are_one():
    text = "hepatic and\nrenal failure"
    broken = document(text, [(0, 17, "Disease", [("fragments", ((0, 11), (12, 17)))])])
    whole = document(text, [(0, 17, "Disease")])
    gap = document(text, [(0, 25, "Disease", [("fragments", ((0, 7), (18, 25)))])])
    assert pair([broken], [whole]).pairs[0].gold == pair([broken], [whole]).pairs[0].predicted
    found = pair([gap], [document(text, [(0, 25, "Disease")])])
    assert found.pairs[0].gold != found.pairs[0].predicted
    assert found.notes == {"discontinuous_gold_mentions": 1}


def test_words_are_those_of_the_gold_file_where_it_has_any():
    assert pair([document("T-cell", words=[(0, 6)])], []).pairs[0].words == [(0, 6)]
    assert pair([document("T-cell")], []).pairs[0].words == [(0, 1), (1, 2), (2, 6)]
