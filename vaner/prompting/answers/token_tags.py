"""In: a unit, types. Out: answers with a line for each word, ``aspirin : B-Chemical``; and the mentions in one.

Two mentions that share a word cannot be written; of them the longer is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from vaner.errors import VanerError
from vaner.prompting.alignment import LEAST, Aligned, Line, align, check_count, read_lines, said
from vaner.prompting.answers import bio
from vaner.prompting.answers.grammars import tag_rules
from vaner.prompting.answers.placing import add_placed
from vaner.prompting.answers.reading import check_alignment, nothing_to_read, schema_values
from vaner.prompting.found import FORCED, NOT_IN_TEXT, Found, Mention
from vaner.prompting.grounding import Grounds
from vaner.prompting.request import CUT_OFF, Answer, Grammar
from vaner.prompting.unit import Unit


@dataclass(frozen=True)
class TokenTags:
    """A line a word.

    Attributes:
        separator: between word and tag; ``":"`` is that of arXiv 2504.00664.
        shows: how the question has the words: ``lines``, one a line, or ``sentence``, joined by spaces.
        every: with alignment ``exact``, whether a mention that is listed once stands wherever the text has it.
        least: with alignment ``fuzzy``, the similarity in [0, 1] that is near enough.
    """

    separator: str = " : "
    shows: str = "lines"
    every: bool = True
    least: float = LEAST

    name = "token_tags"
    alignments = ("index", "difflib", "exact", "fuzzy")

    def __post_init__(self) -> None:
        if not self.separator.strip() or "\n" in self.separator:
            raise VanerError(
                f"separator {self.separator!r}: needs a sign that can be seen, on one line, such as ' : '"
            )
        if self.shows not in ("lines", "sentence"):
            raise VanerError(f"shows {self.shows!r}: choose lines or sentence")

    def rules(self, types: Sequence[str]) -> str:
        """How to write the answer."""
        tags = ", ".join(bio.labels(types))
        what = "word of the input, in the same order" if self.shows == "sentence" else "line of the input"
        return (
            f"Write one line for each {what}: the word unchanged, then {json.dumps(self.separator)}, then its tag.\n"
            f"Tags: {tags}.\n"
            "B- marks the first word of a mention, I- each further word of it, O every word outside of mentions."
        )

    def question(self, unit: Unit) -> str:
        """The words."""
        return ("\n" if self.shows == "lines" else " ").join(unit.words)

    def write(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> str:
        """The right answer."""
        return self._lines(unit, bio.encode(unit, mentions, types))

    def left_out(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> list[Mention]:
        """Mentions that share a word with a longer one, cut a word, or run from one block into the next."""
        return bio.chosen(unit, mentions, types)[1]

    def longest(self, unit: Unit, types: Sequence[str], *, schema: bool = False) -> str:
        """Every word with the longest tag."""
        label = max(bio.labels(types), key=len)
        if schema:
            return json.dumps(dict.fromkeys(self._keys(unit), label), ensure_ascii=False, indent=1)
        return self._lines(unit, [label] * len(unit.words))

    def grammar(self, unit: Unit, types: Sequence[str]) -> Grammar:
        """Words literal, tags chosen, I- only behind B- or I- of its type. The schema cannot say the last."""
        before = [f"{chr(10) if i else ''}{word}{self.separator}" for i, word in enumerate(unit.words)]
        rules = tag_rules(before, types, unit.block_starts)
        keys = self._keys(unit)
        schema = {
            "type": "object",
            "properties": {key: {"$ref": "#/$defs/tag"} for key in keys},
            "required": keys,
            "additionalProperties": False,
            "$defs": {"tag": {"type": "string", "enum": bio.labels(types)}},
        }
        return Grammar(rules.lark(), rules.gbnf(), None, json.dumps(schema, ensure_ascii=False))

    def read(self, answer: Answer, unit: Unit, types: Sequence[str], alignment: str) -> Found:
        """Mentions in the answer."""
        check_alignment(self.name, self.alignments, alignment)
        found = Found()
        if nothing_to_read(answer, unit, found):
            return found
        whole = answer.finish != CUT_OFF
        lines = self._forced_lines(answer, unit, types, found) if alignment == FORCED else None
        if lines is None:
            lines = read_lines(answer.text, unit.words, self.separator, bio.Labels(types), found, whole=whole)
        if alignment in ("exact", "fuzzy"):
            check_count(unit.words, lines, found, whole)
            self._place(unit, lines, found, answer, self.least if alignment == "fuzzy" else None)
            return found
        how = "index" if alignment == FORCED else alignment
        aligned = align(unit.words, lines, how, found, whole=whole)
        if alignment == FORCED:
            self._check_words(unit, aligned, found)
        where = [(line.start, line.end) if line else None for line in aligned.lines]
        bio.decode(aligned.tags, unit, alignment, found, bio.probabilities(answer.tokens, where))
        return found

    def _forced_lines(
        self, answer: Answer, unit: Unit, types: Sequence[str], found: Found
    ) -> list[Line] | None:
        """Lines of an answer that a JSON schema held; None of one that another grammar did."""
        values = schema_values(answer.text, self._keys(unit))
        if values is None:
            return None
        known = bio.Labels(types)
        lines = []
        for word, (value, start) in zip(unit.words, values, strict=False):
            tag, why = known.read(value)
            if tag is None:
                found.lose(why, value)
            lines.append(Line(word, tag, start, start + len(value)))
        return lines

    @staticmethod
    def _check_words(unit: Unit, aligned: Aligned, found: Found) -> None:
        """Believe no line about another word than its number says: whoever answered did not hold to the grammar."""
        for i, (word, line) in enumerate(zip(unit.words, aligned.lines, strict=True)):
            if line is not None and line.word != word:
                found.lose(NOT_IN_TEXT, f"{line.word} {line.tag}")
                aligned.tags[i] = None

    def _place(
        self, unit: Unit, lines: Sequence[Line], found: Found, answer: Answer, least: float | None
    ) -> None:
        """Add the mentions of the lines, wherever the text has them."""
        mentions, breaks = said(lines)
        found.repaired += breaks
        scores = bio.probabilities(answer.tokens, [(line.start, line.end) for line in lines])
        add_placed(
            [(" ".join(line.word for line in lines[m.first : m.last]), m.type) for m in mentions],
            [bio.mean(scores[m.first : m.last]) for m in mentions],
            unit,
            found,
            grounds=Grounds.of_words(unit.words, unit.block_starts),
            every=self.every,
            least=least,
        )
        if not lines:
            found.unread_words += len(unit.words)
        elif answer.finish == CUT_OFF:
            bio.unread_behind(unit, found)

    def _lines(self, unit: Unit, tags: Sequence[str]) -> str:
        return "\n".join(f"{word}{self.separator}{tag}" for word, tag in zip(unit.words, tags, strict=True))

    @staticmethod
    def _keys(unit: Unit) -> list[str]:
        """Words with their numbers: keys of an object, each of them another."""
        return [f"{number} {word}" for number, word in enumerate(unit.words, 1)]
