"""In: counts of each arm, way to ask it and question. Out: what lookups.py writes: every number, and tables of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paired
from compare import shown
from tabulate import tabulate

Key = tuple[str, str, str]
#: Columns of the table of means: what is shown of it, its measure.
_MEANS = {
    "F1": "f1",
    "F1, seen": "seen_f1",
    "F1, unseen": "unseen_f1",
    "recall, seen": "seen_recall",
    "recall, unseen": "unseen_recall",
}


def results(
    counts: Mapping[Key, Mapping[int, np.ndarray]], asked: Sequence[Any], base: str, samples: int
) -> list[dict[str, Any]]:
    """A record of each arm, way and question, and of the mean over the questions that are not listed.

    Args:
        counts: (arm, way, question) -> seed -> `paired` counts.
        asked: the questions.
        base: the arm that all are compared with, asked without an index.
        samples: draws.

    Returns:
        ``scores``, and ``difference`` where the base was asked the same with seeds that the arm has too.
    """
    single = [[one.name] for one in asked]
    several = [one.name for one in asked if not one.listed]
    groups = {names[0]: names for names in single} | ({"mean": several} if len(several) > 1 else {})
    found = []
    for arm, way in dict.fromkeys((arm, way) for arm, way, _ in counts):
        for question, names in groups.items():
            if all((arm, way, name) in counts for name in names):
                mine = {name: counts[arm, way, name] for name in names}
                record = {"arm": arm, "way": way, "question": question, **_scored(mine, samples)}
                if (arm, way) != (base, "none") and all((base, "none", name) in counts for name in names):
                    theirs = {name: counts[base, "none", name] for name in names}
                    record["difference"] = _compared(mine, theirs, samples)
                found.append(record)
    return found


def _scored(mine: Mapping[str, Mapping[int, np.ndarray]], samples: int) -> dict[str, Any]:
    seeds = sorted(set.intersection(*(set(one) for one in mine.values())))
    if not seeds:
        return {"seeds": [], "scores": None}
    return {"seeds": seeds, "scores": paired.summary(_stacked(mine, seeds), samples)}


def _compared(
    mine: Mapping[str, Mapping[int, np.ndarray]], theirs: Mapping[str, Mapping[int, np.ndarray]], samples: int
) -> dict[str, Any] | None:
    """What one has more than the other with the same seeds; a dictionary has none and stands beside each."""
    with_mine = set.intersection(*(set(one) for one in mine.values()))
    with_theirs = set.intersection(*(set(one) for one in theirs.values()))
    both = sorted(with_mine & with_theirs)
    left = right = both
    if with_mine == {0}:
        left, right = [0], sorted(with_theirs)
    if not left or not right:
        return None
    found = paired.difference(_stacked(mine, left), _stacked(theirs, right), samples)
    return {"seeds": right, **found}


def _stacked(mine: Mapping[str, Mapping[int, np.ndarray]], seeds: Sequence[int]) -> dict[str, np.ndarray]:
    return {name: np.stack([one[seed] for seed in seeds]) for name, one in mine.items()}


def tables(page: Mapping[str, Any], base: str) -> str:
    """Markdown: means, differences, each corpus, unseen mentions of each, types that training never had."""
    rows = [one for one in page["results"] if one["scores"]]
    asked = page["questions"]
    main = [name for name, one in asked.items() if not one["listed"]]
    listed = [name for name, one in asked.items() if one["listed"]]
    gold = [
        [name, ", ".join(one["types"]), one["documents"], *(one["gold"][k] for k in paired.KINDS)]
        for name, one in asked.items()
    ]
    means = [one for one in rows if one["question"] == "mean"]
    parts = [
        "What is asked. Seen: a mention of that surface and type is in the train split of a corpus of the mix "
        f"({', '.join(page['mix'])}).",
        tabulate(
            gold,
            ["question", "types", "documents", "gold", "seen", "unseen"],
            tablefmt="github",
            disable_numparse=True,
        ),
        "Strict scores in percent, means over the corpora and seeds, with 95 % t-intervals over the seeds.",
        _table(means, {name: lambda one, m=m: _score(one["scores"][m]) for name, m in _MEANS.items()}),
        f"Difference to arm {base} (percentage points): mean over the corpora and seeds; in brackets 95 % t-intervals "
        "over the seeds, then 95 % of draws of documents and seeds.",
        _table(
            means, {name: lambda one, m=m: _difference(one, m) for name, m in _MEANS.items()}, compared=True
        ),
        "F1 by corpus.",
        _by_question(rows, main, lambda one: _score(one["scores"]["f1"])),
        f"Difference of F1 to arm {base} by corpus (95 % of draws of documents and seeds).",
        _by_question(rows, main, lambda one: _drawn(one, "f1"), compared=True),
        f"Difference of F1 of unseen mentions to arm {base} by corpus (95 % of draws).",
        _by_question(rows, main, lambda one: _drawn(one, "unseen_f1"), compared=True),
        "Recall of unseen mentions by corpus.",
        _by_question(rows, main, lambda one: _score(one["scores"]["unseen_recall"])),
        "Types that training never had: F1. With the index a model is asked by their names alone, without it by the "
        "type's own name.",
        _by_question(rows, listed, lambda one: _score(one["scores"]["f1"])),
    ]
    return "\n\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], compared: bool = False) -> str:
    lines = [
        [one["arm"], one["way"], len(one["seeds"]), *(cell(one) for cell in columns.values())]
        for one in rows
        if not compared or one.get("difference")
    ]
    return tabulate(lines, ["arm", "index", "seeds", *columns], tablefmt="github", disable_numparse=True)


def _by_question(
    rows: Sequence[Mapping[str, Any]], questions: Sequence[str], cell: Any, compared: bool = False
) -> str:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for one in rows:
        if one["question"] in questions and (not compared or one.get("difference")):
            found.setdefault((one["arm"], one["way"]), {})[one["question"]] = cell(one)
    lines = [[*who, *(cells.get(name, "") for name in questions)] for who, cells in found.items()]
    return tabulate(lines, ["arm", "index", *questions], tablefmt="github", disable_numparse=True)


def _score(one: Mapping[str, Any]) -> str:
    return "" if one["mean"] is None else shown(one)


def _difference(one: Mapping[str, Any], measure: str) -> str:
    found = one["difference"][measure]
    return "" if found["mean"] is None else f"{shown(found, '+')} {_range(found['drawn'])}"


def _drawn(one: Mapping[str, Any], measure: str) -> str:
    found = one["difference"][measure]
    return "" if found["mean"] is None else f"{100 * found['mean']:+.1f} {_range(found['drawn'])}"


def _range(ends: Sequence[float]) -> str:
    low, high = ends
    return f"({100 * low:+.1f} to {100 * high:+.1f})"
