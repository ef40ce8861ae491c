"""In: what a model's tokens cost, from settings or genai-prices. Out: what requests cost, where anybody says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaner.errors import VanerError, near
from vaner.prompting.request import Spent

_SAMPLE = 1_000  # tokens; below every step at which a price changes
_SETTINGS = ("input", "output", "cached", "currency")


@dataclass(frozen=True)
class Price:
    """What a model costs.

    Attributes:
        input: of a million tokens of prompts.
        output: of a million tokens of answers.
        cached: of a million tokens of prompts that were kept; None: as ``input``.
        currency: of these, as a code of three letters.
    """

    input: float
    output: float
    cached: float | None = None
    currency: str = "USD"

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Price:
        """From a mapping ``{input, output, cached, currency}``, the last two optional.

        Raises:
            VanerError: an unknown or missing name, or a price that is no number from 0 up.
        """
        for name in settings:
            if name not in _SETTINGS:
                raise VanerError(
                    f"price: {name!r} is unknown; {near(str(name), _SETTINGS) or ', '.join(_SETTINGS)}"
                )
        for name in ("input", "output", "cached"):
            value = settings.get(name)
            if value is None and name == "cached":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise VanerError(
                    f"price: {name}: {value!r} is no price of a million tokens; give a number from 0 up"
                )
        currency = settings.get("currency", "USD")
        if not isinstance(currency, str) or not currency:
            raise VanerError(f"price: currency: {currency!r} is none; give a code such as USD")
        cached = settings.get("cached")
        return cls(
            float(settings["input"]),
            float(settings["output"]),
            None if cached is None else float(cached),
            currency,
        )

    def cost(self, spent: Spent) -> float:
        """What the requests cost that the backend answered."""
        kept = self.input if self.cached is None else self.cached
        read = spent.prompt_tokens - spent.cached_tokens
        return (read * self.input + spent.cached_tokens * kept + spent.output_tokens * self.output) / 1e6


def known_price(model: str, base_url: str | None = None, *, batch: bool = False) -> Price | None:
    """What genai-prices (the extra ``prices``) says of a model today, at the price of a short prompt.

    Args:
        model: as the server names it.
        base_url: of the server; None is OpenAI's own.
        batch: whether the Batch API is used.

    Returns:
        None where the package is not installed, or knows neither the server nor the model. A model that is served on
        one's own machine has no price.
    """
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    context = {"processing": "batch"} if batch else None
    server = base_url or "https://api.openai.com/v1"
    try:
        plain = calc_price(
            Usage(input_tokens=_SAMPLE, output_tokens=_SAMPLE),
            model,
            provider_api_url=server,
            price_context=context,
        )
        kept = calc_price(
            Usage(input_tokens=_SAMPLE, cache_read_tokens=_SAMPLE),
            model,
            provider_api_url=server,
            price_context=context,
        )
    except LookupError:
        return None
    millions = 1e6 / _SAMPLE
    return Price(
        float(plain.input_price) * millions,
        float(plain.output_price) * millions,
        float(kept.input_price) * millions,
    )


def money(cost: float, currency: str) -> str:
    """``0.03 USD``; small sums keep two digits that count."""
    return f"{cost:.2f} {currency}" if cost >= 0.1 or cost == 0 else f"{cost:.2g} {currency}"
