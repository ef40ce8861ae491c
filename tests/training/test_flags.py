"""Every flag of transformers' TrainingArguments is honoured, refused by name before data is read, or VANER's own."""

from __future__ import annotations

import json

import pytest
import torch

from tests.training.test_run import SMALL
from vaner.errors import VanerError
from vaner.training import flags
from vaner.training import run as training
from vaner.training.arguments import parse

# What they mean here is said in `python train.py --help`.
OWN = {
    "output_dir", "num_train_epochs", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay",
    "logging_steps", "save_total_limit", "seed", "resume_from_checkpoint", "dataloader_num_workers", "push_to_hub",
    "dataloader_pin_memory",
}  # fmt: skip

# A value that is not the default, for every flag that is honoured.
HONOURED = {
    "max_steps": "2",
    "lr_scheduler_kwargs": '{"num_cycles": 2}',
    "optim": "adamw_torch",
    "optim_args": None,  # only of optimisers that are packages of their own
    "adam_beta1": "0.8",
    "adam_beta2": "0.9",
    "adam_epsilon": "1e-6",
    "gradient_accumulation_steps": "2",
    "average_tokens_across_devices": "false",
    "max_grad_norm": "0.1",
    "label_smoothing_factor": "0.2",
    "bf16": "true",
    "fp16": None,  # needs a GPU
    "tf32": None,  # needs a GPU
    "activation_checkpointing": "true",
    "activation_checkpointing_kwargs": '{"use_reentrant": false, "every_n_layers": 2}',
    "gradient_checkpointing": "true",
    "gradient_checkpointing_kwargs": '{"use_reentrant": false}',
    "torch_compile": None,  # tried in the slow tier
    "torch_compile_backend": None,
    "torch_compile_mode": None,
    "neftune_noise_alpha": "5",
    "torch_empty_cache_steps": "2",
    "logging_strategy": "no",
    "logging_first_step": "true",
    "log_on_each_node": "false",
    "include_num_input_tokens_seen": "true",
    "log_level": "error",
    "log_level_replica": "error",
    "report_to": "none",
    "run_name": "mine",
    "project": "mine",
    "trackio_space_id": "mine",
    "trackio_bucket_id": "mine",
    "trackio_static_space_id": "mine",
    "eval_on_start": "true",
    "save_only_model": "true",
    "save_strategy": "no",
    "save_steps": "2",
    "save_on_each_node": "true",
    "hub_token": "none",
    "hub_private_repo": "true",
    "hub_model_id": "me/mine",
    "hub_revision": "main",
    "full_determinism": None,  # of the whole process; tried in a process of its own
    "use_cpu": "true",
    "accelerator_config": '{"split_batches": false}',
    "dataloader_persistent_workers": None,  # with workers: below
    "dataloader_prefetch_factor": None,
    "dataloader_multiprocessing_context": None,
    "dataloader_in_order": "false",
    "ddp_find_unused_parameters": "true",
    "ddp_bucket_cap_mb": "10",
    "ddp_broadcast_buffers": "true",
    "ddp_static_graph": "false",
    "ddp_backend": None,  # of several processes
    "ddp_timeout": "600",
    "fsdp": None,  # tests/training/test_sharded.py
    "fsdp_config": None,
    "deepspeed": None,
    "debug": "underflow_overflow",
    "skip_memory_metrics": "false",
    "local_rank": "-1",
}

# Whatever is not the default.
OTHER = {
    "auto_find_batch_size": "true", "per_device_train_batch_size": "8", "per_device_eval_batch_size": "4",
    "dataloader_drop_last": "true", "eval_strategy": "epoch", "eval_steps": "5", "eval_delay": "1",
    "eval_accumulation_steps": "2", "eval_do_concat_batches": "false", "eval_use_gather_object": "true",
    "prediction_loss_only": "true", "include_for_metrics": "loss", "batch_eval_metrics": "true",
    "bf16_full_eval": "true", "fp16_full_eval": "true", "do_train": "true", "do_eval": "true", "do_predict": "true",
    "load_best_model_at_end": "true", "metric_for_best_model": "loss", "greater_is_better": "false",
    "remove_unused_columns": "false", "label_names": "tags", "train_sampling_strategy": "sequential",
    "length_column_name": "size", "data_seed": "3", "ignore_data_skip": "true",
    "restore_callback_states_from_checkpoint": "true", "enable_jit_checkpoint": "true", "disable_tqdm": "false",
    "logging_nan_inf_filter": "false",
    "use_cache": "true", "use_liger_kernel": "true",
    "optim_target_modules": "attn", "hub_strategy": "end", "hub_always_push": "true",
}  # fmt: skip

CPU = ["--mix", "bc5cdr-sample", "--use_cpu", "true"]


def test_every_flag_has_its_place():
    """A new release of transformers brings new flags: decide what each means here."""
    placed = OWN | HONOURED.keys() | flags.REFUSED.keys()
    assert set(flags.known()) - placed == set(), (
        "put the new flag into REFUSED, or into HONOURED with a value"
    )
    assert placed - set(flags.known()) == set(), "gone from transformers"
    assert not (HONOURED.keys() | OWN) & flags.REFUSED.keys()
    # These two have no form on the command line.
    assert flags.REFUSED.keys() - OTHER.keys() == {"parallelism_config", "liger_kernel_config"}


@pytest.mark.parametrize("name", sorted(OTHER))
def test_a_flag_without_effect_is_refused_by_name(name):
    with pytest.raises(VanerError, match=f"--{name} has no effect here: .+") as error:
        parse([*CPU, f"--{name}={OTHER[name]}"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "value"), sorted(flags.REFUSED_VALUES))
def test_a_value_that_is_not_available_is_refused_by_name(name, value):
    with pytest.raises(VanerError, match=f"--{name} {value} is not available: .+"):
        parse([*CPU, f"--{name}={value}"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--report_to", "tensorbord"], "--report_to tensorbord: unknown .did you mean tensorboard"),
        (["--optim", "galore_adamw"], "--optim galore_adamw: .*galore_torch.*; choose another"),
        (["--lr_scheduler_type", "cosine_with_min_lr"], "--lr_scheduler_type cosine_with_min_lr: .*min_lr"),
        (["--lr_scheduler_kwargs", '{"cycles": 1}'], "--lr_scheduler_type linear: .*cycles"),
        (["--lr_scheduler_type", "cosine", "--max_minutes", "1"], "by the clock .* is linear"),
        (["--dataloader_persistent_workers", "true"], "needs --dataloader_num_workers"),
        (["--dataloader_multiprocessing_context", "spawn"], "needs --dataloader_num_workers"),
        (["--dataloader_prefetch_factor", "2"], "prefetch"),
        pytest.param(
            ["--fp16", "true"],
            "--fp16 needs a GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_what_would_fail_later_is_refused_before_data_is_read(words, message, monkeypatch):
    monkeypatch.setattr(training, "gather", lambda *_: pytest.fail("data was read"))
    with pytest.raises(VanerError, match=message) as error:
        training.run([*CPU, *words])
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name, value in HONOURED.items() if value is not None))
def test_a_flag_that_is_honoured_trains(name, tiny_backbones, tmp_path):
    more = {"lr_scheduler_kwargs": ["--lr_scheduler_type", "cosine_with_restarts"],
            "activation_checkpointing_kwargs": ["--activation_checkpointing", "true"],
            "gradient_checkpointing_kwargs": ["--gradient_checkpointing", "true"]}  # fmt: skip
    words = ["--mix", "bc5cdr-sample", *SMALL, "--cap", "3", "--num_train_epochs", "1", "--evaluations", "0"]
    folder = training.run(
        [*words, "--backbone", tiny_backbones["llama"], "--output_dir", str(tmp_path / "run"),
         f"--{name}={HONOURED[name]}", *more.get(name, [])]
    )  # fmt: skip
    record = json.loads((folder / "run.json").read_text())
    assert record["updates"] > 0
    if name == "max_steps":
        assert record["updates"] == 2


@pytest.mark.slow
def test_batches_are_prepared_by_processes_of_their_own(tiny_backbones, tmp_path):
    words = ["--mix", "bc5cdr-sample", *SMALL, "--cap", "3", "--num_train_epochs", "1", "--evaluations", "0"]
    words += ["--backbone", tiny_backbones["llama"]]
    one = training.run([*words, "--output_dir", str(tmp_path / "one")])
    more = ["--dataloader_num_workers", "2", "--dataloader_persistent_workers", "true"]
    more += ["--dataloader_prefetch_factor", "2", "--dataloader_multiprocessing_context", "fork"]
    two = training.run([*words, *more, "--output_dir", str(tmp_path / "two")])
    losses = [
        [h["loss"] for h in json.loads((folder / "run.json").read_text())["history"] if "loss" in h]
        for folder in (one, two)
    ]
    assert losses[0] == losses[1]


def test_recomputed_activations_give_the_same_gradients(tiny_backbones, tiny_tokenizer):
    from tests.model.test_network import build, rows, tensors

    model = build(tiny_backbones["llama"]).train()
    batch = tensors(rows(tiny_tokenizer, (12, 30), labelled=True))
    passes = [0, 0]
    for number, layer in enumerate(model.plain_backbone.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, n=number: passes.__setitem__(n, passes[n] + 1))

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        passes[:] = [0, 0]
        model(**batch)["loss"].backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    expected = gradients()
    assert passes == [1, 1] and len(expected) > 20
    for every, again in ((1, [2, 2]), (2, [2, 1])):
        model.activation_checkpointing_enable(every_n_layers=every)
        found = gradients()
        assert passes == again, "once forward and, of a checkpointed layer, once more in the backward pass"
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_checkpoint_of_a_signal_is_asked_for_once(tmp_path):
    from transformers import TrainerControl, TrainerState

    from vaner.training.interruption import Interruption

    interruption, control = Interruption(), TrainerControl(should_evaluate=True)
    interruption.on_step_end(None, TrainerState(), control)
    assert not control.should_training_stop and control.should_evaluate and interruption.signal is None
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with interruption.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        interruption.on_step_end(None, TrainerState(), control)
    assert signal.getsignal(signal.SIGTERM) == before
    assert control.should_save and control.should_training_stop and not control.should_evaluate
    assert interruption.signal == signal.SIGTERM
    with Interruption().listening(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
