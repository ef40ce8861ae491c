"""In: a run's documents, a threshold. Out: RUN/queue: those with a mention that is not sure, for people to correct.

    RUN/queue/documents/            brat; or documents.pubtator, documents.jsonl
    RUN/queue/unsure.tsv            the mentions whose confidence is below the threshold, one a line
    RUN/queue/queue.json            what was sent, so that what returns is known again

A document goes with all its mentions. In brat, those that are not sure have a note; PubTator has no place for one, and
unsure.tsv names them. What the run wrote stays as it is: it holds all documents, sure or not.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from vaner.annotation.runs import Annotated, load
from vaner.document import Concept, Document, Span
from vaner.errors import VanerError
from vaner.evaluation.pairing import pieces
from vaner.files import replacing_text, write_text
from vaner.formats import read
from vaner.formats import write as write_documents
from vaner.formats.ids import renew
from vaner.jobs.sources import QUEUE, QUEUE_RECORD
from vaner.report import Report
from vaner.tagger import FAILED

UNSURE = "unsure.tsv"
#: Format -> the name of its file or folder in the queue.
FORMATS = {"brat": "documents", "pubtator": "documents.pubtator", "jsonl": "documents.jsonl"}
#: How what comes back is read: brat's offsets count as ours did when it was sent.
READ_AS = {"brat": "brat:crlf=2,bom=1", "pubtator": "pubtator", "jsonl": "jsonl"}
_UNSURE_NOTE = re.compile(r"#\d+\tAnnotatorNotes T\d+\tunsure: confidence .*")


def write(run: str | os.PathLike[str], threshold: float, format: str = "brat") -> list[str]:
    """Write the queue of a run, whole or not at all. The same queue is left as it is, whatever was done in it.

    Documents that were not annotated in full are in it, too. A mention without a confidence is never unsure.

    Args:
        run: the output folder of a run.
        threshold: mentions of less confidence are unsure; in [0, 1].
        format: brat, pubtator, or jsonl, which has a place for everything.

    Returns:
        lines to tell a user.

    Raises:
        VanerError: another queue is there; no mention has a confidence; the format cannot hold a document as it is.
    """
    if format not in FORMATS:
        raise VanerError(f"a queue is one of {', '.join(FORMATS)}; {format!r} is none")
    if not 0 <= threshold <= 1:
        raise VanerError(f"--threshold {threshold:g}: confidence is a number from 0 to 1; give one")
    told = Report()
    annotated = load(str(run), report=told)
    unsure = unsure_mentions(annotated, threshold)
    failed = [id for id, document in annotated.documents.items() if FAILED in document.metadata]
    queued = annotated.of([*unsure, *failed])
    target = Path(run) / QUEUE
    record: dict[str, Any] = {
        "run": run_hash(annotated),
        "threshold": threshold,
        "format": format,
        "documents": len(queued),
        "unsure": sum(map(len, unsure.values())),
    }
    said = (
        f"{len(queued):,} of {len(annotated.documents):,} documents have {record['unsure']:,} mentions of confidence "
        f"below {threshold:g}"
        + (f" ({len(failed):,} are there for what was not annotated)" if failed else "")
    )
    if target.exists():
        before = _record(target)
        if {key: before.get(key) for key in record} != record:
            raise VanerError(
                f"{target}: holds another queue (threshold {before.get('threshold')}, {before.get('format')}), in "
                "which people may have worked; merge what they did, take it away, and give the same command again"
            )
        return [f"{said}; they are in {target} already, which is left as it is"]
    if not queued:
        return [f"{said}; there is nothing for people to do"]
    with tempfile.TemporaryDirectory(dir=run, prefix=f".{QUEUE}.") as outer:
        folder = Path(outer) / QUEUE
        folder.mkdir()
        sent = _send(folder / FORMATS[format], queued, unsure, format, target)
        record["sent"] = {there.id: here.id for here, there in zip(queued, sent, strict=True)}
        _list_unsure(folder / UNSURE, unsure)
        write_text(folder / QUEUE_RECORD, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
        os.replace(folder, target)
    return [f"{said} -> {target / FORMATS[format]}; {target / UNSURE} lists them"]


def unsure_mentions(run: Annotated, threshold: float) -> dict[str, list[Span]]:
    """Document -> its mentions of a confidence below the threshold; documents without any are left out.

    Raises:
        VanerError: no mention of the run has a confidence.
    """
    scores = [span.score for document in run.documents.values() for span in document.spans]
    if scores and all(score is None for score in scores):
        raise VanerError(f"{run.name}: no mention has a confidence; nothing says which are unsure")
    found = {
        id: [span for span in document.spans if span.score is not None and span.score < threshold]
        for id, document in run.documents.items()
    }
    return {id: spans for id, spans in found.items() if spans}


def run_hash(run: Annotated) -> str:
    """sha256 of what a queue is made of: texts, mentions and their confidences."""
    scores = [[span.score for span in document.spans] for document in run.documents.values()]
    return hashlib.sha256(f"{run.hash}\n{json.dumps(scores)}".encode()).hexdigest()


def sent_of(run: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The record of a run's queue; None where there is none.

    Raises:
        VanerError: it is damaged.
    """
    folder = Path(run) / QUEUE
    return _record(folder) if folder.is_dir() else None


def as_sent(documents: Sequence[Document], format: str) -> list[Document]:
    """Documents as a format gives them back, so that what people changed is told from what the format did."""
    with tempfile.TemporaryDirectory() as folder:
        return _send(Path(folder) / FORMATS[format], documents, {}, format, folder)


def without_notes(lines: Iterable[str]) -> list[str]:
    """Lines of brat without the notes that the queue made."""
    return [line for line in lines if _UNSURE_NOTE.fullmatch(line) is None]


def _record(folder: Path) -> dict[str, Any]:
    path = folder / QUEUE_RECORD
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise VanerError(
            f"{path}: is missing or damaged, so that nothing says what was sent; take the folder away and write the "
            "queue again"
        ) from None
    return found


def _send(
    path: Path,
    documents: Sequence[Document],
    unsure: Mapping[str, Sequence[Span]],
    format: str,
    where: object,
) -> list[Document]:
    """Write documents for people; read back, they are the same, or nothing is sent.

    Returns:
        them as they are read back, in the same order.
    """
    try:
        write_documents(path, [_bare(d, unsure.get(d.id, ())) for d in documents], format, report=Report())
        found = list(read(path, READ_AS[format], report=Report()))
    except VanerError as error:
        raise VanerError(f"{where}: {format} cannot hold this run ({error}); choose another format") from None
    return _matched(documents, found, format, where)


def _matched(
    documents: Sequence[Document], found: Sequence[Document], format: str, where: object
) -> list[Document]:
    """What was read back, in the order of what was written.

    Raises:
        VanerError: one has changed.
    """
    # A format may have renamed a document: those whose name stayed are known by it, the others by their text.
    by_id = {document.id: document for document in found}
    names = {document.id for document in documents}
    renamed: dict[str, list[Document]] = {}
    for document in found:
        if document.id not in names:
            renamed.setdefault(document.text, []).append(document)
    matched = []
    for document in documents:
        if (same := by_id.get(document.id)) is None:
            others = renamed.get(document.text, [])
            if len(others) > 1:
                raise VanerError(
                    f"{where}: document {document.id}: {format} cannot hold its id, and {len(others)} such have the "
                    "same text; choose jsonl"
                )
            same = others[0] if others else None
        if same is None or same.text != document.text:
            raise VanerError(
                f"{where}: document {document.id}: {format} cannot hold its text as it is (line breaks, say); choose "
                "brat, or jsonl"
            )
        if mentions(same) != mentions(document):
            raise VanerError(
                f"{where}: document {document.id}: {format} cannot hold its mentions as they are; choose jsonl"
            )
        matched.append(same)
    return matched


def mentions(document: Document) -> Counter[tuple[int, int, str, tuple[tuple[int, int], ...]]]:
    """What is compared of a document's mentions: start, end, type and pieces."""
    return Counter((*span.key, pieces(span, document.text)) for span in document.spans)


def _bare(document: Document, unsure: Sequence[Span]) -> Document:
    """What people get of a document: text, mentions and their concepts, and notes at those that are unsure."""
    spans = [
        replace(
            span, score=None, grounded=None, concepts=tuple(Concept(c.id, c.source) for c in span.concepts)
        )
        for span in document.spans
    ]
    kept = document.metadata.get("brat") or {"lines": [], "ids": {}}
    noted = _noted(document.spans, unsure, kept)
    return replace(
        document,
        spans=spans,
        words=None,
        sentences=None,
        types=None,
        metadata={"brat": noted} if noted["lines"] else {},
    )


def _noted(spans: Sequence[Span], unsure: Sequence[Span], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The lines of brat that a document has, and a note at each unsure mention, with the names that they refer to."""
    names = renew(spans, kept["ids"], (f"T{number}" for number in count(1)))
    lines = list(kept["lines"])
    used = [int(found[1]) for line in lines if (found := re.match(r"#(\d+)\t", line))]
    numbers = count(1 + max(used, default=0))
    marked = {id(span) for span in unsure}
    ids = dict(kept["ids"])
    for name, span in zip(names, spans, strict=True):
        if id(span) in marked:
            ids[name] = [*span.key]
            lines.append(f"#{next(numbers)}\tAnnotatorNotes {name}\tunsure: confidence {span.score:.3f}")
    return {"lines": lines, "ids": ids}


def _list_unsure(path: Path, unsure: Mapping[str, Sequence[Span]]) -> None:
    with replacing_text(path) as file:
        file.write("document\tstart\tend\ttype\tconfidence\tmention\n")
        for id, spans in unsure.items():
            for span in spans:
                cells = (id, span.start, span.end, span.type, f"{span.score:.3f}", span.text)
                file.write("\t".join(" ".join(str(cell).split()) for cell in cells) + "\n")
