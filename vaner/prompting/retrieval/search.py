"""In: texts. Out: how near each of them is to a query: by words they share (BM25), or by vectors of an encoder.

The index of the words, or the vectors, are made once and kept in the user's cache under a hash of the texts. What is
nearest is the same in every process: equal texts are in their own order.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaner.cache import kept
from vaner.errors import VanerError
from vaner.prompting.embedding import MINILM, Embedder
from vaner.prompting.extras import extra

BY = ("bm25", "dense")

_SHELF = "retrieval"
_WORDS = re.compile(r"\w+")


class Search:
    """Finds the texts that are nearest to a query. Pickled, it carries the texts, and opens the index again.

    Args:
        texts: what is searched.
        by: ``bm25``: words, rare ones count more; or ``dense``: vectors of an encoder.
        embedder: the encoder, for ``dense``.

    Raises:
        VanerError: another ``by``.
    """

    def __init__(self, texts: Sequence[str], by: str = "bm25", embedder: str = MINILM) -> None:
        if by not in BY:
            raise VanerError(f"search by {by!r} is unknown; choose one of {', '.join(BY)}")
        self.texts, self.by, self.embedder = list(texts), by, embedder
        self._index: Any = None
        self._is_empty = not any(map(_split, self.texts))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_index": None}

    @property
    def fingerprint(self) -> str:
        """Hash of the texts and of what compares them."""
        how = Embedder(self.embedder).identity if self.by == "dense" else ""
        return hashlib.sha256(f"{self.by} {how} {_hash(self.texts)}".encode()).hexdigest()

    def open(self) -> None:
        """Make the index, or open the one that is kept. The first query does so by itself.

        Raises:
            VanerError: a package is missing, there is no such encoder, or the cache cannot be written.
        """
        if self._index is None and not self._is_empty:
            self._index = self._words() if self.by == "bm25" else self._vectors()

    def scores(self, query: str) -> np.ndarray:
        """Nearness of each text, more is nearer; float32, shape ``(len(texts),)``."""
        self.open()
        if self._is_empty:
            return np.zeros(len(self.texts), np.float32)
        if self.by == "dense":
            # Alone, so that what is asked beside it cannot change the last bits, and with them the order.
            (vector,) = Embedder(self.embedder)([query])
            # Rounded, for equal texts need not come out equal to the last bit, and their order would hang on it.
            return np.round(self._index @ vector, 5)
        words = [word for word in _split(query) if word in self._index.vocab_dict]
        if not words:
            return np.zeros(len(self.texts), np.float32)
        return np.asarray(self._index.get_scores(words), np.float32)

    def nearest(self, query: str, most: int) -> list[int]:
        """Numbers of the nearest texts, best first; none that has nothing to do with the query (no word of it)."""
        scores = self.scores(query)
        order = np.argsort(-scores, kind="stable")[:most]
        return [int(i) for i in order if self.by == "dense" or scores[i] > 0]

    def _words(self) -> Any:
        bm25s = extra("bm25s", "prompted", "search by bm25")

        def make(folder: Path) -> dict[str, Any]:
            index = bm25s.BM25()
            index.index([_split(text) for text in self.texts], show_progress=False)
            index.save(folder, show_progress=False)
            return {"texts": len(self.texts)}

        made_from = {"texts": _hash(self.texts), "bm25s": importlib.metadata.version("bm25s")}
        entry = kept("bm25", made_from, make, _SHELF)
        return bm25s.BM25.load(entry.folder, show_progress=False)

    def _vectors(self) -> np.ndarray:
        embedder = Embedder(self.embedder)

        def make(folder: Path) -> dict[str, Any]:
            np.save(folder / "vectors.npy", embedder(self.texts, "embedding texts"))
            return {"texts": len(self.texts)}

        made_from = {"texts": _hash(self.texts), "embedder": embedder.identity}
        entry = kept("vectors", made_from, make, _SHELF)
        found: np.ndarray = np.load(entry.folder / "vectors.npy", mmap_mode="r")
        return found


def _split(text: str) -> list[str]:
    return _WORDS.findall(text.casefold())


def _hash(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()
