"""vaner.study.comparing: intervals that cover, against a slow direct reference; Holm by hand."""

import math
from statistics import fmean, variance

import numpy as np
import pytest
from scipy import stats

from vaner.evaluation.bootstrap import resampled
from vaner.evaluation.metrics import MICRO, Scores
from vaner.study.comparing import Drawn, difference, estimate, holm, over_seeds

SAMPLES = 200


def counts(rng, gold, quality, seeds, spread, shared):
    """Hits, predicted, gold of each seed and document.

    Args:
        gold: gold mentions of each document.
        quality: share of them that is found by the middle seed.
        spread: of the seeds, in standard deviations of a mention's difficulty.
        shared: how much of the difficulty is the mention's own, for every arm and seed.
    """
    arms = []
    document = np.repeat(np.arange(len(gold)), gold)
    hard = 0.4 * rng.normal(size=len(gold))[document] + math.sqrt(1 - 0.4**2) * rng.normal(size=len(document))
    for share in quality:
        made = []
        for _ in range(seeds):
            luck = spread * rng.normal()
            own = rng.normal(size=len(document))
            found = shared * hard + math.sqrt(1 - shared**2) * own + luck < stats.norm.ppf(share)
            hits = np.bincount(document[found], minlength=len(gold))
            spurious = rng.poisson(0.25 * gold)
            made.append(np.stack([hits, hits + spurious, gold], axis=1))
        arms.append(made)
    return arms


def truth(share, spread):
    """F1 of endless documents, mean over endless seeds."""
    luck = spread * stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    found = stats.norm.cdf(stats.norm.ppf(share) - luck)
    return float(np.mean(2 * found / (found + 0.25 + 1)))


def drawn(made, seed=0, trained=True):
    every = [Scores(len(one), {MICRO: one.astype(float)}, {}) for one in made]
    return Drawn(
        np.array([one[MICRO].f1 for one in every]),
        np.stack([resampled(one, SAMPLES, seed)[MICRO][2] for one in every], axis=1),
        trained,
        len(made[0]),
    )


@pytest.mark.parametrize(
    "seeds, spread, shared",
    [(2, 0.05, 0.8), (3, 0.0, 0.9), (3, 0.2, 0.9), (3, 0.05, 0.0)],
    ids=["two seeds", "seeds alike", "seeds matter", "documents alike"],
)
def test_intervals_of_simulated_studies_cover_the_truth(seeds, spread, shared):
    rng = np.random.default_rng(7)
    quality, studies = (0.75, 0.70), 250
    real = truth(quality[0], spread) - truth(quality[1], spread)
    covered = alone = 0
    for study in range(studies):
        gold = rng.poisson(rng.gamma(4, 2, 50)) + 1
        a, b = (drawn(made, study) for made in counts(rng, gold, quality, seeds, spread, shared))
        low, high = difference([a], [b]).interval
        covered += low <= real <= high
        low, high = estimate([[(1, a)]]).interval
        alone += low <= truth(quality[0], spread) <= high
    assert 0.9 <= covered / studies <= 0.99
    assert 0.9 <= alone / studies <= 0.99


def test_two_arms_that_do_not_differ_are_told_apart_once_in_twenty():
    rng = np.random.default_rng(3)
    below = 0
    for study in range(250):
        gold = rng.poisson(rng.gamma(4, 2, 50)) + 1
        a, b = (drawn(made, study) for made in counts(rng, gold, (0.7, 0.7), 3, 0.1, 0.8))
        below += difference([a], [b]).p < 0.05
    assert 0.01 <= below / 250 <= 0.1


def direct(corpora, seed):
    """Value, standard error and degrees of freedom of a difference, document by document and draw by draw."""

    def f1(rows):
        hits, predicted, gold = (sum(row[i] for row in rows) for i in range(3))
        return 2 * hits / (predicted + gold)

    value, parts = 0.0, []
    for arms in corpora:
        documents = len(arms[0][0])
        rng = np.random.default_rng(seed)
        drawn, apart = [], [[] for _ in arms]
        for picked in rng.integers(documents, size=(SAMPLES, documents)):
            change = 0.0
            for number, (sign, seeds) in enumerate(zip((1, -1), arms, strict=True)):
                scores = [f1([one[i] for i in picked]) for one in seeds]
                change += sign * fmean(scores)
                if len(seeds) > 1:
                    off = [s - f1(list(one)) for s, one in zip(scores, seeds, strict=True)]
                    apart[number].append(variance(off))
            drawn.append(change)
        parts.append((variance(drawn) * documents / (documents - 1), documents - 1))
        for sign, seeds, off in zip((1, -1), arms, apart, strict=True):
            observed = [f1(list(one)) for one in seeds]
            value += sign * fmean(observed) / len(corpora)
            if len(seeds) > 1:
                parts.append((max(0.0, variance(observed) - fmean(off)) / len(seeds), len(seeds) - 1))
    parts = [(v / len(corpora) ** 2, free) for v, free in parts]
    total = sum(v for v, _ in parts)
    return value, math.sqrt(total), total**2 / sum(v * v / free for v, free in parts)


def test_the_paired_bootstrap_is_that_of_a_slow_direct_one():
    rng = np.random.default_rng(5)
    corpora = []
    for documents in (9, 12):
        a, b = counts(rng, rng.poisson(6, documents) + 1, (0.8, 0.6), 3, 0.3, 0.7)
        corpora.append((a, b[:2]))  # the arms may have other numbers of seeds
    found = difference([drawn(a) for a, _ in corpora], [drawn(b) for _, b in corpora])
    value, error, freedom = direct(corpora, 0)
    assert found.value == pytest.approx(value)
    assert found.error == pytest.approx(error)
    assert found.freedom == pytest.approx(freedom)
    reach = stats.t.ppf(0.975, freedom) * error
    assert found.interval == (pytest.approx(value - reach), pytest.approx(value + reach))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(value) / error, freedom))


def test_what_two_arms_have_in_common_cancels():
    rng = np.random.default_rng(5)
    (a,) = counts(rng, rng.poisson(6, 12) + 1, (0.8,), 1, 0.0, 0.5)
    same = difference([drawn(a, trained=False)], [drawn(a, trained=False)])
    assert (same.value, same.error, same.interval, same.p) == (0.0, None, None, None)


def test_one_seed_of_a_trained_arm_covers_documents_only():
    rng = np.random.default_rng(5)
    a, b = counts(rng, rng.poisson(6, 12) + 1, (0.8, 0.6), 1, 0.3, 0.7)
    assert not difference([drawn(a)], [drawn(b, trained=False)]).seeds
    assert difference([drawn(a, trained=False)], [drawn(b, trained=False)]).seeds
    assert estimate([[(1, drawn(a))]]).interval is not None


def test_an_interval_stays_within_what_a_score_can_be():
    perfect = [np.array([[2, 2, 2], [1, 2, 1], [3, 3, 3]])] * 2
    low, high = estimate([[(1, drawn(perfect))]]).interval
    assert 0 <= low < high <= 1


def test_too_few_documents_or_mentions_give_no_interval():
    one = drawn([np.array([[1, 1, 2]])])
    assert estimate([[(1, one)]]).interval is None
    seldom = np.zeros((8, 3), int)
    seldom[0] = (1, 1, 1)  # of most draws' third, not a mention
    found = estimate([[(1, drawn([seldom]))]])
    assert (found.value, found.error, found.interval, found.p) == (1.0, None, None, None)
    # One draw in nine has none of the two documents with a mention: the other draws would tell too little.
    rare = np.zeros((12, 3), int)
    rare[:2] = [(1, 1, 1), (0, 1, 1)]
    assert estimate([[(1, drawn([rare]))]]).interval is None
    rare[2] = (1, 1, 1)
    assert estimate([[(1, drawn([rare]))]]).interval is not None


def test_the_interval_over_seeds_is_students():
    low, high = over_seeds([0.70, 0.74])
    reach = 12.706204736 * 0.02828427 / math.sqrt(2)
    assert (low, high) == (pytest.approx(0.72 - reach), pytest.approx(0.72 + reach))
    assert over_seeds([0.7]) is None


def test_holm_by_hand():
    # Sorted: .01 x 4 = .04, .02 x 3 = .06, .03 x 2 = .06, .20 x 1.
    assert holm([0.02, 0.20, 0.01, 0.03]) == pytest.approx([0.06, 0.20, 0.04, 0.06])
    # .02 x 2 = .04, and .025 x 1 may not be less.
    assert holm([0.025, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([0.6, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_percentiles_of_drawn_documents_and_seeds_would_not_cover():
    """Why intervals are not simply the percentiles of draws of both: of two seeds there is too little to draw."""
    rng = np.random.default_rng(7)
    spread, covered, studies = 0.2, 0, 250
    real = truth(0.75, spread) - truth(0.70, spread)
    for study in range(studies):
        gold = rng.poisson(rng.gamma(4, 2, 50)) + 1
        values = []
        for made in counts(rng, gold, (0.75, 0.70), 2, spread, 0.9):
            picked = rng.integers(2, size=(SAMPLES, 2))
            values.append(np.take_along_axis(drawn(made, study).draws, picked, axis=1).mean(axis=1))
        low, high = np.quantile(values[0] - values[1], [0.025, 0.975])
        covered += low <= real <= high
    assert covered / studies < 0.9
