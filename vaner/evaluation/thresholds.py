"""In: scored spans of a type, right or wrong. Out: the lowest score whose precision is certified; or why none is.

    choose(spans, min_precision=0.95, confidence=0.95)    -> Threshold(score=0.81, bound=0.951, ...)

Each candidate score is a hypothesis, "the precision of the spans that score as much is below `min_precision`", rejected
by an exact binomial test. As many are tested, the error that the confidence allows is shared out, as in Learn then Test
(Angelopoulos et al. 2021, arXiv:2110.01052): fixed-sequence testing from a few starting points, each with an equal part
of 1 - confidence, goes from high scores to low ones and stops at the first that is not rejected; a part that arrives
at the next starting point is added to that one's (the fallback procedure, Wiens and Dmitrienko 2005). Order,
candidates and starting points follow from the scores alone, so with the stated confidence no score is certified that
should not be.

    scores, high to low   0.999 ... 0.98 ... 0.91 ... 0.80 ... 0.52 ... 0.31
    starting points             1/4          1/4          1/4           1/4
    level of the test           1/4 1/4 1/4  2/4 2/4 2/4  0   1/4 0     1/4
    rejected                    +   +   +    +   +   -        -         -       the last +: the threshold

Given the scores, spans differ in their chance to be right; the binomial test errs on the safe side of that (Hoeffding
1956). It does not cover that spans of one document are right or wrong together: counts are divided by the design
effect (Korn and Graubard 1998), how much more than a binomial share the precision of the spans that score as much
varies between documents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from vaner.evaluation.calibration import Spans, design_effect, lower_bound

STARTS = 4
CANDIDATES = 200


@dataclass(frozen=True)
class Threshold:
    """A type's threshold, or why it has none.

    Attributes:
        score: the least score of a span that is kept; None where none is certified.
        reason: why none is, else empty.
        spans, right: how many spans score so much, and how many of them are right; of all where none is certified.
        gold: gold mentions.
        all_right: right spans of any score.
        bound: with the stated confidence precision is at least this, all candidates allowed for; where none is
            certified, the best that any starting point has.
        design_effect: what the counts of the spans that are kept were divided by, at least 1.
    """

    score: float | None
    reason: str
    spans: int
    right: int
    gold: int
    all_right: int
    bound: float
    design_effect: float

    @property
    def precision(self) -> float | None:
        """Of the spans that are kept."""
        return self.right / self.spans if self.spans else None

    @property
    def recall(self) -> float | None:
        """With the threshold."""
        return self.right / self.gold if self.gold else None

    @property
    def recall_without(self) -> float | None:
        """Without any threshold."""
        return self.all_right / self.gold if self.gold else None


def choose(spans: Spans, min_precision: float, confidence: float) -> Threshold:
    """The lowest score whose precision is at least ``min_precision``, certified at ``confidence``.

    Args:
        spans: of one type; spans of equal score are kept or left out together.
        min_precision, confidence: in (0, 1).
    """
    n, hits = len(spans.scores), int(spans.right.sum())
    order = np.argsort(-spans.scores, kind="stable")
    scores = spans.scores[order]
    ranks = _ranks(scores, n)
    starts, share = _starting_points(ranks, n, min_precision, 1 - confidence)
    least = needed(min_precision, share)
    if n < least:
        reason = f"{n} spans: too few, {least} that are all right would be needed"
        return Threshold(None, reason, n, hits, spans.gold, hits, lower_bound(hits, n, 1 - share), 1.0)
    effects = np.array([design_effect(spans.right[order[:r]], spans.documents[order[:r]]) for r in ranks])
    right = np.cumsum(spans.right[order])[ranks - 1] / effects
    kept = ranks / effects
    # P(at least so many are right) where precision is `min_precision`; beta takes counts that are no whole numbers.
    p_values = np.where(right > 0, beta.cdf(min_precision, np.maximum(right, 1e-9), kept - right + 1), 1.0)
    certified, certified_level, at_hand = -1, 0.0, 0.0
    for at, p_value in enumerate(p_values):
        at_hand += share * (at in starts)
        if at_hand and p_value <= at_hand:
            certified, certified_level = at, at_hand
        else:
            at_hand = 0.0
    if certified < 0:
        bound, at = max((lower_bound(right[s], kept[s], 1 - share), s) for s in starts)
        reason = (
            f"no score reaches it: at best {right[at] / kept[at]:.3f} of the {ranks[at]:,} highest-scored spans are "
            f"right, at least {bound:.3f} with this confidence"
        )
        return Threshold(None, reason, n, hits, spans.gold, hits, bound, float(effects[at]))
    rank = int(ranks[certified])
    return Threshold(
        score=float(scores[rank - 1]),
        reason="",
        spans=rank,
        right=round(right[certified] * effects[certified]),
        gold=spans.gold,
        all_right=hits,
        bound=lower_bound(right[certified], kept[certified], 1 - certified_level),
        design_effect=float(effects[certified]),
    )


def at_least(spans: Spans, score: float) -> tuple[int, int, float]:
    """Of other spans those that score so much: how many, how many are right, and the 95 % lower bound of precision."""
    kept = spans.scores >= score
    n, hits = int(kept.sum()), int(spans.right[kept].sum())
    effect = design_effect(spans.right[kept], spans.documents[kept])
    return n, hits, lower_bound(hits / effect, n / effect, 0.95)


def _ranks(scores: np.ndarray, n: int) -> np.ndarray:
    """How many spans the candidates keep, rising: evenly spread, each with all spans of its lowest score."""
    spread = np.unique(np.linspace(1, n, min(n, CANDIDATES)).astype(int)) if n else np.zeros(0, dtype=int)
    return np.unique(np.searchsorted(-scores, -scores[spread - 1], side="right"))


def _starting_points(
    ranks: np.ndarray, n: int, min_precision: float, error: float
) -> tuple[list[int], float]:
    """Places in ``ranks`` where testing starts, and the error that each may make.

    The first keeps twice as many spans as its test needs if all are right, the last keeps all.
    """
    if not n:
        return [], error
    number = STARTS
    while number > 1 and 2 * needed(min_precision, error / number) >= n:
        number -= 1
    first = min(2 * needed(min_precision, error / number), n)
    wanted = np.floor(np.geomspace(first, n, number))
    starts = sorted({min(int(place), len(ranks) - 1) for place in np.searchsorted(ranks, wanted)})
    return starts, error / len(starts)


def needed(min_precision: float, error: float) -> int:
    """The fewest spans that certify a precision, if all are right."""
    return math.ceil(math.log(error) / math.log(min_precision) - 1e-9)
