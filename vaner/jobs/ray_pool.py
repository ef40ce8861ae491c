"""In: tasks. Out: their outcomes, from workers that Ray places on this machine or on a cluster's.

    run -> RayPool -> actor -> ProcessPool of one -> worker      one such line for each GPU, or each share of the CPUs
                      actor -> ...

Ray places the actors, carries tasks and outcomes, and says which actor is gone. Each actor has its worker in a process
of its own, as a run of one machine has: a document that kills its tagger costs no actor and is told in the same words.
What failed is counted by the run (`vaner.jobs.trials`); Ray itself begins nothing again.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import vaner
from vaner.errors import VanerError
from vaner.jobs.pool import AHEAD, ProcessPool
from vaner.jobs.worker import Outcome, Settings, Task
from vaner.provenance import versions

#: CPUs for each worker where no number of workers is said: one reads up to so many batches at a time.
CPUS_EACH = 8
_LOOK_AGAIN = 10.0  # seconds between two looks at what the cluster has
_SAY_AFTER = 60.0  # seconds without any worker, after which a user wants to know why
_STORE_BYTES = 128 << 20  # of this machine's own Ray: a few units a worker are on their way at a time
#: What Ray reads when it is imported: nothing is told to its makers, and no log of its own fills the terminal.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "^"}


@dataclass(frozen=True)
class Share:
    """How many workers a cluster gets, and what each asks of it.

    Attributes:
        workers: how many.
        cpus, gpus: that Ray reserves for each; half a GPU is two workers on one.
        threads: that each computes with.
    """

    workers: int
    cpus: int
    gpus: float
    threads: int


def share(nodes: Sequence[Mapping[str, float]], processes: int | None, gpus: bool | None) -> Share:
    """Divide a cluster among workers.

    Args:
        nodes: what each node has, by Ray's names: ``CPU``, ``GPU``.
        processes: how many workers; None for as many as there are GPUs, or one for each `CPUS_EACH` CPUs of a node.
        gpus: whether each takes a GPU, or shares one where there are more workers; None: where there are GPUs and no
            number is said.

    Raises:
        VanerError: the cluster lends neither.
    """
    cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    with_gpus = [node for node in nodes if node.get("GPU", 0) >= 1]
    total_gpus = sum(int(node["GPU"]) for node in with_gpus)
    if gpus or (gpus is None and processes is None and total_gpus):
        processes = processes or max(1, total_gpus)
        on_one = -(-processes // total_gpus) if total_gpus else 1
        threads = min((int(node.get("CPU", 0) / node["GPU"]) for node in with_gpus), default=1) // on_one
        return Share(processes, min(1, threads), 1 / on_one, max(1, threads))
    if not cores:
        raise VanerError("the Ray cluster has no CPUs to lend; look at `ray status`")
    if processes is None:
        each = min(number // max(1, number // CPUS_EACH) for number in cores)
        processes = sum(number // each for number in cores)
    else:
        # The most that each can have so that all find room on some node.
        fitting = (c for c in range(max(cores), 0, -1) if sum(number // c for number in cores) >= processes)
        each = next(fitting, 1)
    return Share(processes, each, 0, each)


def check() -> None:
    """Refuse where Ray is not installed.

    Raises:
        VanerError: with what to install.
    """
    _imported()


@dataclass(frozen=True)
class Began:
    """An actor's first word: its worker has loaded the model, or why it cannot. The second also comes later.

    Attributes:
        node: the address of its node.
        refusal: why there is no worker; empty where there is one.
        versions: of what it computes with.
    """

    node: str
    refusal: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


class RayWorker:
    """What runs in an actor: a pool of one worker.

    Args:
        settings: of the tagger.
        environment: variables of the worker's process.
        models: name -> hash that each model must have here too; empty where that is not asked.
        version: of vaner, which must be the same here.
        folder: where the run was started, that relative names are meant from.
    """

    def __init__(
        self,
        settings: Settings,
        environment: dict[str, str],
        models: Mapping[str, str],
        version: str,
        folder: str,
    ) -> None:
        import ray

        context = ray.get_runtime_context()
        self._node: str = ray.util.get_node_ip_address()
        self._settings = settings
        self._environment = environment
        self._models = models
        self._version = version
        self._pool: ProcessPool | None = None
        # Ray brings a job's working_dir to every node and starts actors in it. Without one, relative names mean the
        # same folder here, where there is one.
        if not context.runtime_env.get("working_dir"):
            with suppress(OSError):
                os.chdir(folder)

    def begin(self) -> Began:
        """Load the model."""
        try:
            self._check()
            self._pool = ProcessPool(self._settings, 1, [self._environment])
            while not self._pool.room():
                self._pool.wait(60)
        except (VanerError, FileNotFoundError) as error:
            return Began(self._node, " ".join(str(error).split()))
        return Began(self._node, versions=versions())

    def _check(self) -> None:
        """Nothing but a hash tells that another machine has another model under the same name."""
        if vaner.__version__ != self._version:
            raise VanerError(
                f"has vaner {vaner.__version__}, the run {self._version}; install the same everywhere"
            )
        if not self._models:
            return
        here = self._settings.hashes()  # type: ignore[attr-defined]  # whoever gives hashes has settings that do
        for name, expected in self._models.items():
            if here.get(name) != expected:
                raise VanerError(
                    f"{name} is another model there than where the run was started; copy it there"
                )

    def tag(self, task: Task) -> Outcome | Began:
        """What became of a task; or why there is no worker any more, and the task was not tried."""
        assert self._pool is not None
        self._pool.submit(task)
        try:
            while True:
                for outcome in self._pool.wait(60):
                    return outcome
        except VanerError as error:
            return Began(self._node, " ".join(str(error).split()))


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
        processes: how many workers; None: `share`.
        address: of a cluster (``host:6379`` or ``auto``); None for the one that ``RAY_ADDRESS`` names, as in a job that
            was submitted to it, else for a Ray of this machine alone that ends with the pool.
        gpus: whether each worker takes a GPU; see `share`.
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
        self._ray = _imported()
        self._processes, self._gpus = processes, gpus
        self._members: list[_Member] = []
        self._waiting: deque[Task] = deque()
        self._stillborn = 0
        self._noted: set[str] = set()
        self._looked = self._started = time.monotonic()
        self._ours = not self._ray.is_initialized()
        try:
            if self._ours:
                _connect(self._ray, address, processes)
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


def _imported() -> Any:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise VanerError(f"--on ray needs Ray ({error}); pip install 'vaner[ray]'") from None
    return ray


def _connect(ray: Any, address: str | None, processes: int | None) -> None:
    """Join a cluster, or begin a Ray of this machine.

    Raises:
        VanerError: nothing answers there, or not what is needed.
    """
    if address is not None and address.startswith("ray://"):
        raise VanerError(
            f"--ray_address {address}: is that of Ray's client; start the run on a machine of the cluster with "
            "--ray_address auto, or with `ray job submit`"
        )
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    address = address or os.environ.get("RAY_ADDRESS")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    alone = {"num_cpus": max(cores, processes or 1), "include_dashboard": False}
    with _our_signals():
        try:
            if address:
                _check_port(address)
                ray.init(address, **quiet)
            else:
                ray.init("local", object_store_memory=_STORE_BYTES, **alone, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            said = " ".join(str(error).split())[:300]
            if address:
                raise VanerError(
                    f"--ray_address {address}: no Ray cluster that this machine can join ({said})"
                ) from None
            raise VanerError(f"Ray did not start on this machine: {said}") from None


def _check_port(address: str) -> None:
    """Ray itself would go on asking for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


@contextmanager
def _our_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it connects; the run has a better answer."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    ended = False
    try:
        yield
    except SystemExit:  # Ray's own answer to SIGTERM
        ended = True
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if ended:
        signal.raise_signal(signal.SIGTERM)


def _fate(error: Exception) -> str:
    """What became of an actor, in a few words."""
    if getattr(error, "preempted", False):
        return "its node was taken away"
    return "its Ray actor died, or cannot be reached"


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
