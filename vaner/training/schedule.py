"""In: how many batches of text and of names a run has, a schedule. Out: the order in which it reads them.

    throughout   x x x x x x x x x x x x      rows of names lie among those of text, in the same batches
    first        n n n t t t t t t t t t      n: a batch of names, t: one of text
    falling      n t n t t t n t t t t t

The batches of text are those of a run without names, in their order; so are those of names among themselves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaner.errors import VanerError

THROUGHOUT, FIRST, FALLING = "throughout", "first", "falling"
SCHEDULES = (THROUGHOUT, FIRST, FALLING)

# What the batches of a schedule other than `throughout` are of.
TEXT, NAMES = 0, 1


@dataclass(frozen=True)
class Schedule:
    """When a run reads rows of names.

    Attributes:
        kind: ``throughout``; ``first``: before all text; ``falling``: their share falls linearly, from twice what it
            is on average to none.
        batches: that the run reads at most, which the schedule then spans; None where that is not known: it spans all
            epochs.

    Raises:
        VanerError: another kind.
    """

    kind: str = THROUGHOUT
    batches: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise VanerError(f"--kb_schedule {self.kind}: choose {', '.join(SCHEDULES)}")

    def places(self, text: int, names: int) -> np.ndarray:
        """Where batches of names stand in the order of all batches.

        A run that ends early reads as large a part of the batches of names as of all batches.

        Args:
            text, names: batches of each in all epochs.

        Returns:
            int64 ``(names,)``, ascending, each in ``[0, text + names)``. What the run does not reach stands last.
        """
        every = text + names
        span = every if self.batches is None else min(self.batches, every)
        within = round(span * names / every) if every else 0
        before = np.full(names, text, dtype=np.int64)
        if self.kind == FIRST:
            before[:within] = 0
        else:
            # With a share of 2 (1 - p) at p, 2 p - p^2 of the names are read before p.
            way = 1 - np.sqrt(1 - (np.arange(within) + 0.5) / max(within, 1))
            before[:within] = np.floor((span - within) * way)
        return before + np.arange(names)


class Order:
    """The batches of a run in the order in which they are read, as a sequence of stream, epoch and number in both.

    Args:
        counts: for each stream of batches how many each epoch has; one stream or, with a schedule, TEXT and NAMES.
        schedule: of two streams.
    """

    def __init__(self, counts: Sequence[Sequence[int]], schedule: Schedule) -> None:
        self._ends: list[list[int]] = [np.cumsum(of).tolist() for of in counts]
        totals = [ends[-1] if ends else 0 for ends in self._ends]
        self._total = sum(totals)
        self._names = schedule.places(*totals) if len(counts) > 1 else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return self._total

    def names_before(self, index: int) -> int:
        """How many batches before that one are of names."""
        return int(np.searchsorted(self._names, index))

    def __getitem__(self, index: int) -> tuple[int, int, int]:
        if not 0 <= index < self._total:
            raise IndexError(f"batch {index} of {self._total}")
        before = self.names_before(index)
        stream = NAMES if before < len(self._names) and self._names[before] == index else TEXT
        number = before if stream == NAMES else index - before
        ends = self._ends[stream]
        epoch = bisect_right(ends, number)
        return stream, epoch, number - (ends[epoch - 1] if epoch else 0)
