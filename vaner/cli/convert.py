"""In: a file of documents. Out: the same documents, spans and concept ids in another format."""

from __future__ import annotations

import argparse
import os
import sys

from tqdm import tqdm

from vaner.errors import VanerError
from vaner.formats import READERS, WRITERS, Report, format_to_write, read, write

HELP = "write a file of documents in another format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", help="documents; - for standard input, *.gz accepted")
    add("output", help="where to write; - for standard output")
    add(
        "--input_format",
        default="auto",
        metavar="FORMAT",
        help=f"auto, {', '.join(READERS)}; options may follow, as in text:per=line or pubtator:offsets=repair; "
        "default: auto",
    )
    add(
        "--output_format",
        metavar="FORMAT",
        help=f"{', '.join(WRITERS)}; options may follow, as in conll:scheme=iobes; "
        "default: by the output's extension",
    )
    add(
        "--on_error",
        choices=("raise", "skip"),
        default="raise",
        help="on a bad document: stop, or leave it out and count it; default: %(default)s",
    )


def run(args: argparse.Namespace) -> None:
    if args.input != "-" and os.path.exists(args.output) and os.path.samefile(args.input, args.output):
        raise VanerError(f"{args.output} is the input; name another file")
    report = Report()
    documents = read(args.input, args.input_format, on_error=args.on_error, report=report)
    bar = tqdm(documents, desc="converting", unit=" documents", delay=2, file=sys.stderr)
    count = write(args.output, bar, args.output_format or format_to_write(args.output), report=report)
    for line in report.summary():
        print(f"note: {line}", file=sys.stderr)
    print(f"{count:,} documents -> {args.output}", file=sys.stderr)
