"""Runs of several processes: DDP, FSDP and DeepSpeed ZeRO train, stop, resume and save what one GPU would.

On CPUs, over gloo, at tiny size; `sharded_train.py` says how. What these tests cannot see: NCCL, memory and speed on
GPUs, more than two processes, several machines.
"""

import importlib.metadata
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
import yaml
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.training import llama2
from vaner.errors import VanerError
from vaner.model.adapting import Adapter
from vaner.model.config import ModelConfig
from vaner.model.network import VanerModel
from vaner.tagging.labeler import Vaner
from vaner.training import run as training
from vaner.training import sharding

CONFIGS = ROOT / "configs" / "accelerate"
SAMPLES = ["ncbi-disease-sample", "bc5cdr-sample", "bc2gm-sample", "linnaeus-sample"]
SHARDED = "tests/training/sharded_train.py"
TIMEOUT = 240


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return llama2.make(tmp_path_factory.mktemp("backbones") / "llama2")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Path of a shipped accelerate config, for two processes instead of eight, and its other changes."""

    def make(name, **changes):
        text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
        values = yaml.safe_load(text)
        values["num_processes"] = 2
        # A free port: runs of other tests may be going on.
        values["main_process_port"] = 0
        for key, value in changes.items():
            nested = key.split(".")
            room = values[nested[0]] if len(nested) > 1 else values
            assert nested[-1] in room
            room[nested[-1]] = value
        path = tmp_path_factory.mktemp("launch") / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return make


def words(backbone, folder, *more, config="llama2-7b"):
    """A shipped config at tiny size; nothing else of it is changed but by ``more``."""
    small = ["--cap", "6", "--max_steps", "4", "--save_steps", "2", "--logging_steps", "1"]
    # Three documents: one process has one more to score than the other.
    dev = ["--evaluations", "2", "--eval_documents", "3"]
    return [
        *("--config", f"configs/{config}.yaml", "--backbone", backbone, "--keep_layers", "2"),
        *("--output_dir", str(folder)),
        *("--mix", *SAMPLES, "--batch_tokens", "2048", *small, *dev, *more),
    ]


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *extra_paths()])}


def extra_paths():
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def command(launch, script, arguments):
    start = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(launch)]
    return [*start, script, *arguments]


def finish(launch, script, arguments):
    """Run to the end; a run that hangs is a failure."""
    running = start(launch, script, arguments)
    try:
        said, _ = running.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        kill(running)
        pytest.fail(f"hangs after {TIMEOUT} s: {running.communicate()[0][-2000:]}")
    assert running.returncode == 0, said[-4000:]
    return said


def start(launch, script, arguments):
    return subprocess.Popen(
        command(launch, script, arguments),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A group of its own, so that the launcher and its processes can be killed together.
        start_new_session=True,
    )


def kill(running):
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def kill_after(checkpoint, launch, script, arguments):
    """Kill all processes as soon as the checkpoint is there."""
    running = start(launch, script, arguments)
    deadline = time.monotonic() + TIMEOUT
    while not checkpoint.exists():
        if running.poll() is not None or time.monotonic() > deadline:
            kill(running) if running.poll() is None else None
            pytest.fail(f"no {checkpoint.name}: {running.communicate()[0][-4000:]}")
        time.sleep(0.01)
    kill(running)
    # Exactly this one, so that what follows it is trained again.
    for later in checkpoint.parent.glob("checkpoint-*"):
        if later != checkpoint:
            shutil.rmtree(later)


def killed_and_resumed(folder, launch, script, arguments):
    kill_after(folder / "checkpoint-2", launch, script, arguments)
    assert not (folder / "run.json").exists()
    said = finish(launch, script, [*arguments, "--resume_from_checkpoint", "last"])
    assert "resuming from" in said
    return said


def weights(folder):
    return load_file(folder / "adapter_model.safetensors") | load_file(folder / "head.safetensors")


def record(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def losses(folder):
    return [h["loss"] for h in record(folder)["history"] if "loss" in h]


def close(one, other, allowed):
    """Adam moves a weight whose gradient is nearly 0 by its sign, which rounding decides: a few may differ more."""
    assert one.keys() == other.keys()
    apart = torch.cat([(one[name] - other[name]).abs().flatten() for name in one])
    return (apart > 1e-6).float().mean() <= allowed


def check_sharded(folder):
    return json.loads((folder / "sharded.json").read_text(encoding="utf-8"))


def check_tags(folder, like):
    """One process loads it, and finds its scores with the weights that another kind of run arrived at."""
    tagger = Vaner.from_pretrained(folder, dtype="float32", device="cpu")
    assert isinstance(tagger("Famotidine-associated delirium in BRCA1 carriers."), list)
    found, wanted = record(folder)["dev"], record(like)["dev"]
    assert found.keys() == wanted.keys() == set(SAMPLES)
    for name in SAMPLES:
        assert found[name]["documents"] == wanted[name]["documents"] == 3
        # Of a model that has hardly learnt anything: one mention that it finds by chance is 0.017.
        assert found[name]["f1"] == pytest.approx(wanted[name]["f1"], abs=0.03)


@pytest.fixture(scope="module")
def replicas(backbone, two, tmp_path_factory):
    """configs/llama2-7b.yaml on two replicas (ddp-8.yaml): what the sharded runs must arrive at.

    Beside the number of processes, a CPU needs ``--use_cpu true``: accelerate would otherwise make each process a
    run of its own.
    """
    folder = tmp_path_factory.mktemp("runs") / "ddp"
    finish(two("ddp-8"), "train.py", words(backbone, folder, "--use_cpu", "true"))
    return folder


@pytest.mark.slow
def test_ddp_trains_two_replicas(replicas):
    assert record(replicas)["processes"] == 2
    assert record(replicas)["updates"] == len(losses(replicas)) == 4
    assert not torch.equal(
        *(weights(f)["word_bias.weight"] for f in (replicas / "checkpoint-2", replicas / "checkpoint-4"))
    )
    check_tags(replicas, replicas)


@pytest.mark.slow
def test_fsdp_killed_and_resumed_arrives_where_ddp_does(replicas, backbone, two, tmp_path):
    folder = tmp_path / "fsdp"
    killed_and_resumed(folder, two("fsdp-8"), SHARDED, words(backbone, folder))
    found = check_sharded(folder)
    assert (found["kind"], found["backend"], found["processes"]) == ("FSDP", "gloo", 2)
    # fsdp_transformer_layer_cls_to_wrap finds the layers inside VanerModel and peft; the rest is of the root.
    assert found["wrapped"] == {"LlamaDecoderLayer": 2, "Embedding": 1, "VanerModel": 1}
    assert found["share"] == pytest.approx(0.5, abs=0.01)
    assert (found["trained"], found["frozen"]) == (["torch.float32"], ["torch.bfloat16"])
    # The killed run's first updates are not logged twice, and dropout was drawn as without a kill.
    assert losses(folder) == pytest.approx(losses(replicas), rel=1e-3)
    assert close(weights(folder / "checkpoint-4"), weights(replicas / "checkpoint-4"), 0.001)
    check_tags(folder, replicas)
    assert not list(folder.glob("checkpoint-*/pytorch_model_fsdp*")), (
        "the frozen weights are in no checkpoint"
    )


@pytest.mark.slow
def test_fsdp_computes_what_one_process_does(backbone, two, tmp_path):
    """In float32, without dropout; attention prefix reads the instruction and the text in two calls of the model."""
    more = ["--bf16", "false", "--dtype", "float32", "--lora_dropout", "0", "--attention", "prefix"]
    finish(two("fsdp-8"), SHARDED, words(backbone, tmp_path / "two", *more))
    one = [*more, "--gradient_accumulation_steps", "2", "--use_cpu", "true"]
    training.run(words(backbone, tmp_path / "one", *one))
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    norms = [[h["grad_norm"] for h in record(tmp_path / n)["history"] if "loss" in h] for n in ("one", "two")]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert close(*(weights(tmp_path / n / "checkpoint-4") for n in ("one", "two")), 0.001)
    assert check_sharded(tmp_path / "two")["share"] == pytest.approx(0.5, abs=0.01)
    check_tags(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
def test_fsdp_shards_a_4bit_base(backbone, two, tmp_path):
    """configs/llama2-7b-qlora.yaml, whose optimiser alone cannot step sharded weights."""
    more = ("--optim", "adamw_torch")
    sharded = words(backbone, tmp_path / "fsdp", *more, config="llama2-7b-qlora")
    finish(two("fsdp-8"), SHARDED, sharded)
    replicated = words(backbone, tmp_path / "ddp", *more, "--use_cpu", "true", config="llama2-7b-qlora")
    finish(two("ddp-8"), "train.py", replicated)
    found = check_sharded(tmp_path / "fsdp")
    assert found["wrapped"]["LlamaDecoderLayer"] == 2 and found["share"] == pytest.approx(0.5, abs=0.01)
    assert found["trained"] == ["torch.float32"] and found["frozen"] == ["torch.bfloat16"]
    assert close(*(weights(tmp_path / n / "checkpoint-4") for n in ("fsdp", "ddp")), 0.001)
    check_tags(tmp_path / "fsdp", tmp_path / "ddp")


@pytest.mark.slow
def test_zero_killed_and_resumed_arrives_where_ddp_does(replicas, backbone, two, tmp_path, monkeypatch):
    try:
        importlib.metadata.version("deepspeed")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("deepspeed is not installed (DS_BUILD_OPS=0 pip install deepspeed)")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    folder = tmp_path / "zero"
    killed_and_resumed(folder, two("zero-8"), SHARDED, words(backbone, folder))
    found = check_sharded(folder)
    assert (found["kind"], found["backend"], found["processes"]) == ("DEEPSPEED", "gloo", 2)
    assert found["zero"] == 2 and found["autocast"] == "torch.bfloat16"
    assert found["clipping"] == 1.0 and found["accumulation"] == 1
    assert (found["trained"], found["frozen"]) == (["torch.float32"], ["torch.bfloat16"])
    assert losses(folder) == pytest.approx(losses(replicas), rel=1e-3)
    assert close(weights(folder / "checkpoint-4"), weights(replicas / "checkpoint-4"), 0.01)
    check_tags(folder, replicas)
    states = folder.glob("checkpoint-4/global_step4/zero_pp_rank_*_optim_states.pt")
    assert len(list(states)) == 2, "each process keeps its own part of the optimiser's states"


@pytest.mark.slow
@pytest.mark.parametrize("clock", [(), ("--max_minutes", "5")], ids=["by-updates", "by-the-clock"])
def test_two_cpu_processes_as_they_stand(replicas, backbone, tmp_path, clock):
    """configs/accelerate/cpu-2.yaml, nothing changed."""
    folder = tmp_path / "run"
    arguments = words(backbone, folder, "--use_cpu", "true", *clock)
    killed_and_resumed(folder, CONFIGS / "cpu-2.yaml", "train.py", arguments)
    assert record(folder)["processes"] == 2 and record(folder)["updates"] == 4
    if not clock:
        assert all(
            torch.equal(a, b)
            for a, b in zip(
                weights(folder / "checkpoint-4").values(),
                weights(replicas / "checkpoint-4").values(),
                strict=True,
            )
        )
    check_tags(folder, replicas if not clock else folder)


# --- what a launch may ask, without one ---


def fsdp_asked(monkeypatch, **changes):
    """As accelerate launch hands on fsdp-8.yaml."""
    values = yaml.safe_load((CONFIGS / "fsdp-8.yaml").read_text(encoding="utf-8"))["fsdp_config"] | changes
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    for name, value in values.items():
        monkeypatch.setenv(name.upper(), str(value))


def arguments_of(optimiser="adamw_torch"):
    return SimpleNamespace(fsdp_plugin_args=None, optim=optimiser)


def test_fsdp_as_shipped_is_not_refused(monkeypatch):
    fsdp_asked(monkeypatch)
    sharding.check(arguments_of(), torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("changes", "optimiser", "message"),
    [
        (
            {"fsdp_activation_checkpointing": True},
            "adamw_torch",
            "write false there, and use --gradient_chec",
        ),
        ({"fsdp_version": 1}, "adamw_torch", "fsdp_version 1 .*write 2"),
        ({}, "paged_adamw_8bit", "--optim paged_adamw_8bit: .*use adamw_torch"),
    ],
)
def test_what_fsdp_would_do_wrong_is_refused_in_one_line(monkeypatch, changes, optimiser, message):
    fsdp_asked(monkeypatch, **changes)
    with pytest.raises(VanerError, match=message) as refused:
        sharding.check(arguments_of(optimiser), torch.nn.Linear(2, 2))
    assert "\n" not in str(refused.value)


def test_an_8bit_base_is_refused_under_fsdp(monkeypatch, tmp_path):
    import bitsandbytes

    fsdp_asked(monkeypatch)
    with pytest.raises(VanerError, match="--quantization 8bit: .*use 4bit"):
        sharding.check(arguments_of(), torch.nn.Sequential(bitsandbytes.nn.Linear8bitLt(2, 2)))


def test_both_kinds_of_checkpointing_are_refused_by_a_run(monkeypatch, tiny_backbones, tmp_path):
    fsdp_asked(monkeypatch, fsdp_activation_checkpointing=True)
    arguments = words(tiny_backbones["llama"], tmp_path / "run", "--use_cpu", "true", "--max_tokens", "384")
    with pytest.raises(VanerError, match="fsdp_activation_checkpointing"):
        training.run(arguments)
    assert not (tmp_path / "run" / "vaner.json").exists()


def test_fsdps_own_checkpointing_draws_other_dropout():
    """Why it is refused. The gradient of a linear layer is its input, here what dropout left of ones."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(64, 1, bias=False))
    # As accelerate calls it.
    result = checkpoint_wrapper(module, preserve_rng_state=False)(torch.ones(1, 64))
    result.backward()
    weight = module[1].weight
    assert (weight * weight.grad).sum().item() != pytest.approx(result.item(), abs=1e-3)


def test_every_key_of_the_launch_configs_is_one_that_accelerate_reads():
    """A misspelt one would be left out without a word."""
    from accelerate.commands.config.config_args import ClusterConfig
    from accelerate.commands.launch import launch_command_parser

    flags = set(vars(launch_command_parser().parse_args(["train.py"])))
    fields = set(ClusterConfig.__dataclass_fields__)
    paths = sorted(CONFIGS.glob("*.yaml"))
    assert {path.stem for path in paths} == {"cpu-2", "ddp-8", "fsdp-8", "zero-8"}, (
        "a new one needs a run here"
    )
    for path in paths:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert values.keys() <= fields, path.name
        for nested in (value for value in values.values() if isinstance(value, dict)):
            assert nested.keys() <= flags, path.name


def test_the_names_of_trained_weights_fit_what_is_saved(tiny_backbones, tmp_path):
    """A model whose weights are sharded is given a folder's by its own names for them."""
    settings = ModelConfig(backbone=tiny_backbones["llama"], head_rank=8, max_tokens=384)
    model = VanerModel.build(settings, Adapter(r=2), dtype="float32")
    model.save_pretrained(tmp_path)
    state = model.trained_state(tmp_path)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert state.keys() == trained.keys()
    assert all(torch.equal(state[name], trained[name]) for name in trained)
    with pytest.raises(VanerError, match="the adapter was lost"):
        head = {f"head.{name}": tensor for name, tensor in model.head.state_dict().items()}
        model.save_pretrained(tmp_path / "lost", state_dict=head)
    # A run with another adapter left another file.
    other = VanerModel.build(settings, Adapter(r=2, targets=["q_proj"]), dtype="float32")
    with pytest.raises(VanerError, match=re.escape("does not fit its config")):
        other.trained_state(tmp_path)
