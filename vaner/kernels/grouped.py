"""In: queries, keys, values of one layer on a CPU. Out: attention by plain matrix products, forward and backward.

torch's fused attention never holds the scores of a whole row, which is what a GPU and very long rows need. On a CPU
and rows of up to some hundred tokens its backward pass takes three to twelve times as long as the products themselves
(docs/performance.md). Here the scores are held, and the query heads that share a key head (grouped-query attention)
are rows of one product, so that keys and values are not repeated:

    queries  (batch, key heads x group, tokens, size)  ->  (batch x key heads, group x tokens, size)
    keys     (batch, key heads,         seen,   size)  ->  (batch x key heads, seen, size)
    scores                                                 (batch x key heads, group x tokens, seen)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "grouped"

# Scores grow with the square of a row: at this length torch, which holds none, is as fast. Longer rows are left to it.
LONGEST = 768


def use_grouped(backbone: PreTrainedModel) -> bool:
    """Let a transformers backbone compute its attention here where it can, by torch's sdpa where it cannot.

    Returns:
        whether it does: it asked for sdpa (transformers' default) and takes attention functions from outside.
    """
    if backbone.config._attn_implementation != "sdpa" or not backbone._supports_attention_backend:
        return False
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    backbone.set_attn_implementation(NAME)
    return True


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention function: ``(batch, heads, tokens, size)`` to ``(batch, tokens, heads, size)``.

    Args:
        module: the layer, which says whether it is causal where there is no mask.
        query: ``(batch, heads, tokens, size)``.
        key, value: ``(batch, key heads, seen, size)``; the number of heads is a multiple of that of key heads.
        attention_mask: bool, True where a key is seen, or float, added to the scores; ``(batch, 1, tokens, seen)``.
        dropout: of the shares; where there is any, torch's attention is used.
        scaling: of the scores; by default one over the square root of ``size``.
        kwargs: what transformers passes on to torch's attention.

    Returns:
        the mixed values; None in place of the shares, which nobody asks for.
    """
    causal = attention_mask is None and getattr(module, "is_causal", True) and query.shape[2] > 1
    if query.device.type != "cpu" or dropout or causal or key.shape[2] > LONGEST:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    if torch.is_autocast_enabled("cpu"):
        # It would round forward and know nothing of backward: everything is rounded here, once.
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        least = torch.finfo(query.dtype).min
        attention_mask = torch.zeros_like(attention_mask, dtype=query.dtype).masked_fill_(
            ~attention_mask, least
        )
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    with torch.autocast("cpu", enabled=False):
        return _Attention.apply(query, key, value, attention_mask, scaling), None


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        batch, heads, tokens, size = query.shape
        groups, seen = key.shape[1:3]
        query = (query * scaling).reshape(batch * groups, -1, size)
        key = key.reshape(batch * groups, seen, size)
        value = value.reshape(batch * groups, seen, -1)
        scores = torch.bmm(query, key.transpose(1, 2))
        if mask is not None:
            scores.view(batch, heads, tokens, seen).add_(mask)
        shares = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(query, key, value, shares)
        ctx.scaling = scaling
        ctx.shape = batch, heads, tokens, groups
        return torch.bmm(shares, value).view(batch, heads, tokens, -1).transpose(1, 2).contiguous()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]:
        query, key, value, shares = ctx.saved_tensors
        grad = grad.transpose(1, 2).reshape(len(query), query.shape[1], -1)
        grad_value = torch.bmm(shares.transpose(1, 2), grad)
        grad_scores = torch._softmax_backward_data(
            torch.bmm(grad, value.transpose(1, 2)), shares, -1, shares.dtype
        )
        grad_query = torch.bmm(grad_scores, key).mul_(ctx.scaling)
        grad_key = torch.bmm(grad_scores.transpose(1, 2), query)
        batch, heads, tokens, groups = ctx.shape
        return (
            grad_query.view(batch, heads, tokens, -1),
            grad_key.view(batch, groups, *key.shape[1:]),
            grad_value.view(batch, groups, *value.shape[1:]),
            None,
            None,
        )
