"""In: a device and torch's threads. Out: how many threads read batches beside each other, and how each works alone.

torch shares out every operation over its threads, and all of them wait for the slowest before the next one begins: some
forty times a layer. Threads that each read a batch of their own wait for nobody:

    one batch, two threads    [mm|wait][norm|wait][mm|wait] ...      a batch at a time, each operation cut in two
                              [mm     ][norm     ][mm     ] ...
    two batches               [mm][norm][mm][silu] ...               two batches at a time
                              [mm][norm][mm][silu] ...
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

import torch

from vaner.tagging.forking import forks

# Every batch under way takes memory; more than this are no faster than fewer with several threads each.
MOST = 8

#: Set for a process in which no number may depend on how many threads it has: then every operation is one thread's.
#: Libraries of linear algebra add up in another order where many threads share a product.
alone = Event()


def workers(device: torch.device, threads: int) -> int:
    """How many batches are read at a time: one a thread of torch on a CPU, up to MOST; one on an accelerator.

    Args:
        device: of the model.
        threads: that torch has.
    """
    return min(threads, MOST) if device.type == "cpu" else 1


def use_threads(number: int) -> None:
    """Let the calling thread share its torch operations out over ``number`` threads, and no other thread.

    `torch.set_num_threads` sets the calling thread's number, and also the number that threads begin with which have
    not used torch yet: that one is put back. In a forked process it is always one thread: those that OpenMP keeps to
    share work out to stayed in the parent, and whoever asks for them may wait for ever.
    """
    number = 1 if forks.forked else number
    # A thread takes the common number when it first asks: before this, what is set would be overwritten by it.
    before = torch.get_num_threads()
    if before == number:
        return
    common: list[int] = []
    _alone(lambda: common.append(torch.get_num_threads()))
    torch.set_num_threads(number)
    _alone(lambda: torch.set_num_threads(common[0]))


def _alone(work: Callable[[], None]) -> None:
    def held_off() -> None:
        with forks.held_off():
            work()

    thread = Thread(target=held_off)
    thread.start()
    thread.join()
