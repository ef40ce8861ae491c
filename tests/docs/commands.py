"""In: shell code. Out: what is wrong with its commands: flags, files of the checkout and extras that do not exist.

Nothing is run. Words that a reader is to replace are words like any others; `...` stands for what is left out.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conftest import ROOT
from vaner import cli
from vaner.errors import VanerError

_SEPARATORS = re.compile(r"[;&|()]+")
_REDIRECTS = re.compile(r"[<>]+&?")
_VARIABLE = re.compile(r"\$\{?(\w+|[@#*])(?:\[@\]|:-([^}]*))?\}?")
_ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)
# Files of the checkout that a command names; globs and what a command writes lie elsewhere.
_SHIPPED = re.compile(
    r"(?:prompt:)?((?:configs|benchmarks|examples|kb|data/samples|data/models)/[\w./-]+\.\w+)$"
)


def complaints(code: str) -> list[str]:
    """What is wrong, a line a command."""
    found = []
    for words in commands(code):
        try:
            _check(words)
        except VanerError as error:
            found.append(f"{' '.join(words)}: {error}")
    return found


def alone(code: str) -> list[list[str]] | None:
    """The words for `vaner.cli.main` of each command, where the code is no more than such commands; else None."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        (words, *others) = _parts(line)
        if not words:
            continue
        if words[:3] == ["python", "-m", "vaner"]:
            words = words[3:]
        elif words[:2] == ["python", "predict.py"]:
            words = ["predict", *words[2:]]
        else:
            return None
        # What only a shell does, and what is to have a process of its own.
        if others or words[0] == "train" or re.search(r"[$<>`*]", line):
            return None
        found.append(words)
    return found


def commands(code: str) -> Iterator[list[str]]:
    """The words of each command; variables that the code sets are put in, and output goes nowhere."""
    variables: dict[str, str] = {}
    for line in code.replace("\\\n", " ").splitlines():
        line = re.sub(r"^\s*\$ ", "", line)
        for words in _parts(line):
            words = [part for word in words for part in _expanded(word, variables)]
            while words and (assignment := _ASSIGNMENT.fullmatch(words[0])):
                variables[assignment[1]] = assignment[2]
                words = words[1:]
            if words:
                yield words


def _parts(line: str) -> list[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError as error:
        raise VanerError(f"{line.strip()}: is no shell: {error}") from None
    parts: list[list[str]] = [[]]
    skip = False
    for token in tokens:
        if skip:
            skip = False
        elif _SEPARATORS.fullmatch(token):
            parts.append([])
        elif _REDIRECTS.fullmatch(token):
            skip = True
            if parts[-1] and parts[-1][-1].isdigit():
                parts[-1].pop()
        else:
            parts[-1].append(token)
    return parts


def _expanded(word: str, variables: dict[str, str]) -> list[str]:
    whole = _VARIABLE.fullmatch(word)
    if whole and whole[1] in variables:
        return shlex.split(variables[whole[1]])
    return [_VARIABLE.sub(lambda found: variables.get(found[1], found[2] or "1"), word)]


def _check(words: list[str]) -> None:
    for word in words:
        if (named := _SHIPPED.match(word)) and not (ROOT / named[1]).exists():
            raise VanerError(f"there is no {named[1]}")
    for place, word in enumerate(words):
        name = Path(word).name
        if word == "-m" and words[place + 1 : place + 2] == ["vaner"]:
            return _ours(words[place + 2 :])
        if name in ("train.py", "predict.py"):
            return _ours([name.removesuffix(".py"), *words[place + 1 :]])
        if name == "vaner" and place == 0:
            return _ours(words[1:])
        if word.endswith(".py") and "/" in word:
            return _script(word, words[place + 1 :])
    if words[0] == "make":
        targets = set(
            re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        )
        if gone := [word for word in words[1:2] if word not in targets]:
            raise VanerError(f"the Makefile has no target {gone[0]}")
    if words[0] == "pip" or words[1:3] == ["-m", "pip"]:
        from tests.docs.names import extras

        asked = {extra for word in words for extra in _extras(word)}
        if gone := sorted(asked - extras()):
            raise VanerError(f"pyproject.toml has no extra {', '.join(gone)}")
    return None


def _extras(word: str) -> list[str]:
    found = re.fullmatch(r"(?:vaner|\.)\[([\w,]+)\]", word)
    return found[1].split(",") if found else []


def _script(name: str, words: list[str]) -> None:
    """A script's flags stand in it, or in a neighbour that it imports."""
    path = ROOT / name
    if not path.is_file():
        raise VanerError(f"there is no {name}")
    sources = [path.read_text(encoding="utf-8")]
    for neighbour in re.findall(r"^(?:from|import) (\w+)", sources[0], re.MULTILINE):
        if (beside := path.with_name(f"{neighbour}.py")).is_file():
            sources.append(beside.read_text(encoding="utf-8"))
    for word in words:
        flag = word.partition("=")[0]
        if re.fullmatch(r"--\w+", flag) and not any(f'"{flag}"' in source for source in sources):
            raise VanerError(f"{name} has no flag {flag}")
        # --variant "name: FLAGS": flags of train.py.
        if variant := re.fullmatch(r"[^:]*: (--.*)", word):
            _ours(["train", "...", *shlex.split(variant[1])])


def _ours(words: list[str]) -> None:
    words = [word for word in words if word]
    open_ended = "..." in words
    words = [word for word in words if word != "..."]
    if not words:
        if open_ended:
            return
        raise VanerError("names no command")
    command, rest = words[0], words[1:]
    if command.startswith("-"):
        return None
    if rest[:1] and rest[0] in cli.ACTIONS.get(command, ()):
        command, rest = f"{command}_{rest[0]}", rest[1:]
    actions = {f"{name}_{action}" for name, several in cli.ACTIONS.items() for action in several}
    if command not in (*cli.COMMANDS, *actions):
        raise VanerError(f"there is no command {command}")
    if command == "train":
        return _train(rest, open_ended)
    module = importlib.import_module(f"vaner.cli.{command}")
    if hasattr(module, "GIVEN_ON") and "--" in rest:
        behind = rest.index("--")
        _train(rest[behind + 1 :], True)
        rest = rest[:behind]
    parsed, unknown = _parser(command, open_ended).parse_known_args(rest)
    if unknown and not (open_ended and not unknown[0].startswith("-")):
        raise VanerError(f"{command} takes no {unknown[0]}")


@cache
def _parser(command: str, open_ended: bool) -> argparse.ArgumentParser:
    parser = cli._Parser(prog=f"python -m vaner {command}")
    importlib.import_module(f"vaner.cli.{command}").add_arguments(parser)
    if open_ended:
        _ask_nothing(parser)
    return parser


def _ask_nothing(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        action.required = False
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _ask_nothing(sub)
        elif action.nargs == "+" or (action.nargs is None and not action.option_strings):
            action.nargs = "*"


def _train(words: list[str], open_ended: bool) -> None:
    from vaner.training.arguments import parse

    # Whatever machine this is: bfloat16 on one without a GPU would be refused.
    words = [str(ROOT / word) if word.startswith("configs/") else word for word in words]
    try:
        parse([*words, "--use_cpu", "true"])
    except VanerError as error:
        if not (open_ended and str(error).startswith("no corpora to train on")):
            raise
