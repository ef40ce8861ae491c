"""In: log-probabilities of words. Out: the same after they were in a document's metadata; refusals of damaged ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vaner.document import Document
from vaner.errors import FormatError
from vaner.inputs.taught import WORD_SCORES, log_probabilities, read, written


def log_softmax(numbers):
    highest = numbers.max(-1, keepdims=True)
    return numbers - highest - np.log(np.exp(numbers - highest).sum(-1, keepdims=True))


@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 3), st.integers(1, 5), st.just(3)), elements=st.floats(-40, 40)
    )
)
def test_probabilities_come_back(logits):
    log_probs = log_softmax(logits)
    types = [f"T{i}" for i in range(len(logits))]
    # As a file has it.
    metadata = json.loads(json.dumps({WORD_SCORES: written(types, log_probs)}))
    asked, scores = read(Document("d", "x", metadata=metadata), logits.shape[1])
    assert asked == types and scores.dtype == np.float16 and scores.shape == (*logits.shape[:2], 2)
    # float16 keeps eleven bits of a difference of up to 80.
    assert np.abs(np.exp(log_probabilities(scores)) - np.exp(log_probs)).max() < 0.02


def test_probabilities_of_any_size_sum_to_one():
    scores = np.array([[0, 0], [60_000, -60_000], [-60_000, -60_000], [60_000, 60_000]], dtype=np.float16)
    assert np.exp(log_probabilities(scores)).sum(-1) == pytest.approx(1)


def test_a_document_without_scores_has_none():
    assert read(Document("d", "x"), 1) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": 3}, "damaged"),
        ({"types": ["A", "B"]}, "damaged"),
        ({"float16": "eJw"}, "damaged"),
        ({"float16": "?" * 8}, "damaged"),
        ({"float16": None}, "damaged"),
    ],
)
def test_damaged_scores_are_named_with_their_document(change, message):
    good = written(["A"], np.zeros((1, 2, 3)))
    with pytest.raises(
        FormatError, match=f"document d7: word_scores of its metadata are {message}.*--word_scores"
    ):
        read(Document("d7", "x y", metadata={WORD_SCORES: {**good, **change}}), 2)


def test_scores_of_another_text_are_refused():
    document = Document("d7", "x y z", metadata={WORD_SCORES: written(["A"], np.zeros((1, 2, 3)))})
    with pytest.raises(
        FormatError, match="document d7: .* are of 2 words and the text has 3; tag the text again"
    ):
        read(document, 3)


def test_a_score_that_is_no_number_is_refused():
    document = Document("d7", "x", metadata={WORD_SCORES: written(["A"], np.full((1, 1, 3), np.nan))})
    with pytest.raises(FormatError, match="a number that is none"):
        read(document, 1)
