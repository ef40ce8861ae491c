"""In: JSON Lines of any length, as they come. Out: JSON Lines, as they are tagged, in the same order.

    body  ->  lines  ->  pieces that wait in line  ->  answers  ->  client
                         |__ at most AHEAD characters __|

More is read only when less is on its way, and more is tagged only when the client has read: memory does not grow with
the length. A line that cannot be read or tagged gets a line with ``error`` in its place; the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vaner.document import Document
from vaner.serving.batching import RUN_CHARACTERS, Failed, Job
from vaner.serving.bodies import ClientGone, gone
from vaner.serving.desk import Desk, awaitable, too_late, why
from vaner.serving.downloads import record
from vaner.serving.errors import RequestError
from vaner.serving.schemas import StreamedText, check_texts, parse
from vaner.serving.shared import Asked, Said, Wish

#: Characters of a stream that are read and not answered; a single line may have more.
AHEAD = 2 * RUN_CHARACTERS
#: Streams at a time.
STREAMS = 16
#: Seconds after which a stream looks whether it is to stop.
_LOOKS = 0.5
_MEDIA_TYPE = "application/x-ndjson"


@dataclass(frozen=True)
class _Line:
    """A line of the body.

    Attributes:
        number: from 1.
        document: what it says; None where it says nothing that can be read.
        error: why.
    """

    number: int
    document: Document | None = None
    error: RequestError | None = None


@dataclass(frozen=True)
class _Piece:
    """Lines that wait in line together."""

    lines: list[_Line]
    job: Job[Asked, Said]
    answer: asyncio.Future[list[Said | Failed]]
    characters: int


class Lines:
    """A body's lines, of parts as they come.

    Args:
        longest: bytes of a line; a longer one is left out and told.
        max_text: characters of a text.
    """

    def __init__(self, longest: int, max_text: int) -> None:
        self._longest, self._max_text = longest, max_text
        self._rest = bytearray()
        self._skipping = False
        self._number = 0

    def take(self, part: bytes, *, last: bool = False) -> Iterator[_Line]:
        """The lines that a part of the body completes; with ``last`` also what stands behind the last line break."""
        self._rest += part
        *whole, rest = self._rest.split(b"\n")
        self._rest = bytearray(rest)
        for line in whole:
            yield from self._line(line)
        if len(self._rest) > self._longest:
            if not self._skipping:
                yield self._too_long(self._number + 1)
            self._skipping = True
            self._rest.clear()
        if last and (self._rest or self._skipping):
            yield from self._line(self._rest)

    def _line(self, line: bytearray) -> Iterator[_Line]:
        self._number += 1
        if self._skipping:
            self._skipping = False
        elif len(line) > self._longest:
            yield self._too_long(self._number)
        elif line.strip():
            yield self._read(bytes(line))

    def _read(self, line: bytes) -> _Line:
        try:
            found = parse(StreamedText, line)
            document = Document(str(self._number if found.id is None else found.id), found.text)
            check_texts([document], self._max_text)
        except RequestError as error:
            return _Line(self._number, error=error)
        return _Line(self._number, document)

    def _too_long(self, number: int) -> _Line:
        message = f"line {number}: has more than {self._longest:,} bytes; cut its text into parts"
        return _Line(number, error=RequestError("too_large", message))


class Streams:
    """The streams that are open."""

    def __init__(self) -> None:
        self._open = 0

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """A place for one.

        Raises:
            RequestError: ``too_busy`` where there is none.
        """
        if self._open >= STREAMS:
            raise RequestError(
                "too_busy", f"{STREAMS} streams are open already; try again later", {"Retry-After": "30"}
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


class StreamAnswer(Response):
    """The answer to a stream; it reads the body while it is sent.

    Args:
        desk: has the lines tagged.
        streams: that are open.
        wish: what the request asks.
        asked: the same, for the models.
    """

    media_type = _MEDIA_TYPE

    def __init__(self, desk: Desk, streams: Streams, wish: Wish, asked: Asked) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._desk, self._streams, self._wish, self._asked = desk, streams, wish, asked
        self._pieces: deque[_Piece] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, where there is a place for one more."""
        with self._streams.admitted(), self._desk.admitted():
            await self._send(
                send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            )
            try:
                await self._run(receive, send)
            finally:
                for piece in self._pieces:
                    self._desk.batcher.cancel(piece.job)
            await self._send(send, {"type": "http.response.body", "body": b""})

    async def _run(self, receive: Receive, send: Send) -> None:
        settings = self._desk.settings
        lines = Lines(settings.max_body, settings.max_text)
        reading: asyncio.Future[Any] | None = asyncio.ensure_future(receive())
        ended = False
        moved = time.monotonic()
        try:
            while not ended or self._pieces:
                waiting: set[asyncio.Future[Any]] = set()
                if self._pieces:
                    waiting.add(self._pieces[0].answer)
                if reading is not None and (ended or self._ahead < AHEAD):
                    waiting.add(reading)
                done, _ = await asyncio.wait(waiting, timeout=_LOOKS, return_when=asyncio.FIRST_COMPLETED)
                late = time.monotonic() - moved > settings.timeout
                if done:
                    moved = time.monotonic()
                elif late and not self._pieces:
                    await self._end(
                        send, RequestError("too_slow", "nothing came for too long; send it again")
                    )
                    return
                if self._pieces and (late or self._pieces[0].answer in done):
                    await self._answer(self._pieces.popleft(), send, 0)
                    moved = time.monotonic()
                if reading in done and ended:
                    raise ClientGone
                if reading in done and reading is not None:
                    message = reading.result()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    ended = not message.get("more_body", False)
                    self._submit(list(lines.take(message.get("body", b""), last=ended)))
                    reading = asyncio.ensure_future(gone(receive) if ended else receive())
                if self._desk.stopping and not ended:
                    while self._pieces:
                        await self._answer(self._pieces.popleft(), send, settings.timeout)
                    stops = RequestError("stopping", "the server stops; send what follows this line again")
                    await self._end(send, stops)
                    return
        finally:
            if reading is not None:
                reading.cancel()

    @property
    def _ahead(self) -> int:
        return sum(piece.characters for piece in self._pieces)

    def _submit(self, lines: list[_Line]) -> None:
        """Put lines in line, in pieces that a run can take whole."""
        piece: list[_Line] = []
        characters = 0
        for line in lines:
            piece.append(line)
            characters += len(line.document.text) if line.document else 0
            if characters >= RUN_CHARACTERS:
                self._wait(piece, characters)
                piece, characters = [], 0
        if piece:
            self._wait(piece, characters)

    def _wait(self, lines: list[_Line], characters: int) -> None:
        documents = [line.document for line in lines if line.document is not None]
        job = self._desk.batcher.submit(self._asked, documents)
        self._pieces.append(_Piece(lines, job, awaitable(job.future), characters))

    async def _answer(self, piece: _Piece, send: Send, seconds: float) -> None:
        """Send the answers to a piece, which have so many seconds to be there."""
        await asyncio.wait({piece.answer}, timeout=seconds)
        if piece.answer.done():
            said = piece.answer.result()
        else:
            self._desk.batcher.cancel(piece.job)
            late = too_late(self._desk.settings.timeout)
            said = [Failed(late) for _ in piece.job.documents]
        pairs = list(zip(piece.job.documents, said, strict=True))
        good = [(document, one) for document, one in pairs if not isinstance(one, Failed)]
        tagged, _ = await self._desk.finished(
            self._wish, self._asked, [document for document, _ in good], [one for _, one in good]
        )
        answers = iter(tagged)
        failures = iter(pairs)
        found = []
        for line in piece.lines:
            if line.document is None:
                found.append(_told(line))
                continue
            document, one = next(failures)
            if isinstance(one, Failed):
                self._desk.metrics.failed.inc()
                error = one.error if isinstance(one.error, RequestError) else why(document, one)
                found.append(_told(_Line(line.number, document, error)))
            else:
                found.append(record(next(answers)))
        body = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found).encode()
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})

    async def _end(self, send: Send, error: RequestError) -> None:
        body = json.dumps({"error": error.record()}).encode() + b"\n"
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        """Send, and give up on a client that does not read."""
        try:
            with anyio.fail_after(self._desk.settings.timeout):
                await send(message)
        except TimeoutError:
            raise ClientGone from None


def _told(line: _Line) -> dict[str, Any]:
    """What stands in the place of a line that has no answer."""
    assert line.error is not None
    named = {"line": line.number} | ({} if line.document is None else {"id": line.document.id})
    return named | {"error": line.error.record()}
