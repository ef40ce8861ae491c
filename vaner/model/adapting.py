"""In: a backbone's folder, a ModelConfig, an Adapter. Out: the transformers model, its attention switched, and LoRA."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, BitsAndBytesConfig

from vaner.errors import VanerError
from vaner.kernels.grouped import use_grouped
from vaner.kernels.machine import multiplies_bfloat16
from vaner.model.attention import set_attention
from vaner.model.config import ModelConfig

if TYPE_CHECKING:
    # peft takes longer to import than a small model to load, and tagging does without it.
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedConfig, PreTrainedModel

    # A transformers model, bare or inside peft's.
    Backbone = PreTrainedModel | PeftModel

# The projections of LLaMA, Mistral and Qwen; then those of BERT-type encoders.
LLAMA_PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BERT_PROJECTIONS = ["query", "key", "value", "dense", "query_proj", "key_proj", "value_proj"]


@dataclass
class Adapter:
    """How the backbone is trained (LoRA: Hu et al. 2021, arXiv:2106.09685).

    Attributes:
        kind: ``lora``, ``full`` (every weight) or ``none`` (frozen backbone, head only).
        r, alpha, dropout: LoRA's rank, scale (alpha / r) and dropout. Without dropout the layers run faster.
        targets: names of the projections; by default the seven of LLaMA, or an encoder's.
        upper_layers: adapt only so many layers from the top; the backward pass then stops below them.
    """

    kind: str = "lora"
    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: list[str] = field(default_factory=list)
    upper_layers: int | None = None


def choose_dtype(name: str, device: str | torch.device = "cpu") -> torch.dtype:
    """``auto`` is bfloat16 where the machine multiplies it natively; else float16 on CUDA, float32 elsewhere.

    Args:
        name: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        device: where the model is to run.

    Raises:
        VanerError: another name.
    """
    if name != "auto":
        try:
            return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
        except KeyError:
            raise VanerError(f"dtype: unknown {name!r}; choose auto, float32, bfloat16 or float16") from None
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if multiplies_bfloat16() else torch.float32


def load_backbone(
    folder: str,
    settings: ModelConfig,
    dtype: torch.dtype,
    quantization: str = "none",
    device: str | None = None,
    kind: type[AutoModel] | type[AutoModelForCausalLM] = AutoModel,
) -> PreTrainedModel:
    """A pretrained backbone from a local folder, its attention switched; pickled weights are refused.

    Args:
        folder: of a model that transformers saved.
        settings: say how many of its layers are kept, and how it attends; where ``layerwise`` attention leaves the
            number of causal layers open, it is written into these.
        dtype: of the activations, and of weights that are not quantised.
        quantization: ``none``, ``8bit`` or ``4bit`` (NF4, double quantisation: Dettmers et al. 2023, arXiv:2305.14314).
        device: where a quantised backbone is put while loading; others are loaded on the CPU.
        kind: with the output layer of a language model, or without one.

    Raises:
        VanerError: no safetensors in the folder, an unknown quantisation, more layers than it has, or an attention
            mode that it has not, or weights of a language model of which some are missing.
    """
    if not list(Path(folder).glob("*.safetensors")):
        raise VanerError(
            f"{folder}: no .safetensors files; pickled weights are not loaded, convert them first"
        )
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "trust_remote_code": False}
    if quantization == "4bit":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            # What FSDP needs to shard a quantised base; harmless without it.
            bnb_4bit_quant_storage=dtype,
        )
    elif quantization == "8bit":
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif quantization != "none":
        raise VanerError(f"quantization: unknown {quantization!r}; choose none, 8bit or 4bit")
    if quantization != "none":
        options["device_map"] = {"": device or os.environ.get("LOCAL_RANK", "cpu")}
    with quiet():
        config = _config(folder)
        if settings.keep_layers is not None:
            _cut(config, settings.keep_layers, settings.backbone)
        # transformers does not type what it gives with output_loading_info.
        model, found = cast(
            "tuple[PreTrainedModel, dict[str, Any]]",
            kind.from_pretrained(folder, config=config, output_loading_info=True, **options),
        )
    if kind is AutoModelForCausalLM and (missing := sorted(found["missing_keys"])):
        raise VanerError(
            f"{settings.backbone}: has no {missing[0]}, so it cannot write; name the whole language model"
        )
    settings.causal_layers = set_attention(model, settings.attention, settings.causal_layers)
    use_grouped(model)
    model.config.use_cache = False
    model.eval()
    return model


def _config(folder: str) -> PreTrainedConfig:
    """The config of a backbone; VanerError where it asks for code that is not transformers' own."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise VanerError(
            f"{folder}: transformers cannot load this backbone without code of its own, which is not run ({reason}); "
            "choose another, or upgrade transformers if it is newer than yours"
        ) from None
    # A repository's name here is that of compiled code, which transformers would fetch and run.
    if "/" in str(wanted := getattr(config, "_attn_implementation", None)):
        raise VanerError(
            f"{folder}: its config asks for code of the hub, which is not run (attention {wanted}); take "
            "attn_implementation out of its config.json"
        )
    return config


def _cut(config: PreTrainedConfig, layers: int, backbone: str) -> None:
    """Let a config have its lower layers only; the weights of the others are then never loaded."""
    count = getattr(config, "num_hidden_layers", None)
    if count is None:
        raise VanerError(f"keep_layers: the config of {backbone} does not count its layers; leave it out")
    if not 0 < layers <= count:
        raise VanerError(f"keep_layers: {layers} of the {count} layers of {backbone}; choose 1 to {count}")
    config.num_hidden_layers = layers
    # Qwen and others say of each layer how far it looks.
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


def adapt(backbone: PreTrainedModel, adapter: Adapter, settings: ModelConfig) -> Backbone:
    """The backbone as the adapter says: all of it trained, none, or LoRA on its projections.

    Raises:
        VanerError: an unknown kind, projections that it has not or that are not known of it, too many layers.
    """
    if adapter.kind == "full":
        return backbone.train()
    for parameter in backbone.parameters():
        parameter.requires_grad_(False)
    if adapter.kind == "none":
        return backbone
    if adapter.kind != "lora":
        raise VanerError(f"adapter: unknown kind {adapter.kind!r}; choose lora, full or none")
    leaves = {name.rsplit(".", 1)[-1] for name, _ in backbone.named_modules()}
    targets = adapter.targets or [p for p in LLAMA_PROJECTIONS if p in leaves]
    targets = targets or [p for p in BERT_PROJECTIONS if p in leaves]
    if absent := [t for t in targets if t not in leaves]:
        raise VanerError(f"lora_targets: {settings.backbone} has no module named {absent[0]!r}")
    if not targets:
        raise VanerError(f"{settings.backbone}: unknown layout; name its projections with --lora_targets")
    if adapter.upper_layers is not None:
        count = backbone.config.num_hidden_layers
        if not 0 < adapter.upper_layers <= count:
            raise VanerError(
                f"lora_upper_layers: {adapter.upper_layers} of {count} layers; choose 1 to {count}"
            )
        # By whole names: what peft offers for this looks for a parent that AutoModel's layers do not have.
        targets = [
            name
            for name, _ in backbone.named_modules()
            if name.rsplit(".", 1)[-1] in targets and _layer_number(name) >= count - adapter.upper_layers
        ]
    from peft import LoraConfig

    config = LoraConfig(
        r=adapter.r, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout, target_modules=targets
    )
    return with_lora(backbone, config)


def _layer_number(module: str) -> int:
    found = re.search(r"(?:^|\.)(?:layers?|h|blocks)\.(\d+)\.", module)
    return int(found[1]) if found else -1


def with_lora(backbone: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """peft's model around the backbone, its layers computed in one step where they can be (`vaner.kernels.lora`)."""
    from peft import get_peft_model

    from vaner.kernels.lora import fuse

    with quiet():
        adapted = get_peft_model(backbone, config)
    fuse(adapted)
    return adapted


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Libraries say nothing meanwhile."""
    # A bar for a load that takes a second, and a warning that AutoModel leaves lm_head out, tell nobody anything.
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # peft still asks transformers by the old name of a property.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            # The adapter names the backbone as people do; here it lies in the cache.
            warnings.filterwarnings("ignore", message=".*base_model_name_or_path.*")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
