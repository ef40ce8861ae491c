"""In: a model, corpora with gold. Out: a temperature for each type's scores, how right they are, thresholds."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from vaner import provenance
from vaner.cli.options import add_data_root, add_on_error, add_registry, notes, say
from vaner.corpora.own import all_corpora
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.calibration import BINS, Spans, fit_temperature, measured, spans_by_type
from vaner.evaluation.plot import check_plot, draw
from vaner.evaluation.run import Gold, evaluate
from vaner.evaluation.thresholds import Threshold, at_least, choose
from vaner.files import check_parent, replacing_text, write_text
from vaner.model.catalogue import model_folder
from vaner.model.config import ModelConfig
from vaner.report import Report
from vaner.tagging.identity import of_index
from vaner.tagging.loading import AllOptions, load

# Documents below which a temperature is likely to be that of the draw.
_FEW = 50

HELP = "fit a model's scores to how often they are right; choose least scores for a precision"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", required=True, metavar="MODEL", help="model folder, shipped model or hub id")
    add("--adaptive", action="store_true", help="do not tell the model which dataset it reads")
    add("--kb", metavar="INDEX", help="names that a model looks up or has hints of, as of evaluate")

    group = parser.add_argument_group("documents")
    add = group.add_argument
    add("--corpus", nargs="+", required=True, metavar="NAME", help="registered corpora to fit on")
    add("--split", default="dev", metavar="SPLIT", help="of all corpora; default: %(default)s")
    add("--check_corpus", nargs="+", default=[], metavar="NAME", help="corpora to check on only")
    add(
        "--check_share",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="of the documents of --corpus, those that are only checked on; default: %(default)s",
    )
    add("--max_documents", type=int, metavar="N", help="of each corpus at most; default: all")
    add("--seed", type=int, default=0, help="of what is drawn; default: %(default)s")
    add_registry(group)
    add_data_root(group)
    add_on_error(group)

    group = parser.add_argument_group("thresholds")
    add = group.add_argument
    add("--min_precision", type=float, metavar="P", help="choose for each type the lowest score that has it")
    add(
        "--confidence",
        type=float,
        default=0.95,
        metavar="C",
        help="that it has, each type by itself; default: %(default)s",
    )
    add("--thresholds", metavar="FILE", help="write them as JSON")

    group = parser.add_argument_group("output, beside the terminal")
    written = group.add_mutually_exclusive_group()
    written.add_argument("--output", metavar="FOLDER", help="write the calibrated model, in a new folder")
    written.add_argument("--in_place", action="store_true", help="calibrate the model's own folder")
    add = group.add_argument
    add("--plot", metavar="FILE", help="reliability plot: .svg, .png or .pdf (pip install 'vaner[plots]')")
    add("--json", metavar="FILE", help="write every number")


def run(args: argparse.Namespace) -> None:
    _check(args)
    folder = Path(model_folder(args.model))
    settings = ModelConfig.load(folder)
    sets = _read(args, settings)
    # From the probabilities' own scores, so that calibrating twice is the same as once.
    options: AllOptions = {"calibrated": False, **of_index(args.model, args.kb)}
    tagger = load(args.model, **options)
    tagged: dict[str, list[Document]] = {}
    page = evaluate(
        [one.gold for one in sets],
        tagger,
        adaptive=args.adaptive,
        bootstrap=0,
        on_tagged=lambda gold, documents: tagged.__setitem__(gold.name, documents),
    )
    notes(page.protocol["remarks"])

    fitting = {
        type: spans
        for type, spans in spans_by_type(one.part(tagged, fit=True) for one in sets).items()
        if type in tagger.types
    }
    checking = {name: spans for one in sets for name, spans in one.checked(tagged).items()}
    fits = {type: fit_temperature(spans) for type, spans in fitting.items()}
    saves = bool(args.output or args.in_place)
    kept = {type: one for type, one in settings.temperatures.items() if type not in fits}
    temperatures = kept | {type: fit.temperature for type, fit in fits.items() if not fit.reason}
    found: dict[str, Any] = {
        "command": f"python -m vaner calibrate {shlex.join(_told(args))}",
        "split": args.split,
        "adaptive": args.adaptive,
        "documents": {one.gold.name: len(one.fit) for one in sets if one.fit},
        "versions": provenance.versions(("numpy", "scipy")),
        "bins": f"{BINS} of equal mass",
        "types": {
            type: {
                "temperature": fit.temperature,
                "reason": fit.reason,
                "fit": measured(fitting[type], fit.temperature),
                "checked": {
                    name: measured(spans[type], fit.temperature)
                    for name, spans in checking.items()
                    if type in spans
                },
            }
            for type, fit in fits.items()
        },
    }
    print(_table(found), end="\n\n")
    notes(f"{type}: temperature stays 1: {fit.reason}" for type, fit in fits.items() if fit.reason)
    notes(
        f"{type}: its spans lie in {one['fit']['documents']} documents; so few differ much from one draw to the next, "
        f"so give {_FEW} or more"
        for type, one in found["types"].items()
        if not one["reason"] and one["fit"]["documents"] < _FEW
    )
    if args.min_precision is not None:
        # In the scores that the model will give: the calibrated ones if it is written, else those it gives now.
        in_force = temperatures if saves else settings.temperatures
        found["thresholds"] = _thresholds(args, in_force, fitting, checking)
        if args.thresholds:
            write_text(args.thresholds, _json(found["thresholds"]))
    if args.json:
        write_text(args.json, _json(found))
    if args.plot:
        _plot(args, fits, fitting, checking)
    if saves:
        record = {key: value for key, value in found.items() if key != "thresholds"}
        _save(folder, args.output, replace(settings, temperatures=temperatures), _without_bins(record))


@dataclass(frozen=True)
class _Set:
    """A gold set; ``fit`` are the ids of the documents that are fitted on, the others are checked on."""

    gold: Gold
    fit: frozenset[str]

    def part(
        self, tagged: Mapping[str, list[Document]], *, fit: bool
    ) -> tuple[list[Document], list[Document]]:
        """Its gold documents to fit on (or to check on), and the same as the tagger marked them."""
        gold, marked = (
            [d for d in documents if (d.id in self.fit) == fit]
            for documents in (self.gold.documents, tagged[self.gold.name])
        )
        return gold, marked

    def checked(self, tagged: Mapping[str, list[Document]]) -> dict[str, dict[str, Spans]]:
        """Its name -> the spans by type of the documents that were not fitted on; empty without any."""
        part = self.part(tagged, fit=False)
        return {self.gold.name: spans_by_type([part])} if part[0] else {}


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot work before anything long begins."""
    if args.split == "test":
        raise VanerError(
            "--split test: nothing is fitted on a test split; name dev, or train of another corpus"
        )
    if not 0 <= args.check_share < 1:
        raise VanerError(f"--check_share {args.check_share:g}: give a number from 0 to below 1")
    if args.max_documents is not None and args.max_documents < 2:
        raise VanerError(f"--max_documents {args.max_documents}: give 2 or more")
    for option in ("min_precision", "confidence"):
        value = getattr(args, option)
        if value is not None and not 0 < value < 1:
            raise VanerError(f"--{option} {value:g}: give a number between 0 and 1, such as 0.95")
    if args.thresholds and args.min_precision is None:
        raise VanerError("--thresholds needs --min_precision; say which precision they are for")
    names = [*args.corpus, *args.check_corpus]
    if twice := [name for name in names if names.count(name) > 1]:
        raise VanerError(f"corpus {twice[0]} is named twice; name each corpus once, to fit or to check on")
    if args.in_place and not Path(args.model).is_dir():
        raise VanerError(
            f"--in_place: {args.model} is no folder of yours; name one, or write a copy (--output)"
        )
    if args.output:
        output = Path(args.output)
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise VanerError(f"{output}: is there already; name a new folder")
    for path in filter(None, (args.thresholds, args.json, args.output)):
        check_parent(path)
    if args.plot:
        check_plot(args.plot)


def _trained_on(record: Mapping[str, Any]) -> set[str]:
    """Corpora whose train documents a model has learnt, also those that a teacher scored before."""
    scored = record.get("distilled", {}).get("score_gold", {}).get("corpora", {})
    return {*record.get("corpora", {}), *scored}


def _read(args: argparse.Namespace, settings: ModelConfig) -> list[_Set]:
    """The gold sets of all corpora, and which documents of each are fitted on."""
    from vaner.training.dev import sample

    corpora = all_corpora(args.registry)
    sets = []
    for name in [*args.corpus, *args.check_corpus]:
        corpus = corpora[name]
        if args.split == "train" and name in _trained_on(settings.training):
            raise VanerError(
                f"--split train: {args.model} was trained on {name}, where its scores are too good; name dev"
            )
        report = Report()
        documents = sample(
            list(corpus.documents(args.split, args.data_root, args.on_error, report)),
            args.max_documents,
            args.seed,
        )
        say(report)
        share = 1 - args.check_share if name in args.corpus else 0.0
        shuffled = np.random.default_rng(args.seed).permutation(len(documents))
        fit = frozenset(documents[i].id for i in shuffled[: round(share * len(documents))])
        sets.append(_Set(Gold(name, documents, args.split, corpus.instruction_name), fit))
    return sets


def _table(found: Mapping[str, Any]) -> str:
    rows = []
    for type, one in found["types"].items():
        for where, at in {"fitted on": one["fit"], **one["checked"]}.items():
            if at["spans"]:
                precision = 100 * at["right"] / at["spans"]
                errors = (at["before"]["error"], at["after"]["error"], at["by_chance"])
                shown = [f"{100 * error:.1f}" for error in errors]
                rows.append([type, where, f"{at['spans']:,}", f"{precision:.1f}", one["temperature"], *shown])
    columns = ["type", "documents", "spans", "right %", "temperature", "error before", "after", "by chance"]
    said = (
        f"Expected calibration error in percent, {found['bins']}; a span is right where gold has the same start, end "
        "and type. By chance: what perfectly calibrated scores of so many spans would show."
    )
    return f"{said}\n\n{tabulate(rows, columns, tablefmt='pipe', disable_numparse=True)}"


def _thresholds(
    args: argparse.Namespace,
    temperatures: Mapping[str, float],
    fitting: Mapping[str, Spans],
    checking: Mapping[str, Mapping[str, Spans]],
) -> dict[str, Any]:
    """The thresholds as they are written, told on the way."""
    rows: list[list[str]] = []
    types: dict[str, dict[str, Any]] = {}
    for type, spans in fitting.items():
        temperature = temperatures.get(type, 1.0)
        chosen = choose(spans.calibrated(temperature), args.min_precision, args.confidence)
        held = {}
        for name, others in checking.items():
            if type in others and chosen.score is not None:
                n, right, bound = at_least(others[type].calibrated(temperature), chosen.score)
                held[name] = {"spans": n, "right": right, "gold": others[type].gold, "bound": bound}
        measures = {"precision": chosen.precision, "recall": chosen.recall}
        types[type] = {**asdict(chosen), **measures, "checked": held}
        rows += _rows(type, chosen, held)
    least = {type: one["score"] for type, one in types.items() if one["score"] is not None}
    columns = ["type", "documents", "least score", "spans", "precision %", "at least", "recall %", "without"]
    print(
        f"Precision of {args.min_precision:g} at a confidence of {args.confidence:g}, each type by itself:\n"
    )
    print(tabulate(rows, columns, tablefmt="pipe", disable_numparse=True), end="\n\n")
    notes(f"{type}: no threshold: {one['reason']}" for type, one in types.items() if one["score"] is None)
    flags = shlex.join(["--min_score", *(f"{type}={score:g}" for type, score in least.items())])
    if least:
        print(f"predict.py --model {shlex.quote(args.output or args.model)} {flags}")
    return {
        "min_precision": args.min_precision,
        "confidence": args.confidence,
        "min_scores": least,
        "flags": flags if least else "",
        "types": types,
    }


def _rows(type: str, chosen: Threshold, held: Mapping[str, Mapping[str, Any]]) -> Iterable[list[str]]:
    if chosen.score is None:
        return
    yield [
        type,
        "chosen on",
        f"{chosen.score:g}",
        f"{chosen.spans:,}",
        _percent(chosen.right, chosen.spans),
        f"{100 * chosen.bound:.1f}",
        _percent(chosen.right, chosen.gold),
        _percent(chosen.all_right, chosen.gold),
    ]
    for name, one in held.items():
        precision, recall = _percent(one["right"], one["spans"]), _percent(one["right"], one["gold"])
        yield [type, name, "", f"{one['spans']:,}", precision, f"{100 * one['bound']:.1f}", recall, ""]


def _percent(above: int, below: int) -> str:
    return f"{100 * above / below:.1f}" if below else "-"


def _plot(
    args: argparse.Namespace,
    fits: Mapping[str, Any],
    fitting: Mapping[str, Spans],
    checking: Mapping[str, Mapping[str, Spans]],
) -> None:
    """Of the documents that were not fitted on, of all gold sets together; of the others where there are none."""
    together = _together(checking.values()) if checking else dict(fitting)
    where = "not fitted on" if checking else "fitted on"
    found = {
        type: measured(together[type], fit.temperature) for type, fit in fits.items() if type in together
    }
    draw(args.plot, found, f"Scores of spans in documents {where}")


def _together(sets: Iterable[Mapping[str, Spans]]) -> dict[str, Spans]:
    found: dict[str, Spans] = {}
    for one in sets:
        for type, spans in one.items():
            found[type] = found[type] + spans if type in found else spans
    return found


def _told(args: argparse.Namespace) -> list[str]:
    """The options that numbers depend on, as words; where files lie on this machine is nobody else's business."""
    words = ["--model", Path(args.model).name]
    for option in ("corpus", "check_corpus"):
        if given := getattr(args, option):
            words += [f"--{option}", *given]
    words += ["--split", args.split, "--check_share", f"{args.check_share:g}", "--seed", str(args.seed)]
    words += ["--max_documents", str(args.max_documents)] if args.max_documents else []
    words += ["--kb", Path(args.kb).name] if args.kb else []
    return words + ["--adaptive"] * args.adaptive


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _without_bins(found: Any) -> Any:
    """What is kept with the model: everything but the points of the plot."""
    if not isinstance(found, dict):
        return found
    return {
        key: _without_bins(value)
        for key, value in found.items()
        if key != "bins" or not isinstance(value, list)
    }


def _save(folder: Path, output: str | None, settings: ModelConfig, record: dict[str, Any]) -> None:
    """Write the model with its temperatures and what they were fitted on, card included."""
    from vaner.model import card
    from vaner.model.saving import copy_saved

    settings = replace(settings, training={**settings.training, "calibration": record})
    target = Path(output) if output else folder
    text = ""
    if (folder / "README.md").is_file():
        text = card.with_calibration((folder / "README.md").read_text(encoding="utf-8"), settings)
    if output:
        copy_saved(folder, target, settings)
    if text:
        with replacing_text(target / "README.md") as file:
            file.write(text)
    if not output:
        settings.save(folder)
    print(f"calibrated model written to {target}", file=sys.stderr)
