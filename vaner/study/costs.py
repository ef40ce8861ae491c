"""In: a study whose cells are finished. Out: costs.json: what each arm's tagging takes, alone, on the same texts.

For each arm the fastest of a few batches is looked for; then all arms tag the same texts in turn, as often as asked:

    warm-up of each;  arm A, arm B, arm C;  arm A, arm B, arm C;  ...

so that what else the machine does meets all alike. Each arm is loaded in a process of its own; only one computes.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaner import provenance
from vaner.errors import VanerError
from vaner.files import write_text
from vaner.study.cells import Cell
from vaner.study.folder import StudyFolder
from vaner.study.machine import machine
from vaner.study.settings import Arm, StudySettings
from vaner.study.spreading import environment, last_line
from vaner.study.tagging import batches

Say = Callable[[str], None]


@dataclass
class _Measured:
    """A process that measures a cell's tagger."""

    cell: Cell
    process: subprocess.Popen[str]
    log: Path
    batch: int | None = None
    sizes: dict[str, Any] = field(default_factory=dict)

    def answer(self) -> dict[str, Any]:
        """What it says next.

        Raises:
            VanerError: it ended instead.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise VanerError(f"timing of {self.cell.arm.name}: {last_line(self.log)} (more in {self.log})")
        found: dict[str, Any] = json.loads(line)
        return found

    def order(self, **told: Any) -> dict[str, Any]:
        """Ask it for something, and wait."""
        self.tell(**told)
        return self.answer()

    def tell(self, **told: Any) -> None:
        """Ask it for something."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and its answer will say so
            self.process.stdin.write(json.dumps({"batch": self.batch, **told}) + "\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Timing:
    """The timing pass.

    Args:
        settings, folder: of the study.
        command: that begins a process which measures; the cell's names come behind it.
        device: what ``CUDA_VISIBLE_DEVICES`` is for all of them; None where there are no GPUs.
        say: is given a line for each arm.
    """

    def __init__(
        self,
        settings: StudySettings,
        folder: StudyFolder,
        command: Sequence[str],
        device: str | None,
        say: Say,
    ) -> None:
        self.settings, self.folder, self.command, self.device, self.say = (
            settings,
            folder,
            command,
            device,
            say,
        )

    def run(self, every: Sequence[Cell]) -> dict[str, Any]:
        """Measure, and write costs.json.

        Args:
            every: the study's cells.

        Raises:
            VanerError: no cell is finished, or a tagger fails.
        """
        chosen = self._chosen(every)
        best = self._best_batches(chosen)
        measured = self._repeats(chosen, best)
        found = {
            "machine": machine(),
            "versions": provenance.versions(),
            "repeats": self.settings.cost.repeats,
            "corpus": chosen[0].corpus,
            "currency": self.settings.cost.currency,
            "cells": {cell.arm.name: cell.hash for cell in chosen},
            "arms": {
                cell.arm.name: summed(
                    self.settings, cell.arm, cell.corpus, *measured[cell.arm.name], best[cell.arm.name]
                )
                for cell in chosen
            },
        }
        write_text(self.folder.costs, json.dumps(found, ensure_ascii=False, indent=2) + "\n")
        return found

    def _chosen(self, every: Sequence[Cell]) -> list[Cell]:
        """A finished cell of each arm, all of one corpus."""
        there = [cell for cell in every if cell.finished() is not None]
        if not there:
            raise VanerError("no cell is finished: there is nothing to time")
        arms = {(cell.arm.name, cell.corpus) for cell in there}
        counts = Counter(corpus for _, corpus in arms)
        corpora = [name for name in self.settings.corpora if counts[name]]
        corpus = self.settings.cost.corpus or max(corpora, key=lambda name: counts[name])
        found: dict[str, Cell] = {}
        for cell in there:
            if cell.corpus == corpus:
                found.setdefault(cell.arm.name, cell)
        for name in self.settings.arms:
            if name not in found:
                self.say(f"not timed: {name} (it has no finished cell of {corpus})")
        return list(found.values())

    def _best_batches(self, chosen: Sequence[Cell]) -> dict[str, int | None]:
        """The fastest batch of each arm; None where it has no say in that."""
        best: dict[str, int | None] = {}
        tried = []
        for cell in chosen:
            sizes = batches(self.settings, cell)
            best[cell.arm.name] = sizes[0] if len(sizes) == 1 else None
            if len(sizes) > 1:
                tried.append(cell)
        for group in self._together(tried):
            with self._loaded(group, best) as measured:
                for one in measured:
                    best[one.cell.arm.name] = self._fastest(one)
        return best

    def _fastest(self, one: _Measured) -> int:
        took: dict[int, float] = {}
        for batch in batches(self.settings, one.cell):
            one.batch = batch
            took[batch] = one.order(warm=True)["seconds"]
        fastest = min(took, key=lambda batch: took[batch])
        tried = ", ".join(f"{batch:,}: {seconds:.2f} s" for batch, seconds in took.items())
        self.say(f"batch of {one.cell.arm.name}: {fastest:,} ({tried})")
        return fastest

    def _repeats(
        self, chosen: Sequence[Cell], best: Mapping[str, int | None]
    ) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Of each arm: its texts' sizes, and what was measured in each repeat; arms in turn."""
        found: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        if not self.settings.cost.keep_loaded:
            for _ in range(self.settings.cost.repeats):
                for cell in chosen:
                    with self._loaded([cell], best) as (one,):
                        found.setdefault(cell.arm.name, (one.sizes, []))[1].append(one.order(warm=True))
            return found
        with self._loaded(chosen, best) as measured:
            for one in measured:
                one.tell(load=True)
            for one in measured:
                one.answer()
                found[one.cell.arm.name] = (one.sizes, [])
            for one in measured:
                one.order()  # to warm up
            for _ in range(self.settings.cost.repeats):
                for one in measured:
                    found[one.cell.arm.name][1].append(one.order())
        return found

    def _together(self, every: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
        """Those whose models are in memory at once."""
        if self.settings.cost.keep_loaded:
            yield every
        else:
            yield from ([one] for one in every)

    @contextlib.contextmanager
    def _loaded(self, together: Sequence[Cell], best: Mapping[str, int | None]) -> Iterator[list[_Measured]]:
        """A process for each cell, and the sizes of its texts told."""
        begun: list[_Measured] = []
        try:
            for cell in together:
                begun.append(self._begin(cell, best[cell.arm.name]))
            for one in begun:
                one.sizes = one.answer()
            yield begun
        finally:
            for one in begun:
                one.end()

    def _begin(self, cell: Cell, batch: int | None) -> _Measured:
        log = self.folder.path / "cells" / cell.arm.name / "timing.log"
        with open(log, "ab") as file:
            process = subprocess.Popen(
                [
                    *self.command,
                    cell.arm.name,
                    cell.corpus,
                    cell.seed,
                    "--measure",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=environment(1, [] if self.device is None else [self.device], 0),
            )
        return _Measured(cell, process, log, batch)


def summed(
    settings: StudySettings,
    arm: Arm,
    corpus: str,
    sizes: Mapping[str, int],
    repeats: Sequence[Mapping[str, Any]],
    batch: int | None,
) -> dict[str, Any]:
    """What was measured of an arm, for 1,000 words; every repeat is kept.

    Args:
        settings, arm, corpus: of the study.
        sizes: ``documents`` and ``words`` of the texts.
        repeats: what `vaner.study.measuring.Meter.measure` gave.
        batch: that was used.
    """
    thousands = sizes["words"] / 1000

    def each(name: str) -> list[float] | None:
        values = [one[name] for one in repeats]
        return None if any(value is None for value in values) else [round(v / thousands, 6) for v in values]

    def most(name: str) -> float | None:
        values = [one[name] for one in repeats if one[name] is not None]
        return round(max(values), 1) if values else None

    seconds = each("seconds") or []
    price = settings.cost.price_per_hour if arm.price_per_hour is None else arm.price_per_hour
    money = each("money")
    if money is None and price is not None:
        money = [round(value * price / 3600, 9) for value in seconds]
    generated = [one["generated_tokens"] for one in repeats]
    return {
        "corpus": corpus,
        "documents": sizes["documents"],
        "words": sizes["words"],
        "batch": batch,
        "seconds_per_1000_words": seconds,
        "cpu_seconds_per_1000_words": each("cpu_seconds"),
        "gpu_seconds_per_1000_words": each("gpu_seconds"),
        "peak_memory_mb": most("peak_memory_mb"),
        "gpu_memory_mb": most("gpu_memory_mb"),
        "energy_joules_per_1000_words": each("energy_joules"),
        "generated_tokens_per_word": None
        if None in generated or not generated
        else round(generated[0] / sizes["words"], 4),
        "price_per_1000_words": money,
    }


def is_current(folder: StudyFolder, settings: StudySettings, every: Sequence[Cell]) -> bool:
    """Whether costs.json has all arms that have a finished cell, as they are."""
    if not os.path.isfile(folder.costs):
        return False
    found = json.loads(folder.costs.read_text(encoding="utf-8"))
    arms = {cell.arm.name for cell in every if cell.corpus == found["corpus"] and cell.finished() is not None}
    hashes = {cell.hash for cell in every}
    return (
        arms <= set(found["arms"])
        and set(found["cells"].values()) <= hashes
        and found["repeats"] == settings.cost.repeats
    )
