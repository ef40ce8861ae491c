"""In: a text. Out: where it holds markup instead of words: character references (``&amp;``), tags (``<sub>``).

The text stays as it is. What markup stands for may be a part of a mention (``TNF-&#945;``); it is none by itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from html.entities import html5

import regex

#: A character reference; in a pattern, with `NAMES` as the named list ``entities``.
REFERENCE = r"&(?:\#[0-9]{1,7}|\#[xX][0-9A-Fa-f]{1,6}|\L<entities>);"
NAMES = sorted(name.removesuffix(";") for name in html5 if name.endswith(";"))

_TAG_NAMES = (
    "a abbr b bdo big blockquote body bold br caption center cite code dd del div dl dt em fn font h1 h2 h3 h4 h5 h6 "
    "head hr html i img ins italic kbd label li monospace ol p pre q roman s sc sec small span strike strong sub sup "
    "table tbody td tfoot th thead title tr tt u ul underline var xref"
).split()
_MARKUP = regex.compile(
    REFERENCE + r"|</?(?i:\L<tags>)(?:\s[^<>]{0,300}+)?/?>|<!--.{0,300}?-->",
    regex.DOTALL,
    entities=NAMES,
    tags=_TAG_NAMES,
)
_INVISIBLE = regex.compile(r"[\s\p{Default_Ignorable_Code_Point}\p{Cc}]++")


def ranges(text: str) -> list[tuple[int, int]]:
    """Where markup stands: half-open, in order, pieces that touch joined."""
    found: list[tuple[int, int]] = []
    if "&" in text or "<" in text:
        for match in _MARKUP.finditer(text):
            start, end = match.span()
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
    return found


class Readable:
    """Whether ranges of a text hold anything to read, besides markup and what cannot be seen.

    Args:
        text: the text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._markup = ranges(text)
        self._starts = [start for start, _ in self._markup]

    def __call__(self, start: int, end: int) -> bool:
        rest = _INVISIBLE.sub("", self._text[start:end])
        if not rest or not self._markup:
            return bool(rest)
        # What lies between the markup in the range.
        at = max(bisect_right(self._starts, start) - 1, 0)
        for begin, stop in self._inside(at, end):
            if begin > start and _INVISIBLE.sub("", self._text[start:begin]):
                return True
            start = max(start, stop)
        return start < end and bool(_INVISIBLE.sub("", self._text[start:end]))

    def _inside(self, at: int, end: int) -> Iterable[tuple[int, int]]:
        while at < len(self._markup) and self._starts[at] < end:
            yield self._markup[at]
            at += 1
