"""In: dev samples, instructions, a language model, a teacher. Out: what each way to annotate, and to be taught, gives.

    python benchmarks/annotation.py --model Qwen/Qwen2.5-Coder-0.5B-Instruct --guidelines GUIDELINES --data_root CORPORA
    python benchmarks/annotation.py --parts curve --teacher kb:open --seeds 1 2 --plot curve.svg --json annotation.json
    python benchmarks/annotation.py --model openai:gpt-5-mini ...                     a served model in its place

Instructions: the same documents are annotated in each way (ARMS): no instructions, the short list, the full guideline,
passages of it; one step or two; verifiers. Each is one `python -m vaner annotate`, scored against gold and compared
with the base on the same draws of documents. Curve (annotation_curve.py): a student learns from a part of the train
texts, labelled by people or by the teacher.

Every finished row is kept in --runs and found again, so the command that was cut off goes on. Keys of the JSON file:
ways, curve, settings, machine, versions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import annotation_curve
import machine
import yaml
from kept_rows import ROOT, Rows, call, sample, slug, texts
from tabulate import tabulate

from vaner import provenance
from vaner.annotation.comparing import Draws, difference, with_gold
from vaner.annotation.report import report
from vaner.annotation.runs import load
from vaner.cli import guarded
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import check_parent, read_yaml, write_text
from vaner.formats import write
from vaner.report import Report

CORPORA = ("ncbi-disease", "bc5cdr")
BASE = "short list"
#: What each way changes of the base: the short list of instructions, one step, no verifier.
ARMS: dict[str, list[str]] = {
    BASE: [],
    "no instructions": ["--guideline", "none"],
    "retrieved passages": ["--guideline", "retrieved"],
    "full guideline": ["--guideline", "full"],
    "reason, then mark": ["--steps", "reason,mark"],
    "mark, then correct": ["--steps", "mark,correct"],
    "rules verify": ["--verify", "rules"],
    "the model verifies": ["--verify", "same"],
}


def main() -> None:
    args = _arguments()
    _check(args)
    corpora = annotation_curve.corpora_of(args)
    rows = Rows(Path(args.runs) / "rows")
    found: dict[str, Any] = {
        "ways": _ways(args, corpora, rows) if "ways" in args.parts else [],
        "curve": annotation_curve.measured(args, corpora, rows.row) if "curve" in args.parts else {},
        "settings": {
            key: value
            for key, value in vars(args).items()
            if key not in ("data_root", "guidelines", "runs", "json", "markdown", "plot")
        },
        "machine": machine.describe("cpu"),
        "versions": provenance.versions((*provenance.PACKAGES, "llguidance", "scipy")),
    }
    page = _page(found)
    print(page)
    if args.json:
        write_text(args.json, json.dumps(found, indent=1) + "\n")
    if args.markdown:
        write_text(args.markdown, page + "\n")
    if args.plot and found["curve"]:
        annotation_curve.draw(args.plot, found["curve"])


# --- ways to annotate ---


def _ways(
    args: argparse.Namespace, corpora: Mapping[str, tuple[str, tuple[str, ...]]], rows: Rows
) -> list[dict[str, Any]]:
    """A row for each corpus and way, the base first."""
    registry = read_registry()
    prompt = _prompt(args)
    arms = {name: [*ARMS[name], "--model", f"prompt:{prompt.resolve()}"] for name in args.arms}
    arms |= {f"annotator {name}": ["--guideline", "none", "--model", name] for name in args.others}
    found = []
    for name, (corpus, types) in corpora.items():
        gold = sample(registry[corpus].documents("dev", args.data_root, "skip"), args.documents, args.seed)
        folder = Path(args.runs).resolve() / "ways" / name
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / "texts.jsonl"
        write(source, texts(gold), "jsonl", report=Report())
        for arm, words in arms.items():
            made_of = {
                "corpus": corpus,
                "documents": [document.id for document in gold],
                "words": [word for word in words if str(prompt.resolve()) not in word],
                "prompt": prompt.read_text(encoding="utf-8"),
                "instructions": provenance.file_hashes([_instructions(args, name)]),
                "bootstrap": args.bootstrap,
            }

            def measure(
                arm: str = arm, words: list[str] = words, folder: Path = folder, gold: list[Document] = gold,
                source: Path = source, name: str = name, types: tuple[str, ...] = types,
            ) -> dict[str, Any]:  # fmt: skip
                output = folder / slug(arm)
                command = ["-m", "vaner", "annotate", "--instructions", _instructions(args, name)]
                command += ["--guidelines", args.guidelines] if args.guidelines else []
                command += ["--input", source, "--output", output, "--types", *types, "--progress", "none"]
                # A unit a document: what was annotated is kept when the command is cut off.
                call([*command, "--unit_documents", 1, *words], folder / f"{slug(arm)}.log")
                return _scored(output, gold, folder / slug(BASE), Draws(args.bootstrap, args.seed))

            found.append({"corpus": name, "arm": arm, **rows.row(f"{name} {arm}", made_of, measure)})
    return found


def _scored(output: Path, gold: Sequence[Document], base: Path, draws: Draws) -> dict[str, Any]:
    """What a run is worth, and what it cost."""
    run = load(str(output), report=Report())
    against = with_gold(run, gold, draws).found
    found: dict[str, Any] = {
        "documents": len(gold),
        **{
            key: against["overall"]["micro"][key]
            for key in ("precision", "recall", "f1", "gold", "predicted")
        },
        "interval": against["overall"]["micro"].get("interval", {}).get("f1"),
        "by_type": {type: one["f1"] for type, one in against["type"].items()},
        "mistakes": against["mistakes"]["overall"]["micro"],
    }
    (said,) = report([run], draws=Draws(0)).found["runs"]
    found |= {key: said[key] for key in ("rejected", "changed", "cost")}
    if output != base and base.is_dir():
        compared = difference(run, load(str(base), report=Report()), draws, gold)
        micro = [one for one in compared.get("comparison", ()) if one["row"] == "micro"]
        found["over_base"] = micro[0] if micro else None
    return found


def _prompt(args: argparse.Namespace) -> Path:
    """The prompt file, with the model that is asked and a store of its own."""
    values = dict(read_yaml(args.prompt))
    backend, _, model = args.model.rpartition(":")
    if not backend:
        backend = "llamacpp" if model.endswith(".gguf") else "transformers"
    options = {k: v for k, v in values.get("backend", {}).items() if k not in ("name", "model")}
    values["backend"] = {**options, "name": backend, "model": model}
    if args.dtype:
        values["backend"]["dtype"] = args.dtype
    if args.answer:
        values["answer"] = args.answer
    values["store"] = str((Path(args.runs) / "requests.sqlite").resolve())
    path = Path(args.runs) / "prompt.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, yaml.safe_dump(values, allow_unicode=True, sort_keys=False))
    return path


def _instructions(args: argparse.Namespace, name: str) -> str:
    return str(Path(args.instructions).resolve() / f"{name}.yaml")


# --- what is shown ---


def _page(found: Mapping[str, Any]) -> str:
    parts = [_ways_table(found["ways"])] if found["ways"] else []
    if found["curve"]:
        parts += [annotation_curve.table(found["curve"])]
    return "\n\n".join(parts)


def _ways_table(rows: Sequence[Mapping[str, Any]]) -> str:
    header = [
        "corpus",
        "way",
        "F1 (95 %)",
        "P",
        "R",
        f"over {BASE} (95 %)",
        "boundary/type/both/missed/spurious",
    ]
    header += ["changed", "s a document", "tokens asked / answered"]
    lines = []
    for row in rows:
        over, cost = row.get("over_base"), row["cost"]
        counts = cost["counts"] if cost else {}
        lines.append(
            [
                row["corpus"],
                row["arm"],
                annotation_curve.percent(row["f1"]) + annotation_curve.range_of(row["interval"]),
                annotation_curve.percent(row["precision"]),
                annotation_curve.percent(row["recall"]),
                f"{100 * over['difference']:+.1f}" + annotation_curve.range_of(over["interval"])
                if over
                else "",
                " / ".join(
                    f"{row['mistakes'][k]}" for k in ("boundary", "type", "both", "missed", "spurious")
                ),
                ", ".join(f"{what} {times}" for what, times in row["changed"].items()),
                f"{cost['seconds'] / row['documents']:.1f}" if cost else "",
                f"{counts.get('prompt tokens', 0):,} / {counts.get('answer tokens', 0):,}",
            ]
        )
    shown = tabulate(lines, header, tablefmt="github", disable_numparse=True)
    return f"{shown}\n\nSeconds and tokens are those of the row itself: what an earlier row asked comes from the store."


def _check(args: argparse.Namespace) -> None:
    for arm in args.arms:
        if arm not in ARMS:
            raise VanerError(f"--arms {arm!r}: unknown; choose of {', '.join(map(repr, ARMS))}")
    # The base comes first: others are compared with it.
    args.arms = [arm for arm in ARMS if arm in args.arms]
    for name in ("documents", "dev_documents", "updates", "batch_tokens"):
        if (value := vars(args)[name]) is not None and value < 1:
            raise VanerError(f"--{name} is {value}; choose 1 or more")
    if any(not 0 < part <= 100 for part in args.fractions):
        raise VanerError("--fractions: are percent of the train texts, above 0 and at most 100")
    for path in filter(None, (args.json, args.markdown, args.plot)):
        check_parent(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--parts", nargs="+", choices=["ways", "curve"], default=["ways", "curve"], help="what is measured")
    add("--corpora", nargs="+", choices=CORPORA, default=list(CORPORA), help="whose dev is annotated")
    add("--data_root", help="where the corpora are; without it $VANER_DATA")
    add("--runs", default="runs/annotation", help="folder where finished rows are kept")
    add("--tiny", action="store_true", help="on the samples that are shipped, to see that it runs")
    add("--bootstrap", type=int, default=1000, help="draws of documents")
    add("--seed", type=int, default=0, help="of samples and draws")
    group = parser.add_argument_group("ways to annotate")
    add = group.add_argument
    add("--documents", type=int, default=10, help="of each dev split")
    add("--arms", nargs="+", default=list(ARMS), metavar="WAY", help="these only")
    add("--others", nargs="*", default=[], metavar="MODEL", help="annotators beside: a labeler, kb:open")
    add(
        "--model", default="smollm2-135m", help="language model: a hub id, a folder, a GGUF file, openai:NAME"
    )
    add("--dtype", help="of a model that is read here")
    add("--prompt", default=str(ROOT / "configs/prompts/zero-shot.yaml"), help="how it is asked")
    add("--answer", help="format of its answers, in place of that of the prompt file")
    add("--instructions", default=str(ROOT / "configs/guidelines"), help="folder of the instructions")
    add("--guidelines", help="folder of the guidelines themselves; without it $VANER_GUIDELINES")
    annotation_curve.add_arguments(parser.add_argument_group("curve"))
    group = parser.add_argument_group("output")
    add = group.add_argument
    add("--json", metavar="FILE", help="write every number")
    add("--markdown", metavar="FILE", help="write the tables")
    add("--plot", metavar="FILE", help="draw the curve: .svg, .png or .pdf")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(guarded(main))
