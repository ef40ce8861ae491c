"""In: documents, several taggers that mark them, verifiers. Out: the documents with the mentions that stand.

annotators -> votes -> verifiers, one after the other -> propagation -> Document

The confidence of a mention, its span's ``score``, is the mean over the annotators that were asked for its type (the
score that one gave it; 1 where it gives none; 0 where it did not mark it), times what each verifier says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import tee, zip_longest
from typing import Any

from vaner.annotation.marked import ANNOTATION, Marked, Verifier
from vaner.annotation.propagating import propagate
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.tagger import FAILED, Tagger
from vaner.tagging.overlap import Places
from vaner.tagging.prompted import LOST
from vaner.tagging.several import Several

# Kinds of change.
OUTVOTED = "outvoted"
OUTVOTED_BY = "outvoted by a mention that overlaps it"


class Annotator:
    """Annotators and verifiers as one Tagger.

    Args:
        annotators: name -> tagger, the preferred one first.
        types: that are asked where none are named.
        instructions: hash of what they follow, for the documents.
        verifiers: in the order in which they judge.
        least_votes: annotators that must have a mention; None: more than half of those that were asked for its type.
        propagated: mark all places that have the words of a mention.
        dry: nothing is sent: documents come back without mentions, and verifiers are asked nothing.
    """

    #: What is asked is in the plan.
    allow_new_types = False

    def __init__(
        self,
        annotators: Mapping[str, Tagger],
        types: Sequence[str],
        *,
        instructions: str = "",
        verifiers: Sequence[Verifier] = (),
        least_votes: int | None = None,
        propagated: bool = False,
        dry: bool = False,
    ) -> None:
        self.annotators = dict(annotators)
        self.verifiers, self.dry = list(verifiers), dry
        self.types = list(types)
        self.instructions, self.least_votes, self.propagated = instructions, least_votes, propagated
        self._several = Several(self.annotators)
        self.changed: Counter[str] = Counter()
        self.mentions = 0

    @property
    def datasets(self) -> dict[str, list[str]]:
        """Those of all annotators."""
        return self._several.datasets

    @property
    def max_words(self) -> int | None:
        """The most that an annotator reads at once."""
        return self._several.max_words

    @property
    def tokens(self) -> int:
        """That annotators read in their last runs."""
        return self._several.tokens

    @property
    def padded_tokens(self) -> int:
        """The same with padding."""
        return self._several.padded_tokens

    @property
    def counts(self) -> dict[str, int]:
        """What all counted in the last run, and what was changed, by kind."""
        counted = Counter(self._several.counts)
        for one in self.verifiers:
            counted.update(one.counts)
        return {**counted, **{f"changed: {kind}": times for kind, times in self.changed.items() if times}}

    def remarks(self) -> list[str]:
        """What a user should know of the last run."""
        said = list(self._several.remarks())
        if self.dry:
            return said
        for one in self.verifiers:
            said += one.remarks()
        if changes := +self.changed:
            each = "; ".join(f"{times:,} x {kind}" for kind, times in changes.most_common())
            said.append(f"{self.mentions:,} mentions stand; changed on the way: {each}")
        return said

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Annotate documents, in input order; see `vaner.tagger.Tagger`.

        Yields:
            the documents with the mentions that stand; ``types`` are those that were asked, ``metadata["annotation"]``
            says by what and what was changed (`vaner.annotation.marked`).

        Raises:
            VanerError: as there; a type that no annotator knows, or one of which a verifier can say nothing.
        """
        asked = self._several.asked(types or self.types, dataset)
        looked_for = list(dict.fromkeys(type for of_one in asked.values() for type in of_one))
        self.changed, self.mentions = Counter(), 0
        before, *streams = tee(map(_bare, documents), 1 + len(asked))
        answers = [
            tagger.tag_documents(stream, asked[name], dataset if dataset in tagger.datasets else None)
            for (name, tagger), stream in zip(self.annotators.items(), streams, strict=True)
        ]
        if self.dry:
            return self._planned(zip_longest(before, *answers))
        marked: Iterator[Marked] = (
            self._voted(document, given, asked) for document, *given in zip_longest(before, *answers)
        )
        for verifier in self.verifiers:
            marked = verifier.verify(marked, looked_for)
        return self._finished(marked, looked_for)

    @staticmethod
    def _planned(given: Iterable[tuple[Document | None, ...]]) -> Iterator[Document]:
        """Let annotators count what they would send; where all have shown enough, no more is read."""
        for document, *answers in given:
            if document is None or all(one is None for one in answers):
                return
            yield document.with_spans([])

    def _finished(self, marked: Iterator[Marked], types: Sequence[str]) -> Iterator[Document]:
        for one in marked:
            if self.propagated:
                propagate(one)
            if one.failed:
                one.metadata[FAILED] = one.failed
            self.changed.update(one.changed)
            self.mentions += len(one.spans)
            yield one.finished(types, self.instructions, list(self.annotators))

    def _voted(
        self, document: Document | None, given: Sequence[Document | None], asked: Mapping[str, Sequence[str]]
    ) -> Marked:
        """What the annotators found in a document, put together."""
        self._check(document, given)
        assert document is not None
        found: dict[tuple[int, int, str], dict[int, Span]] = {}
        lost: Counter[str] = Counter()
        failed = ""
        for number, (name, one) in enumerate(zip(self.annotators, given, strict=True)):
            assert one is not None
            lost.update(one.metadata.get(LOST, {}))
            if said := one.metadata.get(FAILED):
                failed = failed or (said if len(self.annotators) == 1 else f"{name}: {said}")
            for span in one.spans:
                found.setdefault(span.key, {}).setdefault(number, span)
        metadata: dict[str, Any] = document.metadata | ({LOST: dict(lost)} if lost else {})
        marked = Marked(document, [], failed=failed, metadata=metadata)
        if len(self.annotators) > 1:
            marked.votes = [[*place, sorted(by)] for place, by in sorted(found.items())]
        asked_for = Counter(type for types in asked.values() for type in types)
        candidates = []
        for place, by in sorted(found.items()):
            voters = max(asked_for[place[2]], len(by))
            least = voters // 2 + 1 if self.least_votes is None else min(self.least_votes, voters)
            if len(by) < least:
                marked.changed[OUTVOTED] += 1
                continue
            scores = [1.0 if span.score is None else span.score for span in by.values()]
            first = by[min(by)]
            candidates.append((replace(first, score=sum(scores) / voters), frozenset(by)))
        marked.spans = self._settled(candidates, marked.changed)
        return marked

    def _check(self, document: Document | None, given: Sequence[Document | None]) -> None:
        """Raise VanerError for an annotator that gives another document than it was given."""
        for name, one in zip(self.annotators, given, strict=True):
            if document is None and one is None:
                continue
            if document is None or one is None or (one.id, one.text) != (document.id, document.text):
                what = (
                    "none"
                    if one is None
                    else one.id
                    if document is None or one.id != document.id
                    else "a changed text"
                )
                raise VanerError(
                    f"document {document.id if document else one.id if one else ''}: {name} gave {what}; an annotator "
                    "must give every document once, in order, and leave its text as it is"
                )

    @staticmethod
    def _settled(candidates: list[tuple[Span, frozenset[int]]], changed: Counter[str]) -> list[Span]:
        """Of mentions of one type that overlap and that no annotator marked together, those with the most votes."""
        kept: dict[tuple[int, int, str], tuple[Span, frozenset[int]]] = {}
        places: dict[str, Places] = {}
        for span, by in sorted(
            candidates, key=lambda one: (-len(one[1]), -(one[0].score or 0.0), one[0].key)
        ):
            others = places.setdefault(span.type, Places())
            if any(not by & kept[one.key][1] for one in others.overlapping(span)):
                changed[OUTVOTED_BY] += 1
                continue
            others.add(span)
            kept[span.key] = (span, by)
        return sorted((span for span, _ in kept.values()), key=lambda span: span.key)


def _bare(document: Document) -> Document:
    """A document as annotators see it: without the mentions that it has, and what an earlier run said of it."""
    bare = document.with_spans([])
    bare.metadata = {k: v for k, v in document.metadata.items() if k not in (FAILED, LOST, ANNOTATION)}
    return bare
