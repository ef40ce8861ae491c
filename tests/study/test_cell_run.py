"""A cell: trained, tagged as `evaluate` asks, and what that took; killed and taken up with the same bytes."""

from __future__ import annotations

import json

import pytest

from tests.conftest import TERMS
from tests.study.conftest import open_study, write_study
from vaner.corpora.registry import read_registry
from vaner.errors import VanerError
from vaner.evaluation.run import Gold
from vaner.files import shipped
from vaner.formats import read
from vaner.knowledge import Rules, build
from vaner.report import Report
from vaner.study import cell_run, tagging
from vaner.study.cells import FAILED, FINISHED, named_cell
from vaner.study.measuring import Meter
from vaner.study.plan import plan, shown, to_probe
from vaner.vocabularies.terms import Term

# Single sentences, so that little is tagged.
CORPUS = "bc2gm-sample"


def do(made, arm, corpus=CORPUS, seed="1", **more):
    """Do a cell in this process."""
    return cell_run.run(made.file, str(made.folder.path), arm, corpus, seed, **more)


def cell(made, arm, corpus=CORPUS, seed="1"):
    return named_cell(made.cells, arm, corpus, seed)


def make_study(folder, arms, **changed):
    build(
        folder / "names.kb",
        [({"name": "test"}, [Term(*one) for one in TERMS])],
        Rules.load(shipped("kb")),
        Report(),
    )
    return open_study(write_study(folder, arms, **changed), folder / "run")


@pytest.fixture(scope="module")
def ran(tmp_path_factory, arms):
    """A study of one corpus whose cells are all done."""
    made = make_study(tmp_path_factory.mktemp("study"), arms, corpora=[CORPUS])
    for one in made.cells:
        assert do(made, one.arm.name, seed=one.seed) == 0
    return made


def test_a_cell_holds_what_its_arm_found_and_what_that_took(ran):
    gold = list(read(ran.folder.gold(CORPUS), "jsonl"))
    for one in ran.cells:
        tagged = list(read(one.path / "tagged.jsonl", "jsonl"))
        assert [(d.id, d.text) for d in tagged] == [(d.id, d.text) for d in gold]
        found = one.finished()
        assert (found["arm"], found["corpus"], str(found["seed"])) == (one.arm.name, CORPUS, one.seed)
        assert (
            found["tagging"]["documents"] == 2 and found["tagging"]["words"] == ran.corpora[CORPUS]["words"]
        )
        assert found["tagging"]["failed"] == 0 and found["tagging"]["seconds"] > 0
        assert found["machine"]["cores"] >= 1 and found["versions"]["torch"]
        if one.arm.trained:
            training = found["training"]
            assert training["updates"] == 4 and training["tokens"] > 0 and training["device"] == "cpu"
            assert training["minutes"] > 0
            assert not list(one.model.glob("checkpoint-*")), "they were of use while it trained"
        assert (found["training"] is None) == (one.arm.name in ("prompted", "dictionary"))
    history = cell(ran, "labels").finished()["training"]["history"]
    assert [point["update"] for point in history] == [2, 4] and all(
        0 <= point["f1"] <= 1 for point in history
    )


def test_free_and_forced_answers_come_from_one_training(ran):
    assert not (cell(ran, "free").path / "model").exists()
    assert cell(ran, "free").finished()["training"]["of"] == "forced"
    forced, free = (cell(ran, name).finished()["tagging"] for name in ("forced", "free"))
    assert forced["counts"]["requests"] == free["counts"]["requests"] > 0
    assert "answers lost: cut off" in free["counts"] and "answers lost: cut off" not in forced["counts"]


def test_a_tagger_is_asked_as_evaluate_asks_it(ran, monkeypatch):
    asked = {}

    class Spy:
        types, datasets, max_words, allow_new_types = ("Disease",), {"bc5cdr": ["Disease"]}, 24, False

        def tag_documents(self, documents, types=None, dataset=None):
            documents = list(documents)
            asked.update(types=types, dataset=dataset, documents=documents)
            return iter(documents)

        def remarks(self):
            return ["said"]

    corpus = read_registry()["bc5cdr-sample"]
    gold = Gold("bc5cdr-sample", list(corpus.documents("dev"))[:3], "dev", corpus.instruction_name)
    monkeypatch.setattr(tagging, "gold_of", lambda *_: gold)
    monkeypatch.setattr(tagging, "open_tagger", lambda *_, **__: Spy())
    told = tagging.tag(ran.settings, ran.folder, cell(ran, "labels"), output=ran.folder.path / "spy.jsonl")
    assert asked["types"] == ["Disease"] and asked["dataset"] == "bc5cdr"
    assert not any(one.spans or one.metadata or one.types for one in asked["documents"]), "texts alone"
    assert "does not know Chemical" in told["remarks"][0] and told["remarks"][1] == "said"

    monkeypatch.setattr(Spy, "tag_documents", lambda self, documents, *_: iter(list(documents)[1:]))
    with pytest.raises(VanerError, match="other documents"):
        tagging.tag(ran.settings, ran.folder, cell(ran, "labels"), output=ran.folder.path / "spy.jsonl")


def test_a_prompted_arm_shows_the_train_split_of_its_corpus(ran):
    settings = ran.settings.prompt_of(ran.settings.arms["prompted"], "study-bc2gm-sample", "registry.yaml")
    assert settings.shots.source == ("study-bc2gm-sample",) and settings.shots.registry.endswith(
        "registry.yaml"
    )
    said = cell(ran, "prompted", seed="-").finished()["tagging"]["remarks"]
    assert "requests" in said[-1]


def test_a_finished_cell_is_left_as_it_is(ran):
    before = (cell(ran, "labels").path / FINISHED).stat().st_mtime_ns
    assert do(ran, "labels") == 0
    assert (cell(ran, "labels").path / FINISHED).stat().st_mtime_ns == before


def test_a_cell_that_another_process_works_on_is_left_to_it(ran, tmp_path, arms):
    made = make_study(tmp_path, {"dictionary": arms["dictionary"]}, corpora=[CORPUS])
    one = made.cells[0]
    with one.lock():
        assert one.is_taken() and do(made, "dictionary", seed="-") == cell_run.TAKEN
    assert not one.is_taken() and do(made, "dictionary", seed="-") == 0
    assert one.finished()


def test_killed_while_it_trains_or_tags_a_cell_ends_with_the_same_bytes(ran, tmp_path, arms, monkeypatch):
    made = make_study(tmp_path, {"labels": arms["labels"]}, corpora=[CORPUS])
    one = made.cells[0]

    class Killed(BaseException):
        """Nothing of what follows is done, as after SIGKILL."""

    from vaner.training.clock import Clock

    on_step_end = Clock.on_step_end
    steps = []

    def die(self, args, state, control, **kwargs):
        steps.append(state.global_step)
        if len(steps) == 3:
            raise Killed
        return on_step_end(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Clock, "on_step_end", die)
        with pytest.raises(Killed):
            do(made, "labels")
    assert one.finished() is None and (one.model / "checkpoint-2").is_dir()
    tag = tagging.tag
    with monkeypatch.context() as patch:
        patch.setattr(tagging, "tag", lambda *_: (_ for _ in ()).throw(Killed))
        patch.setattr(
            Clock, "on_step_end", lambda *a, **k: (steps.append(a[2].global_step), on_step_end(*a, **k))[1]
        )
        with pytest.raises(Killed):
            do(made, "labels")
    assert steps == [1, 2, 3, 3, 4], "it went on from the checkpoint"
    with monkeypatch.context() as patch:
        patch.setattr(Clock, "on_step_end", die)
        assert do(made, "labels") == 0
    assert len(steps) == 5, "a model that is complete is not trained again"
    assert tag is tagging.tag
    whole = cell(ran, "labels")
    assert one.hash == whole.hash
    assert (one.path / "tagged.jsonl").read_bytes() == (whole.path / "tagged.jsonl").read_bytes()


def test_a_cell_that_needs_the_model_of_another_says_so(tmp_path, arms):
    made = make_study(tmp_path, {name: arms[name] for name in ("labels", "forced", "free")}, corpora=[CORPUS])
    with pytest.raises(VanerError, match="its training is not finished"):
        do(made, "free")
    assert "its training is not finished" in cell(made, "free").failure()["why"]


def test_a_probe_measures_and_leaves_no_model(tmp_path, arms):
    made = make_study(tmp_path, arms, corpora=[CORPUS])
    assert [one.arm.name for one in to_probe(made.settings, made.folder, made.cells)] == list(arms)
    rows = {one.name: one for one in plan(made.settings, made.folder, made.cells, made.corpora)}
    assert rows["labels"].seconds is None and rows["labels"].measured == "nothing"
    for arm, seed in (("labels", "1"), ("dictionary", "-")):
        assert do(made, arm, seed=seed, probe=True) == 0
        place = made.folder.probe(arm)
        assert (
            not (place / "model").exists()
            and not (made.folder.cell(arm, CORPUS, seed) / "cell.json").exists()
        )
    told = json.loads((made.folder.probe("labels") / cell_run.PROBE).read_text())
    assert told["seconds_per_update"] > 0 and told["tokens_per_update"] > 100
    rows = {one.name: one for one in plan(made.settings, made.folder, made.cells, made.corpora)}
    assert rows["labels"].measured == "probe" and rows["forced"].seconds is None
    least = 4 * told["seconds_per_update"] + told["seconds_to_begin"]
    assert rows["labels"].seconds > least
    text = "\n".join(shown(made.settings, list(rows.values()), made.corpora, 2))
    assert "6 arms x 1 corpora x 1 seeds: 6 cells, 6 to do" in text
    assert "trainings to do: 3, each of 4 updates (12 in all)" in text and "bc2gm-sample (2 of dev)" in text
    assert "besides encoder, forced, free, prompted" in text


def test_what_finished_cells_took_is_what_the_others_will(ran, arms):
    rows = plan(ran.settings, ran.folder, ran.cells, ran.corpora)
    assert [one.left for one in rows] == [0] * len(rows)
    assert to_probe(ran.settings, ran.folder, ran.cells) == []
    more = open_study(
        write_study(ran.folder.path.parent, arms, corpora=[CORPUS], seeds=[1, 2]), ran.folder.path
    )
    rows = {one.name: one for one in plan(more.settings, more.folder, more.cells, more.corpora)}
    labels = rows["labels"]
    assert (labels.left, labels.cells, labels.trainings, labels.measured) == (1, 2, 1, "cells")
    took = cell(more, "labels").finished()["seconds"]
    assert labels.seconds == pytest.approx(took["training"] + took["tagging"])
    assert rows["dictionary"].left == 0 and rows["free"].trainings == 0
    assert "2 of 2" not in (text := "\n".join(shown(more.settings, list(rows.values()), more.corpora, 2)))
    assert "10 cells, 4 to do" in text and "with 2 processes" in text


def test_failures_are_noted_with_their_last_line(ran, monkeypatch, tmp_path, arms):
    made = make_study(tmp_path, {"dictionary": arms["dictionary"]}, corpora=[CORPUS])

    def fail(*_):
        raise RuntimeError("CUDA error\nout of memory")

    monkeypatch.setattr(tagging, "tag", fail)
    with pytest.raises(RuntimeError):
        do(made, "dictionary", seed="-")
    failure = made.cells[0].failure()
    assert failure["why"] == "RuntimeError: out of memory" and "Traceback" in failure["traceback"]
    monkeypatch.undo()
    assert do(made, "dictionary", seed="-") == 0
    assert not (made.cells[0].path / FAILED).exists()


def test_a_meter_measures_what_it_tags(ran):
    gold = tagging.gold_of(ran.folder, CORPUS, 1)
    opened = []

    def opening(batch):
        opened.append(batch)
        return tagging.open_tagger(ran.settings, ran.folder, cell(ran, "forced"), batch=batch, store=False)

    meter = Meter(gold, opening)
    first, second = meter.measure(4, warm=True), meter.measure(4)
    assert opened == [4], "loaded once"
    for one in (first, second):
        assert one["seconds"] > 0 and one["cpu_seconds"] > 0 and one["peak_memory_mb"] > 100
        assert one["gpu_seconds"] is one["gpu_memory_mb"] is one["energy_joules"] is one["money"] is None
    # A line a word at least: forced answers hold every word and its tag.
    assert first["generated_tokens"] == second["generated_tokens"] > 3 * meter.words
    meter.measure(8)
    assert opened == [4, 8]
    tagger = tagging.open_tagger(ran.settings, ran.folder, cell(ran, "labels"), batch=256)
    assert tagger.batch_tokens == 256
    assert Meter(gold, lambda _: tagger).measure(None)["generated_tokens"] is None
