"""In: tagged documents, a format. Out: the bytes of a file, its content type and name, and what it could not hold.

    json        what /v1/tag answers
    pubtator    as predict.py writes it
    bioc        BioC XML, as predict.py writes it
    csv         id, start, end, type, text, score, concepts: one span a line

A spreadsheet would compute a cell that begins with =, +, - or @: such a text, type or id gets a ' before it in the CSV.
Its offsets stay what they are.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import write
from vaner.formats.json_writing import to_record
from vaner.report import Report
from vaner.serving.errors import RequestError
from vaner.serving.uploads import plain
from vaner.tagger import FAILED

#: Content type and extension of each format.
FORMATS = {
    "json": ("application/json", "json"),
    "pubtator": ("text/plain; charset=utf-8", "pubtator"),
    "bioc": ("application/xml", "xml"),
    "csv": ("text/csv; charset=utf-8", "csv"),
}
_COLUMNS = ("id", "start", "end", "type", "text", "score", "concepts")
_COMPUTED = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_REMARKS = 4_000


@dataclass(frozen=True)
class File:
    """What an answer is.

    Attributes:
        content: its bytes.
        headers: content type, name, and remarks.
    """

    content: bytes
    headers: dict[str, str]


def answer(model: str, documents: Sequence[Document], remarks: Sequence[str]) -> bytes:
    """The JSON of an answer."""
    found = {"model": model, "documents": [record(one) for one in documents], "remarks": list(remarks)}
    return _json(found)


def record(document: Document) -> dict[str, Any]:
    """A document of an answer: id, text, spans; passages and why it is not tagged in full where there are any."""
    whole = to_record(document)
    for span in whole["spans"]:
        span.setdefault("concepts", [])
    kept = {key: whole[key] for key in ("id", "text", "spans", "passages") if key in whole}
    return kept | ({FAILED: document.metadata[FAILED]} if FAILED in document.metadata else {})


def file(
    model: str, documents: Sequence[Document], remarks: Sequence[str], format: str, name: str = "tagged"
) -> File:
    """Documents as a file of a format.

    Args:
        model: who tagged them, for JSON.
        documents: with unique ids.
        remarks: what their reader should know; JSON has them inside, other files in the header Vaner-Remarks.
        format: one of ``FORMATS``.
        name: what the file is called, without its extension.

    Raises:
        RequestError: for text that the format cannot hold.
    """
    content_type, extension = FORMATS[format]
    headers = {
        "Content-Type": content_type,
        "Content-Disposition": f'attachment; filename="{plain(name)}.{extension}"',
    }
    if format == "json":
        return File(answer(model, documents, remarks), headers)
    content, lost = (_csv(documents), []) if format == "csv" else _written(documents, format, extension)
    if said := [*remarks, *lost]:
        # JSON in ASCII has no line break, so no header can be smuggled in.
        headers["Vaner-Remarks"] = json.dumps(_short(said))
    return File(content, headers)


def _written(documents: Sequence[Document], format: str, extension: str) -> tuple[bytes, list[str]]:
    """The bytes of a file, and what it could not hold, without where it lay for a moment."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="vaner-") as folder:
        path = Path(folder, f"tagged.{extension}")
        try:
            write(path, documents, format, report=report)
        except VanerError as error:
            raise RequestError("invalid", str(error).replace(f"{folder}/", "")) from None
        return path.read_bytes(), [line.replace(f"{folder}/", "") for line in report.summary()]


def _csv(documents: Iterable[Document]) -> bytes:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for document in documents:
        for span in document.spans:
            concepts = ";".join(concept.id for concept in span.concepts)
            cells = (document.id, span.start, span.end, span.type, span.text, span.score, concepts)
            writer.writerow([_cell(one) for one in cells])
    return table.getvalue().encode()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_COMPUTED) else value


def _short(remarks: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for remark in remarks:
        kept.append(remark[:500])
        if len(json.dumps(kept)) > _LONGEST_REMARKS:
            return [*kept[:-1], "more is not said here; ask for json"]
    return kept


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
