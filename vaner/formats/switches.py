"""In: the value of a format's option that switches something on. Out: whether it does."""

from __future__ import annotations

from vaner.errors import VanerError


def yes(name: str, value: str) -> bool:
    """Whether an option is ``yes``; VanerError where it is not ``no`` either."""
    if value not in ("yes", "no"):
        raise VanerError(f"{name}={value} is unknown; choose yes or no")
    return value == "yes"
