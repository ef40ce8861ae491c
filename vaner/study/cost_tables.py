"""In: what a study found, as its JSON file holds it. Out: tables of what arms cost, and of which to use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vaner.evaluation.tables import Table, percent
from vaner.study.conclusions import budget, number
from vaner.study.spent import REPEATED, SECONDS
from vaner.study.tables import NOTHING, shown_number

Found = Mapping[str, Any]

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


def which(found: Found) -> Iterable[Table]:
    """F1 against seconds: the frontier, and who beats whom; the frontier by other costs."""
    name = SECONDS
    if name not in found["frontier"]:
        return
    rows = []
    for one in found["frontier"][name]["arms"]:
        beaten = ", ".join(b["arm"] + (" (for sure)" if b["for_sure"] else "") for b in one["beaten_by"])
        rows.append(
            [
                one["arm"],
                percent(one["f1"]),
                number(one["cost"]),
                "yes" if one["on_frontier"] else "no",
                beaten or NOTHING,
            ]
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


def costs(found: Found) -> Iterable[Table]:
    """What tagging and training took."""
    if found["cost"]:
        arms = found["cost"]["arms"]
        shown = [key for key in _COST_NAMES if any(one.get(key) is not None for one in arms.values())]
        rows = []
        for arm, one in arms.items():
            cells = []
            for key in shown:
                value = one[key]
                cells.append(_repeated(value) if key in REPEATED else shown_number(value))
                if key == SECONDS:
                    cells.append(shown_number(value and value["times_the_least"]))
            rows.append([arm, shown_number(one["batch"]), *cells])
        header = ["Arm", "Batch"]
        for key in shown:
            header += [_COST_NAMES[key], *(["Times the least"] if key == SECONDS else [])]
        yield Table("Tagging 1,000 words", header, rows)
    if found["training"]:
        rows = []
        for arm, one in found["training"].items():
            if "of" in one:
                rows.append([arm, *[NOTHING] * 5, f"the models of {one['of']}"])
                continue
            minutes = one["minutes"]
            rows.append(
                [
                    arm,
                    f"{one['cells']}",
                    *(_ranged(one[name]) for name in ("minutes", "updates", "tokens")),
                    shown_number(minutes and minutes["total"]),
                    ", ".join(one["devices"]) or NOTHING,
                ]
            )
        rows.append(["all", *[""] * 4, number(found["training_minutes"]), ""])
        header = [
            "Arm",
            "Cells",
            "Minutes a cell",
            "Updates a cell",
            "Tokens a cell",
            "Minutes in all",
            "Device",
        ]
        yield Table(f"Training; budget: {budget(found['study']['budget'])}", header, rows)


def _repeated(value: Found | None) -> str:
    """``1.9 [1.88, 1.93]``: median, least and most."""
    return (
        NOTHING
        if value is None
        else f"{number(value['median'])} [{number(value['least'])}, {number(value['most'])}]"
    )


def _ranged(value: Found | None) -> str:
    if value is None:
        return NOTHING
    if value["least"] == value["most"]:
        return number(value["mean"])
    return f"{number(value['mean'])} [{number(value['least'])}, {number(value['most'])}]"
