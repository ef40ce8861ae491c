"""In: brat or BioNLP standoff, ``.txt`` with ``.ann`` or ``.a1`` and ``.a2``; folder or zip. Out: Documents; and back.

    T1<TAB>Disease 10 23<TAB>breast cancer
    T2<TAB>Drug 59 66;75 79<TAB>nonheme iron               discontinuous
    N1<TAB>Reference T1 MESH:D001943<TAB>Breast Neoplasms  concept id
    R1<TAB>EFFECT Arg1:T1 Arg2:T2                          relation: kept, and written again

A text is read exactly as it is, ``\\r`` and byte order mark included. brat's offsets count them; those of programs that
do not are recognised by the mentions' words.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import count
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from vaner.document import Concept, Document, Span
from vaner.errors import FormatError, VanerError
from vaner.files import BOM, check_parent, decode, replacing
from vaner.formats.blocks import documents
from vaner.formats.ids import renew
from vaner.formats.lossy import tell
from vaner.formats.offsets import Mention, Pieces, Placer, check_options, uncounted, ways
from vaner.report import Report

_PIECE = r"\d{1,18} \d{1,18}"
_ENTITY = re.compile(rf"(.+) ({_PIECE}(?:;{_PIECE})*)", re.DOTALL)
_REFERENCE = re.compile(r"(\S+) (T\S+) ([^:]*):(.*)", re.DOTALL)
_TARGET = re.compile(r"\bT\d+\b")
_HOLDS = {"fragments", "concept ids", "concept sources"}
ENDINGS = (".ann", ".a1", ".a2")
_NO_SOURCE = "_"
# What zipfile raises for a file inside a zip: broken; cut short; said to lie where nothing is; packed in a way, or
# with a password, that it has not.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
_LONGEST_NAME = 240


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    subfolder: str = "",
    offsets: str = "raise",
    unit: str = "codepoints",
    crlf: str = "auto",
    bom: str = "auto",
) -> Iterator[Document]:
    """Stream the Documents of a brat folder or zip, in order of name; only texts with a ``.ann`` file.

    Where there is none, BioNLP's ``.a1`` (mentions that were given) and ``.a2`` (mentions, such as triggers, and events
    that were to be found) are read together in its place.

    An id is the path of its text below the folder, without ``.txt``. Fragments with nothing but line
    breaks and spaces between them are one contiguous mention, which brat splits where a line ends.
    Normalisations (N lines) become concepts. Relations, events, attributes and notes are kept as lines in
    ``metadata["brat"]``, with the T ids that they refer to.

    Args:
        subfolder: read only what lies below this folder of ``path``; ids are relative to it.
        offsets, unit: as for PubTator; see :mod:`vaner.formats.offsets`.
        crlf: what a line break ``\\r\\n`` counts: ``2``, as in brat; ``1``; or ``auto``: what lets most of a document's
            mentions stand where their words are, or, where both are as good, what the other documents count. Where that
            is 1, or nothing decides, it is counted.
        bom: the same of a byte order mark: ``1``, ``0`` or ``auto``.

    Raises:
        FormatError: for a malformed line, with file and line, or a ``.ann`` file without text.
        OffsetError: for wrong offsets, naming file, line, document and both strings.
    """
    check_options(offsets, unit, crlf, bom)
    elsewhere = cache(partial(_left_out_by_all, path, subfolder, unit, crlf, bom))
    build = partial(
        _document, offsets=offsets, unit=unit, crlf=crlf, bom=bom, elsewhere=elsewhere, report=report
    )
    return documents(path, _blocks(path, subfolder, report), build, on_error, report)


Pair = tuple[str, str, Callable[[], tuple[bytes, list[tuple[str, bytes]]]]]
"""Id, the text file's place without its ending, and what reads the text and the annotation files, by their endings."""


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
    endings: dict[str, list[str]] = {}
    for name in sorted(names):
        stem, dot, ending = name.rpartition(".")
        if name.startswith(inside) and dot + ending in ENDINGS:
            endings.setdefault(stem, []).append(dot + ending)
    for stem, found in endings.items():
        if ".ann" in found and len(found) > 1:
            report.warn(
                "BioNLP file left out",
                f"{path}{sep}{stem}{found[0]}: {stem}.ann beside it is read in its place",
            )
            endings[stem] = [".ann"]
    for name in sorted(names):
        if name.startswith(inside) and name.endswith(".txt") and name[:-4] not in endings:
            report.warn(
                "text without .ann file left out", f"{path}{sep}{name}: has no {name[:-4]}.ann beside it"
            )

    def load(stem: str) -> tuple[bytes, list[tuple[str, bytes]]]:
        if f"{stem}.txt" not in names:
            raise FormatError(
                f"{path}{sep}{stem}{endings[stem][0]}: has no {stem}.txt beside it; add the text"
            )
        return content(f"{stem}.txt"), [(ending, content(f"{stem}{ending}")) for ending in endings[stem]]

    def content(name: str) -> bytes:
        file = root.joinpath(name)
        if isinstance(file, Path):
            return file.read_bytes()
        try:
            return file.read_bytes()
        except _BROKEN_ZIP as error:
            said = " ".join(str(error).split())[:80] or type(error).__name__
            raise FormatError(
                f"{path}{sep}{name}: cannot be unpacked ({said}); fetch the zip again"
            ) from None

    for stem in sorted(endings):
        yield None, (stem.removeprefix(inside), f"{path}{sep}{stem}", partial(load, stem))


def _names(root: Path | zipfile.Path) -> Iterable[str]:
    if isinstance(root, zipfile.Path):
        return root.root.namelist()
    wanted = (".txt", *ENDINGS)
    return (file.relative_to(root).as_posix() for file in root.rglob("*") if file.suffix in wanted)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _document(
    line: int | None,
    pair: Pair,
    offsets: str,
    unit: str,
    crlf: str,
    bom: str,
    elsewhere: Callable[[], frozenset[str] | None],
    report: Report,
) -> Document:
    id, place, load = pair
    raw_text, files = load()
    text = decode(raw_text, f"{place}.txt")
    mentions: dict[str, tuple[str, str, Mention]] = {}
    references: list[tuple[str, str, Concept]] = []
    kept: list[str] = []
    for at, entry in _entries(place, files):
        name, _, rest = entry.partition("\t")
        if name.startswith("T"):
            if name in mentions:
                raise FormatError(f"{at}: {name} was defined before; give each annotation its own number")
            mentions[name] = (at, *_mention(rest, at))
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
    told = [mention for _, _, mention in mentions.values()]
    where = f"{place}{files[0][0]}: document {id}"
    left = uncounted(text, told, where, unit, report, crlf, bom, elsewhere)
    placer = Placer(text, id, offsets, unit, report, left)
    spans = {name: _span(type, *mention, placer, at) for name, (at, type, mention) in mentions.items()}
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


def _left_out_by_all(
    path: str | os.PathLike, subfolder: str, unit: str, crlf: str, bom: str
) -> frozenset[str] | None:
    """What the offsets of a folder's documents leave out, where those that tell agree; None where they do not."""
    found: set[frozenset[str]] = set()
    for _, (_, place, load) in _blocks(path, subfolder, Report()):
        with contextlib.suppress(FormatError):  # that document will say so itself
            raw_text, files = load()
            entries = [
                (at, rest)
                for at, entry in _entries(place, files)
                for name, _, rest in [entry.partition("\t")]
                if name.startswith("T")
            ]
            told = [_mention(rest, at)[1] for at, rest in entries]
            fitting = ways(decode(raw_text, place), told, unit, crlf, bom)
            found |= set(fitting) if len(fitting) == 1 else set()
    return found.pop() if len(found) == 1 else None


def _entries(place: str, files: list[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    """The lines of a document's annotation files that are not blank, each with its place."""
    for ending, content in files:
        for number, raw in enumerate(content.removeprefix(BOM).split(b"\n"), 1):
            at = f"{place}{ending}:{number}"
            entry = decode(raw.removesuffix(b"\r"), at)
            if entry.strip():
                yield at, entry


def _mention(rest: str, where: str) -> tuple[str, Mention]:
    """Type, pieces and words of a T line."""
    head, _, words = rest.partition("\t")
    match = _ENTITY.fullmatch(head)
    if match is None:
        raise FormatError(f"{where}: {head[:60]!r} is no mention (T1<TAB>Type start end<TAB>words)")
    pieces = [(int(start), int(end)) for start, end in (piece.split(" ") for piece in match[2].split(";"))]
    return match[1], (pieces, words)


def _span(type: str, pieces: Pieces, words: str | None, placer: Placer, where: str) -> Span | None:
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
