"""In: BioC, XML or JSON. Out: Documents; and back.

    <document><id>227508</id>
      <passage><infon key="type">title</infon><offset>0</offset><text>Naloxone reverses ...</text>
        <annotation id="0"><infon key="type">Chemical</infon><infon key="MESH">D009270</infon>
          <location offset="0" length="8"/><text>Naloxone</text></annotation></passage>
      <passage>...<offset>60</offset>...

Offsets run through the whole document. What lies between the end of a passage and the offset of the next
is not in the file; it is filled with line breaks so that offsets hold. An annotation with several
locations is a discontinuous mention.

Both forms hold the same tree; only trees are read and made here, and `vaner.formats.bioc_tree` turns files into them.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import partial
from itertools import count
from typing import Any

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, OffsetError, VanerError, place
from vaner.formats import concepts
from vaner.formats.bioc_tree import json_documents, syntax_of, tree_of, write_json, write_xml, xml_documents
from vaner.formats.blocks import documents
from vaner.formats.ids import renew
from vaner.formats.lossy import tell
from vaner.formats.offsets import Placer, check_options, width
from vaner.report import Report

CONCEPT_KEYS = (
    "identifier",
    "MESH",
    "OMIM",
    "NCBI Gene",
    "NCBIGENE",
    "Gene",
    "NCBI Homologene",
    "NCBI Taxonomy",
    "Taxonomy",
    "dbSNP",
    "CHEBI",
    "UMLS",
    "CUI",
    "Cellosaurus",
    "CVCL",
    "DrugBank",
    "UniProt",
    "HPO",
    "MONDO",
    "DOID",
    "CL",
    "UBERON",
)
"""Infon keys whose value is a concept id, in any capitalisation; all but ``identifier`` name its source."""

_SOURCES = {key.casefold(): None if key == "identifier" else key for key in CONCEPT_KEYS}
_KNOWN_INFONS = {"type", "score", "CompositeRole"}
_PART = "IndividualMention"
_HOLDS = {"scores", "fragments", "concept ids", "concept sources", "passages"}
_KEPT = {"relations", "annotation_ids", "individual_mentions", "infons", "passage_infons"}


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    offsets: str = "raise",
    unit: str = "codepoints",
    type: str = "Entity",
    syntax: str = "auto",
) -> Iterator[Document]:
    """Stream the Documents of a BioC file: XML, a JSON collection, or JSON with one document a line.

    Parts of a composite mention (infon ``CompositeRole`` ``IndividualMention``) are not mentions of their
    own; they go to ``metadata["individual_mentions"]``, relations to ``metadata["relations"]`` (with
    ``metadata["annotation_ids"]`` where they point at annotations), other infons of the document and its
    passages to ``metadata["infons"]`` and ``metadata["passage_infons"]``. Other infons of annotations are
    counted in ``report``.

    Args:
        offsets: what to do with a mention whose words are not at its offsets: ``raise``, ``repair``
            or ``drop``; see :mod:`vaner.formats.offsets`.
        unit: what offsets count: ``codepoints``, ``utf16`` (files written by Java) or ``utf8``.
        type: the type of annotations that have none.
        syntax: ``xml``, ``json`` or ``auto``, by the first character.

    Raises:
        FormatError: for broken XML or JSON and for documents without id or passages.
        OffsetError: for wrong offsets, naming file, document and both strings.
    """
    check_options(offsets, unit)
    syntax = syntax_of(path) if syntax == "auto" else syntax
    if syntax not in ("xml", "json"):
        raise VanerError(f"syntax={syntax!r} is unknown; choose 'auto', 'xml' or 'json'")
    blocks = xml_documents(path) if syntax == "xml" else json_documents(path)
    build = partial(_document, path=path, offsets=offsets, unit=unit, default_type=type, report=report)
    return documents(path, blocks, build, on_error, report)


# From the tree to a Document.


def _document(
    line: int | None,
    tree: Any,
    path: str | os.PathLike,
    offsets: str,
    unit: str,
    default_type: str,
    report: Report,
) -> Document:
    where = place(path, line)
    tree = tree_of(tree)
    if not isinstance(tree, dict) or not tree.get("id"):
        raise FormatError(f"{where}: a BioC document has no id; give it one")
    id = str(tree["id"]).strip()
    try:
        return _Builder(id, where, offsets, unit, default_type, report).build(tree)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, VanerError):
            raise
        raise FormatError(
            f"{where}: document {id}: not the form of BioC ({type(error).__name__}: {error}); "
            "check its offsets, locations and infons"
        ) from None


class _Builder:
    """Assembles the text of one document, then places its annotations in it."""

    def __init__(
        self, id: str, where: str, offsets: str, unit: str, default_type: str, report: Report
    ) -> None:
        self.id, self.where, self.unit = id, where, unit
        self.offsets, self.default_type, self.report = offsets, default_type, report
        self.pieces: list[str] = []
        self.length = 0  # code points so far
        self.reached = 0  # the same in the file's unit
        self.parts: list[tuple[int, int, dict[str, Any]]] = []
        self.sentences: list[tuple[int, int]] = []
        self.individual: list[dict[str, Any]] = []

    def build(self, tree: dict[str, Any]) -> Document:
        annotations = list(tree.get("annotations") or ())
        relations = list(tree.get("relations") or ())
        for passage in tree.get("passages") or ():
            begins: list[int] = []
            sentences = passage.get("sentences") or ()
            if passage.get("text") or not sentences:
                begins.append(self._add(passage))
            for sentence in () if passage.get("text") else sentences:
                begins.append(self._add(sentence))
                self.sentences.append((begins[-1], self.length))
            for part in (passage, *sentences):
                annotations += part.get("annotations") or ()
                relations += part.get("relations") or ()
            self.parts.append((begins[0], self.length, dict(passage.get("infons") or {})))
        passages, passage_infons = self._passages()
        text = "".join(self.pieces)
        self.placer = Placer(text, self.id, self.offsets, self.unit, self.report)
        spans, ids = [], {}
        for annotation in annotations:
            span = self._span(annotation)
            if span is not None:
                spans.append(span)
                ids[str(annotation.get("id"))] = list(span.key)
        metadata = {
            "relations": relations,
            "annotation_ids": ids if any(relation.get("nodes") for relation in relations) else None,
            "individual_mentions": self.individual,
            "infons": tree.get("infons"),
            "passage_infons": passage_infons if any(passage_infons) else None,
        }
        return Document(
            self.id,
            text,
            spans,
            passages,
            sentences=self.sentences or None,
            metadata={key: value for key, value in metadata.items() if value},
        )

    def _passages(self) -> tuple[list[Passage], list[dict[str, Any]]]:
        """The passages that the file names, and their other infons.

        Where it names none, several are called ``passage``, and a single one is no part but the whole.
        """
        named = any("type" in infons for _, _, infons in self.parts)
        passages, others = [], []
        for start, end, infons in self.parts:
            kind = infons.pop("type", None if named or len(self.parts) == 1 else "passage")
            if kind is not None:
                passages.append(Passage(start, end, str(kind)))
                others.append(infons)
        return passages, others

    def _add(self, part: dict[str, Any]) -> int:
        """Append a passage's or sentence's text at its offset; returns the code point it starts at."""
        offset, text = int(part["offset"]), part.get("text") or ""
        gap = offset - self.reached
        if gap < 0:
            raise OffsetError(
                f"{self.where}: document {self.id}: the passage at offset {offset} begins before the one "
                f"before it ends ({self.reached}); correct its offset, or say what offsets count "
                "(bioc:unit=utf16 or bioc:unit=utf8)"
            )
        self.pieces += ["\n" * gap, text]
        start = self.length + gap
        self.length = start + len(text)
        self.reached = offset + width(text, self.unit)
        return start

    def _span(self, annotation: dict[str, Any]) -> Span | None:
        infons = dict(annotation.get("infons") or {})
        type = str(infons.get("type") or self.default_type)
        pieces = [
            (int(location["offset"]), int(location["offset"]) + int(location["length"]))
            for location in annotation.get("locations") or ()
        ]
        words = annotation.get("text") or ""
        if not pieces:
            self.report.warn(
                "annotation without location",
                f"{self.where}: document {self.id}: {type} {words[:60]!r} left out",
            )
            return None
        ids = self._concepts(infons)
        if infons.get("CompositeRole") == _PART:
            # Their words are often put together from pieces ("colorectal cancers"): kept, not compared.
            points = [[self.placer.point(start), self.placer.point(end)] for start, end in pieces]
            self.individual.append(
                {
                    "id": str(annotation.get("id")),
                    "fragments": points,
                    "type": type,
                    "text": words,
                    "concepts": [[concept.id, concept.source] for concept in ids],
                }
            )
            return None
        fragments: tuple[tuple[int, int], ...] = ()
        if len(pieces) == 1:
            placed = self.placer.place(*pieces[0], words, type, self.where)
        else:
            found = self.placer.place_fragments(pieces, words, type, self.where)
            fragments = tuple(found or ())
            placed = (fragments[0][0], max(end for _, end in fragments)) if found else None
        if placed is None:
            return None
        score = infons.get("score")
        return Span(
            *placed,
            type,
            self.placer.text[slice(*placed)],
            None if score is None else float(score),
            ids,
            fragments,
        )

    def _concepts(self, infons: dict[str, Any]) -> tuple[Concept, ...]:
        found: list[Concept] = []
        for key, value in infons.items():
            if key.casefold() in _SOURCES:
                found += concepts.parse(str(value or ""), _SOURCES[key.casefold()])
            elif key not in _KNOWN_INFONS:
                self.report.warn(
                    f"annotation infon {key!r} ignored",
                    f"{self.where}: document {self.id}: its value is {value!r}",
                )
        return tuple(found)


# From a Document to the tree.


def write(
    path: str | os.PathLike, documents: Iterable[Document], *, report: Report, syntax: str = "auto"
) -> int:
    """Write Documents as a BioC collection.

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
        "infons": document.metadata.get("infons") or {},
        "passages": passages,
        "annotations": [],
        "relations": _relations(document, ids, where, report),
    }


def _passages(document: Document, where: str, report: Report) -> list[dict[str, Any]]:
    """Passages that hold all the text but the line breaks between them."""
    extra = document.metadata.get("passage_infons") or []
    if len(extra) != len(document.passages):
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
        annotations.append(annotation)
    for part in parts:
        ids = [Concept(*concept) for concept in part["concepts"]]
        annotation = _annotation(
            part["id"], part["fragments"], part["text"], part["type"], ids, where, report
        )
        annotation["infons"]["CompositeRole"] = _PART
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
        key = source if source is not None and source.casefold() in _SOURCES else "identifier"
        by_key.setdefault(key, []).append(concept)
    return {key: concepts.join(group) for key, group in by_key.items()}


def _read_back(infons: dict[str, str]) -> list[tuple[str, str | None]]:
    found = [c for key, value in infons.items() for c in concepts.parse(value, _SOURCES[key.casefold()])]
    return [(c.id, c.source) for c in found]
