"""In: a path. Out: its lines as bytes, its YAML, its hash; or a file that appears complete or not at all.

Lines end at ``\\n`` (a ``\\r`` before it belongs to the ending) and nowhere else: form feed, U+0085 and
U+2028 are characters of the text, as they are for whoever counted its offsets.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import importlib.resources
import io
import os
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import yaml

from vaner.errors import FormatError, VanerError, place

BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: errno of a disk, a quota or an allowance for files that is used up.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is there

#: Is given every file that open_bytes opens, as it lies on the disk: how far it was read says how far a run is.
opening: ContextVar[Callable[[BinaryIO], None] | None] = ContextVar("opening", default=None)


@contextlib.contextmanager
def open_bytes(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open a file to read: ``-`` is standard input, ``*.gz`` is decompressed on the way.

    Raises:
        FormatError: while it is read, for a gzip file that is broken or cut short.
    """
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with open(path, "rb") as file:
        if (told := opening.get()) is not None:
            told(file)
        if not str(path).endswith(".gz"):
            yield file
            return
        with gzip.GzipFile(fileobj=file, mode="rb") as unzipped:
            try:
                yield cast(BinaryIO, unzipped)  # typing does not count it as one
            except BROKEN_GZIP as error:
                raise FormatError(f"{path}: the gzip file is broken ({error}); fetch it again") from None


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


def read_yaml(path: str | os.PathLike) -> dict[Any, Any]:
    """A YAML file that is a mapping of names to values; empty for an empty file.

    Raises:
        FormatError: for what is not YAML, not UTF-8 or no mapping; names the file and the line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, _YAML)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = place(path, mark.line + 1 if mark else None)
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise FormatError(f"{where}: not YAML ({problem}); correct it") from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    if not isinstance(content, dict | None):
        raise FormatError(f"{path}: no mapping; write lines of 'name: value'")
    return content or {}


def sha256(path: str | os.PathLike) -> str:
    """sha256 of a file's bytes, in hexadecimal digits; of a folder (brat), that of its files' names and hashes."""
    path = Path(path)
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
    else:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def shipped(folder: str) -> Path:
    """A folder that is shipped with the package: ``data`` (registry, samples, models) or ``kb`` (vocabularies).

    Raises:
        VanerError: it is not there.
    """
    package = Path(str(importlib.resources.files("vaner")))
    # Installed, it lies inside the package; in a checkout beside it.
    for found in (package / folder, package.parent / folder):
        if (found / "README.md").is_file():
            return found
    raise VanerError(f"{package / folder}: is missing; install vaner again")


def cache_folder() -> Path:
    """Where backbones and what was computed once are kept: ``VANER_CACHE``, or ``vaner`` in the user's cache."""
    if chosen := os.environ.get("VANER_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaner"


def refuse_pipe(path: str | os.PathLike) -> None:
    """Raise VanerError for a named pipe: it can be read once only, and its format is found by reading."""
    if str(path) != "-" and os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode):
        raise VanerError(f"{path}: is a pipe; give it as standard input, named -, with --input_format")


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

    Raises:
        VanerError: where ``path`` is a folder, or the one that is to hold it does not exist.
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
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped:
                    yield cast(BinaryIO, zipped)  # typing does not count it as one
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError) and error.errno in DISK_FULL and error.filename is None:
            error.filename = str(path)  # the system says of no write which file it was
        raise


@contextlib.contextmanager
def replacing_text(path: str | os.PathLike) -> Iterator[TextIO]:
    """:func:`replacing` for UTF-8 text; ``\\n`` is written as it is.

    Raises:
        VanerError: as there, and for text that UTF-8 cannot hold.
    """
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


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file whole or not at all; ``-`` is standard output."""
    with replacing_text(path) as file:
        file.write(text)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
