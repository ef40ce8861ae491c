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
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from vaner.document import Document, Passage, Span
from vaner.errors import VanerError
from vaner.segment import sentences, words

O, B, I = 0, 1, 2  # noqa: E741 - the names of the tags
TAGS = ("O", "B", "I")
IGNORED = -100

# What stands for a type in the typed head: its name's last token, the mean of the name's, a mark behind the name.
TYPE_VECTORS = ("last", "mean", "marker")
PLACES = ("before", "after")

_MARK = " ##input:"
_TYPE_MARK = " ##"
_FIELDS = {"types", "dataset", "definitions", "notes"}


@dataclass(frozen=True)
class Template:
    """The wording of the instruction, and what of it the model takes; saved with every model.

    Attributes:
        known: used where the dataset is named. Must hold ``{types}`` and ``{dataset}``.
        adaptive: used where it is not. Must hold ``{types}``.
        definitions: type -> one-line definition; those of the asked types are put where a wording says
            ``{definitions}``, as in ``Disease: an abnormal state; Chemical: a substance``.
        datasets: dataset name -> its own wording in place of ``known``.
        alone: type -> its own wording in place of ``adaptive``, where that type is asked alone.
        type_vector: which tokens stand for a type: ``last`` of its name, the ``mean`` of the name's, or a ``marker``
            written behind the name (`` ##``).
        place: the instruction stands ``before`` the text or ``after`` it; a closing ``##input:``, which announces
            the text, is then left out.

    Every wording may hold ``{notes}``, where knowledge-base hints go (`vaner.hints`), as in ``Note: aspirin is a
    Chemical.``; without any, it and one space before it are left out.

    Raises:
        VanerError: an unknown placeholder, a missing one, or a brace that belongs to none; an unknown type vector
            or place.
    """

    known: str = "If any {types} entity is mentioned in the {dataset} input, extract it. ##input:"
    adaptive: str = "If any {types} entity is mentioned in the input, extract it. ##input:"
    definitions: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    alone: Mapping[str, str] = field(default_factory=dict)
    type_vector: str = "last"
    place: str = "before"

    def __post_init__(self) -> None:
        for name, known in (("type_vector", TYPE_VECTORS), ("place", PLACES)):
            if (value := getattr(self, name)) not in known:
                raise VanerError(f"template {name}: unknown {value!r}; choose one of {', '.join(known)}")
        self._check("known", self.known, {"types", "dataset"})
        self._check("adaptive", self.adaptive, {"types"})
        for name, wording in self.datasets.items():
            self._check(f"datasets[{name}]", wording, {"types"})
        for name, wording in self.alone.items():
            self._check(f"alone[{name}]", wording, {"types"})

    @staticmethod
    def _check(name: str, wording: str, needed: set[str]) -> None:
        try:
            parts = [part for part in string.Formatter().parse(wording) if part[1] is not None]
        except ValueError as error:
            raise VanerError(
                f"template {name}: {error}; write {{{{ and }}}} for braces that are no placeholder"
            ) from None
        found = {part[1] for part in parts}
        if unknown := found - _FIELDS:
            raise VanerError(
                f"template {name}: unknown placeholder {{{sorted(unknown)[0]}}}; use "
                f"{', '.join(f'{{{field}}}' for field in sorted(_FIELDS))}"
            )
        for _, placeholder, spec, conversion in parts:
            if spec or conversion:
                raise VanerError(f"template {name}: write {{{placeholder}}} without a format or conversion")
        if missing := needed - found:
            raise VanerError(f"template {name}: {{{sorted(missing)[0]}}} is missing; add it to the wording")

    def render(
        self, types: Sequence[str], dataset: str | None = None, notes: Sequence[str] = ()
    ) -> Instruction:
        """Fill the wording in and remember where each type ended up.

        Args:
            types: the asked types, in the order in which they are to be named.
            dataset: the dataset's name, None for adaptive mode.
            notes: sentences such as ``aspirin is a Chemical.``

        Raises:
            VanerError: no type, an empty one, or one asked twice.
        """
        if not all(types):
            raise VanerError(f"an entity type in {list(types)} is empty; write its name, such as Disease")
        if not types:
            raise VanerError("no entity type asked; name at least one, such as Disease")
        if len(set(types)) != len(types):
            raise VanerError(f"a type is asked twice in {list(types)}; name each once")
        if dataset is None:
            wording = self.alone.get(types[0], self.adaptive) if len(types) == 1 else self.adaptive
        else:
            wording = self.datasets.get(dataset, self.known)
        if self.place == "after":
            wording = wording.removesuffix(_MARK)
        mark = _TYPE_MARK if self.type_vector == "marker" else ""
        pieces: list[str] = []
        spans: list[tuple[int, int]] = []
        length = 0
        for literal, name, _, _ in string.Formatter().parse(wording):
            added = [literal]
            if name == "types":
                for i, kind in enumerate(types):
                    joiner = "" if i == 0 else " or " if i == len(types) - 1 else ", "
                    added += [joiner, kind, mark]
                    end = length + sum(map(len, added))
                    spans.append((end - len(mark or kind), end))
            elif name == "dataset":
                added.append(dataset or "")
            elif name == "definitions":
                known = [f"{t}: {self.definitions[t]}" for t in types if t in self.definitions]
                added.append("; ".join(known))
            elif name == "notes":
                added = [literal, f"Note: {' '.join(notes)}"] if notes else [literal.removesuffix(" ")]
            pieces += added
            length += sum(map(len, added))
        return Instruction(
            "".join(pieces), tuple(types), tuple(spans[: len(types)]), self.type_vector, self.place
        )

    def with_notes(self) -> Template:
        """The same with ``{notes}`` in every wording: before a closing ``##input:``, else at the end."""

        def put(wording: str) -> str:
            if any(name == "notes" for _, name, _, _ in string.Formatter().parse(wording)):
                return wording
            before, mark, _ = wording.rpartition(_MARK) if wording.endswith(_MARK) else (wording, "", "")
            return f"{before} {{notes}}{mark}"

        return replace(
            self,
            known=put(self.known),
            adaptive=put(self.adaptive),
            datasets={name: put(wording) for name, wording in self.datasets.items()},
            alone={name: put(wording) for name, wording in self.alone.items()},
        )

    def to_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Instruction:
    """A rendered instruction.

    Attributes:
        text: what stands before the words, or after them.
        types: the asked types, in order.
        type_spans: for each ``(start, end)`` in ``text`` of its name, or of the marker behind the name.
        type_vector, place: of the Template.
    """

    text: str
    types: tuple[str, ...]
    type_spans: tuple[tuple[int, int], ...]
    type_vector: str = "last"
    place: str = "before"


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

        Sentences that the file itself marks are kept, and text that it leaves between them is split like any
        other, so that no word is lost. Words are always our own, see the module's note on spacing.
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
        found = [text[s:e] for s, e in offsets]
        return cls(document, found, offsets, starts)

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
    for start, end in [*sorted(document.sentences), (len(document.text), len(document.text))]:
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
    kept. A discontinuous mention cannot be written in BIO: all words from its first to its last are tagged,
    unless a contiguous one claims any of them.

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
    held: set[tuple[int, int, str]] = set()
    for span in sorted(spans, key=lambda s: (bool(s.fragments), s.start - s.end, s.start)):
        if span.type not in row:
            continue
        if span.key in held and not span.fragments:
            continue  # the same mention listed twice, with two concept ids
        first = int(np.searchsorted(word_ends, span.start, side="right"))
        last = int(np.searchsorted(word_starts, span.end, side="left"))
        line = tags[row[span.type]]
        if first >= last or line[first:last].any():
            unreachable.append(span)
            continue
        line[first] = B
        line[first + 1 : last] = I
        # An I that follows would now continue this mention, but it starts its own: it is a B already.
        tagged = int(word_starts[first]), int(word_ends[last - 1]), span.type
        held.add(tagged)
        if span.fragments or tagged != span.key:
            unreachable.append(span)
    return tags, unreachable
