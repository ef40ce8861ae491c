"""In: a run's folder, what people returned of its queue. Out: one file with all documents; what people changed."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from typing import Any

from tabulate import tabulate

from vaner.annotation.merging import KINDS, Merged, merge
from vaner.cli.options import notes, say
from vaner.errors import VanerError
from vaner.files import check_parent, write_text
from vaner.formats import check_reader, check_writer, format_to_write, write
from vaner.report import Report

HELP = "put what people corrected in the place of what a run marked"
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help="output folder of annotate, with its queue; or a file of documents")
    add(
        "--returned",
        required=True,
        nargs="+",
        metavar="PATH",
        help="what people gave back: brat folders or zips, PubTator or other files; documents that are finished only",
    )
    add("--output", required=True, metavar="FILE", help="where all documents are written")
    add("--output_format", metavar="FORMAT", help="default: by the output's extension")
    add("--format", default="auto", metavar="FORMAT", help="of the run's documents; default: %(default)s")
    add("--returned_format", default="auto", metavar="FORMAT", help="of what returned; default: %(default)s")
    add("--json", metavar="FILE", help="write what changed, by type")


def run(args: argparse.Namespace) -> None:
    output_format = args.output_format or format_to_write(args.output)
    for format in (args.format, args.returned_format):
        check_reader(format)
    check_writer(output_format)
    for path in filter(None, (args.output, args.json)):
        if path != "-":
            check_parent(path)
    if args.output in (args.run, *args.returned):
        raise VanerError(f"--output {args.output}: is what is merged; name another file")
    told = Report()
    merged = merge(
        args.run, args.returned, format=args.format, returned_format=args.returned_format, report=told
    )
    write(args.output, merged.documents, output_format, report=told)
    if args.json:
        write_text(args.json, json.dumps(merged.to_dict(), ensure_ascii=False, indent=2) + "\n")
    say(told)
    _tell(merged, args.output)


def _tell(merged: Merged, output: str) -> None:
    """What people changed, on standard error."""
    rows: list[list[Any]] = [
        [type, *(f"{counts[kind]:,}" for kind in KINDS.values())]
        for type, counts in [
            *sorted(merged.changed.items()),
            ("all", sum(merged.changed.values(), Counter[str]())),
        ]
    ]
    lines = [tabulate(rows, ["Type", *KINDS.values()], disable_numparse=True)]
    lines += [f"{a} became {b}: {times:,}" for (a, b), times in sorted(merged.types.items())]
    if merged.concepts:
        lines.append(f"{merged.concepts:,} mentions that were kept have other concept ids")
    lines.append(
        f"{len(merged.documents):,} documents, {len(merged.returned):,} of them from people -> {output}"
    )
    print("\n".join(lines), file=sys.stderr)
    notes(merged.notes)
    if merged.missing:
        shown = ", ".join(merged.missing[:_SHOWN]) + (", ..." if len(merged.missing) > _SHOWN else "")
        number = f"{len(merged.missing):,}"
        notes([f"{number} documents of the queue did not return, and stay as the run marked them: {shown}"])
