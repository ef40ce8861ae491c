"""In: folders that train.py wrote. Out: strict F1, seconds and peak memory per abstract of each, side by side.

    python train.py --mix bc5cdr-pubtator --max_steps 60 --output_dir runs/labeler
    python train.py --mix bc5cdr-pubtator --max_steps 60 --head generate --output_dir runs/generator
    python benchmarks/generator.py runs/labeler runs/generator --corpus bc5cdr-pubtator --documents 8 --json out.json

Each model tags the same dev documents in a process of its own, one after the other. Scores are micro-F1 with 95 %
intervals over documents. Keys of the JSON file: rows, machine, versions.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from typing import Any

import machine
from tabulate import tabulate

from vaner import provenance
from vaner.cli import guarded
from vaner.corpora.registry import read_registry
from vaner.evaluation.run import Gold, evaluate
from vaner.files import replacing_text
from vaner.tagging.loading import load


def main() -> None:
    args = _arguments()
    rows = {}
    for folder in args.models:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows[folder] = pool.apply(
                _measured, (folder, args.corpus, args.data_root, args.documents, args.every)
            )
        print(_table({folder: rows[folder]}), flush=True)
    print(_table(rows))
    if args.json:
        found = {
            "rows": rows,
            "machine": machine.describe("cpu"),
            "versions": provenance.versions(("torch", "transformers", "peft", "llguidance")),
        }
        with replacing_text(args.json) as file:
            json.dump(found, file, indent=1)


def _measured(folder: str, name: str, data_root: str | None, most: int, every: int) -> dict[str, Any]:
    corpus = read_registry()[name]
    documents = list(corpus.documents("dev", data_root, on_error="skip"))[::every][:most]
    tagger = load(folder, device="cpu")
    loaded = _peak()
    started = time.perf_counter()
    tagged = list(tagger.tag_documents(documents, sorted(corpus.annotated), corpus.instruction_name))
    seconds = time.perf_counter() - started
    gold = Gold(name, documents, "dev", corpus.instruction_name)
    (result,) = evaluate(gold, tagged).results
    micro = result["overall"]["micro"]
    return {
        **{key: micro[key] for key in ("precision", "recall", "f1")},
        "interval": micro["interval"]["f1"],
        "mistakes": result["mistakes"]["overall"]["micro"],
        "documents": len(documents),
        "seconds_per_abstract": seconds / len(documents),
        "mb_after_loading": loaded,
        "peak_mb": _peak(),
        "remarks": tagger.remarks(),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [
        (
            name,
            f"{100 * row['f1']:.1f} ({100 * row['interval'][0]:.1f} - {100 * row['interval'][1]:.1f})",
            f"{100 * row['precision']:.1f}",
            f"{100 * row['recall']:.1f}",
            f"{row['seconds_per_abstract']:.2f}",
            f"{row['peak_mb']:,}",
            " / ".join(str(row["mistakes"][k]) for k in ("boundary", "type", "both", "missed", "spurious")),
        )
        for name, row in rows.items()
    ]
    headers = ("model", "F1", "P", "R", "s / abstract", "peak MB", "boundary/type/both/missed/spurious")
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("models", nargs="+", help="folders that train.py wrote")
    add("--corpus", default="bc5cdr-sample", help="of the registry, with a dev split")
    add("--data_root", help="where the corpora are; without it $VANER_DATA")
    add("--documents", type=int, default=8, help="how many")
    add("--every", type=int, default=1, help="take every so many-th document of the split")
    add("--json", metavar="FILE", help="write every number")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(guarded(main))
