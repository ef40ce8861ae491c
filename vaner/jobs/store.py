"""In: finished units. Out: files that a kill leaves whole, and a manifest that says what is finished.

    OUTPUT/.vaner/run.json          what the run is (vaner.jobs.record)
    OUTPUT/.vaner/manifest.jsonl    one line each: a source begun, a unit kept, a source's end, its output complete
    OUTPUT/.vaner/units/S/000012    a unit's documents; S is a hash of the source's name. Gone once S is complete
    OUTPUT/.vaner/tallies/S.json.gz what was counted over a complete source's documents
    OUTPUT/.vaner/lock              held by the run that lives

A unit is first written under a temporary name, flushed to the disk and renamed, then recorded. A line of the manifest
that a kill cut off is the last one, and is taken away when it is opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaner.errors import VanerError
from vaner.files import open_bytes, replacing, sha256
from vaner.jobs.sources import WORK, Source


@dataclass
class Progressed:
    """How far a source is.

    Attributes:
        stamp: what the source was when it was begun (`vaner.jobs.record.stamp`).
        units: number -> the manifest's line; empty once the source is complete.
        end: the line of its end, None while it was not read to it.
        complete: the line of its output, None while that is not written.
    """

    stamp: dict[str, Any]
    units: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: dict[str, Any] | None = None
    complete: dict[str, Any] | None = None

    @property
    def tagged(self) -> bool:
        """Whether every unit is kept."""
        return self.end is not None and len(self.units) == self.end["units"]


class Store:
    """The work folder of a run; its lock is held by the caller.

    Args:
        output: the folder of the output files.

    Attributes:
        sources: name -> how far it is.

    Raises:
        VanerError: a manifest that something else wrote into.
    """

    def __init__(self, output: Path) -> None:
        self.folder = output / WORK
        self.manifest = self.folder / "manifest.jsonl"
        self.sources: dict[str, Progressed] = {}
        (self.folder / "units").mkdir(parents=True, exist_ok=True)
        (self.folder / "tallies").mkdir(exist_ok=True)
        self._cut_torn_line()
        for line in self.lines():
            self._take(line)
        for name, source in self.sources.items():
            if source.complete:
                shutil.rmtree(self._units(name), ignore_errors=True)
            else:
                self._check_units(name, source)

    # --- reading ---

    def in_order(self, sources: Sequence[Source]) -> list[str]:
        """The names that the manifest has: of these sources in their order, then of those that are none any more."""
        named = [source.name for source in sources if source.name in self.sources]
        return named + [name for name in self.sources if name not in set(named)]

    def forget(self, name: str) -> None:
        """Take a source for one that was never begun: its output is gone. The manifest has it anew when it begins."""
        del self.sources[name]

    def lines(self) -> Iterator[dict[str, Any]]:
        """The lines of the manifest, in order.

        Raises:
            VanerError: one that is not whole.
        """
        return lines(self.manifest)

    def _take(self, line: dict[str, Any]) -> None:
        kind, name = line["kind"], line["source"]
        if kind == "begun":
            self.sources[name] = Progressed(line["stamp"])
            return
        source = self.sources[name]
        if kind == "unit":
            source.units[line["unit"]] = line
        elif kind == "end":
            source.end = line
        elif kind == "complete":
            source.complete = line
            source.units = {}

    def _cut_torn_line(self) -> None:
        if not self.manifest.exists():
            return
        with open(self.manifest, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            end = size
            while end:
                start = max(0, end - (1 << 16))
                file.seek(start)
                at = file.read(end - start).rfind(b"\n")
                if at >= 0:
                    end = start + at + 1
                    break
                end = start
            if end < size:
                file.truncate(end)
                file.flush()
                os.fsync(file.fileno())

    def _check_units(self, name: str, source: Progressed) -> None:
        """Forget units whose file is gone or damaged: they are tagged again."""
        for number, line in list(source.units.items()):
            path = self._unit(name, number)
            if not path.is_file() or sha256(path) != line["sha256"]:
                del source.units[number]

    def _units(self, name: str) -> Path:
        return self.folder / "units" / _short(name)

    def _unit(self, name: str, number: int) -> Path:
        return self._units(name) / f"{number:06d}"

    def unit(self, name: str, number: int) -> bytes:
        """The content of a unit that was kept."""
        return self._unit(name, number).read_bytes()

    def tally(self, name: str) -> Any:
        """What was counted over a complete source's documents; None where nothing was."""
        path = self._tally(name)
        if not path.is_file():
            return None
        with open_bytes(path) as file:
            return json.load(file)

    def _tally(self, name: str) -> Path:
        return self.folder / "tallies" / f"{_short(name)}.json.gz"

    # --- writing ---

    def begin_anew(self) -> None:
        """Forget every source."""
        self.manifest.unlink(missing_ok=True)
        self.sources = {}

    def begin(self, name: str, stamp: dict[str, Any]) -> None:
        """Record that a source is read from now on; again, where its file only looks different."""
        if name not in self.sources:
            self._append({"kind": "begun", "source": name, "stamp": stamp})

    def keep(self, name: str, number: int, content: bytes, line: dict[str, Any]) -> None:
        """Keep a unit's documents, then record it with ``line``."""
        self._units(name).mkdir(exist_ok=True)
        with replacing(self._unit(name, number)) as file:
            file.write(content)
        digest = hashlib.sha256(content).hexdigest()
        self._append({"kind": "unit", "source": name, "unit": number, "sha256": digest, **line})

    def end(self, name: str, line: dict[str, Any]) -> None:
        """Record that a source was read to its end."""
        if self.sources[name].end is None:
            self._append({"kind": "end", "source": name, **line})

    def complete(self, name: str, line: dict[str, Any], tally: Any) -> None:
        """Record that a source's output is written; its units go."""
        if tally is not None:
            with replacing(self._tally(name)) as file:
                file.write(json.dumps(tally, ensure_ascii=False).encode("utf-8", "backslashreplace"))
        self._append({"kind": "complete", "source": name, **line})
        shutil.rmtree(self._units(name), ignore_errors=True)

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, ensure_ascii=True).encode() + b"\n"
        with open(self.manifest, "ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._take(line)


def lines(manifest: Path) -> Iterator[dict[str, Any]]:
    """The lines of a manifest, in order; none where there is no manifest.

    Raises:
        VanerError: one that is not whole.
    """
    if not manifest.exists():
        return
    with open(manifest, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                found = json.loads(line)
                found["kind"], found["source"]
            except (ValueError, LookupError, TypeError):
                raise VanerError(
                    f"{manifest}:{number}: is no line of a manifest; start anew with --overwrite"
                ) from None
            yield found


def _short(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
