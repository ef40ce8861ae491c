"""In: tasks. Out: their outcomes, as workers finish them; workers are processes, begun anew when they die.

`Pool` is all that a run knows of workers; whatever has its four methods can drive one.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from vaner.errors import VanerError
from vaner.jobs.worker import Outcome, Ready, Settings, Task, serve

#: Tasks a worker has at a time: while it tags one, the next is there already.
AHEAD = 2


class Pool(Protocol):
    """Workers that tag."""

    def room(self) -> bool:
        """Whether another task would be begun soon."""
        ...

    def submit(self, task: Task) -> None:
        """Give a task to some worker."""
        ...

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes that came since, at the latest after so many seconds.

        A task whose worker died without an answer has an outcome too, with its failure.

        Raises:
            VanerError: no worker can load the model.
        """
        ...

    def close(self) -> None:
        """End all workers, at once; what they were doing is lost."""
        ...


class _Member:
    """A worker at the other end of a connection."""

    def __init__(
        self,
        connection: Connection,
        process: SpawnProcess | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.connection = connection
        self.process = process
        self.environment = environment
        self.ready = False
        # It answered that a task failed, and ends; or what was sent to it did not arrive.
        self.failed = False
        self.deaf = False
        self.tasks: deque[Task] = deque()

    def fate(self) -> str:
        """How its process ended, as far as that is known here."""
        if self.process is None:
            return "its process ended or the connection broke"
        self.process.join(5)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"its process was killed ({signal.Signals(-code).name})"
        return f"its process ended with status {code}"


class ProcessPool:
    """A Pool of processes of this machine, and of workers elsewhere that connect to it.

    Args:
        settings: of the tagger, for every worker.
        processes: how many are begun here.
        environments: variables of each; by default the machine's threads are divided among them.
    """

    def __init__(
        self, settings: Settings, processes: int, environments: Sequence[dict[str, str]] | None = None
    ) -> None:
        self._settings = settings
        threads = {"OMP_NUM_THREADS": str(threads_each(processes)), "TOKENIZERS_PARALLELISM": "false"}
        self._environments = list(environments or [threads] * processes)
        self._context = multiprocessing.get_context("spawn")
        self._members: list[_Member] = []
        self._joining: queue.Queue[Connection] = queue.Queue()
        self._waiting: deque[Task] = deque()
        self._stillborn = 0
        try:
            for environment in self._environments:
                self._members.append(self._spawned(environment))
        except BaseException:
            self.close()
            raise

    def _spawned(self, environment: dict[str, str]) -> _Member:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(theirs, self._settings, environment), name="vaner-worker", daemon=True
        )
        # The variables must be there before the process imports anything; spawning copies ours.
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
        theirs.close()
        return _Member(ours, process, environment)

    def join(self, connection: Connection) -> None:
        """Take in a worker that runs `vaner.jobs.worker.serve` elsewhere; from any thread."""
        self._joining.put(connection)

    def room(self) -> bool:
        return not self._waiting and any(one.ready and len(one.tasks) < AHEAD for one in self._members)

    def submit(self, task: Task) -> None:
        self._waiting.append(task)
        self._hand_out()

    def wait(self, seconds: float) -> list[Outcome]:
        while not self._joining.empty():
            self._members.append(_Member(self._joining.get()))
        outcomes: list[Outcome] = []
        if not self._members:
            time.sleep(seconds)
        for connection in wait([one.connection for one in self._members], seconds):
            member = next(one for one in self._members if one.connection is connection)
            try:
                answer = member.connection.recv()
            except (EOFError, OSError):
                outcomes += self._lost(member)
                continue
            if isinstance(answer, Ready):
                if answer.refusal:
                    raise VanerError(answer.refusal)
                member.ready = True
                self._stillborn = 0
                continue
            member.tasks.popleft()
            member.failed = bool(answer.failure)
            outcomes.append(answer)
        self._hand_out()
        return outcomes

    def _hand_out(self) -> None:
        while self._waiting:
            free = [
                m for m in self._members if m.ready and not m.failed and not m.deaf and len(m.tasks) < AHEAD
            ]
            if not free:
                return
            member = min(free, key=lambda one: len(one.tasks))
            task = self._waiting.popleft()
            member.tasks.append(task)
            try:
                member.connection.send(task)
            except OSError:
                # It is dead; what it had comes back when its connection says so.
                member.deaf = True

    def _lost(self, member: _Member) -> list[Outcome]:
        """Begin a worker in a dead one's place. The task that it was at has failed, the others wait for another."""
        self._members.remove(member)
        fate = member.fate()
        member.connection.close()
        outcomes = []
        if member.tasks and member.ready and not member.failed:
            outcomes.append(Outcome(member.tasks.popleft().key, failure=fate))
        self._waiting.extendleft(reversed(member.tasks))
        if not member.ready:
            self._stillborn += 1
            if self._stillborn >= max(3, len(self._environments)):
                raise VanerError(
                    f"no worker could load the model: {fate}; try fewer --processes, or a machine with more memory"
                )
        if member.environment is not None:
            self._members.append(self._spawned(member.environment))
        return outcomes

    def close(self) -> None:
        for member in self._members:
            member.connection.close()
            if member.process is not None:
                member.process.terminate()
        for member in self._members:
            if member.process is not None:
                member.process.join(5)
                if member.process.is_alive():
                    member.process.kill()
                    member.process.join()
        self._members = []


def threads_each(processes: int) -> int:
    """Threads of each of so many processes of this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, (int(told) if told.isdigit() else cores) // processes)
