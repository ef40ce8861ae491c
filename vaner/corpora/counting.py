"""In: a corpus's splits. Out: how many documents, sentences, words and mentions, and the share in train."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vaner.corpora.registry import Corpus
from vaner.document import Document
from vaner.report import Report
from vaner.text import segment

LONG_SENTENCE = 6
"""From this many words on, a sentence found in train too is hardly a heading or a stock phrase."""


@dataclass
class Counts:
    """What one split holds. Sentences and words are the file's own where it marks them, else VANER's.

    Attributes:
        mentions: canonical type -> number.
        lengths: mentions of 1, 2, and 3 or more words.
        in_train: share of the sentences that train has verbatim; None for train itself.
        long_in_train: the same among sentences of at least six words.
        notes: what reading repaired or skipped, one line for each kind.
    """

    corpus: str
    split: str
    documents: int = 0
    sentences: int = 0
    words: int = 0
    mentions: dict[str, int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=lambda: [0, 0, 0])
    in_train: float | None = None
    long_in_train: float | None = None
    notes: list[str] = field(default_factory=list)


def count(
    corpus: Corpus, data_root: str | os.PathLike | None = None, on_error: str = "raise"
) -> Iterator[Counts]:
    """Count the splits of a corpus whose files are present, train first.

    Raises:
        VanerError: for what :meth:`Corpus.documents` raises.
    """
    present = corpus.present(data_root)
    train: set[str] | None = None
    for split in sorted(present, key=lambda split: split != "train"):
        report = Report()
        found = Counts(corpus.name, split)
        sentences = _add(found, corpus.documents(split, data_root, on_error, report))
        found.notes = report.summary()
        if split == "train":
            train = set(sentences)
        elif train is not None:
            found.in_train = _share(sentences, train)
            found.long_in_train = _share([s for s in sentences if s.count(" ") >= LONG_SENTENCE - 1], train)
        yield found


def _add(found: Counts, documents: Iterable[Document]) -> list[str]:
    """Count the documents; their sentences, words joined by spaces."""
    sentences = []
    mentions: Counter[str] = Counter()
    for document in documents:
        words = segment.words(document.text) if document.words is None else document.words
        borders = document.sentences
        if borders is None:
            borders = segment.sentences(document.text, document.passages)
        found.documents += 1
        found.sentences += len(borders)
        found.words += len(words)
        starts = [start for start, _ in words]
        ends = [end for _, end in words]
        for start, end in borders:
            inside = words[bisect_left(starts, start) : bisect_left(starts, end)]
            sentences.append(" ".join(document.text[a:b] for a, b in inside))
        for span in document.spans:
            mentions[span.type] += 1
            length = bisect_left(starts, span.end) - bisect_right(ends, span.start)
            found.lengths[min(max(length, 1), 3) - 1] += 1
    found.mentions = dict(mentions.most_common())
    return sentences


def _share(sentences: list[str], known: set[str]) -> float | None:
    return sum(sentence in known for sentence in sentences) / len(sentences) if sentences else None
