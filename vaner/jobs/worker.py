"""In: units, one at a time. Out: their documents tagged, as bytes; what a worker does, whoever started it.

    tagger = opened(settings)            once
    tagged = tag(tagger, settings, task) for each task: a unit, or what is left of one

`serve` does this for whoever holds the other end of a connection; others (tasks or actors of a cluster) call the two.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from typing import Any, Protocol

from vaner.document import Document
from vaner.errors import VanerError
from vaner.jobs.packing import pack
from vaner.prompting.request import Unavailable
from vaner.tagger import Tagger


class Settings(Protocol):
    """What opens a tagger in any process: it pickles, and is small."""

    @property
    def types(self) -> Sequence[str] | None: ...

    @property
    def dataset(self) -> str | None: ...

    def open(self) -> Tagger:
        """Load the tagger.

        Raises:
            VanerError: there is none, or it cannot be had so.
        """
        ...


#: Source, unit, and the document where the unit is searched for one to blame, else -1.
Key = tuple[str, int, int]


@dataclass(frozen=True)
class Task:
    """Documents that one call of a tagger tags."""

    key: Key
    documents: list[Document]


@dataclass(frozen=True)
class Tagged:
    """A task that was done.

    Attributes:
        content: the tagged documents, packed (`vaner.jobs.packing`).
        counts: documents, characters, spans, tokens, padded_tokens, and what else the tagger counts.
        seconds: that tagging took.
    """

    content: bytes
    counts: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What became of a task: tagged, or why it is not, in one line.

    Attributes:
        hopeless: nobody who could tag answers, so that no other task has a chance and no document is to blame.
    """

    key: Key
    tagged: Tagged | None = None
    failure: str = ""
    hopeless: bool = False


@dataclass(frozen=True)
class Ready:
    """A worker's first word: its model is loaded, or why it cannot be."""

    refusal: str = ""


def opened(settings: Settings) -> Tagger:
    """The tagger of these settings, asked once for nothing, so that it refuses types that it does not know.

    Raises:
        VanerError: as of ``settings.open``, and for types and datasets that the tagger does not have.
    """
    tagger = settings.open()
    if "torch" in sys.modules:
        # What is tagged must not depend on how many processes share the cores.
        from vaner.tagging.threads import alone

        alone.set()
    for _ in tagger.tag_documents(iter(()), settings.types, settings.dataset):
        pass
    return tagger


def tag(tagger: Tagger, settings: Settings, task: Task) -> Outcome:
    """Tag a task's documents; whatever goes wrong with them is the outcome, and the worker is best begun anew."""
    started = time.monotonic()
    try:
        tagged = list(tagger.tag_documents(iter(task.documents), settings.types, settings.dataset))
        if [one.id for one in tagged] != [one.id for one in task.documents]:
            raise VanerError(f"the tagger gave {len(tagged)} documents for {len(task.documents)}, or others")
        content = pack(tagged)
    except Exception as error:
        said = " ".join(str(error).split()) or "without a word"
        kind = "" if isinstance(error, VanerError) else f"{type(error).__name__}: "
        return Outcome(task.key, failure=kind + said[:500], hopeless=isinstance(error, Unavailable))
    counts = {
        "documents": len(tagged),
        "characters": sum(len(one.text) for one in tagged),
        "spans": sum(len(one.spans) for one in tagged),
        "tokens": getattr(tagger, "tokens", 0),
        "padded_tokens": getattr(tagger, "padded_tokens", 0),
        **getattr(tagger, "counts", {}),
    }
    return Outcome(task.key, Tagged(content, counts, time.monotonic() - started))


def serve(connection: Connection, settings: Settings, environment: dict[str, str]) -> bool:
    """Answer tasks with outcomes until the other end is closed, or a task fails; the first answer is Ready.

    Args:
        connection: gives Tasks, of which one may wait while another is tagged.
        settings: of the tagger.
        environment: variables that must be set before anything computes, such as OMP_NUM_THREADS.

    Returns:
        whether the other end was closed: nobody needs this worker, or one in its place.
    """
    # Ctrl-C reaches every process of a terminal; the run itself decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tasks: queue.Queue[Task | None] = queue.Queue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    try:
        tagger = opened(settings)
    except VanerError as error:
        connection.send(Ready(str(error)))
        return True
    connection.send(Ready())
    while (task := tasks.get()) is not None:
        outcome = tag(tagger, settings, task)
        connection.send(outcome)
        if outcome.failure:
            # What failed may have left anything behind (a GPU that answers nothing more): the next one begins anew.
            return False
    return True


def _receive(connection: Connection, tasks: queue.Queue[Any]) -> None:
    """Take tasks in at once, so that whoever sends one need not wait for the one before."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        tasks.put(None)


def _end_with_parent() -> None:
    """A run that was killed leaves no worker behind that computes for nobody."""
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)
