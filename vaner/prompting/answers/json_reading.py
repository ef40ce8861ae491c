"""In: an answer that should be JSON. Out: the texts and types that it lists, whatever shape they have.

Read are objects with a text and a type, under whatever key; objects of lists by type, ``{"Disease": ["flu"]}``, or of
types by text, ``{"flu": "Disease"}``; lists of texts where one type was asked; several of these one behind the
other; what is whole of one that was cut off.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vaner.prompting.found import CHATTER, MALFORMED, UNKNOWN_TYPE, Found

_TEXT_KEYS = ("text", "mention", "entity", "name", "span", "word", "term", "value")
_TYPE_KEYS = ("type", "label", "category", "entity_type", "entitytype", "class", "tag")
_LIST_KEYS = (
    "mentions",
    "entities",
    "results",
    "answer",
    "answers",
    "output",
    "items",
    "list",
    "data",
    "annotations",
)
_OPENS = re.compile(r"[{\[]")
_FENCE = re.compile(r"```\w*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_INNERMOST = re.compile(r"\{(?:[^{}\"]|\"(?:[^\"\\]|\\.)*\")*\}")


class _Pairs(list[tuple[Any, Any]]):
    """The keys and values of an object; a key may stand there twice."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs, strict=False)


@dataclass(frozen=True, slots=True)
class Item:
    """A listed mention, and where its text stands in the answer."""

    text: str
    type: str
    start: int
    end: int


class Reader:
    """Reads answers.

    Args:
        types: that were asked.
        found: takes what cannot be read, by cause.
    """

    def __init__(self, types: Sequence[str], found: Found) -> None:
        self._found = found
        self._types = {type.casefold(): type for type in types} | {type: type for type in types}
        self._only = types[0] if len(types) == 1 else None

    def read(self, answer: str, whole: bool) -> list[Item] | None:
        """The listed mentions, in order; None where there is no JSON at all.

        Args:
            answer: what was written.
            whole: False where it was cut off.
        """
        values, rest = _values(answer)
        if not values:
            return None
        if whole and any(sign.isalnum() for sign in _FENCE.sub("", rest)):
            self._found.lose(CHATTER, rest.strip())
        items, at = [], 0
        for value in values:
            for text, type in self._walk(value, self._only):
                start, end = _where(answer, text, at)
                at = max(at, end)
                if text.strip():
                    items.append(Item(text, type, start, end))
        return items

    def _type(self, name: object) -> str | None:
        if not isinstance(name, str):
            return None
        return self._types.get(name, self._types.get(name.strip().casefold()))

    def _walk(self, value: Any, type: str | None, unknown: str = "") -> Iterator[tuple[str, str]]:
        """``(text, type)`` of all mentions in a value; ``type`` is that of bare texts in it, ``unknown`` their key."""
        if isinstance(value, _Pairs):
            yield from self._object(value, type)
        elif isinstance(value, list):
            for one in value:
                yield from self._walk(one, type, unknown)
        elif isinstance(value, str):
            if type is not None:
                yield value, type
            elif value.strip():
                self._found.lose(UNKNOWN_TYPE if unknown else MALFORMED, f"{value} {unknown}".strip())
        elif value is not None:
            self._found.lose(MALFORMED, str(value))

    def _object(self, pairs: _Pairs, type: str | None) -> Iterator[tuple[str, str]]:
        keys = {str(key).casefold(): value for key, value in pairs}
        text = next((keys[key] for key in _TEXT_KEYS if isinstance(keys.get(key), str)), None)
        if text is not None and (len(pairs) == 1 or any(key in keys for key in _TYPE_KEYS) or type):
            named = next((keys[key] for key in _TYPE_KEYS if key in keys), None)
            asked = self._type(named) if named is not None else type
            if asked is None:
                self._found.lose(UNKNOWN_TYPE if named else MALFORMED, f"{text} {named or ''}".strip())
            else:
                yield text, asked
            return
        for key, value in pairs:
            if of := self._type(key):
                yield from self._walk(value, of)
            elif of := self._type(value):
                yield str(key), of
            elif str(key).casefold() in _LIST_KEYS or isinstance(value, _Pairs):
                yield from self._walk(value, type)
            elif isinstance(value, list) and all(isinstance(one, str) for one in value):
                yield from self._walk(value, None, str(key))
            elif isinstance(value, list):
                yield from self._walk(value, type)
            elif value not in (None, ""):
                self._found.lose(MALFORMED, f"{key}: {value}")


def _values(answer: str) -> tuple[list[Any], str]:
    """The JSON values in a text, and the text without them."""
    values: list[Any] = []
    rest: list[str] = []
    at = 0
    while (opens := _OPENS.search(answer, at)) is not None:
        try:
            value, end = _DECODER.raw_decode(answer, opens.start())
        except (ValueError, RecursionError):
            value, end = _broken(answer, opens.start())
        if value is None:
            rest.append(answer[at : opens.end()])
            at = opens.end()
            continue
        rest.append(answer[at : opens.start()])
        values.append(value)
        at = end
    rest.append(answer[at:])
    return values, "".join(rest)


def _broken(answer: str, start: int) -> tuple[Any, int]:
    """What can be read of JSON that is not: in Python's quotes, or its whole items; None where it holds none."""
    end = max(answer.rfind("]"), answer.rfind("}")) + 1
    if end > start:
        try:
            return _as_pairs(ast.literal_eval(answer[start:end])), end
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            pass
    items: list[Any] = []
    for match in _INNERMOST.finditer(answer, start):
        try:
            items.append(_DECODER.decode(match[0]))
        except ValueError:
            continue
    if items:
        return items, len(answer)
    # A list of texts, or of texts by type, that stops in the middle.
    opened = answer.rfind("[", start)
    if opened < 0:
        return ([], len(answer)) if answer[start:].lstrip("{ \n").startswith('"') else (None, start)
    by_type = _Pairs()
    for part in re.finditer(r'(?:("(?:[^"\\]|\\.)*")\s*:\s*)?\[([^\[\]{}]*)', answer[start:]):
        texts = [json.loads(text, strict=False) for text in _strings(part[2])]
        by_type.append((json.loads(part[1], strict=False) if part[1] else "mentions", texts))
    return (by_type, len(answer)) if by_type else (None, start)


def _strings(text: str) -> list[str]:
    found = []
    for match in _STRING.finditer(text):
        try:
            json.loads(match[0], strict=False)
        except ValueError:
            continue
        found.append(match[0])
    return found


def _as_pairs(value: Any) -> Any:
    if isinstance(value, dict):
        return _Pairs((key, _as_pairs(one)) for key, one in value.items())
    if isinstance(value, list | tuple | set):
        return [_as_pairs(one) for one in value]
    return value


def _where(answer: str, text: str, at: int) -> tuple[int, int]:
    """Where a text stands in the answer, from ``at`` on; ``(at, at)`` where it is written in another way."""
    for written in (json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1], text):
        if (start := answer.find(written, at)) >= 0:
            return start, start + len(written)
    return at, at
