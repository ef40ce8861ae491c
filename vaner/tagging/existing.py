"""In: a tagger, documents that have mentions. Out: a Tagger that keeps them, or adds to them.

the document's own        [breast cancer]Disease                          of a person, say
the tagger's                     [cancer]Disease      [BRCA1]Gene

replace                          [cancer]Disease      [BRCA1]Gene         what every tagger does by itself
keep                      [breast cancer]Disease      [BRCA1]Gene         own mentions first
merge                     [breast cancer]Disease      [BRCA1]Gene         both
                                 [cancer]Disease
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.tagger import Tagger
from vaner.tagging.around import Around
from vaner.tagging.overlap import Places

#: What may become of the mentions that documents have.
EXISTING = ("replace", "keep", "merge")


class Existing(Around):
    """A tagger that leaves documents the mentions they have, exactly as they are.

    Args:
        tagger: what finds more.
        how: ``keep``: a span of the tagger that overlaps a mention of the same type is left out. ``merge``: only one
            that has place and type of a mention is. ``replace``: the tagger's spans alone.
        flat: with ``keep``, one that overlaps any mention is left out.

    Raises:
        VanerError: another ``how``, or ``flat`` with ``merge``.
    """

    def __init__(self, tagger: Tagger, how: str = "keep", *, flat: bool = False) -> None:
        check_existing(how, flat)
        super().__init__(tagger)
        self.how, self.flat = how, flat
        self.own = self.left_out = 0

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order; see `vaner.tagger.Tagger`, but for the mentions that they have.

        Yields:
            the documents with both kinds of spans. Where ``types`` of a document says what was looked for, the types
            of its own mentions are added.
        """
        if self.how == "replace":
            return self.tagger.tag_documents(documents, types, dataset)
        self.own = self.left_out = 0
        waiting: deque[Document] = deque()
        return self._both(self.tagger.tag_documents(_remembered(documents, waiting), types, dataset), waiting)

    def remarks(self) -> list[str]:
        """The tagger's, and how many mentions the documents had in the last run."""
        said = super().remarks()
        if self.own:
            said.append(
                f"{self.own:,} mentions that the documents had were kept, and {self.left_out:,} found spans left "
                f"out for them (--existing {self.how})"
            )
        return said

    def _both(self, tagged: Iterator[Document], waiting: deque[Document]) -> Iterator[Document]:
        for document in tagged:
            before = waiting.popleft() if waiting else None
            if before is None or before.id != document.id:
                raise VanerError(
                    f"document {document.id}: the tagger gave it out of turn; a tagger must give every document once, "
                    "in order"
                )
            new = self._new(before.spans, document.spans)
            self.own += len(before.spans)
            self.left_out += len(document.spans) - len(new)
            together = document.with_spans([*before.spans, *new])
            if together.types is not None:
                together.types |= (before.types or frozenset()) | {span.type for span in before.spans}
            yield together

    def _new(self, own: Sequence[Span], found: Sequence[Span]) -> list[Span]:
        if self.how == "merge":
            there = {(span.key, span.fragments) for span in own}
            return [span for span in found if (span.key, span.fragments) not in there]
        places = Places(own)
        return [
            span
            for span in found
            if not any(self.flat or one.type == span.type for one in places.overlapping(span))
        ]


def _remembered(documents: Iterable[Document], waiting: deque[Document]) -> Iterator[Document]:
    for document in documents:
        waiting.append(document)
        yield document


def check_existing(how: str, flat: bool) -> None:
    """Raise VanerError for a way that does not exist, and for one that keeps the overlaps that ``flat`` drops."""
    if how not in EXISTING:
        raise VanerError(f"existing: unknown {how!r}; choose {', '.join(EXISTING)}")
    if flat and how == "merge":
        raise VanerError(
            "--flat keeps one of overlapping spans and --existing merge keeps them all; leave one of the two out, or "
            "choose --existing keep"
        )
