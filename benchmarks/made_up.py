"""In: a number of documents. Out: time and peak memory of a run that tags so many with a tagger that does nothing.

    python benchmarks/made_up.py --documents 1000000

What is left are units, manifest, processes and assembly: what a run over many files adds to tagging. The documents come
from a generator, the run is that of predict.py (`vaner.jobs`). No torch is imported, so memory is the run's own.
`corpus.py` runs this for its table.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vaner.cli import guarded
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.jobs.pool import ProcessPool
from vaner.jobs.run import Job, run
from vaner.jobs.sources import Source
from vaner.report import Report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000, help="default: %(default)s")
    args = parser.parse_args()
    if args.documents < 1:
        raise VanerError(f"--documents is {args.documents}; choose 1 or more")
    with tempfile.TemporaryDirectory(prefix="vaner-made-up-") as folder:
        print(json.dumps(tag(Path(folder), args.documents)))


@dataclass(frozen=True)
class Nothing:
    """Settings of a tagger that marks the first word of a document."""

    types: tuple[str, ...] | None = None
    dataset: str | None = None

    def open(self) -> FirstWord:
        return FirstWord()


class FirstWord:
    """Marks the first word of a document."""

    types = ("Word",)
    datasets: dict[str, Sequence[str]] = {}
    max_words = None
    allow_new_types = False

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        for one in documents:
            word = one.text.split(" ", 1)[0]
            yield one.with_spans([Span(0, len(word), "Word", word)])

    def remarks(self) -> list[str]:
        return []


@dataclass(frozen=True)
class Generator:
    """Reads documents that are in no file.

    Attributes:
        count: how many.
    """

    count: int
    skips = False

    def documents(self, source: Source, report: Report) -> Iterator[Document]:
        for i in range(self.count):
            yield Document(str(i), f"Text{i} says that aspirin reduces fever in patients with influenza.")


def tag(folder: Path, count: int) -> dict[str, float]:
    """Seconds, and peak MB of the run and of its worker.

    Raises:
        VanerError: documents are missing from the output.
    """
    source = Source("generated", "generated", folder / "generated.jsonl")
    job = Job([source], folder, {"documents": count}, "jsonl", Generator(count))
    started = time.perf_counter()
    run(job, functools.partial(ProcessPool, Nothing(), 1))
    seconds = time.perf_counter() - started
    with source.output.open("rb") as file:
        lines = sum(1 for _ in file)
    if lines != count:
        raise VanerError(f"{source.output}: {lines} lines for {count} documents")
    return {
        "documents": count,
        "seconds": seconds,
        "peak_mb": _peak_mb(),
        "worker_peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6,
        "output_mb": source.output.stat().st_size / 1e6,
    }


def _peak_mb() -> float:
    """Of this process. What `getrusage` says of it counts what its parent had before it was begun."""
    path = Path("/proc/self/status")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    raise SystemExit(guarded(main))
