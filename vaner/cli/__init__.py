"""In: command-line words. Out: a subcommand's exit status; one file per subcommand.

Each module here has ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args) -> int | None``.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import pkgutil
import re
import signal
import sys
import threading
from collections.abc import Callable

from vaner.errors import VanerError


def guarded(run: Callable[[], int | None]) -> int:
    """Run a command; print bad input as one ``error:`` line and return status 2."""
    # It says at every start that it lacks a kernel for 4-bit on CPU, which hardly anyone asks for.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
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
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise VanerError(f"{message}; see {self.prog} --help")


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    """What to say of a word that no argument takes."""
    if not word.startswith("-"):
        return f"{word!r} belongs to no flag"
    flag = word.partition("=")[0]
    near = difflib.get_close_matches(flag, re.findall(r"--\w+", parser.format_help()), n=1)
    return f"unknown flag {flag}" + (f" (did you mean {near[0]}?)" if near else "")


def main(argv: list[str] | None = None, prog: str | None = None) -> int:
    """Run a subcommand; ``prog`` is what help calls it where a script of its own starts it."""
    argv = sys.argv[1:] if argv is None else argv
    parser = _Parser(prog="python -m vaner", description="Biomedical entity tagging.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        sub = commands.add_parser(
            info.name, prog=prog or f"python -m vaner {info.name}", help=module.HELP, description=module.HELP
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run, parser=sub)

    def parse_and_run() -> int | None:
        # Schedulers stop jobs by SIGTERM, which would end Python without removing what is half written.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        args, unknown = parser.parse_known_args(argv)
        if unknown:
            args.parser.error(_unknown(unknown[0], args.parser))
        return args.run(args)

    return guarded(parse_and_run)
