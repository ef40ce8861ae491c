"""In: a table of names (TSV, CSV, JSON lines, NCBI .dmp), plain or .gz. Out: terms, one row at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vaner.errors import FormatError, VanerError, place
from vaner.files import lines
from vaner.report import Report
from vaner.vocabularies.mesh import tree_types
from vaner.vocabularies.quoting import quoted_rows
from vaner.vocabularies.terms import Term, utf8

_PROBE = 1_000


@dataclass(frozen=True)
class Table:
    """How a table is laid out. Columns are named by their header, or counted from 0 where it has none.

    Attributes:
        name: column of the name, preferred unless ``preferred`` says otherwise.
        id: column of the concept id; without one the names have no id.
        synonyms: columns of further names; those that a header lacks are counted and left out as long as it has one
            of them, since releases of a table differ in them.
        separator: what parts several names, ids or types in one cell; empty if there is one.
        preferred: column whose text equals the name (but for case) where that is the preferred one.
        type: column of the type, looked up in ``types``; None where all names have the type ``types['*']``.
        types: label -> canonical type, None for labels left out.
        tree: whether ``type`` holds MeSH tree numbers, and ``types`` branches of the tree.
        header: whether the first line that is no comment names the columns; ``comment`` where it is a comment that
            does (CTD: ``# ChemicalName  ChemicalID  ...``).
        comment: lines that start with it are skipped.
        delimiter: between cells.
        quote: character around cells, or empty.
        missing: text of an empty cell.
        keep: column -> regular expression that its text must match from the start.
        id_by_name: another table (``file``, ``name``, ``id``: path and columns) from which the id is taken by the
            text of ``preferred``, or of the name without one (but for case), in place of a column here; names not
            found there get no id.
        id_prefix: put before every id that does not have it.
        id_replace: beginning of an id -> what takes its place.
        strip: cut off the start and end of every cell.
    """

    name: str | int
    id: str | int | None = None
    synonyms: tuple[str | int, ...] = ()
    separator: str = ""
    preferred: str | int | None = None
    type: str | int | None = None
    types: Mapping[str, str | None] = field(default_factory=dict)
    tree: bool = False
    header: bool | str = True
    comment: str = ""
    delimiter: str = "\t"
    quote: str = ""
    missing: str = ""
    keep: Mapping[str | int, str] = field(default_factory=dict)
    id_by_name: Mapping[str, str] = field(default_factory=dict)
    id_prefix: str = ""
    id_replace: Mapping[str, str] = field(default_factory=dict)
    strip: str = ""


def read_table(path: Path, layout: Table, report: Report) -> Iterator[Term]:
    """Terms of a table.

    Args:
        path: the file, possibly ``.gz``.
        layout: its columns.
        report: counts rows that are too short, have no name, or a type that is left out or unknown.

    Raises:
        FormatError: if a named column is missing, or no row has enough columns.
    """
    rows = _rows(path, layout, report)
    header: list[str] | None = None
    if layout.header == "comment":
        header = _commented_header(path, layout)
    elif layout.header:
        first = next(rows, None)
        if first is None:
            raise FormatError(f"{path}: empty; give a table with a header")
        header = [cell.strip() for cell in first[1]]
        header[0] = header[0].lstrip("# ")
    yield from _terms(path, layout, rows, header, report)


def _terms(
    path: Path,
    layout: Table,
    rows: Iterator[tuple[int, list[str]]],
    header: list[str] | None,
    report: Report,
) -> Iterator[Term]:
    def column(label: str | int) -> int:
        if isinstance(label, int):
            return label
        if header is None or label not in header:
            raise FormatError(f"{path}: no column {label!r}; it has {', '.join(header or ['no header'])}")
        return header.index(label)

    name_at = column(layout.name)
    id_at, type_at, preferred_at = (
        None if label is None else column(label) for label in (layout.id, layout.type, layout.preferred)
    )
    there = [s for s in layout.synonyms if isinstance(s, int) or s in (header or ())]
    if len(there) < len(layout.synonyms) and there:
        report.counts["left out: column of synonyms that the file does not have"] += len(
            layout.synonyms
        ) - len(there)
    synonyms_at = [column(label) for label in there or layout.synonyms]
    try:
        keep = [(column(label), re.compile(pattern)) for label, pattern in layout.keep.items()]
    except re.error as error:
        raise FormatError(f"{path}: keep {error.pattern!r} is no regular expression: {error}") from None
    ids_by_name = _ids_by_name(layout.id_by_name, report)
    needed = max(c for c in (name_at, id_at, type_at, preferred_at, *(k for k, _ in keep)) if c is not None)
    constant = layout.types.get("*")
    separator = layout.separator
    good = 0
    for number, row in rows:
        if len(row) <= needed or (header is not None and len(row) > len(header)):
            expected = f"{len(header)}" if header is not None else f"at least {needed + 1}"
            message = f"{place(path, number)}: {len(row)} columns where {expected} are expected"
            if not good and number > _PROBE:
                raise FormatError(f"{message}, like every row before it; give another file or columns")
            report.warn("row with a wrong number of columns", f"{message}; row skipped")
            continue
        good += 1
        if layout.strip:
            row = [cell.strip(layout.strip) for cell in row]
        if any(not pattern.match(row[at]) for at, pattern in keep):
            report.counts["left out: row of no interest"] += 1
            continue
        name = row[name_at].strip()
        if not name or name == layout.missing:
            report.warn("row without a name", f"{place(path, number)}: its name is empty; row skipped")
            continue
        if type_at is None:
            types: tuple[str, ...] = (constant,) if constant else ()
        else:
            labels = _cells(row[type_at], separator)
            if layout.tree:
                types = tree_types(labels, layout.types)
            else:
                unknown = [label for label in labels if label not in layout.types and not constant]
                for label in unknown:
                    report.warn(
                        "unknown type",
                        f"{place(path, number)}: type {label!r} is none of {', '.join(layout.types)}",
                    )
                mapped = {layout.types.get(label, constant) for label in labels}
                types = tuple(sorted(t for t in mapped if t))
        if not types:
            report.counts["left out: row of no wanted type"] += 1
            continue
        identifiers = [""]
        preferred = name if preferred_at is None else row[preferred_at]
        if layout.id_by_name:
            identifiers = [ids_by_name.get(preferred.casefold(), "")]
            if not identifiers[0]:
                report.counts["name without an id in the other table"] += 1
        elif id_at is not None:
            identifiers = [i for i in _cells(row[id_at], separator) if i != layout.missing] or [""]
            for old, new in layout.id_replace.items():
                identifiers = [new + i[len(old) :] if i.startswith(old) else i for i in identifiers]
        if layout.id_prefix:
            prefix = layout.id_prefix
            identifiers = [i if not i or i.startswith(prefix) else prefix + i for i in identifiers]
        is_preferred = preferred.casefold() == name.casefold()
        for identifier in identifiers:
            yield Term(identifier, name, types, is_preferred)
            for at in synonyms_at:
                if at < len(row):
                    for synonym in _cells(row[at], separator):
                        if synonym != layout.missing and synonym != name:
                            yield Term(identifier, synonym, types, False)
    if not good:
        raise FormatError(f"{path}: no row with {needed + 1} columns; give another file or columns")


def _commented_header(path: Path, layout: Table) -> list[str]:
    """The columns as a comment before the first row names them."""
    for _, line in lines(path):
        text = line.decode("utf-8", "replace")
        if text and not text.startswith(layout.comment):
            break
        cells = [cell.strip() for cell in text.removeprefix(layout.comment).split(layout.delimiter)]
        if layout.name in cells:
            return cells
    raise FormatError(
        f"{path}: no line that starts with {layout.comment!r} names a column {layout.name!r} before the first row; "
        "give the file as it is published"
    )


def _ids_by_name(other: Mapping[str, str], report: Report) -> dict[str, str]:
    if not other:
        return {}
    path, layout = Path(other["file"]), Table(name=other["name"])
    rows = _rows(path, layout, report)
    header = next(rows, (0, []))[1]
    if other["name"] not in header or other["id"] not in header:
        raise FormatError(
            f"{path}: no columns {other['name']!r} and {other['id']!r}; it has {', '.join(header)}"
        )
    name_at, id_at = header.index(other["name"]), header.index(other["id"])
    return {row[name_at].casefold(): row[id_at] for _, row in rows if len(row) > max(name_at, id_at)}


def _cells(text: str, separator: str) -> list[str]:
    parts = text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def _rows(path: Path, layout: Table, report: Report) -> Iterator[tuple[int, list[str]]]:
    comment = layout.comment
    numbered = (
        (number, text)
        for number, line in lines(path)
        if (text := utf8(line, path, number, report)) is not None
    )
    if layout.quote:
        for number, row in quoted_rows(numbered, layout.delimiter, layout.quote, path, report):
            if row and not (comment and row[0].startswith(comment)):
                yield number, row
        return
    for number, line in numbered:
        if line and not (comment and line.startswith(comment)):
            yield number, line.split(layout.delimiter)


def read_plain(path: Path, report: Report) -> Iterator[Term]:
    """Terms of a plain list: ``id, name, type[, synonym...]``, TSV or (``.csv``) comma-separated, no header.

    The type is a canonical one, or several parted by ``|``; a first line ``id name type`` is taken for a header.

    Raises:
        FormatError: if no row has three columns.
    """
    delimiter = "," if ".csv" in path.suffixes else "\t"
    layout = Table(name=1, delimiter=delimiter, quote='"' if delimiter == "," else "", comment="#")
    seen: dict[str, str] = {}
    good = False
    for number, row in _rows(path, layout, report):
        cells = [cell.strip() for cell in row]
        if [cell.lower() for cell in cells[:3]] == ["id", "name", "type"]:
            continue
        if len(cells) < 3 or not cells[1] or not cells[2]:
            report.warn(
                "row with a wrong number of columns",
                f"{place(path, number)}: {cells[:3]!r} is not id, name, type[, synonym...]; row skipped",
            )
            continue
        good = True
        identifier, name, type_, *synonyms = cells
        before = seen.get(identifier)
        if before is None:
            if identifier:
                seen[identifier] = type_
        elif before == type_:
            report.warn(
                "duplicate id", f"{place(path, number)}: {identifier} again; its names are put together"
            )
        else:
            report.warn(
                "id with two types",
                f"{place(path, number)}: {identifier} is {type_} here and {before} before; both are kept",
            )
        types = tuple(type_.split("|"))
        yield Term(identifier, name, types, True)
        yield from (Term(identifier, synonym, types, False) for synonym in synonyms if synonym)
    if not good:
        raise FormatError(f"{path}: no row of id, name, type[, synonym...]; give another file")


def read_jsonl(
    path: Path, report: Report, *, id: str, name: str, synonyms: str, types: Mapping[str, str | None]
) -> Iterator[Term]:
    """Terms of JSON lines with a field each for the id, the name and a list of synonyms.

    Args:
        path: the file, possibly ``.gz``.
        report: counts ids that come twice.
        id, name, synonyms: names of the fields.
        types: ``*`` -> canonical type of all terms; None leaves all of them out.

    Raises:
        FormatError: if a line is no JSON object with these fields, or no type is given.
    """
    if "*" not in types:
        raise FormatError(f"{path}: types says nothing of '*', the type of all its names; add it")
    kind = types["*"]
    seen: set[str] = set()
    for number, line in lines(path):
        try:
            record = json.loads(line)
            term = Term(str(record[id]), str(record[name]), () if kind is None else (kind,), True)
            further = [str(synonym) for synonym in record[synonyms]]
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"{place(path, number)}: no record with {id}, {name}, {synonyms} ({error!r:.60})"
            ) from None
        if term.id in seen:
            report.warn("duplicate id", f"{place(path, number)}: {term.id} again; its names are put together")
        seen.add(term.id)
        if not term.types:
            report.counts["left out: row of no wanted type"] += 1
            continue
        yield term
        yield from (term._replace(name=synonym, preferred=False) for synonym in further)


def read_taxonomy(folder: Path, report: Report, *, types: Mapping[str, str | None]) -> Iterator[Term]:
    """Terms of the NCBI Taxonomy dump: ``names.dmp`` and, for the ranks, ``nodes.dmp``.

    Args:
        folder: holds both files.
        report: counts names of no interest, nodes without a rank and nodes that come twice.
        types: rank -> canonical type, ``*`` for other ranks.

    Raises:
        VanerError: if a file is missing.
        FormatError: if no row has the expected columns.
    """
    for name in ("names.dmp", "nodes.dmp"):
        if not (folder / name).is_file():
            raise VanerError(f"{folder}: no {name} in it; unpack taxdump.tar.gz there")
    ranks: dict[str, str] = {}
    for row in _dmp(folder / "nodes.dmp", 3, report):
        if ranks.setdefault(row[0], row[2]) is not row[2]:
            report.warn("duplicate id", f"{folder / 'nodes.dmp'}: {row[0]} again; the first one is kept")
    kept = {"scientific name", "synonym", "genbank common name", "common name", "equivalent name", "acronym"}
    for row in _dmp(folder / "names.dmp", 4, report):
        identifier, name, _, name_class = row[:4]
        type_ = types.get(ranks.get(identifier, ""), types.get("*"))
        if identifier not in ranks:
            report.warn("missing node", f"{folder}: {identifier} {name!r} is not in nodes.dmp")
        if name_class not in kept or type_ is None:
            report.counts["left out: name of no interest"] += 1
            continue
        yield Term(identifier, name, (type_,), name_class == "scientific name")


def _dmp(path: Path, columns: int, report: Report) -> Iterable[list[str]]:
    good = False
    for number, line in lines(path):
        text = utf8(line, path, number, report)
        if text is None:
            continue
        row = [cell.strip() for cell in text.removesuffix("|").split("\t|")]
        if len(row) < columns:
            report.warn(
                "row with a wrong number of columns",
                f"{place(path, number)}: {len(row)} columns where {columns} are expected; row skipped",
            )
            continue
        good = True
        yield row
    if not good:
        raise FormatError(f"{path}: no row with {columns} columns; give the NCBI Taxonomy dump")
