"""In: threads that compute, and a program that forks. Out: a child that finds no lock held by a thread it lacks.

A forked child has the parent's memory, but of its threads only the one that forked: a lock that another held at that
moment stays closed for ever. So

    locks of ours       are new ones in the child (`ForkedLock`)
    forward passes      hold off a fork until they end (`Forks.held_off`): they hold locks of MKL
    threads that end    are waited for as well: Python calls them ended when they still give buffers back to MKL
    torch's own teams   are not asked for in the child (`Forks.forked`, `vaner.tagging.threads.use_threads`)
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

_PATIENCE = 10.0  # seconds that a fork waits at most


class ForkedLock:
    """A lock that is open in a forked child, whatever thread of the parent held it."""

    _all: WeakSet[ForkedLock] = WeakSet()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    @classmethod
    def open_all(cls) -> None:
        """In a child: all of them."""
        for one in list(cls._all):
            one._lock = threading.Lock()


class Forks:
    """Which threads compute, and whether this process is a forked child.

    Attributes:
        forked: whether this process is one.
    """

    def __init__(self) -> None:
        self.forked = False
        self._renew()

    def _renew(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._inside: dict[int, int] = {}
        self._seen: set[int] = set()

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """No fork of this process happens inside, but for one of the thread itself."""
        me = threading.get_native_id()
        with self._changed:
            self._inside[me] = self._inside.get(me, 0) + 1
            self._seen.add(me)
            if len(self._seen) > 1_000:
                self._seen &= {one.native_id for one in threading.enumerate()}
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] = self._inside.get(me, 1) - 1
                if self._inside[me] <= 0:
                    del self._inside[me]
                self._changed.notify_all()

    def before(self) -> None:
        self._changed.acquire()
        me = threading.get_native_id()
        self._changed.wait_for(lambda: not self._inside.keys() - {me}, _PATIENCE)
        alive = {one.native_id for one in threading.enumerate()}
        until = time.monotonic() + _PATIENCE / 10
        for ended in self._seen - alive:
            while os.path.exists(f"/proc/self/task/{ended}") and time.monotonic() < until:
                time.sleep(0.001)
        self._seen &= alive

    def after_in_parent(self) -> None:
        self._changed.release()

    def after_in_child(self) -> None:
        self.forked = True
        self._renew()
        ForkedLock.open_all()


#: Of this process.
forks = Forks()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=forks.before, after_in_parent=forks.after_in_parent, after_in_child=forks.after_in_child
    )
