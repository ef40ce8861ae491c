"""In: a row's name, what it is made of, how it is measured. Out: the row, measured once and kept; commands of vaner."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import write_text

ROOT = Path(__file__).parent.parent


class Rows:
    """Rows that were measured, a file each, so that what was cut off goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def row(
        self, name: str, made_of: Mapping[str, Any], measure: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The row of this name, measured where it was not.

        Raises:
            VanerError: it was measured of something else.
        """
        path = self.folder / f"{slug(name)}.json"
        made_of = json.loads(json.dumps(made_of))
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["made_of"] != made_of:
                differs = [key for key in made_of if kept["made_of"].get(key) != made_of[key]]
                raise VanerError(
                    f"{path}: is of other settings ({', '.join(differs)}); choose another --runs, or remove it"
                )
            return dict(kept["found"])
        print(f"{name}: measuring", file=sys.stderr, flush=True)
        found = measure()
        write_text(path, json.dumps({"made_of": made_of, "found": found}, indent=1) + "\n")
        return found


def slug(name: str) -> str:
    """A name as part of a file's."""
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def call(words: Sequence[object], log: Path) -> None:
    """Run a Python script or module; what it says goes into a file.

    Raises:
        VanerError: it failed; with its last line.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        done = subprocess.run(
            [sys.executable, *map(str, words)], stdout=file, stderr=subprocess.STDOUT, cwd=ROOT
        )
    # 3: documents were rejected, which whoever reads the output counts.
    if done.returncode not in (0, 3):
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise VanerError(
            f"{' '.join(map(str, words[:3]))} ended with {done.returncode}: {''.join(last)} ({log})"
        )


def sample(documents: Iterable[Document], number: int | None, seed: int) -> list[Document]:
    """So many documents, drawn by the seed, in their own order; all where there are no more."""
    listed = list(documents)
    if number is None or number >= len(listed):
        return listed
    chosen = set(random.Random(seed).sample(range(len(listed)), number))
    return [document for at, document in enumerate(listed) if at in chosen]


def texts(documents: Iterable[Document]) -> list[Document]:
    """Documents of which nothing is left but ids, texts and passages."""
    return [replace(d, spans=[], types=None, metadata={}, words=None, sentences=None) for d in documents]
