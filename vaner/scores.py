"""In: the score that the model's probabilities give a span, the temperature of its type. Out: the score that is said.

    said = sigmoid(logit(score) / temperature)

A temperature above 1 makes scores more modest, one below 1 bolder; 0.5 stays 0.5. The order of a type's spans stays as
it is, so whatever holds for "the spans that score at least this" holds before and after. Fitting
(`vaner.evaluation.calibration`) and tagging (`vaner.tagging.decode`) use this one formula.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DIGITS = 6
"""Scores are said with so many digits."""
_LEAST = 10.0**-DIGITS


def logit(scores: npt.ArrayLike) -> np.ndarray:
    """Log-odds of scores in [0, 1], float64 of their shape; 0 and 1 count as the nearest score that is neither."""
    inner = np.clip(np.asarray(scores, dtype=np.float64), _LEAST, 1 - _LEAST)
    return np.log(inner) - np.log1p(-inner)


def calibrated(scores: npt.ArrayLike, temperature: float) -> np.ndarray:
    """The scores that are said, float64 of the shape of ``scores``, rounded to six digits.

    Args:
        scores: in [0, 1], rounded to six digits.
        temperature: above 0; with 1 they stay exactly as they are.
    """
    if temperature == 1:
        return np.asarray(scores, dtype=np.float64)
    said: np.ndarray = np.round(1 / (1 + np.exp(-logit(scores) / temperature)), DIGITS)
    return said
