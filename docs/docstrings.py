"""In: docstrings of the package. Out: the same as Markdown, with links.

An extension of griffe, which mkdocstrings reads docstrings with. Docstrings are written to be read in the source:
``:func:`read` `` and `` `vaner.formats` `` name other objects, and tables in the heads of files are aligned by spaces.
"""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

import griffe

# What `vaner` gives by name only when it is asked for; griffe reads sources and does not see it.
_LAZY = {"vaner.Vaner": "vaner.tagging.labeler.Vaner"}

_CODE = re.compile(r"(?<!`)``[^`].*?``(?!`)", re.DOTALL)
_NAMED = re.compile(r"(?::(?:func|class|meth|mod|attr|data|exc):)?(?<!`)`([A-Za-z_][\w.]*)(?:\(\))?`(?!`)")


class Docstrings(griffe.Extension):
    """Prepares every docstring of a package for Markdown."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        """Prepare them once the whole package is read, so that every name is known."""
        self._prepare(pkg, pkg)
        self._once(pkg)

    def _prepare(self, found: griffe.Object, package: griffe.Module) -> None:
        if found.docstring is not None:
            text = found.docstring.value
            if found.is_module:
                text = _kept(text)
            found.docstring.value = _linked(text, found, package)
        for member in found.members.values():
            if not member.is_alias:
                self._prepare(member, package)

    def _once(self, found: griffe.Object) -> None:
        """Leave what a package's ``__init__`` passes on to the page of its own file; links by either path stay."""
        for name, member in list(found.members.items()):
            if member.is_alias:
                if found.is_module and member.target_path.startswith(f"{found.path}."):
                    member.final_target.aliases[member.path] = member
                    found.del_member(name)
            else:
                self._once(member)


def _kept(text: str) -> str:
    """The head of a file with its drawings, examples and aligned tables as blocks of code."""
    blocks = re.split(r"\n\s*\n", text)
    shown = []
    for block in blocks:
        lines = block.splitlines()
        aligned = any(re.search(r"\S {3,}\S", line) for line in lines)
        indented = any(line.startswith("    ") for line in lines)
        if len(lines) > 1 and (aligned or indented):
            block = f"```text\n{dedent(block)}\n```"
        shown.append(block)
    return "\n\n".join(shown)


def _linked(text: str, found: griffe.Object, package: griffe.Module) -> str:
    """The text with each named object of the package as a link; what is quoted as code stays so."""
    pieces = []
    end = 0
    for code in _CODE.finditer(text):
        pieces += [_NAMED.sub(lambda m: _link(m, found, package), text[end : code.start()]), code[0]]
        end = code.end()
    pieces.append(_NAMED.sub(lambda m: _link(m, found, package), text[end:]))
    return "".join(pieces)


def _link(named: re.Match[str], found: griffe.Object, package: griffe.Module) -> str:
    name = named[1]
    path = _path(name, found, package)
    return f"[`{name}`][{path}]" if path else f"`{name}`"


def _path(name: str, found: griffe.Object, package: griffe.Module) -> str | None:
    """The full path of what a docstring names, where the site shows it."""
    first, _, rest = name.partition(".")
    try:
        if name in _LAZY:
            path = _LAZY[name]
        elif first == package.name:
            path = name
        else:
            path = found.resolve(first) + (f".{rest}" if rest else "")
        if path != package.name and not path.startswith(f"{package.name}."):
            return None
        meant = package[path.removeprefix(f"{package.name}.")] if path != package.name else package
        if meant.is_alias:
            meant = meant.final_target
    except (griffe.NameResolutionError, griffe.AliasResolutionError, griffe.CyclicAliasError, KeyError):
        return None
    parts = meant.path.split(".")
    shown = meant.has_docstring and not any(part.startswith("_") for part in parts)
    return meant.path if shown else None
