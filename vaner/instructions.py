"""In: a dataset's name, entity types and a Document. Out: the instruction's text and Examples (words + tags).

What the model reads, for both training and tagging:

    If any Disease or Chemical entity is mentioned in the bc5cdr input, extract it. ##input: Famotidine - ...
           -------    --------                     ------                                    ----------------
           type name  type name                    dataset, left out in adaptive mode        words, one space
                                                                                             between them

Words are always split the same way (`vaner.segment.words`) and joined by one space, whatever the spacing of
the source, so that `T - cell` of a CoNLL file and `T-cell` of raw text are the same input; every word keeps
its offsets in the document.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.segment import sentences, words

O, B, I = 0, 1, 2  # noqa: E741 - the names of the tags
TAGS = ("O", "B", "I")
IGNORED = -100

_FIELDS = {"types", "dataset", "definitions", "notes"}


@dataclass(frozen=True)
class Template:
    """The wording of the instruction; saved with every model.

    Attributes:
        known: used where the dataset is named. Must hold ``{types}`` and ``{dataset}``.
        adaptive: used where it is not. Must hold ``{types}``.
        definitions: type -> one-line definition, put where a wording says ``{definitions}``.
        datasets: dataset name -> its own wording in place of ``known``.

    Both wordings may hold ``{notes}``, where knowledge-base hints go.

    Raises:
        VanerError: an unknown placeholder or a missing one.
    """

    known: str = "If any {types} entity is mentioned in the {dataset} input, extract it. ##input:"
    adaptive: str = "If any {types} entity is mentioned in the input, extract it. ##input:"
    definitions: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check("known", self.known, {"types", "dataset"})
        self._check("adaptive", self.adaptive, {"types"})
        for name, wording in self.datasets.items():
            self._check(f"datasets[{name}]", wording, {"types"})

    @staticmethod
    def _check(name: str, wording: str, needed: set[str]) -> None:
        found = {part[1] for part in string.Formatter().parse(wording) if part[1] is not None}
        if unknown := found - _FIELDS:
            raise VanerError(
                f"template {name}: unknown placeholder {{{sorted(unknown)[0]}}}; use {sorted(_FIELDS)}"
            )
        if missing := needed - found:
            raise VanerError(f"template {name}: {{{sorted(missing)[0]}}} is missing; add it to the wording")

    def render(
        self, types: Sequence[str], dataset: str | None = None, notes: Sequence[str] = ()
    ) -> Instruction:
        """Fill the wording in and remember where each type's name ended up.

        Args:
            types: the asked types, in the order in which they are to be named.
            dataset: the dataset's name, None for adaptive mode.
            notes: sentences such as ``aspirin is a Chemical.``
        """
        if not types:
            raise VanerError("no entity type asked; name at least one, such as Disease")
        if len(set(types)) != len(types):
            raise VanerError(f"a type is asked twice in {list(types)}; name each once")
        wording = self.adaptive if dataset is None else self.datasets.get(dataset, self.known)
        pieces: list[str] = []
        ends: list[int] = []
        length = 0
        for literal, name, _, _ in string.Formatter().parse(wording):
            added = [literal]
            if name == "types":
                for i, kind in enumerate(types):
                    joiner = "" if i == 0 else " or " if i == len(types) - 1 else ", "
                    added += [joiner, kind]
                    ends.append(length + sum(map(len, added)))
            elif name == "dataset":
                added.append(dataset or "")
            elif name == "definitions":
                known = [f"{t}: {self.definitions[t]}" for t in types if t in self.definitions]
                added.append(" ".join(known))
            elif name == "notes":
                added.append(" ".join(notes))
            pieces += added
            length += sum(map(len, added))
        return Instruction("".join(pieces), tuple(types), tuple(ends[: len(types)]))

    def to_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Instruction:
    """A rendered instruction.

    Attributes:
        text: what stands in front of the words.
        types: the asked types, in order.
        type_ends: for each, the offset one past its name's last character in ``text``.
    """

    text: str
    types: tuple[str, ...]
    type_ends: tuple[int, ...]


@dataclass
class Text:
    """A document's words, ready for the model: segmented once, used by every instruction.

    Attributes:
        document: where the words come from.
        words: the words as strings.
        offsets: ``(start, end)`` of each in ``document.text``.
        sentence_starts: index of the first word of each sentence; every sentence has at least one word.
    """

    document: Document
    words: list[str]
    offsets: list[tuple[int, int]]
    sentence_starts: list[int]

    @classmethod
    def of(cls, document: Document) -> Text:
        """Split a document into sentences and words.

        Sentences that the file itself marks are kept; words never are, see the module's note on spacing.
        """
        text = document.text
        ranges = document.sentences
        if ranges is None:
            ranges = sentences(text, document.passages)
        offsets: list[tuple[int, int]] = []
        starts: list[int] = []
        for start, end in ranges:
            piece = words(text[start:end])
            if piece:
                starts.append(len(offsets))
                offsets += [(start + s, start + e) for s, e in piece]
        found = [text[s:e] for s, e in offsets]
        return cls(document, found, offsets, starts)

    def sentence_ranges(self) -> list[tuple[int, int]]:
        """``(first word, one past the last word)`` of each sentence."""
        return list(zip(self.sentence_starts, self.sentence_starts[1:] + [len(self.words)], strict=True))

    def units(self, max_words: int) -> list[tuple[int, int]]:
        """Word ranges that the model reads at once: as many whole sentences as fit into ``max_words``.

        A sentence longer than that is a unit of its own; ``max_words=1`` gives single sentences.
        """
        return group(self.sentence_ranges(), lambda: max_words)


def group(sentence_ranges: Sequence[tuple[int, int]], limit) -> list[tuple[int, int]]:
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


def encode_tags(
    offsets: Sequence[tuple[int, int]], spans: Sequence[Span], types: Sequence[str]
) -> tuple[np.ndarray, list[Span]]:
    """BIO tags of a document's words, one row a type.

    A word that a mention touches belongs to it. Where two mentions of one type share a word the longer is
    kept; a discontinuous mention cannot be written in BIO either.

    Args:
        offsets: ``(start, end)`` of each word, in order.
        spans: gold mentions; those of other types are passed over.
        types: the rows.

    Returns:
        tags: int8, shape ``(len(types), len(offsets))``, values O, B, I.
        unreachable: mentions of these types that the tags do not hold exactly; they stay in the gold of every
            score, so a model that follows the tags misses them.
    """
    tags = np.zeros((len(types), len(offsets)), dtype=np.int8)
    row = {kind: i for i, kind in enumerate(types)}
    word_starts = np.fromiter((s for s, _ in offsets), dtype=np.int64, count=len(offsets))
    word_ends = np.fromiter((e for _, e in offsets), dtype=np.int64, count=len(offsets))
    unreachable: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        if span.type not in row:
            continue
        first = int(np.searchsorted(word_ends, span.start, side="right"))
        last = int(np.searchsorted(word_starts, span.end, side="left"))
        line = tags[row[span.type]]
        if first >= last or line[first:last].any():
            unreachable.append(span)
            continue
        line[first] = B
        line[first + 1 : last] = I
        # An I that follows would now continue this mention, but it starts its own: it is a B already.
        if span.fragments or word_starts[first] != span.start or word_ends[last - 1] != span.end:
            unreachable.append(span)
    return tags, unreachable
