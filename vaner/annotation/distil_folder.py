"""In: the folder of a distillation. Out: where its parts lie, what is finished of each file; nothing of others removed.

texts/  tagged/  taught/  registry.yaml  student/  distil.json      the parts
gold/  scored/  taught-gold/                                        those of scored gold
.vaner/texts/a.jsonl.json                                           what was counted of a file whose stage is finished
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vaner.errors import VanerError
from vaner.files import write_text
from vaner.jobs import record
from vaner.jobs.sources import WORK

TEXTS, TAGGED, TAUGHT, REGISTRY, STUDENT = "texts", "tagged", "taught", "registry.yaml", "student"
GOLD, SCORED, SCORED_GOLD = "gold", "scored", "taught-gold"
RECORD = "distil.json"
#: What training writes last.
CARD = "README.md"


class DistilFolder:
    """The folder.

    Args:
        path: of the folder; made where it is not there, by `prepare`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts, self.tagged, self.taught = path / TEXTS, path / TAGGED, path / TAUGHT
        self.gold, self.scored, self.taught_gold = path / GOLD, path / SCORED, path / SCORED_GOLD
        self.registry, self.student = path / REGISTRY, path / STUDENT
        self.record = path / RECORD
        self.lock = path / WORK / "lock"

    def prepare(self, overwrite: bool) -> None:
        """Make the folder where it is not there.

        Raises:
            VanerError: it holds something, and no record of a run of this kind.
        """
        others = (
            sorted(entry.name for entry in self.path.iterdir() if entry.name != WORK)
            if self.path.exists()
            else []
        )
        if others and not self.record.is_file():
            what = "remove that by hand, or name another folder" if overwrite else "name a folder of its own"
            raise VanerError(f"--output {self.path}: holds {others[0]} and no {RECORD}; {what}")
        self.lock.parent.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Remove what a run wrote, and nothing else."""
        # First what says that something is finished; last the record, without which nothing here is known for a run's.
        notes = [entry for entry in self.lock.parent.iterdir() if entry != self.lock]
        of_texts = self.taught, self.tagged, self.texts
        of_gold = self.taught_gold, self.scored, self.gold
        for path in (*notes, self.student, self.registry, *of_texts, *of_gold, self.record):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def same_run(self, now: Mapping[str, Any]) -> None:
        """Note what decides the bytes of a run; refuse to go on with another's work.

        Raises:
            VanerError: names what differs. What is only of the student may differ until it is trained.
        """
        if self.record.exists():
            before = record.load(self.record)["run"]
            if self.student.exists():
                found, more = record.differences(before, now), ""
            else:
                # Another student may learn from the same texts.
                found = record.differences({**before, "student": {}}, {**now, "student": {}})
                more = " (the student's own may change until it is trained)"
            if found:
                raise VanerError(
                    f"{self.path}: holds a run with other settings ({'; '.join(found[:5])}); take those to go on, or "
                    f"start anew with --overwrite{more}"
                )
        self.note(run=now)

    def note(self, **parts: Any) -> None:
        """Put parts into the record, in place of what was there of these."""
        before = record.load(self.record) if self.record.exists() else {}
        write_text(self.record, json.dumps({**before, **parts}, ensure_ascii=False, indent=2) + "\n")

    def finished(self, stage: str, name: str) -> dict[str, Any] | None:
        """What was counted of a file whose stage is finished; None where it is not."""
        marker = self._marker(stage, name)
        return json.loads(marker.read_text(encoding="utf-8")) if marker.is_file() else None

    def finish(self, stage: str, name: str, counts: Mapping[str, Any]) -> None:
        """Note that a stage of a file is finished."""
        marker = self._marker(stage, name)
        marker.parent.mkdir(parents=True, exist_ok=True)
        write_text(marker, json.dumps(counts, ensure_ascii=False, indent=1) + "\n")

    def counts(self, stage: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Name of each file that has something of a stage -> what was counted, in the order of the names."""
        found = {name: self.finished(stage, name) for name in names}
        return {name: counts for name, counts in found.items() if counts is not None}

    def _marker(self, stage: str, name: str) -> Path:
        return self.path / WORK / stage / f"{name}.json"
