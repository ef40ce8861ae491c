"""In: a Document. Out: Text: its words and sentences, and the units of whole sentences that a model reads at once.

Words are always split the same way (`vaner.text.segment.words`) and joined by one space, whatever the spacing of
the source, so that `T - cell` of a CoNLL file and `T-cell` of raw text are the same input; every word keeps
its offsets in the document.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vaner.document import Document, Passage
from vaner.text import lines
from vaner.text.segment import seen, sentences, words

_TAB = re.compile("\t")


@dataclass
class Text:
    """A document's words, ready for the model: segmented once, used by every instruction.

    Attributes:
        document: where the words come from.
        words: the words as strings.
        offsets: ``(start, end)`` of each in ``document.text``.
        sentence_starts: index of the first word of each sentence; every sentence has at least one word.
        block_starts: index of the first word of each paragraph, item of a list and cell of a table; no mention runs
            from one into the next (`vaner.text.lines`).
    """

    document: Document
    words: list[str]
    offsets: list[tuple[int, int]]
    sentence_starts: list[int]
    block_starts: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, document: Document) -> Text:
        """Split a document into sentences and words.

        Sentences that the file itself marks are kept, and text that it leaves between them is split like any
        other, so that no word is lost. Words are always our own, see above.
        """
        text = document.text
        ranges = _marked_sentences(document) if document.sentences else sentences(text, document.passages)
        offsets: list[tuple[int, int]] = []
        starts: list[int] = []
        for start, end in ranges:
            piece = words(text[start:end])
            if piece:
                starts.append(len(offsets))
                offsets += [(start + s, start + e) for s, e in piece]
        found = [seen(text[s:e]) for s, e in offsets]
        # Where the file marks sentences, its lines are those.
        borders = [m.end() for m in _TAB.finditer(text)] if document.sentences else lines.borders(text)
        borders += [at for passage in document.passages for at in (passage.start, passage.end)]
        ends = [end for _, end in offsets]
        begins = sorted({bisect_right(ends, border) for border in borders} - {0, len(offsets)})
        return cls(document, found, offsets, starts, begins)

    def sentence_ranges(self) -> list[tuple[int, int]]:
        """``(first word, one past the last word)`` of each sentence."""
        ends = [*self.sentence_starts[1:], len(self.words)] if self.sentence_starts else []
        return list(zip(self.sentence_starts, ends, strict=True))

    def units(self, max_words: int) -> list[tuple[int, int]]:
        """Word ranges that the model reads at once: as many whole sentences as fit into ``max_words``.

        A sentence longer than that is a unit of its own; ``max_words=1`` gives single sentences.
        """
        return group(self.sentence_ranges(), lambda: max_words)


def _marked_sentences(document: Document) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = 0
    for start, end in [*sorted(document.sentences or ()), (len(document.text), len(document.text))]:
        between = document.text[at:start]
        if between and not between.isspace():
            inside = [
                Passage(max(p.start, at) - at, min(p.end, start) - at, p.kind)
                for p in document.passages
                if p.start < start and p.end > at
            ]
            found += [(at + s, at + e) for s, e in sentences(between, inside)]
        if end > at:
            found.append((max(start, at), end))
            at = end
    return found


def group(sentence_ranges: Sequence[tuple[int, int]], limit: Callable[[], int]) -> list[tuple[int, int]]:
    """Join neighbouring sentences into units of at most ``limit()`` words, asked anew for every unit."""
    units: list[tuple[int, int]] = []
    room = 0
    for start, end in sentence_ranges:
        if units and end - units[-1][0] <= room:
            units[-1] = (units[-1][0], end)
        else:
            units.append((start, end))
            room = limit()
    return units
