"""In: an XML file. Out: its elements of some names, one at a time, and their text; nothing is fetched or expanded."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from vaner.errors import FormatError
from vaner.files import BOM, open_bytes

_BEFORE_ROOT = re.compile(
    rb"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE
)
_UNKNOWN = "the entity &{}; is not known here; write the character itself"
_START_TAG = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)")


def elements(path: str | os.PathLike, names: Sequence[str]) -> Iterator[etree._Element]:
    """Stream the outermost elements called one of ``names``; each is emptied once the next is asked for.

    Names are compared without their namespace. Document type definitions are not loaded and entities not resolved, so
    that a file can neither read other files nor grow without bound.

    Raises:
        FormatError: for XML that is not well formed, with the line, or that declares entities.
    """
    outer: Any = None
    with open_bytes(path) as file:
        events: Any = etree.iterparse(
            file,
            events=("start", "end"),
            tag=[f"{{*}}{name}" for name in names],
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
        )
        try:
            for event, element in events:
                if event == "start":
                    if outer is None:
                        _refuse_entities(path, element)
                        outer = element
                    continue
                if element is not outer:
                    continue
                yield element
                outer = None
                _forget(element)
        except etree.XMLSyntaxError as error:
            # Of a file that uses an entity without any definition lxml says no more than that nothing came out of it.
            unknown = [entry for entry in events.error_log if entry.type_name == "ERR_UNDECLARED_ENTITY"]
            if unknown and not error.lineno:
                where = f"{path}:{unknown[0].line}"
                raise FormatError(
                    f"{where}: {_UNKNOWN.format(unknown[0].message.split(chr(39))[1])}"
                ) from None
            raise FormatError(_problem(path, error)) from None


def _refuse_entities(path: str | os.PathLike, element: etree._Element) -> None:
    declared = element.getroottree().docinfo.internalDTD
    if declared is not None and next(declared.iterentities(), None) is not None:  # type: ignore[attr-defined]
        raise FormatError(f"{path}: declares XML entities, which are not read; expand them first")


def _forget(element: etree._Element) -> None:
    """Empty an element and take what stands before it out of the tree, so that this does not grow."""
    element.clear(keep_tail=False)  # type: ignore[call-arg]  # newer than lxml-stubs
    parent = element.getparent()
    if parent is not None:
        while (before := element.getprevious()) is not None:
            parent.remove(before)


def root_name(start: bytes) -> str | None:
    """The name of the root element, without its namespace, of a file that begins so; None where it shows none."""
    at = 0
    start = start.removeprefix(BOM)
    while match := _BEFORE_ROOT.match(start, at):
        at = match.end()
    root = _START_TAG.match(start, at)
    return root[1].decode() if root else None


def name_of(element: etree._Element) -> str:
    """An element's name without its namespace; empty for a comment, a processing instruction and an entity."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def content(element: etree._Element | None) -> str:
    """All the text inside an element, its markup left out; empty for None.

    Raises:
        FormatError: for an entity that only the type definition, which is not loaded, could explain.
    """
    if element is None:
        return ""
    if not len(element):
        return element.text or ""
    refuse_unknown(element)
    return "".join(element.itertext())  # type: ignore[arg-type]  # lxml-stubs: str or bytes; it is str


def refuse_unknown(element: etree._Element) -> None:
    """Raise FormatError where an element holds an entity that only the type definition could explain."""
    unknown = next(element.iter(etree.Entity), None)
    if unknown is not None:
        raise FormatError(_UNKNOWN.format((unknown.text or "").strip("&;")))


def line_of(element: etree._Element) -> int | None:
    """The line of the file on which an element starts; None where it comes from no file."""
    return element.sourceline  # type: ignore[return-value]  # lxml-stubs give it no type


def _problem(path: str | os.PathLike, error: etree.XMLSyntaxError) -> str:
    if not error.lineno:
        return f"{path}: the file is empty; check that it was written or fetched completely"
    # libxml2's own message may quote the file, line breaks and all.
    said = " ".join(str(error.msg).split())
    if "amplification" in said or "entity reference loop" in said.lower():
        return f"{path}:{error.lineno}: declares XML entities, which are not read; expand them first"
    remedy = "is the file cut short?"
    if "encoding" in said:
        remedy = "correct the encoding it declares, or convert it to UTF-8"
    return f"{path}:{error.lineno}: no well-formed XML: {said}; {remedy}"
