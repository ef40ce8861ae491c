"""In: folders, files and names that `datasets` may read. Out: their Documents, or one line that says what to do."""

import json

import datasets
import pyarrow.parquet as pq
import pytest

from vaner.document import Span
from vaner.errors import FormatError, VanerError
from vaner.formats import detect, read, write
from vaner.formats.tables import EMPTY
from vaner.report import Report

ROWS = {"pmid": [1, 2, 3], "abstract": ["Aspirin", None, "c"], "kind": [1, 0, 1]}
KINDS = datasets.Features(
    pmid=datasets.Value("int32"),
    abstract=datasets.Value("string"),
    kind=datasets.ClassLabel(names=["a", "b"]),
)


@pytest.fixture(autouse=True)
def own_datasets_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def saved(tmp_path):
    """A folder that save_to_disk wrote, of two splits."""
    train = datasets.Dataset.from_dict(ROWS, features=KINDS)
    test = datasets.Dataset.from_dict({"pmid": [9], "abstract": ["z"], "kind": [0]}, features=KINDS)
    datasets.DatasetDict(train=train, test=test).save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_what_save_to_disk_wrote(saved, tmp_path):
    assert detect(saved) == "datasets"
    report = Report()
    found = list(read(saved, "auto:text=abstract,id=pmid", report=report))
    assert [(d.id, d.text, d.metadata["split"]) for d in found] == [
        ("1", "Aspirin", "train"),
        ("3", "c", "train"),
        ("9", "z", "test"),
    ]
    assert report.counts == {EMPTY: 1} and "split train, row 2: abstract is null" in report.messages[0]
    write(tmp_path / "y.parquet", [d.with_spans([d.span(0, 1, "X")]) for d in found], "parquet")
    again = datasets.load_dataset("parquet", data_files=str(tmp_path / "y.parquet"), split="train")
    assert {name: again.features[name] for name in KINDS} == KINDS and again["kind"][:] == [1, 1, 0]
    assert again["split"][:] == ["train", "train", "test"] and again[0]["spans"][0]["text"] == "A"


def test_splits_are_chosen_by_name(saved):
    assert [d.id for d in read(saved, text="abstract", id="pmid", split="test")] == ["9"]
    chosen = read(saved, text="abstract", split="test+train")
    assert [d.id for d in chosen] == ["saved-test-1", "saved-train-1", "saved-train-3"]
    assert [d.id for d in read(saved, text="abstract", split="test")] == ["saved-1"]
    with pytest.raises(FormatError, match="has no split 'dev'; it has train, test"):
        list(read(saved, text="abstract", split="dev"))


def test_folders_of_files(make, tmp_path):
    for n in range(2):
        make(f"json/part{n}.jsonl", "".join(json.dumps({"text": f"{n}{m}", "n": m}) + "\n" for m in range(2)))
    found = read(tmp_path / "json", "datasets")
    assert [(d.id, d.text) for d in found] == [
        ("json-1", "00"),
        ("json-2", "01"),
        ("json-3", "10"),
        ("json-4", "11"),
    ]
    make("csv/train.csv", "pmid,abstract\n1,a\n2,\n")
    assert [d.text for d in read(tmp_path / "csv", "datasets", text="abstract")] == ["a"]
    datasets.Dataset.from_dict(ROWS, features=KINDS).to_parquet(str(tmp_path / "p" / "train.parquet"))
    assert detect(tmp_path / "p") == "datasets"
    assert [d.id for d in read(tmp_path / "p", text="abstract", id="pmid")] == ["1", "3"]


def test_an_arrow_file(saved):
    (path,) = saved.glob("train/*.arrow")
    assert detect(path) == "datasets"
    assert [d.id for d in read(path, text="abstract", id="pmid")] == ["1", "3"]


def test_tags_and_their_names(tmp_path):
    features = datasets.Features(
        tokens=datasets.List(datasets.Value("string")),
        ner_tags=datasets.List(datasets.ClassLabel(names=["O", "B-X", "I-X"])),
    )
    data = {"tokens": [["a", "b"], ["c"]], "ner_tags": [[1, 2], [0]]}
    datasets.Dataset.from_dict(data, features=features).save_to_disk(str(tmp_path / "d"))
    first, second = read(tmp_path / "d")
    assert first.text == "a b" and first.spans == [Span(0, 3, "X", "a b")] and not second.spans
    write(tmp_path / "y.parquet", [first, second], "parquet")
    assert pq.read_table(tmp_path / "y.parquet")["ner_tags"].to_pylist() == data["ner_tags"]


def test_code_is_never_run(make):
    path = make("script/script.py", "raise SystemExit('was run')").parent
    with pytest.raises(FormatError, match="the dataset needs code of its own, which is never run"):
        list(read(path, "datasets"))


def test_without_a_network_the_hub_is_one_line(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    assert detect("hf:nobody/nothing") == "datasets"
    with pytest.raises(FormatError, match="^hf:nobody/nothing: the hub cannot be reached") as error:
        list(read("hf:nobody/nothing"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d/a.jsonl", '{"text": "a"}\n{"text": \n', "`datasets` cannot read it .*split train, after row 0"),
        ("d/a.parquet", "PAR1 and no more", "`datasets` cannot read it"),
        ("d/a.md", "no data", "cannot read it|no such dataset"),
    ],
)
def test_what_cannot_be_read_is_one_line(make, name, content, message):
    path = make(name, content).parent
    with pytest.raises(FormatError, match=message) as error:
        list(read(path, "datasets"))
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))


def test_wrong_options(make):
    with pytest.raises(VanerError, match="streaming=maybe is unknown"):
        read(make("d/a.jsonl", "").parent, "datasets:streaming=maybe")
    with pytest.raises(FormatError, match="`datasets` reads files that end in .parquet"):
        list(read(make("a.txt", "a"), "datasets"))
