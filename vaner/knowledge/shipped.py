"""In: nothing, or the name of an index. Out: its path; the shipped vocabulary is compiled when it is first asked for.

    VANER_CACHE/kb/open-3f9c....kb      the index of the vocabularies in kb/open
                   open-3f9c....lock    held by the process that compiles it; the others wait

Its name has a hash of the vocabularies, the rules and the form of names and file, so another version of any of them
compiles anew. Anything there may be removed while nothing runs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from vaner.errors import FormatError, VanerError
from vaner.files import cache_folder, sha256, shipped
from vaner.knowledge import store
from vaner.knowledge.index import build
from vaner.knowledge.normalise import NORMAL_FORM
from vaner.knowledge.rules import Rules
from vaner.report import Report

if TYPE_CHECKING:
    from vaner.vocabularies.sources import Source

#: Names of no file: the shipped vocabulary, and no index at all.
OPEN, NO_INDEX = "open", "none"

log = logging.getLogger(__name__)


def named_index(name: str | os.PathLike | None) -> Path | None:
    """The index of a name.

    Args:
        name: ``open`` for the shipped vocabulary, ``none`` or None for no index, or a path.

    Raises:
        VanerError: there is no such file; see `open_index` besides.
    """
    if name is None or name == NO_INDEX:
        return None
    if name == OPEN:
        return open_index()
    path = Path(name)
    if not path.is_file():
        raise VanerError(
            f"{path}: no such index; give the path of one (python -m vaner kb build makes it), {OPEN} or {NO_INDEX}"
        )
    return path


def needed_index(name: str | os.PathLike) -> Path:
    """`named_index` where none will not do.

    Raises:
        VanerError: ``none``, and as there.
    """
    path = named_index(name)
    if path is None:
        raise VanerError(f"{name}: names no index, and one is needed; give the path of one, or {OPEN}")
    return path


def open_index() -> Path:
    """The index of the shipped vocabulary, compiled now, by one of all processes, where the cache has none.

    That takes about a minute, and a line on standard error says so. An index that is cut short or has a damaged
    header is compiled again, and a warning says so. One that is being compiled when the process is killed leaves
    nothing under its name.

    Raises:
        VanerError: a shipped file is missing or not as it was shipped, or the cache cannot be written.
    """
    folder = shipped("kb")
    # Here, so that a model which looks nothing up does not wait for readers of ontologies.
    from vaner.vocabularies.sources import read_sources

    parts = read_sources(folder / "sources.yaml")[OPEN].parts
    root = cache_folder() / "kb"
    path = root / f"{OPEN}-{_fingerprint(folder, parts)}.kb"
    if _damage(path) is None:
        return path
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            # Another process may have compiled it while this one waited.
            damage = _damage(path)
            if damage is None:
                return path
            if path.exists():
                log.warning(f"{damage}; it is compiled again")
            _compile(path, folder, parts)
    except OSError as error:
        raise VanerError(
            f"{root}: cannot be written ({error.strerror or error}); free space there, or name another folder with "
            "the variable VANER_CACHE"
        ) from error
    return path


def _fingerprint(folder: Path, parts: tuple[Source, ...]) -> str:
    """Of all that the index depends on; the vocabularies count by the hashes that the registry states."""
    made_from = {
        "vocabularies": [[part.description, part.sha256] for part in parts],
        "rules": [sha256(folder / name) for name in ("rules.yaml", "stoplist.tsv")],
        "form": [NORMAL_FORM, store.VERSION],
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]


def _damage(path: Path) -> str | None:
    """What is wrong with the file, None where it is whole as far as its header, its length and its end say."""
    try:
        store.Store(path)
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: not there"
    except FormatError as error:
        return str(error)
    return None


def _compile(path: Path, folder: Path, parts: tuple[Source, ...]) -> None:
    for part in parts:
        for file, wanted in zip(part.paths(None), part.sha256, strict=True):
            if sha256(file) != wanted:
                raise VanerError(f"{file}: not the file that was shipped; install vaner again")
    print("compiling the open vocabulary (once, about a minute)", file=sys.stderr)
    report = Report()
    build(path, [(p.record(None), p.terms(None, report)) for p in parts], Rules.load(folder), report)
