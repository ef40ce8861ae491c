"""In: guidelines, instructions. Out: passages with their places, instructions to edit, quotations verified again."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vaner.cli.options import notes, say
from vaner.errors import VanerError
from vaner.files import check_parent, read_yaml, replacing_text, stem, write_text
from vaner.report import Report

if TYPE_CHECKING:
    from vaner.annotation.guideline import OpenGuideline

HELP = "turn an annotation guideline into instructions, each with its quotation"
WORDS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")

    read = actions.add_parser("read", help="the passages of guidelines, with their pages and offsets")
    _add_files(read)
    read.add_argument(
        "--output", metavar="FILE.jsonl", help="write one JSON object a passage (default: print them)"
    )

    extract = actions.add_parser("extract", help="draft instructions from guidelines, to be edited")
    _add_files(extract)
    extract.add_argument("--output", required=True, metavar="FILE.yaml", help="the instructions")
    extract.add_argument(
        "--overwrite", action="store_true", help="write over an output that is there, edited or not"
    )
    extract.add_argument(
        "--by",
        choices=("model", "hand"),
        default="model",
        help="who finds the statements: a model (--model), or you, in a file that shows the passages that look as if "
        "they were about each of them; default: %(default)s",
    )
    extract.add_argument(
        "--model",
        metavar="FILE.yaml",
        help="settings of a prompted tagger: its backend, sampling, store and budget are used (docs/prompting.md)",
    )
    extract.add_argument(
        "--types",
        nargs="+",
        metavar="TYPE",
        help="what the guideline is about; default: the types of --model",
    )
    extract.add_argument("--corpus", metavar="NAME", help="name of the corpus; default: that of the output")
    extract.add_argument("--dry_run", action="store_true", help="say what would be asked; ask nobody")

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
    return {"read": _read, "extract": _extract, "check": _check}[args.action](args)


def _read(args: argparse.Namespace) -> None:
    from vaner.annotation.guideline import passages

    _check_words(args.words)
    report = Report()
    found = passages(args.files, args.words, report)
    if args.output is None:
        for piece in found:
            print(f"== {piece.source}, {piece.start}-{piece.end}\n{piece.text}\n")
    else:
        check_parent(args.output)
        pieces = list(found)
        with replacing_text(args.output) as file:
            for piece in pieces:
                file.write(json.dumps(asdict(piece), ensure_ascii=False) + "\n")
        print(f"{len(pieces):,} passages -> {args.output}", file=sys.stderr)
    say(report)


def _check_words(words: int) -> None:
    if words < 1:
        raise VanerError(f"--words {words}: must be 1 or more")


def _extract(args: argparse.Namespace) -> None:
    from vaner.annotation.drafting import by_hand, named
    from vaner.corpora.registry import read_registry

    _check_words(args.words)
    output = Path(args.output)
    check_parent(output)
    if output.exists() and not args.overwrite:
        raise VanerError(f"{output}: is there, and may have been edited; name another, or say --overwrite")
    report = Report()
    guidelines = named(args.files, output, report)
    say(report)
    corpus = args.corpus or stem(output)
    known = read_registry().types
    if args.by == "model":
        if args.model is None:
            raise VanerError("--model: name the settings of a prompted tagger, or write the file --by hand")
        text = _extracted(args, corpus, guidelines)
    elif args.model is not None or args.dry_run:
        raise VanerError("--by hand asks no model; leave --model and --dry_run out")
    elif not args.types:
        raise VanerError("--types: name what the guideline is about, such as Disease")
    else:
        words = {
            type: " ".join([type, *((known[type].plural, *known[type].other) if type in known else ())])
            for type in args.types
        }
        text = by_hand(corpus, words, guidelines, str(output))
    if text is None:
        return
    write_text(output, text)
    if strange := [type for type in args.types or () if type not in known]:
        notes([f"{', '.join(strange)}: no canonical type (data/corpora.yaml), as which corpora have them"])
    print(f"{output}: written; read it beside the guideline before it is used", file=sys.stderr)


def _extracted(args: argparse.Namespace, corpus: str, guidelines: list[OpenGuideline]) -> str | None:
    """What a model finds; None where it only was to be said what would be asked."""
    from vaner.annotation.drafting import drafted
    from vaner.annotation.extracting import Extractor
    from vaner.corpora.registry import read_registry
    from vaner.prompting.opening import opened_sender, price_of
    from vaner.prompting.request import Sampling
    from vaner.prompting.sending import plan_summary, summary
    from vaner.prompting.settings import PromptSettings

    settings = PromptSettings.load(args.model.removeprefix("prompt:"))
    known = read_registry().types
    types = {
        type: settings.types.get(type) or (known[type].definition if type in known else "")
        for type in args.types or settings.types
    }
    if not types:
        raise VanerError(f"--types: name what the guideline is about; {args.model} has no types")
    sender = opened_sender(settings)
    report = Report()
    extractor = Extractor(
        sender,
        types,
        words=args.words,
        most_tokens=settings.budget.max_tokens,
        sampling=Sampling(**vars(settings.sampling)),
        forced=settings.decoding == "forced",
        report=report,
    )
    price = price_of(settings)
    try:
        if args.dry_run:
            print(plan_summary(extractor.plan(guidelines), price))
            return None
        statements = extractor.statements(guidelines)
        conflicts = extractor.conflicts(statements)
    finally:
        sender.backend.close()
    say(report)
    verified = sum(one.place is not None for one in statements)
    print(
        f"{len(statements)} statements, {verified} with a verified quotation; {len(conflicts)} conflicts; "
        f"{summary(sender.spent, price)}",
        file=sys.stderr,
    )
    model = f"{settings.backend.name}, {Path(settings.backend.model).name}"
    return drafted(corpus, list(types), statements, conflicts, guidelines, str(args.output), model)


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
    places = Places(found, opened, afresh=True)
    standings = places.all()
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
    yield from places.wrong(standings)
    instructions = Instructions.load(path, guidelines)
    notes(
        f"{path}: {type}: {one.about}"
        for type, said in instructions.types.items()
        for one in contradictions(said)
    )
    how = Counter(one.how for one in standings)
    said = ", ".join(f"{number} {name}" for name, number in how.items()) or "none"
    without = sum(not entry.quote for entry in statements(found))
    held = f"; {without} statement{'' if without == 1 else 's'} without one" if without else ""
    print(f"{path}: {len(standings)} quotations: {said}{held}; hash {instructions.hash[:12]}")
