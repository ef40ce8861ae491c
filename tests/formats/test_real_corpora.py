"""In: the published corpora. Out: that each file reads, offsets hold, and counts are the published ones.

Documents check their offsets when they are built, so reading a file is the test that its offsets hold.
"""

from collections import Counter

import pytest

from vaner.errors import OffsetError
from vaner.formats import detect, read, write
from vaner.formats.conll import REPAIRED as TAGS_REPAIRED
from vaner.formats.offsets import REPAIRED
from vaner.report import SKIPPED, Report

# Path, documents, mentions, mentions whose offsets are wrong, documents whose id came before.
PUBTATOR = [
    ("BC5CDR/CDR_TrainingSet.PubTator.txt", 500, 9385, 0, 0),
    ("BC5CDR/CDR_DevelopmentSet.PubTator.txt", 500, 9591, 0, 0),
    ("BC5CDR/CDR_TestSet.PubTator.txt", 500, 9809, 0, 0),
    # 5,145 mentions in 593 documents, 11 of them in the second copy of 8528200.
    ("NCBI-disease/train/NCBItrainset_corpus.txt", 592, 5134, 1, 1),
    ("NCBI-disease/devel/NCBIdevelopset_corpus.txt", 100, 787, 0, 0),
    ("NCBI-disease/test/NCBItestset_corpus.txt", 100, 960, 0, 0),
    ("BioRED/Train.PubTator", 400, 13351, 0, 0),
    ("BioRED/Dev.PubTator", 100, 3533, 0, 0),
    ("BioRED/Test.PubTator", 100, 3535, 0, 0),
    ("GNormPlus/GNormPlus_Train.PubTator", 432, 5793, 35, 0),
    ("GNormPlus/GNormPlus_Test.PubTator", 262, 4849, 4, 0),
    ("NLM-Gene/NLMgene_Train.PubTator", 450, 13797, 11, 0),
    ("NLM-Gene/NLMgene_Test.PubTator", 100, 3053, 0, 0),
    ("tmVar3/tmVar3_Train.PubTator", 342, 7957, 21, 0),
    ("tmVar3/tmVar3_Test.PubTator", 158, 4625, 0, 0),
    ("DrugProt/DrugProt_Test.PubTator", 750, 18339, 0, 0),
]
TYPES = {
    "BC5CDR/CDR_TrainingSet.PubTator.txt": {"Chemical": 5203, "Disease": 4182},
    "BC5CDR/CDR_TestSet.PubTator.txt": {"Chemical": 5385, "Disease": 4424},
    "GNormPlus/GNormPlus_Train.PubTator": {"Gene": 4246, "FamilyName": 1253, "DomainMotif": 294},
    "NCBI-disease/test/NCBItestset_corpus.txt": {
        "SpecificDisease": 555,
        "Modifier": 264,
        "DiseaseClass": 121,
        "CompositeMention": 20,
    },
}
RELATIONS = {"BC5CDR/CDR_TrainingSet.PubTator.txt": 1038, "BioRED/Train.PubTator": 4178}
BIOC = [
    ("BC5CDR/CDR_TrainingSet.BioC.xml", "BC5CDR/CDR_TrainingSet.PubTator.txt"),
    ("BC5CDR/CDR_DevelopmentSet.BioC.xml", "BC5CDR/CDR_DevelopmentSet.PubTator.txt"),
    ("BC5CDR/CDR_TestSet.BioC.xml", "BC5CDR/CDR_TestSet.PubTator.txt"),
    ("BioRED/Train.BioC.XML", "BioRED/Train.PubTator"),
    ("BioRED/Dev.BioC.XML", "BioRED/Dev.PubTator"),
    ("BioRED/Dev.BioC.JSON", "BioRED/Dev.PubTator"),
    ("BioRED/Test.BioC.XML", "BioRED/Test.PubTator"),
    ("BioRED/Test.BioC.JSON", "BioRED/Test.PubTator"),
]
# Path, sentences, words, mentions.
MTL = "MTL-Bioinformatics-2016/data"
JNLPBA = "Biomedical-Corpora/corpora/NER/CoNLL/BIO/JNLPBA_BIO"
CONLL = [
    (f"{MTL}/NCBI-disease-IOB/train.tsv", 5424, 135701, 5134),
    (f"{MTL}/NCBI-disease-IOB/devel.tsv", 923, 23969, 787),
    (f"{MTL}/NCBI-disease-IOB/test.tsv", 940, 24497, 960),
    (f"{MTL}/NCBI-disease-IOBES/train.tsv", 5424, 135701, 5134),
    (f"{MTL}/NCBI-disease-IOBES/devel.tsv", 923, 23969, 787),
    (f"{MTL}/NCBI-disease-IOBES/test.tsv", 940, 24497, 960),
    (f"{MTL}/BC5CDR-IOB/train.tsv", 4560, 118170, 9385),
    (f"{MTL}/BC5CDR-IOB/devel.tsv", 4581, 117453, 9593),
    (f"{MTL}/BC5CDR-IOB/test.tsv", 4797, 124750, 9809),
    (f"{MTL}/BC5CDR-chem-IOB/train.tsv", 4560, 118170, 5203),
    (f"{MTL}/BC5CDR-chem-IOB/devel.tsv", 4581, 117453, 5347),
    (f"{MTL}/BC5CDR-chem-IOB/test.tsv", 4797, 124750, 5385),
    (f"{MTL}/BC5CDR-disease-IOB/train.tsv", 4560, 118170, 4182),
    (f"{MTL}/BC5CDR-disease-IOB/devel.tsv", 4581, 117453, 4246),
    (f"{MTL}/BC5CDR-disease-IOB/test.tsv", 4797, 124750, 4424),
    (f"{MTL}/BC2GM-IOB/train.tsv", 12574, 355405, 15197),
    (f"{MTL}/BC2GM-IOB/devel.tsv", 2519, 71042, 3061),
    (f"{MTL}/linnaeus-IOB/train.tsv", 11935, 280960, 2119),
    (f"{MTL}/linnaeus-IOB/devel.tsv", 4078, 93815, 711),
    (f"{MTL}/AnatEM-IOB/train.tsv", 5861, 153823, 6946),
    (f"{MTL}/AnatEM-IOB/devel.tsv", 2118, 58785, 2139),
    (f"{MTL}/AnatEM-IOB/test.tsv", 3830, 99976, 4616),
    (f"{MTL}/JNLPBA/devel.tsv", 1739, 47461, 4551),
    (f"{JNLPBA}/train.tsv", 16807, 445090, 46750),
    (f"{JNLPBA}/valid.tsv", 1739, 47461, 4551),
    ("s800/train.tsv", 5733, 147291, 2557),
    ("s800/devel.tsv", 830, 22217, 384),
    ("CHEMDNER-partial/development.bio.tsv", 2169, 59661, 2298),
    ("E3C-English/preprocessed_data/clinical_entities/layer1/English/train.txt", 669, 12657, 437),
    ("E3C-English/preprocessed_data/clinical_entities/layer1/English/test.txt", 851, 16702, 516),
    ("E3C-English/preprocessed_data/clinical_entities/layer2/English/text.txt", 2873, 59006, 2140),
]


def present(corpora, name):
    if not (corpora / name).exists():
        pytest.skip(f"{name} is not among the corpora")
    return corpora / name


@pytest.mark.parametrize(("name", "documents", "mentions", "wrong", "twice"), PUBTATOR)
def test_pubtator(corpora, tmp_path, name, documents, mentions, wrong, twice):
    path = present(corpora, name)
    assert detect(path) == "pubtator"
    report = Report()
    found = list(read(path, on_error="skip", offsets="repair", report=report))
    assert (len(found), sum(len(d.spans) for d in found)) == (documents, mentions)
    assert report.counts == {kind: count for kind, count in ((REPAIRED, wrong), (SKIPPED, twice)) if count}
    if name in TYPES:
        assert Counter(s.type for d in found for s in d.spans) == TYPES[name]
    if name in RELATIONS:
        assert sum(len(d.metadata.get("relations", ())) for d in found) == RELATIONS[name]
    if wrong and not twice:
        with pytest.raises(OffsetError):
            list(read(path))
    report = Report()
    write(tmp_path / "again", found, "pubtator", report=report)
    assert list(read(tmp_path / "again")) == found
    assert not report.counts


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pubtator"), BIOC)
def test_bioc_agrees_with_pubtator(corpora, name, pubtator):
    def content(document):
        return (
            document.id,
            document.text,
            [(passage.start, passage.end) for passage in document.passages],
            [(*span.key, [concept.id for concept in span.concepts]) for span in document.spans],
        )

    report = Report()
    found = list(read(present(corpora, name), report=report))
    for ours, theirs in zip(found, read(present(corpora, pubtator)), strict=True):
        assert content(ours) == content(theirs)
    assert not report.counts


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.xml", "out.json"])
def test_bioc_round_trip(corpora, tmp_path, name):
    before = list(read(present(corpora, "BC5CDR/CDR_TestSet.BioC.xml")))
    write(tmp_path / name, before, "bioc")
    assert list(read(tmp_path / name)) == before


def test_brat_folder(corpora):
    report = Report()
    found = list(read(present(corpora, "AnatEM-brat-devel"), report=report))
    assert (len(found), sum(len(d.spans) for d in found)) == (202, 2139)
    assert len({s.type for d in found for s in d.spans}) == 12


@pytest.mark.slow
def test_brat_zip(corpora, tmp_path):
    path = present(corpora, "DDI2013/DDICorpus-2013(BRAT).zip")
    expected = {
        "Test/DrugBank": (212, 2816, 3, 884),
        "Test/MedLine": (91, 910, 8, 95),
        "Train/DrugBank": (572, 12929, 33, 3789),
        "Train/MedLine": (142, 1836, 5, 232),
    }
    for part, (documents, mentions, discontinuous, relations) in expected.items():
        found = list(read(path, subfolder=f"DDICorpusBrat/{part}"))
        assert (len(found), sum(len(d.spans) for d in found)) == (documents, mentions)
        assert sum(bool(s.fragments) for d in found for s in d.spans) == discontinuous
        assert sum(len(d.metadata.get("brat", {}).get("lines", ())) for d in found) == relations
    everything = list(read(path))
    assert len(everything) == 1017
    write(tmp_path / "again.zip", everything, "brat")
    assert list(read(tmp_path / "again.zip")) == everything


@pytest.mark.slow
@pytest.mark.parametrize(("name", "sentences", "words", "mentions"), CONLL)
def test_conll(corpora, tmp_path, name, sentences, words, mentions):
    path = present(corpora, name)
    assert detect(path) == "conll"
    report = Report()
    found = list(read(path, report=report))
    assert sum(len(d.sentences) for d in found) == sentences
    assert sum(len(d.words) for d in found) == words
    assert sum(len(d.spans) for d in found) == mentions
    assert report.counts[TAGS_REPAIRED] == 0
    if sentences < 3000:
        write(tmp_path / "again.conll", found, "conll", report=report)
        assert list(read(tmp_path / "again.conll", scheme="iob2")) == found
    assert not report.counts


@pytest.mark.slow
def test_iobes_says_the_same_as_iob(corpora):
    for split in ("train", "devel", "test"):
        iob = read(present(corpora, f"{MTL}/NCBI-disease-IOB/{split}.tsv"))
        iobes = read(present(corpora, f"{MTL}/NCBI-disease-IOBES/{split}.tsv"))
        for ours, theirs in zip(iob, iobes, strict=True):
            assert ours == theirs


@pytest.mark.slow
def test_every_other_conll_file(corpora):
    folder = present(corpora, MTL)
    names = {str(folder / name.removeprefix(f"{MTL}/")) for name, *_ in CONLL}
    others = [path for path in sorted(folder.rglob("*.tsv")) if str(path) not in names]
    for path in others:
        report = Report()
        # Every mention has one B- tag in these files, and no sequence is broken.
        begun = sum(line.partition("\t")[2].startswith("B") for line in path.read_text().split("\n"))
        assert sum(len(d.spans) for d in read(path, report=report)) == begun > 0
        assert not report.counts


def test_docstart_documents(corpora):
    assert len(list(read(present(corpora, f"{JNLPBA}/valid.tsv")))) == 200
