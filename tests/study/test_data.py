"""What is scored, what chooses a model and what is trained on: three things; and the same ones for everybody."""

from __future__ import annotations

import json

import pytest

from tests.study.conftest import FLAGS
from vaner.corpora.own import all_corpora
from vaner.errors import VanerError
from vaner.evaluation.metrics import mention_keys
from vaner.formats import read
from vaner.study.data import corpora_of, corpus_name
from vaner.study.folder import StudyFolder
from vaner.study.settings import StudySettings

TEXT = "Aspirin relieves headache number {}. Nothing else is said of it here."


def corpus(make, name, numbers, pmid=lambda number: str(number)):
    """A file of documents, each with a drug."""
    lines = [
        json.dumps(
            {
                "id": f"{name}{number}",
                "text": TEXT.format(number),
                "spans": [{"start": 0, "end": 7, "type": "Drug", "text": "Aspirin"}],
                "types": ["Drug"],
                "metadata": {"pmid": pmid(number)},
            }
        )
        for number in numbers
    ]
    return make(f"own/{name}.jsonl", "\n".join(lines) + "\n")


REGISTRY = """
corpora:
  own:
    format: jsonl
    files: {files}
    types: {{Drug: Drug}}
    granularity: abstract
    licence: none
    citation: none
    url: none
"""


@pytest.fixture
def own(make):
    """A registry with a corpus of so many documents a split."""

    def write(pmid=lambda number: str(number), **splits):
        files = {}
        begin = 0
        for split, size in splits.items():
            corpus(make, split, range(begin, begin + size), pmid)
            files[split] = [f"own/{split}.jsonl"]
            begin += size
        return str(make("registry.yaml", REGISTRY.format(files=json.dumps(files))))

    return write


def ids(path):
    return [one.id for one in read(path, "jsonl")]


def parts(folder, name="own"):
    return ids(folder.gold(name)), ids(folder.training(name, "dev")), ids(folder.training(name, "train"))


def test_gold_is_a_sample_and_the_rest_of_dev_chooses(own, opened):
    made = opened(["labels"], registry=own(train=20, dev=10), corpora=["own"], documents=4)
    gold, dev, train = parts(made.folder)
    assert len(gold) == 4 and len(dev) == 6 and len(train) == 20
    assert set(gold) | set(dev) == {f"dev{number}" for number in range(20, 30)}
    assert gold == sorted(gold), "in the file's order"
    assert gold != [f"dev{number}" for number in range(20, 24)], "drawn, not the first"
    record = made.folder.load()["corpora"]["own"]
    assert (record["documents"], record["dev_documents"], record["train_documents"]) == (4, 6, 20)
    assert record["types"] == ["Drug"] and record["dataset"] == "own"
    other = opened(
        ["labels"], "other", registry=made.settings.registry, corpora=["own"], documents=4, sample_seed=1
    )
    assert parts(other.folder)[0] != gold


def test_where_dev_is_scored_whole_a_part_of_train_chooses(own, opened):
    made = opened(["labels"], registry=own(train=20, dev=3), corpora=["own"], documents=None)
    gold, dev, train = parts(made.folder)
    assert len(gold) == 3 and len(dev) == 2 and len(train) == 18 and not set(dev) & set(train)
    assert "held out of the train split" in made.corpora["own"]["dev_from"]


def test_without_a_dev_split_whole_abstracts_are_held_out(own, opened):
    registry = own(lambda number: str(number // 3), train=30)
    made = opened(["labels"], registry=registry, corpora=["own"], documents=6)
    gold, dev, train = parts(made.folder)
    assert sorted([*gold, *dev, *train]) == sorted(f"train{number}" for number in range(30))
    abstracts = [{int(one.removeprefix("train")) // 3 for one in part} for part in (gold, dev, train)]
    assert (
        len(gold) == 6
        and not abstracts[0] & abstracts[1]
        and not (abstracts[0] | abstracts[1]) & abstracts[2]
    )


def test_the_test_split_is_read_only_where_the_file_says_so(own, opened, study, make):
    registry = own(train=10, dev=4, test=3)
    make("own/test.jsonl", "{broken")
    opened(["labels"], registry=registry, corpora=["own"])
    with pytest.raises(VanerError, match="test.jsonl"):
        opened(["labels"], "other", registry=registry, corpora=["own"], split="test")
    with pytest.raises(VanerError, match="corpus bc5cdr-sample has no final split; it has train, dev, test"):
        opened(["labels"], "third", corpora=["bc5cdr-sample"], split="final")


def test_on_the_test_split_dev_chooses(own, opened):
    made = opened(["labels"], registry=own(train=10, dev=4, test=3), corpora=["own"], split="test")
    gold, dev, train = parts(made.folder)
    assert {one[:3] for one in gold} == {"tes"} and len(dev) == 4 and len(train) == 10


def test_seen_are_the_mentions_of_what_is_trained_on(opened):
    made = opened(["labels"])
    for name in ("bc5cdr-sample", "bc2gm-sample"):
        seen = {tuple(key) for key in json.loads(made.folder.seen(name).read_text())}
        assert seen == mention_keys(read(made.folder.training(name, "train"), "jsonl"))


def test_training_reads_the_corpora_by_the_studys_registry(opened):
    made = opened(["labels"])
    known = all_corpora(made.folder.registry)
    one = known[corpus_name("bc5cdr-sample")]
    shipped = corpora_of(made.settings)["bc5cdr-sample"]
    assert one.instruction_name == shipped.instruction_name == "bc5cdr"
    assert one.annotated == shipped.annotated
    # Gold is its test split: training leaves out what shares something with it.
    assert [d.id for d in one.documents("test")] == ids(made.folder.gold("bc5cdr-sample"))
    (first, *_) = one.documents("train")
    (same, *_) = shipped.documents("train")
    assert (first.text, first.spans, first.passages) == (same.text, same.spans, same.passages)


def test_a_corpus_that_has_changed_is_refused_and_one_that_is_gone_is_not(own, opened, make, tmp_path):
    registry = own(train=10, dev=4)
    opened(["labels"], registry=registry, corpora=["own"])
    opened(["labels"], registry=registry, corpora=["own"])
    corpus(make, "train", range(9))
    with pytest.raises(VanerError, match="corpus own has changed since .*train.jsonl"):
        opened(["labels"], registry=registry, corpora=["own"])
    (tmp_path / "own" / "train.jsonl").unlink()
    opened(["labels"], registry=registry, corpora=["own"])


def test_another_studys_folder_is_refused(opened, tmp_path, make):
    opened(["labels", "encoder"])
    opened(["labels"], seeds=[1, 2, 3], corpora=["bc5cdr-sample"])  # arms, corpora, seeds come and go
    for changed, said in (
        ({"budget": {"updates": 5}}, r"budget.updates was 4, is 5"),
        ({"documents": 3}, r"documents.bc5cdr-sample was 2, is 3"),
        ({"flags": {**FLAGS, "lora_r": 5}}, r"arms.labels.flags.lora_r was 4, is 5"),
        ({"split": "test"}, r"split was dev, is test"),
    ):
        with pytest.raises(VanerError, match=said):
            opened(["labels"], **{"corpora": ["bc5cdr-sample"], **changed})
    make("full/notes.txt", "mine")
    with pytest.raises(VanerError, match="holds notes.txt and no study.json"):
        StudyFolder(tmp_path / "full").prepare()


def test_settings_are_told_by_what_files_hold(study, make):
    make("ask.yaml", "types: [Disease]\nstore: none\n")
    arm = {"kind": "prompted", "prompt": "ask.yaml"}
    first = StudySettings.load(study(arms={"ask": arm}, budget=None))
    told = first.told(first.arms["ask"])
    assert told["prompt"] == {"types": ["Disease"], "store": "none"}
    make("ask.yaml", "types: [Gene]\nstore: none\n")
    assert first.told(first.arms["ask"]) != told
