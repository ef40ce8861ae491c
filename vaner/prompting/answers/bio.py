"""In: mentions and words, or tags and words. Out: the tags ``O``, ``B-Type``, ``I-Type``; or mentions, with scores.

A word that a mention touches belongs to it. Of two mentions that share a word only the longer can be written. An
I- that continues nothing begins a mention, as CoNLL's own scorer reads it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from vaner.formats.conll import mentions as runs
from vaner.formats.conll import split_tag
from vaner.prompting.found import INVALID_TAG, PROPAGATED, UNKNOWN_TYPE, Found, Mention
from vaner.prompting.unit import Unit

_AROUND = " \t*_`'\"|,.;[](){}<>"


def labels(types: Sequence[str]) -> list[str]:
    """All tags: ``O``, then B- and I- of each type."""
    return ["O", *(f"{role}-{type}" for type in types for role in "BI")]


class Labels:
    """The tags that may be answered.

    Args:
        types: that were asked; None takes any.
    """

    def __init__(self, types: Sequence[str] | None) -> None:
        self.types = None if types is None else list(types)
        self._known = {label.casefold(): label for label in labels(self.types or [])}
        if types is not None and len(self._known) < 2 * len(types) + 1:
            # Types that differ in capitals alone are told apart by them.
            self._known = {label: label for label in labels(types)}

    @property
    def all(self) -> list[str]:
        """The known tags."""
        return list(self._known.values())

    def read(self, written: str) -> tuple[str | None, str]:
        """A tag as it was meant, or None and why there is none.

        Capitals, and quotes, stars or brackets around it, do not matter; ``E-`` and ``S-`` of other schemes are
        read as I- and B-, and a bare B or I where one type was asked.
        """
        for text in (written.strip(), written.strip(_AROUND)):
            label = self._known.get(text, self._known.get(text.casefold()))
            if label:
                return label, ""
            found = split_tag(text[:1].upper() + text[1:], (self.types or ["Entity"])[0])
            if found is None or (self.types and len(self.types) > 1 and len(text) == 1):
                continue
            role = {"E": "I", "S": "B"}.get(found[0], found[0])
            if self.types is None:
                return f"{role}-{found[1]}", ""
            if label := self._known.get(
                f"{role}-{found[1]}", self._known.get(f"{role}-{found[1]}".casefold())
            ):
                return label, ""
            return None, UNKNOWN_TYPE
        return None, INVALID_TAG

    def at_end(self, line: str) -> str | None:
        """The longest known tag that a line ends with, for types that hold the separator themselves."""
        return max((label for label in self._known.values() if line.endswith(label)), key=len, default=None)


def role_and_type(tag: str | None) -> tuple[str, str]:
    """``("B", "Type")`` of ``B-Type``; what is no tag ends a mention as O does."""
    return ("O", "") if tag is None or tag == "O" else (tag[0], tag[2:])


def unread_behind(unit: Unit, found: Found) -> None:
    """Of a list that was cut off, count the words behind its last mention: nothing was said of them."""
    last = max((mention.end for mention in found.mentions if mention.how != PROPAGATED), default=-1)
    found.unread_words += sum(start >= last for start, _ in unit.offsets)


def word_range(unit: Unit, mention: Mention) -> tuple[int, int] | None:
    """First word of a mention and one past its last; None where it has none here, or runs into another block."""
    starts, ends = [start for start, _ in unit.offsets], [end for _, end in unit.offsets]
    first, last = bisect_right(ends, mention.start), bisect_left(starts, mention.end)
    if first >= last or mention.start < starts[0] or mention.end > ends[-1]:
        return None
    return None if any(first < at < last for at in unit.block_starts) else (first, last)


def chosen(
    unit: Unit, mentions: Sequence[Mention], types: Sequence[str]
) -> tuple[list[tuple[int, int, str]], list[Mention]]:
    """Word ranges of the mentions that share no word, longer before shorter, in order; and those left out."""
    kept: list[tuple[int, int, str]] = []
    taken = [False] * len(unit.words)
    left_out = []
    for mention in sorted(mentions, key=lambda m: (m.start - m.end, m.start)):
        if mention.type not in types:
            continue
        words = word_range(unit, mention)
        if words is None or any(taken[slice(*words)]):
            left_out.append(mention)
            continue
        taken[slice(*words)] = [True] * (words[1] - words[0])
        kept.append((*words, mention.type))
        if not whole(unit, mention, words):
            left_out.append(mention)
    return sorted(kept), left_out


def whole(unit: Unit, mention: Mention, words: tuple[int, int]) -> bool:
    """Whether a mention is exactly these words, and cuts none."""
    return (unit.offsets[words[0]][0], unit.offsets[words[1] - 1][1]) == (mention.start, mention.end)


def encode(unit: Unit, mentions: Sequence[Mention], types: Sequence[str]) -> list[str]:
    """The tag of each word."""
    tags = ["O"] * len(unit.words)
    for first, last, type in chosen(unit, mentions, types)[0]:
        tags[first:last] = [f"B-{type}", *[f"I-{type}"] * (last - first - 1)]
    return tags


def decode(
    tags: Sequence[str | None], unit: Unit, how: str, found: Found, scores: Sequence[float | None] = ()
) -> None:
    """Add the mentions of the tags, in order.

    Args:
        tags: of each word of the unit; None where nothing was said of it, which ends a mention.
        unit: what was asked about.
        how: they got their places.
        found: takes the mentions, the repairs and the number of words of which nothing was said.
        scores: probability of each tag; none where nothing says.
    """
    found.unread_words += sum(tag is None for tag in tags)
    borders = [0, *sorted(unit.block_starts), len(tags)]
    for begin, end in zip(borders, borders[1:], strict=False):
        mentions, breaks = runs([role_and_type(tag) for tag in tags[begin:end]], "iob2")
        found.repaired += len(breaks)
        for first, last, type in mentions:
            start, stop = unit.offsets[begin + first][0], unit.offsets[begin + last][1]
            score = mean(scores[begin + first : begin + last + 1])
            found.mentions.append(Mention(start, stop, type, how, score))


def mean(probabilities: Sequence[float | None]) -> float | None:
    """Geometric mean; None where one is not known, or there is none."""
    known = [p for p in probabilities if p is not None]
    if not known or len(known) < len(probabilities):
        return None
    return math.exp(sum(math.log(max(p, 1e-30)) for p in known) / len(known))


def probabilities(
    tokens: Sequence[tuple[int, float]] | None, ranges: Iterable[tuple[int, int] | None]
) -> list[float | None]:
    """Probability of what stands at each range of an answer: that of its tokens together.

    A token belongs to the last range that begins before it ends, if it reaches into it at all; forced tokens are not
    among the chosen ones and cost nothing.

    Args:
        tokens: `Answer.tokens`; None where they were not asked for.
        ranges: half-open, in order, apart; None for a word without a tag.

    Returns:
        one for each range, in (0, 1]; None for all where ``tokens`` is None, and where the range is None.
    """
    ranges = list(ranges)
    if tokens is None:
        return [None] * len(ranges)
    numbers = [i for i, place in enumerate(ranges) if place is not None]
    places = [place for place in ranges if place is not None]
    starts = [start for start, _ in places]
    sums = [0.0] * len(places)
    before = 0
    for end, logprob in tokens:
        at = bisect_left(starts, end) - 1
        if at >= 0 and places[at][1] > before:
            sums[at] += logprob
        before = max(before, end)
    found: list[float | None] = [None] * len(ranges)
    for number, total in zip(numbers, sums, strict=True):
        found[number] = math.exp(min(total, 0.0))
    return found


def mean_over(tokens: Sequence[tuple[int, float]] | None, start: int, end: int) -> float | None:
    """Geometric mean of the probabilities of the tokens that end in ``(start, end]``; 1 where none was a choice."""
    if tokens is None:
        return None
    inside = [logprob for stop, logprob in tokens if start < stop <= end]
    return math.exp(min(sum(inside) / len(inside), 0.0)) if inside else 1.0
