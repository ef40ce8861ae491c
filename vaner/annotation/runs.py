"""In: a run's output folder, or any file of documents. Out: its documents, what was asked, what it cost, its hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vaner.annotation.marked import ANNOTATION
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.run import renamed
from vaner.files import lines
from vaner.formats import read
from vaner.jobs import record, store
from vaner.jobs.sources import REJECTED, WORK
from vaner.report import Report

# What the runner counts of every unit, whoever tags.
_OF_EVERY_RUN = {"documents", "characters", "spans", "tokens", "padded_tokens", "units"}


@dataclass(frozen=True)
class Annotated:
    """Documents that somebody or something annotated, all in memory.

    Attributes:
        name: for tables.
        documents: by id, in the order of the files.
        rejected: ids of documents that were to be annotated, and are not among them.
        types: that were asked; None where nothing says.
        counts: what the annotators counted, such as requests and tokens; None where nothing was recorded.
        seconds: that annotating took, over all processes.
    """

    name: str
    documents: Mapping[str, Document]
    rejected: frozenset[str] = frozenset()
    types: frozenset[str] | None = None
    counts: Mapping[str, int] | None = None
    seconds: float = 0.0

    @property
    def inputs(self) -> frozenset[str]:
        """Ids of all documents that were to be annotated."""
        return frozenset(self.documents) | self.rejected

    @cached_property
    def hash(self) -> str:
        """sha256 of ids, texts and mentions, whatever the files' format; scores have no part in it."""
        digest = hashlib.sha256()
        for document in self.documents.values():
            mentions = sorted({(*span.key, span.fragments) for span in document.spans})
            said = json.dumps([document.id, document.text, mentions], ensure_ascii=True)
            digest.update(f"{said}\n".encode())
        return digest.hexdigest()

    def of(self, ids: Iterable[str]) -> list[Document]:
        """Those of its documents that are among these, in its own order."""
        wanted = frozenset(ids)
        return [document for id, document in self.documents.items() if id in wanted]

    def renamed(self, type_map: Mapping[str, str]) -> Annotated:
        """The same with other names of types."""
        if not type_map:
            return self
        found = {d.id: d for d in renamed(self.documents.values(), type_map)}
        types = None if self.types is None else frozenset(type_map.get(t, t) for t in self.types)
        return replace(self, documents=found, types=types)


def load(
    path: str, format: str = "auto", *, name: str = "", on_error: str = "raise", report: Report
) -> Annotated:
    """Read a run's output folder, or a file, folder or zip of documents.

    Args:
        path: a folder that ``annotate`` or ``predict.py`` wrote, or whatever `vaner.formats.read` reads.
        format: of the documents.
        name: for tables; by default what the path ends in.
        on_error: of `vaner.formats.read`.
        report: receives what readers repaired or skipped.

    Raises:
        VanerError: a run that has no output yet, two documents of one id, nothing to read.
    """
    name = name or Path(os.path.abspath(path)).name if path != "-" else "stdin"
    if not is_run(path):
        documents = _by_id(path, [path], format, on_error, report)
        if not documents:
            raise VanerError(f"{path}: holds no document; name a file or folder that does")
        return Annotated(name, documents, types=_asked(documents.values()))
    folder = Path(path)
    outputs, counts, seconds = _recorded(folder)
    made = record.load(folder / WORK / "run.json")
    named = made.get("settings", {}).get("types")
    documents = _by_id(path, [str(folder / output) for output in outputs], format, on_error, report)
    types = frozenset(named) if named else _asked(documents.values())
    return Annotated(name, documents, _rejected(folder), types, counts, seconds)


def is_run(path: str | os.PathLike) -> bool:
    """Whether a folder is the output of a run over many files."""
    return (Path(path) / WORK / "run.json").is_file()


def annotation(document: Document) -> dict[str, Any]:
    """What a document says of how it was annotated; empty where it says nothing."""
    said = document.metadata.get(ANNOTATION)
    return said if isinstance(said, dict) else {}


def _recorded(folder: Path) -> tuple[list[str], Counter[str], float]:
    """A run's output files, what was counted, and the seconds that it took."""
    outputs: dict[str, str] = {}
    empty: set[str] = set()
    counts: Counter[str] = Counter()
    seconds = 0.0
    for line in store.lines(folder / WORK / "manifest.jsonl"):
        if line["kind"] == "unit":
            # A unit that was damaged was tagged again, and paid for twice.
            counts.update(line["counts"])
            seconds += line["seconds"]
        elif line["kind"] == "complete" and not line["missing"]:
            outputs[line["source"]] = line["output"]
            # All its documents were rejected: a file without any is one that no reader takes.
            (empty.discard if line["documents"] else empty.add)(line["output"])
    if not outputs:
        raise VanerError(f"{folder}: this run has no finished output; let it end first")
    for output in outputs.values():
        if not (folder / output).exists():
            raise VanerError(
                f"{folder / output}: is gone; give the run's command again, which writes it anew"
            )
    for name in _OF_EVERY_RUN:
        del counts[name]
    return [output for output in outputs.values() if output not in empty], counts, seconds


def _rejected(folder: Path) -> frozenset[str]:
    path = folder / REJECTED
    if not path.exists():
        return frozenset()
    found = (json.loads(line).get("document") for _, line in lines(path))
    return frozenset(id for id in found if id is not None)


def _by_id(
    path: str, files: Iterable[str], format: str, on_error: str, report: Report
) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for file in files:
        for document in read(file, format, on_error=on_error, report=report):
            if document.id in found:
                raise VanerError(
                    f"{path}: two documents have the id {document.id!r}; give each its own, or name one file"
                )
            found[document.id] = document
    return found


def _asked(documents: Iterable[Document]) -> frozenset[str] | None:
    """The types that were asked in all documents, as far as each of them says so."""
    found: set[str] = set()
    for document in documents:
        types = annotation(document).get("types", document.types)
        if types is None:
            return None
        found.update(types)
    return frozenset(found) or None
