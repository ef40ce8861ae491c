"""In: scores, intervals, agreement with seqeval. Out: a Page, and it as JSON, Markdown, terminal tables.

Terminal and Markdown are made from the dict that the JSON file holds, so the three cannot disagree. Numbers
in the dict are in [0, 1] and unrounded; the tables show percent, as publications do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from tabulate import tabulate

from vaner.evaluation.agreement import Agreement
from vaner.evaluation.bootstrap import MEASURES, Difference, Interval
from vaner.evaluation.metrics import MACRO, Macro, Row, Score, Scores
from vaner.evaluation.mistakes import Mistake

_OUTCOMES = ("correct", "incorrect", "partial", "missed", "spurious")
_STRICT = "Strict: same start, end and type"
_TITLES = {
    "relaxed": "Relaxed (SemEval-2013 task 9)",
    "length": "By length in words (a punctuation mark is a word)",
    "seen": "By whether surface and type were a mention in training (a prediction by its own surface)",
}
_ROW_NAMES = {
    "strict": "strict",
    "exact": "exact: any type",
    "partial": "partial: any type, overlap 1/2",
    "type": "type: any overlap",
}
_NOTES = {
    "documents_without_prediction": "gold documents without a prediction: all their mentions count as misses",
    "documents_paired_by_their_order": "documents with other ids on each side: paired, their texts the same in order",
    "extra_documents_ignored": "predicted documents that gold does not have: ignored",
    "documents_differing_in_white_space": "documents whose texts differ in white space: offsets carried over",
    "duplicate_gold_mentions": "gold mentions given more than once: counted once",
    "duplicate_predicted_mentions": "predicted mentions given more than once: counted once",
    "discontinuous_gold_mentions": "discontinuous gold mentions: a hit needs the same fragments",
    "unreachable_gold_mentions": "gold mentions that a limit put out of reach: counted as misses",
}


class Table(NamedTuple):
    """One table, its cells as they are shown."""

    title: str
    header: list[str]
    rows: list[list[str]]


def result(
    scores: Scores,
    *,
    name: str,
    split: str | None = None,
    intervals: Mapping[Row, Mapping[str, Interval]] | None = None,
    agreement: Agreement | None = None,
    comparison: Mapping[Row, Difference] | None = None,
    read: Mapping[str, int] | None = None,
    baseline: Scores | None = None,
    baseline_intervals: Mapping[Row, Mapping[str, Interval]] | None = None,
) -> dict[str, Any]:
    """Everything measured on one gold set, ready for ``json.dump``.

    Args:
        scores: the counts.
        name: of the corpus or the gold file.
        split: train, dev or test where the gold set is one.
        intervals: from :func:`vaner.evaluation.bootstrap.intervals`.
        agreement: from :func:`vaner.evaluation.agreement.agreement`.
        comparison: from :func:`vaner.evaluation.bootstrap.compare`, this system minus another.
        read: what the file readers repaired or skipped -> how often.
        baseline: counts of another tagger on the same gold, shown beside.
        baseline_intervals: its intervals.
    """
    found: dict[str, Any] = {"name": name, "split": split, "documents": scores.documents}
    found |= _entries(scores, intervals or {})
    if baseline is not None:
        found["baseline"] = _entries(baseline, baseline_intervals or {})
    found["notes"] = dict(scores.notes)
    found["unannotated_predictions"] = dict(sorted(scores.unannotated.items()))
    found["read"] = dict(read or {})
    if agreement is not None:
        found["seqeval"] = {
            "default": asdict(agreement.default),
            "strict": asdict(agreement.strict),
            "tags": agreement.tags,
            "modes_agree": _near(agreement.default.f1, agreement.strict.f1),
            "default_agrees_with_micro_f1": _near(agreement.default.f1, scores["overall", "micro"].f1),
            "lost_in_tags": dict(agreement.lost),
        }
    if comparison is not None:
        found["comparison"] = [
            {"table": table, "row": label, **asdict(difference)}
            for (table, label), difference in comparison.items()
        ]
    return found


def _entries(scores: Scores, intervals: Mapping[Row, Mapping[str, Interval]]) -> dict[str, Any]:
    """Table -> row -> its numbers."""
    found: dict[str, Any] = {}
    for row in scores.rows:
        table, label = row
        entry = _entry(scores[row], intervals.get(row))
        if table == "relaxed":
            for count in ("tp", "fp", "fn"):
                del entry[count]
            entry |= {what: scores.outcomes[label][what] for what in _OUTCOMES}
        found.setdefault(table, {})[label] = entry
    found["overall"]["macro"] = _entry(scores.macro, intervals.get(MACRO))
    return found


def mean(results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Unweighted mean of the corpora's strict scores; a corpus without any mention is left out."""
    overall = [r["overall"] for r in results]
    found: dict[str, Any] = {}
    for row in ("micro", "macro"):
        defined = [o[row] for o in overall if o[row]["f1"] is not None]
        found[row] = {m: sum(d[m] for d in defined) / len(defined) if defined else None for m in MEASURES}
        found[row]["corpora"] = len(defined)
    return found


@dataclass
class Page:
    """What was measured, and how.

    Attributes:
        protocol: who was scored against what, how, and what must be known of it (``remarks``).
        results: of each gold set what `result` gives; scores are in [0, 1].
        mean: of the gold sets' strict scores, where there are several.
        baseline_mean: the same of the baseline.
        inputs: what was read: ``role``, ``path`` and ``sha256`` of each.
        versions: of everything that computes or formats a score.
        mistakes: name of a gold set -> its mistakes.
    """

    protocol: dict[str, Any]
    results: list[dict[str, Any]]
    mean: dict[str, Any] | None = None
    baseline_mean: dict[str, Any] | None = None
    inputs: list[dict[str, str]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    mistakes: dict[str, list[Mistake]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What the JSON file holds; everything but the mistakes."""
        found = {
            "protocol": self.protocol,
            "inputs": self.inputs,
            "versions": self.versions,
            "results": self.results,
        }
        means = {"mean": self.mean, "baseline_mean": self.baseline_mean}
        return found | {name: value for name, value in means.items() if value is not None}

    def to_json(self) -> str:
        """The page as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def terminal(self) -> str:
        """The page as plain text, tables aligned."""
        return terminal(self.to_dict())

    def markdown(self) -> str:
        """The page as Markdown."""
        return markdown(self.to_dict())


def terminal(page: Mapping[str, Any]) -> str:
    """A page as plain text, tables aligned."""
    results = page["results"]
    # Of several corpora the overview has a row each; JSON and Markdown have the rest.
    several = len(results) > 1
    tables = [_overview(page)] if several else _tables(results[0])
    notes = [
        f"note: {found['name']}: {remark}" if several else f"note: {remark}"
        for found in results
        for remark in remarks(found)
    ]
    parts = ["\n".join(_protocol(page)), *(f"{t.title}\n{_plain(t)}" for t in tables), "\n".join(notes)]
    return "\n\n".join(filter(None, parts)) + "\n"


def markdown(page: Mapping[str, Any]) -> str:
    """A page as Markdown."""
    parts = ["# Evaluation", "\n".join(f"- {_escaped(line)}" for line in _protocol(page))]
    if len(page["results"]) > 1:
        parts += [f"## {_STRICT}", _github(_overview(page))]
    for found in page["results"]:
        parts.append(f"## {_escaped(_title(found))}")
        for table in _tables(found):
            parts += [f"### {table.title}", _github(table)]
        if said := remarks(found):
            parts.append("\n".join(f"- {_escaped(remark)}" for remark in said))
    inputs = [[i["role"], i["path"], i["sha256"]] for i in page["inputs"]]
    parts += ["## Inputs", _github(Table("", ["Input", "Path", "sha256"], inputs))]
    parts.append("Versions: " + ", ".join(f"{k} {v}" for k, v in page["versions"].items()) + ".")
    return "\n\n".join(parts) + "\n"


def remarks(found: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the scores: losses, repairs, and how seqeval sees it."""
    said = [f"{n:,} {_NOTES[note]}" for note, n in found["notes"].items()]
    if dropped := found["unannotated_predictions"]:
        listed = ", ".join(f"{type} {n:,}" for type, n in dropped.items())
        said.append(
            f"{sum(dropped.values()):,} predicted mentions of types that gold does not annotate: "
            f"no false positives, left out ({listed})"
        )
    said += [f"{n:,} x while reading: {kind}" for kind, n in found["read"].items()]
    if "seqeval" in found:
        said.append(_seqeval_remark(found))
    return said


def _seqeval_remark(found: Mapping[str, Any]) -> str:
    checked = found["seqeval"]
    default, strict = (_percent(checked[mode]["f1"]) for mode in ("default", "strict"))
    lost = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in checked["lost_in_tags"].items())
    said = f"seqeval on {checked['tags']}: "
    if checked["modes_agree"]:
        said += f"micro-F1 {strict} in both modes (default, strict IOB2)"
    else:
        said += f"the modes differ: micro-F1 {default} default, {strict} strict IOB2"
    if checked["default_agrees_with_micro_f1"]:
        said += ", equal to the micro-F1 above" if checked["modes_agree"] else "; ours is the default's"
    else:
        said += f", unlike our micro-F1 {_percent(found['overall']['micro']['f1'])}"
    return said + (f"; tags cannot hold: {lost}" if lost else "")


def _entry(score: Score | Macro, interval: Mapping[str, Interval] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {measure: getattr(score, measure) for measure in MEASURES}
    if isinstance(score, Score):
        entry |= {"gold": score.gold, "predicted": score.predicted}
        entry |= {
            "tp": int(score.hits),
            "fp": score.predicted - int(score.hits),
            "fn": score.gold - int(score.hits),
        }
    if interval is not None:
        entry["interval"] = {measure: list(interval[measure]) for measure in MEASURES}
    return entry


def _tables(found: Mapping[str, Any]) -> Iterable[Table]:
    head = ["Gold", "Predicted", "TP", "FP", "FN"]
    rows = [*_rows(found, "type"), *_rows(found, "overall")]
    yield Table(_STRICT, ["Type", *head, *_SCORES], [_counted(n, e, head) for n, e in rows])
    rows = _rows(found, "relaxed", _ROW_NAMES)
    outcomes = [what.capitalize() for what in _OUTCOMES]
    yield Table(
        _TITLES["relaxed"], ["Measure", *outcomes, *_SCORES], [_counted(n, e, outcomes) for n, e in rows]
    )
    for table in ("length", "seen"):
        if table in found:
            rows = _rows(found, table)
            yield Table(
                _TITLES[table], [table.capitalize(), *head, *_SCORES], [_counted(*r, head) for r in rows]
            )
    if "comparison" in found:
        yield Table(
            "F1 of these predictions minus F1 of the compared ones (paired bootstrap)",
            ["Table", "Row", "F1", "Compared", "Difference", "95 % interval", "p"],
            [
                [
                    d["table"],
                    d["row"],
                    _percent(d["a"]),
                    _percent(d["b"]),
                    _signed(d["difference"]),
                    _range(d["interval"], _signed),
                    f"{d['p']:.4f}",
                ]
                for d in found["comparison"]
            ],
        )


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
    cells = [f"{entry[c.lower()]:,}" if c.lower() in entry else "" for c in counts]
    return [name, *cells, *_shown(entry)]


def _shown(entry: Mapping[str, Any]) -> list[str]:
    interval = _range(entry["interval"]["f1"], _percent) if "interval" in entry else ""
    return [*(_percent(entry[measure]) for measure in MEASURES), interval]


def _overview(page: Mapping[str, Any]) -> Table:
    rows = []
    for found in page["results"]:
        for name, scores in ((found["name"], found), ("(baseline)", found.get("baseline"))):
            if scores:
                micro, macro = scores["overall"]["micro"], scores["overall"]["macro"]
                counts = [f"{found['documents']:,}", f"{micro['gold']:,}", f"{micro['predicted']:,}"]
                rows.append([name, *counts, *_shown(micro), _percent(macro["f1"])])
    for name, averaged in (("mean", page["mean"]), ("(baseline)", page.get("baseline_mean"))):
        if averaged:
            rows.append([name, "", "", "", *_shown(averaged["micro"]), _percent(averaged["macro"]["f1"])])
    return Table(_STRICT, ["Corpus", "Documents", "Gold", "Predicted", *_SCORES, "Macro-F1"], rows)


def _title(found: Mapping[str, Any]) -> str:
    return f"{found['name']}, {found['split']} split" if found["split"] else found["name"]


def _protocol(page: Mapping[str, Any]) -> list[str]:
    protocol = page["protocol"]
    lines = [
        f"{protocol['predictions']} against {_title(f)}: {f['documents']:,} documents"
        for f in page["results"]
    ]
    lines.append("types: " + (", ".join(protocol["types"]) or "none"))
    lines.append(f"strict matching ({_STRICT.partition(': ')[2]}); scores in percent; macro: mean over types")
    if protocol["bootstrap"]:
        lines.append(
            f"intervals: 95 %, percentile bootstrap over documents, n={protocol['bootstrap']:,}, "
            f"seed {protocol['seed']}"
        )
    else:
        lines.append("intervals: none (--bootstrap 0)")
    return lines + list(protocol["remarks"])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}"


def _range(interval: Iterable[float], shown: Callable[[float], str]) -> str:
    low, high = interval
    return f"[{shown(low)}, {shown(high)}]"


def _near(a: float, b: float | None) -> bool:
    return abs(a - (b or 0.0)) < 1e-9


def _align(table: Table) -> list[str]:
    return ["left" if cell in _TEXT_COLUMNS else "right" for cell in table.header]


_TEXT_COLUMNS = {"Type", "Measure", "Length", "Seen", "Corpus", "Table", "Row", "Input", "Path", "sha256"}


def _plain(table: Table) -> str:
    return tabulate(
        table.rows, table.header, tablefmt="simple", disable_numparse=True, colalign=_align(table)
    )


def _github(table: Table) -> str:
    rows = [[_escaped(cell) for cell in row] for row in table.rows]
    return tabulate(rows, table.header, tablefmt="github", disable_numparse=True, colalign=_align(table))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
