"""In: a source. Out: its documents in units, cut while they are read, by what they are alone.

A unit is tagged by one call of the tagger and by one worker, so which texts share a batch follows from the input and
never from the number of workers or from where a run was stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from vaner.document import Document
from vaner.errors import FormatError, OffsetError, VanerError
from vaner.files import opening
from vaner.formats import read
from vaner.jobs.packing import fingerprint
from vaner.jobs.sources import Source
from vaner.report import SKIPPED, Report

UNIT_DOCUMENTS = 500
UNIT_CHARACTERS = 400_000


@dataclass(frozen=True)
class Rejected:
    """A document, or the rest of a file, that is not in the output.

    Attributes:
        place: file and line, where they are known.
        document: its id; None where it could not be read.
        reason: in one line.
    """

    place: str
    document: str | None
    reason: str


@dataclass
class Unit:
    """Documents that are tagged together.

    Attributes:
        source: name of their source.
        number: of the unit in the source, from 0.
        documents: at least one.
        rejected: documents before or among them that could not be read.
        read: bytes of the source's file that were read so far, where that is known.
    """

    source: str
    number: int
    documents: list[Document]
    rejected: list[Rejected] = field(default_factory=list)
    read: int = 0

    def fingerprint(self) -> str:
        """A hash of what the documents say before they are tagged."""
        return fingerprint(self.documents)


@dataclass
class End:
    """What is known when a source was read to its end.

    Attributes:
        units: how many there were.
        rejected: what came after the last document; the rest of a broken file.
        report: what the reader repaired or left out, in the whole source.
        broken: whether it cannot be read further than this.
    """

    units: int
    rejected: list[Rejected]
    report: Report
    broken: bool = False


class Reader(Protocol):
    """What gives a source's documents."""

    def documents(self, source: Source, report: Report) -> Iterator[Document]:
        """The documents, the same whenever it is asked; what it skips it reports as `vaner.report.SKIPPED`."""
        ...

    @property
    def skips(self) -> bool:
        """Whether a file that is broken as a whole is rejected, or stops the run."""
        ...


@dataclass(frozen=True)
class FileReader:
    """Reads files in the formats of `vaner.formats`.

    Attributes:
        format: ``auto``, or a format for all files; options may follow.
        on_error: ``skip`` or ``raise``; see `vaner.formats.read`.
        to_tag: whether the mentions that documents have are replaced.
    """

    format: str = "auto"
    on_error: str = "skip"
    to_tag: bool = True

    @property
    def skips(self) -> bool:
        return self.on_error == "skip"

    def documents(self, source: Source, report: Report) -> Iterator[Document]:
        return read(source.path, self.format, on_error=self.on_error, report=report, to_tag=self.to_tag)


@dataclass(frozen=True)
class Cut:
    """Where a unit ends: once it has so many documents or characters."""

    documents: int = UNIT_DOCUMENTS
    characters: int = UNIT_CHARACTERS


def units(source: Source, reader: Reader, cut: Cut) -> Iterator[Unit | End]:
    """The units of a source, one in memory at a time, and at last its End.

    Raises:
        VanerError: where the reader does not skip what is broken.
    """
    report = _Listening(source)
    position = _Position()
    opening.set(position.watch)
    number, waiting = 0, 0
    broken: list[Rejected] = []
    documents: list[Document] = []
    try:
        for document in reader.documents(source, report):
            documents.append(document)
            waiting += len(document.text)
            if len(documents) >= cut.documents or waiting >= cut.characters:
                yield Unit(source.name, number, documents, report.take(), position.read())
                number, waiting, documents = number + 1, 0, []
    except (FormatError, OffsetError, OSError) as error:
        if not reader.skips:
            if isinstance(error, OSError):
                raise VanerError(f"{source.path}: {error.strerror}; check the path") from error
            raise
        reason = f"{source.path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        broken = [Rejected(source.path, None, f"the file ends here: {reason}")]
    if documents:
        yield Unit(source.name, number, documents, report.take(), position.read())
        number += 1
    yield End(number, report.take() + broken, report, bool(broken))


class _Position:
    """How far the file that is being read was read."""

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._size = 0

    def watch(self, file: BinaryIO) -> None:
        self._file = file

    def read(self) -> int:
        if self._file is not None:
            self._size = self._size if self._file.closed else self._file.tell()
        return self._size


class _Listening(Report):
    """A report that keeps every document that was skipped, where others keep the first few."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.rejected: list[Rejected] = []

    def warn(self, kind: str, message: str) -> None:
        super().warn(kind, message)
        if kind == SKIPPED:
            place, _, reason = message.partition(": ")
            known = place.startswith(self.source.path) and reason
            self.rejected.append(
                Rejected(place, None, reason) if known else Rejected(self.source.path, None, message)
            )

    def take(self) -> list[Rejected]:
        taken, self.rejected = self.rejected, []
        return taken
