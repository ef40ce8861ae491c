"""In: a run's files and settings. Out: the record of what made a model: versions, hashes, commit, command."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

import vaner
from vaner.backbone import sha256_file

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "numpy", "bitsandbytes")


def versions() -> dict[str, str]:
    """Versions of vaner and of what it stands on, and the machine's processor."""
    found = {"vaner": vaner.__version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
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

    A folder (brat) has one hash over the names and hashes of the files in it. Where two files share name and
    folder, as many more folders are named as tell them apart.
    """
    found: dict[str, str] = {}
    for path in dict.fromkeys(map(Path, paths)):
        depth = 2
        while "/".join(path.parts[-depth:]) in found and depth < len(path.parts):
            depth += 1
        if path.is_file():
            found["/".join(path.parts[-depth:])] = sha256_file(path)
        elif path.is_dir():
            inside = (p for p in sorted(path.rglob("*")) if p.is_file())
            lines = "".join(f"{sha256_file(p)}  {p.relative_to(path).as_posix()}\n" for p in inside)
            found["/".join(path.parts[-depth:])] = hashlib.sha256(lines.encode()).hexdigest()
    return found
