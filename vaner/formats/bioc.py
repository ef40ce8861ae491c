"""In: BioC, XML or JSON. Out: Documents; and back.

    <document><id>227508</id>
      <passage><infon key="type">title</infon><offset>0</offset><text>Naloxone reverses ...</text>
        <annotation id="0"><infon key="type">Chemical</infon><infon key="MESH">D009270</infon>
          <location offset="0" length="8"/><text>Naloxone</text></annotation></passage>
      <passage>...<offset>60</offset>...

Offsets run through the whole document. What lies between the end of a passage and the offset of the next
is not in the file; it is filled with line breaks so that offsets hold. An annotation with several
locations is a discontinuous mention.

Both forms hold the same tree. `vaner.formats.bioc_tree` turns files into trees, `vaner.formats.bioc_document` these
into Documents; the way back begins here.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import partial
from itertools import count
from typing import Any

from vaner.document import Concept, Document
from vaner.errors import VanerError
from vaner.formats import concepts
from vaner.formats.bioc_document import PART, SOURCES, from_tree
from vaner.formats.bioc_tree import json_documents, syntax_of, write_json, write_xml, xml_documents
from vaner.formats.blocks import documents
from vaner.formats.ids import renew
from vaner.formats.lossy import tell
from vaner.formats.offsets import UNITS, check_options
from vaner.provenance import TAGGED_BY
from vaner.report import Report

_HOLDS = {"scores", "grounding", "fragments", "concept ids", "concept sources", "passages"}
_KEPT = {"relations", "annotation_ids", "individual_mentions", "infons", "passage_infons"}


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    offsets: str = "raise",
    unit: str = "auto",
    type: str = "Entity",
    syntax: str = "auto",
) -> Iterator[Document]:
    """Stream the Documents of a BioC file: XML, a JSON collection, or JSON with one document a line.

    Parts of a composite mention (infon ``CompositeRole`` ``IndividualMention``) are not mentions of their
    own; they go to ``metadata["individual_mentions"]``, relations to ``metadata["relations"]`` (with
    ``metadata["annotation_ids"]`` where they point at annotations), other infons of the document and its
    passages to ``metadata["infons"]`` and ``metadata["passage_infons"]``. Other infons of annotations are
    counted in ``report``. What ``write`` said of who tagged the document goes to ``metadata["tagged_by"]``.

    Args:
        offsets: what to do with a mention whose words are not at its offsets: ``raise``, ``repair``
            or ``drop``; see :mod:`vaner.formats.offsets`.
        unit: what offsets count: ``codepoints``, ``utf16`` (files written by Java), ``utf8``, or ``auto``: in each
            document that in which most annotations have their words; another than code points is counted.
        type: the type of annotations that have none.
        syntax: ``xml``, ``json`` or ``auto``, by the first character.

    Raises:
        FormatError: for broken XML or JSON and for documents without id or passages.
        OffsetError: for wrong offsets, naming file, document and both strings.
    """
    check_options(offsets, UNITS[0] if unit == "auto" else unit)
    syntax = syntax_of(path) if syntax == "auto" else syntax
    if syntax not in ("xml", "json"):
        raise VanerError(f"syntax={syntax!r} is unknown; choose 'auto', 'xml' or 'json'")
    blocks = xml_documents(path) if syntax == "xml" else json_documents(path)
    build = partial(from_tree, path=path, offsets=offsets, unit=unit, default_type=type, report=report)
    return documents(path, blocks, build, on_error, report)


def write(
    path: str | os.PathLike, documents: Iterable[Document], *, report: Report, syntax: str = "auto"
) -> int:
    """Write Documents as a BioC collection.

    Who tagged a document (``metadata["tagged_by"]``) is told by infons of it, ``tagged_by.model`` and so on.
    Text outside every passage becomes a passage without type. XML cannot hold most control characters;
    they become U+FFFD, counted in ``report`` as is everything else that BioC has no room for.

    Args:
        syntax: ``xml``, ``json``, or ``auto``: json where the path ends in ``.json``, else xml.
    """
    if syntax == "auto":
        syntax = "json" if str(path).removesuffix(".gz").lower().endswith(".json") else "xml"
    if syntax not in ("xml", "json"):
        raise VanerError(f"syntax={syntax!r} is unknown; choose 'auto', 'xml' or 'json'")
    trees = _trees(documents, path, report)
    return write_json(path, trees) if syntax == "json" else write_xml(path, trees, report)


def _trees(documents: Iterable[Document], path: object, report: Report) -> Iterator[dict[str, Any]]:
    for document in documents:
        tell(document, "BioC", _HOLDS, _KEPT, path, report)
        yield _tree(document, path, report)


def _tree(document: Document, path: object, report: Report) -> dict[str, Any]:
    where = f"{path}: document {document.id}"
    passages = _passages(document, where, report)
    starts = [passage["offset"] for passage in passages]
    annotations = _annotations(document, where, report)
    for annotation in annotations:
        holder = max(0, bisect_right(starts, annotation["locations"][0]["offset"]) - 1)
        passages[holder]["annotations"].append(annotation)
    ids = {annotation["id"] for annotation in annotations}
    return {
        "id": document.id,
        "infons": {**(document.metadata.get("infons") or {}), **_tagged_by(document)},
        "passages": passages,
        "annotations": [],
        "relations": _relations(document, ids, where, report),
    }


def _tagged_by(document: Document) -> dict[str, str]:
    told = document.metadata.get(TAGGED_BY)
    return {f"{TAGGED_BY}.{key}": str(value) for key, value in told.items()} if isinstance(told, dict) else {}


def _passages(document: Document, where: str, report: Report) -> list[dict[str, Any]]:
    """Passages that hold all the text but the line breaks between them."""
    extra = document.metadata.get("passage_infons") or []
    if len(extra) != len(document.passages):
        if extra:
            report.warn(
                "metadata 'passage_infons' not written",
                f"{where}: they are of {len(extra)} passages, and there are {len(document.passages)}",
            )
        extra = [{}] * len(document.passages)
    passages: list[dict[str, Any]] = []
    reached = 0

    def add(start: int, end: int, infons: dict[str, Any]) -> None:
        passages.append(
            {
                "offset": start,
                "infons": infons,
                "text": document.text[start:end],
                "sentences": [],
                "annotations": [],
                "relations": [],
            }
        )

    for passage, infons in zip(document.passages, extra, strict=True):
        if passage.start < reached:
            report.warn(
                "overlapping passage not written",
                f"{where}: {passage.kind} at {passage.start}-{passage.end} begins before {reached}",
            )
            continue
        if document.text[reached : passage.start].strip("\n"):
            add(reached, passage.start, {})
        add(passage.start, passage.end, {"type": passage.kind, **infons})
        reached = passage.end
    if reached < len(document.text) or not passages:
        add(reached, len(document.text), {})
    return passages


def _annotations(document: Document, where: str, report: Report) -> list[dict[str, Any]]:
    parts = document.metadata.get("individual_mentions", ())
    taken = {part["id"] for part in parts}
    fresh = (str(n) for n in count() if str(n) not in taken)
    names = renew(document.spans, document.metadata.get("annotation_ids", {}), fresh)
    annotations = []
    for span, name in zip(document.spans, names, strict=True):
        pieces = span.fragments or ((span.start, span.end),)
        words = " ".join(document.text[start:end] for start, end in pieces)
        annotation = _annotation(name, pieces, words, span.type, span.concepts, where, report)
        if span.score is not None:
            annotation["infons"]["score"] = repr(span.score)
        if span.grounded is not None:
            annotation["infons"]["grounded"] = span.grounded
        annotations.append(annotation)
    for part in parts:
        ids = [Concept(*concept) for concept in part["concepts"]]
        annotation = _annotation(
            part["id"], part["fragments"], part["text"], part["type"], ids, where, report
        )
        annotation["infons"]["CompositeRole"] = PART
        annotations.append(annotation)
    return annotations


def _relations(document: Document, ids: Set[str], where: str, report: Report) -> list[dict[str, Any]]:
    """The relations of BioC's kind whose annotations are still there."""
    gone = document.metadata.get("annotation_ids", {}).keys() - ids
    kept = []
    for relation in document.metadata.get("relations", ()):
        if not isinstance(relation, dict):
            report.warn("relation not written", f"{where}: not BioC's kind: {relation}")
        elif any(node.get("refid") in gone for node in relation.get("nodes") or ()):
            report.warn("relation not written", f"{where}: an annotation it joins is gone: {relation}")
        else:
            kept.append(relation)
    return kept


def _annotation(
    id: str,
    pieces: Iterable[tuple[int, int]],
    words: str,
    type: str,
    ids: Sequence[Concept],
    where: str,
    report: Report,
) -> dict[str, Any]:
    infons = _concept_infons(ids)
    if _read_back(infons) != [(c.id, c.source) for c in ids]:
        report.warn("concept ids changed", f"{where}: the ids of {words[:60]!r} will be read as {infons}")
    return {
        "id": id,
        "infons": {"type": type, **infons},
        "text": words,
        "locations": [{"offset": start, "length": end - start} for start, end in pieces],
    }


def _concept_infons(ids: Sequence[Concept]) -> dict[str, str]:
    """One infon where it can say all, in order; else one for each source."""
    if not ids:
        return {}
    together = {"identifier": concepts.join(ids)}
    if _read_back(together) == [(c.id, c.source) for c in ids]:
        return together
    by_key: dict[str, list[Concept]] = {}
    for concept in ids:
        source = concept.source
        key = source if source is not None and source.casefold() in SOURCES else "identifier"
        by_key.setdefault(key, []).append(concept)
    return {key: concepts.join(group) for key, group in by_key.items()}


def _read_back(infons: dict[str, str]) -> list[tuple[str, str | None]]:
    found = [c for key, value in infons.items() for c in concepts.parse(value, SOURCES[key.casefold()])]
    return [(c.id, c.source) for c in found]
