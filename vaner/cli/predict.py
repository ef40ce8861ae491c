"""In: a file of documents, a tagger, entity types. Out: the same documents with spans, in another file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tqdm import tqdm

from vaner.cli.options import add_formats, check_files, notes, say
from vaner.cli.tagging_options import add_tagging, settings_of
from vaner.document import Document
from vaner.formats import read, write
from vaner.report import Report

HELP = "tag a file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--input", required=True, metavar="FILE", help="documents to tag; - for standard input, *.gz accepted"
    )
    add("--output", required=True, metavar="FILE", help="where to write; - for standard output")
    add_formats(parser)
    add_tagging(parser)


@dataclass
class _Counts:
    documents: int = 0
    characters: int = 0
    spans: int = 0
    linked: int = 0


def run(args: argparse.Namespace) -> int:
    # What cannot work is said before the model is loaded, which may take minutes.
    output_format = check_files(args.input, args.output, args.input_format, args.output_format)
    settings = settings_of(args)
    tagger = settings.open()
    report = Report()
    documents = read(
        args.input, args.input_format, on_error=args.on_error, report=report, to_tag=settings.replaces
    )
    counts = _Counts()
    started = time.monotonic()
    tagged = tagger.tag_documents(documents, settings.types, settings.dataset)
    with tqdm(desc="tagging", unit=" documents", delay=2, file=sys.stderr) as bar:
        write(args.output, _counted(tagged, counts, bar), output_format, report=report)
    seconds = time.monotonic() - started
    say(report)
    print(
        f"{counts.documents:,} documents, {counts.characters:,} characters, {counts.spans:,} spans "
        f"in {seconds:.1f} s ({counts.documents / max(seconds, 1e-9):.2f} documents/s) -> {args.output}",
        file=sys.stderr,
    )
    if settings.link:
        print(f"{counts.linked:,} spans have a concept id", file=sys.stderr)
    notes(tagger.remarks())
    return 0


def _counted(documents: Iterable[Document], counts: _Counts, bar: tqdm) -> Iterator[Document]:
    for document in documents:
        counts.documents += 1
        counts.characters += len(document.text)
        counts.spans += len(document.spans)
        counts.linked += sum(bool(span.concepts) for span in document.spans)
        bar.update()
        yield document
