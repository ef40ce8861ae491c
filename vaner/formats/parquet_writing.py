"""In: Documents. Out: Arrow tables, a row for each; a Parquet file of them, appearing whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import vaner
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import replacing
from vaner.formats import columns
from vaner.formats.json_writing import to_record
from vaner.formats.tables import OWN, SCHEMA
from vaner.provenance import TAGGED_BY
from vaner.report import Report

_RANGES = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))
_CONCEPT = {"id": pa.string(), "source": pa.string(), "score": pa.float64(), "match": pa.string()}
_CONCEPTS = pa.list_(pa.struct(list(_CONCEPT.items())))
_SPANS = [
    ("start", pa.int64()),
    ("end", pa.int64()),
    ("type", pa.string()),
    ("text", pa.string()),
    ("score", pa.float64()),
    ("concepts", _CONCEPTS),
    ("fragments", _RANGES),
    ("grounded", pa.string()),
]
SPANS = pa.list_(pa.struct(_SPANS))
"""The type of a column of mentions; `cells` gives its values."""

_TYPES = {
    "spans": SPANS,
    "passages": pa.list_(
        pa.struct([("start", pa.int64()), ("end", pa.int64()), ("kind", pa.string())])
    ),
    "sentences": _RANGES,
    "words": _RANGES,
    "types": pa.list_(pa.string()),
    "metadata": pa.string(),
}  # fmt: skip

_BATCH = 500
"""Documents that are held as they are, before they become Arrow's."""
_GROUP_ROWS, _GROUP_BYTES = 20_000, 64 << 20
"""A row group ends with the batch that reaches one of these."""


def write_table(path: str | os.PathLike, documents: Iterable[Document], report: Report) -> int:
    """See `vaner.formats.parquet.write`."""
    count = 0
    writer = None
    with replacing(path) as file:
        try:
            for group in tables(documents, path, report):
                writer = writer or _writer(file, group.schema)
                # Of no rows there is no group.
                writer.write_table(group, row_group_size=group.num_rows or None)
                count += group.num_rows
        finally:
            if writer is not None:
                writer.close()
    return count


def tables(documents: Iterable[Document], where: object, report: Report) -> Iterator[pa.Table]:
    """The row groups of the file, one at least, as tables of one schema; see `vaner.formats.parquet.write`.

    Args:
        where: what the messages name.
    """
    layout = None
    some = False
    for batch in _batched(documents):
        layout = layout or _Layout(batch[0] if batch else None, where, report)
        for group in layout.groups(batch):
            some = True
            yield group
    layout = layout or _Layout(None, where, report)
    yield from layout.rest(needed=not some)


def cells(document: Document) -> list[dict[str, Any]]:
    """A Document's mentions as a value of a column of them: every field is there, None where nothing is known."""
    said = to_record(document)["spans"]
    found = []
    for span in said:
        concepts = [{name: one.get(name) for name in _CONCEPT} for one in span.get("concepts", ())]
        ranges = {"fragments": _ranges(span.get("fragments")), "concepts": concepts or None}
        found.append({name: span.get(name) for name, _ in _SPANS} | ranges)
    return found


def _writer(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        pa.PythonFile(file, mode="w"), schema, compression="zstd", write_page_checksum=True
    )


def _batched(documents: Iterable[Document]) -> Iterator[list[Document]]:
    held: list[Document] = []
    for document in documents:
        held.append(document)
        if len(held) == _BATCH:
            yield held
            held = []
    if held:
        yield held


class _Layout:
    """The columns of the file, from its first Documents; batches on their way to row groups."""

    def __init__(self, first: Document | None, path: object, report: Report) -> None:
        self.path, self.report = path, report
        self.schema = first.metadata.get(SCHEMA) if first is not None else None
        said = self.schema or {"columns": {"id": "string", "text": "string"}, "id": "id", "text": "text"}
        try:
            self.table = {name: columns.type_of(kind) for name, kind in said["columns"].items()}
            self.features = {n: f for n, kind in said["columns"].items() if (f := columns.feature_of(kind))}
            self.names = {what: said[what] for what in ("id", "text") if what in said}
        except (VanerError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise VanerError(
                f"{path}: document {first.id if first else ''}: its {SCHEMA} is none ({error}); remove that key"
            ) from None
        for what in ("id", "text", *OWN):
            self.names.setdefault(what, self._free(what))
        by = first.metadata.get(TAGGED_BY) if first is not None and TAGGED_BY not in self.table else None
        self.tagged_by = by if isinstance(by, dict) and all(isinstance(v, str) for v in by.values()) else None
        self.dropped: set[str] | None = None if self.schema else set()
        self.batches: list[pa.Table] = []

    def _free(self, name: str) -> str:
        while name in self.table:
            name = f"vaner_{name}"
        return name

    def groups(self, batch: Sequence[Document]) -> Iterator[pa.Table]:
        """Take in Documents; give out what has become a row group."""
        self.batches.append(self._arrow(batch))
        rows = sum(table.num_rows for table in self.batches)
        if rows >= _GROUP_ROWS or sum(table.nbytes for table in self.batches) >= _GROUP_BYTES:
            yield from self.rest()

    def rest(self, needed: bool = False) -> Iterator[pa.Table]:
        """The last row group; where one is ``needed``, an empty one at least."""
        if not self.batches:
            if not needed:
                return
            self.batches = [self._arrow([])]
        table = pa.concat_tables(self.batches).combine_chunks()
        self.batches = []
        if self.dropped is None:
            # What no Document of the first group has gets no column: the table stays as much as it was.
            empty = {w for w in OWN if w != "spans" and table[self.names[w]].null_count == table.num_rows}
            self.dropped = empty
        for what in sorted(self.dropped):
            for row in (n for n, value in enumerate(table[self.names[what]]) if value.is_valid):
                id = table[self.names["id"]][row].as_py()
                self.report.warn(
                    f"{what} not written",
                    f"{self.path}: document {id}: it is the first that has {what}, and comes too late for a "
                    "column; jsonl keeps everything",
                )
        table = table.drop_columns([self.names[what] for what in self.dropped])
        yield table.replace_schema_metadata(self._said(table.schema.names))

    def _said(self, present: Sequence[str]) -> dict[str, str]:
        own: dict[str, Any] = {
            "version": vaner.__version__,
            "columns": {what: name for what, name in self.names.items() if name in present},
        }
        if self.tagged_by:
            own[TAGGED_BY] = self.tagged_by
        said = {"vaner": json.dumps(own, ensure_ascii=False)}
        if self.features:
            said["huggingface"] = json.dumps({"info": {"features": self.features}})
        return said

    def _arrow(self, batch: Sequence[Document]) -> pa.Table:
        records = [self._record(document) for document in batch]
        made = {}
        types = {**self.table, **{self.names[w]: t for w, t in _TYPES.items()}}
        for what in ("id", "text"):
            types.setdefault(self.names[what], pa.string())
        for name, kind in types.items():
            values = [record.get(name) for record in records]
            try:
                if name in (self.names["id"], self.names["text"]):
                    made[name] = _texts(values, kind)
                elif name in self.table:
                    made[name] = columns.array(values, kind)
                else:
                    made[name] = pa.array(values, kind)
            except UnicodeEncodeError:
                raise VanerError(
                    f"{self.path}: a text between documents {batch[0].id} and {batch[-1].id} holds half of a surrogate "
                    "pair, which UTF-8 cannot; replace it before writing"
                ) from None
            except (pa.ArrowException, ValueError, TypeError, KeyError, OverflowError) as error:
                said = str(error).split("\n")[0][:200]
                raise VanerError(
                    f"{self.path}: documents {batch[0].id} to {batch[-1].id}: the column {name!r} ({kind}) cannot hold "
                    f"a value ({said}); write jsonl, or read the table without its types"
                ) from None
        return pa.table(made)

    def _record(self, document: Document) -> dict[str, Any]:
        """A value for each column."""
        of_table = document.metadata.get(SCHEMA) == self.schema
        record = {name: document.metadata.get(name) for name in self.table} if of_table else {}
        said = to_record(document)
        others = {
            key: value
            for key, value in document.metadata.items()
            if not of_table or key not in self.table and key != SCHEMA
        }
        if self.tagged_by:  # said once for the file; a row says what differs
            if others.get(TAGGED_BY) == self.tagged_by:
                del others[TAGGED_BY]
            else:
                others.setdefault(TAGGED_BY, None)
        for what in OWN:
            record[self.names[what]] = said.get(what)
        record[self.names["id"]], record[self.names["text"]] = document.id, document.text
        record[self.names["spans"]] = cells(document)
        for what in ("sentences", "words"):
            record[self.names[what]] = _ranges(said.get(what))
        record[self.names["metadata"]] = None
        if others:
            try:
                written = json.dumps(others, ensure_ascii=False, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise VanerError(
                    f"{self.path}: document {document.id}: no JSON can hold it ({error}); correct its metadata"
                ) from None
            record[self.names["metadata"]] = written
        return record


def _texts(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string()).cast(kind)


def _ranges(ranges: Iterable[tuple[int, int]] | None) -> list[dict[str, int]] | None:
    return None if ranges is None else [{"start": start, "end": end} for start, end in ranges]
