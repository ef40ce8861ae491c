"""In: a model's folder, the name of a hub repository. Out: the model there, and what it was."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tabulate import tabulate

from vaner.cli.options import notes

HELP = "upload a model to the Hugging Face hub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="of the model, as train.py wrote it")
    add("repository", metavar="OWNER/NAME", help="on the hub; made where it is missing")
    add("--private", action="store_true", help="make a private one; a public one that is there is refused")
    add("--revision", metavar="BRANCH", help="made where it is missing; default: the main one")
    add("--message", default="Upload of a VANER model", help="of the commit; default: %(default)s")
    add("--create_pr", action="store_true", help="as a pull request")
    add(
        "--scores",
        nargs="+",
        default=[],
        metavar="FILE",
        help="for the card and its metadata: what evaluate --json wrote of this model; default: its dev scores of "
        "training",
    )
    add("--dry_run", action="store_true", help="say what would be uploaded; nothing is sent")


def run(args: argparse.Namespace) -> None:
    from vaner.model.publishing import Publication, plan, publish

    publication: Publication = plan(args.folder, args.repository, args.scores)
    print(tabulate([[one.name, _bytes(one.size)] for one in publication.files], ["file", "size"], "pipe"))
    total = sum(one.size for one in publication.files)
    print(f"\n{len(publication.files)} files, {_bytes(total)}")
    if publication.left_out:
        print(f"not uploaded: {', '.join(publication.left_out)}")
    rows: Sequence[Sequence[object]] = publication.results
    if rows:
        print("\nin the card's metadata:")
        print(tabulate(rows, ["dataset", "split", "metric", "value"], "pipe"))
    else:
        print("\nthe card has no scores: the folder keeps none; give some (--scores)")
    notes(publication.notes)
    if args.dry_run:
        print(f"\nnothing was sent to {args.repository} (--dry_run)")
        return
    where = publish(
        publication,
        private=args.private or None,
        revision=args.revision,
        message=args.message,
        create_pr=args.create_pr,
    )
    print(f"\n{where}")


def _bytes(count: int) -> str:
    """As people read it: 271 MB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
