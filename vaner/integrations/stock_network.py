"""In: a VanerModel, a question. Out: a model class of transformers with the same scores, or why there is none.

A labeler's head reads the backbone's last state y scaled to length: ``W unit(y) + b``. The stock head reads y itself,
and the length of y differs from token to token, because the backbone's last norm has weights: ``y = w * x / |x|``. One
more layer takes them out of that norm::

    x  ->  x + M (w * x / |x|)  ->  norm without weights  ->  unit(w * x / |x|) = unit(y)

Its attention adds nothing, its MLP multiplies by M w, and M is so large that x beside it is less than a rounding error.
What is left is the head's own linear layer. LLaMA with the mask removed is EuroBERT, layer by layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForTokenClassification,
    EuroBertConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from vaner.errors import VanerError
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Instruction
from vaner.model.heads import SharedHead, TypedHead, unit_scale
from vaner.model.network import VanerModel
from vaner.text.tags import TAGS, B, I, O

# Backbones of LLaMA's layout; theirs may have biases, and may look only so far.
_LAYOUT = ("llama", "mistral", "qwen2")
_SAME = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "head_dim",
)
# What their classes for tokens call the last linear layer.
_HEADS = ("classifier", "score")
# M, a power of two, so that multiplying by it rounds nothing; its square times the largest states is far from float32's
# end. The gate is the same number for every token: the activation of _GATE.
_GREAT = 2.0**40
_GATE = 64.0


def check(model: VanerModel, types: list[str]) -> None:
    """Raise VanerError, saying why, where no stock model has the same scores.

    Args:
        model: as it was saved.
        types: that are asked.
    """
    settings = model.settings
    if len(types) != 1:
        raise VanerError(
            f"{len(types)} types ({', '.join(types)}) cannot be exported together: this model's tags are O, B and I of "
            "each type by itself, a stock model's are one of all; export each type into a folder of its own (--types)"
        )
    if settings.attention not in ("bidirectional", "causal"):
        raise VanerError(
            f"attention {settings.attention} cannot be exported: no model class of transformers masks so; train with "
            "--attention bidirectional or causal"
        )
    if settings.head == "typed" and settings.attention != "causal":
        raise VanerError(
            "the typed head cannot be exported: what it knows of a type depends on the text here, and a stock head is "
            "the same for every text; train with --head shared (or --attention causal)"
        )
    if settings.lookups:
        raise VanerError("a model that looks words up cannot be exported: a stock model has no index")
    config = model.plain_backbone.config
    if config.model_type not in _LAYOUT:
        raise VanerError(
            f"a backbone of type {config.model_type} cannot be exported: its head reads states scaled to length, and "
            f"only in backbones of LLaMA's layout ({', '.join(_LAYOUT)}) can stock layers do that exactly"
        )
    if config.intermediate_size < config.hidden_size:
        raise VanerError(
            f"{settings.backbone} cannot be exported: its MLP is narrower ({config.intermediate_size}) than its states "
            f"({config.hidden_size})"
        )


def longest(model: VanerModel) -> int:
    """Tokens of the longest row that a stock model reads as this one would."""
    config = model.plain_backbone.config
    sees = [config.max_position_embeddings]
    if window := getattr(config, "sliding_window", None):
        sees.append(window)
    return min(sees)


def stock(model: VanerModel, tokenisation: Tokenisation, instruction: Instruction) -> PreTrainedModel:
    """The token classifier.

    Args:
        model: of `check`; merged, in float32.
        tokenisation: of its tokenizer.
        instruction: of one type; it is not in the model but is read with every text.

    Returns:
        a ``PreTrainedModel`` whose labels are ``O``, ``B-<type>`` and ``I-<type>``.
    """
    backbone = model.plain_backbone
    weight, bias = _linear(model, tokenisation, instruction)
    (kind,) = instruction.types
    made: PreTrainedModel = AutoModelForTokenClassification.from_config(
        _config(backbone.config, model.settings.attention, kind, tokenisation.pad_id), dtype=torch.float32
    ).eval()
    state = {name: torch.zeros_like(value) for name, value in made.state_dict().items()}
    state |= {f"model.{name}": value for name, value in backbone.state_dict().items()}
    _add_layer(state, backbone)
    head = next(name for name in _HEADS if f"{name}.weight" in state)
    state |= {f"{head}.weight": weight, f"{head}.bias": bias}
    made.load_state_dict(state)
    return made


def _config(config: PreTrainedConfig, attention: str, kind: str, pad_id: int) -> PreTrainedConfig:
    biases = bool(getattr(config, "attention_bias", False)) or config.model_type == "qwen2"
    labels = {O: "O", B: f"B-{kind}", I: f"I-{kind}"}
    values: dict[str, Any] = {name: getattr(config, name) for name in _SAME if hasattr(config, name)}
    values |= {
        "num_hidden_layers": config.num_hidden_layers + 1,
        "attention_bias": biases,
        "mlp_bias": True,
        "pad_token_id": pad_id,
        "bos_token_id": None,
        "eos_token_id": None,
        "id2label": labels,
        "label2id": {label: number for number, label in labels.items()},
    }
    if attention == "causal":
        return LlamaConfig(**values, use_cache=False)
    # Nothing is masked; the class wants a token all the same.
    return EuroBertConfig(**values, use_cache=False, mask_token_id=pad_id)


def _add_layer(state: dict[str, torch.Tensor], backbone: PreTrainedModel) -> None:
    """Fill in the layer that multiplies by M w, and take w out of the last norm; all else of it is 0."""
    config = backbone.config
    size = config.hidden_size
    layer = f"model.layers.{config.num_hidden_layers}"
    norm = state["model.norm.weight"].float()
    for name in ("input_layernorm", "post_attention_layernorm"):
        state[f"{layer}.{name}.weight"].fill_(1)
    state[f"{layer}.mlp.gate_proj.bias"][:size] = _GATE
    state[f"{layer}.mlp.up_proj.weight"][:size] = torch.eye(size)
    state[f"{layer}.mlp.down_proj.weight"][:, :size] = torch.diag(_GREAT * norm)
    state["model.norm.weight"] = torch.ones_like(norm)


def _linear(
    model: VanerModel, tokenisation: Tokenisation, instruction: Instruction
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the linear layer that the head is for this question."""
    head: nn.Module = model.head
    if isinstance(head, SharedHead):
        return head.score.weight.detach(), head.score.bias.detach()
    assert isinstance(head, TypedHead)  # the only other one, see check
    ids, places = (torch.from_numpy(array).long() for array in tokenisation.instruction(instruction))
    with torch.inference_mode():
        # It looks back only, so this is what it says of the type whatever text follows.
        type_vector = unit_scale(model.read_instruction(ids, places).types)[0]
        tags, rank = len(TAGS), head.rank
        v = head.type_map(type_vector).view(tags, rank) / rank**0.5
        u = head.word_map.weight.view(tags, rank, -1)
        weight = torch.einsum("kr,krh->kh", v, u) + head.word_bias.weight
        bias = (v * head.word_map.bias.view(tags, rank)).sum(-1)
        return weight.clone(), (bias + head.word_bias.bias + head.type_bias(type_vector)).clone()
