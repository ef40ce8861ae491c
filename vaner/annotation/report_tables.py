"""In: what a report found, as its JSON file holds it. Out: the same as Markdown and plain text, scores in percent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vaner.evaluation.metrics import CLASSES
from vaner.evaluation.tables import Table, escaped, github, interval_of, percent, plain, signed
from vaner.prompting.prices import money

_KNOWN_COUNTS = (
    "requests",
    "requests answered from the store",
    "requests that failed",
    "prompt tokens",
    "answer tokens",
)


class Section(NamedTuple):
    """A heading, tables below it, and what must be known of them."""

    title: str
    tables: list[Table]
    remarks: list[str]


def markdown(found: Mapping[str, Any]) -> str:
    """A report as Markdown."""
    parts = ["# Annotation report"]
    for section in _sections(found):
        parts.append(f"## {section.title}")
        for table in section.tables:
            parts += [*([f"### {table.title}"] if table.title else []), github(table)]
        if section.remarks:
            parts.append("\n".join(f"- {escaped(remark)}" for remark in section.remarks))
    if inputs := found.get("inputs"):
        rows = [[one["role"], one["path"], one["sha256"]] for one in inputs]
        parts += ["## Inputs", github(Table("", ["Input", "Path", "sha256"], rows))]
    parts.append("Versions: " + ", ".join(f"{k} {v}" for k, v in found["versions"].items()) + ".")
    return "\n\n".join(parts) + "\n"


def terminal(found: Mapping[str, Any]) -> str:
    """A report as plain text, tables aligned."""
    parts = []
    for section in _sections(found):
        parts.append(section.title)
        for table in section.tables:
            parts.append(f"{table.title}\n{plain(table)}" if table.title else plain(table))
        if section.remarks:
            parts.append("\n".join(f"note: {remark}" for remark in section.remarks))
    return "\n\n".join(parts) + "\n"


def _sections(found: Mapping[str, Any]) -> Iterable[Section]:
    yield Section("What was annotated", [_runs(found["runs"]), _types(found["runs"])], _said_of_runs(found))
    if found["gold"]:
        yield Section("Against gold", [_gold(found["gold"])], [*_remarks(found["gold"]), _strict(found)])
    sides = [*found["agreement"]]
    if sides:
        remarks = [
            *_remarks(sides),
            "agreement is F1, the same whichever side is called gold; " + _strict(found),
        ]
        yield Section("Agreement between runs", [_agreement(sides)], remarks)
    if found["annotators"]:
        remarks = _remarks(found["annotators"]) + ["what each marked before votes and verifier"]
        yield Section("Agreement between annotators", [_agreement(found["annotators"])], remarks)
    for one in found["guideline"]:
        yield _changed(one, found)
    if any(run["cost"] for run in found["runs"]):
        yield _costs(found["runs"])
    if "audit" in found:
        yield _audit(found["audit"])


# --- runs ---


def _runs(runs: Iterable[Mapping[str, Any]]) -> Table:
    header = [
        "Run",
        "Documents",
        "Rejected",
        "Returned by people",
        "Mentions",
        "Annotators",
        "Instructions",
        "Hash",
    ]
    return Table(
        "",
        header,
        [
            [
                run["name"],
                f"{run['documents']:,}",
                f"{run['rejected']:,}",
                f"{run['returned_by_people']:,}",
                f"{sum(one['mentions'] for one in run['mentions'].values()):,}",
                ", ".join(run["annotators"]) or "-",
                ", ".join(one[:16] for one in run["instructions"]) or "-",
                run["hash"][:16],
            ]
            for run in runs
        ],
    )


def _types(runs: Iterable[Mapping[str, Any]]) -> Table:
    return Table(
        "Mentions and their mean confidence",
        ["Run", "Type", "Mentions", "Confidence", "Without"],
        [
            [
                run["name"],
                type,
                f"{one['mentions']:,}",
                "-" if one["confidence"] is None else f"{one['confidence']:.3f}",
                f"{one['without_confidence']:,}",
            ]
            for run in runs
            for type, one in run["mentions"].items()
        ],
    )


def _said_of_runs(found: Mapping[str, Any]) -> list[str]:
    return [
        f"{run['name']}: changed while it was annotated: "
        + ", ".join(f"{what} {times:,}" for what, times in run["changed"].items())
        for run in found["runs"]
        if run["changed"]
    ]


# --- two sides ---


def _rows(one: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any], Mapping[str, int]]]:
    """Row name, scores and classes: the types, then all."""
    classes = one["mistakes"]
    for type, scores in one.get("type", {}).items():
        yield type, scores, classes["type"][type]
    yield "all", one["overall"]["micro"], classes["overall"]["micro"]


def _gold(sides: Iterable[Mapping[str, Any]]) -> Table:
    head = ["Gold", "Predicted", "P", "R", "F1", "95 % interval of F1"]
    return Table(
        "",
        ["Run", "Type", *head, *(name.capitalize() for name in CLASSES)],
        [
            [
                one["right"],
                row,
                f"{scores['gold']:,}",
                f"{scores['predicted']:,}",
                *(percent(scores[measure]) for measure in ("precision", "recall", "f1")),
                _interval(scores),
                *(f"{classes[name]:,}" for name in CLASSES),
            ]
            for one in sides
            for row, scores, classes in _rows(one)
        ],
    )


def _agreement(sides: Iterable[Mapping[str, Any]]) -> Table:
    names = ["Same", "Boundary", "Type", "Both", "Only A", "Only B"]
    head = ["A", "B", "Type", "Documents", "A has", "B has", "Agreement", "95 % interval", *names]
    return Table(
        "",
        head,
        [
            [
                one["left"],
                one["right"],
                row,
                f"{one['documents']:,}",
                f"{scores['gold']:,}",
                f"{scores['predicted']:,}",
                percent(scores["f1"]),
                _interval(scores),
                *(f"{classes[name]:,}" for name in CLASSES),
            ]
            for one in sides
            for row, scores, classes in _rows(one)
        ],
    )


def _interval(scores: Mapping[str, Any]) -> str:
    return interval_of(scores["interval"]["f1"], percent) if "interval" in scores else ""


def _remarks(sides: Iterable[Mapping[str, Any]]) -> list[str]:
    return [f"{one['left']}, {one['right']}: {remark}" for one in sides for remark in one["remarks"]]


def _strict(found: Mapping[str, Any]) -> str:
    draws = found["draws"]
    drawn = f"{draws['samples']:,} draws of documents, seed {draws['seed']}" if draws["samples"] else "none"
    return f"strict: same start, end, type and fragments; intervals: {drawn}"


def _changed(one: Mapping[str, Any], found: Mapping[str, Any]) -> Section:
    head = ["Type", "Same", "Boundary", "Type changed", "Both", "Gone", "New"]
    counts = [[row, *(f"{classes[name]:,}" for name in CLASSES)] for row, classes in one["changed"].items()]
    tables = [Table(f"Mentions, from {one['without']} to {one['run']}", head, counts)]
    remarks = list(one["notes"])
    if "comparison" in one:
        rows = [
            [
                d["row"],
                percent(d["a"]),
                percent(d["b"]),
                signed(d["difference"]),
                interval_of(d["interval"], signed),
                f"{d['p']:.4f}",
            ]
            for d in one["comparison"]
        ]
        header = ["Row", one["run"], one["without"], "Difference", "95 % interval", "p"]
        tables.insert(0, Table("F1 against gold", header, rows))
        remarks.append(
            "the interval is that of the difference, both sides on the same draws of documents; p is two-sided "
            "(Berg-Kirkpatrick et al. 2012); " + _strict(found)
        )
    return Section(f"What {one['run']} changed against {one['without']}", tables, remarks)


# --- cost ---


def _costs(runs: Iterable[Mapping[str, Any]]) -> Section:
    paid = [run for run in runs if run["cost"]]
    names = [name for name in _KNOWN_COUNTS if any(name in run["cost"]["counts"] for run in paid)]
    priced = any(run["cost"]["price"] is not None for run in paid)
    header = ["Run", "Documents", "Seconds", "A document", *(name.capitalize() for name in names)]
    header += ["Price", "1,000 documents"] if priced else []
    rows, remarks = [], []
    for run in paid:
        cost, documents = run["cost"], run["documents"] or run["rejected"] or 1
        counts, price = cost["counts"], cost["price"]
        row = [
            run["name"],
            f"{run['documents']:,}",
            f"{cost['seconds']:,.1f}",
            f"{cost['seconds'] / documents:.2f}",
        ]
        row += [f"{counts.get(name, 0):,}" for name in names]
        if priced:
            both = [] if price is None else [price, 1000 * price / documents]
            row += [money(one, cost["currency"]) for one in both] or ["-", "-"]
        rows.append(row)
        if others := {name: n for name, n in counts.items() if name not in _KNOWN_COUNTS}:
            listed = ", ".join(f"{name} {n:,}" for name, n in sorted(others.items()))
            remarks.append(f"{run['name']}: also counted: {listed}")
    remarks.append("seconds are those of all processes together")
    return Section("Cost", [Table("", header, rows)], remarks)


# --- audit ---


def _audit(audit: Mapping[str, Any]) -> Section:
    tables, remarks = [], []
    plan = audit.get("plan")
    if plan:
        wrong = list(plan["wrong"].items())
        expecting = f"expecting {plan['expected']:g}"
        shown = f"precision of at least {plan['precision']:g}, with {100 * plan['confidence']:g} % confidence"
        rows = [
            [
                type,
                f"{mentions:,}",
                *(_most(n, mentions) for _, n in wrong),
                _most(plan["expecting"], mentions),
            ]
            for type, mentions in [("all", sum(plan["mentions"].values())), *plan["mentions"].items()]
        ]
        header = ["Type", "Mentions", *(f"{number} wrong" for number, _ in wrong), expecting]
        tables.append(Table(f"How many mentions to check, to show a {shown}", header, rows))
        remarks.append(
            f"by the number that turns out wrong; {expecting}: so many that it is shown with a chance of "
            f"{100 * plan['chance']:g} % if the precision is that; all: there are no more"
        )
    if "bounds" in audit:
        head = ["Mentions", "Checked", "Right", "Wrong", "Unsure", "Precision", "At least (binomial)"]
        rows = [
            [
                "all" if one["type"] is None else one["type"],
                *(f"{one[name]:,}" for name in ("mentions", "checked", "right", "wrong", "unsure")),
                *(percent(one[name]) for name in ("precision", "binomial", "exact")),
            ]
            for one in audit["bounds"]
        ]
        header = ["Type", *head, "At least (of these mentions)"]
        tables.append(Table(f"Precision of {audit['run']}, as a person found it", header, rows))
        remarks += [
            f"with {100 * audit['confidence']:g} % confidence each, by itself; unsure counts as wrong",
            f"the bounds are for the mentions of {audit['run']} (hash {audit['hash'][:16]}), of which the sample was "
            "drawn without replacement, and say nothing of what was missed, nor of other texts; binomial: Clopper and "
            "Pearson, on the safe side; of these mentions: hypergeometric, exact for so many",
        ]
    if "sample" in audit:
        remarks.append(
            f"{audit['sample']['mentions']:,} mentions to check -> {audit['sample']['path']} (seed "
            f"{audit['sample']['seed']}); fill in `correct` with yes, no or unsure, and give it back with --audited"
        )
    return Section(f"Audit of {audit['run']}", tables, remarks)


def _most(needed: int, mentions: int) -> str:
    return f"{needed:,}" if needed < mentions else f"all {mentions:,}"
