"""Normal forms: one for all spellings of a name, with offsets that stay those of the original."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaner.knowledge.normalise import key_of, normal_words, normalise, normalise_all, surface_keys

# Letters, marks, signs and scripts that change length, class or case when folded.
TRICKY = st.lists(
    st.sampled_from(
        list("abcisyeSAB09 -'’.,()+/\n\x1e")
        + [
            "α",
            "Β",
            "µ",
            "İ",
            "ı",
            "ß",
            "ﬁ",
            "ǆ",
            "é",
            "e\u0301",
            "\u0301",
            "\u200d",
            "\u00ad",
            "²",
            "½",
            "Å",
            "中",
            "ｓ",
        ]
        + ["'s", "ies", "ses", "–", "𝛼", "़", "ा"]
    ),
    max_size=40,
).map("".join)


@pytest.mark.parametrize(
    ("spellings", "normal"),
    [
        (["TNF-α", "TNF alpha", "Tnf-Alpha", "TNFα", "tnf–alphas"], "tnf alpha"),
        (["IL-2", "IL 2", "IL2", "il2"], "il 2"),
        (["Alzheimer's disease", "Alzheimer’s diseases", "ALZHEIMER DISEASE"], "alzheimer disease"),
        (["therapies", "Therapy"], "therapy"),
        (["naïve", "nai\u0308ve", "NAIVE"], "naive"),
        (["İstanbul", "istanbul"], "istanbul"),
        (["ﬁbrosis", "fibrosis"], "fibrosis"),
        (["λ phage", "lambda phage"], "lambda phage"),
    ],
)
def test_spellings_of_one_name(spellings, normal):
    assert {normalise(s) for s in spellings} == {normal}
    assert len({key_of(s) for s in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("AIDS", "aid"), ("11p15.5", "11p155"), ("CD4", "CD4+"), ("virus", "viru"), ("a b", "ba")],
)
def test_different_names(one, other):
    assert normalise(one) != normalise(other)
    assert key_of(one) != key_of(other)


def test_offsets_count_the_original_characters():
    text = "İ e\u0301tude, TNF-α’s"
    words = normal_words(text)
    spelt = [(words.normal(i), text[words.start[i] : words.end[i]]) for i in range(len(words))]
    assert spelt == [("i", "İ"), ("etude", "e\u0301tude"), (",", ","), ("tnf", "TNF"), ("alpha", "α")]


def test_boundaries():
    words = normal_words("IL2R, x")
    assert [words.normal(i) for i in range(len(words))] == ["il", "2", "r", ",", "x"]
    assert words.opens.tolist() == [True, False, False, True, True]
    assert words.closes.tolist() == [False, False, True, True, True]


@settings(max_examples=400, deadline=None)
@given(TRICKY)
def test_same_as_the_reference(reference, text):
    words = normal_words(text)
    expected = reference.words(text)
    found = [(int(words.start[i]), int(words.end[i])) for i in range(len(words))]
    assert found == [(w.start, w.end) for w in expected]
    assert words.opens.tolist() == [w.opens for w in expected]
    assert words.closes.tolist() == [w.closes for w in expected]
    spelt = words.normals()
    assert [s for s, w in zip(spelt, expected, strict=True) if w.normal != "\n"] == [
        w.normal for w in expected if w.normal != "\n"
    ]
    assert spelt == [words.normal(i) for i in range(len(words))]


@settings(max_examples=200, deadline=None)
@given(st.lists(TRICKY.map(lambda t: t.replace("\x1e", "").replace("\n", " ")), min_size=1, max_size=8))
def test_many_at_once_are_as_one_by_one(texts):
    assert normalise_all(texts) == [normalise(t) for t in texts]
    assert len(set(surface_keys(texts).tolist())) == len(set(texts))


@settings(max_examples=200, deadline=None)
@given(TRICKY, TRICKY)
def test_keys_are_equal_exactly_when_normal_forms_are(one, other):
    one, other = (t.replace("\x1e", "").replace("\n", " ") for t in (one, other))
    assert (key_of(one) == key_of(other)) == (normalise(one) == normalise(other))


def test_runs_of_words_have_the_keys_of_their_names():
    words = normal_words("of breast cancers in")
    assert int(words.keys(np.array([1]), 2)[0]) == key_of("Breast-Cancer")


def test_possessive_is_a_single_s():
    assert normalise("x's 'ß") == "x ss"
    assert normalise("x's's") == "x"
    assert normalise("'s s") == "s s"
