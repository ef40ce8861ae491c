"""In: BioC, XML or JSON. Out: each document as the dictionaries that the JSON form writes; and back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import ijson
from lxml import etree

from vaner.errors import FormatError, VanerError
from vaner.files import BOM, open_bytes, replacing, replacing_text
from vaner.formats.json_records import bioc_documents, shape, utf8_chunks
from vaner.report import Report
from vaner.xml import content, elements, line_of

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def syntax_of(path: str | os.PathLike) -> str:
    """``xml`` or ``json``, by the first character.

    Raises:
        VanerError: for standard input, which is read once.
    """
    if str(path) == "-":
        raise VanerError("standard input is read once; say which it is: syntax='xml' or 'json'")
    with open_bytes(path) as file:
        # Whatever the encoding: that of JSON is checked when it is read, that of XML is the parser's affair.
        start = file.read(64).removeprefix(BOM).removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    first = start.replace(b"\0", b"").lstrip()[:1]
    return "json" if first in (b"{", b"[") else "xml"


def xml_documents(path: str | os.PathLike) -> Iterator[tuple[int | None, etree._Element]]:
    """Line and element of each document; `tree_of` reads it."""
    return ((line_of(element), element) for element in elements(path, ["document"]))


def tree_of(document: Any) -> Any:
    """The dictionaries of a document's element; what JSON gave is passed on as it is."""
    return _xml_part(document) if isinstance(document, etree._Element) else document


def _xml_part(element: etree._Element) -> dict[str, Any]:
    """A document, passage or sentence, as the JSON form writes it."""
    part: dict[str, Any] = {
        "infons": _xml_infons(element),
        "passages": [_xml_part(child) for child in element.findall("passage")],
        "sentences": [_xml_part(child) for child in element.findall("sentence")],
        "annotations": [
            {
                "id": child.get("id"),
                "infons": _xml_infons(child),
                "text": content(child.find("text")),
                "locations": [dict(location.attrib) for location in child.findall("location")],
            }
            for child in element.findall("annotation")
        ],
        "relations": [
            {
                "id": child.get("id"),
                "infons": _xml_infons(child),
                "nodes": [dict(node.attrib) for node in child.findall("node")],
            }
            for child in element.findall("relation")
        ],
    }
    for name in ("id", "offset", "text"):
        child = element.find(name)
        if child is not None:
            part[name] = content(child)
    return part


def _xml_infons(element: etree._Element) -> dict[str, str]:
    return {infon.get("key", ""): content(infon) for infon in element.findall("infon")}


def json_documents(path: str | os.PathLike) -> Iterator[tuple[None, Any]]:
    """Each document as the file has it: of a collection, a list of them, a list of documents, or one after another."""
    chunks = utf8_chunks(path)
    start = next(chunks, b"")
    prefix = bioc_documents(shape(start)[1])
    if prefix is None:
        prefix = "item" if start.lstrip()[:1] == b"[" else ""
    try:
        for item in ijson.items(_File(chain([start], chunks)), prefix, multiple_values=True, use_float=True):
            yield None, item
    except ijson.JSONError as error:
        message = " ".join(str(error).split())[:80]
        raise FormatError(f"{path}: no well-formed JSON: {message}; is the file cut short?") from None


class _File:
    """Chunks of bytes as the file that ijson reads from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks

    def read(self, size: int = -1) -> bytes:
        return b"" if size == 0 else next(self.chunks, b"")


def write_json(path: str | os.PathLike, trees: Iterable[dict[str, Any]]) -> int:
    """Write documents' trees as a JSON collection, as they come; returns how many there were."""
    written = 0
    with replacing_text(path) as file:
        file.write('{"source": "VANER", "date": "", "key": "", "infons": {}, "documents": [')
        for tree in trees:
            file.write(",\n" if written else "\n")
            file.write(json.dumps(tree, ensure_ascii=False))
            written += 1
        file.write("\n]}\n")
    return written


def write_xml(path: str | os.PathLike, trees: Iterable[dict[str, Any]], report: Report) -> int:
    """:func:`write_json` as XML; characters that it cannot hold are counted in ``report``."""
    written = 0
    with replacing(path) as file, etree.xmlfile(file, encoding="UTF-8") as xml:
        xml.write_declaration()
        xml.write_doctype('<!DOCTYPE collection SYSTEM "BioC.dtd">')
        with xml.element("collection"):
            for name, value in (("source", "VANER"), ("date", ""), ("key", "")):
                with xml.element(name):
                    xml.write(value)
            for tree in trees:
                xml.write(_xml_element("document", tree, path, report))
                xml.write("\n")
                written += 1
    return written


def _xml_element(name: str, part: dict[str, Any], path: object, report: Report) -> etree._Element:
    """The element of a document or passage, in the order that BioC.dtd asks for."""

    def child(parent: etree._Element, tag: str, text: object, **attributes: str) -> etree._Element:
        element = etree.SubElement(parent, tag, {key: clean(value) for key, value in attributes.items()})
        element.text = clean(text)
        return element

    def clean(text: object) -> str:
        cleaned = _NOT_XML.sub("\ufffd", str(text))
        if cleaned != str(text):
            report.warn("character that XML cannot hold", f"{path}: {str(text)[:60]!r}: written as U+FFFD")
        return cleaned

    def infons(parent: etree._Element, values: dict[str, Any]) -> None:
        for key, value in values.items():
            child(parent, "infon", value, key=key)

    element = etree.Element(name)
    if "id" in part:
        child(element, "id", part["id"])
    infons(element, part["infons"])
    if "offset" in part:
        child(element, "offset", part["offset"])
        child(element, "text", part["text"])
    for passage in part.get("passages", ()):
        element.append(_xml_element("passage", passage, path, report))
    for annotation in part["annotations"]:
        entry = child(element, "annotation", "", id=annotation["id"])
        infons(entry, annotation["infons"])
        for location in annotation["locations"]:
            child(entry, "location", "", **{key: str(value) for key, value in location.items()})
        child(entry, "text", annotation["text"])
    for relation in part["relations"]:
        entry = child(element, "relation", "", id=str(relation.get("id") or ""))
        infons(entry, relation.get("infons") or {})
        for node in relation.get("nodes") or ():
            child(entry, "node", "", **{key: str(value) for key, value in node.items()})
    return element
