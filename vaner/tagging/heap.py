"""In: threads that read, tokens that were read. Out: a process whose memory does not grow with what it reads.

Three things grow in a process that multiplies matrices of ever new shapes on a CPU, or stay though nobody needs them:

    oneDNN's caches     every product is prepared for its shape, which takes about half a megabyte, and kept: the last
                        1,024 for the process, and another 1,024 for every thread. A batch needs a dozen.
    free memory         what is kept lies between tensors that come and go, so malloc can neither join the free pieces
                        nor give them back by itself. glibc gives them back when it is asked.
    the weights' file   is mapped whole for as long as one tensor of it is in use, also for weights that were replaced.

Nothing of this changes a number that the model computes.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, MutableMapping

import torch
from torch import nn

from vaner.tagging.forking import ForkedLock

# oneDNN reads the first, and torch's layer over it the second, once: when the process first multiplies with it.
PROCESS_CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
THREAD_CAPACITY = "LRU_CACHE_CAPACITY"
_OTHER_NAME = "DNNL_PRIMITIVE_CACHE_CAPACITY"
# Products that are kept for each thread. A batch of LLaMA's takes about twelve, which all layers share: with fewer
# than a model needs, every layer would prepare its own again.
PRODUCTS = 64
# Padded tokens after which free memory is given back. That takes some hundredths of a second.
TOKENS = 32_768


def limit_products(readers: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Let oneDNN keep fewer products prepared: where the user set no number, and this process did not use it before.

    Sets ``ONEDNN_PRIMITIVE_CACHE_CAPACITY`` and ``LRU_CACHE_CAPACITY``; processes that are started from here inherit
    them.

    Args:
        readers: threads that read batches beside each other.
        environment: where they are set.
    """
    if _OTHER_NAME not in environment:
        environment.setdefault(PROCESS_CAPACITY, str(PRODUCTS * readers))
    environment.setdefault(THREAD_CAPACITY, str(PRODUCTS))


@torch.no_grad()
def leave_file(module: nn.Module) -> None:
    """Copy the weights that a module still has, so that the mapped file, which holds replaced ones as well, can go."""
    for tensor in [*module.parameters(), *module.buffers()]:
        tensor.data = tensor.data.clone()


def _glibc_trim() -> Callable[[int], int] | None:
    """glibc's ``malloc_trim``; None where the C library is another."""
    if platform.libc_ver()[0] != "glibc":
        return None
    trim = ctypes.CDLL(None).malloc_trim
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim


class Heap:
    """Gives memory that is free in the C library's heaps back to the system, now and then.

    Any number of threads may share one. Where the C library is not glibc it does nothing.

    Args:
        tokens: read between two times.
    """

    def __init__(self, tokens: int = TOKENS) -> None:
        self.tokens = tokens
        self._trim = _glibc_trim()
        self._counting = ForkedLock()
        self._read = 0

    def read(self, tokens: int) -> None:
        """Count tokens that were read, padding included; give back when there were enough."""
        with self._counting:
            self._read += tokens
            if self._read < self.tokens:
                return
            self._read = 0
        self.give_back()

    def give_back(self) -> None:
        """Give back what is free now."""
        if self._trim is not None:
            self._trim(0)


#: Of this process: all its taggers share one.
heap = Heap()
