"""In: guidelines, instructions. Out: passages with their places, instructions to edit, quotations verified again."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from vaner.cli.options import notes, say
from vaner.errors import VanerError
from vaner.files import check_parent, read_yaml, replacing_text, write_text
from vaner.report import Report

HELP = "turn an annotation guideline into instructions, each with its quotation"
WORDS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")

    read = actions.add_parser("read", help="the passages of guidelines, with their pages and offsets")
    _add_files(read)
    read.add_argument(
        "--output", metavar="FILE.jsonl", help="write one JSON object a passage (default: print them)"
    )

    check = actions.add_parser(
        "check",
        help="verify that every quotation stands in its guideline; exit 2 where one does not",
    )
    check.add_argument("files", nargs="+", metavar="FILE.yaml", help="instructions")
    _add_guidelines(check)
    check.add_argument(
        "--write",
        action="store_true",
        help="record in the file where the quotations stand; nothing else of it is touched",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="Markdown, text, HTML, PDF or DOCX; or folders of them"
    )
    parser.add_argument(
        "--words", type=int, default=WORDS, metavar="N", help="of a passage at most (default: %(default)s)"
    )


def _add_guidelines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--guidelines", metavar="FOLDER", help="where the guidelines are (default: $VANER_GUIDELINES)"
    )


def run(args: argparse.Namespace) -> int | None:
    return {"read": _read, "check": _check}[args.action](args)


def _read(args: argparse.Namespace) -> None:
    from vaner.annotation.guideline import passages

    if args.words < 1:
        raise VanerError(f"--words {args.words}: must be 1 or more")
    report = Report()
    found = passages(args.files, args.words, report)
    if args.output is None:
        for piece in found:
            print(f"== {piece.source}, {piece.start}-{piece.end}\n{piece.text}\n")
    else:
        check_parent(args.output)
        count = 0
        with replacing_text(args.output) as file:
            for count, piece in enumerate(found, 1):  # noqa: B007 (it is told below)
                file.write(json.dumps(asdict(piece), ensure_ascii=False) + "\n")
        print(f"{count:,} passages -> {args.output}", file=sys.stderr)
    say(report)


def _check(args: argparse.Namespace) -> int:
    bad = 0
    for path in args.files:
        for line in _checked(path, args.guidelines, args.write):
            bad += 1
            print(f"error: {line}", file=sys.stderr)
    return 2 if bad else 0


def _checked(path: str, guidelines: str | None, write: bool) -> Iterator[str]:
    """Prints what stands; gives a line for each quotation that does not."""
    from vaner.annotation.contradictions import contradictions
    from vaner.annotation.entries import entries
    from vaner.annotation.guideline import at_hand, folders
    from vaner.annotation.instructions import Instructions
    from vaner.annotation.places import Places, recorded, statements

    found = entries(read_yaml(path), path)
    opened = at_hand(found.guidelines.values(), folders(guidelines, path))
    standings = Places(found, opened, afresh=True).all()
    if write:
        content = Path(path).read_bytes().decode("utf-8")
        if (new := recorded(content, found, opened)) != content:
            write_text(path, new)
    elif changed := [
        name
        for name, one in opened.items()
        if name in found.quotations and one.sha256 != found.quotations[name].sha256
    ]:
        notes([f"{path}: guideline {', '.join(changed)} is another file than before; --write records it"])
    # A quotation that a person holds back need not stand.
    yield from (one.why for one in standings if one.place is None and one.entry.verified)
    instructions = Instructions.load(path, guidelines)
    notes(
        f"{path}: {type}: {one.about}"
        for type, said in instructions.types.items()
        for one in contradictions(said)
    )
    how = Counter(one.how for one in standings)
    said = ", ".join(f"{number} {name}" for name, number in how.items()) or "none"
    without = sum(not entry.quote for entry in statements(found))
    held = f"; {without} statements without one" if without else ""
    print(f"{path}: {len(standings)} quotations: {said}{held}; hash {instructions.hash[:12]}")
