"""In: folders as `datasets` writes them, made of samples and whole corpora. Out: what their own readers read."""

from __future__ import annotations

import itertools
import json

import pytest

from vaner.cli import main
from vaner.corpora import rows
from vaner.corpora.hub import corpus_of_dataset
from vaner.corpora.own import all_corpora, with_types
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import FormatError, OffsetError, VanerError
from vaner.formats import read as read_file
from vaner.formats import write as write_file
from vaner.report import SKIPPED, Report
from vaner.text.tags import TAGS, encode_tags
from vaner.text.units import Text
from vaner.training.arguments import DataArguments
from vaner.training.gathering import gather, parse_mix

datasets = pytest.importorskip("datasets")

NAMES = ["O", "B-Disease", "I-Disease", "B-Chemical", "I-Chemical"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.delenv("VANER_DATA", raising=False)
    datasets.disable_progress_bars()


def sample(split: str, most: int = 12) -> list[Document]:
    return list(itertools.islice(read_registry()["bc5cdr-sample"].documents(split), most))


def tagged(documents) -> dict[str, list]:
    """Sentences with tokens and ner_tags, of VANER's own words."""
    found: dict[str, list] = {"id": [], "tokens": [], "ner_tags": []}
    for document in documents:
        text = Text.of(document)
        tags, _ = encode_tags(text.offsets, document.spans, ("Disease", "Chemical"), text.block_starts)
        for start, end in text.sentence_ranges():
            names = []
            for disease, chemical in tags[:, start:end].T:
                kind, tag = ("Disease", disease) if disease else ("Chemical", chemical)
                names.append(f"{TAGS[tag]}-{kind}" if tag else "O")
            found["id"].append(f"{document.id}-{start}")
            found["tokens"].append(text.words[start:end])
            found["ner_tags"].append(names)
    return found


def class_labels(columns):
    label = datasets.ClassLabel(names=NAMES)
    kinds = {"id": datasets.Value("string"), "tokens": datasets.List(datasets.Value("string"))}
    features = datasets.Features({**kinds, "ner_tags": datasets.List(label)})
    numbers = [[NAMES.index(tag) for tag in row] for row in columns["ner_tags"]]
    return datasets.Dataset.from_dict({**columns, "ner_tags": numbers}, features=features)


def kb(documents) -> list[dict]:
    """Rows of BigBio's kb schema."""
    found = []
    for document in documents:
        passages = document.passages
        entities = []
        for number, span in enumerate(document.spans):
            pieces = span.fragments or ((span.start, span.end),)
            entities.append(
                {
                    "id": f"{document.id}-T{number}",
                    "type": span.type,
                    "text": [document.text[a:b] for a, b in pieces],
                    "offsets": [list(piece) for piece in pieces],
                    "normalized": [{"db_name": c.source or "MESH", "db_id": c.id} for c in span.concepts],
                }
            )
        found.append(
            {
                "id": f"row-{document.id}",
                "document_id": document.id,
                "passages": [
                    {"id": f"{document.id}-{p.start}", "type": p.kind, "text": [document.text[p.start : p.end]],
                     "offsets": [[p.start, p.end]]}
                    for p in passages
                ],
                "entities": entities,
                "events": [], "coreferences": [], "relations": [],
            }
        )  # fmt: skip
    return found


def conll(columns) -> str:
    """The same sentences as a CoNLL file."""
    sentences = zip(columns["tokens"], columns["ner_tags"], strict=True)
    return "\n".join("".join(f"{w}\t{t}\n" for w, t in zip(*one, strict=True)) for one in sentences)


def both(make, given) -> dict[str, datasets.Dataset]:
    """Datasets of the train and dev splits, as datasets call them."""
    return {"train": make(given["train"]), "validation": make(given["dev"])}


def rows_of_kb(documents) -> datasets.Dataset:
    return datasets.Dataset.from_list(kb(documents))


def save(folder, how: str, splits: dict[str, datasets.Dataset]):
    """Write a dataset the way that is named."""
    folder.mkdir(parents=True)
    if how == "save_to_disk":
        datasets.DatasetDict(splits).save_to_disk(str(folder))
    for split, rows_of in splits.items():
        if how == "parquet":
            rows_of.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
        elif how == "json":
            rows_of.to_json(str(folder / f"{split}.jsonl"))
    return folder


def told(document: Document) -> tuple:
    """What a reader says: text, mentions, sentences and words."""
    return document.text, [(s.key, s.fragments) for s in document.spans], document.sentences, document.words


# --- tokens and ner_tags ---


@pytest.mark.parametrize("how", ["save_to_disk", "parquet"])
def test_words_with_class_labels_are_read_as_their_conll_file_is(tmp_path, how):
    columns = {split: tagged(sample(split)) for split in ("train", "dev")}
    folder = save(tmp_path / "mine", how, both(class_labels, columns))
    corpus = corpus_of_dataset(f"hf:{folder}")
    assert (corpus.name, corpus.format, corpus.granularity) == ("mine", "hf", "sentence")
    assert corpus.files.keys() == {"train", "dev"} and corpus.annotated == {"Disease", "Chemical"}
    for split, one in columns.items():
        (tmp_path / f"{split}.tsv").write_text(conll(one))
        native = list(read_file(tmp_path / f"{split}.tsv", "conll"))
        assert list(map(told, corpus.documents(split))) == list(map(told, native))
        assert all(d.types == {"Disease", "Chemical"} for d in corpus.documents(split))


def test_tags_may_be_strings_or_numbers_that_a_registry_names(tmp_path):
    columns = tagged(sample("train", 3))
    folder = save(tmp_path / "text", "json", {"train": datasets.Dataset.from_dict(columns)})
    corpus = corpus_of_dataset(f"hf:{folder}")
    assert corpus.annotated == {"Disease", "Chemical"}
    expected = list(map(told, corpus.documents("train")))
    numbers = save(tmp_path / "numbers", "json", {"train": class_labels(columns)})
    with pytest.raises(
        FormatError, match=r"row 1: its tags are numbers without names; give them in a registry"
    ):
        corpus_of_dataset(f"hf:{numbers}")
    (tmp_path / "own.yaml").write_text(
        "corpora:\n  named:\n    format: hf\n    files: {train: [numbers/train.jsonl]}\n"
        f"    options: {{tag_names: [{', '.join(NAMES)}], id: id}}\n"
        "    types: {Disease: Disease, Chemical: null}\n    granularity: sentence\n"
        "    licence: mine\n    citation: none\n    url: none\n"
    )
    registered = all_corpora(tmp_path / "own.yaml")["named"]
    documents = list(registered.documents("train"))
    assert [d.id for d in documents] == columns["id"]
    diseases = [[k for k in spans if k[0][2] == "Disease"] for _, spans, _, _ in expected]
    assert [told(d)[1] for d in documents] == diseases and registered.annotated == {"Disease"}


def test_sentences_may_be_joined_to_documents(tmp_path):
    folder = save(tmp_path / "c", "parquet", {"train": class_labels(tagged(sample("train", 4)))})
    (file,) = folder.iterdir()
    single = list(rows.read(file, on_error="raise", report=Report()))
    joined = list(rows.read(file, on_error="raise", report=Report(), sentences_per_document=5))
    assert len(joined) == -(-len(single) // 5)
    assert "\n".join(d.text for d in single[:5]) == joined[0].text and len(joined[0].sentences) == 5
    assert sum(len(d.spans) for d in joined) == sum(len(d.spans) for d in single)


def test_a_row_that_is_wrong_is_named_or_skipped_and_counted(tmp_path):
    good = {"tokens": ["a", "b"], "ner_tags": ["B-X", "O"]}
    wrong = [
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "as many tags as tokens"),
        ({"tokens": ["a", ""], "ner_tags": ["O", "O"]}, "'' is no word"),
        ({"tokens": ["a", "b"], "ner_tags": ["O", "Q-X"]}, "'Q-X' is no tag"),
    ]
    for record, says in wrong:
        path = tmp_path / "x.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in (good, record, good)))
        with pytest.raises(FormatError, match=f"x.jsonl: row 2: .*{says}"):
            list(rows.read(path, on_error="raise", report=Report()))
        report = Report()
        assert len(list(rows.read(path, on_error="skip", report=report))) == 2
        assert report.counts == {SKIPPED: 1}
    path.write_text(json.dumps({"tokens": ["a", "b", "c"], "ner_tags": ["I-X", "O", "I-X"]}) + "\n")
    report = Report()
    (document,) = rows.read(path, on_error="raise", report=report)
    assert len(document.spans) == 2 and report.counts == {"tag sequence repaired": 2}


# --- BigBio ---


def test_the_kb_schema_is_read_as_the_file_that_it_was_made_of(tmp_path):
    splits = {split: sample(split) for split in ("train", "dev")}
    folder = save(tmp_path / "big", "save_to_disk", both(rows_of_kb, splits))
    corpus = corpus_of_dataset(f"hf:{folder}")
    assert corpus.granularity == "abstract" and corpus.annotated == {"Disease", "Chemical"}
    for split, documents in splits.items():
        found = list(corpus.documents(split))
        assert [d.id for d in found] == [d.id for d in documents]
        for one, document in zip(found, documents, strict=True):
            assert [(s.key, s.text) for s in one.spans] == [(s.key, s.text) for s in document.spans]
            assert Text.of(one).words == Text.of(document).words and one.passages == document.passages
    ids = [c.id for d in corpus.documents("train") for s in d.spans for c in s.concepts]
    assert ids == [c.id for d in splits["train"] for s in d.spans for c in s.concepts] and ids


def test_mentions_in_pieces_are_kept_and_counted(tmp_path, monkeypatch):
    text = "left and right failure"
    document = Document("d", text)
    document = document.with_spans([document.span(0, 22, "X", fragments=((0, 4), (15, 22)))])
    (row,) = kb([document])
    row["passages"] = [{"id": "p", "type": "abstract", "text": [text], "offsets": [[0, 22]]}]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(row) + "\n")
    (found,) = rows.read(path, on_error="raise", report=Report())
    assert found.spans[0].fragments == ((0, 4), (15, 22)) and found.spans[0].key == (0, 22, "X")
    gathered = gather(DataArguments(mix=[f"hf:{path}"]), seed=1)
    assert gathered.sources[0].unreachable == 1, "BIO cannot hold it, and says so"
    with monkeypatch.context() as patched:
        patched.setattr(rows, "Rows", None)
        again = gather(DataArguments(mix=[f"hf:{path}"]), seed=1)
    assert again.corpora["x"] == gathered.corpora["x"], "nothing is read for its types either"
    row["entities"][0]["text"] = ["left failure"]
    path.write_text(json.dumps(row) + "\n")
    assert next(iter(rows.read(path, on_error="raise", report=Report()))).spans == found.spans


def test_offsets_that_are_wrong_are_named_repaired_or_dropped(tmp_path):
    (row,) = kb(sample("train", 1))
    row["entities"] = row["entities"][:1]
    row["entities"][0]["offsets"] = [[at + 2 for at in row["entities"][0]["offsets"][0]]]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(OffsetError, match=r"x.json: row 1: document .* mention at .* says"):
        list(rows.read(path, on_error="raise", report=Report()))
    report = Report()
    (document,) = rows.read(path, on_error="raise", report=report, offsets="repair")
    assert len(document.spans) == 1 and report.counts == {"mention offsets repaired": 1}
    report = Report()
    (document,) = rows.read(path, on_error="skip", report=report, offsets="drop")
    assert sum(report.counts.values()) == 1
    row["passages"][0]["offsets"][0][1] += 1
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(FormatError, match="row 1: a title passage of .* correct its offsets"):
        list(rows.read(path, on_error="raise", report=Report()))


# --- the dataset as a corpus ---


def test_a_mix_takes_datasets_with_weights_and_maps_their_types(tmp_path):
    weights = parse_mix(["hf:bigbio/x", "hf:a/b#c:0.5", f"hf:{tmp_path}:2"])
    assert weights == {"hf:bigbio/x": 1.0, "hf:a/b#c": 0.5, f"hf:{tmp_path}": 2.0}
    rows_of = {s: class_labels(tagged(sample(s))) for s in ("train", "test")}
    folder = save(
        tmp_path / "mine", "parquet", {**rows_of, "validation": class_labels(tagged(sample("dev")))}
    )
    data = DataArguments(mix=[f"hf:{folder}:0.5"], type_map=["Disease=Illness", "Chemical="])
    found = gather(data, seed=1)
    assert [(s.name, s.weight, s.types) for s in found.sources] == [("mine", 0.5, ("Illness",))]
    assert {s.type for t in found.sources[0].texts for s in t.document.spans} == {"Illness"}
    assert found.dev.keys() == {"mine"} and [c.name for c, s in found.held_out] == ["mine", "mine"]
    for words, says in (
        (["Diseas=X"], "--type_map Diseas: no path or dataset .* they annotate Chemical, Disease"),
        (["Disease"], "write FROM=TO"),
        (["Disease=X", "Disease=Y"], "names Disease twice"),
        (["Disease=", "Chemical="], "leaves no type of mine|no type"),
    ):
        with pytest.raises(VanerError, match=says):
            gather(DataArguments(mix=[f"hf:{folder}"], type_map=words), seed=1)
    assert with_types(corpus_of_dataset(f"hf:{folder}"), {"Other": "X"}).annotated == {
        "Disease",
        "Chemical",
    }


def test_the_same_corpus_gives_the_same_examples_by_either_door(tmp_path, tiny_tokenizer):
    from vaner.inputs.features import Tokenisation
    from vaner.inputs.instructions import Template
    from vaner.training.drawing import Drawing
    from vaner.training.mixture import Mixture

    documents = sample("train", 20)
    folder = save(tmp_path / "c", "save_to_disk", {"train": rows_of_kb(documents)})
    file = tmp_path / "native" / "c.pubtator"
    file.parent.mkdir()
    write_file(file, documents, "pubtator")
    batches = []
    for word in (f"hf:{folder}", str(file)):
        found = gather(DataArguments(mix=[word], drop_overlap=False), seed=1)
        one = Mixture(found.sources, Tokenisation(tiny_tokenizer, 400), Template(), Drawing(),
                      batch_tokens=900, epochs=1, seed=1)  # fmt: skip
        batches.append([[(k, v.tolist()) for k, v in one[i].items()] for i in range(len(one))])
    assert batches[0] == batches[1] and len(batches[0]) > 5


def test_corpora_and_evaluate_take_a_dataset(tmp_path, capsys):
    columns = {split: tagged(sample(split, 4)) for split in ("train", "dev")}
    folder = save(tmp_path / "mine", "save_to_disk", both(class_labels, columns))
    assert main(["corpora", f"hf:{folder}"]) == 0
    said = capsys.readouterr().out
    assert "mine" in said and "Chemical" in said
    gold = tmp_path / "gold.jsonl"
    write_file(gold, corpus_of_dataset(f"hf:{folder}").documents("dev"), "jsonl")
    words = ["--corpus", f"hf:{folder}", "--predictions", str(gold), "--bootstrap", "0"]
    assert main(["evaluate", *words]) == 0
    assert "100.00" in capsys.readouterr().out


def test_configurations_are_chosen_by_name(tmp_path):
    folder = tmp_path / "two"
    for name, made in (
        ("x_source", datasets.Dataset.from_dict({"other": [1]})),
        ("x_bigbio_kb", datasets.Dataset.from_list(kb(sample("train", 2)))),
    ):
        (folder / name).mkdir(parents=True)
        made.to_parquet(str(folder / name / "train.parquet"))
    configs = "".join(f"- config_name: {n}\n  data_dir: {n}\n" for n in ("x_source", "x_bigbio_kb"))
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    assert len(list(corpus_of_dataset(f"hf:{folder}").documents("train"))) == 2, "the one that is BigBio's kb"
    with pytest.raises(FormatError, match="its columns are other; it needs tokens and ner_tags"):
        corpus_of_dataset(f"hf:{folder}#x_source")
    configs = configs.replace("name: x_bigbio_kb", "name: x_b")
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    with pytest.raises(VanerError, match=r"several configurations; choose one: hf:.*#x_source or hf:.*#x_b"):
        corpus_of_dataset(f"hf:{folder}")


def test_what_is_no_dataset_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        VanerError, match="hf:bigbio/nothing: no such folder here, and the hub did not give it"
    ) as error:
        corpus_of_dataset("hf:bigbio/nothing")
    assert "\n" not in str(error.value)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(VanerError, match="holds nothing that can be read without code"):
        corpus_of_dataset(f"hf:{tmp_path / 'code'}")
    only = save(tmp_path / "only", "parquet", {"test": class_labels(tagged(sample("test", 2)))})
    with pytest.raises(VanerError, match="no split is called train; it has test"):
        corpus_of_dataset(f"hf:{only}")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(FormatError, match="x.parquet: cannot be read .* written completely"):
        corpus_of_dataset(f"hf:{tmp_path / 'x.parquet'}")
    (tmp_path / "y.jsonl").write_text(json.dumps({"tokens": ["a"], "ner_tags": ["O"]}) + "\n")
    with pytest.raises(VanerError, match="none of its 1 rows annotates anything"):
        corpus_of_dataset(f"hf:{tmp_path / 'y.jsonl'}")


# --- whole corpora ---


def words_and_tags(documents) -> dict[str, list]:
    """The file's own words, a sentence a row."""
    found: dict[str, list] = {"id": [], "tokens": [], "ner_tags": []}
    for d in documents:
        at = {span.start: span for span in d.spans}
        for first, last in d.sentences:
            words = [word for word in d.words if first <= word[0] < last]
            tags, open_span = [], None
            for start, _ in words:
                open_span = at.get(start, open_span)
                inside = open_span is not None and start < open_span.end
                tags.append(f"{'B' if start in at else 'I'}-{open_span.type}" if inside else "O")
            found["id"].append(f"{d.id}-{first}")
            found["tokens"].append([d.text[a:b] for a, b in words])
            found["ner_tags"].append(tags)
    return found


@pytest.mark.slow
def test_a_whole_corpus_is_the_same_by_either_door(tmp_path, corpora_root):
    """BC5CDR: words and tags of its IOB files as class labels, and BigBio's schema of its PubTator files."""
    native = {s: list(read_registry()["bc5cdr"].documents(s, corpora_root)) for s in ("train", "dev")}
    columns = {split: words_and_tags(documents) for split, documents in native.items()}
    corpus = corpus_of_dataset(f"hf:{save(tmp_path / 'iob', 'save_to_disk', both(class_labels, columns))}")
    for split, documents in native.items():
        (file,) = corpus.paths(split)
        found = rows.read(file, on_error="raise", report=Report(), sentences_per_document=10)
        assert list(map(told, found)) == list(map(told, documents))
    pubtator = read_registry()["bc5cdr-pubtator"]
    native = {s: list(pubtator.documents(s, corpora_root)) for s in ("train", "dev")}
    corpus = corpus_of_dataset(f"hf:{save(tmp_path / 'kb', 'parquet', both(rows_of_kb, native))}")
    for split, documents in native.items():
        for one, document in itertools.zip_longest(corpus.documents(split), documents):
            assert [s.key for s in one.spans] == [s.key for s in document.spans]
            assert Text.of(one).words == Text.of(document).words
