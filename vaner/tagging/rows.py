"""In: texts of a table's column, some of them null, a tagger. Out: their mentions as Arrow has them, a value a text."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from vaner.document import Document
from vaner.tagger import FAILED, Tagger
from vaner.tagging.min_score import MinScore

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

ROWS = 500
"""Texts that are strings of Python's at a time, and mentions that are not Arrow's yet."""


def tagged(
    tagger: Tagger,
    texts: Iterable[str | None],
    types: Sequence[str] | None = None,
    dataset: str | None = None,
    min_score: float | None = None,
) -> Iterator[Document | None]:
    """The texts' Documents, in order; None for those that are None.

    A text that was not tagged in full (`vaner.tagger.FAILED`) is logged as a warning.

    Args:
        tagger, texts, types, dataset: as of `vaner.tagger.Tagger`; ids are the numbers of rows, from 0.
        min_score: what a span's score must reach, in [0, 1].
    """
    if min_score is not None:
        tagger = MinScore(tagger, min_score)
    count = 0

    def documents() -> Iterator[Document]:
        nonlocal count
        for text in texts:
            if text is not None:
                yield Document(str(count), text)
            count += 1

    row = 0
    for document in tagger.tag_documents(documents(), types, dataset):
        for _ in range(row, int(document.id)):
            yield None
        row = int(document.id) + 1
        if FAILED in document.metadata:
            log.warning("row %s: its text was not tagged in full: %s", document.id, document.metadata[FAILED])
        yield document
    for _ in range(row, count):
        yield None


def spans(documents: Iterable[Document | None]) -> pa.ChunkedArray:
    """A column of mentions, as Parquet files have it (`vaner.formats.parquet`); null where there is no Document."""
    import pyarrow as pa

    from vaner.formats.parquet_writing import SPANS, cells

    chunks = []
    held: list[list[dict[str, object]] | None] = []
    for document in documents:
        held.append(None if document is None else cells(document))
        if len(held) == ROWS:
            chunks.append(pa.array(held, SPANS))
            held = []
    chunks.append(pa.array(held, SPANS))
    return pa.chunked_array(chunks, SPANS)


def strings(column: pa.Array | pa.ChunkedArray) -> Iterator[str | None]:
    """The values of a column of strings, few of them at a time."""
    for chunk in getattr(column, "chunks", [column]):
        for at in range(0, len(chunk), ROWS):
            yield from chunk.slice(at, ROWS).to_pylist()
