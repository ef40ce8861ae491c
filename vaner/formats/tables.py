"""In: rows of a table, and which of its columns holds what. Out: Documents, which keep the other columns as they were.

    pmid   abstract          year          Document("7", "Aspirin ...", metadata={"year": 2020, "table_schema": ...})
    7      Aspirin ...       2020

What a row needs to be written as a table again is in its Document's metadata: the value of each other column under its
name, and under ``table_schema`` the columns with their types and which of them the text and the id are. Parquet files
that this project wrote have columns of its own (``OWN``); what annotation tools and `datasets` write in their columns
is read as from JSON Lines (:mod:`vaner.formats.json_dialects`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vaner.document import Document
from vaner.errors import FormatError, near
from vaner.formats.columns import class_names, feature_of, fields, inside, is_number, is_text, named
from vaner.formats.json_dialects import native
from vaner.formats.json_fields import NATIVE, SOURCE, Fields, joined
from vaner.formats.jsonl import Place, from_record
from vaner.provenance import TAGGED_BY
from vaner.report import Report

SCHEMA = "table_schema"
"""Key of the metadata: ``columns`` (name -> type as `vaner.formats.columns` describes it), ``text``, ``id``."""

EMPTY = "row without a text left out"

OWN = ("spans", "passages", "sentences", "words", "types", "metadata")
"""The columns that this project adds to a table, by what they hold."""

_SPAN = {"start", "end", "type", "text", "score", "concepts", "fragments"}
_RANGE = {"start", "end"}
# A record of JSON Lines has its text there; a table's reader knows where it is.
_NOT_ASKED = ("title", "data")
# In messages: characters of a column's name, and columns.
_SHOWN, _LISTED = 60, 30

Row = dict[str, Any]


class Layout:
    """Which columns of a table hold what.

    Args:
        columns: name -> described type, in the table's order.
        told: what the reader was told; ``id="none"`` makes ids of the rows' numbers.
        where: the file, for messages.
        format: the reader's name, for messages.
        names: the columns that the file itself says are this project's: what they hold -> name.
        tagged_by: what the file itself says tagged its texts.

    Raises:
        FormatError: where the text's column is missing or cannot be told, listing the columns.
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        told: Fields,
        where: str,
        format: str,
        names: Mapping[str, str] | None = None,
        tagged_by: Any = None,
    ) -> None:
        self.columns, self.where, self.format = dict(columns), where, format
        self.fields, self.tagged_by = told, tagged_by
        if SCHEMA in columns:
            raise FormatError(f"{where}: a column is called {SCHEMA!r}, which VANER uses; rename it")
        self.own = self._own(names or {})
        self.texts = self._texts(names or {})
        self.id = self._id(names or {})
        self.labels = {
            name: known
            for name, described in columns.items()
            if inside(described) is not None and (known := class_names(feature_of(described)))
        }
        used = {*self.own.values(), *([self.texts[0]] if len(self.texts) == 1 else []), self.id}
        self.kept = [name for name in columns if name not in used]
        self.schema = self._schema()

    def _own(self, names: Mapping[str, str]) -> dict[str, str]:
        """What this project's columns hold -> name; by their types where the file does not say."""
        if self.fields.spans:
            return {}
        if names.get("spans") in self.columns:
            return {what: name for what, name in names.items() if what in OWN and name in self.columns}
        types = {name: self.columns.get(name) for name in OWN}
        span = set(fields(inside(types["spans"])))
        if not {"start", "end", "type"} <= span:
            return {}
        found = {"spans": "spans"}
        if {*_RANGE, "kind"} <= set(fields(inside(types["passages"]))):
            found["passages"] = "passages"
        for name in ("sentences", "words"):
            item = inside(types[name])
            if set(fields(item)) == _RANGE or is_number(inside(item)):
                found[name] = name
        if is_text(inside(types["types"])):
            found["types"] = "types"
        if is_text(types["metadata"]) and span >= _SPAN:
            found["metadata"] = "metadata"
        return found

    def _texts(self, names: Mapping[str, str]) -> tuple[str, ...]:
        """The columns whose texts, joined, are the document's; none where it is made of words."""
        said = self.fields.text or _present(names.get("text"), self.columns)
        if said:
            parts = (said,) if said in self.columns else tuple(said.split("+"))
            for part in parts:
                described = self._find(part, "text")
                if not is_text(described):
                    raise FormatError(
                        f"{self.where}: the column {part!r} holds {named(described)}, no texts; {self._ask()}"
                    )
            return parts
        if self.fields.tokens or self._words():
            return ()
        if is_text(self.columns.get("text")):
            return ("text",)
        texts = [name for name, described in self.columns.items() if is_text(described) and name != "id"]
        if len(texts) == 1:
            return (texts[0],)
        found = "several columns hold texts" if texts else "no column holds texts"
        raise FormatError(f"{self.where}: {found}, and none is called 'text'; {self._ask()}")

    def _words(self) -> bool:
        lists = [name for name, described in self.columns.items() if inside(described) is not None]
        words = any(name in lists and is_text(inside(self.columns[name])) for name in ("tokens", "words"))
        return words and "text" not in self.columns

    def _id(self, names: Mapping[str, str]) -> str | None:
        said = self.fields.id or _present(names.get("id"), self.columns)
        if said == "none" and said not in self.columns:
            return None
        described = self._find(said, "id") if said else self.columns.get("id")
        if is_text(described) or is_number(described):
            return said or "id"
        if said:
            raise FormatError(
                f"{self.where}: the column {said!r} holds {named(described)}; ids are strings or whole numbers"
            )
        return None

    def _find(self, path: str, option: str) -> Any:
        """The type of a column, or of a field of one (``meta.pmid``)."""
        if path in self.columns:
            return self.columns[path]
        described: Any = None
        held: Mapping[str, Any] = self.columns
        for name in path.split("."):
            described = held.get(name)
            if described is None:
                hint = near(path, self.columns)
                more = f"{hint}; " if hint else ""
                raise FormatError(f"{self.where}: has no column {path!r}; {more}{self._ask(option)}")
            held = fields(described)
        return described

    def _ask(self, option: str = "text") -> str:
        listed = [f"{name[:_SHOWN]} ({named(kind)})" for name, kind in self.columns.items()]
        more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
        both = "title+abstract" if {"title", "abstract"} <= self.columns.keys() else "COLUMN"
        example = both if option == "text" else "COLUMN"
        return (
            f"name the column with --{option}_column {example}, or {self.format}:{option}={example}; "
            f"the columns are {', '.join(listed[:_LISTED]) or 'none'}{more}"
        )

    def _schema(self) -> dict[str, Any] | None:
        """What is needed to write the table again; None where it is a table of Documents and nothing else."""
        own = set(self.own.values())
        columns = {name: described for name, described in self.columns.items() if name not in own}
        if columns == {"id": "string", "text": "string"} and own == set(OWN):
            return None
        schema: dict[str, Any] = {"columns": columns}
        if len(self.texts) == 1 and self.texts[0] in columns:
            schema["text"] = self.texts[0]
        if self.id in columns:
            schema["id"] = self.id
        return schema

    def document(self, row: Row, id: str, where: str, report: Report, place: Place) -> Document | None:
        """The Document of a row; None, counted, where the row has no text.

        Args:
            row: a value for each column, as JSON can hold it.
            id: used where no column has ids.
            where: the file and the row's number, for messages.
            report: receives what is left out or repaired.
            place: what `vaner.formats.jsonl.placing` gives.

        Raises:
            FormatError: for a row without id, or with annotations that are not understood.
            OffsetError: for spans that do not select their text.
        """
        parts = [(name, self._value(row, name)) for name in self.texts]
        if parts and all(part is None for _, part in parts):
            report.warn(EMPTY, f"{where}: {' and '.join(self.texts)} is null")
            return None
        record = self._own_fields(row, where) if self.own else self._others(row)
        if self.texts:
            record["text"] = parts[0][1]
        if len(parts) > 1:
            record["text"], record["passages"] = joined(parts, where)
        record["id"] = self._name(row, id, where)
        found = native(record, replace(self.fields, id="", text=""), where, report)
        if found is None:
            return None
        document = from_record(found, id, where, report, place)
        metadata = {name: row[name] for name in self.kept}
        metadata |= record.get("metadata") or {} if self.own else {}
        if self.tagged_by and metadata.setdefault(TAGGED_BY, self.tagged_by) is None:
            del metadata[TAGGED_BY]
        if SOURCE in document.metadata:
            metadata[SOURCE] = document.metadata[SOURCE]
        if self.schema is not None:
            metadata[SCHEMA] = self.schema
        document.metadata = metadata
        return document

    def _own_fields(self, row: Row, where: str) -> Row:
        """What this project's columns hold."""
        record = {}
        for what, name in self.own.items():
            value = row[name]
            if what == "metadata" and isinstance(value, str):
                try:
                    record[what] = json.loads(value)
                    continue
                except ValueError:
                    raise FormatError(
                        f"{where}: {name} is {value[:40]!r}, no JSON; leave the column out"
                    ) from None
            record[what] = _pairs(value) if what in ("sentences", "words") else _filled(value)
        return record

    def _others(self, row: Row) -> Row:
        """The columns that may hold mentions or words as another tool writes them, classes by their names."""
        wanted = {
            "spans",
            self.fields.spans,
            self.fields.tokens,
            self.fields.tags,
            "" if self.texts else "words",
        }
        record = {
            name: _filled(value)
            for name, value in row.items()
            if name in wanted or name not in NATIVE and name not in _NOT_ASKED
        }
        for name, known in self.labels.items():
            if isinstance(numbers := record.get(name), list) and not self.fields.tag_names:
                record[name] = [_class(number, known) for number in numbers]
        return {name: value for name, value in record.items() if value is not None}

    def _name(self, row: Row, id: str, where: str) -> str:
        if self.id is None:
            return id
        value = self._value(row, self.id)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # as pandas has numbers where some are missing
        if not isinstance(value, str | int):
            found = "is null" if value is None else f"is {value!r}"
            raise FormatError(
                f"{where}: its id {self.id!r} {found}; give it one, or number the rows (--id_column none)"
            )
        return str(value)

    def _value(self, row: Row, path: str) -> Any:
        if path in row:
            return row[path]
        held: Any = row
        for name in path.split("."):
            held = held.get(name) if isinstance(held, dict) else None
        return held


def _present(name: str | None, columns: Mapping[str, Any]) -> str:
    return name if name is not None and name in columns else ""


def _class(number: Any, names: Sequence[str]) -> Any:
    """The name of a class; what is below 0 has none, as where words are left out of training."""
    if not isinstance(number, int) or number >= len(names):
        return number
    return names[number] if number >= 0 else "O"


def _pairs(ranges: Sequence[Any] | None) -> list[list[int]] | None:
    if ranges is None:
        return None
    return [[r["start"], r["end"]] if isinstance(r, dict) else list(r) for r in ranges]


def _filled(value: Any) -> Any:
    """A value of a column without what is null in its structs: a table has every field in every row."""
    if isinstance(value, dict):
        return {
            name: _pairs(item) if name == "fragments" and isinstance(item, list) else _filled(item)
            for name, item in value.items()
            if item is not None
        }
    return [_filled(item) for item in value] if isinstance(value, list) else value


def numbered(batches: Iterator[list[Row]]) -> Iterator[tuple[None, tuple[int, Row]]]:
    """The rows of a table with their numbers, from 1, as `vaner.formats.blocks.documents` takes them."""
    number = 0
    for batch in batches:
        for row in batch:
            number += 1
            yield None, (number, row)
