"""In: files and folders of one's own. Out: the text of each file, and where in it its pages begin.

    .txt .md     as they are (UTF-8)
    .html        what a reader sees: blocks apart, cells parted by tabs, no script    (lxml)
    .pdf         the text layer, page after page                                      (pypdf)
    .docx        as Markdown                                                          (markitdown)

What cannot be read is said, with the file: a file that was named ends the reading, one of a folder is counted.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree, html

from vaner.errors import VanerError
from vaner.files import BOM, decode
from vaner.prompting.extras import extra
from vaner.report import Report

OTHER_KIND = "file of a kind that is not read"
NOT_READ = "file not read"

# Damaged files raise these too, from deep within pypdf and mammoth.
_DAMAGED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    NotImplementedError,
    AssertionError,
    zlib.error,
    zipfile.BadZipFile,
    etree.LxmlError,
)


@dataclass(frozen=True)
class Source:
    """The text of a file.

    Attributes:
        file: its path below the folder that was named, or its name; never where on the machine it lies.
        text: of the file; of HTML, PDF and DOCX what was drawn from it.
        pages: where in it each page begins, the first first; empty where there are no pages.
    """

    file: str
    text: str
    pages: tuple[int, ...] = ()


def files(paths: Iterable[str | os.PathLike[str]], report: Report) -> list[tuple[str, Path, bool]]:
    """The files that are read: name, path, and whether it was named itself.

    Of folders all files with a known ending, in all folders within, in alphabetical order; hidden ones are not looked
    at, and others are counted in ``report``.

    Raises:
        VanerError: a path that does not exist, or a named file of another kind.
    """
    found: list[tuple[str, Path, bool]] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            for file in inside:
                name = file.relative_to(path).as_posix()
                if any(part.startswith(".") for part in Path(name).parts):
                    continue
                if file.suffix.lower() in _READERS:
                    found.append((name, file, False))
                else:
                    report.warn(OTHER_KIND, f"{name}: only {_known()} are read")
        elif not path.is_file():
            raise VanerError(f"{path}: no such file or folder; check the path of the passages")
        elif path.suffix.lower() not in _READERS:
            raise VanerError(f"{path}: is of a kind that is not read; convert it to one of {_known()}")
        else:
            found.append((path.name, path, True))
    return found


def read(named: Iterable[tuple[str, Path, bool]], report: Report) -> Iterator[Source]:
    """The texts of files, as `files` gives them.

    Raises:
        VanerError: a named file that cannot be read, or a package that is missing.
    """
    for name, path, itself in named:
        try:
            text, pages = _READERS[path.suffix.lower()](path)
        except _MissingPackage:
            raise
        except _DAMAGED as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0].removeprefix(f"{path}: ")
            if itself:
                raise VanerError(f"{path}: cannot be read ({said}); save it anew, or leave it out") from error
            report.warn(NOT_READ, f"{name}: {said}")
            continue
        yield Source(name, text, pages)


class _MissingPackage(VanerError):
    """A package of the extra is not installed: the same for every file."""


def _needed(package: str, kind: str) -> Any:
    try:
        return extra(package, "documents", f"passages of {kind}")
    except VanerError as error:
        raise _MissingPackage(str(error)) from None


def _known() -> str:
    return ", ".join(_READERS)


def _plain_text(path: Path) -> tuple[str, tuple[int, ...]]:
    return decode(path.read_bytes().removeprefix(BOM), path.name), ()


# --- HTML ---

_UNSEEN = frozenset({"script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object"})
_INLINE = frozenset(
    "a abbr b bdi bdo cite code del dfn em font i ins kbd label mark q s samp small span strike strong sub sup "
    "time tt u var wbr".split()
)
# Begin a line of their own, or a cell.
_LINES = {"br": "\n", "li": "\n", "tr": "\n", "td": "\t", "th": "\t"}
_SPACE = re.compile(r"[ \t\r\n\f]+")


def _html(path: Path) -> tuple[str, tuple[int, ...]]:
    content = path.read_bytes()
    try:
        content.decode("utf-8")
        parser = html.HTMLParser(encoding="utf-8")
    except UnicodeDecodeError:
        parser = html.HTMLParser()  # as the page itself says
    if not content.strip():
        raise ValueError("it is empty")
    root = html.document_fromstring(content, parser=parser)
    pieces: list[str] = []
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        tag = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            if tag in _UNSEEN:
                walk.skip_subtree()
            else:
                pieces += [_before(tag), _SPACE.sub(" ", element.text or "")]
        else:
            after = "\n\n" if event == "end" and _is_block(tag) else ""
            pieces += [after, _SPACE.sub(" ", element.tail or "")]
    text = re.sub(r" +", " ", "".join(pieces))
    text = re.sub(r" ?\t ?", "\t", re.sub(r"[ \t]*\n[ \t]*", "\n", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip(), ()


def _is_block(tag: str) -> bool:
    return tag not in _INLINE and tag not in _UNSEEN and tag not in _LINES


def _before(tag: str) -> str:
    """What parts an element from what is before it."""
    return "\n\n" if _is_block(tag) else _LINES.get(tag, "")


# --- PDF and DOCX ---


def _pdf(path: Path) -> tuple[str, tuple[int, ...]]:
    pypdf = _needed("pypdf", "PDF files")
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("it wants a password")
        pages = [page.extract_text() for page in reader.pages]
    except (pypdf.errors.PyPdfError, pypdf.errors.DependencyError) as error:
        raise ValueError(str(error)) from error
    if not any(page.strip() for page in pages):
        raise ValueError("it holds no text: a scan? Recognise its text first")
    starts, at = [], 0
    for page in pages:
        starts.append(at)
        at += len(page) + 1
    return "\n".join(pages), tuple(starts)


def _docx(path: Path) -> tuple[str, tuple[int, ...]]:
    converters = _needed("markitdown.converters", "DOCX files")
    info = _needed("markitdown", "DOCX files").StreamInfo(extension=".docx")
    _needed("mammoth", "DOCX files")
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no DOCX file, or cut short")
    # Its own converter: all of them together would take what is no DOCX file for something else.
    with open(path, "rb") as file:
        text: str = converters.DocxConverter().convert(file, info).markdown
    return text, ()


_READERS: dict[str, Callable[[Path], tuple[str, tuple[int, ...]]]] = {
    ".txt": _plain_text,
    ".md": _plain_text,
    ".markdown": _plain_text,
    ".html": _html,
    ".htm": _html,
    ".xhtml": _html,
    ".pdf": _pdf,
    ".docx": _docx,
}
