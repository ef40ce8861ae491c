"""In: the body of a request as it comes. Out: its bytes, within limits of size, time and memory."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import AsyncIterator, Iterator

import anyio
from starlette.types import Message, Receive

from vaner.serving.errors import RequestError

#: After a refusal so much more of a body is read and thrown away, so that its sender gets to read why.
_THROWN_AWAY = 4_000_000
_THROWN_AWAY_SECONDS = 2.0
_BLOCK = 1 << 16
GZIP = b"\x1f\x8b"


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class Memory:
    """Bytes of bodies that are held, all requests together.

    Args:
        most: that may be.
    """

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """A request's part of it, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.held


class Share:
    """What one request holds."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self.held = memory, 0

    def take(self, more: int) -> None:
        """Hold more bytes.

        Raises:
            RequestError: ``too_busy`` where all requests together hold too many.
        """
        if self._memory.held + more > self._memory.most:
            raise RequestError(
                "too_busy", "too many large requests at a time; try again later", {"Retry-After": "5"}
            )
        self.held += more
        self._memory.held += more


async def chunks(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of a body as they come.

    Raises:
        ClientGone: the client went away before the end.
    """
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        if part := message.get("body", b""):
            yield part


async def whole(receive: Receive, length: str | None, most: int, seconds: float, share: Share) -> bytes:
    """A body of at most so many bytes, whether its length was said before or not.

    Args:
        receive: gives its parts.
        length: its Content-Length, if it has one.
        most: bytes that it may have.
        seconds: in which it must have come.
        share: of the memory that it is held in.

    Raises:
        RequestError: ``too_large``, ``too_slow``, or ``too_busy`` where memory is short.
        ClientGone: the client went away before the end.
    """
    if length is not None and length.isdecimal() and int(length) > most:
        raise _too_large(most)
    found = bytearray()
    try:
        with anyio.fail_after(seconds):
            async for part in chunks(receive):
                if len(found) + len(part) > most:
                    raise _too_large(most)
                share.take(len(part))
                found += part
    except TimeoutError:
        raise RequestError(
            "too_slow", f"the body did not come within {seconds:g} seconds; send it faster, or in parts"
        ) from None
    return bytes(found)


async def throw_away(receive: Receive) -> None:
    """Read what else a refused client sends, for a moment: who is cut off while sending never reads the refusal."""
    thrown = 0
    with contextlib.suppress(ClientGone):
        with anyio.move_on_after(_THROWN_AWAY_SECONDS):
            async for part in chunks(receive):
                thrown += len(part)
                if thrown > _THROWN_AWAY:
                    return


def unpacked(body: bytes, most: int) -> bytes:
    """A body, out of its gzip if it is in one; never more than ``most`` bytes are unpacked.

    Raises:
        RequestError: ``too_large``, or ``invalid`` for a broken gzip file.
    """
    if not body.startswith(GZIP):
        return body
    found = bytearray()
    rest = body
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            while not member.eof:
                if not rest:
                    raise RequestError("invalid", "the gzip file is cut short; send it whole")
                found += member.decompress(rest, min(_BLOCK, most + 1 - len(found)))
                rest = member.unconsumed_tail or member.unused_data
                if len(found) > most:
                    raise RequestError(
                        "too_large",
                        f"the file unpacks to more than {most:,} bytes; send it in parts, or start the server with a "
                        "larger --max_body",
                    )
        except zlib.error as error:
            raise RequestError("invalid", f"the gzip file is broken ({error}); send it again") from None
        rest = rest.lstrip(b"\0")  # tapes and some servers fill up the last block
    return bytes(found)


async def gone(receive: Receive) -> None:
    """Returns when the client goes away, after its whole body has come."""
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


def _too_large(most: int) -> RequestError:
    return RequestError(
        "too_large",
        f"the body has more than {most:,} bytes; send it in parts, by /v1/tag/stream, or start the server with a "
        "larger --max_body",
    )
