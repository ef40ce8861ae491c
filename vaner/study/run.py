"""In: a study's file, a folder. Out: the folder with all cells, what they cost, and the page of it.

settings -> folder, data -> plan -> cells, spread over processes -> timing pass -> results
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vaner.errors import VanerError
from vaner.study import plan as planning
from vaner.study.cells import Cell, cells, not_asked, unfinished
from vaner.study.costs import Timing, is_current
from vaner.study.data import prepare
from vaner.study.folder import StudyFolder
from vaner.study.settings import StudySettings
from vaner.study.spreading import Spread, devices

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What the command line says of a study.

    Attributes:
        file: of the study.
        output: its folder.
        data_root: where the corpora are.
        processes: that do cells at a time.
        only_plan: print the plan and stop.
        probe: see what the first updates and documents of arms take of which nothing was measured.
        costs: time the arms, once all cells are finished.
        command: as it was typed, for the record.
    """

    file: str
    output: str
    data_root: str | None = None
    processes: int = 1
    only_plan: bool = False
    probe: bool = True
    costs: bool = True
    command: str | None = None


def run(asked: Asked, say: Say = print) -> dict[str, str]:
    """Do what is left to be done.

    Args:
        asked: what the command line says.
        say: is given a line for everything that a user should know.

    Returns:
        name of each cell that failed -> why; and ``timing`` where the timing pass did.

    Raises:
        VanerError: what cannot work, before anything long begins; a folder of another study.
    """
    settings = StudySettings.load(asked.file)
    folder = StudyFolder(Path(asked.output).absolute())
    folder.prepare()
    from vaner.study.training import check

    check(settings, folder)
    with folder.lock("study"):
        before = folder.load()
        folder.same_study(settings, before)
        corpora, notes = prepare(settings, folder, before, asked.data_root)
        left_out = not_asked(settings, {name: one["types"] for name, one in corpora.items()})
        folder.write(settings, corpora, left_out, asked.command)
    for line in notes:
        say(f"note: {line}")
    for arm, of_corpora in left_out.items():
        for corpus, why in of_corpora.items():
            say(f"note: {arm} is not asked about {corpus}: {why}")
    every = cells(settings, folder, left_out)
    todo = list(unfinished(every))
    command = [sys.executable, "-m", "vaner", "study", "cell", asked.file, "--output", str(folder.path)]
    spread = Spread(command, asked.processes, devices(), say)
    if asked.probe and (unknown := planning.to_probe(settings, folder, todo)):
        say(
            f"measuring what the first updates and documents take: {', '.join(one.arm.name for one in unknown)}"
        )
        spread.probe(unknown)
    arms = planning.plan(settings, folder, every, corpora)
    for line in planning.shown(settings, arms, corpora, asked.processes):
        say(line)
    if asked.only_plan:
        return {}
    failed = spread.run(todo)
    if asked.costs and settings.cost.repeats:
        failed |= _time(settings, folder, every, command, spread, say)
    for path in _shown(folder, say):
        say(f"written: {path}")
    return failed


def _time(
    settings: StudySettings,
    folder: StudyFolder,
    every: list[Cell],
    command: list[str],
    spread: Spread,
    say: Say,
) -> dict[str, str]:
    # One command of several does it; the others wait, and find it done.
    with folder.lock("costs"):
        if is_current(folder, settings, every):
            return {}
        say("timing the arms, one at a time, on the same texts")
        device = spread.devices[0] if spread.devices else None
        try:
            Timing(settings, folder, command, device, say).run(every)
        except VanerError as error:
            say(f"failed: timing: {error}")
            return {"timing": str(error)}
    return {}


def _shown(folder: StudyFolder, say: Say) -> list[Path]:
    """The page, and every number as JSON."""
    try:
        page = importlib.import_module("vaner.study.page")
    except ModuleNotFoundError:
        return []
    with folder.lock("page"):
        try:
            found: list[Path] = page.write(folder.path)
        except VanerError as error:
            # Without a package for plots the rest is written all the same.
            say(f"note: {error}")
            return []
        return found
