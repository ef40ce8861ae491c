"""In: a run's files and settings. Out: the record of what made a model or tagged a file: versions, hashes, command."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import vaner
from vaner.files import sha256

#: What a model is made and run with.
PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "numpy", "bitsandbytes")


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of vaner, Python and the packages that are installed, and the machine's architecture."""
    found = {"vaner": vaner.__version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The checkout's commit, with ``-dirty`` where files were changed; None outside a checkout."""
    root = Path(vaner.__file__).parent.parent
    if not (root / ".git").exists():
        return None  # installed: a repository further up is somebody else's
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def file_hashes(paths: Iterable[str]) -> dict[str, str]:
    """Name of each file, with the folder it lies in, and its sha256; never where on the machine it was.

    Where two files share name and folder, as many more folders are named as tell them apart, or a ' is added.
    """
    found: dict[str, str] = {}
    for path in dict.fromkeys(map(Path, paths)):
        depth = 2
        while "/".join(path.parts[-depth:]) in found and depth < len(path.parts):
            depth += 1
        name = "/".join(path.parts[-depth:])
        while name in found:
            name += "'"
        if path.exists():
            found[name] = sha256(path)
    return found


#: Where a sentence that a dictionary and a model labelled (`vaner.tagging.distant`) says, in its ``metadata``, which
#: document it is from.
DISTANT = "distant"

#: Where a document says what tagged it, in its ``metadata``; a dictionary as `tagged_by` gives it.
TAGGED_BY = "tagged_by"


def tagged_by(taggers: Mapping[str, str], *, date: str | None = None, **more: str) -> dict[str, str]:
    """What is written into a tagged file about who tagged it: a flat dictionary, the same in every run.

    Args:
        taggers: name -> hash of what it is made of, ``""`` where it has none (`vaner.tagging.identity`).
        date: as it is to be written; a file without one is the same whenever it is made.
        more: further entries.

    Returns:
        ``tagger`` (program and version), ``model``, ``model_hash`` (its first 16 digits; several models and
        hashes are parted by `` + ``), ``date`` where one is given, and ``more``.
    """
    found = {"tagger": f"vaner {vaner.__version__}", "model": " + ".join(taggers)}
    found["model_hash"] = " + ".join(digits[:16] or "none" for digits in taggers.values())
    return found | ({"date": date} if date else {}) | more
