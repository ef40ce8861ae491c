"""In: the terms of some vocabularies. Out: an index file, written whole or not at all.

What the file holds (N names, K keys, C concepts, W words; 32 bits where nothing else is said):

    bucket[]: leading bits of a key (the 64-bit hash of a normal form) --> where those keys begin, sorted, in
      key_low[K], key_middle[K] (32 and 16 bits): the rest of the key
      key_name[K]: the first of the names with that key
      key_types[K] --> key_masks[., 3]: types it may match as where the text has no capital, one, two or more
      prefixes[]: Bloom filter of the hashes of all beginnings of names, whole names among them
    names[N] (packed strings), name_flags[N], name_concept[N] --> concept, or a list of them in more_concepts
    concept_id (packed strings), concept_source, concept_types (--> concept_masks), concept_name[C]
    words[W] (64 bits, sorted) --> word_names[W + 1]: the names whose rarest word it is lie side by side
                               --> second_start[W + 1], second[]: the names whose second rarest word it is
      grams[G], gram_start[G + 1], gram_word[]: the words with each three-letter sequence

Names are sorted by (rarest word, key), so that "which names share this rare word" costs no list at all for the
rarest word, and one of four bytes a name for the second.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaner.errors import VanerError
from vaner.knowledge import store
from vaner.knowledge.arrays import bloom, buckets, distinct, ranges, trigrams
from vaner.knowledge.normalise import NORMAL_FORM, Words, join, normal_words, surface_keys
from vaner.knowledge.rules import CAPITALS, LAST, MUTED, Rules
from vaner.report import Report
from vaner.vocabularies.terms import Term

#: ``name_concept`` with this bit is a place in ``more_concepts``: a count, then that many concepts.
LISTED = 1 << 31

_BATCH = 1 << 16
_MAX_TYPES = 64


@dataclass
class _Vocabulary:
    """One source: how many terms it gave, and the number of its first concept."""

    description: Mapping[str, Any]
    terms: int = 0
    first_concept: int = 0


@dataclass
class _Rows:
    """One row per (name, concept) pair that was kept, in the order read."""

    key: list[np.ndarray] = field(default_factory=list)
    surface: list[np.ndarray] = field(default_factory=list)
    concept: list[np.ndarray] = field(default_factory=list)
    preferred: list[np.ndarray] = field(default_factory=list)
    flags: list[np.ndarray] = field(default_factory=list)
    text: list[bytes] = field(default_factory=list)
    length: list[np.ndarray] = field(default_factory=list)
    word: list[np.ndarray] = field(default_factory=list)
    words: list[np.ndarray] = field(default_factory=list)


class Compiler:
    """Collects terms, then writes the index.

    Args:
        rules: which names are junk, and which may be looked up but not matched in text.
        report: what was dropped or muted is counted there.
    """

    def __init__(self, rules: Rules, report: Report) -> None:
        self._rules, self._report = rules, report
        self._rows = _Rows()
        self._vocabularies: list[_Vocabulary] = []
        self._ids: list[str] = []
        self._concept_source: list[int] = []
        self._concept_types: list[int] = []
        self._types: dict[str, int] = {}
        self._masks: dict[tuple[str, ...], int] = {}
        self._prefixes: list[np.ndarray] = []
        self._lexicon = _Lexicon()
        self._pending: list[tuple[str, int, bool]] = []

    def add(self, description: Mapping[str, Any], terms: Iterable[Term]) -> None:
        """Read all terms of one vocabulary; ``description`` (name, licence, version, ...) is kept.

        Raises:
            VanerError: if it has no term, or there are more than 64 entity types.
        """
        vocabulary = _Vocabulary(description, first_concept=len(self._ids))
        self._vocabularies.append(vocabulary)
        concepts: dict[tuple[str, int] | str, int] = {}
        clean, masks = self._rules.clean, self._masks
        pending = self._pending
        for term in terms:
            vocabulary.terms += 1
            mask = masks.get(term.types)
            if mask is None:
                mask = self._mask(term.types)
            # Names without an id share one concept per set of types.
            identity = term.id or ("", mask)
            concept = concepts.get(identity)
            if concept is None:
                concept = concepts[identity] = len(self._ids)
                self._ids.append(term.id)
                self._concept_source.append(len(self._vocabularies) - 1)
                self._concept_types.append(mask)
            elif self._concept_types[concept] != mask:
                self._concept_types[concept] |= mask
            for name, is_preferred in clean(term.name, term.preferred):
                pending.append((name, concept, is_preferred))
            if len(pending) >= _BATCH:
                self._flush()
        self._flush()
        if not vocabulary.terms:
            raise VanerError(f"{description['name']}: no name was read; check its files, filters and types")

    def _mask(self, types: tuple[str, ...]) -> int:
        mask = 0
        for name in types:
            bit = self._types.setdefault(name, len(self._types))
            if bit >= _MAX_TYPES:
                raise VanerError(f"more than {_MAX_TYPES} entity types; map some of them together")
            mask |= 1 << bit
        self._masks[types] = mask
        return mask

    def _flush(self) -> None:
        """Normalise the pending names and keep what the index needs of them."""
        if not self._pending:
            return
        names: Sequence[str]
        names, concepts, preferred = zip(*self._pending, strict=True)
        self._pending.clear()
        joined, starts = join(names)
        words = normal_words(joined)
        first = np.searchsorted(words.start, starts[:-1])
        count = np.searchsorted(words.start, starts[1:] - 1) - first
        usable = self._rules.usable(names, words, first, count, self._report)
        if not usable.any():
            return
        names = [names[i] for i in np.flatnonzero(usable).tolist()]
        first, count = first[usable], count[usable]
        key = words.keys(first, count)
        rows = self._rows
        rows.key.append(key)
        rows.surface.append(surface_keys(names))
        rows.concept.append(np.array(concepts, np.uint32)[usable])
        rows.preferred.append(np.array(preferred, bool)[usable])
        types = [self._concept_types[i] for i in rows.concept[-1]]
        flags = self._rules.flags(names, key, types, self._types, words, first, count, self._report)
        rows.flags.append(flags)
        encoded = [name.encode("utf-8", "replace") for name in names]
        rows.text.append(b"".join(encoded))
        rows.length.append(np.array([len(e) for e in encoded], np.uint32))
        prefixes = [words.keys(first[count > n], n) for n in range(1, int(count.max(initial=1)))]
        self._prefixes.append(distinct(np.concatenate([*prefixes, key])))
        self._lexicon.add(words)
        lexical = words.lexical
        before = np.concatenate([[0], np.cumsum(lexical)])
        rows.words.append((before[first + count] - before[first]).astype(np.uint16))
        inside = ranges(first, count)
        rows.word.append(words.hash[inside[lexical[inside]]])

    def write(self, path: str | os.PathLike) -> dict[str, Any]:
        """Write the index; returns its description (also stored in it).

        Raises:
            VanerError: if no name is left, or there are more names or sets of types than an index holds.
        """
        rows = self._rows
        if not rows.key:
            raise VanerError(f"{path}: no name is left to write; check the sources, types and rules")
        key = np.concatenate(rows.key)
        surface = np.concatenate(rows.surface)
        concept = np.concatenate(rows.concept)
        for written in (rows.key, rows.surface, rows.concept):
            written.clear()

        word_hash, word_count, gram_arrays = self._lexicon.arrays(rows.word)
        rarest, second = _rare_words(rows.word, rows.words, word_hash, word_count)
        rows.word.clear()
        rows.words.clear()

        order = np.lexsort((concept, surface, key, rarest))
        key, surface, concept, rarest = key[order], surface[order], concept[order], rarest[order]
        new_key = np.append(True, key[1:] != key[:-1])
        new_name = new_key | np.append(True, surface[1:] != surface[:-1])
        new_row = new_name | np.append(True, concept[1:] != concept[:-1])
        first_row = np.flatnonzero(new_name)
        names = len(first_row)
        name_of_row = np.cumsum(new_name) - 1
        if names >= LISTED:
            raise VanerError(f"{path}: {names} names; an index holds {LISTED - 1} at most, so split it")

        flags_of_row = np.concatenate(rows.flags)[order]
        preferred = np.concatenate(rows.preferred)[order]
        # A name is muted only if it is so for every concept of it; the capitals are those of its spelling.
        flags = np.bitwise_and.reduceat(flags_of_row, first_row)
        flags |= np.where(np.append(new_key[first_row][1:], True), LAST, 0).astype(np.uint8)

        masks = np.array(self._concept_types, np.uint64)
        row_mask = np.where(flags_of_row & MUTED, np.uint64(0), masks[concept])
        needed = (flags_of_row & CAPITALS) >> 2
        first_of_key = np.flatnonzero(new_key)
        # The types that a key may match as where the text has no capital, one, or two and more.
        by_capitals = [
            np.bitwise_or.reduceat(np.where(needed <= capitals, row_mask, np.uint64(0)), first_of_key)
            for capitals in range(3)
        ]
        key_masks, key_types = np.unique(np.stack(by_capitals, axis=1), axis=0, return_inverse=True)
        concept_masks, concept_types = np.unique(masks, return_inverse=True)
        if max(len(key_masks), len(concept_masks)) > 1 << 16:
            raise VanerError(f"{path}: over 65,536 combinations of types; use fewer types")
        del row_mask, needed, by_capitals, flags_of_row

        name_concept, more = _postings(concept[new_row], name_of_row[new_row], names)
        concept_name = _preferred_names(concept, name_of_row, preferred, order, len(self._ids))
        packed, offsets = _pack_names(rows, order[first_row])

        keys = key[first_of_key]
        by_hash = np.argsort(keys)
        keys = keys[by_hash]
        arrays = {
            "key_low": (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32),
            "key_middle": ((keys >> np.uint64(32)) & np.uint64(0xFFFF)).astype(np.uint16),
            "key_name": name_of_row[first_of_key].astype(np.uint32)[by_hash],
            "key_types": key_types.reshape(-1)[by_hash].astype(np.uint16),
            "key_masks": key_masks,
            "bucket": buckets(keys),
            "prefixes": bloom(self._prefixes),
            "names": packed,
            "name_block": offsets,
            "name_flags": flags,
            "name_concept": name_concept,
            "more_concepts": more,
            **_pack_ids(self._ids),
            "concept_source": np.array(self._concept_source, np.uint16),
            "concept_types": concept_types.astype(np.uint16),
            "concept_masks": concept_masks,
            "concept_name": concept_name,
            "words": word_hash,
            "word_count": word_count,
            "word_names": np.searchsorted(rarest[first_row], np.arange(len(word_hash) + 1)).astype(np.uint32),
            **_second_words(second[order[first_row]], len(word_hash)),
            **gram_arrays,
        }
        description = {
            "normal_form": NORMAL_FORM,
            "types": list(self._types),
            "names": names,
            "keys": len(keys),
            "concepts": len(self._ids),
            "vocabularies": [
                {**v.description, "terms": v.terms, "concepts": after - v.first_concept}
                for v, after in zip(
                    self._vocabularies,
                    [v.first_concept for v in self._vocabularies[1:]] + [len(self._ids)],
                    strict=True,
                )
            ],
            "rules": self._rules.description,
            "counts": dict(sorted(self._report.counts.items())),
        }
        store.write(path, arrays, description)
        return description


class _Lexicon:
    """The distinct words of all names: how many names have each, and their three-letter sequences."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._hashes: list[int] = []
        self._words: list[str] = []

    def add(self, words: Words) -> None:
        lexical = np.flatnonzero(words.lexical)
        hashes, at = np.unique(words.hash[lexical], return_index=True)
        seen = self._seen
        for hashed, word in zip(hashes.tolist(), lexical[at].tolist(), strict=True):
            if hashed not in seen:
                seen.add(hashed)
                self._hashes.append(hashed)
                self._words.append(words.normal(word))

    def arrays(self, occurrences: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Sorted hashes, number of names with each, and the table from three letters to words."""
        self._seen.clear()
        hashes = np.array(self._hashes, np.uint64)
        order = np.argsort(hashes)
        hashes = hashes[order]
        count = np.zeros(len(hashes), np.int64)
        for part in occurrences:
            count += np.bincount(np.searchsorted(hashes, part), minlength=len(hashes))
        texts = [self._words[i] for i in order]
        self._words.clear()
        self._hashes.clear()
        word, gram = trigrams(texts)
        sizes = np.bincount(word, minlength=len(texts))
        by_gram = np.argsort(gram, kind="stable")
        grams, first = np.unique(gram[by_gram], return_index=True)
        table = {
            "grams": grams,
            "gram_start": np.append(first, len(gram)).astype(np.uint32),
            "gram_word": word[by_gram].astype(np.uint32),
            "word_grams": np.minimum(sizes, 255).astype(np.uint8),
        }
        return hashes, count.astype(np.uint32), table


def _rare_words(
    occurrences: list[np.ndarray], per_name: list[np.ndarray], hashes: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each row its rarest word and its second rarest other word; ``len(hashes)`` where there is none."""
    none = len(hashes)
    rarest, second = [], []
    for words, number in zip(occurrences, per_name, strict=True):
        ids = np.searchsorted(hashes, words).astype(np.int64)
        # Rarity first, then the id, in one number that sorts that way.
        rank = (count[ids].astype(np.int64) << 32) | ids if len(ids) else ids
        has = number > 0
        first = np.cumsum(number, dtype=np.int64)[has] - number[has]
        top = np.full(len(number), none, np.uint32)
        next_ = np.full(len(number), none, np.uint32)
        if len(first):
            best = np.minimum.reduceat(rank, first)
            top[has] = best & 0xFFFFFFFF
            rank = np.where(rank == np.repeat(best, number[has]), np.iinfo(np.int64).max, rank)
            other = np.minimum.reduceat(rank, first)
            next_[has] = np.where(other == np.iinfo(np.int64).max, none, other & 0xFFFFFFFF)
        rarest.append(top)
        second.append(next_)
    return np.concatenate(rarest), np.concatenate(second)


def _second_words(second: np.ndarray, words: int) -> dict[str, np.ndarray]:
    order = np.argsort(second, kind="stable")
    start = np.searchsorted(second[order], np.arange(words + 1))
    return {"second_start": start.astype(np.uint32), "second": order[: start[-1]].astype(np.uint32)}


def _postings(concept: np.ndarray, name: np.ndarray, names: int) -> tuple[np.ndarray, np.ndarray]:
    """One concept a name, or the place of its list."""
    number = np.bincount(name, minlength=names)
    first = np.cumsum(number) - number
    listed = number > 1
    out = concept[first].astype(np.uint32)
    sizes = number[listed]
    place = np.cumsum(sizes + 1) - (sizes + 1)
    more = np.empty(int(sizes.sum() + len(sizes)), np.uint32)
    more[place] = sizes
    more[ranges(place + 1, sizes)] = concept[ranges(first[listed], sizes)]
    out[listed] = place.astype(np.uint32) | np.uint32(LISTED)
    return out, more


def _preferred_names(
    concept: np.ndarray, name: np.ndarray, preferred: np.ndarray, read: np.ndarray, concepts: int
) -> np.ndarray:
    """Each concept's preferred name: the first marked so, else the first read; ``2**32 - 1`` if none is left."""
    out = np.full(concepts, 0xFFFFFFFF, np.uint32)
    order = np.lexsort((read, ~preferred, concept))
    first = order[np.append(True, concept[order][1:] != concept[order][:-1])]
    out[concept[first]] = name[first]
    return out


def _pack_names(rows: _Rows, read: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The names in their final order, packed; ``read`` is the row where each was read."""
    text = b"".join(rows.text)
    rows.text.clear()
    ends = np.cumsum(np.concatenate(rows.length), dtype=np.int64)
    starts = ends - np.concatenate(rows.length)
    return _pack(
        [text[a:b] for a, b in zip(starts[part].tolist(), ends[part].tolist(), strict=True)]
        for part in np.array_split(read, max(1, len(read) // _BATCH))
    )


def _pack_ids(ids: list[str]) -> dict[str, np.ndarray]:
    packed, offsets = _pack(
        [i.encode("utf-8", "replace") for i in ids[at : at + _BATCH]] for at in range(0, len(ids), _BATCH)
    )
    return {"concept_id": packed, "concept_id_block": offsets}


def _pack(parts: Iterator[list[bytes]]) -> tuple[np.ndarray, np.ndarray]:
    """Pack strings that come in parts of any size."""
    blocks: list[bytes] = []
    left: list[bytes] = []
    step = store.Strings.BLOCK
    for part in parts:
        left += part
        whole = len(left) // step * step
        blocks += store.pack(left[:whole])
        left = left[whole:]
    blocks += store.pack(left)
    offsets = np.zeros(len(blocks) + 1, np.uint64)
    np.cumsum([len(b) for b in blocks], out=offsets[1:])
    return np.frombuffer(b"".join(blocks), np.uint8), offsets
