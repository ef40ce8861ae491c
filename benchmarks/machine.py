"""In: nothing, or a model and the lengths of its rows. Out: what this machine is and can do, and what a pass costs.

The floor under every time here is arithmetic: floating-point operations of the backbone, counted for real tokens
only, over the rate at which torch multiplies large matrices on the same machine in the same minutes, in the number
format that the tagger computes in there (`dtype_of`).

    operations of a forward pass  =  2 * (weights of the linear layers) * tokens
                                   + 4 * layers * heads * head size * (pairs of tokens that see each other)

Embedding, norms, activations, softmax and the head are left out: they are under 2 % of it.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from vaner import provenance
from vaner.model.adapting import choose_dtype


def describe(device: str) -> dict[str, object]:
    """The processor or accelerator, memory, threads, and how busy the machine was when asked."""
    found: dict[str, object] = {
        "device": device,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "accelerator": properties.name,
            "accelerator_memory_gb": round(properties.total_memory / 1e9, 1),
            "cuda": torch.version.cuda,
        }
    return found


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def versions(*packages: str) -> dict[str, str]:
    """Of vaner, of what it stands on, and of these packages where they are installed."""
    found = provenance.versions((*provenance.PACKAGES, *packages))
    return found | {"commit": provenance.commit() or "unknown"}


# --- what the machine can do ---


def dtype_of(device: str) -> torch.dtype:
    """The numbers that the tagger computes in where nothing else is asked: bfloat16, or float32 on a CPU without it."""
    return choose_dtype("auto", device)


def name_of(dtype: torch.dtype) -> str:
    """``bfloat16`` for ``torch.bfloat16``."""
    return str(dtype).removeprefix("torch.")


class MatmulRate:
    """Measures how fast torch multiplies matrices.

    Three products: tokens by the model's own MLP, its way back, and a large square one. The best of them is the
    machine's rate, so that a model is measured against what the machine can do, not against its own shape.

    Args:
        hidden, intermediate: sizes of the backbone.
        device: ``cpu`` or ``cuda``.
        dtype: of the matrices; by default that of `dtype_of`.
        seconds: about how long each product is repeated. On a machine so slow that one of them would take longer,
            it has fewer rows.
    """

    def __init__(
        self,
        hidden: int,
        intermediate: int,
        device: str,
        dtype: torch.dtype | None = None,
        seconds: float = 0.4,
    ) -> None:
        self.device = device
        self.dtype = dtype_of(device) if dtype is None else dtype
        self.seconds = seconds
        draw = torch.Generator(device).manual_seed(0)
        options = {"dtype": self.dtype, "device": device, "generator": draw}

        def pair(rows: int, inner: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.randn(rows, inner, **options), torch.randn(inner, columns, **options)

        side = 8192 if device == "cuda" else 2048
        # A small product first: it tells how many rows the large ones may have.
        small = pair(64, 256, 256)
        a_row = 2 * side * side / self._rate(*small, least=2, seconds=0.0)
        rows = max(64, min(side, int(seconds / a_row)))
        self.pairs = [
            pair(rows, hidden, intermediate),
            pair(rows, intermediate, hidden),
            pair(rows, side, side),
        ]

    def __call__(self) -> float:
        """Operations a second."""
        return max(self._rate(a, b, least=5, seconds=self.seconds) for a, b in self.pairs)

    def _rate(self, a: torch.Tensor, b: torch.Tensor, *, least: int, seconds: float) -> float:
        a @ b
        times = []
        began = time.perf_counter()
        while len(times) < least or time.perf_counter() - began < seconds:
            synchronize(self.device)
            start = time.perf_counter()
            a @ b
            synchronize(self.device)
            times.append(time.perf_counter() - start)
        return 2 * a.shape[0] * a.shape[1] * b.shape[1] / statistics.median(times)


def synchronize(device: str) -> None:
    """Wait until the accelerator has done what it was told."""
    if device == "cuda":
        torch.cuda.synchronize()


# --- what a pass costs ---


def linear_weights(backbone: nn.Module) -> tuple[int, int]:
    """Weights of the linear layers of a backbone: (its own, those of LoRA)."""
    own = lora = 0
    for name, module in backbone.named_modules():
        # A LoRA layer shows its base's sizes and weight as its own: only leaves are counted.
        if hasattr(module, "in_features") and hasattr(module, "weight") and not list(module.children()):
            size = module.in_features * module.out_features
            if "lora_" in name:
                lora += size
            else:
                own += size
    return own, lora


def attention_size(config) -> int:
    """layers * heads * head size: multiplications for one pair of tokens, in one of attention's two products."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.num_hidden_layers * config.num_attention_heads * head


def forward_operations(backbone: nn.Module, rows: Sequence[tuple[int, float]]) -> float:
    """Floating-point operations of forward passes.

    Args:
        backbone: a transformers model, adapters merged or not.
        rows: of each row the tokens that are computed, and the tokens that each of them sees on average.
    """
    own, lora = linear_weights(backbone)
    tokens = sum(one for one, _ in rows)
    pairs = sum(one * seen for one, seen in rows)
    return 2.0 * (own + lora) * tokens + 4.0 * attention_size(backbone.config) * pairs


def training_operations(backbone: nn.Module, rows: Sequence[tuple[int, float]]) -> float:
    """Floating-point operations of forward and backward passes of LoRA: frozen weights get no gradient.

    Per token 2 forward and 2 backward for each frozen weight, 2 and 4 for each of LoRA's; attention 4 forward and
    8 backward. Recomputation (gradient checkpointing) is not counted: it is a price, not work.
    """
    own, lora = linear_weights(backbone)
    tokens = sum(one for one, _ in rows)
    pairs = sum(one * seen for one, seen in rows)
    return (4.0 * own + 6.0 * lora) * tokens + 12.0 * attention_size(backbone.config) * pairs


class ForwardClock:
    """Seconds in which a module's forward pass was under way, however often and by whomever it was called.

    Passes of several threads at once count once. On an accelerator the time comes from events, so that nothing waits
    that did not wait before.
    """

    def __init__(self, module: nn.Module, device: str) -> None:
        self.device = device
        self._spans: list[tuple] = []
        self._own = threading.local()
        module.register_forward_pre_hook(self._before)
        module.register_forward_hook(self._after)

    def _now(self):
        if self.device != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _before(self, *_) -> None:
        self._own.started = self._now()

    def _after(self, *_) -> None:
        self._spans.append((self._own.started, self._now()))

    def take(self) -> float:
        """The seconds since the last call; nothing may be under way."""
        synchronize(self.device)
        if self.device == "cuda":
            seconds = sum(a.elapsed_time(b) for a, b in self._spans) / 1e3
        else:
            seconds = covered(self._spans)
        self._spans.clear()
        return seconds


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Seconds that lie in at least one of ``(start, end)``."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


# --- memory ---


def reset_peak(device: str) -> None:
    """Begin a new peak of this process's memory."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the peak since the process began is then reported, which is never too small


def peak_mb(device: str) -> float:
    """Peak since `reset_peak`: allocated on the accelerator, or resident (Linux; else since the process began)."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return _status_mb("VmHWM")


def resident_mb() -> float:
    """Memory of this process that is resident now (Linux; else the most since the process began)."""
    return _status_mb("VmRSS")


def _status_mb(key: str) -> float:
    path = Path("/proc/self/status")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
