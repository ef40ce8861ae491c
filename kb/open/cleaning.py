"""In: concepts as published. Out: the same with the names that a text may have, each spelling of one form once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from origins import Concept

from vaner.knowledge.normalise import normalise_all

#: Code points; longer names hardly ever stand in a text as they are.
LONGEST = 60
#: Names of chemicals longer than this are left out where so large a share of them is digits and signs.
SYSTEMATIC_LENGTH, SYSTEMATIC_SHARE = 20, 0.25

_SIGN = re.compile(r"[^A-Za-z\s]")
_CAPITAL = re.compile(r"[A-Z]")
#: Genes known only by the number of a locus, a clone or a cDNA, antisense transcripts.
_UNNAMED_GENE = re.compile(
    r"LOC\d+|[A-Z]+\d+[.-]\d.*|.*-AS\d*|LINC\d+|.*Rik\d*|Gm\d+|RGD\d+|(?:FLJ|KIAA|MGC|DKFZ|HSPC|PRO)[\dA-Zp]*\d.*|"
    r"[A-Z]{1,2}\d{5,}|AI\d+|D\d+[A-Z].*\d+e?|C\d+orf\d+.*|OTT.*|ENS.*|(?:RP\d+|CT[ABCD])-.*|.*Ertd\d+e|MIR\d+.*|"
    r"(?:Tg|In|Del|Dp|T)\(.*|n-T.*|.*-ps\d*|PTHR\d+.*|SF\d+|.* DUF\d+|DUF\d+|[A-Z0-9]{9,}"
)


def clean(concepts: Iterable[Concept], genes: bool = False) -> Iterator[Concept]:
    """Drop the names that no text would have.

    Left out: names that are too long or have no letter; systematic names of chemicals; numbers of clones and loci for
    names of genes; the inverted form of a name where the other is there ("Protein, HuC"); all but the first of the
    names of a concept that are matched alike. A concept without a name is left out.
    """
    for batch in _batches(concepts):
        names = [" ".join(name.replace("\0", " ").split()) for concept in batch for name in concept.names]
        forms = iter(zip(names, normalise_all(names), strict=True))
        for concept in batch:
            pairs = [next(forms) for _ in concept.names]
            kept = _distinct(
                [
                    p
                    for p in pairs
                    if _usable(p[0], concept.types) and not (genes and _UNNAMED_GENE.fullmatch(p[0]))
                ]
            )
            if kept:
                yield Concept(concept.id, concept.types, kept)


def _batches(concepts: Iterable[Concept], size: int = 20_000) -> Iterator[list[Concept]]:
    batch: list[Concept] = []
    for concept in concepts:
        batch.append(concept)
        if len(batch) == size:
            yield batch
            batch = []
    yield batch


def _usable(name: str, types: Collection[str]) -> bool:
    if not 2 <= len(name) <= LONGEST or not any(c.isalpha() for c in name) or "\t" in name:
        return False
    if any(name.count(a) != name.count(b) for a, b in ("()", "[]")):
        return False  # cut off somewhere on its way
    signs = len(_SIGN.findall(name))
    if "Disease" in types and len(name) <= 2:
        return False  # an abbreviation; that of another thing more often than not
    return "Chemical" not in types or len(name) <= SYSTEMATIC_LENGTH or signs < SYSTEMATIC_SHARE * len(name)


def _distinct(pairs: list[tuple[str, str]]) -> list[str]:
    seen: set[object] = set()
    straight = {tuple(sorted(form.split())) for name, form in pairs if ", " not in name}
    kept = []
    for number, (name, form) in enumerate(pairs):
        if number and ", " in name and tuple(sorted(form.replace(" , ", " ").split())) in straight:
            continue
        # A short name in capitals is matched only where the text has them; see rules.yaml.
        capitals = min(2, len(_CAPITAL.findall(name))) if len(name) <= 8 and " " not in name else 0
        if form and (form, capitals) not in seen:
            seen.add((form, capitals))
            kept.append(name)
    return kept


class Known:
    """The names that earlier vocabularies have."""

    def __init__(self) -> None:
        self._of_type: dict[str, set[str]] = {}

    def add(self, concepts: Iterable[Concept]) -> None:
        for concept, forms in _with_forms(concepts):
            for type_ in concept.types:
                self._of_type.setdefault(type_, set()).update(forms)

    def apart(self, concepts: Iterable[Concept], type_: str) -> Iterator[Concept]:
        """Without names of one word that an earlier vocabulary has for another type.

        A cell line may be called as a gene, and a disease after its own; a text that writes so means the gene.
        """
        taken = self._of_type.get(type_, set())
        for concept, forms in _with_forms(concepts):
            names = [
                name
                for name, form in zip(concept.names, forms, strict=True)
                if " " in name or form not in taken or name.islower()
            ]
            if names:
                yield Concept(concept.id, concept.types, names)

    def new(self, concepts: Iterable[Concept]) -> Iterator[Concept]:
        """The names that no earlier vocabulary has for their type, each concept's preferred name besides."""
        for concept, forms in _with_forms(concepts):
            names = [
                name
                for name, form in zip(concept.names, forms, strict=True)
                if not all(form in self._of_type.get(type_, ()) for type_ in concept.types)
            ]
            if names:
                yield Concept(concept.id, concept.types, list(dict.fromkeys([concept.names[0], *names])))


def _with_forms(concepts: Iterable[Concept]) -> Iterator[tuple[Concept, list[str]]]:
    for batch in _batches(concepts):
        forms = iter(normalise_all([name for concept in batch for name in concept.names]))
        for concept in batch:
            yield concept, [next(forms) for _ in concept.names]
