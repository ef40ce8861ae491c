"""In: a path and a format's name. Out: its Documents, streamed; and back, a file written whole or not at all.

    for document in read("corpus.PubTator.txt"):
        ...
    write("tagged.jsonl", documents, "jsonl")

Formats: conll, pubtator, bioc (XML and JSON), brat (folder or zip), jsonl (and the JSON of annotation tools), parquet,
and jats, medline, pubmed, text, csv and datasets (read only; the last is what the library of that name reads), html
(write only). Each has a module here that says what it reads, what it keeps and its options. Options may follow the
name, as on the command line: ``pubtator:offsets=repair``, ``conll:scheme=iob2,tag_column=1``.
"""

from __future__ import annotations

import errno
import inspect
import logging
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from vaner.document import Document
from vaner.errors import FormatError, VanerError, near
from vaner.files import BOM, UTF16, open_bytes, refuse_pipe
from vaner.formats import (
    bioc,
    brat,
    conll,
    csv,
    datasets,
    html,
    jats,
    jsonl,
    medline,
    parquet,
    pubmed,
    pubtator,
    text,
)
from vaner.formats.json_records import bioc_documents, shape
from vaner.report import Report
from vaner.xml import root_name

__all__ = ["READERS", "WRITERS", "Report", "check_reader", "check_writer", "detect", "read", "write"]

log = logging.getLogger(__name__)

READERS: dict[str, Callable[..., Iterator[Document]]] = {
    "bioc": bioc.read,
    "brat": brat.read,
    "conll": conll.read,
    "csv": csv.read,
    "datasets": datasets.read,
    "jats": jats.read,
    "jsonl": jsonl.read,
    "medline": medline.read,
    "parquet": parquet.read,
    "pubmed": pubmed.read,
    "pubtator": pubtator.read,
    "text": text.read,
}
WRITERS: dict[str, Callable[..., int]] = {
    "bioc": bioc.write,
    "brat": brat.write,
    "conll": conll.write,
    "html": html.write,
    "jsonl": jsonl.write,
    "parquet": parquet.write,
    "pubtator": pubtator.write,
}

_EXTENSIONS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".pubtator": "pubtator",
    ".conll": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".iobes": "conll",
    ".bio": "conll",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "datasets",
    ".feather": "datasets",
    ".nbib": "medline",
    ".medline": "medline",
}
_XML_ROOTS = {
    "collection": "bioc",
    "PubmedArticleSet": "pubmed",
    "PubmedArticle": "pubmed",
    "PubmedBookArticleSet": "pubmed",
    "PubmedBookArticle": "pubmed",
    "MedlineCitationSet": "pubmed",
    "MedlineCitation": "pubmed",
    "article": "jats",
    "articles": "jats",
    "pmc-articleset": "jats",
}
_MAGIC = {b"PAR1": "parquet", b"ARROW1": "datasets"}
_OF_DATASETS = {".parquet", ".arrow"}
_SNIFFED = 1 << 16
_TAGGED = re.compile(rb"\S.*[\t ](?:O|[BIESLUMW](?:-\S+)?)[ \t]*")
# How arrays of records begin: of objects, of [text, {...}] pairs (spaCy), such a pair by itself, none.
_JSON = {
    ("start_array", "start_map", "map_key"),
    ("start_array", "start_map", "end_map"),
    ("start_array", "start_array", "string"),
    ("start_array", "string", "start_map"),
    ("start_array", "end_array"),
}
_ASK = f"name its format, one of {', '.join(READERS)}"


def read(
    path: str | os.PathLike,
    format: str = "auto",
    *,
    on_error: str = "raise",
    report: Report | None = None,
    to_tag: bool = False,
    **options: Any,
) -> Iterator[Document]:
    """Stream the Documents of a file (``*.gz`` too), a folder, a zip or standard input (``-``).

    Args:
        path: what to read.
        format: one of ``READERS``, or ``auto`` for :func:`detect`; options may follow (``text:per=line``).
        on_error: what a document that cannot be read does: ``raise``, or ``skip`` to leave it out and
            count it. A file that is broken as a whole raises either way.
        report: receives what was repaired, dropped or skipped. Without one, a summary is logged as
            warnings when the reading ends.
        to_tag: the documents' mentions will be replaced, so one that cannot be read or placed is dropped and
            counted, unless the options say otherwise (``offsets=raise``).
        options: the format's own; see the ``read`` function of its module. They win over those in ``format``.

    Yields:
        Documents in the order of the file, one in memory at a time, their ids unique.

    Raises:
        FormatError, OffsetError: naming file, line, document and remedy.
        FileNotFoundError: for a path that does not exist.
    """
    if on_error not in ("raise", "skip"):
        raise VanerError(f"on_error={on_error!r} is unknown; choose 'raise' or 'skip'")
    refuse_pipe(path)
    check_reader(format)
    if not is_elsewhere(path) and not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    name, _, written = format.partition(":")
    if name == "auto":
        name = detect(path)
    if format.startswith("auto:"):
        known = inspect.signature(READERS[name]).parameters
        written = ",".join(item for item in written.split(",") if item.partition("=")[0] in known)
    options = {**_options(name, READERS[name], written), **options}
    if to_tag and "offsets" in inspect.signature(READERS[name]).parameters:
        options.setdefault("offsets", "drop")
    told = Report() if report is None else report
    documents = READERS[name](path, on_error=on_error, report=told, **options)
    return documents if report is not None else _logged(documents, path, told)


def check_reader(format: str) -> None:
    """Raise VanerError unless :func:`read` knows this format and its options."""
    name, _, written = format.partition(":")
    if name == "auto":
        for item in filter(None, written.split(",")):
            # What is found out to be another format than that of a neighbour does without its options.
            having = [f for f, function in READERS.items() if _has(function, item.partition("=")[0])]
            if not having:
                raise VanerError(f"no format has an option {item.partition('=')[0]!r}; see docs/formats.md")
            _options(having[0], READERS[having[0]], item)
        return
    if name not in READERS:
        hint = "can only be written" if name in WRITERS else "is unknown"
        raise VanerError(f"format {name!r} {hint}; choose auto or one of {', '.join(READERS)}")
    _options(name, READERS[name], written)


def check_writer(format: str) -> None:
    """Raise VanerError unless :func:`write` knows this format and its options."""
    if options := _to_write(format)[1]:
        # Only the writer knows what an option may be.
        with tempfile.TemporaryDirectory() as folder:
            WRITERS[_to_write(format)[0]](os.path.join(folder, "none"), [], report=Report(), **options)


def _to_write(format: str) -> tuple[str, dict[str, Any]]:
    """A format's name, and the options that follow it."""
    name, _, written = format.partition(":")
    if name not in WRITERS:
        hint = "can only be read" if name in READERS else "is unknown"
        raise VanerError(f"format {name!r} {hint}; choose one of {', '.join(WRITERS)}")
    return name, _options(name, WRITERS[name], written)


def is_elsewhere(path: str | os.PathLike) -> bool:
    """Whether a path names no file here: standard input, or a dataset of the hub."""
    return str(path) == "-" or str(path).startswith(datasets.HUB)


def _has(function: Callable[..., Any], option: str) -> bool:
    parameter = inspect.signature(function).parameters.get(option)
    return parameter is not None and parameter.default is not parameter.empty


def _options(name: str, function: Callable[..., Any], written: str) -> dict[str, Any]:
    """The options that follow a format's name: ``key=value,key=value``, each as its function wants it."""
    known = {
        key: parameter
        for key, parameter in inspect.signature(function, eval_str=True).parameters.items()
        if parameter.default is not parameter.empty
    }
    found: dict[str, Any] = {}
    for item in filter(None, written.split(",")):
        key, equals, value = item.partition("=")
        if key not in known:
            hint = near(key, known) or f"it has {', '.join(known) or 'none'}"
            raise VanerError(f"format {name} has no option {key!r}; {hint}")
        if not equals or key in found:
            raise VanerError(f"format {name}: {item!r}; write each option once, as {key}=VALUE")
        try:
            found[key] = known[key].annotation(value)
        except ValueError:
            raise VanerError(f"format {name}: {key} is {value!r}; give a whole number") from None
    return found


def _logged(documents: Iterator[Document], path: str | os.PathLike, report: Report) -> Iterator[Document]:
    try:
        yield from documents
    finally:
        _log(path, report)


def _log(path: str | os.PathLike, report: Report) -> None:
    for line in report.summary():
        log.warning("%s: %s", path, line)


def write(
    path: str | os.PathLike,
    documents: Iterable[Document],
    format: str,
    *,
    report: Report | None = None,
    **options: Any,
) -> int:
    """Write Documents as they come; the file appears when it is complete, and not at all on an error.

    Args:
        path: what to write; ``*.gz`` is compressed, ``-`` is standard output.
        documents: with unique ids.
        format: one of ``WRITERS``; options may follow (``conll:scheme=iobes``).
        report: receives what the format cannot hold. Without one, a summary is logged as warnings.
        options: the format's own; see the ``write`` function of its module. They win over those in ``format``.

    Returns:
        The number of documents written.

    Raises:
        FormatError: for an id that comes twice.
        VanerError: for an unknown format or a place that cannot be written to.
    """
    name, written = _to_write(format)
    options = {**written, **options}
    told = Report() if report is None else report
    count = WRITERS[name](path, _unique(documents, path), report=told, **options)
    if report is None:
        _log(path, told)
    return count


def _unique(documents: Iterable[Document], path: str | os.PathLike) -> Iterator[Document]:
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise FormatError(f"{path}: two documents have the id {document.id!r}; give each its own")
        seen.add(document.id)
        yield document


def detect(path: str | os.PathLike) -> str:
    """The format of a file or folder, from its extension where that settles it, else from its first 64 KB.

    Raises:
        FormatError: for an empty file and where nothing fits, with what to do.
    """
    if str(path) == "-":
        raise FormatError(f"-: the format of standard input cannot be detected; {_ASK}")
    if str(path).startswith(datasets.HUB):
        return "datasets"
    if os.path.isdir(path):
        return _detect_folder(path)
    extension = Path(str(path).removesuffix(".gz")).suffix.lower()
    if extension == ".zip":
        return _detect_zip(path)
    if extension in brat.ENDINGS:
        raise FormatError(f"{path}: brat is read folder by folder; name {Path(path).parent}")
    with open_bytes(path) as file:
        start = file.read(_SNIFFED).removeprefix(BOM)
    if not start.strip():
        raise FormatError(f"{path}: the file is empty; check that it was written or fetched completely")
    if magic := next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None):
        return magic
    if start.startswith(UTF16):
        raise FormatError(f"{path}: the file is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")
    if extension in _EXTENSIONS and _EXTENSIONS[extension] != "jsonl":
        return _EXTENSIONS[extension]
    found = _sniff(start)
    if extension in _EXTENSIONS:
        return "bioc" if found == "bioc" else "jsonl"  # PubTator's BioC has been called JSON Lines
    if found is None and extension in (".txt", ".text"):
        return "text"
    if found is None and extension == ".tsv":
        return "conll"  # its reader says on which line a column is missing
    if found is None:
        raise FormatError(f"{path}: its format cannot be told from its name or its first lines; {_ASK}")
    return found


def format_to_write(path: str | os.PathLike) -> str:
    """The format that a file to be written should have, by its name; JSON Lines where the name does not say."""
    name = Path(path).name.lower().removesuffix(".gz")
    written = {".html": "html", ".htm": "html", ".tsv": "conll", ".xml": "bioc", ".zip": "brat"}
    found = {**_EXTENSIONS, **written}.get(Path(name).suffix)
    if found in WRITERS:
        return found
    return "pubtator" if "pubtator" in name else "jsonl"


def _detect_folder(path: str | os.PathLike) -> str:
    found = {file.suffix for file in Path(path).rglob("*")}
    if found.intersection(brat.ENDINGS):
        return "brat"
    if ".txt" in found:
        return "text"
    if found & _OF_DATASETS:
        return "datasets"
    raise FormatError(
        f"{path}: the folder holds no .ann, .txt, .parquet or .arrow files; name a file in it, or say that "
        "`datasets` reads it (--input_format datasets)"
    )


def _detect_zip(path: str | os.PathLike) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            if any(Path(name).suffix in brat.ENDINGS for name in archive.namelist()):
                return "brat"
    except zipfile.BadZipFile as error:
        raise FormatError(f"{path}: no readable zip ({error}); fetch it again") from None
    raise FormatError(f"{path}: the zip holds no .ann files; unpack it and name a file in it")


def _sniff(start: bytes) -> str | None:
    """The format that the beginning of a file shows, or None."""
    head = start.lstrip()
    if head.startswith(b"<"):
        if root := _XML_ROOTS.get(root_name(head) or ""):
            return root
        # The root may be a wrapper of whoever served the file, such as OAI-PMH.
        inside = re.search(rb"<(PubmedArticle|article)[\s>]", head)
        return _XML_ROOTS[inside[1].decode()] if inside else None
    if head.startswith((b"{", b"[")):
        events, paths = shape(head)
        if bioc_documents(paths) is not None:
            return "bioc"
        return "jsonl" if head.startswith(b"{") or tuple(events) in _JSON else None
    lines = [line for line in start.split(b"\n")[:200] if line.strip()]
    if pubtator.TEXT_LINE.match(lines[0]):
        return "pubtator"
    if lines[0].startswith(b"PMID-"):
        return "medline"
    # The last line may be cut by the sniffing; three tagged lines are no accident.
    tagged = [_TAGGED.fullmatch(line.rstrip(b"\r")) is not None for line in lines[:50]]
    # Prose does not end its lines in " O"; what does but has other tags is for the reader to refuse.
    outside = sum(line.rstrip().endswith((b"\tO", b" O")) for line in lines[:50])
    if len(tagged) >= 3 and (all(tagged) or 2 * outside >= len(tagged)) or lines[0].startswith(b"-DOCSTART-"):
        return "conll"
    return None
