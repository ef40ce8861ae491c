"""In: a corpus's training documents. Out: their Texts and gold tags as Arrow columns, in memory or mapped from a file.

id  text  pmid  types  spans  passages     what training reads of a document
word_starts  word_ends                     offsets of its words
sentence_starts  block_starts              first words of its sentences and blocks
annotated                                  which types of the corpus the document annotates: their places
tags                                       O, B, I of every word: a row of words for every type of the corpus
taught                                     what a teacher says of every word: likewise, float16; none if it says nothing
label_weights                              what each tag counts: likewise, in 255ths; none where all count the same
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, overload

import numpy as np
import pyarrow as pa

from vaner.document import Document, Passage, Span
from vaner.inputs import taught as word_scores
from vaner.text.segment import seen
from vaner.text.tags import O, encode_tags, in_order
from vaner.text.units import Text
from vaner.training.columns import Columns, lists, write

# Of so many words a chunk is written, so that reading a corpus of any size takes the same memory.
_CHUNK = 400_000

_NUMBERS = pa.list_(pa.int32())
_SPANS = pa.list_(
    pa.struct([("start", pa.int32()), ("end", pa.int32()), ("type", pa.string()), ("fragments", _NUMBERS)])
)
_PASSAGES = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("kind", pa.string())]))
_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "text": pa.string(),
        "pmid": pa.string(),
        "types": pa.list_(pa.string()),
        "spans": _SPANS,
        "passages": _PASSAGES,
        "word_starts": _NUMBERS,
        "word_ends": _NUMBERS,
        "sentence_starts": _NUMBERS,
        "block_starts": _NUMBERS,
        "annotated": pa.list_(pa.int16()),
        "tags": pa.list_(pa.int8()),
        # The bits of float16, which not every tool of Arrow has.
        "taught": pa.list_(pa.uint16()),
        "label_weights": pa.list_(pa.uint8()),
    }
)


# Of the columns of numbers, those that are not of 32 bits.
_KINDS = {"tags": "b", "annotated": "h", "taught": "H", "label_weights": "B"}


@dataclass
class Sizes:
    """How large a corpus is.

    Attributes:
        documents, words, mentions: how many of each.
        unreachable: mentions that the tags cannot hold.
        taught: words of which a teacher's scores are known.
    """

    documents: int = 0
    words: int = 0
    mentions: int = 0
    unreachable: int = 0
    taught: int = 0


class Texts(Sequence[Text]):
    """Training Texts of a corpus, each built from its columns when it is asked for.

    A Text that comes out has of its document what training reads: id, text, spans without concepts, passages, types,
    and the PubMed id.

    Args:
        columns: as `Texts.of` or `Texts.write` makes them.
        types: of the corpus that are trained on; the rows of the tags.
        sizes: of the corpus.
        hash: of the file that the columns are mapped from; None where they are in memory.
    """

    def __init__(
        self, columns: Columns, types: tuple[str, ...], sizes: Sizes, hash: str | None = None
    ) -> None:
        self._columns = columns
        self.types = types
        self.sizes = sizes
        self.hash = hash

    @classmethod
    def of(cls, texts: Iterable[Text], types: tuple[str, ...]) -> Texts:
        """Texts in memory."""
        sizes = Sizes()
        tables = [_SCHEMA.empty_table(), *_tables(texts, types, sizes)]
        return cls(Columns.of(tables), types, sizes)

    @staticmethod
    def write(path: str | os.PathLike, texts: Iterable[Text], types: tuple[str, ...]) -> Sizes:
        """Write Texts to a file of Arrow's stream format, one chunk at a time."""
        sizes = Sizes()
        write(path, _tables(texts, types, sizes), _SCHEMA)
        return sizes

    @classmethod
    def open(cls, path: str | os.PathLike, types: tuple[str, ...], sizes: dict[str, int], hash: str) -> Texts:
        """Texts mapped from a file; sizes and hash are those that were noted when it was written."""
        return cls(Columns.open(path), types, Sizes(**sizes), hash)

    def __len__(self) -> int:
        return len(self._columns)

    @overload
    def __getitem__(self, number: int) -> Text: ...
    @overload
    def __getitem__(self, number: slice) -> list[Text]: ...
    def __getitem__(self, number: int | slice) -> Text | list[Text]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"text {number} of {len(self)}")
        number %= len(self)
        document = self._document(number)
        offsets = self._offsets(number)
        found = [seen(document.text[start:end]) for start, end in offsets]
        blocks = self._columns.array("block_starts", number).tolist()
        return Text(document, found, offsets, self.sentence_starts(number), blocks)

    def documents(self) -> Iterator[Document]:
        """The documents, one after the other."""
        return (self._document(number) for number in range(len(self)))

    def _document(self, number: int) -> Document:
        value = self._columns.value
        text = value("text", number)
        types, pmid = value("types", number), value("pmid", number)
        spans = []
        for one in value("spans", number):
            pieces = one["fragments"]
            fragments = tuple(zip(pieces[::2], pieces[1::2], strict=True))
            spans.append(
                Span(
                    one["start"],
                    one["end"],
                    one["type"],
                    text[one["start"] : one["end"]],
                    fragments=fragments,
                )
            )
        return Document(
            value("id", number),
            text,
            spans,
            [Passage(**one) for one in value("passages", number)],
            types=None if types is None else frozenset(types),
            metadata={} if pmid is None else {"pmid": pmid},
        )

    def _offsets(self, number: int) -> list[tuple[int, int]]:
        starts = self._columns.array("word_starts", number).tolist()
        return list(zip(starts, self._columns.array("word_ends", number).tolist(), strict=True))

    def words(self, number: int, start: int = 0, end: int | None = None) -> list[str]:
        """Words ``start`` to ``end`` (all) of a text, as `Text.words` has them."""
        text = self._columns.value("text", number)
        starts = self._columns.array("word_starts", number)[start:end].tolist()
        ends = self._columns.array("word_ends", number)[start:end].tolist()
        return [seen(text[a:b]) for a, b in zip(starts, ends, strict=True)]

    def sentence_starts(self, number: int) -> list[int]:
        """`Text.sentence_starts` of a text."""
        return self._columns.array("sentence_starts", number).tolist()

    def sentence_ranges(self, number: int) -> list[tuple[int, int]]:
        """`Text.sentence_ranges` of a text."""
        starts = self.sentence_starts(number)
        ends = [*starts[1:], len(self._columns.array("word_starts", number))] if starts else []
        return list(zip(starts, ends, strict=True))

    def annotated(self, number: int) -> list[int]:
        """Places in `types` of those that a text's document annotates."""
        return self._columns.array("annotated", number).tolist()

    def tags(self, number: int) -> np.ndarray:
        """Gold of a text: int8 ``(types, words)``, a view that must not be written to."""
        return self._columns.array("tags", number).reshape(len(self.types), -1)

    def taught(self, number: int) -> np.ndarray | None:
        """What a teacher says of a text: float16 ``(types, words, 2)``, NaN for types that it was not asked.

        A view that must not be written to; None where it says nothing.
        """
        found = self._columns.array("taught", number).view(np.float16)
        return found.reshape(len(self.types), -1, 2) if len(found) else None

    def label_weights(self, number: int) -> np.ndarray | None:
        """What each tag of a text counts: float32 ``(types, words)``, in [0, 1]; None where all count the same."""
        found = self._columns.array("label_weights", number)
        return (found / np.float32(255)).reshape(len(self.types), -1) if len(found) else None


@dataclass
class _Chunk:
    """Rows that are not written yet: values of the columns of lists, and where each row's end."""

    plain: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ("id", "text", "pmid", "types", "spans", "passages")}
    )
    numbers: dict[str, tuple[array, array]] = field(
        default_factory=lambda: {
            name: (array(_KINDS.get(name, "i")), array("q")) for name in _SCHEMA.names[6:]
        }
    )
    words: int = 0

    def add(
        self,
        text: Text,
        tags: np.ndarray,
        annotated: list[int],
        taught: np.ndarray | None,
        label_weights: np.ndarray | None,
    ) -> None:
        document = text.document
        row = {
            "id": document.id,
            "text": document.text,
            "pmid": None if (pmid := document.metadata.get("pmid")) is None else str(pmid),
            "types": None if document.types is None else sorted(document.types),
            "spans": [
                {"start": s.start, "end": s.end, "type": s.type, "fragments": [at for f in s.fragments for at in f]}
                for s in document.spans
            ],
            "passages": [asdict(passage) for passage in document.passages],
        }  # fmt: skip
        for name, value in row.items():
            self.plain[name].append(value)
        lines = {
            "word_starts": [start for start, _ in text.offsets],
            "word_ends": [end for _, end in text.offsets],
            "sentence_starts": text.sentence_starts,
            "block_starts": text.block_starts,
            "annotated": annotated,
        }
        for name, line in lines.items():
            self.numbers[name][0].extend(line)
        for name, numbers in (("tags", tags), ("taught", taught), ("label_weights", label_weights)):
            if numbers is not None:
                self.numbers[name][0].frombytes(numbers.tobytes())
        for values, ends in self.numbers.values():
            ends.append(len(values))
        self.words += len(text.words)

    def table(self) -> pa.Table:
        columns = {
            name: pa.array(values, type=_SCHEMA.field(name).type) for name, values in self.plain.items()
        }
        for name, (values, ends) in self.numbers.items():
            columns[name] = lists(values, ends, _SCHEMA.field(name).type.value_type)
        return pa.Table.from_arrays([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _tables(texts: Iterable[Text], types: tuple[str, ...], sizes: Sizes) -> Iterator[pa.Table]:
    """The Texts in chunks; `sizes` counts them."""
    chunk = _Chunk()
    for text in texts:
        document = text.document
        tags, unreachable = encode_tags(text.offsets, document.spans, types, text.block_starts)
        annotated = [i for i, type in enumerate(types) if document.types is None or type in document.types]
        taught = _taught(text, types)
        chunk.add(text, tags, annotated, taught, _label_weights(text, tags, types))
        sizes.taught += 0 if taught is None else len(text.words)
        sizes.documents += 1
        sizes.words += len(text.words)
        sizes.mentions += len(document.spans)
        sizes.unreachable += len(unreachable)
        if chunk.words >= _CHUNK:
            yield chunk.table()
            chunk = _Chunk()
    if chunk.words:
        yield chunk.table()


def _taught(text: Text, types: tuple[str, ...]) -> np.ndarray | None:
    """What a teacher left in the document, for the types of the corpus: float16 ``(types, words, 2)``."""
    found = word_scores.read(text.document, len(text.words))
    if found is None:
        return None
    asked, scores = found
    taught = np.full((len(types), len(text.words), 2), np.nan, dtype=np.float16)
    for place, type in enumerate(types):
        if type in asked:
            taught[place] = scores[asked.index(type)]
    return taught if not np.isnan(taught).all() else None


def _label_weights(text: Text, tags: np.ndarray, types: tuple[str, ...]) -> np.ndarray | None:
    """The score of each word's mention, in 255ths, and 255 where there is none; None where no mention has a score."""
    spans = [span for span in text.document.spans if span.type in types]
    if all(span.score is None for span in spans):
        return None
    weights = np.full(tags.shape, 255, dtype=np.uint8)
    claimed = np.zeros(tags.shape, dtype=bool)
    starts, ends = [start for start, _ in text.offsets], [end for _, end in text.offsets]
    # In the order in which mentions get their tags, and of a word that several touch the first one has it.
    for span in sorted(spans, key=in_order):
        row = types.index(span.type)
        words = slice(bisect_right(ends, span.start), bisect_left(starts, span.end))
        if not claimed[row, words].any():
            claimed[row, words] = True
            weights[row, words] = round(255 * min(max(1.0 if span.score is None else span.score, 0.0), 1.0))
    weights[tags == O] = 255
    return weights
