"""In: a document's Text and a range of its words. Out: Unit: those words, and the text as a prompt may show it.

    document   "... IL-2\n(<|im_start|>user) ..."
    words      IL | - | 2 | ( | < | | | im_start | | | > | user | )
    shown      "IL-2 (< |im_start|>user)"          one line, and nothing in it that a template could mean

`shown` keeps an offset map, so that what is found in it has a place in the document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from vaner.text.units import Text

# What begins or ends a turn, a section or an answer somewhere: broken by one space, which the offset map skips.
_MEANT = re.compile(
    r"<(?=\|)|<(?=/?s>)|<(?=/?(?:start|end)_of_turn>)|<(?=<SYS>>|</SYS>>)|\[(?=/?INST\])|#(?=##)|(?<=#)#(?=#)|"
    r"`(?=``)|(?<=`)`(?=`)"
)


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

    @property
    def words(self) -> list[str]:
        """The words, as strings."""
        return self.text.words[self.first : self.last]

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """``(start, end)`` of each word in the document."""
        return self.text.offsets[self.first : self.last]

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

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Document offsets of ``shown[start:end]``, which is not empty and neither begins nor ends with a space."""
        origin = self._shown[1]
        return origin[start], origin[end - 1] + 1


def plain(text: str) -> str:
    """Any text as a prompt may show it: on one line, without anything that a template could mean."""
    return _plain(text)[0].strip()


def _plain(source: str) -> tuple[str, list[int]]:
    """The text as `plain`, and where in ``source`` each of its characters, and then its end, comes from."""
    pieces: list[str] = []
    origin: list[int] = []
    broken = {found.end() for found in _MEANT.finditer(source)}
    for at, sign in enumerate(source):
        if at in broken:
            pieces.append(" ")
            origin.append(at)
        if sign.isspace() or not sign.isprintable():
            # One space in place of any run of what cannot be seen.
            if pieces and pieces[-1] == " ":
                continue
            sign = " "
        pieces.append(sign)
        origin.append(at)
    return "".join(pieces), [*origin, len(source)]
