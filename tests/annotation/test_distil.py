"""One command, from raw text to a student: the same whenever it is killed, refused where it is another run."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.annotation.conftest import GOLD, TINY, Inline
from tests.conftest import SAMPLES
from vaner.annotation import distil, taught_corpus, texts
from vaner.annotation.distil import Distillation
from vaner.annotation.distil_folder import RECORD, DistilFolder
from vaner.annotation.student import StudentSettings
from vaner.annotation.teacher import ADAPTIVE, ASKED_AS
from vaner.corpora.overlap import held_out_fingerprints
from vaner.corpora.registry import read_registry
from vaner.errors import VanerError
from vaner.formats import read
from vaner.inputs import taught
from vaner.jobs.units import Cut, FileReader
from vaner.jobs.worker import Outcome
from vaner.model.config import ModelConfig
from vaner.tagging.labeler import Vaner
from vaner.tagging.settings import TaggingSettings
from vaner.training import run as training
from vaner.training.trainer import VanerTrainer

FLAGS = [*TINY, "--adapter", "full", "--learning_rate", "1e-3", "--save_steps", "4", "--max_steps", "10"]
FLAGS[FLAGS.index("--evaluations") + 1] = "2"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root without corpora: those that ship are all there are."""
    return str(tmp_path_factory.mktemp("root"))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Two files of raw abstracts, into the first of which a dev document is planted, and one of it alone."""
    folder = tmp_path_factory.mktemp("raw")
    abstracts = list(read(SAMPLES / "abstracts.pubtator"))
    planted = _planted()
    lines = [{"id": f"a{i}", "text": one.text} for i, one in enumerate(abstracts)]
    half = len(lines) // 2
    first = [*lines[:half], {"id": "planted", "text": f"Something else. {planted}"}]
    files = {"a.jsonl": first, "b.jsonl": lines[half:], "c.jsonl": first[-1:]}
    for name, records in files.items():
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    return [str(folder / name) for name in files]


def _planted():
    """A sentence of a shipped dev split."""
    for document in read_registry()[GOLD].documents("dev"):
        for start, end in document.sentences or [(0, len(document.text))]:
            if len(document.text[start:end].split()) > 12:
                return document.text[start:end]
    raise AssertionError("no sentence is long enough")


@pytest.fixture(scope="module")
def asked(teacher, root, raw, tiny_backbones):
    """What is to be done, as far as the folder is not named."""
    student = StudentSettings(
        name=tiny_backbones["bert"], gold=[GOLD], gold_documents=4, flags=FLAGS, data_root=root
    )
    return Distillation(
        settings=TaggingSettings(models=(str(teacher),), device="cpu", dtype="float32"),
        student=student,
        inputs=raw,
        output=Path("nowhere"),
        reader=FileReader(on_error="raise"),
        cut=Cut(3, 400_000),
    )


def run(asked, folder, workers=Inline, say=lambda line: None, **more):
    return distil.run(dataclasses.replace(asked, output=folder), workers=workers, say=say, **more)


def weights(folder):
    """Path below a model's folder -> bytes of all its weights."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.safetensors")}
    return {name: content for name, content in found.items() if not name.startswith("checkpoint-")}


@pytest.fixture(scope="module")
def finished(asked, tmp_path_factory):
    """A whole run, and what it said."""
    said = []
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return run(asked, folder, say=said.append).parent, said


# --- the whole of it ---


def test_the_student_is_a_model_that_says_who_taught_it(finished, teacher):
    folder, said = finished
    student = folder / "student"
    assert isinstance(Vaner.from_pretrained(student)("Aspirin for fever."), list)
    assert ModelConfig.load(student).datasets == {
        "bc5cdr": ["Chemical", "Disease"],
        "ncbi-disease": ["Disease"],
    }
    record = json.loads((student / "run.json").read_text())
    told = record["distilled"]
    assert list(told["teacher"]) == ["tiny-teacher"] and len(told["teacher"]["tiny-teacher"]) == 64
    assert (told["learn_from"], told["weight"], told["temperature"]) == ("scores", 0.5, 1.0)
    assert told["left_out"] == {texts.SAME_SENTENCE: 2}
    assert {name: one["kept"] - one["documents"] for name, one in told["inputs"].items()} == {
        "a.jsonl": -1,
        "b.jsonl": 0,
        "c.jsonl": -1,
    }
    assert "bc5cdr-sample dev" in told["compared_with"] and "bc5cdr test" in told["not_compared"]
    assert {way: one["dataset"] for way, one in told["taught"].items()} == {
        ADAPTIVE: None,
        "bc5cdr": "bc5cdr",
        "ncbi-disease": "ncbi-disease",
    }
    assert record["corpora"][GOLD]["documents"] == 4, "of gold, and of nothing else"
    kept = sum(one["kept"] for one in told["inputs"].values())
    assert sum(one["documents"] for name, one in record["corpora"].items() if name != GOLD) == kept
    assert list(record["dev"]) == [GOLD]
    card = (student / "README.md").read_text()
    assert (
        "`tiny-teacher` (hash" in card
        and "2 documents left out: dev or test has one of its sentences" in card
    )
    assert "at most 4 documents" in card and str(folder.parent) not in card + json.dumps(told)
    assert json.loads((folder / RECORD).read_text())["distilled"] == told
    assert any("2 documents left out: dev or test has one" in line for line in said)
    assert any("not compared, for want of files: ncbi-disease" in line for line in said)


def test_no_planted_document_is_anywhere_in_it(finished):
    folder, _ = finished
    held_out, _ = texts.held_out_splits(read_registry(), [], None)
    fingerprints = held_out_fingerprints(held_out)
    for stage in ("texts", "tagged", "taught"):
        found = [d for path in (folder / stage).rglob("[ab].jsonl") for d in read(path)]
        assert found and not any("planted" in d.id for d in found)
        assert not texts.overlapping(found, fingerprints)


def test_what_is_taught_are_the_scores_of_the_teacher(finished, teacher):
    folder, _ = finished
    tagger = Vaner.from_pretrained(teacher, device="cpu", dtype="float32", word_scores=True)
    for path in sorted((folder / "taught" / "bc5cdr").glob("*.jsonl")):
        for one in read(path):
            assert one.metadata[ASKED_AS] == "bc5cdr" and one.types == {"Chemical", "Disease"}
            (alone,) = tagger.tag_documents([one], dataset="bc5cdr")
            assert alone.metadata[taught.WORD_SCORES]["words"] == one.metadata[taught.WORD_SCORES]["words"]
            assert [s.key for s in alone.spans] == [s.key for s in one.spans]


def test_the_same_command_makes_the_same_student(finished, asked, tmp_path):
    assert weights(run(asked, tmp_path / "again")) == weights(finished[0] / "student")
    other = dataclasses.replace(asked, learn_from="spans")
    spans = run(other, tmp_path / "spans")
    assert weights(spans) != weights(finished[0] / "student")
    told = json.loads((spans / "run.json").read_text())["distilled"]
    assert told["learn_from"] == "spans" and "weight" not in told
    tagged = [d for path in (tmp_path / "spans" / "tagged").glob("*.jsonl") for d in read(path)]
    assert tagged and not any(taught.WORD_SCORES in d.metadata for d in tagged), "they take room"
    assert "this model learned the mentions found." in (spans / "README.md").read_text()


def test_a_finished_run_does_nothing_more(finished, asked, monkeypatch):
    monkeypatch.setattr(training, "run", pytest.fail)
    said = []
    run(asked, finished[0], workers=pytest.fail, say=said.append)
    assert any("the student is finished" in line for line in said)


# --- killed ---


def killed_in_texts(monkeypatch):
    real, files = texts.write, []

    def write(source, *rest):
        if files:
            raise KeyboardInterrupt
        files.append(source)
        return real(source, *rest)

    monkeypatch.setattr(texts, "write", write)


def killed_between_a_text_and_its_note(monkeypatch):
    monkeypatch.setattr(DistilFolder, "finish", interrupt)


def killed_in_taught(monkeypatch):
    real, files = taught_corpus.write, []

    def write(*rest):
        found = real(*rest)
        if files:
            raise KeyboardInterrupt
        files.append(1)
        return found

    monkeypatch.setattr(taught_corpus, "write", write)


def killed_before_the_registry(monkeypatch):
    monkeypatch.setattr(taught_corpus, "write_registry", interrupt)


def killed_before_the_first_checkpoint(monkeypatch):
    killed_at_update(monkeypatch, 3)


def killed_before_the_model_is_written(monkeypatch):
    monkeypatch.setattr(training, "copy_saved", interrupt)


def killed_before_the_student_is_noted(monkeypatch):
    real = training.run

    def run(*rest):
        real(*rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "run", run)


def interrupt(*args, **options):
    raise KeyboardInterrupt


def killed_at_update(monkeypatch, number):
    real, seen = VanerTrainer.training_step, []

    def step(self, *rest, **more):
        seen.append(1)
        if len(seen) == number:
            raise KeyboardInterrupt
        return real(self, *rest, **more)

    monkeypatch.setattr(VanerTrainer, "training_step", step)
    return seen


@pytest.mark.parametrize(
    "kill",
    [
        killed_in_texts,
        pytest.param(killed_between_a_text_and_its_note, marks=pytest.mark.slow),
        killed_in_taught,
        pytest.param(killed_before_the_registry, marks=pytest.mark.slow),
        pytest.param(killed_before_the_first_checkpoint, marks=pytest.mark.slow),
        killed_before_the_model_is_written,
        killed_before_the_student_is_noted,
    ],
)
def test_a_run_that_was_killed_goes_on(kill, finished, asked, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        kill(patch)
        with pytest.raises(KeyboardInterrupt):
            run(asked, tmp_path / "run")
    assert weights(run(asked, tmp_path / "run")) == weights(finished[0] / "student")


@pytest.mark.parametrize(("save", "trained"), [(["--save_steps", "4"], 6), (["--save_strategy", "no"], 10)])
def test_training_goes_on_from_its_last_checkpoint(save, trained, finished, asked, tmp_path):
    """Without one it begins again, whatever else it left: by update 7, the best of the first evaluation."""
    ours = with_student(asked, flags=[*FLAGS, *save])
    with pytest.MonkeyPatch.context() as patch:
        killed_at_update(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            run(ours, tmp_path / "run")
    assert (tmp_path / "run" / "student" / "best").is_dir()
    with pytest.MonkeyPatch.context() as patch:
        steps = killed_at_update(patch, 99)
        student = run(ours, tmp_path / "run")
    assert len(steps) == trained and weights(student) == weights(finished[0] / "student")


def test_what_was_taken_away_is_made_again(begun, finished, asked):
    for name in ("texts/b.jsonl", "taught/bc5cdr", "student"):
        path = begun / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert weights(run(asked, begun)) == weights(finished[0] / "student")
    assert (begun / "texts" / "b.jsonl").read_bytes() == (finished[0] / "texts" / "b.jsonl").read_bytes()


def test_a_run_that_was_killed_while_it_tagged_goes_on_with_what_is_left(finished, asked, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(asked, tmp_path / "run", workers=lambda settings: Inline(settings, most=2))
    tagged = []

    class Counting(Inline):
        def submit(self, task):
            tagged.append(task.key)
            super().submit(task)

    assert weights(run(asked, tmp_path / "run", workers=Counting)) == weights(finished[0] / "student")
    assert 0 < len(tagged) < sum(len(list(read(p))) for p in (tmp_path / "run" / "texts").glob("[ab]*")) / 3


def test_held_out_splits_are_read_once_and_only_where_texts_are_missing(
    asked, finished, tmp_path, monkeypatch
):
    calls = []
    real = distil.held_out_fingerprints
    monkeypatch.setattr(distil, "held_out_fingerprints", lambda *rest: calls.append(1) or real(*rest))
    monkeypatch.setattr(distil._Run, "train", lambda self: None)
    run(asked, tmp_path / "run")
    run(asked, tmp_path / "run")
    assert len(calls) == 1, "three files, two runs"


# --- another run ---


@pytest.fixture
def begun(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "begun")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"min_score": 0.5}, "asked.min_score was null, is 0.5"),
        ({"ways": ["bc5cdr"]}, r"asked.as.adaptive was 0.333"),
        ({"learn_from": "spans"}, "asked.learn_from was scores, is spans"),
    ],
)
def test_a_folder_of_another_run_is_refused(begun, asked, change, said):
    with pytest.raises(VanerError, match=f"begun: holds a run with other settings .*{said}.*--overwrite"):
        run(dataclasses.replace(asked, **change), begun)


def test_other_texts_and_other_flags_are_another_run(begun, asked, raw, tmp_path):
    with pytest.raises(VanerError, match=r"inputs.b.jsonl was \w+\.\.\., is null"):
        run(dataclasses.replace(asked, inputs=[raw[0], raw[2]]), begun)
    flags = [*FLAGS, "--learning_rate", "1e-2"]
    other = dataclasses.replace(asked, student=dataclasses.replace(asked.student, flags=flags))
    with pytest.raises(VanerError, match="student.learning_rate was 0.001, is 0.01"):
        run(other, begun)
    quiet = dataclasses.replace(asked.student, flags=[*FLAGS, "--logging_steps", "3"])
    assert run(dataclasses.replace(asked, student=quiet), begun), "what is only said may change"


def test_the_student_may_change_until_it_is_trained(asked, finished, tmp_path, monkeypatch):
    flags = [*FLAGS, "--learning_rate", "1e-2"]
    other = dataclasses.replace(asked, student=dataclasses.replace(asked.student, flags=flags))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(other, tmp_path / "run")
    assert weights(run(asked, tmp_path / "run")) == weights(finished[0] / "student")


def test_overwrite_starts_anew_and_removes_nothing_else(begun, asked):
    (begun / "notes.txt").write_text("mine")
    shutil.rmtree(begun / "student")
    run(dataclasses.replace(asked, ways=["bc5cdr"]), begun, overwrite=True)
    assert (begun / "notes.txt").read_text() == "mine"
    assert [path.name for path in (begun / "taught").iterdir()] == ["bc5cdr"]


def test_a_folder_of_something_else_is_not_written_to(asked, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(VanerError, match="holds thesis.tex and no distil.json"):
            run(asked, tmp_path / "run", overwrite=overwrite)
    assert (tmp_path / "run" / "thesis.tex").is_file()


# --- refused before anything is written ---


def with_student(asked, **change):
    return dataclasses.replace(asked, student=dataclasses.replace(asked.student, **change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flags": ["--mix", "bc5cdr"]}, "--mix: write --gold, before --"),
        ({"flags": ["--output-dir=x"]}, "--output-dir: write --output, before --"),
        ({"flags": ["--learning_rat", "1"]}, "unknown flag --learning_rat; did you mean --learning_rate"),
        (
            {"flags": ["--no_drop_overlap"]},
            "--no_drop_overlap: a student learns nothing that dev or test has",
        ),
        ({"flags": ["--no_open_held_out"]}, "--no_open_held_out: raw text must be compared"),
        ({"flags": ["--train_splits", "train", "dev"]}, "--train_splits train dev: gold is its train split"),
        ({"flags": ["--resume_from_checkpoint", "last"]}, "the same command goes on by itself"),
        ({"flags": ["--overwrite_output_dir", "true"]}, "--overwrite starts the whole run anew"),
        ({"name": "./nowhere"}, "./nowhere: no such folder; name a backbone folder"),
        ({"name": None}, "no student; name its backbone with --student"),
        ({"gold": ["bc5cd"]}, "unknown corpus 'bc5cd'; did you mean bc5cdr"),
        ({"gold": ["bc5cdr"]}, "corpus bc5cdr: its train split is not at"),
        ({"gold_documents": 0}, "--gold_documents is 0; choose 1 or more"),
        ({"weight": 1.5}, "--weight is 1.5; choose more than 0"),
        ({"temperature": 0.0}, "--distil_temperature is 0; choose more than 0"),
        ({"taught_weight": 0.0}, "--taught_weight is 0; choose more than 0"),
        ({"flags": ["--dev", "bc5cdr"]}, "corpus bc5cdr: its dev split is not at"),
        (
            {"flags": ["--skip_types", "AminoAcid"]},
            "--skip_types AminoAcid: no corpus of the mix annotates it",
        ),
        ({"config": "no.yaml"}, "no.yaml: no such config"),
    ],
)
def test_what_training_would_refuse_is_refused_at_once(asked, change, said, tmp_path):
    with pytest.raises(VanerError, match=said):
        run(with_student(asked, **change), tmp_path / "run", workers=pytest.fail)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learn_from": "words"}, "--learn_from words: choose spans or scores"),
        ({"min_score": 2.0}, "--min_score 2: a score is a number from 0 to 1"),
        ({"ways": ["jnlpba"]}, "--as jnlpba: the teacher knows no dataset of that name"),
        ({"held_out": ["bc5cdr"]}, "--held_out bc5cdr: its dev and test are not here"),
        ({"held_out": ["bc5cd"]}, "unknown corpus 'bc5cd'"),
        ({"inputs": ["nowhere.txt"]}, "nowhere.txt: no such file"),
        ({"settings": TaggingSettings(models=("nobody",))}, "nobody: no such model folder"),
        (
            {"settings": TaggingSettings(types=("Variants",))},
            "'Variants' was not in training .*did you mean Variant",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_once(asked, change, said, tmp_path):
    with pytest.raises(VanerError, match=said):
        run(dataclasses.replace(asked, **change), tmp_path / "run", workers=pytest.fail)
    assert not (tmp_path / "run").exists()


def test_scores_are_what_one_labeler_gives(asked, teacher, kb, tmp_path):
    index = f"kb:{tmp_path / 'kb.idx'}"
    for models, who in (((index,), "kb:.* does not say"), ((str(teacher), index), "2 teachers do not say")):
        settings = TaggingSettings(models=models)
        with pytest.raises(VanerError, match=f"--learn_from scores: {who} what it finds of every word"):
            run(dataclasses.replace(asked, settings=settings, learn_from="scores"), tmp_path / "run")
        for flag, given in (("weight", {"weight": 0.5}), ("temperature", {"temperature": 2.0})):
            with pytest.raises(VanerError, match=f"--{flag}: is of --learn_from scores"):
                run(with_student(dataclasses.replace(asked, settings=settings), **given), tmp_path / "run")


# --- other teachers, other ways ---


def test_a_dictionary_teaches_spans_with_no_gold_and_no_dev(asked, kb, raw, tiny_backbones, root, tmp_path):
    flags = [*FLAGS[:-4], "--max_steps", "2"]
    student = StudentSettings(name=tiny_backbones["bert"], flags=flags, data_root=root)
    settings = TaggingSettings(models=(f"kb:{tmp_path / 'kb.idx'}",), types=("Disease", "Gene"))
    folder = run(dataclasses.replace(asked, settings=settings, student=student), tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    assert list(record["corpora"]) == ["taught-adaptive"] and record["dev"] == {}
    assert ModelConfig.load(folder).types == ["Disease", "Gene"]
    assert "Nothing that people annotated was learned from." in (folder / "README.md").read_text()


def test_what_the_teacher_fails_on_is_not_taught(asked, tmp_path):
    """One text of the first file, and all of the second."""
    said = []

    def hard(document):
        return document.id == "a/a1" or document.id.startswith("b/")

    class Failing(Inline):
        def wait(self, seconds):
            if self.tasks and any(map(hard, self.tasks[0].documents)):
                return [Outcome(self.tasks.pop(0).key, failure="it would not")]
            return super().wait(seconds)

    flags = [*FLAGS[:-1], "2"]
    folder = run(with_student(asked, flags=flags), tmp_path / "run", workers=Failing, say=said.append)
    failed = 1 + len(list(read(tmp_path / "run" / "texts" / "b.jsonl")))
    told = json.loads((folder / "run.json").read_text())["distilled"]
    assert told["left_out"]["not taught: the teacher failed on them"] == failed
    assert any(f"{failed} documents are not taught, for it failed on them" in line for line in said)
    ids = {d.id for path in (tmp_path / "run" / "taught").rglob("*.jsonl") for d in read(path)}
    assert "a/a0" in ids and "a/a1" not in ids and not any(id.startswith("b/") for id in ids)
    assert f"{failed} documents not taught: the teacher failed on them" in (folder / "README.md").read_text()


def test_a_least_score_cuts_documents_and_keeps_the_scores_of_their_words(finished, asked, tmp_path):
    whole = [d for path in (finished[0] / "taught").rglob("*.jsonl") for d in read(path)]
    scores = sorted(span.score for d in whole for span in d.spans)
    least = scores[len(scores) // 50]
    more = dataclasses.replace(asked, min_score=least)
    flags = [*FLAGS[:-1], "2", "--confidence_weight"]
    with pytest.raises(VanerError, match="--confidence_weight: write --confidence_weight, before --"):
        run(with_student(more, flags=flags), tmp_path / "run")
    student = dataclasses.replace(
        more.student, flags=flags[:-1], confidence_weight=True, temperature=2.0, weight=0.9
    )
    folder = run(dataclasses.replace(more, student=student), tmp_path / "run")
    told = json.loads((folder / "run.json").read_text())["distilled"]
    assert (told["min_score"], told["confidence_weight"], told["temperature"]) == (least, True, 2.0)
    assert sum(sum(one["unsure_sentences"].values()) for one in told["taught"].values()) > 0
    found = [d for path in (tmp_path / "run" / "taught").rglob("*.jsonl") for d in read(path)]
    assert len(found) > len(whole) and all(span.score >= least for d in found for span in d.spans)
    assert f"scores below {least:g} taught nothing of its type" in (folder / "README.md").read_text()


def test_a_config_may_bring_gold_and_student(asked, tiny_backbones, tmp_path):
    config = {
        "mix": {GOLD: 0.5},
        "backbone": tiny_backbones["bert"],
        "distil_weight": 0.7,
        "held_out": [GOLD],
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    student = StudentSettings(
        config=str(tmp_path / "c.yaml"), flags=FLAGS, data_root=asked.student.data_root, taught_weight=2
    )
    ours = distil._Run(dataclasses.replace(asked, student=student, output=tmp_path), print)
    words = ours.student.words(Path("d/student"), Path("d/registry.yaml"), ["taught-adaptive"], ["x"])
    mix = words.index("--mix")
    assert words[mix : mix + 3] == ["--mix", f"{GOLD}:0.5", "taught-adaptive:2"]
    assert words[words.index("--distil_weight") + 1] == "0.7"
    assert "--backbone" not in words and words[-2:] == ["--held_out", "x"]
    spans = dataclasses.replace(asked, student=student, output=tmp_path, learn_from="spans")
    with pytest.raises(VanerError, match="--weight: is of --learn_from scores"):
        distil._Run(spans, print)
