"""In: what a user said of Ray. Out: Ray, connected to a cluster or begun on this machine; each worker's share of it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vaner.errors import VanerError

#: CPUs for each worker where no number of workers is said: one reads up to so many batches at a time.
CPUS_EACH = 8
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


def imported() -> Any:
    """The package.

    Raises:
        VanerError: it is not installed, with what to install.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise VanerError(f"--on ray needs Ray ({error}); pip install 'vaner[ray]'") from None
    return ray


def connect(ray: Any, address: str | None, processes: int | None) -> None:
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
