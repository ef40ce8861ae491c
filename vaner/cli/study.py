"""In: a study's YAML file. Out: a folder with what its arms found and cost, and a page that compares them."""

from __future__ import annotations

import argparse
import sys

from vaner.cli.many import at_least_one
from vaner.cli.options import add_data_root

HELP = "compare ways to tag: arms x corpora x seeds, scored and timed"
EPILOG = (
    "A study that was ended in any way goes on with the same command, and so does one whose file got more arms, "
    "corpora or seeds. Status: 0; 3 where a cell failed (the others are done); 2 for bad input or use; 130 and 143 "
    "after Ctrl-C and SIGTERM."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("file", metavar="FILE.yaml", help="arms, corpora, seeds and budget (docs/study.md; configs/study/)")
    add("--output", required=True, metavar="DIR", help="folder of the study")
    add_data_root(parser)
    add(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="cells that are done at a time, each in a process; GPUs are given to them in turn; default: %(default)s",
    )
    add("--plan", action="store_true", help="print what is to be done and about what it takes, and stop")
    add(
        "--no_probe",
        action="store_true",
        help="do not measure the first updates and documents of arms that have no finished cell; the plan then says ?",
    )
    add("--no_costs", action="store_true", help="leave the timing pass out")


def run(args: argparse.Namespace) -> int:
    # Here, so that other commands do not wait for torch.
    from vaner.study import run as study
    from vaner.training.arguments import command_line

    at_least_one(args, "processes")
    failed = study.run(
        study.Asked(
            args.file,
            args.output,
            args.data_root,
            args.processes,
            only_plan=args.plan,
            probe=not args.no_probe,
            costs=not args.no_costs,
            command=command_line(sys.argv[1:]) if sys.argv[1:2] == ["study"] else None,
        ),
        say=_say,
    )
    if failed:
        _say(f"{len(failed):,} failed; the same command tries them again")
    return 3 if failed else 0


def _say(line: str) -> None:
    print(line, flush=True)
