"""In: MRCONSO.RRF and MRSTY.RRF of a UMLS release, plain or .gz. Out: terms, one row at a time.

    MRCONSO  CUI LAT TS LUI STT SUI ISPREF AUI SAUI SCUI SDUI SAB TTY CODE STR SRL SUPPRESS CVF   18 columns
    MRSTY    CUI TUI STN STY ATUI CVF                                                              6 columns

Columns end with ``|``, the last one too; there is no header and no quoting.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from pathlib import Path

from vaner.errors import FormatError, VanerError, place
from vaner.files import lines
from vaner.report import Report
from vaner.vocabularies.terms import Term, utf8

_CONSO_COLUMNS, _STY_COLUMNS = 18, 6
_CUIS = 10_000_000  # C0000000 to C9999999
_PROBE = 1_000
_LEFT_OUT = 1  # what concepts of left-out semantic types have in the array where those of none known have 0


def read_umls(
    folder: Path,
    semantic_types: dict[str, str | None],
    report: Report,
    *,
    languages: Collection[str] = ("ENG",),
    suppress: Collection[str] = ("N",),
    vocabularies: Collection[str] = (),
) -> Iterator[Term]:
    """Terms of a UMLS ``META`` folder.

    Args:
        folder: holds ``MRCONSO.RRF`` and ``MRSTY.RRF`` (or the same with ``.gz``).
        semantic_types: TUI -> canonical type, None for types left out.
        report: counts rows left out by each filter and rows that are broken.
        languages: LAT values kept; empty for all.
        suppress: SUPPRESS values kept (``N`` not suppressible, ``O`` obsolete, ``E``, ``Y``); empty for all.
        vocabularies: SAB values kept (``MSH``, ``SNOMEDCT_US``); empty for all.

    Raises:
        FormatError: if a file does not look like the one it should be.
        VanerError: if a file is missing.
    """
    table, concepts = _semantic_types(_find(folder, "MRSTY.RRF"), semantic_types, report)
    wanted_languages = {value.encode() for value in languages}
    wanted_suppress = {value.encode() for value in suppress}
    wanted_vocabularies = {value.encode() for value in vocabularies}
    path = _find(folder, "MRCONSO.RRF")
    other_language = suppressed = other_vocabulary = no_type = unknown = kept = good = 0
    for number, line in lines(path):
        row = line.split(b"|")
        if len(row) != _CONSO_COLUMNS + 1:
            _broken(path, number, row, _CONSO_COLUMNS, good, report)
            continue
        good += 1
        if wanted_languages and row[1] not in wanted_languages:
            other_language += 1
        elif wanted_suppress and row[16] not in wanted_suppress:
            suppressed += 1
        elif wanted_vocabularies and row[11] not in wanted_vocabularies:
            other_vocabulary += 1
        else:
            cui = _cui(row[0])
            if cui is None:
                report.warn("bad CUI", f"{place(path, number)}: {row[0][:20]!r} is no CUI; row skipped")
                continue
            types = table[concepts[cui]]
            if not types:
                if concepts[cui] == _LEFT_OUT:
                    no_type += 1
                    continue
                unknown += 1
                report.warn(
                    "row of a concept without a known semantic type",
                    f"{place(path, number)}: MRSTY.RRF has no known type of {row[0].decode()}; row skipped; are both "
                    "files whole and of one release?",
                )
                continue
            name = utf8(row[14], path, number, report)
            if name is None:
                continue
            kept += 1
            is_preferred = row[6] == b"Y" and row[2] == b"P" and row[4] == b"PF"
            yield Term(row[0].decode(), name, types, is_preferred)
    for kind, count in (
        ("row of another language", other_language),
        ("suppressible row", suppressed),
        ("row of another vocabulary", other_vocabulary),
        ("row whose semantic types are left out", no_type),
    ):
        if count:
            report.counts[f"left out: {kind}"] += count
    if not good:
        raise FormatError(
            f"{path}: no row of {_CONSO_COLUMNS} columns, each followed by '|'; give the MRCONSO.RRF of a UMLS release"
        )
    if unknown and not kept and not no_type:
        raise VanerError(
            f"{path}: MRSTY.RRF has no known semantic type for any of {unknown} rows; give both files of one release"
        )
    if not kept:
        raise VanerError(
            f"{path}: none of {good} rows passed the filters (language {_shown(languages)}, SUPPRESS "
            f"{_shown(suppress)}, vocabulary {_shown(vocabularies)}); widen them"
        )


def _shown(values: Collection[str]) -> str:
    return "/".join(values) or "any"


def _semantic_types(
    path: Path, mapping: dict[str, str | None], report: Report
) -> tuple[list[tuple[str, ...]], array]:
    """The distinct sets of canonical types, and for every possible CUI number which of them it has."""
    table: list[tuple[str, ...]] = [(), ()]
    numbers: dict[tuple[str, ...], int] = {}
    concepts = array("H", bytes(2 * _CUIS))
    good = 0
    for number, line in lines(path):
        row = line.split(b"|")
        if len(row) != _STY_COLUMNS + 1:
            _broken(path, number, row, _STY_COLUMNS, good, report)
            continue
        good += 1
        cui, tui = _cui(row[0]), row[1].decode("ascii", "replace")
        if cui is None:
            report.warn("bad CUI", f"{place(path, number)}: {row[0][:20]!r} is no CUI; row skipped")
        elif tui not in mapping:
            report.warn(
                "unknown semantic type",
                f"{place(path, number)}: semantic type {tui} is not in the table; row skipped",
            )
        elif (type_ := mapping[tui]) is None:
            concepts[cui] = concepts[cui] or _LEFT_OUT
        else:
            old = table[concepts[cui]]
            if type_ not in old:
                types = tuple(sorted((*old, type_)))
                if types not in numbers:
                    numbers[types] = len(table)
                    table.append(types)
                concepts[cui] = numbers[types]
    if not good:
        raise FormatError(
            f"{path}: no row of {_STY_COLUMNS} columns, each followed by '|'; give the MRSTY.RRF of the same release"
        )
    return table, concepts


def _cui(field: bytes) -> int | None:
    if len(field) == 8 and field[:1] == b"C" and field[1:].isdigit():
        return int(field[1:])
    return None


def _broken(path: Path, number: int, row: list[bytes], columns: int, good: int, report: Report) -> None:
    """Count a row of the wrong length; a file that starts with many of them is another file."""
    found = len(row) - (row[-1] == b"")
    message = f"{place(path, number)}: {found} columns where {columns} are expected, each followed by '|'"
    if not good and number >= _PROBE:
        raise FormatError(f"{message}, like every row before it; give the file of a UMLS release as it is")
    report.warn("row with a wrong number of columns", f"{message}; row skipped")


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise VanerError(f"{folder}: no {name} or {name}.gz in it; give the META folder of a UMLS release")
