"""In: mentions, the arrays of an index. Out: the names that share a rare word with each, or are spelt alike.

Candidates are the names whose rarest or second rarest word is a word of the mention, or is spelt like one; they are
ranked by the Dice coefficient of the three-letter sequences of the normal forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vaner.knowledge.arrays import ranges, trigrams
from vaner.knowledge.normalise import join, normal_words, normalise_all
from vaner.knowledge.store import Strings

#: Of each query ``(number of the name, similarity)``.
Related = list[list[tuple[int, float]]]

_PER_WORD = 500
_CANDIDATES = 2_000
_TOGETHER = 2_000  # mentions
_FORMS = 1 << 16  # normal forms
_SHORTEST_FUZZY = 5
_WORDS_LIKE = 10
_WORD_SIMILARITY = 0.6


class Similar:
    """Finds names like a mention.

    Args:
        arrays: of the index (`vaner.knowledge.store`).
        names: its names.
        masks_of: numbers of names -> bits of their types.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        names: Strings,
        masks_of: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self._arrays, self._names, self._masks_of = arrays, names, masks_of

    def related(
        self, mentions: Sequence[str], queries: Sequence[tuple[int, int]], least: float
    ) -> list[Related]:
        """Names like each mention; what many mentions' candidates share is read once.

        Args:
            mentions: any texts.
            queries: bits of types, and how many names at most, of each thing wanted.
            least: similarity below which names are left out.

        Returns:
            for each mention and query ``(number of the name, similarity)``, most similar first.
        """
        found: list[Related] = []
        for at in range(0, len(mentions), _TOGETHER):
            found += self._related(mentions[at : at + _TOGETHER], queries, least)
        return found

    def _related(
        self, mentions: Sequence[str], queries: Sequence[tuple[int, int]], least: float
    ) -> list[Related]:
        candidates = [self._candidates(words) for words in self._similar_words(mentions)]
        ends = np.cumsum([len(numbers) for numbers in candidates])
        masks = np.split(self._masks_of(np.concatenate(candidates)), ends[:-1])
        chosen = [
            [np.sort(numbers[(of_types & np.uint64(mask)) > 0][:_CANDIDATES]) for mask, _ in queries]
            for numbers, of_types in zip(candidates, masks, strict=True)
        ]
        # In the order of their numbers, so that every block of packed names is opened once.
        numbers = np.unique(np.concatenate([part for parts in chosen for part in parts]))
        names = _Grams(normalise_all([self._names[n] for n in numbers.tolist()]))
        found: list[Related] = []
        owner, grams = trigrams(normalise_all(mentions))
        own = np.split(grams, np.searchsorted(owner, np.arange(1, len(mentions))))
        for parts, similar in zip(chosen, map(names.like, own), strict=True):
            found.append([])
            for part, (_, limit) in zip(parts, queries, strict=True):
                similarity = similar(np.searchsorted(numbers, part))
                best = np.lexsort((part, -similarity))[:limit]
                best = best[similarity[best] >= least]
                found[-1].append(list(zip(part[best].tolist(), similarity[best].tolist(), strict=True)))
        return found

    def _candidates(self, words: Sequence[int]) -> np.ndarray:
        """Names that have one of the words as rarest or second rarest; those of the words that come first."""
        arrays = self._arrays
        parts, size = [np.zeros(0, np.int64)], 0
        for word in words:
            start, end = (int(x) for x in arrays["word_names"][word : word + 2])
            parts.append(np.arange(start, min(end, start + _PER_WORD)))
            start, end = (int(x) for x in arrays["second_start"][word : word + 2])
            parts.append(arrays["second"][start : min(end, start + _PER_WORD)].astype(np.int64))
            size += len(parts[-2]) + len(parts[-1])
            if size >= _CANDIDATES:
                parts = [_first_of_each(np.concatenate(parts))]
                size = len(parts[0])
                if size >= _CANDIDATES:
                    break
        return _first_of_each(np.concatenate(parts))

    def _similar_words(self, mentions: Sequence[str]) -> list[list[int]]:
        """For each mention the index's words that are, or are spelt like, one of its words; rarest first."""
        arrays = self._arrays
        joined, starts = join(mentions)
        words = normal_words(joined)
        lexical = np.flatnonzero(words.lexical)
        owner = np.searchsorted(starts, words.start[lexical], side="right") - 1
        place = np.searchsorted(arrays["words"], words.hash[lexical])
        place = np.minimum(place, max(len(arrays["words"]) - 1, 0))
        same = arrays["words"][place] == words.hash[lexical] if len(arrays["words"]) else place < 0
        found: list[set[int]] = [set() for _ in mentions]
        like: dict[int, list[int]] = {}
        for at, mention, exact, is_same in zip(
            lexical.tolist(), owner.tolist(), place.tolist(), same.tolist(), strict=True
        ):
            if is_same:
                found[mention].add(exact)
            elif words.size[at] >= _SHORTEST_FUZZY:
                hashed = int(words.hash[at])
                if hashed not in like:
                    like[hashed] = self._words_like(words.normal(at))
                found[mention].update(like[hashed])
        count = arrays["word_count"]
        return [sorted(some, key=lambda w: (int(count[w]), w)) for some in found]

    def _words_like(self, word: str) -> list[int]:
        """Words with at least 60 % (Dice) of their three-letter sequences in common with ``word``."""
        arrays = self._arrays
        _, grams = trigrams([word])
        at = np.searchsorted(arrays["grams"], grams)
        at = at[at < len(arrays["grams"])]
        at = at[np.isin(arrays["grams"][at], grams)]
        lists = [arrays["gram_word"][arrays["gram_start"][i] : arrays["gram_start"][i + 1]] for i in at]
        if not lists:
            return []
        near, shared = np.unique(np.concatenate(lists), return_counts=True)
        similarity = 2 * shared / (arrays["word_grams"][near] + len(grams))
        order = np.argsort(-similarity, kind="stable")[:_WORDS_LIKE]
        return near[order][similarity[order] >= _WORD_SIMILARITY].tolist()


def _first_of_each(numbers: np.ndarray) -> np.ndarray:
    """The numbers in their order, each once."""
    _, at = np.unique(numbers, return_index=True)
    return numbers[np.sort(at)]


class _Grams:
    """The three-letter sequences of many normal forms, numbered, so that they are compared by table look-up.

    Args:
        forms: normal forms.
    """

    def __init__(self, forms: Sequence[str]) -> None:
        parts = [trigrams(forms[at : at + _FORMS]) for at in range(0, len(forms), _FORMS)]
        owner = [part + at * _FORMS for at, (part, _) in enumerate(parts)]
        grams = np.concatenate([np.zeros(0, np.uint64), *(gram for _, gram in parts)])
        self._known = np.unique(grams)
        self._gram = np.searchsorted(self._known, grams)
        self._size = np.bincount(np.concatenate([np.zeros(0, np.int64), *owner]), minlength=len(forms))
        self._start = np.cumsum(self._size) - self._size
        self._own = np.zeros(len(self._known), np.int64)

    def like(self, grams: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """What gives, for indices of forms, the Dice coefficients of their sequences and ``grams`` (distinct)."""
        place = np.searchsorted(self._known, grams)
        place = place[place < len(self._known)]
        own = place[np.isin(self._known[place], grams)]

        def similarity(indices: np.ndarray) -> np.ndarray:
            size = self._size[indices]
            self._own[own] = 1
            shared = _sums(self._own[self._gram[ranges(self._start[indices], size)]], size)
            self._own[own] = 0
            return 2 * shared / np.maximum(1, size + len(grams))

        return similarity


def _sums(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums of so many values each, one group after the other; shape of ``counts``."""
    sums = np.append(0, np.cumsum(values))
    ends = np.cumsum(counts)
    return sums[ends] - sums[ends - counts]
