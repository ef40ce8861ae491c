"""Gold that a teacher scores too: labels as people made them, scores of the texts alone, the guard as before."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.annotation.conftest import GOLD, TINY, Inline
from vaner.annotation import distil, scored_gold, taught_corpus
from vaner.annotation.distil import Distillation
from vaner.annotation.distil_folder import DistilFolder
from vaner.annotation.scored_gold import DOCUMENTS, SCORED, SHARED, attach, choose
from vaner.annotation.student import StudentSettings
from vaner.annotation.teacher import ASKED_AS
from vaner.cli import main
from vaner.corpora.registry import read_registry
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.formats import jsonl, read
from vaner.formats.json_writing import to_record
from vaner.inputs import taught
from vaner.jobs.units import Cut, FileReader
from vaner.jobs.worker import Outcome
from vaner.model.config import ModelConfig
from vaner.report import Report
from vaner.tagger import FAILED
from vaner.tagging.settings import TaggingSettings
from vaner.text.units import Text
from vaner.training import run as training
from vaner.training.arguments import DataArguments, parse
from vaner.training.gathering import gather

OTHER = "ncbi-disease-sample"
MIX = [f"{GOLD}:0.5", OTHER]
FLAGS = [*TINY, "--adapter", "full", "--learning_rate", "1e-3", "--max_steps", "2"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root without corpora: those that ship are all there are."""
    return str(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def asked(teacher, root, tiny_backbones):
    """Gold alone, scored; the folder is not named."""
    student = StudentSettings(
        name=tiny_backbones["bert"], gold=MIX, gold_documents=4, flags=FLAGS, data_root=root
    )
    return Distillation(
        settings=TaggingSettings(models=(str(teacher),), device="cpu", dtype="float32"),
        student=student,
        inputs=[],
        output=Path("nowhere"),
        score_gold=True,
        reader=FileReader(on_error="raise"),
        cut=Cut(3, 400_000),
    )


def run(asked, folder, workers=Inline, say=lambda line: None, **more):
    return distil.run(dataclasses.replace(asked, output=folder), workers=workers, say=say, **more)


def with_student(asked, **change):
    return dataclasses.replace(asked, student=dataclasses.replace(asked.student, **change))


class Watching(Inline):
    """Keeps what the teacher is given."""

    given: list[Document] = []

    def submit(self, task):
        self.given.extend(task.documents)
        super().submit(task)


@pytest.fixture(scope="module")
def finished(asked, tmp_path_factory):
    """A whole run: its folder, what it said, what the teacher was given."""
    said = []
    Watching.given = []
    folder = tmp_path_factory.mktemp("runs") / "whole"
    student = run(asked, folder, workers=Watching, say=said.append)
    return student.parent, said, Watching.given


def scored(folder):
    """Corpus -> documents with scores, in the order of the file."""
    return {
        name: list(read(folder / "taught-gold" / f"{name}.jsonl"))
        for name in (GOLD, OTHER)
        if (folder / "taught-gold" / f"{name}.jsonl").is_file()
    }


def contents(folder):
    """What a run made of gold, and the weights of its student: path -> bytes."""
    paths = [*(folder / "gold").glob("*"), *(folder / "taught-gold").glob("*"), folder / "registry.yaml"]
    paths += [p for p in (folder / "student").rglob("*.safetensors") if "checkpoint" not in str(p)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# --- the whole of it ---


def test_what_people_annotated_is_the_same_to_the_byte(finished):
    folder, *_ = finished
    for name, found in scored(folder).items():
        theirs = {d.id: d for d in read_registry()[name].documents("train")}
        assert len(found) == 4 and any(d.spans for d in found)
        for one in found:
            assert one.metadata.pop(taught.WORD_SCORES)
            assert json.dumps(to_record(one)) == json.dumps(to_record(theirs[one.id]))


def test_the_scores_are_those_that_the_teacher_gives_of_these_texts(finished, teacher, tmp_path):
    folder, *_ = finished
    for name, dataset in ((GOLD, "bc5cdr"), (OTHER, "ncbi-disease")):
        output = tmp_path / f"{name}.jsonl"
        words = [
            "predict",
            "--model",
            str(teacher),
            "--input",
            str(folder / "gold" / f"{name}.jsonl"),
            "--device",
            "cpu",
        ]
        words += ["--dtype", "float32", "--dataset", dataset, "--word_scores", "--output", str(output)]
        assert main(words) == 0
        for ours, theirs in zip(scored(folder)[name], read(output), strict=True):
            number = len(Text.of(ours).words)
            (types, scores), (asked, alone) = taught.read(ours, number), taught.read(theirs, number)
            assert types == asked == ModelConfig.load(teacher).datasets[dataset]
            # Other texts in a batch change the rounding.
            assert np.allclose(scores.astype(np.float32), alone.astype(np.float32), rtol=0, atol=0.01)


def test_the_teacher_is_given_texts_and_nothing_of_what_people_found(finished):
    _, _, given = finished
    assert len(given) == 8
    for one in given:
        assert not one.spans and one.types is None and list(one.metadata) == [ASKED_AS]
    assert {one.metadata[ASKED_AS] for one in given} == {"bc5cdr", "ncbi-disease"}


def test_the_student_says_whose_scores_it_learned(finished):
    folder, said, _ = finished
    record = json.loads((folder / "student" / "run.json").read_text())
    assert {name: (one["documents"], one["weight"]) for name, one in record["corpora"].items()} == {
        f"scored-{GOLD}": (4, 0.5),
        f"scored-{OTHER}": (4, 1.0),
    }
    assert list(record["dev"]) == [GOLD, OTHER]
    told = record["distilled"]["score_gold"]
    assert told["as_they_are"] == {} and told["corpora"][GOLD] == {
        "as": "bc5cdr",
        "types": ["Chemical", "Disease"],
        DOCUMENTS: 4,
        SHARED: told["corpora"][GOLD][SHARED],
        SCORED: 4,
    }
    assert json.loads((folder / "distil.json").read_text())["distilled"]["score_gold"] == told
    card = (folder / "student" / "README.md").read_text()
    assert f"| {GOLD} | bc5cdr | 4 | 4 |" in card and "tagged raw text" not in card
    assert ModelConfig.load(folder / "student").datasets == {
        "bc5cdr": ["Chemical", "Disease"],
        "ncbi-disease": ["Disease"],
    }
    assert any("gold: 8 of 8 documents have what the teacher says" in line for line in said)


def test_training_reads_the_documents_that_it_would_without(finished, asked):
    folder, *_ = finished
    record = json.loads((folder / "distil.json").read_text())
    with_scores = parse(record["train"])
    without = parse(["--backbone", "minilm-l6", "--mix", *MIX, "--gold_documents", "4", "--output_dir", "x"])
    alone = gather(dataclasses.replace(without.data, data_root=asked.student.data_root), 5)
    both = gather(with_scores.data, with_scores.training.seed)
    assert with_scores.training.seed == 5 and list(alone.dev) == list(both.dev)
    for ours, theirs in zip(both.sources, alone.sources, strict=True):
        assert (ours.dataset, ours.types, ours.weight) == (theirs.dataset, theirs.types, theirs.weight)
        assert len(ours.texts) == len(theirs.texts) == 4
        for number in range(4):
            assert ours.texts[number].document == theirs.texts[number].document
            assert np.array_equal(ours.texts.tags(number), theirs.texts.tags(number))
            assert ours.texts.taught(number) is not None and theirs.texts.taught(number) is None
            assert ours.texts.label_weights(number) is None


def test_types_that_are_skipped_are_skipped_as_before(asked, tmp_path):
    ours = with_student(asked, gold=[GOLD], flags=[*FLAGS, "--skip_types", "Chemical"])
    folder = run(ours, tmp_path / "run")
    assert ModelConfig.load(folder).types == ["Disease"]


def test_raw_text_and_scored_gold_together(asked, tmp_path):
    text = "Famotidine caused delirium in an old man, who had taken it against heartburn."
    (tmp_path / "raw.jsonl").write_text(json.dumps({"id": "r", "text": text}) + "\n")
    ours = dataclasses.replace(asked, inputs=[str(tmp_path / "raw.jsonl")], ways=["bc5cdr"])
    folder = run(ours, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    assert list(record["corpora"]) == [f"scored-{GOLD}", f"scored-{OTHER}", "taught-bc5cdr"]
    card = (folder / "README.md").read_text()
    assert "tagged raw text" in card and f"| {GOLD} | bc5cdr | 4 | 4 |" in card


# --- the guard ---


def own_registry(tmp_path, documents, dev=True, **more):
    """A registry with the corpus ``mine``, which instructions call bc5cdr."""
    jsonl.write(tmp_path / "train.jsonl", documents, report=Report())
    files = {"train": "train.jsonl"}
    if dev:
        jsonl.write(tmp_path / "dev.jsonl", [chemical("dev", "Aspirin helps.")], report=Report())
        files["dev"] = "dev.jsonl"
    entry = {
        "format": "jsonl",
        "files": files,
        "shipped": True,
        "types": {"Chemical": "Chemical"},
        "instruction_name": "bc5cdr",
        "granularity": "abstract",
        "licence": "none",
        "citation": "none",
        "url": "none",
        **more,
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"corpora": {"mine": entry}}))
    return str(path)


def chemical(id, text, **metadata):
    at = text.index("Aspirin")
    return Document(id, text, [Span(at, at + 7, "Chemical", "Aspirin")], metadata=metadata)


def held_out_sentence():
    for document in read_registry()[GOLD].documents("dev"):
        for sentence in document.text.split(". "):
            if len(sentence.split()) > 12:
                return document.metadata["pmid"], sentence + "."
    raise AssertionError("no sentence is long enough")


def test_no_planted_document_is_scored_or_learnt(asked, tmp_path):
    pmid, sentence = held_out_sentence()
    documents = [
        chemical("fine", "Aspirin is what everybody took against the fever of that winter."),
        chemical("sentence", f"Aspirin was not studied here. {sentence}"),
        chemical("pmid", "Aspirin has another text under the same number of PubMed.", pmid=pmid),
        chemical(
            "fine too", "Nobody wanted Aspirin. It was given all the same, and nobody was asked.", pmid="1"
        ),
    ]
    registry = own_registry(tmp_path, documents)
    said = []
    ours = with_student(asked, gold=["mine"], gold_documents=None, registry=registry)
    folder = run(ours, tmp_path / "run", say=said.append)
    for stage in ("gold", "scored", "taught-gold"):
        assert [d.id for d in read(tmp_path / "run" / stage / "mine.jsonl")] == ["fine", "fine too"]
    told = json.loads((folder / "run.json").read_text())["distilled"]["score_gold"]["corpora"]["mine"]
    assert (told[DOCUMENTS], told[SHARED], told[SCORED]) == (2, 2, 2)
    assert any("2 documents of 1 corpora are scored, 2 dropped, shared with dev" in line for line in said)
    # And were one there, training would see it: its PubMed id is still said.
    path = tmp_path / "run" / "taught-gold" / "mine.jsonl"
    kept = list(read(path))
    assert kept[1].metadata["pmid"] == "1"
    for planted in documents[1:3]:
        jsonl.write(path, [*kept, planted], report=Report())
        data = parse(json.loads((tmp_path / "run" / "distil.json").read_text())["train"]).data
        found = gather(data, 5)
        assert found.dropped == {"scored-mine": 1} and len(found.sources[0].texts) == 2


def test_documents_of_several_files_have_ids_of_their_own(asked, tmp_path):
    registry = own_registry(tmp_path, [chemical("a", "Aspirin one."), chemical("a#2", "Aspirin two.")])
    jsonl.write(tmp_path / "more.jsonl", [chemical("a", "Aspirin three.")], report=Report())
    content = yaml.safe_load((tmp_path / "own.yaml").read_text())
    content["corpora"]["mine"]["files"]["train"] = [["train.jsonl", "more.jsonl"]]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    folder = run(with_student(asked, gold=["mine"], registry=registry), tmp_path / "run")
    found = [(d.id, d.text) for d in read(tmp_path / "run" / "taught-gold" / "mine.jsonl")]
    assert found == [("a", "Aspirin one."), ("a#2", "Aspirin two."), ("a#3", "Aspirin three.")]
    assert json.loads((folder / "run.json").read_text())["corpora"]["scored-mine"]["documents"] == 3


# --- killed ---


def interrupt(*args, **options):
    raise KeyboardInterrupt


def second_call(monkeypatch, where, name):
    real, calls = getattr(where, name), []

    def call(*rest):
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return real(*rest)

    monkeypatch.setattr(where, name, call)


@pytest.mark.parametrize("kill", ["write", "note", "tag", "attach", "registry", "train"])
def test_a_run_that_was_killed_goes_on(kill, finished, asked, tmp_path):
    workers = Inline
    with pytest.MonkeyPatch.context() as patch:
        if kill in ("write", "attach"):
            second_call(patch, scored_gold, kill)
        elif kill == "note":
            second_call(patch, DistilFolder, "finish")
        elif kill == "tag":
            workers = lambda settings: Inline(settings, most=1)  # noqa: E731
        elif kill == "registry":
            patch.setattr(taught_corpus, "write_registry", interrupt)
        else:
            patch.setattr(training, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(asked, tmp_path / "run", workers=workers)
    again = []

    class Counting(Inline):
        def submit(self, task):
            again.extend(task.documents)
            super().submit(task)

    run(asked, tmp_path / "run", workers=Counting)
    assert contents(tmp_path / "run") == contents(finished[0])
    assert len(again) == {"write": 8, "note": 8, "tag": 5}.get(kill, 0), "nothing is tagged twice"


def test_a_finished_run_does_nothing_more(finished, asked, monkeypatch):
    for where, name in ((scored_gold, "write"), (scored_gold, "attach"), (training, "run")):
        monkeypatch.setattr(where, name, pytest.fail)
    run(asked, finished[0], workers=pytest.fail)


def test_what_was_taken_away_is_made_again(finished, asked, tmp_path, monkeypatch):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    for stage in ("gold", "taught-gold"):
        (folder / stage / f"{OTHER}.jsonl").unlink()
    run(asked, folder, workers=pytest.fail)
    assert contents(folder) == contents(finished[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gold_documents": 3}, f"score_gold.{GOLD}.at_most was 4, is 3"),
        ({"gold": [GOLD]}, f"score_gold.{OTHER}.as was ncbi-disease, is null"),
    ],
)
def test_other_gold_is_another_run(finished, asked, change, said, tmp_path):
    with pytest.raises(VanerError, match=said):
        run(with_student(asked, **change), finished[0])
    with pytest.raises(VanerError, match=r"score_gold\..* was .*, is null"):
        text = tmp_path / "a.txt"
        text.write_text("Aspirin.")
        run(dataclasses.replace(asked, score_gold=False, inputs=[str(text)]), finished[0])


def test_overwrite_removes_what_was_made_of_gold(asked, tmp_path, monkeypatch):
    monkeypatch.setattr(distil._Run, "train", lambda self: None)
    run(asked, tmp_path / "run")
    run(with_student(asked, gold=[OTHER]), tmp_path / "run", overwrite=True)
    for stage in ("gold", "scored", "taught-gold"):
        assert [p.name for p in (tmp_path / "run" / stage).glob("*.jsonl")] == [f"{OTHER}.jsonl"], stage


# --- what the teacher cannot say ---


class Knowing:
    datasets = {"bc5cdr": ["Chemical", "Disease"], "ncbi-disease": ["Disease"]}


def test_corpora_of_which_the_teacher_knows_nothing_stay_as_they_are(tmp_path):
    corpora = read_registry()
    gold = [corpora[name] for name in (OTHER, "s800", GOLD)]
    found, others = choose(gold, corpora, Knowing(), None)
    assert [(one.corpus.name, one.place, one.dataset, one.types) for one in found] == [
        (OTHER, 0, "ncbi-disease", ("Disease",)),
        (GOLD, 2, "bc5cdr", ("Chemical", "Disease")),
    ]
    assert others == {"s800": "the teacher knows no dataset s800"}
    _, others = choose(gold, corpora, Knowing(), ["Chemical"])
    assert list(others) == [OTHER, "s800"]
    found, _ = choose(gold, corpora, Knowing(), None, ["Disease"])
    assert [one.corpus.name for one in found] == [GOLD]
    machine = dataclasses.replace(corpora[GOLD], distant=True)
    other = dataclasses.replace(corpora[GOLD], name="by-path")
    _, others = choose([machine, other, corpora[OTHER]], corpora, Knowing(), None)
    assert [why.split()[0] for why in others.values()] == ["a", "it"]
    with pytest.raises(VanerError, match="the teacher knows no dataset s800"):
        choose([corpora["s800"]], corpora, Knowing(), None)
    with pytest.raises(VanerError, match=r"\(there is none; name some\)"):
        choose([], corpora, Knowing(), None)


def test_an_unknown_corpus_is_learnt_as_before_and_that_is_said(asked, tmp_path):
    registry = own_registry(tmp_path, [chemical("a", "Aspirin for all of them.")], instruction_name="mine")
    said = []
    ours = with_student(asked, gold=["mine", f"{GOLD}:2"], registry=registry)
    folder = run(ours, tmp_path / "run", say=said.append)
    record = json.loads((folder / "run.json").read_text())
    assert list(record["corpora"]) == ["mine", f"scored-{GOLD}"] and list(record["dev"]) == ["mine", GOLD]
    assert record["distilled"]["score_gold"]["as_they_are"] == {"mine": "the teacher knows no dataset mine"}
    assert "gold: mine stays as it is: the teacher knows no dataset mine" in said


def test_of_types_that_the_teacher_does_not_know_only_the_labels_are_learnt(asked, tmp_path):
    both = chemical("a", "Aspirin and insulin were not given together.")
    both = both.with_spans([*both.spans, both.span(12, 19, "Gene")])
    types = {"Chemical": "Chemical", "Gene": "Gene"}
    registry = own_registry(tmp_path, [both], types=types)
    run(with_student(asked, gold=["mine"], registry=registry), tmp_path / "run")
    data = parse(json.loads((tmp_path / "run" / "distil.json").read_text())["train"]).data
    (source,) = gather(data, 5).sources
    assert source.types == ("Chemical", "Gene") and source.texts.tags(0).any(axis=1).all()
    known = ~np.isnan(source.texts.taught(0)).any(axis=(1, 2))
    assert known.tolist() == [True, False]


def test_documents_on_which_the_teacher_fails_keep_their_labels(asked, tmp_path):
    """The first of one corpus, and all of the other."""
    said, hard = [], []

    class Failing(Inline):
        def wait(self, seconds):
            for one in self.tasks[0].documents if self.tasks else ():
                if not hard or one.metadata[ASKED_AS] == "ncbi-disease":
                    hard.append(one.id)
            if self.tasks and any(one.id in hard for one in self.tasks[0].documents):
                return [Outcome(self.tasks.pop(0).key, failure="it would not")]
            return super().wait(seconds)

    folder = run(asked, tmp_path / "run", workers=Failing, say=said.append)
    told = json.loads((folder / "run.json").read_text())["distilled"]["score_gold"]["corpora"]
    assert {name: (one[DOCUMENTS], one[SCORED]) for name, one in told.items()} == {
        GOLD: (4, 3),
        OTHER: (4, 0),
    }
    for name, found in scored(tmp_path / "run").items():
        gold = list(read(tmp_path / "run" / "gold" / f"{name}.jsonl"))
        assert [(d.id, d.spans) for d in found] == [(d.id, d.spans) for d in gold]
        assert all((taught.WORD_SCORES in d.metadata) == (d.id not in hard) for d in found)
    assert any("5 documents keep their labels alone, for it failed on them" in line for line in said)


# --- attach ---


def with_scores(document, types=("Chemical",), words=None):
    words = len(Text.of(document).words) if words is None else words
    scores = taught.written(types, np.zeros((len(types), words, 3), dtype=np.float32))
    return dataclasses.replace(document, spans=[], metadata={taught.WORD_SCORES: scores})


@pytest.fixture
def files(tmp_path):
    """Writes gold and what was tagged of it; gives what `attach` makes of them."""

    def made(gold, tagged):
        for name, documents in (("gold", gold), ("tagged", tagged)):
            jsonl.write(tmp_path / name, documents, report=Report())
        counts = attach(tmp_path / "gold", tmp_path / "tagged", tmp_path / "out.jsonl")
        return counts, list(read(tmp_path / "out.jsonl"))

    return made


THREE = [
    chemical("a", "Aspirin one."),
    chemical("b", "Aspirin two and three."),
    chemical("c", "Aspirin four."),
]


@pytest.mark.parametrize("missing", [(), (0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_each_document_gets_its_own_scores_whichever_are_missing(files, missing):
    tagged = [with_scores(d) for i, d in enumerate(THREE) if i not in missing]
    counts, found = files(THREE, tagged)
    assert counts == {DOCUMENTS: 3, SCORED: 3 - len(missing)}
    for number, (one, gold) in enumerate(zip(found, THREE, strict=True)):
        assert (taught.WORD_SCORES not in one.metadata) == (number in missing)
        assert one.spans == gold.spans and one.text == gold.text


def test_a_document_that_was_not_tagged_in_full_has_no_scores(files):
    half = with_scores(THREE[0])
    half.metadata[FAILED] = "no answer"
    counts, found = files(THREE[:1], [half])
    assert counts[SCORED] == 0 and taught.WORD_SCORES not in found[0].metadata


def test_scores_of_other_texts_are_refused(files, tmp_path):
    with pytest.raises(VanerError, match="document c is not that of .*gold"):
        files(THREE[:2], [with_scores(d) for d in THREE])
    with pytest.raises(
        VanerError, match="document a: word_scores of its metadata are of 9 words and the text has"
    ):
        files(THREE[:1], [with_scores(THREE[0], words=9)])
    assert not (tmp_path / "out.jsonl").exists()


# --- the command ---


def test_the_command_asks_for_it_with_no_raw_text(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(distil, "run", lambda one, **more: asked.append(one) or tmp_path)
    words = ["distil", "--teacher", "t", "--student", "s", "--gold", GOLD, "--output", str(tmp_path)]
    assert main([*words, "--score_gold"]) == 0 and main([*words, "--input", "a.txt"]) == 0
    assert [(one.score_gold, list(one.inputs)) for one in asked] == [(True, []), (False, ["a.txt"])]


# --- refused ---


def test_what_cannot_work_is_refused_at_once(asked, teacher, kb, tmp_path):
    index = f"kb:{tmp_path / 'kb.idx'}"
    changes = [
        ({"learn_from": "spans"}, "--score_gold: is of --learn_from scores"),
        (
            {"settings": TaggingSettings(models=(str(teacher), index))},
            "--score_gold: is of --learn_from scores",
        ),
        ({"settings": TaggingSettings(models=(index,))}, "--score_gold: is of --learn_from scores"),
        ({"score_gold": False}, "no raw text; name files with --input, or learn of gold alone"),
    ]
    for change, said in changes:
        with pytest.raises(VanerError, match=said):
            run(dataclasses.replace(asked, **change), tmp_path / "run", workers=pytest.fail)
    with pytest.raises(VanerError, match="--score_gold: needs --gold of datasets that the teacher knows"):
        run(with_student(asked, gold=[]), tmp_path / "run", workers=pytest.fail)
    assert not (tmp_path / "run").exists()


def test_gold_of_which_a_part_would_choose_the_model_needs_a_dev(asked, tmp_path):
    nine = [chemical(f"a{n}", f"Aspirin for {n} of them.") for n in range(9)]
    registry = own_registry(tmp_path, nine, dev=False)
    ours = with_student(asked, gold=["mine", GOLD], registry=registry)
    with pytest.raises(VanerError, match="mine has no dev split, .* name corpora that do with -- --dev"):
        run(ours, tmp_path / "run", workers=pytest.fail)
    named = with_student(ours, flags=[*FLAGS, "--dev", OTHER])
    folder = run(named, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    assert list(record["dev"]) == [OTHER] and record["corpora"]["scored-mine"]["documents"] == 4


def test_gold_without_dev_holds_nothing_back(asked, tmp_path):
    """A corpus of the registry without dev gives none, with scores or without."""
    ours = distil._Run(dataclasses.replace(asked, output=tmp_path), print)
    student = ours.student
    student.gold = [dataclasses.replace(c, files={"train": c.files["train"]}) for c in student.gold]
    words = student.words(tmp_path, tmp_path / "r.yaml", [], [], {GOLD: "scored"})
    assert words[-2:] == ["--dev_share", "0"] and words[words.index("--mix") + 1] == "scored:0.5"
    assert "--dev" not in student.words(tmp_path, tmp_path / "r.yaml", [], [])
    assert DataArguments(mix=["x"], dev_share=0).dev_share == 0
