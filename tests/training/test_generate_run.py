"""``train.py --head generate``: it learns, resumes to the same bits, and its folder is a Tagger with exact offsets."""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.training import tiny_lm
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import jsonl
from vaner.report import Report
from vaner.tagging.labeler import Vaner
from vaner.tagging.loading import load
from vaner.training import run as training
from vaner.training.arguments import parse

SMALL = [
    *(
        "--head",
        "generate",
        "--max_tokens",
        "1200",
        "--batch_tokens",
        "2400",
        "--dtype",
        "float32",
        "--seed",
        "5",
    ),
    *("--cap", "3", "--logging_steps", "1", "--lora_r", "4", "--eval_documents", "1", "--use_cpu", "true"),
]
MIX = ["--mix", "bc5cdr-sample", "ncbi-disease-sample"]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return tiny_lm.make(tmp_path_factory.mktemp("lm"))


def train(backbone, folder, *more, mix=MIX):
    return training.run([*mix, "--backbone", backbone, "--output_dir", str(folder), *SMALL, *more])


@pytest.fixture(scope="module")
def finished(backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return train(backbone, folder, "--max_steps", "4", "--evaluations", "1", "--save_steps", "2")


def same(one, other):
    one, other = (load_file(folder / "adapter_model.safetensors") for folder in (one, other))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_folder_and_the_record_say_what_it_is(finished):
    record = json.loads((finished / "run.json").read_text())
    assert record["updates"] == 4 and record["arguments"]["head"] == "generate"
    assert record["generation"]["answer"] == "token_tags" and record["generation"]["loss_on"] == "completion"
    assert set(record["dev"]) == {"bc5cdr-sample", "ncbi-disease-sample"}
    card = (finished / "README.md").read_text()
    assert (
        "VANER generator" in card and "vaner.tagging.loading import load" in card and "BIO head" not in card
    )
    assert "model: ." in (finished / "generator.yaml").read_text()


def test_resuming_reaches_the_same_bits(finished, backbone, tmp_path):
    (tmp_path / "resumed").mkdir()
    os.symlink(finished / "checkpoint-2", tmp_path / "resumed" / "checkpoint-2")
    more = [
        "--max_steps",
        "4",
        "--evaluations",
        "1",
        "--resume_from_checkpoint",
        "last",
        "--save_strategy",
        "no",
    ]
    resumed = train(backbone, tmp_path / "resumed", *more)
    assert not same(finished / "checkpoint-2", finished)
    assert same(resumed, finished)


def test_the_labeler_says_who_loads_it(finished):
    with pytest.raises(
        VanerError, match="is a generator and labels no words; vaner.tagging.loading.load loads it"
    ):
        Vaner.from_pretrained(finished)
    with pytest.raises(VanerError, match="is a generator; training goes on from labelers only"):
        training.run([*MIX, "--model", str(finished), "--output_dir", str(finished.parent / "on")])


def test_it_overfits_a_few_sentences_and_finds_them_again_in_their_places(backbone, tmp_path):
    names = {"renal failure": "Disease", "aspirin": "Chemical", "β-blockers": "Chemical", "fever": "Disease"}
    documents = []
    for number, (one, other) in enumerate([("aspirin", "fever"), ("β-blockers", "renal failure")]):
        made = Document(f"d{number}", f"\U0001f600  {one} for {other}.", types=frozenset(names.values()))
        at = [(made.text.index(name), name) for name in (one, other)]
        documents.append(
            made.with_spans([made.span(start, start + len(name), names[name]) for start, name in at])
        )
    jsonl.write(tmp_path / "few.jsonl", documents, report=Report())
    flags = ["--max_steps", "150", "--num_train_epochs", "150", "--learning_rate", "1e-2", "--lora_r", "16"]
    flags += ["--evaluations", "0", "--save_strategy", "no", "--logging_steps", "50", "--drop_dataset", "0"]
    flags += ["--one_type", "0", "--all_types", "1"]
    folder = train(backbone, tmp_path / "run", *flags, mix=["--mix", str(tmp_path / "few.jsonl")])
    bare = [Document(one.id, one.text) for one in documents]
    tagger = load(str(folder), device="cpu", dtype="float32")
    found = list(tagger.tag_documents(bare, ["Chemical", "Disease"], "few"))
    assert [{s.key for s in one.spans} for one in found] == [{s.key for s in one.spans} for one in documents]
    assert all(s.text == one.text[s.start : s.end] for one in found for s in one.spans)
    again = load(str(folder), device="cpu", dtype="float32").tag_documents(
        bare, ["Chemical", "Disease"], "few"
    )
    assert [one.spans for one in again] == [one.spans for one in found]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--attention", "prefix"],
            "--attention has no effect with --head generate: a generator looks back only",
        ),
        (
            ["--attention", "layerwise", "--causal_layers", "1"],
            "--attention has no effect with --head generate",
        ),
        (["--head_rank", "8"], "--head_rank has no effect with --head generate"),
        (["--type_vector", "mean"], "--type_vector has no effect with --head generate"),
        (["--instruction", "after"], "--instruction has no effect with --head generate"),
        (["--keep_layers", "1"], "--keep_layers has no effect with --head generate"),
        (["--adapter", "full"], "--adapter full: a generator is tuned by LoRA; use --adapter lora"),
        (["--adapter", "none"], "--adapter none: a generator is tuned by LoRA"),
        (["--template", "{types} {dataset}"], "--template has no effect with --head generate"),
        (["--adaptive_template", "{types}"], "--adaptive_template has no effect with --head generate"),
        (
            ["--kb", "names.kb", "--kb_lookups"],
            "--kb has no effect with --head generate: rows of names and hints are of labelers",
        ),
    ],
)
def test_flags_of_labelers_are_refused(flags, message):
    with pytest.raises(VanerError, match=message):
        parse([*MIX, "--head", "generate", *flags])


@pytest.mark.parametrize(
    "flags", [["--answer", "json"], ["--loss_on", "full"], ["--prompt_template", "plain"]]
)
def test_flags_of_generators_are_refused_for_labelers(flags):
    with pytest.raises(VanerError, match=f"{flags[0]} has no effect with --head typed: it is of generators"):
        parse([*MIX, *flags])
    assert parse([*MIX, "--head", "generate", "--attention", "causal", *flags]).model.head == "generate"


def test_without_llguidance_nothing_begins(backbone, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(VanerError, match=r"forced needs llguidance; pip install 'vaner\[prompted\]'"):
        # Before its data is read: this corpus is not here.
        train(backbone, tmp_path / "run", "--data_root", str(tmp_path), mix=["--mix", "jnlpba"])
    assert not (tmp_path / "run").exists()
