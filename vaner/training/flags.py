"""In: transformers' TrainingArguments. Out: each flag is honoured, or refused by name before any data is read.

VANER's Trainer reads whole batches of a mixture, scores dev itself and keeps the best model on dev. Flags of Trainer's
that say how it would do these things have no meaning here; a run that sets one is refused, with what to use instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)

from vaner.errors import VanerError, near

_BATCHES = "batches are measured in tokens; use --batch_tokens"
_EVALUATIONS = "dev is scored at equal shares of the run; use --evaluations, --eval_documents and --dev"
_BEST = "the best model on dev is always kept, and is the result"
_MIXTURE = "the mixture says which rows meet, by --seed and the epoch; leave it out"
_LINES = "training logs a line every --logging_steps updates; leave it out"
_UPLOAD = "the finished model is uploaded once, at the end; leave it out"
_ALWAYS = "it is always so; leave it out"

#: Flag -> what to use instead. Refused wherever its value is not the default.
REFUSED: Mapping[str, str] = {
    "per_device_train_batch_size": _BATCHES,
    "per_device_eval_batch_size": _BATCHES,
    "auto_find_batch_size": _BATCHES,
    "dataloader_drop_last": _BATCHES,
    "eval_strategy": _EVALUATIONS,
    "eval_steps": _EVALUATIONS,
    "eval_delay": _EVALUATIONS,
    "eval_accumulation_steps": _EVALUATIONS,
    "eval_do_concat_batches": _EVALUATIONS,
    "eval_use_gather_object": _EVALUATIONS,
    "prediction_loss_only": _EVALUATIONS,
    "include_for_metrics": _EVALUATIONS,
    "batch_eval_metrics": _EVALUATIONS,
    "bf16_full_eval": "dev is scored in the numbers that the model has (--dtype); leave it out",
    "fp16_full_eval": "dev is scored in the numbers that the model has (--dtype); leave it out",
    "do_train": "train.py trains; leave it out",
    "do_eval": _EVALUATIONS,
    "do_predict": "predict.py tags; leave it out",
    "load_best_model_at_end": _BEST,
    "metric_for_best_model": "it is mean strict micro-F1 over the dev corpora; leave it out",
    "greater_is_better": "it is mean strict micro-F1 over the dev corpora; leave it out",
    "remove_unused_columns": "the mixture has no columns; leave it out",
    "label_names": "the mixture has no columns; leave it out",
    "train_sampling_strategy": _MIXTURE,
    "length_column_name": _MIXTURE,
    "data_seed": "everything is drawn by --seed; leave it out",
    "ignore_data_skip": "a resumed run goes on where it stopped in the data; leave it out",
    "restore_callback_states_from_checkpoint": _ALWAYS,
    "enable_jit_checkpoint": "SIGTERM and Ctrl-C always leave a checkpoint; leave it out",
    "logging_nan_inf_filter": "a loss that is not a number ends the run; leave it out",
    "disable_tqdm": _LINES,
    "use_cache": "keys and values are of no use in training; leave it out",
    "use_liger_kernel": "its kernels are for transformers' own heads; leave it out",
    "liger_kernel_config": "its kernels are for transformers' own heads; leave it out",
    "optim_target_modules": "it is of optimisers for full weights (GaLore, APOLLO); use --lora_targets",
    "parallelism_config": "name an accelerate config instead (configs/accelerate/)",
    "hub_strategy": _UPLOAD,
    "hub_always_push": _UPLOAD,
}

#: Values of flags that are honoured otherwise.
REFUSED_VALUES: Mapping[tuple[str, str], str] = {
    ("save_strategy", "epoch"): "name updates or a share of the run with --save_steps",
    ("save_strategy", "best"): _BEST,
    ("logging_strategy", "epoch"): "name updates with --logging_steps",
    (
        "lr_scheduler_type",
        "reduce_lr_on_plateau",
    ): "choose one that follows the updates, such as linear or cosine",
    ("lr_scheduler_type", "greedy"): "choose one that follows the updates, such as linear or cosine",
    ("debug", "tpu_metrics_debug"): "there is no TPU code here; leave it out",
}


def check(args: TrainingArguments, defaults: Mapping[str, Any]) -> None:
    """Refuse flags that would have no effect.

    Args:
        args: as parsed.
        defaults: flag -> its default here.

    Raises:
        VanerError: names the flag and what to do.
    """
    for name, remedy in REFUSED.items():
        if _plain(vars(args)[name]) != _plain(defaults[name]):
            raise VanerError(f"--{name} has no effect here: {remedy}")
    for (name, value), remedy in REFUSED_VALUES.items():
        given = vars(args)[name]
        if value in [str(_plain(one)) for one in (given if isinstance(given, list) else [given])]:
            raise VanerError(f"--{name} {value} is not available: {remedy}")


def check_machine(args: TrainingArguments, max_minutes: float | None) -> None:
    """Refuse what this machine, its packages or another flag would make fail later.

    Args:
        args: as parsed.
        max_minutes: of the run, if it goes by the clock.

    Raises:
        VanerError: names the flag and what to do.
    """
    _check_reports(args.report_to)
    if args.fp16 and not torch.cuda.is_available():
        raise VanerError("--fp16 needs a GPU; use --bf16, or leave it out")
    for name in ("dataloader_persistent_workers", "dataloader_multiprocessing_context"):
        if vars(args)[name] and not args.dataloader_num_workers:
            raise VanerError(f"--{name} needs --dataloader_num_workers; name 1 or more")
    _check_optimiser(args)
    _check_schedule(args, max_minutes)


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _check_reports(report_to: Any) -> None:
    asked = [report_to] if isinstance(report_to, str) else list(report_to or ())
    there = get_available_reporting_integrations()
    for name in asked:
        if name in ("none", "all"):
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            hint = near(name, INTEGRATION_TO_CALLBACK) or f"there are {', '.join(INTEGRATION_TO_CALLBACK)}"
            raise VanerError(f"--report_to {name}: unknown ({hint})")
        if name not in there and name != "flyte":
            raise VanerError(
                f"--report_to {name}: the package is not installed; pip install {name}, or leave it out"
            )


def _check_optimiser(args: TrainingArguments) -> None:
    try:
        made, options = Trainer.get_optimizer_cls_and_kwargs(args)
        made([torch.nn.Parameter(torch.zeros(1))], **options)
    except (ImportError, ValueError, TypeError, RuntimeError, AssertionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VanerError(
            f"--optim {_plain(args.optim)}: {reason}; choose another, such as adamw_torch"
        ) from None


def _check_schedule(args: TrainingArguments, max_minutes: float | None) -> None:
    name = _plain(args.lr_scheduler_type)
    if max_minutes and name != "linear":
        raise VanerError(
            f"--lr_scheduler_type {name}: by the clock (--max_minutes) the rate is linear; leave one of them out"
        )
    dummy = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    options = args.lr_scheduler_kwargs
    try:
        get_scheduler(name, dummy, 1, 10, dict(options) if isinstance(options, dict) else None)
    except (ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VanerError(f"--lr_scheduler_type {name}: {reason}; see --lr_scheduler_kwargs") from None


def known() -> list[str]:
    """Names of all of TrainingArguments' flags."""
    return [one.name for one in fields(TrainingArguments) if one.init]
