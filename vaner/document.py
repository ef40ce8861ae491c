"""In: a text and the entities marked in it. Out: Document and Span, whose offsets are checked once, here.

Offsets are Unicode code points, half-open, into the text exactly as it was read:

    Document("d1", "BRCA1 and breast cancer", [Span(10, 23, "Disease", "breast cancer")])
                    0         1         2
                    01234567890123456789012
                              ^start=10    ^end=23
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from vaner.errors import OffsetError

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Concept:
    """A concept id that a span is linked to.

    Attributes:
        id: identifier as its vocabulary writes it, such as ``D003920`` or ``MESH:D003920``.
        source: the vocabulary, or None where the file does not say.
        score: confidence in [0, 1], or None for gold ids.
        match: how it was found (``exact``, ``normalised``, ``abbreviation``, ``ngram``), None for gold ids.
    """

    id: str
    source: str | None = None
    score: float | None = None
    match: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """One entity mention.

    Attributes:
        start: first code point of the mention.
        end: one past its last code point.
        type: canonical or corpus-specific entity type.
        text: ``document.text[start:end]``.
        score: the model's confidence in [0, 1], None for gold.
        concepts: concept ids, best first.
        fragments: for a discontinuous mention its ``(start, end)`` pieces in order;
            ``start`` and ``end`` then cover all of them. Empty for a contiguous one.
        grounded: how a mention that a language model wrote got its place (``forced``, ``index``, ``exact``, ...,
            `vaner.prompting.found`), None where whoever found it read the text itself.
    """

    start: int
    end: int
    type: str
    text: str
    score: float | None = None
    concepts: tuple[Concept, ...] = ()
    fragments: tuple[tuple[int, int], ...] = ()
    grounded: str | None = None

    @property
    def key(self) -> tuple[int, int, str]:
        """What strict scoring compares: start, end and type."""
        return (self.start, self.end, self.type)


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of the document that its format names: ``title``, ``abstract``, ``paragraph``, ..."""

    start: int
    end: int
    kind: str


@dataclass
class Document:
    """A text with its entity mentions; the one structure that every stage shares.

    Attributes:
        id: unique within a file.
        text: exactly as read; never stripped, normalised or re-encoded.
        spans: entity mentions, sorted by (start, end, type) when the document is built.
        passages: named parts in order, possibly empty.
        sentences: ``(start, end)`` of the sentences that the file itself marks (CoNLL), else None.
        words: ``(start, end)`` of the words that the file itself marks (CoNLL), else None.
        types: entity types that were annotated in this document, whether or not any was
            found; None where nothing is known. A type outside it is unknown, not absent.
        metadata: anything else its format holds.

    Raises:
        OffsetError: if a span, passage, sentence or word leaves the text or a span's
            ``text`` is not what its offsets select.
    """

    id: str
    text: str
    spans: list[Span] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    sentences: list[tuple[int, int]] | None = None
    words: list[tuple[int, int]] | None = None
    types: frozenset[str] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for span in self.spans:
            self.check(span)
        for passage in self.passages:
            self._check_range(passage.start, passage.end, f"{passage.kind} passage")
        for name, ranges in (("sentence", self.sentences), ("word", self.words)):
            for start, end in ranges or ():
                self._check_range(start, end, name)
        self.spans = sorted(self.spans, key=lambda s: s.key)

    def _check_range(self, start: int, end: int, what: str) -> None:
        if not 0 <= start <= end <= len(self.text):
            raise OffsetError(
                f"document {self.id}: {what} at {start}-{end} lies outside the text of "
                f"{len(self.text)} characters; correct its offsets (code points from 0)"
            )

    def check(self, span: Span) -> None:
        """Raise OffsetError unless ``text[span.start:span.end] == span.text`` and it is not empty."""
        self._check_range(span.start, span.end, f"{span.type} span {span.text[:_SHOWN]!r}")
        found = self.text[span.start : span.end]
        if found != span.text or not found:
            raise OffsetError(
                f"document {self.id}: {span.type} span at {span.start}-{span.end} says "
                f"{span.text[:_SHOWN]!r} but the text there is {found[:_SHOWN]!r}; correct the offsets"
            )
        for start, end in span.fragments:
            if not span.start <= start < end <= span.end:
                raise OffsetError(
                    f"document {self.id}: fragment {start}-{end} leaves its span "
                    f"{span.start}-{span.end} {span.text[:_SHOWN]!r}; correct the fragments"
                )

    def span(
        self,
        start: int,
        end: int,
        type: str,
        *,
        score: float | None = None,
        concepts: tuple[Concept, ...] = (),
        fragments: tuple[tuple[int, int], ...] = (),
        grounded: str | None = None,
    ) -> Span:
        """A Span of this document, its text taken from the offsets, the rest as in `Span`."""
        return Span(start, end, type, self.text[start:end], score, concepts, fragments, grounded)

    def _repr_html_(self) -> str:
        """The text with its mentions highlighted, as notebooks show it (`vaner.formats.notebook`)."""
        # What draws it stands on a higher floor, and is wanted in notebooks alone.
        return str(importlib.import_module("vaner.formats.notebook").fragment(self))

    def with_spans(self, spans: Iterable[Span]) -> Document:
        """This document with other spans, everything else kept."""
        return replace(self, spans=list(spans))
