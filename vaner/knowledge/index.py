"""In: an index file. Out: KnowledgeBase, which finds names, by lookup, in text, or like a mention."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaner.errors import FormatError, VanerError
from vaner.knowledge.arrays import ranges
from vaner.knowledge.compile import LISTED, Compiler
from vaner.knowledge.match import Finder, Match
from vaner.knowledge.normalise import NORMAL_FORM, OLDER_FORMS, normal_words
from vaner.knowledge.rules import CAPITALS, LAST, MUTED, Rules
from vaner.knowledge.similar import Similar
from vaner.knowledge.store import Store, Strings
from vaner.report import Report
from vaner.vocabularies.terms import Term

log = logging.getLogger(__name__)

_NO_NAME = 0xFFFFFFFF


@dataclass(frozen=True)
class Entry:
    """A concept as the knowledge base has it.

    Attributes:
        id: as its vocabulary writes it, ``""`` for names without ids.
        source: the vocabulary.
        types: canonical types.
        preferred_name: of the concept.
        number: its number in this index.
    """

    id: str
    source: str
    types: tuple[str, ...]
    preferred_name: str
    number: int


@dataclass(frozen=True)
class Name:
    """A name and every concept that has it.

    Attributes:
        text: as the vocabulary writes it.
        concepts: at least one; several where the name is ambiguous.
        muted: whether it is kept out of text matching and training (a number, an English word, ...).
        capitals: how many capitals (0, 1 or 2) a text must have to match it.
        number: its number in this index.
    """

    text: str
    concepts: tuple[Entry, ...]
    muted: bool
    capitals: int
    number: int

    @property
    def types(self) -> tuple[str, ...]:
        """Canonical types of all its concepts."""
        return tuple(dict.fromkeys(t for concept in self.concepts for t in concept.types))


class KnowledgeBase:
    """A compiled index of names, read-only and memory-mapped.

    Any number of processes may have it open; they share the pages. Pickling it gives the path, so that worker
    processes open it for themselves.

    Args:
        path: file made by ``python -m vaner kb build``.

    Raises:
        FormatError: if it is no index, of another version, cut short or damaged in its header.

    Attributes:
        types: canonical types, in the order of their bits.
        description: counts, vocabularies with licence and version, rules.
        fingerprint: hash of what the index holds, the same wherever it lies.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._store = Store(path)
        self.path = self._store.path
        self.fingerprint: str = self._store.fingerprint
        self.description: dict[str, Any] = self._store.description
        form = self.description["normal_form"]
        if form in OLDER_FORMS:
            log.warning(
                "%s: built by an earlier version; its names with quotes, raised signs, trade marks or ligatures may be "
                "missed until it is built again (python -m vaner kb build)",
                path,
            )
        elif form != NORMAL_FORM:
            raise FormatError(
                f"{path}: its names were normalised by version {form}, this program uses {NORMAL_FORM}; build it again"
            )
        self._arrays = arrays = self._store.arrays
        self.types: tuple[str, ...] = tuple(self.description["types"])
        self._bits = {name: bit for bit, name in enumerate(self.types)}
        self._sources = [v["name"] for v in self.description["vocabularies"]]
        names, concepts = self.description["names"], self.description["concepts"]
        self._names = Strings(self.path, arrays["names"], arrays["name_block"], names)
        self._ids = Strings(self.path, arrays["concept_id"], arrays["concept_id_block"], concepts)
        self._finder = Finder(arrays)
        self._similar = Similar(arrays, self._names, self._masks_of)

    def __reduce__(self) -> tuple[type[KnowledgeBase], tuple[str]]:
        return (KnowledgeBase, (os.fspath(self.path),))

    def __len__(self) -> int:
        """Number of distinct names."""
        return self.description["names"]

    def verify(self) -> None:
        """Read the whole file and compare it with its checksums; FormatError if a part is damaged."""
        self._store.verify()

    def sizes(self) -> dict[str, int]:
        """Bytes of each part of the file."""
        return self._store.sizes()

    # --- names and concepts by number ---

    def entry(self, number: int) -> Entry:
        """The concept with this number."""
        arrays = self._arrays
        name = int(arrays["concept_name"][number])
        return Entry(
            id=self._ids[number],
            source=self._sources[arrays["concept_source"][number]],
            types=self._names_of(self._concept_mask(number)),
            preferred_name="" if name == _NO_NAME else self._names[name],
            number=number,
        )

    def name(self, number: int) -> Name:
        """The name with this number, ``0 <= number < len(self)``."""
        flags = int(self._arrays["name_flags"][number])
        return Name(
            text=self._names[number],
            concepts=tuple(self.entry(concept) for concept in self.concepts_of(number)),
            muted=bool(flags & MUTED),
            capitals=(flags & CAPITALS) >> 2,
            number=number,
        )

    def text(self, number: int) -> str:
        """The name with this number, without its concepts."""
        return self._names[number]

    def concepts_of(self, number: int) -> list[int]:
        """Numbers of the concepts of a name."""
        place = int(self._arrays["name_concept"][number])
        if not place & LISTED:
            return [place]
        place &= LISTED - 1
        more = self._arrays["more_concepts"]
        return more[place + 1 : place + 1 + int(more[place])].tolist()

    def _concept_mask(self, number: int) -> int:
        return int(self._arrays["concept_masks"][self._arrays["concept_types"][number]])

    def _names_of(self, mask: int) -> tuple[str, ...]:
        return tuple(name for bit, name in enumerate(self.types) if mask >> bit & 1)

    def check_sources(self, names: Collection[str] | None) -> None:
        """Raise VanerError if one of the vocabularies is not in this index."""
        missing = [name for name in names or () if name not in self._sources]
        if missing:
            raise VanerError(
                f"{self.path}: no vocabulary {', '.join(missing)}; it has {', '.join(self._sources)}"
            )

    def mask(self, types: Collection[str] | None) -> int:
        """Bits of the canonical types; all of them for None.

        Raises:
            VanerError: if one of the types has no name in this index.
        """
        if types is None:
            return (1 << len(self.types)) - 1
        missing = [name for name in types if name not in self._bits]
        if missing:
            raise VanerError(
                f"{self.path}: it has no name of type {', '.join(missing)}; it has {', '.join(self.types)}"
            )
        return sum(1 << self._bits[name] for name in set(types))

    # --- all names of a type ---

    def name_numbers(self, type: str | None = None) -> np.ndarray:
        """Numbers of the names of a canonical type (any of its concepts), muted ones left out.

        Args:
            type: canonical type, None for all.

        Returns:
            sorted, shape ``(count,)``.

        Raises:
            VanerError: if the index has no name of the type.
        """
        mask = np.uint64(self.mask(None if type is None else [type]))
        return np.flatnonzero(self._masks_of(np.arange(len(self))) & mask)

    def _masks_of(self, numbers: np.ndarray, *, muted: bool = False) -> np.ndarray:
        """Bits of the types of names, none for muted ones unless these are wanted too; shape of ``numbers``."""
        arrays = self._arrays
        by_types, types_of = arrays["concept_masks"], arrays["concept_types"]
        place = arrays["name_concept"][numbers]
        listed = np.flatnonzero(place & np.uint32(LISTED))
        masks = np.zeros(len(numbers), np.uint64)
        single = (place & np.uint32(LISTED)) == 0
        masks[single] = by_types[types_of[place[single]]]
        if len(listed):
            more = arrays["more_concepts"]
            start = (place[listed] & np.uint32(LISTED - 1)).astype(np.int64)
            count = more[start].astype(np.int64)
            masks[listed] = np.bitwise_or.reduceat(
                by_types[types_of[more[ranges(start + 1, count)]]], np.cumsum(count) - count
            )
        if not muted:
            masks[(arrays["name_flags"][numbers] & MUTED) > 0] = 0
        return masks

    def names(self, type: str | None = None) -> Iterator[Name]:
        """The names of a canonical type, muted ones left out; see ``name_numbers``."""
        for number in self.name_numbers(type):
            yield self.name(int(number))

    def counts(self) -> dict[str, int]:
        """Names that can be matched, for each canonical type."""
        masks = self._masks_of(np.arange(len(self)))
        return {name: int(np.count_nonzero(masks & np.uint64(1 << bit))) for name, bit in self._bits.items()}

    # --- lookup ---

    def lookup(self, name: str) -> list[Name]:
        """The names with the normal form of ``name``, muted ones too, those spelt the same first."""
        words = normal_words(name)
        if not len(words):
            return []
        slot = self._finder.slots(words.keys(np.array([0]), len(words)))[0]
        if slot < 0:
            return []
        number = int(self._arrays["key_name"][slot])
        found = [self.name(number)]
        while not self._arrays["name_flags"][number] & LAST:
            number += 1
            found.append(self.name(number))
        return sorted(found, key=lambda n: n.text != name)

    # --- in text ---

    def match(
        self, texts: Sequence[str], types: Collection[str] | None = None, *, all: bool = False
    ) -> list[list[Match]]:
        """The names that occur in each text.

        Every name at word boundaries is a candidate, overlapping ones too; then, for each canonical type by
        itself, the longest are kept and what overlaps them is dropped. What is found of one type therefore does
        not depend on which others are asked for.

        Args:
            texts: any texts; no name reaches from one to the next or over an empty line.
            types: canonical types, None for all.
            all: keep the overlapping candidates as well.

        Returns:
            for each text its matches, sorted by (start, end, type).

        Raises:
            VanerError: if the index has no name of a type asked for.
        """
        return self._finder.match(texts, self.mask(types), self.types, all)

    def held_back(self, texts: Sequence[str], types: Collection[str] | None = None) -> list[list[Match]]:
        """The names that occur in each text but do not match: muted ones, and acronyms in small letters.

        Args:
            texts, types: as of `match`.

        Returns:
            for each text the longest ones of each type, sorted by (start, end, type).

        Raises:
            VanerError: if the index has no name of a type asked for.
        """

        def all_types(slots: np.ndarray) -> np.ndarray:
            return self._masks_of(self._arrays["key_name"][slots].astype(np.int64), muted=True)

        return self._finder.match(texts, self.mask(types), self.types, False, all_types)

    def spells(self, number: int, text: str) -> str:
        """How a text is spelt that matches the names from this number on: ``exact``, ``capitals`` or ``folded``.

        Args:
            number: of a match.
            text: what it covers.

        Returns:
            ``exact`` where one of these names is spelt so, ``capitals`` where one differs by these alone, else
            ``folded``.
        """
        spelling, lower = "folded", text.lower()
        while True:
            name = self._names[number]
            if name == text:
                return "exact"
            if name.lower() == lower:
                spelling = "capitals"
            if self._arrays["name_flags"][number] & LAST:
                return spelling
            number += 1

    def support(self, number: int, type: str) -> int:
        """How many vocabularies have a matched name as one of a type.

        Args:
            number: of a match: the first of the names with its normal form.
            type: canonical type.
        """
        wanted, found = self.mask([type]), set()
        while True:
            for concept in self.concepts_of(number):
                if self._concept_mask(concept) & wanted:
                    found.add(int(self._arrays["concept_source"][concept]))
            if self._arrays["name_flags"][number] & LAST:
                return len(found)
            number += 1

    # --- names like a mention ---

    def related(
        self, mention: str, types: Collection[str] | None = None, *, limit: int = 20, least: float = 0.0
    ) -> list[tuple[int, float]]:
        """Names that share a rare word with a mention, or a word spelt alike, most similar first.

        Candidates are the names whose rarest or second rarest word is, or shares most three-letter sequences
        with, a word of the mention. They are ranked by the Dice coefficient of the three-letter sequences of
        the normal forms. Muted names are left out.

        Args:
            mention: any text.
            types: canonical types, None for all.
            limit: how many at most.
            least: similarity below which names are left out, in [0, 1].

        Returns:
            ``(number of the name, similarity)``, names with the mention's own normal form included.
        """
        ((found,),) = self.related_all([mention], [(types, limit)], least=least)
        return found

    def related_all(
        self,
        mentions: Sequence[str],
        wanted: Sequence[tuple[Collection[str] | None, int]],
        *,
        least: float = 0.0,
    ) -> list[list[list[tuple[int, float]]]]:
        """`related` of each mention, much faster for many: what their candidates share is read once.

        Args:
            mentions: any texts.
            wanted: ``(types, limit)`` pairs.
            least: as for `related`.

        Returns:
            for each mention and each of ``wanted`` what `related` gives.
        """
        queries = [(self.mask(types), limit) for types, limit in wanted]
        return self._similar.related(mentions, queries, least)


def build(
    path: str | os.PathLike,
    vocabularies: Iterable[tuple[Mapping[str, Any], Iterable[Term]]],
    rules: Rules,
    report: Report,
) -> KnowledgeBase:
    """Compile vocabularies into an index and open it.

    Args:
        path: where the index goes; it appears when it is complete.
        vocabularies: ``(description, terms)`` of each: a dict with at least ``name``, and an iterable of Term.
        rules: for junk names.
        report: what was dropped or muted is counted there.

    Raises:
        VanerError: if a vocabulary, or all of them, leave no name.
    """
    compiler = Compiler(rules, report)
    for description, terms in vocabularies:
        compiler.add(description, terms)
    compiler.write(path)
    return KnowledgeBase(path)
