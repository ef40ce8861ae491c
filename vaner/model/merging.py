"""In: a bare backbone, and a folder with a saved LoRA adapter. Out: the backbone with the adapter in its weights.

    W  +  s B A  ->  W          s = alpha / r          (LoRA: Hu et al. 2021, arXiv:2106.09685)

The sum is taken in float32 and rounded once, as peft does it, but no adapted layer is ever built, and peft (which
takes longer to import than a small model to load) is not needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vaner.errors import VanerError

# What an adapter's config may say without changing what is added to a weight. Any other setting that is set asks
# for peft itself.
_HARMLESS = {
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
}
_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"


def is_plain(config: Mapping[str, Any]) -> bool:
    """Whether an adapter (its ``adapter_config.json``) adds ``s B A`` to weights and does nothing else."""
    others = {name for name, value in config.items() if value and name not in _HARMLESS}
    return config.get("peft_type") == "LORA" and config.get("bias", "none") == "none" and not others


def read_config(path: Path) -> dict[str, Any]:
    """What ``adapter_config.json`` says.

    Raises:
        VanerError: it is damaged.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise VanerError(f"{path}: not JSON ({error}); copy the model again") from error
    if not isinstance(config, dict):
        raise VanerError(f"{path}: not a JSON object; copy the model again")
    return config


@torch.no_grad()
def merge(backbone: nn.Module, config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> list[str]:
    """Add a plain adapter to a backbone's weights, in place.

    Args:
        backbone: a transformers model.
        config: of `is_plain`.
        weights: as peft saves them, ``base_model.model.<module>.lora_A.weight`` of shape ``(r, in)`` and
            ``...lora_B.weight`` of shape ``(out, r)``.

    Returns:
        the names of weights that fit nowhere; empty when the adapter was added whole.
    """
    scaling = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
    modules = dict(backbone.named_modules())
    left = dict(weights)
    for name in weights:
        module = modules.get(name.removeprefix(_PREFIX).removesuffix(_A))
        other = name.removesuffix(_A) + _B
        if not name.endswith(_A) or not isinstance(module, nn.Linear) or other not in weights:
            continue
        a, b = weights[name].float(), weights[other].float()
        if (b.shape[0], a.shape[1]) != module.weight.shape or a.shape[0] != b.shape[1]:
            continue
        # Adding float32 to bfloat16 in place gives the same bits in twice the time.
        module.weight.copy_(module.weight.float().add_((b @ a).mul_(scaling)))
        del left[name], left[other]
    return sorted(left)
