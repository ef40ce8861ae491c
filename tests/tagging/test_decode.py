"""In: log-probabilities and tags, drawn and made by hand. Out: decoding agrees with brute force and conlleval."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from seqeval.metrics.sequence_labeling import get_entities

from vaner.document import Document, Span
from vaner.tagging import decode
from vaner.tagging.decode import B, I, O

LOG_PROBS = st.integers(0, 6).flatmap(
    lambda n: arrays(np.float64, (n, 3), elements=st.floats(-20, 0, allow_nan=False))
)
TAGS = st.lists(st.sampled_from([O, B, I]), max_size=12)


def drawn(seed: int, *shape: int, spread: float = 2.0) -> np.ndarray:
    """Log-probabilities of O, B, I in which no two sequences tie."""
    scores = np.random.default_rng(seed).normal(0, spread, (*shape, 3))
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def legal(tags) -> bool:
    return all(tag != I or (at and tags[at - 1] != O) for at, tag in enumerate(tags))


def document(words: int) -> tuple[Document, list[tuple[int, int]]]:
    """Words ``w0 w1 ...``, and where they lie."""
    names = [f"w{i}" for i in range(words)]
    starts = [sum(len(n) + 1 for n in names[:i]) for i in range(words)]
    return Document("d", " ".join(names)), [(s, s + len(n)) for s, n in zip(starts, names, strict=True)]


@settings(deadline=None)
@given(LOG_PROBS)
def test_viterbi_is_the_best_of_all_legal_sequences(log_probs):
    words = len(log_probs)
    every = [s for s in itertools.product((O, B, I), repeat=words) if legal(s)]
    best = max(sum(log_probs[i, t] for i, t in enumerate(s)) for s in every)
    tags = decode.viterbi(log_probs)
    assert tags.shape == (words,) and tags.dtype == np.int8
    assert legal(tags)
    assert sum(log_probs[i, t] for i, t in enumerate(tags)) == pytest.approx(best, abs=1e-9)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 14), st.data())
def test_a_search_of_broken_stretches_is_a_search_of_all(seed, types, words, data):
    log_probs = drawn(seed, types, words)
    starts = sorted(data.draw(st.sets(st.integers(0, words - 1)))) if words else []
    allowed = log_probs.copy()
    allowed[:, starts, I] = -np.inf
    assert decode.tags_of(log_probs, starts).tolist() == decode.viterbi(allowed).tolist()


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 9))
def test_viterbi_of_several_types_is_viterbi_of_each(seed, types, words):
    log_probs = drawn(seed, types, words)
    together = decode.viterbi(log_probs)
    assert together.shape == (types, words)
    for row in range(types):
        assert together[row].tolist() == decode.viterbi(log_probs[row]).tolist()


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 12))
def test_spans_with_the_argmax_shortcut_equal_full_viterbi(seed, types, words):
    log_probs = drawn(seed, types, words)
    doc, offsets = document(words)
    names = [f"T{i}" for i in range(types)]
    expected = sorted(
        (offsets[first][0], offsets[last - 1][1], name)
        for name, tags in zip(names, decode.viterbi(log_probs), strict=True)
        for first, last in decode.mentions(tags)
    )
    assert [s.key for s in decode.spans(doc, offsets, names, log_probs)] == expected


@settings(deadline=None)
@given(TAGS)
def test_illegal_rows_are_those_that_break_bio(tags):
    assert decode.illegal(np.array([tags], dtype=np.int8).reshape(1, -1)).tolist() == [not legal(tags)]


@settings(deadline=None)
@given(TAGS)
def test_mentions_are_what_conlleval_reads(tags):
    chunks = get_entities([("O", "B-X", "I-X")[t] for t in tags])
    assert decode.mentions(np.array(tags, dtype=np.int8)) == [(s, e + 1) for _, s, e in chunks]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_argmax_with_repair_reads_the_likeliest_tags_as_conlleval_does(seed, words):
    log_probs = drawn(seed, 1, words)
    doc, offsets = document(words)
    chunks = get_entities([("O", "B-X", "I-X")[t] for t in log_probs[0].argmax(-1)])
    found = decode.spans(doc, offsets, ["X"], log_probs, decoding="argmax")
    assert [(s.start, s.end) for s in found] == [(offsets[s][0], offsets[e][1]) for _, s, e in chunks]


def test_the_two_decodings_differ_on_an_i_without_a_b():
    probs = np.array([[[0.9, 0.05, 0.05], [0.3, 0.2, 0.5], [0.8, 0.1, 0.1]]])
    doc, offsets = document(3)
    # Viterbi: O O O has 0.9 * 0.3 * 0.8, O B O 0.9 * 0.2 * 0.8, B I O 0.05 * 0.5 * 0.8.
    assert decode.spans(doc, offsets, ["X"], np.log(probs)) == []
    (found,) = decode.spans(doc, offsets, ["X"], np.log(probs), decoding="argmax")
    assert found == Span(3, 5, "X", "w1", score=0.5)


def test_an_impossible_i_keeps_units_apart():
    """-1e9 at a unit's first word is how the tagger says that no mention reaches over from the unit before."""
    log_probs = np.log(np.array([[[0.1, 0.8, 0.1], [0.1, 0.3, 0.6], [0.1, 0.1, 0.8]]]))
    doc, offsets = document(3)
    assert [s.text for s in decode.spans(doc, offsets, ["X"], log_probs)] == ["w0 w1 w2"]
    log_probs[:, 1, I] = -1e9
    assert [s.text for s in decode.spans(doc, offsets, ["X"], log_probs)] == ["w0", "w1 w2"]


def test_score_is_the_geometric_mean_of_the_tags_probabilities():
    probs = np.array([[[0.2, 0.8, 0.0001], [0.3, 0.2, 0.5], [0.9, 0.05, 0.05]]])
    doc, offsets = document(3)
    (found,) = decode.spans(doc, offsets, ["X"], np.log(probs))
    assert found.text == "w0 w1"
    assert found.score == pytest.approx((0.8 * 0.5) ** 0.5, abs=1e-6)


def test_nothing_in_nothing_out():
    assert decode.spans(Document("d", ""), [], ["X"], np.zeros((1, 0, 3))) == []
    assert decode.viterbi(np.zeros((0, 3))).shape == (0,)
    assert decode.viterbi(np.zeros((2, 0, 3))).shape == (2, 0)


def test_types_may_overlap_and_nest_unless_flat():
    log_probs = np.log(
        np.array(
            [
                [[0.05, 0.9, 0.05], [0.05, 0.05, 0.9], [0.9, 0.05, 0.05]],
                [[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]],
            ]
        )
    )
    doc, offsets = document(3)
    both = decode.spans(doc, offsets, ["A", "B"], log_probs)
    assert [(s.type, s.text) for s in both] == [("A", "w0 w1"), ("B", "w1")]
    flat = decode.spans(doc, offsets, ["A", "B"], log_probs, flat=True)
    assert [(s.type, s.text) for s in flat] == [("A", "w0 w1")]


SPANS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 6), st.sampled_from("AB"), st.sampled_from([0.2, 0.5, 0.9])),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(SPANS)
def test_flat_takes_the_best_that_overlap_nothing_taken(drawn_spans):
    spans = [Span(s, s + n, t, "x" * n, score=p) for s, n, t, p in drawn_spans]
    taken: list[Span] = []
    for span in sorted(spans, key=lambda s: (-s.score, s.start - s.end, s.start, s.type)):
        if all(span.end <= other.start or span.start >= other.end for other in taken):
            taken.append(span)
    assert decode.best_of_overlapping(spans) == sorted(taken, key=lambda s: s.key)


def test_a_temperature_changes_the_scores_of_its_type_and_nothing_else():
    one, offsets = document(40)
    log_probs = drawn(3, 2, 40)
    plain = decode.spans(one, offsets, ["Disease", "Gene"], log_probs)
    warm = decode.spans(one, offsets, ["Disease", "Gene"], log_probs, temperatures={"Disease": 2.0})
    assert [s.key for s in warm] == [s.key for s in plain] and len(plain) > 10
    for before, after in zip(plain, warm, strict=True):
        odds = (before.score / (1 - before.score)) ** 0.5
        expected = odds / (1 + odds) if before.type == "Disease" else before.score
        assert after.score == pytest.approx(expected, abs=1e-6)
    for kind in ("Disease", "Gene"):
        order = [sorted((s.score, s.start) for s in found if s.type == kind) for found in (plain, warm)]
        assert [start for _, start in order[0]] == [start for _, start in order[1]]
    assert decode.spans(one, offsets, ["Disease", "Gene"], log_probs, temperatures={"Disease": 1.0}) == plain


def test_of_overlapping_spans_the_best_by_calibrated_scores_stays():
    one, offsets = document(1)
    log_probs = np.log(np.array([[[0.1, 0.9, 1e-9]], [[0.2, 0.8, 1e-9]]]))
    flat = {"flat": True, "decoding": "viterbi"}
    assert [s.type for s in decode.spans(one, offsets, ["A", "B"], log_probs, **flat)] == ["A"]
    found = decode.spans(one, offsets, ["A", "B"], log_probs, temperatures={"A": 3.0}, **flat)
    assert [s.type for s in found] == ["B"]
