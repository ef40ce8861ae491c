"""In: spans of one text, one after the other. Out: those of them that a further span overlaps."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from vaner.document import Span


class Places:
    """Spans that may overlap each other, found again by place.

    Args:
        spans: what is there at first.
    """

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans: list[Span] = []
        self._longest = 0
        for span in spans:
            self.add(span)

    def add(self, span: Span) -> None:
        """One more."""
        insort(self._spans, span, key=_start)
        self._longest = max(self._longest, span.end - span.start)

    def overlapping(self, span: Span) -> Iterator[Span]:
        """Those that share a character with ``span``; the gap of a discontinuous mention is none of its characters."""
        at = bisect_left(self._spans, span.end, key=_start)
        # No span that starts earlier than this reaches so far.
        while at and self._spans[at - 1].start > span.start - self._longest:
            at -= 1
            if _share(self._spans[at], span):
                yield self._spans[at]


def _start(span: Span) -> int:
    return span.start


def _share(one: Span, other: Span) -> bool:
    if one.end <= other.start or other.end <= one.start:
        return False
    if not one.fragments and not other.fragments:
        return True
    pieces = other.fragments or ((other.start, other.end),)
    return any(
        start < last and first < end
        for start, end in one.fragments or ((one.start, one.end),)
        for first, last in pieces
    )
