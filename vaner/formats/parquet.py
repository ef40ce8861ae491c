"""In: Parquet, a table with a text in each row. Out: Documents; and back, the table with its mentions in a column.

    pmid   abstract        year        pmid   abstract        year   spans
    7      Aspirin ...     2020   ->   7      Aspirin ...     2020   [{start: 0, end: 7, type: Chemical, ...}]

``spans`` is a list of structs, as `datasets` and pandas read it: ``start``, ``end``, ``type``, ``text``, ``score``,
``concepts`` (``id``, ``source``, ``score``, ``match``), ``fragments`` (``start``, ``end``) and ``grounded``. All
other columns are kept as they are. What else a Document has gets a column where some Document has it: ``passages``,
``sentences``, ``words``, ``types`` and ``metadata`` (JSON). What does not come from a table is written with all of
these columns.

Files are read and written in batches of rows, whatever the size of their row groups.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from vaner.document import Document
from vaner.errors import FormatError
from vaner.files import BROKEN_GZIP, open_bytes, stem
from vaner.formats import columns
from vaner.formats.blocks import documents
from vaner.formats.json_fields import Fields
from vaner.formats.jsonl import Place, placing
from vaner.formats.tables import Layout, Row, numbered
from vaner.provenance import TAGGED_BY
from vaner.report import Report

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"vaner"
"""Of the file's own metadata: JSON with VANER's version, which columns are whose, and what tagged the texts."""

_HUGGING_FACE = b"huggingface"
_ROWS = 500
_BUFFER = 1 << 20


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    offsets: str = "raise",
    unit: str = "codepoints",
    id: str = "",
    text: str = "",
    spans: str = "",
    tokens: str = "",
    tags: str = "",
    tag_names: str = "",
) -> Iterator[Document]:
    """Stream the Documents of a Parquet file, one a row; a row whose text is null is left out and counted.

    Args:
        offsets: what to do with a mention whose words are not at its offsets: ``raise``, ``repair``
            or ``drop``; see :mod:`vaner.formats.offsets`.
        unit: what offsets count: ``codepoints``, ``utf16`` or ``utf8``.
        id: the column with the ids, strings or whole numbers; else ``id``; where there is none, and with ``none``,
            an id is ``<file stem>-<row>``, rows from 1.
        text: the column with the texts; else ``text``, or the only one that holds strings. ``title+abstract``: those
            of several columns, with a line break between and a passage for each.
        spans, tokens, tags, tag_names: as for :func:`vaner.formats.jsonl.read`.

    Raises:
        FormatError: for a file that is broken, a column that is not there or cannot be told, a row without id.
        OffsetError: for spans that do not select their text.
    """
    place = placing(offsets, unit)
    names = tuple(tag_names.split("|")) if tag_names else ()
    told = Fields(id, text, spans, tokens, tags, names, skip=offsets == "drop")
    return _documents(path, told, place, on_error, report)


def _documents(
    path: str | os.PathLike, told: Fields, place: Place, on_error: str, report: Report
) -> Iterator[Document]:
    with _seekable(path) as file:
        table = _open(path, file)
        schema = table.schema_arrow
        said = _json((schema.metadata or {}).get(KEY))
        names = said.get("columns") if isinstance(said.get("columns"), dict) else {}
        layout = Layout(described(schema, path), told, str(path), "parquet", names, said.get(TAGGED_BY))

        def build(_: int | None, block: tuple[int, Row]) -> Document | None:
            number, row = block
            return layout.document(row, f"{stem(path)}-{number}", f"{path}: row {number}", report, place)

        yield from documents(path, numbered(_batches(path, table)), build, on_error, report)


@contextlib.contextmanager
def _seekable(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """The file; standard input and what is compressed by gzip are copied first, because Parquet begins at its end."""
    if str(path) != "-" and not str(path).endswith(".gz"):
        with open(path, "rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        with open_bytes(path) as source:
            try:
                shutil.copyfileobj(source, copy)
            except BROKEN_GZIP as error:
                raise FormatError(f"{path}: the gzip file is broken ({error}); fetch it again") from None
        copy.seek(0)
        yield copy


def _open(path: str | os.PathLike, file: BinaryIO) -> Any:
    import pyarrow.parquet as pq

    with _readable(path, 0):
        # Without a buffer a column of a row group is read whole, however long it is.
        return pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True)


def _batches(path: str | os.PathLike, table: Any) -> Iterator[list[Row]]:
    number = 0
    batches = table.iter_batches(batch_size=_ROWS, use_threads=False)
    while True:
        with _readable(path, number):
            batch = next(batches, None)
            rows = [] if batch is None else rows_of(batch)
        if batch is None:
            return
        yield rows
        number += len(rows)


@contextlib.contextmanager
def _readable(path: str | os.PathLike, number: int) -> Iterator[None]:
    """What pyarrow says of a file that it cannot read, as one line."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        said = str(error).split("\n")[0][:200] or type(error).__name__
        raise FormatError(
            f"{path}: no readable Parquet after row {number} ({said}); is the file cut short or damaged? fetch it again"
        ) from None


def described(schema: pa.Schema, path: object) -> dict[str, Any]:
    """The columns of a table and their types, as `vaner.formats.columns` describes them.

    Raises:
        FormatError: for two columns of the same name.
    """
    twice = {name for name in schema.names if schema.names.count(name) > 1}
    if twice:
        raise FormatError(f"{path}: two columns are called {min(twice)[:60]!r}; rename one")
    said = _json((schema.metadata or {}).get(_HUGGING_FACE)).get("info") or {}
    features = said.get("features") if isinstance(said, dict) else None
    features = features if isinstance(features, dict) else {}
    return {field.name: columns.describe(field.type, features.get(field.name)) for field in schema}


def rows_of(batch: pa.RecordBatch | pa.Table) -> list[Row]:
    """The rows of a batch, their values as JSON can hold them."""
    named = {name: columns.values(batch.column(n)) for n, name in enumerate(batch.schema.names)}
    return [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]


def _json(said: bytes | None) -> dict[str, Any]:
    """The object of one of the file's metadata; empty where it is none, which is no matter of ours."""
    try:
        found = json.loads(said or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def write(path: str | os.PathLike, documents: Iterable[Document], *, report: Report) -> int:
    """Write Documents as Parquet, one a row; the same Documents make the same bytes.

    A table that was read gets its mentions in a column of its own and keeps its other columns with their types;
    mentions of this project's form in a column ``spans`` are replaced. What tagged the Documents, where it is the same
    for all (``metadata["tagged_by"]``), is written once, in the file's own metadata.

    Raises:
        VanerError: for an id or a value that its column cannot hold, and ``metadata`` that JSON cannot.
    """
    from vaner.formats.parquet_writing import write_table  # which needs pyarrow

    return write_table(path, documents, report)
