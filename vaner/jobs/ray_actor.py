"""In: tasks, through Ray. Out: their outcomes; what runs in an actor, on whatever machine Ray began it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import vaner
from vaner.errors import VanerError
from vaner.jobs.pool import ProcessPool
from vaner.jobs.worker import Outcome, Settings, Task
from vaner.provenance import versions


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
