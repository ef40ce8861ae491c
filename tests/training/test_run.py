"""Training is reproducible, resumes exactly, agrees over processes, selects on dev, and records what it did."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT
from vaner.errors import VanerError
from vaner.model.config import ModelConfig
from vaner.tagging.labeler import Vaner
from vaner.training import clock
from vaner.training import run as training
from vaner.training.dev import Dev
from vaner.training.gathering import gather
from vaner.training.trainer import VanerTrainer

SMALL = [
    *(
        "--cap",
        "7",
        "--num_train_epochs",
        "2",
        "--batch_tokens",
        "700",
        "--logging_steps",
        "1",
        "--max_tokens",
        "384",
    ),
    *(
        "--dtype",
        "float32",
        "--lora_r",
        "4",
        "--head_rank",
        "8",
        "--evaluations",
        "1",
        "--eval_documents",
        "3",
    ),
    *("--seed", "5", "--learning_rate", "1e-2", "--use_cpu", "true"),
]
# As SMALL, without what a model to go on from brings.
GOING_ON = [
    w
    for i, w in enumerate(SMALL)
    if not {SMALL[i], SMALL[i - 1]} & {"--lora_r", "--head_rank", "--max_tokens"}
]
MIX = ["--mix", "bc5cdr-sample", "ncbi-disease-sample"]


def train(backbone, folder, *more, mix=MIX):
    return training.run([*mix, "--backbone", str(backbone), "--output_dir", str(folder), *SMALL, *more])


def weights(folder):
    return load_file(folder / "adapter_model.safetensors") | load_file(folder / "head.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def losses(folder):
    return [h["loss"] for h in json.loads((folder / "run.json").read_text())["history"] if "loss" in h]


@pytest.fixture(scope="module")
def finished(tiny_backbones, tmp_path_factory):
    """An uninterrupted run with a checkpoint on the way."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return train(tiny_backbones["llama"], folder, "--save_steps", "20", "--save_total_limit", "9")


def test_the_loss_falls_and_the_record_is_complete(finished):
    record = json.loads((finished / "run.json").read_text())
    found = losses(finished)
    assert sum(found[-4:]) < 0.7 * sum(found[:4])
    assert record["seed"] == 5 and record["updates"] == len(found)
    assert record["versions"]["torch"] == torch.__version__
    assert set(record["corpora"]) == {"bc5cdr-sample", "ncbi-disease-sample"}
    assert {"f1", "precision", "recall", "types"} <= record["dev"]["bc5cdr-sample"].keys()
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in record["files"].values())
    assert not any("test" in name for name in record["files"])
    for name in ("vaner.json", "run.json"):
        text = (finished / name).read_text()
        assert str(ROOT) not in text and str(finished.parent) not in text, name
    card = (finished / "README.md").read_text()
    assert "bc5cdr" in card and "| all |" in card


def test_a_run_that_diverges_ends_and_writes_no_model(tiny_backbones, tmp_path):
    with pytest.raises(VanerError, match="not a number at update [2-9].*lower --learning_rate"):
        train(tiny_backbones["llama"], tmp_path / "run", "--learning_rate", "1e30")
    assert not list(tmp_path.glob("run/*.safetensors"))


def test_a_checkpoint_is_a_model_and_holds_no_pickled_arguments(finished):
    checkpoint = finished / "checkpoint-20"
    assert not (checkpoint / "training_args.bin").exists()
    assert ModelConfig.load(checkpoint).types == ["Chemical", "Disease"]
    assert isinstance(Vaner.from_pretrained(checkpoint)("Aspirin for fever."), list)


def test_same_seed_same_bits_other_seed_other_bits(finished, tiny_backbones, tmp_path):
    again = train(tiny_backbones["llama"], tmp_path / "again")
    assert same(weights(again), weights(finished))
    other = train(tiny_backbones["llama"], tmp_path / "other", "--seed", "6")
    assert not same(weights(other), weights(finished))


def test_resuming_reaches_the_same_bits(finished, tiny_backbones, tmp_path):
    (tmp_path / "resumed").mkdir()
    os.symlink(finished / "checkpoint-20", tmp_path / "resumed" / "checkpoint-20")
    resumed = train(tiny_backbones["llama"], tmp_path / "resumed", "--resume_from_checkpoint", "last")
    assert same(weights(resumed), weights(finished))
    assert losses(resumed) == losses(finished)


@pytest.mark.parametrize("ending", [["--max_steps", "6"], ["--evaluations", "9", "--patience", "1"]])
def test_resuming_from_the_last_update_adds_none(ending, tiny_backbones, tmp_path, monkeypatch):
    """A run that was killed when it had only to be written."""
    if "--patience" in ending:
        real = Dev.scores
        monkeypatch.setattr(Dev, "scores", lambda *a: {n: one | {"f1": 0.1} for n, one in real(*a).items()})
    saved = ["--save_steps", "1", "--save_total_limit", "1", *ending]
    whole = train(tiny_backbones["llama"], tmp_path / "whole", *saved)
    with monkeypatch.context() as patch:
        patch.setattr(training, "copy_saved", lambda *rest: sys.exit("killed"))
        with pytest.raises(SystemExit, match="killed"):
            train(tiny_backbones["llama"], tmp_path / "run", *saved)
    resumed = train(tiny_backbones["llama"], tmp_path / "run", *saved, "--resume_from_checkpoint", "last")
    assert same(weights(resumed), weights(whole)) and losses(resumed) == losses(whole)


def test_training_goes_on_from_a_model(finished, tmp_path):
    """It starts where that model stands, keeps what it is, and adds what it has not seen."""
    finished = shutil.copytree(finished, tmp_path / "finished")
    dataclasses.replace(ModelConfig.load(finished), temperatures={"Disease": 2.0}).save(finished)
    more = [
        "--mix",
        "linnaeus-sample",
        "--model",
        str(finished),
        "--output_dir",
        str(tmp_path / "more"),
        *GOING_ON,
    ]
    folder = training.run([*more, "--learning_rate", "1e-12"])
    before, after = ModelConfig.load(finished), ModelConfig.load(folder)
    assert all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(*map(sorted_weights, (finished, folder)), strict=True)
    )
    assert after.types == ["Chemical", "Disease", "Species"]
    assert set(after.datasets) == {*before.datasets, "linnaeus"}
    assert after.temperatures == {}, "they were fitted on other weights"
    assert after.template.datasets == before.template.datasets
    kept = ("backbone", "weights_hash", "head", "head_rank", "attention", "max_tokens", "max_words")
    assert all(getattr(after, name) == getattr(before, name) for name in kept)
    moved = training.run([*more[:-2], "--seed", "6", "--output_dir", str(tmp_path / "moved")])
    assert not same(weights(moved), weights(finished))


def sorted_weights(folder):
    return [tensor for _, tensor in sorted(weights(folder).items())]


def test_a_model_to_go_on_from_brings_its_own_shape():
    with pytest.raises(VanerError, match="--head and --model exclude each other.*leave --head out"):
        training.run([*MIX, "--model", "vaner-smollm2-135m", "--head", "shared"])
    with pytest.raises(VanerError, match="no such model folder"):
        training.run([*MIX, "--model", "./nowhere"])


def test_the_best_on_dev_is_kept(tiny_backbones, tmp_path, monkeypatch):
    """With dev scores that fall after the first evaluation, the weights of the first are the result."""
    scores = iter([0.5, 0.4, 0.3, 0.2])
    at_evaluation = []
    real = Dev.scores

    def scripted(self, model, tokenizer):
        found = real(self, model, tokenizer)
        at_evaluation.append(model.head.word_bias.bias.detach().clone())
        value = next(scores, 0.5)
        return {name: one | {"f1": value} for name, one in found.items()}

    monkeypatch.setattr(Dev, "scores", scripted)
    folder = train(tiny_backbones["llama"], tmp_path / "run", "--evaluations", "4")
    chosen = weights(folder)["word_bias.bias"]
    assert torch.equal(chosen, at_evaluation[0]) and not torch.equal(chosen, at_evaluation[3])


def test_early_stopping(tiny_backbones, tmp_path, monkeypatch, capsys):
    real = Dev.scores
    monkeypatch.setattr(Dev, "scores", lambda *a: {n: one | {"f1": 0.1} for n, one in real(*a).items()})
    folder = train(tiny_backbones["llama"], tmp_path / "run", "--evaluations", "5", "--patience", "1")
    said = capsys.readouterr().out
    assert "stopping early" in said
    record = json.loads((folder / "run.json").read_text())
    planned = int(re.search(r"(\d+) batches", said)[1])
    assert 0.3 * planned < record["updates"] < 0.5 * planned, "two evaluations of five"


def test_the_clock_ends_a_run(tiny_backbones, tmp_path, monkeypatch):
    """By a clock on which every update takes six seconds, a run of a minute has ten."""
    now = [100.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    on_step_end = clock.Clock.on_step_end

    def six_seconds_later(self, args, state, control, **rest):
        now[0] += 6
        on_step_end(self, args, state, control, **rest)

    monkeypatch.setattr(clock.Clock, "on_step_end", six_seconds_later)
    more = ("--num_train_epochs", "4", "--max_minutes", "1", "--evaluations", "5", "--warmup_steps", "0")
    folder = train(tiny_backbones["llama"], tmp_path / "run", *more)
    record = json.loads((folder / "run.json").read_text())
    assert record["updates"] == 10 and record["training_minutes"] == 1.0
    assert [h["step"] for h in record["history"] if "eval_f1" in h] == [2, 4, 6, 8, 10]
    logged = [h for h in record["history"] if "loss" in h]
    # The rate is set for the update to come, before the six seconds of this one are over.
    rates = [h["learning_rate"] for h in logged]
    assert rates[2:] == pytest.approx([1e-2 * (1 - n / 10) for n in range(1, 9)])
    assert rates[2] < rates[0] == rates[1] < 1e-2
    assert [h["minutes_left"] for h in logged] == pytest.approx([1 - n / 10 for n in range(1, 11)])


def test_what_was_best_before_an_interruption_stays_the_best(tiny_backbones, tmp_path, monkeypatch):
    scores = iter([0.5, 0.4, 0.3, 0.2])
    real = Dev.scores

    def scripted(self, model, tokenizer):
        found, value = real(self, model, tokenizer), next(scores, 0.1)
        return {name: one | {"f1": value} for name, one in found.items()}

    save = VanerTrainer._save_checkpoint

    def save_and_die(self, *args):
        save(self, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Dev, "scores", scripted)
    words = (tiny_backbones["llama"], tmp_path / "run", "--evaluations", "4", "--save_steps", "20")
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(VanerTrainer, "_save_checkpoint", save_and_die)
        train(*words)
    best = weights(tmp_path / "run" / "best")
    folder = train(*words, "--resume_from_checkpoint", "last")
    record = json.loads((folder / "run.json").read_text())
    evaluated = [(h["step"], h["eval_f1"]) for h in record["history"] if "eval_f1" in h]
    assert [f1 for _, f1 in evaluated] == [0.5, 0.4, 0.3, 0.2]
    assert record["chosen_at_update"] == evaluated[0][0]
    assert same(weights(folder), best)


def test_fewer_updates_are_counted_as_fewer_tokens(finished, tiny_backbones, tmp_path):
    """--max_steps cuts the same mixture short: what is said of tokens and epochs is of what was read."""
    whole = json.loads((finished / "run.json").read_text())
    folder = train(tiny_backbones["llama"], tmp_path / "cut", "--max_steps", "3")
    cut = json.loads((folder / "run.json").read_text())
    assert cut["updates"] == 3
    assert cut["tokens"] == pytest.approx(whole["tokens"] * 3 / whole["updates"], abs=1)
    last = [h for h in cut["history"] if "loss" in h][-1]
    assert last["passes"] == pytest.approx(2 * 3 / whole["updates"], abs=1e-3)


def test_shared_head_and_sixteen_bit_files(tiny_backbones, tmp_path):
    folder = train(
        tiny_backbones["llama"],
        tmp_path / "run",
        *("--head", "shared", "--save_dtype", "bfloat16", "--num_train_epochs", "1"),
    )
    assert {t.dtype for t in weights(folder).values()} == {torch.bfloat16}
    assert isinstance(Vaner.from_pretrained(folder)("Aspirin for fever."), list)


def test_types_and_instructions_are_read_as_they_were_trained(tiny_backbones, tmp_path):
    more = ("--type_vector", "mean", "--instruction", "after", "--absent_types", "0.5")
    folder = train(tiny_backbones["llama"], tmp_path / "run", *more)
    template = ModelConfig.load(folder).template
    assert (template.type_vector, template.place) == ("mean", "after")
    found = losses(folder)
    assert sum(found[-3:]) < sum(found[:3])
    tagger = Vaner.from_pretrained(folder, dtype="float32", device="cpu")
    assert isinstance(tagger("Famotidine-associated delirium."), list)
    with pytest.raises(VanerError, match="--type_vector and --model exclude each other"):
        training.run([*MIX, "--model", str(folder), "--type_vector", "marker", *GOING_ON])


@pytest.mark.parametrize(
    "flags",
    [
        ("--mix", "bc5cdr-sample", "--skip_types", "Chemical"),
        ("--mix", "ncbi-disease-sample", "--dev", "bc5cdr-sample"),
    ],
)
def test_a_type_that_was_not_trained_on_is_scored_on_dev(tiny_backbones, tmp_path, flags, capsys):
    definitions = "{definitions} {types} in {dataset}:"
    folder = train(tiny_backbones["llama"], tmp_path / "run", "--template", definitions, mix=flags)
    settings = ModelConfig.load(folder)
    assert settings.types == ["Disease"] and list(settings.datasets.values()) == [["Disease"]]
    assert set(settings.template.definitions) == {"Chemical", "Disease"}
    scores = json.loads((folder / "run.json").read_text())["dev"]["bc5cdr-sample"]
    assert set(scores["types"]) == {"Chemical", "Disease"}
    assert "dev asks what training does not: Chemical;" in capsys.readouterr().out


def test_an_encoder_through_the_same_door(tiny_backbones, tmp_path):
    folder = train(tiny_backbones["bert"], tmp_path / "run", "--num_train_epochs", "1")
    assert isinstance(Vaner.from_pretrained(folder)("Aspirin for fever."), list)


def test_training_documents_shared_with_dev_are_dropped(tmp_path):
    asked = training.parse([*MIX, "--output_dir", str(tmp_path), "--dev", "bc5cdr-sample"])
    gathered = gather(asked.data, seed=0)
    trained = {t.document.metadata.get("pmid") for s in gathered.sources for t in s.texts}
    held_out = {d.metadata.get("pmid") for documents in gathered.dev.values() for d in documents}
    assert held_out - {None} and not (trained & held_out) - {None}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--mix"),
        (["--mix", "bc5cdr-sampel"], "bc5cdr-sample"),
        (["--mix", "bc5cdr-sample:x"], "weight"),
        (["--mix", "bc5cdr-sample", "bc5cdr-sample"], "twice"),
        ([*MIX, "--learning_rat", "1"], "learning_rate"),
        ([*MIX, "--learning_rate", "fast"], "learning_rate"),
        ([*MIX, "--num_train_epochs", "0.5"], "whole number"),
        ([*MIX, "--train_splits", "test"], "final score"),
        ([*MIX, "--backbone", "./nowhere"], "nowhere"),
        ([*MIX, "--resume_from_checkpoint", "last"], "checkpoint"),
        ([*MIX, "--template", "Find {typs}"], "typs"),
        (["--config", "configs/nowhere.yaml"], "nowhere"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_written(argv, message, tmp_path, tiny_backbones):
    more = [] if "--backbone" in argv else ["--backbone", tiny_backbones["llama"]]
    arguments = [*SMALL, *more, "--output_dir", str(tmp_path / "run"), *argv]
    with pytest.raises(VanerError, match=message):
        training.run(arguments)
    assert not (tmp_path / "run" / "vaner.json").exists()


# --- whole processes ---


def command(backbone, folder, *more, processes=1):
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "accelerate.commands.launch", "--config_file", "configs/accelerate/cpu-2.yaml"]
    words = [*MIX, "--backbone", str(backbone), "--output_dir", str(folder), *SMALL, *more]
    return [*launcher, "train.py", *words]


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_kill_9_and_resume_reach_the_same_bits(finished, tiny_backbones, tmp_path):
    folder = tmp_path / "killed"
    running = subprocess.Popen(
        command(tiny_backbones["llama"], folder, "--save_steps", "20", "--save_total_limit", "9"),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    # As soon as the checkpoint has its name it must be whole, whatever is being written.
    while not (folder / "checkpoint-20").exists():
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (folder / "run.json").exists()
    for checkpoint in folder.glob("checkpoint-*"):
        json.loads((checkpoint / "trainer_state.json").read_text())
    more = ("--save_steps", "20", "--resume_from_checkpoint", "last")
    subprocess.run(command(tiny_backbones["llama"], folder, *more), cwd=ROOT, env=environment(), check=True)
    assert same(weights(folder), weights(finished))


@pytest.mark.slow
def test_two_processes_train_as_one(tiny_backbones, tmp_path):
    more = ("--num_train_epochs", "3")
    one = [*more, "--gradient_accumulation_steps", "2"]
    subprocess.run(
        command(tiny_backbones["llama"], tmp_path / "one", *one), cwd=ROOT, env=environment(), check=True
    )
    two = command(tiny_backbones["llama"], tmp_path / "two", *more, processes=2)
    subprocess.run(two, cwd=ROOT, env=environment(), check=True)
    single, double = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(single) == len(double) > 5
    # The last update may repeat a batch to fill the second process.
    assert double[:-1] == pytest.approx(single[:-1], rel=2e-3, abs=2e-4)


@pytest.mark.slow
def test_bad_flags_exit_with_status_2_and_one_line():
    done = subprocess.run(
        [sys.executable, "train.py", "--mix", "nowhere"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_dataset_is_trained_on_as_any_corpus(tiny_backbones, tmp_path):
    from datasets import Dataset

    rows = {"tokens": [], "ner_tags": []}
    for number in range(30):
        rows["tokens"].append(["Patients", "with", "renal", f"failure{number}", "got", "aspirin", "."])
        rows["ner_tags"].append(["O", "O", "B-Dis", "I-Dis", "O", "B-Chem", "O"])
    (tmp_path / "notes").mkdir()
    Dataset.from_dict(rows).to_parquet(str(tmp_path / "notes" / "train.parquet"))
    mix = ["--mix", f"hf:{tmp_path / 'notes'}", "--type_map", "Dis=Disease", "Chem="]
    folder = train(tiny_backbones["llama"], tmp_path / "run", "--dev_share", "0.2", mix=mix)
    settings = ModelConfig.load(folder)
    assert settings.types == ["Disease"] and settings.datasets == {"notes": ["Disease"]}
    found = json.loads((folder / "run.json").read_text())
    assert found["corpora"]["notes"]["documents"] == 7 and found["dev"].keys() == {"notes"}
    assert list(found["files"]) == ["notes/train.parquet"]


def test_a_second_run_reads_no_corpus_and_trains_the_same(tiny_backbones, tmp_path, monkeypatch):
    first = train(tiny_backbones["llama"], tmp_path / "first")
    monkeypatch.setattr("vaner.training.texts.encode_tags", None)
    monkeypatch.setattr("vaner.training.reading.Text", None)
    second = train(tiny_backbones["llama"], tmp_path / "second")
    assert same(weights(first), weights(second)) and losses(first) == losses(second)
