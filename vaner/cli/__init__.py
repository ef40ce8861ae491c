"""In: command-line words. Out: a subcommand's exit status; one file a subcommand.

Each command's module has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args) -> int | None``; or, where its
words are parsed elsewhere, ``HELP`` and ``main(argv) -> int | None``. A module with ``GIVEN_ON`` gets the words behind
``--`` unparsed, as ``args.given_on``. ``options`` is what several of them share.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from vaner.errors import VanerError, near
from vaner.files import DISK_FULL

COMMANDS = (
    "annotate",
    "calibrate",
    "convert",
    "corpora",
    "distil",
    "doctor",
    "evaluate",
    "export",
    "guideline",
    "kb",
    "merge",
    "predict",
    "push",
    "serve",
    "study",
    "train",
    "view",
)

#: Words that may follow a command and make another of it: ``annotate report`` is the module ``annotate_report``.
ACTIONS = {"annotate": ("merge", "report"), "study": ("cell",)}


def guarded(run: Callable[[], int | None]) -> int:
    """Run a command; print bad input as one ``error:`` line and return status 2."""
    # It says at every start that it lacks a kernel for 4-bit on CPU, which hardly anyone asks for.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # Schedulers stop jobs by SIGTERM, which would end Python without removing what is half written.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run() or 0
    except VanerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        print(f"error: {error.filename}: {error.strerror}; check the path", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough; nothing was lost.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        where = error.filename or "the output"
        print(f"error: {where}: {error.strerror}; make room there and try again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise VanerError(f"{message}; see {self.prog} --help")


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    """What to say of a word that no argument takes."""
    if not word.startswith("-"):
        return f"{word!r} belongs to no flag"
    flag = word.partition("=")[0]
    hint = near(flag, re.findall(r"--\w+", parser.format_help()))
    return f"unknown flag {flag}" + (f" ({hint})" if hint else "")


def main(argv: list[str] | None = None, prog: str | None = None) -> int:
    """Run a subcommand; ``prog`` is what help calls it where a script of its own starts it."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if len(argv) > 1 and argv[1] in ACTIONS.get(argv[0], ()):
        argv = [f"{argv[0]}_{argv[1]}", *argv[2:]]
    alone = {*COMMANDS, *(f"{name}_{action}" for name, actions in ACTIONS.items() for action in actions)}
    given_on: list[str] = []
    parser = _Parser(prog="python -m vaner", description="Biomedical entity tagging.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    # Of one that is named, nothing else is imported: `doctor` must work where another's packages are broken.
    for name in argv[:1] if argv and argv[0] in alone else COMMANDS:
        module = importlib.import_module(f"{__name__}.{name}")
        if argv and argv[0] == name and hasattr(module, "main"):
            return guarded(functools.partial(module.main, argv[1:]))
        sub = commands.add_parser(
            name,
            prog=prog or f"python -m vaner {name.replace('_', ' ')}",
            help=module.HELP,
            description=module.HELP,
        )
        if not hasattr(module, "main"):
            module.add_arguments(sub)
            if argv and argv[0] == name and hasattr(module, "GIVEN_ON") and "--" in argv:
                given_on = argv[argv.index("--") + 1 :]
                del argv[argv.index("--") :]
            sub.set_defaults(run=module.run, parser=sub, given_on=given_on)

    def parse_and_run() -> int | None:
        args, unknown = parser.parse_known_args(argv)
        if unknown:
            args.parser.error(_unknown(unknown[0], args.parser))
        run: Callable[[argparse.Namespace], int | None] = args.run
        return run(args)

    return guarded(parse_and_run)
