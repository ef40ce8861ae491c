"""In: the kept units of a source. Out: its output file, and what was counted over it; what was rejected and deleted."""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import replacing
from vaner.formats import write
from vaner.jobs.packing import unpack
from vaner.jobs.sources import DELETED, REJECTED, Source
from vaner.jobs.store import Store
from vaner.jobs.units import Rejected
from vaner.report import Report


class Tally(Protocol):
    """Counts something over the documents of one source."""

    def add(self, document: Document) -> None:
        """Count a document of the output; each comes once, in the order of the file."""
        ...

    def record(self) -> Any:
        """What was counted, as JSON holds it."""
        ...


def assemble(store: Store, source: Source, format: str, tally: Callable[[], Tally] | None) -> None:
    """Write a source's output file of its units, whole or not at all, and record it; its units go.

    A document that the format cannot hold is rejected.

    Raises:
        VanerError: the file cannot be written.
        OSError: the disk is full, or the folder is read-only.
    """
    progressed = store.sources[source.name]
    assert progressed.end is not None
    # Of a file that cannot be read at all there is nothing to write.
    missing = progressed.end["broken"] and not progressed.end["units"]
    rejected: dict[str, Rejected] = {}
    source.output.parent.mkdir(parents=True, exist_ok=True)
    for left in source.output.parent.glob(f".{glob.escape(source.output.name[:100])}.*.tmp"):
        left.unlink()  # of a run that was killed while it wrote
    while True:
        counts: Counter[str] = Counter(documents=0, characters=0, spans=0)
        report = Report()
        counting = tally() if tally else None
        last: list[Document] = []

        def documents(
            counts: Counter[str] = counts, counting: Tally | None = counting, last: list[Document] = last
        ) -> Iterator[Document]:
            for document in _documents(store, source):
                if document.id in rejected:
                    continue
                counts["documents"] += 1
                counts["characters"] += len(document.text)
                counts["spans"] += len(document.spans)
                if counting is not None:
                    counting.add(document)
                last[:] = [document]
                yield document

        if missing:
            break
        try:
            write(source.output, documents(), format, report=report)
            break
        except VanerError as error:
            if not last or last[0].id in rejected or not _to_blame(last[0], format):
                raise
            rejected[last[0].id] = Rejected(source.path, last[0].id, str(error))
    line = {
        **counts,
        "output": os.path.relpath(source.output, store.folder.parent),
        "rejected": [vars(one) for one in rejected.values()],
        "told": told(report),
        "missing": missing,
    }
    store.complete(source.name, line, counting.record() if counting is not None else None)


def _documents(store: Store, source: Source) -> Iterator[Document]:
    end = store.sources[source.name].end
    assert end is not None
    for number in range(end["units"]):
        yield from unpack(store.unit(source.name, number))


def _to_blame(document: Document, format: str) -> bool:
    """Whether a document by itself cannot be written in a format."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            write(Path(folder) / "one", [document], format, report=Report())
        except VanerError:
            return True
    return False


def told(report: Report) -> dict[str, list[Any]]:
    """A report as JSON: kind -> how often, and the first message."""
    return {kind: [count, report.first(kind)] for kind, count in report.counts.items()}


def write_rejected(store: Store, output: Path, sources: Sequence[Source]) -> int:
    """Write rejected.jsonl, the documents that are in no output; no file where there is none.

    Returns:
        how many.
    """
    order = {source.name: number for number, source in enumerate(sources)}
    found: dict[tuple[int, str, float], list[dict[str, Any]]] = {}
    for line in store.lines():
        if line["kind"] in ("unit", "end", "complete"):
            part = {"unit": line.get("unit", 0), "end": 1e12, "complete": 2e12}[line["kind"]]
            # A unit that was damaged and tagged again has two lines.
            found[order.get(line["source"], len(order)), line["source"], part] = line["rejected"]
    ordered = sorted(found.items(), key=lambda item: item[0])
    return write_lines(
        output / REJECTED, [{"file": name, **one} for (_, name, _), rejected in ordered for one in rejected]
    )


def write_deleted(store: Store, output: Path, sources: Sequence[Source]) -> int:
    """Write deleted.jsonl, the ids of documents that sources say exist no longer; no file where there is none.

    Returns:
        how many.
    """
    ends = [(name, store.sources[name].end or {}) for name in store.in_order(sources)]
    return write_lines(
        output / DELETED, [{"file": name, "id": id} for name, end in ends for id in end.get("deleted", ())]
    )


def write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> int:
    """Write JSON Lines; without any, the file goes."""
    if lines:
        with replacing(path) as file:
            for line in lines:
                text = json.dumps(line, ensure_ascii=False) + "\n"
                # What UTF-8 cannot hold becomes the escape that JSON has for it.
                file.write(text.encode("utf-8", "backslashreplace"))
    elif path.exists():
        os.unlink(path)
    return len(lines)
