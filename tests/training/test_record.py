"""In: runs with names, hints, paths of every kind. Out: what is logged of data, and a record that names no place."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.training.test_mixture import corpus, document
from tests.training.test_run import MIX, train
from vaner import provenance
from vaner.corpora.registry import Registry, read_registry
from vaner.files import sha256, shipped
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.knowledge import KnowledgeBase, Rules, build
from vaner.model.config import ModelConfig
from vaner.report import Report
from vaner.text.units import Text
from vaner.training import run as training
from vaner.training.arguments import DataArguments
from vaner.training.drawing import Drawing
from vaner.training.gathering import Gathered, gather
from vaner.training.leakage import Gate, Leak
from vaner.training.mixture import Mixture, TrainingCorpus
from vaner.training.names import RelatedNames
from vaner.training.record import log_data, log_names
from vaner.training.schedule import Schedule
from vaner.vocabularies.terms import Term

NAMES = [
    *(
        Term(f"D{i}", f"{kind} failure", ("Disease",), True)
        for i, kind in enumerate(("renal", "heart", "liver"))
    ),
    Term("G1", "failure of BRCA1", ("Gene",), True),
]


def index(path: Path) -> Path:
    build(path, [({"name": "made"}, NAMES)], Rules.load(shipped("kb")), Report())
    return path


def strings(value) -> list[str]:
    """Every string in a record, keys too."""
    if isinstance(value, dict):
        return [s for pair in value.items() for one in pair for s in strings(one)]
    if isinstance(value, list | tuple):
        return [s for one in value for s in strings(one)]
    return [value] if isinstance(value, str) else []


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("somewhere-on-this-machine")


@pytest.fixture(scope="module")
def run(root, tiny_backbones):
    """Trains for two updates as from a command line; returns the folder and its record."""

    def run(name: str, *more: str) -> tuple[Path, dict]:
        words = ("--cap", "4", "--max_steps", "2", "--evaluations", "0", *more)
        with pytest.MonkeyPatch.context() as patch:
            command = ["--backbone", tiny_backbones["llama"], "--output_dir", str(root / name)]
            patch.setattr(sys, "argv", [str(root / "train.py"), "--mix", *MIX[1:], *command, *words])
            patch.chdir(root)
            folder = train(tiny_backbones["llama"], root / name, *words)
        return folder, json.loads((folder / "run.json").read_text())

    return run


@pytest.fixture(scope="module")
def full(run, root) -> dict:
    """The record of a run with names, hints, and a data root, all named by absolute paths."""
    (root / "corpora").mkdir()
    kb = ("--kb", str(index(root / "names.idx")), "--kb_ratio", "0.5", "--kb_hints", "--kb_hint_share", "1")
    folder, record = run("full", "--data_root", str(root / "corpora"), *kb)
    settings = ModelConfig.load(folder)
    kept = {k: v for k, v in record.items() if k not in ("history", "arguments")}
    assert settings.training == kept, "the model keeps the same record, short of the arguments"
    return record


@pytest.fixture(scope="module")
def plain(run) -> dict:
    return run("plain")[1]


# --- places ---


def test_no_record_says_where_on_the_machine_things_lay(full, plain, root, tiny_backbones):
    for record in (full, plain):
        found = strings(record)
        assert not [s for s in found if s.startswith(("/", "~"))]
        for place in (root, Path(tiny_backbones["llama"]).parent, shipped("data")):
            assert not [s for s in found if str(place) in s], place
    assert full["arguments"]["backbone"] == "llama" and full["arguments"]["kb"] == "names.idx"
    assert full["arguments"]["data_root"] == "CORPORA" and plain["arguments"]["data_root"] is None


def test_a_model_to_go_on_from_is_called_by_its_name(run, root, tiny_backbones):
    folder, _ = run("first")
    words = ("--model", str(folder), "--output_dir", str(root / "second"), "--cap", "4", "--max_steps", "1")
    second = training.run([*MIX, *words, "--use_cpu", "true", "--evaluations", "0"])
    record = json.loads((second / "run.json").read_text())
    assert record["started_from"] == "first"


def test_the_command_is_as_it_was_typed_without_places(full, plain):
    assert plain["command"].startswith(
        "python train.py --mix bc5cdr-sample ncbi-disease-sample --backbone llama"
    )
    assert "--output_dir plain" in plain["command"] and "--data_root CORPORA" in full["command"]
    assert "--kb names.idx" in full["command"]


# --- what made the model ---


def test_versions_commit_and_seed_are_those_of_the_run(full):
    assert full["versions"] == provenance.versions() and full["commit"] == provenance.commit()
    assert (full["seed"], full["processes"], full["updates"]) == (5, 1, 2)
    assert full["chosen_at_update"] is None, "dev was not scored on the way"
    assert set(full["dev"]) == set(MIX[1:]), "but it was at the end"


def test_every_file_that_was_learnt_from_is_there_by_its_hash(full, plain, root):
    read = {}
    for name in MIX[1:]:
        for split in ("train", "dev"):
            read |= {f"{p.parent.name}/{p.name}": sha256(p) for p in read_registry()[name].paths(split)}
    assert plain["files"] == read and len(read) == 4
    names = f"{root.name}/names.idx"
    assert full["files"] == read | {names: sha256(root / "names.idx")}
    assert full["knowledge"]["index"] == full["hints"]["index"] == {names: full["files"][names]}


def test_corpora_are_counted(plain):
    gathered = gather(DataArguments(mix=MIX[1:], cap=4), seed=5)
    assert plain["corpora"] == {
        source.name: {
            "documents": 4,
            "words": sum(len(text.words) for text in source.texts),
            "weight": 1.0,
            "dropped_as_held_out": 0,
        }
        for source in gathered.sources
    }


def test_the_arguments_are_the_groups_of_the_command_line(full):
    arguments = full["arguments"]
    assert arguments["mix"] == MIX[1:] and arguments["cap"] == 4 and arguments["kb_ratio"] == 0.5
    assert arguments["head_rank"] == 8 and arguments["learning_rate"] == "0.01"
    assert (arguments["max_steps"], arguments["num_train_epochs"]) == ("2", 2.0)
    assert "output_dir" not in arguments


# --- names and hints ---


def test_names_and_hints_have_sections_where_there_were_any(full, plain):
    assert not {"knowledge", "hints", "started_from"} & plain.keys()
    names = full["knowledge"]
    assert (names["style"], names["ratio"], names["asked"], names["others"]) == ("names", 0.5, 10, 5)
    assert (names["schedule"], names["replace"], names["replaced_rows"]) == ("throughout", 0, [0, 0])
    assert names["types_without_names"] == ["Chemical"]
    assert names["names"].keys() <= {"Disease", "Gene"} and names["names"]["Disease"] > 0
    assert 0 <= names["sentences_without_names"] < names["sentences"]
    assert len(names["rows"]) == 2 and min(names["rows"]) > 0, "a count for each of two epochs"
    assert names["leakage"]["mode"] == "drop"
    assert full["hints"].keys() == {"index", "types", "rows"}
    assert full["hints"]["types"] == ["Disease"] and len(full["hints"]["rows"]) == 2


def test_a_record_holds_no_name_of_the_index_and_no_text(full):
    said = json.dumps(full).lower()
    assert not any(term.name.lower() in said for term in NAMES)
    first = next(iter(read_registry()[MIX[1]].documents("train")))
    assert first.text[:30].lower() not in said


# --- what is logged ---


def mixture(sources, tokenizer, names=None, *, schedule=None, **drawing) -> Mixture:
    options = dict(batch_tokens=900, epochs=2, seed=1, names=names, schedule=schedule)
    return Mixture(sources, Tokenisation(tokenizer, 400), Template(), Drawing(**drawing), **options)


def lines(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "vaner.training.record"]


@pytest.fixture
def logged(caplog):
    caplog.set_level("INFO", "vaner.training")
    return caplog


def test_what_is_logged_of_data(tiny_tokenizer, logged):
    odd = document(0, ["A renal failure-like thing.", "ACGT" * 90 + "."], frozenset({"Disease"}), {})
    odd = odd.with_spans([odd.span(8, 11, "Disease"), odd.span(2, 15, "Disease")])
    sources = [
        corpus("one", ("Disease", "Gene"), documents=3),
        TrainingCorpus("two", "two", [Text.of(odd)], ("Disease",), weight=0.5),
    ]
    gathered = Gathered(
        Registry(), sources, {}, dropped={"one": 2, "two": 0}, repaired={"line repaired": 3, "a space": 1}
    )
    found = mixture(sources, tiny_tokenizer)
    log_data(gathered, found)
    words = [sum(len(t.words) for t in s.texts) for s in sources]
    assert lines(logged) == [
        f"train on one: 3 documents, {words[0]} words, 12 mentions of Disease, Gene; "
        "2 documents dropped: dev or test has them",
        f"train on two x 0.5: 1 documents, {words[1]} words, 2 mentions of Disease, "
        "1 that BIO over words cannot hold",
        "reading: 3 x line repaired",
        "reading: 1 x a space",
        f"{len(found)} batches, {found.tokens:,} tokens, padding {100 * sum(found.padding) / 2:.1f} %",
        "1 very long words are read by their first tokens only",
    ]


def test_nothing_is_said_of_what_did_not_happen(tiny_tokenizer, logged):
    sources = [corpus("one", ("Disease",), documents=2)]
    log_data(Gathered(Registry(), sources, {}), mixture(sources, tiny_tokenizer))
    first, second = lines(logged)
    assert first.endswith("mentions of Disease") and second.startswith("2 batches, ")


def test_what_is_logged_of_names(tiny_tokenizer, tmp_path, logged):
    sources = [corpus("one", ("Disease", "Chemical"), documents=3)]
    names = RelatedNames(KnowledgeBase(index(tmp_path / "kb.idx")), [s.texts for s in sources])
    found = mixture(sources, tiny_tokenizer, names)
    gate = Gate("drop", frozenset({7}), {("one", "Disease"): Leak(9, frozenset({7}), 2)})
    log_names(names, found, gate)
    said = lines(logged)
    assert said[:-2] == gate.lines() and len(gate.lines()) == 1
    counts = ", ".join(f"{n} {type}" for type, n in names.counts().items())
    related = names.sentences - names.without_candidates
    assert said[-2] == (
        f"names to draw: {counts}, related to {related} of {names.sentences} sentences; "
        f"{found.name_rows[0]} rows of them in the first epoch"
    )
    assert 0 < related < names.sentences and found.name_rows[0] > 0
    assert said[-1] == "the index has no name of type Chemical: not asked in rows of names"


def test_what_is_logged_of_a_schedule_and_of_names_in_place_of_mentions(tiny_tokenizer, tmp_path, logged):
    sources = [corpus("one", ("Disease",), documents=9)]
    names = RelatedNames(KnowledgeBase(index(tmp_path / "kb.idx")), [s.texts for s in sources], ratio=1)
    found = mixture(sources, tiny_tokenizer, names, schedule=Schedule("first", 7), replaced=0.5)
    log_names(names, found, Gate())
    _, of_names = found.read_batches
    assert 0 < of_names < 7 < len(found) and found.replaced_rows[0] > 0
    assert lines(logged)[2:] == [
        f"--kb_schedule first: of 7 batches that the run reads {of_names} are of names",
        f"names in place of mentions in {found.replaced_rows[0]} rows of the first epoch",
    ]
