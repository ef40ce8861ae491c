"""In: a file. Out: the right to be the only run that writes beside it, for as long as this process lives."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaner.errors import VanerError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock; the system opens it when the process ends, however it does.

    Raises:
        VanerError: another run holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                holder = os.read(handle, 200).decode("utf-8", "replace").strip() or "another process"
                raise VanerError(
                    f"{path.parent.parent}: another run writes there ({holder}); wait for it or end it"
                ) from None
            raise VanerError(
                f"{path}: this file system has no locks ({error.strerror}); write to another one"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
