"""In: real abstracts. Out: resident memory as they are tagged, round by round, and what bounding it costs in time.

    python benchmarks/memory.py --data_root CORPORA --json memory.json

Each contestant is a tagger in a process of its own that reads the next ``documents / rounds`` abstracts whenever it is
its turn, so memory is that of one long run, and speed is compared within each round:

    bounded      the tagger as it is (vaner/tagging/heap.py)
    unbounded    oneDNN's caches as torch has them, free memory kept by malloc, the weights' file kept mapped
    caches       unbounded, but with oneDNN's caches small
    given back   unbounded, but with free memory given back

``--layers 3`` cuts the backbone: the products have the same shapes, so the caches grow alike, in a tenth of the time.
That spans are the same is checked in every round. Keys of the JSON file:

    peak_mb (of the last round, by contestant), seconds_over_unbounded, cpu_seconds_over_unbounded, rows, machine,
    versions

On a busy machine the seconds of the processor say more than those of the clock.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import logging
import os
import time
import warnings
from collections.abc import Sequence

import contest
import machine
import shapes
import torch

from vaner.cli import guarded
from vaner.document import Document
from vaner.errors import VanerError
from vaner.tagging import heap, labeler
from vaner.tagging.threads import workers

# What of `vaner.tagging.heap` each has: small caches, memory given back, the file left.
CONTESTANTS = {
    "bounded": (True, True, True),
    "unbounded": (False, False, False),
    "caches": (True, False, False),
    "given back": (False, True, False),
}


def main() -> None:
    args = _arguments()
    abstracts = shapes.first(shapes.abstracts(args.data_root, args.seed), args.documents)
    size = args.documents // args.rounds
    parts = [abstracts[i * size : (i + 1) * size] for i in range(args.rounds)]
    prepared = [(name, functools.partial(prepare, args, name, parts)) for name in args.contestants]
    entries, _ = contest.gather(prepared, args.device)
    contest.run(entries, args.rounds)
    found = results(entries, size)
    found |= {
        "machine": contest.apart(functools.partial(machine.describe, args.device), args.device),
        "versions": machine.versions(),
        "settings": {k: v for k, v in vars(args).items() if k not in ("data_root", "json")},
    }
    contest.print_table(table(entries, size), "resident MB, peak of each round")
    for key, what in (("seconds_over_unbounded", "seconds"), ("cpu_seconds_over_unbounded", "CPU seconds")):
        for name, one in found[key].items():
            print(f"\n{name}: {one['median']:.3f} times the {what} of unbounded ({contest.spread(one)})")
    contest.write_json(args.json, found)


def _arguments() -> argparse.Namespace:
    parser = contest.parser(__doc__, shapes.SHAPES, rounds=5)
    add = parser.add_argument
    add("--documents", type=int, default=1500, help="abstracts that each contestant reads")
    add(
        "--contestants",
        nargs="+",
        choices=tuple(CONTESTANTS),
        default=["bounded", "unbounded"],
        help="which are compared",
    )
    add("--layers", type=int, metavar="N", help="keep the lower N layers of the backbone only")
    add("--dtype", default="auto", help="as of predict.py")
    add("--quantization", default="none", choices=("none", "int8"), help="as of predict.py")
    add("--model", default=shapes.SHIPPED, help="trained model, for the shape smollm2-135m")
    args = parser.parse_args()
    contest.check_arguments(args, "documents", "layers")
    if args.documents < args.rounds:
        raise VanerError(
            f"--documents is {args.documents} for {args.rounds} rounds; name at least one for each"
        )
    return args


def prepare(
    args: argparse.Namespace, name: str, parts: Sequence[Sequence[Document]]
) -> dict[str, contest.Work]:
    """The tagger of a contestant, in its process, where nothing was computed yet."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    small, given_back, left = CONTESTANTS[name]
    for variable in (heap.PROCESS_CAPACITY, heap.THREAD_CAPACITY):
        os.environ.pop(variable, None)
        if not small:
            os.environ[variable] = "1024"
    heap.limit_products(workers(torch.device(args.device), torch.get_num_threads()))
    if not given_back:
        heap.heap.give_back = lambda: None  # type: ignore[method-assign]
    if not left:
        labeler.leave_file = lambda module: None
    tagger = shapes.tagger(
        args.shape, args.device, model=args.model, dtype=args.dtype, quantization=args.quantization
    )
    if args.layers is not None:
        tagger.model.plain_backbone.layers = tagger.model.plain_backbone.layers[: args.layers]
    loaded = machine.resident_mb()

    def work(round_number: int) -> dict:
        digest = hashlib.sha256()
        began = time.process_time()
        for one in tagger.tag_documents(parts[round_number], shapes.TYPES[:4]):
            digest.update(repr([(s.start, s.end, s.type, s.score) for s in one.spans]).encode())
        return {
            "cpu_seconds": time.process_time() - began,
            "tokens": tagger.tokens,
            "spans": digest.hexdigest(),
            "loaded_mb": loaded,
            "resident_mb": machine.resident_mb(),
        }

    return {name: work}


def results(entries: Sequence[contest.Entry], size: int) -> dict:
    """Peaks and ratios; VanerError where two contestants found something else."""
    for round_number, spans in enumerate(zip(*(one.values("spans") for one in entries), strict=True)):
        if len(set(spans)) > 1:
            raise VanerError(f"round {round_number + 1}: bounding memory changed the spans or their scores")
    return {
        "peak_mb": {one.name: one.values("peak_mb")[-1] for one in entries},
        "seconds_over_unbounded": _over_unbounded(entries, "seconds"),
        "cpu_seconds_over_unbounded": _over_unbounded(entries, "cpu_seconds"),
        "rows": {one.name: one.rounds for one in entries},
        "documents_a_round": size,
    }


def _over_unbounded(entries: Sequence[contest.Entry], key: str) -> dict[str, dict]:
    values = {one.name: one.values(key) for one in entries}
    below = values.pop("unbounded", None)
    return {} if below is None else {name: contest.ratio(own, below) for name, own in values.items()}


def table(entries: Sequence[contest.Entry], size: int) -> list[dict]:
    """A row a contestant."""
    rows = []
    for one in entries:
        row = {"": one.name, "loaded": f"{one.values('loaded_mb')[0]:,.0f}"}
        for number, peak in enumerate(one.values("peak_mb"), start=1):
            row[f"{number * size:,} abstracts"] = f"{peak:,.0f}"
        rows.append(row | {"tokens/s": f"{contest.summary(one.rates('tokens'))['median']:,.0f}"})
    return rows


if __name__ == "__main__":
    raise SystemExit(guarded(main))
