"""python -m vaner calibrate: temperatures in the model's folder, thresholds in a file, or one line and status 2."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from vaner.cli import calibrate as command
from vaner.cli import main
from vaner.document import Document
from vaner.model.config import ModelConfig
from vaner.tagging import loading

TEMPERATURE = 2.0
WORDS = 25
REGISTRY = """\
corpora:
  near: &near
    format: jsonl
    files: {dev: [near.jsonl], train: [near.jsonl], test: [near.jsonl]}
    types: {Food: Food, Drink: Drink}
    granularity: abstract
    licence: mine
    citation: none
    url: none
  far:
    <<: *near
    files: {dev: [far.jsonl]}
"""


@dataclass
class Known:
    """A tagger that marks every word as food and scores it; how often it is right is known."""

    scores: dict[str, list[float]]
    calibrated: bool = True
    types: Sequence[str] = ("Food", "Drink")
    datasets: dict[str, list[str]] = field(default_factory=dict)
    max_words: int | None = None
    allow_new_types: bool = False

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        for document in documents:
            assert not document.spans, "gold stays outside"
            places = [(5 * i, 5 * i + 4) for i in range(WORDS)]
            yield document.with_spans(
                document.span(start, end, "Food", score=score)
                for (start, end), score in zip(places, self.scores[document.id], strict=True)
            )

    def remarks(self) -> list[str]:
        return []


def corpus(path: Path, name: str, documents: int, seed: int) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    scores = {}
    with path.open("w") as file:
        for number in range(documents):
            odds = rng.normal(2.5, 2.5, WORDS)
            right = rng.random(WORDS) < 1 / (1 + np.exp(-odds / TEMPERATURE))
            scores[f"{name}{number}"] = np.round(1 / (1 + np.exp(-odds)), 6).tolist()
            spans = [
                {"start": 5 * i, "end": 5 * i + 4, "type": "Food", "text": "word"}
                for i in np.flatnonzero(right).tolist()
            ]
            text = " ".join(["word"] * WORDS)
            file.write(json.dumps({"id": f"{name}{number}", "text": text, "spans": spans}) + "\n")
    return scores


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Two corpora, a registry, a folder ``model`` and a tagger behind its name; the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VANER_DATA", raising=False)
    scores = corpus(tmp_path / "near.jsonl", "n", 160, 1) | corpus(tmp_path / "far.jsonl", "f", 60, 2)
    (tmp_path / "own.yaml").write_text(REGISTRY)
    (tmp_path / "model").mkdir()
    ModelConfig(types=["Food", "Drink"], training={"command": "train.py"}).save("model")
    (tmp_path / "model" / "README.md").write_text("# A card\n\n## Training\n\nlong\n")
    monkeypatch.setattr(
        command,
        "load",
        lambda name, calibrated, **more: Known(scores) if not calibrated else pytest.fail(name),
    )
    return tmp_path


def calibrate(*words: str) -> int:
    return main(["calibrate", "--model", "model", "--registry", "own.yaml", "--corpus", "near", *words])


def test_a_copy_of_the_model_has_the_temperatures_and_says_so(here, capsys):
    assert calibrate("--check_corpus", "far", "--output", "out", "--json", "all.json") == 0
    settings = ModelConfig.load("out")
    assert settings.temperatures == {"Food": pytest.approx(TEMPERATURE, rel=0.15)}
    assert ModelConfig.load("model").temperatures == {}, "the model itself is left as it was"
    found = json.loads(Path("all.json").read_text())
    one = found["types"]["Food"]
    assert found["documents"] == {"near": 80} and one["fit"]["spans"] == 80 * WORDS
    assert {name: at["spans"] for name, at in one["checked"].items()} == {
        "near": 80 * WORDS,
        "far": 60 * WORDS,
    }
    for at in (one["fit"], *one["checked"].values()):
        assert at["before"]["error"] > 0.06 > 0.04 > at["after"]["error"]
        assert len(at["after"]["bins"]) == 15
    shown = capsys.readouterr()
    assert (
        "| Food   | far         | 1,500" in shown.out and "Drink: temperature stays 1: 0 right" in shown.err
    )
    record = settings.training["calibration"]
    assert record["command"].endswith(
        "--corpus near --check_corpus far --split dev --check_share 0.5 --seed 0"
    )
    assert (
        settings.training["command"] == "train.py" and "bins" not in record["types"]["Food"]["fit"]["after"]
    )
    card = Path("out/README.md").read_text()
    assert card.startswith("# A card\n\n## Training\n\nlong\n\n## What a score means\n")
    assert "| Food |" in card and "Drink stays as it is: 0 right" in card


def test_in_place_twice_is_the_same_as_once(here):
    assert calibrate("--in_place") == 0
    first = {name: Path("model", name).read_bytes() for name in ("vaner.json", "README.md")}
    assert calibrate("--in_place") == 0
    assert {name: Path("model", name).read_bytes() for name in first} == first
    assert sorted(p.name for p in Path("model").iterdir()) == ["README.md", "vaner.json"]


def test_types_that_were_not_looked_at_keep_their_temperature(here):
    ModelConfig(types=["Food", "Drink", "Plate"], temperatures={"Plate": 3.0, "Drink": 4.0}).save("model")
    assert calibrate("--in_place") == 0
    assert ModelConfig.load("model").temperatures == {
        "Plate": 3.0,
        "Food": pytest.approx(TEMPERATURE, rel=0.15),
    }


def test_without_a_place_to_write_nothing_is_written(here):
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert calibrate() == 0
    assert {p: p.read_bytes() for p in here.rglob("*") if p.is_file()} == before


def test_thresholds_are_in_the_scores_that_the_model_will_give(here, capsys):
    words = ("--min_precision", "0.9", "--thresholds", "t.json")
    assert calibrate(*words, "--output", "out", "--check_corpus", "far") == 0
    shown = capsys.readouterr()
    after = json.loads(Path("t.json").read_text())
    assert after["min_scores"].keys() == {"Food"} and "Drink: no threshold: 0 spans" in shown.err
    assert f"predict.py --model out --min_score Food={after['min_scores']['Food']:g}" in shown.out
    assert after["flags"] == f"--min_score Food={after['min_scores']['Food']:g}"
    food = after["types"]["Food"]
    assert food["bound"] >= 0.9 and food["recall"] < food["all_right"] / food["gold"] == 1
    assert food["checked"]["far"]["right"] / food["checked"]["far"]["spans"] > 0.88
    assert calibrate(*words) == 0
    before = json.loads(Path("t.json").read_text())["types"]["Food"]
    assert before["score"] > food["score"] and (before["spans"], before["bound"]) == (
        food["spans"],
        food["bound"],
    )


def test_the_plot_has_the_types_that_have_spans(here):
    pytest.importorskip("matplotlib")
    assert calibrate("--plot", "plot.svg") == 0
    first = Path("plot.svg").read_bytes()
    assert b"<svg" in first and b"Date" not in first
    assert calibrate("--plot", "plot.svg") == 0 and Path("plot.svg").read_bytes() == first
    assert calibrate("--plot", "plot.png") == 0 and Path("plot.png").read_bytes().startswith(b"\x89PNG")


def test_halves_are_drawn_by_document_and_the_seed(here, capsys):
    def documents(seed: str) -> dict:
        assert calibrate("--seed", seed, "--check_share", "0.25", "--json", "all.json") == 0
        return json.loads(Path("all.json").read_text())["types"]["Food"]

    one, again, other = documents("1"), documents("1"), documents("2")
    assert one == again != other and one["fit"]["spans"] == 120 * WORDS
    assert one["checked"]["near"]["spans"] == 40 * WORDS
    assert calibrate("--check_share", "0", "--max_documents", "10", "--json", "all.json") == 0
    found = json.loads(Path("all.json").read_text())["types"]["Food"]
    assert found["fit"]["spans"] == 10 * WORDS and found["checked"] == {}
    assert "Food: its spans lie in 10 documents; so few" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--split", "test"], "nothing is fitted on a test split"),
        (["--check_share", "1"], "--check_share 1: give a number from 0 to below 1"),
        (["--max_documents", "1"], "--max_documents 1: give 2 or more"),
        (["--min_precision", "95"], "--min_precision 95: give a number between 0 and 1"),
        (["--confidence", "1"], "--confidence 1: give a number between 0 and 1"),
        (["--thresholds", "t.json"], "--thresholds needs --min_precision"),
        (["--check_corpus", "near"], "corpus near is named twice"),
        (["--check_corpus", "fra"], "unknown corpus 'fra'; did you mean far?"),
        (["--output", "model"], "model: is there already; name a new folder"),
        (["--output", "no/where"], "does not exist; create it first"),
        (["--plot", "plot.gif"], "plot.gif: a plot is one of .svg, .png, .pdf"),
        (["--model", "vaner-smollm2-135m", "--in_place"], "vaner-smollm2-135m is no folder of yours"),
        (["--model", "kb:names.kb"], "names another kind of tagger"),
    ],
)
def test_bad_input_is_one_line_and_status_2(here, capsys, words, says):
    before = {p for p in here.rglob("*")}
    assert calibrate(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and says in shown.err, shown.err
    assert {p for p in here.rglob("*")} == before


def test_what_the_model_was_trained_on_is_no_measure_of_it(here, capsys):
    scored = {"corpora": {"scored-near": {}}, "distilled": {"score_gold": {"corpora": {"near": {}}}}}
    for training in ({"corpora": {"near": {}}}, scored):
        ModelConfig(types=["Food"], training=training).save("model")
        assert calibrate("--split", "train") == 2
        assert "was trained on near, where its scores are too good" in capsys.readouterr().err


def test_without_matplotlib_the_extra_is_named(here, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert calibrate("--plot", "plot.svg") == 2
    assert "pip install 'vaner[plots]'" in capsys.readouterr().err


def test_a_labeler_may_be_asked_for_its_own_scores():
    assert "calibrated" in loading.Options.__annotations__
