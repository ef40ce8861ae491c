"""In: a peft model with LoRA on linear layers. Out: the same, each adapted layer one autograd step.

peft computes a LoRA layer as five autograd nodes and, with adapters in float32, copies every activation to
float32 and back. Here the layer is one node in the dtype of the activations; the adapters stay float32
parameters (the optimiser's master weights) and are rounded when used (LoRA: Hu et al. 2021, arXiv:2106.09685):

    y  = x W' + s (x A') B'          A' (in, r), B' (r, out), s = alpha / r
    dx = dy W + s (dy B) A           nothing of size (out, in) is made for the frozen W
"""

from __future__ import annotations

import types
from typing import Any, cast

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import nn


class _LoraStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        a = a.to(x.dtype)
        b = (b * scaling).to(x.dtype)
        inner = flat @ a.t()
        y = flat @ weight.t() if bias is None else torch.addmm(bias, flat, weight.t())
        y.addmm_(inner, b.t())
        ctx.save_for_backward(flat, weight, a, b, inner)
        ctx.scaling = scaling
        ctx.shape = x.shape
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor | None, None, None, torch.Tensor, torch.Tensor, None]:
        flat, weight, a, b, inner = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_inner = grad @ b
        grad_a = (grad_inner.t() @ flat).float()
        grad_b = (grad.t() @ inner).float().mul_(ctx.scaling)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ weight).addmm_(grad_inner, a).view(ctx.shape)
        return grad_x, None, None, grad_a, grad_b, None


def _is_single(layer: LoraLinear) -> bool:
    # Autocast then asks for another type than that of the weights; peft's own layers compute in it.
    return bool(layer.get_base_layer().weight.dtype == torch.float32)


def _forward(self: LoraLinear, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    rounds = torch.is_autocast_enabled(x.device.type) and _is_single(self)
    if self.disable_adapters or self.merged or args or kwargs or rounds:
        return LoraLinear.forward(self, x, *args, **kwargs)
    base = cast("nn.Linear", self.get_base_layer())  # `fuse` covers no other
    name = self.active_adapters[0]
    if x.dtype != base.weight.dtype:
        x = x.to(base.weight.dtype)
    a, b = self.lora_A[name].weight, self.lora_B[name].weight
    return _LoraStep.apply(x, base.weight, base.bias, a, b, self.scaling[name])


def fuse(model: nn.Module) -> int:
    """Give every plain LoRA layer the one-step forward; layers it does not cover keep peft's.

    Covered: one adapter, no dropout, no DoRA, a frozen ``nn.Linear`` below (not quantised, no gradient).

    Args:
        model: a peft model; its layers are changed in place.

    Returns:
        the number of layers changed.
    """
    changed = 0
    for layer in model.modules():
        if type(layer) is not LoraLinear or len(layer.active_adapters) != 1:
            continue
        name = layer.active_adapters[0]
        base = layer.get_base_layer()
        plain = type(base) is nn.Linear and not base.weight.requires_grad
        dropout = layer.lora_dropout[name]
        undropped = isinstance(dropout, nn.Identity) or getattr(dropout, "p", 1.0) == 0.0
        if plain and undropped and name not in layer.lora_variant and not layer.lora_bias[name]:
            # Of this layer alone, in front of its class's; merging takes it out again.
            layer.__dict__["forward"] = types.MethodType(_forward, layer)
            changed += 1
    return changed
