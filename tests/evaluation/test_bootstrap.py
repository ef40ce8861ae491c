"""vaner.evaluation.bootstrap: intervals and paired differences, against scipy and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vaner.errors import VanerError
from vaner.evaluation import bootstrap
from vaner.evaluation.bootstrap import compare, intervals
from vaner.evaluation.metrics import MACRO, MICRO, Scores


def scores(rows):
    """Scores of one type from (hits, predicted, gold) of each document."""
    counts = np.array(rows, dtype=float)
    return Scores(len(rows), {MICRO: counts, ("type", "X"): counts}, {})


def random_scores(documents, seed, quality):
    rng = np.random.default_rng(seed)
    gold = np.random.default_rng(99).integers(0, 12, documents)
    hits = rng.binomial(gold, quality)
    return scores(np.stack([hits, hits + rng.poisson(1, documents), gold], axis=1))


def test_interval_agrees_with_scipy():
    s = random_scores(300, seed=1, quality=0.8)
    hits, predicted, gold = s.rows[MICRO].T
    peer = stats.bootstrap(
        (hits, predicted, gold),
        lambda h, p, g, axis: 2 * h.sum(axis=axis) / (p.sum(axis=axis) + g.sum(axis=axis)),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(5),
    ).confidence_interval
    low, high = intervals(s, samples=20_000, seed=3)[MICRO]["f1"]
    # Both have sampling error; 20,000 draws place a 2.5 % point within about one per cent of the width.
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=0.03 * (peer.high - peer.low))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 1000), st.floats(0.1, 0.9))
def test_intervals_hold_the_point_estimate_and_follow_the_seed(documents, seed, quality):
    s = random_scores(documents + 20, seed, quality)
    found = intervals(s, samples=300, seed=seed)
    for measure in bootstrap.MEASURES:
        low, high = found[MICRO][measure]
        assert 0 <= low <= getattr(s[MICRO], measure) <= high <= 1
    assert found == intervals(s, samples=300, seed=seed)
    assert found[MACRO] == found["type", "X"]  # one type


def test_other_seeds_give_other_draws():
    s = random_scores(50, 1, 0.7)
    assert intervals(s, seed=1)[MICRO] != intervals(s, seed=2)[MICRO]


def test_chunks_of_draws_give_what_one_chunk_gives(monkeypatch):
    s = random_scores(50, 1, 0.7)
    whole = intervals(s, samples=100, seed=1)
    monkeypatch.setattr(bootstrap, "_CHUNK", 50 * 7)
    assert intervals(s, samples=100, seed=1) == whole


def test_equal_documents_leave_no_uncertainty():
    found = intervals(scores([(1, 2, 2)] * 10))
    assert found[MICRO] == {m: (0.5, 0.5) for m in bootstrap.MEASURES}


def test_draws_without_a_mention_of_a_row_are_left_out_of_it():
    rare = np.array([(1, 1, 1)] + [(0, 0, 0)] * 9, dtype=float)
    s = Scores(10, {MICRO: rare + 1, ("type", "rare"): rare, ("type", "never"): rare * 0}, {})
    found = intervals(s)
    assert found["type", "rare"]["f1"] == (1, 1)  # in a third of the draws it is absent: not an F1 of 0
    assert ("type", "never") not in found


def test_macro_is_the_mean_over_the_types_of_each_draw():
    good, bad = np.array([(1, 1, 1)] * 5, dtype=float), np.array([(0, 1, 1)] * 5, dtype=float)
    s = Scores(5, {MICRO: good + bad, ("type", "G"): good, ("type", "B"): bad}, {})
    assert intervals(s)[MACRO]["f1"] == (0.5, 0.5) and s.macro.f1 == 0.5


def test_one_document_has_no_interval():
    assert intervals(scores([(1, 1, 1)])) == {} == compare(scores([(1, 1, 1)]), scores([(0, 1, 1)]))


def test_a_system_does_not_differ_from_itself():
    s = random_scores(40, 1, 0.7)
    for found in compare(s, s).values():
        assert (found.difference, found.interval, found.p) == (0, (0, 0), 1)


def test_paired_comparison_finds_a_difference_and_is_antisymmetric():
    a, b = random_scores(200, 1, 0.85), random_scores(200, 2, 0.7)
    there, back = compare(a, b, seed=4)[MICRO], compare(b, a, seed=4)[MICRO]
    assert there.difference == a[MICRO].f1 - b[MICRO].f1 > 0
    assert there.interval[0] > 0 and there.p == back.p == 1 / 1001
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]))


def test_p_value_by_enumeration():
    # A gains an F1 of 1 on the first document and 0 on the second. The draws (1,1), (1,2), (2,1), (2,2) have
    # the differences 1, .5, .5, 0 around the observed .5: half of them lie .5 or more away.
    a, b = scores([(1, 1, 1), (1, 1, 1)]), scores([(0, 1, 1), (1, 1, 1)])
    found = compare(a, b, samples=20000, seed=1)[MICRO]
    assert found.difference == 0.5 and found.p == pytest.approx(0.5, abs=0.02)


def test_p_values_are_uniform_where_systems_do_not_differ():
    ps = [
        compare(random_scores(60, 2 * i, 0.7), random_scores(60, 2 * i + 1, 0.7), samples=200)[MICRO].p
        for i in range(200)
    ]
    assert stats.kstest(ps, "uniform").pvalue > 0.001


def test_bad_settings():
    s = random_scores(10, 1, 0.5)
    with pytest.raises(VanerError, match="0 draws"):
        intervals(s, samples=0)
    with pytest.raises(VanerError, match="different gold"):
        compare(s, random_scores(11, 1, 0.5))
    with pytest.raises(VanerError, match="different gold"):
        compare(scores([(1, 1, 1)] * 3), scores([(1, 1, 2)] * 3))
