"""In: mixes of sample and made corpora. Out: what is trained on shares nothing with what selects or scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, TERMS
from vaner.corpora.registry import Corpus, read_registry
from vaner.errors import OffsetError, VanerError
from vaner.files import shipped
from vaner.knowledge import Rules, build
from vaner.report import Report
from vaner.training import gathering
from vaner.training.arguments import DataArguments
from vaner.training.dev import sample
from vaner.training.gathering import gather, parse_mix
from vaner.vocabularies.terms import Term

SENTENCE = "Patient number {} was given a dose of aspirin."


def lines(*numbers: int, sentence: str = SENTENCE, id: str = "d{}") -> str:
    """JSON Lines of documents of one sentence each, told apart by their number."""
    found = []
    for number in numbers:
        text = sentence.format(number)
        at = text.index("aspirin")
        span = {"start": at, "end": at + 7, "type": "Chemical", "text": "aspirin"}
        found.append(json.dumps({"id": id.format(number), "text": text, "spans": [span]}))
    return "".join(line + "\n" for line in found)


def write_corpora(folder: Path) -> None:
    """Three corpora: ``a`` and ``b`` with all splits, ``c`` with train and test only."""
    splits = {
        "a": {"train": lines(*range(20)), "dev": lines(100, 101), "test": lines(200)},
        "b": {"train": lines(*range(50, 60)), "dev": lines(110), "test": lines(210)},
        "c": {"train": lines(*range(60, 63)), "test": lines(220)},
    }
    entries = {}
    for name, texts in splits.items():
        for split, text in texts.items():
            (folder / f"{name}-{split}.jsonl").write_text(text)
        entries[name] = {
            "format": "jsonl",
            "files": {split: [f"{name}-{split}.jsonl"] for split in texts},
            "types": {"Chemical": "Chemical", "Disease": "Disease"},
            "instruction_name": f"the-{name}",
            "granularity": "abstract",
            "licence": "none",
            "citation": "none",
            "url": "none",
        }
    (folder / "corpora.yaml").write_text(yaml.safe_dump({"corpora": entries}))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The folder of the three corpora, which are all there are."""
    write_corpora(tmp_path)
    monkeypatch.setattr(gathering, "all_corpora", lambda _: read_registry(tmp_path / "corpora.yaml"))
    return tmp_path


def arguments(root, *mix: str, **more) -> DataArguments:
    return DataArguments(mix=list(mix), data_root=str(root), **more)


def ids(found) -> dict[str, list[str]]:
    return {s.name: [t.document.id for t in s.texts] for s in found.sources}


# --- the mix ---


def test_a_mix_is_names_and_weights():
    assert parse_mix(["a", "b:0.5", "c:2"]) == {"a": 1.0, "b": 0.5, "c": 2.0}
    assert parse_mix([]) == {}


@pytest.mark.parametrize("weight", ["0", "-1", "much", "nan", "inf", "", "1:2"])
def test_a_weight_must_be_a_positive_number(weight):
    with pytest.raises(
        VanerError, match=f"--mix a:{weight}: the weight must be a positive number, as in a:0.5"
    ):
        parse_mix([f"a:{weight}"])


def test_a_corpus_is_named_once():
    with pytest.raises(VanerError, match="names a twice; give it a weight"):
        parse_mix(["a", "b", "a:2"])


# --- what is read ---


def test_sources_hold_the_training_documents_in_order(made):
    found = gather(arguments(made, "a", "c:0.5"), seed=1)
    assert ids(found) == {"a": [f"d{i}" for i in range(20)], "c": ["d60", "d61", "d62"]}
    assert [(s.dataset, s.types, s.weight) for s in found.sources] == [
        ("the-a", ("Chemical", "Disease"), 1.0),
        ("the-c", ("Chemical", "Disease"), 0.5),
    ]
    assert {n: [d.id for d in dev] for n, dev in found.dev.items()} == {"a": ["d100", "d101"]}
    assert found.dropped == {"a": 0, "c": 0} and found.repaired == {}
    assert [f.rsplit("/", 1)[-1] for f in found.files] == ["a-dev.jsonl", "a-train.jsonl", "c-train.jsonl"]


def test_dev_may_be_other_corpora(made):
    assert list(gather(arguments(made, "a", dev=["b"]), seed=1).dev) == ["b"]


def test_types_may_be_left_out_of_training(made):
    found = gather(arguments(made, "a", "b", skip_types=["Chemical"]), seed=1)
    assert {s.types for s in found.sources} == {("Disease",)} and list(found.dev) == ["a", "b"]
    with pytest.raises(VanerError, match="--skip_types Gene: no corpus of the mix .* Chemical, Disease"):
        gather(arguments(made, "a", skip_types=["Disease", "Gene"]), seed=1)
    with pytest.raises(
        VanerError, match="--skip_types leaves no type of a to train on; take it out of --mix"
    ):
        gather(arguments(made, "a", skip_types=["Disease", "Chemical"]), seed=1)


def test_no_test_document_is_read_as_an_example(made):
    found = gather(arguments(made, "a", "b", "c"), seed=1)
    read = {t.document.id for s in found.sources for t in s.texts} | {
        d.id for ds in found.dev.values() for d in ds
    }
    assert not read & {"d200", "d210", "d220"}
    assert not any(f.endswith("-test.jsonl") for f in found.files)
    with pytest.raises(VanerError, match="test splits are for the final score"):
        gather(arguments(made, "a", train_splits=["train", "test"]), seed=1)


def test_training_documents_that_dev_or_test_has_are_dropped(made):
    # One of a's own test, one of b's dev in other spacing and case, one of c's test, which nobody asked for.
    respaced = "PATIENT  number {} (was given a dose of) aspirin ."
    shared = lines(200, 220) + lines(110, sentence=respaced)
    (made / "a-train.jsonl").write_text(lines(0, 1) + shared)
    found = gather(arguments(made, "a", "b"), seed=1)
    assert ids(found)["a"] == ["d0", "d1", "d220"] and found.dropped == {"a": 2, "b": 0}
    assert ids(gather(arguments(made, "a", "b", held_out=["c"]), seed=1))["a"] == ["d0", "d1"]
    assert ids(gather(arguments(made, "a", dev=["b"]), seed=1))["a"] == ["d0", "d1", "d220"]
    kept = gather(arguments(made, "a", "b", drop_overlap=False), seed=1)
    assert len(ids(kept)["a"]) == 5 and kept.dropped == {}


def test_only_the_document_itself_is_dropped_where_two_splits_share_ids(made):
    (made / "a-train.jsonl").write_text(lines(0, 200, id="x{}"))
    (made / "a-dev.jsonl").write_text(lines(1, id="x200"))
    found = gather(arguments(made, "a", train_splits=["train", "dev"]), seed=1)
    assert [t.document.text for t in found.sources[0].texts] == [SENTENCE.format(i) for i in (0, 1)]
    assert found.dropped == {"a": 1}


def test_a_dev_split_that_is_trained_on_does_not_choose_the_model(made):
    both = ["train", "dev"]
    found = gather(arguments(made, "a", "c", train_splits=["train"]), seed=1)
    assert list(found.dev) == ["a"]
    (made / "a-dev.jsonl").write_text(lines(100, 101, 110))
    found = gather(arguments(made, "a", train_splits=both), seed=1)
    assert found.dev == {} and ids(found)["a"][-3:] == ["d100", "d101", "d110"]
    # b's dev chooses: then what it shares with a's dev is not trained on.
    found = gather(arguments(made, "a", train_splits=both, dev=["b"]), seed=1)
    assert list(found.dev) == ["b"] and ids(found)["a"][-2:] == ["d100", "d101"]
    with pytest.raises(VanerError, match="--dev a: its dev split is trained on"):
        gather(arguments(made, "a", train_splits=both, dev=["a"]), seed=1)


def test_a_cap_chooses_by_the_seed(made):
    once, again, other = (ids(gather(arguments(made, "a", "c", cap=5), seed=s)) for s in (1, 1, 2))
    assert once == again != other
    assert len(once["a"]) == 5 and len(once["c"]) == 3
    assert once["a"] == sorted(once["a"], key=lambda i: int(i[1:]))


def test_gold_documents_cap_only_what_people_annotated(made):
    path = made / "corpora.yaml"
    content = yaml.safe_load(path.read_text())
    content["corpora"]["c"] |= {"distant": True}
    content["corpora"]["b"] |= {"distant": True}
    del content["corpora"]["c"]["instruction_name"]
    path.write_text(yaml.safe_dump(content))
    found = gather(arguments(made, "a", "b", "c", gold_documents=2), seed=1)
    assert [len(s.texts) for s in found.sources] == [2, 10, 3]
    assert [s.dataset for s in found.sources] == ["the-a", "the-b", None]
    assert list(found.dev) == ["a"], "b has a dev split, but a model made its labels"
    capped = gather(arguments(made, "a", "b", "c", cap=2, gold_documents=5), seed=1)
    assert [len(s.texts) for s in capped.sources] == [2, 2, 2]
    assert ids(found)["a"] == ids(capped)["a"]
    with pytest.raises(VanerError, match="--dev b: a dictionary or a model made its labels"):
        gather(arguments(made, "a", dev=["b"]), seed=1)


def test_temperature_multiplies_the_weights(made):
    found = gather(arguments(made, "a", "b:2", mix_temperature=2.0), seed=1)
    # a has twice the words of b, so it is drawn 1 / sqrt(2) times as often.
    assert [s.weight for s in found.sources] == pytest.approx([2**-0.5, 2.0])


def test_a_bad_document_stops_the_run_or_is_left_out_and_counted(made):
    bad = lines(7).replace('"text": "aspirin"', '"text": "ibuprofen"')
    (made / "a-train.jsonl").write_text(lines(0) + bad + lines(2))
    with pytest.raises(OffsetError, match="d7"):
        gather(arguments(made, "a"), seed=1)
    found = gather(arguments(made, "a", on_error="skip"), seed=1)
    assert ids(found)["a"] == ["d0", "d2"] and sum(found.repaired.values()) == 1


def test_documents_without_a_word_are_no_examples(made):
    (made / "a-train.jsonl").write_text(lines(0) + json.dumps({"id": "e", "text": " \n"}) + "\n")
    assert ids(gather(arguments(made, "a"), seed=1))["a"] == ["d0"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"mix": ["nothing-like-it"]}, "unknown corpus 'nothing-like-it'"),
        ({"dev": ["nothing-like-it"]}, "unknown corpus"),
        ({"held_out": ["nothing-like-it"]}, "unknown corpus"),
        ({"dev": ["c"]}, "corpus c has no dev split"),
        ({"train_splits": ["train", "extra"]}, "corpus a has no extra split"),
    ],
)
def test_wrong_names_are_refused(made, more, says):
    with pytest.raises(VanerError, match=says):
        gather(DataArguments(**{"mix": ["a"], "data_root": str(made), **more}), seed=1)


# --- which files are opened ---

# Says of every file that is opened below the folder its name, and which functions of vaner opened it.
WATCHED = """
import json, os, sys
from functools import partial
from pathlib import Path

root, backbone = sys.argv[1:]
opened = []


def watch(event, args):
    if event == "open" and isinstance(args[0], str | bytes) and os.fsdecode(args[0]).startswith(root):
        places, frame = [], sys._getframe(1)
        while frame:
            places.append(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}")
            frame = frame.f_back
        opened.append([os.path.basename(os.fsdecode(args[0])), [p for p in places if p.startswith("vaner.")]])


import vaner.training.run as training
from vaner.corpora.registry import Corpus, read_registry
from vaner.training import gathering
from vaner.training.arguments import DataArguments, KnowledgeArguments

gathering.all_corpora = lambda _: read_registry(Path(root) / "corpora.yaml")
found = {}


def gathered(mode="drop", **data):
    data = DataArguments(mix=["a", "c"], data_root=root, held_out=["b"], **data)
    knowledge = KnowledgeArguments(kb=f"{root}/names.idx", kb_ratio=0.25, kb_leakage=mode)
    gathering.gather_names(knowledge, gathering.gather(data, seed=1), data, max_words=96)


def trained(*more):
    words = ["--mix", "a", "c", "--data_root", root, "--backbone", backbone, "--overwrite_output_dir"]
    words += ["--output_dir", f"{root}/run"]
    words += ["--kb", f"{root}/names.idx", "--kb_ratio", "0.25"]
    words += ["--max_steps", "2", "--evaluations", "2", "--num_train_epochs", "1"]
    words += ["--lora_r", "2", "--head_rank", "4", "--max_tokens", "384", "--use_cpu", "true", *more]
    training.run(words)


runs = {
    "closed": partial(gathered, open_held_out=False),
    "closed, b chooses": partial(gathered, open_held_out=False, dev=["b"]),
    "closed, a whole run": partial(trained, "--no_open_held_out"),
    "open": gathered,
    "open, again": gathered,
    "open, a whole run": trained,
    "open, no overlap": partial(gathered, drop_overlap=False),
    "open, no leakage": partial(gathered, mode="off"),
    "open, neither": partial(gathered, mode="off", drop_overlap=False),
}
sys.addaudithook(watch)
for name, run in runs.items():
    opened.clear()
    if not name.endswith("again"):
        os.environ["VANER_CACHE"] = f"{root}/cache {name}"
    run()
    found[name] = list(opened)
print("FOUND", json.dumps(found))
"""
HASHED = "vaner.training.reading.held_out_described"
OVERLAP = "vaner.corpora.overlap.held_out_fingerprints"
LEAKAGE = "vaner.training.leakage.leaks"
HELD_OUT = {"a-test.jsonl", "b-dev.jsonl", "b-test.jsonl", "c-test.jsonl"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory, tiny_backbones) -> dict[str, dict[str, list[set[str]]]]:
    """Of each run: corpus file -> for every time that it was opened, the functions of vaner that were at it."""
    folder = tmp_path_factory.mktemp("watched")
    write_corpora(folder)
    terms = [Term(*one) for one in TERMS] + [Term("C9", "aspirin", ("Chemical",), True)]
    terms += [Term(f"C1{n}", f"{kind} aspirin", ("Chemical",), True) for n, kind in enumerate(("old", "new"))]
    build(folder / "names.idx", [({"name": "made"}, terms)], Rules.load(shipped("kb")), Report())
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder), tiny_backbones["llama"]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    found: dict = {}
    for name, files in json.loads(said.removeprefix("FOUND ")).items():
        of_run = found.setdefault(name, {})
        for file, places in files:
            if file.endswith(".jsonl"):
                of_run.setdefault(file, []).append(set(places))
    return found


def test_without_open_held_out_no_held_out_file_is_opened(opened):
    for name in ("closed", "closed, a whole run"):
        assert opened[name].keys() == {"a-train.jsonl", "c-train.jsonl", "a-dev.jsonl"}, name
    # Where another corpus's dev split chooses the model, that of a is held out itself.
    assert opened["closed, b chooses"].keys() == {"a-train.jsonl", "c-train.jsonl", "b-dev.jsonl"}


def test_held_out_files_are_opened_to_compare_with_and_for_nothing_else(opened):
    used = {}
    for name in ("open", "open, again", "open, a whole run", "open, no overlap", "open, no leakage"):
        held_out = {file: found for file, found in opened[name].items() if file in HELD_OUT}
        for file, found in held_out.items():
            for places in found:
                assert len(places & {OVERLAP, LEAKAGE, HASHED}) == 1, (name, file, places)
        used[name] = {one for found in held_out.values() for places in found for one in places}
        used[name] &= {OVERLAP, LEAKAGE, HASHED}
        expected = {file for file in HELD_OUT if not file.startswith("b") or "whole run" not in name}
        assert held_out.keys() == expected, name
    assert used["open"] == used["open, a whole run"] == {OVERLAP, LEAKAGE, HASHED}
    assert used["open, again"] == {LEAKAGE, HASHED}, "for overlap nothing is read twice"
    assert used["open, no overlap"] == {LEAKAGE} and used["open, no leakage"] == {OVERLAP, HASHED}
    assert not opened["open, neither"].keys() & HELD_OUT
    assert any("vaner.training.gathering.gather" in p for p in opened["open"]["a-dev.jsonl"]), "it chooses"


def test_without_open_held_out_the_files_need_not_be_there_or_whole(made):
    for name in ("a-test", "b-test", "c-test"):
        (made / f"{name}.jsonl").unlink()
    (made / "b-dev.jsonl").write_text("{broken\n")
    closed = gather(arguments(made, "a", "c", held_out=["b"], open_held_out=False), seed=1)
    assert ids(closed) == {"a": [f"d{i}" for i in range(20)], "c": ["d60", "d61", "d62"]}
    assert closed.dropped == {"a": 0, "c": 0}
    assert {(corpus.name, split) for corpus, split in closed.held_out} == {
        (name, split) for name in "abc" for split in ("dev", "test")
    }, "they are held out all the same"


def test_without_open_held_out_overlap_is_looked_for_in_dev_documents_that_choose(made):
    (made / "a-train.jsonl").write_text(lines(0, 1, 100, 110, 200))
    (made / "b-train.jsonl").write_text(lines(50, 101))
    closed = gather(arguments(made, "a", "b", dev=["a"], open_held_out=False), seed=1)
    assert ids(closed) == {"a": ["d0", "d1", "d110", "d200"], "b": ["d50"]}
    assert closed.dropped == {"a": 1, "b": 1}
    kept = gather(arguments(made, "a", "b", dev=["a"], open_held_out=False, drop_overlap=False), seed=1)
    assert len(ids(kept)["a"]) == 5 and kept.dropped == {}


# --- read once ---


@pytest.fixture
def reads(made, tmp_path, monkeypatch) -> list[str]:
    """The splits that are read of now on, in a cache of its own."""
    monkeypatch.setenv("VANER_CACHE", str(tmp_path / "cache"))
    found: list[str] = []
    inner = Corpus._read

    def read(self, split, *args):
        found.append(f"{self.name} {split}")
        return inner(self, split, *args)

    monkeypatch.setattr(Corpus, "_read", read)
    return found


def all_of(found) -> list:
    """All that a run takes from what was gathered."""
    sources = [
        (
            s.name,
            s.dataset,
            s.types,
            s.weight,
            s.texts.sizes,
            [(t.document, t.words, t.offsets) for t in s.texts],
        )
        for s in found.sources
    ]
    held_out = [(corpus.name, split) for corpus, split in found.held_out]
    return [sources, found.dev, found.dropped, found.repaired, found.files, held_out]


def test_the_same_corpora_and_settings_are_read_once(made, reads):
    data = arguments(made, "a", "c:0.5", held_out=["b"], cap=4)
    first = gather(data, seed=1)
    assert {"a train", "c train", "b test"} <= set(reads)
    reads.clear()
    again = gather(data, seed=1)
    assert reads == ["a dev"], "dev documents are scored as they are"
    assert all_of(again) == all_of(first)
    reads.clear()
    gather(arguments(made, "a:2", "c", held_out=["b"], cap=4, mix_temperature=2), seed=1)
    assert reads == ["a dev"], "weights are not of the texts"


@pytest.mark.parametrize(
    "other",
    [
        {"cap": 3},
        {"seed": 2},
        {"skip_types": ["Chemical"]},
        {"drop_overlap": False},
        {"open_held_out": False},
        {"held_out": [], "dev": ["a"]},
        {"on_error": "skip"},
        {"mix": ["a"], "train_splits": ["train", "dev"]},
        {"mix": ["c", "a"]},
        {"mix": ["a"]},
    ],
    ids=str,
)
def test_other_settings_are_read_anew(made, reads, other):
    data = {"mix": ["a", "c"], "data_root": str(made), "held_out": ["b"], "cap": 4, "dev": ["b"]}
    gather(DataArguments(**data), seed=1)
    reads.clear()
    seed = other.get("seed", 1)
    changed = DataArguments(**{**data, **{k: v for k, v in other.items() if k != "seed"}})
    found = all_of(gather(changed, seed))
    assert "a train" in reads
    reads.clear()
    assert all_of(gather(changed, seed)) == found and "a train" not in reads


@pytest.mark.parametrize("file", ["a-train", "b-test", "c-test", "a-dev"])
def test_a_file_that_changed_is_read_anew(made, reads, file):
    path = made / f"{file}.jsonl"
    data = arguments(made, "a", "c", held_out=["b"])
    gather(data, seed=1)
    reads.clear()
    path.write_text(path.read_text() + lines(7000))
    gather(data, seed=1)
    assert "a train" in reads


def test_the_seed_is_not_of_what_it_does_not_choose(made, reads):
    first = gather(arguments(made, "a"), seed=1)
    reads.clear()
    assert all_of(gather(arguments(made, "a"), seed=2)) == all_of(first) and "a train" not in reads


def test_another_version_of_the_code_reads_anew(made, reads, monkeypatch):
    gather(arguments(made, "a"), seed=1)
    reads.clear()
    monkeypatch.setattr("vaner.training.reading.code", lambda: "another")
    gather(arguments(made, "a"), seed=1)
    assert "a train" in reads


def test_dev_documents_held_back_come_out_of_the_cache_as_they_were(made, tmp_path, reads):
    records = [json.loads(line) for line in lines(*range(30)).splitlines()]
    for number, record in enumerate(records):
        record |= {"passages": [{"start": 0, "end": 5, "kind": "title"}], "metadata": {"n": [number, None]}}
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    data = DataArguments(mix=[str(path)])
    first = gather(data, seed=3)
    everything = {d.id: d for d in first.corpora["notes"].documents("train")}
    assert (
        first.dev["notes"] == [everything[d.id] for d in first.dev["notes"]] and len(first.dev["notes"]) == 3
    )
    reads.clear()
    assert all_of(gather(data, seed=3)) == all_of(first) and not reads, "nor for its types"
    assert {d.id for d in gather(data, seed=4).dev["notes"]} != {d.id for d in first.dev["notes"]}


def test_a_damaged_entry_is_read_anew_with_a_note(made, tmp_path, reads, caplog):
    first = all_of(gather(arguments(made, "a"), seed=1))
    (file,) = (tmp_path / "cache" / "mix").glob("texts-*/0.arrow")
    file.write_bytes(file.read_bytes()[:-20])
    reads.clear()
    assert all_of(gather(arguments(made, "a"), seed=1)) == first and "a train" in reads
    assert "0.arrow is not what was written; it is made anew" in caplog.text


# --- the samples ---


def test_the_samples_gather_and_share_nothing(monkeypatch):
    monkeypatch.delenv("VANER_DATA", raising=False)
    mix = ["ncbi-disease-sample", "bc5cdr-sample"]
    found = gather(DataArguments(mix=mix), seed=1)
    assert [s.name for s in found.sources] == mix == list(found.dev)
    assert [s.dataset for s in found.sources] == [read_registry()[n].instruction_name for n in mix]
    trained = {t.document.text for s in found.sources for t in s.texts}
    assert len(trained) > 100 and all(n == 0 for n in found.dropped.values())
    held = {d.text for n in mix for split in ("dev", "test") for d in read_registry()[n].documents(split)}
    assert not trained & held


def test_a_sample_of_documents_is_the_same_for_the_same_seed():
    numbers = list(range(50))
    assert sample(numbers, None, 1) == sample(numbers, 50, 1) == numbers
    once = sample(numbers, 10, 1)
    assert once == sample(numbers, 10, 1) == sorted(once) and len(set(once)) == 10
    assert sample(numbers, 10, 2) != once
