"""In: what a study found, as its JSON file holds it. Out: the page's sections: words, tables, places of plots.

HTML and Markdown are made from these sections, so the two cannot disagree. Scores are shown in percent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vaner.evaluation.lengths import BINS
from vaner.evaluation.metrics import CLASSES, RELAXED, SEEN
from vaner.evaluation.tables import Table, interval_of, percent, signed
from vaner.study.conclusions import budget, machine, number
from vaner.study.spent import REPEATED

Found = Mapping[str, Any]

NOTHING = "–"
_LENGTHS = {"length": "honest", "gold-cut": "gold-cut"}


class Section(NamedTuple):
    """A heading; sentences, lists and tables below it; the name of a plot that belongs there, or none."""

    title: str
    words: list[str]
    tables: list[Table]
    plot: str | None = None
    remarks: tuple[str, ...] = ()


def sections(found: Found) -> list[Section]:
    """Everything that the page shows, in its order."""
    parts = [
        Section("What was compared", found["conclusions"]["compared"], [_setting(found)]),
        Section("What can be concluded", found["conclusions"]["can"], []),
        Section("What cannot", found["conclusions"]["cannot"], []),
        Section("F1 of every arm", [], [_overall(found)], remarks=_read_intervals(found)),
        Section("Which differences are beyond chance", [], list(_differences(found)), remarks=_read_differences(found)),
        Section("Which should I use?", found["conclusions"]["which"] or ["No cost was measured."], [*_which(found)], "cost"),
        Section("What it costs", [], list(_costs(found)), remarks=_read_costs(found)),
        Section("By length", [], [_lengths(found), *_length_differences(found)], "length", _read_lengths()),
        Section("Seen and unseen mentions", [], [_seen(found)], "seen"),
        Section("Relaxed and by token", [], [_relaxed(found)], remarks=_read_relaxed()),
        Section("Where the mistakes lie", [], [_mistakes(found)], remarks=_read_mistakes()),
        Section("Learning curves", [], [], "curves"),
    ]
    parts += [_corpus(found, name) for name in found["corpora"]]
    parts.append(_made(found))
    return parts


# --- cells of tables ---


def _with_interval(entry: Found | None) -> str:
    """``84.03 [82.44, 85.63]``."""
    if entry is None:
        return NOTHING
    return percent(entry["mean"]) + (f" {interval_of(entry['interval'], percent)}" if entry["interval"] else "")


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


def _number(value: float | None) -> str:
    return NOTHING if value is None else number(value)


# --- what was compared ---


def _setting(found: Found) -> Table:
    rows = []
    for name, one in found["corpora"].items():
        counts = [one["documents"], one["words"], one["mentions"]]
        counts += [*one["mentions_by_length"].values(), one["mentions_seen"]["unseen"]]
        rows.append([name, *(NOTHING if n is None else f"{n:,}" for n in counts), ", ".join(one["types"])])
    header = ["Corpus", "Documents", "Words", "Mentions", *(f"of {name} words" for name in BINS), "unseen", "Types"]
    header[4] = "of 1 word"
    return Table("The documents that every arm was scored on", header, rows)


# --- scores ---


def _overall(found: Found) -> Table:
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
                told["kind"] or NOTHING,
                *(_with_interval(_entry(one, "overall", "micro")) + _some(one) for one in each),
                _with_interval(micro),
                reach,
                *(percent(e["mean"]) if (e := _entry(mean, "overall", "micro", m)) else NOTHING for m in ("precision", "recall")),
            ]
        )
    header = ["Arm", "Kind", *corpora, "Mean", "Mean, over seeds alone", "Mean P", "Mean R"]
    return Table("Strict F1 (same start, end and type), %", header, rows)


def _read_intervals(found: Found) -> tuple[str, ...]:
    drawn = found["statistics"]
    return (
        "in brackets: 95 % intervals. Those of F1 are over other documents and, where an arm was trained with several seeds, "
        f"other seeds: {drawn['samples']:,} bootstrap draws of documents and the variance between seeds, by the t of "
        "Satterthwaite's degrees of freedom. The column over seeds alone is the t-interval of other seeds on these very documents.",
        f"{NOTHING}: not measured; a mean over corpora needs all of an arm's cells.",
    )


def _differences(found: Found) -> Iterable[Table]:
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
                    cells.append(_change({**one, "difference": -one["difference"]}))
                else:
                    cells.append("")
            matrix.append([row, *cells])
        yield Table("Every two arms: mean F1 of the row minus that of the column, points", ["Arm", *arms], matrix)


def _read_differences(found: Found) -> tuple[str, ...]:
    counts = [len(found["comparisons"]["mean"]), *map(len, found["comparisons"]["corpora"].values())]
    return (
        "paired: both arms on the same draws of documents; seeds of two arms are independent. p is two-sided",
        f"Holm: corrected for all {max(counts)} pairs of arms on the mean, and on each corpus by itself; beyond chance (*): "
        "corrected p below 0.05 and no trained arm with one seed only",
    )


def _lengths(found: Found) -> Table:
    keys = [(table, name) for table in _LENGTHS for name in BINS]
    rows = [
        [arm, *(_with_interval(_entry(scores, *key)) for key in keys)]
        for arm, scores in found["scores"]["mean"].items()
    ]
    header = ["Arm", *(f"{_LENGTHS[table]} {name}" for table, name in keys)]
    return Table("F1 by words of the mention, mean over corpora, %", header, rows)


def _length_differences(found: Found) -> Iterable[Table]:
    reference = found["study"]["reference"]
    for way, rows in found["lengths"].items():
        by_arm: dict[str, dict[str, Found]] = {}
        for one in rows:
            by_arm.setdefault(one["arm"], {})[one["length"]] = one
        names = [*BINS, "3+ minus 1"]
        cells = [
            [arm, *(_change_with_interval(lengths.get(name)) for name in names)] for arm, lengths in by_arm.items()
        ]
        biased = " (biased)" if way == "gold-cut" else ""
        yield Table(f"F1 minus that of {reference} by length, {way}{biased}, points", ["Arm", *names], cells)


def _change_with_interval(one: Found | None) -> str:
    if one is None:
        return NOTHING
    return _change(one) + (f" {interval_of(one['interval'], signed)}" if one["interval"] else "")


def _read_lengths() -> tuple[str, ...]:
    return (
        "honest: a prediction counts where its own length is, a gold mention where its own is; a bin has a precision of its own",
        "gold-cut: as arXiv 2504.00664 counts, both sides cut at the gold mentions: false positives hurt length 1 alone, and "
        "wrong borders may become right. It is here to be compared with what was published so",
        "3+ minus 1: how much more an arm gains on the reference on long mentions than on those of one word; * is beyond "
        "chance, corrected (Holm) over all arms and lengths of one way of counting",
    )


def _seen(found: Found) -> Table:
    keys = [(side, measure) for side in SEEN for measure in ("f1", "precision", "recall")]
    names = {"f1": "F1", "precision": "P", "recall": "R"}
    rows = []
    for arm, scores in found["scores"]["mean"].items():
        entries = [(measure, _entry(scores, "seen", side, measure)) for side, measure in keys]
        rows.append(
            [arm, *(_with_interval(e) if m == "f1" else percent(e["mean"]) if e else NOTHING for m, e in entries)]
        )
    header = ["Arm", *(f"{side} {names[measure]}" for side, measure in keys)]
    title = "By whether surface and type are a mention of the train documents, mean over corpora, %"
    return Table(title, header, rows)


def _relaxed(found: Found) -> Table:
    keys = [*(("relaxed", name) for name in RELAXED), ("token", "token")]
    rows = [
        [
            arm,
            *(_with_interval(_entry(scores, *key)) for key in keys),
            *(percent(e["mean"]) if (e := _entry(scores, "token", "token", m)) else NOTHING for m in ("precision", "recall")),
        ]
        for arm, scores in found["scores"]["mean"].items()
    ]
    header = ["Arm", *(name for _, name in keys), "token P", "token R"]
    return Table("F1 by what counts as right, mean over corpora, %", header, rows)


def _read_relaxed() -> tuple[str, ...]:
    return (
        "strict, exact (borders alone), partial (an overlap is half) and type (any overlap of the type): SemEval-2013 task 9",
        "token: every word under a mention counts by itself, with the mention's type",
    )


def _mistakes(found: Found) -> Table:
    rows = [
        [arm, *(percent(scores["mistakes"][name]) for name in CLASSES)]
        for arm, scores in found["scores"]["mean"].items()
    ]
    title = "What becomes of 100 gold mentions, and how many spurious ones come on top, mean over corpora"
    return Table(title, ["Arm", *(name.capitalize() for name in CLASSES)], rows)


def _read_mistakes() -> tuple[str, ...]:
    return (
        "boundary: right type, other borders; type: right borders, other type; both: overlapping, both wrong; missed: nothing "
        "there; spurious: predicted where no gold mention is",
    )


# --- cost ---


def _which(found: Found) -> Iterable[Table]:
    name = REPEATED[0]
    if name not in found["frontier"]:
        return
    rows = []
    for one in found["frontier"][name]["arms"]:
        beaten = ", ".join(b["arm"] + (" (for sure)" if b["for_sure"] else "") for b in one["beaten_by"])
        rows.append(
            [one["arm"], percent(one["f1"]), number(one["cost"]), "yes" if one["on_frontier"] else "no", beaten or NOTHING]
        )
    header = ["Arm", "F1", "Seconds", "On the frontier", "Beaten by"]
    yield Table("Mean strict F1 (%) against seconds for 1,000 words (median)", header, rows)
    others = [key for key in found["frontier"] if key != name]
    if others:
        arms = list(found["scores"]["mean"])
        placed = {
            key: {one["arm"]: "yes" if one["on_frontier"] else "no" for one in found["frontier"][key]["arms"]}
            for key in others
        }
        yield Table(
            "Whether an arm is on the frontier of F1 against other costs",
            ["Arm", *(_COST_NAMES[key] for key in others)],
            [[arm, *(placed[key].get(arm, NOTHING) for key in others)] for arm in arms],
        )


_COST_NAMES = {
    "seconds_per_1000_words": "Seconds",
    "cpu_seconds_per_1000_words": "CPU-seconds",
    "gpu_seconds_per_1000_words": "GPU-seconds",
    "peak_memory_mb": "Memory, MB",
    "gpu_memory_mb": "GPU memory, MB",
    "energy_joules_per_1000_words": "Joules",
    "generated_tokens_per_word": "Tokens generated a word",
    "price_per_1000_words": "Price",
}


def _costs(found: Found) -> Iterable[Table]:
    if found["cost"]:
        arms = found["cost"]["arms"]
        shown = [key for key in _COST_NAMES if any(one.get(key) is not None for one in arms.values())]
        rows = []
        for arm, one in arms.items():
            cells = []
            for key in shown:
                value = one[key]
                cells.append(_repeated(value) if key in REPEATED else _number(value))
                if key == REPEATED[0]:
                    cells.append(_number(value and value["times_the_least"]))
            rows.append([arm, _number(one["batch"]), *cells])
        header = ["Arm", "Batch"]
        for key in shown:
            header += [_COST_NAMES[key], *(["Times the least"] if key == REPEATED[0] else [])]
        yield Table("Tagging 1,000 words", header, rows)
    if found["training"]:
        rows = []
        for arm, one in found["training"].items():
            minutes = one["minutes"]
            rows.append(
                [
                    arm,
                    f"{one['cells']}",
                    *(_ranged(one[name]) for name in ("minutes", "updates", "tokens")),
                    _number(minutes and minutes["total"]),
                    ", ".join(one["devices"]) or NOTHING,
                ]
            )
        header = ["Arm", "Cells", "Minutes a cell", "Updates a cell", "Tokens a cell", "Minutes in all", "Device"]
        yield Table(f"Training; budget: {budget(found['study']['budget'])}", header, rows)


def _repeated(value: Found | None) -> str:
    """``1.9 [1.88, 1.93]``: median, least and most."""
    return NOTHING if value is None else f"{number(value['median'])} [{number(value['least'])}, {number(value['most'])}]"


def _ranged(value: Found | None) -> str:
    if value is None:
        return NOTHING
    if value["least"] == value["most"]:
        return number(value["mean"])
    return f"{number(value['mean'])} [{number(value['least'])}, {number(value['most'])}]"


def _read_costs(found: Found) -> tuple[str, ...]:
    said = ["in brackets: least and most, of the repeats, or of the cells"] if found["cost"] or found["training"] else []
    if found["cost"]:
        said.insert(0, f"measured on {machine(found['cost']['machine'])}; each arm at its best batch, on the same texts")
    return tuple(said)


# --- corpora, and how it was made ---


def _corpus(found: Found, name: str) -> Section:
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
        types.append([arm + _some(one), *(_with_interval(_entry(one, "type", type)) for type in found["corpora"][name]["types"])])
    shown = [
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
    return Section(f"On {name}", [], shown)


def _made(found: Found) -> Section:
    missing = [[one["arm"], one["corpus"], one["seed"], one["why"]] for one in found["cells"]["missing"]]
    tables = [Table("Cells that are missing", ["Arm", "Corpus", "Seed", "Why"], missing)] if missing else []
    study, drawn = found["study"], found["statistics"]
    words = [
        f"{found['cells']['finished']:,} of {found['cells']['planned']:,} cells; study {study['hash'] or 'without a hash'}; "
        f"bootstrap: {drawn['samples']:,} draws of documents, seed {drawn['seed']}.",
        "The study ran with " + (", ".join(f"{k} {v}" for k, v in study["versions"].items()) or "unknown versions") + ".",
        "The page was made with " + ", ".join(f"{k} {v}" for k, v in found["versions"].items()) + ".",
    ]
    return Section("How it was made", words, tables, remarks=tuple(found["remarks"]))
