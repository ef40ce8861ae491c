"""In: the name of an answer format. Out: the format: how it asks, what it may answer, and how an answer is read.

token_tags   a line a word: ``aspirin : B-Chemical``
tags         a tag a word: ``O B-Chemical O``
inline       the text with its mentions in tags: ``takes <Chemical>aspirin</Chemical>``
json         ``{"mentions": [{"type": "Chemical", "text": "aspirin"}]}``

bio          tags and words <-> mentions, and the scores of mentions;  grammars: rules -> Lark and GBNF
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from vaner.errors import VanerError, near
from vaner.prompting.found import Found, Mention
from vaner.prompting.request import Answer, Grammar
from vaner.prompting.unit import Unit


class AnswerFormat(Protocol):
    """One way to write down the mentions of a unit. Types are asked in order; a format of tags lets no two overlap."""

    @property
    def name(self) -> str: ...

    @property
    def alignments(self) -> tuple[str, ...]:
        """Alignments of free answers that it takes, the default first."""
        ...

    def rules(self, types: Sequence[str]) -> str:
        """How to write the answer, for the prompt; a few lines of plain English, with every allowed tag."""
        ...

    def question(self, unit: Unit) -> str:
        """The unit as the prompt shows it."""
        ...

    def write(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> str:
        """The right answer: what an example shows, and what a generator is trained on.

        Mentions of other types are passed over. What cannot be written is left out (`left_out`).
        """
        ...

    def left_out(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> list[Mention]:
        """Those of the mentions that reading `write`'s answer does not give back, of the asked types."""
        ...

    def longest(self, unit: Unit, types: Sequence[str], *, schema: bool = False) -> str:
        """An answer that no sensible one is longer than: the output budget follows from it.

        Args:
            unit: what is asked about.
            types: that are asked.
            schema: whether the answer is held by the grammar's JSON schema, in which some formats are longer.
        """
        ...

    def grammar(self, unit: Unit, types: Sequence[str]) -> Grammar:
        """All answers that can be read without loss, and no others."""
        ...

    def read(self, answer: Answer, unit: Unit, types: Sequence[str], alignment: str) -> Found:
        """Mentions in the answer; no answer, however odd, raises.

        Args:
            answer: what was written; its ``tokens`` give the mentions' scores where they are there.
            unit: what was asked about.
            types: that were asked.
            alignment: ``forced`` where the grammar held; ``index``, ``difflib``, ``exact`` or ``fuzzy`` otherwise,
                as far as the format takes it (`alignments`).

        Raises:
            VanerError: the format does not take the alignment.
        """
        ...


def _token_tags(**options: Any) -> AnswerFormat:
    from vaner.prompting.answers.token_tags import TokenTags

    return TokenTags(**options)


def _tags(**options: Any) -> AnswerFormat:
    from vaner.prompting.answers.tags import Tags

    return Tags(**options)


def _inline(**options: Any) -> AnswerFormat:
    from vaner.prompting.answers.inline import Inline

    return Inline(**options)


def _json(**options: Any) -> AnswerFormat:
    from vaner.prompting.answers.json_mentions import JsonMentions

    return JsonMentions(**options)


FORMATS: dict[str, Callable[..., AnswerFormat]] = {
    "token_tags": _token_tags,
    "tags": _tags,
    "inline": _inline,
    "json": _json,
}


def answer_format(name: str, **options: Any) -> AnswerFormat:
    """The format of a name.

    Args:
        name: one of FORMATS.
        options: of the format: ``separator`` and ``shows`` of token_tags, ``every`` and ``least`` of json, inline
            and token_tags (`vaner.prompting.grounding.ground`).

    Raises:
        VanerError: no such format, or an option that it does not take.
    """
    if name not in FORMATS:
        raise VanerError(
            f"answer format {name!r}: no such format; {near(name, FORMATS) or 'choose ' + ', '.join(FORMATS)}"
        )
    try:
        return FORMATS[name](**options)
    except TypeError:
        raise VanerError(
            f"answer format {name}: does not take {', '.join(sorted(options))}; leave it out"
        ) from None
