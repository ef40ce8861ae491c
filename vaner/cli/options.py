"""In: a parser. Out: the options that several commands share, worded once, and the checks that belong to them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable

from vaner.errors import VanerError
from vaner.files import check_parent, refuse_pipe
from vaner.formats import READERS, WRITERS, check_reader, check_writer, format_to_write, is_elsewhere
from vaner.report import Report


def add_formats(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """``--input_format``, ``--text_column``, ``--id_column``, ``--output_format``, ``--on_error``.

    Args:
        many: the command also takes many files at once, and then skips bad documents unless told otherwise:
            ``on_error`` is None where nothing was said.
    """
    add_input_format(parser)
    parser.add_argument(
        "--output_format",
        metavar="FORMAT",
        help=f"{', '.join(WRITERS)}; options may follow, as in conll:scheme=iobes; default: by the output's extension",
    )
    add_on_error(parser, many=many)


def add_input_format(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """``--input_format``, ``--text_column``, ``--id_column``; `input_format` reads them."""
    parser.add_argument(
        "--input_format",
        default="auto",
        metavar="FORMAT",
        help=f"auto, {', '.join(READERS)}; options may follow, as in text:per=line or pubtator:offsets=repair; "
        "default: auto",
    )
    parser.add_argument(
        "--text_column",
        metavar="NAME",
        help="of a table (Parquet, CSV, a dataset) or of JSON: the column or key with the texts; title+abstract joins "
        "two; default: text, or the only one that holds texts",
    )
    parser.add_argument(
        "--id_column",
        metavar="NAME",
        help="the column or key with the documents' ids; none: number the rows; default: id, where there is one",
    )


def input_format(args: argparse.Namespace) -> str:
    """The format to read, ``--text_column`` and ``--id_column`` among its options.

    Where the format is found out for each file, they are for those that have columns or keys.
    """
    told = {"text": args.text_column, "id": args.id_column}
    options = [f"{name}={value}" for name, value in told.items() if value is not None]
    name, _, before = args.input_format.partition(":")
    return ":".join(filter(None, (name, ",".join(filter(None, (before, *options))))))


def add_on_error(parser: argparse.ArgumentParser | argparse._ArgumentGroup, *, many: bool = False) -> None:
    """``--on_error``."""
    parser.add_argument(
        "--on_error",
        choices=("raise", "skip"),
        default=None if many else "raise",
        help="on a bad document: stop, or leave it out and count it; default: raise"
        + ("; where --output is a folder: skip" if many else ""),
    )


def add_data_root(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """``--data_root``."""
    parser.add_argument("--data_root", metavar="FOLDER", help="where the corpora are; default: $VANER_DATA")


def add_registry(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """``--registry``."""
    parser.add_argument(
        "--registry", metavar="FILE", help="corpora of your own, added to those of VANER's data/corpora.yaml"
    )


def check_files(input: str, output: str, input_format: str, output_format: str | None) -> str:
    """Refuse what cannot work before anything long begins.

    Returns:
        the format to write.

    Raises:
        VanerError: an unknown format, an input that is not there, an output that is the input or has no folder.
    """
    to_write = output_format or format_to_write(output)
    check_reader(input_format)
    check_writer(to_write)
    if not is_elsewhere(input):
        if not os.path.exists(input):
            raise VanerError(f"{input or 'an empty name'}: no such file; check the path")
        refuse_pipe(input)
        if os.path.exists(output) and os.path.samefile(input, output):
            raise VanerError(f"{output}: is the input; name another file to write")
    if output != "-":
        check_parent(output)
    return to_write


def say(report: Report) -> None:
    """What was repaired or left out while files were read, one line a kind, on standard error."""
    notes(report.summary())


def notes(lines: Iterable[str]) -> None:
    """Lines that a user should know, on standard error."""
    for line in lines:
        print(f"note: {line}", file=sys.stderr)
