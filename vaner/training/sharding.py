"""In: what a launch says of FSDP or DeepSpeed. Out: training with sharded weights that computes what one GPU would.

FSDP holds a part of every weight on each process, and gathers a layer's weights when it is computed; DeepSpeed ZeRO-2
holds parts of the optimiser's states and of the gradients. Left to themselves both round adapters and head to bfloat16,
which are to stay in float32 (the optimiser's master weights); here products are taken in bfloat16 by autocast, as on
one GPU.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.fsdp import register_fsdp_forward_method

from vaner.errors import VanerError

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from vaner.model.network import VanerModel

_YES = {"true", "1", "yes"}


def check(args: TrainingArguments, model: nn.Module) -> None:
    """Refuse what FSDP would train otherwise than one GPU does, or not at all.

    Args:
        args: of training; the launch speaks through the environment.
        model: that is to be sharded.

    Raises:
        VanerError: names the setting and what to write instead.
    """
    asked = args.fsdp_plugin_args or {}
    if not asked and os.environ.get("ACCELERATE_USE_FSDP", "").lower() not in _YES:
        return
    if str(asked.get("fsdp_version") or os.environ.get("FSDP_VERSION", "1")) != "2":
        raise VanerError("fsdp_version 1 cannot shard frozen and trained weights together; write 2")
    own = asked.get("activation_checkpointing") or os.environ.get("FSDP_ACTIVATION_CHECKPOINTING")
    if str(own).lower() in _YES:
        raise VanerError(
            "fsdp_activation_checkpointing draws other dropout when it computes a layer again, so that the gradient "
            "is that of no pass; write false there, and use --gradient_checkpointing true"
        )
    optimiser = str(getattr(args.optim, "value", args.optim))
    if re.search("8bit|paged|bnb|lion_32bit|ademamix", optimiser):
        raise VanerError(
            f"--optim {optimiser}: those of bitsandbytes cannot step weights that FSDP shards; use adamw_torch"
        )
    if any(type(module).__name__ == "Linear8bitLt" for module in model.modules()):
        raise VanerError(
            "--quantization 8bit: FSDP cannot shard 8-bit weights; use 4bit, or one replica on each GPU (DDP)"
        )


def adjust(state: Any) -> None:
    """Let adapters and head stay in float32; products in bfloat16 are autocast's.

    Args:
        state: accelerate's AcceleratorState, before anything is wrapped.
    """
    if getattr(state, "fsdp_plugin", None) is not None:
        state.fsdp_plugin.mixed_precision_policy = None
    if getattr(state, "deepspeed_plugin", None) is not None:
        config = state.deepspeed_plugin.deepspeed_config
        if config.get("bf16", {}).get("enabled") is True:
            config["bf16"] = {"enabled": False}
            config["torch_autocast"] = {
                "enabled": True,
                "dtype": "bfloat16",
                "lower_precision_safe_modules": [],
            }


def gathered(model: nn.Module, frozen: bool) -> dict[str, torch.Tensor]:
    """The weights of a model that FSDP holds in parts, whole, on the first process; every process must ask.

    Args:
        model: as FSDP wrapped it.
        frozen: those that are not trained too.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=not frozen)
    return cast("dict[str, torch.Tensor]", get_model_state_dict(model, options=options))


def save_optimizer(accelerator: Any, optimizer: Any, model: nn.Module, folder: str) -> None:
    """Write the optimiser's states where accelerate looks for them; every process must ask."""
    from accelerate.utils import save_fsdp_optimizer  # type: ignore[import-untyped]

    save_fsdp_optimizer(accelerator.state.fsdp_plugin, accelerator, optimizer, model, folder)


def load_trained(model: VanerModel, folder: str | Path) -> None:
    """Put the trained weights of a folder into a model that FSDP holds in parts; every process must ask.

    Args:
        model: as FSDP wrapped it.
        folder: what its `save_pretrained` wrote.
    """
    options = StateDictOptions(full_state_dict=True, strict=False)
    state = cast("dict[str, Any]", model.trained_state(folder))
    set_model_state_dict(model, state, options=options)


def open_for_tagging(model: VanerModel) -> None:
    """Let the methods that tagging calls besides `forward` gather the weights too."""
    for name in ("read_instruction", "score_texts"):
        if name not in vars(model):
            register_fsdp_forward_method(model, name)
