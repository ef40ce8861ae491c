"""In: MEDLINE/nbib tagged records. Out: Documents of title and abstract, without mentions.

    PMID- 227508
    TI  - Naloxone reverses the effect
          of clonidine.
    AB  - In rats the decrease was inhibited.

The text is the title, a line break and the abstract, as PubTator files are read. Continuation lines are
joined by one space. Vernacular titles (TT) and other abstracts (OAB) are left out, as all other fields are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial

from vaner.document import Document, Passage
from vaner.errors import FormatError
from vaner.files import decode, lines
from vaner.formats.blocks import documents
from vaner.report import Report

_FIELD = re.compile(rb"([A-Z][A-Z0-9]{1,3}) *- ?(.*)", re.DOTALL)
_TITLES = ("TI", "BTI")  # article, book


def read(path: str | os.PathLike, *, on_error: str, report: Report) -> Iterator[Document]:
    """Stream the records of a MEDLINE file; ids are the PMIDs.

    Raises:
        FormatError: for a record without PMID, and for what is no such file, with file and line.
    """
    return documents(path, _tagged_records(path), partial(_from_tagged, path=path), on_error, report)


def _document(id: str, title: str, abstract: str) -> Document:
    text = "\n".join(part for part in (title, abstract) if part)
    passages = [Passage(0, len(title), "title")] if title else []
    if abstract:
        passages.append(Passage(len(text) - len(abstract), len(text), "abstract"))
    return Document(id, text, passages=passages)


def _tagged_records(path: str | os.PathLike) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    record: list[tuple[int, bytes]] = []
    for number, line in lines(path):
        if number == 1 and line.lstrip().startswith(b"<"):
            raise FormatError(
                f"{path}:1: is XML and not tagged records; the format of PubMed's XML is pubmed"
            )
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
