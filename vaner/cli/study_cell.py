"""In: a study's file and folder, a cell's names. Out: the cell, finished; what `python -m vaner study` begins."""

from __future__ import annotations

import argparse
import sys

HELP = "do one cell of a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE.yaml", help="of the study")
    add(
        "--output", required=True, metavar="DIR", help="folder of the study, which python -m vaner study made"
    )
    add("arm", metavar="ARM")
    add("corpus", metavar="CORPUS")
    add("seed", metavar="SEED", help="- for arms without training")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--probe", action="store_true", help="only a few updates and documents, to see what they take"
    )
    group.add_argument("--measure", action="store_true", help="time its tagger, as standard input asks for")


def run(args: argparse.Namespace) -> int:
    from vaner.study import cell_run

    names = (args.file, args.output, args.arm, args.corpus, args.seed)
    if args.measure:
        from vaner.study import measuring

        said = measuring.protected_output()
        measuring.serve(*names, told=sys.stdin, said=said)
        return 0
    return cell_run.run(*names, probe=args.probe)
