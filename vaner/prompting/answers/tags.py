"""In: a unit, types. Out: answers with a tag for each word, ``O B-Chemical O``; and the mentions in one.

Two mentions that share a word cannot be written; of them the longer is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vaner.prompting.answers import bio
from vaner.prompting.answers.grammars import tag_rules
from vaner.prompting.answers.reading import check_alignment, nothing_to_read, schema_values
from vaner.prompting.found import CHATTER, MALFORMED, WRONG_LINE_COUNT, Found, Mention
from vaner.prompting.request import CUT_OFF, Answer, Grammar
from vaner.prompting.unit import Unit


@dataclass(frozen=True)
class Tags:
    """A tag a word. Nothing in a free answer says which word a tag means but its number."""

    name = "tags"
    alignments = ("index",)

    def rules(self, types: Sequence[str]) -> str:
        """How to write the answer."""
        return (
            "Write one tag for each word of the input, in the same order, on one line, with "
            f"{'a comma' if _between(types) != ' ' else 'a space'} between tags.\n"
            f"Tags: {', '.join(bio.labels(types))}.\n"
            "B- marks the first word of a mention, I- each further word of it, O every word outside of mentions."
        )

    def question(self, unit: Unit) -> str:
        """The words, with a space between each two: as many as there must be tags."""
        return " ".join(unit.words)

    def write(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> str:
        """The right answer."""
        return _between(types).join(bio.encode(unit, mentions, types))

    def left_out(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> list[Mention]:
        """Mentions that share a word with a longer one, cut a word, or run from one block into the next."""
        return bio.chosen(unit, mentions, types)[1]

    def longest(self, unit: Unit, types: Sequence[str], *, schema: bool = False) -> str:
        """The longest tag for every word."""
        tags = [max(bio.labels(types), key=len)] * len(unit.words)
        return (
            json.dumps({"tags": tags}, ensure_ascii=False, indent=1) if schema else _between(types).join(tags)
        )

    def grammar(self, unit: Unit, types: Sequence[str]) -> Grammar:
        """A tag a word, I- only behind B- or I- of its type. The schema cannot say the last."""
        between = _between(types)
        before = [between if i else "" for i in range(len(unit.words))]
        rules = tag_rules(before, types, unit.block_starts)
        tags = {"type": "string", "enum": bio.labels(types)}
        count = len(unit.words)
        schema = {
            "type": "object",
            "properties": {"tags": {"type": "array", "items": tags, "minItems": count, "maxItems": count}},
            "required": ["tags"],
            "additionalProperties": False,
        }
        return Grammar(rules.lark(), rules.gbnf(), None, json.dumps(schema, ensure_ascii=False))

    def read(self, answer: Answer, unit: Unit, types: Sequence[str], alignment: str) -> Found:
        """Mentions in the answer."""
        check_alignment(self.name, self.alignments, alignment)
        found = Found()
        if nothing_to_read(answer, unit, found):
            return found
        known, whole = bio.Labels(types), answer.finish != CUT_OFF
        written = self._written(answer.text, known, found, whole)
        tags: list[str | None] = []
        for text, _ in written:
            tag, why = known.read(text)
            if tag is None:
                found.lose(why, text)
            tags.append(tag)
        count = len(unit.words)
        if not tags and whole and count:
            found.lose(MALFORMED, answer.text)
        elif len(tags) > count or (whole and len(tags) < count):
            found.lose(WRONG_LINE_COUNT, f"{len(tags)} tags for {count} words")
        where = [(start, start + len(text)) for text, start in written[:count]]
        scores = bio.probabilities(answer.tokens, where)
        missing = count - len(where)
        bio.decode([*tags[:count], *[None] * missing], unit, alignment, found, [*scores, *[None] * missing])
        return found

    @staticmethod
    def _written(text: str, known: bio.Labels, found: Found, whole: bool) -> list[tuple[str, int]]:
        """What stands where tags should, and where it begins; lines of which less than half are tags are talk."""
        if (start := re.match(r'\s*(?:```\w*\s*)?(?:\{\s*"tags"\s*:\s*)?(?=\[\s*")', text)) is not None:
            values = schema_values(text[start.end() :])
            if values is not None:
                return [(value, start.end() + at) for value, at in values]
        # A type may hold a space: known tags first, then whatever stands apart.
        names = "|".join(re.escape(label) for label in sorted(known.all, key=len, reverse=True))
        piece = re.compile(rf"(?:{names})(?![^\s,\]\"'`*|])|[^\s,\[\]]+", re.IGNORECASE)
        written: list[tuple[str, int]] = []
        at = 0
        for row in text.split("\n"):
            pieces = [(match[0], at + match.start()) for match in piece.finditer(row)]
            good = sum(known.read(written)[0] is not None for written, _ in pieces)
            if 2 * good >= len(pieces) > 0:
                written += pieces
            elif pieces and not row.strip().startswith("```"):
                found.lose(CHATTER, row)
            at += len(row) + 1
        if not whole and written and written[-1][1] + len(written[-1][0]) == len(text):
            # Half a tag may look like a whole one.
            written.pop()
        return written


def _between(types: Sequence[str]) -> str:
    """What parts tags: a space, or a comma where a type has a space of its own."""
    return ", " if any(" " in type for type in types) else " "
