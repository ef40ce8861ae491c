"""In: tasks. Out: their outcomes, from workers that Ray places on this machine or on a cluster's.

    run -> RayPool -> actor -> ProcessPool of one -> worker      one such line for each GPU, or each share of the CPUs
                      actor -> ...

Ray places the actors, carries tasks and outcomes, and says which actor is gone. Each actor has its worker in a process
of its own, as a run of one machine has: a document that kills its tagger costs no actor and is told in the same words.
What failed is counted by the run (`vaner.jobs.trials`); Ray itself begins nothing again.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import vaner
from vaner.errors import VanerError
from vaner.jobs.pool import AHEAD
from vaner.jobs.ray_actor import Began, RayWorker
from vaner.jobs.ray_cluster import connect, imported, share
from vaner.jobs.worker import Outcome, Settings, Task
from vaner.provenance import versions

_LOOK_AGAIN = 10.0  # seconds between two looks at what the cluster has
_SAY_AFTER = 60.0  # seconds without any worker, after which a user wants to know why


class _Member:
    """An actor, and the calls to it that were not answered yet: its beginning (no task), then tasks."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.calls: deque[tuple[Future[Any], Task | None]] = deque([(actor.begin.remote().future(), None)])
        self.ready = False
        self.node = ""
        # Why it cannot work; it keeps its place, so that no other is begun there.
        self.refusal = ""

    def tasks(self) -> list[Task]:
        return [task for _, task in self.calls if task is not None]


class RayPool:
    """A Pool (`vaner.jobs.pool`) of Ray's actors. GPUs and CPUs that join the cluster later are taken in.

    Args:
        settings: of the tagger, for every worker.
        processes: how many workers; None: `vaner.jobs.ray_cluster.share`.
        address: of a cluster (``host:6379`` or ``auto``); None for the one that ``RAY_ADDRESS`` names, as in a job that
            was submitted to it, else for a Ray of this machine alone that ends with the pool.
        gpus: whether each worker takes a GPU; see `vaner.jobs.ray_cluster.share`.
        models: name -> hash of what must be the same on every node; ``settings.hashes()`` is asked for it there.

    Raises:
        VanerError: no Ray, or no cluster at that address.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        processes: int | None = None,
        address: str | None = None,
        gpus: bool | None = None,
        models: Mapping[str, str] | None = None,
    ) -> None:
        self._ray = imported()
        self._processes, self._gpus = processes, gpus
        self._members: list[_Member] = []
        self._waiting: deque[Task] = deque()
        self._stillborn = 0
        self._noted: set[str] = set()
        self._looked = self._started = time.monotonic()
        self._ours = not self._ray.is_initialized()
        try:
            if self._ours:
                connect(self._ray, address, processes)
            self._share = share(self._nodes(), processes, gpus)
            environment = {"OMP_NUM_THREADS": str(self._share.threads), "TOKENIZERS_PARALLELISM": "false"}
            if not self._share.gpus:
                environment["CUDA_VISIBLE_DEVICES"] = ""
            given = (settings, environment, dict(models or {}), vaner.__version__, os.getcwd())
            # Sent to the cluster once, not with each actor.
            self._given = [self._ray.put(one) for one in given]
            self._actor = self._ray.remote(RayWorker).options(
                num_cpus=self._share.cpus,
                num_gpus=self._share.gpus,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy="SPREAD",
            )
            self._fill(self._share.workers)
        except BaseException:
            self.close()
            raise

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _fill(self, number: int) -> None:
        while len(self._members) < number:
            self._members.append(_Member(self._actor.remote(*self._given)))

    def room(self) -> bool:
        return not self._waiting and bool(self._free())

    def _free(self) -> list[_Member]:
        return [one for one in self._members if one.ready and len(one.calls) < AHEAD]

    def submit(self, task: Task) -> None:
        self._waiting.append(task)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and (free := self._free()):
            member = min(free, key=lambda one: len(one.calls))
            task = self._waiting.popleft()
            member.calls.append((member.actor.tag.remote(task).future(), task))

    def wait(self, seconds: float) -> list[Outcome]:
        self._look()
        calls = {one.calls[0][0]: one for one in self._members if one.calls}
        if not calls:
            time.sleep(seconds)
            return []
        # Not ray.wait, out of which a signal's exception comes as another.
        answered, _ = wait(calls, seconds, FIRST_COMPLETED)
        outcomes: list[Outcome] = []
        for call in answered:
            member = calls[call]
            try:
                answer = call.result()
            except self._ray.exceptions.RayError as error:
                outcomes += self._lost(member, error)
                continue
            _, task = member.calls.popleft()
            if isinstance(answer, Began):
                self._began(member, answer, task)
            else:
                outcomes.append(answer)
        self._hand_out()
        return outcomes

    def _look(self) -> None:
        """Take in what joined the cluster; say what is waited for."""
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        if self._processes is None:
            nodes = self._nodes()
            if self._share.gpus:
                self._fill(sum(int(node.get("GPU", 0)) for node in nodes))
            else:
                self._fill(sum(int(node.get("CPU", 0)) // self._share.cpus for node in nodes))
        if now - self._started > _SAY_AFTER and not any(one.ready or one.refusal for one in self._members):
            on_gpus = f"{self._share.gpus:g} GPU and " if self._share.gpus else ""
            self._note(
                f"no worker has begun yet; each of {len(self._members)} asks for {on_gpus}{self._share.cpus} CPU, and "
                "`ray status` says what the cluster has free"
            )

    def _began(self, member: _Member, said: Began, task: Task | None) -> None:
        member.node = said.node
        if not said.refusal:
            member.ready = True
            self._stillborn = 0
            here = versions()
            other = [f"{name} {v}" for name, v in said.versions.items() if name in here and here[name] != v]
            if other:
                self._note(
                    f"{said.node} has {', '.join(other)}, unlike the machine of this run; what it tags may differ in "
                    "rounding"
                )
            self._say_refusals()
            return
        left = ([task] if task else []) + member.tasks()
        self._waiting.extendleft(reversed(left))
        member.ready, member.refusal = False, said.refusal
        member.calls.clear()
        if all(one.refusal for one in self._members):
            raise VanerError(said.refusal)
        self._say_refusals()

    def _say_refusals(self) -> None:
        """Once somebody can work, say who cannot; if nobody can, that is the run's error."""
        if any(one.ready for one in self._members):
            for one in self._members:
                if one.refusal:
                    self._note(f"{one.node}: {one.refusal}; the run goes on without a worker there")

    def _lost(self, member: _Member, error: Exception) -> list[Outcome]:
        """Ask for a worker in a lost one's place. The task that it was at has failed, the others wait for another."""
        self._members.remove(member)
        self._ray.kill(member.actor)
        outcomes: list[Outcome] = []
        fate, tasks = _fate(error), member.tasks()
        if tasks:
            outcomes.append(Outcome(tasks[0].key, failure=fate))
            self._waiting.extendleft(reversed(tasks[1:]))
        if member.ready:
            self._note(f"a worker on {member.node} was lost: {fate}; what it was at is given to another")
        else:
            self._stillborn += 1
            if self._stillborn >= max(3, len(self._members) + 1):
                raise VanerError(
                    f"no worker could be begun on Ray: {fate} ({_last_line(error)}); every node needs vaner"
                )
        self._fill(len(self._members) + 1)
        return outcomes

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            print(f"note: {text}", file=sys.stderr)

    def close(self) -> None:
        if not self._ray.is_initialized():
            return
        for member in self._members:
            self._ray.kill(member.actor)
        self._members = []
        if self._ours:
            self._ray.shutdown()


def _fate(error: Exception) -> str:
    """What became of an actor, in a few words."""
    if getattr(error, "preempted", False):
        return "its node was taken away"
    return "its Ray actor died, or cannot be reached"


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
