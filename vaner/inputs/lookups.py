"""In: an index, segmented texts, a row's words and types. Out: what the index says of every (type, word), as codes.

    words      a   woman  with  breast  cancer  was  given  tamoxifen        asked: Disease, Gene, Chemical

    Disease    out  out    out   begins  ends    out  out    out             place, the first of FIELDS
    Gene       out  out    out   out     out     out  out    out
    Chemical   out  out    out   out     out     out  out    single

The typed head embeds the codes (`vaner.model.heads`), so that names cost no token of a row, and any type can be asked
that the index has names of. Zeros throughout say that nothing was looked up: there is no index, it has no name of the
type, or training left the type out. Gold has no part in lookups, neither in training nor in tagging.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaner.errors import VanerError
from vaner.inputs.remembered import Remembered
from vaner.knowledge import DictionaryTagger, KnowledgeBase
from vaner.knowledge.match import Match
from vaner.text.tags import B, I, O
from vaner.text.units import Text

#: What is said of a (type, word), and how many values each has, 0 among them: nothing.
#:   place       out, single, begins, inside, ends: where the word is in a name of the type
#:   length      of that name in words, 5 and more alike
#:   spelling    exactly as the index has it, but for capitals, or folded (hyphens, plurals, Greek letters)
#:   support     how many vocabularies of the index have it as a name of the type: one, two, three, more
#:   sure        a match; or held back, because the name is muted or an acronym in small letters
#:   shared      the same words are a name of no other type; of another asked type; of one that is not asked
#:   short_form  an abbreviation that the document defines, as a name of the type; or not as one
#:   elsewhere   no name of the type, but one of another begins, or goes on, here
FIELDS = {
    "place": 6,
    "length": 6,
    "spelling": 4,
    "support": 5,
    "sure": 3,
    "shared": 4,
    "short_form": 3,
    "elsewhere": 3,
}

_OUT, _SINGLE, _BEGINS, _INSIDE, _ENDS = range(1, 6)
_PLACE, _LENGTH, _SPELLING, _SUPPORT, _SURE, _SHARED, _SHORT_FORM, _ELSEWHERE = range(len(FIELDS))
_SPELLINGS = {"exact": 1, "capitals": 2, "folded": 3}
# Columns of `Lookups.found`.
_FIRST, _LAST, _TYPE, _KIND, _SPELT, _KNOWN, _NAME = range(7)
# Kinds of its rows.
_MATCH, _NESTED, _HELD_BACK, _SHORT = range(4)
_REMEMBERED = 200_000

#: Score of a mention that goes by its name alone.
TRUST = 0.9


@dataclass(frozen=True)
class LeftOut:
    """What training leaves out at random, so that the same weights read without an index, and with a poor one.

    Attributes:
        rows: share of rows in which nothing is looked up.
        types: share of the asked types, in the other rows.
        names: share of the names, each with all of its occurrences in the row; shorter names in it come to light.
    """

    rows: float = 0.0
    types: float = 0.1
    names: float = 0.1


class Lookups:
    """Says what an index knows of words.

    Args:
        kb: the index, or its path.
        names: type -> types of the index whose names serve it, as those of genes serve proteins; a type that it does
            not have is served by its own.
        nested: whether `found` has names inside longer ones too, which training needs to leave names out.

    Attributes:
        kb: the index.
        types: those that can be looked up.
    """

    def __init__(
        self,
        kb: KnowledgeBase | str | os.PathLike,
        names: Mapping[str, Sequence[str]] | None = None,
        *,
        nested: bool = False,
    ) -> None:
        self._dictionary = DictionaryTagger(kb)
        self.kb = self._dictionary.kb
        self._nested = nested
        self._number = number = {type: i for i, type in enumerate(self.kb.types)}
        serving = {type: [type] for type in self.kb.types} | dict(names or {})
        self._served = {
            type: there
            for type, others in serving.items()
            if (there := [number[other] for other in others if other in number])
        }
        self.types = tuple(self._served)
        self._known: Remembered[tuple[int, str, str], tuple[int, int]] = Remembered(_REMEMBERED)

    def check(self, types: Sequence[str]) -> None:
        """Raise VanerError where the index has names of none of the types."""
        if not set(types) & set(self.types):
            raise VanerError(
                f"{self.kb.path}: nothing to look up, for it has no name of {', '.join(sorted(types))}; it has "
                f"{', '.join(self.kb.types)}; build an index with vocabularies of these types"
            )

    def found(self, texts: Sequence[Text]) -> list[np.ndarray]:
        """What each text has of the index's names, whatever will be asked; the texts' own spans are not looked at.

        Returns:
            for each text int32 ``(names, 7)``, sorted: first word, one past the last word, number of the type in the
            index, kind, spelling, support, number of the name; for `codes`.
        """
        documents = [text.document for text in texts]
        nested = self._inside(documents) if self._nested else [[]] * len(texts)
        rows = []
        for text, has, inside in zip(
            texts, self._dictionary.matches(documents, held_back=True), nested, strict=True
        ):
            starts = [start for start, _ in text.offsets]
            ends = [end for _, end in text.offsets]
            known = set(has.matches)
            kinds = [
                *((match, _MATCH) for match in has.matches),
                *((match, _NESTED) for match in inside if match not in known),
                *((match, _HELD_BACK) for match in has.held_back),
                *((Match(*place, "", -1), _SHORT) for place in has.short_forms),
            ]
            found = [
                (
                    bisect_left(ends, match.start + 1),
                    bisect_left(starts, match.end),
                    self._number[match.type] if match.type else -1,
                    kind,
                    *(self._of_name(match, text.document.text) if match.type else (0, 0)),
                    match.number,
                )
                for match, kind in kinds
            ]
            rows.append(np.array(sorted(found), dtype=np.int32).reshape(-1, 7))
        return rows

    def _inside(self, documents: Sequence) -> list[list[Match]]:
        """All names of each document, those inside others too."""
        return self.kb.match([document.text for document in documents], all=True)

    def _of_name(self, match: Match, text: str) -> tuple[int, int]:
        """Spelling and support of a match."""
        key = match.number, match.type, text[match.start : match.end]
        known = self._known.now.get(key)
        if known is None:
            spelling = _SPELLINGS[self.kb.spells(match.number, key[2])]
            known = spelling, min(self.kb.support(match.number, match.type), 4)
            self._known.add({key: known})
        return known

    def codes(
        self,
        found: np.ndarray,
        types: Sequence[str],
        start: int,
        end: int,
        rng: np.random.Generator | None = None,
        left_out: LeftOut | None = None,
    ) -> np.ndarray:
        """What is said of each asked type at each word of a row.

        Args:
            found: of the row's text.
            types: the asked ones.
            start, end: word range of the row.
            rng: for training: draws what is left out.
            left_out: shares of that.

        Returns:
            uint8 ``(types, words, fields)``, in the order of FIELDS.
        """
        codes = np.zeros((len(types), end - start, len(FIELDS)), dtype=np.uint8)
        here = found[: np.searchsorted(found[:, _FIRST], end)]
        here = here[here[:, _LAST] > start]
        asked = [i for i, type in enumerate(types) if type in self._served]
        if rng is not None and left_out is not None:
            if rng.random() < left_out.rows:
                return codes
            coins = rng.random(len(types))
            asked = [i for i in asked if coins[i] >= left_out.types]
            here = _without(here, rng, left_out.names)
        # As plain tuples: a row has few names, and numpy would take longer over each.
        everything = here[here[:, _KIND] != _NESTED].tolist()
        short = [one[:2] for one in everything if one[_KIND] == _SHORT]
        names = [one for one in everything if one[_KIND] != _SHORT]
        all_asked = {number for i in asked for number in self._served[types[i]]}
        for i in asked:
            mine = self._served[types[i]]
            self._say(codes[i], names, short, mine, all_asked, start, end)
        return codes

    def by_names(self, found: np.ndarray, type: str, words: int) -> np.ndarray:
        """Log-probabilities for a type that the model does not know: what is a name of it is a mention of it.

        Args:
            found: of a text.
            type: the asked one.
            words: of the text.

        Returns:
            float32 ``(words, 3)`` for O, B, I; a name's tags have the probability TRUST.
        """
        codes = self.codes(found, [type], 0, words)[0]
        place = np.where(codes[:, _SURE] == 1, codes[:, _PLACE], _OUT)
        tags = np.select([np.isin(place, (_SINGLE, _BEGINS)), np.isin(place, (_INSIDE, _ENDS))], [B, I], O)
        scores = np.full((words, 3), np.log((1 - TRUST) / 2), dtype=np.float32)
        scores[np.arange(words), tags] = np.log(TRUST)
        return scores

    @staticmethod
    def _say(
        codes: np.ndarray,
        names: Sequence[Sequence[int]],
        short: Sequence[Sequence[int]],
        mine: Sequence[int],
        asked: set[int],
        start: int,
        end: int,
    ) -> None:
        """Fill in what is said of one type: ``codes`` is uint8 ``(words, fields)``."""
        codes[:, _PLACE] = _OUT
        for one in names:
            if one[_TYPE] not in mine and one[_KIND] == _MATCH:
                first, last = max(one[_FIRST], start) - start, min(one[_LAST], end) - start
                codes[first:last, _ELSEWHERE] = 2
                if one[_FIRST] >= start:
                    codes[first, _ELSEWHERE] = 1
        taken = bytearray(end - start)
        own = [one for one in names if one[_TYPE] in mine]
        # Matches before what is held back, the longest first.
        for one in sorted(own, key=lambda one: (one[_KIND], one[_FIRST] - one[_LAST], one[_FIRST])):
            first, last = max(one[_FIRST], start) - start, min(one[_LAST], end) - start
            if any(taken[first:last]):
                continue
            taken[first:last] = b"\1" * (last - first)
            others = {
                other[_TYPE]
                for other in names
                if other[:2] == one[:2] and other[_KIND] == _MATCH and other[_TYPE] not in mine
            }
            inside = codes[first:last]
            inside[:, _PLACE] = _INSIDE
            if one[_LAST] <= end:
                inside[-1, _PLACE] = _ENDS
            if one[_FIRST] >= start:
                inside[0, _PLACE] = _SINGLE if one[_LAST] - one[_FIRST] == 1 else _BEGINS
            inside[:, _LENGTH] = min(one[_LAST] - one[_FIRST], 5)
            inside[:, _SPELLING] = one[_SPELT]
            inside[:, _SUPPORT] = one[_KNOWN]
            inside[:, _SURE] = 1 if one[_KIND] == _MATCH else 2
            inside[:, _SHARED] = 1 if not others else 2 if others & asked else 3
            inside[:, _ELSEWHERE] = 0
        for one_start, one_end in short:
            first, last = max(one_start, start) - start, min(one_end, end) - start
            if first < last:
                there = codes[first:last]
                there[:, _SHORT_FORM] = np.where(there[:, _SURE] == 1, 1, 2)


def _without(found: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """The names without some, and with those that lay inside these; a name goes, or stays, wherever it occurs."""
    is_name = found[:, _KIND] != _SHORT
    names = np.unique(found[is_name, _NAME])
    gone = is_name & np.isin(found[:, _NAME], names[rng.random(len(names)) < share])
    kept = found[~gone]
    lost = found[gone & (found[:, _KIND] == _MATCH)].tolist()
    # What lies in none of these was no match before, for other reasons, and is none now.
    inside = [
        one
        for one in kept[kept[:, _KIND] == _NESTED].tolist()
        if any(_is_inside(one, other) for other in lost)
    ]
    raised: list[list[int]] = []
    for one in sorted(inside, key=lambda one: (one[_FIRST] - one[_LAST], one[_FIRST])):
        # The longest first, none of which overlap.
        if not any(
            one[_TYPE] == other[_TYPE] and other[_FIRST] < one[_LAST] and one[_FIRST] < other[_LAST]
            for other in raised
        ):
            raised.append([*one[:_KIND], _MATCH, *one[_KIND + 1 :]])
    if not raised:
        return kept
    both = np.concatenate([kept, np.array(raised, dtype=np.int32)])
    return both[np.lexsort((both[:, _LAST], both[:, _FIRST]))]


def _is_inside(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether a name is of another's type and a part of it."""
    return (
        one[_TYPE] == other[_TYPE]
        and other[_FIRST] <= one[_FIRST]
        and one[_LAST] <= other[_LAST]
        and one[_LAST] - one[_FIRST] < other[_LAST] - other[_FIRST]
    )
