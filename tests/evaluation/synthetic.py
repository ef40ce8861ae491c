"""Spans whose scores are off by a known temperature."""

from __future__ import annotations

import numpy as np

from vaner.evaluation.calibration import Spans


def spans(
    n: int,
    temperature: float = 1.0,
    *,
    seed: int = 0,
    mean: float = 2.0,
    spread: float = 2.0,
    each: int = 1,
    missed: int = 0,
) -> Spans:
    """Scores whose log-odds are the true ones times a temperature.

    Args:
        n: how many.
        mean, spread: of the scores' log-odds.
        each: spans of one document, which are right or wrong together and score the same.
        missed: gold mentions without a span.
    """
    rng = np.random.default_rng(seed)
    groups = -(-n // each)
    odds = np.repeat(rng.normal(mean, spread, groups), each)[:n]
    draws = np.repeat(rng.random(groups), each)[:n]
    right = draws < 1 / (1 + np.exp(-odds / temperature))
    documents = np.repeat(np.arange(groups), each)[:n]
    return Spans(np.round(1 / (1 + np.exp(-odds)), 6), right, documents, int(right.sum()) + missed)
