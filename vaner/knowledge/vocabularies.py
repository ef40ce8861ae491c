"""In: the arrays of an index, hashes of normal forms. Out: the concepts of names; which vocabularies have a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vaner.knowledge.arrays import ranges
from vaner.knowledge.compile import LISTED
from vaner.knowledge.match import Finder
from vaner.knowledge.rules import LAST, MUTED

_CHUNK = 1 << 20  # normal forms looked at together


def concepts_of(arrays: Mapping[str, np.ndarray], numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The concepts of names.

    Args:
        arrays: of an index, by name, as `vaner.knowledge.compile` explains them.
        numbers: of the names.

    Returns:
        numbers of concepts, one name's after the other's, and how many each name has, shape of ``numbers``.
    """
    place, more = arrays["name_concept"][numbers], arrays["more_concepts"]
    count = np.ones(len(numbers), np.int64)
    listed = np.flatnonzero(place & np.uint32(LISTED))
    if not len(listed):
        return place, count
    start = (place[listed] & np.uint32(LISTED - 1)).astype(np.int64)
    count[listed] = more[start]
    concepts = np.repeat(place, count)
    first = np.cumsum(count) - count
    concepts[ranges(first[listed], count[listed])] = more[ranges(start + 1, count[listed])]
    return concepts, count


class Vocabularies:
    """Says which vocabularies of an index have a normal form. Muted names do not count.

    Args:
        arrays: of the index.
        finder: of its keys.
        names: of the vocabularies, in the order of their numbers.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], finder: Finder, names: Sequence[str]) -> None:
        self._arrays, self._finder, self.names = arrays, finder, tuple(names)

    def having(self, keys: np.ndarray) -> np.ndarray:
        """Which vocabularies have a name of each normal form.

        Args:
            keys: `vaner.knowledge.key_of` the normal forms, uint64.

        Returns:
            bool, shape ``(vocabularies, len(keys))``.
        """
        slots = self._finder.slots(keys)
        known = np.flatnonzero(slots >= 0)
        found = np.zeros((len(self.names), len(keys)), bool)
        found[:, known] = self._having(self._arrays["key_name"][slots[known]].astype(np.int64))
        return found

    def sizes(self) -> np.ndarray:
        """How many normal forms each vocabulary has, shape ``(vocabularies,)``."""
        first = self._arrays["key_name"].astype(np.int64)
        sizes = np.zeros(len(self.names), np.int64)
        for start in range(0, len(first), _CHUNK):
            sizes += self._having(first[start : start + _CHUNK]).sum(axis=1)
        return sizes

    def _having(self, first: np.ndarray) -> np.ndarray:
        """`having` of the normal forms whose first names have these numbers."""
        flags, source = self._arrays["name_flags"], self._arrays["concept_source"]
        last = np.flatnonzero(flags & LAST)
        spellings = last[np.searchsorted(last, first)] + 1 - first
        numbers = ranges(first, spellings)
        form = np.repeat(np.arange(len(first)), spellings)
        kept = (flags[numbers] & MUTED) == 0
        concepts, count = concepts_of(self._arrays, numbers[kept])
        found = np.zeros((len(self.names), len(first)), bool)
        found[source[concepts], np.repeat(form[kept], count)] = True
        return found
