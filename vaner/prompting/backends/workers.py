"""In: requests and a function that asks one. Out: answers as they come, several requests under way at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from vaner.prompting.request import Answer, Failure, Request, Unavailable


def answers(
    requests: Sequence[Request], ask: Callable[[Request], Answer | Failure | Unavailable], concurrency: int
) -> Iterator[tuple[int, Answer | Failure]]:
    """As `Backend.answers`.

    Args:
        requests: what to ask.
        ask: asks one, and returns its errors; it is called from several threads.
        concurrency: how many are under way at once.

    Raises:
        Unavailable: what ``ask`` returned first of that kind, once all that was under way has been yielded.
    """
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(requests)):
        todo.put(number)
    done: queue.SimpleQueue[tuple[int, Answer | Failure | Unavailable] | None] = queue.SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                number = todo.get_nowait()
                outcome = ask(requests[number])
                if isinstance(outcome, Unavailable):
                    stop.set()
                done.put((number, outcome))
        except queue.Empty:
            pass
        finally:
            done.put(None)

    # Daemons: an interrupted process does not wait for a server.
    workers = [threading.Thread(target=work, daemon=True) for _ in range(min(concurrency, len(requests)))]
    for worker in workers:
        worker.start()
    unavailable: Unavailable | None = None
    try:
        left = len(workers)
        while left:
            if (came := done.get()) is None:
                left -= 1
            elif isinstance(came[1], Unavailable):
                unavailable = unavailable or came[1]
            else:
                yield came[0], came[1]
    finally:
        stop.set()
    if unavailable is not None:
        raise unavailable
