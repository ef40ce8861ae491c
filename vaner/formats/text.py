"""In: plain text, a file or a folder of ``*.txt``. Out: Documents without mentions.

The text is exactly the file's, line endings included; only a byte order mark at its start is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import BOM, decode, lines, open_bytes, stem
from vaner.formats.blocks import documents
from vaner.formats.brat import ENDINGS as STANDOFF
from vaner.report import Report

_PER = ("file", "line", "block")


def read(path: str | os.PathLike, *, on_error: str, report: Report, per: str = "file") -> Iterator[Document]:
    """Stream the Documents of a text file, or of every ``*.txt`` file below a folder, in order of name.

    Other files in a folder are counted in ``report``, and brat's and BioNLP's beside a file; hidden ones are not.

    Args:
        per: what makes a Document. ``file``: the whole file, its id the file's name without extension (in
            a folder: the path inside it). ``line``: each line that is not blank. ``block``: each run of
            lines between blank ones. Ids of lines and blocks are ``<file stem>-<first line's number>``.

    Raises:
        FormatError: for bytes that are not UTF-8, an empty file, a folder without text files.
    """
    if per not in _PER:
        raise VanerError(f"per={per!r} is unknown; choose one of {', '.join(_PER)}")
    files = {stem(path): path}
    for ending in STANDOFF:
        if os.path.exists(beside := Path(path).with_suffix(ending)) and not os.path.isdir(path):
            report.warn(
                "annotations beside a text left out",
                f"{beside}: to read them, name the folder, {beside.parent}",
            )
    if os.path.isdir(path):
        below = sorted(p for p in Path(path).rglob("*") if p.is_file())
        files = {p.relative_to(path).with_suffix("").as_posix(): p for p in below if p.suffix == ".txt"}
        for other in below:
            if other.suffix != ".txt" and not any(
                part.startswith(".") for part in other.relative_to(path).parts
            ):
                report.warn(
                    "file without text left out", f"{other}: only .txt files are read from a folder of texts"
                )

    def build(_: int | None, block: tuple[str, str, bytes]) -> Document:
        id, where, data = block
        return Document(id, decode(data, where))

    return documents(path, _blocks(files, per), build, on_error, report)


def _blocks(
    files: dict[str, str | os.PathLike], per: str
) -> Iterator[tuple[int | None, tuple[str, str, bytes]]]:
    for name, path in files.items():
        if per == "file":
            data = _whole(path)
            # One file of many may be empty; the only one is a mistake.
            if data or len(files) > 1:
                yield None, (name, str(path), data)
            continue
        first = 0
        block: list[bytes] = []
        for number, line in lines(path):
            blank = not line.strip()
            if block and (blank or per == "line"):
                yield first, (f"{name}-{first}", f"{path}:{first}", b"\n".join(block))
                block = []
            if not blank:
                first = first if block else number
                block.append(line)
        if block:
            yield first, (f"{name}-{first}", f"{path}:{first}", b"\n".join(block))


def _whole(path: str | os.PathLike) -> bytes:
    with open_bytes(path) as file:
        return file.read().removeprefix(BOM)
