"""In: real text. Out: what tagging costs as documents grow, as types are added, and as processes are added.

    python benchmarks/scaling.py --data_root CORPORA --json scaling.json

Three tables, each with the exponent e of a fit  cost ~ x^e  (a straight line through the logarithms):

    length       the same words as documents of 32 to 1,024 words: seconds per document against its words.
                 1 is linear: twice the text, twice the time.
    types        the same documents asked for 1, 2, 4, 6 and 12 types at once: seconds against types.
                 0 is free, 1 is one pass per type.
    processes    the same documents over 1 and 2 processes that share the cores, each with a model of its own and
                 every n-th document: seconds until the last is done, against processes. On an accelerator they
                 share it. The number of cores is the same, so 0 is as good as it gets where one process keeps them
                 busy; below 0, more processes pay.

Spans do not depend on processes; that is checked first, in float32. Keys of the JSON file:

    exponent_length, exponent_types, exponent_processes, rows, spread, identity, machine, versions
"""

from __future__ import annotations

import argparse
import functools
import logging
import sys
import time
import warnings
from collections.abc import Sequence

import contest
import machine
import numpy as np
import shapes
import torch

from vaner.cli import guarded
from vaner.document import Document
from vaner.errors import VanerError
from vaner.progress import progress
from vaner.tagging.labeler import Vaner
from vaner.text.units import Text

LENGTHS = (32, 64, 128, 256, 512, 1024)
NUMBERS = (1, 2, 4, 6, 12)


def main() -> None:
    args = _arguments()
    abstracts = shapes.first(shapes.abstracts(args.data_root, args.seed), args.documents)
    by_length = {length: of_length(abstracts, length, args.words) for length in LENGTHS}
    print("checking that shards find what the whole finds (float32) ...", file=sys.stderr)
    identity = contest.apart(functools.partial(check_identity, args, abstracts[:4]), args.device)

    alone = contest.Contestant(functools.partial(one_process, args, by_length, abstracts), args.device)
    entries = [contest.Entry(name, alone) for name in alone.names]
    contest.run(entries, args.rounds)
    together = processes(args, abstracts)
    found = results(args, {entry.name: entry for entry in entries}, by_length, together)
    found |= {
        "identity": identity,
        "machine": contest.apart(functools.partial(machine.describe, args.device), args.device),
        "versions": machine.versions(),
        "documents": len(abstracts),
        "settings": {k: v for k, v in vars(args).items() if k not in ("data_root", "json")},
    }
    show(found)
    contest.write_json(args.json, found)


def _arguments() -> argparse.Namespace:
    parser = contest.parser(__doc__, shapes.SHAPES)
    add = parser.add_argument
    add("--documents", type=int, default=16, help="abstracts for types and processes")
    add("--words", type=int, default=2048, help="words at each length, cut from the same text")
    add("--processes", type=int, nargs="+", default=[1, 2])
    add("--model", default=shapes.SHIPPED, help="trained model, for the shape smollm2-135m")
    add("--batch_tokens", type=int, help="tokens per batch; by default the tagger's own")
    args = parser.parse_args()
    contest.check_arguments(args, "documents", "words", "processes", "batch_tokens")
    if args.words < max(LENGTHS):
        raise VanerError(
            f"--words is {args.words}; the longest document has {max(LENGTHS)}, choose at least that"
        )
    if len(set(args.processes)) < 2 or 1 not in args.processes:
        raise VanerError("--processes: name 1 and at least one other number, as in --processes 1 2")
    if max(args.processes) > args.documents:
        raise VanerError(
            f"--processes is {max(args.processes)} for {args.documents} documents; raise --documents"
        )
    return args


def of_length(abstracts: Sequence[Document], length: int, words: int) -> list[Document]:
    """The first ``words`` words of the abstracts, repeated if they are fewer, as documents of ``length`` words."""
    texts = [Text.of(one) for one in abstracts]
    pieces: list[str] = []
    while len(pieces) < words:
        for text in texts:
            pieces += text.words
    pieces = pieces[:words]
    return [
        Document(f"{length}-{i}", " ".join(pieces[i : i + length]))
        for i in range(0, words - length + 1, length)
    ]


def _tagger(args: argparse.Namespace, **options) -> Vaner:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    return shapes.tagger(args.shape, args.device, model=args.model, batch_tokens=args.batch_tokens, **options)


def one_process(
    args: argparse.Namespace, by_length: dict[int, list[Document]], abstracts: list[Document]
) -> dict[str, contest.Work]:
    tagger = _tagger(args)

    def work(documents: list[Document], types: list[str]) -> contest.Work:
        def tag(_: int) -> dict:
            for _ in tagger.tag_documents(documents, types):
                pass
            return {
                "documents": len(documents),
                "tokens": tagger.tokens,
                "padded_tokens": tagger.padded_tokens,
            }

        return tag

    works = {f"{length} words": work(found, shapes.TYPES[:4]) for length, found in by_length.items()}
    works |= {f"{number} types": work(abstracts, shapes.TYPES[:number]) for number in NUMBERS}
    works["4 types"](0)
    return works


def shard(args: argparse.Namespace, documents: list[Document]) -> dict[str, contest.Work]:
    tagger = _tagger(args)
    types = shapes.TYPES[:4]
    list(tagger.tag_documents(documents[:1], types))

    def tag(_: int) -> dict:
        return {"documents": len(list(tagger.tag_documents(documents, types)))}

    return {"shard": tag}


def processes(args: argparse.Namespace, documents: list[Document]) -> dict[int, list[dict]]:
    """Seconds from the start to the end of the last process, and the sum of their peaks, in every round."""
    cores = contest.apart(functools.partial(threads), args.device)["threads"]
    teams = {}
    for number in progress(args.processes, "processes getting ready"):
        teams[number] = [
            contest.Contestant(
                functools.partial(shard, args, documents[i::number]), args.device, max(1, cores // number)
            )
            for i in range(number)
        ]
    found: dict[int, list[dict]] = {number: [] for number in teams}
    turns = [
        (r, args.processes[(r + i) % len(args.processes)])
        for r in range(args.rounds)
        for i in range(len(args.processes))
    ]
    for round_number, number in progress(turns, "rounds of processes"):
        began = time.perf_counter()
        for one in teams[number]:
            one.send("shard", round_number)
        answers = [one.receive() for one in teams[number]]
        seconds = time.perf_counter() - began
        peak = sum(one["peak_mb"] for one in answers)
        found[number].append({"seconds": seconds, "peak_mb": peak, "documents": len(documents)})
    for team in teams.values():
        for one in team:
            one.stop()
    return found


def threads() -> dict:
    return {"threads": torch.get_num_threads()}


def check_identity(args: argparse.Namespace, documents: list[Document]) -> dict:
    """Raise VanerError unless two shards together have the spans of the whole."""
    tagger = _tagger(args, dtype="float32")
    types = shapes.TYPES[:4]
    whole = _spans(tagger, documents, types)
    shards = [_spans(tagger, documents[i::2], types) for i in range(2)]
    for i, (document, spans) in enumerate(zip(documents, whole, strict=True)):
        if shards[i % 2][i // 2] != spans:
            raise VanerError(
                f"document {document.id}: its spans depend on the shard that it is in; times would not compare"
            )
    return {"documents": len(documents), "mentions_that_agree": sum(map(len, whole))}


def _spans(tagger: Vaner, documents: Sequence[Document], types: list[str]) -> list[set[tuple[int, int, str]]]:
    # Their confidences may differ in the last bit.
    return [{s.key for s in one.spans} for one in tagger.tag_documents(documents, types)]


# --- results ---


def exponent(x: Sequence[float], cost: Sequence[float]) -> float:
    """e of the least-squares fit log cost = e * log x + c."""
    return float(np.polyfit(np.log(x), np.log(cost), 1)[0])


def fitted(x: Sequence[float], costs: Sequence[Sequence[float]]) -> dict:
    """The exponent of every round, as median and spread."""
    return contest.summary([exponent(x, one) for one in zip(*costs, strict=True)])


def results(
    args: argparse.Namespace,
    by_name: dict[str, contest.Entry],
    by_length: dict[int, list[Document]],
    together: dict[int, list[dict]],
) -> dict:
    rows: dict[str, list[dict]] = {"length": [], "types": [], "processes": []}
    costs: dict[str, list[list[float]]] = {"length": [], "types": [], "processes": []}
    for length, documents in by_length.items():
        entry = by_name[f"{length} words"]
        costs["length"].append([one["seconds"] / len(documents) for one in entry.rounds])
        rows["length"].append(_row(length, costs["length"][-1], entry.rounds))
    for number in NUMBERS:
        entry = by_name[f"{number} types"]
        costs["types"].append(entry.values("seconds"))
        rows["types"].append(_row(number, costs["types"][-1], entry.rounds))
    for number, rounds in together.items():
        costs["processes"].append([one["seconds"] for one in rounds])
        rows["processes"].append(_row(number, costs["processes"][-1], rounds))
    x = {"length": list(by_length), "types": NUMBERS, "processes": list(together)}
    spread = {f"exponent_{what}": fitted(x[what], costs[what]) for what in rows}
    return {**{key: value["median"] for key, value in spread.items()}, "rows": rows, "spread": spread}


def _row(x: int, costs: Sequence[float], rounds: Sequence[dict]) -> dict:
    last = rounds[-1]
    row = {"x": x, "seconds": contest.summary(costs), "peak_mb": max(one["peak_mb"] for one in rounds)}
    return row | {key: last[key] for key in ("documents", "tokens", "padded_tokens") if key in last}


def show(found: dict) -> None:
    titles = {
        "length": ("words a document", "seconds a document"),
        "types": ("types", "seconds"),
        "processes": ("processes", "seconds"),
    }
    for what, (name, cost) in titles.items():
        rows = found["rows"][what]
        first = rows[0]["seconds"]["median"]
        table = [
            {
                name: row["x"],
                "documents": row["documents"],
                cost: f"{row['seconds']['median']:.4g}",
                "spread": contest.spread(row["seconds"]),
                f"times the cost of {rows[0]['x']}": f"{row['seconds']['median'] / first:.2f}",
                "tokens computed": f"{row['tokens']:,}" if "tokens" in row else "",
                "peak MB": f"{row['peak_mb']:,.0f}",
            }
            for row in rows
        ]
        contest.print_table([{k: v for k, v in row.items() if v != ""} for row in table], title=what)
        fit = found["spread"][f"exponent_{what}"]
        print(f"\nexponent: {fit['median']:.2f} ({fit['min']:.2f} to {fit['max']:.2f})")
    checked = found["identity"]
    print(
        f"\n{checked['mentions_that_agree']} mentions of {checked['documents']} abstracts are the same in shards"
    )


if __name__ == "__main__":
    raise SystemExit(guarded(main))
