"""In: real abstracts; made-up documents by the million. Out: what a run over many files costs over the bare tagger.

    python benchmarks/corpus.py --data_root CORPORA --json corpus.json

Three questions:

    the same?      predict.py on a file, and as a run of 1 and of 2 processes that reads the file as one unit (float32):
                   the bytes of the outputs are compared before anything is timed.
    how fast?      the three commands in turn, in rounds, on ``--documents`` abstracts, and once a round on a single
                   short text: that is the start-up (imports, model, first batch). The run cuts units of
                   ``--unit_documents``. Documents per second with and without the start-up; overhead is the seconds of
                   the run with one process over those of the bare tagger, start-up taken off both.
    how large?     ``--made_up`` short documents from a generator through the same run with a tagger that does nothing
                   (made_up.py): the time of units, manifest and assembly per document, also as a share of the bare
                   tagger's time per abstract, and the peak of memory of each process.

Keys of the JSON file:

    documents_per_second, documents_per_second_without_start_up, start_up_seconds, start_up_share, overhead,
    overhead_without_start_up, cpu_overhead_without_start_up (which is the steadier on a busy machine), bookkeeping,
    rounds, machine, versions
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import contest
import machine
import shapes

from vaner.cli import guarded
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import write
from vaner.progress import progress
from vaner.report import Report

BARE = "bare tagger"
SHORT = "Aspirin reduces fever in patients with influenza."


def main() -> None:
    args = _arguments()
    abstracts = shapes.first(shapes.abstracts(args.data_root, args.seed), args.documents)
    with tempfile.TemporaryDirectory(prefix="vaner-corpus-") as folder:
        bench = _Bench(args, Path(folder))
        print("checking that runs write what the bare tagger writes (float32) ...", file=sys.stderr)
        bench.check(abstracts[: args.identity_documents])
        rounds = bench.time(abstracts)
    found = results(rounds, made_up(args.made_up), len(abstracts))
    found |= {
        "machine": contest.apart(functools.partial(machine.describe, "cpu"), "cpu"),
        "versions": machine.versions(),
        "documents": len(abstracts),
        "settings": {k: v for k, v in vars(args).items() if k not in ("data_root", "json")},
    }
    show(found)
    contest.write_json(args.json, found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--data_root", metavar="FOLDER", help="where the corpora are; without it $VANER_DATA")
    add("--documents", type=int, default=200, help="abstracts that are timed")
    add("--identity_documents", type=int, default=8, help="abstracts whose outputs are compared")
    add("--unit_documents", type=int, help="documents a unit of the timed runs; by default the run's own")
    add("--processes", type=int, nargs="+", default=[1, 2])
    add("--made_up", type=int, default=1_000_000, help="documents for a tagger that does nothing")
    add("--model", default=shapes.SHIPPED, help="a model's name or folder")
    add("--rounds", type=int, default=3, help="how often each is timed")
    add("--seed", type=int, default=0)
    add("--json", metavar="FILE", help="write every number")
    args = parser.parse_args()
    for name in ("documents", "identity_documents", "unit_documents", "processes", "made_up", "rounds"):
        value = getattr(args, name)
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one < 1:
                raise VanerError(f"--{name} is {one}; choose 1 or more")
    if 1 not in args.processes:
        raise VanerError("--processes: name 1 among them; the overhead is that of one process")
    return args


# --- the commands ---


class _Bench:
    """The commands that are compared, as a user would give them.

    Args:
        folder: for their inputs and outputs.
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args = args
        self.folder = folder
        self.names = [BARE, *(_name(one) for one in args.processes)]
        self._number = 0

    def check(self, documents: Sequence[Document]) -> None:
        """VanerError where a run writes other bytes than the bare tagger."""
        path = self._written("identity", documents)
        outputs = {
            name: self._command(name, path, "--dtype", "float32")[1].read_bytes()
            for name in progress(self.names, "checking")
        }
        for name in self.names[1:]:
            if outputs[name] != outputs[BARE]:
                raise VanerError(f"{name}: writes other bytes than the bare tagger")

    def time(self, documents: Sequence[Document]) -> dict[str, list[dict[str, float]]]:
        """Seconds of each command in each round, on the documents and on a single short text."""
        whole = self._written("documents", documents)
        one = self._written("one", [Document("one", SHORT)])
        size = self.args.unit_documents
        cut = [] if size is None else ["--unit_documents", str(size)]
        found: dict[str, list[dict[str, float]]] = {name: [] for name in self.names}
        turns = [
            (r, self.names[(r + i) % len(self.names)])
            for r in range(self.args.rounds)
            for i in range(len(self.names))
        ]
        for _, name in progress(turns, "rounds"):
            more = [] if name == BARE else cut
            taken, _ = self._command(name, whole, *more)
            start, _ = self._command(name, one, *more)
            found[name].append(taken | {f"start_up_{key}": value for key, value in start.items()})
        return found

    def _written(self, name: str, documents: Iterable[Document]) -> Path:
        path = self.folder / f"{name}.jsonl"
        write(path, documents, "jsonl", report=Report())
        return path

    def _command(self, name: str, path: Path, *options: str) -> tuple[dict[str, float], Path]:
        """Seconds of a command by the clock and of the processor, and the file that it wrote."""
        self._number += 1
        if name == BARE:
            written = target = self.folder / f"{self._number}.jsonl"
        else:
            target = self.folder / str(self._number)
            written = target / path.name
            options = ("--processes", name.split()[0], "--progress", "none", *options)
            target.mkdir()
        command = [sys.executable, "-m", "vaner", "predict", "--model", self.args.model]
        command += ["--input", str(path), "--output", str(target), *options]
        began, computed = time.perf_counter(), _cpu_seconds()
        done = subprocess.run(command, capture_output=True, text=True, env=_environment())
        taken = {"seconds": time.perf_counter() - began, "cpu_seconds": _cpu_seconds() - computed}
        if done.returncode:
            raise VanerError(f"{name}: status {done.returncode}: {done.stderr.strip()[-300:]}")
        return taken, written


def _name(processes: int) -> str:
    return f"{processes} process" + ("es" if processes > 1 else "")


def _cpu_seconds() -> float:
    """Of all processes that were begun from here and have ended, and of those that they began."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _environment() -> dict[str, str]:
    """This process's, so that its vaner is found."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def made_up(count: int) -> dict:
    """Of `made_up.py`, in a process of its own, without torch."""
    command = [sys.executable, str(Path(__file__).with_name("made_up.py")), "--documents", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment())
    if done.returncode:
        raise VanerError(f"made_up.py: status {done.returncode}: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout)


# --- numbers ---


def results(rounds: dict[str, list[dict[str, float]]], bookkeeping: dict, documents: int) -> dict:
    """Rates, shares and overheads, round by round."""
    whole, start, work = _parts(rounds, "seconds")
    cpu = _parts(rounds, "cpu_seconds")[2]
    one = _name(1)
    a_document = bookkeeping["seconds"] / bookkeeping["documents"]
    bookkeeping["share_of_tagging"] = a_document / (statistics.median(work[BARE]) / documents)
    return {
        "documents_per_second": {
            name: contest.summary([documents / seconds for seconds in found]) for name, found in whole.items()
        },
        "documents_per_second_without_start_up": {
            name: contest.summary([documents / seconds for seconds in found]) for name, found in work.items()
        },
        "start_up_seconds": {name: contest.summary(found) for name, found in start.items()},
        "start_up_share": {name: contest.ratio(start[name], whole[name]) for name in rounds},
        "overhead": _more(whole[one], whole[BARE]),
        "overhead_without_start_up": _more(work[one], work[BARE]),
        "cpu_overhead_without_start_up": _more(cpu[one], cpu[BARE]),
        "bookkeeping": bookkeeping,
        "rounds": rounds,
    }


def _parts(rounds: dict[str, list[dict[str, float]]], key: str) -> list[dict[str, list[float]]]:
    """Of each command and round: all of it, its start-up, and what is left."""
    whole = {name: [one[key] for one in found] for name, found in rounds.items()}
    start = {name: [one[f"start_up_{key}"] for one in found] for name, found in rounds.items()}
    work = {name: [a - b for a, b in zip(whole[name], start[name], strict=True)] for name in rounds}
    return [whole, start, work]


def _more(values: Sequence[float], than: Sequence[float]) -> dict:
    return contest.summary([a / b - 1 for a, b in zip(values, than, strict=True)])


def show(found: dict) -> None:
    rows = [
        {
            "": name,
            "documents/s": f"{found['documents_per_second'][name]['median']:.2f}",
            "without start-up": f"{found['documents_per_second_without_start_up'][name]['median']:.2f}",
            "start-up, s": f"{found['start_up_seconds'][name]['median']:.1f}",
            "share": f"{100 * found['start_up_share'][name]['median']:.0f} %",
        }
        for name in found["rounds"]
    ]
    contest.print_table(rows, f"{found['documents']:,} abstracts")
    for key, what in (
        ("overhead", "of the command"),
        ("overhead_without_start_up", "without start-up"),
        ("cpu_overhead_without_start_up", "without start-up, in CPU seconds"),
    ):
        one = found[key]
        low, middle, high = (100 * one[k] for k in ("min", "median", "max"))
        print(
            f"\noverhead of a run with one process over the bare tagger, {what}: {middle:+.1f} % "
            f"({low:+.1f} to {high:+.1f})"
        )
    many = found["bookkeeping"]
    print(
        f"\n{many['documents']:,} short documents through a tagger that does nothing: {many['seconds']:.0f} s, "
        f"{1e3 * many['seconds'] / many['documents']:.2f} ms a document "
        f"({100 * many['share_of_tagging']:.2f} % of tagging an abstract); "
        f"peak {many['peak_mb']:,.0f} MB, worker {many['worker_peak_mb']:,.0f} MB, output {many['output_mb']:,.0f} MB"
    )


if __name__ == "__main__":
    raise SystemExit(guarded(main))
