"""``--max_tokens_read``: a run ends with the update that reads so many, and its schedule with it."""

from __future__ import annotations

import json

import pytest

from vaner.errors import VanerError
from vaner.training import run as training
from vaner.training.arguments import parse, words_of

SMALL = [
    "--mix",
    "bc5cdr-sample",
    "--cap",
    "6",
    "--evaluations",
    "0",
    "--eval_documents",
    "1",
    "--use_cpu",
    "true",
]


def train(backbone, folder, *more):
    flags = ["--backbone", backbone, "--adapter", "full", "--head_rank", "8", "--batch_tokens", "256"]
    flags += [
        "--output_dir",
        str(folder),
        "--logging_steps",
        "1",
        "--warmup_steps",
        "0",
        "--save_strategy",
        "no",
    ]
    return json.loads((training.run([*SMALL, *flags, *more]) / "run.json").read_text())


def test_a_run_ends_with_the_update_that_reads_so_many_tokens(tiny_backbones, tmp_path):
    bert = tiny_backbones["bert"]
    whole = train(bert, tmp_path / "whole")
    each = whole["tokens"] / whole["updates"]
    assert whole["updates"] > 4
    for asked, updates in ((round(2.5 * each), 3), (round(3.5 * each), 4), (1, 1)):
        found = train(bert, tmp_path / str(asked), "--max_tokens_read", str(asked))
        assert found["updates"] == updates and found["tokens"] >= asked
        assert found["arguments"]["max_tokens_read"] == str(asked)
    rates = [
        one["learning_rate"]
        for one in train(bert, tmp_path / "rates", "--max_tokens_read", str(round(1.5 * each)))["history"]
        if "loss" in one
    ]
    assert rates == pytest.approx([1e-3, 5e-4]), "it falls to nought by the end of these updates"


def test_tokens_and_updates_exclude_each_other():
    for words in (["--max_tokens_read", "9", "--max_steps", "3"], ["--max_tokens_read", "0"]):
        with pytest.raises(VanerError, match="--max_tokens_read"):
            parse([*SMALL, *words])


def test_flags_in_a_mapping_are_words():
    assert words_of({"mix": {"a": 0.5}, "lora_r": 3, "bf16": True}, "here") == [
        "--mix",
        "a:0.5",
        "--lora_r=3",
        "--bf16=True",
    ]
    with pytest.raises(VanerError, match="^here: unknown setting 'lorar'; did you mean --lora_r"):
        words_of({"lorar": 3}, "here")
