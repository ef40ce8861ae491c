"""In: an index file. Out: KnowledgeBase, which finds names, by lookup, in text, or like a mention."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaner.errors import FormatError, VanerError
from vaner.knowledge.compile import LISTED, Compiler, trigrams
from vaner.knowledge.match import Finder, Match
from vaner.knowledge.normalise import NORMAL_FORM, normal_words, normalise_all
from vaner.knowledge.rules import CAPITALS, LAST, MUTED
from vaner.knowledge.store import Store, Strings

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
        number: its number in this index.
    """

    text: str
    concepts: tuple[Entry, ...]
    muted: bool
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
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._store = Store(path)
        self.path = self._store.path
        self.description: dict[str, Any] = self._store.description
        if self.description["normal_form"] != NORMAL_FORM:
            raise FormatError(
                f"{path}: its names were normalised by version {self.description['normal_form']}, this program "
                f"uses {NORMAL_FORM}; build it again"
            )
        self._arrays = arrays = self._store.arrays
        self.types: tuple[str, ...] = tuple(self.description["types"])
        self._bits = {name: bit for bit, name in enumerate(self.types)}
        self._sources = [v["name"] for v in self.description["vocabularies"]]
        self._names = Strings(arrays["names"], arrays["name_block"], self.description["names"])
        self._ids = Strings(arrays["concept_id"], arrays["concept_id_block"], self.description["concepts"])
        self._finder = Finder(arrays)

    def __reduce__(self) -> tuple:
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
        return Name(
            text=self._names[number],
            concepts=tuple(self.entry(concept) for concept in self.concepts_of(number)),
            muted=bool(self._arrays["name_flags"][number] & MUTED),
            number=number,
        )

    def text(self, number: int) -> str:
        """The name with this number, without its concepts."""
        return self._names[number]

    def capitals_needed(self, number: int) -> int:
        """How many capitals (0, 1 or 2) a text must have to match this name."""
        return int(self._arrays["name_flags"][number] & CAPITALS) >> 2

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
        return np.flatnonzero(self._name_masks() & mask)

    def _name_masks(self) -> np.ndarray:
        """Bits of the types of each name, none for muted ones, shape ``(len(self),)``."""
        arrays = self._arrays
        of_concept = arrays["concept_masks"][arrays["concept_types"]]
        place = arrays["name_concept"]
        listed = np.flatnonzero(place & np.uint32(LISTED))
        masks = np.zeros(len(self), np.uint64)
        single = (place & np.uint32(LISTED)) == 0
        masks[single] = of_concept[place[single]]
        if len(listed):
            more = arrays["more_concepts"]
            start = (place[listed] & np.uint32(LISTED - 1)).astype(np.int64)
            count = more[start].astype(np.int64)
            ends = np.cumsum(count)
            members = np.arange(ends[-1]) + np.repeat(start + 1 - (ends - count), count)
            masks[listed] = np.bitwise_or.reduceat(of_concept[more[members]], ends - count)
        masks[(arrays["name_flags"] & MUTED) > 0] = 0
        return masks

    def names(self, type: str | None = None) -> Iterator[Name]:
        """The names of a canonical type, muted ones left out; see ``name_numbers``."""
        for number in self.name_numbers(type):
            yield self.name(int(number))

    def counts(self) -> dict[str, int]:
        """Names that can be matched, for each canonical type."""
        masks = self._name_masks()
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

    def names_at(self, match: Match) -> list[Name]:
        """The names that a match stands for: those of its key that have its type."""
        number = match.number
        found = []
        while True:
            name = self.name(number)
            if match.type in name.types:
                found.append(name)
            if self._arrays["name_flags"][number] & LAST:
                return found
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
        mask = self.mask(types)
        arrays = self._arrays
        candidates: dict[int, None] = {}
        for word in self._similar_words(mention):
            start, end = (int(x) for x in arrays["word_names"][word : word + 2])
            candidates.update(dict.fromkeys(range(start, min(end, start + _PER_WORD))))
            start, end = (int(x) for x in arrays["second_start"][word : word + 2])
            candidates.update(dict.fromkeys(arrays["second"][start : min(end, start + _PER_WORD)].tolist()))
            if len(candidates) >= _CANDIDATES:
                break
        wanted = sorted([n for n in candidates if self._is_wanted(n, mask)][:_CANDIDATES])
        if not wanted:
            return []
        normal, *forms = normalise_all([mention, *(self._names[n] for n in wanted)])
        similarity = dice(normal, forms)
        ranked = sorted(zip(wanted, similarity.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
        return [(n, s) for n, s in ranked if s >= least][:limit]

    def _is_wanted(self, number: int, mask: int) -> bool:
        arrays = self._arrays
        if arrays["name_flags"][number] & MUTED:
            return False
        return any(self._concept_mask(c) & mask for c in self.concepts_of(number))

    def _similar_words(self, mention: str) -> list[int]:
        """Words of the index that are, or are spelt like, a word of the mention; rarest first."""
        arrays = self._arrays
        words = normal_words(mention)
        lexical = np.flatnonzero(words.lexical)
        found: dict[int, int] = {}
        for at in dict.fromkeys(lexical.tolist()):
            exact = int(np.searchsorted(arrays["words"], words.hash[at]))
            if exact < len(arrays["words"]) and arrays["words"][exact] == words.hash[at]:
                found[exact] = int(arrays["word_count"][exact])
            elif words.size[at] >= _SHORTEST_FUZZY:
                for near in self._words_like(words.normal(at)):
                    found[near] = int(arrays["word_count"][near])
        return sorted(found, key=lambda w: (found[w], w))

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


_PER_WORD = 500
_CANDIDATES = 2_000
_SHORTEST_FUZZY = 5
_WORDS_LIKE = 10
_WORD_SIMILARITY = 0.6


def dice(form: str, others: Sequence[str]) -> np.ndarray:
    """Dice coefficients of the three-letter sequences of a normal form and of others, shape ``(len(others),)``."""
    owner, grams = trigrams([form, *others])
    sizes = np.bincount(owner, minlength=len(others) + 1)
    own = grams[owner == 0]
    shared = np.bincount(owner[np.isin(grams, own)], minlength=len(others) + 1)
    return (2 * shared[1:]) / np.maximum(1, sizes[1:] + sizes[0])


def build(path: str | os.PathLike, vocabularies: Iterable, rules: Any, report: Any) -> KnowledgeBase:
    """Compile vocabularies into an index and open it.

    Args:
        path: where the index goes; it appears when it is complete.
        vocabularies: ``(description, terms)`` of each: a dict with at least ``name``, and an iterable of Term.
        rules: Rules for junk names.
        report: object with ``counts`` and ``warn(kind, message)``.

    Raises:
        VanerError: if a vocabulary, or all of them, leave no name.
    """
    compiler = Compiler(rules, report)
    for description, terms in vocabularies:
        compiler.add(description, terms)
    compiler.write(path)
    return KnowledgeBase(path)
