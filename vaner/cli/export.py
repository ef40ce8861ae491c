"""In: a model, a dataset, a type. Out: a folder that other libraries read without our code."""

from __future__ import annotations

import argparse

HELP = "write a model for other libraries"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="model folder, shipped model or hub id")
    add(
        "--to",
        required=True,
        choices=("transformers",),
        help='transformers: a folder for AutoModelForTokenClassification and pipeline("token-classification")',
    )
    add("--output", required=True, metavar="FOLDER", help="new folder")
    add("--dataset", metavar="NAME", help="whose guideline to follow; default: none (adaptive mode)")
    add(
        "--types",
        nargs="+",
        metavar="TYPE",
        help="what is asked of every text: one type; default: that of --dataset, if it has one",
    )
    add("--revision", metavar="REVISION", help="branch, tag or commit of a hub id")


def run(args: argparse.Namespace) -> None:
    from vaner.integrations.transformers import export

    done = export(args.model, args.output, dataset=args.dataset, types=args.types, revision=args.revision)
    asked = f"{done.type} as {done.dataset}" if done.dataset else f"{done.type}, no dataset named"
    print(f"{done.folder}: {asked}; scores differ from the model's by {done.difference:.1e} at most")
