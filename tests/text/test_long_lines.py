"""In: long lines, and slow and plain code. Out: fast code says the same, in twice the time for twice the line."""

from __future__ import annotations

import importlib
import random
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaner.knowledge import dictionary, match
from vaner.knowledge.match import Match
from vaner.text import abbreviations

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def lines():
    """The script benchmarks/lines.py."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("lines")
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


PIECES = [
    "group I (n = I) ",
    "drug I mg (4I);",
    "emergency room (ER)",
    "GR (glucocorticoid receptor) ",
    ". The ",
    "a " * 9,
]
PIECES += ["x" * 40, " \n", "(AB)", "[CD] ", "acute (b", ") renal", "tumour-necrosis factor α (TNF-α; see) "]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from([20, 60, 1_000]))
def test_definitions_are_those_of_plain_code(lines, text, reach):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(abbreviations, "_LONGEST_LONG_FORM", reach)
        patch.setattr(lines, "_LONGEST_LONG_FORM", reach)
        assert [tuple(one) for one in abbreviations.find(text)] == lines.plain_definitions(text)


def test_the_benchmark_checks_its_steps_first(lines, tmp_path):
    assert lines.check(lines.index(tmp_path)) > 50
    assert lines.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=25))
def test_the_longest_are_those_of_plain_code(reference, spans):
    ranges = sorted({(start, start + size) for start, size in spans})
    start, end = (np.array([r[i] for r in ranges], np.int64) for i in (0, 1))
    found = [ranges[i] for i in match.longest(start, end)]
    assert found == [(a, b) for a, b, _ in reference.longest((a, b, "X") for a, b in ranges)]


def plainly_followed(text, matches):
    """Every short form looked for by itself, every place compared with every match."""
    definitions = abbreviations.find(text)
    followed = {(m.start, m.end, m.type): m for m in matches}
    for short in dict.fromkeys(d.short for d in definitions):
        types = {}
        for d in definitions:
            end = d.long_start + len(d.long)
            for m in matches:
                if d.short == short and m.end == end and 2 * (end - max(m.start, d.long_start)) > len(d.long):
                    types[m.type] = m
        for found in re.finditer(rf"(?<!\w){re.escape(short)}(?!\w)", text):
            start, end = found.span()
            for key in [k for k in followed if k[:2] == (start, end) and k[2] not in types]:
                del followed[key]
            for type_, m in types.items():
                if not any(
                    k[2] == type_ and k[0] < end and start < k[1] and k[:2] != (start, end) for k in followed
                ):
                    followed[start, end, type_] = Match(start, end, type_, m.number)
    return sorted(followed.values())


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(0, 10**6))
def test_occurrences_of_short_forms_are_those_of_plain_code(text, seed):
    draw = random.Random(seed)
    borders = [m.span() for m in re.finditer(r"\w+(?: \w+)?", text)]
    matches = []
    for type_ in "XY":
        for start, end in sorted(draw.sample(borders, min(len(borders), 8))):
            if not any(m.type == type_ and m.end > start for m in matches):
                matches.append(Match(start, end, type_, len(matches)))
    matches.sort()
    assert dictionary._follow_definitions(text, matches)[0] == plainly_followed(text, matches)


@pytest.mark.parametrize(
    "piece", ["group I (n = I) drug I mg (4I);", "emergency room (ER) ", "aaa(AB)", "a b "]
)
def test_a_line_four_times_as_long_takes_no_more_than_eight_times_the_time(piece, make_kb):
    tagger = dictionary.DictionaryTagger(make_kb())

    def seconds(count):
        found = []
        for _ in range(3):
            began = time.process_time()
            abbreviations.find(piece * count)
            tagger(piece * count)
            found.append(time.process_time() - began)
        return min(found)

    # With the square it would be sixteen.
    assert seconds(8_000) < 8 * seconds(2_000) + 0.05
