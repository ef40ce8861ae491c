"""In: guideline files, the names that instructions call them by. Out: their texts; where quotations stand in them."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vaner.annotation.quotations import Place, find, find_words
from vaner.annotation.statements import Guideline
from vaner.errors import VanerError
from vaner.files import sha256
from vaner.prompting.retrieval.passages import Piece, pieces_of
from vaner.prompting.retrieval.reading import Source, files, read
from vaner.report import Report

FOLDER_VARIABLE = "VANER_GUIDELINES"


@dataclass
class OpenGuideline:
    """A guideline that is at hand.

    Attributes:
        guideline: as the instructions name it.
        path: where it lies.
        sha256: of its bytes.
    """

    guideline: Guideline
    path: Path
    sha256: str
    _source: Source | None = field(default=None, repr=False)

    @property
    def source(self) -> Source:
        """Its text, read when it is first asked for.

        Raises:
            VanerError: it cannot be read, or a package that it needs is missing.
        """
        if self._source is None:
            (self._source,) = read([(self.path.name, self.path, True)], Report())
        return self._source

    def place(self, quote: str, start: int = 0) -> Place | None:
        """Where a quotation stands in it, from ``start`` on; None where it does not."""
        return self._paged(find(quote, self.source.text, start))

    def place_of_words(self, quote: str, start: int = 0) -> Place | None:
        """Where the words of a quotation stand, whatever signs are between them; None where they do not."""
        return self._paged(find_words(quote, self.source.text, start))

    def _paged(self, found: Place | None) -> Place | None:
        if found is None or not self.source.pages:
            return found
        return replace(found, page=bisect_right(self.source.pages, found.start))

    def part(self) -> str:
        """The text from ``begins`` up to ``ends``.

        Raises:
            VanerError: it lacks one of them.
        """
        text, told = self.source.text, self.guideline
        start = self._at("begins", told.begins, 0) if told.begins else 0
        end = self._at("ends", told.ends, start) if told.ends else len(text)
        return text[start:end].strip()

    def _at(self, key: str, words: str, start: int) -> int:
        place = find(words, self.source.text, start)
        if place is None:
            raise VanerError(
                f"{self.path}: {words[:60]!r} is not in it; correct {key} of guideline {self.guideline.name}"
            )
        return place.start


def folders(folder: str | os.PathLike[str] | None, instructions: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Where guidelines are looked for: the folder that was named, else VANER_GUIDELINES; then beside the instructions.

    Raises:
        VanerError: a folder that was named and is none.
    """
    named = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    beside = Path(instructions).parent
    if not named:
        return (beside,)
    if not Path(named).is_dir():
        raise VanerError(
            f"{named}: is no folder; give the one that holds the guidelines (--guidelines or {FOLDER_VARIABLE})"
        )
    return (Path(named), beside)


def at_hand(guidelines: Iterable[Guideline], where: Iterable[Path]) -> dict[str, OpenGuideline]:
    """Those of the guidelines that lie in one of the folders, by name."""
    where = tuple(where)
    found: dict[str, OpenGuideline] = {}
    for one in guidelines:
        path = next((p for folder in where if (p := folder / one.file).is_file()), None)
        if path is not None:
            found[one.name] = OpenGuideline(one, path, sha256(path))
    return found


def passages(paths: Iterable[str | os.PathLike[str]], words: int, report: Report) -> Iterator[Piece]:
    """The passages of guidelines, in order: whole sentences of at most ``words`` words, none twice.

    Args:
        paths: files and folders; Markdown, text, HTML, PDF and DOCX are read.
        words: of a passage at most; a longer sentence is cut.
        report: takes what was not read of a folder.

    Raises:
        VanerError: a path that does not exist, or a named file that cannot be read.
    """
    for source in read(files(paths, report), report):
        yield from pieces_of(source, words, 0)
