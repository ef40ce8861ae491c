"""In: a unit, types. Out: answers that mark mentions, ``takes <Chemical>aspirin</Chemical>``; the mentions in one.

In what is shown each ``<`` has a space behind it, so that text that looks like a tag is none. Mentions may not
share words; of two the longer is written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vaner.prompting.alignment import LEAST
from vaner.prompting.answers import bio
from vaner.prompting.answers.grammars import Item, Name, Rules
from vaner.prompting.answers.placing import add_placed
from vaner.prompting.answers.reading import check_alignment, nothing_to_read
from vaner.prompting.found import (
    CHATTER,
    FORCED,
    INLINE,
    MALFORMED,
    NOT_IN_TEXT,
    UNKNOWN_TYPE,
    Found,
    Mention,
)
from vaner.prompting.request import CUT_OFF, Answer, Grammar
from vaner.prompting.unit import Unit
from vaner.text.segment import words as split

_TAG = re.compile(r"<(/?)([^\s<>/][^<>\n]{0,60})>")
_FENCE = re.compile(r"^```\w*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Marked:
    """A mention in an answer: where it stands in the text without tags, and in the answer with them."""

    start: int
    end: int
    type: str
    tag_start: int
    tag_end: int


@dataclass(frozen=True)
class Inline:
    """The text with tags.

    Attributes:
        every: with alignment ``exact``, whether a mention that is listed once stands wherever the text has it.
        least: with alignment ``fuzzy``, the similarity in [0, 1] that is near enough.
    """

    every: bool = True
    least: float = LEAST

    name = "inline"
    alignments = ("difflib", "exact", "fuzzy")

    def rules(self, types: Sequence[str]) -> str:
        """How to write the answer."""
        tags = ", ".join(f"<{type}>...</{type}>" for type in types)
        return (
            "Write the input again, unchanged, with each mention in tags.\n"
            f"Tags: {tags}.\n"
            "Tags stand at the borders of words, and never inside of other tags."
        )

    def question(self, unit: Unit) -> str:
        """The text, in which nothing looks like a tag."""
        return "".join(word + gap for word, gap in self._pieces(unit))

    def write(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> str:
        """The right answer."""
        before: dict[int, str] = {}
        behind: dict[int, str] = {}
        for first, last, type in bio.chosen(unit, mentions, types)[0]:
            before[first], behind[last - 1] = f"<{type}>", f"</{type}>"
        return "".join(
            before.get(i, "") + word + behind.get(i, "") + gap
            for i, (word, gap) in enumerate(self._pieces(unit))
        )

    def left_out(self, unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> list[Mention]:
        """Mentions that share a word with a longer one, cut a word, or run from one block into the next."""
        return bio.chosen(unit, mentions, types)[1]

    def longest(self, unit: Unit, types: Sequence[str], *, schema: bool = False) -> str:
        """Every word in the longest tags."""
        type = max(types, key=len)
        return "".join(f"<{type}>{word}</{type}>{gap}" for word, gap in self._pieces(unit))

    def grammar(self, unit: Unit, types: Sequence[str]) -> Grammar:
        """The text literal, tags at the borders of words, none inside of others. There is no schema for it."""
        pieces, rules = self._pieces(unit), Rules("o0")
        count = len(pieces)
        rules.add(f"o{count}", [""])
        for i, (word, gap) in enumerate(pieces):
            opened: list[list[Item]] = [[f"<{type}>", Name(f"i{i}x{t}")] for t, type in enumerate(types)]
            rules.add(f"o{i}", [word + gap, Name(f"o{i + 1}")], *opened)
            for t, type in enumerate(types):
                close: list[Item] = [word, f"</{type}>", gap, Name(f"o{i + 1}")]
                ends = i + 1 == count or i + 1 in unit.block_starts
                go_on: list[list[Item]] = [] if ends else [[word + gap, Name(f"i{i + 1}x{t}")]]
                rules.add(f"i{i}x{t}", close, *go_on)
        return Grammar(rules.lark(), rules.gbnf())

    def read(self, answer: Answer, unit: Unit, types: Sequence[str], alignment: str) -> Found:
        """Mentions in the answer."""
        check_alignment(self.name, self.alignments, alignment)
        found = Found()
        if nothing_to_read(answer, unit, found):
            return found
        whole = answer.finish != CUT_OFF
        text, marked = _strip(answer.text, types, found, whole)
        scores = [bio.mean_over(answer.tokens, mark.tag_start, mark.tag_end) for mark in marked]
        if alignment in ("exact", "fuzzy"):
            least = self.least if alignment == "fuzzy" else None
            listed = [(text[mark.start : mark.end], mark.type) for mark in marked]
            add_placed(listed, scores, unit, found, every=self.every, least=least)
            if not whole:
                bio.unread_behind(unit, found)
            return found
        how = FORCED if alignment == FORCED and self.question(unit).startswith(text.rstrip()) else INLINE
        self._align(text, marked, scores, unit, found, how, whole)
        return found

    def _pieces(self, unit: Unit) -> list[tuple[str, str]]:
        """Each word and what stands between it and the next."""
        last = len(unit.words) - 1
        return [
            (word, gap or (" " if word == "<" and i < last else ""))
            for i, (word, gap) in enumerate(zip(unit.words, unit.gaps, strict=True))
        ]

    def _align(
        self,
        text: str,
        marked: Sequence[_Marked],
        scores: Sequence[float | None],
        unit: Unit,
        found: Found,
        how: str,
        whole: bool,
    ) -> None:
        """Place mentions by the words that the answer shares with the unit, one after the other."""
        offsets = split(text)
        written = [text[start:end] for start, end in offsets]
        ended = {mark.end for mark in marked}
        if not whole and written and offsets[-1][1] == len(text) and len(text) not in ended:
            # Half a word, or it would have a sign behind it.
            written[-1] = ""
        matcher = difflib.SequenceMatcher(None, unit.words, written, autojunk=False)
        blocks = [block for block in matcher.get_matching_blocks() if block.size]
        place = {b.b + i: b.a + i for b in blocks for i in range(b.size)}
        found.unread_words += len(unit.words) - len(place)
        if not place:
            if whole:
                found.lose(MALFORMED, text)
            return
        before, behind = offsets[min(place)][0], offsets[max(place)][1]
        # What is marked is no talk: it is a mention that is not in the text.
        before = min([before, *(mark.start for mark in marked)])
        behind = max([behind, *(mark.end for mark in marked)])
        for outside in (text[:before], text[behind:] if whole else ""):
            if any(sign.isalnum() for sign in outside):
                found.lose(CHATTER, outside.strip())
        for mark, score in zip(marked, scores, strict=True):
            inside = [i for i, (s, e) in enumerate(offsets) if s < mark.end and e > mark.start]
            shown = text[mark.start : mark.end]
            if not inside or inside[0] not in place or inside[-1] not in place:
                found.lose(NOT_IN_TEXT, f"{shown} {mark.type}")
                continue
            first, last = place[inside[0]], place[inside[-1]]
            if any(first < at <= last for at in unit.block_starts):
                found.lose(NOT_IN_TEXT, f"{shown} {mark.type}")
                continue
            start, end = unit.offsets[first][0], unit.offsets[last][1]
            found.mentions.append(Mention(start, end, mark.type, how, score))


def _strip(answer: str, types: Sequence[str], found: Found, whole: bool) -> tuple[str, list[_Marked]]:
    """The answer without its tags, and the mentions that they mark; tags that mark none are counted."""
    answer = _FENCE.sub(lambda fence: " " * len(fence[0]), answer)
    known = {type: type for type in types}
    folded = {type.casefold(): type for type in types}
    pieces: list[str] = []
    marked: list[_Marked] = []
    open_: list[tuple[str, int, int]] = []
    at = length = 0
    for tag in _TAG.finditer(answer):
        pieces.append(answer[at : tag.start()])
        length += tag.start() - at
        at = tag.end()
        name = tag[2].strip()
        type = known.get(name, folded.get(name.casefold()))
        if type is None:
            if not tag[1]:
                found.lose(UNKNOWN_TYPE, tag[0])
            continue
        if not tag[1]:
            open_.append((type, length, tag.start()))
            continue
        number = next((i for i in reversed(range(len(open_))) if open_[i][0] == type), None)
        if number is None:
            found.lose(MALFORMED, tag[0])
            continue
        _, start, tag_start = open_.pop(number)
        marked.append(_Marked(start, length, type, tag_start, tag.end()))
    pieces.append(answer[at:])
    if whole:
        for type, _, _ in open_:
            found.lose(MALFORMED, f"<{type}>")
    return "".join(pieces), sorted(marked, key=lambda mark: (mark.start, mark.end))
