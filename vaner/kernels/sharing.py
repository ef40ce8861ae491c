"""In: linear layers that read the same activations. Out: what they have in common, computed once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from threading import local
from typing import Generic, TypeVar

import torch
from torch import nn

#: LLaMA's projections into its MLP and out of it, and those of its attention that read the same activations.
GATED = ("gate_proj", "up_proj", "down_proj")
PROJECTED = ("q_proj", "k_proj", "v_proj")

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


def linears(module: nn.Module, names: Sequence[str]) -> list[nn.Linear]:
    """The module's plain linear layers of these names; none of them where one is missing or of another kind."""
    found = [getattr(module, name, None) for name in names]
    plain = [one for one in found if type(one) is nn.Linear]
    return plain if len(plain) == len(names) else []


def is_gated(module: nn.Module) -> bool:
    """Whether this looks like LLaMA's MLP: three plain projections, gated by SiLU."""
    act = getattr(module, "act_fn", None)
    return bool(linears(module, GATED)) and type(act).__name__ in ("SiLU", "SiLUActivation")


def agree(stock: nn.Module, other: nn.Module, tolerance: float) -> bool:
    """Whether two MLPs say the same of random activations.

    Args:
        stock: has a linear layer ``gate_proj``, which says how wide activations are and of which dtype.
        tolerance: how far apart two values may be, as a share of the largest.
    """
    gate = linears(stock, GATED)[0]
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(8, gate.in_features, generator=draw).to(gate.weight.dtype)
    a, b = stock(x).float(), other(x).float()
    return bool((a - b).abs().max() <= tolerance * a.abs().max())


def as_one(layers: Sequence[nn.Linear]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of a layer that gives what these give, one after the other in its last dimension."""
    weights: list[torch.Tensor] = [one.weight for one in layers]
    biases: list[torch.Tensor] = [
        torch.zeros(one.out_features, dtype=one.weight.dtype) if one.bias is None else one.bias
        for one in layers
    ]
    has_bias = any(one.bias is not None for one in layers)
    return torch.cat(weights), torch.cat(biases) if has_bias else None


def parts(layers: Sequence[nn.Linear], whole: nn.Module, weight: torch.Tensor) -> list[Part]:
    """What to put in place of layers: parts of the product with all of them, which ``whole`` computes.

    Args:
        layers: that read the same activations.
        whole: a layer with the weights that `as_one` gives.
        weight: of it, as it is laid out.
    """
    sizes = [one.out_features for one in layers]
    together: Shared[Sequence[torch.Tensor]] = Shared(lambda x: whole(x).split(sizes, dim=-1))
    return [Part(one, number, together, weight) for number, one in enumerate(layers)]
