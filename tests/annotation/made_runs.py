"""In: documents. Out: a folder as a run over many files leaves it, without a run; and what stands in it in small."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vaner.document import Document
from vaner.formats import write
from vaner.jobs import record
from vaner.jobs.store import Store

TEXT = "Naloxone reverses hypertension; clonidine does not. Fever and acute renal failure were seen."


def marked(id: str, *mentions: tuple[str, str, float | None], text: str = TEXT, **metadata) -> Document:
    """A document with the first place of each (words, type, confidence) marked."""
    spans = []
    bare = Document(id, text)
    for words, type, score in mentions:
        start = text.index(words)
        spans.append(bare.span(start, start + len(words), type, score=score))
    return Document(id, text, spans, metadata=metadata, types=frozenset({"Disease", "Chemical"}))


def make_run(
    folder: Path,
    documents: Iterable[Document],
    *,
    counts: Sequence[Mapping[str, int]] = ({},),
    types: Sequence[str] | None = ("Disease", "Chemical"),
    rejected: Iterable[str] = (),
) -> Path:
    """Write the folder of a run that tagged one file."""
    folder.mkdir(parents=True)
    written = write(folder / "a.jsonl", documents, "jsonl")
    store = Store(folder)
    record.save(
        folder / ".vaner" / "run.json",
        {"settings": {"types": list(types) if types else None}},
    )
    store.begin("a.pubtator", {})
    for number, one in enumerate(counts):
        line = {"input": "", "seconds": 1.5, "rejected": [], "counts": {"documents": 1, "tokens": 7, **one}}
        store.keep("a.pubtator", number, b"", line)
    store.end(
        "a.pubtator", {"units": len(counts), "broken": False, "rejected": [], "told": {}, "deleted": []}
    )
    line = {"documents": written, "characters": 1, "spans": 1, "output": "a.jsonl", "missing": False}
    store.complete("a.pubtator", {**line, "rejected": [], "told": {}}, None)
    lines = [{"file": "a.pubtator", "place": "a", "document": id, "reason": "no answer"} for id in rejected]
    if lines:
        (folder / "rejected.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
