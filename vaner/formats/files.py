"""In: a path. Out: its lines as bytes, or a file that appears complete or not at all.

Lines end at ``\\n`` (a ``\\r`` before it belongs to the ending) and nowhere else: form feed, U+0085 and
U+2028 are characters of the text, as they are for whoever counted its offsets.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from vaner.errors import FormatError, VanerError, place

BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


@contextlib.contextmanager
def open_bytes(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file to read: ``-`` is standard input, ``*.gz`` is decompressed on the way."""
    if str(path) == "-":
        yield sys.stdin.buffer
    elif str(path).endswith(".gz"):
        with gzip.open(path, "rb") as file:
            yield file
    else:
        with open(path, "rb") as file:
            yield file


def lines(path: str | os.PathLike) -> Iterator[tuple[int, bytes]]:
    """Line number (from 1) and line without its ending or the file's byte order mark.

    Raises:
        FormatError: for UTF-16 and for a gzip file that is cut short.
    """
    number = 0
    with open_bytes(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if number == 1:
                    if line.startswith(UTF16):
                        raise FormatError(
                            f"{path}:1: the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8"
                        )
                    line = line.removeprefix(BOM)
                yield number, line.removesuffix(b"\n").removesuffix(b"\r")
        except BROKEN_GZIP as error:
            raise FormatError(
                f"{place(path, number + 1)}: the gzip file is broken here ({error}); fetch it again"
            ) from None


def decode(data: bytes, where: str) -> str:
    """The text of UTF-8 bytes; FormatError names ``where`` and the first bad byte's offset there."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{where}: byte {error.start} (0x{data[error.start]:02x}) is not UTF-8; "
            "convert the file, for instance: iconv -f LATIN1 -t UTF-8"
        ) from None


def stem(path: str | os.PathLike) -> str:
    """The file's name without ``.gz`` and one more extension, from which ids are made."""
    return "stdin" if str(path) == "-" else Path(str(path).removesuffix(".gz")).stem


def check_parent(path: str | os.PathLike) -> None:
    """Raise VanerError where the folder that is to hold ``path`` does not exist."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        raise VanerError(f"{path}: the folder {parent} does not exist; create it first")


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A binary file that takes the place of ``path`` when the block ends well, else leaves no trace.

    It is written under a temporary name in the same folder, flushed, fsynced and renamed; a symbolic
    link keeps pointing at the file it names. ``*.gz`` is compressed. ``-`` (standard output) and what is
    not a regular file (a pipe, ``/dev/null``) are written directly.
    """
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    check_parent(path)
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise VanerError(f"{path}: is a folder; name a file to write")
    if os.path.exists(target) and not stat.S_ISREG(os.stat(target).st_mode):
        with open(target, "wb") as file:
            yield file
        return
    handle, temporary = tempfile.mkstemp(
        dir=os.path.dirname(target), prefix=f".{os.path.basename(target)[:100]}.", suffix=".tmp"
    )
    try:
        with open(handle, "wb") as raw:
            if str(path).endswith(".gz"):
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
                    yield file
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


@contextlib.contextmanager
def replacing_text(path: str | os.PathLike) -> Iterator[TextIO]:
    """:func:`replacing` for UTF-8 text; ``\\n`` is written as it is."""
    with replacing(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="\n", write_through=False)
        try:
            yield text
            text.flush()
        except UnicodeEncodeError as error:
            raise VanerError(
                f"{path}: the text holds the lone surrogate {error.object[error.start]!r}, "
                "which UTF-8 cannot; replace it before writing"
            ) from None
        finally:
            # The binary file below is flushed, synced and closed by its own block.
            with contextlib.suppress(UnicodeEncodeError, ValueError):
                text.detach()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
