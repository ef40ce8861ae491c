"""In: what went wrong and where. Out: exceptions whose one-line message says what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(message: str) -> str:
    """The message with line breaks and other control characters, of an id or a path, written as ``\\n`` and so on."""
    return _NOT_SHOWN.sub(lambda found: repr(found[0])[1:-1], message)


class VanerError(ValueError):
    """Bad input or a wrong setting: one line that names the place and the remedy.

    The command line prints it as ``error: <message>`` and exits with status 2.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class OffsetError(VanerError):
    """A span whose offsets do not select its text."""


class FormatError(VanerError):
    """A file that does not follow its format; the message starts with ``file:line:``."""


def place(path: object, line: int | None = None) -> str:
    """``file`` or ``file:line``, the way compilers and editors write it."""
    return f"{path}:{line}" if line is not None else str(path)


def near(word: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> str | None:
    """``did you mean X?`` where a known word is spelt like ``word``, capitals aside; None where none is.

    Args:
        word: what was given.
        known: what could have been meant.
        most: how many suggestions are made.
        cutoff: similarity that one needs, in [0, 1] (`difflib.get_close_matches`).
    """
    folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=most, cutoff=cutoff)
    return f"did you mean {' or '.join(folded[one] for one in close)}?" if close else None
