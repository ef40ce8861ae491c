"""In: a run's files and settings. Out: the record of what made a model: versions, hashes, commit, command."""

from __future__ import annotations

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
    """Name of each file, with the folder it lies in, and its sha256; never where on the machine it was."""
    return {"/".join(Path(p).parts[-2:]): sha256_file(p) for p in dict.fromkeys(paths) if Path(p).is_file()}
