"""In: what something is made from, and how. Out: a folder of the cache that holds it, made once, whole, and checked.

    VANER_CACHE/mix/texts-3f9c.../entry.json     bytes and sha256 of the files beside it, what was noted
                                  0.arrow ...
    VANER_CACHE/mix/texts-3f9c....lock           held by the process that makes it; the others wait

Anything there may be removed while nothing runs; what is missing is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from vaner.errors import VanerError
from vaner.files import cache_folder, sha256, write_text

ENTRY = "entry.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """What is kept.

    Attributes:
        folder: of the files.
        told: what its maker noted about them.
        hashes: name of each file -> sha256.
    """

    folder: Path
    told: dict[str, Any]
    hashes: dict[str, str]


def kept(
    kind: str, made_from: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]], shelf: str = "mix"
) -> Entry:
    """The entry of the cache that was made from something; made now, by one of all processes, where there is none.

    An entry that is damaged is made anew, and a warning says so. A maker that fails or is killed leaves none.

    Args:
        kind: what it is called in the cache.
        made_from: all that the result depends on, as JSON can hold it.
        make: writes files into the folder that it is given, and returns what is to be noted, as JSON can hold it.
        shelf: folder of the cache.

    Raises:
        VanerError: the cache cannot be written, and what `make` raises.
    """
    asked = json.dumps(made_from, sort_keys=True, default=str)
    name = f"{kind}-{hashlib.sha256(asked.encode()).hexdigest()[:32]}"
    root = cache_folder() / shelf
    folder = root / name
    found, _ = _read(folder)
    if found:
        return found
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{name}.lock"):
            # Another process may have made it while this one waited.
            found, damage = _read(folder)
            if found:
                return found
            if damage:
                log.warning(f"{folder}: {damage}; it is made anew")
            _make(root, folder, make)
    except OSError as error:
        raise VanerError(
            f"{root}: cannot be written ({error.strerror or error}); free space there, or name another folder with "
            "the variable VANER_CACHE"
        ) from error
    found, damage = _read(folder)
    if not found:
        raise VanerError(f"{folder}: {damage} right after it was written; check the disk")
    return found


def _make(root: Path, folder: Path, make: Callable[[Path], Mapping[str, Any]]) -> None:
    # What a killed process left; the lock says that none is at work on it.
    _remove(root.glob(f".{folder.name}.*"))
    writing = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=root))
    try:
        told = make(writing)
        files = sorted(path for path in writing.iterdir())
        for path in files:
            _sync(path)
        held = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files}
        entry = {"told": told, "files": held}
        write_text(writing / ENTRY, json.dumps(entry, indent=1) + "\n")
        _sync(writing)
        if folder.exists():
            # Processes that have mapped it keep what they mapped.
            folder.rename(Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=root)) / "damaged")
        writing.rename(folder)
        _sync(root)
    finally:
        _remove(root.glob(f".{folder.name}.*"))


def _read(folder: Path) -> tuple[Entry | None, str | None]:
    """A whole entry; or None, and what is wrong with the one that is there."""
    if not folder.is_dir():
        return None, None
    try:
        entry = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
        for name, held in entry["files"].items():
            if (folder / name).stat().st_size != held["bytes"] or sha256(folder / name) != held["sha256"]:
                return None, f"{name} is not what was written"
        hashes = {name: held["sha256"] for name, held in entry["files"].items()}
        return Entry(folder, entry["told"], hashes), None
    except FileNotFoundError as error:
        return None, f"{Path(error.filename).name} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, f"{ENTRY} is not what was written"


def _remove(folders: Iterable[Path]) -> None:
    for path in list(folders):
        shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
