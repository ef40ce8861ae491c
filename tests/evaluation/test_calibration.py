"""In: scores with a known error, documents made by hand. Out: that error is found, and gone after calibration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.evaluation.synthetic import spans
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.evaluation.calibration import (
    BINS,
    LEAST_SPANS,
    Spans,
    error_by_chance,
    expected_error,
    fit_temperature,
    lower_bound,
    measured,
    reliability,
    spans_by_type,
)

NOTHING = Spans(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=int), 0)


@pytest.mark.parametrize("temperature", [0.5, 0.8, 1.5, 3.0])
def test_the_temperature_is_recovered(temperature):
    fit = fit_temperature(spans(40_000, temperature, seed=1))
    assert fit.reason == "" and fit.temperature == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_error_is_known_before_and_near_0_after_on_other_spans(temperature):
    fit = fit_temperature(spans(20_000, temperature, seed=2))
    others = spans(20_000, temperature, seed=3)
    true = np.abs(others.scores - others.calibrated(temperature).scores).mean()
    found = measured(others, fit.temperature)
    assert found["before"]["error"] == pytest.approx(true, abs=0.01) and true > 0.04
    assert found["after"]["error"] < 0.015


def test_perfectly_calibrated_scores_err_by_chance_only():
    errors, by_chance = [], []
    for seed in range(20):
        one = spans(2000, seed=seed)
        bins = reliability(one.scores, one.right)
        errors.append(expected_error(bins))
        by_chance.append(error_by_chance(bins))
    assert np.mean(errors) == pytest.approx(np.mean(by_chance), rel=0.15) and np.mean(errors) < 0.03
    assert expected_error(reliability(*_scores(spans(200_000, seed=1)))) < 0.004


def test_calibrated_scores_stay_as_they_are():
    left = [fit_temperature(spans(3000, seed=seed)) for seed in range(40)]
    assert sum(fit.temperature == 1 for fit in left) >= 34, (
        "5 % of the time another one is likelier by chance"
    )
    assert "calibrated as far" in left[0].reason


def test_spans_that_are_right_together_count_as_fewer():
    left = [fit_temperature(spans(2000, seed=seed, each=10)).temperature == 1 for seed in range(40)]
    assert sum(left) >= 34, "calibrated scores; without the documents half of them would get a temperature"


def test_calibrating_again_finds_nothing_left_to_do():
    first = spans(20_000, 2.0, seed=4)
    fit = fit_temperature(first)
    assert fit_temperature(first.calibrated(fit.temperature)).temperature == 1


def test_too_few_spans_or_none_stay_as_they_are():
    assert (
        fit_temperature(NOTHING).reason
        == f"0 right and 0 wrong spans, where {LEAST_SPANS} of each are needed"
    )
    right = np.ones(1000, dtype=bool)
    all_right = Spans(np.full(1000, 0.9), right, np.arange(1000), 1000)
    assert fit_temperature(all_right) == (1.0, "1000 right and 0 wrong spans, where 20 of each are needed")


def test_scores_that_say_the_opposite_or_nothing_have_no_temperature():
    one = spans(5000, seed=5, mean=0)
    fit = fit_temperature(Spans(one.scores, ~one.right, one.documents, one.gold))
    assert fit.temperature == 1 and "do not tell right spans from wrong ones" in fit.reason
    halves = Spans(np.full(100, 0.5), np.arange(100) < 50, np.arange(100), 50)
    assert fit_temperature(halves).temperature == 1


def test_bins_hold_as_many_spans_each():
    one = spans(1500)
    bins = reliability(one.scores, one.right)
    assert len(bins) == BINS and {b.spans for b in bins} == {100}
    assert [b.score for b in bins] == sorted(b.score for b in bins)
    order = np.argsort(one.scores)
    assert bins[0].score == pytest.approx(one.scores[order][:100].mean())
    assert bins[-1].right == one.right[order][-100:].mean()
    interval = binomtest(round(bins[3].right * 100), 100).proportion_ci(0.95, method="exact")
    assert (bins[3].low, bins[3].high) == pytest.approx((interval.low, interval.high))


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.booleans()), max_size=80), st.randoms())
def test_spans_of_one_score_share_a_bin_so_their_order_does_not_count(drawn, random):
    def bins(pairs):
        return reliability(np.array([s for s, _ in pairs]), np.array([r for _, r in pairs], dtype=bool))

    shuffled = list(drawn)
    random.shuffle(shuffled)
    assert bins(drawn) == bins(shuffled)
    assert sum(b.spans for b in bins(drawn)) == len(drawn) and len(bins(drawn)) <= 4
    assert sum(b.spans * b.right for b in bins(drawn)) == pytest.approx(sum(r for _, r in drawn))


def test_an_error_by_hand():
    scores, right = np.array([0.2, 0.2, 0.8, 0.8]), np.array([False, False, True, False])
    assert expected_error(reliability(scores, right)) == pytest.approx((0.2 + 0.3) / 2)
    assert expected_error(reliability(NOTHING.scores, NOTHING.right)) is None
    found = measured(NOTHING, 2.0)
    assert (found["spans"], found["after"]) == (0, {"error": None, "bins": []})


@given(st.integers(0, 50), st.integers(0, 50), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_bound_is_clopper_and_pearson_s(right, wrong, confidence):
    if right + wrong:
        test = binomtest(right, right + wrong, alternative="greater")
        exact = test.proportion_ci(confidence, method="exact").low
        assert lower_bound(right, right + wrong, confidence) == pytest.approx(exact, abs=1e-9)


# --- documents ---


def _scores(one: Spans) -> tuple[np.ndarray, np.ndarray]:
    return one.scores, one.right


def document(id: str, gold: list, types: set[str]) -> Document:
    return Document(id, TEXT, [Span(s, e, t, TEXT[s:e], fragments=f) for s, e, t, f in gold], types=types)


def marked(id: str, found: list) -> Document:
    return Document(id, TEXT, [Span(s, e, t, TEXT[s:e], score) for s, e, t, score in found])


TEXT = "breast and ovarian cancer after aspirin"


def test_right_is_what_gold_has_with_the_same_borders_type_and_fragments():
    whole = [(11, 25, "Disease", ()), (0, 25, "Disease", ((0, 6), (18, 25))), (32, 39, "Chemical", ())]
    gold = [document("a", whole, {"Disease", "Chemical"}), document("b", [], {"Disease"})]
    found = [
        marked("a", [(11, 25, "Disease", 0.9), (0, 25, "Disease", 0.4), (32, 39, "Gene", 0.3)]),
        marked("b", [(18, 25, "Disease", 0.7), (32, 39, "Chemical", 0.8)]),
    ]
    by_type = spans_by_type([(gold, found)])
    assert by_type.keys() == {"Disease", "Chemical"}, "of what gold does not annotate nothing is known"
    disease = by_type["Disease"]
    assert sorted(zip(disease.scores, disease.right, disease.documents, strict=True)) == [
        (0.4, False, 1),
        (0.7, False, 2),
        (0.9, True, 1),
    ]
    assert (disease.gold, by_type["Chemical"].gold, len(by_type["Chemical"].scores)) == (2, 1, 0)


def test_gold_sets_add_up_and_documents_of_the_same_name_stay_apart():
    gold, found = [document("a", [], {"Disease"})], [marked("a", [(18, 25, "Disease", 0.7)])]
    twice = spans_by_type([(gold, found), (gold, found)])["Disease"]
    assert (twice.scores.tolist(), twice.documents.tolist()) == ([0.7, 0.7], [1, 2])
    both = twice + twice
    assert len(set(both.documents.tolist())) == 4 and both.scores.tolist() == [0.7] * 4
    assert len((NOTHING + twice).scores) == 2


def test_a_span_without_a_score_is_named():
    gold, found = [document("a", [], {"Disease"})], [marked("a", [(18, 25, "Disease", None)])]
    with pytest.raises(VanerError, match="document a: its Disease span at 18-25 has no score"):
        spans_by_type([(gold, found)])
