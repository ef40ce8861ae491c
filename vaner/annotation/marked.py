"""In: a document, spans that somebody marked in it. Out: Marked: both, and what each stage of annotation does to them.

annotators -> votes -> verifiers -> propagation -> Document with metadata["annotation"]

The text is never among the things that a stage may change: spans are made of the document's own offsets, and what
leaves the last stage is the document that came in, with other spans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from vaner.document import Document, Span
from vaner.tagging.overlap import Places

#: Where a document says, in its ``metadata``, how it was annotated.
ANNOTATION = "annotation"

# What becomes of a mention.
ACCEPTED, CORRECTED, REJECTED = "accepted", "corrected", "rejected"


@dataclass(frozen=True)
class Verdict:
    """What a verifier says of a mention.

    Attributes:
        what: ACCEPTED, CORRECTED or REJECTED.
        confidence: that this is right, in [0, 1].
        start, end: document offsets of a corrected mention.
        why: of what kind the change is, in a few words; of an accepted mention, why nothing could be said.
    """

    what: str = ACCEPTED
    confidence: float = 1.0
    start: int = 0
    end: int = 0
    why: str = ""


@dataclass
class Marked:
    """A document on its way.

    Attributes:
        document: as it was read.
        spans: its mentions now, each with its confidence as ``score``.
        changed: kind of change -> how often.
        votes: ``[start, end, type, numbers of annotators]`` of all that any annotator marked.
        failed: why it is not annotated in full; empty where it is.
        metadata: what else annotators say of it.
    """

    document: Document
    spans: list[Span]
    changed: Counter[str] = field(default_factory=Counter)
    votes: list[list[Any]] = field(default_factory=list)
    failed: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    def follow(self, name: str, verdicts: Sequence[Verdict]) -> None:
        """Do what a verifier says.

        A correction that runs into another mention of the type is not made; one that becomes the same mention is
        that mention, with the better score.

        Args:
            name: of the verifier, for the counts.
            verdicts: one for each of ``spans``.
        """
        kept: dict[tuple[int, int, str], Span] = {}
        places: dict[str, Places] = {}
        # What stays as it is stays before anything is moved.
        judged = sorted(zip(self.spans, verdicts, strict=True), key=lambda one: one[1].what == CORRECTED)
        for span, verdict in judged:
            what, why, new = verdict.what, verdict.why, span
            there = places.setdefault(span.type, Places())
            if what == CORRECTED:
                new = replace(
                    self.document.span(verdict.start, verdict.end, span.type), grounded=span.grounded
                )
                before = set(there.overlapping(span))
                rivals = [one for one in there.overlapping(new) if one not in before]
                if new.key in kept:
                    why = "became another mention"
                elif rivals:
                    what, why, new = ACCEPTED, "its correction runs into another mention", span
            if what != ACCEPTED or why:
                self.changed[f"{name}: {what}" + (f" ({why})" if why else "")] += 1
            if what == REJECTED:
                continue
            score = (1.0 if span.score is None else span.score) * verdict.confidence
            if new.key not in kept:
                there.add(new)
            elif score <= (kept[new.key].score or 0.0):
                continue
            kept[new.key] = replace(new, score=score)
        self.spans = sorted(kept.values(), key=lambda one: one.key)

    def finished(self, types: Sequence[str], instructions: str, annotators: Sequence[str]) -> Document:
        """The document with its mentions and how it came to them."""
        said: dict[str, Any] = {"instructions": instructions, "annotators": list(annotators)}
        changed = {kind: times for kind, times in sorted(self.changed.items()) if times}
        if changed:
            said["changed"] = changed
        if self.votes:
            said["votes"] = self.votes
        annotated = self.document.with_spans(self.spans)
        annotated.types = frozenset(types)
        annotated.metadata = {**self.metadata, ANNOTATION: said}
        return annotated


class Verifier(Protocol):
    """Judges mentions.

    Attributes:
        name: as it was named.
    """

    name: str

    def verify(self, marked: Iterator[Marked], types: Sequence[str]) -> Iterator[Marked]:
        """Judge the mentions of documents, in order.

        Args:
            marked: documents; each is changed in place.
            types: that are asked.

        Raises:
            VanerError: a document about which no answer is to be had.
        """
        ...

    @property
    def counts(self) -> dict[str, int]:
        """What it counted in the last run."""
        ...

    def remarks(self) -> list[str]:
        """What a user should know of the last run, a sentence each."""
        ...
