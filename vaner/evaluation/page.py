"""In: scores, intervals, agreement with seqeval. Out: a Page, and it as JSON, Markdown, terminal tables.

Terminal and Markdown are made from the dict that the JSON file holds, so the three cannot disagree. Numbers
in the dict are in [0, 1] and unrounded; the tables show percent, as publications do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vaner.evaluation.agreement import Agreement
from vaner.evaluation.bootstrap import MEASURES, Difference, Interval
from vaner.evaluation.metrics import CLASSES, MACRO, Macro, Row, Score, Scores
from vaner.evaluation.mistakes import Mistake
from vaner.evaluation.tables import OUTCOMES, STRICT, Table, escaped, github, overview, percent, plain, tables

_NOTES = {
    "documents_without_prediction": "gold documents without a prediction: all their mentions count as misses",
    "documents_paired_by_their_order": "documents with other ids on each side: paired, their texts the same in order",
    "extra_documents_ignored": "predicted documents that gold does not have: ignored",
    "documents_differing_in_white_space": "documents whose texts differ in white space: offsets carried over",
    "duplicate_gold_mentions": "gold mentions given more than once: counted once",
    "duplicate_predicted_mentions": "predicted mentions given more than once: counted once",
    "discontinuous_gold_mentions": "discontinuous gold mentions: a hit needs the same fragments",
    "mentions_that_tags_cannot_hold": "mentions that tags cannot hold as they are: gold-cut counts what tags say",
    "unreachable_gold_mentions": "gold mentions that a limit put out of reach: counted as misses",
}


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
    lengths_in: str = "words",
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
        lengths_in: what lengths are counted in, ``words`` or ``tokens``.
    """
    found: dict[str, Any] = {"name": name, "split": split, "documents": scores.documents}
    found["lengths_in"] = lengths_in
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
            entry |= {what: scores.outcomes[label][what] for what in OUTCOMES}
        found.setdefault(table, {})[label] = entry
    found["overall"]["macro"] = _entry(scores.macro, intervals.get(MACRO))
    found["mistakes"] = {}
    for (table, label), counts in scores.classes.items():
        one = {what: counts[what] for what in CLASSES}
        one["gold"] = sum(one.values()) - one["spurious"]
        if table == "overall":
            one["predicted"] = sum(one.values()) - one["gold"] - one["missed"]
        found["mistakes"].setdefault(table, {})[label] = one
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
    shown = [overview(page)] if several else tables(results[0])
    notes = [
        f"note: {found['name']}: {remark}" if several else f"note: {remark}"
        for found in results
        for remark in remarks(found)
    ]
    parts = ["\n".join(_protocol(page)), *(f"{t.title}\n{plain(t)}" for t in shown), "\n".join(notes)]
    return "\n\n".join(filter(None, parts)) + "\n"


def markdown(page: Mapping[str, Any]) -> str:
    """A page as Markdown."""
    parts = ["# Evaluation", "\n".join(f"- {escaped(line)}" for line in _protocol(page))]
    if len(page["results"]) > 1:
        parts += [f"## {STRICT}", github(overview(page))]
    for found in page["results"]:
        parts.append(f"## {escaped(_title(found))}")
        for table in tables(found):
            parts += [f"### {table.title}", github(table)]
        if said := remarks(found):
            parts.append("\n".join(f"- {escaped(remark)}" for remark in said))
    inputs = [[i["role"], i["path"], i["sha256"]] for i in page["inputs"]]
    parts += ["## Inputs", github(Table("", ["Input", "Path", "sha256"], inputs))]
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
    default, strict = (percent(checked[mode]["f1"]) for mode in ("default", "strict"))
    macro = "macro-F1 " + " default, ".join(
        dict.fromkeys(percent(checked[mode]["macro_f1"]) for mode in ("default", "strict"))
    )
    if "default" in macro:
        macro += " strict"
    lost = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in checked["lost_in_tags"].items())
    said = f"seqeval on {checked['tags']}: "
    if checked["modes_agree"]:
        said += f"micro-F1 {strict} in both modes (default, strict IOB2)"
    else:
        said += f"the modes differ: micro-F1 {default} default, {strict} strict IOB2"
    if checked["default_agrees_with_micro_f1"]:
        said += ", equal to the micro-F1 above" if checked["modes_agree"] else "; ours is the default's"
    else:
        said += f", unlike our micro-F1 {percent(found['overall']['micro']['f1'])}"
    return f"{said}; {macro}" + (f"; tags cannot hold: {lost}" if lost else "")


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


def _title(found: Mapping[str, Any]) -> str:
    return f"{found['name']}, {found['split']} split" if found["split"] else found["name"]


def _protocol(page: Mapping[str, Any]) -> list[str]:
    protocol = page["protocol"]
    lines = [
        f"{protocol['predictions']} against {_title(f)}: {f['documents']:,} documents"
        for f in page["results"]
    ]
    lines.append("types: " + (", ".join(protocol["types"]) or "none"))
    lines.append(f"strict matching ({STRICT.partition(': ')[2]}); scores in percent; macro: mean over types")
    if protocol["bootstrap"]:
        lines.append(
            f"intervals: 95 %, percentile bootstrap over documents, n={protocol['bootstrap']:,}, "
            f"seed {protocol['seed']}"
        )
    else:
        lines.append("intervals: none (--bootstrap 0)")
    return lines + list(protocol["remarks"])


def _near(a: float, b: float | None) -> bool:
    return abs(a - (b or 0.0)) < 1e-9
