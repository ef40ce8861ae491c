"""In: the processes that `accelerate launch` or torchrun began. Out: rank 0 runs, the others work for it.

    rank 0    run -> pool -> a worker of its own        listens; its address and a key go into torch's store
    rank 1    a worker that connects to rank 0          begun anew when it dies, until rank 0 is done
    rank 2    ...

Each worker sees one GPU, that of its rank's number on its machine.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Client, Listener
from typing import Any, Protocol

from vaner.jobs.pool import ProcessPool, threads_each
from vaner.jobs.worker import Settings, serve

_KEY = "vaner/workers"
# Long enough for rank 0 to hash the files that another run had begun.
_PATIENCE = timedelta(hours=1)


def several() -> bool:
    """Whether this process is one of several ranks."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def first() -> bool:
    """Whether this process is rank 0."""
    return int(os.environ.get("RANK", "0")) == 0


def environment() -> dict[str, str]:
    """The variables of this rank's worker: its GPU, and its share of the threads."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    number = int(os.environ.get("LOCAL_RANK", "0"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(i) for i in range(here)]
    # Launchers divide the threads already, if they say anything of them.
    threads = os.environ.get("OMP_NUM_THREADS") or str(threads_each(here))
    return {
        "OMP_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)],
    }


class Store(Protocol):
    """What is used of torch's store."""

    def set(self, key: str, value: str) -> None: ...

    def get(self, key: str) -> bytes: ...


class Meeting:
    """Where rank 0 says how it is reached.

    Args:
        store: torch's, that all ranks see.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._said = False

    def say(self, address: dict[str, Any]) -> None:
        """Of rank 0: the address; empty: there is nothing to do."""
        if not self._said:
            self._said = True
            self._store.set(_KEY, json.dumps(address))

    def address(self) -> dict[str, Any]:
        """What rank 0 said; waits for it. Empty where rank 0 is gone."""
        try:
            found: dict[str, Any] = json.loads(self._store.get(_KEY))
        except RuntimeError:  # torch's DistError is one
            return {}
        return found


@contextmanager
def meeting() -> Iterator[Meeting]:
    """Meet the other ranks; the others end when rank 0 leaves."""
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(iter(rendezvous("env://", timeout=_PATIENCE)))
    found = Meeting(store)
    try:
        yield found
    finally:
        if first():
            found.say({})


def pool(settings: Settings, met: Meeting) -> ProcessPool:
    """Of rank 0: a pool of a worker of its own and those of the other ranks, as they come."""
    one_machine = os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]
    key = secrets.token_bytes(32)
    listener = Listener(("127.0.0.1" if one_machine else "0.0.0.0", 0), "AF_INET", authkey=key)
    _, port = listener.address
    host = "127.0.0.1" if one_machine else os.environ["MASTER_ADDR"]
    made = ProcessPool(settings, 1, [environment()])
    threading.Thread(target=_accept, args=(listener, made), daemon=True).start()
    met.say({"host": host, "port": port, "key": key.hex()})
    return made


def _accept(listener: Listener, made: ProcessPool) -> None:
    while True:
        try:
            made.join(listener.accept())
        except (multiprocessing.AuthenticationError, EOFError, ConnectionError):
            continue  # somebody else knocked
        except OSError:
            return


def work(settings: Settings, met: Meeting) -> None:
    """Of the other ranks: work for rank 0 until it is done."""
    address = met.address()
    if not address:
        return
    context = multiprocessing.get_context("spawn")
    own = environment()
    os.environ.update(own)
    while True:
        process = context.Process(target=_serve, args=(address, settings, own), daemon=True)
        process.start()
        process.join()
        if process.exitcode == 0:
            return


def _serve(address: dict[str, Any], settings: Settings, own: dict[str, str]) -> None:
    """A worker's life: status 0 where rank 0 needs none any more, else it is begun anew."""
    try:
        connection = Client(
            (address["host"], address["port"]), "AF_INET", authkey=bytes.fromhex(address["key"])
        )
    except (OSError, EOFError, multiprocessing.AuthenticationError):
        sys.exit(0)
    try:
        sys.exit(0 if serve(connection, settings, own) else 1)
    except OSError:
        sys.exit(0)
