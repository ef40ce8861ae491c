"""In: a tagger, a record of it. Out: a Tagger whose documents say what tagged them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from vaner.document import Document
from vaner.provenance import TAGGED_BY
from vaner.tagger import Tagger
from vaner.tagging.around import Around


class Recorded(Around):
    """A tagger that leaves its record in ``metadata["tagged_by"]`` of every document, in place of an earlier one.

    Args:
        tagger: the one that tags.
        record: as `vaner.provenance.tagged_by` gives it.
    """

    def __init__(self, tagger: Tagger, record: Mapping[str, str]) -> None:
        super().__init__(tagger)
        self.record = dict(record)

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order; see `vaner.tagger.Tagger`."""
        return map(self._recorded, self.tagger.tag_documents(documents, types, dataset))

    def _recorded(self, document: Document) -> Document:
        recorded = document.with_spans(document.spans)
        recorded.metadata = {**document.metadata, TAGGED_BY: dict(self.record)}
        return recorded
