"""In: a file of JSON: Lines, one array, one object, or several written one after the other. Out: its records.

A file of JSON Lines is cut at its lines, so that a bad line spoils no other. Anything else is read value by value,
and the values of an array one by one, without holding the file.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import ijson

from vaner.errors import FormatError
from vaner.files import BOM, BROKEN_GZIP, UTF16, decode, lines, open_bytes

_CHUNK = 1 << 16
_BLANK = " \t\r\n"
_TOO_MANY = 4000
"""Digits that Python makes no number of; ijson's parser in C, told to, ends the process."""
_MANY_DIGITS = re.compile(rb"\d{%d,}" % _TOO_MANY)
_NEAR_END = 16
"""An error this close to the end of what was read may be the end's fault: ``tru`` may go on as ``true``."""

Unread = bytes | Any
"""A line of JSON Lines, still to be parsed; a value of any other file."""


def records(path: str | os.PathLike) -> Iterator[tuple[int | None, str, Unread]]:
    """Line (None where lines say nothing), place for messages and content of each record.

    Raises:
        FormatError: for what is not UTF-8, a broken gzip file, and JSON that is broken outside JSON Lines.
    """
    numbered = lines(path)
    first = next(((number, line) for number, line in numbered if line.strip()), None)
    if first is None:
        return
    number, line = first
    if _is_lines(line):
        for number, line in chain([first], numbered):
            if line.strip():
                yield number, f"{path}:{number}", line
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    pieces = (
        _decoded(decoder, line + b"\n", f"{path}:{number}") for number, line in chain([first], numbered)
    )
    unpacked = (record for value in _values(path, pieces) for record in _unpacked(value))
    for n, record in enumerate(unpacked, 1):
        yield None, f"{path}: record {n}", record


def parse(content: Unread, where: str) -> Any:
    """The value of a record that :func:`records` gave.

    Raises:
        FormatError: for a line that is no JSON.
    """
    if not isinstance(content, bytes):
        return content
    text = decode(content, where)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{where}: no JSON at character {error.pos} ({error.msg}); is the line cut short?"
        ) from None
    except RecursionError:
        raise FormatError(f"{where}: JSON nested too deeply; a document is one flat object") from None
    except ValueError:
        raise FormatError(f"{where}: holds a number of thousands of digits; write it as a string") from None


def _unpacked(value: Any) -> list[Any]:
    """The records of a value: those of spaCy's NER annotator, which writes one object of them all, or itself."""
    if isinstance(value, dict) and value.keys() == {"classes", "annotations"}:
        annotations = value["annotations"]
        if isinstance(annotations, list):
            return [record for record in annotations if record is not None]
    return [value]


def _is_lines(first: bytes) -> bool:
    """Whether a file that begins with this line is JSON Lines; else it is one value or several over many lines."""
    start = first.strip()
    if start.startswith(b"["):
        return start[1:].lstrip()[:1] not in (b"{", b"[", b"]", b"")
    if not start.startswith(b"{"):
        return True
    if start.startswith(b'{"classes"'):
        return False
    try:
        json.loads(start)
    except json.JSONDecodeError as error:
        # A line break stands between two things, never in a string: there, the line was cut short.
        return error.msg.startswith(("Unterminated", "Invalid")) or error.pos < len(error.doc)
    except (ValueError, RecursionError):
        pass  # the reader of the line will say so
    return True


def _decoded(decoder: codecs.IncrementalDecoder, line: bytes, where: str) -> str:
    try:
        return decoder.decode(line)
    except UnicodeDecodeError:
        return decode(line, where)


def _values(path: str | os.PathLike, pieces: Iterator[str]) -> Iterator[Any]:
    """The values of a file, and in place of an array its values."""
    buffer, at, array, more = "", 0, False, True
    parse_at = json.JSONDecoder().raw_decode

    def fill() -> None:
        """At least as much again as is held, so that a long value is not tried at every line."""
        nonlocal buffer, at, more
        held = [buffer[at:]]
        wanted = max(_CHUNK, len(held[0]))
        at = 0
        while wanted > 0:
            piece = next(pieces, None)
            if piece is None:
                more = False
                break
            held.append(piece)
            wanted -= len(piece)
        buffer = "".join(held)

    fill()
    while True:
        while at < len(buffer) and buffer[at] in _BLANK + ",":
            at += 1
        if at == len(buffer):
            if more:
                fill()
                continue
            if array:
                raise _broken(path, "the array is not closed")
            return
        if buffer[at] == "[" and not array:
            array, at = True, at + 1
            continue
        if buffer[at] == "]" and array:
            array, at = False, at + 1
            continue
        try:
            value, at = parse_at(buffer, at)
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated") or error.pos >= len(buffer) - _NEAR_END
            if more and cut:
                fill()
                continue
            raise _broken(
                path, f"{error.msg.removesuffix(' at')}, at {buffer[error.pos : error.pos + 30]!r}"
            ) from None
        except RecursionError:
            raise _broken(path, "nested too deeply") from None
        except ValueError:
            raise _broken(path, "a number of thousands of digits") from None
        yield value


def _broken(path: str | os.PathLike, what: str) -> FormatError:
    return FormatError(f"{path}: no well-formed JSON: {what}; is the file cut short?")


def shape(start: bytes) -> tuple[list[str], set[str]]:
    """The first events of the beginning of a JSON file (``start_map``, ``string``, ...), and the paths of its keys.

    ``item`` stands for the values of an array: ``[{"documents": ...`` has the path ``item.documents``.
    """
    events: list[str] = []
    paths: set[str] = set()
    start = _MANY_DIGITS.sub(b"0", start)
    try:
        for prefix, event, value in ijson.parse(io.BytesIO(start), multiple_values=True, buf_size=1024):
            if event == "map_key":
                paths.add(f"{prefix}.{value}" if prefix else value)
            if len(events) < 3:
                events.append(event)
    except (ijson.JSONError, UnicodeDecodeError):
        pass  # the beginning of a file ends anywhere; what is not UTF-8 its reader will say
    return events, paths


def bioc_documents(paths: set[str]) -> str | None:
    """Where a JSON file with these paths holds BioC documents, as ijson names it; None where it holds none."""
    for collection in ("PubTator3", "documents", "item.PubTator3", "item.documents"):
        inside = any(path.startswith(f"{collection}.item.") for path in paths)
        if collection in paths and (f"{collection}.item.passages" in paths or not inside):
            return f"{collection}.item"
    for document in ("", "item"):
        passages = f"{document}.passages".removeprefix(".")
        if {f"{passages}.item.{key}" for key in ("offset", "infons", "bioctype", "annotations")} & paths:
            return document
    return None


def utf8_chunks(path: str | os.PathLike) -> Iterator[bytes]:
    """The file's bytes without its byte order mark, checked to be UTF-8.

    Raises:
        FormatError: for other bytes, naming the first, and for a broken gzip file.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    passed, digits = 0, b""
    with open_bytes(path) as file:
        try:
            for chunk in iter(partial(file.read, _CHUNK), b""):
                if not passed:
                    chunk = chunk.removeprefix(BOM)
                begin = passed - len(decoder.getstate()[0])
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    kind = "UTF-16" if not passed and chunk.startswith(UTF16) else "LATIN1"
                    raise FormatError(
                        f"{path}: byte {begin + error.start} (0x{error.object[error.start]:02x}) is not UTF-8; "
                        f"convert the file, for instance: iconv -f {kind} -t UTF-8"
                    ) from None
                if _MANY_DIGITS.search(digits + chunk):
                    raise _broken(path, "a number of thousands of digits")
                end = (digits + chunk)[-_TOO_MANY:]
                digits = end[len(end.rstrip(b"0123456789")) :]
                passed += len(chunk)
                yield chunk
        except BROKEN_GZIP as error:
            raise FormatError(f"{path}: the gzip file is broken ({error}); fetch it again") from None
