"""In: brat standoff, ``.txt`` and ``.ann`` files in a folder or zip. Out: Documents; and back.

    T1<TAB>Disease 10 23<TAB>breast cancer
    T2<TAB>Drug 59 66;75 79<TAB>nonheme iron               discontinuous
    N1<TAB>Reference T1 MESH:D001943<TAB>Breast Neoplasms  concept id
    R1<TAB>EFFECT Arg1:T1 Arg2:T2                          relation: kept, and written again

A text is read exactly as it is, ``\\r`` and byte order mark included, because brat's offsets count them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from vaner.document import Concept, Document, Span
from vaner.errors import FormatError, VanerError
from vaner.files import BOM, check_parent, decode, replacing
from vaner.formats.blocks import documents
from vaner.formats.ids import renew
from vaner.formats.lossy import tell
from vaner.formats.offsets import Placer, check_options
from vaner.report import Report

_ENTITY = re.compile(r"(.+) (\d+ \d+(?:;\d+ \d+)*)", re.DOTALL)
_REFERENCE = re.compile(r"(\S+) (T\S+) ([^:]*):(.*)", re.DOTALL)
_TARGET = re.compile(r"\bT\d+\b")
_HOLDS = {"fragments", "concept ids", "concept sources"}
_NO_SOURCE = "_"
_LONGEST_NAME = 240


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    subfolder: str = "",
    offsets: str = "raise",
    unit: str = "codepoints",
) -> Iterator[Document]:
    """Stream the Documents of a brat folder or zip, in order of name; only texts with a ``.ann`` file.

    An id is the path of its text below the folder, without ``.txt``. Fragments with nothing but line
    breaks and spaces between them are one contiguous mention, which brat splits where a line ends.
    Normalisations (N lines) become concepts. Relations, events, attributes and notes are kept as lines in
    ``metadata["brat"]``, with the T ids that they refer to.

    Args:
        subfolder: read only what lies below this folder of ``path``; ids are relative to it.
        offsets, unit: as for PubTator; see :mod:`vaner.formats.offsets`.

    Raises:
        FormatError: for a malformed line, with file and line, or a ``.ann`` file without text.
        OffsetError: for wrong offsets, naming file, line, document and both strings.
    """
    check_options(offsets, unit)
    build = partial(_document, offsets=offsets, unit=unit, report=report)
    return documents(path, _blocks(path, subfolder, report), build, on_error, report)


Pair = tuple[str, str, Callable[[], tuple[bytes, bytes]]]
"""Id, the .ann file's name, and what reads text and annotations."""


def _blocks(path: str | os.PathLike, subfolder: str, report: Report) -> Iterator[tuple[None, Pair]]:
    if os.path.isdir(path):
        yield from _pairs(path, Path(path), subfolder, report, sep="/")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield from _pairs(path, zipfile.Path(archive), subfolder, report, sep=":")
    except zipfile.BadZipFile as error:
        raise FormatError(f"{path}: neither a folder nor a zip of .txt and .ann files ({error})") from None


def _pairs(
    path: str | os.PathLike, root: Path | zipfile.Path, subfolder: str, report: Report, sep: str
) -> Iterator[tuple[None, Pair]]:
    names = {name for name in _names(root) if not _hidden(name)}
    inside = f"{subfolder.strip('/')}/" if subfolder.strip("/") else ""
    chosen = sorted(name[:-4] for name in names if name.startswith(inside) and name.endswith(".ann"))
    for name in sorted(names):
        if name.startswith(inside) and name.endswith(".txt") and f"{name[:-4]}.ann" not in names:
            report.warn(
                "text without .ann file left out", f"{path}{sep}{name}: has no {name[:-4]}.ann beside it"
            )

    def load(name: str) -> tuple[bytes, bytes]:
        if f"{name}.txt" not in names:
            raise FormatError(f"{path}{sep}{name}.ann: has no {name}.txt beside it; add the text")
        text, annotations = root.joinpath(f"{name}.txt"), root.joinpath(f"{name}.ann")
        return text.read_bytes(), annotations.read_bytes()

    for name in chosen:
        yield None, (name.removeprefix(inside), f"{path}{sep}{name}.ann", partial(load, name))


def _names(root: Path | zipfile.Path) -> Iterable[str]:
    if isinstance(root, zipfile.Path):
        return root.root.namelist()
    return (file.relative_to(root).as_posix() for file in root.rglob("*") if file.suffix in (".txt", ".ann"))


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _document(line: None, pair: Pair, offsets: str, unit: str, report: Report) -> Document:
    id, where, load = pair
    raw_text, raw_annotations = load()
    text = decode(raw_text, f"{where.removesuffix('.ann')}.txt")
    placer = Placer(text, id, offsets, unit, report)
    spans: dict[str, Span | None] = {}
    references: list[tuple[str, str, Concept]] = []
    kept: list[str] = []
    for number, raw in enumerate(raw_annotations.removeprefix(BOM).split(b"\n"), 1):
        at = f"{where}:{number}"
        entry = decode(raw.removesuffix(b"\r"), at)
        if not entry.strip():
            continue
        name, _, rest = entry.partition("\t")
        if name.startswith("T"):
            if name in spans:
                raise FormatError(f"{at}: {name} was defined before; give each annotation its own number")
            spans[name] = _span(rest, placer, at)
        elif name.startswith("N"):
            match = _REFERENCE.fullmatch(rest.split("\t")[0])
            if match is None:
                raise FormatError(
                    f"{at}: {entry[:60]!r} is no normalisation (N1<TAB>Reference T1 DB:ID<TAB>name)"
                )
            references.append((match[2], at, Concept(match[4], None if match[3] == _NO_SOURCE else match[3])))
        elif name[:1] in ("R", "E", "A", "M", "*", "#") and rest:
            kept.append(entry)
        else:
            raise FormatError(
                f"{at}: {entry[:60]!r} is no brat annotation (T, N, R, E, A, M, * or #, then a tab)"
            )
    for target, at, concept in references:
        if target not in spans:
            raise FormatError(f"{at}: refers to {target}, which does not exist; add it or delete the line")
        span = spans[target]
        if span is not None:
            spans[target] = Span(
                *span.key, span.text, concepts=(*span.concepts, concept), fragments=span.fragments
            )
    found = {name: span for name, span in spans.items() if span is not None}
    metadata = {}
    if kept:
        metadata["brat"] = {"lines": kept, "ids": {name: list(span.key) for name, span in found.items()}}
    return Document(id, text, list(found.values()), metadata=metadata)


def _span(rest: str, placer: Placer, where: str) -> Span | None:
    head, _, words = rest.partition("\t")
    match = _ENTITY.fullmatch(head)
    if match is None:
        raise FormatError(f"{where}: {head[:60]!r} is no mention (T1<TAB>Type start end<TAB>words)")
    type = match[1]
    pieces = [(int(start), int(end)) for start, end in (piece.split(" ") for piece in match[2].split(";"))]
    if len(pieces) == 1:
        placed = placer.place(*pieces[0], words, type, where)
        return None if placed is None else Span(*placed, type, placer.text[slice(*placed)])
    fragments = placer.place_fragments(pieces, words, type, where)
    if fragments is None:
        return None
    joined = [fragments[0]]
    for start, end in fragments[1:]:
        gap = placer.text[joined[-1][1] : start]
        if not gap.strip() and ("\n" in gap or "\r" in gap):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    start, end = joined[0][0], max(end for _, end in joined)
    return Span(start, end, type, placer.text[start:end], fragments=tuple(joined) if len(joined) > 1 else ())


def write(path: str | os.PathLike, documents: Iterable[Document], *, report: Report) -> int:
    """Write a folder of ``.txt`` and ``.ann`` files, or a zip of them where the path ends in ``.zip``.

    The folder must be new or empty: it is built under a temporary name beside it and then renamed. An id
    with ``/`` in it makes folders; an id that cannot be a file name is percent-encoded, and counted in
    ``report`` as is everything that brat has no room for.

    Raises:
        VanerError: for a folder that already holds something.
    """
    if str(path).lower().endswith(".zip"):
        with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:

            def put(name: str, data: bytes) -> None:
                # A fixed date: the same documents make the same bytes.
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)

            return _write_all(path, documents, put, report)
    with _new_folder(path) as folder:

        def put(name: str, data: bytes) -> None:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        return _write_all(path, documents, put, report)


@contextlib.contextmanager
def _new_folder(path: str | os.PathLike) -> Iterator[Path]:
    """A folder that appears at ``path`` when the block ends well, else leaves no trace."""
    check_parent(path)
    target = Path(os.path.abspath(path))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise VanerError(f"{path}: exists already; brat needs a new or empty folder to write to")
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".tmp"))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary)
        raise


def _write_all(
    path: str | os.PathLike, documents: Iterable[Document], put: Callable[[str, bytes], None], report: Report
) -> int:
    written: dict[str, str] = {}
    for document in documents:
        tell(document, "brat", _HOLDS, {"brat"}, path, report)
        name = _file_name(document.id)
        if name != document.id:
            report.warn(
                "id changed", f"{path}: document {document.id}: cannot name a file; written as {name}"
            )
        if name in written:
            raise FormatError(
                f"{path}: documents {written[name]!r} and {document.id!r} both need the file {name}.txt; "
                "give them other ids"
            )
        written[name] = document.id
        try:
            text = document.text.encode()
        except UnicodeEncodeError as error:
            raise VanerError(
                f"{path}: document {document.id}: the text holds the lone surrogate "
                f"{document.text[error.start]!r}, which UTF-8 cannot; replace it before writing"
            ) from None
        put(f"{name}.txt", text)
        put(f"{name}.ann", "".join(f"{line}\n" for line in _lines(document, path, report)).encode())
    return len(written)


def _file_name(id: str) -> str:
    parts = id.split("/")
    if all(
        part and not part.startswith(".") and not re.search(r"[\0\\\ud800-\udfff]", part) for part in parts
    ):
        name = id
    else:
        name = quote(id, safe=" ", errors="surrogatepass").replace(".", "%2E") or "%"
    if any(len(part.encode()) > _LONGEST_NAME for part in name.split("/")) or "__MACOSX" in parts:
        raise FormatError(f"document id {id[:60]!r}... cannot name a file; give the document a shorter id")
    return name


def _lines(document: Document, path: object, report: Report) -> Iterator[str]:
    def cell(content: str, what: str, forbidden: str = r"[\t\r\n]") -> str:
        cleaned = re.sub(forbidden, " ", content)
        if cleaned != content:
            report.warn(
                f"{what} changed",
                f"{path}: document {document.id}: a separator in {content[:60]!r} is written as a space",
            )
        return cleaned

    kept = document.metadata.get("brat") or {"lines": [], "ids": {}}
    names = renew(document.spans, kept["ids"], (f"T{n}" for n in count(1)))
    notes = 0
    for span, name in zip(document.spans, names, strict=True):
        pieces = [
            piece
            for part in span.fragments or ((span.start, span.end),)
            for piece in _split(document.text, *part)
        ]
        if not pieces:
            report.warn(
                "span not written",
                f"{path}: document {document.id}: {span.start}-{span.end} holds only line breaks",
            )
            continue
        if (pieces[0][0], pieces[-1][1]) != (span.start, span.end):
            report.warn(
                "span changed",
                f"{path}: document {document.id}: line breaks at the ends of {span.text[:60]!r} left out",
            )
        where = ";".join(f"{start} {end}" for start, end in pieces)
        words = " ".join(document.text[start:end] for start, end in pieces)
        yield f"{name}\t{cell(span.type, 'type')} {where}\t{words}"
        for concept in span.concepts:
            notes += 1
            source = cell(concept.source or _NO_SOURCE, "source", r"[\t\r\n:]")
            yield f"N{notes}\tReference {name} {source}:{cell(concept.id, 'concept id')}\t{words}"
    written = set(names)
    for line in kept["lines"]:
        missing = [target for target in _TARGET.findall(line.partition("\t")[2]) if target not in written]
        if missing:
            report.warn("line not written", f"{path}: document {document.id}: {line!r}: {missing[0]} is gone")
        else:
            yield line


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The pieces of a range between its line breaks."""
    for match in re.finditer(r"[^\r\n]+", text[start:end]):
        yield start + match.start(), start + match.end()
