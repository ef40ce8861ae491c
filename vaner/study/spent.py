"""In: what every cell and the timing pass took. Out: what training and tagging cost each arm; on which machines."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

from vaner.study.counting import Study

#: What costs.json measures in every repeat, and what it has once.
REPEATED = (
    "seconds_per_1000_words",
    "cpu_seconds_per_1000_words",
    "gpu_seconds_per_1000_words",
    "energy_joules_per_1000_words",
    "price_per_1000_words",
)
ONCE = ("peak_memory_mb", "gpu_memory_mb", "generated_tokens_per_word")
#: The costs against which F1 is laid; the first is the one that is drawn.
COSTS = (*REPEATED, "peak_memory_mb", "gpu_memory_mb")
SECONDS = REPEATED[0]
_SPENT = ("minutes", "updates", "tokens")


def training(study: Study) -> dict[str, Any]:
    """Of each arm that has models: minutes, updates and tokens of its trainings, and its learning curves.

    An arm that tags with another's models has ``of``, that arm's name, and nothing more: what is spent is counted once.
    """
    found: dict[str, Any] = {}
    for (arm, corpus, seed), cell in study.cells.items():
        if not (told := cell.told.get("training")):
            continue
        if told.get("of"):
            found[arm] = {"of": told["of"], "curves": {}}
            continue
        one = found.setdefault(
            arm, {"cells": 0, **{name: [] for name in _SPENT}, "devices": [], "curves": {}}
        )
        one["cells"] += 1
        for name in _SPENT:
            if told.get(name) is not None:
                one[name].append(told[name])
        if told.get("device") and told["device"] not in one["devices"]:
            one["devices"].append(told["device"])
        one["curves"].setdefault(corpus, {})[seed] = [
            {"update": point["update"], "f1": point["f1"]} for point in told.get("history") or []
        ]
    for one in found.values():
        for name in _SPENT:
            if values := one.get(name):
                one[name] = {
                    "mean": fmean(values), "least": min(values), "most": max(values), "total": sum(values)
                }  # fmt: skip
            elif name in one:
                one[name] = None
    return found


def training_minutes(study: Study) -> float:
    """Of all trainings of the study together."""
    return sum(one["minutes"]["total"] for one in training(study).values() if one.get("minutes"))


def costs(study: Study) -> dict[str, Any] | None:
    """costs.json, with the median, least and most of what was repeated, and each as a multiple of the least arm's."""
    if study.costs is None:
        return None
    arms: dict[str, Any] = {}
    for arm in study.arms:
        if (told := (study.costs.get("arms") or {}).get(arm)) is None:
            continue
        one = {name: told.get(name) for name in ("corpus", "documents", "words", "batch")}
        for name in REPEATED:
            values = [float(value) for value in _listed(told.get(name)) if value is not None]
            one[name] = (
                {"repeats": values, "median": median(values), "least": min(values), "most": max(values)}
                if values
                else None
            )
        for name in ONCE:
            one[name] = told.get(name)
        arms[arm] = one
    for name in REPEATED:
        medians = {arm: one[name]["median"] for arm, one in arms.items() if one[name]}
        least = min((value for value in medians.values() if value > 0), default=None)
        for arm, value in medians.items():
            arms[arm][name]["times_the_least"] = value / least if least else None
    kept = ("repeats", "machine", "corpus", "currency")
    return {**{name: study.costs.get(name) for name in kept}, "arms": arms}


def machines(study: Study) -> list[dict[str, Any]]:
    """The different machines of the cells, each with how many cells ran there."""
    found: list[dict[str, Any]] = []
    for cell in study.cells.values():
        machine = cell.told.get("machine") or {}
        for one in found:
            if one["machine"] == machine:
                one["cells"] += 1
                break
        else:
            found.append({"machine": machine, "cells": 1})
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
