"""Every file of configs/ is run with a tiny model on sample corpora: all its other settings are as they stand.

What these runs cannot see: whether the settings are good ones, GPUs, and the size of the real backbones and corpora.
`test_sharded.py` runs those of configs/accelerate/.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers.models.llama.modeling_llama import LlamaMLP

from tests.conftest import ROOT, TERMS
from tests.training import llama2, tiny_lm
from vaner.document import Document
from vaner.errors import VanerError
from vaner.model.adapting import Adapter
from vaner.model.config import ModelConfig
from vaner.model.network import VanerModel
from vaner.tagging.labeler import Vaner
from vaner.tagging.loading import load
from vaner.training import run as training
from vaner.training.trainer import _keep_unpacked

CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
SAMPLES = ("ncbi-disease", "bc5cdr", "bc2gm", "linnaeus", "anatem", "bionlp13cg")
#: What is not of the settings that a model came from: run.json leaves it out.
UNRECORDED = {
    "gradient_checkpointing",
    "logging_steps",
    "report_to",
    "save_steps",
    "save_strategy",
    "use_cpu",
}


def read(name):
    return yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))


def sample_of(corpus):
    """The shipped sample of the same dataset, with the same weight; None where there is none."""
    name, colon, weight = corpus.partition(":")
    found = [sample for sample in SAMPLES if name.startswith(sample)]
    return f"{found[0]}-sample{colon}{weight}" if found else None


def samples_of(corpora):
    if isinstance(corpora, dict):
        corpora = [f"{name}:{weight}" for name, weight in corpora.items()]
    found = [sample for sample in map(sample_of, corpora) if sample]
    # None of the corpora has a sample (JNLPBA, BioRED): another one that the mix does not train on.
    return found or ["anatem-sample"]


def overrides(config, tiny, folder):
    """Flag -> words: what must differ, so that the config runs here; everything else stays as it is."""
    changed = {
        "output_dir": [str(folder)],
        "mix": samples_of(config["mix"]),
        "cap": ["6"],
        "max_steps": ["4"],
        "eval_documents": ["2"],
        "use_cpu": ["true"],
    }
    for name in ("dev", "held_out"):
        if name in config:
            changed[name] = samples_of(config[name])
    if "skip_types" in config:  # of those that the samples annotate
        changed["skip_types"] = ["MultiTissueStructure"]
    if "model" in config:
        changed["model"] = [str(tiny.trained)]
    else:
        changed["backbone"] = [tiny.bert if config["backbone"] == "minilm-l6" else tiny.llama2]
        if config.get("head") == "generate":
            changed["backbone"] = [tiny.lm]
            # Its words have more tokens than those of the real one.
            changed["max_tokens"] = ["2048"]
    if config["evaluations"]:
        changed["evaluations"] = ["2"]
    if config.get("save_strategy") != "no":
        changed["save_steps"] = ["2"]
    if "keep_layers" in config:
        changed["keep_layers"] = ["1"]
    if "kb_ratio" in config:
        changed["kb"] = [str(tiny.kb)]
    return changed


def words(name, tiny, folder, *more):
    flags = overrides(read(name), tiny, folder)
    found = ["--config", f"configs/{name}.yaml"]
    for flag, values in flags.items():
        found += [f"--{flag}", *values]
    return [*found, *more]


@pytest.fixture(scope="module")
def tiny(tiny_backbones, tmp_path_factory):
    """A backbone for every kind, a small index, and a model to go on from."""
    from vaner.files import shipped
    from vaner.knowledge import Rules, build
    from vaner.report import Report
    from vaner.vocabularies.terms import Term

    folder = tmp_path_factory.mktemp("tiny")
    terms = [Term(*one) for one in TERMS]
    build(folder / "kb.idx", [({"name": "test"}, terms)], Rules.load(shipped("kb")), Report())
    made = SimpleNamespace(
        llama2=llama2.make(folder / "llama2"),
        lm=tiny_lm.make(folder / "lm"),
        bert=tiny_backbones["bert"],
        kb=folder / "kb.idx",
    )
    # The types of the models that configs go on from.
    mix = ["bc5cdr-sample", "ncbi-disease-sample", "bc2gm-sample", "linnaeus-sample"]
    small = ["--cap", "6", "--max_steps", "2", "--evaluations", "0", "--eval_documents", "1"]
    made.trained = training.run(
        [*("--mix", *mix, "--backbone", made.llama2, "--use_cpu", "true", "--save_strategy", "no")]
        + ["--output_dir", str(folder / "trained"), "--lora_r", "4", "--head_rank", "8", *small]
    )
    return made


@pytest.fixture(scope="module")
def ran(tiny, tmp_path_factory):
    """Runs a config, once: its folder, and how often a layer was computed with gradients."""
    done = {}

    def run(name, *more):
        key = (name, *more)
        if key not in done:
            calls = []
            forward = LlamaMLP.forward

            def counted(self, *args, **kwargs):
                calls.append(torch.is_grad_enabled())
                return forward(self, *args, **kwargs)

            # Words name the config as seen from the top of the checkout.
            before = os.getcwd()
            os.chdir(ROOT)
            LlamaMLP.forward = counted
            try:
                folder = training.run(words(name, tiny, tmp_path_factory.mktemp("runs") / name, *more))
            finally:
                LlamaMLP.forward = forward
                os.chdir(before)
            done[key] = folder, sum(calls)
        return done[key]

    return run


def weights(folder):
    return load_file(folder / "adapter_model.safetensors") | load_file(folder / "head.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def record_of(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def as_recorded(value):
    """A setting as run.json may write it: numbers as words, an enumeration's member for a word."""
    try:
        return float(str(value))
    except ValueError:
        return str(value).rpartition(".")[2].casefold()


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_shipped_config_runs(name, ran, tiny):
    folder, _ = ran(name)
    config, record = read(name), record_of(folder)
    changed = overrides(config, tiny, folder)
    assert record["updates"] == 4

    scored = changed.get("dev", [sample.partition(":")[0] for sample in changed["mix"]])
    assert record["dev"].keys() == set(scored)
    assert all(0 < one["documents"] <= 2 and 0 <= one["f1"] <= 1 for one in record["dev"].values())
    during = [h for h in record["history"] if "eval_f1" in h]
    assert len(during) == (2 if config["evaluations"] else 0)

    kept = config.keys() - changed.keys()
    unsaid = {key for key in kept if as_recorded(record["arguments"].get(key)) != as_recorded(config[key])}
    assert unsaid <= UNRECORDED, "run.json tells them otherwise"
    assert {c: one["weight"] for c, one in record["corpora"].items()} == {
        corpus: float(weight or 1) for corpus, _, weight in (word.partition(":") for word in changed["mix"])
    }
    assert ("knowledge" in record) == ("kb" in changed)

    checkpoints = {path.name for path in folder.glob("checkpoint-*")}
    assert checkpoints == ({"checkpoint-2", "checkpoint-4"} if "save_steps" in changed else set())
    assert ModelConfig.load(folder).training["updates"] == 4
    tagger = load(str(folder), device="cpu")
    if config.get("head") == "generate":
        text = "Famotidine-associated delirium."
        (tagged,) = tagger.tag_documents([Document("", text)])
        assert all(text[span.start : span.end] == span.text for span in tagged.spans)
        return
    assert isinstance(tagger("Famotidine-associated delirium in BRCA1 carriers."), list)
    dtype = torch.bfloat16 if config.get("save_dtype") == "bfloat16" else torch.float32
    assert {tensor.dtype for tensor in load_file(folder / "head.safetensors").values()} == {dtype}


@pytest.mark.slow
def test_an_8bit_base_trains_with_the_config_of_the_4bit_one(ran):
    folder, calls = ran("llama2-7b-qlora", "--quantization", "8bit")
    assert record_of(folder)["arguments"]["quantization"] == "8bit"
    assert calls == ran("llama2-7b-qlora")[1]
    assert not same(weights(folder / "checkpoint-2"), weights(folder / "checkpoint-4"))
    assert isinstance(Vaner.from_pretrained(folder, device="cpu")("Aspirin for fever."), list)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "times"), [("ncbi-bc5cdr", 1), ("llama2-7b", 2), ("llama2-7b-qlora", 2)])
def test_checkpointing_computes_layers_twice(name, times, ran):
    """The layers kept of two, four updates, each of so many batches; scoring dev takes no gradient."""
    batches = read(name).get("gradient_accumulation_steps", 1)
    layers = 1 if "keep_layers" in read(name) else 2
    assert ran(name)[1] == times * layers * 4 * batches


# --- killed, and resumed ---


def process(arguments, **options):
    return subprocess.Popen(
        [sys.executable, "train.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama2-7b", "llama2-7b-qlora"])
def test_killed_and_resumed_reaches_the_same_bits(name, ran, tiny, tmp_path):
    folder = tmp_path / name
    running = process(words(name, tiny, folder))
    deadline = time.monotonic() + 240
    while not (folder / "checkpoint-2").exists():
        assert running.poll() is None and time.monotonic() < deadline, running.communicate()[0]
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert not (folder / "run.json").exists()
    # A machine so fast that there is a later one still resumes from this.
    shutil.rmtree(folder / "checkpoint-4", ignore_errors=True)
    resumed = process([*words(name, tiny, folder), "--resume_from_checkpoint", "last"])
    said, _ = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, said
    assert f"resuming from {folder}/checkpoint-2" in said
    whole, _ = ran(name)
    assert same(weights(folder / "checkpoint-4"), weights(whole / "checkpoint-4"))
    assert same(weights(folder), weights(whole))
    assert record_of(folder)["dev"] == record_of(whole)["dev"]


# --- what a run of a config would not show ---


def tiny_model(folder, **options):
    settings = ModelConfig(backbone=folder, head_rank=8, max_tokens=384)
    model = VanerModel.build(settings, Adapter(r=4, dropout=0.1), **options)
    # peft's B is zero, which hides what A does.
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    _keep_unpacked(model)
    return model.train()


def gradients(model):
    torch.manual_seed(2)
    model.zero_grad()
    rows = {
        "input_ids": torch.randint(10, 500, (2, 24)),
        "attention_mask": torch.ones(2, 24, dtype=torch.long),
        "word_positions": torch.arange(8, 20).expand(2, -1),
        "type_positions": torch.tensor([[[3], [5]]]).expand(2, -1, -1),
        "labels": torch.randint(0, 3, (2, 2, 12)),
    }
    model(**rows)["loss"].backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("quantization", ["none", "8bit", "4bit"])
def test_checkpointing_changes_no_gradient(quantization, tiny_backbones):
    """Not even with dropout, which is drawn once."""
    options = {"quantization": quantization, "device": "cpu", "dtype": "float32"}
    kept = gradients(tiny_model(tiny_backbones["llama-wide"], **options))
    model = tiny_model(tiny_backbones["llama-wide"], **options)
    model.gradient_checkpointing_enable()
    assert same(gradients(model), kept)
    assert all(gradient.abs().sum() > 0 for gradient in kept.values())


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_scoring_dev_leaves_gradients_as_they_were(quantization, dtype, tiny_backbones):
    model = tiny_model(tiny_backbones["llama-wide"], quantization=quantization, device="cpu", dtype=dtype)
    before = gradients(model)
    with torch.inference_mode():
        model.eval()(
            input_ids=torch.randint(10, 500, (1, 24)),
            attention_mask=torch.ones(1, 24, dtype=torch.long),
            word_positions=torch.arange(8, 20)[None],
            type_positions=torch.tensor([[[3]]]),
        )
    assert same(gradients(model.train()), before)


#: Of every key of configs/llama2-7b.yaml a value that is none of its.
WRONG = {
    "backbone": "./nowhere",
    "keep_layers": 0,
    "attention": "sideways",
    "head": "tail",
    "head_rank": 0,
    "adapter": "plug",
    "lora_r": "twelve",
    "lora_alpha": [32],
    "lora_dropout": 1.5,
    "dtype": "int3",
    "mix": ["bc5cdr-sampel"],
    "keep_empty": -1,
    "max_tokens": 1.5,
    "max_words": 0,
    "learning_rate": "fast",
    "warmup_steps": -2,
    "weight_decay": "heavy",
    "num_train_epochs": 0.5,
    "batch_tokens": "many",
    "gradient_checkpointing": "sometimes",
    "bf16": 16,
    "evaluations": -1,
    "patience": 0,
    "save_steps": "often",
    "logging_steps": {"every": 10},
    "report_to": "nobody",
    "seed": 0.5,
}


@pytest.fixture
def broken(tmp_path, tiny_backbones):
    """Run configs/llama2-7b.yaml after a change of it; it must raise VanerError, which is returned."""

    def run(change):
        values = read("llama2-7b") | {"mix": ["bc5cdr-sample"], "backbone": tiny_backbones["llama"]}
        values |= {"output_dir": str(tmp_path / "run"), "keep_layers": 1}
        path = tmp_path / "broken.yaml"
        path.write_text(yaml.safe_dump(change(values)), encoding="utf-8")
        with pytest.raises(VanerError) as refused:
            training.run(["--config", str(path), "--use_cpu", "true", "--cap", "2"])
        assert not (tmp_path / "run").exists()
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return run


def test_every_setting_has_a_wrong_value_below():
    assert WRONG.keys() == read("llama2-7b").keys() - {"output_dir"}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_named(key, broken):
    said = broken(lambda values: values | {key: WRONG[key]})
    wrong = WRONG[key][0] if isinstance(WRONG[key], list) else WRONG[key]
    assert key in said or str(wrong) in said, said


@pytest.mark.parametrize("key", WRONG)
def test_a_misspelt_key_is_named(key, broken):
    said = broken(lambda values: {name + "s" * (name == key): value for name, value in values.items()})
    assert f"unknown setting '{key}s'; did you mean --{key}?" in said
