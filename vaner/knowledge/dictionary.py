"""In: documents or texts, and a knowledge base. Out: the same with every name that it holds marked: the baseline."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.knowledge.index import KnowledgeBase
from vaner.knowledge.match import Match
from vaner.text.abbreviations import Abbreviation, find
from vaner.text.markup import Readable
from vaner.text.segment import blocks

_BATCH = 64  # documents matched at once

# A short form begins with a letter or digit, and no letter, digit or underscore touches it.
_SHORT_FORM_BEGINS = re.compile(r"(?<!\w)[^\W_]")
_IN_WORD = re.compile(r"\w")


class Found(NamedTuple):
    """What a document has of an index's names.

    Attributes:
        matches: those of one type do not overlap; sorted.
        held_back: what occurs, but is muted or an acronym in small letters; sorted.
        short_forms: where abbreviations stand that the document defines, half-open; those of one do not overlap.
    """

    matches: list[Match]
    held_back: list[Match]
    short_forms: list[tuple[int, int]]


class DictionaryTagger:
    """Marks names by lookup alone; used like the model's tagger.

    Abbreviations that a document defines follow their long form: where it is marked, so is the short form
    throughout the document; where it is not, the short form is not taken for a name of its own.

    Args:
        kb: the knowledge base, or the path of its index.
        abbreviations: whether to look for definitions of abbreviations.
    """

    def __init__(self, kb: KnowledgeBase | str | os.PathLike, *, abbreviations: bool = True) -> None:
        self.kb = kb if isinstance(kb, KnowledgeBase) else KnowledgeBase(kb)
        self._abbreviations = abbreviations

    #: It reads whole texts, and follows nobody's guideline.
    max_words: int | None = None
    allow_new_types = False
    datasets: Mapping[str, Sequence[str]] = MappingProxyType({})

    @property
    def types(self) -> tuple[str, ...]:
        """Canonical types that it can mark."""
        return self.kb.types

    def remarks(self) -> list[str]:
        """Nothing: a dictionary has nothing to say of a run."""
        return []

    def tag_documents(
        self, documents: Iterable[Document], types: Collection[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Mark the names in each document, one after the other, in order.

        Args:
            documents: read as a stream; spans they have are replaced.
            types: canonical types, None for all that the knowledge base has.
            dataset: None; a dictionary follows nobody's guideline.

        Yields:
            the documents with their new spans; ``document.types`` says which types were looked for.

        Raises:
            VanerError: if the knowledge base has no name of a type asked for, or a dataset is named.
        """
        if dataset is not None:
            raise VanerError(
                f"dataset {dataset!r}: a dictionary follows no dataset's guideline; leave it out"
            )
        self.kb.mask(types)
        asked = frozenset(self.kb.types if types is None else types)
        stream = iter(documents)
        while batch := list(islice(stream, _BATCH)):
            for document, found in zip(batch, self.matches(batch, types), strict=True):
                spans = [document.span(m.start, m.end, m.type, score=1.0) for m in found.matches]
                tagged = document.with_spans(spans)
                tagged.types = asked
                yield tagged

    def matches(
        self,
        documents: Sequence[Document],
        types: Collection[str] | None = None,
        *,
        held_back: bool = False,
    ) -> list[Found]:
        """The names in each document; its spans are not looked at.

        Args:
            documents: of which all are matched at once.
            types: as of `tag_documents`.
            held_back: whether names are wanted too that the index holds back (`KnowledgeBase.held_back`).

        Raises:
            VanerError: if the knowledge base has no name of a type asked for.
        """
        pieces = [blocks(document.text, document.passages) for document in documents]
        texts = [d.text[a:b] for d, parts in zip(documents, pieces, strict=True) for a, b in parts]
        matches = iter(self.kb.match(texts, types))
        held = iter(self.kb.held_back(texts, types) if held_back else [])
        found = []
        for document, parts in zip(documents, pieces, strict=True):
            here = [m._replace(start=m.start + a, end=m.end + a) for a, _ in parts for m in next(matches)]
            back = [
                m._replace(start=m.start + a, end=m.end + a)
                for a, _ in (parts if held_back else ())
                for m in next(held)
            ]
            short_forms: list[tuple[int, int]] = []
            if self._abbreviations:
                here, short_forms = _follow_definitions(document.text, here)
            readable = Readable(document.text)
            here = [m for m in here if readable(m.start, m.end)]
            found.append(Found(here, back, short_forms))
        return found

    def __call__(
        self,
        text: str | Iterable[str],
        types: Collection[str] | None = None,
        dataset: str | None = None,
    ) -> list[Span] | Iterator[list[Span]]:
        """The names in a text, or those in each of several texts; see ``tag_documents``."""
        if isinstance(text, str):
            return next(iter(self.tag_documents([Document("text", text)], types, dataset))).spans
        documents = (Document(f"text {i}", t) for i, t in enumerate(text, 1))
        return (document.spans for document in self.tag_documents(documents, types, dataset))


def _follow_definitions(text: str, matches: list[Match]) -> tuple[list[Match], list[tuple[int, int]]]:
    """Give every occurrence of a defined short form the types of its long form, and no others.

    Returns:
        the matches, and where the short forms stand.
    """
    definitions: dict[str, list[Abbreviation]] = {}
    for definition in find(text):
        definitions.setdefault(definition.short, []).append(definition)
    if not definitions:
        return matches, []
    by_end: dict[int, list[Match]] = {}
    for match in matches:
        by_end.setdefault(match.end, []).append(match)
    followed = _Marks(matches)
    places = _places(text, definitions)
    for short, defined in definitions.items():
        # The long form is marked if a name ends where it ends and covers most of it.
        types: dict[str, Match] = {}
        for d in defined:
            end = d.long_start + len(d.long)
            for match in by_end.get(end, ()):
                if 2 * (end - max(match.start, d.long_start)) > len(d.long):
                    types[match.type] = match
        for start, end in places.get(short, ()):
            followed.keep_only(start, end, types)
            for type_, match in types.items():
                followed.put(Match(start, end, type_, match.number))
    return followed.sorted(), sorted(place for those in places.values() for place in those)


def _places(text: str, shorts: Collection[str]) -> dict[str, list[tuple[int, int]]]:
    """Where each short form stands between characters that are of no word; the places of one do not overlap.

    All are looked for at once, in the time that the text's length takes, however many there are.
    """
    lengths = sorted({len(short) for short in shorts})
    found: dict[str, list[tuple[int, int]]] = {}
    for begin in _SHORT_FORM_BEGINS.finditer(text):
        start = begin.start()
        for length in lengths:
            end = start + length
            short = text[start:end]
            if short in shorts and not _IN_WORD.match(text, end):
                before = found.setdefault(short, [])
                if not before or before[-1][1] <= start:
                    before.append((start, end))
    return found


class _Marks:
    """Matches, of which those of one type do not overlap."""

    def __init__(self, matches: Iterable[Match]) -> None:
        self._by_type: dict[str, list[Match]] = {}
        for match in sorted(matches):
            self._by_type.setdefault(match.type, []).append(match)

    def _at(self, type_: str, start: int) -> int:
        return bisect_left(self._by_type.get(type_, []), start, key=lambda match: match.start)

    def keep_only(self, start: int, end: int, types: Collection[str]) -> None:
        """Of those from ``start`` to ``end``, drop all whose type is none of these."""
        for type_, matches in self._by_type.items():
            at = self._at(type_, start)
            if type_ not in types and matches[at : at + 1] and matches[at][:2] == (start, end):
                del matches[at]

    def put(self, match: Match) -> None:
        """Add one where none of its type overlaps; it takes the place of one that is where it is."""
        matches = self._by_type.setdefault(match.type, [])
        at = self._at(match.type, match.start)
        same = at < len(matches) and matches[at][:2] == match[:2]
        after = at + same
        if at and matches[at - 1].end > match.start:
            return
        if after < len(matches) and matches[after].start < match.end:
            return
        matches[at : at + same] = [match]

    def sorted(self) -> list[Match]:
        return sorted(match for matches in self._by_type.values() for match in matches)
