"""In: what went wrong and where. Out: exceptions whose one-line message says what to do."""

from __future__ import annotations


class VanerError(ValueError):
    """Bad input or a wrong setting: one line that names the place and the remedy.

    The command line prints it as ``error: <message>`` and exits with status 2.
    """


class OffsetError(VanerError):
    """A span whose offsets do not select its text."""


class FormatError(VanerError):
    """A file that does not follow its format; the message starts with ``file:line:``."""


def place(path: object, line: int | None = None) -> str:
    """``file`` or ``file:line``, the way compilers and editors write it."""
    return f"{path}:{line}" if line is not None else str(path)
