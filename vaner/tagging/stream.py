"""In: documents, and how a buffer of them is prepared, read and finished. Out: finished documents, in input order.

Other threads read one buffer (the forward passes), while the caller's thread takes in and prepares the next and
finishes the one before:

    caller    prepare 1 | prepare 2 |     finish 1, prepare 3 |     finish 2 ...
    forward             | read 1          | read 2            | read 3 ...

On a CPU there are as many of them as torch has threads, and each reads batches of its own, alone
(`vaner.tagging.threads`); on an accelerator there is one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Generic, Protocol, TypeVar

import torch

from vaner.document import Document
from vaner.tagging.forking import forks
from vaner.tagging.threads import alone, use_threads, workers
from vaner.text.units import Text

#: Row numbers of each sequence of a batch; a sequence holds one row unless rows are packed.
Batch = list[list[int]]


class Prepared(Protocol):
    """Documents that are read together."""

    @property
    def batches(self) -> list[Batch]:
        """What is read at a time."""
        ...


B = TypeVar("B", bound=Prepared)


@dataclass(frozen=True)
class Stream(Generic[B]):
    """How documents pass through a model.

    Attributes:
        device: of the model; says how many threads read.
        enough: tokens that are collected before they are prepared.
        tokens: how many a text has.
        prepare: texts -> a buffer, in the caller's thread.
        read: reads one batch of a buffer, in a thread of its own.
        finish: a buffer whose batches were read -> its documents, in the caller's thread.
    """

    device: torch.device
    enough: int
    tokens: Callable[[Text], int]
    prepare: Callable[[Sequence[Text]], B]
    read: Callable[[B, Batch], None]
    finish: Callable[[B], Iterable[Document]]

    def run(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents, finished; an error of the input is raised after all that stood before it were given out."""
        failure = None
        stop = Event()
        threads = torch.get_num_threads()
        with ThreadPoolExecutor(workers(self.device, threads), "vaner-forward") as pool:
            ahead: deque[tuple[B, list[Future[None]]]] = deque()
            try:
                for texts, failure in self._texts(documents):  # noqa: B007 - the last one's is raised
                    buffer = self.prepare(texts)
                    ahead.append((buffer, self._submit(pool, threads, buffer, stop)))
                    while ahead and (len(ahead) > 1 or all(one.done() for one in ahead[0][1])):
                        yield from self._finished(*ahead.popleft())
                while ahead:
                    yield from self._finished(*ahead.popleft())
            finally:
                # Who stops listening, or an error, does not wait for what was read ahead.
                stop.set()
        if failure is not None:
            raise failure

    def _texts(self, documents: Iterable[Document]) -> Iterator[tuple[list[Text], Exception | None]]:
        """A buffer's worth of documents at a time; an error of the input comes with those that stood before it."""
        texts: list[Text] = []
        waiting = 0
        failure: Exception | None = None
        left = iter(documents)
        while failure is None:
            try:
                texts.append(Text.of(next(left)))
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            waiting += self.tokens(texts[-1])
            if waiting >= self.enough:
                yield texts, None
                texts, waiting = [], 0
        if texts or failure:
            yield texts, failure

    def _submit(self, pool: ThreadPoolExecutor, threads: int, buffer: B, stop: Event) -> list[Future[None]]:
        number = workers(self.device, threads)
        # Fewer batches than workers would leave some idle: then all threads read one batch after the other.
        if len(buffer.batches) < number and not alone.is_set():
            return [pool.submit(self._read, buffer, buffer.batches, threads, stop)]
        each = 1 if alone.is_set() else threads // number
        return [pool.submit(self._read, buffer, [one], each, stop) for one in buffer.batches]

    def _read(self, buffer: B, batches: Sequence[Batch], threads: int, stop: Event) -> None:
        use_threads(threads)
        for batch in batches:
            if stop.is_set():
                return
            with forks.held_off():
                self.read(buffer, batch)

    def _finished(self, buffer: B, read: list[Future[None]]) -> Iterable[Document]:
        for one in read:
            one.result()
        return self.finish(buffer)
