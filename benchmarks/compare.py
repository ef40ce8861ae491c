"""In: one training config, variants of it as flags, seeds. Out: dev F1 and tokens/s of each, one table.

    python benchmarks/compare.py --config configs/compare.yaml --seeds 1 2 3 --json out.json --data_root CORPORA \\
        --variant "typed: --head typed" --variant "shared: --head shared"

Every run is one train.py in a process of its own, seeds outside and variants inside, so that a machine that slows
down slows all variants. Finished runs are found again in --runs: a comparison that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats
from tabulate import tabulate

from vaner import provenance
from vaner.cli import guarded
from vaner.errors import VanerError

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="what all variants share")
    parser.add_argument("--variant", action="append", required=True, metavar="'NAME: FLAGS'")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--runs", default="runs/compare", metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--data_root", metavar="FOLDER")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    variants = dict(parse(word) for word in args.variant)
    records: dict[str, list[dict]] = {name: [] for name in variants}
    for seed in args.seeds:
        for name, flags in variants.items():
            folder = Path(args.runs) / f"{Path(args.config).stem}-{name.replace(' ', '-')}-{seed}"
            records[name].append(run(folder, args, flags, seed))
    page = {
        "config": args.config,
        "variants": {name: shlex.join(flags) for name, flags in variants.items()},
        "seeds": args.seeds,
        "versions": provenance.versions(),
        "results": {name: summary(found, records[next(iter(variants))]) for name, found in records.items()},
    }
    print(table(page))
    if args.json:
        Path(args.json).write_text(json.dumps(page, indent=2) + "\n")


def parse(word: str) -> tuple[str, list[str]]:
    name, colon, flags = word.partition(":")
    if not colon or not name.strip():
        raise VanerError(f"--variant {word!r}: write 'name: --flag value ...'")
    return name.strip(), shlex.split(flags)


def run(folder: Path, args: argparse.Namespace, flags: Sequence[str], seed: int) -> dict:
    """Train one variant with one seed, unless it was; its record."""
    record = folder / "run.json"
    if not record.is_file():
        command = [sys.executable, str(ROOT / "train.py"), "--config", args.config, *flags]
        command += ["--seed", str(seed), "--output_dir", str(folder)]
        command += ["--data_root", args.data_root] if args.data_root else []
        print(f"{folder.name}: training", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "train.log", "w") as log:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT)
        if done.returncode:
            last = (folder / "train.log").read_text().strip().splitlines()[-1:]
            raise VanerError(f"{folder.name}: train.py ended with {done.returncode}: {''.join(last)}")
    return json.loads(record.read_text())


def summary(records: Sequence[dict], first: Sequence[dict]) -> dict:
    """Means over seeds with 95 % t-intervals, and the paired difference to the first variant."""
    scores = {name: [r["dev"][name]["f1"] for r in records] for name in records[0]["dev"]}
    against = {name: [r["dev"][name]["f1"] for r in first] for name in first[0]["dev"]}
    scores["mean"] = np.mean(list(scores.values()), axis=0).tolist()
    against["mean"] = np.mean(list(against.values()), axis=0).tolist()
    return {
        "f1": {
            name: {"mean": float(np.mean(v)), "interval": interval(v), "seeds": v}
            for name, v in scores.items()
        },
        "difference": {
            name: {"mean": float(np.mean(d)), "interval": interval(d)}
            for name, v in scores.items()
            for d in [np.subtract(v, against[name]).tolist()]
        },
        "tokens": [r["tokens"] for r in records],
        "updates": [r["updates"] for r in records],
        "training_minutes": [r["training_minutes"] for r in records],
    }


def interval(values: Sequence[float]) -> list[float] | None:
    """95 % t-interval of a mean over seeds; None for one seed."""
    if len(values) < 2:
        return None
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return [float(np.mean(values) - half), float(np.mean(values) + half)]


def table(page: dict) -> str:
    rows = []
    for name, found in page["results"].items():
        row: list[str] = [name]
        for score in found["f1"].values():
            row.append(shown(score))
        difference = found["difference"]["mean"]
        row.append("" if found is next(iter(page["results"].values())) else shown(difference, "+"))
        row.append(f"{np.mean(found['tokens']):,.0f}")
        row.append(f"{np.mean(found['training_minutes']):.1f}")
        rows.append(row)
    corpora = list(next(iter(page["results"].values()))["f1"])
    header = ["variant", *corpora, "difference", "tokens", "minutes"]
    said = (
        f"strict dev F1 in percent, mean of seeds {', '.join(map(str, page['seeds']))} with 95 % t-interval"
    )
    return f"{said}\n{tabulate(rows, header, tablefmt='github')}"


def shown(score: dict, sign: str = "") -> str:
    found = f"{100 * score['mean']:{sign}.2f}"
    if score["interval"]:
        low, high = score["interval"]
        found += f" ({100 * low:{sign}.1f} to {100 * high:{sign}.1f})"
    return found


if __name__ == "__main__":
    sys.exit(guarded(main))
