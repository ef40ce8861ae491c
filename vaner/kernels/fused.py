"""In: a merged backbone in bfloat16 on a CPU. Out: the same, with fewer and larger steps between its layers.

oneDNN applies what follows a product while its result is still in the processor's cache, and multiplies weights that
were laid out for it beforehand:

    gate = silu(x @ G)             one step, where stock has two
    down = (gate * (x @ U)) @ D    two steps, where stock has three
    q, k, v                        one product with all three, where stock has three with narrow matrices

The numbers differ from the stock ones by rounding only: less is rounded to bfloat16 on the way.
"""

from __future__ import annotations

import platform
import weakref
from collections.abc import Callable, Sequence
from threading import local
from typing import Generic, TypeVar

import torch
from torch import nn

# Weights are laid out for products with about so many tokens; other numbers are right as well.
_TOKENS = 1024
# Two ways to round to bfloat16 are less apart than this share of the largest value.
_TOLERANCE = 0.02

_GATED = ("gate_proj", "up_proj", "down_proj")
_PROJECTED = ("q_proj", "k_proj", "v_proj")

T = TypeVar("T")


class Shared(Generic[T]):
    """What several layers make of the same activations, made once, and kept while those live.

    Every thread keeps its own: several read batches at a time.

    Args:
        make: activations, of any shape -> what is made of them.
    """

    def __init__(self, make: Callable[[torch.Tensor], T]) -> None:
        self.make = make
        self.own = local()

    def __call__(self, x: torch.Tensor) -> T:
        kept: tuple[weakref.ref[torch.Tensor], T] | None = getattr(self.own, "kept", None)
        if kept is not None and kept[0]() is x:
            return kept[1]
        made = self.make(x)
        # A reference to the activations would keep those of every layer until the next batch.
        self.own.kept = weakref.ref(x, self._forget), made
        return made

    def _forget(self, of: weakref.ref[torch.Tensor]) -> None:
        # Usually on the thread that made it; on another there is nothing of it to forget.
        if getattr(self.own, "kept", (None, None))[0] is of:
            del self.own.kept


class Packed(nn.Module):
    """A linear layer whose weights are laid out for oneDNN, for inference.

    Args:
        weight: bfloat16 ``(out, in)``, on a CPU.
        bias: bfloat16 ``(out,)``, or None.
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
        self.gate_proj, self.up_proj, self.down_proj = map(Packed.of, _linears(mlp, _GATED))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., hidden)`` to ``(..., hidden)``."""
        return self.down_proj(self.up_proj.times(x, self.gate_proj(x, "swish")))


class Part(nn.Module):
    """One of several linear layers that are multiplied together.

    Args:
        linear: the layer that it stands for.
        number: which of them it is, from 0.
        together: activations -> the products of all of them.
        weight: of all of them, as it is laid out; read for its dtype and device only.
    """

    def __init__(
        self,
        linear: nn.Linear,
        number: int,
        together: Shared[Sequence[torch.Tensor]],
        weight: torch.Tensor,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.number, self.together, self.weight = number, together, weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(..., in)`` to ``(..., out)``, a view of the product with all of them."""
        return self.together(x)[self.number]


def is_supported() -> bool:
    """Whether this torch has oneDNN's fused products, and this processor bfloat16's (x86; no other was tried)."""
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


@torch.no_grad()
def to_fused(backbone: nn.Module) -> int:
    """Replace LLaMA's MLPs and its projections to queries, keys and values in place, where it can be done.

    A backbone of another kind, on another device or with other numbers is left as it is. The weights are then laid out
    for this processor: such a model tags, but is not for saving.

    Returns:
        the number of modules replaced.
    """
    weight = next(backbone.parameters())
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or not is_supported():
        return 0
    changed = 0
    # What a kind of MLP does beside its three products shows in one of them.
    same: dict[type, bool] = {}
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if _is_gated(child):
                fused = FusedMLP(child)
                if type(child) not in same:
                    same[type(child)] = _agree(child, fused)
                if same[type(child)]:
                    setattr(parent, name, fused)
                    changed += 1
        if linears := _linears(parent, _PROJECTED):
            for name, part in zip(_PROJECTED, _together(linears), strict=True):
                setattr(parent, name, part)
                changed += 1
    return changed


def _linears(module: nn.Module, names: Sequence[str]) -> list[nn.Linear]:
    """The module's plain linear layers of these names; none of them where one is missing or of another kind."""
    found = [getattr(module, name, None) for name in names]
    linears = [one for one in found if type(one) is nn.Linear]
    return linears if len(linears) == len(names) else []


def _together(linears: Sequence[nn.Linear]) -> list[Part]:
    weights: list[torch.Tensor] = [one.weight for one in linears]
    biases: list[torch.Tensor] = [
        torch.zeros(one.out_features, dtype=one.weight.dtype) if one.bias is None else one.bias
        for one in linears
    ]
    has_bias = any(one.bias is not None for one in linears)
    packed = Packed(torch.cat(weights), torch.cat(biases) if has_bias else None)
    sizes = [one.out_features for one in linears]
    together: Shared[Sequence[torch.Tensor]] = Shared(lambda x: packed(x).split(sizes, dim=-1))
    return [Part(one, number, together, packed.weight) for number, one in enumerate(linears)]


def _is_gated(module: nn.Module) -> bool:
    act = getattr(module, "act_fn", None)
    return bool(_linears(module, _GATED)) and type(act).__name__ in ("SiLU", "SiLUActivation")


def _agree(stock: nn.Module, fused: FusedMLP) -> bool:
    x = torch.randn(8, fused.gate_proj.in_features, generator=torch.Generator().manual_seed(0)).to(
        torch.bfloat16
    )
    a, b = stock(x).float(), fused(x).float()
    return bool((a - b).abs().max() <= _TOLERANCE * a.abs().max())
