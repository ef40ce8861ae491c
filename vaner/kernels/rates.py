"""In: a kind of number. Out: how many operations a second this machine does in products of such matrices."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from vaner.kernels.int8 import Int8Linear
from vaner.kernels.machine import instructions, multiplies_bfloat16, multiplies_bytes

# A batch of tokens by an MLP's matrix, of the size of SmolLM2-135M's.
_TOKENS, _INNER, _COLUMNS = 1024, 576, 1536
#: How long each kind is measured, in seconds; one product more may be under way.
SECONDS = 0.4


def kinds(device: str) -> list[str]:
    """What can be measured: no numbers that the processor only emulates, which takes minutes."""
    if device != "cpu":
        return ["float32", "bfloat16" if torch.cuda.is_bf16_supported(False) else "float16"]
    found = ["float32"]
    if multiplies_bfloat16() or "bf16" in instructions():
        found.append("bfloat16")
    if multiplies_bytes():
        found.append("int8")
    return found


@torch.inference_mode()
def rate(kind: str, device: str, seconds: float = SECONDS) -> float:
    """Operations a second, of the fastest product.

    Args:
        kind: one of `kinds`; ``int8`` counts the product alone, not the rounding of activations.
        device: ``cpu``, on all threads of torch, or ``cuda``.
        seconds: how long to repeat it.
    """
    multiply = _product(kind, device)
    waits = torch.cuda.synchronize if device != "cpu" else (lambda: None)
    # The first lays things out for later ones.
    multiply()
    waits()
    fastest = float("inf")
    end = time.perf_counter() + seconds
    while True:
        started = time.perf_counter()
        multiply()
        waits()
        now = time.perf_counter()
        fastest = min(fastest, now - started)
        if now > end:
            return 2 * _TOKENS * _INNER * _COLUMNS / fastest


def _product(kind: str, device: str) -> Callable[[], object]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(_TOKENS, _INNER, generator=draw)
    weight = torch.randn(_COLUMNS, _INNER, generator=draw)
    if kind == "int8":
        small = Int8Linear(weight)
        x8 = torch.randint(1, 256, x.shape, dtype=torch.uint8, generator=draw)
        return lambda: small.unscaled(x8, torch.float32)
    dtype = getattr(torch, kind)
    x, weight = x.to(device, dtype), weight.to(device, dtype)
    return lambda: torch.nn.functional.linear(x, weight)
