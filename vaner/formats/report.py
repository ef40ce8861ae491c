"""In: what a reader repaired or skipped, what a writer could not keep. Out: counts and first messages."""

from __future__ import annotations

from collections import Counter


class Report:
    """Collects what happened to a file on its way in or out, so that nothing happens to it silently.

    Args:
        limit: how many messages of each kind are kept; all are counted.

    Attributes:
        counts: kind of event -> how often it happened.
        messages: the first ``limit`` messages of each kind, in order; each names its file and line.
    """

    def __init__(self, limit: int = 20) -> None:
        self.limit = limit
        self.counts: Counter[str] = Counter()
        self.messages: list[str] = []
        self._first: dict[str, str] = {}

    def warn(self, kind: str, message: str) -> None:
        """Count one event of this kind and keep its message while there are fewer than ``limit``."""
        self.counts[kind] += 1
        self._first.setdefault(kind, message)
        if self.counts[kind] <= self.limit:
            self.messages.append(message)

    def summary(self) -> list[str]:
        """One line for each kind of event: how often it happened and the first message."""
        lines = []
        for kind, count in self.counts.most_common():
            times = f"{count} x " if count > 1 else ""
            # Some readers only count, for lack of a place to name.
            first = f": {self._first[kind]}" if kind in self._first else ""
            lines.append(f"{times}{kind}{first}")
        return lines
