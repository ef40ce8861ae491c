"""In: nothing but the machine. Out: how fast a forward pass is by each way to multiply that it has; one table.

    python benchmarks/products.py --json products.json
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/products.py      as on a lesser processor

The backbone alone, merged, 8 rows of 128 random tokens, on one thread of a CPU, in CPU seconds of that thread: other
processes on the machine count less so. The ways take turns, in rounds; medians. ``gain`` is over stock modules in
float32, round by round. bfloat16 is left out where it is emulated. Keys of the JSON file: rows, machine, versions,
instructions.
"""

from __future__ import annotations

import sys
import time

import contest
import machine
import shapes
import torch

from vaner.cli import guarded
from vaner.errors import VanerError
from vaner.kernels.int8 import is_supported
from vaner.kernels.machine import fuses, instructions, multiplies_bfloat16

ROWS, TOKENS = 8, 128


def main() -> None:
    parser = contest.parser(__doc__, shapes.SHAPES, rounds=5)
    args = parser.parse_args()
    contest.check_arguments(args)
    if args.device != "cpu":
        raise VanerError("products.py is about processors; leave --device out, or set it to cpu")
    torch.set_num_threads(1)
    backbones = {
        name: shapes.tagger(args.shape, "cpu", **options).model.plain_backbone
        for name, options in ways().items()
    }
    draw = torch.Generator().manual_seed(args.seed)
    ids = torch.randint(1000, 40_000, (ROWS, TOKENS), generator=draw)
    times: dict[str, list[float]] = {name: [] for name in backbones}
    # One round that is not counted.
    for turn in range(args.rounds + 1):
        for name in sorted(backbones, reverse=bool(turn % 2)):
            seconds = read(backbones[name], ids)
            if turn:
                times[name].append(seconds)
    stock = times["float32, stock"]
    rows = [
        {
            "products": name,
            "tokens/s": contest.summary([ids.numel() / one for one in seconds]),
            "gain": contest.ratio(stock, seconds),
        }
        for name, seconds in times.items()
    ]
    shown = [
        {k: f"{v['median']:,.2f} ({contest.spread(v)})" if isinstance(v, dict) else v for k, v in row.items()}
        for row in rows
    ]
    contest.print_table(shown)
    page = {
        "rows": rows,
        "machine": machine.describe("cpu"),
        "versions": machine.versions(),
        "instructions": instructions(),
    }
    contest.write_json(args.json, page)


def ways() -> dict[str, dict]:
    """Names of the ways to multiply that this machine has, and the options of `shapes.tagger` that choose them."""
    found: dict[str, dict] = {"float32, stock": dict(dtype="float32", fused=False)}
    if fuses(torch.float32):
        found["float32, fused"] = dict(dtype="float32")
    if is_supported():
        found["float32, int8"] = dict(dtype="float32", quantization="int8")
    if multiplies_bfloat16():
        found["bfloat16, stock"] = dict(dtype="bfloat16", fused=False)
        found["bfloat16, fused"] = dict(dtype="bfloat16")
        found["bfloat16, int8"] = dict(dtype="bfloat16", quantization="int8")
    return found


@torch.inference_mode()
def read(backbone: torch.nn.Module, ids: torch.Tensor) -> float:
    """CPU seconds of a forward pass."""
    began = time.thread_time()
    backbone(input_ids=ids)
    return time.thread_time() - began


if __name__ == "__main__":
    sys.exit(guarded(main))
