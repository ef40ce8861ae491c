"""In: bytes. Out: what a server answers to exactly these, whatever a well-behaved client would have sent."""

from __future__ import annotations

import socket
import time


def connected(port, seconds=30):
    made = socket.create_connection(("127.0.0.1", port))
    made.settimeout(seconds)
    return made


def exchanged(port, *parts, seconds=30, half_closed=False):
    """All that comes back until the server ends the connection; it may end it while we send.

    ``half_closed``: we end our side first.
    """
    with connected(port, seconds) as wire:
        try:
            for part in parts:
                wire.sendall(part)
            if half_closed:
                wire.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return rest(wire)


def rest(wire):
    found = b""
    try:
        while part := wire.recv(1 << 16):
            found += part
    except ConnectionError:
        pass
    return found


def until(wire, end):
    """What comes until ``end`` is in it."""
    found = b""
    until = time.monotonic() + 30
    while end not in found:
        assert time.monotonic() < until
        part = wire.recv(1 << 16)
        assert part, found
        found += part
    return found


def request(method, path, *headers, body=None):
    """A request whose connection ends with it."""
    lines = [f"{method} {path} HTTP/1.1", "Connection: close", *headers]
    if not any(one.lower().startswith("host") for one in headers):
        lines.insert(1, "Host: 127.0.0.1")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
