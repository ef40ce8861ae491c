"""In: scores with a known error. Out: certified precision holds as often as is said; refusals say why."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from tests.evaluation.synthetic import spans
from vaner.evaluation.calibration import Spans, design_effect
from vaner.evaluation.thresholds import _ranks, _starting_points, at_least, choose


def precision_above(score: float, **how) -> float:
    """The true precision of the spans that score so much."""
    many = _many(**how)
    return float(many.right[many.scores >= score].mean())


def _many(_known={}, **how) -> Spans:  # noqa: B006 - it is remembered
    key = tuple(sorted(how.items()))
    return _known.setdefault(key, spans(200_000, seed=99, **how))


@pytest.mark.parametrize(("n", "least"), [(300, 0.8), (1000, 0.9), (3000, 0.95)])
def test_the_bound_holds_at_least_as_often_as_is_said(n, least):
    how = {"temperature": 2.0, "mean": 3.0}
    draws = 200
    found = [choose(spans(n, seed=seed, **how), least, 0.9) for seed in range(draws)]
    certified = [one for one in found if one.score is not None]
    broken = sum(precision_above(one.score, **how) < least - 1e-3 for one in certified)
    assert len(certified) > draws / 10
    # 10 % are allowed; more than so many would come about by chance once in a thousand times.
    assert broken <= binom.ppf(0.999, draws, 0.1)
    for one in certified:
        assert one.bound >= least - 1e-9 and one.precision >= one.bound


def test_it_holds_where_spans_of_a_document_are_right_or_wrong_together():
    how = {"temperature": 1.0, "mean": 2.0, "spread": 0.7, "each": 8}
    draws, n, least = 150, 2000, 0.88
    together = [spans(n, seed=seed, **how) for seed in range(draws)]
    apart = [Spans(one.scores, one.right, np.arange(n), one.gold) for one in together]

    def broken(sets):
        chosen = [choose(one, least, 0.9).score for one in sets]
        return (
            sum(score is not None and precision_above(score, **how) < least - 1e-3 for score in chosen)
            / draws
        )

    assert broken(together) <= 0.1 < broken(apart), "without the documents the bound is broken too often"


def test_looking_at_many_scores_is_allowed_for():
    """Scores that tell nothing, and a precision just below: whatever is certified is wrong, at any of 200 scores."""
    draws, n = 300, 1000
    certified = 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        one = Spans(np.round(rng.random(n), 6), rng.random(n) < 0.799, np.arange(n), n)
        certified += choose(one, 0.8, 0.9).score is not None
    assert certified <= binom.ppf(0.999, draws, 0.1)


def test_precision_that_falls_where_scores_rise_is_no_way_around_it():
    """The best-scored spans are the worst: nothing may be certified by looking at the others alone."""
    rng = np.random.default_rng(0)
    scores = np.round(rng.random(3000), 6)
    right = rng.random(3000) < np.where(scores > 0.9, 0.2, 1.0)
    chosen = choose(Spans(scores, right, np.arange(3000), 3000), 0.9, 0.95)
    assert chosen.score is not None and chosen.precision > 0.9, "all spans together have it"
    assert choose(Spans(scores, right, np.arange(3000), 3000), 0.95, 0.95).score is None


def test_the_threshold_is_the_lowest_there_is_and_says_what_it_costs():
    one = spans(5000, 2.0, mean=3.0, missed=1000)
    chosen = choose(one, 0.9, 0.95)
    kept = one.scores >= chosen.score
    assert (chosen.spans, chosen.right) == (kept.sum(), one.right[kept].sum())
    assert chosen.gold == one.right.sum() + 1000 and chosen.all_right == one.right.sum()
    assert chosen.recall == one.right[kept].sum() / chosen.gold < chosen.recall_without
    stricter, surer = choose(one, 0.93, 0.95), choose(one, 0.9, 0.999)
    assert stricter.score > chosen.score < surer.score
    everything = choose(one, 0.5, 0.95)
    assert everything.score == one.scores.min() and everything.recall == everything.recall_without


def test_a_temperature_changes_the_score_but_not_what_is_kept():
    one = spans(3000, 2.0, mean=3.0)
    before, after = choose(one, 0.9, 0.95), choose(one.calibrated(2.0), 0.9, 0.95)
    assert after.score < before.score and after.spans == before.spans and after.bound == before.bound


def test_spans_of_one_score_are_kept_or_left_out_together():
    scores = np.repeat([0.9, 0.5], 500)
    right = np.concatenate([np.ones(500, dtype=bool), np.arange(500) < 250])
    order = np.random.default_rng(0).permutation(1000)
    chosen = choose(Spans(scores[order], right[order], np.arange(1000), 1000), 0.95, 0.95)
    assert (chosen.score, chosen.spans, chosen.right) == (0.9, 500, 500)
    assert _ranks(-np.sort(-scores), 1000).tolist() == [500, 1000]


def test_what_dev_cannot_support_is_refused_with_the_reason():
    few = choose(Spans(np.full(40, 0.9), np.ones(40, dtype=bool), np.arange(40), 40), 0.95, 0.95)
    assert few.score is None and few.reason == "40 spans: too few, 59 that are all right would be needed"
    enough = choose(Spans(np.full(59, 0.9), np.ones(59, dtype=bool), np.arange(59), 59), 0.95, 0.95)
    assert enough.score == 0.9 and enough.bound == pytest.approx(0.95, abs=1e-3)
    nothing = choose(Spans(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=int), 7), 0.95, 0.95)
    assert nothing.score is None and nothing.reason.startswith("0 spans: too few")
    assert (nothing.precision, nothing.recall) == (None, 0.0)
    poor = choose(spans(4000, mean=0.0, spread=0.5), 0.95, 0.95)
    assert poor.score is None and "no score reaches it: at best 0." in poor.reason


def test_starting_points_and_candidates_do_not_look_at_what_is_right():
    one = spans(2000, 2.0, mean=3.0)
    scores = -np.sort(-one.scores)
    ranks = _ranks(scores, 2000)
    starts, share = _starting_points(ranks, 2000, 0.9, 0.05)
    assert share == 0.05 / len(starts) and ranks[starts[-1]] == 2000 and len(starts) == 4
    assert (scores[ranks[:-1] - 1] > scores[ranks[:-1]]).all(), "each with all spans of its lowest score"


def test_the_design_effect_is_how_much_documents_add():
    def of(one: Spans) -> float:
        return design_effect(one.right, one.documents)

    one = spans(4000)
    assert of(one) == pytest.approx(1, abs=0.1)
    assert of(spans(4000, each=5)) == pytest.approx(5, rel=0.15), "five that are one"
    assert design_effect(one.right, np.zeros(4000, dtype=int)) == 4000
    assert design_effect(np.ones(9, dtype=bool), np.arange(9)) == 1
    half = one.documents % 2 == 0
    assert design_effect(one.right[half], one.documents[half]) == pytest.approx(1, abs=0.1), (
        "numbers may be missing"
    )


def test_other_spans_are_counted_above_the_same_score():
    one = spans(1000, seed=7)
    n, right, bound = at_least(one, 0.9)
    kept = one.scores >= 0.9
    assert (n, right) == (kept.sum(), one.right[kept].sum()) and bound < right / n
    assert at_least(one, 1.1) == (0, 0, 0.0)
