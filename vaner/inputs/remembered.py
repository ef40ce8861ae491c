"""In: what was computed once, by its key. Out: the same again, from a bounded memory that threads share unlocked."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, at most ``most`` of them.

    Nothing is ever taken out of the dictionary that `now` gives: a full one is put aside whole and an empty one takes
    its place. So a thread that holds one keeps whatever it has found in it, no reader waits for anybody, and a thread
    that is interrupted leaves nothing half done.

    Args:
        most: so many are kept. Threads that add at the same moment may pass it by what they hold in their hands.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._now: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._now)

    @property
    def now(self) -> Mapping[K, V]:
        """What is remembered; hold it while you read, it only grows."""
        return self._now

    def add(self, found: Mapping[K, V]) -> None:
        """Remember these too, in place of all before where they would be too many together."""
        now = self._now
        if len(found) > self.most:
            return
        if len(now) + len(found) > self.most:
            now = {}
        now.update(found)
        self._now = now
