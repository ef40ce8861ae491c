"""In: texts that an answer calls mentions, the text asked about. Out: where they stand in it, and how they were found.

    text   "T-cell growth by IL-2 in protein; il 2"
    IL-2   17-21 exact, 34-38 folded (where no exact one is)        in   22-24, never inside `protein`

A mention begins and ends where a word does. What is found as written is never looked for in another way; then
capitals, hyphens, spaces, Greek letters, compatibility forms and the plural are put aside as the names of a knowledge
base are (`vaner.knowledge.normalise`), whose offsets hold whatever a sign folds to; last, and only when asked,
what is nearly the same is taken.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from vaner.errors import VanerError
from vaner.prompting.found import EXACT, FOLDED, FUZZY, PROPAGATED

_APOSTROPHES = "'\u2019\u00b4`"


@dataclass(frozen=True, slots=True)
class Placed:
    """A place of a mention.

    Attributes:
        first, last: its words, ``last`` is one past the end.
        item: number of the mention among those that were asked for.
        how: EXACT, FOLDED, FUZZY or PROPAGATED.
        similarity: of a FUZZY one, in [0, 1]; 1 for the others.
    """

    first: int
    last: int
    item: int
    how: str
    similarity: float = 1.0


class Grounds:
    """A text in which mentions are looked for.

    Args:
        text: as the model saw it.
        words: ``(start, end)`` of its words, in order.
        block_starts: words that begin a block; no mention runs on into them.
    """

    def __init__(
        self, text: str, words: Sequence[tuple[int, int]], block_starts: frozenset[int] = frozenset()
    ) -> None:
        self.text = text
        self._block_starts = sorted(block_starts)
        self._at_start = {start: i for i, (start, _) in enumerate(words)}
        self._at_end = {end: i + 1 for i, (_, end) in enumerate(words)}

    @classmethod
    def of_words(cls, words: Sequence[str], block_starts: frozenset[int] = frozenset()) -> Grounds:
        """Words joined by spaces, for mentions that are written so."""
        places, at = [], 0
        for word in words:
            places.append((at, at + len(word)))
            at += len(word) + 1
        return cls(" ".join(words), places, block_starts)

    def _words(self, start: int, end: int) -> tuple[int, int] | None:
        """The words that a range of the text is; None where it cuts one, or runs from one block into the next."""
        first, last = self._at_start.get(start), self._at_end.get(end)
        if first is None or last is None or first >= last:
            return None
        inner = bisect_left(self._block_starts, first + 1)
        if inner < len(self._block_starts) and self._block_starts[inner] < last:
            return None
        return first, last

    def exact(self, mention: str) -> list[tuple[int, int]]:
        """Word ranges in which the text has the mention as written."""
        found = []
        at = self.text.find(mention) if mention else -1
        while at >= 0:
            if words := self._words(at, at + len(mention)):
                found.append(words)
            at = self.text.find(mention, at + 1)
        return found

    @cached_property
    def _normal(self) -> tuple[list[str], list[int], list[int]]:
        # Imported here: numpy is not wanted where every mention is there as written.
        from vaner.knowledge.normalise import normal_words

        words = normal_words(self.text)
        return words.normals(), words.start.tolist(), words.end.tolist()

    def folded(self, mention: str) -> list[tuple[int, int]]:
        """Word ranges whose normal words are the mention's."""
        wanted = _normals(mention)
        if not wanted:
            return []
        normals, starts, ends = self._normal
        count, found = len(wanted), []
        for i in range(len(normals) - count + 1):
            if normals[i : i + count] == wanted:
                words = self._around(starts[i], ends[i + count - 1], mention)
                if words:
                    found.append(words)
        return found

    def _around(self, start: int, end: int, mention: str) -> tuple[int, int] | None:
        if _possessive(mention, len(mention)) and _possessive(self.text, end + 2):
            end += 2
        return self._words(start, end)

    def fuzzy(self, mention: str, least: float) -> tuple[list[tuple[int, int]], float]:
        """Word ranges most like the mention, and how like: at least ``least``, in [0, 1]."""
        try:
            from rapidfuzz import fuzz
        except ImportError:
            raise VanerError(
                "alignment fuzzy: needs rapidfuzz; pip install 'vaner[prompted]', or set alignment: exact"
            ) from None
        wanted = _normals(mention)
        if not wanted:
            return [], 0.0
        normals, starts, ends = self._normal
        spelt, best = " ".join(wanted), 100 * least
        found: list[tuple[int, int]] = []
        for count in range(max(1, len(wanted) - 1), len(wanted) + 2):
            for i in range(len(normals) - count + 1):
                likeness = fuzz.ratio(spelt, " ".join(normals[i : i + count]), score_cutoff=best)
                words = likeness and self._around(starts[i], ends[i + count - 1], mention)
                if not words:
                    continue
                if likeness > best:
                    best, found = likeness, []
                found.append(words)
        return found, best / 100

    def find(self, mention: str, least: float | None = None) -> tuple[list[tuple[int, int]], str, float]:
        """Word ranges of a mention, left to right, in the first way that finds any; which way; how like.

        Args:
            mention: its text.
            least: similarity in [0, 1] that is near enough; None takes nothing that is only near.
        """
        mention = mention.strip()
        if places := self.exact(mention):
            return places, EXACT, 1.0
        if places := self.folded(mention):
            return places, FOLDED, 1.0
        if least is not None:
            places, likeness = self.fuzzy(mention, least)
            return (_apart(places), FUZZY, likeness) if places else ([], "", 0.0)
        return [], "", 0.0


def _normals(mention: str) -> list[str]:
    from vaner.knowledge.normalise import BREAK, normal_words

    return normal_words(mention.replace(BREAK, " ")).normals()


def _possessive(text: str, end: int) -> bool:
    return 2 < end <= len(text) and text[end - 1] in "sS" and text[end - 2] in _APOSTROPHES


def _apart(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of ranges that share words the first."""
    apart: list[tuple[int, int]] = []
    for first, last in sorted(places):
        if not apart or first >= apart[-1][1]:
            apart.append((first, last))
    return apart


def ground(
    mentions: Sequence[tuple[str, str]],
    grounds: Grounds,
    *,
    every: bool = True,
    least: float | None = None,
) -> tuple[list[Placed], list[int], list[int]]:
    """Give listed mentions their places.

    One that is listed once stands at every place where the text has it; those after the first are PROPAGATED. One
    that is listed several times stands at as many places, in order: an answer ``[A, B, A]`` about a text
    ``A B A B`` means the first two A, and both B.

    Args:
        mentions: ``(text, type)`` of each, as the answer lists them.
        grounds: the text.
        every: False gives a mention that is listed once its first place only.
        least: similarity in [0, 1] that is near enough; None takes nothing that is only near.

    Returns:
        the places in the order of the text, each once; numbers of those that are not in the text; numbers of
        those that are listed more often than the text has them.
    """
    placed: dict[tuple[int, int, str], Placed] = {}
    nowhere, repeated = [], []
    ways = {text: grounds.find(text, least) for text, _ in dict.fromkeys(mentions)}
    # Two spellings of one mention stand at the same places: they are one mention, listed twice.
    listed = Counter((tuple(ways[text][0]), type) for text, type in mentions)
    taken: Counter[tuple[tuple[tuple[int, int], ...], str]] = Counter()
    for item, (text, type) in enumerate(mentions):
        places, how, likeness = ways[text]
        if not places:
            nowhere.append(item)
            continue
        key = tuple(places), type
        if listed[key] > 1:
            number = taken[key]
            taken[key] += 1
            if number >= len(places):
                repeated.append(item)
                continue
            chosen = [(places[number], how)]
        else:
            chosen = [
                (place, PROPAGATED if i else how) for i, place in enumerate(places[: None if every else 1])
            ]
        for (first, last), way in chosen:
            old = placed.get((first, last, type))
            # A place that was only carried over to gives way to one that was found for itself.
            if old is None or (old.how == PROPAGATED and way != PROPAGATED):
                placed[first, last, type] = Placed(first, last, item, way, likeness)
    order = sorted(placed.items(), key=lambda entry: (entry[0][0], entry[0][1], entry[1].item))
    return [place for _, place in order], nowhere, repeated
