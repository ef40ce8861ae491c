"""In: a cell that nobody works on. Out: the cell finished: trained, tagged, and what that took; one cell a process.

The cell's lock is held for as long as the process lives, so that however it ends, another may take the cell up.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from filelock import Timeout

from vaner import provenance
from vaner.errors import VanerError
from vaner.files import write_text
from vaner.study.cells import FAILED, FINISHED, Cell, cells, is_trained, named_cell
from vaner.study.folder import StudyFolder
from vaner.study.settings import StudySettings

#: Exit status of a process whose cell another one works on.
TAKEN = 75
#: Of a probe: documents that are tagged.
PROBED_DOCUMENTS = 2
PROBE = "probe.json"


def opened(file: str, output: str) -> tuple[StudySettings, StudyFolder, list[Cell]]:
    """A study whose folder is prepared, and its cells.

    Raises:
        VanerError: the folder is another study's.
    """
    settings, folder = StudySettings.load(file), StudyFolder(Path(output).absolute())
    record = folder.load()
    if not record:
        raise VanerError(
            f"--output {output}: holds no study; python -m vaner study {file} --output {output} begins it"
        )
    folder.same_study(settings, record)
    if missing := [name for name in settings.corpora if name not in record["corpora"]]:
        raise VanerError(
            f"--output {output}: has no corpus {missing[0]} yet; python -m vaner study {file} reads it"
        )
    return settings, folder, cells(settings, folder, record["left_out"])


def run(file: str, output: str, arm: str, corpus: str, seed: str, *, probe: bool = False) -> int:
    """Do what is left of a cell, or of an arm's probe.

    Args:
        file: of the study.
        output: its folder.
        arm, corpus, seed: which cell.
        probe: only see what its first updates and documents take.

    Returns:
        exit status: 0, or TAKEN where another process works on it.

    Raises:
        VanerError: what training or tagging raises; the cell's ``failed.json`` says it too.
    """
    settings, folder, every = opened(file, output)
    cell = named_cell(every, arm, corpus, seed)
    lock = folder.lock(f"probe {arm}") if probe else cell.lock()
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return TAKEN
    with lock:
        if probe:
            _probe(settings, folder, cell)
            return 0
        if cell.finished() is not None:
            return 0
        try:
            _do(settings, folder, cell)
        except Exception as error:
            _note_failure(cell, error)
            raise
    return 0


def _do(settings: StudySettings, folder: StudyFolder, cell: Cell) -> None:
    from vaner.study.machine import machine
    from vaner.study.tagging import tag
    from vaner.study.training import train, trained

    training: dict[str, Any] | None = None
    if cell.waits_for is not None:
        if not is_trained(cell.waits_for):
            raise VanerError(f"{cell.waits_for}: its training is not finished; this cell tags with its model")
        training = {**trained(cell.waits_for / "model"), "of": cell.arm.model_of}
    elif cell.trains is not None:
        training = train(settings, folder, cell)
    began, before_tagging = psutil.Process().create_time(), time.time()
    tagging = tag(settings, folder, cell)
    now = time.time()
    found = {
        "arm": cell.arm.name,
        "corpus": cell.corpus,
        "seed": cell.seed if cell.seed == "-" else int(cell.seed),
        "training": training,
        "tagging": tagging,
        # Of this process, all that it loaded and read included; a training that was resumed took more.
        "seconds": {"training": round(before_tagging - began, 1), "tagging": round(now - before_tagging, 1)},
        "machine": machine(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "hash": cell.hash,
    }
    (cell.path / FAILED).unlink(missing_ok=True)
    write_text(cell.path / FINISHED, json.dumps(found, ensure_ascii=False, indent=2) + "\n")


def _note_failure(cell: Cell, error: Exception) -> None:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    known = isinstance(error, VanerError)
    why = lines[-1] if known else f"{type(error).__name__}: {lines[-1]}"
    told = {
        "why": why,
        "traceback": None if known else traceback.format_exc(),
        "process": os.getpid(),
        "hash": cell.hash,
    }
    write_text(cell.path / FAILED, json.dumps(told, ensure_ascii=False, indent=2) + "\n")


def _probe(settings: StudySettings, folder: StudyFolder, cell: Cell) -> None:
    """Train a few updates and tag a few documents, with nothing kept but what that took."""
    from vaner.study.tagging import tag
    from vaner.study.training import PROBED, probe

    place = folder.probe(cell.arm.name)
    if (place / PROBE).is_file():
        return
    place.mkdir(parents=True, exist_ok=True)
    rates: dict[str, float] = {}
    if cell.trains is not None:
        trained = settings.trained_by(cell.arm)
        rates = probe(settings, folder, replace(cell, arm=trained), place / "model")
    tagging = tag(settings, folder, replace(cell, trains=place), PROBED_DOCUMENTS, place / "tagged.jsonl")
    # Of the whole process: what it imports, reads and loads counts too.
    took = time.time() - psutil.Process().create_time()
    rest = took - PROBED * rates.get("seconds_per_update", 0.0) - tagging["seconds"]
    told = {
        **rates,
        "seconds_per_word": tagging["seconds"] / max(tagging["words"], 1),
        "seconds_to_begin": max(rest, 0.0),
    }
    write_text(place / PROBE, json.dumps(told, indent=2) + "\n")
    shutil.rmtree(place / "model", ignore_errors=True)
