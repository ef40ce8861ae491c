"""In: gold documents, and the same as a tagger marked them. Out: a temperature for each type, and how right scores are.

A score is calibrated when, of the spans that score 0.8, eight of ten are right: a gold mention has the same start, end
and type (and, if it is discontinuous, the same fragments, which no span of a tagger has).

    fitting = spans_by_type([(gold_documents, found_documents)])
    fit_temperature(fitting["Disease"])              -> Fit(temperature=1.6, reason="")
    bins = reliability(scores, right)                -> 15 bins of as many spans each
    expected_error(bins)                             -> expected calibration error
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import beta, chi2

from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.pairing import pair
from vaner.scores import calibrated, logit

BINS = 15
# A temperature needs this many right and wrong spans, each; it stays 1 unless it is likelier than 1 at this level.
LEAST_SPANS = 20
LEVEL = 0.05
_RANGE = (0.05, 20.0)


@dataclass(frozen=True, eq=False)
class Spans:
    """The spans of one type that a tagger found, n of them.

    Attributes:
        scores: float64 ``(n,)``, in [0, 1].
        right: bool ``(n,)``, whether gold has the same mention.
        documents: int ``(n,)``, a number for the document of each.
        gold: how many gold mentions of the type there are.
    """

    scores: np.ndarray
    right: np.ndarray
    documents: np.ndarray
    gold: int

    def __add__(self, other: Spans) -> Spans:
        """Those of other documents behind them."""
        first = int(self.documents.max()) + 1 if len(self.documents) else 0
        return Spans(
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.right, other.right]),
            np.concatenate([self.documents, other.documents + first]),
            self.gold + other.gold,
        )

    def calibrated(self, temperature: float) -> Spans:
        """The same with the scores that a temperature gives them."""
        return Spans(calibrated(self.scores, temperature), self.right, self.documents, self.gold)


def spans_by_type(sets: Iterable[tuple[Sequence[Document], Sequence[Document]]]) -> dict[str, Spans]:
    """The spans that a tagger found, type by type.

    Args:
        sets: gold documents, and the same as the tagger marked them; one pair a gold set. Spans of types that a gold
            document does not annotate are left out, as in `vaner.evaluation.pairing.pair`.

    Returns:
        type -> its spans, for every type that gold annotates.

    Raises:
        VanerError: a span without a score; see `pair` for the rest.
    """
    found: dict[str, list[tuple[float, bool, int]]] = {}
    gold: dict[str, int] = {}
    number = 0
    for gold_documents, marked in sets:
        scores = {(d.id, span.key): span.score for d in marked for span in d.spans}
        for type in {type for document in gold_documents for type in document.types or ()}:
            gold.setdefault(type, 0)
        for one in pair(gold_documents, marked).pairs:
            number += 1
            for mention in one.gold:
                gold[mention.type] = gold.get(mention.type, 0) + 1
            for mention in sorted(one.predicted):
                score = scores[one.id, (mention.start, mention.end, mention.type)]
                if score is None:
                    raise VanerError(
                        f"document {one.id}: its {mention.type} span at {mention.start}-{mention.end} has no score; "
                        "calibrate a tagger that scores its spans"
                    )
                found.setdefault(mention.type, []).append((score, mention in one.gold, number))
    return {
        type: Spans(
            np.array([score for score, _, _ in found.get(type, [])], dtype=np.float64),
            np.array([right for _, right, _ in found.get(type, [])], dtype=bool),
            np.array([document for _, _, document in found.get(type, [])], dtype=np.int64),
            gold.get(type, 0),
        )
        for type in sorted(found.keys() | gold.keys())
    }


class Fit(NamedTuple):
    """A type's temperature; where it stays 1, why."""

    temperature: float
    reason: str


def fit_temperature(spans: Spans) -> Fit:
    """The temperature under which it is likeliest that those spans are right which are.

    One number is fitted to whole spans: P(right) = sigmoid(logit(score) / temperature) (Guo et al. 2017, "On
    Calibration of Modern Neural Networks", for a choice of two). Scaling the tags' log-probabilities instead would
    rank spans anew, and calibrate tags, which nobody sees.

    Returns:
        temperature 1, with the reason, where there are too few right or wrong spans, where none within [0.05, 20]
        fits, or where 1 fits as well (likelihood ratio over the design effect, 5 %).
    """
    right, wrong = int(spans.right.sum()), int((~spans.right).sum())
    if min(right, wrong) < LEAST_SPANS:
        return Fit(1.0, f"{right} right and {wrong} wrong spans, where {LEAST_SPANS} of each are needed")
    signed = np.where(spans.right, 1.0, -1.0) * logit(spans.scores)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -signed / np.exp(log_temperature)).sum())

    bounds = tuple(np.log(_RANGE))
    # Convex in 1 / temperature, so there is one minimum.
    best = float(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)
    if min(best - bounds[0], bounds[1] - best) < 1e-3:
        return Fit(1.0, "the scores do not tell right spans from wrong ones by degrees: no temperature fits")
    ratio = 2 * (loss(0.0) - loss(best)) / design_effect(spans.right, spans.documents)
    if ratio < chi2.ppf(1 - LEVEL, df=1):
        return Fit(1.0, "the scores are calibrated as far as these spans can tell")
    return Fit(round(float(np.exp(best)), 4), "")


def design_effect(right: np.ndarray, documents: np.ndarray) -> float:
    """By how much precision varies more between documents than if every span were right by a chance of its own.

    At least 1. It is the variance of a ratio, by documents (Taylor), over the binomial variance. It cannot be known
    where all spans are right or all wrong (then 1), nor from a single document (then its number of spans).

    Args:
        right: of each span, bool ``(n,)``.
        documents: a number for the document of each, int ``(n,)``.
    """
    n = len(right)
    precision = right.mean() if n else 0.0
    if precision in (0, 1):
        return 1.0
    residuals = np.bincount(documents, weights=right - precision)
    number = int((np.bincount(documents) > 0).sum())
    if number == 1:
        return float(n)
    variance = number / (number - 1) * float((residuals**2).sum())
    return max(1.0, float(variance / (n * precision * (1 - precision))))


class Bin(NamedTuple):
    """Spans of like scores: how many, their mean score, the share that is right and its exact 95 % interval."""

    spans: int
    score: float
    right: float
    low: float
    high: float


def reliability(scores: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Spans in bins of equal mass, from the lowest scores to the highest.

    Args:
        scores: in [0, 1], shape ``(n,)``.
        right: bool ``(n,)``.
        bins: how many; spans of one score share a bin, so there may be fewer.
    """
    if not len(scores):
        return []
    order = np.argsort(scores, kind="stable")
    scores, right = scores[order], right[order]
    borders = scores[np.linspace(0, len(scores), bins, endpoint=False).astype(int)]
    starts = np.unique(np.searchsorted(scores, borders))
    found = []
    for start, end in zip(starts, [*starts[1:], len(scores)], strict=True):
        n, hits = int(end - start), int(right[start:end].sum())
        low, high = lower_bound(hits, n, 0.975), 1 - lower_bound(n - hits, n, 0.975)
        found.append(Bin(n, float(scores[start:end].mean()), hits / n, low, high))
    return found


def expected_error(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error, in [0, 1]: what score and share right differ by, over all spans; None without any."""
    n = sum(one.spans for one in bins)
    return sum(one.spans * abs(one.score - one.right) for one in bins) / n if n else None


def error_by_chance(bins: Sequence[Bin]) -> float | None:
    """About the expected error that as many spans with perfectly calibrated scores would show by chance."""
    n = sum(one.spans for one in bins)
    spread = sum(one.spans * np.sqrt(2 / np.pi * one.score * (1 - one.score) / one.spans) for one in bins)
    return float(spread) / n if n else None


def lower_bound(right: float, spans: float, confidence: float) -> float:
    """The exact (Clopper and Pearson 1934) one-sided lower bound of a share, in [0, 1].

    Args:
        right, spans: counts; they need not be whole numbers.
        confidence: in (0, 1).
    """
    return float(beta.ppf(1 - confidence, right, spans - right + 1)) if right > 0 else 0.0


def measured(spans: Spans, temperature: float) -> dict[str, Any]:
    """How right the scores of a type are, before and after a temperature, for a page or a file.

    Returns:
        ``spans``, ``right``, ``gold``, ``documents`` that have such spans (counts), ``by_chance`` (of the scores after)
        and, as ``before`` and ``after``, ``error`` in [0, 1] or None and ``bins``.
    """
    found: dict[str, Any] = {
        "spans": len(spans.scores),
        "right": int(spans.right.sum()),
        "gold": spans.gold,
        "documents": len(np.unique(spans.documents)),
    }
    for when, scores in (("before", spans.scores), ("after", spans.calibrated(temperature).scores)):
        bins = reliability(scores, spans.right)
        found[when] = {"error": expected_error(bins), "bins": [one._asdict() for one in bins]}
        found["by_chance"] = error_by_chance(bins)
    return found
