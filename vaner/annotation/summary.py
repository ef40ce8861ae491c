"""In: annotated documents, one after the other. Out: what was found in all of them, and what was changed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from vaner.annotation.marked import ANNOTATION
from vaner.document import Document
from vaner.jobs.summary import LIMIT, Summary


class AnnotationSummary(Summary):
    """Counts over annotated documents; arguments and other attributes as of `Summary`.

    Attributes:
        changed: kind of change -> how often.
        by_tenth: mentions by the tenth that their confidence is in: 9 is from 0.9 to 1.
    """

    def __init__(self, top: int = 10, limit: int = LIMIT) -> None:
        super().__init__(top, limit)
        self.changed: Counter[str] = Counter()
        self.by_tenth: Counter[int] = Counter()

    def add(self, document: Document) -> None:
        """Count an annotated document."""
        super().add(document)
        self.changed.update(document.metadata.get(ANNOTATION, {}).get("changed", {}))
        self.by_tenth.update(
            min(9, int(10 * span.score)) for span in document.spans if span.score is not None
        )

    def update(self, other: Summary) -> None:
        """Add what another counted."""
        super().update(other)
        if isinstance(other, AnnotationSummary):
            self.changed.update(other.changed)
            self.by_tenth.update(other.by_tenth)

    def record(self) -> dict[str, Any]:
        """All that was counted, as JSON holds it."""
        return super().record() | {
            "changed": dict(self.changed),
            "by_tenth": [*map(self.by_tenth.get, range(10))],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], limit: int = LIMIT) -> AnnotationSummary:
        """What `record` gave."""
        found = super().from_record(record, limit)
        assert isinstance(found, AnnotationSummary)
        found.changed.update(record["changed"])
        found.by_tenth.update({tenth: times for tenth, times in enumerate(record["by_tenth"]) if times})
        return found

    def to_dict(self) -> dict[str, Any]:
        """All counts; ``changed`` by kind, ``confidence``: mentions from 0 to 0.1, from 0.1 to 0.2, and so on."""
        tenths = [self.by_tenth[tenth] for tenth in range(10)]
        return super().to_dict() | {"changed": dict(sorted(self.changed.items())), "confidence": tenths}

    def table(self) -> str:
        """The counts as lines to print."""
        lines = [super().table()]
        lines += [f"{kind}: {times:,}" for kind, times in sorted(self.changed.items()) if times]
        if self.by_tenth:
            each = ", ".join(
                f"{tenth / 10:g}: {self.by_tenth[tenth]:,}" for tenth in range(10) if self.by_tenth[tenth]
            )
            lines.append(f"mentions by confidence, from: {each}")
        return "\n".join(lines)
