"""In: a merged backbone on a CPU. Out: the same, with fewer and larger steps between its layers.

oneDNN applies what follows a product while its result is still in the processor's cache, and multiplies weights that
were laid out for it beforehand:

    gate = silu(x @ G)             one step, where stock has two
    down = (gate * (x @ U)) @ D    two steps, where stock has three
    q, k, v                        one product with all three, where stock has three with narrow matrices

The numbers differ from the stock ones by rounding only; in bfloat16 less is rounded on the way.
"""

from __future__ import annotations

import torch
from torch import nn

from vaner.kernels.machine import fuses
from vaner.kernels.sharing import GATED, PROJECTED, agree, as_one, is_gated, linears, parts

# Weights are laid out for products with about so many tokens; other numbers are right as well.
_TOKENS = 1024
# Two ways to round are less apart than this share of the largest value.
_TOLERANCE = {torch.bfloat16: 0.02, torch.float32: 1e-4}


class Packed(nn.Module):
    """A linear layer whose weights are laid out for oneDNN, for inference.

    Args:
        weight: bfloat16 or float32 ``(out, in)``, on a CPU.
        bias: ``(out,)``, or None.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _TOKENS)
        self.bias = None if bias is None else bias.detach()

    @classmethod
    def of(cls, linear: nn.Linear) -> Packed:
        """The same layer, laid out; its weights are copied, its bias is shared."""
        return cls(linear.weight, linear.bias)

    def forward(self, x: torch.Tensor, then: str = "none") -> torch.Tensor:
        """``(..., in)`` to ``(..., out)``; ``then``: what follows, ``none`` or ``swish`` (SiLU)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, then, [], "")

    def times(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The product of ``x`` ``(..., in)``, multiplied by ``other`` ``(..., out)``, element by element."""
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "mul")


class FusedMLP(nn.Module):
    """LLaMA's gated MLP in three steps.

    Args:
        mlp: with plain linear layers gate_proj, up_proj and down_proj.
    """

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = map(Packed.of, linears(mlp, GATED))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., hidden)`` to ``(..., hidden)``."""
        return self.down_proj(self.up_proj.times(x, self.gate_proj(x, "swish")))


@torch.no_grad()
def to_fused(backbone: nn.Module) -> int:
    """Replace LLaMA's MLPs and its projections to queries, keys and values in place, where that is faster.

    A backbone of another kind, on another device or with other numbers is left as it is. The weights are then laid out
    for this processor: such a model tags, but is not for saving.

    Returns:
        the number of modules replaced.
    """
    weight = next(backbone.parameters())
    if weight.device.type != "cpu" or not fuses(weight.dtype):
        return 0
    return _replace(backbone, _TOLERANCE[weight.dtype], {})


def _replace(module: nn.Module, tolerance: float, same: dict[type, bool]) -> int:
    """``tolerance``: of `agree`; ``same``: whether a kind of MLP was found to do no more than its products say."""
    changed = 0
    # One after the other, so that no more than one is in memory twice.
    if layers := linears(module, PROJECTED):
        packed = Packed(*as_one(layers))
        for name, part in zip(PROJECTED, parts(layers, packed, packed.weight), strict=True):
            setattr(module, name, part)
            changed += 1
    for name, child in list(module.named_children()):
        if is_gated(child):
            fused = FusedMLP(child)
            if type(child) not in same:
                same[type(child)] = agree(child, fused, tolerance)
            if same[type(child)]:
                setattr(module, name, fused)
                changed += 1
                continue
        changed += _replace(child, tolerance, same)
    return changed
