"""In: what a reader repaired or skipped, what a writer could not keep. Out: counts and first messages."""

from __future__ import annotations

from collections import Counter

from vaner.errors import one_line

SKIPPED = "document skipped"
"""The kind of event whose every message is told, because each is a document that is missing from the output."""


class Report:
    """Collects what happened to a file on its way in or out, so that nothing happens to it silently.

    Args:
        limit: how many messages of each kind are kept; all are counted.

    Attributes:
        counts: kind of event -> how often it happened.
        messages: the first ``limit`` messages of each kind, in order; each names its file and line.
        deleted: ids of all documents that the file says exist no longer, in order (PubMed's update files).
    """

    def __init__(self, limit: int = 20) -> None:
        self.limit = limit
        self.counts: Counter[str] = Counter()
        self.messages: list[str] = []
        self.deleted: list[str] = []
        self._kept: dict[str, list[str]] = {}

    def warn(self, kind: str, message: str) -> None:
        """Count one event of this kind and keep its message, as one line, while there are fewer than ``limit``."""
        self.counts[kind] += 1
        kept = self._kept.setdefault(kind, [])
        if len(kept) < self.limit:
            message = one_line(message)
            kept.append(message)
            self.messages.append(message)

    def first(self, kind: str) -> str:
        """The first message of a kind; empty where it was only counted."""
        return next(iter(self._kept.get(kind, [])), "")

    def summary(self) -> list[str]:
        """One line for each kind of event: how often it happened and the first message.

        Documents that were skipped have a line each, up to ``limit``.
        """
        lines = []
        for kind, count in self.counts.most_common():
            times = f"{count} x " if count > 1 else ""
            # Some readers only count, for lack of a place to name.
            lines.append(f"{times}{kind}: {self.first(kind)}".removesuffix(": "))
            if kind == SKIPPED:
                lines += [f"{kind}: {message}" for message in self._kept.get(kind, [])[1:]]
        return lines
