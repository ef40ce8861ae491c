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
            *'®™⁺⁻₊＋″‴"“æŒøł∆\u200b\ufeff\u115f\u2212\u02b9',
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
        (["Ca²⁺", "Ca2+", "Ca₂₊", "Ca２＋"], "ca 2 +"),
        (["Na⁺", "Na+", "na +"], "na +"),
        (["Cl⁻", "Cl-", "Cl−", "Cl₋"], "cl"),
        (["Leucovorin®", "Leucovorin", "Leucovorin™", "leucovorin ®", "Leucovorin℠"], "leucovorin"),
        (["Taxol®-treated", "taxol treated", "Taxol©treated"], "taxol treated"),
        (
            ["hepato\u00adcellular", "hepatocellular", "hepato\u200bcellular", "\ufeffhepato\u2060cellular"],
            "hepatocellular",
        ),
        (["ﬂuorouracil", "fluorouracil"], "fluorouracil"),
        (["œsophagus", "Œsophagus", "oesophagus"], "oesophagus"),
        (["Ædes ægypti", "aedes aegypti"], "aede aegypti"),
        (["Sjøgren′s", "Sjogren’s", "Sjogren's", "SJØGREN"], "sjogren"),
        (["5′-AMP", "5'-AMP", "5ʹ-AMP", "5`-AMP", "5‵-AMP"], "5 amp"),
        (["3″-x", '3"-x', "3''-x", "3ʺ-x", "3‴-x", "3⁗-x", "3”-x"], "3 x"),
        (
            ["β-catenin", "β‐catenin", "β‑catenin", "β‒catenin", "β–catenin", "β−catenin", "β－catenin"],
            "beta catenin",
        ),
        (["∆9-THC", "Δ9-THC", "delta 9 THC"], "delta 9 thc"),
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


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("Ca²⁺x", ["Ca", "²", "⁺", "x"]),
        ("\ufeffhepato\u00adcellular® b", ["hepato\u00adcellular", "b"]),
        ("œ∆″ﬃ", ["œ", "∆", "ﬃ"]),
        ("5‴-ø", ["5", "ø"]),
    ],
)
def test_signs_keep_their_offsets(text, spelt):
    words = normal_words(text)
    assert [text[a:b] for a, b in zip(words.start, words.end, strict=True)] == spelt


def test_an_index_of_the_form_before_is_read_with_a_word_about_it(make_kb, monkeypatch, caplog):
    from vaner.knowledge import KnowledgeBase

    monkeypatch.setattr("vaner.knowledge.compile.NORMAL_FORM", 1)
    path = make_kb().path
    caplog.clear()
    assert len(KnowledgeBase(path).description["vocabularies"]) > 0
    (said,) = caplog.messages
    assert "built by an earlier version" in said and str(path) in said


def test_every_character_is_what_the_reference_says(reference):
    """A sample of all of Unicode, and all signs up to U+2FFF."""
    for code in [*range(0x3000), *range(0x3000, 0x30000, 97)]:
        if not 0xD800 <= code < 0xE000:
            text = f"xs{chr(code)}s b"
            words, expected = normal_words(text), reference.words(text)
            assert [(a, b) for a, b in zip(words.start, words.end, strict=True)] == [
                (w.start, w.end) for w in expected
            ], hex(code)
            spelt = [
                (s, w.normal) for s, w in zip(words.normals(), expected, strict=True) if w.normal != "\n"
            ]
            assert all(a == b for a, b in spelt), hex(code)


def test_threads_that_need_more_powers_at_once_all_get_enough(monkeypatch):
    """Each thread reads a longer text than the one before; none may find the powers of a shorter one."""
    import sys
    import threading

    from vaner.knowledge.normalise import _Powers

    expected = {n: key_of("ab " * n) for n in range(1, 40)}
    monkeypatch.setattr(_Powers, "reach", _smaller(_Powers.reach))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    wrong = []

    def work(order):
        try:
            wrong.extend(n for n in order if key_of("ab " * n) != expected[n])
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(list(expected)[i::4] * 20,)) for i in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    sys.setswitchinterval(before)
    assert wrong == []


def _smaller(reach):
    """What `reach` gives is computed anew each time, and only as long as was asked."""

    def only(self, count):
        self._now = tuple(self._powers(base, count) for base in self._bases)
        return reach(self, count)

    return only
