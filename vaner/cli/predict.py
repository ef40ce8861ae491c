"""In: files of documents, a tagger, entity types. Out: the same documents with spans, in other files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tqdm import tqdm

from vaner.cli.corpus_run import check_corpus_run, corpus_run
from vaner.cli.many import add_corpus_run, at_least_one, is_many, refuse_corpus_run
from vaner.cli.options import add_formats, check_files, input_format, notes, say
from vaner.cli.tagging_options import add_tagging, settings_of
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import check_parent, write_text
from vaner.formats import check_reader, is_elsewhere, read, write
from vaner.jobs import ranks
from vaner.jobs.sources import SUMMARY, ending, plan
from vaner.jobs.summary import Summary
from vaner.report import SKIPPED, Report
from vaner.tagger import FAILED

HELP = "tag a file, or many"
EPILOG = (
    "Status: 0; 2 for bad input or use; 3 where documents were rejected (rejected.jsonl) or not tagged in full; 130 "
    "and 143 after Ctrl-C and SIGTERM. A run over many files that was ended in any way goes on with the same command."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add(
        "--input",
        required=True,
        nargs="+",
        metavar="PATH",
        help="documents to tag: files (*.gz accepted), folders, patterns in quotes ('pubmed/**/*.xml.gz'), - for "
        "standard input",
    )
    add(
        "--output",
        required=True,
        metavar="PATH",
        help="where to write: a file, or - for standard output; a folder (with / at its end) for a file for each input",
    )
    add_formats(parser, many=True)
    add_tagging(parser)
    add(
        "--dry_run",
        action="store_true",
        help="of a prompted tagger (prompt:FILE): read everything, and say how many requests and tokens there would be "
        "and what they would cost; nothing is sent, nothing is written",
    )
    add(
        "--show_prompt",
        type=int,
        metavar="N",
        help="of a prompted tagger: print the first N requests as they would be sent; nothing is sent or written",
    )
    add(
        "--summary",
        metavar="FILE",
        help="print what was found of each type, and write it as JSON; a run over many files always does, into "
        "summary.json of its folder",
    )
    add_corpus_run(parser)


def run(args: argparse.Namespace) -> int:
    if args.dry_run or args.show_prompt is not None:
        return _planned(args)
    if is_many(args.input, args.output):
        return _corpus(args)
    refuse_corpus_run(args)
    if ranks.several():
        raise VanerError(
            "one file is tagged by one process; name a folder as --output, or do without a launcher"
        )
    return _file(args)


# --- nothing is sent ---


def _planned(args: argparse.Namespace) -> int:
    """Print what a prompted tagger would send; nothing is sent or written."""
    at_least_one(args, "show_prompt")
    settings = replace(settings_of(args), dry_run=args.dry_run, show_prompt=args.show_prompt)
    settings.check()
    check_reader(input_format(args))
    verbatim = input_format(args).partition(":")[0] == "datasets"
    many = is_many(args.input, args.output)
    sources = plan(args.input, args.output, ending("jsonl"), verbatim=verbatim) if many else []
    paths = [source.path for source in sources] or args.input
    tagger = settings.open()
    report = Report()
    documents = (
        document
        for path in paths
        for document in read(
            path,
            input_format(args),
            on_error=args.on_error or "raise",
            report=report,
            to_tag=settings.replaces,
        )
    )
    for _ in tagger.tag_documents(documents, settings.types, settings.dataset):
        pass
    say(report)
    for line in tagger.remarks():
        print(line)
    return 0


# --- one file ---


def _file(args: argparse.Namespace) -> int:
    (source,) = args.input
    # What cannot work is said before the model is loaded, which may take minutes.
    output_format = check_files(source, args.output, input_format(args), args.output_format)
    if args.summary is not None:
        _check_summary(args.summary, source, args.output)
    # What a model does not answer is no reason to give up the rest of the file.
    settings = replace(settings_of(args), on_failed="leave")
    tagger = settings.open()
    report = Report()
    documents = read(
        source, input_format(args), on_error=args.on_error or "raise", report=report, to_tag=settings.replaces
    )
    summary = Summary()
    started = time.monotonic()
    tagged = tagger.tag_documents(documents, settings.types, settings.dataset)
    with tqdm(desc="tagging", unit=" documents", delay=2, file=sys.stderr) as bar:
        failed: list[str] = []
        write(args.output, _counted(tagged, summary, bar, failed), output_format, report=report)
    seconds = time.monotonic() - started
    say(report)
    if args.summary is not None:
        summary.rejected = report.counts[SKIPPED]
        write_text(args.summary, summary.to_json())
        print(summary.table(), file=sys.stderr)
    print(
        f"{summary.documents:,} documents, {summary.characters:,} characters, {summary.mentions.total():,} spans "
        f"in {seconds:.1f} s ({summary.documents / max(seconds, 1e-9):.2f} documents/s) -> {args.output}",
        file=sys.stderr,
    )
    if settings.link:
        print(f"{summary.linked.total():,} spans have a concept id", file=sys.stderr)
    notes(tagger.remarks())
    if not failed:
        return 0
    print(
        f"{len(failed):,} documents are not tagged in full, for calls gave no answer; their metadata says why "
        "(failed), and the same command asks again for what failed",
        file=sys.stderr,
    )
    return 3


def _check_summary(summary: str, source: str, output: str) -> None:
    """Refuse a summary that cannot be written, or would replace what was read or tagged."""
    check_parent(summary)
    if os.path.isdir(summary):
        raise VanerError(f"--summary {summary}: is a folder; name a file to write")
    for what, path in (("input", source), ("output", output)):
        if not (what == "input" and is_elsewhere(path)) and os.path.realpath(summary) == os.path.realpath(
            path
        ):
            raise VanerError(f"--summary {summary}: is the {what}; name another file to write")


def _counted(
    documents: Iterable[Document], summary: Summary, bar: tqdm, failed: list[str]
) -> Iterator[Document]:
    for document in documents:
        summary.add(document)
        if FAILED in document.metadata:
            failed.append(document.id)
        bar.update()
        yield document


# --- many files ---


def _corpus(args: argparse.Namespace) -> int:
    if args.summary is not None:
        raise VanerError(f"--summary: a run over many files writes {SUMMARY} into its folder; leave it out")
    check_corpus_run(args)
    return corpus_run(args, settings_of(args))
