"""In: files of documents. Out: the same documents, spans and concept ids in another format."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from vaner.cli.many import add_gzip
from vaner.cli.options import add_formats, check_files, input_format, notes, say
from vaner.errors import FormatError, OffsetError, VanerError
from vaner.files import DISK_FULL
from vaner.formats import check_reader, check_writer, read, write
from vaner.jobs.assembly import write_lines
from vaner.jobs.sources import DELETED, Source, ending, plan
from vaner.report import SKIPPED, Report

HELP = "write a file of documents, or many, in another format"
EPILOG = (
    "Two paths: a file and what it becomes. With --output: any number of files, folders and patterns, each of which "
    "becomes a file of that folder. Status: 0; 2 for bad input or use; 3 where documents or files were left out."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.usage = "%(prog)s [options] INPUT OUTPUT | PATH [PATH ...] --output FOLDER"
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="documents (- for standard input, *.gz accepted) and where to write (- for standard output); with "
        "--output all are read: files, folders, patterns in quotes ('pubmed/**/*.xml.gz')",
    )
    parser.add_argument("--output", metavar="FOLDER", help="where to write a file for each file that is read")
    add_formats(parser)
    add_gzip(parser)


def run(args: argparse.Namespace) -> int:
    if args.output is not None:
        return _many(args)
    if len(args.paths) != 2:
        raise VanerError(
            f"{len(args.paths)} paths; name a file and what it becomes, or a folder for all of them with --output"
        )
    if args.gzip != "none":
        raise VanerError("--gzip is for many files (--output FOLDER); let the name of the one end in .gz")
    _file(args, *args.paths)
    return 0


def _file(args: argparse.Namespace, source: str, output: str) -> None:
    output_format = check_files(source, output, input_format(args), args.output_format)
    report = Report()
    documents = read(source, input_format(args), on_error=args.on_error, report=report)
    bar = tqdm(documents, desc="converting", unit=" documents", delay=2, file=sys.stderr)
    count = write(output, bar, output_format, report=report)
    say(report)
    print(f"{count:,} documents -> {output}", file=sys.stderr)


def _many(args: argparse.Namespace) -> int:
    output_format = args.output_format or "jsonl"
    check_reader(input_format(args))
    check_writer(output_format)
    verbatim = input_format(args).partition(":")[0] == "datasets"
    sources = plan(args.paths, args.output, ending(output_format), gzip=args.gzip, verbatim=verbatim)
    counts: Counter[str] = Counter()
    deleted: list[dict[str, str]] = []
    for source in tqdm(sources, desc="converting", unit=" files", delay=2, file=sys.stderr):
        report = Report()
        try:
            counts["documents"] += _convert(source, input_format(args), output_format, args.on_error, report)
            counts["files"] += 1
        except (FormatError, OffsetError, OSError) as error:
            full = isinstance(error, OSError) and error.errno in DISK_FULL
            if full or args.on_error == "raise":
                raise
            reason = f"{source.path}: {error.strerror}" if isinstance(error, OSError) else str(error)
            report.warn("file left out", reason)
        deleted += [{"file": source.name, "id": id} for id in report.deleted]
        counts["left out"] += report.counts[SKIPPED] + report.counts["file left out"]
        notes(f"{source.name}: {line}" for line in report.summary())
    print(
        f"{counts['documents']:,} documents in {counts['files']:,} files -> {args.output}",
        file=sys.stderr,
    )
    if deleted:
        write_lines(Path(args.output) / DELETED, deleted)
        print(
            f"{len(deleted):,} documents exist no longer, say the files; {DELETED} has their ids",
            file=sys.stderr,
        )
    if counts["left out"]:
        print(f"{counts['left out']:,} documents or files were left out", file=sys.stderr)
    return 3 if counts["left out"] else 0


def _convert(source: Source, input_format: str, output_format: str, on_error: str, report: Report) -> int:
    source.output.parent.mkdir(parents=True, exist_ok=True)
    documents = read(source.path, input_format, on_error=on_error, report=report)
    return write(Path(source.output), documents, output_format, report=report)
