"""In: JSON Lines, or other JSON, of this project or of an annotation tool. Out: Documents; and back, one object a line.

    {"id": "d1", "text": "BRCA1 and breast cancer",
     "spans": [{"start": 10, "end": 23, "type": "Disease", "text": "breast cancer", "score": 0.98,
                "concepts": [{"id": "D001943", "source": "MESH"}]}],
     "passages": [{"start": 0, "end": 23, "kind": "title"}],
     "sentences": [[0, 23]], "words": [[0, 5], [6, 9], ...], "types": ["Disease"], "metadata": {...}}

Only ``text`` is needed. Offsets are code points. Plain records are read too: ``{"title", "abstract"}`` and
``{"title", "text"}`` without ``spans`` or ``passages`` become title, line break, abstract, with a title and
an abstract passage, as PubTator files are read. Any other key goes to ``metadata``; every field of a Document is kept
exactly. What other tools write is turned into such records by :mod:`vaner.formats.json_dialects`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError
from vaner.files import stem
from vaner.formats.blocks import documents
from vaner.formats.json_dialects import native
from vaner.formats.json_fields import NATIVE, SOURCE, Fields, joined
from vaner.formats.json_records import Unread, parse, records
from vaner.formats.json_writing import write_for
from vaner.formats.offsets import DROPPED, Mention, Placer, check_options, uncounted
from vaner.report import Report

_SPAN_FIELDS = {"start", "end", "type", "text", "score", "grounded", "concepts", "fragments", "_id"}
_CONCEPT_FIELDS = {"id", "source", "score", "match"}


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    offsets: str = "raise",
    unit: str = "codepoints",
    crlf: str = "2",
    bom: str = "1",
    id: str = "",
    text: str = "",
    spans: str = "",
    tokens: str = "",
    tags: str = "",
    tag_names: str = "",
) -> Iterator[Document]:
    """Stream the Documents of JSON Lines, or of a JSON array or object.

    A record without id is called ``<file stem>-<n>``: n is its line, or its number where the file is not JSON Lines.

    Args:
        offsets: what to do with a mention whose words are not at its offsets: ``raise``, ``repair`` or ``drop``, which
            drops mentions without offsets or type too; see :mod:`vaner.formats.offsets`.
        unit: what offsets count: ``codepoints``, ``utf16`` (JavaScript) or ``utf8``.
        crlf: what a line break ``\\r\\n`` counts: ``2``, ``1``, or ``auto`` as for brat.
        bom: the same of a byte order mark: ``1``, ``0`` or ``auto``.
        id, text, spans, tokens, tags: the keys that have them, where they are not those of a tool that is known, with
            dots for keys in keys (``data.body``); ``spans=none``: there are no mentions; ``text=title+abstract``: the
            text is theirs, with a line break between; ``id=none``: a record's own is no document's id, and goes to
            ``metadata["source_id"]``.
        tag_names: what tags that are numbers mean, in order, with ``|`` between: ``O|B-Disease|I-Disease``.

    Raises:
        FormatError: for a record that is no object of a known form, with file, line and key.
        OffsetError: for spans that do not select their text.
    """
    names = tuple(tag_names.split("|")) if tag_names else ()
    fields = Fields(id, text, spans, tokens, tags, names, skip=offsets == "drop")
    place = placing(offsets, unit, crlf, bom)
    blocks = (
        (line, (number, where, content)) for number, (line, where, content) in enumerate(records(path), 1)
    )

    def build(line: int | None, block: tuple[int, str, Unread]) -> Document | None:
        number, where, content = block
        record = native(parse(content, where), fields, where, report)
        if record is None:
            return None
        try:
            return from_record(record, f"{stem(path)}-{line or number}", where, report, place)
        except UnicodeEncodeError:
            raise FormatError(
                f"{where}: the text holds half of a surrogate pair; write the whole character"
            ) from None

    return documents(path, blocks, build, on_error, report)


Place = Callable[..., tuple[list[Span], dict[str, list[int | str]]]]
"""Finds the spans of a record in its text."""


def placing(offsets: str, unit: str, crlf: str = "2", bom: str = "1") -> Place:
    """What finds the spans of records, as the options of :func:`read` say.

    Raises:
        VanerError: for an option that does not exist.
    """
    check_options(offsets, unit, crlf, bom)
    return partial(_spans, offsets=offsets, unit=unit, crlf=crlf, bom=bom)


def from_record(record: dict[str, Any], id: str, where: str, report: Report, place: Place) -> Document:
    """The Document of one record.

    Args:
        record: what :func:`to_record` makes, or a plain record.
        id: used where the record has none.
        where: ``file:line``, for messages.
        report: receives the span fields that mean nothing here.
        place: what :func:`placing` gives.

    Raises:
        FormatError: for a field of another kind than it should have.
        OffsetError: for spans that do not select their text.
    """
    record = dict(record)
    if record.get("id") is not None:
        id = record["id"]
        if not isinstance(id, (str, int)) or isinstance(id, bool):
            raise FormatError(f"{where}: id is {id!r}; make it a string")
        id = str(id)
    file, where = where, f"{where}: document {id}"
    if "title" in record and not {"spans", "passages"} & record.keys():
        text, passages = _title_and_abstract(record, where)
    else:
        if "text" not in record:
            keys = ", ".join(map(repr, record)) or "none"
            raise FormatError(
                f"{where}: 'text' must be a string, found nothing among its keys ({keys}); "
                "name the key that has it, as in jsonl:text=body"
            )
        text = _field(record, "text", str, where)
        passages = [
            Passage(
                _field(p, "start", int, where), _field(p, "end", int, where), _field(p, "kind", str, where)
            )
            for p in _objects(record, "passages", where)
        ]
    text.encode()  # half of a surrogate pair can be written in JSON, but in no file
    spans, ids = place(_objects(record, "spans", where), text, id, file, report)
    metadata = record.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise FormatError(f"{where}: metadata is {metadata!r}; make it an object")
    if ids:
        metadata = {**metadata, SOURCE: {**metadata[SOURCE], "ids": ids}}
    others = {key: value for key, value in record.items() if key not in NATIVE}
    types = record.get("types")
    if types is not None and not (isinstance(types, list) and all(isinstance(t, str) for t in types)):
        raise FormatError(f"{where}: types is {types!r}; make it a list of strings")
    return Document(
        id,
        text,
        spans,
        passages,
        sentences=_ranges(record, "sentences", where),
        words=_ranges(record, "words", where),
        types=None if types is None else frozenset(types),
        metadata={**others, **metadata},
    )


def _title_and_abstract(record: dict[str, Any], where: str) -> tuple[str, list[Passage]]:
    """Takes title and abstract out of the record; an empty one adds no line break."""
    title = record.pop("title")
    abstract = record.pop("abstract" if "abstract" in record else "text", None)
    text, passages = joined([("title", title), ("abstract", abstract)], where)
    return text, [Passage(**passage) for passage in passages]


def _spans(
    told: list[dict[str, Any]],
    text: str,
    id: str,
    file: str,
    report: Report,
    *,
    offsets: str,
    unit: str,
    crlf: str,
    bom: str,
) -> tuple[list[Span], dict[str, list[int | str]]]:
    """A record's spans, and which of them its relations call how.

    Args:
        told: the spans as the record has them.
        file: the record's place, for messages.
    """
    where = f"{file}: document {id}"
    mentions: list[tuple[dict[str, Any], Mention]] = []
    for record in told:
        try:
            mentions.append((record, _mention(record, where)))
        except FormatError as error:
            if offsets != "drop":
                raise
            report.warn(DROPPED, str(error))
    left = uncounted(text, (mention for _, mention in mentions), where, unit, report, crlf, bom)
    placer = Placer(text, id, offsets, unit, report, left)
    spans: list[Span] = []
    ids: dict[str, list[int | str]] = {}
    for record, (pieces, words) in mentions:
        placed = placer.place(*pieces[0], words, record["type"], file)
        if placed is None:
            continue
        span = _span(record, placed, placer, where, report)
        spans.append(span)
        if "_id" in record:
            ids[str(record["_id"])] = [*span.key]
    return spans, ids


def _mention(record: dict[str, Any], where: str) -> Mention:
    """Where a span stands and its words; its type is there."""
    _field(record, "type", str, where)
    start, end = _field(record, "start", int, where), _field(record, "end", int, where)
    # Without its words the offsets alone say what the span is.
    return [(start, end)], _field(record, "text", str, where) if "text" in record else None


def _span(
    record: dict[str, Any], placed: tuple[int, int], placer: Placer, where: str, report: Report
) -> Span:
    start, end = placed
    for name in record.keys() - _SPAN_FIELDS:
        report.warn(
            f"span field {name!r} ignored", f"{where}: the span at {start}-{end} has it; use metadata"
        )
    score = record.get("score")
    if score is not None and not isinstance(score, (int, float)):
        raise FormatError(f"{where}: the span at {start}-{end} has the score {score!r}; make it a number")
    grounded = record.get("grounded")
    if not isinstance(grounded, str | None):
        raise FormatError(f"{where}: the span at {start}-{end} has grounded {grounded!r}; make it a string")
    pieces: list[tuple[int, int]] = []
    if record.get("fragments"):
        # They go where their mention goes.
        moved = start - placer.points(record["start"], record["end"])[0]
        told = [placer.points(*piece) for piece in _ranges(record, "fragments", where) or ()]
        pieces = [(first + moved, last + moved) for first, last in told]
    return Span(
        start,
        end,
        record["type"],
        placer.text[start:end],
        score,
        tuple(_concept(c, where, report) for c in _objects(record, "concepts", where)),
        tuple(pieces),
        grounded,
    )


def _concept(record: dict[str, Any], where: str, report: Report) -> Concept:
    for name in record.keys() - _CONCEPT_FIELDS:
        report.warn(f"concept field {name!r} ignored", f"{where}: the concept {record} has it; use metadata")
    return Concept(
        _field(record, "id", str, where), record.get("source"), record.get("score"), record.get("match")
    )


def _field(record: dict[str, Any], name: str, kind: type, where: str) -> Any:
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = {str: "a string", int: "a whole number"}[kind]
        found = repr(value)[:40] if name in record else "nothing"
        raise FormatError(f"{where}: {name!r} must be {wanted}, found {found}")
    return value


def _objects(record: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    value = record.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise FormatError(f"{where}: {name!r} must be a list of objects, found {repr(value)[:40]}")
    return value


def _ranges(record: dict[str, Any], name: str, where: str) -> list[tuple[int, int]] | None:
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(x) is int for x in pair) for pair in value
    ):
        return [(start, end) for start, end in value]
    raise FormatError(f"{where}: {name!r} must be a list of [start, end] pairs, found {repr(value)[:40]}")


def write(
    path: str | os.PathLike, documents: Iterable[Document], *, report: Report, tool: str = "vaner"
) -> int:
    """Write one JSON object a line, UTF-8 without escapes; nothing of a Document is lost.

    Args:
        tool: whose JSON is written: ``vaner``, or for the import of ``doccano``, ``label_studio``, ``prodigy`` or
            ``pubannotation`` (:mod:`vaner.formats.json_writing`); ``report`` gets what these have no room for.

    Raises:
        VanerError: for an unknown tool, and where ``metadata`` holds what JSON cannot (sets, NaN, objects).
    """
    return write_for(path, documents, tool, report)
