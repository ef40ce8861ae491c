"""In: a guideline or a folder of one's own documents. Out: for a unit, the passages of it that are nearest.

    files -> texts -> passages of whole sentences, neighbours share some -> those nearest to the unit, or prompt

Read once: the passages and their index are kept in the user's cache under the hashes of the files.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import vaner
from vaner.cache import kept
from vaner.errors import VanerError
from vaner.files import replacing_text, sha256
from vaner.progress import progress
from vaner.prompting.embedding import MINILM
from vaner.prompting.retrieval import Retrieved
from vaner.prompting.retrieval.reading import Source, files, read
from vaner.prompting.retrieval.search import Search
from vaner.prompting.unit import Unit, plain
from vaner.report import Report
from vaner.text import segment

QUERIES = ("unit", "prompt")

_PACKAGES = ("pypdf", "markitdown", "mammoth", "lxml")


@dataclass(frozen=True)
class Piece:
    """A passage.

    Attributes:
        file: as `vaner.prompting.retrieval.reading.Source.file`.
        start, end: code points in the text that was read of the file.
        text: that part of it, as it was read.
        pages: the first and the last that it stands on, from 1; None where the file has no pages.
    """

    file: str
    start: int
    end: int
    text: str
    pages: tuple[int, int] | None = None

    @property
    def source(self) -> str:
        """``guideline.pdf, page 3`` or ``guideline.pdf, pages 3-4``."""
        if self.pages is None:
            return self.file
        first, last = self.pages
        return f"{self.file}, page {first}" if first == last else f"{self.file}, pages {first}-{last}"


class Passages:
    """Finds passages of documents.

    Args:
        paths: files and folders; Markdown, text, HTML, PDF and DOCX are read.
        words: of a passage at most; a longer sentence is cut.
        overlap: words at most that a passage repeats of the one before it, in whole sentences.
        most: so many are given.
        by: ``bm25`` or ``dense``.
        query: what is searched with: the ``unit``, or the whole ``prompt``.
        embedder: the encoder, for ``dense``.

    Attributes:
        pieces: all passages.

    Raises:
        VanerError: a wrong setting, a path that does not exist, a named file that cannot be read, no text at all.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        words: int = 200,
        overlap: int = 40,
        most: int = 2,
        by: str = "bm25",
        query: str = "unit",
        embedder: str = MINILM,
    ) -> None:
        if query not in QUERIES:
            raise VanerError(f"passages query: unknown {query!r}; choose one of {', '.join(QUERIES)}")
        if words < 1 or most < 1 or not 0 <= overlap < words:
            raise VanerError(
                f"passages: words {words}, overlap {overlap}, most {most}: words and most must be 1 or more, and "
                "overlap less than words"
            )
        if not paths:
            raise VanerError("passages: no path; name a file or a folder")
        self.query, self.most = query, most
        self.pieces, self._said = _kept_pieces(paths, words, overlap)
        self._search = Search([plain(piece.text) for piece in self.pieces], by, embedder)

    @property
    def fingerprint(self) -> str:
        """Hash of all passages and settings."""
        told = [self._search.fingerprint, [p.source for p in self.pieces], self.query, self.most]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def remarks(self) -> list[str]:
        """What was not read of a folder, and why."""
        return [f"passages: {line}" for line in self._said]

    def prepare(self) -> None:
        """Make the index, so that processes that follow find it in the cache. `of` does so by itself."""
        self._search.open()

    def of(self, unit: Unit, types: Sequence[str], prompt: str = "") -> list[Retrieved]:
        """The nearest passages, the nearest first; none that shares no word with the query (``bm25``)."""
        query = unit.shown if self.query == "unit" else prompt
        found = self._search.nearest(query, self.most)
        return [Retrieved(self._search.texts[i], plain(self.pieces[i].source)) for i in found]


def cut(text: str, words: int, overlap: int) -> list[tuple[int, int]]:
    """``(start, end)`` of passages of at most ``words`` words: whole sentences, unless one is longer."""
    sentences: list[tuple[int, int, int]] = []
    for start, end in segment.sentences(text):
        inside = segment.words(text[start:end])
        for first in range(0, len(inside), words):
            part = inside[first : first + words]
            last = end if first + words >= len(inside) else start + part[-1][1]
            sentences.append((start + part[0][0] if first else start, last, len(part)))
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(sentences):
        last, room = at, words
        while last < len(sentences) and sentences[last][2] <= room:
            room -= sentences[last][2]
            last += 1
        found.append((sentences[at][0], sentences[last - 1][1]))
        if last == len(sentences):
            break
        # Back by as many sentences as may be repeated, if then there still is room for the next one.
        at, repeated = last, 0
        while at - 1 > 0 and found[-1][0] < sentences[at - 1][0]:
            repeated += sentences[at - 1][2]
            if repeated > overlap or repeated + sentences[last][2] > words:
                break
            at -= 1
    return found


def pieces_of(source: Source, words: int, overlap: int) -> list[Piece]:
    """The passages of a document, as `cut` cuts them, in order."""
    found = []
    for start, end in cut(source.text, words, overlap):
        on = (bisect_right(source.pages, start), bisect_left(source.pages, end))
        found.append(Piece(source.file, start, end, source.text[start:end], on if source.pages else None))
    return found


def _kept_pieces(
    paths: Sequence[str | os.PathLike[str]], words: int, overlap: int
) -> tuple[list[Piece], list[str]]:
    report = Report()
    named = files(paths, report)
    made_from = {
        "files": [[name, sha256(path), itself] for name, path, itself in named],
        "words": words,
        "overlap": overlap,
        "versions": {p: _version(p) for p in _PACKAGES} | {"vaner": vaner.__version__},
    }

    def make(folder: Path) -> dict[str, Any]:
        inside = Report()
        with replacing_text(folder / "pieces.jsonl") as file:
            for source in read(progress(named, "reading documents"), inside):
                for piece in pieces_of(source, words, overlap):
                    file.write(json.dumps(asdict(piece), ensure_ascii=False) + "\n")
        return {"said": inside.summary()}

    entry = kept("passages", made_from, make, "retrieval")
    with open(entry.folder / "pieces.jsonl", encoding="utf-8", newline="\n") as lines:
        told = [json.loads(line) for line in lines]
    pieces = [Piece(**one | {"pages": one["pages"] and tuple(one["pages"])}) for one in told]
    said = report.summary() + entry.told["said"]
    if not pieces:
        why = f" ({said[0]})" if said else ""
        raise VanerError(
            f"passages: no text in {', '.join(map(str, paths))}{why}; name documents that have some"
        )
    return pieces, said


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
