"""In: one training config, variants of it as flags, seeds. Out: dev F1 and tokens/s of each variant, one table.

    python benchmarks/compare.py --config configs/compare-updates.yaml --seeds 1 2 3 --data_root CORPORA \\
        --json out.json --variant "typed: --head typed" --variant "shared: --head shared"

Every run is one train.py in a process of its own; all variants of a seed come before the next seed, so that a machine
that slows down slows all variants. Finished runs are found again in --runs: a comparison that was cut off goes on.

A type that training never sees is scored by leaving it out (``--skip_types CellLine`` in the config or a variant), or
by a ``--dev`` corpus that annotates another type; with ``--evaluations 0`` it has no part in choosing the model, and
``--by_type`` shows it apart.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import machine
import numpy as np
from scipy import stats
from tabulate import tabulate

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
    parser.add_argument(
        "--by_type", action="store_true", help="one column per type instead of one per corpus"
    )
    parser.add_argument("--json", metavar="FILE", help="write every number, of corpora and of types")
    args = parser.parse_args()
    if not Path(args.config).is_file():
        raise VanerError(
            f"--config {args.config}: no such file; configs/compare-updates.yaml is made for this"
        )
    variants = parse_all(args.variant)
    records: dict[str, list[dict]] = {name: [] for name in variants}
    for seed in args.seeds:
        for name, flags in variants.items():
            folder = Path(args.runs) / f"{Path(args.config).stem}-{name.replace(' ', '-')}-{seed}"
            records[name].append(run(folder, args, flags, seed))
    page = {
        "config": args.config,
        "variants": {name: shlex.join(flags) for name, flags in variants.items()},
        "seeds": args.seeds,
        "machine": machine.describe("cpu"),
        "versions": machine.versions(),
        "results": compared(records),
    }
    print(table(page, args.by_type))
    if args.json:
        Path(args.json).write_text(json.dumps(page, indent=2) + "\n")


def parse_all(words: Sequence[str]) -> dict[str, list[str]]:
    """``name: --flag value`` words to flags by name."""
    found: dict[str, list[str]] = {}
    for word in words:
        name, colon, flags = (part.strip() for part in word.partition(":"))
        if not colon or not name or "/" in name:
            raise VanerError(f"--variant {word!r}: write 'name: --flag value ...'")
        if name in found:
            raise VanerError(f"--variant names {name!r} twice; give each variant a name of its own")
        found[name] = shlex.split(flags)
    return found


def run(folder: Path, args: argparse.Namespace, flags: Sequence[str], seed: int) -> dict:
    """Train one variant with one seed, unless it was; its record.

    Raises:
        VanerError: training failed, or the folder holds a run of another config or with other flags.
    """
    record = folder / "run.json"
    made_of = json.dumps({"config": Path(args.config).read_text(), "flags": list(flags)}, indent=2)
    note = folder / "variant.json"
    if record.is_file() and (not note.is_file() or note.read_text() != made_of):
        raise VanerError(
            f"{folder}: holds a run of another config or with other flags; rename the variant, or choose another --runs"
        )
    if not record.is_file():
        command = [sys.executable, str(ROOT / "train.py"), "--config", args.config, *flags]
        command += ["--seed", str(seed), "--output_dir", str(folder)]
        command += ["--data_root", args.data_root] if args.data_root else []
        print(f"{folder.name}: training", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(made_of)
        with open(folder / "train.log", "w") as log:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT)
        if done.returncode:
            last = (folder / "train.log").read_text().strip().splitlines()[-1:]
            raise VanerError(f"{folder.name}: train.py ended with {done.returncode}: {''.join(last)}")
    return json.loads(record.read_text())


def compared(records: dict[str, Sequence[dict]]) -> dict[str, dict]:
    """The summary of each variant's records, beside the first variant's.

    Raises:
        VanerError: variants that were not scored on the same dev corpora.
    """
    name, first = next(iter(records.items()))
    for other, found in records.items():
        if found[0]["dev"].keys() != first[0]["dev"].keys():
            raise VanerError(
                f"{other} is scored on {', '.join(found[0]['dev'])} and {name} on {', '.join(first[0]['dev'])}; give "
                "all variants the same --dev"
            )
    return {name: summary(found, first) for name, found in records.items()}


def summary(records: Sequence[dict], first: Sequence[dict]) -> dict:
    """Means over seeds with 95 % t-intervals, and the paired difference to the first variant."""
    scores, against = _f1(records), _f1(first)
    return {
        "f1": {name: _mean(values) for name, values in scores.items()},
        "difference": {
            name: _mean(np.subtract(values, against[name]).tolist()) for name, values in scores.items()
        },
        "f1_by_type": {name: _mean(values) for name, values in _f1_by_type(records).items()},
        "tokens": [r["tokens"] for r in records],
        "tokens_per_second": [_speed(r) for r in records],
        "updates": [r["updates"] for r in records],
        "training_minutes": [r["training_minutes"] for r in records],
    }


def _f1(records: Sequence[dict]) -> dict[str, list[float]]:
    found = {name: [r["dev"][name]["f1"] for r in records] for name in records[0]["dev"]}
    return found | {"mean": np.mean(list(found.values()), axis=0).tolist()}


def _f1_by_type(records: Sequence[dict]) -> dict[str, list[float]]:
    """A type that a run neither found nor had in its gold has no F1; it counts as 0."""
    names = dict.fromkeys((n, t) for r in records for n, one in r["dev"].items() for t in one["types"])
    return {f"{n} {t}": [r["dev"][n]["types"].get(t) or 0.0 for r in records] for n, t in names}


def _speed(record: dict) -> float | None:
    """Training tokens a second between evaluations: the median over the log, which a busy moment does not move."""
    logged = [one["tokens_per_second"] for one in record["history"] if "tokens_per_second" in one]
    return float(np.median(logged)) if logged else None


def _mean(values: Sequence[float]) -> dict:
    return {"mean": float(np.mean(values)), "interval": interval(values), "seeds": list(values)}


def interval(values: Sequence[float]) -> list[float] | None:
    """95 % t-interval of a mean over seeds; None for one seed."""
    if len(values) < 2:
        return None
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return [float(np.mean(values) - half), float(np.mean(values) + half)]


def table(page: dict, by_type: bool = False) -> str:
    kind = "f1_by_type" if by_type else "f1"
    columns = list(dict.fromkeys(name for found in page["results"].values() for name in found[kind]))
    rows = []
    for name, found in page["results"].items():
        row: list[str] = [name]
        for column in columns:
            row.append(shown(found[kind][column]) if column in found[kind] else "")
        difference = found["difference"]["mean"]
        row.append("" if found is next(iter(page["results"].values())) else shown(difference, "+"))
        row.append(f"{np.mean(found['tokens']):,.0f}")
        speeds = [one for one in found["tokens_per_second"] if one is not None]
        row.append(f"{np.mean(speeds):,.0f}" if speeds else "")
        row.append(f"{np.mean(found['training_minutes']):.1f}")
        rows.append(row)
    header = ["variant", *columns, "difference of means", "tokens", "tokens/s", "minutes"]
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
