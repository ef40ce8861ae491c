"""In: documents, entity types. Out: the same documents with spans: what every tagger answers, however it works.

The labeler (`vaner.Vaner`) and the dictionary (`vaner.knowledge.DictionaryTagger`) are Taggers; command line and
evaluation know nothing else of them. `vaner.tagging.loading.load` gives the Tagger of a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from vaner.document import Document

#: Where a document says, in its ``metadata``, why it could not be tagged in full; it is not there otherwise.
FAILED = "failed"


def can_be_asked(tagger: Tagger, type: str) -> bool:
    """Whether a tagger may be asked for a type: it knows it, allows new ones, or finds it by its names.

    A tagger that can find types by their names in an index alone has these in an attribute ``listed``.
    """
    return type in tagger.types or tagger.allow_new_types or type in getattr(tagger, "listed", ())


class Tagger(Protocol):
    """Marks entities in documents."""

    @property
    def types(self) -> Sequence[str]:
        """Entity types that it knows; asked where none are named."""
        ...

    @property
    def datasets(self) -> Mapping[str, Sequence[str]]:
        """Names of the datasets whose annotation guideline it can follow, and what each annotates; may be empty."""
        ...

    @property
    def max_words(self) -> int | None:
        """Words (`vaner.text.units`) that it reads at once: no mention reaches further. None: it reads whole texts."""
        ...

    @property
    def allow_new_types(self) -> bool:
        """Whether it may be asked for types outside ``types``."""
        ...

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order.

        Args:
            documents: read as they are needed; spans that they have are replaced, everything else is kept.
            types: entity types to look for; by default those of ``dataset``, or all it knows.
            dataset: name of a dataset whose guideline to follow; None follows none.

        Yields:
            the documents with their spans; ``types`` may say which were looked for, ``metadata[FAILED]`` why one is
            not tagged in full.

        Raises:
            VanerError: an unknown type or dataset, before the first document is read.
        """
        ...

    def remarks(self) -> list[str]:
        """What a user should know of the last run, a sentence each; may be empty."""
        ...
