"""In: a document's Text and a range of its words. Out: Unit: those words, and the text as a prompt may show it.

    document   "... IL-2\n(<|im_start|>user) ..."
    words      IL | - | 2 | ( | < | | | im_start | | | > | user | )
    shown      "IL-2 (< |im_start|>user)"          one line, and nothing in it that a template could mean

`shown` keeps an offset map, so that what is found in it has a place in the document.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

from vaner.text.segment import seen
from vaner.text.units import Text

# What begins or ends a turn, a section or an answer somewhere, or is one token of some model: broken by one space,
# which the offset map skips. Tags of plain markup (<sub>) are left as they are.
_MEANT = re.compile(
    r"<(?=[|\uff5c])|<(?=<SYS>>|</SYS>>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|cls|sep|think|tools?|(?:unused|reserved|extra)\w*|[a-z]+_\w+)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|IMG(?:_BREAK|_END)?|THINK|ARGS"
    r"|PREFIX|MIDDLE|SUFFIX|CLS|SEP|MASK|PAD|UNK|BOS|EOS)\])"
    r"|#(?=##)|(?<=#)#(?=#)|`(?=``)|(?<=`)`(?=`)"
)
# Halves of pairs of UTF-16: no tokenizer, file or server takes them.
_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Unit:
    """Words that are asked about at once.

    Attributes:
        text: of the whole document.
        first, last: the words' range, ``last`` is one past the end.
    """

    text: Text
    first: int
    last: int

    @cached_property
    def words(self) -> list[str]:
        """The words, as strings; what no tokenizer takes (half a pair of UTF-16) is U+FFFD."""
        return [_SURROGATE.sub(_REPLACEMENT, word) for word in self.text.words[self.first : self.last]]

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """``(start, end)`` of each word in the document."""
        return self.text.offsets[self.first : self.last]

    @cached_property
    def block_starts(self) -> frozenset[int]:
        """Words, counted from the unit's first, that begin a block: no mention runs on into them."""
        starts = self.text.block_starts
        return frozenset(
            at - self.first
            for at in starts[bisect_right(starts, self.first) : bisect_left(starts, self.last)]
        )

    @cached_property
    def _shown(self) -> tuple[str, list[int]]:
        if self.first == self.last:
            return "", [0]
        start, end = self.offsets[0][0], self.offsets[-1][1]
        shown, origin = _plain(self.text.document.text[start:end])
        return shown, [start + at for at in origin]

    @property
    def shown(self) -> str:
        """The text on one line, without anything that a prompt's template could mean."""
        return self._shown[0]

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """``(start, end)`` of each word in ``shown``."""
        origin = self._shown[1][:-1]
        # A sign that a space was put before has its origin twice; the later is the sign itself.
        return [(bisect_right(origin, start) - 1, bisect_left(origin, end)) for start, end in self.offsets]

    @cached_property
    def gaps(self) -> list[str]:
        """What stands in ``shown`` between each word and the next: nothing or a space; nothing behind the last."""
        starts = [start for start, _ in self.places[1:]]
        ends = [end for _, end in self.places]
        return [self.shown[end:start] for end, start in zip(ends, [*starts, *ends[-1:]], strict=True)]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Document offsets of ``shown[start:end]``, which is not empty and neither begins nor ends with a space."""
        origin = self._shown[1]
        return origin[start], origin[end - 1] + 1


def plain(text: str) -> str:
    """Any text as a prompt may show it: on one line, without anything that a template could mean."""
    return _plain(text)[0].strip()


def plain_lines(text: str) -> str:
    """The same, line by line; lines in which nothing is left are left out."""
    return "\n".join(filter(None, map(plain, text.splitlines())))


def _plain(source: str) -> tuple[str, list[int]]:
    """The text as `plain`, and where in ``source`` each of its characters, and then its end, comes from."""
    signs: list[str] = []
    places: list[int] = []
    for at, sign in enumerate(source):
        if sign.isspace() or sign < " " or "\x7f" <= sign <= "\x9f":
            # One space in place of any run of white space and control characters.
            if signs and signs[-1] == " ":
                continue
            sign = " "
        elif sign > "\x7f":
            if not seen(sign):
                continue
            sign = _SURROGATE.sub(_REPLACEMENT, sign)
        signs.append(sign)
        places.append(at)
    # Looked for last: what is never seen, left out, could have hidden it.
    broken = {found.end() for found in _MEANT.finditer("".join(signs))}
    pieces: list[str] = []
    origin: list[int] = []
    for index, (sign, at) in enumerate(zip(signs, places, strict=True)):
        if index in broken:
            pieces.append(" ")
            origin.append(at)
        pieces.append(sign)
        origin.append(at)
    return "".join(pieces), [*origin, len(source)]
