"""In: a tagger, the least score that a span needs. Out: a Tagger whose spans have it; the others are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vaner.document import Document, Span
from vaner.errors import VanerError, near
from vaner.tagger import Tagger
from vaner.tagging.around import Around


class MinScore(Around):
    """A tagger without its spans below a score; one that has no score stays.

    Args:
        tagger: the one whose spans are filtered.
        least: what a span needs, in [0, 1].
        by_type: the same for spans of a type, in place of ``least``.

    Raises:
        VanerError: for another score, and for a type that the tagger does not know.
    """

    def __init__(self, tagger: Tagger, least: float | None = None, by_type: Mapping[str, float] = {}) -> None:
        check_scores(least, by_type)
        known = [*tagger.types, *getattr(tagger, "listed", ())]
        check_types(by_type, known, tagger.allow_new_types)
        super().__init__(tagger)
        self.least, self.by_type = least or 0.0, dict(by_type)
        self.below: Counter[str] = Counter()

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order; see `vaner.tagger.Tagger`."""
        below = self.below = Counter()
        tagged = self.tagger.tag_documents(documents, types, dataset)
        return (document.with_spans(self._kept(document.spans, below)) for document in tagged)

    def remarks(self) -> list[str]:
        """The tagger's, and how many spans of the last run were left out."""
        said = super().remarks()
        if self.below:
            each = ", ".join(f"{type} {count:,}" for type, count in sorted(self.below.items()))
            said.append(f"{self.below.total():,} spans below the least score were left out ({each})")
        return said

    def _kept(self, spans: Iterable[Span], below: Counter[str]) -> Iterator[Span]:
        for span in spans:
            if span.score is None or span.score >= self.by_type.get(span.type, self.least):
                yield span
            else:
                below[span.type] += 1


def check_scores(least: float | None, by_type: Mapping[str, float]) -> None:
    """Raise VanerError for what is no score."""
    for name, score in (("", least), *by_type.items()):
        if score is not None and not 0 <= score <= 1:
            given = f"{name}={score:g}" if name else f"{score:g}"
            raise VanerError(f"--min_score {given}: a score is a number from 0 to 1")


def check_types(by_type: Iterable[str], known: Sequence[str], allow_new_types: bool) -> None:
    """Raise VanerError for a type that nobody knows."""
    for type in by_type:
        if type not in known and not allow_new_types:
            hint = near(type, known) or f"known: {', '.join(known)}"
            raise VanerError(f"--min_score {type}=...: type {type!r} is unknown ({hint}); correct it")
