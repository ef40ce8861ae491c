"""In: names of registered corpora and a data root. Out: a table of what they hold and what is missing."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tqdm import tqdm

from vaner.cli.options import add_data_root, add_on_error, add_registry

if TYPE_CHECKING:
    from vaner.corpora.counting import Counts
    from vaner.corpora.registry import Corpus

HELP = "list the registered corpora, count what they hold, say what is missing"

_SIZES = ("corpus", "split", "docs", "sents", "words", "mentions", "in train %")
_MENTIONS = ("corpus", "split", "1/2/3+ words %", "mentions of each type")
_TEXT_COLUMNS = {"corpus", "split", "mentions of each type"}
_NARROWEST_TYPES = 24
_LEGEND = (
    "in train: sentences that the train split has verbatim, all / those of six words or more. "
    "Sentences and words are the file's own where it marks them."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="name", help="corpora, paths or hf:DATASET; default: all corpora"
    )
    add_data_root(parser)
    add_registry(parser)
    add_on_error(parser)
    parser.add_argument(
        "--json", metavar="FILE", help="write all of it, with licences and citations, as JSON"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")


def run(args: argparse.Namespace) -> None:
    from vaner.corpora.counting import count
    from vaner.corpora.own import all_corpora, named
    from vaner.corpora.registry import root_folder
    from vaner.files import check_parent, write_text

    if args.json:
        check_parent(args.json)
    root = root_folder(args.data_root)
    known = all_corpora(args.registry)
    chosen = [named(name, known, args.on_error) for name in args.names] or list(known.values())
    counted: list[Counts] = []
    expected = sum(len(corpus.present(root)) for corpus in chosen)
    # The bar appears only where counting takes longer than two seconds.
    with tqdm(total=expected, unit="split", delay=2, leave=False) as bar:
        for corpus in chosen:
            bar.set_description(corpus.name, refresh=False)
            for found in count(corpus, root, args.on_error):
                counted.append(found)
                bar.update()
    missing = {corpus.name: splits for corpus in chosen if (splits := _missing(corpus, counted))}
    if args.json:
        listed = _as_json(chosen, counted, missing)
        write_text(args.json, json.dumps(listed, indent=2, ensure_ascii=False) + "\n")
    width = None if args.markdown else shutil.get_terminal_size().columns
    parts = _tables(counted, width) + _absent(chosen, missing, root is not None, width)
    print("\n\n".join(parts))


def _missing(corpus: Corpus, counted: Sequence[Counts]) -> list[str]:
    present = {found.split for found in counted if found.corpus == corpus.name}
    return [split for split in corpus.files if split not in present]


def _as_json(
    chosen: Sequence[Corpus], counted: Sequence[Counts], missing: dict[str, list[str]]
) -> list[dict[str, object]]:
    return [
        {
            "name": corpus.name,
            "instruction_name": corpus.instruction_name,
            "types": sorted(corpus.annotated),
            "granularity": corpus.granularity,
            "licence": corpus.licence,
            "citation": corpus.citation,
            "url": corpus.url,
            "shipped": corpus.shipped,
            "splits": {found.split: asdict(found) for found in counted if found.corpus == corpus.name},
            "missing": missing.get(corpus.name, []),
        }
        for corpus in chosen
    ]


def _tables(counted: Sequence[Counts], width: int | None) -> list[str]:
    """Both tables, a legend, and what the readers repaired; ``width`` None is Markdown."""
    parts = []
    if counted:
        parts = [
            _table(_SIZES, [_sizes(found) for found in counted], width),
            _filled(_LEGEND, width),
            _table(_MENTIONS, [_mentions(found) for found in counted], width),
        ]
    notes = [f"{found.corpus} {found.split}: {note}" for found in counted for note in found.notes]
    return parts + _listed("While reading:", notes, width)


def _absent(
    chosen: Sequence[Corpus], missing: dict[str, list[str]], root_is_set: bool, width: int | None
) -> list[str]:
    """What is not there, and where it is to be had."""
    lines = []
    for corpus in chosen:
        if splits := missing.get(corpus.name):
            expected = corpus.files[splits[0]][0][0]
            lines.append(f"{corpus.name} ({', '.join(splits)}): expected {expected}; from {corpus.url}")
    head = "No data root is set (--data_root, or VANER_DATA), so that only samples are found. Missing:"
    return _listed("Not found below the data root:" if root_is_set else head, lines, width)


def _listed(head: str, lines: Sequence[str], width: int | None) -> list[str]:
    bullet = "- " if width is None else "  "
    filled = [_filled(bullet + line, width) for line in lines]
    return ["\n".join([_filled(head, width), "", *filled])] if lines else []


def _sizes(found: Counts) -> list[str]:
    counts = (found.documents, found.sentences, found.words, sum(found.lengths))
    shares = (found.in_train, found.long_in_train)
    in_train = " / ".join("-" if share is None else f"{100 * share:.1f}" for share in shares)
    return [found.corpus, found.split, *(f"{n:,}" for n in counts), in_train.replace("- / -", "")]


def _mentions(found: Counts) -> list[str]:
    total = sum(found.lengths)
    lengths = "/".join(f"{100 * n / total:.0f}" for n in found.lengths) if total else ""
    return [found.corpus, found.split, lengths, ", ".join(f"{t} {n:,}" for t, n in found.mentions.items())]


def _table(header: Sequence[str], rows: list[list[str]], width: int | None) -> str:
    from tabulate import tabulate

    align = ["left" if name in _TEXT_COLUMNS else "right" for name in header]
    if width is None:
        return tabulate(rows, header, tablefmt="github", colalign=align, disable_numparse=True)
    # tabulate pads a header by two characters, and puts two between columns.
    columns = list(zip(header, *rows, strict=True))[:-1]
    taken = sum(max(len(name) + 2, *map(len, cells)) + 2 for name, *cells in columns)
    room = max(width - taken, _NARROWEST_TYPES)
    wrapped = [[*row[:-1], textwrap.fill(row[-1], room)] for row in rows]
    # The splits of a corpus are read as a group: its name stands on the first only.
    for before, row in reversed(list(zip(wrapped, wrapped[1:], strict=False))):
        if row[0] == before[0]:
            row[0] = ""
    return tabulate(wrapped, header, tablefmt="simple", colalign=align, disable_numparse=True)


def _filled(text: str, width: int | None) -> str:
    if width is None:
        return text
    # Paths and addresses stay whole, to be copied.
    return textwrap.fill(
        text, max(width, 40), subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
