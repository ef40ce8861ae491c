"""In: the tree of a BioC document, as the JSON form has it. Out: its Document."""

from __future__ import annotations

import os
from typing import Any

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, OffsetError, VanerError, place
from vaner.formats import concepts
from vaner.formats.bioc_tree import tree_of
from vaner.formats.offsets import RECOUNTED, UNITS, Pieces, Placer, width
from vaner.provenance import TAGGED_BY
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

SOURCES = {key.casefold(): None if key == "identifier" else key for key in CONCEPT_KEYS}
_KNOWN_INFONS = {"type", "score", "grounded", "CompositeRole"}
PART = "IndividualMention"
_LONGEST_GAP = 10_000_000
"""Line breaks that stand for what the file leaves out: ten times a long article; a wrong offset may be anything."""


def from_tree(
    line: int | None,
    tree: Any,
    path: str | os.PathLike,
    offsets: str,
    unit: str,
    default_type: str,
    report: Report,
) -> Document:
    """The Document of a tree; for the arguments see `vaner.formats.bioc.read`.

    Raises:
        FormatError: for what is no BioC document.
        OffsetError: for wrong offsets.
    """
    where = place(path, line)
    tree = tree_of(tree)
    if not isinstance(tree, dict) or not tree.get("id"):
        raise FormatError(f"{where}: a BioC document has no id; give it one")
    if "passages" not in tree:
        raise FormatError(
            f"{where}: document {tree['id']}: has no passages, so it is no BioC; name its format"
        )
    id = str(tree["id"]).strip()
    try:
        return _builder(tree, id, where, offsets, unit, default_type, report).build()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, VanerError):
            raise
        raise FormatError(
            f"{where}: document {id}: not the form of BioC ({type(error).__name__}: {error}); "
            "check its offsets, locations and infons"
        ) from None


def _builder(
    tree: dict[str, Any], id: str, where: str, offsets: str, unit: str, default_type: str, report: Report
) -> _Builder:
    """What builds the document; with ``auto``, in the unit in which most annotations have their words."""
    best: _Builder | None = None
    for counted in UNITS if unit == "auto" else (unit,):
        try:
            builder = _Builder(tree, id, where, offsets, counted, default_type, report)
        except OffsetError:
            if best is None:
                raise
            continue
        if unit != "auto" or builder.text.isascii():
            return builder
        builder.count_fitting()
        if best is None or builder.fitting > best.fitting:
            best = builder
        if builder.fitting == builder.told:
            break
    assert best is not None
    if best.unit != UNITS[0]:
        report.warn(RECOUNTED, f"{where}: document {id}: the offsets fit where they count {best.unit}")
    return best


class _Builder:
    """Assembles the text of one document, then places its annotations in it."""

    def __init__(
        self,
        tree: dict[str, Any],
        id: str,
        where: str,
        offsets: str,
        unit: str,
        default_type: str,
        report: Report,
    ) -> None:
        self.tree, self.id, self.where, self.unit = tree, id, where, unit
        self.offsets, self.default_type, self.report = offsets, default_type, report
        self.pieces: list[str] = []
        self.length = 0  # code points so far
        self.reached = 0  # the same in the file's unit
        self.parts: list[tuple[int, int, dict[str, Any]]] = []
        self.sentences: list[tuple[int, int]] = []
        self.individual: list[dict[str, Any]] = []
        self.annotations = list(tree.get("annotations") or ())
        self.relations = list(tree.get("relations") or ())
        for passage in tree.get("passages") or ():
            self._add_passage(passage)
        self.text = "".join(self.pieces)
        self.told = self.fitting = 0  # annotations that say their words; those that have them in the text

    def _add_passage(self, passage: dict[str, Any]) -> None:
        begins: list[int] = []
        sentences = passage.get("sentences") or ()
        if passage.get("text") or not sentences:
            begins.append(self._add(passage))
        for sentence in () if passage.get("text") else sentences:
            begins.append(self._add(sentence))
            self.sentences.append((begins[-1], self.length))
        for part in (passage, *sentences):
            self.annotations += part.get("annotations") or ()
            self.relations += part.get("relations") or ()
        self.parts.append((begins[0], self.length, dict(passage.get("infons") or {})))

    def count_fitting(self) -> None:
        """Count the annotations that say their words, and those of them whose words are where they should be."""
        placer = Placer(self.text, self.id, "drop", self.unit, Report())
        for annotation in self.annotations:
            pieces, words = _pieces(annotation), annotation.get("text")
            if pieces and words and (annotation.get("infons") or {}).get("CompositeRole") != PART:
                self.told += 1
                self.fitting += placer.fit(pieces, words) is not None

    def build(self) -> Document:
        passages, passage_infons = self._passages()
        self.placer = Placer(self.text, self.id, self.offsets, self.unit, self.report)
        spans, ids = [], {}
        for annotation in self.annotations:
            span = self._span(annotation)
            if span is not None:
                spans.append(span)
                ids[str(annotation.get("id"))] = list(span.key)
        infons = dict(self.tree.get("infons") or {})
        told = [key for key in infons if key.startswith(f"{TAGGED_BY}.")]
        metadata = {
            "relations": self.relations,
            "annotation_ids": ids if any(relation.get("nodes") for relation in self.relations) else None,
            "individual_mentions": self.individual,
            TAGGED_BY: {key.partition(".")[2]: infons.pop(key) for key in told},
            "infons": infons,
            "passage_infons": passage_infons if any(passage_infons) else None,
        }
        return Document(
            self.id,
            self.text,
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
        if gap > _LONGEST_GAP:
            raise FormatError(
                f"{self.where}: document {self.id}: the passage at offset {offset} begins {gap} characters after the "
                "one before it ends; correct its offset"
            )
        self.pieces += ["\n" * gap, text]
        start = self.length + gap
        self.length = start + len(text)
        self.reached = offset + width(text, self.unit)
        return start

    def _span(self, annotation: dict[str, Any]) -> Span | None:
        infons = dict(annotation.get("infons") or {})
        type = str(infons.get("type") or self.default_type)
        pieces = _pieces(annotation)
        words = annotation.get("text") or ""
        if not pieces:
            self.report.warn(
                "annotation without location",
                f"{self.where}: document {self.id}: {type} {words[:60]!r} left out",
            )
            return None
        ids = self._concepts(infons)
        if infons.get("CompositeRole") == PART:
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
            infons.get("grounded"),
        )

    def _concepts(self, infons: dict[str, Any]) -> tuple[Concept, ...]:
        found: list[Concept] = []
        for key, value in infons.items():
            if key.casefold() in SOURCES:
                found += concepts.parse(str(value or ""), SOURCES[key.casefold()])
            elif key not in _KNOWN_INFONS:
                self.report.warn(
                    f"annotation infon {key!r} ignored",
                    f"{self.where}: document {self.id}: its value is {value!r}",
                )
        return tuple(found)


def _pieces(annotation: dict[str, Any]) -> Pieces:
    return [
        (int(location["offset"]), int(location["offset"]) + int(location["length"]))
        for location in annotation.get("locations") or ()
    ]
