"""In: what a study found, as its JSON file holds it. Out: the page's sections: words, tables, places of plots.

HTML and Markdown are made from these sections, so the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from vaner.evaluation.tables import Table
from vaner.study.conclusions import machine
from vaner.study.cost_tables import costs, which
from vaner.study.tables import (
    NOTHING,
    arms,
    differences,
    length_differences,
    lengths,
    mistakes,
    of_corpus,
    overall,
    relaxed,
    seen,
    setting,
    shared_flags,
)

Found = Mapping[str, Any]


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
        Section("What was compared", found["conclusions"]["compared"], []),
        Section("What can be concluded", found["conclusions"]["can"], []),
        Section("What cannot", found["conclusions"]["cannot"], []),
        Section("Arms and documents", [], [arms(found), setting(found)], remarks=_settings(found)),
        Section("F1 of every arm", [], [overall(found)], remarks=_read_intervals(found)),
        Section(
            "Which differences are beyond chance",
            [],
            list(differences(found)),
            remarks=_read_differences(found),
        ),
        Section(
            "Which should I use?",
            found["conclusions"]["which"] or ["No cost was measured."],
            [*which(found)],
            "cost",
            _read_which(found),
        ),
        Section("What it costs", [], list(costs(found)), remarks=_read_costs(found)),
        Section("By length", [], [lengths(found), *length_differences(found)], "length", _read_lengths()),
        Section("Seen and unseen mentions", [], [seen(found)], "seen"),
        Section("Relaxed and by token", [], [relaxed(found)], remarks=_read_relaxed()),
        Section("Where the mistakes lie", [], [mistakes(found)], remarks=_read_mistakes()),
        Section("Learning curves", [], [], "curves"),
    ]
    parts += [Section(f"On {name}", [], of_corpus(found, name)) for name in found["corpora"]]
    parts.append(_made(found))
    return parts


def _made(found: Found) -> Section:
    missing = [[one["arm"], one["corpus"], one["seed"], one["why"]] for one in found["cells"]["missing"]]
    tables = [Table("Cells that are missing", ["Arm", "Corpus", "Seed", "Why"], missing)] if missing else []
    study, drawn = found["study"], found["statistics"]
    words = [
        f"Study {study['name'] or study['hash'] or ''}, commit {study['commit'] or 'unknown'}; "
        f"bootstrap: {drawn['samples']:,} draws of documents, seed {drawn['seed']}.",
        "The study ran with "
        + (", ".join(f"{k} {v}" for k, v in study["versions"].items()) or "unknown versions")
        + ".",
        "The page was made with " + ", ".join(f"{k} {v}" for k, v in found["versions"].items()) + ".",
    ]
    return Section("How it was made", words, tables, remarks=tuple(found["remarks"]))


def _read_intervals(found: Found) -> tuple[str, ...]:
    drawn = found["statistics"]
    return (
        "in brackets: 95 % intervals. Those of F1 are over other documents and, where an arm was trained "
        f"with several seeds, other seeds: {drawn['samples']:,} bootstrap draws of documents and the "
        "variance between seeds, by the t of Satterthwaite's degrees of freedom. The column over seeds "
        "alone is the t-interval of other seeds on these very documents.",
        f"{NOTHING}: not measured; a mean over corpora needs all of an arm's cells.",
    )


def _read_differences(found: Found) -> tuple[str, ...]:
    counts = [len(found["comparisons"]["mean"]), *map(len, found["comparisons"]["corpora"].values())]
    return (
        "paired: both arms on the same draws of documents; seeds of two arms are independent. p is two-sided",
        f"Holm: corrected for all {max(counts)} pairs of arms on the mean, and on each corpus by itself; "
        "beyond chance (*): corrected p below 0.05 and no trained arm with one seed only",
    )


def _read_costs(found: Found) -> tuple[str, ...]:
    said = (
        ["in brackets: least and most, of the repeats, or of the cells"]
        if found["cost"] or found["training"]
        else []
    )
    if found["cost"]:
        said.insert(
            0,
            f"measured on {machine(found['cost']['machine'])}; each arm at its best batch, on the same texts",
        )
    return tuple(said)


def _read_which(found: Found) -> tuple[str, ...]:
    if not found["which"]:
        return ()
    return (
        "an arm fits a budget if its dearest repeat does; not told apart: its F1 is not below the named arm's beyond "
        "chance, nor shown to be equal",
        "on the frontier: no other arm has at least its F1 for no more; beaten for sure: the other's F1 is higher "
        "beyond chance, and every repeat of it was cheaper",
    )


def _read_lengths() -> tuple[str, ...]:
    return (
        "honest: a prediction counts where its own length is, a gold mention where its own is; a bin has a "
        "precision of its own",
        "gold-cut: as arXiv 2504.00664 counts, both sides cut at the gold mentions: false positives hurt "
        "length 1 alone, and wrong borders may become right. It is here to be compared with what was "
        "published so",
        "3+ minus 1: how much more an arm gains on the reference on long mentions than on those of one "
        "word; * is beyond chance, corrected (Holm) over all arms and lengths of one way of counting",
    )


def _read_relaxed() -> tuple[str, ...]:
    return (
        "strict, exact (borders alone), partial (an overlap is half) and type (any overlap of the type): "
        "SemEval-2013 task 9",
        "token: every word under a mention counts by itself, with the mention's type",
    )


def _read_mistakes() -> tuple[str, ...]:
    return (
        "boundary: right type, other borders; type: right borders, other type; both: overlapping, both "
        "wrong; missed: nothing there; spurious: predicted where no gold mention is",
    )


def _settings(found: Found) -> tuple[str, ...]:
    """What all trainings have in common, and where the documents are from."""
    common = " ".join(f"--{name} {value}" for name, value in shared_flags(found).items())
    said = [f"all trainings: {common}"] if common else []
    for name, one in found["corpora"].items():
        parts = [f"scored: {one['gold_from']}"] if one["gold_from"] else []
        parts += [f"models are chosen by documents {one['dev_from']}"] if one["dev_from"] else []
        said += [f"{name}: {'; '.join(parts)}"] if parts else []
    return tuple(said)
