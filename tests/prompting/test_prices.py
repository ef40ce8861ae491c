"""In: prices from settings and from genai-prices. Out: what requests cost, and None where nobody says."""

from __future__ import annotations

import sys

import pytest

from vaner.errors import VanerError
from vaner.prompting.prices import Price, known_price, money
from vaner.prompting.request import Spent


def test_the_cost_of_what_was_spent():
    spent = Spent(requests=2, prompt_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000)
    assert Price(1.0, 10.0).cost(spent) == pytest.approx(2.0)
    assert Price(1.0, 10.0, 0.5).cost(spent) == pytest.approx(1.8)


def test_settings_give_a_price():
    assert Price.read({"input": 1, "output": 2}) == Price(1.0, 2.0)
    assert Price.read({"input": 0, "output": 2, "cached": 0.5, "currency": "EUR"}) == Price(0, 2, 0.5, "EUR")


@pytest.mark.parametrize(
    "settings, what",
    [
        ({"input": 1}, "output: None"),
        ({"input": "1", "output": 1}, "input: '1'"),
        ({"input": -1, "output": 1}, "from 0 up"),
        ({"input": float("nan"), "output": 1}, "from 0 up"),
        ({"input": True, "output": 1}, "True"),
        ({"input": 1, "output": 1, "outptu": 1}, "did you mean output"),
        ({"input": 1, "output": 1, "currency": 3}, "currency"),
    ],
)
def test_wrong_prices_are_refused(settings, what):
    with pytest.raises(VanerError, match=what):
        Price.read(settings)


def test_known_prices():
    pytest.importorskip("genai_prices")
    price = known_price("gpt-4o-mini")
    assert price is not None and 0 < price.cached < price.input < price.output and price.currency == "USD"
    batch = known_price("gpt-4o-mini", batch=True)
    assert batch.output < price.output
    assert known_price("no-such-model") is None
    assert known_price("gpt-4o-mini", "http://localhost:8000/v1") is None, "one's own machine has no price"


def test_without_the_package_no_price_is_known(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert known_price("gpt-4o-mini") is None


@pytest.mark.parametrize(
    "cost, said", [(0, "0.00 USD"), (0.0312, "0.031 USD"), (12.345, "12.35 USD"), (0.00002, "2e-05 USD")]
)
def test_money(cost, said):
    assert money(cost, "USD") in (said, said.replace("12.35", "12.34"))
