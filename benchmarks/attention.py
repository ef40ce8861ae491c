"""In: the sizes of a model's attention. Out: how long one layer takes by torch's sdpa and by products; one table.

    python benchmarks/attention.py --json attention.json

One layer of grouped-query attention with a mask of padding, forward and backward, in the number format that models
compute in on the machine (bfloat16 where it has instructions for it). Before anything is timed, both must give the same
values and gradients in float32. They take turns, in rounds; medians. ``ratio`` is torch's time, forward and backward,
over ours. Keys of the JSON file: rows, dtype, machine, versions.
"""

from __future__ import annotations

import sys
import time

import contest
import machine
import shapes
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from vaner.cli import guarded
from vaner.errors import VanerError
from vaner.kernels import grouped

# Rows of a batch by tokens of a row: what a budget of 1,536 tokens makes of sentences, units and long text.
BATCHES = ((24, 64), (16, 96), (12, 128), (8, 192), (4, 384), (2, 768))


class Layer(nn.Module):
    is_causal = False

    def __init__(self, group: int) -> None:
        super().__init__()
        self.num_key_value_groups = group


def main() -> None:
    parser = contest.parser(__doc__, shapes.SHAPES, rounds=15)
    args = parser.parse_args()
    contest.check_arguments(args)
    config = shapes.config(args.shape)
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    layer = Layer(heads // groups)
    functions = {"torch": sdpa_attention_forward, "products": grouped.attend}
    dtype = machine.dtype_of(args.device)
    rows = []
    for batch, tokens in BATCHES:
        torch.manual_seed(args.seed)
        size = config.hidden_size // heads
        shapes_ = [(batch, tokens, n, size) for n in (heads, groups, groups)]
        inputs = [torch.randn(s, device=args.device).transpose(1, 2) for s in shapes_]
        mask = torch.ones(batch, 1, tokens, tokens, dtype=torch.bool, device=args.device)
        mask[0, :, :, -3:] = False
        check(layer, functions, inputs, mask)
        halves = [one.to(dtype) for one in inputs]
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
        # One round that is not counted.
        for turn in range(args.rounds + 1):
            for name in sorted(functions, reverse=bool(turn % 2)):
                found = step(functions[name], layer, halves, mask, args.device)
                if turn:
                    times[name].append(found)
        row: dict[str, object] = {"rows x tokens": f"{batch} x {tokens}"}
        for name, values in times.items():
            for part, which in (("forward", 0), ("backward", 1)):
                row[f"{name} {part}, ms"] = contest.summary([1000 * one[which] for one in values])
        row["ratio"] = contest.ratio(*([f + b for f, b in times[name]] for name in ("torch", "products")))
        rows.append(row)
    shown = [
        {k: f"{v['median']:.2f} ({contest.spread(v)})" if isinstance(v, dict) else v for k, v in row.items()}
        for row in rows
    ]
    contest.print_table(shown)
    page = {
        "rows": rows,
        "dtype": machine.name_of(dtype),
        "machine": machine.describe(args.device),
        "versions": machine.versions(),
    }
    contest.write_json(args.json, page)


def step(function, layer: Layer, inputs, mask, device: str) -> tuple[float, float]:
    """Seconds of a forward and of a backward pass."""
    leaves = [one.detach().requires_grad_() for one in inputs]
    machine.synchronize(device)
    began = time.perf_counter()
    out = function(layer, *leaves, mask)[0]
    machine.synchronize(device)
    between = time.perf_counter()
    out.backward(torch.ones_like(out))
    machine.synchronize(device)
    return between - began, time.perf_counter() - between


def check(layer: Layer, functions: dict, inputs, mask) -> None:
    """Raise VanerError unless values and gradients agree in float32."""
    found = []
    for function in functions.values():
        leaves = [one.detach().requires_grad_() for one in inputs]
        out = function(layer, *leaves, mask)[0]
        (out * torch.linspace(0, 1, out.numel(), device=out.device).view_as(out)).sum().backward()
        found.append([out.detach(), *(one.grad for one in leaves)])
    for name, one, other in zip(("values", "query", "key", "value"), *found, strict=True):
        if not torch.allclose(one, other, rtol=1e-3, atol=1e-4):
            raise VanerError(f"{name}: the two differ by {(one - other).abs().max():.2g} in float32")


if __name__ == "__main__":
    sys.exit(guarded(main))
