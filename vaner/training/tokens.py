"""In: Texts, a tokenizer. Out: the tokens of every word as Arrow columns, kept in the cache for the same two.

counts   tokens of each word of a text, 1 to MAX_WORD_TOKENS
ids      of all its words, one after the other
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from array import array
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vaner.cache import kept
from vaner.inputs import features
from vaner.inputs.features import MAX_WORD_TOKENS, Tokenisation
from vaner.progress import progress
from vaner.training.columns import Columns, lists, write
from vaner.training.texts import Texts

_CHUNK = 400_000  # words
_TEXTS = 500  # whose words are tokenised together
_SCHEMA = pa.schema({"counts": pa.list_(pa.uint8()), "ids": pa.list_(pa.int32())})
_FILE = "tokens.arrow"


class Tokens:
    """Tokens of a corpus's Texts.

    Args:
        columns: as `Tokens.of` makes them.
        shortened: digests of the words that are read by their first tokens only.
    """

    def __init__(self, columns: Columns, shortened: frozenset[str]) -> None:
        self._columns = columns
        self.shortened = shortened

    @classmethod
    def of(cls, texts: Texts, tokenisation: Tokenisation) -> Tokens:
        """Tokenise Texts; those that are mapped from a file once only, others in memory.

        Raises:
            VanerError: the cache cannot be written.
        """
        shortened: set[str] = set()
        tables = _tables(texts, tokenisation, shortened)
        if texts.hash is None:
            return cls(Columns.of([_SCHEMA.empty_table(), *tables]), frozenset(shortened))

        def make(folder: Path) -> dict[str, Any]:
            write(folder / _FILE, tables, _SCHEMA)
            return {"shortened": sorted(shortened)}

        entry = kept("tokens", {"texts": texts.hash, "tokenizer": fingerprint(tokenisation)}, make)
        return cls(Columns.open(entry.folder / _FILE), frozenset(entry.told["shortened"]))

    def counts(self, number: int) -> np.ndarray:
        """Tokens of each word of a text: int64 ``(words,)``."""
        return self._columns.array("counts", number).astype(np.int64)

    def ids(self, number: int) -> np.ndarray:
        """Token ids of all words of a text: int32, a view that must not be written to."""
        return self._columns.array("ids", number)


def fingerprint(tokenisation: Tokenisation) -> str:
    """Hash of all that a word's tokens depend on."""
    tokenizer = tokenisation.tokenizer
    told = [
        tokenizer.backend_tokenizer.to_str(),
        type(tokenizer).__name__,
        repr((tokenizer.unk_token_id, tokenisation.pad_id)),
        importlib.metadata.version("tokenizers"),
        Path(features.__file__).read_text(encoding="utf-8"),
    ]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _tables(texts: Texts, tokenisation: Tokenisation, shortened: set[str]) -> Iterator[pa.Table]:
    """The tokens in chunks; `shortened` gets the digests of words that are cut."""
    counts, count_ends = array("B"), array("q")
    ids, id_ends = array("i"), array("q")

    def table() -> pa.Table:
        columns = [lists(counts, count_ends, pa.uint8()), lists(ids, id_ends, pa.int32())]
        return pa.Table.from_arrays(columns, schema=_SCHEMA)

    for at in progress(range(0, len(texts), _TEXTS), "tokenising"):
        some = [texts.words(number) for number in range(at, min(at + _TEXTS, len(texts)))]
        pieces = iter(tokenisation.words(chain.from_iterable(some)))
        for words in some:
            for word in words:
                piece = next(pieces)
                counts.append(len(piece))
                ids.frombytes(piece.tobytes())
                if len(piece) == MAX_WORD_TOKENS and hash(word) in tokenisation.shortened:
                    shortened.add(hashlib.sha256(word.encode("utf-8", "replace")).hexdigest()[:16])
            count_ends.append(len(counts))
            id_ends.append(len(ids))
        if len(counts) >= _CHUNK:
            yield table()
            counts, count_ends, ids, id_ends = array("B"), array("q"), array("i"), array("q")
    if count_ends:
        yield table()
