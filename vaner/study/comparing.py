"""In: scores of cells, observed and drawn again. Out: means and differences with intervals; p-values, corrected.

Two things are left to chance: which documents are scored, and which seed a model was trained with. A number of a study
is a mean over corpora c of differences between arms, each the mean over its seeds; its variance is

    V = 1/C^2  sum over c of ( documents_c + sum over arms of max(0, s^2 / n - both) )

    documents_c   variance over bootstrap draws of D documents, the same for all arms and seeds (Efron 1979), times
                  D / (D - 1), which it falls short by; what two arms have in common cancels
    s^2 / n       variance of n seeds' scores on the documents as they are, divided by n
    both          what of s^2 / n the draws have already: how much the seeds' scores part company from draw to draw

and its 95 % interval is the number plus or minus t sqrt(V), t with the degrees of freedom of Satterthwaite (1946,
"An approximate distribution of estimates of variance components"), of which two seeds leave few. Percentiles of draws
of documents and of seeds would be simpler, but of two or three seeds there is little to draw: in simulated studies
their intervals cover too seldom where seeds matter (tests/study/test_comparing.py).

The seeds of two arms are taken as independent: seed 1 of one has nothing to do with seed 1 of another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
# Of a row that so many draws have no mention of, the rest would tell too little.
_LEAST_DEFINED = 0.9

Interval = tuple[float, float]


@dataclass(frozen=True)
class Drawn:
    """One score of an arm on a corpus.

    Attributes:
        observed: float array (seeds,): the score of each seed, on the documents as they are.
        draws: float array (samples, seeds): the same on each draw of documents; NaN where a draw has no mention.
        trained: another seed would give other predictions.
        documents: how many there are.
    """

    observed: np.ndarray
    draws: np.ndarray
    trained: bool
    documents: int

    def __sub__(self, other: Drawn) -> Drawn:
        """Another score of the same cells taken away, seed by seed and draw by draw."""
        return Drawn(self.observed - other.observed, self.draws - other.draws, self.trained, self.documents)


@dataclass(frozen=True)
class Estimate:
    """A score or a difference of scores, and how sure it is.

    Attributes:
        value: in [0, 1]; a difference in [-1, 1].
        error: the standard error; None where there are too few documents or mentions, or the draws do not vary.
        freedom: degrees of freedom.
        interval: 95 %; None where ``error`` is.
        seeds: whether the interval covers other seeds as well as other documents: not where an arm that is trained
            was trained once.
        p: two-sided p-value of the hypothesis that the value is 0; None where ``error`` is.
    """

    value: float
    error: float | None
    freedom: float | None
    interval: Interval | None
    seeds: bool
    p: float | None


def estimate(
    corpora: Sequence[Sequence[tuple[int, Drawn]]], least: float = 0.0, most: float = 1.0
) -> Estimate:
    """Mean over corpora of a sum of arms' scores, each with its sign.

    Args:
        corpora: of each corpus the arms, as ``(1, arm)``, or ``(1, arm), (-1, other)`` for a difference.
        least, most: what the value cannot leave; nor does the interval.
    """
    value = sum(_value(arms) for arms in corpora) / len(corpora)
    covers = all(len(arm.observed) > 1 or not arm.trained for arms in corpora for _, arm in arms)
    parts: list[tuple[float, int]] = []
    for arms in corpora:
        if (found := _parts(arms)) is None:
            return Estimate(value, None, None, None, covers, None)
        parts += [(variance / len(corpora) ** 2, freedom) for variance, freedom in found]
    total = sum(variance for variance, _ in parts)
    if total <= 0:
        # Nothing right at all, say: that the draws do not vary does not make it certain.
        return Estimate(value, None, None, None, covers, None)
    freedom = total**2 / sum(variance**2 / free for variance, free in parts)
    error = math.sqrt(total)
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * error
    interval = (float(max(least, value - reach)), float(min(most, value + reach)))
    return Estimate(
        value, error, freedom, interval, covers, float(2 * stats.t.sf(abs(value) / error, freedom))
    )


def difference(a: Sequence[Drawn], b: Sequence[Drawn]) -> Estimate:
    """Arm ``a`` minus arm ``b``, each given corpus by corpus."""
    return estimate([[(1, x), (-1, y)] for x, y in zip(a, b, strict=True)], -1.0, 1.0)


def over_seeds(scores: Sequence[float]) -> Interval | None:
    """The 95 % t-interval of a mean over seeds: of other seeds on these documents. None for fewer than two."""
    n = len(scores)
    if n < 2:
        return None
    mean, error = float(np.mean(scores)), float(np.std(scores, ddof=1)) / math.sqrt(n)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    return max(0.0, mean - reach), min(1.0, mean + reach)


def holm(ps: Iterable[float]) -> list[float]:
    """p-values corrected for being several, in the order given; comparable with 0.05 each.

    Source: Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure". The smallest of m p-values is
    multiplied by m, the next by m - 1, ...; none becomes smaller than one before it, nor larger than 1.
    """
    ps = list(ps)
    corrected = [0.0] * len(ps)
    so_far = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        so_far = max(so_far, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = so_far
    return corrected


def _value(arms: Sequence[tuple[int, Drawn]]) -> float:
    return float(sum(sign * arm.observed.mean() for sign, arm in arms))


def _parts(arms: Sequence[tuple[int, Drawn]]) -> list[tuple[float, int]] | None:
    """Variances and their degrees of freedom: that of documents, then of each arm's seeds."""
    documents = arms[0][1].documents
    kept = ~np.isnan(np.concatenate([arm.draws for _, arm in arms], axis=1)).any(axis=1)
    if documents < 2 or kept.mean() < _LEAST_DEFINED or kept.sum() < 2:
        return None
    drawn = sum(sign * arm.draws[kept].mean(axis=1) for sign, arm in arms)
    parts = [(float(np.var(drawn, ddof=1)) * documents / (documents - 1), documents - 1)]
    for _, arm in arms:
        n = len(arm.observed)
        if arm.trained and n > 1:
            apart = np.var(arm.draws[kept] - arm.observed, axis=1, ddof=1).mean()
            parts.append((max(0.0, float(np.var(arm.observed, ddof=1) - apart) / n), n - 1))
    return parts
