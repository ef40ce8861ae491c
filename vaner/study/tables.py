"""In: what a study found, as its JSON file holds it. Out: tables of scores, in percent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from vaner.evaluation.lengths import BINS
from vaner.evaluation.metrics import CLASSES, RELAXED, SEEN
from vaner.evaluation.tables import Table, interval_of, percent, signed
from vaner.study.conclusions import LONG, number

Found = Mapping[str, Any]

NOTHING = "–"
#: Columns of words, not numbers, of all tables of a study.
TEXT_COLUMNS = frozenset(
    {"Kind", "Settings of its own", "Types", "On", "Beaten by", "Device", "Corpus", "Seed", "Why"}
)
#: What study.json says of an arm beside its kind and flags.
_OF_ARMS = ("model_of", "decoding", "alignment", "index", "prompt", "tagging")

# Characters of a setting, such as a prompt.
_SHOWN = 200
_LENGTHS = {"length": "honest", "gold-cut": "gold-cut"}


def arms(found: Found) -> Table:
    """What each arm is, as far as others are something else."""
    shared = shared_flags(found)
    rows = []
    for arm, told in found["study"]["arms"].items():
        flags = [
            f"--{name} {value}" for name, value in (told.get("flags") or {}).items() if name not in shared
        ]
        others = [f"{name}: {_plain(told[name])}" for name in _OF_ARMS if told.get(name)]
        rows.append(
            [arm, told.get("kind") or NOTHING, " ".join([*flags, "; ".join(others)]).strip() or NOTHING]
        )
    return Table("The arms", ["Arm", "Kind", "Settings of its own"], rows)


def shared_flags(found: Found) -> Found:
    """Flags that all trainings have alike."""
    every = [told["flags"] for told in found["study"]["arms"].values() if told.get("flags")]
    if len(every) < 2:
        return {}
    return {name: value for name, value in every[0].items() if all(one.get(name) == value for one in every)}


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ... (whole in results.json)"


def setting(found: Found) -> Table:
    """What the corpora have: documents, words, mentions by length, types."""
    rows = []
    for name, one in found["corpora"].items():
        counts = [one["documents"], one["words"], one["mentions"]]
        counts += [*one["mentions_by_length"].values(), one["mentions_seen"]["unseen"]]
        rows.append([name, *(f"{n:,}" for n in counts), ", ".join(one["types"])])
    header = [
        "Corpus",
        "Documents",
        "Words",
        "Mentions",
        *(f"of {name} words" for name in BINS),
        "unseen",
        "Types",
    ]
    header[4] = "of 1 word"
    return Table("The documents that every arm was scored on", header, rows)


def overall(found: Found) -> Table:
    """Strict F1 of every arm on every corpus, and their mean."""
    corpora = list(found["corpora"])
    rows = []
    for arm, told in found["study"]["arms"].items():
        mean = _mean(found, arm)
        micro = _entry(mean, "overall", "micro")
        each = [found["scores"]["corpora"][name].get(arm) for name in corpora]
        reach = NOTHING
        if micro and micro["over_seeds"]:
            reach = interval_of(micro["over_seeds"], percent)
        rows.append(
            [
                arm,
                told.get("kind") or NOTHING,
                *(_with_interval(_entry(one, "overall", "micro")) + _some(one) for one in each),
                _with_interval(micro),
                reach,
                *(
                    percent(e["mean"]) if (e := _entry(mean, "overall", "micro", m)) else NOTHING
                    for m in ("precision", "recall")
                ),
            ]
        )
    header = ["Arm", "Kind", *corpora, "Mean", "Mean, over seeds alone", "Mean P", "Mean R"]
    return Table("Strict F1 (same start, end and type), %", header, rows)


def differences(found: Found) -> Iterable[Table]:
    """Every arm against the reference; every two arms."""
    reference = found["study"]["reference"]
    scopes = [("mean over corpora", found["comparisons"]["mean"])] if len(found["corpora"]) > 1 else []
    scopes += list(found["comparisons"]["corpora"].items())
    rows = []
    for name, pairs in scopes:
        for one in pairs:
            if reference not in (one["a"], one["b"]):
                continue
            turn = -1 if one["a"] == reference else 1
            low, high = sorted(turn * bound for bound in one["interval"]) if one["interval"] else (0.0, 0.0)
            rows.append(
                [
                    one["b"] if turn < 0 else one["a"],
                    name,
                    signed(turn * one["difference"]),
                    interval_of((low, high), signed) if one["interval"] else NOTHING,
                    _p(one["p"]),
                    _p(one["holm"]),
                    "yes" if one["told_apart"] else "no",
                ]
            )
    header = ["Arm", "On", "Difference", "95 % interval", "p", "p, Holm", "Beyond chance"]
    yield Table(f"Strict F1 minus that of {reference}, points", header, rows)
    if pairs := found["comparisons"]["mean"]:
        arms = [arm for arm in found["study"]["arms"] if any(arm in (one["a"], one["b"]) for one in pairs)]
        both = {(one["a"], one["b"]): one for one in pairs}
        matrix = []
        for row in arms:
            cells = []
            for column in arms:
                if (one := both.get((row, column))) is not None:
                    cells.append(_change(one))
                elif (one := both.get((column, row))) is not None:
                    cells.append(_change({**one, "difference": 0.0 - one["difference"]}))
                else:
                    cells.append("")
            matrix.append([row, *cells])
        yield Table(
            "Every two arms: mean F1 of the row minus that of the column, points", ["Arm", *arms], matrix
        )


def lengths(found: Found) -> Table:
    """F1 by length, in both ways of counting."""
    keys = [(table, name) for table in _LENGTHS for name in BINS]
    rows = [
        [arm, *(_with_interval(_entry(scores, *key)) for key in keys)]
        for arm, scores in found["scores"]["mean"].items()
    ]
    header = ["Arm", *(f"{_LENGTHS[table]} {name}" for table, name in keys)]
    return Table("F1 by words of the mention, mean over corpora, %", header, rows)


def length_differences(found: Found) -> Iterable[Table]:
    """F1 by length against the reference, a table a way of counting."""
    reference = found["study"]["reference"]
    for way, rows in found["lengths"].items():
        by_arm: dict[str, dict[str, Found]] = {}
        for one in rows:
            by_arm.setdefault(one["arm"], {})[one["length"]] = one
        names = [*BINS, LONG]
        cells = [
            [arm, *(_change_with_interval(lengths.get(name)) for name in names)]
            for arm, lengths in by_arm.items()
        ]
        biased = " (biased)" if way == "gold-cut" else ""
        yield Table(f"F1 minus that of {reference} by length, {way}{biased}, points", ["Arm", *names], cells)


def _change_with_interval(one: Found | None) -> str:
    if one is None:
        return NOTHING
    return _change(one) + (f" {interval_of(one['interval'], signed)}" if one["interval"] else "")


def seen(found: Found) -> Table:
    """Scores of seen and of unseen mentions."""
    keys = [(side, measure) for side in SEEN for measure in ("f1", "precision", "recall")]
    names = {"f1": "F1", "precision": "P", "recall": "R"}
    rows = []
    for arm, scores in found["scores"]["mean"].items():
        entries = [(measure, _entry(scores, "seen", side, measure)) for side, measure in keys]
        rows.append(
            [
                arm,
                *(
                    _with_interval(e) if m == "f1" else percent(e["mean"]) if e else NOTHING
                    for m, e in entries
                ),
            ]
        )
    header = ["Arm", *(f"{side} {names[measure]}" for side, measure in keys)]
    title = "By whether surface and type are a mention of the train documents, mean over corpora, %"
    return Table(title, header, rows)


def relaxed(found: Found) -> Table:
    """F1 by what counts as right."""
    keys = [*(("relaxed", name) for name in RELAXED), ("token", "token")]
    rows = [
        [
            arm,
            *(_with_interval(_entry(scores, *key)) for key in keys),
            *(
                percent(e["mean"]) if (e := _entry(scores, "token", "token", m)) else NOTHING
                for m in ("precision", "recall")
            ),
        ]
        for arm, scores in found["scores"]["mean"].items()
    ]
    header = ["Arm", *(name for _, name in keys), "token P", "token R"]
    return Table("F1 by what counts as right, mean over corpora, %", header, rows)


def mistakes(found: Found) -> Table:
    """The classes of mistakes, as shares of the gold mentions."""
    rows = [
        [arm, *(percent(scores["mistakes"][name]) for name in CLASSES)]
        for arm, scores in found["scores"]["mean"].items()
    ]
    title = "What becomes of 100 gold mentions, and how many spurious ones come on top, mean over corpora"
    return Table(title, ["Arm", *(name.capitalize() for name in CLASSES)], rows)


def of_corpus(found: Found, name: str) -> list[Table]:
    """The tables of one corpus."""
    arms = found["scores"]["corpora"][name]
    keys = [(table, row) for table in _LENGTHS for row in BINS] + [("seen", side) for side in SEEN]
    scores, lengths, mistakes, types = [], [], [], []
    for arm, one in arms.items():
        micro = [_entry(one, "overall", "micro", measure) for measure in ("precision", "recall", "f1")]
        counts = one["counts"]
        token = _entry(one, "token", "token")
        scores.append(
            [
                arm + _some(one),
                *(number(counts[key]) for key in ("gold", "predicted", "hits")),
                *(_with_interval(e) for e in micro),
                percent(token["mean"]) if token else NOTHING,
            ]
        )
        lengths.append([arm + _some(one), *(_with_interval(_entry(one, *key)) for key in keys)])
        mistakes.append([arm + _some(one), *(percent(one["mistakes"][key]) for key in CLASSES)])
        types.append(
            [
                arm + _some(one),
                *(_with_interval(_entry(one, "type", type)) for type in found["corpora"][name]["types"]),
            ]
        )
    return [
        Table(
            "Strict scores, %; counts are means over seeds",
            ["Arm", "Gold", "Predicted", "Right", "P", "R", "F1", "Token F1"],
            scores,
        ),
        Table(
            "F1 by words of the mention, in both ways of counting, and of seen and unseen mentions, %",
            ["Arm", *(f"{_LENGTHS[table]} {row}" if table in _LENGTHS else row for table, row in keys)],
            lengths,
        ),
        Table("F1 by type, %", ["Arm", *found["corpora"][name]["types"]], types),
        Table(
            "What becomes of 100 gold mentions; spurious ones come on top",
            ["Arm", *(key.capitalize() for key in CLASSES)],
            mistakes,
        ),
    ]


# --- cells ---


def _with_interval(entry: Found | None) -> str:
    """``84.03 [82.44, 85.63]``."""
    if entry is None:
        return NOTHING
    interval = entry.get("interval")
    return percent(entry["mean"]) + (f" {interval_of(interval, percent)}" if interval else "")


def _entry(scores: Found | None, table: str, row: str, measure: str = "f1") -> Found | None:
    if scores is None:
        return None
    one: Found | None = scores["tables"].get(table, {}).get(row, {}).get(measure)
    return one


def _change(one: Found | None) -> str:
    if one is None:
        return NOTHING
    mark = "*" if one["told_apart"] else ""
    return signed(one["difference"]) + mark


def _some(scores: Found | None) -> str:
    """Which seeds a number is of, where not all are there."""
    return f" (seed {', '.join(scores['seeds'])} only)" if scores and scores["missing_seeds"] else ""


def _mean(found: Found, arm: str) -> Found | None:
    one: Found | None = found["scores"]["mean"].get(arm)
    return one


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def shown_number(value: float | None) -> str:
    """Three digits that count; a dash for nothing."""
    return NOTHING if value is None else number(value)
