"""In: MEDLINE/nbib tagged records or PubMed XML. Out: Documents of title and abstract, without mentions.

    PMID- 227508                                 <PubmedArticle><MedlineCitation><PMID>227508</PMID>
    TI  - Naloxone reverses the effect             <Article><ArticleTitle>Naloxone ...</ArticleTitle>
          of clonidine.                              <Abstract><AbstractText>In rats ...</AbstractText>
    AB  - In rats the decrease was inhibited.

The text is the title, a line break and the abstract, as PubTator files are read. Continuation lines are
joined by one space; the sections of a structured abstract by one space, after their labels
(``METHODS: ...``), as PubMed shows them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from typing import cast

from lxml import etree

from vaner.document import Document, Passage
from vaner.errors import FormatError, place
from vaner.files import BOM, decode, lines, open_bytes
from vaner.formats.blocks import documents
from vaner.report import Report
from vaner.xml import content, elements, line_of

_FIELD = re.compile(rb"([A-Z][A-Z0-9]{1,3}) *- ?(.*)", re.DOTALL)
_TITLES = ("TI", "BTI")  # article, book
_XML_RECORDS = ("PubmedArticle", "PubmedBookArticle")


def read(path: str | os.PathLike, *, on_error: str, report: Report) -> Iterator[Document]:
    """Stream the records of a MEDLINE or PubMed XML file; ids are the PMIDs.

    Raises:
        FormatError: for a record without PMID, and for what is neither form, with file and line.
    """
    if _is_xml(path):
        return documents(path, _xml_records(path), partial(_from_xml, path=path), on_error, report)
    return documents(path, _tagged_records(path), partial(_from_tagged, path=path), on_error, report)


def _is_xml(path: str | os.PathLike) -> bool:
    if str(path) == "-":
        with open_bytes(path) as file:
            return cast(BufferedReader, file).peek(1)[:1] == b"<"
    with open_bytes(path) as file:
        return file.read(64).removeprefix(BOM).lstrip()[:1] == b"<"


def _document(id: str, title: str, abstract: str) -> Document:
    text = "\n".join(part for part in (title, abstract) if part)
    passages = [Passage(0, len(title), "title")] if title else []
    if abstract:
        passages.append(Passage(len(text) - len(abstract), len(text), "abstract"))
    return Document(id, text, passages=passages)


def _tagged_records(path: str | os.PathLike) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    record: list[tuple[int, bytes]] = []
    for number, line in lines(path):
        if line.startswith(b"PMID-") and record:
            yield record[0][0], record
            record = []
        if line.strip():
            record.append((number, line))
    if record:
        yield record[0][0], record


def _from_tagged(line: int, record: list[tuple[int, bytes]], path: str | os.PathLike) -> Document:
    fields: dict[str, list[str]] = {}
    name, first = None, False
    for number, raw in record:
        where = f"{path}:{number}"
        match = _FIELD.fullmatch(raw)
        if match is not None:
            name = match[1].decode()
            # A field that comes again (AU, MH; rarely a second TI) is another value, not a continuation.
            first = name not in fields
            if first:
                fields[name] = [decode(match[2], where)]
        elif raw.startswith(b" ") and name is not None:
            if first:
                fields[name].append(decode(raw, where).strip(" "))
        else:
            raise FormatError(
                f"{where}: {raw[:40]!r} is neither a field (TI  - ...) "
                "nor its continuation (six spaces first)"
            )
    if "PMID" not in fields:
        raise FormatError(f"{path}:{line}: the record has no PMID- field; give it one")
    title = next((" ".join(fields[name]) for name in _TITLES if name in fields), "")
    return _document(fields["PMID"][0].strip(), title, " ".join(fields.get("AB", ())))


def _xml_records(path: str | os.PathLike) -> Iterator[tuple[int | None, etree._Element]]:
    for element in elements(path, _XML_RECORDS):
        yield line_of(element), element


def _from_xml(line: int | None, record: etree._Element, path: str | os.PathLike) -> Document:
    id = content(record.find("*/PMID")).strip()
    if not id:
        raise FormatError(f"{place(path, line)}: the {record.tag} has no PMID; give it one")
    article = record.find("*/Article")
    article = record.find("BookDocument") if article is None else article
    sections = [] if article is None else article.findall("Abstract/AbstractText")
    abstract = " ".join(
        f"{section.get('Label')}: {content(section)}" if section.get("Label") else content(section)
        for section in sections
    )
    title = "" if article is None else content(article.find("ArticleTitle"))
    if not title and article is not None:
        title = content(article.find("Book/BookTitle"))
    return _document(id, title, abstract)
