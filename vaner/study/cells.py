"""In: a study's settings, its folder. Out: its cells: which there are, what decides each, which are finished.

A cell is an arm, a corpus and a seed, in a folder of its own:

    train.yaml, train.log    flags of train.py, and what training said
    model/                   the model, with run.json; absent where nothing is trained here
    tagged.jsonl             the gold documents as this cell tags them
    failed.json              why it failed, the last time
    cell.json                what it took; written last: the cell is finished
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vaner.errors import VanerError
from vaner.jobs.record import load
from vaner.study.data import gold_hash
from vaner.study.folder import StudyFolder
from vaner.study.settings import Arm, StudySettings
from vaner.tagging.identity import unloaded

#: Of a cell whose arm is not trained: its seed.
NO_SEED = "-"
FINISHED, FAILED = "cell.json", "failed.json"
#: What training writes last.
CARD = "README.md"


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        arm: its arm.
        corpus: name of the corpus.
        seed: as a word.
        path: its folder.
        trains: the folder of the cell whose model it tags with: its own, another arm's, or None.
        hash: of all that decides what it computes.
    """

    arm: Arm
    corpus: str
    seed: str
    path: Path
    trains: Path | None
    hash: str

    @property
    def name(self) -> str:
        """``ARM CORPUS SEED``."""
        return f"{self.arm.name} {self.corpus} {self.seed}"

    @property
    def model(self) -> Path | None:
        """The folder of its model; None where it has none."""
        return None if self.trains is None else self.trains / "model"

    @property
    def waits_for(self) -> Path | None:
        """The cell of another arm whose training it needs; None for none."""
        return self.trains if self.trains != self.path else None

    def finished(self) -> dict[str, Any] | None:
        """What it took, if it is finished.

        Raises:
            VanerError: it is that of other settings.
        """
        path = self.path / FINISHED
        if not path.is_file():
            return None
        found = load(path)
        if found.get("hash") != self.hash:
            raise VanerError(
                f"{path}: was made with other settings of arm {self.arm.name}; give the arm another name, or the study "
                "another folder"
            )
        return found

    def failure(self) -> dict[str, Any] | None:
        """Why it failed, the last time that it was tried."""
        path = self.path / FAILED
        return load(path) if path.is_file() else None

    def lock(self) -> FileLock:
        """Held by the process that works on it, for as long as that lives."""
        self.path.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path / ".lock")

    def is_taken(self) -> bool:
        """Whether a process works on it now."""
        lock = self.lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False


def is_trained(folder: Path) -> bool:
    """Whether the model of a cell is complete."""
    return (folder / "model" / CARD).is_file()


def not_asked(settings: StudySettings, types: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """Arm -> corpus -> why it has no cell there: the arm knows none of the corpus's types.

    Args:
        settings: of the study.
        types: corpus -> the types that it annotates.
    """
    found: dict[str, dict[str, str]] = {}
    for name, arm in settings.arms.items():
        known = _listed_types(arm)
        for corpus in settings.corpora:
            if known is not None and not known.intersection(types[corpus]):
                why = f"its index has none of {', '.join(types[corpus])}"
                found.setdefault(name, {})[corpus] = why
    return found


def cells(
    settings: StudySettings, folder: StudyFolder, left_out: Mapping[str, Mapping[str, str]]
) -> list[Cell]:
    """The cells of a study, in the order in which they are begun: seed by seed, so that each tells something early.

    Args:
        settings: of the study.
        folder: whose corpora are prepared.
        left_out: of `not_asked`.
    """
    data = {name: gold_hash(folder, name) for name in settings.corpora}
    return [
        _cell(settings, folder, arm, corpus, str(seed) if arm.seeded else NO_SEED, data)
        for number, seed in enumerate(settings.seeds)
        for corpus in settings.corpora
        for arm in settings.arms.values()
        if corpus not in left_out.get(arm.name, {}) and (arm.seeded or number == 0)
    ]


def _cell(
    settings: StudySettings, folder: StudyFolder, arm: Arm, corpus: str, seed: str, data: Mapping[str, str]
) -> Cell:
    trained = settings.trained_by(arm)
    decides = {
        "arm": {k: v for k, v in settings.told(arm).items() if k != "model_of"},
        "training": settings.told(trained) if trained.seeded else None,
        "budget": settings.budget.said if trained.seeded else None,
        "seed": seed,
        "data": data[corpus],
    }
    digits = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    trains = folder.cell(trained.name, corpus, seed) if trained.seeded else None
    return Cell(arm, corpus, seed, folder.cell(arm.name, corpus, seed), trains, digits)


def _listed_types(arm: Arm) -> frozenset[str] | None:
    """The types that an arm can be asked for; None where it can be asked for all."""
    if arm.index is None:
        return None
    known = unloaded(f"kb:{arm.index}")
    return None if known is None else frozenset(known.types)


def named_cell(every: Sequence[Cell], arm: str, corpus: str, seed: str) -> Cell:
    """The cell of these names.

    Raises:
        VanerError: there is none.
    """
    for one in every:
        if (one.arm.name, one.corpus, one.seed) == (arm, corpus, seed):
            return one
    raise VanerError(
        f"the study has no cell {arm} {corpus} {seed}; its file says which arms, corpora and seeds it has"
    )


def unfinished(every: Sequence[Cell]) -> Iterator[Cell]:
    """Those that are not finished."""
    return (one for one in every if one.finished() is None)
