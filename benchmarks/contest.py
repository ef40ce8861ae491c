"""In: systems, each able to do its work once. Out: their times, taken in turn, as medians with their spread.

round 1   A  B  C        every system lives in a process of its own, so its peak memory is its own;
round 2   B  C  A        one works at a time, and the order turns from round to round, so that a machine
round 3   C  A  B        whose speed drifts affects all alike. Ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import multiprocessing
import statistics
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import machine
from tabulate import tabulate

from vaner.errors import VanerError
from vaner.files import replacing_text
from vaner.progress import progress

# bitsandbytes says whenever it is imported that it lacks a kernel for 4-bit on CPU.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

# What a system is asked again and again; it returns what it counted, such as {"text_tokens": 812}.
Work = Callable[[int], dict]


class LeftOut(VanerError):
    """A contestant cannot run here (a package or weights are missing); its row says why."""


@dataclass
class Entry:
    """One row of the table: a piece of work, and what was measured of it in each round."""

    name: str
    contestant: Contestant
    rounds: list[dict] = field(default_factory=list)

    def values(self, key: str) -> list[float]:
        return [one[key] for one in self.rounds]

    def rates(self, key: str) -> list[float]:
        """Of something counted, per second."""
        return [one[key] / one["seconds"] for one in self.rounds]


class Contestant:
    """A process that prepares a system and then does its work when told.

    Args:
        prepare: builds everything and returns name -> work, in the process. A `functools.partial` of a module's
            function: on an accelerator the process starts afresh and is sent it.
        device: ``cpu`` or ``cuda``.
        threads: of torch in that process; None leaves torch's choice.
    """

    def __init__(self, prepare: Callable[[], dict[str, Work]], device: str, threads: int | None = None):
        # Forked, a process has everything imported already; CUDA does not survive a fork.
        context = multiprocessing.get_context("spawn" if device == "cuda" else "fork")
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_serve, args=(end, prepare, device, threads), daemon=True)
        self.process.start()
        end.close()
        try:
            self.names: list[str] = self.receive()
        except BaseException:
            self.process.join()
            raise

    def receive(self):
        """The process's answer; its errors are raised here."""
        try:
            kind, answer = self.pipe.recv()
        except EOFError:
            self.process.join()
            raise VanerError(
                f"a benchmark's process ended with status {self.process.exitcode}; was memory short?"
            ) from None
        if kind == "error":
            raise answer
        return answer

    def send(self, name: str, round_number: int) -> None:
        self.pipe.send((name, round_number))

    def work(self, name: str, round_number: int) -> dict:
        self.send(name, round_number)
        return self.receive()

    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(None)
        self.process.join()
        self.pipe.close()


def _serve(pipe, prepare: Callable[[], dict[str, Work]], device: str, threads: int | None) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)
    try:
        works = prepare()
        pipe.send(("ready", list(works)))
        while (told := pipe.recv()) is not None:
            name, round_number = told
            machine.reset_peak(device)
            machine.synchronize(device)
            began = time.perf_counter()
            counted = works[name](round_number)
            machine.synchronize(device)
            seconds = time.perf_counter() - began
            pipe.send(("done", {"seconds": seconds, "peak_mb": machine.peak_mb(device), **counted}))
    except VanerError as error:
        pipe.send(("error", error))
    except Exception as error:
        # Whatever went wrong belongs to the process that asked, with its place.
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
        reason = " ".join(str(error).split())
        pipe.send(("error", VanerError(f"{type(error).__name__} at {place}: {reason}")))


def apart(function: Callable[[], dict], device: str) -> dict:
    """What a function returns, run in a process of its own whose memory is gone afterwards."""
    contestant = Contestant(_once(function), device)
    try:
        return contestant.work("once", 0)
    finally:
        contestant.stop()


class _once:
    def __init__(self, function: Callable[[], dict]) -> None:
        self.function = function

    def __call__(self) -> dict[str, Work]:
        return {"once": lambda _: self.function()}


def gather(
    prepared: Iterable[tuple[str, Callable[[], dict[str, Work]]]], device: str
) -> tuple[list[Entry], dict[str, str]]:
    """Start the contestants one after the other: entries, and the name of each left out with the reason."""
    entries: list[Entry] = []
    left_out: dict[str, str] = {}
    for name, prepare in progress(list(prepared), "getting ready"):
        try:
            contestant = Contestant(prepare, device)
        except LeftOut as reason:
            left_out[name] = str(reason)
            continue
        entries += [Entry(one, contestant) for one in contestant.names]
    return entries, left_out


def run(entries: Sequence[Entry], rounds: int, done: Callable[[Entry], None] = lambda entry: None) -> None:
    """Let every entry work once a round, in turn, and end their processes.

    Args:
        entries: as `gather` gave them.
        rounds: how often each works.
        done: told each entry that has worked, at once, so that nothing measured is lost when a run is stopped.
    """
    turns = [(r, entries[(r + i) % len(entries)]) for r in range(rounds) for i in range(len(entries))]
    for round_number, entry in progress(turns, "rounds"):
        entry.rounds.append(entry.contestant.work(entry.name, round_number))
        done(entry)
    for contestant in {id(e.contestant): e.contestant for e in entries}.values():
        contestant.stop()


# --- numbers ---


def summary(values: Sequence[float]) -> dict[str, object]:
    """Median and spread."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "rounds": list(values),
    }


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, object]:
    """Round by round, of the rounds that both have."""
    return summary([a / b for a, b in zip(above, below, strict=False)])


def spread(found: dict) -> str:
    """``min-max`` in percent of the median."""
    low, high = (100 * (found[key] / found["median"] - 1) for key in ("min", "max"))
    return f"{low:+.0f} % to {high:+.0f} %"


# --- command line and output ---


def parser(doc: str, shapes: Iterable[str], **defaults) -> argparse.ArgumentParser:
    """The options that every benchmark has; ``defaults`` are those that differ."""
    made = argparse.ArgumentParser(
        description=doc.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument(
        "--shape",
        choices=tuple(shapes),
        default="smollm2-135m",
        help="sizes of the backbone; all but smollm2-135m have random weights",
    )
    made.add_argument("--data_root", metavar="FOLDER", help="where the corpora are; without it $VANER_DATA")
    made.add_argument("--rounds", type=int, default=defaults.pop("rounds", 3), help="how often each is timed")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--json", metavar="FILE", help="write every number")
    made.set_defaults(**defaults)
    return made


def check_arguments(args: argparse.Namespace, *positive: str) -> None:
    """Raise VanerError for numbers below 1, and for a device that is not there."""
    for name in ("rounds", *positive):
        value = getattr(args, name)
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one < 1:
                raise VanerError(f"--{name} is {one}; choose 1 or more")
    if args.device == "cuda":
        import torch

        # Asks the driver without taking the device, which the processes will want.
        if not torch.cuda.device_count():
            raise VanerError(
                "--device cuda: torch sees no CUDA device here; leave it out to run on the processor"
            )


def print_table(rows: list[dict], title: str = "") -> None:
    if title:
        print(f"\n{title}\n")
    print(tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True))


def write_json(path: str | None, found: dict) -> None:
    if path:
        with replacing_text(path) as file:
            json.dump(found, file, indent=2, ensure_ascii=False)
            file.write("\n")
