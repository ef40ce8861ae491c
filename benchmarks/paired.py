"""In: counts of hits by seed, document and kind of mention. Out: scores, their paired differences, intervals.

    counts[question]: (seeds, documents, kinds, 3)    hits, predicted, gold; kinds as in KINDS

A draw takes seeds with replacement, the same for all questions and both sides, and of each question's documents as many
with replacement, the same for all seeds and both sides. Its score is micro-F1 (or recall) of each seed, averaged over
the seeds, then over the questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from compare import interval

KINDS = ("all", "seen", "unseen")
#: Name of a measure -> kind of mention, and whether it is recall instead of F1.
MEASURES = {
    "f1": ("all", False),
    "seen_f1": ("seen", False),
    "unseen_f1": ("unseen", False),
    "seen_recall": ("seen", True),
    "unseen_recall": ("unseen", True),
}

Counts = Mapping[str, np.ndarray]


def measured(sums: np.ndarray) -> np.ndarray:
    """``(..., kinds, 3)`` sums to ``(..., measures)`` in [0, 1]; NaN where there is nothing to score."""
    hits, predicted, gold = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1, recall = 2 * hits / (predicted + gold), hits / gold
    columns = [(recall if by_recall else f1)[..., KINDS.index(kind)] for kind, by_recall in MEASURES.values()]
    return np.stack(columns, axis=-1)


def by_seed(counts: Counts) -> np.ndarray:
    """``(seeds, measures)``: the mean over the questions."""
    return np.mean([measured(one.sum(1)) for one in counts.values()], axis=0)


def drawn(counts: Counts, samples: int, seed: int) -> np.ndarray:
    """``(samples, measures)``: the mean over seeds and questions of each draw, the same draws for the same seed."""
    seeds = {len(one) for one in counts.values()}
    (number,) = seeds
    rng = np.random.default_rng(seed)
    chosen = _times(rng, number, samples) / number
    scores = []
    for question in sorted(counts):
        one = counts[question]
        # Of each question its own, so that leaving one out does not change another's.
        weights = _times(np.random.default_rng([seed, *question.encode()]), one.shape[1], samples)
        sums = np.einsum("nd,sdkc->nskc", weights, one, optimize=True)
        scores.append(np.einsum("ns,nsm->nm", chosen, np.nan_to_num(measured(sums))))
    return np.mean(scores, axis=0)


def _times(rng: np.random.Generator, of: int, samples: int) -> np.ndarray:
    """How often each of ``of`` is drawn: ``(samples, of)``."""
    picked = rng.integers(of, size=(samples, of)) + np.arange(samples)[:, None] * of
    return np.bincount(picked.ravel(), minlength=samples * of).reshape(samples, of).astype(float)


def summary(counts: Counts, samples: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Of each measure: the mean, its seeds, the t-interval over these, the interval of the draws; None without any."""
    return _said(by_seed(counts), drawn(counts, samples, seed))


def difference(counts: Counts, base: Counts, samples: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """The same of what ``counts`` has more than ``base``, seed by seed and document by document.

    Both have the same seeds in the same order, or one of them has a single one, which then stands beside each.
    """
    seeds = max(len(one) for one in [*counts.values(), *base.values()])
    left, right = _spread(counts, seeds), _spread(base, seeds)
    return _said(by_seed(left) - by_seed(right), drawn(left, samples, seed) - drawn(right, samples, seed))


def _spread(counts: Counts, seeds: int) -> dict[str, np.ndarray]:
    return {
        name: np.repeat(one, seeds, axis=0) if len(one) == 1 else np.asarray(one)
        for name, one in counts.items()
    }


def _said(seeds: np.ndarray, draws: np.ndarray) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for column, measure in enumerate(MEASURES):
        values: Sequence[float] = seeds[:, column].tolist()
        if np.isnan(values).any():
            # Nothing of the kind, neither in gold nor predicted.
            found[measure] = {"mean": None, "seeds": [], "interval": None, "drawn": None}
            continue
        found[measure] = {
            "mean": float(np.mean(values)),
            "seeds": values,
            "interval": interval(values),
            "drawn": np.quantile(draws[:, column], [0.025, 0.975]).tolist(),
        }
    return found
