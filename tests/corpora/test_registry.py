"""In: the registry, its samples, the corpora below VANER_DATA. Out: offsets hold, counts are as published."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.corpora.conftest import ABSTRACT
from vaner.corpora.registry import read_registry
from vaner.errors import FormatError, VanerError
from vaner.files import shipped
from vaner.formats import read
from vaner.report import Report

SHIPPED = [corpus for corpus in read_registry().values() if corpus.shipped]

# Documents, sentences, mentions of each type, as the corpora's own papers and files state them; None where
# the file does not mark them.
PUBLISHED = {
    ("ncbi-disease", "train"): (None, 5424, {"Disease": 5134}),
    ("ncbi-disease", "dev"): (None, 923, {"Disease": 787}),
    ("ncbi-disease", "test"): (None, 940, {"Disease": 960}),
    ("ncbi-disease-iobes", "train"): (None, 5424, {"Disease": 5134}),
    ("ncbi-disease-iobes", "dev"): (None, 923, {"Disease": 787}),
    ("ncbi-disease-iobes", "test"): (None, 940, {"Disease": 960}),
    ("ncbi-disease-pubtator", "train"): (592, None, {"Disease": 5134}),
    ("ncbi-disease-pubtator", "dev"): (100, None, {"Disease": 787}),
    ("ncbi-disease-pubtator", "test"): (100, None, {"Disease": 960}),
    ("bc5cdr", "train"): (None, 4560, {"Chemical": 5203, "Disease": 4182}),
    ("bc5cdr", "dev"): (None, 4581, {"Chemical": 5347, "Disease": 4246}),
    ("bc5cdr", "test"): (None, 4797, {"Chemical": 5385, "Disease": 4424}),
    ("bc5cdr-chem", "dev"): (None, 4581, {"Chemical": 5347}),
    ("bc5cdr-chem", "test"): (None, 4797, {"Chemical": 5385}),
    ("bc5cdr-disease", "dev"): (None, 4581, {"Disease": 4246}),
    ("bc5cdr-disease", "test"): (None, 4797, {"Disease": 4424}),
    ("bc5cdr-pubtator", "train"): (500, None, {"Chemical": 5203, "Disease": 4182}),
    ("bc5cdr-pubtator", "dev"): (500, None, {"Chemical": 5347, "Disease": 4244}),
    ("bc5cdr-pubtator", "test"): (500, None, {"Chemical": 5385, "Disease": 4424}),
    ("bc5cdr-bioc", "train"): (500, None, {"Chemical": 5203, "Disease": 4182}),
    ("bc5cdr-bioc", "dev"): (500, None, {"Chemical": 5347, "Disease": 4244}),
    ("bc5cdr-bioc", "test"): (500, None, {"Chemical": 5385, "Disease": 4424}),
    ("chemdner-partial", "dev"): (None, 2169, {"Chemical": 2298}),
    ("drugprot", "test"): (750, None, {"Gene": 9177, "Chemical": 9162}),
    ("ddi2013", "train"): (714, None, {"Drug": 12929 + 1836}),
    ("ddi2013", "test"): (303, None, {"Drug": 2816 + 910}),
    # 4,271 different sentences; one stands in two abstracts.
    ("ade", "train"): (4272, None, {"AdverseEffect": 5776, "Drug": 5063}),
    ("e3c", "train"): (None, 669, {"ClinicalEntity": 437}),
    ("e3c", "test"): (None, 851, {"ClinicalEntity": 516}),
    ("e3c-silver", "train"): (None, 2873, {"ClinicalEntity": 2140}),
    ("bc2gm", "train"): (12574, 12574, {"Gene": 15197}),
    ("bc2gm", "dev"): (2519, 2519, {"Gene": 3061}),
    ("jnlpba", "train"): (
        1800,
        16807,
        {"protein": 27803, "DNA": 8481, "CellType": 6192, "CellLine": 3430, "RNA": 844},
    ),
    ("jnlpba", "dev"): (
        200,
        1739,
        {"protein": 2466, "DNA": 1052, "CellType": 526, "CellLine": 400, "RNA": 107},
    ),
    ("gnormplus", "train"): (432, None, {"Gene": 4246 + 1253}),
    ("gnormplus", "test"): (262, None, {"Gene": 3288 + 1202}),
    ("nlm-gene", "train"): (450, None, {"Gene": 11233 + 1528}),
    ("nlm-gene", "test"): (100, None, {"Gene": 2365 + 391}),
    ("linnaeus", "train"): (None, 11935, {"Species": 2119}),
    ("linnaeus", "dev"): (None, 4078, {"Species": 711}),
    ("s800", "train"): (None, 5733, {"Species": 2557}),
    ("s800", "dev"): (None, 830, {"Species": 384}),
    ("biored", "train"): (
        400,
        None,
        {"Gene": 4430, "Disease": 3646, "Chemical": 2853, "Species": 1429, "Variant": 890, "CellLine": 103},
    ),
    ("biored", "dev"): (
        100,
        None,
        {"Gene": 1087, "Disease": 982, "Chemical": 822, "Species": 370, "Variant": 250, "CellLine": 22},
    ),
    ("biored", "test"): (
        100,
        None,
        {"Gene": 1180, "Disease": 917, "Chemical": 754, "Species": 393, "Variant": 241, "CellLine": 50},
    ),
    ("tmvar3", "train"): (
        342,
        None,
        {"Disease": 3235, "Gene": 2640, "Species": 1170, "Variant": 880, "CellLine": 32},
    ),
    ("tmvar3", "test"): (
        158,
        None,
        {"Disease": 1510, "Gene": 1419, "Variant": 1095, "Species": 586, "CellLine": 15},
    ),
    ("anatem", "train"): (None, 5861, {"Anatomy": 6946}),
    ("anatem", "dev"): (None, 2118, {"Anatomy": 2139}),
    ("anatem", "test"): (None, 3830, {"Anatomy": 4616}),
}
PUBLISHED["biored-bioc", "dev"] = PUBLISHED["biored", "dev"]
PUBLISHED["biored-bioc", "test"] = PUBLISHED["biored", "test"]


FAST = {"ncbi-disease", "ncbi-disease-iobes", "ncbi-disease-pubtator", "anatem-brat"}


def full(split):
    """The corpora that are not shipped, as parameters; a few small dev splits stay in the fast tier."""
    return [
        pytest.param(
            corpus,
            split,
            id=f"{corpus.name}-{split}",
            marks=[] if split == "dev" and corpus.name in FAST else pytest.mark.slow,
        )
        for corpus in read_registry().values()
        if not corpus.shipped and split in corpus.files
    ]


# --- The registry as shipped ---


def test_every_canonical_type_is_defined_in_one_line():
    known = read_registry()
    used = {type for corpus in known.values() for type in corpus.annotated}
    assert used == set(known.types)
    for type in known.types.values():
        assert type.plural and type.definition
        assert "\n" not in type.definition and not type.definition.endswith(".")


def test_jnlpba_keeps_its_five_types():
    assert read_registry()["jnlpba"].annotated == {"protein", "DNA", "RNA", "CellLine", "CellType"}


def test_versions_of_a_corpus_share_an_instruction_name():
    names = {name: corpus.instruction_name for name, corpus in read_registry().items()}
    assert {
        names[n] for n in ("bc5cdr", "bc5cdr-chem", "bc5cdr-disease", "bc5cdr-pubtator", "bc5cdr-sample")
    } == {"bc5cdr"}
    assert {names[n] for n in ("ncbi-disease", "ncbi-disease-pubtator", "ncbi-disease-iobes")} == {
        "ncbi-disease"
    }


@pytest.mark.parametrize("corpus", SHIPPED, ids=lambda corpus: corpus.name)
def test_samples_need_no_root_and_no_repair(corpus, monkeypatch):
    monkeypatch.delenv("VANER_DATA", raising=False)
    assert list(corpus.present()) == ["train", "dev", "test"]
    seen = set()
    for split in corpus.files:
        report = Report()
        documents = list(corpus.documents(split, report=report))
        assert not report.counts
        assert all(d.text[s.start : s.end] == s.text for d in documents for s in d.spans)
        assert all(d.types == corpus.annotated and d.metadata["corpus"] == corpus.name for d in documents)
        assert sum(len(d.spans) for d in documents) > 0
        texts = {d.text for d in documents}
        assert not texts & seen
        seen |= texts


def test_samples_are_small():
    folder = shipped("data") / "samples"
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 1_500_000


def test_abstracts_to_tag_carry_no_annotation():
    documents = list(read(shipped("data") / "samples/abstracts.pubtator"))
    assert len(documents) == 20
    assert not any(document.spans for document in documents)
    assert all([p.kind for p in document.passages] == ["title", "abstract"] for document in documents)


def _ids_or_sentences(documents):
    documents = list(documents)
    if "pmid" in documents[0].metadata:
        return {d.id for d in documents}
    return {d.text[a:b] for d in documents for a, b in d.sentences}


@pytest.mark.parametrize(
    "name",
    ["ncbi-disease-pubtator"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("bc5cdr-pubtator", "bc2gm", "linnaeus")],
)
def test_held_out_samples_come_from_the_dev_split(name, data_root):
    known = read_registry()
    sample = known[f"{name.removesuffix('-pubtator')}-sample"]
    if "dev" not in known[name].present(data_root):
        pytest.skip(f"{name} is not below VANER_DATA")
    dev = _ids_or_sentences(known[name].documents("dev", data_root))
    assert _ids_or_sentences(sample.documents("dev")) <= dev
    assert _ids_or_sentences(sample.documents("test")) <= dev


# --- The full corpora ---


@pytest.mark.parametrize(("corpus", "split"), [p for split in ("dev", "train", "test") for p in full(split)])
def test_offsets_hold_and_counts_are_as_published(corpus, split, data_root):
    if split not in corpus.present(data_root):
        pytest.skip(f"{corpus.name} {split} is not below VANER_DATA")
    documents = sentences = 0
    mentions = Counter()
    for document in corpus.documents(split, data_root, report=Report()):
        documents += 1
        sentences += len(document.sentences or ())
        mentions.update(span.type for span in document.spans)
        assert all(document.text[span.start : span.end] == span.text for span in document.spans)
        assert document.types == corpus.annotated
    assert set(mentions) <= corpus.annotated
    expected = PUBLISHED.get((corpus.name, split))
    if expected:
        assert (documents, sentences, dict(mentions)) == (
            documents if expected[0] is None else expected[0],
            sentences if expected[1] is None else expected[1],
            expected[2],
        )


def test_conll_blocks_keep_running_text_together(data_root):
    corpus = read_registry()["ncbi-disease"]
    if "dev" not in corpus.present(data_root):
        pytest.skip("ncbi-disease is not below VANER_DATA")
    sizes = [len(document.sentences) for document in corpus.documents("dev", data_root)]
    assert set(sizes[:-1]) == {10} and 1 <= sizes[-1] <= 10


# --- Finding files ---


@pytest.mark.parametrize("below", ["MTL-Bioinformatics-2016/data", "data", ""])
def test_the_root_may_be_the_clone_its_parent_or_its_data(tmp_path, below):
    folder = tmp_path / below / "BC2GM-IOB"
    folder.mkdir(parents=True)
    (folder / "devel.tsv").write_text("p53\tB-GENE\nfell\tO\n\n")
    corpus = read_registry()["bc2gm"]
    assert list(corpus.present(tmp_path)) == ["dev"]
    (document,) = corpus.documents("dev", tmp_path)
    assert [(s.text, s.type) for s in document.spans] == [("p53", "Gene")]


@pytest.mark.parametrize(
    ("name", "file", "tag", "type"),
    [
        ("bc2gm", "MTL-Bioinformatics-2016/data/BC2GM-IOB/test.tsv", "B-GENE", "Gene"),
        ("bc2gm", "BC2GM-IOB/test.tsv", "B", "Gene"),
        ("bc4chemd", "data/BC4CHEMD/test.tsv", "B-Chemical", "Chemical"),
        ("bc4chemd", "MTL-Bioinformatics-2016/data/BC4CHEMD-IOB/test.tsv", "B", "Chemical"),
        ("craft", "MTL-Bioinformatics-2016/data/CRAFT-IOB/test.tsv", "B-GGP", "Gene"),
        ("jnlpba", "MTL-Bioinformatics-2016/data/JNLPBA/test.tsv", "B-cell_line", "CellLine"),
        ("jnlpba", "MTL-Bioinformatics-2016/data/JNLPBA-IOB/test.tsv", "B-DNA", "DNA"),
        (
            "jnlpba",
            "Biomedical-Corpora/corpora/NER/CoNLL/BIO/JNLPBA_BIO/test.tsv",
            "B-CLTP",
            "CellType",
        ),
        ("linnaeus", "MTL-Bioinformatics-2016/data/linnaeus-IOB/test.tsv", "B", "Species"),
        ("s800", "s800/test.tsv", "B", "Species"),
    ],
)
def test_test_splits_are_found_where_users_have_them(tmp_path, name, file, tag, type):
    """Collections differ in the folder's name, and in whether tags of a corpus of one type name it."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"word\t{tag}\nfell\tO\n\n")
    (document,) = read_registry()[name].documents("test", tmp_path)
    assert [(s.text, s.type) for s in document.spans] == [("word", type)]


def test_the_first_alternative_that_exists_wins(corpus, tmp_path):
    (tmp_path / "y").mkdir()
    (tmp_path / "y/test.txt").write_text(ABSTRACT.format(id=3, word="y"))
    assert corpus.paths("test", tmp_path) == (tmp_path / "y/test.txt",)
    (tmp_path / "x/test.txt").write_text(ABSTRACT.format(id=4, word="x"))
    assert corpus.paths("test", tmp_path) == (tmp_path / "x/test.txt",)


def test_an_alternative_may_be_several_files(corpus, write_registry, tmp_path):
    (tmp_path / "x/more.txt").write_text(ABSTRACT.format(id=3, word="syrup"))
    several = read_registry(write_registry(files={"train": [["x/train.txt", "x/more.txt"]]}))["x-corpus"]
    assert [document.id for document in several.documents("train", tmp_path)] == ["1", "2", "3"]
    (tmp_path / "x/more.txt").unlink()
    assert several.present(tmp_path) == {}


def test_the_argument_goes_before_the_variable(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("VANER_DATA", str(tmp_path))
    assert list(corpus.present()) == ["train"]
    (tmp_path / "empty").mkdir()
    assert corpus.present(tmp_path / "empty") == {}


# --- What documents become ---


def test_labels_become_canonical_and_null_ones_are_left_out(corpus, tmp_path):
    with open(tmp_path / "x/train.txt", "a") as file:
        file.write("9|t|Aspirin\n9|a|40 mg\n9\t0\t7\tAspirin\tDRUG\n9\t8\t13\t40 mg\tDose\n\n")
    *_, document = corpus.documents("train", tmp_path)
    assert [(s.text, s.type) for s in document.spans] == [("Aspirin", "Drug")]
    assert document.types == {"Drug"}
    assert document.metadata == {"corpus": "x-corpus", "pmid": "9"}


PARTIAL = """\
corpora:
  partial:
    format: jsonl
    files: {train: [train.jsonl]}
    types: {Chem: Chemical, Chemical: Chemical, Disease: Disease, Dose: null}
    granularity: sentence
    licence: none
    citation: none
    url: none
"""


@pytest.mark.parametrize(
    ("own", "annotated"),
    [
        (["Chemical"], {"Chemical"}),
        (["Chem", "Dose", "Animal"], {"Chemical"}),
        (["Dose"], set()),
        ([], set()),
        (None, {"Chemical", "Disease"}),
    ],
)
def test_a_document_that_says_what_it_annotates_is_believed(tmp_path, own, annotated):
    (tmp_path / "corpora.yaml").write_text(PARTIAL)
    record = {"text": "x", **({} if own is None else {"types": own})}
    (tmp_path / "train.jsonl").write_text(json.dumps(record))
    (document,) = read_registry(tmp_path / "corpora.yaml")["partial"].documents("train", tmp_path)
    assert document.types == annotated


def test_records_with_types_of_their_own(tmp_path):
    (tmp_path / "corpora.yaml").write_text(PARTIAL)
    shutil.copy(
        Path(__file__).parents[1] / "formats/data/cases/partial_train.jsonl", tmp_path / "train.jsonl"
    )
    documents = list(read_registry(tmp_path / "corpora.yaml")["partial"].documents("train", tmp_path))
    assert len(documents) > 5 and {len(d.types) for d in documents} == {1}
    assert all(d.types == {s.type for s in d.spans} for d in documents)


def test_a_mention_of_a_type_that_its_document_does_not_name_is_an_error(tmp_path):
    (tmp_path / "corpora.yaml").write_text(PARTIAL)
    record = {"text": "x", "types": ["Disease"], "spans": [{"start": 0, "end": 1, "type": "Chem"}]}
    (tmp_path / "train.jsonl").write_text(json.dumps(record))
    corpus = read_registry(tmp_path / "corpora.yaml")["partial"]
    with pytest.raises(
        FormatError, match=r"document train-1: has a Chemical mention, 'x', but its types \(Disease\)"
    ):
        list(corpus.documents("train", tmp_path))


def test_known_bad_documents_are_skipped_and_one_more_is_an_error(corpus, write_registry, tmp_path):
    path = tmp_path / "x/train.txt"
    path.write_text(path.read_text() + ABSTRACT.format(id=2, word="again"))
    with pytest.raises(FormatError, match="used before"):
        list(corpus.documents("train", tmp_path))
    known = read_registry(write_registry(known_bad={"train": 1}))["x-corpus"]
    report = Report()
    assert [d.id for d in known.documents("train", tmp_path, report=report)] == ["1", "2"]
    assert report.counts == {"document skipped": 1}
    path.write_text(path.read_text() + ABSTRACT.format(id=1, word="again"))
    with pytest.raises(FormatError, match="more bad documents than the 1 known of corpus x-corpus"):
        list(known.documents("train", tmp_path))
    assert len(list(known.documents("train", tmp_path, on_error="skip"))) == 2


def test_repairs_are_logged_where_nobody_collects_them(corpus, tmp_path, caplog):
    path = tmp_path / "x/train.txt"
    path.write_text(path.read_text() + ABSTRACT.format(id=2, word="again"))
    list(corpus.documents("train", tmp_path, on_error="skip"))
    assert "corpus x-corpus, train: document skipped" in caplog.text


# --- Wrong input ---


def test_an_unknown_corpus_is_told_its_neighbours():
    with pytest.raises(VanerError, match="unknown corpus 'bc5cdr-chemical'; did you mean bc5cdr-chem"):
        read_registry()["bc5cdr-chemical"]
    with pytest.raises(VanerError, match="choose from ncbi-disease, "):
        read_registry()["?"]


def test_an_unknown_split(corpus, tmp_path):
    with pytest.raises(VanerError, match="corpus x-corpus has no devel split; it has test, train"):
        corpus.documents("devel", tmp_path)


def test_no_root(corpus):
    with pytest.raises(VanerError, match=r"give --data_root .* or set VANER_DATA .*x/train.txt.*example.org"):
        corpus.documents("train")
    assert corpus.present() == {}


def test_a_root_that_is_no_folder(corpus, tmp_path):
    with pytest.raises(VanerError, match="is no folder"):
        corpus.documents("train", tmp_path / "x/train.txt")


def test_a_missing_file(corpus, tmp_path):
    with pytest.raises(VanerError) as caught:
        corpus.documents("test", tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "x/test.txt") in message and str(tmp_path / "y/test.txt") in message
    assert "https://example.org/x" in message


def test_an_unknown_label(corpus, write_registry, tmp_path):
    without = read_registry(write_registry(types={"Dose": "Dose"}))["x-corpus"]
    with pytest.raises(
        FormatError, match=r"train.txt: document 1: label 'DRUG' is none of corpus x-corpus \(Dose\)"
    ):
        list(without.documents("train", tmp_path))


def test_an_unknown_on_error(corpus, tmp_path):
    with pytest.raises(VanerError, match="choose 'raise' or 'skip'"):
        corpus.documents("train", tmp_path, on_error="ignore")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licenze": "x"}, "mine.yaml: corpus x-corpus: unknown key 'licenze'; did you mean licence?"),
        ({"licence": "absent"}, "corpus x-corpus: the key 'licence' is missing"),
        ({"format": "pubtater"}, "format 'pubtater' is unknown; did you mean pubtator?"),
        ({"granularity": "page"}, "granularity 'page' is unknown; choose from sentence, abstract"),
        (
            {"options": {"offset": "repair"}},
            "options of format pubtator: unknown key 'offset'; did you mean offsets",
        ),
        ({"split_options": {"train": {"sub": 1}}}, "options of format pubtator: unknown key 'sub'"),
        ({"files": {}}, "files must be a mapping that is not empty"),
        ({"files": {"train": []}}, "x-corpus: train: must be a list of paths"),
        ({"types": {"A": ["B"]}}, "types must map each label to the name of a canonical type, or null"),
    ],
)
def test_a_wrong_registry(write_registry, changes, message):
    with pytest.raises(VanerError) as caught:
        read_registry(write_registry(**changes))
    assert message in str(caught.value)
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize("content", ["corpora: [", "- a", "corpora: 3", "corpora: {a: b}", "corpus: {}"])
def test_a_registry_that_is_none(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(VanerError, match="mine.yaml"):
        read_registry(path)
