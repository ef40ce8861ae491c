"""In: what is said of a type. Out: what of it cannot be followed together, as far as a machine can tell by rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from vaner.annotation.statements import Statement, TypeInstructions

BOTH_WAYS = "{name!r} is marked in an example and not in another"


@dataclass(frozen=True)
class Contradiction:
    """Two things that cannot both hold.

    Attributes:
        about: a line that says what it is about.
        between: the statements; the second is None where a check contradicts the first.
    """

    about: str
    between: tuple[Statement, Statement | None]


class Exemplary(Protocol):
    """An example: a text and what of it is, or must not be, marked."""

    @property
    def text(self) -> str: ...

    @property
    def mentions(self) -> tuple[str, ...]: ...


def contradictions(said: TypeInstructions) -> Iterator[Contradiction]:
    """A name that is marked in one example and not in another; an example whose mention the checks refuse."""
    for example in said.examples:
        for counter in said.counter_examples:
            for name in both_ways(example, counter):
                yield Contradiction(BOTH_WAYS.format(name=name), (example, counter))
        for mention in dict.fromkeys(example.mentions):
            for check in said.checks.broken(mention):
                yield Contradiction(
                    f"checks.{check} refuses {mention!r}, which an example marks", (example, None)
                )


def both_ways(example: Exemplary, counter: Exemplary) -> list[str]:
    """Names that the one marks and the other says not to mark, in the same text or anywhere."""
    marked = {one.casefold() for one in example.mentions}
    anywhere = counter.mentions == (counter.text,)
    if not anywhere and counter.text.casefold() != example.text.casefold():
        return []
    return sorted(marked & {one.casefold() for one in counter.mentions})
