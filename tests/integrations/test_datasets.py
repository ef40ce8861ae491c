"""In: Documents and datasets. Out: each as the other; a map is kept for as long as nothing that decides it changes."""

from __future__ import annotations

import dataclasses
import json
import shutil

import datasets
import pyarrow as pa
import pytest

import tests.integrations.planted  # noqa: F401  # registers its tagger
from tests.conftest import SAMPLES
from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, VanerError
from vaner.formats import read, write
from vaner.integrations.datasets import OTHER_TYPE, batched, from_dataset, to_dataset, with_spans
from vaner.report import Report
from vaner.tagging.labeler import Vaner
from vaner.vocabularies.terms import Term

FULL = Document(
    "7",
    "Aspirin relieved\nbreast and lung cancer.",
    [
        Span(0, 7, "Chemical", "Aspirin", 0.5, (Concept("D1", "MESH", 0.25, "exact"), Concept("X"))),
        Span(17, 39, "Disease", "breast and lung cancer", fragments=((17, 23), (33, 39))),
    ],
    [Passage(0, 16, "title"), Passage(17, 40, "abstract")],
    types=frozenset({"Chemical", "Disease"}),
    metadata={"year": 2020},
)


@pytest.fixture(autouse=True)
def own_cache_of_datasets(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture(scope="module")
def folder(tiny_backbones, tiny_tokenizer, tmp_path_factory):
    """A tiny random model's folder."""
    import torch

    from tests.model.test_network import build

    model = build(tiny_backbones["llama"])
    model.settings = dataclasses.replace(model.settings, datasets={"cdr": ["Chemical"]})
    with torch.no_grad():
        model.head.word_bias.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
    path = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(path)
    tiny_tokenizer.save_pretrained(path)
    return path


def load(folder, **options):
    return Vaner.from_pretrained(folder, dtype="float32", device="cpu", **options)


@pytest.fixture
def saved(tmp_path):
    """A dataset with a file behind it, as only such are cached."""
    texts = [document.text[:300] for document in read(SAMPLES / "abstracts.pubtator")][:5]
    datasets.Dataset.from_dict({"abstract": [*texts, None]}).save_to_disk(str(tmp_path / "saved"))
    return datasets.load_from_disk(str(tmp_path / "saved"))


# --- Documents and datasets ---


def test_everything_comes_back():
    documents = [FULL, Document("8", ""), Document("9", "x", types=frozenset())]
    report = Report()
    dataset = to_dataset(documents, report=report)
    assert dataset.column_names[:3] == ["id", "text", "spans"] and not report.counts
    assert dataset[0]["spans"][0]["concepts"][0] == {
        "id": "D1",
        "source": "MESH",
        "score": 0.25,
        "match": "exact",
    }
    assert list(from_dataset(dataset)) == documents
    assert list(from_dataset(dataset.to_iterable_dataset())) == documents
    assert to_dataset([]).column_names[:2] == ["id", "text"] and len(to_dataset([])) == 0


def test_tokens_and_tags_have_named_classes():
    report = Report()
    dataset = to_dataset([FULL, Document("8", "No one. TNF!")], layout="tokens", report=report)
    names = ["O", "B-Chemical", "I-Chemical", "B-Disease", "I-Disease"]
    assert dataset.features["ner_tags"].feature.names == names
    assert dataset[0] == {"id": "7-1", "tokens": ["Aspirin", "relieved"], "ner_tags": [1, 0]}
    assert dataset[1]["tokens"] == ["breast", "and", "lung", "cancer", "."]
    assert dataset[1]["ner_tags"] == [3, 4, 4, 4, 0]
    assert dataset["id"][:] == ["7-1", "7-2", "8-1", "8-2"]
    assert report.counts["text changed"] == 2
    back = list(from_dataset(dataset))
    assert [(d.id, d.text, [s.key for s in d.spans]) for d in back][:2] == [
        ("7-1", "Aspirin relieved", [(0, 7, "Chemical")]),
        ("7-2", "breast and lung cancer .", [(0, 22, "Disease")]),
    ]


def test_tokens_of_whole_documents_and_chosen_types():
    report = Report()
    dataset = to_dataset([FULL], "tokens", types=["Disease"], per="document", report=report)
    assert dataset["id"][:] == ["7"] and len(dataset[0]["tokens"]) == 7
    assert dataset.features["ner_tags"].feature.names == ["O", "B-Disease", "I-Disease"]
    assert dataset[0]["ner_tags"] == [0, 0, 1, 2, 2, 2, 0]
    assert report.counts[OTHER_TYPE] == 1 and "Chemical 'Aspirin'" in report.first(OTHER_TYPE)


def test_what_a_tag_cannot_say_is_counted(caplog):
    nested = Document(
        "d", "breast cancer cell", [Span(0, 13, "A", "breast cancer"), Span(7, 18, "B", "cancer cell")]
    )
    report = Report()
    dataset = to_dataset([nested], "tokens", report=report)
    assert dataset.features["ner_tags"].feature.names == ["O", "B-A", "I-A", "B-B", "I-B"]
    assert dataset[0]["ner_tags"] == [1, 2, 0] and report.counts["overlapping span dropped"] == 1
    to_dataset([nested], "tokens")
    assert "overlapping span dropped" in caplog.text


def test_a_corpus_goes_to_tokens_and_back_as_conll_does(tmp_path):
    documents = list(read(SAMPLES / "abstracts.pubtator"))
    dataset = to_dataset(documents, "tokens", report=Report())
    write(tmp_path / "a.conll", documents, "conll", report=Report())
    expected = [d for one in read(tmp_path / "a.conll") for d in one.text.split("\n")]
    back = list(from_dataset(dataset))
    assert [document.text for document in back] == expected
    assert sum(len(d.spans) for d in back) == sum(len(d.spans) for d in read(tmp_path / "a.conll"))


def test_other_peoples_columns_and_bad_rows():
    dataset = datasets.Dataset.from_dict({"pmid": [1, 2, 3], "abstract": ["a", None, "c"]})
    report = Report()
    found = list(from_dataset(dataset, id="pmid", text="abstract", report=report))
    assert [(d.id, d.text) for d in found] == [("1", "a"), ("3", "c")] and sum(report.counts.values()) == 1
    splits = datasets.DatasetDict(train=dataset, test=dataset.select([0]))
    assert [d.id for d in from_dataset(splits, text="abstract", split="test")] == ["dataset-1"]
    with pytest.raises(FormatError, match="dataset: has no column 'abstrct'; did you mean abstract"):
        list(from_dataset(dataset, text="abstrct"))
    with pytest.raises(VanerError, match="layout is 'words'"):
        to_dataset([FULL], "words")
    with pytest.raises(VanerError, match="per is 'page'"):
        to_dataset([FULL], "tokens", per="page")
    with pytest.raises(VanerError, match="types is for layout='tokens'"):
        to_dataset([FULL], types=["Disease"])


# --- map ---


def fingerprint(dataset, function, /, **kwargs):
    return dataset.map(function, batched=True, fn_kwargs={"text": "abstract", **kwargs})._fingerprint


def test_a_map_gives_what_the_tagger_says(folder, saved):
    tagger = load(folder)
    mapped = saved.map(tagger.batch, batched=True, batch_size=2, fn_kwargs={"text": "abstract"})
    assert mapped.column_names == ["abstract", "spans"] and mapped["abstract"][:] == saved["abstract"][:]
    assert mapped[5]["spans"] is None
    for row, spans in zip(mapped.select(range(5)), tagger(saved["abstract"][:5]), strict=True):
        assert [(s["start"], s["end"], s["type"], s["text"]) for s in row["spans"]] == [
            (*span.key, span.text) for span in spans
        ]
    documents = list(from_dataset(mapped, text="abstract", report=Report()))
    assert len(documents) == 5 and documents[0].spans
    chosen = saved.map(
        tagger.batch, batched=True, fn_kwargs={"text": "abstract", "types": ["Disease"], "column": "found"}
    )
    assert {s["type"] for row in chosen.select(range(5)) for s in row["found"]} == {"Disease"}


def test_the_second_map_is_read_from_the_cache(folder, saved, monkeypatch):
    first = saved.map(load(folder).batch, batched=True, fn_kwargs={"text": "abstract"})

    def never(*_):
        raise AssertionError("tagged again")

    monkeypatch.setattr(Vaner, "tag_documents", never)
    again = saved.map(load(folder).batch, batched=True, fn_kwargs={"text": "abstract"})
    assert again._fingerprint == first._fingerprint and again[:] == first[:]
    with pytest.raises(AssertionError, match="tagged again"):
        saved.map(load(folder).batch, batched=True, fn_kwargs={"text": "abstract", "types": ["Disease"]})


def test_whatever_changes_the_answer_changes_the_fingerprint(folder, saved, kb, tmp_path):
    tagger = load(folder)
    first = fingerprint(saved, tagger.batch)
    assert fingerprint(saved, load(folder).batch) == first
    for kwargs in ({"types": ["Disease"]}, {"dataset": "cdr"}, {"min_score": 0.5}, {"column": "found"}):
        assert fingerprint(saved, tagger.batch, **kwargs) != first
    for options in (
        {"flat": True},
        {"decoding": "argmax"},
        {"max_words": 1},
        {"calibrated": False},
        {"merge": False},
    ):
        assert fingerprint(saved, load(folder, **options).batch) != first, options
    changed = load(folder)
    changed.flat = True
    assert fingerprint(saved, changed.batch) != first


def test_another_model_under_the_same_name_is_another_one(folder, saved, tmp_path):
    import safetensors.torch

    copy = tmp_path / "mine"
    shutil.copytree(folder, copy)
    first = fingerprint(saved, load(copy).batch)
    old = load(copy)
    (weights,) = copy.glob("head.safetensors")
    tensors = {name: tensor + 0.01 for name, tensor in safetensors.torch.load_file(weights).items()}
    safetensors.torch.save_file(tensors, weights)
    assert fingerprint(saved, load(copy).batch) != first
    # What was loaded before is no longer what lies there.
    with pytest.raises(VanerError, match="files changed after this model was loaded"):
        old.fingerprint()


def test_a_model_in_memory_is_never_cached(folder, saved, caplog):
    loaded = load(folder)
    tagger = Vaner(loaded.model, loaded.tokenisation.tokenizer)
    assert fingerprint(saved, tagger.batch) != fingerprint(saved, tagger.batch)
    with pytest.raises(VanerError, match="made of a model in memory"):
        tagger.fingerprint()


def test_any_tagger_by_its_name(saved, kb, make_kb):
    tagger = batched(f"kb:{kb.path}", link=True, types=["Disease"])
    dataset = datasets.Dataset.from_dict({"text": ["breast cancer", "", None]})
    mapped = dataset.map(tagger, batched=True)
    assert mapped[0]["spans"][0]["concepts"][0]["id"] == "D1" and mapped["spans"][1:] == [[], None]
    first = fingerprint(saved, tagger)
    assert fingerprint(saved, batched(f"kb:{kb.path}", link=True, types=["Disease"])) == first
    assert fingerprint(saved, batched(f"kb:{kb.path}", types=["Disease"])) != first
    other = make_kb([Term("X1", "penis", ("Disease",), True)])
    assert (
        other.path == kb.path
        and fingerprint(saved, batched(f"kb:{kb.path}", link=True, types=["Disease"])) != first
    )
    with pytest.raises(VanerError, match="tagging settings"):
        batched("kb:open", typs=["Disease"])


def test_several_processes(folder, saved):
    one = saved.map(load(folder).batch, batched=True, batch_size=3, fn_kwargs={"text": "abstract"})
    two = saved.map(
        load(folder).batch, batched=True, batch_size=3, num_proc=2, fn_kwargs={"text": "abstract"}
    )
    places = [[(s["start"], s["end"], s["type"]) for s in row or []] for row in one["spans"]]
    assert places == [[(s["start"], s["end"], s["type"]) for s in row or []] for row in two["spans"]]


@pytest.mark.parametrize("format", ["arrow", "pandas", "polars"])
def test_formatted_datasets(format):
    pytest.importorskip(format if format != "arrow" else "pyarrow")
    dataset = datasets.Dataset.from_dict({"text": ["x", "aspirin", None], "n": [1, 2, 3]}).with_format(format)
    mapped = dataset.map(batched("planted:aspirin=Chemical"), batched=True, batch_size=1).with_format(None)
    assert mapped.column_names == ["text", "n", "spans"] and mapped["n"][:] == [1, 2, 3]
    assert [row and [s["text"] for s in row] for row in mapped["spans"]] == [[], ["aspirin"], None]


def test_a_first_batch_without_mentions_needs_features():
    dataset = datasets.Dataset.from_dict({"text": ["x", "aspirin"]})
    tagger = batched("planted:aspirin=Chemical")
    with pytest.raises(TypeError):
        dataset.map(tagger, batched=True, batch_size=1)
    mapped = dataset.map(tagger, batched=True, batch_size=1, features=with_spans(dataset.features))
    assert mapped[1]["spans"][0]["concepts"][0]["id"] == "D001241"
    # A dataset that has such a column knows its types.
    empty = to_dataset([Document("a", "x"), Document("b", "aspirin")])
    assert empty.map(tagger, batched=True, batch_size=1)[1]["spans"][0]["start"] == 0


def test_what_is_no_batch_of_texts_is_refused(folder):
    tagger = load(folder)
    dataset = datasets.Dataset.from_dict({"text": ["x"], "n": [1]})
    with pytest.raises(VanerError, match="single rows; write dataset.map.tagger.batch, batched=True"):
        dataset.map(tagger.batch)
    with pytest.raises(VanerError, match="no column 'txt' .did you mean text"):
        tagger.batch({"text": ["x"]}, text="txt")
    with pytest.raises(VanerError, match="'n' holds int, no strings"):
        tagger.batch({"n": [1]}, text="n")
    assert json.dumps(tagger.fingerprint(), sort_keys=True)
    assert pa.Table.from_pydict(tagger.batch({"text": []})).num_rows == 0
