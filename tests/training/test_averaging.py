"""``--average_last``: the model that is scored, chosen and saved is the mean of the last updates; resuming keeps it."""

from __future__ import annotations

import json
import signal

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from vaner.errors import VanerError
from vaner.training import run as training
from vaner.training.arguments import parse
from vaner.training.averaging import FILE, Averaging
from vaner.training.interruption import Interruption

MIX = ["--mix", "bc2gm-sample", "--cap", "4", "--seed", "3", "--use_cpu", "true"]
FLAGS = [*MIX, "--head_rank", "8", "--adapter", "full", "--batch_tokens", "256", "--max_steps", "6"]
FLAGS += ["--eval_documents", "2", "--evaluations", "2", "--logging_steps", "1", "--learning_rate", "1e-2"]


def train(backbone, folder, *more):
    return training.run([*FLAGS, "--backbone", backbone, "--output_dir", str(folder), *more])


def weights(folder):
    found = load_file(folder / "head.safetensors")
    return {**found, **load_file(folder / "backbone" / "model.safetensors")}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def seen(monkeypatch):
    """The trained weights after each update, as the trainer had them."""
    found = []
    add = Averaging.add

    def watched(self, share):
        found.append([one.detach().clone() for one in self._weights])
        add(self, share)

    monkeypatch.setattr(Averaging, "add", watched)
    return found


def holds(folder, expected):
    """Whether each of these tensors is among the saved ones."""
    saved = list(weights(folder).values())
    return all(
        any(one.shape == other.shape and torch.allclose(one, other, atol=1e-6) for one in saved)
        for other in expected
    )


@pytest.mark.parametrize(
    ("share", "of", "evaluations"), [("0.5", 3, "1"), ("1", 6, "1"), ("0.1", 1, "1"), ("0.5", 3, "0")]
)
def test_what_is_saved_is_the_mean_of_the_last_updates(
    tiny_backbones, tmp_path, seen, share, of, evaluations
):
    more = ["--evaluations", evaluations, "--average_last", share]
    folder = train(tiny_backbones["bert"], tmp_path / "run", *more)
    assert len(seen) == 6
    mean = [torch.stack(several).mean(0) for several in zip(*seen[-of:], strict=True)]
    assert holds(folder, mean)
    if of > 1:
        assert not holds(folder, seen[-1])


def test_before_the_stretch_weights_are_scored_as_they_are(tiny_backbones, tmp_path):
    plain = train(tiny_backbones["bert"], tmp_path / "plain")
    mean = train(tiny_backbones["bert"], tmp_path / "mean", "--average_last", "0.3")
    points, averaged = (
        [
            (h["step"], h["eval_f1"])
            for h in json.loads((f / "run.json").read_text())["history"]
            if "eval_f1" in h
        ]
        for f in (plain, mean)
    )
    losses = [
        [h["loss"] for h in json.loads((f / "run.json").read_text())["history"] if "loss" in h]
        for f in (plain, mean)
    ]
    assert points[0] == averaged[0] and losses[0] == losses[1]


@pytest.mark.parametrize("update", [2, 4, 5, 6])
def test_a_run_that_was_stopped_ends_with_the_same_mean(tiny_backbones, tmp_path, monkeypatch, update):
    bert = tiny_backbones["bert"]
    flags = ["--average_last", "0.5", "--evaluations", "1"]
    whole = train(bert, tmp_path / "whole", *flags)
    on_step_end = Interruption.on_step_end

    def stop(self, args, state, control, **kwargs):
        if state.global_step == update:
            self._caught = signal.SIGTERM
        on_step_end(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "on_step_end", stop)
        with pytest.raises(SystemExit):
            train(bert, tmp_path / "stopped", *flags)
    kept = tmp_path / "stopped" / f"checkpoint-{update}" / FILE
    assert kept.is_file() == (update > 3)
    resumed = train(bert, tmp_path / "stopped", *flags, "--resume_from_checkpoint", "last")
    assert same(weights(resumed), weights(whole))
    scores = [json.loads((folder / "run.json").read_text())["dev"] for folder in (resumed, whole)]
    assert scores[0] == scores[1]


def test_the_mean_is_there_meanwhile_and_training_has_its_own_weights_after():
    weight = nn.Parameter(torch.tensor([2.0]))
    averaging = Averaging([weight], 0.5)
    averaging.add(0.5)
    with averaging.in_place():
        assert weight.item() == 2 and averaging.updates == 0
    for value, share in ((4.0, 0.75), (8.0, 1.0)):
        with torch.no_grad():
            weight.fill_(value)
        averaging.add(share)
    with pytest.raises(RuntimeError, match="dev"), averaging.in_place():
        assert weight.item() == 6
        raise RuntimeError("dev")
    assert weight.item() == 8 and averaging.updates == 2
    averaging.settle()
    assert weight.item() == 6


def test_the_mean_of_another_model_is_refused(tmp_path):
    one = Averaging([nn.Parameter(torch.ones(2))], 1)
    one.add(1)
    one.save(tmp_path)
    with pytest.raises(VanerError, match=r"averaged\.safetensors: holds the mean of other weights"):
        Averaging([nn.Parameter(torch.ones(3))], 1).load(tmp_path)


def test_a_share_above_one_is_refused():
    with pytest.raises(VanerError, match=r"--average_last is 1\.5; choose 0 to 1"):
        parse([*MIX, "--average_last", "1.5"])
