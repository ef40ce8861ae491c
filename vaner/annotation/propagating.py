"""In: a document, its mentions. Out: the other places where it has the same words, none of them marked yet.

    Aspirin ... [aspirin]Chemical ... ASPIRIN ... aspirin-like ... [low-dose aspirin]Chemical
    ^^^^^^^                                       ^^^^^^^          marked already: left as it is

Words are the same where they are spelt alike (`vaner.text.spelling`). Places are whole words, inside one sentence and
block, and share no character with any mention. Longer mentions come first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vaner.annotation.marked import Marked
from vaner.document import Span
from vaner.prompting.found import PROPAGATED
from vaner.tagging.overlap import Places
from vaner.text.spelling import folded
from vaner.text.units import Text

#: The kind of change that a new mention is.
KIND = "propagated"


def propagate(marked: Marked) -> Marked:
    """Mark what has the words of a mention; each copy has its confidence, and says that it is one. They are counted."""
    copies = occurrences(Text.of(marked.document), marked.spans)
    marked.changed[KIND] += len(copies)
    marked.spans = sorted([*marked.spans, *copies], key=lambda span: span.key)
    return marked


def occurrences(text: Text, spans: Iterable[Span]) -> list[Span]:
    """The places of mentions that are not marked yet, in the order of the text.

    Args:
        text: of the document.
        spans: its mentions; discontinuous ones are not looked for.
    """
    spans = list(spans)
    taken = Places(spans)
    words = [folded(word) for word in text.words]
    at: dict[str, list[int]] = {}
    for number, word in enumerate(words):
        at.setdefault(word, []).append(number)
    starts = {start: number for number, (start, _) in enumerate(text.offsets)}
    ends = {end: number for number, (_, end) in enumerate(text.offsets)}
    borders = {*text.sentence_starts, *text.block_starts}
    found: list[Span] = []
    # Of mentions alike the surest is copied.
    for span in sorted(spans, key=lambda one: (one.start - one.end, -(one.score or 0.0), one.start)):
        first, last = starts.get(span.start), ends.get(span.end)
        if first is None or last is None or span.fragments:
            continue
        wanted = words[first : last + 1]
        for begin in at[wanted[0]]:
            end = begin + len(wanted)
            if words[begin:end] != wanted or any(begin < border < end for border in borders):
                continue
            place = text.document.span(text.offsets[begin][0], text.offsets[end - 1][1], span.type)
            if any(True for _ in taken.overlapping(place)):
                continue
            copy = replace(place, score=span.score, grounded=PROPAGATED)
            taken.add(copy)
            found.append(copy)
    return sorted(found, key=lambda one: one.key)
