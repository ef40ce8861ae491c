"""Matching: the longest names at word boundaries, at their own offsets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaner.errors import VanerError
from vaner.knowledge import Rules
from vaner.knowledge import match as match_module
from vaner.knowledge.match import Finder
from vaner.vocabularies.terms import Term


def found(kb, text, types=None, **options):
    return [(text[m.start : m.end], m.type) for m in kb.match([text], types, **options)[0]]


def test_longest_name_of_each_type(kb):
    assert found(kb, "a case of breast cancers.") == [("breast", "Anatomy"), ("breast cancers", "Disease")]
    assert found(kb, "breast cancer", ["Disease"], all=True) == [
        ("breast cancer", "Disease"),
        ("cancer", "Disease"),
    ]


def test_what_one_type_gives_does_not_depend_on_the_others(kb):
    text = "CAT and insulin in acute abdomen, a cat with breast cancer"
    every = found(kb, text)
    for type_ in kb.types:
        assert found(kb, text, [type_]) == [m for m in every if m[1] == type_]


def test_ambiguous_name_keeps_all_its_types_and_concepts(kb):
    assert found(kb, "insulin") == [("insulin", "Chemical"), ("insulin", "Gene")]
    match = kb.match(["CAT"])[0]
    assert [m.type for m in match] == ["Gene", "Species"]
    assert kb.name(match[0].number).text == "CAT"
    assert {c.id for n in kb.lookup("cat") for c in n.concepts} == {"G3", "S1"}


def test_acronyms_need_capitals(kb):
    assert found(kb, "the cat") == [("cat", "Species")]
    assert found(kb, "the Cat") == [("Cat", "Species")]
    assert ("CAT", "Gene") in found(kb, "the CAT")


def test_muted_names_are_not_matched(kb):
    assert found(kb, "It was 12.") == []
    assert kb.lookup("was")[0].muted


def test_word_boundaries_are_tested_before_length(make_kb):
    # "alpha B2" would hide "alpha" in "alpha B2x" if the longest were taken before boundaries are tested.
    kb = make_kb([Term("1", "alpha", ("X",), True), Term("2", "alpha B2", ("X",), True)], rules=Rules())
    assert found(kb, "alpha B2x") == [("alpha", "X")]
    assert found(kb, "alpha B2-x") == [("alpha B2", "X")]
    assert found(kb, "pre-alpha b2") == [("alpha b2", "X")]
    assert found(kb, "2alpha b2, alphas2") == []


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("İİİ TNF-α rises", "TNF-α"),
        ("e\u0301\u0301 TNFα,", "TNFα"),
        ("𝛼𝛽 (tnf\u2011ALPHA)", "tnf\u2011ALPHA"),
        ("ﬁﬁ Alzheimer’s disease’s course", "Alzheimer’s disease"),
        ("ß 1,2\u2010dichloroethane", "1,2\u2010dichloroethane"),
    ],
)
def test_offsets_are_those_of_the_original(kb, text, mention):
    assert (mention) in [m for m, _ in found(kb, text)]


def test_nothing_reaches_over_a_text_or_an_empty_line(kb):
    assert found(kb, "breast\n\ncancer", ["Disease"]) == [("cancer", "Disease")]
    assert found(kb, "breast\ncancer", ["Disease"]) == [("breast\ncancer", "Disease")]
    assert [len(m) for m in kb.match(["breast", "cancer"], ["Disease"])] == [0, 1]
    assert kb.match([]) == []
    assert kb.match(["", " ", "\x1e"]) == [[], [], []]


def test_a_type_without_names_is_an_error(kb):
    with pytest.raises(VanerError, match="no name of type Planet; it has Disease"):
        kb.match(["x"], ["Planet"])


def test_long_texts_are_read_in_windows(kb, monkeypatch):
    text = "breast cancer and TNF-α, " * 300
    whole = kb.match([text])
    monkeypatch.setattr(match_module, "_WINDOW", 100)
    monkeypatch.setattr(match_module, "_OVERLAP", 40)
    assert kb.match([text]) == whole
    assert kb.match([text, text[:70]])[0] == whole[0]


VOCABULARY = [
    "a",
    "ab",
    "b",
    "β",
    "AB",
    "a b",
    "b, a",
    "a-b c",
    "c's",
    "c d e",
    "d e",
    "B2",
    "2 b",
    "ces",
    "+",
    "a+",
]
WORDS = st.lists(
    st.sampled_from(
        ["a", "ab", "b", "β", "AB", "A", "c", "'s", "d", "e", "B2", "2", "ces", "+", ",", "-", "İ", "\n"]
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(
    words=WORDS,
    glue=st.lists(st.sampled_from([" ", "", "-"]), min_size=25, max_size=25),
    chosen=st.sets(st.sampled_from(VOCABULARY), min_size=1),
)
def test_same_as_the_reference(reference, tmp_path_factory, words, glue, chosen):
    from vaner.knowledge import Rules, build
    from vaner.report import Report

    text = "".join(word + space for word, space in zip(words, glue, strict=False))
    names = [(name, ("X", "Y") if len(name) > 2 else ("X",)) for name in sorted(chosen)]
    terms = [Term(str(i), name, types, True) for i, (name, types) in enumerate(names)]
    # Signs alone are no name.
    if all(name == "+" for name in chosen):
        return
    path = tmp_path_factory.mktemp("kb") / "kb.idx"
    # Every usable name, with no rule to mute it, except that numbers are.
    kb = build(path, [({"name": "test"}, terms)], Rules(), Report())
    expected = reference.Reference(
        (name.text, entry.types, name.capitals)
        for name in map(kb.name, range(len(kb)))
        for entry in name.concepts
        if not name.muted
    )
    assert [(m.start, m.end, m.type) for m in kb.match([text])[0]] == expected.match(text)
    assert {(m.start, m.end, m.type) for m in kb.match([text], all=True)[0]} == expected.candidates(text)


def test_real_text_gives_what_the_reference_gives(reference, kb):
    """The shipped vocabulary would take the reference too long: this one is small, the text tricky."""
    text = (
        "TNF-α (TNF), Tnf alpha; IL-2. Alzheimer's/breast cancer's CAT-scan: cat's 1,2-dichloroethanes\n\nAPC"
    )
    expected = reference.Reference(
        (n.text, c.types, n.capitals) for n in kb.names() for c in n.concepts
    ).match(text)
    assert [(m.start, m.end, m.type) for m in kb.match([text])[0]] == expected
    assert len(expected) >= 10


def test_finder_slots(kb):
    import numpy as np

    from vaner.knowledge import key_of

    finder: Finder = kb._finder
    keys = np.array([key_of("breast cancer"), 12345, key_of("TNF")], np.uint64)
    slots = finder.slots(keys)
    assert slots[1] == -1 and slots[0] >= 0 and slots[2] >= 0
