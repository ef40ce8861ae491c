"""In: Python code, or prose. Out: the names of ours in it that do not exist.

Code is compiled, not run: what it imports from vaner must be there, and so must the attributes and the keyword
arguments of what it imports.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cache
from typing import Any

from tests.conftest import ROOT

_MISSING = object()
# `vaner.formats.read`, `vaner/cli/kb.py`: in prose between backticks.
_DOTTED = re.compile(r"vaner(?:\.\w+)+(?<!\.json)")
_PATH = re.compile(
    r"(?:vaner|tests|configs|benchmarks|examples|data|docs)/[\w./-]*\w\.(?:py|yaml|md|ipynb|tsv|pubtator)"
)
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@cache
def extras() -> frozenset[str]:
    """The extras of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    return frozenset(re.findall(r"^(\w+) = \[", section, re.MULTILINE))


def found(dotted: str) -> Any:
    """What a dotted name stands for, or ``_MISSING``."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            # An extra that a module of ours needs, and that is not here, says nothing of our names.
            if error.name and not error.name.startswith("vaner"):
                return None
            continue
        for name in parts[length:]:
            if isinstance(value, type) and name in getattr(value, "__annotations__", {}):
                return None
            value = getattr(value, name, _MISSING)
            if value is _MISSING:
                return _MISSING
        return value
    return _MISSING


def complaints(code: str) -> list[str]:
    """What is wrong with Python code; raises SyntaxError where it is none."""
    tree = ast.parse(code)
    said: list[str] = []
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "vaner":
                    if found(alias.name) is _MISSING:
                        said.append(f"there is no {alias.name}")
                    bound[alias.asname or "vaner"] = alias.name if alias.asname else "vaner"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vaner":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if found(name) is _MISSING:
                    said.append(f"there is no {name}")
                else:
                    bound[alias.asname or alias.name] = name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := _name(node, bound)) and found(name) is _MISSING:
            said.append(f"there is no {name}")
        elif isinstance(node, ast.Call) and (name := _name(node.func, bound)):
            said += _unknown_keywords(name, [one.arg for one in node.keywords if one.arg])
    return list(dict.fromkeys(said))


def _name(node: ast.expr, bound: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return bound.get(node.id)
    if isinstance(node, ast.Attribute) and (before := _name(node.value, bound)):
        return f"{before}.{node.attr}"
    return None


def _unknown_keywords(name: str, keywords: list[str]) -> list[str]:
    value = found(name)
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return []
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return []
    known = {one.name for one in parameters}
    return [f"{name} has no argument {keyword}" for keyword in keywords if keyword not in known]


def in_prose(text: str) -> list[str]:
    """Names and paths between backticks that do not exist."""
    said = []
    for code in _CODE.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        if _DOTTED.fullmatch(code) and not (ROOT / code).exists() and found(code) is _MISSING:
            said.append(f"there is no {code}")
        elif _PATH.fullmatch(code) and not (ROOT / code).exists():
            said.append(f"there is no file {code}")
    return list(dict.fromkeys(said))
