"""In: cells that are to be done, how many processes. Out: each done once, whoever else works in the same folder.

Every cell has a process of its own (`vaner.study.cell_run`), which holds the cell's lock; on machines with GPUs it sees
one of them, in turn. Other commands in the same folder, here or on another machine that sees the same file system, take
other cells. A cell that fails leaves the others alone.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import vaner
from vaner.study.cell_run import TAKEN
from vaner.study.cells import FAILED, Cell, is_trained
from vaner.study.machine import cores

Say = Callable[[str], None]

#: What a child process says, beside what training logs.
LOG = "log.txt"
_EVERY = 0.2  # seconds between looks


@dataclass
class Spread:
    """Processes that do cells.

    Args:
        command: that begins a cell's process; the cell's names come behind it.
        processes: at a time.
        devices: what ``CUDA_VISIBLE_DEVICES`` is for the first, second, ... process; none where there are no GPUs.
        say: is given a line for each cell that was finished or failed.
    """

    command: Sequence[str]
    processes: int
    devices: Sequence[str] = ()
    say: Say = print
    _running: list[_Child] = field(default_factory=list)

    def run(self, todo: Sequence[Cell]) -> dict[str, str]:
        """Do the cells.

        Returns:
            name of each cell that failed -> why.
        """
        before = {cell.path: _failed_at(cell) for cell in todo}
        waiting = list(todo)
        failed: dict[str, str] = {}
        with self._ending():
            while waiting or self._running:
                for child in self._done():
                    self._tell(child, failed)
                    if child.process.returncode != TAKEN:
                        waiting = [one for one in waiting if one is not child.cell]
                waiting = [one for one in waiting if not self._is_over(one, before, failed)]
                self._begin(waiting)
                time.sleep(_EVERY)
        return failed

    def probe(self, todo: Sequence[Cell]) -> None:
        """Probe the arms of cells; one that fails does so again when it is run."""
        waiting = list(todo)
        with self._ending():
            while waiting or self._running:
                for _ in self._done():
                    pass
                while waiting and len(self._running) < self.processes:
                    cell = waiting.pop(0)
                    self._start(cell, ["--probe"], cell.path.parents[3] / "probes" / f"{cell.arm.name}.log")
                time.sleep(_EVERY)

    def _is_over(self, cell: Cell, before: Mapping[Path, float], failed: dict[str, str]) -> bool:
        """Whether a cell that waits was finished or failed meanwhile, by whoever worked on it."""
        if any(child.cell is cell for child in self._running):
            return False
        if cell.finished() is not None:
            return True
        failure = cell.failure()
        if failure is not None and _failed_at(cell) != before[cell.path]:
            failed.setdefault(cell.name, failure["why"])
            return True
        other = cell.waits_for
        if other is not None and not is_trained(other):
            names = [name for name in failed if name == " ".join(other.parts[-3:])]
            if names:
                failed[cell.name] = f"the training of {names[0]} failed"
                self.say(f"failed: {cell.name}: {failed[cell.name]}")
                return True
        return False

    def _begin(self, waiting: Sequence[Cell]) -> None:
        for cell in waiting:
            if len(self._running) >= self.processes:
                return
            if any(child.cell is cell for child in self._running):
                continue
            if cell.waits_for is not None and not is_trained(cell.waits_for):
                continue
            if not cell.is_taken():
                self._start(cell, [], cell.path / LOG)

    def _start(self, cell: Cell, more: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        places = {child.place for child in self._running}
        place = next(number for number in range(self.processes) if number not in places)
        with open(log, "ab") as file:
            process = subprocess.Popen(
                [*self.command, cell.arm.name, cell.corpus, cell.seed, *more],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment(self.processes, self.devices, place),
            )
        self._running.append(_Child(cell, process, place, log, time.monotonic()))

    def _done(self) -> Iterator[_Child]:
        for child in list(self._running):
            if child.process.poll() is not None:
                self._running.remove(child)
                yield child

    def _tell(self, child: _Child, failed: dict[str, str]) -> None:
        status = child.process.returncode
        if status == TAKEN:
            return
        if status == 0:
            self.say(f"finished: {child.cell.name} ({(time.monotonic() - child.began) / 60:.1f} min)")
            return
        failure = child.cell.failure()
        why = failure["why"] if failure is not None else f"ended with status {status}: {last_line(child.log)}"
        failed[child.cell.name] = why
        self.say(f"failed: {child.cell.name}: {why} (more in {child.log})")

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """Whatever ends this process ends those that it began: trainings leave a checkpoint."""
        try:
            yield
        finally:
            for child in self._running:
                child.process.terminate()
            for child in self._running:
                child.process.wait()


@dataclass(eq=False)
class _Child:
    cell: Cell
    process: subprocess.Popen[bytes]
    place: int
    log: Path
    began: float


def environment(processes: int, devices: Sequence[str], place: int) -> dict[str, str]:
    """Variables of a process: this vaner, one GPU, its share of the cores.

    Args:
        processes: that run at a time.
        devices: as of `Spread`.
        place: number of the process among them.
    """
    package = str(Path(vaner.__file__).parent.parent)
    found = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
    }
    if processes > 1:
        found.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    if devices:
        found["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
    return found


def devices() -> list[str]:
    """The GPUs that processes can be given, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    if not torch.cuda.is_available():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (
        [one for one in named.split(",") if one]
        if named
        else [str(n) for n in range(torch.cuda.device_count())]
    )


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _failed_at(cell: Cell) -> float:
    path = cell.path / FAILED
    return path.stat().st_mtime if path.is_file() else 0.0
