"""Mentions by their text -> places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prompting.hard import cases, unit_of
from vaner.prompting.grounding import Grounds, ground


def found(text, mention, least=None):
    unit = unit_of(text)
    places, how, _ = Grounds(unit.shown, unit.places, unit.block_starts).find(mention, least)
    spans = [(unit.offsets[first][0], unit.offsets[last - 1][1]) for first, last in places]
    return [text[start:end] for start, end in spans], how


def grounded(text, mentions, **options):
    unit = unit_of(text)
    placed, nowhere, repeated = ground(
        mentions, Grounds(unit.shown, unit.places, unit.block_starts), **options
    )
    spans = [(unit.offsets[p.first][0], mentions[p.item][1], p.how) for p in placed]
    return spans, nowhere, repeated


def test_as_written_at_the_borders_of_words_only():
    assert found("in protein, in", "in") == (["in", "in"], "exact")
    assert found("protein", "in") == ([], "")
    assert found("IL-2 and il 2", "IL-2") == (["IL-2"], "exact")


@pytest.mark.parametrize(
    "text, mention",
    [
        ("TNF-α rose", "TNF-alpha"), ("TNF-alpha rose", "tnf α"), ("T-cell", "T - cell"), ("T‑cell", "T-cell"),
        ("ﬁbrosis", "Fibrosis"), ("Ca²⁺", "Ca2+"), ("IL-2", "IL 2"), ("DİABETES", "diabetes"), ("e\u0301tat", "état"),
        ("heart\nattack", "heart attack"), ("two diseases", "Disease"), ("hepato\u00adcellular", "hepatocellular"),
        ("Alzheimer\u2019s", "Alzheimer's"),
    ],
)  # fmt: skip
def test_folded(text, mention):
    places, how = found(text, mention)
    assert len(places) == 1 and text.endswith(places[0]) or text.startswith(places[0])
    assert how == ("exact" if mention == unit_of(text).shown else "folded")


def test_offsets_hold_behind_signs_that_fold_to_several():
    text = "İİİ ﬃﬃ 🧬 e\u0301e\u0301 Tnf-Α here"
    assert found(text, "TNF-alpha") == (["Tnf-Α"], "folded")
    assert found(text, "HERE") == (["here"], "folded")


def test_the_possessive_is_part_of_a_mention_that_has_it():
    assert found("Alzheimer\u2019s, he said", "Alzheimer's") == (["Alzheimer\u2019s"], "folded")
    assert found("Alzheimer\u2019s, he said", "alzheimer") == (["Alzheimer"], "folded")


def test_nearly_only_when_asked():
    assert found("gave acetylsalicylic acid", "acetylsalicilic acid") == ([], "")
    assert found("gave acetylsalicylic acid", "acetylsalicilic acid", 0.9) == (
        ["acetylsalicylic acid"],
        "fuzzy",
    )
    assert found("gave acetylsalicylic acid", "aspirin", 0.9) == ([], "")


def test_no_mention_runs_from_one_block_into_the_next():
    assert found("heart\n\nattack heart attack", "heart attack") == (["heart attack"], "exact")


@pytest.mark.parametrize("nothing", ["", "  ", "\u00ad", "---", "'", "\x1e"])
def test_a_mention_of_nothing_is_nowhere(nothing):
    assert found("a b c", nothing) == ([], "")


def test_repeats():
    text = "A B A B A"
    a, b = ("A", "X"), ("B", "X")
    every = [(0, "X", "exact"), (4, "X", "propagated"), (8, "X", "propagated")]
    assert grounded(text, [a]) == (every, [], [])
    assert grounded(text, [a], every=False) == ([(0, "X", "exact")], [], [])
    assert grounded(text, [a, b, a])[0] == [
        (0, "X", "exact"), (2, "X", "exact"), (4, "X", "exact"), (6, "X", "propagated"),
    ]  # fmt: skip
    assert grounded(text, [b, b, b, b]) == ([(2, "X", "exact"), (6, "X", "exact")], [], [2, 3])
    # Another spelling is the same mention listed again; another type is another mention.
    assert grounded("il-2", [("IL-2", "X"), ("IL 2", "X")]) == ([(0, "X", "folded")], [], [1])
    assert grounded(text, [("B", "X"), ("B", "Y")], every=False)[0] == [(2, "X", "exact"), (2, "Y", "exact")]
    assert grounded(text, [("C", "X")]) == ([], [0], [])


@given(cases(), st.data())
def test_every_mention_of_whole_words_is_found_where_it_stands(case, data):
    unit, mentions, _ = case
    grounds = Grounds(unit.shown, unit.places, unit.block_starts)
    for mention in mentions:
        words = [i for i, (s, e) in enumerate(unit.offsets) if s >= mention.start and e <= mention.end]
        shown = unit.shown[unit.places[words[0]][0] : unit.places[words[-1]][1]]
        places, how, _ = grounds.find(shown)
        assert how == "exact" and (words[0], words[-1] + 1) in places
