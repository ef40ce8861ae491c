"""In: units as they are finished. Out: how far a run is, on standard error: a bar, a JSON object a line, or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping

from tqdm import tqdm

KINDS = ("bar", "json", "none")
EVERY = 5.0  # seconds between two lines of JSON


class Progress:
    """How far a run is. Its rate is that of this run alone, whatever earlier ones did.

    Args:
        kind: one of KINDS.
        total: bytes of all that is to be read; None where that is not known.
    """

    def __init__(self, kind: str, total: int | None) -> None:
        self.kind = kind
        self.total = total
        self.counts: Counter[str] = Counter()
        self._bytes: dict[str, int] = {}
        self._started = self._said = time.monotonic()
        self._bar = (
            tqdm(total=total, desc="tagging", delay=2, file=sys.stderr, bar_format=self._format())
            if kind == "bar"
            else None
        )

    def _format(self) -> str:
        share = "{percentage:3.0f} % read, {remaining} left, " if self.total else ""
        return "{desc}: " + share + "{elapsed}{postfix}"

    def begun(self) -> None:
        """The first worker is ready: rates count from here."""
        self._started = time.monotonic()

    def unit(self, source: str, read: int, counts: Mapping[str, int]) -> None:
        """Count a unit that was finished, and how far its source's file was read when it was cut."""
        self.counts.update(counts)
        self.counts["units"] += 1
        self._read(source, read)
        self._show()

    def source(self, source: str, size: int | None) -> None:
        """Count a source whose output is written."""
        self.counts["files"] += 1
        self._read(source, size or 0)
        self._show()

    def _read(self, source: str, read: int) -> None:
        more = max(0, read - self._bytes.get(source, 0))
        self._bytes[source] = self._bytes.get(source, 0) + more
        if self._bar is not None and self.total:
            self._bar.update(more)

    def state(self) -> dict[str, float | int | None]:
        """What a line of JSON says."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        read = sum(self._bytes.values())
        left = seconds * (self.total - read) / read if self.total and read else None
        padded = self.counts["padded_tokens"]
        return {
            "documents": self.counts["documents"],
            "spans": self.counts["spans"],
            "units": self.counts["units"],
            "files": self.counts["files"],
            "rejected": self.counts["rejected"],
            "bytes_read": read,
            "bytes": self.total,
            "seconds": round(seconds, 1),
            "documents_per_second": round(self.counts["documents"] / seconds, 2),
            "tokens_per_second": round(self.counts["tokens"] / seconds, 1),
            "padding": round(1 - self.counts["tokens"] / padded, 4) if padded else None,
            "seconds_left": None if left is None else round(left, 1),
        }

    def _show(self) -> None:
        if self._bar is not None:
            now = self.state()
            said = f"{now['documents']:,} documents, {now['units']:,} units, {now['tokens_per_second']:,.0f} tokens/s"
            if now["padding"] is not None:
                said += f", padding {100 * now['padding']:.1f} %"
            if now["rejected"]:
                said += f", {now['rejected']:,} rejected"
            self._bar.set_postfix_str(said)
        elif self.kind == "json" and time.monotonic() - self._said >= EVERY:
            self._print()

    def _print(self) -> None:
        self._said = time.monotonic()
        print(json.dumps(self.state()), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Say the last."""
        if self._bar is not None:
            self._bar.close()
        elif self.kind == "json":
            self._print()
