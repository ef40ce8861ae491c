"""In: a document, what a model says of its words, their tags. Out: what it says, names that repeat read together.

    ... adenomatous polyposis coli (APC) ... of APC ... in patients with APC ... Adenomatous polyposis coli ...
        --------------------------  ---         ---                      ---     --------------------------
        0.99                        0.98        0.31                     0.74    0.97                          alone
        0.96                        0.95        0.81                     0.88    0.94                       together

A model reads a document in units, each by itself, and may find a name in one and miss it in another. Here every place
of a name takes most of its evidence from all of them: the mean of their log-odds. A name is what was found in at least
one place. Its places are those where the document has the same words and no part of them is in another mention of the
type, nor all of them in a longer mention of another: "IL-2" in "IL-2 gene" is not the protein. An abbreviation that the
document defines is one name with its long form.

That mentions of a document should agree: V. Krishnan and C. D. Manning, An effective two-stage model for exploiting
non-local dependencies in named entity recognition, ACL 2006. SHARE was chosen on dev splits (docs/results/repeats.md).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from vaner.tagging.decode import mentions
from vaner.text.abbreviations import find
from vaner.text.spelling import folded
from vaner.text.tags import B, I
from vaner.text.units import Text

#: How much of a place's evidence is that of all places of its name; the rest is its own.
SHARE = 0.7
# What is less likely than e to the minus this counts as if it were so likely: no place outvotes all others by itself.
_SURE = 10.0

Words = tuple[str, ...]
Place = tuple[int, int]


def together(
    text: Text,
    log_probs: np.ndarray,
    tags: np.ndarray,
    borders: Iterable[int] = (),
    *,
    types_apart: bool = False,
) -> np.ndarray:
    """Log-probabilities in which the places of a name agree more.

    Args:
        text: of the document.
        log_probs: of O, B, I as the model gives them, shape ``(types, words, 3)``.
        tags: what they come to, ``(types, words)``.
        borders: words that begin a unit or a block; no mention runs over one.
        types_apart: look at no mention of another type, so that a type is found alike whatever else is asked.

    Returns:
        an array of the same shape; the same array where no name that was found has another place.
    """
    if not tags.any():
        return log_probs
    document = _Places(text, borders)
    alone = _log_odds(log_probs)
    agreed = alone.copy()
    marked = [mentions(row) for row in tags]
    for row, found in enumerate(marked):
        others = [] if types_apart else [one for number, one in enumerate(marked) if number != row and one]
        for spellings in document.names(found, others):
            _agree(agreed[row], alone[row], spellings)
    other = (agreed != alone).any(axis=-1)
    if not other.any():
        return log_probs
    result = log_probs.copy()
    result[other] = _log_probabilities(agreed[other])
    return result


def _agree(agreed: np.ndarray, alone: np.ndarray, spellings: Sequence[Sequence[Place]]) -> None:
    """Write the log-odds of a name's places, by spelling, into ``agreed``; both are those of one type's words."""
    means = [np.mean([alone[first:last] for first, last in places], axis=0) for places in spellings]
    if len(means) > 1:
        # Spellings differ in their number of words, so what they share is the mean log-odds of a word's tag.
        each = [_of_mention(mean) for mean in means]
        counts = list(map(len, spellings))
        overall = sum(one * count for one, count in zip(each, counts, strict=True)) / sum(counts)
        for mean, one in zip(means, each, strict=True):
            mean[0, B - 1] += overall - one
            mean[1:, I - 1] += overall - one
    for places, mean in zip(spellings, means, strict=True):
        for first, last in places:
            agreed[first:last] = SHARE * mean + (1 - SHARE) * alone[first:last]


def _of_mention(odds: np.ndarray) -> float:
    """Mean over the words of a mention: the first is B, the others I."""
    return float(odds[0, B - 1] + odds[1:, I - 1].sum()) / len(odds)


def _log_odds(log_probs: np.ndarray) -> np.ndarray:
    """By how much B and I are likelier than O: ``(..., 2)``, float64."""
    scores = np.maximum(log_probs, -_SURE, dtype=np.float64)
    return scores[..., 1:] - scores[..., :1]


def _log_probabilities(odds: np.ndarray) -> np.ndarray:
    """Log-probabilities of O, B, I: ``(..., 3)``."""
    logits = np.concatenate([np.zeros_like(odds[..., :1]), odds], axis=-1)
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


class _Places:
    """Where a document has which words."""

    def __init__(self, text: Text, borders: Iterable[int]) -> None:
        self._words = [folded(word) for word in text.words]
        self._borders = sorted(set(borders))
        self._at: dict[str, list[int]] = defaultdict(list)
        for number, word in enumerate(self._words):
            self._at[word].append(number)
        self._long = self._abbreviations(text)

    def _abbreviations(self, text: Text) -> dict[Words, Words]:
        """Short form -> long form of every definition whose forms are whole words; the first one of a short form."""
        starts = {start: number for number, (start, _) in enumerate(text.offsets)}
        ends = {end: number + 1 for number, (_, end) in enumerate(text.offsets)}
        found: dict[Words, Words] = {}
        for one in find(text.document.text):
            short, long = (
                (starts.get(start), ends.get(start + len(form)))
                for start, form in ((one.short_start, one.short), (one.long_start, one.long))
            )
            if None not in (*short, *long):
                found.setdefault(tuple(self._words[slice(*short)]), tuple(self._words[slice(*long)]))
        return found

    def names(self, found: Sequence[Place], others: Sequence[Sequence[Place]]) -> list[list[list[Place]]]:
        """Every name among one type's mentions that has more than one place: its places, by spelling.

        Args:
            found: mentions of the type.
            others: those of each other type, sorted.
        """
        mentioned = {tuple(self._words[first:last]) for first, last in found}
        linked = {
            short: long for short, long in self._long.items() if short in mentioned or long in mentioned
        }
        exact, marked = set(found), np.zeros(len(self._words) + 1, dtype=bool)
        for first, last in found:
            marked[first:last] = True
        taken = np.zeros_like(marked)
        names: dict[Words, list[list[Place]]] = defaultdict(list)
        # The places of a longer name are not those of a shorter one inside it.
        for spelling in sorted(
            {*mentioned, *linked, *linked.values()}, key=lambda words: (-len(words), words)
        ):
            places = [
                (first, last)
                for first, last in self._occurrences(spelling)
                if not taken[first:last].any()
                and ((first, last) in exact or self._is_free(first, last, marked, others))
            ]
            for first, last in places:
                taken[first:last] = True
            if places:
                names[linked.get(spelling, spelling)].append(places)
        return [spellings for spellings in names.values() if sum(map(len, spellings)) > 1]

    @staticmethod
    def _is_free(first: int, last: int, marked: np.ndarray, others: Sequence[Sequence[Place]]) -> bool:
        """Whether no word of a place is marked, and it is in no longer mention of another type."""
        if marked[first:last].any():
            return False
        for one in others:
            before = bisect_right(one, first, key=lambda place: place[0])
            if before and one[before - 1][1] >= last and one[before - 1] != (first, last):
                return False
        return True

    def _occurrences(self, spelling: Words) -> list[Place]:
        """Where these words stand next to each other, no border between them and no word of two such places."""
        # By its rarest word: in a long text the others may stand in thousands of places.
        rarest = min(range(len(spelling)), key=lambda number: len(self._at.get(spelling[number], ())))
        found: list[Place] = []
        for number in self._at.get(spelling[rarest], ()):
            first = number - rarest
            last = first + len(spelling)
            if first < 0 or tuple(self._words[first:last]) != spelling:
                continue
            if found and first < found[-1][1]:
                continue
            border = bisect_right(self._borders, first)
            if border == len(self._borders) or self._borders[border] >= last:
                found.append((first, last))
        return found
