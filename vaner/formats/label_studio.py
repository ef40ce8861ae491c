"""In: a task as Label Studio exports it. Out: the same as this project's records have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaner.errors import FormatError
from vaner.formats.json_fields import NATIVE, Reading, Record, finish, identify, looks_marked, spans_of, take

_MADE = ("annotations", "completions", "predictions")


def is_task(record: Record) -> bool:
    """Whether a record is a task of Label Studio, annotated or not."""
    data = record.get("data")
    return isinstance(data, dict) and bool(
        set(_MADE) & record.keys() or "text" in data and "text" not in record
    )


def label_studio(record: Record, reading: Reading) -> Record:
    """A task with its annotations; where it has several, the first that was not cancelled."""
    data = dict(record.pop("data"))
    out: Record = {}
    fields, where = reading.fields, reading.where
    if fields.text:
        record["data"] = data
        out["text"] = take(record, fields.text, where)
        data = record.pop("data")
    elif isinstance(data.get("text"), str):
        out["text"] = data.pop("text")
    else:
        texts = [key for key, value in data.items() if isinstance(value, str) and key != "id"]
        if len(texts) != 1:
            raise FormatError(
                f"{where}: 'data' has no 'text'; say which of its keys has it, as in "
                f"jsonl:text=data.{(texts or ['KEY'])[0]}; they are {', '.join(data) or 'none'}"
            )
        out["text"] = data.pop(texts[0])
    if data.get("id") is not None and not fields.id:
        out["id"] = data.pop("id")
        record["task"] = record.pop("id", None)
    else:
        identify(record, out, fields, where)
    relations: list[Any] = []
    spans: list[Record] = []
    for n, result in enumerate(_results(record, reading)):
        value = result.get("value") if isinstance(result, dict) else None
        if isinstance(value, dict) and "hypertextlabels" in value:
            value = {**value, "labels": value["hypertextlabels"]}
        if not isinstance(value, dict) or not {"labels", "start", "end"} <= value.keys():
            kind = result.get("type") if isinstance(result, dict) else None
            if kind == "relation":
                relations.append(result)
            elif kind in ("labels", "hypertextlabels") or looks_marked(value):
                reading.bad(f"'result': mention {n} is {repr(value)[:80]}; it needs start, end and labels")
            else:
                reading.report.warn(
                    f"Label Studio's {kind} ignored", f"{where}: result {n}: {repr(result)[:80]}"
                )
            continue
        value = {
            key: value[key] for key in ("start", "end", "labels", "text", "globalOffsets") if key in value
        }
        whole = value.pop(
            "globalOffsets", None
        )  # of a text that is shown as a page: start and end are its elements
        value |= whole if isinstance(whole, dict) else {}
        words = value.get("text")
        if isinstance(words, str) and "\\n" in words and words not in out["text"]:
            value["text"] = words.replace("\\n", "\n")
        found = spans_of({**value, "id": result.get("id")})
        if found is None:
            reading.bad(f"'result': mention {n} is {repr(value)[:80]}; it needs start, end and labels")
            continue
        spans += [{**span, **_score(result)} for span in found]
    if isinstance(data.get("metadata"), dict) and "metadata" not in record:
        record["metadata"] = data.pop("metadata")
    record |= {f"data.{key}" if key in record or key in NATIVE else key: value for key, value in data.items()}
    if relations:
        record["relations"] = relations
    return finish(record, out, spans)


def _score(result: Mapping[str, Any]) -> Record:
    score = result.get("score")
    return {"score": score} if isinstance(score, int | float) else {}


def _results(record: Record, reading: Reading) -> list[Any]:
    """The results of the annotation that counts; where there is none, of the first prediction."""
    for key in _MADE:
        made = record.get(key)
        made = [one for one in made if isinstance(one, dict)] if isinstance(made, list) else []
        cancelled = [one for one in made if one.get("was_cancelled")]
        kept = [one for one in made if one not in cancelled and isinstance(one.get("result"), list)]
        kept.sort(key=lambda one: not one.get("ground_truth"))
        if key != "predictions":
            record.pop(key, None)
        for other in (*kept[1:], *cancelled):
            reading.report.warn(
                "other annotation of the same text left out",
                f"{reading.where}: {key!r}: {len(other.get('result') or ())} results, by {other.get('completed_by')}",
            )
        if kept:
            if key == "predictions":
                del record[key]
            return list(kept[0]["result"])
    return []
