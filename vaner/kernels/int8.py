"""In: a merged backbone on CPU. Out: the same, its projections multiplied in 8 bits.

Weights are rounded once, each output channel on its own scale; activations as they come, each token on its own scale
(one token may have values many times larger than its neighbours'). The products are summed in 32 bits:

    y[token, out]  =  s[token] * s[out] * sum over in of  x8[token, in] * w8[out, in]

x8 is unsigned with 128 for zero, because that is what the processor's instruction (VNNI) multiplies.
"""

from __future__ import annotations

import torch
from torch import nn

from vaner.errors import VanerError
from vaner.kernels.fused import Shared

_ZERO = 128


def _rounded(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unsigned bytes ``(tokens, in)`` and the scale of each token ``(tokens, 1)``."""
    flat = x.reshape(-1, x.shape[-1])
    largest = flat.abs().amax(-1, keepdim=True).clamp_(min=1e-8)
    rounded = (flat * (127 / largest)).round_().clamp_(-127, 127).to(torch.int8)
    # Flipping the highest bit of a signed byte adds 128 to it.
    return rounded.view(torch.uint8).bitwise_xor_(_ZERO), largest / 127


class Int8Linear(nn.Module):
    """A linear layer in 8 bits, for inference.

    Args:
        linear: whose weights and bias are taken.
        rounded: `_rounded`, shared by the layers that are given the same activations (q, k and v; gate and up).
    """

    def __init__(self, linear: nn.Linear, rounded: Shared[tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        scales = weight.abs().amax(1).clamp_(min=1e-8) / 127
        packed = (weight / scales[:, None]).round_().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(packed, None)
        self.scales = scales
        self.zeros = torch.zeros(len(scales), dtype=torch.long)
        self.bias = None if linear.bias is None else linear.bias.detach()
        self.rounded = rounded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., in)`` to ``(..., out)``, in the dtype of ``x``."""
        rounded, scales = self.rounded(x)
        y = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, _ZERO, self.weight, self.scales, self.zeros, None, 1.0, 0, x.dtype, "none", [], ""
        )
        y.mul_(scales)
        if self.bias is not None:
            y.add_(self.bias)
        return y.view(*x.shape[:-1], self.out_features)


def is_supported() -> bool:
    """Whether this processor multiplies bytes faster than other numbers (AVX-512 VNNI), and oneDNN uses that."""
    # oneDNN, which may be told to use less than the processor has, says so of bfloat16 only; that too needs AVX-512.
    return (
        torch.cpu._is_vnni_supported()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        and hasattr(torch.ops.onednn, "qlinear_prepack")
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
        raise VanerError("quantization int8: this processor has no AVX-512 VNNI; leave --quantization out")
    changed = 0
    for parent in list(backbone.modules()):
        rounded = Shared(_rounded)
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, Int8Linear(child, rounded))
                changed += 1
    return changed
