"""In: inputs and output as they were named. Out: whether they mean many files, and the options of that."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from vaner.errors import VanerError
from vaner.jobs.sources import is_pattern
from vaner.jobs.units import UNIT_CHARACTERS, UNIT_DOCUMENTS

#: Options that mean nothing for a single file, and what they are then.
_ONLY = {
    "processes": None,
    "on": "local",
    "ray_address": None,
    "unit_documents": None,
    "unit_characters": None,
    "overwrite": False,
    "gzip": "none",
}


def is_many(inputs: Sequence[str], output: str) -> bool:
    """Whether the output is a folder of files, and not one file.

    It is where it is a folder that exists or ends in ``/``, where several inputs or a pattern are named, and where a
    folder is and the output has no ending.

    Raises:
        VanerError: several inputs for one file.
    """
    if output != "-" and (os.path.isdir(output) or output.endswith("/")):
        return True
    several = len(inputs) > 1 or is_pattern(inputs[0])
    if several and (output == "-" or Path(output).suffix):
        raise VanerError(
            f"--output {output}: several inputs become a file each; name a folder, with / at its end ({output}/)"
            if output != "-"
            else "--output -: several inputs become a file each; name a folder"
        )
    return several or (os.path.isdir(inputs[0]) and not Path(output).suffix and output != "-")


def add_gzip(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """``--gzip``."""
    parser.add_argument(
        "--gzip",
        choices=("none", "keep", "all"),
        default="none",
        help="which outputs are compressed: none, those of compressed inputs, or all; default: %(default)s",
    )


def add_corpus_run(parser: argparse.ArgumentParser) -> None:
    """The options of a run over many files."""
    group = parser.add_argument_group("of runs over many files (--output is a folder)")
    add = group.add_argument
    add("--processes", type=int, metavar="N", help="processes that tag on this machine's CPU; default: 1")
    add(
        "--on",
        choices=("local", "ray"),
        default="local",
        help="who tags: processes of this machine, or workers that Ray places, on each GPU that it has (with "
        "--processes N: N on CPUs); needs pip install 'vaner[ray]'; default: %(default)s",
    )
    add(
        "--ray_address",
        metavar="ADDRESS",
        help="with --on ray: the cluster, as host:6379, or auto for the one that this machine belongs to; default: "
        "a Ray of this machine alone",
    )
    add("--overwrite", action="store_true", help="start anew, whatever an earlier run left in the folder")
    add(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help="on standard error: a bar, a JSON object every few seconds, or nothing; default: %(default)s",
    )
    add_gzip(group)
    add(
        "--unit_documents",
        type=int,
        metavar="N",
        help=f"documents that are tagged together and kept when they are; default: {UNIT_DOCUMENTS}",
    )
    add(
        "--unit_characters",
        type=int,
        metavar="N",
        help=f"the same in characters, whichever comes first; default: {UNIT_CHARACTERS}",
    )


def refuse_corpus_run(args: argparse.Namespace) -> None:
    """Raise VanerError where an option of many files was given for one."""
    for name, nothing in _ONLY.items():
        if getattr(args, name) != nothing:
            raise VanerError(
                f"--{name} is for runs over many files; name a folder as --output (with / at its end), or leave it out"
            )


def at_least_one(args: argparse.Namespace, *names: str) -> None:
    """Raise VanerError for a number below 1."""
    for name in names:
        if (value := getattr(args, name)) is not None and value < 1:
            raise VanerError(f"--{name} is {value}; choose 1 or more, or leave it out")
