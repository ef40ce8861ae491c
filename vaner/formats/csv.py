"""In: CSV or TSV, a table with a text in each row. Out: Documents (read only; write Parquet to keep the table).

    pmid,title,abstract
    7,"Aspirin, again","Aspirin relieved
    the headache."

The first row names the columns. A field in quotes may hold separators, line breaks and doubled quotes. Every field is
a string; an empty one is null.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from itertools import chain

from vaner.document import Document
from vaner.errors import FormatError, VanerError, place
from vaner.files import BOM, BROKEN_GZIP, UTF16, decode, open_bytes, stem
from vaner.formats.blocks import documents
from vaner.formats.json_fields import Fields
from vaner.formats.jsonl import placing
from vaner.formats.tables import Layout
from vaner.report import Report

_SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}
_LONGEST = 1 << 26
"""Characters of a field. What is longer begins with a quote that is never closed."""


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    sep: str = "auto",
    columns: str = "",
    id: str = "",
    text: str = "",
) -> Iterator[Document]:
    """Stream the Documents of a table; a row whose text is empty is left out and counted.

    Args:
        sep: what parts the fields: ``comma``, ``tab``, ``semicolon``, ``pipe``, or ``auto``: a tab in ``.tsv`` files,
            else what the first line has most of.
        columns: the names of the columns, with ``|`` between, of a file whose first row does not name them.
        id, text: as for `vaner.formats.parquet.read`.

    Raises:
        FormatError: for a row with more or fewer fields than columns, a quote that is not closed, bytes that are not
            UTF-8, a column that is not there or cannot be told.
    """
    if sep not in ("auto", *_SEPARATORS):
        raise VanerError(f"sep={sep} is unknown; choose auto or one of {', '.join(_SEPARATORS)}")
    # Mentions are not looked for: fields hold strings, and nothing says that one is a list.
    told = Fields(id, text, spans="none")
    names = columns.split("|") if columns else None
    return _documents(path, sep, names, told, on_error, report)


def _documents(
    path: str | os.PathLike, sep: str, names: list[str] | None, told: Fields, on_error: str, report: Report
) -> Iterator[Document]:
    find = placing("raise", "codepoints")
    rows = _rows(path, sep)
    if names is None:
        _, names = next(rows, (0, []))
        if not names:
            raise FormatError(f"{path}: the file is empty; check that it was written or fetched completely")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FormatError(f"{path}: two columns are called {twice[0][:60]!r}; rename one")
    layout = Layout(dict.fromkeys(names, "string"), told, str(path), "csv")

    def build(line: int | None, row: list[str]) -> Document | None:
        where = place(path, line)
        if len(row) != len(names):
            raise FormatError(
                f"{where}: {len(row)} fields, but {len(names)} columns; put a field with separators in quotes, or name "
                "what parts them (csv:sep=tab)"
            )
        values = {name: value or None for name, value in zip(names, row, strict=True)}
        return layout.document(values, f"{stem(path)}-{line}", where, report, find)

    yield from documents(path, rows, build, on_error, report)


def _rows(path: str | os.PathLike, sep: str) -> Iterator[tuple[int, list[str]]]:
    """The line on which each row begins, and its fields; empty lines are none."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST))
    lines = _lines(path)
    first = next(lines, "")
    reader = csv.reader(chain([first], lines), delimiter=_separator(path, sep, first), strict=True)
    line = 1
    try:
        while True:
            line = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            if row:
                yield line, row
    except csv.Error as error:
        raise FormatError(
            f"{place(path, line)}: no well-formed row ({error}); is a quote not closed or not doubled?"
        ) from None


def _lines(path: str | os.PathLike) -> Iterator[str]:
    """The file's lines with their endings, which may stand in a field."""
    with open_bytes(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if number == 1:
                    if line.startswith(UTF16):
                        raise FormatError(f"{path}: the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
                    line = line.removeprefix(BOM)
                yield decode(line, f"{path}:{number}")
        except BROKEN_GZIP as error:
            raise FormatError(f"{path}: the gzip file is broken ({error}); fetch it again") from None


def _separator(path: str | os.PathLike, sep: str, first: str) -> str:
    if sep != "auto":
        return _SEPARATORS[sep]
    if str(path).lower().removesuffix(".gz").endswith(".tsv"):
        return "\t"
    return max(_SEPARATORS.values(), key=first.count)
