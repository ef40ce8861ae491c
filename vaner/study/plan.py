"""In: cells, of which some are finished. Out: what is left to be done, and about how long that takes.

Times are those of cells that are finished or, where an arm has none, of its probe: its first updates and documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from vaner.jobs.record import load
from vaner.study.cell_run import PROBE
from vaner.study.cells import Cell, is_trained
from vaner.study.folder import StudyFolder
from vaner.study.settings import StudySettings


@dataclass
class ArmPlan:
    """What is left of an arm.

    Attributes:
        name, kind: of the arm.
        cells: all of them; ``left`` are not finished.
        trainings: that are not finished.
        documents, words: that are to be tagged.
        seconds: that takes, in one process; None where nothing of it was measured.
        measured: of what that was reckoned: ``cells``, ``probe`` or ``nothing``.
    """

    name: str
    kind: str
    cells: int = 0
    left: int = 0
    trainings: int = 0
    documents: int = 0
    words: int = 0
    seconds: float | None = 0.0
    measured: str = "nothing"


def plan(
    settings: StudySettings,
    folder: StudyFolder,
    every: Sequence[Cell],
    corpora: Mapping[str, Mapping[str, Any]],
) -> list[ArmPlan]:
    """What is left, arm by arm.

    Args:
        settings, folder, every: the study and its cells.
        corpora: corpus -> what was counted of it.
    """
    found = {name: ArmPlan(name, arm.kind) for name, arm in settings.arms.items()}
    finished: dict[str, list[dict[str, Any]]] = {name: [] for name in settings.arms}
    left: list[Cell] = []
    for cell in every:
        one = found[cell.arm.name]
        one.cells += 1
        done = cell.finished()
        if done is not None:
            finished[cell.arm.name].append(done)
            continue
        left.append(cell)
        one.left += 1
        one.trainings += cell.trains == cell.path and not is_trained(cell.path)
        one.documents += corpora[cell.corpus]["documents"]
        one.words += corpora[cell.corpus]["words"]
    for cell in left:
        one = found[cell.arm.name]
        seconds, one.measured = _seconds(
            settings, folder, cell, finished[cell.arm.name], corpora[cell.corpus]
        )
        one.seconds = None if seconds is None or one.seconds is None else one.seconds + seconds
    return list(found.values())


def _seconds(
    settings: StudySettings,
    folder: StudyFolder,
    cell: Cell,
    finished: Sequence[Mapping[str, Any]],
    corpus: Mapping[str, Any],
) -> tuple[float | None, str]:
    """What a cell takes, and of what that was reckoned."""
    trains = cell.trains == cell.path and not is_trained(cell.path)
    if finished:
        training = sum(one["seconds"]["training"] for one in finished) / len(finished)
        tagging = sum(one["seconds"]["tagging"] for one in finished)
        words = sum(one["tagging"]["words"] for one in finished)
        return training * trains + tagging * corpus["words"] / max(words, 1), "cells"
    path = folder.probe(cell.arm.name) / PROBE
    if not path.is_file():
        return None, "nothing"
    probe = load(path)
    tagging = probe["seconds_per_word"] * corpus["words"]
    if not trains:
        return probe["seconds_to_begin"] + tagging, "probe"
    budget = settings.budget
    if budget.minutes is not None:
        training = budget.minutes * 60
    else:
        updates = budget.updates or (budget.tokens or 0) / probe["tokens_per_update"]
        training = updates * probe["seconds_per_update"] + _evaluations(settings, cell, probe, corpus)
    return probe["seconds_to_begin"] + training + tagging, "probe"


def _evaluations(
    settings: StudySettings, cell: Cell, probe: Mapping[str, float], corpus: Mapping[str, Any]
) -> float:
    """What scoring dev takes, during training and where that did not, at the end."""
    flags = settings.flags_of(cell.arm)
    documents = min(flags.get("eval_documents", 100), corpus["dev_documents"])
    times = max(flags.get("evaluations", 5), 1)
    return float(probe["seconds_per_word"] * times * documents * corpus["words"] / corpus["documents"])


def to_probe(settings: StudySettings, folder: StudyFolder, every: Sequence[Cell]) -> list[Cell]:
    """A cell of each arm of which nothing was measured, and something is left."""
    measured = {cell.arm.name for cell in every if cell.finished() is not None}
    measured |= {name for name in settings.arms if (folder.probe(name) / PROBE).is_file()}
    found: dict[str, Cell] = {}
    for cell in every:
        if cell.arm.name not in measured:
            found.setdefault(cell.arm.name, cell)
    return list(found.values())


def shown(
    settings: StudySettings, arms: Sequence[ArmPlan], corpora: Mapping[str, Mapping[str, Any]], processes: int
) -> list[str]:
    """The plan, for people to read."""
    cells, left = sum(one.cells for one in arms), sum(one.left for one in arms)
    texts = ", ".join(f"{name} ({one['documents']:,} of {one['split']})" for name, one in corpora.items())
    (budget,) = settings.budget.said.items() or {("updates", 0)}
    trainings = sum(one.trainings for one in arms)
    lines = [
        f"{len(arms)} arms x {len(corpora)} corpora x {len(settings.seeds)} seeds: {cells:,} cells, {left:,} to do",
        f"documents to tag: {texts}",
    ]
    if trainings:
        each = f"{budget[1]:,g} {budget[0]}"
        total = f" ({budget[1] * trainings:,g} in all)" if trainings > 1 else ""
        lines.append(f"trainings to do: {trainings:,}, each of {each}{total}")
    rows = [
        [
            one.name,
            one.kind,
            f"{one.left} of {one.cells}",
            one.trainings or "",
            f"{one.documents:,}" if one.left else "",
            "" if not one.left else "?" if one.seconds is None else _time(one.seconds),
            one.measured if one.left else "",
        ]
        for one in arms
    ]
    headers = ["arm", "kind", "cells to do", "to train", "to tag", "takes about", "measured of"]
    lines += tabulate(
        rows, headers, disable_numparse=True, colalign=("left", "left") + ("right",) * 4 + ("left",)
    ).splitlines()
    known = [one.seconds for one in arms if one.left and one.seconds is not None]
    if known:
        unknown = [one.name for one in arms if one.left and one.seconds is None]
        beside = f", besides {', '.join(unknown)}" if unknown else ""
        several = f"; with {processes} processes about {_time(sum(known) / processes)}, if they do not slow each other"
        lines.append(
            f"about {_time(sum(known))} one after the other{beside}{several if processes > 1 else ''}"
        )
    return lines


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
