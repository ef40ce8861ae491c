"""In: mentions to check. Out: a table (CSV, TSV) or a brat folder to fill in; and back, what a person said of each.

    number,document,start,end,type,mention,context,confidence,correct,comment,sample
    1,227508,0,8,Chemical,Naloxone,[Naloxone] reverses the ...,0.97,,,vaner-audit-1 seed=0 size=150 ...

``correct`` is filled in with yes, no or unsure. In brat, each mention that was drawn has a note, and the attribute
``Correct`` (annotation.conf declares it) is what is filled in. Rows may be sorted; whatever says which mention was
asked about must come back as it was.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vaner.annotation.audit import NO, UNSURE, YES, Design, Drawn, draw
from vaner.annotation.runs import Annotated
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.files import check_parent, lines, replacing_text, write_text
from vaner.formats import brat
from vaner.report import Report

COLUMNS = tuple("number document start end type mention context confidence correct comment sample".split())
# A spreadsheet may write the others otherwise (0.50 as 0.5); these say what was asked about.
_FIXED = ("document", "start", "end", "type", "mention")
FORMATS = {"csv": ",", "tsv": "\t", "brat": ""}
_SAID = {
    **dict.fromkeys(("yes", "y", "1", "true", "right", "correct"), YES),
    **dict.fromkeys(("no", "n", "0", "false", "wrong", "incorrect"), NO),
    **dict.fromkeys(("unsure", "?"), UNSURE),
}
_ATTRIBUTE = "Correct"
_NOTE = re.compile(r"#\d+\tAnnotatorNotes (T\d+)\tmention (\d+)(?:, confidence [\d.]+)?; (vaner-audit-1 .*)")
_ANSWER = re.compile(rf"A\d+\t{_ATTRIBUTE} (T\d+)(?: (\S+))?")


def format_of(path: str) -> str:
    """The format that a sample's name asks for: csv, tsv, or brat for a folder."""
    return {".csv": "csv", ".tsv": "tsv"}.get(Path(path).suffix.lower(), "brat")


# --- to fill in ---


def write(path: str, run: Annotated, design: Design, format: str | None = None) -> int:
    """Draw a sample and write it to be filled in, whole or not at all.

    Args:
        path: ends in .csv or .tsv; anything else is a folder of brat.
        format: csv, tsv or brat; by default what the path says.

    Returns:
        how many mentions there are to check.

    Raises:
        VanerError: something is there already, which may have been filled in; see `draw` for the rest.
    """
    if os.path.exists(path) and (not os.path.isdir(path) or any(Path(path).iterdir())):
        raise VanerError(f"{path}: exists, and may have been filled in; take it away, or name another")
    check_parent(path)
    drawn = draw(run, design)
    format = format or format_of(path)
    if format == "brat":
        _write_brat(path, drawn, design.stamp(run))
        return len(drawn)
    with replacing_text(path) as file:
        if format == "csv":
            file.write("\ufeff")  # without it, spreadsheets read CSV in the encoding of their country
        table = csv.writer(file, delimiter=FORMATS[format], lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([_row(one, design.stamp(run))[column] for column in COLUMNS] for one in drawn)
    return len(drawn)


def _row(one: Drawn, stamp: str) -> dict[str, str]:
    span = one.span
    return {
        "number": str(one.number),
        "document": _inert(one.document.id),
        "start": str(span.start),
        "end": str(span.end),
        "type": _inert(span.type),
        "mention": _inert(" ".join(span.text.split())),
        "context": _inert(one.context()),
        "confidence": "" if span.score is None else f"{span.score:.3f}",
        "correct": "",
        "comment": "",
        "sample": stamp,
    }


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, and no table for two."""
    cell = re.sub(r"[\t\r\n\0]", " ", cell)
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell


def _write_brat(path: str, drawn: Sequence[Drawn], stamp: str) -> None:
    by_document: dict[str, list[Drawn]] = {}
    for one in drawn:
        by_document.setdefault(one.document.id, []).append(one)
    documents = []
    for mentions in by_document.values():
        document = replace(
            mentions[0].document,
            spans=[replace(one.span, score=None, grounded=None, concepts=()) for one in mentions],
            metadata={},
        )
        # As the document has sorted them; equal borders keep their order.
        names = {f"T{n}": one for n, one in enumerate(sorted(mentions, key=lambda one: one.span.key), 1)}
        notes = [_note(n, name, names[name], stamp) for n, name in enumerate(names, 1)]
        ids = {name: list(one.span.key) for name, one in names.items()}
        documents.append(replace(document, metadata={"brat": {"lines": notes, "ids": ids}}))
    types = sorted({one.span.type for one in drawn})
    with tempfile.TemporaryDirectory(dir=Path(os.path.abspath(path)).parent, prefix=".") as outer:
        folder = Path(outer) / "sample"
        report = Report()
        brat.write(folder, documents, report=report)
        if lost := [kind for kind in report.counts if kind.startswith(("span", "type"))]:
            raise VanerError(
                f"{path}: brat cannot hold a mention ({report.first(lost[0])}); draw a .csv or .tsv"
            )
        entities = "\n".join(re.sub(r"\s", "_", type) for type in types)
        values = "|".join((YES, NO, UNSURE))
        write_text(
            folder / "annotation.conf",
            f"[entities]\n{entities}\n\n[relations]\n\n[events]\n\n"
            f"[attributes]\n{_ATTRIBUTE}\tArg:<ENTITY>, Value:{values}\n",
        )
        os.replace(folder, os.path.abspath(path))


def _note(number: int, name: str, one: Drawn, stamp: str) -> str:
    score = "" if one.span.score is None else f", confidence {one.span.score:.3f}"
    return f"#{number}\tAnnotatorNotes {name}\tmention {one.number}{score}; {stamp}"


# --- filled in ---


def read(path: str, run: Annotated) -> tuple[Design, dict[int, str]]:
    """What a person said of each mention of a sample that was drawn from this run.

    Returns:
        the sample's design, and number -> yes, no or unsure, for every mention.

    Raises:
        VanerError: the sample was altered, is not filled in, or is of another run; says which mention.
    """
    rows = list(_brat_rows(path) if Path(path).is_dir() else _table_rows(path))
    if not rows:
        raise VanerError(
            f"{path}: holds no mention of a sample; give back the file that was drawn, filled in"
        )
    stamps = Counter(row.stamp for row in rows)
    design = Design.of(stamps.most_common(1)[0][0], run, path)
    drawn = {one.number: one for one in draw(run, design)}
    answers: dict[int, str] = {}
    empty = []
    for row in rows:
        if row.stamp.strip() != design.stamp(run):
            raise VanerError(f"{row.where}: is of another sample ({row.stamp[:80]!r}); keep samples apart")
        one = drawn.get(row.number)
        if one is None or row.number in answers:
            what = "was not drawn" if one is None else "is there twice"
            raise VanerError(f"{row.where}: mention {row.number} {what}; give back what was drawn")
        if altered := row.differs(one):
            raise VanerError(
                f"{row.where}: mention {row.number} was altered: {altered}; put it back as it was"
            )
        said = row.said.strip().casefold()
        if said and said not in _SAID:
            raise VanerError(
                f"{row.where}: mention {row.number}: {row.said[:40]!r} is no answer; say yes, no or unsure"
            )
        if not said:
            empty.append(row)
        answers[row.number] = _SAID.get(said, "")
    if missing := sorted(drawn.keys() - answers.keys()):
        raise VanerError(
            f"{path}: {len(missing)} of {len(drawn)} mentions are gone, the first is number {missing[0]}; a bound "
            "holds for the whole sample only: put them back"
        )
    if empty:
        raise VanerError(
            f"{empty[0].where}: mention {empty[0].number} has no answer ({len(empty)} of {len(drawn)} have none); fill "
            "in yes, no or unsure"
        )
    return design, answers


@dataclass(frozen=True)
class _Row:
    """A mention as it came back; ``cells`` are those of a table, ``document`` and ``mention`` those of brat."""

    where: str
    number: int
    said: str
    stamp: str
    cells: Mapping[str, str] | None = None
    document: Document | None = None
    mention: Span | None = None

    def differs(self, one: Drawn) -> str:
        """In what this is not the mention that was drawn; empty where it is."""
        if self.cells is not None:
            asked = _row(one, "")
            for column in _FIXED:
                if (cell := self.cells[column].strip()) != asked[column].strip():
                    return f"{column} was {asked[column][:60]!r}, is {cell[:60]!r}"
            return ""
        assert self.document is not None and self.mention is not None
        if self.document.text != one.document.text:
            return f"the text of document {self.document.id} is another"
        span, found = one.span, self.mention
        if (found.start, found.end, found.type) != span.key or found.fragments != span.fragments:
            return f"it was {span.type} {span.start}-{span.end}, is {found.type} {found.start}-{found.end}"
        return ""


def _table_rows(path: str) -> Iterator[_Row]:
    text = "\n".join(_decoded(path, number, line) for number, line in lines(path))
    header = text.partition("\n")[0]
    # Spreadsheets of some countries part cells by semicolons.
    delimiter = max(",;\t", key=header.count)
    table = csv.DictReader(io.StringIO(text), delimiter=delimiter, restkey="", restval="")
    known = {name.strip().lower(): name for name in table.fieldnames or ()}
    for column in ("number", "correct", "sample", *_FIXED):
        if column not in known:
            raise VanerError(
                f"{path}:1: has no column {column!r}; give back the table that was drawn ({', '.join(COLUMNS)})"
            )
    for row in table:
        cells = {column: row[known[column]] or "" for column in known}
        if not any(cells.values()):
            continue
        where = f"{path}:{table.line_num}"
        if not re.fullmatch(r"\s*\d{1,9}\s*", cells["number"]):
            raise VanerError(
                f"{where}: {cells['number'][:40]!r} is no number of a mention; put it back as it was"
            )
        yield _Row(where, int(cells["number"]), cells["correct"], cells["sample"], cells)


def _decoded(path: str, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise VanerError(f"{path}:{number}: is not UTF-8; save the table as 'CSV UTF-8'") from None


def _brat_rows(path: str) -> Iterator[_Row]:
    for document in brat.read(path, on_error="raise", report=Report(), crlf="2", bom="1"):
        kept = document.metadata.get("brat") or {"lines": [], "ids": {}}
        answers: dict[str, list[str]] = {}
        for line in kept["lines"]:
            if found := _ANSWER.fullmatch(line):
                answers.setdefault(found[1], []).append(found[2] or YES)
        of_key: dict[tuple[int, int, str], list[Span]] = {}
        for span in document.spans:
            of_key.setdefault(span.key, []).append(span)
        noted = set()
        for line in kept["lines"]:
            if (note := _NOTE.fullmatch(line)) is None:
                continue
            where = f"{path}: document {document.id}, {note[1]}"
            if note[1] not in kept["ids"]:
                raise VanerError(f"{where}: the mention of this note is gone; put it back as it was")
            said = answers.get(note[1], [""])
            if len(set(said)) > 1:
                raise VanerError(f"{where}: has two answers ({', '.join(said)}); leave one")
            noted.add(note[1])
            span = of_key[tuple(kept["ids"][note[1]])].pop(0)
            yield _Row(where, int(note[2]), said[0], note[3], document=document, mention=span)
        if others := kept["ids"].keys() - noted:
            raise VanerError(
                f"{path}: document {document.id}: {sorted(others)[0]} was not drawn; leave only the mentions that were"
            )
