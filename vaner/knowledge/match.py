"""In: texts and the arrays of an index. Out: the names that occur in them, with offsets.

All runs of words that begin some name are followed at once, one word longer at each step, until none is left:

    words        acute  myeloid  leukaemia  cells
    step 1       x      x        x          x        beginnings of names (Bloom filter)
    step 2       x      x        -          -
    step 3       x      -                            acute myeloid leukaemia: its key is in the table

A run is a match if its 64-bit key is in the table of keys and no letter or digit touches its ends. Keys are
compared, not spellings: a table of ten million keys takes a wrong run for a name once in 10**12 runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vaner.knowledge.arrays import bloom_bits, bloom_block
from vaner.knowledge.normalise import Words, join, normal_words

#: Slots in the table of keys -> bits of the types of their names.
TypesOf = Callable[[np.ndarray], np.ndarray]

_WINDOW = 200_000  # code points normalised at once
_OVERLAP = 2_000  # code points, above the longest name that an index keeps
_SPACE = re.compile(r"\s")


class Match(NamedTuple):
    """A name found in a text.

    Attributes:
        start, end: code points, ``text[start:end]`` is the match.
        type: canonical type.
        number: the first of the index's names that it may stand for, all of which have one normal form.
    """

    start: int
    end: int
    type: str
    number: int


class Finder:
    """Finds keys and runs of words in the arrays of an index.

    Args:
        arrays: by name, as `vaner.knowledge.compile` explains them.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._low, self._middle, self._bucket = arrays["key_low"], arrays["key_middle"], arrays["bucket"]
        self._key_name = arrays["key_name"]
        self._key_types, self._masks = arrays["key_types"], arrays["key_masks"]
        self._prefixes = arrays["prefixes"]
        self._shift = np.uint64(64 - int(np.log2(len(self._bucket) - 1)))

    def slots(self, keys: np.ndarray) -> np.ndarray:
        """Where each key is in the table, -1 where it is not; shape of ``keys``."""
        at = (keys >> self._shift).astype(np.int64)
        low, high = self._bucket[at].astype(np.int64), self._bucket[at + 1].astype(np.int64)
        key_low = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        key_middle = ((keys >> np.uint64(32)) & np.uint64(0xFFFF)).astype(np.uint16)
        found = np.full(len(keys), -1, np.int64)
        left = np.flatnonzero(low < high)
        while len(left):
            at = low[left]
            hit = (self._low[at] == key_low[left]) & (self._middle[at] == key_middle[left])
            found[left[hit]] = low[left[hit]]
            left = left[~hit]
            low[left] += 1
            left = left[low[left] < high[left]]
        return found

    def _begins(self, keys: np.ndarray) -> np.ndarray:
        """Which keys may be the beginning of a name; about one in a hundred others passes as well."""
        bits = bloom_bits(keys)
        return (self._prefixes[bloom_block(keys, len(self._prefixes))] & bits) == bits

    def runs(
        self, words: Words, mask: int, held_back: TypesOf | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All matches among the words, overlapping ones too.

        Args:
            words: of one or many texts.
            mask: bits of the types wanted.
            held_back: gives all types of names; then those are found for which names do not match here.

        Returns:
            first word, number of words, slot in the table, bits of the types; each of shape ``(matches,)``.
        """
        wanted = np.uint64(mask)
        active = np.flatnonzero(words.opens)
        found: list[tuple[np.ndarray, ...]] = []
        length = 1
        while len(active):
            keys = words.keys(active, length)
            passed = self._begins(keys)
            active, keys = active[passed], keys[passed]
            closed = words.closes[active + length - 1]
            ends = active[closed]
            slots = self.slots(keys[closed])
            hit = slots >= 0
            ends, slots = ends[hit], slots[hit]
            capitals = words.uppercase[ends + length] - words.uppercase[ends]
            types = self._masks[self._key_types[slots], np.minimum(capitals, 2)]
            if held_back is not None:
                types = held_back(slots) & ~types
            types &= wanted
            kept = types > 0
            found.append((ends[kept], np.full(kept.sum(), length), slots[kept], types[kept]))
            length += 1
            active = active[active + length <= len(words)]
        if not found:
            none = np.zeros(0, np.int64)
            return none, none, none, none.astype(np.uint64)
        first, count, slot, types = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return first, count, slot, types

    def match(
        self,
        texts: Sequence[str],
        mask: int,
        names: Sequence[str],
        all: bool,
        held_back: TypesOf | None = None,
    ) -> list[list[Match]]:
        """See ``KnowledgeBase.match`` and, with ``held_back`` as of `runs`, ``KnowledgeBase.held_back``."""
        found: list[list[Match]] = [[] for _ in texts]
        batch: list[int] = []
        size = 0
        for number, text in enumerate(texts):
            if batch and size + len(text) > _WINDOW:
                self._match_batch(batch, texts, mask, names, all, found, held_back)
                batch, size = [], 0
            batch.append(number)
            size += len(text) + 1
        if batch:
            self._match_batch(batch, texts, mask, names, all, found, held_back)
        return found

    def _match_batch(
        self,
        batch: list[int],
        texts: Sequence[str],
        mask: int,
        names: Sequence[str],
        all: bool,
        found: list[list[Match]],
        held_back: TypesOf | None,
    ) -> None:
        joined, starts = join([texts[i] for i in batch])
        start, end, slot, types = self._spans(joined, mask, held_back)
        owner = np.searchsorted(starts, start, side="right") - 1
        for bit, name in enumerate(names):
            if not mask >> bit & 1:
                continue
            of_type = np.flatnonzero((types >> np.uint64(bit)) & np.uint64(1))
            if not all:
                of_type = of_type[longest(start[of_type], end[of_type])]
            texts_of, offset = owner[of_type], starts[owner[of_type]]
            numbers = self._key_name[slot[of_type]]
            for i, a, b, number in zip(
                texts_of.tolist(),
                (start[of_type] - offset).tolist(),
                (end[of_type] - offset).tolist(),
                numbers.tolist(),
                strict=True,
            ):
                found[batch[i]].append(Match(a, b, name, number))
        for i in batch:
            found[i].sort()

    def _spans(
        self, text: str, mask: int, held_back: TypesOf | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Starts, ends, slots and types of all matches; a long text is read in windows that overlap."""
        parts = []
        at = 0
        while True:
            # A window ends where a word does, so that no word is seen in two halves.
            stop = _word_border(text, at + _WINDOW)
            window = text[at : _word_border(text, stop + _OVERLAP)]
            words = normal_words(window)
            first, count, slot, types = self.runs(words, mask, held_back)
            start, end = words.start[first] + at, words.end[first + count - 1] + at
            inside = start < stop
            parts.append((start[inside], end[inside], slot[inside], types[inside]))
            if stop >= len(text):
                break
            at = stop
        start, end, slot, types = (np.concatenate(p) for p in zip(*parts, strict=True))
        order = np.lexsort((end, start))
        return start[order], end[order], slot[order], types[order]


def _word_border(text: str, at: int) -> int:
    """The first place from ``at`` on that follows white space, or the end."""
    found = _SPACE.search(text, max(at - 1, 0))
    return found.end() if found else len(text)


def longest(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Which spans stay when the longest are taken first, the leftmost of equals, and none may overlap.

    Args:
        start, end: half-open, sorted by start, each of shape ``(spans,)``.

    Returns:
        indices, in order.
    """
    if not len(start):
        return np.zeros(0, np.int64)
    # Groups of spans that touch one another: most have one member and need no comparison.
    reach = np.maximum.accumulate(end)
    new = np.append(True, start[1:] >= reach[:-1])
    first = np.flatnonzero(new)
    size = np.diff(np.append(first, len(start)))
    keep = new & np.repeat(size == 1, size)
    for group, count in zip(first[size > 1].tolist(), size[size > 1].tolist(), strict=True):
        spans = [(int(start[i]), int(end[i]), i) for i in range(group, group + count)]
        origin = spans[0][0]
        taken = bytearray(max(b for _, b, _ in spans) - origin)
        for a, b, i in sorted(spans, key=lambda s: (s[0] - s[1], s[0])):
            # Whatever was taken before is no shorter: it covers the first or the last character, or nothing.
            if not taken[a - origin] and not taken[b - origin - 1]:
                taken[a - origin : b - origin] = b"\1" * (b - a)
                keep[i] = True
    return np.flatnonzero(keep)
