"""In: a tagger, a linker. Out: a Tagger whose spans have concept ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vaner.document import Document
from vaner.knowledge import Linker
from vaner.tagger import Tagger
from vaner.tagging.around import Around


class Linked(Around):
    """A tagger whose spans get the concept ids that a knowledge base has for them.

    Args:
        tagger: what finds the spans.
        linker: what finds the ids.
    """

    def __init__(self, tagger: Tagger, linker: Linker) -> None:
        super().__init__(tagger)
        self.linker = linker

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order; see `vaner.tagger.Tagger`."""
        return self.linker.link_documents(self.tagger.tag_documents(documents, types, dataset))
