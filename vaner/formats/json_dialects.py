"""In: one record of JSON as some tool writes it. Out: the same as the JSON Lines of this project have it.

    spaCy          [text, {"entities": [[0, 7, "Chemical"]]}], {"text", "entities"}; Doc.to_json: {"text", "ents"}
    doccano        {"text", "label": [[0, 7, "Chemical"]]}, {"text", "entities": [{"start_offset", "end_offset", ...}]}
    Prodigy        {"text", "spans": [{"start", "end", "label"}], "answer": "accept"}
    Label Studio   {"data": {"text"}, "annotations": [{"result": [{"value": {"start", "end", "labels"}}]}]}
    PubAnnotation  {"sourceid", "text", "denotations": [{"span": {"begin", "end"}, "obj"}]}
    GLiNER         {"tokenized_text": ["Aspirin", ...], "ner": [[0, 0, "Chemical"]]}, the last word included
    datasets       {"tokens": ["Aspirin", ...], "ner_tags": ["B-Chemical", ...]}; or numbers, their names an option

What looks like mentions and is none of this is an error that names its key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vaner.errors import FormatError
from vaner.formats.json_fields import (
    NATIVE,
    Fields,
    Reading,
    Record,
    finish,
    identify,
    is_mention,
    is_region,
    is_strings,
    joined,
    refuse_others,
    spans_of,
    take,
)
from vaner.formats.json_words import of_words, tags_key
from vaner.formats.label_studio import is_task, label_studio
from vaner.report import Report

LEFT_OUT = "record left out by its answer"

_MENTIONS = ("spans", "entities", "ents", "label", "labels", "denotations", "annotations")
_WORDS = ("tokenized_text", "tokens", "words")
_PRODIGY = {"spans", "_task_hash", "_input_hash"}


def native(record: Any, fields: Fields, where: str, report: Report) -> Record | None:
    """The record as this project writes it; None where its tool's user refused it, which is counted.

    Args:
        record: what the file has.
        fields: what its reader was told.
        where: file and line, for messages.
        report: receives what is left out.

    Raises:
        FormatError: for annotations that are not understood, naming their key.
    """
    if isinstance(record, list) and len(record) >= 2 and isinstance(record[1], dict):
        record = {**record[1], "text": record[0]}
    if not isinstance(record, dict):
        raise FormatError(
            f'{where}: expected an object like {{"id": ..., "text": ...}}, found {repr(record)[:40]}'
        )
    if _is_native(record) and not fields.told:
        return record
    reading = Reading(fields, where, report)
    record = dict(record)
    if record.get("answer") in ("reject", "ignore") and _PRODIGY & record.keys():
        report.warn(LEFT_OUT, f"{where}: its answer is {record['answer']!r}")
        return None
    if is_task(record):
        return label_studio(record, reading)
    words = fields.tokens or next((key for key in _WORDS if is_strings(record.get(key))), "")
    tags = tags_key(record, words, fields) if words else ""
    if words and (tags or fields.tokens or words == _WORDS[0] or not isinstance(record.get("text"), str)):
        return of_words(record, words, tags, reading)
    return _of_text(record, reading)


def _is_native(record: Record) -> bool:
    spans = record.get("spans")
    return all(key in NATIVE for key in record) and not (
        isinstance(spans, dict)
        or isinstance(spans, list)
        and any(isinstance(span, list) or isinstance(span, dict) and "label" in span for span in spans)
    )


def _of_text(record: Record, reading: Reading) -> Record:
    """Records whose mentions have offsets into a text."""
    fields, where = reading.fields, reading.where
    out: Record = {}
    if "+" in fields.text and fields.text not in record:
        parts = [(name, take(record, name, where)) for name in fields.text.split("+")]
        out["text"], out["passages"] = joined(parts, where)
    elif fields.text or "text" not in record and isinstance(record.get("data"), str):
        out["text"] = take(record, fields.text or "data", where)
    key = _mentions_key(record, reading)
    told = take(record, key, where) if key else None
    own = key == "spans" and isinstance(told, list) and all(isinstance(s, dict) and "type" in s for s in told)
    spans = list(_spans(told, key, reading)) if told and not own else []
    refuse_others(record, reading)
    identify(record, out, fields, where)
    if own:
        return {**record, **out, "spans": told}
    if not told and not isinstance(record.get("spans"), list | dict):
        return {**record, **out}
    if "text" in record:
        out["text"] = record.pop("text")
    return finish(record, out, spans)


def _mentions_key(record: Record, reading: Reading) -> str:
    """The key of the record's mentions: the one told, else the one that has some, else one that could."""
    if reading.fields.spans:
        return "" if reading.fields.spans == "none" else reading.fields.spans
    having = []
    for key, value in _by_project(record).items():
        if key == "spans" and isinstance(value, dict):  # spaCy's groups of spans
            having += [f"spans.{group}" for group, spans in value.items() if spans]
        elif isinstance(value, list) and value:
            # Label Studio's small JSON calls its mentions after the control that made them.
            marked = any(map(is_mention, value)) if key in _MENTIONS else all(map(is_region, value))
            having += [key] if marked else []
    if len(having) > 1:
        reading.bad(f"has mentions under {' and '.join(having)}; say which, as in jsonl:spans={having[0]}")
        return ""
    return having[0] if having else next((key for key in _MENTIONS if record.get(key) == []), "")


def _by_project(record: Record) -> Record:
    """The record; PubAnnotation's mentions of a single project, which it has under ``tracks``, are made its own."""
    tracks = record.get("tracks")
    if isinstance(tracks, list) and not record.get("denotations"):
        having = [track for track in tracks if isinstance(track, dict) and track.get("denotations")]
        if len(having) == 1:
            track = dict(having[0])
            record["denotations"] = track.pop("denotations")
            record["tracks"] = [track if other is having[0] else other for other in tracks]
    return record


def _spans(told: Any, key: str, reading: Reading) -> Iterator[Record]:
    """The spans of a list of mentions, as this project writes them."""
    if not isinstance(told, list):
        reading.bad(f"{key!r} must be a list of mentions, found {repr(told)[:40]}")
        return
    for n, item in enumerate(told):
        found = spans_of(item)
        if found is None:
            reading.bad(
                f"{key!r}: mention {n} is {repr(item)[:80]}; it needs start, end and type, as numbers and a name"
            )
            continue
        yield from found
