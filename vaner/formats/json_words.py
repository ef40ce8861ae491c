"""In: a JSON record of words with tags or numbered mentions. Out: the same as this project's records have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vaner.errors import FormatError
from vaner.formats.conll import REPAIRED, mentions, split_tag
from vaner.formats.json_fields import (
    TAGGED,
    Fields,
    Reading,
    Record,
    finish,
    identify,
    is_offset,
    is_strings,
    refuse_others,
    spans_of,
    take,
)

_TAGS = (*TAGGED, "tags", "labels", "ner")


def tags_key(record: Record, tokens: str, fields: Fields) -> str:
    """The key of a record's tags: the one told, else the first that has as many as there are words."""
    words = record.get(tokens)
    length = len(words) if isinstance(words, list) else -1
    fitting = (key for key in _TAGS if isinstance(record.get(key), list) and len(record[key]) == length)
    return fields.tags or next(fitting, "") or next((key for key in TAGGED if key in record), "")


def of_words(record: Record, key: str, tags: str, reading: Reading) -> Record:
    """Records whose mentions are numbers or tags of words: GLiNER's, and those of datasets."""
    fields, where = reading.fields, reading.where
    tokens = take(record, key, where)
    if not is_strings(tokens):
        raise FormatError(f"{where}: {key!r} must be a list of words, found {repr(tokens)[:40]}")
    text, words = _joined(tokens, record, fields, where)
    out: Record = {"text": text, "words": words}
    identify(record, out, fields, where)
    found: list[tuple[int, int, str]] = []
    ranges = record.get("ner")
    if not fields.tags and isinstance(ranges, list) and all(isinstance(item, list | dict) for item in ranges):
        found = list(_ranges(record.pop("ner"), len(tokens), reading))
    elif tags:
        found = _tagged(take(record, tags, where), len(tokens), tags, reading)
    refuse_others(record, reading)
    spans: list[Record] = [
        {"start": words[first][0], "end": words[last][1], "type": type} for first, last, type in found
    ]
    return finish(record, out, spans)


def _joined(tokens: list[str], record: Record, fields: Fields, where: str) -> tuple[str, list[list[int]]]:
    """The text of words, and where they stand: the record's own text if it has one, else they are joined by spaces."""
    words = []
    own = take(record, fields.text, where) if fields.text else record.get("text")
    if not isinstance(own, str):
        at = 0
        for token in tokens:
            words.append([at, at + len(token)])
            at += len(token) + 1
        return " ".join(tokens), words
    record.pop("text", None)
    at = 0
    for n, token in enumerate(tokens):
        start = own.find(token, at)
        if start < 0 or own[at:start].strip():
            raise FormatError(
                f"{where}: word {n}, {token[:40]!r}, is not at character {at} of the text; take out one of the two"
            )
        at = start + len(token)
        words.append([start, at])
    return own, words


def _ranges(ner: list[Any], length: int, reading: Reading) -> Iterator[tuple[int, int, str]]:
    """GLiNER's mentions: first word, last word, type or types."""
    for n, item in enumerate(ner):
        if isinstance(item, list) and len(item) == 3:
            item = {"start": item[0], "end": item[1], "label": item[2]}
        for span in spans_of(item) or [{}]:
            if not span or not 0 <= span["start"] <= span["end"] < length:
                reading.bad(
                    f"'ner': mention {n} is {repr(item)[:80]}; it needs first word, last word (below {length}) and type"
                )
            else:
                yield span["start"], span["end"], span["type"]


def _tagged(tags: Any, length: int, key: str, reading: Reading) -> list[tuple[int, int, str]]:
    """The mentions of a sequence of tags, names or numbers, of any scheme."""
    if not isinstance(tags, list) or len(tags) != length:
        reading.bad(f"{key!r} must be a list of {length} tags, as many as words, found {repr(tags)[:60]}")
        return []
    roles: list[tuple[str, str]] = []
    names = reading.fields.tag_names
    for n, tag in enumerate(tags):
        if is_offset(tag):
            if not names:
                reading.bad(
                    f"{key!r} holds numbers; say what they mean, as in jsonl:tag_names=O|B-Disease|I-Disease"
                )
                return []
            if not 0 <= tag < len(names):
                reading.bad(f"{key!r}: tag {n} is {tag}, but there are {len(names)} names of tags")
                return []
            tag = names[tag]
        role = split_tag(tag) if isinstance(tag, str) else None
        if role is None:
            reading.bad(f"{key!r}: tag {n} is {tag!r}; a tag is O, or B-, I-, E- or S- and a type")
            return []
        roles.append(role)
    used = {role for role, _ in roles}
    scheme = "iobes" if "S" in used or {"B", "E"} <= used else "ioe" if "E" in used else "iob2"
    found, breaks = mentions(roles, scheme)
    for n, message in breaks:
        reading.report.warn(REPAIRED, f"{reading.where}: {key!r}, tag {n}: {message}")
    return found
