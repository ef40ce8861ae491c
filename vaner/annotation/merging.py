"""In: a run's documents, what people returned of its queue. Out: all documents, with people's mentions where they are.

A document that a person returned is that person's from then on: it has the mentions that came back and no others, all
without a score, as gold has none, and ``metadata["annotation"]["people"]`` says which file they are from. What else the
document holds stays. Documents that did not come back stay as the run wrote them, and are named.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vaner.annotation.marked import ANNOTATION
from vaner.annotation.queue import READ_AS, as_sent, run_hash, sent_of, without_notes
from vaner.annotation.runs import Annotated, annotation, is_run, load
from vaner.document import Concept, Document, Span
from vaner.errors import VanerError
from vaner.evaluation.metrics import align, class_of
from vaner.evaluation.pairing import Mention, pieces
from vaner.files import sha256
from vaner.formats import detect, read
from vaner.report import Report

PEOPLE = "people"
#: What becomes of a mention: class of mistakes, the run standing where gold does -> what it is called here.
KINDS = {
    "correct": "kept",
    "missed": "removed",
    "spurious": "added",
    "boundary": "other borders",
    "type": "other type",
    "both": "other borders and type",
}
_SHOWN = 20


@dataclass
class Merged:
    """What a merge came to.

    Attributes:
        documents: all of the run, in its order.
        returned: ids of documents that people returned.
        missing: ids of documents that were sent and did not return.
        changed: type -> kind (`KINDS`) -> how often; a type is the run's, and the person's of what was added.
        types: (type in the run, type of the person) -> how often one became the other.
        concepts: mentions that were kept and have other concept ids.
        notes: sentences that a user should know.
    """

    documents: list[Document]
    returned: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    changed: dict[str, Counter[str]] = field(default_factory=dict)
    types: Counter[tuple[str, str]] = field(default_factory=Counter)
    concepts: int = 0
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The counts, as JSON holds them."""
        return {
            "documents": len(self.documents),
            "returned": self.returned,
            "missing": self.missing,
            "changed": {
                type: {kind: counts[kind] for kind in KINDS.values()}
                for type, counts in sorted(self.changed.items())
            },
            "types": [{"from": a, "to": b, "times": n} for (a, b), n in sorted(self.types.items())],
            "concepts": self.concepts,
            "notes": self.notes,
        }


def merge(
    run: str | os.PathLike[str],
    returned: Sequence[str | os.PathLike[str]],
    *,
    format: str = "auto",
    returned_format: str = "auto",
    report: Report,
) -> Merged:
    """Put what people returned in the place of what a run marked.

    The run is not changed: the same run and the same files give the same documents, however often they are merged.
    What returns in several parts is given together.

    Args:
        run: the output folder of a run, or a file of documents.
        returned: files, brat folders or zips.
        format, returned_format: of the documents of each.
        report: receives what readers repaired or skipped.

    Raises:
        VanerError: a document that was not sent, that is returned twice, or whose text was changed; the run has changed
            since its queue was written. Nothing is merged then.
    """
    annotated = load(str(run), format, report=report)
    sent, sent_as = _sent(run, annotated)
    back: dict[str, tuple[Document, str, str]] = {}
    for path in returned:
        digest = sha256(path) if os.path.exists(path) else ""
        for document in read(path, _read_as(path, returned_format), report=report):
            id = sent.get(document.id)
            if id is None:
                raise VanerError(
                    f"{path}: document {document.id!r} is none that was sent; leave it out, or name the run it is from"
                )
            _check_text(path, annotated.documents[id], document)
            if id in back:
                raise VanerError(
                    f"{path}: document {id!r} is in {back[id][1]}, too; decide which of the two holds"
                )
            back[id] = (document, str(path), digest)
    merged = Merged([])
    originals = annotated.of(back)
    before = (
        {d.id: one for d, one in zip(originals, as_sent(originals, sent_as), strict=True)} if sent_as else {}
    )
    for id, document in annotated.documents.items():
        if id not in back:
            merged.documents.append(document)
            continue
        theirs, path, digest = back[id]
        where = {"file": Path(os.path.abspath(path)).name, "sha256": digest[:16]}
        merged.documents.append(_of_people(document, before.get(id, document), theirs, where, merged))
    merged.returned = [id for id in annotated.documents if id in back]
    merged.missing = [id for id in sent.values() if id not in back] if sent_as else []
    return merged


def _sent(run: str | os.PathLike[str], annotated: Annotated) -> tuple[dict[str, str], str]:
    """Id that a returned document has -> id in the run, and the format of the queue; empty where there is none."""
    record = sent_of(run) if is_run(run) else None
    if record is None:
        return {id: id for id in annotated.documents}, ""
    if record["run"] != run_hash(annotated):
        raise VanerError(
            f"{run}: has changed since its queue was written, so that what returned belongs to another run; restore "
            "it, or take the queue away and write it again"
        )
    return record["sent"], record["format"]


def _read_as(path: str | os.PathLike[str], format: str) -> str:
    if format != "auto":
        return format
    found = detect(path)
    return READ_AS.get(found, found)


def _check_text(path: object, ours: Document, theirs: Document) -> None:
    """Refuse a text that is not the one that was sent, to the byte."""
    if ours.text == theirs.text:
        return
    shared = zip(ours.text, theirs.text, strict=False)
    at = next((n for n, (a, b) in enumerate(shared) if a != b), min(len(ours.text), len(theirs.text)))
    line = ours.text.count("\n", 0, at) + 1
    raise VanerError(
        f"{path}: document {ours.id}: the text was changed at character {at} (line {line}): "
        f"{ours.text[at : at + _SHOWN]!r} is now {theirs.text[at : at + _SHOWN]!r}; mentions may be changed, the text "
        "not: put it back"
    )


def _of_people(
    document: Document, sent: Document, theirs: Document, where: Mapping[str, str], merged: Merged
) -> Document:
    """A document with the mentions that a person gave back."""
    ours, were, now = _mentions(document), _mentions(sent), _mentions(theirs)
    for a, b in align(ours, now):
        type = (a or b).type  # type: ignore[union-attr]  # one of the two is there
        kind = KINDS[class_of(a, b)]
        merged.changed.setdefault(type, Counter())[kind] += 1
        if a is not None and b is not None and a.type != b.type:
            merged.types[a.type, b.type] += 1
    spans = []
    for mention, span in now.items():
        kept = ours.get(mention)
        if kept is None:
            spans.append(replace(span, score=None, grounded=None))
            continue
        concepts = kept.concepts
        if _ids(span.concepts) != _ids(were[mention].concepts):
            merged.concepts += 1
            concepts = span.concepts
        spans.append(replace(kept, score=None, concepts=concepts))
    metadata = {**document.metadata, ANNOTATION: {**annotation(document), PEOPLE: dict(where)}}
    brat = theirs.metadata.get("brat")
    if brat:
        lines = without_notes(brat["lines"])
        if lines:
            metadata["brat"] = {"lines": lines, "ids": brat["ids"]}
        else:
            metadata.pop("brat", None)
    if unknown := sorted({span.type for span in spans} - (document.types or {span.type for span in spans})):
        merged.notes.append(
            f"document {document.id}: people marked {', '.join(unknown)}, which the run was not asked: what is not "
            "marked of it says nothing"
        )
    return replace(document, spans=spans, metadata=metadata)


def _mentions(document: Document) -> dict[Mention, Span]:
    """Mentions as they are compared; of equal ones the first."""
    found: dict[Mention, Span] = {}
    for span in document.spans:
        found.setdefault(Mention(span.start, span.end, span.type, pieces(span, document.text)), span)
    return found


def _ids(concepts: Iterable[Concept]) -> list[tuple[str, str | None]]:
    return [(concept.id, concept.source) for concept in concepts]
