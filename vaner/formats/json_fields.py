"""In: a JSON record and its mentions as some tool writes them. Out: id and spans as this project has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vaner.errors import FormatError
from vaner.formats.offsets import DROPPED
from vaner.report import Report

Record = dict[str, Any]

NATIVE = ("id", "text", "spans", "passages", "sentences", "words", "types", "metadata")
"""The keys of this project's own records."""

SOURCE = "source_relations"
"""Key of the metadata: relations as another tool has them, and the mentions that its ids name."""

TAGGED = ("ner_tags", "iob_tags", "bio_tags")
# Labels may be those of the whole text; tokens, sentences and relations have offsets too, and are no mentions.
_MEANT = {"spans", "entities", "ents", "denotations", "annotations", "annotation", "mentions", "ner", *TAGGED}
_NO_MENTIONS = {"tokens", "words", "sents", "sentences", "passages", "relations", "metadata", "meta", "cats"}
# Neither is what PubAnnotation has for parts of the text and fonts, nor the answers that a Prodigy review settled.
_NO_MENTIONS |= {"blocks", "typesettings", "versions"}
_STARTS, _ENDS = ("start", "begin", "start_offset"), ("end", "end_offset")
_TYPES = ("type", "label", "labels", "obj", "entity_group", "entity")
_UNSAID = {"token_start", "token_end"}  # of a span: they repeat its offsets


@dataclass(frozen=True)
class Fields:
    """Where a file has what, as its reader was told; empty means as its tool has it.

    Attributes:
        id, text, spans, tokens, tags: keys, with dots for keys in keys (``data.body``). ``none`` for spans: the records
            have no mentions, whatever looks like some.
        tag_names: what tags that are numbers mean, in order.
        skip: whether mentions that cannot be read are counted and left out, instead of raised.
    """

    id: str = ""
    text: str = ""
    spans: str = ""
    tokens: str = ""
    tags: str = ""
    tag_names: tuple[str, ...] = ()
    skip: bool = False

    @property
    def told(self) -> bool:
        """Whether the reader was told any key."""
        return bool(self.id or self.text or self.spans or self.tokens or self.tags)


@dataclass
class Reading:
    """One record on its way: where it stands and what happens to it."""

    fields: Fields
    where: str
    report: Report

    def bad(self, message: str) -> None:
        """Refuse mentions, or count them where they may be skipped."""
        if not self.fields.skip:
            raise FormatError(f"{self.where}: {message}")
        self.report.warn(DROPPED, f"{self.where}: {message}")


def is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def take(record: Record, path: str, where: str) -> Any:
    """The value under a path of keys, taken out of the record."""
    holder, keys = record, [path] if path in record else path.split(".")
    for key in keys[:-1]:
        holder[key] = dict(holder[key]) if isinstance(holder.get(key), dict) else {}
        holder = holder[key]
    if keys[-1] not in holder:
        raise FormatError(f"{where}: has no {path!r}; its keys are {', '.join(map(str, record)) or 'none'}")
    return holder.pop(keys[-1])


def joined(parts: Iterable[tuple[str, Any]], where: str) -> tuple[str, list[Record]]:
    """The text of several, with a line break between, and their passages; one that is empty or None adds nothing.

    Args:
        parts: what each is called, and its text.
    """
    pieces: list[str] = []
    passages: list[Record] = []
    at = 0
    for name, part in parts:
        if not isinstance(part, str | None):
            raise FormatError(f"{where}: {name} is {repr(part)[:40]}; make it a string")
        if part:
            passages.append({"start": at, "end": at + len(part), "kind": name})
            pieces.append(part)
            at += len(part) + 1
    return "\n".join(pieces), passages


def identify(record: Record, out: Record, fields: Fields, where: str) -> None:
    """Give a record its id: the one told, its own, or that of the text at its source (PubAnnotation)."""
    if fields.id == "none" and "none" not in record:
        if (own := record.pop("id", None)) is not None:
            record["source_id"] = own
    elif fields.id:
        out["id"] = take(record, fields.id, where)
    elif (own := record.pop("id", None)) is not None:
        out["id"] = own
    elif isinstance(record.get("sourceid"), str | int):
        part = record.get("divid")
        out["id"] = f"{record['sourceid']}" if part in (None, "") else f"{record['sourceid']}-{part}"


def finish(record: Record, out: Record, spans: list[Record]) -> Record:
    """The record of another tool: all that is left of it goes to ``metadata``."""
    out["spans"] = spans
    types = record.get("types")
    if is_strings(types):
        out["types"] = record.pop("types")
    named = {}
    if relations := record.pop("relations", None):
        named["relations"] = relations
    for key in ("attributes", "modifications"):  # PubAnnotation's, of mentions by their ids
        found = record.get(key)
        if isinstance(found, list) and all(isinstance(a, dict) and "obj" in a for a in found) and found:
            named[key] = record.pop(key)
    own = record.pop("metadata", None)
    if own is not None and not isinstance(own, dict):
        record["metadata"] = own
        own = None
    metadata = {**record, **(own or {})}
    if named:
        metadata[SOURCE] = named
    else:
        for span in spans:
            span.pop("_id", None)
    return {**out, "metadata": metadata}


def is_mention(item: Any) -> bool:
    """Whether this is a mention as one of the tools writes it."""
    if isinstance(item, list):
        return len(item) >= 3 and is_offset(item[0]) and is_offset(item[1])
    if not isinstance(item, dict):
        return False
    return any(key in item for key in _STARTS) and any(key in item for key in _ENDS) or "span" in item


def is_region(item: Any) -> bool:
    return isinstance(item, dict) and {"start", "end", "labels"} <= item.keys() and is_strings(item["labels"])


def is_offset(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def spans_of(item: Any) -> list[Record] | None:
    """One mention as a span for each of its types; None where it is none."""
    if isinstance(item, list):
        if not (is_mention(item) and isinstance(item[2], str)):
            return None
        extra = {f"{n}": value for n, value in enumerate(item[3:], 3) if value not in ("", None)}
        return [{"start": item[0], "end": item[1], "type": item[2], **extra}]
    if not isinstance(item, dict):
        return None
    item = {key: value for key, value in item.items() if key not in _UNSAID}
    pieces = item.pop("span", None)
    pieces = [pieces] if isinstance(pieces, dict) else pieces
    if pieces:
        if not all(isinstance(piece, dict) and is_mention(piece) for piece in pieces):
            return None
        places = [(_first(piece, _STARTS), _first(piece, _ENDS)) for piece in pieces]
    else:
        places = [(_first(item, _STARTS), _first(item, _ENDS))]
    types = _first(item, _TYPES)
    types = [types] if isinstance(types, str) else types
    if not (types and is_strings(types) and all(is_offset(x) for place in places for x in place)):
        return None
    span: Record = {"start": min(start for start, _ in places), "end": max(end for _, end in places)}
    if len(places) > 1:
        span["fragments"] = [list(place) for place in sorted(places)]
    if "id" in item:
        span["_id"] = item.pop("id")
    concept = item.pop("kb_id", None)
    if concept and isinstance(concept, str):
        span["concepts"] = [{"id": concept}]
    return [{**span, "type": type, **item} for type in types]


def _first(item: Record, keys: tuple[str, ...]) -> Any:
    return next((item.pop(key) for key in keys if key in item), None)


def refuse_others(record: Record, reading: Reading) -> None:
    """What looks like mentions and was not read: no reader may pass over that without a word."""
    if reading.fields.spans:
        return  # the user said which are the mentions
    for name, value in record.items():
        if name in _NO_MENTIONS or name in NATIVE and name != "spans" or not value:
            continue
        if _means_mentions(name.lower(), value) or looks_marked(value):
            reading.bad(
                f"what {name!r} holds looks like mentions, but not as any tool known here writes them: "
                f"{repr(value)[:80]}; name the key that has them (jsonl:spans=KEY; spans=none: there are none)"
            )


def _means_mentions(name: str, value: Any) -> bool:
    """Whether a key by its name can only have mentions; labels may be those of the whole text."""
    labels = name in ("label", "labels")
    if isinstance(value, str):  # of a table, where lists are written out
        return (labels or name in _MEANT) and value.lstrip()[:1] in ("[", "{")
    if isinstance(value, dict):
        filled = any(value.values()) if name == "spans" else bool(value)
        return filled and (
            name in _MEANT or labels and any(isinstance(v, list | dict) for v in value.values())
        )
    return isinstance(value, list) and name in _MEANT


def looks_marked(value: Any, depth: int = 0) -> bool:
    """Whether something in a value has a start and an end, and something that says what it is."""
    if depth > 4:
        return False
    if isinstance(value, list):
        if len(value) >= 3 and is_offset(value[0]) and is_offset(value[1]) and isinstance(value[2], str):
            return True
        return any(looks_marked(item, depth + 1) for item in value[:20])
    if not isinstance(value, dict):
        return False
    numbers = [str(key).lower() for key, inner in value.items() if is_offset(inner)]
    begins = any(word in key for key in numbers for word in ("start", "begin", "offset"))
    ends = any(word in key for key in numbers for word in ("end", "stop", "length"))
    return begins and ends or any(looks_marked(inner, depth + 1) for inner in value.values())
