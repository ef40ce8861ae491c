"""In: scores, temperatures. Out: calibrated scores in the same order, and unchanged where the temperature is 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaner.scores import calibrated, logit

SCORES = st.lists(st.integers(0, 10**6).map(lambda n: n / 10**6), min_size=1, max_size=30)


@given(SCORES, st.floats(0.05, 20))
def test_the_order_of_scores_stays_and_so_does_the_half(scores, temperature):
    found = calibrated(sorted(scores), temperature)
    assert ((found >= 0) & (found <= 1)).all() and (np.diff(found) >= 0).all()
    assert calibrated(0.5, temperature) == 0.5


@given(SCORES)
def test_a_temperature_of_1_changes_no_bit(scores):
    assert calibrated(scores, 1.0).tolist() == scores and calibrated(scores, 1).tolist() == scores


def test_temperatures_divide_the_log_odds():
    assert calibrated(0.9, 2.0) == pytest.approx(0.75), "odds of 9 become odds of 3"
    assert calibrated(0.9, 0.5) == pytest.approx(81 / 82, abs=1e-6)
    assert calibrated([0.0, 1.0], 2.0) == pytest.approx([0.000999, 0.999001], abs=1e-6)
    assert np.isfinite(logit([0.0, 1.0])).all()
