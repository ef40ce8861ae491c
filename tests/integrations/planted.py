"""In: words and types. Out: a tagger ``planted:`` that finds exactly these, and fails where a text says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from vaner.document import Concept, Document, Span
from vaner.tagger import FAILED
from vaner.tagging.loading import register

CONCEPTS = {"aspirin": (Concept("D001241", "MESH", 0.9, "exact"), Concept("CHEBI:15365", "chebi"))}


class Planted:
    """Finds the words that its name lists: ``planted:p53=Gene=0.9,p53/p21=Gene=0.8``."""

    datasets: dict[str, Sequence[str]] = {}
    max_words = None
    allow_new_types = True

    def __init__(self, name: str) -> None:
        self.words = [tuple(one.split("=")) for one in name.split(",") if one]
        self.types = list(dict.fromkeys(type for _, type, *_ in self.words))
        self.calls: list[int] = []

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        documents = list(documents)
        self.calls.append(len(documents))
        for document in documents:
            if "BOOM" in document.text:
                raise RuntimeError("boom")
            yield self._tagged(document, types)

    def _tagged(self, document: Document, types: Sequence[str] | None) -> Document:
        spans = [
            Span(m.start(), m.end(), type, m[0], float(score[0]) if score else None, CONCEPTS.get(word, ()))
            for word, type, *score in self.words
            if types is None or type in types
            for m in re.finditer(re.escape(word), document.text)
        ]
        tagged = document.with_spans(spans)
        if "HALF" in document.text:
            tagged.metadata = {**document.metadata, FAILED: "no answer"}
        return tagged

    def remarks(self) -> list[str]:
        return ["planted"]


register("planted", Planted, hash=lambda name: f"hash of {name}")
