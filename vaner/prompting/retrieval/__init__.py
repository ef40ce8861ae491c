"""In: a unit of text and the types that are asked. Out: Retrieved: what else the prompt tells about them.

definitions   of the types
names         of a knowledge base, where they stand in the text
passages      of a guideline, or of a folder of one's own documents    (reading: files -> text)
search        texts and a query -> which are nearest: BM25, or vectors
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vaner.prompting.unit import Unit


@dataclass(frozen=True)
class Retrieved:
    """A piece of text for the prompt.

    Attributes:
        text: one line, without anything that a template could mean.
        source: where it comes from, such as ``guideline.pdf, page 3`` or ``kb``.
    """

    text: str
    source: str


class Retriever(Protocol):
    """One kind of what is retrieved."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that what it gives depends on, beside the unit and the types; never of a path."""
        ...

    def of(self, unit: Unit, types: Sequence[str], prompt: str = "") -> list[Retrieved]:
        """What belongs to a unit.

        Args:
            unit: what is asked about.
            types: that are asked.
            prompt: the prompt without what is retrieved, for those that search with all of it.
        """
        ...


__all__ = ["Retrieved", "Retriever"]
