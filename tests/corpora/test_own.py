"""Corpora of one's own: a registry beside the shipped one, a file, a folder with splits."""

from __future__ import annotations

import json

import pytest

from vaner.cli import main
from vaner.corpora.own import all_corpora, corpus_of, is_path
from vaner.errors import VanerError
from vaner.training.arguments import DataArguments
from vaner.training.gathering import gather


def record(number: int, **more) -> dict:
    text = f"Patient {number} ate bread{number} before the test and slept well."
    start = text.index("bread")
    span = {"start": start, "end": start + len(f"bread{number}"), "type": "Food"}
    return {"id": f"d{number}", "text": text, "spans": [span], **more}


def write(path, numbers, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record(n, **more)) + "\n" for n in numbers))
    return path


REGISTRY = """\
types: {Food: {plural: foods, definition: what is eaten}}
corpora:
  myfood:
    format: jsonl
    files: {train: [food/train.jsonl], dev: [food/dev.jsonl]}
    types: {Food: Food}
    granularity: sentence
    licence: mine
    citation: none
    url: none
"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.delenv("VANER_DATA", raising=False)
    write(tmp_path / "food" / "train.jsonl", range(8))
    write(tmp_path / "food" / "dev.jsonl", range(20, 24))
    path = tmp_path / "own.yaml"
    path.write_text(REGISTRY)
    return path


def test_a_registry_of_ones_own_is_added_to_the_shipped_one(registry):
    found = all_corpora(registry)
    assert found["myfood"].annotated == {"Food"} and "bc5cdr-sample" in found
    assert found.types["Food"].definition == "what is eaten" and "Disease" in found.types
    assert len(list(found["myfood"].documents("train"))) == 8, "its files are found beside it"


def test_a_name_that_both_registries_have_is_refused(registry):
    registry.write_text(REGISTRY.replace("myfood", "bc5cdr"))
    with pytest.raises(VanerError, match="corpus bc5cdr is in the shipped registry too"):
        all_corpora(registry)


def test_train_evaluate_and_corpora_take_it(registry, capsys):
    found = gather(DataArguments(mix=["myfood", "bc5cdr-sample"], registry=str(registry), cap=3), seed=1)
    assert [source.name for source in found.sources] == ["myfood", "bc5cdr-sample"]
    assert found.dev.keys() == {"myfood", "bc5cdr-sample"}
    assert main(["corpora", "myfood", "--registry", str(registry)]) == 0
    assert "myfood" in capsys.readouterr().out
    gold = str(registry.parent / "food" / "dev.jsonl")
    words = ["--registry", str(registry), "--corpus", "myfood", "--predictions", gold, "--bootstrap", "0"]
    assert main(["evaluate", *words]) == 0
    assert "100.00" in capsys.readouterr().out


def test_a_file_is_a_corpus_and_brings_its_types(tmp_path):
    path = write(tmp_path / "notes.jsonl", range(4))
    corpus = corpus_of(path)
    assert (corpus.name, corpus.format, corpus.annotated) == ("notes", "jsonl", {"Food"})
    assert is_path(str(path), all_corpora()) and not is_path("bc5cdr", all_corpora())
    found = gather(DataArguments(mix=[f"{path}:0.5"]), seed=1)
    assert found.sources[0].weight == 0.5 and found.sources[0].types == ("Food",)


def test_a_folder_of_brat_is_a_corpus(tmp_path):
    from vaner.formats import read
    from vaner.formats import write as write_format

    documents = list(read(write(tmp_path / "notes.jsonl", range(10))))
    write_format(tmp_path / "brat", documents, "brat")
    corpus = corpus_of(tmp_path / "brat")
    assert corpus.format == "brat" and len(list(corpus.documents("train"))) == 10


def test_folders_of_splits_are_the_splits(tmp_path):
    for split, numbers in (("train", range(6)), ("devel", range(10, 13)), ("test", range(20, 22))):
        for number in numbers:
            one = record(number)
            (tmp_path / "c" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "c" / split / f"{number}.txt").write_text(one["text"])
            (span,) = one["spans"]
            line = f"T1\tFood {span['start']} {span['end']}\t{one['text'][span['start'] : span['end']]}\n"
            (tmp_path / "c" / split / f"{number}.ann").write_text(line)
    found = gather(DataArguments(mix=[str(tmp_path / "c")]), seed=1)
    assert [len(s.texts) for s in found.sources] == [6] and [len(d) for d in found.dev.values()] == [3]


def test_without_a_dev_split_a_tenth_of_the_documents_is_held_out(tmp_path):
    path = write(tmp_path / "notes.jsonl", range(30))
    found = gather(DataArguments(mix=[str(path)]), seed=1)
    trained = {text.document.id for text in found.sources[0].texts}
    dev = {document.id for document in found.dev["notes"]}
    assert len(dev) == 3 and len(trained) == 27 and not trained & dev
    again = gather(DataArguments(mix=[str(path)]), seed=1)
    assert {d.id for d in again.dev["notes"]} == dev, "the seed decides which"
    assert not gather(DataArguments(mix=[str(path)], dev_share=0), seed=1).dev
    other = write(tmp_path / "other.jsonl", range(50, 53))
    named = gather(DataArguments(mix=[str(path)], dev=[str(other)]), seed=1)
    assert len(named.sources[0].texts) == 30
    assert named.dev.keys() == {"other"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            json.dumps({"id": "1", "text": "Nothing here.", "spans": []}) + "\n",
            "none of its 1 documents annotates",
        ),
        ("", "the file is empty"),
    ],
)
def test_a_file_without_mentions_or_documents_is_refused(tmp_path, content, says):
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(VanerError, match=says):
        corpus_of(path)


def test_one_document_trains_without_dev_and_overlaps_are_counted(tmp_path):
    one = record(1)
    (span,) = one["spans"]
    one["spans"] = [span, span, {**span, "start": span["start"] + 2}]
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(one) + "\n")
    found = gather(DataArguments(mix=[str(path)]), seed=1)
    assert len(found.sources[0].texts) == 1 and not found.dev


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(VanerError, match="no such file or folder"):
        gather(DataArguments(mix=[str(tmp_path / "nowhere.jsonl")]), seed=1)
