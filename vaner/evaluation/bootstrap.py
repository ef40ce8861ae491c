"""In: per-document counts. Out: percentile intervals, and the difference between two systems with a p-value.

Documents are drawn with replacement; a document is the unit because mentions of one document are not
independent. All rows of all tables are computed on the same draws, by one matrix product:

    draws (samples x D: how often each document was drawn)  @  counts (D x 3 rows)  =  sums (samples x 3 rows)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vaner.errors import VanerError
from vaner.evaluation.metrics import MACRO, MICRO, Row, Scores

MEASURES = ("precision", "recall", "f1")
# Draws held in memory at once: samples x documents.
_CHUNK = 4_000_000

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Difference:
    """One row's F1 in system A minus that in system B.

    Attributes:
        a: F1 of A, in [0, 1].
        b: F1 of B, in [0, 1].
        difference: a - b, in [-1, 1].
        interval: 95 % percentile interval of the difference.
        p: two-sided p-value of the hypothesis that the systems do not differ.
    """

    a: float
    b: float
    difference: float
    interval: Interval
    p: float


def intervals(
    scores: Scores, *, samples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> dict[Row, dict[str, Interval]]:
    """Percentile bootstrap intervals (Efron 1979) over documents, of every row and of the macro mean.

    A draw in which a row has neither a gold nor a predicted mention says nothing about that row and is
    left out of its percentiles.

    Args:
        scores: from :func:`vaner.evaluation.metrics.score`.
        samples: number of draws.
        seed: of ``numpy.random.default_rng``; the same seed gives the same intervals.
        confidence: share of the draws inside the interval.

    Returns:
        row -> measure -> (low, high). A row without any mention is absent; with fewer than two
        documents everything is.
    """
    _check(samples)
    if scores.documents < 2:
        return {}
    values = resampled(scores, samples, seed)
    tail = (1 - confidence) / 2
    found = {}
    for row, per_measure in values.items():
        defined = {m: v[~np.isnan(v)] for m, v in zip(MEASURES, per_measure, strict=True)}
        if all(len(v) for v in defined.values()):
            found[row] = {m: tuple(np.quantile(v, [tail, 1 - tail]).tolist()) for m, v in defined.items()}
    return found


def compare(
    a: Scores, b: Scores, *, samples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> dict[Row, Difference]:
    """Paired bootstrap: the same draws of documents for both systems, F1 of A minus F1 of B.

    The p-value is that of Berg-Kirkpatrick, Burkett and Klein (2012), "An Empirical Investigation of
    Statistical Significance in NLP", made two-sided: the draws are centred on the observed difference d,
    so that they stand for systems that do not differ, and

        p = (1 + number of draws with |d_draw - d| >= |d|) / (1 + number of draws)

    where the ones keep p above 0 (Davison and Hinkley 1997, section 4.2).

    Args:
        a, b: scores of two systems on the same gold documents in the same order.

    Returns:
        row -> Difference, for every row that both systems have a score for.

    Raises:
        VanerError: if the two were not scored on the same gold mentions.
    """
    _check(samples)
    if a.documents != b.documents or any(
        not np.array_equal(a.rows[row][:, 2], b.rows[row][:, 2]) for row in a.rows.keys() & b.rows.keys()
    ):
        raise VanerError(
            "the two systems were scored on different gold mentions; score both on one gold file"
        )
    if a.documents < 2:
        return {}
    values_a, values_b = resampled(a, samples, seed), resampled(b, samples, seed)
    tail = (1 - confidence) / 2
    found = {}
    for row in sorted(values_a.keys() & values_b.keys(), key=[MICRO, MACRO, *a.rows].index):
        f1_a, f1_b = _f1(a, row), _f1(b, row)
        drawn = values_a[row][2] - values_b[row][2]
        drawn = drawn[~np.isnan(drawn)]
        if f1_a is None or f1_b is None or not len(drawn):
            continue
        observed = f1_a - f1_b
        # 1e-12: draws that equal 2d but for rounding count.
        extreme = int((np.abs(drawn - observed) >= abs(observed) - 1e-12).sum())
        low, high = np.quantile(drawn, [tail, 1 - tail]).tolist()
        found[row] = Difference(f1_a, f1_b, observed, (low, high), (1 + extreme) / (1 + len(drawn)))
    return found


def _check(samples: int) -> None:
    if samples < 1:
        raise VanerError(f"bootstrap: {samples} draws were asked for; ask for at least 1")


def _f1(scores: Scores, row: Row) -> float | None:
    return scores.macro.f1 if row == MACRO else scores[row].f1


def _draws(documents: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each document is drawn: arrays (up to chunk, documents), together ``samples`` rows."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // documents)
    for first in range(0, samples, chunk):
        size = min(chunk, samples - first)
        picked = rng.integers(documents, size=(size, documents))
        picked += np.arange(size)[:, None] * documents
        yield np.bincount(picked.ravel(), minlength=size * documents).reshape(size, documents)


def resampled(scores: Scores, samples: int, seed: int) -> dict[Row, np.ndarray]:
    """Precision, recall and F1 of every draw; the same seed and number of documents give the same draws.

    Returns:
        row -> float array (3, samples); NaN where a draw has no mention of the row.
    """
    rows = list(scores.rows)
    counts = np.stack([scores.rows[row] for row in rows], axis=1).reshape(scores.documents, -1)
    sums = np.concatenate([w.astype(float) @ counts for w in _draws(scores.documents, samples, seed)])
    hits, predicted, gold = np.moveaxis(sums.reshape(samples, len(rows), 3), 2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.stack([hits / predicted, hits / gold, 2 * hits / (predicted + gold)])
    nothing = predicted + gold == 0
    ratios = np.where(nothing, np.nan, np.nan_to_num(ratios))  # (3, samples, rows)
    values = {row: ratios[:, :, i] for i, row in enumerate(rows)}
    per_type = [i for i, (table, _) in enumerate(rows) if table == "type"]
    if per_type:
        scored = (~nothing[:, per_type]).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            values[MACRO] = np.nansum(ratios[:, :, per_type], axis=2) / np.where(scored, scored, np.nan)
    return values
