"""In: an index and training Texts; then units of them. Out: rows of names related to each unit: words and labels.

Dense recognition (VANER: Bian et al. 2024, arXiv:2404.17835) teaches names that the corpora do not have. The dataset
is not named in these rows.

    unit       ... a woman with breast cancer was given tamoxifen ...         asked: Disease

    names      Tamoxifen  Breast Neoplasms  carcinoma of the breast  toremifene
               O          B      I          B         I  I   I       O

    frames     Tamoxifen inhibits ESR1 . Two had a history of carcinoma of the breast .
               O         O        O    O O   O   O O       O  B         I  I   I      O

    replaced   ... a woman with carcinoma of the breast was given tamoxifen ...
                                B         I  I   I

Which names are related to a sentence is found once; which of them make up a row is drawn anew every time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from vaner.document import Document
from vaner.errors import VanerError
from vaner.inputs.features import Window
from vaner.knowledge import KnowledgeBase
from vaner.knowledge.rules import turned
from vaner.progress import progress
from vaner.text.segment import words
from vaner.text.tags import IGNORED, B, I, O
from vaner.text.units import Text
from vaner.training.frames import Frames, read_frames
from vaner.training.leakage import keys_by_type, keys_of
from vaner.training.related import related_names
from vaner.training.texts import Texts

STYLES = ("names", "replacement", "both", "frames")


_NOTHING = np.uint64(0)


@dataclass(frozen=True)
class Example:
    """A row with words of its own.

    Attributes:
        types: the asked types.
        words: at least one.
        labels: for each asked type O, B, I or IGNORED of every word.
        dataset: as the instruction names it; None in rows of names.
    """

    types: tuple[str, ...]
    words: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    dataset: str | None = None


class RelatedNames:
    """Names related to every training sentence, and rows drawn from them.

    A sentence's names are those that occur in it, and, for each of its gold mentions, names that share a rare
    word or are spelt alike, of the mention's type and of other types (`KnowledgeBase.related`).

    Args:
        kb: the index; not needed any more once this is built.
        texts: of every source the training Texts.
        dropped: keys of names that must not be drawn (`vaner.training.leakage`).
        style: ``names`` (names one after the other), ``replacement`` (a unit whose gold mentions are replaced by
            names of their type), ``both``, half of each, or ``frames`` (names in sentences of `vaner.training.frames`).
        ratio: rows for every real row.
        asked: at most so many names of the asked types in a row, shared out evenly among the types.
        others: at most so many names of other types.
        max_words: a row of names ends before it is longer, unless a single name is.
        cache: folder that keeps which names are related, so that they are looked for once for the same index and
            texts: by one of several processes, or before a run is taken up again. None keeps nothing.

    Attributes:
        without_names: types that the texts annotate and the index has no name of; never asked in these rows.
        without_candidates: sentences that no name is related to.
        sentences: all of them.

    Raises:
        VanerError: a wrong style or number, or an index that has no name to offer.
    """

    def __init__(
        self,
        kb: KnowledgeBase,
        texts: Sequence[Sequence[Text]],
        *,
        dropped: Collection[int] = frozenset(),
        style: str = "names",
        ratio: float = 0.25,
        asked: int = 10,
        others: int = 5,
        max_words: int = 96,
        cache: Path | None = None,
    ) -> None:
        if style not in STYLES:
            raise VanerError(f"--kb_style {style}: choose {', '.join(STYLES)}")
        self.style, self.ratio, self.asked, self.others = style, ratio, asked, others
        self.max_words = max_words
        self._texts = [one if isinstance(one, Texts) else Texts.of(one, ()) for one in texts]
        self._names: list[str] = []
        self._bits = {type: np.uint64(1 << bit) for bit, type in enumerate(kb.types)}
        annotated = {t for d in self._documents() for t in [*(d.types or ()), *(s.type for s in d.spans)]}
        self.without_names = sorted(annotated - set(kb.types))
        if not annotated & set(kb.types):
            raise VanerError(
                f"{kb.path}: it has no name of any type of the mix ({', '.join(sorted(annotated))}); it has "
                f"{', '.join(kb.types)}; build an index with vocabularies of these types"
            )
        found, ends = related_names(kb, self._texts, cache)
        numbers = np.unique(found)
        trained = keys_by_type(self._documents())
        kept = self._read_names(kb, numbers, trained)
        self._frames = Frames(read_frames(), self._bits, kb, trained) if style == "frames" else None
        # "Abdomen, Acute" is the name that text has as "acute abdomen".
        for keys in (self._keys, keys_of([turned(name) or name for name in self._names])):
            kept &= ~np.isin(keys, np.fromiter(dropped, np.uint64, len(dropped)))
        places = np.searchsorted(numbers, found).astype(np.uint32)
        # Places of the names of all sentences, one after the other; where each sentence's begin, and the last's end.
        self._pool = places[kept[places]]
        self._borders = np.concatenate([[0], np.cumsum(kept[places])])[np.concatenate([[0], ends])]
        counts = [len(source.sentence_starts(text)) for source in self._texts for text in range(len(source))]
        firsts = np.cumsum([0, *counts[:-1]])
        self._first_sentences = np.split(firsts, np.cumsum([len(source) for source in self._texts])[:-1])
        self._usable = np.zeros(len(numbers), bool)
        self._usable[self._pool] = True
        # What must not be drawn is not even held.
        self._names = [name if keep else "" for name, keep in zip(self._names, kept.tolist(), strict=True)]
        self.sentences = len(ends)
        self.without_candidates = int((np.diff(self._borders) == 0).sum())
        if not self._usable.any():
            raise VanerError(f"{kb.path}: no name is related to any training sentence; use a larger index")

    def _documents(self) -> Iterator[Document]:
        return chain.from_iterable(source.documents() for source in self._texts)

    def _read_names(
        self, kb: KnowledgeBase, numbers: np.ndarray, annotated: dict[str, frozenset[int]]
    ) -> np.ndarray:
        """The names themselves, and what is known of their types; returns which are not muted.

        ``_types``: bits of the types of all concepts with the name's normal form. ``_holds``: those of every
        name that it contains, and those that training annotates it with: it may stand for these, in part or as
        a whole, so it is no negative for them.
        """
        usable = np.ones(len(numbers), bool)
        self._types = np.zeros(len(numbers), np.uint64)
        for i, number in enumerate(progress(numbers.tolist(), "reading names")):
            name = kb.name(number)
            self._names.append(name.text)
            usable[i] = not name.muted
            for type in name.types:
                self._types[i] |= self._bits[type]
        self._keys = keys_of(self._names)
        self._holds = np.zeros(len(numbers), np.uint64)
        for i, (text, matches) in enumerate(zip(self._names, kb.match(self._names, all=True), strict=True)):
            for match in matches:
                self._holds[i] |= self._bits[match.type]
                if match.end - match.start == len(text):
                    self._types[i] |= self._bits[match.type]
        for type, keys in annotated.items():
            if type in self._bits:
                trained = np.isin(self._keys, np.fromiter(keys, np.uint64, len(keys)))
                self._holds[trained] |= self._bits[type]
        self._holds |= self._types
        return usable

    def counts(self) -> dict[str, int]:
        """How many names may be drawn, for each canonical type that has any."""
        return {
            type: count
            for type, bit in self._bits.items()
            if (count := int(((self._types & bit) > 0)[self._usable].sum()))
        }

    def names(self) -> list[str]:
        """All names that may be drawn."""
        return [name for name, usable in zip(self._names, self._usable.tolist(), strict=True) if usable]

    def example(
        self,
        rng: np.random.Generator,
        source: int,
        text: int,
        start: int,
        end: int,
        types: Sequence[str],
        tags: np.ndarray,
    ) -> Example | None:
        """Draw a row for a unit.

        Args:
            rng: what is drawn depends on its state, the unit and the types alone.
            source, text: which Text.
            start, end: word range of the unit in it.
            types: the asked types; those that the index has no name of are left out.
            tags: gold of the unit, shape ``(len(types), end - start)``.

        Returns:
            the row, or None where no name is related to the unit or no mention of it can be replaced.
        """
        replaces = self.style == "replacement" or (self.style == "both" and bool(rng.random() < 0.5))
        known = [i for i, type in enumerate(types) if type in self._bits]
        types = tuple(types[i] for i in known)
        ids = self._related(source, text, start, end)
        if not types or not len(ids):
            return None
        if replaces:
            gold, tags = self._texts[source].words(text, start, end), tags[known]
            replaced = self._replaceable(rng, tags, types, ids)
            return self._replaced(gold, tags, types, replaced) if replaced else None
        chosen = self._chosen(rng, types, ids)
        return self._framed(rng, types, chosen) if self._frames else self._concatenated(types, chosen)

    def replacement(
        self,
        rng: np.random.Generator,
        source: int,
        text: int,
        window: Window,
        types: Sequence[str],
        tags: np.ndarray,
        dataset: str | None,
    ) -> Example | None:
        """A row of a corpus with names in place of some of its mentions, asked what it was asked.

        Each mention of an asked type that no other overlaps, and that has labels as a whole, is replaced with a
        probability of one half; one is at least. Nothing is said of types that the index has no name of where a name
        was put.

        Args:
            rng: what is drawn depends on its state and the row alone.
            source, text, window: the row.
            types: the asked types.
            tags: gold of the window, shape ``(len(types), window.end - window.start)``.
            dataset: as the instruction names it.

        Returns:
            the row; None where no mention of it can be replaced.
        """
        kept = slice(window.keep_start - window.start, window.keep_end - window.start)
        # Found in all of the window, so that none is a mention that the end of what is kept cuts.
        ids = self._related(source, text, window.keep_start, window.keep_end)
        found = [
            one
            for one in sorted(self._replaceable(rng, tags, types, ids).items())
            if kept.start <= one[0] and one[1][0] <= kept.stop
        ]
        if not found:
            return None
        put = rng.random(len(found)) < 0.5
        put[rng.integers(len(found))] |= not put.any()
        labels = np.full_like(tags, IGNORED)
        labels[:, kept] = tags[:, kept]
        words = self._texts[source].words(text, window.start, window.end)
        replaced = dict(one for one, chosen in zip(found, put.tolist(), strict=True) if chosen)
        return self._replaced(words, labels, tuple(types), replaced, dataset)

    def _related(self, source: int, text: int, start: int, end: int) -> np.ndarray:
        """Names of the sentences that a range of words reaches into, ascending."""
        starts = self._texts[source].sentence_starts(text)
        first = int(self._first_sentences[source][text])
        begin, stop = first + bisect_right(starts, start) - 1, first + bisect_left(starts, end)
        return np.unique(self._pool[self._borders[begin] : self._borders[stop]])

    def _chosen(self, rng: np.random.Generator, types: tuple[str, ...], ids: np.ndarray) -> list[int]:
        """Names of the asked types and of others, in any order."""
        asked = np.bitwise_or.reduce([self._bits[type] for type in types])
        of_type = [rng.permutation(ids[(self._types[ids] & self._bits[t]) > 0])[: self.asked] for t in types]
        in_turn = [int(n) for turn in zip_longest(*of_type) for n in turn if n is not None]
        negative = rng.permutation(ids[(self._holds[ids] & asked) == 0])
        chosen = [*self._distinct(in_turn)[: self.asked], *self._distinct(negative.tolist())[: self.others]]
        return rng.permutation(chosen).tolist() if chosen else []

    def _concatenated(self, types: tuple[str, ...], chosen: Sequence[int]) -> Example | None:
        row = _Row(types)
        for name in chosen:
            pieces = self._words(name)
            if row.words and len(row.words) + len(pieces) > self.max_words:
                break
            row.add(pieces, self._labels_of(name, types, len(pieces)))
        return row.example()

    def _framed(
        self, rng: np.random.Generator, types: tuple[str, ...], chosen: Sequence[int]
    ) -> Example | None:
        """Names in sentences: as many of these as fit into a number of words that is drawn, as for a unit."""
        assert self._frames
        row = _Row(types)
        most = int(rng.integers(1, self.max_words + 1))
        left = list(chosen)
        while left and (drawn := self._frames.draw(rng, left, self._types)):
            number, put = drawn
            named = [self._words(name) for name in put]
            around = self._frames[number].words
            size = sum(map(len, around)) + sum(map(len, named))
            if row.words and len(row.words) + size > most:
                break
            for at, (piece, held) in enumerate(zip(around, self._frames.holds[number], strict=True)):
                row.add(piece, [np.where(held & self._bits[t], IGNORED, O).tolist() for t in types])
                if at < len(put):
                    row.add(named[at], self._labels_of(put[at], types, len(named[at])))
            left = [name for name in left if name not in put]
        return row.example()

    def _replaceable(
        self, rng: np.random.Generator, tags: np.ndarray, types: Sequence[str], ids: np.ndarray
    ) -> dict[int, tuple[int, int]]:
        """Mentions that no other overlaps and there is a name for: first word -> the one past its last, the name."""
        found: dict[int, tuple[int, int]] = {}
        # The rest of a mention that began in the unit before overlaps others, and is none itself.
        for line, type in zip(tags, types, strict=True):
            names = ids[(self._types[ids] & self._bits.get(type, _NOTHING)) > 0]
            for start in np.flatnonzero(line == B).tolist() if len(names) else ():
                inside = line[start + 1 :] == I
                end = start + 1 + (len(inside) if inside.all() else int(inside.argmin()))
                if np.count_nonzero(tags[:, start:end]) == end - start:
                    found[start] = end, int(rng.choice(names))
        return found

    def _replaced(
        self,
        gold: Sequence[str],
        labels: np.ndarray,
        types: tuple[str, ...],
        replaced: Mapping[int, tuple[int, int]],
        dataset: str | None = None,
    ) -> Example | None:
        """Words with names in place of mentions.

        Args:
            gold: the words.
            labels: of the asked types, shape ``(types, words)``.
            types: the asked ones.
            replaced: first word of a mention -> the one past its last, the name.
            dataset: that the row names.
        """
        labels = labels.copy()
        # The rest of a mention that began in the unit before carries no label: no legal tags say that.
        labels[np.logical_and.accumulate(labels == I, axis=1)] = IGNORED
        row, at = _Row(types), 0
        for start, (end, name) in sorted(replaced.items()):
            row.add(gold[at:start], labels[:, at:start].tolist())
            pieces = self._words(name)
            row.add(pieces, self._labels_of(name, types, len(pieces)))
            at = end
        row.add(gold[at:], labels[:, at:].tolist())
        return row.example(dataset)

    def _distinct(self, ids: Sequence[int]) -> list[int]:
        """The ids without those of a normal form that an earlier one has."""
        first: dict[int, int] = {}
        for i in ids:
            first.setdefault(int(self._keys[i]), i)
        return list(first.values())

    def _words(self, name: int) -> list[str]:
        text = self._names[name]
        return [text[a:b] for a, b in words(text)]

    def _labels_of(self, name: int, types: Sequence[str], count: int) -> list[list[int]]:
        """What a name of so many words is labelled, a line for each asked type."""
        return [self._labels(name, type, count) for type in types]

    def _labels(self, name: int, type: str, count: int) -> list[int]:
        bit = self._bits.get(type)
        if bit is not None and self._types[name] & bit:
            return [B, *[I] * (count - 1)]
        return [IGNORED if bit is None or self._holds[name] & bit else O] * count


class _Row:
    """An Example as it grows."""

    def __init__(self, types: tuple[str, ...]) -> None:
        self.types = types
        self.words: list[str] = []
        self._labels: list[list[int]] = [[] for _ in types]

    def add(self, words: Sequence[str], labels: Sequence[Sequence[int]]) -> None:
        """Add words and, for each type, their labels."""
        self.words += words
        for line, more in zip(self._labels, labels, strict=True):
            line += more

    def example(self, dataset: str | None = None) -> Example | None:
        """The row; None without a word."""
        if not self.words:
            return None
        return Example(self.types, tuple(self.words), tuple(map(tuple, self._labels)), dataset)
