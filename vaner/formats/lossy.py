"""In: a Document and what a format has room for. Out: a counted warning for each thing it cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Set

from vaner.document import Document
from vaner.provenance import TAGGED_BY
from vaner.report import Report

PARTS: dict[str, Callable[[Document], bool]] = {
    "scores": lambda d: any(s.score is not None for s in d.spans),
    "grounding": lambda d: any(s.grounded is not None for s in d.spans),
    "fragments": lambda d: any(s.fragments for s in d.spans),
    "concept ids": lambda d: any(s.concepts for s in d.spans),
    "concept sources": lambda d: any(
        c.source and not c.id.startswith(f"{c.source}:") for s in d.spans for c in s.concepts
    ),
    "concept scores": lambda d: any(c.score is not None for s in d.spans for c in s.concepts),
    "concept matches": lambda d: any(c.match is not None for s in d.spans for c in s.concepts),
    "passages": lambda d: bool(d.passages),
    "sentences": lambda d: d.sentences is not None,
    "words": lambda d: d.words is not None,
    "annotated types": lambda d: d.types is not None,
}


def tell(
    document: Document, format: str, holds: Set[str], metadata: Set[str], path: object, report: Report
) -> None:
    """Warn of each part of ``document`` that ``format`` has no room for.

    Args:
        holds: the parts, named as in this module, that the format keeps.
        metadata: the keys of ``document.metadata`` that it keeps.
    """
    lost = [name for name, present in PARTS.items() if name not in holds and present(document)]
    # Who tagged it is no part of the document: what has no place for it loses nothing.
    lost += [f"metadata {key!r}" for key in document.metadata if key not in metadata | {TAGGED_BY}]
    for name in lost:
        report.warn(
            f"{name} not written",
            f"{path}: document {document.id}: {format} has no room for its {name}; jsonl keeps everything",
        )
