"""In: sources, a tagger's settings, workers, a folder. Out: a tagged file a source, and what the next run goes on from.

plan -> units -> workers -> store -> output files
        |________________________|
        one loop, in one process: it reads, hands out, keeps and assembles; a few units are in memory at a time
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from vaner.errors import VanerError
from vaner.files import DISK_FULL
from vaner.jobs import record
from vaner.jobs.assembly import Tally, assemble, told, write_deleted, write_rejected
from vaner.jobs.lock import locked
from vaner.jobs.pool import Pool
from vaner.jobs.progress import Progress
from vaner.jobs.sources import OF_RUN, WORK, Source
from vaner.jobs.store import Store, lines
from vaner.jobs.trials import Done, Trials
from vaner.jobs.units import Cut, End, Reader, Rejected, Unit, units
from vaner.jobs.worker import Task

# Documents that are rejected in a row before any was tagged, after which it is not the documents.
_HOPELESS = 20


class Interrupted(BaseException):
    """A signal that asks the run to end.

    Attributes:
        signal: which.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


@dataclass(frozen=True)
class Job:
    """What a run does.

    Attributes:
        sources: what is read, each of another name and output.
        output: the folder of the outputs; made where it is not there.
        record: what decides the bytes of the outputs (`vaner.jobs.record.of_run`).
        format: of the outputs; options may follow.
        reader: what reads a source.
        cut: where units end.
        tally: makes what counts over the documents of a source.
    """

    sources: Sequence[Source]
    output: Path
    record: Mapping[str, Any]
    format: str
    reader: Reader
    cut: Cut = Cut()
    tally: Callable[[], Tally] | None = None


@dataclass
class Result:
    """What a run's outputs hold, whichever run made them, and what this one did.

    Attributes:
        counts: documents, characters, spans and rejected, of all sources; files that were written; documents that
            sources say exist no longer.
        told: kind of thing that readers and writers repaired or left out -> how often, and the first message.
        tallies: what was counted over each source's documents, in the order of the sources; then over those that are
            no sources any more.
        notes: sentences that a user should know.
        here: documents, tokens, padded_tokens and units of this run alone.
        seconds: of this run.
    """

    counts: Counter[str] = field(default_factory=Counter)
    told: dict[str, list[Any]] = field(default_factory=dict)
    tallies: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    here: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def run(job: Job, workers: Callable[[], Pool], *, overwrite: bool = False, progress: str = "none") -> Result:
    """Tag what is not tagged yet, and write what is not written yet.

    Args:
        job: what is done.
        workers: begins the workers; called once all that can be refused was refused, and not if nothing is left to do.
        overwrite: throw away what another run left in the output folder, and what it wrote.
        progress: ``bar``, ``json`` or ``none``.

    Raises:
        VanerError: the output folder is another run's, is in use or cannot be written to; a source that has changed;
            a document that cannot be read, where the reader does not skip it; no worker can load the model; nobody
            answers who was to tag.
        Interrupted: by SIGTERM or Ctrl-C; all finished units are kept.
    """
    started = time.monotonic()
    with _disk_errors(job.output), ExitStack() as stack:
        (job.output / WORK).mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(job.output / WORK / "lock"))
        stack.enter_context(_signals())
        if overwrite:
            _clear(job)
        store = Store(job.output)
        notes = _same_run(job, store)
        notes += _check_sources(job, store)
        ours = _Run(job, store, progress)
        try:
            ours.tag(workers)
        finally:
            ours.progress.close()
            rejected = write_rejected(store, job.output, job.sources)
        result = _result(job, store, notes, rejected)
        result.counts["deleted"] = write_deleted(store, job.output, job.sources)
        result.here = ours.progress.counts
        result.seconds = time.monotonic() - started
        return result


class _Run:
    """The loop.

    Attributes:
        waiting: tasks that failed and are tried again, before any other.
        tasks: key -> what is with the workers.
        cut: what is known of units that are with the workers, till they are kept.
    """

    def __init__(self, job: Job, store: Store, progress: str) -> None:
        self.job = job
        self.store = store
        self.sources = {source.name: source for source in job.sources}
        self.trials = Trials()
        self.waiting: deque[Task] = deque()
        self.tasks: dict[tuple[str, int, int], Task] = {}
        self.cut: dict[tuple[str, int], Unit] = {}
        self.fruitless = 0
        left = [source for source in job.sources if not self._complete(source.name)]
        sizes = [source.size() for source in left]
        self.progress = Progress(progress, None if None in sizes else sum(size or 0 for size in sizes))

    def _complete(self, name: str) -> bool:
        return name in self.store.sources and self.store.sources[name].complete is not None

    def tag(self, workers: Callable[[], Pool]) -> None:
        ahead = self._units()
        # Nothing is begun for a run of which nothing is left.
        first = next(ahead, None)
        if first is None:
            return
        self.waiting.append(first)
        pool = workers()
        begun, exhausted = False, False
        try:
            while True:
                while pool.room():
                    if not begun:
                        begun = True
                        self.progress.begun()
                    task = self.waiting.popleft() if self.waiting else next(ahead, None)
                    if task is None:
                        exhausted = True
                        break
                    self.tasks[task.key] = task
                    pool.submit(task)
                if exhausted and not self.tasks and not self.waiting:
                    return
                for outcome in pool.wait(0.5):
                    if outcome.hopeless:
                        raise VanerError(
                            f"{outcome.failure}; see to it and give the same command again: it goes on with what was "
                            "finished"
                        )
                    task = self.tasks.pop(outcome.key)
                    more, done = self.trials.took(task, outcome)
                    self.waiting.extend(more)
                    if done is not None:
                        self._keep(task, done)
        finally:
            pool.close()

    def _units(self) -> Iterator[Task]:
        """The units that are not tagged yet; sources of which nothing else is missing are assembled on the way."""
        for source in self.job.sources:
            if self._complete(source.name):
                continue
            if source.name in self.store.sources and self.store.sources[source.name].tagged:
                self._assemble(source)
                continue
            if source.name not in self.store.sources:
                self.store.begin(source.name, record.stamp(source))
            for unit in units(source, self.job.reader, self.job.cut):
                if isinstance(unit, End):
                    self._end(source, unit)
                elif (kept := self.store.sources[source.name].units.get(unit.number)) is None:
                    self.cut[unit.source, unit.number] = unit
                    yield Task((unit.source, unit.number, -1), unit.documents)
                elif kept["input"] != unit.fingerprint():
                    raise VanerError(
                        f"{source.path}: document {unit.documents[0].id} and those after it are not what they were "
                        "when this run began; give it the same input, or start anew with --overwrite"
                    )

    def _end(self, source: Source, end: End) -> None:
        line = {"units": end.units, "broken": end.broken, "told": told(end.report)}
        line["rejected"] = [vars(one) for one in end.rejected]
        line["deleted"] = end.report.deleted
        self.store.end(source.name, line)
        self.progress.counts["rejected"] += len(end.rejected)
        self._assemble_if_tagged(source)

    def _keep(self, task: Task, done: Done) -> None:
        name, number, _ = task.key
        unit = self.cut.pop((name, number))
        source = self.sources[name]
        self._check_hope(done)
        rejected = unit.rejected + [Rejected(source.path, one.id, why) for one, why in done.rejected]
        line = {
            "input": unit.fingerprint(),
            "seconds": round(done.tagged.seconds, 3),
            "counts": done.tagged.counts,
            "rejected": [vars(one) for one in rejected],
            **({"singly": True} if done.singly else {}),
        }
        self.store.keep(name, number, done.tagged.content, line)
        self.progress.counts["rejected"] += len(rejected)
        self.progress.unit(name, unit.read, done.tagged.counts)
        self._assemble_if_tagged(source)

    def _check_hope(self, done: Done) -> None:
        """Where nothing can be tagged, it is not the documents: better to stop than to reject them all."""
        if done.tagged.counts["documents"]:
            self.fruitless = -1
        elif self.fruitless >= 0:
            self.fruitless += len(done.rejected)
            if self.fruitless >= _HOPELESS:
                raise VanerError(
                    f"none of the first {self.fruitless} documents could be tagged: {done.rejected[-1][1]}; look at "
                    "the model and the settings (--batch_tokens, --device, --dtype)"
                )

    def _assemble_if_tagged(self, source: Source) -> None:
        if self.store.sources[source.name].tagged:
            self._assemble(source)

    def _assemble(self, source: Source) -> None:
        assemble(self.store, source, self.job.format, self.job.tally)
        self.progress.source(source.name, source.size())


def _same_run(job: Job, store: Store) -> list[str]:
    """Refuse to go on with another run's work; remember this one's record where there is none."""
    path = job.output / WORK / "run.json"
    if not any(one.units or one.end or one.complete for one in store.sources.values()):
        # Nothing came of it (an option was misspelt, say): there is no work that other settings could spoil.
        path.unlink(missing_ok=True)
        store.begin_anew()
    if not path.exists():
        for file in [source.output for source in job.sources] + [job.output / name for name in OF_RUN]:
            _check_free(file)
        record.save(path, job.record)
        return []
    before = record.load(path)
    if found := record.differences(before, job.record):
        raise VanerError(
            f"{job.output}: holds a run with other settings ({'; '.join(found)}); take those to go on, or start anew "
            "with --overwrite"
        )
    if found := record.moved(before, job.record):
        return [f"this run began elsewhere ({'; '.join(found)}); what it tags now may differ in rounding"]
    return []


def _check_free(file: Path) -> None:
    if file.exists():
        raise VanerError(
            f"{file}: exists, and no run that could go on wrote it; name another folder, or replace it with --overwrite"
        )


def _check_sources(job: Job, store: Store) -> list[str]:
    """Refuse sources that changed since they were begun, and new ones that would replace a file; say which came, and
    which went."""
    named = {source.name: source for source in job.sources}
    written = {
        progressed.complete["output"]: name
        for name, progressed in store.sources.items()
        if progressed.complete is not None and not progressed.complete["missing"]
    }
    new = [source for source in job.sources if source.name not in store.sources]
    for one in new:
        if (other := written.get(os.path.relpath(one.output, job.output))) is not None:
            raise VanerError(
                f"{one.output}: is what {other} became, and {one.path} would replace it; rename the input, or name "
                "another folder to write to"
            )
        _check_free(one.output)
    notes = []
    for name, progressed in list(store.sources.items()):
        source = named.get(name)
        complete = progressed.complete is not None
        if source is None or not (source.path == "-" or os.path.exists(source.path) or not progressed.stamp):
            if not complete:
                raise VanerError(
                    f"{job.output}: holds a run that has begun {name}, which is no input now; name it, or start anew "
                    "with --overwrite"
                )
            notes.append(f"{name} is no input any more; what it became stays")
        elif record.changed(source, progressed.stamp, read_again=not complete):
            raise VanerError(
                f"{source.path}: has changed since this run began it; give it its old content, or start anew with "
                "--overwrite"
            )
        elif progressed.complete and not progressed.complete["missing"] and not source.output.exists():
            notes.append(f"{source.output} was taken away, and is written again")
            store.forget(name)
    if new and store.sources and all(had.complete for had in store.sources.values()):
        notes.append(f"{len(new):,} inputs are new since the last run")
    return notes


def _clear(job: Job) -> None:
    """Remove what a run left, and wrote, and what stands where this one will write."""
    output = job.output
    with suppress(VanerError):  # the rest of a damaged manifest says nothing of outputs
        for line in lines(output / WORK / "manifest.jsonl"):
            if line["kind"] == "complete":
                (output / line["output"]).unlink(missing_ok=True)
    for entry in (output / WORK).iterdir():
        if entry.name == "lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for file in [source.output for source in job.sources] + [output / name for name in OF_RUN]:
        file.unlink(missing_ok=True)


def _result(job: Job, store: Store, notes: list[str], rejected: int) -> Result:
    result = Result(notes=notes)
    for name, progressed in store.sources.items():
        assert progressed.complete is not None and progressed.end is not None, name
        for count in ("documents", "characters", "spans"):
            result.counts[count] += progressed.complete[count]
        result.counts["files"] += not progressed.complete["missing"]
        for line in (progressed.end, progressed.complete):
            for kind, (count, message) in line["told"].items():
                result.told.setdefault(kind, [0, message])[0] += count
    result.counts["rejected"] = rejected
    result.tallies = [store.tally(name) for name in store.in_order(job.sources)]
    return result


@contextmanager
def _signals() -> Iterator[None]:
    """Meanwhile SIGTERM and Ctrl-C raise Interrupted, once: what follows is short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not caught:
            caught.append(number)
            raise Interrupted(number)

    before = {one: signal.signal(one, interrupt) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _disk_errors(output: Path) -> Iterator[None]:
    """A disk that is full or read-only, in one line."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            what = "make room there"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR):
            what = "make it possible to write there, or name another folder,"
        else:
            what = "see to it"
        raise VanerError(
            f"{error.filename or output}: {error.strerror}; {what} and give the same command again: it goes on with "
            "what was finished"
        ) from error
