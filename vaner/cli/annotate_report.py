"""In: runs of annotators, gold, a checked sample. Out: a report on terminal, as JSON, Markdown; a sample to check."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from vaner.annotation import audit, sheets
from vaner.annotation.comparing import Draws
from vaner.annotation.report import Page, report
from vaner.annotation.runs import Annotated, load
from vaner.cli.options import add_data_root, add_on_error, add_registry, say
from vaner.corpora.own import all_corpora, named
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation import mistakes
from vaner.evaluation.run import renamed
from vaner.files import check_parent, sha256, write_text
from vaner.formats import check_reader, read
from vaner.prompting.prices import Price
from vaner.report import Report

HELP = "is what was annotated good: agreement, what a guideline changed, cost, and which mentions a person must check"
_NUMBERS = ("input", "output", "cached")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        metavar="RUN",
        help="what was annotated: output folders of annotate or predict.py, or files of documents",
    )
    add("--format", default="auto", metavar="FORMAT", help="of documents; default: %(default)s")
    add("--types", nargs="+", metavar="TYPE", help="compare these entity types only")
    add("--type_map", nargs="+", default=[], metavar="FROM=TO", help="rename types everywhere first")
    add_on_error(parser)

    group = parser.add_argument_group("what it is compared with")
    add = group.add_argument
    add("--gold", metavar="GOLD", help="a file of gold documents, or a registered corpus")
    add("--gold_format", default="auto", metavar="FORMAT", help="default: %(default)s")
    add("--split", metavar="SPLIT", help="train, dev or test of a corpus; default: dev")
    add_data_root(group)
    add_registry(group)
    add(
        "--without",
        metavar="RUN",
        help="the same documents annotated without the guideline: what each RUN changed, with paired intervals",
    )
    add(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="draws of documents; 0 for no intervals; default: 1000",
    )
    add("--seed", type=int, default=0, help="of draws and of the sample; default: %(default)s")
    add(
        "--price",
        metavar="input=X,output=Y",
        help="of a million tokens, with currency=EUR for other than USD: what the runs cost",
    )

    group = parser.add_argument_group("audit, of a single RUN")
    add = group.add_argument
    add(
        "--audit",
        metavar="FILE",
        help="draw mentions for a person to check: a table (.csv, .tsv), or a folder for brat",
    )
    add(
        "--audit_size",
        type=int,
        metavar="N",
        help="mentions drawn from all; default: so many that --precision is shown, if --expected is true, with a "
        "chance of 80 %%",
    )
    add(
        "--audit_per_type",
        type=int,
        default=0,
        metavar="N",
        help="mentions of each type, at least; default: as many as come among all",
    )
    add("--audited", metavar="FILE", help="the sample, filled in: at least how many mentions are right")
    add("--precision", type=float, metavar="P", help="to be shown; default: 0.9")
    add(
        "--expected",
        type=float,
        metavar="P",
        help="precision that is expected; default: half way from there to 1",
    )
    add("--confidence", type=float, default=0.95, metavar="C", help="of a bound; default: %(default)s")

    group = parser.add_argument_group("output, beside the terminal")
    add = group.add_argument
    add("--json", metavar="FILE", help="write every number")
    add("--markdown", metavar="FILE", help="write the tables as Markdown")
    add("--mistakes", metavar="FILE", help="write the most frequent differences, with their text")


def run(args: argparse.Namespace) -> None:
    type_map, prices = _check(args)
    told = Report()
    names = _names([*args.runs, *([args.without] if args.without else [])])
    read_runs = [
        load(path, args.format, name=name, on_error=args.on_error, report=told)
        for path, name in names.items()
    ]
    inputs = [_input("run", path) for path in names]
    gold = _gold(args, told, inputs)
    say(told)
    # An audit is of a run as it is, whatever its types are called in the comparison.
    audited = _audit(args, read_runs[0]) if len(args.runs) == 1 else None
    runs = [one.renamed(type_map) for one in read_runs]
    page = report(
        runs[: len(args.runs)],
        gold=None if gold is None else renamed(gold, type_map),
        without=runs[-1] if args.without else None,
        types=args.types,
        draws=Draws(args.bootstrap, args.seed),
        prices={one.name: prices for one in runs} if prices else {},
    )
    if audited:
        page.found["audit"] = audited
    page.found["inputs"] = inputs
    _write(args, page)


def _write(args: argparse.Namespace, page: Page) -> None:
    for path, text in (
        (args.json, page.to_json),
        (args.markdown, page.markdown),
        (args.mistakes, lambda: mistakes.markdown(page.mistakes)),
    ):
        if path:
            write_text(path, text())
    print(page.terminal(), end="")


def _check(args: argparse.Namespace) -> tuple[dict[str, str], Price | None]:
    """Refuse what cannot work before anything is read; the type map and the price."""
    for format in (args.format, args.gold_format):
        check_reader(format)
    if args.split and not args.gold:
        raise VanerError(f"--split {args.split}: belongs to --gold; leave it out")
    for option, least in (("bootstrap", 0), ("seed", 0), ("audit_size", 0), ("audit_per_type", 0)):
        if (value := vars(args)[option]) is not None and value < least:
            raise VanerError(f"--{option} {value}: give a number from {least}")
    for option in ("precision", "confidence"):
        if (value := vars(args)[option]) is not None and not 0 < value < 1:
            raise VanerError(f"--{option} {value:g}: give a number between 0 and 1")
    several = len(args.runs) > 1
    for option in ("audit", "audited"):
        if vars(args)[option] and several:
            raise VanerError(f"--{option}: is of one run, and {len(args.runs)} are named; name one")
    for option in ("audit_size", "audit_per_type"):
        if vars(args)[option] and not args.audit:
            raise VanerError(f"--{option}: belongs to --audit FILE; name a file to write, or leave it out")
    if args.audit and args.audited:
        raise VanerError("--audit draws a sample and --audited reads one back; give one of the two")
    for path in filter(None, (args.json, args.markdown, args.mistakes, args.audit)):
        check_parent(path)
    type_map: dict[str, str] = {}
    for item in args.type_map:
        old, _, new = item.partition("=")
        if not old or not new or old in type_map:
            raise VanerError(f"--type_map {item}: write FROM=TO, each FROM once")
        type_map[old] = new
    return type_map, _price(args.price) if args.price else None


def _price(written: str) -> Price:
    settings: dict[str, Any] = {}
    for item in written.split(","):
        name, _, value = (part.strip() for part in item.partition("="))
        try:
            settings[name] = float(value) if name in _NUMBERS else value
        except ValueError:
            raise VanerError(f"--price {item}: {value!r} is no number; write input=0.15,output=0.6") from None
    for name in ("input", "output"):
        if name not in settings:
            raise VanerError(f"--price {written}: {name}= is missing; write input=0.15,output=0.6")
    return Price.read(settings)


def _names(paths: Sequence[str]) -> dict[str, str]:
    """Path of each run -> its name in tables: what its path ends in, as far as that tells them apart."""
    for path in paths:
        if paths.count(path) > 1:
            raise VanerError(f"{path}: is named twice; name each run once")
    found: dict[str, str] = {}
    for path in paths:
        parts = os.path.abspath(path).split(os.sep)
        others = [os.path.abspath(other).split(os.sep) for other in paths if other != path]
        depth = 1
        while depth < len(parts) and any(other[-depth:] == parts[-depth:] for other in others):
            depth += 1
        found[path] = "/".join(parts[-depth:]) if path != "-" else "stdin"
    return found


def _gold(args: argparse.Namespace, told: Report, inputs: list[dict[str, str]]) -> list[Document] | None:
    if not args.gold:
        return None
    if os.path.exists(args.gold):
        if args.split:
            raise VanerError(f"--split {args.split}: is of a corpus, and {args.gold} is a file; leave it out")
        inputs.append(_input("gold", args.gold))
        return list(read(args.gold, args.gold_format, on_error=args.on_error, report=told))
    split = args.split or "dev"
    corpus = named(args.gold, all_corpora(args.registry), args.on_error)
    documents = list(corpus.documents(split, args.data_root, args.on_error, told))
    inputs += [
        _input(f"gold: {corpus.name} {split}", str(path)) | {"path": f"CORPORA/{os.path.basename(path)}"}
        for path in corpus.paths(split, args.data_root)
    ]
    return documents


def _input(role: str, path: str) -> dict[str, str]:
    """What was read, with its hash; standard input has none, and a run's folder is told by its documents."""
    hashed = os.path.isfile(path)
    return {"role": role, "path": path, "sha256": sha256(path) if hashed else ""}


def _audit(args: argparse.Namespace, run: Annotated) -> dict[str, Any] | None:
    """What the audit section of the report says; a sample that was asked for is written."""
    precision = args.precision or 0.9
    found: dict[str, Any] = {"run": run.name, "hash": run.hash, "confidence": args.confidence}
    if args.audited:
        design, answers = sheets.read(args.audited, run)
        found["design"] = vars(design)
        found["bounds"] = audit.bounds(run, design, answers, args.confidence)
        return found
    if not (args.audit or args.precision):
        return None
    expected = args.expected or (1 + precision) / 2
    found["plan"] = audit.plan(run, precision, args.confidence, expected)
    if args.audit:
        size = found["plan"]["expecting"] if args.audit_size is None else args.audit_size
        design = audit.Design(
            args.seed, min(size, sum(found["plan"]["mentions"].values())), args.audit_per_type
        )
        mentions = sheets.write(args.audit, run, design)
        found["sample"] = {"path": args.audit, "mentions": mentions, **vars(design)}
        print(f"{mentions:,} mentions to check -> {args.audit}", file=sys.stderr)
    return found
