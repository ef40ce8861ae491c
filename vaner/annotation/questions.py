"""In: a mention in a document. Out: the question whether it is one, the answers that there may be, and what one says.

Text: ... of the familial [[breast cancer]] genes ...
Is what stands between [[ and ]] a mention of the type Disease?

yes | no | instead: familial breast cancer        any words of the sentence that share one with the mention
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from vaner.annotation.marked import ACCEPTED, CORRECTED, REJECTED, Verdict
from vaner.document import Span
from vaner.prompting.answers.grammars import Item, Name, Rules
from vaner.prompting.request import Answer, Grammar
from vaner.prompting.unit import Unit, plain
from vaner.text.units import Text

RULES = """\
In the text below a mention is marked with [[ and ]]. Judge it. Answer
yes, if it is a mention of the type {type} and begins and ends where it should;
no, if it is none;
instead: and the right words, exactly as they stand in the text, if it should begin or end elsewhere.
Write nothing else."""

YES, NO, INSTEAD = "yes", "no", "instead: "
_FENCE = re.compile(r"^\s*```\w*|```\s*$")
# Words before and behind a mention that a correction may take in.
_AROUND = 8

UNREADABLE = "the answer cannot be read"
ELSEWHERE = "its correction is not in the text"


@dataclass(frozen=True)
class Question:
    """Whether a mention is one.

    Attributes:
        unit: the words around it: whole sentences.
        span: the mention.
        first, last: its words in the unit; ``last`` is the last of them.
    """

    unit: Unit
    span: Span
    first: int
    last: int

    @classmethod
    def of(cls, text: Text, span: Span, max_words: int) -> Question | None:
        """The question about a span; None where it has no words.

        Args:
            text: of the document.
            span: any of its mentions.
            max_words: of what is shown: as many whole sentences as fit into it, or one.
        """
        first = bisect_right([end for _, end in text.offsets], span.start)
        last = bisect_left([start for start, _ in text.offsets], span.end) - 1
        if first > last:
            return None
        holding = [(a, b) for a, b in text.units(max_words) if a <= last and first < b]
        unit = Unit(text, holding[0][0], holding[-1][1])
        return cls(unit, span, first - unit.first, last - unit.first)

    def rules(self) -> str:
        """How to answer."""
        return RULES.format(type=plain(self.span.type))

    def text(self) -> str:
        """The question."""
        shown, places = self.unit.shown, self.unit.places
        start, end = places[self.first][0], places[self.last][1]
        return (
            f"Text: {shown[:start]}[[{shown[start:end]}]]{shown[end:]}\n"
            f'Is "{shown[start:end]}", where it is marked, a mention of the type {plain(self.span.type)}?'
        )

    def longest(self) -> str:
        """The longest answer."""
        return max([NO, YES, *(INSTEAD + said for said in self.corrections)], key=len)

    def grammar(self) -> Grammar:
        """All answers."""
        rules = Rules("answer")
        low, high = self._range
        rules.add("answer", [YES], [NO])
        words, gaps = self.unit.words, self.unit.gaps
        for i in range(low, self.last + 1):
            rules.add("answer", [INSTEAD, Name(f"w{i}")])
        for i in range(low, high):
            ways: list[list[Item]] = [[words[i]]] if i >= self.first else []
            if i + 1 < high:
                ways.append([words[i] + gaps[i], Name(f"w{i + 1}")])
            rules.add(f"w{i}", *ways)
        answers = [YES, NO, *(INSTEAD + said for said in self.corrections)]
        schema = {
            "type": "object",
            "properties": {"answer": {"type": "string", "enum": answers}},
            "required": ["answer"],
            "additionalProperties": False,
        }
        return Grammar(rules.lark(), rules.gbnf(), None, json.dumps(schema, ensure_ascii=False))

    @cached_property
    def _range(self) -> tuple[int, int]:
        """Words that a correction may have: those near the mention in its sentence and block."""
        starts = [at - self.unit.first for at in self.unit.text.sentence_starts]
        borders = sorted({*starts, *self.unit.block_starts, len(self.unit.words)})
        low = max([at for at in borders if at <= self.first], default=0)
        high = min([at for at in borders if at > self.last], default=len(self.unit.words))
        return max(low, self.first - _AROUND, 0), min(high, self.last + 1 + _AROUND)

    @cached_property
    def corrections(self) -> dict[str, tuple[int, int]]:
        """What a correction may say -> its words; of equal ones the nearest to the mention."""
        found: dict[str, tuple[int, int]] = {}
        for first, last in sorted(
            self._ranges(), key=lambda one: (abs(one[0] - self.first) + abs(one[1] - self.last), one)
        ):
            pieces = zip(self.unit.words[first : last + 1], [*self.unit.gaps[first:last], ""], strict=True)
            found.setdefault("".join(word + gap for word, gap in pieces), (first, last))
        return found

    def _ranges(self) -> Iterator[tuple[int, int]]:
        low, high = self._range
        for first in range(low, self.last + 1):
            for last in range(max(first, self.first), high):
                yield first, last

    def read(self, answer: Answer, *, chosen: bool) -> Verdict:
        """What an answer says; what cannot be read leaves the mention as it is, and says so.

        Args:
            answer: of a model.
            chosen: the tokens' probabilities are those among the answers that a grammar allows.
        """
        said = _bare(answer.text)
        confidence = probability(answer) if chosen else None
        sure = 1.0 if confidence is None else confidence
        if said.casefold().startswith(INSTEAD.strip()):
            words = self._place(said[len(INSTEAD.strip()) :])
            if words is None:
                return Verdict(ACCEPTED, why=ELSEWHERE)
            start, end = self.unit.offsets[words[0]][0], self.unit.offsets[words[1]][1]
            if (start, end) == (self.span.start, self.span.end):
                return Verdict(ACCEPTED, sure)
            return Verdict(CORRECTED, sure, start, end)
        word = re.match(r"\w*", said.casefold())
        if word is not None and word[0] in (YES, NO):
            return Verdict(ACCEPTED, sure) if word[0] == YES else Verdict(REJECTED)
        return Verdict(ACCEPTED, why=UNREADABLE)

    def _place(self, said: str) -> tuple[int, int] | None:
        bare = said.strip().strip("\"'`*[]").strip()
        for one in (said.strip(), bare):
            if one in self.corrections:
                return self.corrections[one]
        said = bare
        folded = " ".join(said.split()).casefold()
        alike = (
            words for text, words in self.corrections.items() if " ".join(text.split()).casefold() == folded
        )
        return next(alike, None)


def probability(answer: Answer) -> float | None:
    """Of the tokens that were a choice, together; None where the backend does not say."""
    if answer.tokens is None:
        return None
    return math.exp(min(0.0, sum(logprob for _, logprob in answer.tokens)))


def _bare(text: str) -> str:
    """The first line of an answer, without JSON, fences and marks before it."""
    text = _FENCE.sub("", text).strip()
    if text.startswith("{"):
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if isinstance(said, dict) and isinstance(said.get("answer"), str):
            text = said["answer"]
    return next(iter(text.strip().splitlines()), "").lstrip("\"'`* ")
