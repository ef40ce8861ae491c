"""In: the words of a text and the mentions in it. Out: the tags O, B, I of every word, and what they cannot hold."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from vaner.document import Span

O, B, I = 0, 1, 2  # noqa: E741 - the names of the tags
TAGS = ("O", "B", "I")
# In place of a tag: no loss at this word.
IGNORED = -100


def in_order(span: Span) -> tuple[bool, int, int]:
    """By what mentions are sorted to be tagged: those in one piece before others, the longer first."""
    return (bool(span.fragments), span.start - span.end, span.start)


def encode_tags(
    offsets: Sequence[tuple[int, int]],
    spans: Sequence[Span],
    types: Sequence[str],
    block_starts: Sequence[int] = (),
) -> tuple[np.ndarray, list[Span]]:
    """BIO tags of a document's words, one row a type.

    A word that a mention touches belongs to it. Where two mentions of one type share a word the longer is
    kept. A discontinuous mention cannot be written in BIO: all words from its first to its last are tagged,
    unless a contiguous one claims any of them.

    Args:
        offsets: ``(start, end)`` of each word, in order.
        spans: gold mentions; those of other types are passed over.
        types: the rows.
        block_starts: words that begin a block, in order; a mention that runs from one into the next is out of reach.

    Returns:
        tags: int8, shape ``(len(types), len(offsets))``, values O, B, I.
        unreachable: mentions of these types that the tags do not hold exactly; they stay in the gold of every
            score, so a model that follows the tags misses them.
    """
    tags = np.zeros((len(types), len(offsets)), dtype=np.int8)
    row = {kind: i for i, kind in enumerate(types)}
    word_starts = np.fromiter((s for s, _ in offsets), dtype=np.int64, count=len(offsets))
    word_ends = np.fromiter((e for _, e in offsets), dtype=np.int64, count=len(offsets))
    unreachable: list[Span] = []
    held: set[tuple[int, int, str]] = set()
    for span in sorted(spans, key=in_order):
        if span.type not in row:
            continue
        if span.key in held and not span.fragments:
            continue  # the same mention listed twice, with two concept ids
        first = int(np.searchsorted(word_ends, span.start, side="right"))
        last = int(np.searchsorted(word_starts, span.end, side="left"))
        line = tags[row[span.type]]
        crosses = bisect_right(block_starts, first) < bisect_left(block_starts, last)
        if first >= last or crosses or line[first:last].any():
            unreachable.append(span)
            continue
        line[first] = B
        line[first + 1 : last] = I
        # An I that follows would now continue this mention, but it starts its own: it is a B already.
        tagged = int(word_starts[first]), int(word_ends[last - 1]), span.type
        held.add(tagged)
        if span.fragments or tagged != span.key:
            unreachable.append(span)
    return tags, unreachable
