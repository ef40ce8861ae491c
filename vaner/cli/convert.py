"""In: a file of documents. Out: the same documents, spans and concept ids in another format."""

from __future__ import annotations

import argparse
import sys

from tqdm import tqdm

from vaner.cli.options import add_formats, check_files, input_format, say
from vaner.formats import read, write
from vaner.report import Report

HELP = "write a file of documents in another format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", help="documents; - for standard input, *.gz accepted")
    parser.add_argument("output", help="where to write; - for standard output")
    add_formats(parser)


def run(args: argparse.Namespace) -> None:
    output_format = check_files(args.input, args.output, input_format(args), args.output_format)
    report = Report()
    documents = read(args.input, input_format(args), on_error=args.on_error, report=report)
    bar = tqdm(documents, desc="converting", unit=" documents", delay=2, file=sys.stderr)
    count = write(args.output, bar, output_format, report=report)
    say(report)
    print(f"{count:,} documents -> {args.output}", file=sys.stderr)
