"""In: the texts of a request, what it asks. Out: its tagged documents, or why it gets none; one place for every route.

A request is admitted while fewer than ``max_queue`` are open, its texts wait in line, and it is answered within
``timeout`` seconds or not at all. When its client goes away, its texts leave the line.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread
from starlette.types import Receive

import vaner
from vaner.document import Document
from vaner.errors import VanerError
from vaner.serving.batching import Batcher, Failed, Job
from vaner.serving.bodies import ClientGone, Memory, Share, gone
from vaner.serving.errors import RequestError
from vaner.serving.metrics import Metrics
from vaner.serving.settings import ServerSettings
from vaner.serving.shared import Asked, Said, SharedTagger, Wish

T = TypeVar("T")
_SMALL = 1 << 16


class Desk:
    """Takes requests while it is open, and has them answered.

    Args:
        settings: what is allowed.
        tagger: what answers.

    Attributes:
        metrics: its numbers.
        stopping: no new request is taken.
        open: how many requests it has.
    """

    def __init__(self, settings: ServerSettings, tagger: SharedTagger) -> None:
        self.settings, self.tagger = settings, tagger
        self.metrics = Metrics(vaner.__version__, tagger.name)
        self.memory = Memory(settings.max_memory)
        self.batcher: Batcher[Asked, Said] = Batcher(
            tagger.read, self.metrics, at_once=2 if tagger.shares else 1
        )
        self.stopping = False
        self.open = 0
        self.metrics.ready.set(1)
        # What JSON and files become in memory is many times their size: one of each is read at a time.
        self._parsing = anyio.CapacityLimiter(1)
        self._reading = anyio.CapacityLimiter(1)

    def stop(self) -> None:
        """Take no new request; those that are open are answered."""
        self.stopping = True
        self.metrics.ready.set(0)

    def close(self) -> None:
        """End the threads, once no request is open."""
        self.batcher.close()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[Share]:
        """A place for a request, and its share of memory.

        Raises:
            RequestError: ``stopping``, or ``too_busy`` where there is no place.
        """
        if self.stopping:
            raise RequestError(
                "stopping", "the server stops; ask another, or try again", {"Retry-After": "5"}
            )
        if self.open >= self.settings.max_queue:
            raise RequestError(
                "too_busy",
                f"{self.open} requests wait already; try again later, or start the server with a larger --max_queue",
                {"Retry-After": str(self._seconds_until_room())},
            )
        self._count(1)
        try:
            with self.memory.share() as share:
                yield share
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self.open += change
        self.metrics.open.set(self.open)
        self.metrics.held.set(self.memory.held)

    def _seconds_until_room(self) -> int:
        """A guess: what waits, by what a run took so far."""
        return max(1, min(60, round(self.batcher.waiting * self.metrics.seconds_a_document())))

    async def parsed(self, parse: Callable[[bytes], T], body: bytes) -> T:
        """What a body says, read beside other work where it is large."""
        if len(body) <= _SMALL:
            return parse(body)
        return await to_thread.run_sync(parse, body, limiter=self._parsing)

    async def read(self, read: Callable[[], T]) -> T:
        """What a file says, read beside other work."""
        return await to_thread.run_sync(read, limiter=self._reading)

    def asked(self, wish: Wish) -> Asked:
        """What the models are asked.

        Raises:
            RequestError: ``invalid``, for an unknown type or dataset.
        """
        try:
            return self.tagger.asked(wish)
        except VanerError as error:
            raise RequestError("invalid", str(error)) from None

    async def tag(
        self, documents: Sequence[Document], wish: Wish, receive: Receive
    ) -> tuple[list[Document], list[str]]:
        """A request's documents with their spans, and what its sender should know.

        Args:
            documents: its own.
            wish: what it asks.
            receive: says when its client goes away; its body has been read.

        Raises:
            RequestError: ``invalid`` for what cannot be tagged, ``timed_out``.
            ClientGone: nobody waits any more.
        """
        asked = self.asked(wish)
        job = self.batcher.submit(asked, documents)
        said = await self._said(job, receive)
        for document, one in zip(documents, said, strict=True):
            if isinstance(one, Failed):
                self.metrics.failed.inc()
                raise why(document, one)
        return await self.finished(
            wish, asked, documents, [one for one in said if not isinstance(one, Failed)]
        )

    async def finished(
        self, wish: Wish, asked: Asked, documents: Sequence[Document], said: Sequence[Said]
    ) -> tuple[list[Document], list[str]]:
        """Documents with their spans, once the models have spoken."""
        tagged, remarks = await to_thread.run_sync(partial(self.tagger.finish, wish, asked, documents, said))
        self.metrics.documents.inc(len(tagged))
        self.metrics.characters.inc(sum(len(one.text) for one in tagged))
        self.metrics.spans.inc(sum(len(one.spans) for one in tagged))
        return tagged, remarks

    async def _said(self, job: Job[Asked, Said], receive: Receive) -> list[Said | Failed]:
        found = awaitable(job.future)
        leaving = asyncio.ensure_future(gone(receive))
        try:
            both: set[asyncio.Future[Any]] = {found, leaving}
            await asyncio.wait(both, timeout=self.settings.timeout, return_when=asyncio.FIRST_COMPLETED)
            if found.done():
                return found.result()
            if leaving.done():
                raise ClientGone
            raise too_late(self.settings.timeout)
        finally:
            leaving.cancel()
            self.batcher.cancel(job)


def awaitable(future: Future[T]) -> asyncio.Future[T]:
    """A result of a thread, to be awaited."""
    return asyncio.wrap_future(future)


def too_late(seconds: float) -> RequestError:
    """What is said where the time is over."""
    return RequestError(
        "timed_out",
        f"the answer took more than {seconds:g} seconds; send fewer texts at a time, or start the server with a larger "
        "--timeout",
    )


def why(document: Document, failed: Failed) -> RequestError:
    """What is said of a document that could not be tagged."""
    if isinstance(failed.error, VanerError):
        return RequestError("invalid", f"document {document.id}: {failed.error}")
    return RequestError(
        "internal",
        f"document {document.id}: could not be tagged ({type(failed.error).__name__}); leave it out, and tell the "
        "maintainers of VANER",
    )
