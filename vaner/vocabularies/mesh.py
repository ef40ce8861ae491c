"""In: MeSH descriptor or supplementary records, XML or ASCII, plain or .gz. Out: terms, one record at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lxml import etree

from vaner.errors import FormatError, place
from vaner.files import BROKEN_GZIP, lines, open_bytes
from vaner.report import Report
from vaner.vocabularies.terms import Term, utf8
from vaner.xml import elements


def tree_types(numbers: Iterable[str], mapping: Mapping[str, str | None]) -> tuple[str, ...]:
    """Canonical types of MeSH tree numbers: for each, the longest entry of ``mapping`` that it lies under.

    ``D12.776`` lies under ``D12`` and ``D``; ``F03`` does not lie under ``F0``.
    """
    found: set[str] = set()
    for number in numbers:
        parts = number.split(".")
        for count in range(len(parts), -1, -1):
            branch = ".".join(parts[:count]) if count else number[:1]
            if branch in mapping:
                if (type_ := mapping[branch]) is not None:
                    found.add(type_)
                break
    return tuple(sorted(found))


def read_mesh(
    path: Path,
    report: Report,
    *,
    trees: Mapping[str, str | None],
    classes: Mapping[str, str | None],
    semantic_types: Mapping[str, str | None],
) -> Iterator[Term]:
    """Terms of one MeSH file: ``desc*.xml``, ``supp*.xml``, ``d*.bin`` or ``c*.bin``, possibly with ``.gz``.

    Args:
        path: the file; what it holds is taken from its content.
        report: counts records of no wanted type, without an id (a file that breaks off) and with that of another.
        trees: branch of the MeSH tree -> canonical type, for descriptors.
        classes: SCRClass (``1`` chemicals, ``3`` diseases, ...) -> canonical type, for supplementary XML.
        semantic_types: TUI -> canonical type, for supplementary ASCII, which has no class.

    Raises:
        FormatError: if the file is neither MeSH XML nor MeSH ASCII, or breaks off.
    """
    try:
        with open_bytes(path) as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    except BROKEN_GZIP as error:
        raise FormatError(f"{path}: the gzip file is broken ({error}); fetch it again") from None
    if start.startswith(b"<"):
        records = _read_xml(path, trees, classes)
    elif start.startswith(b"*NEWRECORD"):
        records = _read_ascii(path, trees, semantic_types, report)
    else:
        raise FormatError(f"{path}: neither MeSH XML nor MeSH ASCII; give desc*.xml, supp*.xml or d*.bin")
    seen: set[str] = set()
    for identifier, names, types in records:
        if not identifier:
            report.warn(
                "record without an id", f"{path}: {names[0]!r} has no UI; skipped; is the file whole?"
            )
            continue
        if identifier in seen:
            report.warn(
                "duplicate id", f"{path}: {identifier} {names[0]!r} again; its names are put together"
            )
        seen.add(identifier)
        if not types:
            report.counts["left out: record of no wanted type"] += 1
            continue
        for position, name in enumerate(dict.fromkeys(names)):
            yield Term(identifier, name, types, position == 0)


_Record = tuple[str, list[str], tuple[str, ...]]
_Types = Mapping[str, str | None]


def _read_xml(path: Path, trees: _Types, classes: _Types) -> Iterator[_Record]:
    found = False
    for element in elements(path, ["DescriptorRecord", "SupplementalRecord"]):
        found = True
        yield _xml_record(element, trees, classes)
    if not found:
        raise FormatError(f"{path}: no MeSH record in it; give desc*.xml or supp*.xml")


def _xml_record(element: etree._Element, trees: _Types, classes: _Types) -> _Record:
    # DescriptorUI and DescriptorName, but SupplementalRecordUI and SupplementalRecordName.
    kind = "Descriptor" if element.tag == "DescriptorRecord" else element.tag
    names = [element.findtext(f"{kind}Name/String", "")]
    names += [s.text or "" for s in element.iterfind("ConceptList/Concept/TermList/Term/String")]
    if kind == "Descriptor":
        types = tree_types([t.text or "" for t in element.iterfind("TreeNumberList/TreeNumber")], trees)
    else:
        type_ = classes.get(element.get("SCRClass", ""))
        types = (type_,) if type_ else ()
    return element.findtext(f"{kind}UI", ""), names, types


def _read_ascii(path: Path, trees: _Types, semantic_types: _Types, report: Report) -> Iterator[_Record]:
    record: dict[str, list[str]] = {}
    for number, line in lines(path):
        text = (utf8(line, path, number, report) or "").strip()
        if text == "*NEWRECORD":
            if record:
                yield _ascii_record(path, record, trees, semantic_types, report)
            record = {}
        elif text:
            field, equals, value = text.partition(" = ")
            if not equals:
                report.warn(
                    "line without ' = '", f"{place(path, number)}: {text[:60]!r} is no field; skipped"
                )
                continue
            record.setdefault(field, []).append(value)
    if record:
        yield _ascii_record(path, record, trees, semantic_types, report)


def _ascii_record(
    path: Path, record: dict[str, list[str]], trees: _Types, semantic_types: _Types, report: Report
) -> _Record:
    # ENTRY = Name|T047|NON|EQV|...|abcdef: the name comes first, codes for what follows last.
    synonyms = [v.split("|")[0] for f in ("PRINT ENTRY", "ENTRY", "SY") for v in record.get(f, ())]
    names = [*record.get("MH", record.get("NM", [""])), *synonyms]
    identifier = record.get("UI", [""])[0]
    if "MH" in record:
        types = tree_types(record.get("MN", []), trees)
    else:
        for tui in record.get("ST", ()):
            if tui not in semantic_types:
                report.warn(
                    "unknown semantic type", f"{path}: {identifier} has {tui}, which is not in the table"
                )
        types = tuple(sorted({t for tui in record.get("ST", ()) if (t := semantic_types.get(tui))}))
    return identifier, names, types
