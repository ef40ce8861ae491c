"""In: PubMed XML, as its baseline and update files and its web services give it. Out: Documents without mentions.

    <PubmedArticle><MedlineCitation><PMID Version="1">227508</PMID><Article>
        <ArticleTitle>Naloxone ...</ArticleTitle>
        <Abstract><AbstractText Label="METHODS" NlmCategory="METHODS">In rats ...</AbstractText>
    <DeleteCitation><PMID>227509</PMID></DeleteCitation>

The text is the title and, each on a line of its own, the sections of the abstract after their labels
(``METHODS: In rats ...``), as a reader sees them (`vaner.formats.mixed`). Each section is a passage ``abstract``, and
``metadata["passage_infons"]`` has its ``Label`` and ``NlmCategory``. Where there is no title in English, the vernacular
one stands in its place; where there is no abstract, another one that is in English.

Of several records of a PMID the last of the highest version stands; the others are counted. Deleted PMIDs are counted,
listed in ``report.deleted``, and a record of one in the same file is left out.
"""

from __future__ import annotations

import copy
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from lxml import etree

from vaner.document import Document, Passage
from vaner.errors import FormatError, place
from vaner.files import open_bytes
from vaner.formats.blocks import documents
from vaner.formats.jats import OTHER_LEFT_OUT
from vaner.formats.mixed import one_line, reading
from vaner.formats.switches import yes
from vaner.report import Report
from vaner.xml import elements, line_of, refuse_unknown

DELETED = "citation deleted"
REPLACED = "record replaced by a later one of its PMID"
_RECORDS = ("PubmedArticle", "PubmedBookArticle", "MedlineCitation")
_CITATIONS = ("MedlineCitation", "BookDocument")
_DELETIONS = ("DeleteCitation", "DeleteDocument")
_NO_TITLE = ("[Not Available].", "[Not Available]")
_ENGLISH = ("eng", "en", None)
_PMID = re.compile(rb"""<PMID(?:\s+Version=["'](\d{1,9})["'])?[^<>]*>\s*(\d{1,20})\s*</PMID>""")
_LONGEST_PMID = 20
_BEFORE = 2048
"""How much of a file stays in sight before a PMID, to see which element it is of."""

Block = tuple[int | None, etree._Element]


def read(
    path: str | os.PathLike, *, on_error: str, report: Report, other_abstracts: str = "no"
) -> Iterator[Document]:
    """Stream the records of a PubMed XML file; ids are the PMIDs.

    Args:
        other_abstracts: ``yes`` for abstracts in other languages or for other readers, as passages ``other_abstract``
            behind the abstract, and for vernacular titles (``other_title``). Else such abstracts are counted.

    Raises:
        FormatError: for broken XML and for a record without PMID, with file and line.
        VanerError: for an option that is neither yes nor no.
    """
    others = yes("other_abstracts", other_abstracts)
    build = partial(_from_record, path=path, others=others, report=report)
    return documents(path, _records(path, report), build, on_error, report)


class _Standing(NamedTuple):
    """Which of the records of a PMID stands: the ``number``-th, of this version."""

    version: int
    number: int


def _records(path: str | os.PathLike, report: Report) -> Iterator[Block]:
    """The records that stand, and the deletions.

    The file is looked through first for PMIDs that come again or are deleted. What that finds is only believed once the
    parser has come to it: till then such a record is held, and given out at the end where nothing replaced it.
    """
    standing, deleted = (dict[str, _Standing](), set[str]()) if str(path) == "-" else _repeated(path)
    seen: Counter[str] = Counter()
    held: dict[str, list[Block]] = {}

    def replaced(pmid: str) -> None:
        for line, _ in held.pop(pmid, ()):
            report.warn(REPLACED, f"{place(path, line)}: PMID {pmid}: another record of this file stands")

    for element in elements(path, (*_RECORDS, *_DELETIONS)):
        line = line_of(element)
        if element.tag in _DELETIONS:
            for pmid in map(_pmid, element.iter("PMID")):
                report.deleted.append(pmid)
                gone = held.pop(pmid, None)
                also = ", and its record in this file left out" if gone else ""
                report.warn(DELETED, f"{place(path, line)}: PMID {pmid}{also}")
            yield line, element
            continue
        pmid = _pmid(_citation(element).find("PMID"))
        if pmid in standing:
            seen[pmid] += 1
        if pmid in deleted or pmid in standing and seen[pmid] < standing[pmid].number:
            replaced(pmid)
            held[pmid] = [(line, copy.deepcopy(element))]
        elif pmid in standing and seen[pmid] > standing[pmid].number:
            report.warn(REPLACED, f"{place(path, line)}: PMID {pmid}: another record of this file stands")
        else:
            replaced(pmid)
            yield line, element
    for blocks in held.values():
        yield from blocks


def _repeated(path: str | os.PathLike) -> tuple[dict[str, _Standing], set[str]]:
    """PMIDs that have several records in a file, with the one that stands; and those that it deletes.

    It looks for their bytes and does not parse, which takes a twentieth of the time.
    """
    once: dict[int, int] = {}  # most PMIDs: their version
    repeated: dict[str, _Standing] = {}
    records: Counter[str] = Counter()
    deleted = set()
    for of, version, pmid in _pmids(path):
        if of in _DELETIONS:
            deleted.add(pmid)
        elif int(pmid) not in once:
            once[int(pmid)] = version
        else:
            first = _Standing(once[int(pmid)], 1)
            records[pmid] += 1
            repeated[pmid] = max(repeated.get(pmid, first), _Standing(version, records[pmid] + 1))
    return repeated, deleted


def _pmids(path: str | os.PathLike) -> Iterator[tuple[str, int, str]]:
    """Element, version and PMID of each record and deletion, as far as their bytes show."""
    buffer, at, of = b"", 0, ""
    with open_bytes(path) as file:
        while chunk := file.read(1 << 20):
            # What is left of the last chunk may be the beginning of a PMID; before it stands whose it is.
            cut = max(0, min(at, len(buffer)) - _BEFORE)
            buffer, at = buffer[cut:] + chunk, at - cut
            for match in _PMID.finditer(buffer, at):
                at = match.end()
                of = _element_of(buffer[max(0, match.start() - _BEFORE) : match.start()], of)
                if of:
                    yield of, int(match[1] or 1), match[2].decode()
            at = max(at, len(buffer) - _BEFORE)


def _element_of(before: bytes, last: str) -> str:
    """The record or deletion that a PMID is of; empty for one that another element only mentions."""
    tag = before[before.rfind(b"<") :]
    if tag.rstrip() == b"</PMID>":
        return last if last in _DELETIONS else ""
    name = re.match(rb"<(\w+)[^>]*>\s*$", tag)
    return name[1].decode() if name and name[1].decode() in (*_DELETIONS, *_CITATIONS) else ""


def _citation(record: etree._Element) -> etree._Element:
    """The part of a record that has its PMID, title and abstract."""
    return next((found for name in _CITATIONS if (found := record.find(name)) is not None), record)


def _pmid(element: etree._Element | None) -> str:
    # Not `content`, which may refuse it: a bad PMID is for the one who builds its Document to refuse.
    return "" if element is None else "".join(map(str, element.itertext())).strip()


def _from_record(
    line: int | None, record: etree._Element, path: str | os.PathLike, others: bool, report: Report
) -> Document | None:
    if record.tag in _DELETIONS:
        return None
    refuse_unknown(record)
    citation = _citation(record)
    pmid = _pmid(citation.find("PMID"))
    if not pmid:
        raise FormatError(f"{place(path, line)}: the {record.tag} has no PMID; give it one")
    if not (pmid.isascii() and pmid.isdigit() and len(pmid) <= _LONGEST_PMID):
        raise FormatError(f"{place(path, line)}: the PMID {pmid[:40]!r} is no number; correct it")
    article = citation.find("Article")
    article = citation if article is None else article
    found: list[_Part] = []
    vernacular = reading(article.find("VernacularTitle"))
    title = reading(article.find("ArticleTitle")) or reading(article.find("Book/BookTitle"))
    if vernacular and (not title or title in _NO_TITLE):
        title, vernacular = vernacular, ""
    found.append(_Part("title", title, {}))
    abstract = article.find("Abstract")
    rest = citation.findall("OtherAbstract")
    if abstract is None:
        abstract = next((one for one in rest if one.get("Language") in _ENGLISH), None)
    found += _sections(abstract, "abstract")
    if others:
        found.append(_Part("other_title", vernacular, {}))
    for other in rest:
        if other is abstract:
            continue
        if others:
            found += _sections(other, "other_abstract")
        else:
            said = ", ".join(f"{name} {value}" for name, value in sorted(_attributes(other).items()))
            report.warn(
                OTHER_LEFT_OUT,
                f"{place(path, line)}: PMID {pmid}: {said}; pubmed:other_abstracts=yes reads them",
            )
    return _document(pmid, [part for part in found if part.text])


class _Part(NamedTuple):
    kind: str
    text: str
    infons: dict[str, str]


def _sections(abstract: etree._Element | None, kind: str) -> Iterator[_Part]:
    """The sections of an abstract, each after its label."""
    if abstract is None:
        return
    about = _attributes(abstract)
    for section in abstract.iterfind("AbstractText"):
        label, text = one_line(section.get("Label") or ""), reading(section)
        text = f"{label}: {text}" if label and text else text or label
        yield _Part(
            kind, text, {**about, **{str(name): str(value) for name, value in section.attrib.items()}}
        )


def _attributes(element: etree._Element) -> dict[str, str]:
    # lxml-stubs: str or bytes; they are str.
    return {str(name): str(value) for name, value in element.attrib.items()}


def _document(pmid: str, parts: list[_Part]) -> Document:
    passages, at = [], 0
    for kind, text, _ in parts:
        passages.append(Passage(at, at + len(text), kind))
        at += len(text) + 1
    infons = [part.infons for part in parts]
    return Document(
        pmid,
        "\n".join(part.text for part in parts),
        passages=passages,
        metadata={"passage_infons": infons} if any(infons) else {},
    )
