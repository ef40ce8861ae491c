"""In: what each process of a run thinks. Out: what all of them do: one decision, whoever's clock it came from.

Processes that decided for themselves would wait for each other for ever: one evaluates, the other trains on.
"""

from __future__ import annotations

import torch
from torch import distributed


def of_first(value: float) -> float:
    """The first process's value, on all of them."""
    if not several():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=_device())
    distributed.broadcast(shared, src=0)
    return float(shared.item())


def of_any(flag: bool) -> bool:
    """Whether it is so on any process, on all of them."""
    if not several():
        return flag
    shared = torch.tensor([int(flag)], device=_device())
    distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
    return bool(shared.item())


def several() -> bool:
    """Whether there are several processes."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _device() -> torch.device:
    # NCCL moves what lies on a GPU only, gloo what lies in memory.
    on_gpu = "nccl" in str(distributed.get_backend())
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
