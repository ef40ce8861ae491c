"""In: the name of an answer format. Out: the format: how it asks, what it may answer, and how an answer is read.

token_tags   a line a word: ``aspirin : B-Chemical``
tags         a tag a word: ``O B-Chemical O``
inline       the text with its mentions in tags: ``takes <Chemical>aspirin</Chemical>``
json         ``{"mentions": [{"text": "aspirin", "type": "Chemical"}]}``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vaner.prompting.found import Found, Mention
from vaner.prompting.request import Answer, Grammar
from vaner.prompting.unit import Unit


class AnswerFormat(Protocol):
    """One way to write down the mentions of a unit. Types are asked in order; a format of tags lets no two overlap."""

    name: str

    def rules(self, types: Sequence[str]) -> str:
        """How to write the answer, for the prompt; a few lines of plain English, with every allowed tag."""
        ...

    def question(self, unit: Unit) -> str:
        """The unit as the prompt shows it."""
        ...

    def write(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> str:
        """The right answer: what an example shows, and what a generator is trained on."""
        ...

    def longest(self, unit: Unit, types: Sequence[str]) -> str:
        """An answer that no sensible one is longer than: the output budget follows from it."""
        ...

    def grammar(self, unit: Unit, types: Sequence[str]) -> Grammar:
        """All answers that can be read without loss, and no others."""
        ...

    def read(self, answer: Answer, unit: Unit, types: Sequence[str], alignment: str) -> Found:
        """Mentions in the answer.

        Args:
            answer: what was written; its ``tokens`` give the mentions' scores where they are there.
            unit: what was asked about.
            types: that were asked.
            alignment: ``forced`` where the grammar held; ``index``, ``difflib``, ``exact`` or ``fuzzy`` otherwise,
                as far as the format takes it (`alignments`).
        """
        ...

    @property
    def alignments(self) -> tuple[str, ...]:
        """Alignments of free answers that it takes, the default first."""
        ...
