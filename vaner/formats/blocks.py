"""In: a file cut into one block a document, and a function that reads a block. Out: Documents, one at a time.

Here, and only here, is decided what a bad document does to a good file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from vaner.document import Document
from vaner.errors import FormatError, OffsetError, place
from vaner.report import SKIPPED, Report

Block = TypeVar("Block")


def documents(
    path: str | os.PathLike,
    blocks: Iterable[tuple[int | None, Block]],
    build: Callable[[int | None, Block], Document | None],
    on_error: str,
    report: Report,
) -> Iterator[Document]:
    """Build each block's Document; ids must be unique.

    Args:
        path: the file, for messages.
        blocks: the line a document starts on (None where lines say nothing) and what ``build`` needs.
        build: makes the Document; FormatError or OffsetError where it cannot; None where the file itself says that
            there is none, which ``build`` has counted.
        on_error: ``raise``, or ``skip`` to count a bad document in ``report`` and go on with the next.
        report: receives what was skipped.

    Raises:
        FormatError, OffsetError: from ``build``; for an id seen before; for a file without documents.
    """
    seen: dict[str, int | None] = {}
    empty = True
    for line, block in blocks:
        empty = False
        try:
            document = build(line, block)
            if document is None:
                continue
            if document.id in seen:
                first = "" if seen[document.id] is None else f" on line {seen[document.id]}"
                raise FormatError(
                    f"{place(path, line)}: document id {document.id!r} was used before{first}; "
                    "give each document its own id, or skip the second (--on_error skip)"
                )
        except (FormatError, OffsetError) as error:
            if not str(error).startswith(str(path)):
                # Document checks offsets without knowing its file.
                error = type(error)(f"{place(path, line)}: {error}")
            if on_error == "raise":
                raise error from None
            report.warn(SKIPPED, str(error))
            continue
        seen[document.id] = line
        yield document
    if empty:
        raise FormatError(f"{path}: holds no document; is the file empty, or of another format?")
