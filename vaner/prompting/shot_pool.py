"""In: corpora's train splits. Out: ShotPool: examples with their mentions, none that dev or test has a part of.

    documents of train -> without those that share a PubMed id or a sentence with dev or test -> units -> examples

What an example says nothing about: a type that its document does not annotate.
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from vaner.corpora.overlap import Fingerprints, digest, held_out_fingerprints, overlapping
from vaner.corpora.own import all_corpora, named, with_types
from vaner.corpora.registry import Registry
from vaner.document import Document
from vaner.errors import VanerError, near
from vaner.progress import progress
from vaner.prompting.found import EXACT, Mention
from vaner.prompting.unit import Unit
from vaner.report import Report
from vaner.text.units import Text

# Why a unit is no example.
CUT = "a mention runs over its border"
IN_PIECES = "a mention is in pieces"
IN_A_WORD = "a mention begins or ends within a word"

_LONGEST_NAME = 6  # words of a name that is looked for where it is not annotated
_SHORTEST_NAME = 3  # characters


@dataclass(frozen=True)
class Example:
    """A unit of a train split.

    Attributes:
        id: corpus, document and number of the unit in it, such as ``bc5cdr:354896:2``.
        unit: its words.
        mentions: of all types that its document annotates, by place.
        types: those types; of any other it says nothing.
    """

    id: str
    unit: Unit
    mentions: tuple[Mention, ...]
    types: frozenset[str]

    def of_types(self, types: Collection[str]) -> tuple[Mention, ...]:
        """Its mentions of some types."""
        return tuple(m for m in self.mentions if m.type in types)


class ShotPool:
    """Examples that shots are chosen from.

    Args:
        examples: each id once.
        dropped: corpus -> training documents left out because dev or test has a part of them.
        left_out: why a unit is no example (CUT, IN_PIECES, IN_A_WORD) -> how many.

    Raises:
        VanerError: an id that two examples have.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        dropped: Mapping[str, int] | None = None,
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        self.examples = list(examples)
        self.dropped, self.left_out = dict(dropped or {}), dict(left_out or {})
        if len(self.numbers) < len(self.examples):
            twice = Counter(example.id for example in self.examples).most_common(1)[0][0]
            raise VanerError(f"shots: two examples are called {twice}; give their documents ids of their own")

    @classmethod
    def of(
        cls,
        corpora: Sequence[str],
        *,
        registry: Registry | str | os.PathLike[str] | None = None,
        data_root: str | os.PathLike[str] | None = None,
        types: Collection[str] | None = None,
        type_map: Mapping[str, str | None] | None = None,
        max_words: int = 1,
        held_out: Fingerprints | None = None,
        on_error: str = "raise",
    ) -> ShotPool:
        """The examples of train splits.

        Args:
            corpora: names of the registry, paths of documents, or datasets (``hf:...``).
            registry: the registry, or the file of one's own beside the shipped one.
            data_root: folder of the corpora; the variable VANER_DATA where None.
            types: that will be asked; units of documents that annotate none of them are left out. None: all.
            type_map: label -> type, for paths and datasets.
            max_words: of a unit of several sentences; 1 gives single sentences.
            held_out: what must not be shown, beside the corpora's own dev and test splits.
            on_error: on a bad document: ``raise`` or ``skip``.

        Raises:
            VanerError: no corpus, an unknown one, a missing file, or none with such types.
            FormatError, OffsetError: a bad document.
        """
        if not corpora:
            raise VanerError(
                "shots: no corpus to take them from; name one, such as bc5cdr-sample, or set k to 0"
            )
        known = registry if isinstance(registry, Registry) else all_corpora(registry)
        found = [(word, named(word, known, on_error)) for word in dict.fromkeys(corpora)]
        found = [(w, c if w in known else with_types(c, type_map or {})) for w, c in found]
        annotated = {type for _, corpus in found for type in corpus.annotated}
        if types is not None and not annotated & set(types):
            raise VanerError(
                f"shots: {', '.join(c.name for _, c in found)} annotate none of {', '.join(types)}; they annotate "
                f"{', '.join(sorted(annotated))}"
            )
        guarded = [(c, split) for _, c in found for split in ("dev", "test") if split in c.files]
        held = held_out_fingerprints(progress(guarded, "reading held-out splits"), data_root)
        held |= held_out or Fingerprints()
        report = Report()
        examples: list[Example] = []
        dropped: dict[str, int] = {}
        left_out: Counter[str] = Counter()
        for _, corpus in found:
            dropped[corpus.name] = 0
            documents = corpus.documents("train", data_root, on_error, report)
            for document in progress(documents, f"reading {corpus.name} train"):
                if overlapping([document], held):
                    dropped[corpus.name] += 1
                elif types is None or (document.types or frozenset()) & set(types):
                    examples += _examples(corpus.name, document, max_words, left_out)
        return cls(_renamed(examples), dropped, left_out)

    def __len__(self) -> int:
        return len(self.examples)

    def remarks(self) -> list[str]:
        """What a user should know: how much was left out, and why."""
        lines = [
            f"shots: {count:,} training document{'s' if count > 1 else ''} of {corpus} left out, for dev or test has "
            f"{'parts of them' if count > 1 else 'a part of it'}"
            for corpus, count in self.dropped.items()
            if count
        ]
        return lines + [
            f"shots: {count:,} unit{'s' if count > 1 else ''} left out: {why}"
            for why, count in sorted(self.left_out.items())
        ]

    @cached_property
    def types(self) -> frozenset[str]:
        """Types that some example says something about."""
        return frozenset().union(*{example.types for example in self.examples})

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Id of each example -> its number."""
        return {example.id: i for i, example in enumerate(self.examples)}

    def number(self, id: str) -> int:
        """The number of an example.

        Raises:
            VanerError: there is none of this id.
        """
        if id not in self.numbers:
            hint = near(id, self.numbers) or "they are called corpus:document:number, such as " + next(
                iter(self.numbers), "bc5cdr:354896:2"
            )
            raise VanerError(f"shots: no example is called {id}; {hint}")
        return self.numbers[id]

    @cached_property
    def texts(self) -> list[str]:
        """What of each example is compared with a query."""
        return [example.unit.shown for example in self.examples]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all examples."""
        whole = hashlib.sha256()
        for e in self.examples:
            mentions = [[m.start, m.end, m.type] for m in e.mentions]
            told = [e.id, e.unit.shown, e.unit.offsets, mentions, sorted(e.types)]
            whole.update(json.dumps(told).encode())
        return whole.hexdigest()

    def same(self, unit: Unit) -> set[int]:
        """Numbers of the examples that must not be shown to who is asked about this unit: of the same document (its
        id, or its PubMed id), or with one of its sentences, case, punctuation and spacing aside."""
        return {number for mark in _marks(unit) for number in self._by_mark.get(mark, ())}

    @cached_property
    def _by_mark(self) -> dict[str | bytes, list[int]]:
        found: dict[str | bytes, list[int]] = {}
        for number, example in enumerate(self.examples):
            for mark in _marks(example.unit):
                found.setdefault(mark, []).append(number)
        return found

    def misleading(self, number: int) -> frozenset[str]:
        """Types of which an example holds a name that is annotated elsewhere in the pool, but not here.

        Case aside, of at least three characters, and not within a mention of that type. Only of types that the
        example's document annotates.
        """
        return self._misleading[number]

    @cached_property
    def _misleading(self) -> list[frozenset[str]]:
        names: dict[tuple[str, ...], set[str]] = {}
        folded = [[word.casefold() for word in example.unit.words] for example in self.examples]
        for words, example in zip(folded, self.examples, strict=True):
            for mention in example.mentions:
                first, last = _words_of(example.unit, mention.start, mention.end)
                if last - first <= _LONGEST_NAME and mention.end - mention.start >= _SHORTEST_NAME:
                    names.setdefault(tuple(words[first:last]), set()).add(mention.type)
        found = []
        for words, example in zip(folded, self.examples, strict=True):
            inside: dict[str, set[int]] = {}
            for mention in example.mentions:
                inside.setdefault(mention.type, set()).update(
                    range(*_words_of(example.unit, mention.start, mention.end))
                )
            types: set[str] = set()
            for first in range(len(words)):
                for last in range(first + 1, min(first + _LONGEST_NAME, len(words)) + 1):
                    for type in names.get(tuple(words[first:last]), ()):
                        if type in example.types and not inside.get(type, set()) & {*range(first, last)}:
                            types.add(type)
            found.append(frozenset(types))
        return found


def _examples(corpus: str, document: Document, max_words: int, left_out: Counter[str]) -> Iterator[Example]:
    """The units of a document whose mentions can be shown as they are."""
    text = Text.of(document)
    for number, (first, last) in enumerate(text.units(max_words), 1):
        unit = Unit(text, first, last)
        start, end = unit.offsets[0][0], unit.offsets[-1][1]
        spans = [span for span in document.spans if span.start < end and span.end > start]
        starts, ends = {s for s, _ in unit.offsets}, {e for _, e in unit.offsets}
        if any(span.start < start or span.end > end for span in spans):
            left_out[CUT] += 1
        elif any(span.fragments for span in spans):
            left_out[IN_PIECES] += 1
        elif any(span.start not in starts or span.end not in ends for span in spans):
            left_out[IN_A_WORD] += 1
        else:
            mentions = tuple(Mention(span.start, span.end, span.type, EXACT) for span in spans)
            yield Example(f"{corpus}:{document.id}:{number}", unit, mentions, document.types or frozenset())


def _renamed(examples: Iterable[Example]) -> list[Example]:
    """The examples; where two documents of a corpus have one id, a ' is added to that of the later."""
    seen: set[str] = set()
    found = []
    for example in examples:
        id = example.id
        while id in seen:
            id += "'"
        seen.add(id)
        found.append(
            example if id == example.id else Example(id, example.unit, example.mentions, example.types)
        )
    return found


def _words_of(unit: Unit, start: int, end: int) -> tuple[int, int]:
    """The words of a unit, counted in it, that lie between two offsets of the document, borders of words."""
    offsets = unit.offsets
    first = bisect_left(offsets, (start, start))
    return first, bisect_left(offsets, (end, end), lo=first)


def _marks(unit: Unit) -> Iterator[str | bytes]:
    """What two units may share only if one is a part of the other, or of its document."""
    document = unit.text.document
    yield document.id
    if (pmid := document.metadata.get("pmid")) is not None:
        yield pmid
    text, offsets = document.text, unit.text.offsets
    for first, last in unit.text.sentence_ranges():
        if first < unit.last and last > unit.first:
            found = digest(text[offsets[max(first, unit.first)][0] : offsets[min(last, unit.last) - 1][1]])
            if found is not None:
                yield found
