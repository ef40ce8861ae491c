"""Samples that a person checks: drawn at random, the same again, and bounds that hold as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.annotation.made_runs import marked
from vaner.annotation import audit
from vaner.annotation.audit import NO, UNSURE, YES, Design, bounds, draw, lower_bound_of, to_check, to_draw
from vaner.annotation.runs import Annotated
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.evaluation.calibration import lower_bound


def run_of(diseases: int, chemicals: int = 0, name: str = "run") -> Annotated:
    """A mention a word: as many of each type."""
    words = [f"w{n}" for n in range(diseases + chemicals)]
    documents = {}
    for first in range(0, len(words), 7):
        text = " ".join(words[first : first + 7])
        spans, at = [], 0
        for number, word in enumerate(words[first : first + 7], first):
            type = "Disease" if number < diseases else "Chemical"
            spans.append(Span(at, at + len(word), type, word, 0.5))
            at += len(word) + 1
        documents[f"d{first}"] = Document(f"d{first}", text, spans)
    return Annotated(name, documents)


def keys(drawn):
    return {(one.document.id, *one.span.key) for one in drawn}


def test_a_sample_repeats_holds_smaller_ones_and_follows_the_seed():
    run = run_of(200, 50)
    first = draw(run, Design(seed=3, size=40))
    assert [one.number for one in first] == list(range(1, 41)) and len(keys(first)) == 40
    assert keys(first) == keys(draw(run, Design(seed=3, size=40)))
    assert keys(first) < keys(draw(run, Design(seed=3, size=60)))
    assert keys(first) != keys(draw(run, Design(seed=4, size=40)))
    of_types = draw(run, Design(seed=3, size=40, per_type=30))
    assert keys(first) == keys(one for one in of_types if one.of_all)
    assert sum(one.span.type == "Chemical" for one in of_types) == 30


def test_every_mention_is_drawn_as_often_as_any_other():
    run = run_of(30)
    times = {key: 0 for key in keys(draw(run, Design(size=30)))}
    for seed in range(600):
        for key in keys(draw(run, Design(seed=seed, size=6))):
            times[key] += 1
    # 600 draws of 6 of 30: 120 each.
    assert stats.chisquare(list(times.values())).pvalue > 0.001


def test_what_is_drawn_follows_the_mentions_and_not_their_scores():
    run = run_of(60)
    others = Annotated(
        "copy",
        {
            id: d.with_spans(d.span(s.start, s.end, s.type, score=0.9) for s in d.spans)
            for id, d in run.documents.items()
        },
    )
    assert others.hash == run.hash
    assert keys(draw(others, Design(size=9))) == keys(draw(run, Design(size=9)))
    fewer = Annotated("fewer", dict(list(run.documents.items())[1:]))
    assert fewer.hash != run.hash


@pytest.mark.parametrize(
    "mentions, right, checked, confidence",
    [
        (50, 10, 12, 0.9),
        (20, 0, 5, 0.9),
        (30, 5, 5, 0.99),
        (7, 3, 7, 0.95),
        (60, 50, 50, 0.95),
        (9, 0, 0, 0.9),
    ],
)
def test_the_bound_of_finitely_many_is_the_least_that_is_not_refuted(mentions, right, checked, confidence):
    possible = range(right, mentions - (checked - right) + 1)
    slow = next(
        k
        for k in possible
        if sum(stats.hypergeom.pmf(range(right, checked + 1), mentions, k, checked)) > 1 - confidence
    )
    expected = slow / mentions if checked else 0.0
    assert lower_bound_of(mentions, right, checked, confidence) == pytest.approx(expected)


@pytest.mark.parametrize("mentions, right", [(40, 36), (40, 25), (300, 270), (300, 150)])
def test_bounds_hold_as_often_as_they_say(mentions, right):
    """Over all samples of 20: how often a bound is above the true share, by the distribution of what is found."""
    checked, confidence = 20, 0.9
    for bound in (
        lambda found: lower_bound_of(mentions, found, checked, confidence),
        lambda found: lower_bound(found, checked, confidence),
    ):
        wrong = sum(
            stats.hypergeom.pmf(found, mentions, right, checked)
            for found in range(checked + 1)
            if bound(found) > right / mentions + 1e-12
        )
        assert wrong <= 1 - confidence + 1e-9


def test_finitely_many_give_no_less_than_the_binomial_and_all_of_them_the_precision():
    for found in range(21):
        assert lower_bound_of(60, found, 20, 0.95) >= lower_bound(found, 20, 0.95) - 1 / 60
        assert lower_bound_of(20, found, 20, 0.95) == found / 20
    assert lower_bound_of(1_000_000, 95, 100, 0.95) == pytest.approx(lower_bound(95, 100, 0.95), abs=1e-4)


@pytest.mark.parametrize("precision, confidence", [(0.9, 0.95), (0.95, 0.95), (0.5, 0.8)])
@pytest.mark.parametrize("wrong", [0, 1, 4])
def test_as_few_as_show_a_precision(precision, confidence, wrong):
    n = to_check(precision, confidence, wrong)
    assert lower_bound(n - wrong, n, confidence) >= precision
    assert n == 1 or lower_bound(n - 1 - wrong, n - 1, confidence) < precision


def test_known_numbers_to_check():
    assert to_check(0.95, 0.95) == 59  # the rule of three: 3 / 0.05, nearly
    assert to_check(0.95, 0.95, 1) == 93 and to_check(0.9, 0.95) == 29


def test_as_few_as_show_it_with_the_chance():
    n = to_draw(0.9, 0.95, 0.95)

    def chance(n):
        enough = [k for k in range(n + 1) if lower_bound(k, n, 0.95) >= 0.9]
        return stats.binom.sf(enough[0] - 1, n, 0.95) if enough else 0.0

    assert chance(n) >= 0.8
    assert all(chance(fewer) < 0.8 for fewer in range(100, n))
    assert to_draw(0.9, 0.95, 1.0) == 29
    for precision, expected in ((0.9, 0.9), (0.9, 0.5), (0.9, 0.9001)):
        with pytest.raises(VanerError, match="0.9"):
            to_draw(precision, 0.95, expected)


def test_bounds_by_type_and_over_all():
    run = run_of(200, 50)
    design = Design(size=60, per_type=25)
    drawn = draw(run, design)
    answers = {one.number: YES for one in drawn}
    diseases = [one for one in drawn if one.span.type == "Disease"]
    answers[diseases[0].number], answers[diseases[1].number] = NO, UNSURE
    found = bounds(run, design, answers, 0.95)
    assert [one["type"] for one in found] == [None, "Chemical", "Disease"]
    everything, chemical, disease = found
    # What was only drawn to have enough of a type says nothing of all.
    assert everything["checked"] == 60 and everything["mentions"] == 250
    assert chemical["checked"] == chemical["right"] == 25 and chemical["mentions"] == 50
    assert chemical["binomial"] == lower_bound(25, 25, 0.95) < chemical["exact"]
    assert disease["wrong"] == disease["unsure"] == 1
    assert disease["right"] == disease["checked"] - 2
    assert disease["exact"] == lower_bound_of(200, disease["right"], disease["checked"], 0.95)
    assert [
        one["type"] for one in bounds(run, Design(per_type=9), dict.fromkeys(range(1, 19), YES), 0.95)
    ] == [
        "Chemical",
        "Disease",
    ]


def test_nothing_to_draw_is_refused():
    with pytest.raises(VanerError, match="--audit_size"):
        draw(run_of(3), Design())
    with pytest.raises(VanerError, match="no mention"):
        draw(Annotated("empty", {"a": Document("a", "nothing")}), Design(size=1))


def test_a_mention_that_is_there_twice_is_one():
    document = marked("1", ("Naloxone", "Chemical", 0.9), ("Naloxone", "Chemical", 0.4))
    assert len(audit.population(Annotated("r", {"1": document}))) == 1


def test_contexts_show_the_parts_of_a_mention():
    text = "x" * 100 + " left\nand right  kidney " + "y" * 100
    at = text.index("left")
    span = Span(at, at + 22, "Part", text[at : at + 22], fragments=((at, at + 4), (at + 16, at + 22)))
    (one,) = draw(Annotated("r", {"1": Document("1", text, [span])}), Design(size=1))
    assert one.context(5) == "...xxxx [left] and right [kidney] yyyy..."


def test_the_draw_does_not_depend_on_numpy_seeds():
    np.random.seed(1)
    before = keys(draw(run_of(50), Design(size=5)))
    np.random.seed(2)
    assert keys(draw(run_of(50), Design(size=5))) == before
