"""A model that goes on learning is asked about its old types, before and after, and can rehearse them."""

from __future__ import annotations

import json
import logging

import pytest
import yaml

from tests.training.test_run import GOING_ON, SMALL
from vaner.errors import VanerError
from vaner.model.config import ModelConfig
from vaner.training import run as training
from vaner.training.arguments import DataArguments
from vaner.training.gathering import gather
from vaner.training.rehearsal import compared, log_known, rehearsal, what_it_knows


@pytest.fixture(autouse=True)
def _samples_alone(monkeypatch):
    """Whole corpora, where they are, would be asked in place of their samples."""
    monkeypatch.delenv("VANER_DATA", raising=False)


KNOWS = ModelConfig(datasets={"bc5cdr": ["Chemical", "Disease"], "bc2gm": ["Gene"], "elsewhere": ["X"]})


def known(data: DataArguments):
    found = gather(data, seed=1)
    return found, what_it_knows(KNOWS, found, data, 1)


def test_old_types_are_scored_on_corpora_that_are_here_and_not_scored_anyway():
    _, found = known(DataArguments(mix=["anatem-sample"], cap=3))
    assert [c.name for c in found.corpora] == ["bc5cdr-sample", "bc2gm-sample"]
    assert found.dev.documents.keys() == {"bc5cdr-sample", "bc2gm-sample"} and found.dev.most == 25
    _, found = known(DataArguments(mix=["anatem-sample", "bc5cdr-sample"], cap=3))
    assert found.dev.documents.keys() == {"bc2gm-sample"}, "the mix's dev is scored anyway"


def test_a_corpus_of_a_known_name_but_of_other_types_is_not_asked():
    gathered = gather(DataArguments(mix=["anatem-sample"], cap=3), seed=1)
    before = ModelConfig(datasets={"bionlp13cg": ["Cancer"], "bc2gm": ["Gene"]})
    assert [c.name for c in what_it_knows(before, gathered, DataArguments(cap=3), 1).corpora] == [
        "bc2gm-sample"
    ]


def test_what_a_teacher_said_is_not_what_is_known(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "x", "text": "an X"}\n')
    entry = {
        "format": "jsonl",
        "files": {"train": ["x.jsonl"]},
        "types": {"X": "X"},
        "granularity": "abstract",
    }
    entry |= {"licence": "none", "citation": "none", "url": "none", "instruction_name": "elsewhere"}
    for distant, names in ((False, {"taught"}), (True, set())):
        corpora = {"corpora": {"taught": entry | {"distant": distant}}}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(corpora))
        _, found = known(DataArguments(mix=["anatem-sample"], cap=3, registry=str(tmp_path / "own.yaml")))
        assert {c.name for c in found.corpora} - {"bc5cdr-sample", "bc2gm-sample"} == names


def test_rows_of_what_is_known_are_a_share_of_the_mix():
    data = DataArguments(mix=["anatem-sample"], cap=20, rehearse=0.3)
    found, what = known(data)
    assert not rehearsal(what, found, DataArguments(mix=["anatem-sample"]))
    added = rehearsal(what, found, data)
    assert [s.name for s in added] == ["bc5cdr-sample", "bc2gm-sample"]
    words = sum(len(t.words) for s in found.sources for t in s.texts)
    rehearsed = [s.weight * sum(len(t.words) for t in s.texts) for s in added]
    assert sum(rehearsed) == pytest.approx(0.3 * words) and rehearsed[0] == pytest.approx(rehearsed[1])
    dev = {d.text for documents in what.dev.documents.values() for d in documents}
    assert not dev & {t.document.text for s in added for t in s.texts}


def test_a_corpus_that_is_dropped_whole_is_said_and_left_out(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("VANER_CACHE", str(tmp_path))
    data = DataArguments(mix=["anatem-sample"], cap=20, rehearse=0.3)
    found, what = known(data)
    monkeypatch.setattr(
        "vaner.training.reading.overlapping",
        lambda documents, _: {d.id for d in documents if "Gene" not in d.types},
    )
    added = rehearsal(what, found, data)
    assert [s.name for s in added] == ["bc2gm-sample"]
    assert "bc5cdr-sample is left out: all its training documents share" in caplog.text


def test_without_dropping_no_held_out_file_is_opened_for_rehearsal(monkeypatch):
    data = DataArguments(mix=["anatem-sample"], cap=20, rehearse=0.3, drop_overlap=False)
    found, what = known(data)
    monkeypatch.setattr("vaner.training.rehearsal.held_out_fingerprints", None)
    assert len(rehearsal(what, found, data)) == 2


def test_a_loss_is_said_with_its_remedy(caplog):
    found = compared({"a": {"types": {"X": 0.8, "Y": 0.5}}}, {"a": {"types": {"X": 0.7, "Y": 0.5}}})
    with caplog.at_level(logging.INFO):
        log_known(found, 0.0)
    assert "known before: X on a dev: F1 0.8000 -> 0.7000 (-10.0)" in caplog.text
    assert "--rehearse 0.3" in caplog.text
    caplog.clear()
    log_known({"a": {"X": {"before": 0.5, "after": 0.6}}}, 0.0)
    assert "--rehearse" not in caplog.text


def test_nothing_is_rehearsed_without_a_model():
    with pytest.raises(VanerError, match="--rehearse is of what a model knows already"):
        training.run(["--mix", "bc5cdr-sample", "--rehearse", "0.3", "--use_cpu", "true"])


def test_what_was_known_is_in_the_record(tiny_backbones, tmp_path, capsys):
    first = training.run(
        [
            "--mix",
            "bc5cdr-sample",
            "--backbone",
            tiny_backbones["llama"],
            "--output_dir",
            str(tmp_path / "a"),
            *SMALL,
        ]
    )
    words = [
        "--mix",
        "linnaeus-sample",
        "--model",
        str(first),
        "--output_dir",
        str(tmp_path / "b"),
        *GOING_ON,
    ]
    folder = training.run([*words, "--rehearse", "0.5"])
    record = json.loads((folder / "run.json").read_text())
    assert record["known_before"]["bc5cdr-sample"].keys() == {"Chemical", "Disease"}
    assert record["corpora"].keys() == {"linnaeus-sample", "bc5cdr-sample"}
    assert "known before: Disease on bc5cdr-sample dev: F1" in capsys.readouterr().out
