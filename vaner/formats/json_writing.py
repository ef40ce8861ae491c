"""In: Documents. Out: this project's JSON Lines, or the JSON that an annotation tool imports to have it corrected.

    vaner         {"id", "text", "spans": [{"start", "end", "type", "text", ...}], ...}             JSON Lines
    doccano       {"id", "text", "label": [[0, 7, "Chemical"]], "metadata"}                        JSON Lines
    prodigy       {"id", "text", "spans": [{"start", "end", "label", "score"}], "metadata"}        JSON Lines
    label_studio  {"data": {"id", "text"}, "predictions": [{"result": [{"value": ...}]}]}          one array
    pubannotation {"sourceid", "text", "denotations": [{"id", "span": {"begin", "end"}, "obj"}]}   JSON Lines

Offsets are code points, as all of them count. What they export is read back by :mod:`vaner.formats.json_dialects`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.files import replacing_text
from vaner.formats.ids import renew
from vaner.formats.json_fields import SOURCE, Record
from vaner.formats.lossy import PARTS, tell
from vaner.report import Report

_IDS = ("sourcedb", "sourceid", "divid")


class _Tool(NamedTuple):
    """How a tool's records are written.

    Attributes:
        name: as its users write it.
        record: makes one.
        holds: what of a Document they have room for, as `vaner.formats.lossy` names it.
        metadata: whether any is kept.
        array: whether the file is one array.
    """

    name: str
    record: Callable[[Document, object, Report], Record]
    holds: frozenset[str]
    metadata: bool
    array: bool = False


def write_for(path: str | os.PathLike, documents: Iterable[Document], tool: str, report: Report) -> int:
    """Write Documents for a tool; the file appears whole or not at all.

    Raises:
        VanerError: for an unknown tool, and ``metadata`` that JSON cannot hold.
    """
    if tool not in TOOLS:
        raise VanerError(f"tool={tool} is unknown; choose one of {', '.join(TOOLS)}")
    chosen = TOOLS[tool]
    before, between, after = ("[\n", ",\n", "\n]\n") if chosen.array else ("", "\n", "\n")
    written = 0
    with replacing_text(path) as file:
        file.write(before)
        for document in documents:
            kept = set(document.metadata) if chosen.metadata else {*_IDS, SOURCE}
            tell(document, chosen.name, chosen.holds, kept, path, report)
            try:
                line = json.dumps(chosen.record(document, path, report), ensure_ascii=False, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise VanerError(
                    f"{path}: document {document.id}: no JSON can hold it ({error}); correct its metadata"
                ) from None
            file.write(between * bool(written) + line)
            written += 1
        file.write(after if written or chosen.array else "")
    return written


def to_record(document: Document) -> dict[str, Any]:
    """The JSON object of a Document; what is empty or None is left out, except ``spans``."""
    record: dict[str, Any] = {"id": document.id, "text": document.text}
    record["spans"] = [span_record(span) for span in document.spans]
    if document.passages:
        record["passages"] = [{"start": p.start, "end": p.end, "kind": p.kind} for p in document.passages]
    if document.sentences is not None:
        record["sentences"] = document.sentences
    if document.words is not None:
        record["words"] = document.words
    if document.types is not None:
        record["types"] = sorted(document.types)
    if document.metadata:
        record["metadata"] = document.metadata
    return record


def span_record(span: Span) -> dict[str, Any]:
    """The JSON object of a Span; what is empty or None is left out."""
    record: dict[str, Any] = {"start": span.start, "end": span.end, "type": span.type, "text": span.text}
    if span.score is not None:
        record["score"] = span.score
    if span.grounded is not None:
        record["grounded"] = span.grounded
    if span.concepts:
        record["concepts"] = [
            {
                name: value
                for name, value in (
                    ("id", c.id),
                    ("source", c.source),
                    ("score", c.score),
                    ("match", c.match),
                )
                if value is not None
            }
            for c in span.concepts
        ]
    if span.fragments:
        record["fragments"] = span.fragments
    return record


def _vaner(document: Document, path: object, report: Report) -> Record:
    return to_record(document)


def _doccano(document: Document, path: object, report: Report) -> Record:
    label = [list(span.key) for span in document.spans]
    return {"id": document.id, "text": document.text, "label": label, **_metadata(document)}


def _prodigy(document: Document, path: object, report: Report) -> Record:
    spans = []
    for span in to_record(document)["spans"]:
        spans.append({"label" if key == "type" else key: value for key, value in span.items()})
    return {"id": document.id, "text": document.text, "spans": spans, **_metadata(document)}


def _metadata(document: Document) -> Record:
    return {"metadata": document.metadata} if document.metadata else {}


def _label_studio(document: Document, path: object, report: Report) -> Record:
    data = {"id": document.id, "text": document.text, **_metadata(document)}
    results = [_result(n, span) for n, span in enumerate(document.spans)]
    return {"data": data, "predictions": [{"model_version": "vaner", "result": results}]}


def _result(number: int, span: Span) -> Record:
    # from_name and to_name are those of Label Studio's own template for named entities.
    result: Record = {
        "id": f"r{number}",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": span.start, "end": span.end, "text": span.text, "labels": [span.type]},
    }
    return result if span.score is None else {**result, "score": span.score}


def _pubannotation(document: Document, path: object, report: Report) -> Record:
    metadata = document.metadata
    own = {key: metadata[key] for key in _IDS if key in metadata}
    source = metadata.get(SOURCE) or {}
    names = renew(document.spans, source.get("ids") or {}, (f"T{n}" for n in count(1)))
    denotations = [
        {"id": name, "span": _places(span), "obj": span.type}
        for name, span in zip(names, document.spans, strict=True)
    ]
    record: Record = {"sourceid": document.id, **own, "text": document.text, "denotations": denotations}
    relations = list(_relations(source, set(names), f"{path}: document {document.id}", report))
    return {**record, "relations": relations} if relations else record


def _places(span: Span) -> Any:
    places = [{"begin": start, "end": end} for start, end in span.fragments or ((span.start, span.end),)]
    return places if span.fragments else places[0]


def _relations(source: Mapping[str, Any], names: set[str], where: str, report: Report) -> Iterator[Any]:
    """The relations of PubAnnotation's kind whose mentions are still there."""
    for relation in source.get("relations") or ():
        if not (isinstance(relation, dict) and {"subj", "pred", "obj"} <= relation.keys()):
            report.warn("relation not written", f"{where}: not PubAnnotation's kind: {relation}")
        elif not {relation["subj"], relation["obj"]} <= names:
            report.warn("relation not written", f"{where}: a mention it joins is gone: {relation}")
        else:
            yield relation


TOOLS = {
    "vaner": _Tool("JSON Lines", _vaner, frozenset(PARTS), metadata=True),
    "doccano": _Tool("doccano", _doccano, frozenset(), metadata=True),
    "label_studio": _Tool("Label Studio", _label_studio, frozenset({"scores"}), metadata=True, array=True),
    "prodigy": _Tool(
        "Prodigy",
        _prodigy,
        frozenset(
            {
                "scores",
                "grounding",
                "fragments",
                "concept ids",
                "concept sources",
                "concept scores",
                "concept matches",
            }
        ),
        metadata=True,
    ),
    "pubannotation": _Tool("PubAnnotation", _pubannotation, frozenset({"fragments"}), metadata=False),
}
"""The tools for which JSON is written."""
