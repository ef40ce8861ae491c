"""A run that SIGTERM stops at an update at which dev is scored: it is scored when the run goes on."""

from __future__ import annotations

import json
import signal

import pytest

from vaner.training import run as training
from vaner.training.clock import Clock
from vaner.training.interruption import Interruption

FLAGS = [
    "--mix",
    "bc2gm-sample",
    "--cap",
    "4",
    "--eval_documents",
    "2",
    "--use_cpu",
    "true",
    "--head_rank",
    "8",
]
FLAGS += ["--adapter", "full", "--batch_tokens", "256", "--max_steps", "4", "--evaluations", "2"]
FLAGS += ["--logging_steps", "1", "--seed", "3"]


def train(backbone, folder, *more):
    folder = training.run([*FLAGS, "--backbone", backbone, "--output_dir", str(folder), *more])
    record = json.loads((folder / "run.json").read_text())
    points = [(one["step"], one["eval_f1"]) for one in record["history"] if "eval_f1" in one]
    return points, record["chosen_at_update"], record["dev"]


@pytest.mark.parametrize("update", [2, 4])
def test_dev_is_scored_when_the_run_goes_on(tiny_backbones, tmp_path, monkeypatch, update):
    bert = tiny_backbones["bert"]
    whole = train(bert, tmp_path / "whole")
    assert [step for step, _ in whole[0]] == [2, 4]
    on_step_end = Interruption.on_step_end

    def stop(self, args, state, control, **kwargs):
        if state.global_step == update:
            self._caught = signal.SIGTERM
        on_step_end(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_step_end", stop)
        with pytest.raises(SystemExit):
            train(bert, tmp_path / "stopped")
    assert train(bert, tmp_path / "stopped", "--resume_from_checkpoint", "last") == whole


def test_a_checkpoint_of_before_says_nothing_of_it():
    clock = Clock(2, None, None)
    clock.restore({"attributes": {"evaluated": 1}})
    assert not clock.due
