"""In: the folder of a study, its settings. Out: where its parts lie; refused, where they are another study's.

study.json                    what was asked, and what was read of each corpus
registry.yaml                 its corpora as training reads them
gold/CORPUS.jsonl             gold documents that are scored; CORPUS.seen.json: keys of the mentions of its train split
data/CORPUS.train.jsonl       documents that are trained on; CORPUS.dev.jsonl: those that choose a model
cells/ARM/CORPUS/SEED/        a cell (`vaner.study.cells`)
probes/ARM/                   what an arm's first updates and documents took
costs.json                    the timing pass
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from vaner import provenance
from vaner.errors import VanerError
from vaner.files import write_text
from vaner.jobs.record import differences, load
from vaner.study.settings import StudySettings

RECORD = "study.json"
COSTS = "costs.json"


class StudyFolder:
    """The folder.

    Args:
        path: of the folder; made where it is not there, by `prepare`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / RECORD
        self.registry = path / "registry.yaml"
        self.costs = path / COSTS

    def gold(self, corpus: str) -> Path:
        """Gold documents of a corpus."""
        return self.path / "gold" / f"{corpus}.jsonl"

    def seen(self, corpus: str) -> Path:
        """Keys of the mentions of its train split."""
        return self.path / "gold" / f"{corpus}.seen.json"

    def training(self, corpus: str, split: str) -> Path:
        """Documents that are trained on (``train``), or choose a model (``dev``)."""
        return self.path / "data" / f"{corpus}.{split}.jsonl"

    def cell(self, arm: str, corpus: str, seed: str) -> Path:
        """Folder of a cell."""
        return self.path / "cells" / arm / corpus / seed

    def probe(self, arm: str) -> Path:
        """Folder of what an arm's first updates and documents took."""
        return self.path / "probes" / arm

    def lock(self, name: str) -> FileLock:
        """A lock that other processes, here or on another machine, wait for; it opens when its process ends."""
        folder = self.path / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock")

    def prepare(self) -> None:
        """Make the folder where it is not there.

        Raises:
            VanerError: it holds something, and no study.
        """
        there = (
            [one.name for one in self.path.iterdir() if one.name != ".locks"] if self.path.is_dir() else []
        )
        if there and not self.record.is_file():
            raise VanerError(
                f"--output {self.path}: holds {sorted(there)[0]} and no {RECORD}; name a folder of its own"
            )
        self.path.mkdir(parents=True, exist_ok=True)

    def load(self) -> dict[str, Any]:
        """What was asked; empty before the first run.

        Raises:
            VanerError: it is damaged.
        """
        return load(self.record) if self.record.is_file() else {}

    def same_study(self, settings: StudySettings, before: Mapping[str, Any]) -> None:
        """Refuse to go on with another study's cells; arms, corpora and seeds may come and go.

        Args:
            settings: of the file.
            before: what `load` gave.

        Raises:
            VanerError: names what differs.
        """
        if not before:
            return
        now = asked(settings)
        same = ("split", "sample", "budget")
        found = differences({k: before.get(k) for k in same}, {k: now[k] for k in same})
        both = [name for name in before["arms"] if name in now["arms"]]
        found += differences(*({"arms": {name: one["arms"][name] for name in both}} for one in (before, now)))
        corpora = [name for name in before["corpora"] if name in settings.corpora]
        found += differences(
            {"documents": {name: before["documents"].get(name) for name in corpora}},
            {"documents": {name: now["documents"].get(name) for name in corpora}},
        )
        if found:
            raise VanerError(
                f"{settings.file}: --output {self.path} holds a study with other settings ({'; '.join(found[:5])}); "
                "give what differs another name (arms), or the study another folder"
            )

    def write(
        self,
        settings: StudySettings,
        corpora: Mapping[str, Any],
        left_out: Mapping[str, Any],
        command: str | None,
    ) -> None:
        """Write what is asked now.

        Args:
            settings: of the study.
            corpora: corpus -> what was read of it.
            left_out: arm -> corpus -> why it is not asked about it.
            command: as it was typed.
        """
        found = {
            **asked(settings),
            "corpora": {name: corpora[name] for name in settings.corpora},
            "left_out": left_out,
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "command": command,
        }
        write_text(self.record, json.dumps(found, ensure_ascii=False, indent=2) + "\n")


def asked(settings: StudySettings) -> dict[str, Any]:
    """What a study is, as JSON holds it."""
    found = {
        "name": Path(settings.file).stem,
        "split": settings.split,
        "sample": {"seed": settings.sample_seed},
        "documents": {name: settings.documents_of(name) for name in settings.corpora},
        "seeds": list(settings.seeds),
        "budget": settings.budget.said,
        "arms": {name: settings.told(arm) for name, arm in settings.arms.items()},
        "cost": vars(settings.cost),
        "reference": settings.reference or next(iter(settings.arms)),
        "budgets": settings.budgets,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain
