"""In: a merged backbone on CPU. Out: the same, its projections multiplied in 8 bits.

Weights are rounded once, each output channel on its own scale; activations as they come, each token on its own scale
(one token may have values many times larger than its neighbours'). The products are summed in 32 bits:

    y[token, out]  =  s[token] * s[out] * sum over in of  x8[token, in] * w8[out, in]

x8 is unsigned with 128 for zero, because that is what the processor's instructions multiply. Those of VNNI sum four
products in 32 bits. Older ones sum two in 16 bits, where two products of 255 and 127 do not fit: they are cut off at
32,767. Weights of at most 64 fit, and cost one bit of precision (`weight_limit`).

Everything between products has the dtype of the activations, scales too: a bfloat16 tensor times a float32 one is
computed by way of copies. In LLaMA's MLP, activations that are rounded anew anyway are not multiplied by their scale
first; the next ones carry it along:

    gate  =  silu(s * gate8)       h  =  gate * up8        y  =  s * s[h] * down8 of h
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from vaner.errors import VanerError
from vaner.kernels.fused import Packed
from vaner.kernels.machine import multiplies_bytes
from vaner.kernels.sharing import GATED, PROJECTED, Part, Shared, agree, as_one, is_gated, linears, parts

_ZERO = 128
# An MLP in bytes is less off than this share of the largest value; one that does something else is off by more.
_TOLERANCE = 0.15


class Rounded(NamedTuple):
    """Activations in bytes.

    Attributes:
        bytes: uint8 ``(tokens, in)``, 128 for zero.
        scales: ``(tokens, 1)``, in the dtype of the activations: what one step is worth.
    """

    bytes: torch.Tensor
    scales: torch.Tensor


def rounded(x: torch.Tensor, *, reuse: bool = False) -> Rounded:
    """Activations ``(..., in)``, each token on its own scale; ``reuse``: they may be overwritten."""
    flat = x.reshape(-1, x.shape[-1])
    if flat.dtype == torch.float32:
        # Without a copy of all absolute values; in bfloat16 that copy is the cheaper way.
        largest = torch.maximum(flat.amax(-1, keepdim=True), flat.amin(-1, keepdim=True).neg_())
    else:
        largest = flat.abs().amax(-1, keepdim=True)
    steps = 127 / largest.clamp_(min=1e-8)
    small = (flat.mul_(steps) if reuse else flat * steps).round_()
    # In bfloat16 the largest may come out as 128. Flipping the highest bit of a signed byte adds 128 to it.
    x8 = small.clamp_(-127, 127).to(torch.int8).view(torch.uint8).bitwise_xor_(_ZERO)
    return Rounded(x8, largest / 127)


@functools.cache
def weight_limit() -> int:
    """The largest weight in bytes whose products this processor sums without cutting them off: 127, or 64."""
    return 127 if _is_exact(127) else 64


def _is_exact(weight: int) -> bool:
    """Whether products of the largest byte and this weight are summed right, of many tokens and of one."""
    inputs, outputs = 64, 64
    packed = torch.ops.onednn.qlinear_prepack(torch.full((outputs, inputs), weight, dtype=torch.int8), None)
    ones, zeros = torch.ones(outputs), torch.zeros(outputs, dtype=torch.long)
    right = float((255 - _ZERO) * weight * inputs)
    return all(
        bool(
            (
                _product(torch.full((tokens, inputs), 255, dtype=torch.uint8), packed, ones, zeros) == right
            ).all()
        )
        for tokens in (1, 64)
    )


def _product(
    x8: torch.Tensor,
    weight: torch.Tensor,
    scales: torch.Tensor,
    zeros: torch.Tensor,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    return torch.ops.onednn.qlinear_pointwise(
        x8, 1.0, _ZERO, weight, scales, zeros, None, 1.0, 0, dtype, "none", [], ""
    )


class Int8Linear(nn.Module):
    """A linear layer in 8 bits, for inference.

    Args:
        weight: float ``(out, in)``, on a CPU.
        bias: ``(out,)``, or None.
        share: `rounded`, shared by layers that are given the same activations; by default not shared.
        limit: the largest weight in bytes; by default `weight_limit`.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        share: Shared[Rounded] | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        limit = weight_limit() if limit is None else limit
        weight = weight.detach().float()
        scales = weight.abs().amax(1).clamp_(min=1e-8) / limit
        packed = (weight / scales[:, None]).round_().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(packed, None)
        self.scales = scales
        self.zeros = torch.zeros(len(scales), dtype=torch.long)
        self.bias = None if bias is None else bias.detach()
        self.rounded = rounded if share is None else share

    @classmethod
    def of(cls, linear: nn.Linear, share: Shared[Rounded] | None = None) -> Int8Linear:
        """The same layer, rounded."""
        return cls(linear.weight, linear.bias, share)

    def unscaled(self, x8: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Bytes ``(tokens, in)`` to ``(tokens, out)`` of a dtype, without the tokens' scales and the bias."""
        return _product(x8, self.weight, self.scales, self.zeros, dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., in)`` to ``(..., out)``, in the dtype of ``x``."""
        x8, scales = self.rounded(x)
        y = self.unscaled(x8, x.dtype).mul_(scales)
        if self.bias is not None:
            y.add_(self.bias)
        return y.view(*x.shape[:-1], self.out_features)


class Int8MLP(nn.Module):
    """LLaMA's gated MLP in 8 bits, without biases; it rounds twice, and writes over its own values.

    Args:
        mlp: with plain linear layers gate_proj, up_proj and down_proj, none of which has a bias.
    """

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = map(Int8Linear.of, linears(mlp, GATED))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., hidden)`` to ``(..., hidden)``."""
        x8, scales = rounded(x)
        gate = F.silu(self.gate_proj.unscaled(x8, x.dtype).mul_(scales), inplace=True)
        h8, inner = rounded(gate.mul_(self.up_proj.unscaled(x8, x.dtype)), reuse=True)
        return self.down_proj.unscaled(h8, x.dtype).mul_(scales * inner).view(x.shape)


def is_supported() -> bool:
    """Whether this processor multiplies bytes faster than float32, and this torch lets it (x86; no other was tried)."""
    return multiplies_bytes()


def would_help(backbone: nn.Module) -> bool:
    """Whether a backbone that is not in bytes yet would be faster in them, on the CPU where it is."""
    plain = (Packed, nn.Linear, Part)
    return (
        next(backbone.parameters()).device.type == "cpu"
        and is_supported()
        and all(type(one) in plain for one in backbone.modules() if hasattr(one, "out_features"))
    )


@torch.no_grad()
def to_int8(backbone: nn.Module) -> int:
    """Replace the linear layers of a backbone without adapters, in place.

    Returns:
        the number of layers replaced.

    Raises:
        VanerError: not on CPU, or on one that does not multiply bytes.
    """
    if next(backbone.parameters()).device.type != "cpu":
        raise VanerError("quantization int8 is for CPU; use 8bit or 4bit on an accelerator, or --device cpu")
    if not is_supported():
        raise VanerError(
            "quantization int8: not faster on this processor, which has no AVX2 or may not use it; leave "
            "--quantization out"
        )
    return _replace(backbone, {})


def _replace(module: nn.Module, same: dict[type, bool]) -> int:
    """``same``: whether a kind of MLP was found to do no more than its products say."""
    changed = 0
    # One after the other, so that no more than one is in memory twice.
    if layers := linears(module, PROJECTED):
        whole = Int8Linear(*as_one(layers))
        for name, part in zip(PROJECTED, parts(layers, whole, whole.weight), strict=True):
            setattr(module, name, part)
            changed += 1
    share: Shared[Rounded] = Shared(rounded)
    for name, child in list(module.named_children()):
        if is_gated(child) and all(one.bias is None for one in linears(child, GATED)):
            small = Int8MLP(child)
            if type(child) not in same:
                same[type(child)] = agree(child, small, _TOLERANCE)
            if same[type(child)]:
                setattr(module, name, small)
                changed += len(GATED)
                continue
        if type(child) is nn.Linear:
            setattr(module, name, Int8Linear.of(child, share))
            changed += 1
        else:
            changed += _replace(child, same)
    return changed
