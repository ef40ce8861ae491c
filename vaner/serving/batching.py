"""In: documents of many requests. Out: what is found in each; requests that ask the same share runs of the tagger.

    waiting    A: a1 a2 a3 ... a90      B: b1      C: c1 c2      (D asks for other types)
    run 1      a1 ... a60 | b1 c1 c2 wait
    run 2      b1 c1 c2 a61 ... a90

A run takes documents of the request that waits longest, then of those behind it that ask the same, up to so many
characters; a request that needs more goes to the end of the line, so that a large one holds nobody up. Two runs go on
at a time: while one is computed, the other is put together, and its last batches leave no processor idle.

What is found in a document does not depend on its neighbours: the tagger promises that of its batches. A run that
fails is cut in halves until the document to blame stands alone, and only that one has failed.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vaner.document import Document
from vaner.serving.metrics import Metrics

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

#: Characters of a run: some 16,000 tokens. Half as many cost a tenth of the speed: fewer texts to sort into batches.
RUN_CHARACTERS = 64_000


@dataclass(frozen=True)
class Failed:
    """Why a document could not be tagged."""

    error: Exception


@dataclass(eq=False)
class Job(Generic[K, R]):
    """A request on its way.

    Attributes:
        key: what it asks; jobs with the same share runs.
        documents: its own.
        found: for each document what was found, once it was.
        future: is given ``found`` when it is complete.
        started: how many documents were given to runs.
        left: how many are not found yet.
    """

    key: K
    documents: Sequence[Document]
    found: list[R | Failed | None] = field(init=False)
    future: Future[list[R | Failed]] = field(default_factory=Future)
    started: int = 0
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.found = [None] * len(self.documents)
        self.left = len(self.documents)


class Batcher(Generic[K, R]):
    """Jobs in, what is found out.

    Args:
        read: tags documents that ask the same: ``(key, documents) -> one result a document``. It is called by
            ``at_once`` threads.
        metrics: is told of runs and of what waits.
        at_once: how many runs go on at a time.
        characters: of a run; one document is always taken.
    """

    def __init__(
        self,
        read: Callable[[K, Sequence[Document]], Sequence[R]],
        metrics: Metrics,
        *,
        at_once: int = 2,
        characters: int = RUN_CHARACTERS,
    ) -> None:
        self._read, self._metrics, self._characters = read, metrics, characters
        self._waiting: deque[Job[K, R]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"vaner-run-{n}", daemon=True) for n in range(at_once)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, key: K, documents: Sequence[Document]) -> Job[K, R]:
        """Put a request in line; its ``future`` is given the results, in the order of ``documents``."""
        job: Job[K, R] = Job(key, documents)
        if not documents:
            job.future.set_result([])
            return job
        with self._changed:
            if self._closed:
                raise RuntimeError("submit after close")
            self._waiting.append(job)
            self._tell()
            self._changed.notify()
        return job

    def cancel(self, job: Job[K, R]) -> None:
        """Take a request out of the line; what a run has of it is computed and thrown away."""
        with self._changed:
            job.future.cancel()
            if job in self._waiting:
                self._waiting.remove(job)
                self._tell()

    @property
    def waiting(self) -> int:
        """Documents that no run has taken yet."""
        return sum(len(job.documents) - job.started for job in list(self._waiting))

    def close(self) -> None:
        """Let the threads end once nothing waits any more, and wait for them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _tell(self) -> None:
        self._metrics.waiting.set(sum(len(job.documents) - job.started for job in self._waiting))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                key, taken = self._take()
                self._tell()
                if self._waiting:
                    self._changed.notify()
            documents = [job.documents[number] for job, number in taken]
            with self._metrics.run(len(documents)):
                found = self._found(key, documents)
            self._give(taken, found)

    def _take(self) -> tuple[K, list[tuple[Job[K, R], int]]]:
        """The documents of the next run, each as its job and its number there."""
        key = self._waiting[0].key
        taken: list[tuple[Job[K, R], int]] = []
        room = self._characters
        unfinished: list[Job[K, R]] = []
        for job in [job for job in self._waiting if job.key == key]:
            while job.started < len(job.documents) and (room > 0 or not taken):
                taken.append((job, job.started))
                room -= len(job.documents[job.started].text)
                job.started += 1
            if job.started == len(job.documents):
                self._waiting.remove(job)
            elif job.started:
                unfinished.append(job)
            if room <= 0:
                break
        for job in unfinished:
            self._waiting.remove(job)
            self._waiting.append(job)
        return key, taken

    def _found(self, key: K, documents: Sequence[Document]) -> list[R | Failed]:
        try:
            found = list(self._read(key, documents))
            if len(found) != len(documents):
                raise RuntimeError(f"{len(found)} results for {len(documents)} documents")
            return [*found]
        except Exception as error:
            # No text is logged, and messages of errors may quote it.
            log.warning("a run of %d documents failed (%s)", len(documents), type(error).__name__)
            if len(documents) == 1:
                return [Failed(error)]
        middle = len(documents) // 2
        return self._found(key, documents[:middle]) + self._found(key, documents[middle:])

    def _give(self, taken: Sequence[tuple[Job[K, R], int]], found: Sequence[R | Failed]) -> None:
        with self._changed:
            for (job, number), one in zip(taken, found, strict=True):
                job.found[number] = one
                job.left -= 1
                if not job.left and job.future.set_running_or_notify_cancel():
                    job.future.set_result([one for one in job.found if one is not None])
