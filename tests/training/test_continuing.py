"""A run goes on from its own checkpoints only; a folder of another run is refused, and removed only on request."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.training.test_run import SMALL, losses, same, weights
from vaner.errors import VanerError
from vaner.training import run as training
from vaner.training.continuing import SETTINGS


def words(backbone, folder, *more, mix="bc5cdr-sample"):
    return ["--mix", mix, "--backbone", str(backbone), "--output_dir", str(folder), *SMALL, *more]


@pytest.fixture(scope="module")
def other_run(tiny_backbones, tmp_path_factory):
    """A finished run with checkpoints on the way."""
    folder = tmp_path_factory.mktemp("runs") / "other"
    return training.run(
        words(tiny_backbones["llama"], folder, "--save_steps", "6", "--save_total_limit", "9")
    )


@pytest.fixture
def folder(other_run, tmp_path):
    """A copy of it, to be spoilt."""
    return shutil.copytree(other_run, tmp_path / "run")


def refused(backbone, folder, *more, **rest) -> str:
    with pytest.raises(VanerError) as error:
        training.run(words(backbone, folder, *more, **rest))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_of_another_run_is_refused_before_data_is_read(folder, tiny_backbones, monkeypatch):
    monkeypatch.setattr(training, "gather", lambda *_: pytest.fail("data was read"))
    before = sorted(folder.rglob("*"))
    said = refused(tiny_backbones["llama"], folder, mix="linnaeus-sample")
    assert "holds" in said and "of another run" in said and "--overwrite_output_dir" in said
    for path in folder.glob("checkpoint-*"):
        shutil.rmtree(path)
    assert "holds a model of another run" in refused(tiny_backbones["llama"], folder)
    assert [p for p in before if "checkpoint" not in str(p)] == sorted(folder.rglob("*"))


def test_overwriting_removes_what_a_run_wrote_says_so_and_leaves_the_rest(folder, tiny_backbones, capsys):
    (folder / "notes.txt").write_text("mine")
    training.run(words(tiny_backbones["llama"], folder, "--overwrite_output_dir", mix="linnaeus-sample"))
    said = capsys.readouterr().out
    assert "removing what an earlier run wrote: " in said and f"{folder / 'checkpoint-6'}" in said
    assert (folder / "notes.txt").read_text() == "mine" and not (folder / "checkpoint-6").exists()
    assert json.loads((folder / "run.json").read_text())["corpora"].keys() == {"linnaeus-sample"}


@pytest.mark.parametrize(
    ("more", "rest", "names"),
    [
        (["--batch_tokens", "2048"], {}, "batch_tokens (700, now 2048)"),
        (["--seed", "6"], {}, "seed (5, now 6)"),
        (["--learning_rate", "1e-3"], {}, "learning_rate (0.01, now 0.001)"),
        (["--num_train_epochs", "3"], {}, "num_train_epochs (2.0, now 3.0)"),
        (["--max_words", "40"], {}, "max_words (96, now 40)"),
        (["--gradient_accumulation_steps", "2"], {}, "gradient_accumulation_steps (1, now 2)"),
        ([], {"mix": "linnaeus-sample"}, "mix (['bc5cdr-sample'], now ['linnaeus-sample'])"),
    ],
)
def test_resuming_with_other_settings_is_refused_and_they_are_named(
    folder, tiny_backbones, more, rest, names
):
    said = refused(tiny_backbones["llama"], folder, "--resume_from_checkpoint", "last", *more, **rest)
    assert names in said and "checkpoint-" in said and "--model" in said


def test_resuming_with_other_data_is_refused(folder, tiny_backbones):
    checkpoint = max(folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    kept = json.loads((checkpoint / SETTINGS).read_text())
    kept["files"]["bc5cdr/train.pubtator"] = "0" * 64
    (checkpoint / SETTINGS).write_text(json.dumps(kept))
    said = refused(tiny_backbones["llama"], folder, "--resume_from_checkpoint", "last")
    assert "another the data (bc5cdr/train.pubtator)" in said


def test_what_changes_no_row_and_no_update_may_change(folder, other_run, tiny_backbones):
    shutil.rmtree(folder / "checkpoint-24", ignore_errors=True)
    more = [
        "--resume_from_checkpoint",
        str(folder / "checkpoint-12"),
        "--logging_steps",
        "1",
        "--save_steps",
        "50",
    ]
    resumed = training.run(words(tiny_backbones["llama"], folder, *more))
    assert same(weights(resumed), weights(other_run))
    assert losses(resumed) == losses(other_run)


@pytest.mark.parametrize("missing", ["vaner.json", "optimizer.pt", SETTINGS])
def test_a_checkpoint_that_is_not_whole_is_refused(folder, tiny_backbones, missing):
    checkpoint = folder / "checkpoint-12"
    (checkpoint / missing).unlink()
    said = refused(tiny_backbones["llama"], folder, "--resume_from_checkpoint", str(checkpoint))
    assert str(checkpoint) in said and ("resume from an earlier one" in said or "--model" in said)


def test_the_clock_and_the_best_score_go_on_where_they_stood(folder, tiny_backbones):
    state = json.loads((folder / "checkpoint-24" / "trainer_state.json").read_text())
    (saved,) = [v for k, v in state["stateful_callbacks"].items() if k == "Clock"]
    saved["attributes"] |= {"elapsed": 3000.0, "best": 2.0, "best_step": 7}
    (folder / "checkpoint-24" / "trainer_state.json").write_text(json.dumps(state))
    more = ["--resume_from_checkpoint", str(folder / "checkpoint-24")]
    resumed = training.run(words(tiny_backbones["llama"], folder, *more))
    record = json.loads((resumed / "run.json").read_text())
    assert record["chosen_at_update"] == 7, "no later score is better than 2"
    assert record["training_minutes"] >= 50


# So many that a signal comes before the last.
LONG = ("--num_train_epochs", "20")


@pytest.fixture(scope="module")
def long_run(tiny_backbones, tmp_path_factory):
    """A run that no signal came to."""
    return training.run(words(tiny_backbones["llama"], tmp_path_factory.mktemp("runs") / "long", *LONG))


@pytest.mark.slow
@pytest.mark.parametrize(("came", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_whole_checkpoint_and_says_how_to_go_on(
    long_run, tiny_backbones, tmp_path, came, status
):
    folder = tmp_path / "run"
    command = [sys.executable, str(ROOT / "train.py")]
    command += words(tiny_backbones["llama"], folder, *LONG, "--save_strategy", "no")
    log = tmp_path / "log"
    with open(log, "w") as out:
        run = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        until = time.monotonic() + 120
        while "  step 5/" not in log.read_text() and time.monotonic() < until:
            time.sleep(0.1)
        run.send_signal(came)
        assert run.wait(120) == status
    said = log.read_text()
    assert f"stopped by {came.name} after update" in said and "Traceback" not in said
    (checkpoint,) = folder.glob("checkpoint-*")
    assert str(checkpoint) in said and not (folder / "vaner.json").exists()
    resumed = training.run(words(tiny_backbones["llama"], folder, *LONG, "--resume_from_checkpoint", "last"))
    assert same(weights(resumed), weights(long_run))
