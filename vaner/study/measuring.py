"""In: a cell, the same few texts again and again. Out: what tagging them takes: time, memory, energy, tokens.

A process of its own measures one arm (`Meter`); it is told on standard input when it may, so that of several that are
loaded only one computes at a time, and answers with a JSON object a line:

    {"batch": 4096, "warm": true}   ->   {"seconds": 1.8, "cpu_seconds": 3.5, "gpu_seconds": null, ...}
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

import psutil

from vaner.evaluation.run import Gold
from vaner.study.cell_run import opened
from vaner.study.cells import named_cell
from vaner.study.data import count_words
from vaner.study.tagging import ask, gold_of, open_tagger
from vaner.tagger import Tagger

_EVERY = 0.01  # seconds between looks at the memory

READY = "ready"


@dataclass
class Memory:
    """The most memory that this process and its children held while this looked on, in bytes."""

    peak: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Memory:
        self._look()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, sum(one.memory_info().rss for one in _processes()))


def _processes() -> list[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def _cpu_seconds() -> float:
    """Of this process and all its children, those that ended included."""
    # os.times counts in hundredths of a second, which is enough for children alone.
    ended = time.process_time() + os.times().children_user + os.times().children_system
    living = [one.cpu_times() for one in _processes()[1:]]
    return ended + sum(one.user + one.system for one in living)


class Gpu:
    """The CUDA device that this process computes on; where there is none, everything is None."""

    def __init__(self) -> None:
        import torch

        self._cuda: Any = torch.cuda if torch.cuda.is_available() else None
        found: tuple[Any, Any] = _nvml() if self._cuda else (None, None)
        self._handle, self._nvml = found

    def begin(self) -> None:
        """Count from here."""
        if self._cuda is None:
            return
        self._cuda.synchronize()
        self._cuda.reset_peak_memory_stats()
        self._joules = self._energy()
        self._first, self._last = (self._cuda.Event(enable_timing=True) for _ in range(2))
        self._first.record()

    def end(self) -> dict[str, float | None]:
        """``gpu_seconds`` that it was held, ``gpu_memory_mb`` at most, ``energy_joules`` where the driver tells."""
        nothing: dict[str, float | None] = {"gpu_seconds": None, "gpu_memory_mb": None, "energy_joules": None}
        if self._cuda is None:
            return dict(nothing)
        self._last.record()
        self._cuda.synchronize()
        if not self._cuda.max_memory_allocated():
            return dict(nothing)  # a dictionary, or a model that computes on the CPU
        joules = self._energy()
        return {
            "gpu_seconds": self._first.elapsed_time(self._last) / 1000,
            "gpu_memory_mb": self._cuda.max_memory_allocated() / 1e6,
            "energy_joules": None if joules is None or self._joules is None else joules - self._joules,
        }

    def _energy(self) -> float | None:
        if self._nvml is None:
            return None
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000
        except self._nvml.NVMLError:
            return None  # a card that does not count it


def _nvml() -> tuple[Any, Any]:
    """The driver's handle of the first device that this process sees, and its module; None without nvidia-ml-py."""
    try:
        import pynvml
    except ImportError:
        return None, None
    import torch

    try:
        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(0).uuid)
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}"), pynvml
    except (pynvml.NVMLError, AttributeError):
        return None, None


class Meter:
    """Measures an arm.

    Args:
        gold: the texts.
        opening: gives the tagger for a batch.
    """

    def __init__(self, gold: Gold, opening: Callable[[int | None], Tagger]) -> None:
        self.gold, self._opening = gold, opening
        self.words = count_words(gold.documents)
        self._batch: int | None = None
        self._tagger: Tagger | None = None
        self._gpu = Gpu()

    def load(self, batch: int | None) -> Tagger:
        """The tagger with this batch."""
        if self._tagger is None or batch != self._batch:
            # The model before goes first: there may be no room for two.
            self._tagger = None
            gc.collect()
            self._tagger, self._batch = self._opening(batch), batch
        return self._tagger

    def measure(self, batch: int | None, warm: bool = False) -> dict[str, Any]:
        """Tag the texts once.

        Args:
            batch: in tokens or requests; None for what the arm does by itself.
            warm: tag them once before, without measuring.
        """
        tagger = self.load(batch)
        if warm:
            ask(tagger, self.gold)
        with Memory() as memory:
            self._gpu.begin()
            cpu, began = _cpu_seconds(), time.perf_counter()
            ask(tagger, self.gold)
            seconds, cpu = time.perf_counter() - began, _cpu_seconds() - cpu
            on_gpu = self._gpu.end()
        return {
            "seconds": seconds,
            "cpu_seconds": cpu,
            **on_gpu,
            "peak_memory_mb": memory.peak / 1e6,
            "generated_tokens": _generated(tagger),
            "money": _money(tagger),
        }


def _generated(tagger: Any) -> int | None:
    """Tokens that a model wrote; None of taggers that write nothing."""
    counts = getattr(tagger, "counts", None)
    return None if counts is None else counts.get("answer tokens")


def _money(tagger: Any) -> float | None:
    """What its tokens cost; None where nobody says what they do."""
    price = getattr(tagger, "price", None)
    return None if price is None else price.cost(tagger.sender.spent)


def serve(file: str, output: str, arm: str, corpus: str, seed: str, told: TextIO, said: TextIO) -> None:
    """Measure a cell's tagger as often as standard input asks for; errors end the process.

    Args:
        file, output, arm, corpus, seed: of the cell.
        told: orders, a JSON object a line; it ends with the file.
        said: answers.
    """
    settings, folder, every = opened(file, output)
    cell = named_cell(every, arm, corpus, seed)
    gold = gold_of(folder, corpus, settings.cost.documents)
    meter = Meter(gold, lambda batch: open_tagger(settings, folder, cell, batch=batch, store=False))
    _say(said, {READY: True, "documents": len(gold.documents), "words": meter.words})
    for line in told:
        order = json.loads(line)
        if order.get("load"):
            meter.load(order["batch"])
            _say(said, {READY: True})
        else:
            _say(said, meter.measure(order["batch"], order.get("warm", False)))


def _say(said: TextIO, value: dict[str, Any]) -> None:
    said.write(json.dumps(value) + "\n")
    said.flush()


def protected_output() -> TextIO:
    """Standard output for answers alone: whatever else is printed goes to standard error."""
    mine = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return mine
