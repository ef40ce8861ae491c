"""In: a tagger. Out: what a Tagger that changes what another finds has in common with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from vaner.document import Document
from vaner.tagger import Tagger


class Around:
    """A Tagger that answers as the one inside does, but for what its kind changes.

    Args:
        tagger: the one inside.
    """

    def __init__(self, tagger: Tagger) -> None:
        self.tagger = tagger

    @property
    def types(self) -> Sequence[str]:
        """Of the tagger inside."""
        return self.tagger.types

    @property
    def datasets(self) -> Mapping[str, Sequence[str]]:
        """Of the tagger inside."""
        return self.tagger.datasets

    @property
    def max_words(self) -> int | None:
        """Of the tagger inside."""
        return self.tagger.max_words

    @property
    def allow_new_types(self) -> bool:
        """Of the tagger inside."""
        return self.tagger.allow_new_types

    @property
    def listed(self) -> Sequence[str]:
        """Types that the tagger inside finds by their names alone; most find none so."""
        return getattr(self.tagger, "listed", ())

    @property
    def tokens(self) -> int:
        """That the tagger inside read in its last run; 0 where it reads none."""
        return getattr(self.tagger, "tokens", 0)

    @property
    def padded_tokens(self) -> int:
        """The same with padding."""
        return getattr(self.tagger, "padded_tokens", 0)

    @property
    def counts(self) -> dict[str, int]:
        """What else the tagger inside counted in its last run; most count nothing."""
        return dict(getattr(self.tagger, "counts", {}))

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order; see `vaner.tagger.Tagger`."""
        return self.tagger.tag_documents(documents, types, dataset)

    def remarks(self) -> list[str]:
        """Of the tagger inside."""
        return list(self.tagger.remarks())
