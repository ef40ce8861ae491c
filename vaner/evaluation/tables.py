"""In: what was measured, as the JSON file holds it. Out: tables, their cells as they are shown: scores in percent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from tabulate import tabulate

from vaner.evaluation.bootstrap import MEASURES
from vaner.evaluation.metrics import CLASSES

OUTCOMES = ("correct", "incorrect", "partial", "missed", "spurious")
STRICT = "Strict: same start, end and type"
_TITLES = {
    "relaxed": "Relaxed (SemEval-2013 task 9)",
    "length": "By length in {unit}",
    "gold-cut": "By length in {unit}, gold-cut: biased, false positives can only hurt length 1",
    "seen": "By whether surface and type were a mention in training (a prediction by its own surface)",
}
_MISTAKES = (
    "What is right and where the mistakes lie, by gold mentions (spurious: by their own type and length)"
)
_UNITS = {"words": "words (a punctuation mark is a word)", "tokens": "tokens of the file"}
_ROW_NAMES = {
    "strict": "strict",
    "exact": "exact: any type",
    "partial": "partial: any type, overlap 1/2",
    "type": "type: any overlap",
}


class Table(NamedTuple):
    """One table, its cells as they are shown."""

    title: str
    header: list[str]
    rows: list[list[str]]


def tables(found: Mapping[str, Any]) -> Iterable[Table]:
    head = ["Gold", "Predicted", "TP", "FP", "FN"]
    rows = [*_rows(found, "type"), *_rows(found, "overall")]
    yield Table(STRICT, ["Type", *head, *_SCORES], [_counted(n, e, head) for n, e in rows])
    rows = _rows(found, "relaxed", _ROW_NAMES)
    outcomes = [what.capitalize() for what in OUTCOMES]
    yield Table(
        _TITLES["relaxed"], ["Measure", *outcomes, *_SCORES], [_counted(n, e, outcomes) for n, e in rows]
    )
    yield _where(found)
    for table in ("length", "gold-cut", "seen"):
        if table in found:
            rows = _rows(found, table)
            first = "Seen" if table == "seen" else "Length"
            title = _TITLES[table].format(unit=_UNITS[found["lengths_in"]])
            yield Table(title, [first, *head, *_SCORES], [_counted(*r, head) for r in rows])
    if "answers" in found:
        yield _lost(found["answers"])
    if "comparison" in found:
        yield Table(
            "F1 of these predictions minus F1 of the compared ones (paired bootstrap)",
            ["Table", "Row", "F1", "Compared", "Difference", "95 % interval", "p"],
            [
                [
                    d["table"],
                    d["row"],
                    percent(d["a"]),
                    percent(d["b"]),
                    signed(d["difference"]),
                    interval_of(d["interval"], signed),
                    f"{d['p']:.4f}",
                ]
                for d in found["comparison"]
            ],
        )


def _where(found: Mapping[str, Any]) -> Table:
    """The classes of mistakes: of everything, by type and by length, each row followed by the baseline's."""
    head = ["Gold", *(what.capitalize() for what in CLASSES), "Predicted"]
    beside = found.get("baseline", {}).get("mistakes", {})
    rows = []
    for table, prefix in (("type", ""), ("length", "length "), ("overall", "")):
        for label, entry in found["mistakes"].get(table, {}).items():
            name = "all" if table == "overall" else f"{prefix}{label}"
            rows.append([name, *_counts(entry, head)])
            if label in beside.get(table, {}):
                rows.append([f"{name} (baseline)", *_counts(beside[table][label], head)])
    return Table(_MISTAKES, ["Mentions", *head], rows)


def _lost(answers: Mapping[str, Any]) -> Table:
    """What of stored answers has no place in the text, by cause."""
    title = (
        f"What {answers['answers']:,} answers lost, alignment {answers['alignment']}: "
        f"{answers['unread_words']:,} of {answers['words']:,} words were not answered and count as O"
    )
    rows = [
        [cause, f"{lost['times']:,}", f"{lost['answers']:,}", lost["example"]]
        for cause, lost in answers["lost"].items()
    ]
    return Table(title, ["Cause", "Times", "Answers", "First example"], rows or [["none", "0", "0", ""]])


_SCORES = ["P", "R", "F1", "95 % interval of F1"]


def _rows(
    found: Mapping[str, Any], table: str, names: Mapping[str, str] = {}
) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows of a table, each followed by that of the baseline."""
    rows = []
    beside = found.get("baseline", {}).get(table, {})
    for row, entry in found.get(table, {}).items():
        rows.append((names.get(row, row), entry))
        if row in beside:
            rows.append((f"{names.get(row, row)} (baseline)", beside[row]))
    return rows


def _counted(name: str, entry: Mapping[str, Any], counts: Iterable[str]) -> list[str]:
    return [name, *_counts(entry, counts), *_shown(entry)]


def _counts(entry: Mapping[str, Any], counts: Iterable[str]) -> list[str]:
    return [f"{entry[c.lower()]:,}" if c.lower() in entry else "" for c in counts]


def _shown(entry: Mapping[str, Any]) -> list[str]:
    interval = interval_of(entry["interval"]["f1"], percent) if "interval" in entry else ""
    return [*(percent(entry[measure]) for measure in MEASURES), interval]


def overview(page: Mapping[str, Any]) -> Table:
    rows = []
    for found in page["results"]:
        for name, scores in ((found["name"], found), ("(baseline)", found.get("baseline"))):
            if scores:
                micro, macro = scores["overall"]["micro"], scores["overall"]["macro"]
                counts = [f"{found['documents']:,}", f"{micro['gold']:,}", f"{micro['predicted']:,}"]
                rows.append([name, *counts, *_shown(micro), percent(macro["f1"])])
    for name, averaged in (("mean", page["mean"]), ("(baseline)", page.get("baseline_mean"))):
        if averaged:
            rows.append([name, "", "", "", *_shown(averaged["micro"]), percent(averaged["macro"]["f1"])])
    return Table(STRICT, ["Corpus", "Documents", "Gold", "Predicted", *_SCORES, "Macro-F1"], rows)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def signed(value: float) -> str:
    return f"{100 * value:+.2f}"


def interval_of(interval: Iterable[float], shown: Callable[[float], str]) -> str:
    low, high = interval
    return f"[{shown(low)}, {shown(high)}]"


# Columns of words, not numbers.
_TEXT_COLUMNS = frozenset({"Row", "Path", "sha256", "First example"})


def _align(table: Table, text: Collection[str]) -> list[str]:
    return ["left" if cell in text or column == 0 else "right" for column, cell in enumerate(table.header)]


def plain(table: Table) -> str:
    align = _align(table, _TEXT_COLUMNS)
    return tabulate(table.rows, table.header, tablefmt="simple", disable_numparse=True, colalign=align)


def github(table: Table, text: Collection[str] = _TEXT_COLUMNS) -> str:
    """As Markdown; the first column, and those of the names in ``text``, stand at the left."""
    rows = [[escaped(cell) for cell in row] for row in table.rows]
    return tabulate(
        rows, table.header, tablefmt="github", disable_numparse=True, colalign=_align(table, text)
    )


def escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
