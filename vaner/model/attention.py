"""In: a backbone, an attention mode, where rows and instructions lie. Out: who sees whom.

    bidirectional        causal               prefix               layerwise
      i i t t              i i t t              i i t t
    i # # # #            i # . . .            i # # . .            lower layers as causal,
    i # # # #            i # # . .            i # # . .            upper layers as bidirectional
    t # # # #            t # # # .            t # # # #
    t # # # #            t # # # #            t # # # #

    twice
      i i t t t't'
    i # . . . . .        causal, in rows that have the text twice; words are labelled at t', where all of the first
    i # # . . . .        copy is seen. Nothing stands between the copies, and positions run on through both, as in
    t # # # . . .        any text that repeats itself.
    t # # # # . .
    t'# # # # # .
    t'# # # # # #

i is a token of the instruction, t one of the text; rows look at columns, # is seen. Padding is never seen, and
of several rows in one sequence none sees another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn.attention.flex_attention import BlockMask
from transformers.masking_utils import and_masks, causal_mask_function, create_bidirectional_mask

from vaner.errors import VanerError
from vaner.kernels.grouped import NAME

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

MODES = ("bidirectional", "causal", "prefix", "layerwise", "twice")

# Those in which no token sees a later one, in any layer.
LOOKING_BACK = ("causal", "twice")
# Those in which what the instruction says does not depend on the text behind it.
INSTRUCTION_APART = ("causal", "prefix", "twice")
# Those in which a backbone that looks only so far must have a whole row in sight.
WHOLE_ROWS = ("prefix", "layerwise", "twice")

# Of a batch, a head, a query's place and a key's: whether the key is seen.
_Sees = Callable[..., torch.Tensor | bool]


def copies(mode: str) -> int:
    """How many times a row has its text in an attention mode; `vaner.inputs.features.Tokenisation` lays it out."""
    return 2 if mode == "twice" else 1


def set_attention(backbone: PreTrainedModel, mode: str, causal_layers: int | None = None) -> int | None:
    """Switch a transformers backbone to an attention mode.

    For ``bidirectional``, ``causal`` and ``twice`` the masks are transformers' own: ``config.is_causal`` decides how
    they are built. The modules carry a flag of the same name that sdpa falls back on when a mask of ones only is left
    out, so both are set. The other two need the masks of `make_mask`. Taking the causal mask away so that a decoder
    labels words is of Li et al. 2023, "Label Supervised LLaMA Finetuning" (arXiv:2310.01208); giving it the text twice
    and labelling the second copy, of Ewais et al. 2026, "Just Pass Twice" (arXiv:2604.05158).

    Args:
        backbone: a transformers model, not yet adapted.
        mode: one of MODES.
        causal_layers: in ``layerwise`` how many layers, from the lowest, look back only; None is half of them.

    Returns:
        the number of causal layers in ``layerwise`` mode, else None.

    Raises:
        VanerError: unknown mode; one that looks back only asked of an encoder; a backbone that takes no mask of
            ours; a number of layers that it does not have.
    """
    if mode not in MODES:
        raise VanerError(f"attention: unknown mode {mode!r}; choose one of {', '.join(MODES)}")
    name = type(backbone).__name__
    if causal_layers is not None and mode != "layerwise":
        raise VanerError(f"causal_layers is for attention layerwise, not {mode}; leave it out")
    flagged = [m for m in backbone.modules() if isinstance(getattr(m, "is_causal", None), bool)]
    if mode in (*LOOKING_BACK, "layerwise") and not any(m.is_causal for m in flagged):
        raise VanerError(
            f"attention: {name} is an encoder and has no {mode} mode; use bidirectional or prefix"
        )
    if mode in ("prefix", "layerwise"):
        check_takes_masks(backbone, f"attention {mode}")
    causal = mode in LOOKING_BACK
    backbone.config.is_causal = causal
    for module in flagged:
        module.is_causal = causal  # type: ignore[assignment]  # torch: every attribute is a Tensor or a Module
    if mode != "layerwise":
        return None
    layers = getattr(backbone, "layers", None)
    if layers is None:
        raise VanerError(f"attention layerwise: {name} is not laid out as LLaMA is; use another mode")
    causal_layers = len(layers) // 2 if causal_layers is None else causal_layers
    if not 0 < causal_layers < len(layers):
        raise VanerError(
            f"causal_layers: {causal_layers} of {len(layers)} layers; choose 1 to {len(layers) - 1}"
        )
    for number, layer in enumerate(layers):
        plane = 0 if number < causal_layers else 1
        layer.register_forward_pre_hook(partial(_choose_plane, plane=plane), with_kwargs=True)
    return causal_layers


def check_takes_masks(backbone: PreTrainedModel, purpose: str) -> None:
    """Raise VanerError unless the backbone takes 4-dimensional masks as they are.

    Args:
        backbone: a transformers model, not peft's.
        purpose: what needs the masks, for the message.
    """
    implementation = backbone.config._attn_implementation
    if not getattr(backbone, "_supports_attention_backend", False):
        raise VanerError(
            f"{purpose}: {type(backbone).__name__} builds its masks itself; use attention bidirectional, unpacked"
        )
    if implementation not in ("sdpa", "eager", "flex_attention", NAME):
        raise VanerError(
            f"{purpose}: works with sdpa, eager or flex_attention attention, not {implementation}"
        )


def check_place(mode: str, place: str) -> None:
    """Raise VanerError where a mode wants the instruction before the text and it stands ``after``.

    Args:
        mode: one of MODES.
        place: of the instruction, one of `vaner.inputs.instructions.PLACES`.
    """
    if place == "after" and mode in INSTRUCTION_APART:
        raise VanerError(
            f"attention {mode}: the text would not see an instruction after it; put it before the text "
            "(--instruction before), or use bidirectional or layerwise"
        )


def keeps_keys(backbone: PreTrainedModel) -> bool:
    """Whether the backbone is a decoder of LLaMA's kind, which goes on from keys and values that it is given."""
    return hasattr(backbone, "layers") and "past_key_values" in signature(backbone.forward).parameters


def _choose_plane(
    layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], plane: int
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    # Both masks travel in one tensor through the backbone's own forward, and each layer takes its own: nothing is
    # kept between calls, so recomputing a layer in the backward pass sees the same mask.
    mask = kwargs.get("attention_mask")
    if mask is None or mask.dim() != 4 or mask.shape[1] != 2:
        raise VanerError("attention layerwise: call the VanerModel, which makes the masks, not its backbone")
    return args, kwargs | {"attention_mask": mask[:, plane : plane + 1]}


def make_mask(
    config: PreTrainedConfig,
    mode: str,
    rows: torch.Tensor,
    instruction: torch.Tensor | None,
    packed: bool,
    dtype: torch.dtype,
) -> torch.Tensor | BlockMask:
    """The mask to hand to the backbone.

    Args:
        config: the backbone's.
        mode: one of MODES.
        rows: ``(batch, tokens)``; which row of its sequence a token belongs to, from 1; 0 is padding.
        instruction: ``(batch, tokens)``; 1 for the tokens of an instruction. Needed by ``prefix`` only.
        packed: sequences hold several rows.
        dtype: of the hidden states.

    Returns:
        ``(batch, tokens)``, ``rows`` itself, where transformers' own masks do; else ``(batch, 1, tokens, tokens)``,
        or ``(batch, 2, tokens, tokens)`` in ``layerwise``: the mask of the lower layers, then of the upper. Where the
        backbone uses FlexAttention, its BlockMask, by which closed blocks are not computed.

    Raises:
        VanerError: ``prefix`` without an instruction's tokens; ``layerwise`` with FlexAttention.
    """
    if mode in ("bidirectional", *LOOKING_BACK) and not packed:
        return rows
    seen: list[_Sees] = []
    if packed:
        # Padding looks at every row: a query that sees nothing has no softmax.
        seen.append(lambda batch, head, q, kv: (rows[batch, q] == rows[batch, kv]) | (rows[batch, q] == 0))
    if mode == "prefix":
        if instruction is None:
            raise VanerError("attention prefix: the batch does not say where the instruction ends")
        told = instruction.bool()
        seen.append(lambda batch, head, q, kv: ~told[batch, q] | told[batch, kv])
    backward: list[_Sees] = [*seen, causal_mask_function]
    wanted = [seen]
    if mode in LOOKING_BACK:
        wanted = [backward]
    elif mode == "layerwise":
        wanted = [backward, seen]
    # transformers looks at the shape, dtype and device of the embeddings only.
    shape = torch.empty((*rows.shape, 0), dtype=dtype, device=rows.device)
    planes = [
        # None would be a mask that was skipped, which is not allowed here.
        cast(
            "torch.Tensor | BlockMask",
            create_bidirectional_mask(
                config,
                shape,
                (rows != 0).long(),
                and_mask_function=and_masks(*one),
                allow_is_bidirectional_skip=False,
            ),
        )
        for one in wanted
    ]
    if len(planes) == 1:
        return planes[0]
    dense = [plane for plane in planes if isinstance(plane, torch.Tensor)]
    if len(dense) < len(planes):
        raise VanerError("attention layerwise: works with sdpa or eager attention, not flex_attention")
    return torch.cat(dense, dim=1)
