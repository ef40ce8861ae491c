"""In: bytes of a vocabulary. Out: their text; Term, the one thing that every vocabulary reader gives."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vaner.errors import place
from vaner.report import Report


class Term(NamedTuple):
    """One name of one concept.

    Attributes:
        id: the concept's identifier, ``""`` in lists of names without ids.
        name: as the vocabulary writes it.
        types: canonical types, at least one.
        preferred: whether it is the concept's preferred name.
    """

    id: str
    name: str
    types: tuple[str, ...]
    preferred: bool


def utf8(data: bytes, path: Path, number: int, report: Report) -> str | None:
    """The text of a line, or of a part of it; None where it is not UTF-8, which the report counts."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        report.warn(
            "not UTF-8",
            f"{place(path, number)}: 0x{data[error.start]:02x} in {data[:40]!r} is not UTF-8; skipped; convert the "
            "file, for instance: iconv -f LATIN1 -t UTF-8",
        )
        return None
