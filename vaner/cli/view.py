"""In: a file of documents, in any format that is read. Out: a page of them, opened in the browser."""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Iterator
from pathlib import Path

from vaner.cli.options import add_on_error, check_files, say
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import read, write
from vaner.report import Report

HELP = "look at a file of documents in the browser"
FIRST = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", metavar="FILE", help="documents; - for standard input, *.gz accepted")
    add("--input_format", default="auto", metavar="FORMAT", help="options may follow; default: %(default)s")
    add_on_error(parser)
    add("--output", metavar="FILE", help="where to write the page; default: a temporary file")
    add("--no_browser", action="store_true", help="write the page and open nothing")
    add("--first", type=int, default=FIRST, metavar="N", help="documents on the page; default: %(default)s")
    add(
        "--skip",
        type=int,
        default=0,
        metavar="N",
        help="documents that come before them; default: %(default)s",
    )


def run(args: argparse.Namespace) -> None:
    for option, least in (("first", 1), ("skip", 0)):
        if vars(args)[option] < least:
            raise VanerError(f"--{option} {vars(args)[option]}: give a number from {least}")
    if args.output:
        check_files(args.input, args.output, args.input_format, "html")
    report = Report()
    documents = read(args.input, args.input_format, on_error=args.on_error, report=report)
    shown = _Shown(itertools.islice(documents, args.skip, None), args.first)
    title = "standard input" if args.input == "-" else Path(args.input).name
    # Texts may be confidential: the folder is the user's alone. The page stays there for the browser to read.
    folder = None if args.output else tempfile.mkdtemp(prefix="vaner-")
    path = args.output or os.path.join(folder or "", f"{title}.html")
    try:
        count = write(path, shown, "html", report=Report(), title=title)
    except BaseException:
        if folder:
            shutil.rmtree(folder)
        raise
    say(report)
    print(f"{count:,} documents -> {path}", file=sys.stderr)
    if shown.more:
        print(
            f"note: only documents {args.skip + 1:,} to {args.skip + count:,} are on the page; --first and --skip "
            "choose others",
            file=sys.stderr,
        )
    if path != "-" and not args.no_browser and not webbrowser.open(Path(path).resolve().as_uri()):
        print(f"note: no browser was found; open {path} in one", file=sys.stderr)


class _Shown:
    """The first documents, and whether there were more."""

    def __init__(self, documents: Iterable[Document], most: int) -> None:
        self._documents, self._most = documents, most
        self.more = False

    def __iter__(self) -> Iterator[Document]:
        for number, document in enumerate(self._documents):
            if number == self._most:
                self.more = True
                return
            yield document
