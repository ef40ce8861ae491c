"""In: tagged documents, one after the other. Out: what was found in all of them, as a table and as JSON.

The memory that it takes does not grow with the documents: of every type the most frequent mentions are counted, at most
twice `LIMIT` different ones at a time. Up to so many different mentions of a type all counts are exact; beyond them,
the rarest are forgotten now and then, and the summary says by how much a count may be too low.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from typing import Any

from tabulate import tabulate

from vaner.document import Document

#: Different mentions of a type that are kept when some have to be forgotten.
LIMIT = 50_000
_SHOWN = 40  # characters of a mention in the table
_LONGEST = 200  # of one that is counted: what a tagger marks may be a page


class Frequent:
    """Counts of the most frequent texts.

    Args:
        limit: how many are kept when there are twice as many.

    Attributes:
        missed: by how much a count may be too low; 0: all are exact.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()
        self.missed = 0

    def add(self, text: str, count: int = 1) -> None:
        """Count a text once more."""
        self._counts[text] += count
        if len(self._counts) > 2 * self._limit:
            kept = self.most(self._limit + 1)
            # What is forgotten was no more frequent than this one.
            self.missed += kept[-1][1]
            self._counts = Counter(dict(kept[:-1]))

    def update(self, other: Frequent) -> None:
        """Add the counts of another."""
        missed = self.missed + other.missed
        self.missed = 0
        for text, count in other._counts.items():
            self.add(text, count)
        self.missed += missed

    def most(self, number: int) -> list[tuple[str, int]]:
        """The most frequent texts and their counts; of equal ones in the order of the alphabet."""
        return heapq.nsmallest(number, self._counts.items(), key=lambda one: (-one[1], one[0]))

    def __len__(self) -> int:
        """How many different texts are known; others may have been forgotten where ``missed`` is not 0."""
        return len(self._counts)


class Summary:
    """Counts over tagged documents.

    Args:
        top: mentions of each type that are named.
        limit: see `Frequent`.

    Attributes:
        documents: how many there were.
        characters: of their texts.
        mentions: type -> mentions of it.
        holders: type -> documents with a mention of it.
        linked: type -> mentions that have a concept id.
        rejected: documents that could not be read or tagged; whoever meets one counts it here.
    """

    def __init__(self, top: int = 10, limit: int = LIMIT) -> None:
        self.top, self._limit = top, limit
        self.documents = self.characters = self.rejected = self.with_mentions = 0
        self.mentions: Counter[str] = Counter()
        self.holders: Counter[str] = Counter()
        self.linked: Counter[str] = Counter()
        self._texts: dict[str, Frequent] = {}

    def add(self, document: Document) -> None:
        """Count a tagged document."""
        self.documents += 1
        self.characters += len(document.text)
        self.with_mentions += bool(document.spans)
        for span in document.spans:
            self.mentions[span.type] += 1
            self.linked[span.type] += bool(span.concepts)
            text = " ".join(span.text[:_LONGEST].split())
            self._texts.setdefault(span.type, Frequent(self._limit)).add(text)
        self.holders.update({span.type for span in document.spans})

    def update(self, other: Summary) -> None:
        """Add what another counted, as of another process; the order matters only for counts that are not exact."""
        self.documents += other.documents
        self.characters += other.characters
        self.rejected += other.rejected
        self.with_mentions += other.with_mentions
        for mine, theirs in (
            (self.mentions, other.mentions),
            (self.holders, other.holders),
            (self.linked, other.linked),
        ):
            mine.update(theirs)
        for type, texts in other._texts.items():
            self._texts.setdefault(type, Frequent(self._limit)).update(texts)

    @property
    def types(self) -> list[str]:
        """The types found, the most frequent first."""
        return sorted(self.mentions, key=lambda type: (-self.mentions[type], type))

    def to_dict(self) -> dict[str, Any]:
        """All counts.

        ``types`` holds for each type ``mentions``, ``per_document`` (over all documents), ``documents`` that have one,
        ``linked``, ``distinct`` mentions as they are written, the ``top`` ones, and ``counts_may_miss``: by how much
        one of their counts may be too low, 0 where all are exact; ``distinct`` is null where they are not.
        """
        return {
            "documents": self.documents,
            "with_mentions": self.with_mentions,
            "rejected": self.rejected,
            "characters": self.characters,
            "mentions": self.mentions.total(),
            "linked": self.linked.total(),
            "types": {type: self._of(type) for type in self.types},
        }

    def to_json(self) -> str:
        """`to_dict` as text, the same for the same documents in the same order."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n"

    def table(self) -> str:
        """The counts as lines to print: a row a type, and below it what they are counts of."""
        rows = [
            [
                type,
                f"{self.mentions[type]:,}",
                f"{self.mentions[type] / self.documents:.2f}",
                f"{self.holders[type]:,}",
                f"{self.linked[type]:,}",
                ", ".join(f"{_short(text)} {count:,}" for text, count in self._texts[type].most(3)),
            ]
            for type in self.types
        ]
        lines = []
        if rows:
            names = ["type", "mentions", "per document", "documents", "linked", "most frequent"]
            aligned = ("left", "right", "right", "right", "right", "left")
            lines.append(tabulate(rows, names, tablefmt="simple", colalign=aligned, disable_numparse=True))
        lines.append(
            f"{self.documents:,} documents ({self.with_mentions:,} with mentions), {self.characters:,} characters, "
            f"{self.mentions.total():,} mentions, {self.linked.total():,} with a concept id, {self.rejected:,} "
            "documents rejected"
        )
        missed = {type: texts.missed for type, texts in self._texts.items() if texts.missed}
        if missed:
            each = ", ".join(f"{type} {count:,}" for type, count in sorted(missed.items()))
            lines.append(f"counts of the most frequent are too low by at most: {each}")
        return "\n".join(lines)

    def _of(self, type: str) -> dict[str, Any]:
        texts = self._texts[type]
        return {
            "mentions": self.mentions[type],
            "per_document": round(self.mentions[type] / self.documents, 4),
            "documents": self.holders[type],
            "linked": self.linked[type],
            "distinct": None if texts.missed else len(texts),
            "counts_may_miss": texts.missed,
            "top": [{"text": text, "count": count} for text, count in texts.most(self.top)],
        }


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1].rstrip() + "\u2026"
