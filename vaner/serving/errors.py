"""In: what a request did wrong, or the server cannot do. Out: the error that its client is told, as JSON."""

from __future__ import annotations

import json

from vaner.errors import one_line

#: The status of each error, by its code.
STATUS = {
    "bad_request": 400,
    "no_key": 401,
    "forbidden_origin": 403,
    "unknown_host": 403,
    "not_found": 404,
    "wrong_method": 405,
    "too_slow": 408,
    "too_large": 413,
    "wrong_content_type": 415,
    "invalid": 422,
    "too_busy": 429,
    "internal": 500,
    "stopping": 503,
    "timed_out": 504,
}
_LONGEST = 1_000


class RequestError(Exception):
    """What a client is told instead of an answer.

    Args:
        code: one of ``STATUS``.
        message: one line: what was wrong, where, what to do.
        headers: of the answer, beside its own.
    """

    def __init__(self, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.code, self.status = code, STATUS[code]
        self.message = _valid(one_line(message))
        self.headers = headers or {}
        super().__init__(self.message)

    def record(self) -> dict[str, str]:
        """``code`` and ``message``."""
        return {"code": self.code, "message": self.message}

    def body(self) -> bytes:
        """The JSON of the answer."""
        return json.dumps({"error": self.record()}, ensure_ascii=False).encode()


def _valid(message: str) -> str:
    """A message that UTF-8 can hold, of a length that people read."""
    whole = message.encode("utf-8", "backslashreplace").decode("utf-8")
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}..."
