"""In: corpora and what nothing may be learnt from. Out: their training Texts, read once and kept in the cache.

documents of the splits -> those held back for dev -> without what held-out splits share -> cap -> Texts
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import vaner
from vaner.cache import kept
from vaner.corpora.overlap import Fingerprints, fingerprints, overlapping
from vaner.corpora.registry import Corpus
from vaner.document import Document
from vaner.files import sha256
from vaner.formats import jsonl
from vaner.progress import progress
from vaner.report import Report
from vaner.text.units import Text
from vaner.training.arguments import DataArguments
from vaner.training.texts import Texts

# The rooms and files whose code decides what Texts are made of a file.
_CODE = (
    "document.py",
    "files.py",
    "xml.py",
    "text",
    "formats",
    "corpora",
    "inputs/taught.py",
    "training/texts.py",
    "training/reading.py",
)


@dataclass(frozen=True)
class Wanted:
    """A corpus to be read.

    Attributes:
        corpus: its entry in the registry.
        splits: that are trained on.
        types: that are trained on.
        dev_share: share of its documents that is held back to choose the model.
    """

    corpus: Corpus
    splits: tuple[str, ...]
    types: tuple[str, ...]
    dev_share: float = 0.0


@dataclass(frozen=True)
class Read:
    """What was read of a corpus.

    Attributes:
        texts: to train on; none have no word.
        dropped: documents left out because a held-out one shares something with them; None where none was looked for.
        dev: documents held back to choose the model.
    """

    texts: Texts
    dropped: int | None
    dev: list[Document]


def read(
    wanted: Sequence[Wanted],
    held_out: Callable[[], Fingerprints | None],
    held_out_from: Mapping[str, Any],
    data: DataArguments,
    seed: int = 0,
) -> tuple[list[Read], dict[str, int]]:
    """Read corpora, or map what an earlier run or another process has read of the same files in the same way.

    Args:
        wanted: the corpora.
        held_out: what training must not share; only called where the corpora are read. None: nothing is looked for.
        held_out_from: all that its result depends on, as JSON can hold it.
        data: how they are read.
        seed: chooses the documents that are held back, and those that ``--cap`` and ``--gold_documents`` keep.

    Returns:
        what was read of each corpus, and what the readers repaired or skipped -> how often.

    Raises:
        VanerError: a missing file, or a cache that cannot be written.
        FormatError, OffsetError: a bad document, unless ``--on_error skip``.
    """
    made_from = {
        "code": code(),
        "corpora": [
            {
                "types": one.types,
                "dev_share": one.dev_share,
                "cap": most(one, data),
                **described(one.corpus, one.splits, data),
            }
            for one in wanted
        ],
        "held_out": held_out_from,
        "on_error": data.on_error,
        "seed": seed if any(most(one, data) is not None or one.dev_share for one in wanted) else None,
    }

    def make(folder: Path) -> dict[str, Any]:
        report = Report()
        left_out = held_out()
        told = []
        for number, one in enumerate(wanted):
            reading = Reading(one, data, report)
            dev = reading.held_back(seed)
            if left_out is not None:
                left_out |= fingerprints(dev)
            found = reading.kept(left_out, seed, number)
            texts = (text for text in map(Text.of, found) if text.words)
            sizes = Texts.write(folder / f"{number}.arrow", texts, one.types)
            if dev:
                jsonl.write(folder / f"{number}-dev.jsonl", dev, report=report)
            told.append({"sizes": vars(sizes), "dropped": None if left_out is None else reading.dropped})
        return {"corpora": told, "repaired": dict(report.counts)}

    entry = kept("texts", made_from, make)
    found = []
    for number, (one, told) in enumerate(zip(wanted, entry.told["corpora"], strict=True)):
        name, dev = f"{number}.arrow", entry.folder / f"{number}-dev.jsonl"
        texts = Texts.open(entry.folder / name, one.types, told["sizes"], entry.hashes[name])
        held_back = list(jsonl.read(dev, on_error="raise", report=Report())) if dev.is_file() else []
        found.append(Read(texts, told["dropped"], held_back))
    return found, entry.told["repaired"]


def described(corpus: Corpus, splits: Sequence[str], data: DataArguments) -> dict[str, Any]:
    """All that the documents of a corpus's splits depend on: its entry in the registry, and hashes of its files."""
    return {
        "name": corpus.name,
        "format": corpus.format,
        "options": {**corpus.options},
        "split_options": {split: {**corpus.split_options.get(split, {})} for split in splits},
        "known_bad": {split: corpus.known_bad.get(split, 0) for split in splits},
        "labels": [[label, type] for label, type in corpus.types.items()],
        "pmid": corpus.pmid,
        "files": {
            split: [sha256(path) for path in corpus.present(data.data_root).get(split, ())]
            for split in splits
        },
    }


def held_out_described(held_out: Iterable[tuple[Corpus, str]], data: DataArguments) -> list[dict[str, Any]]:
    """`described` of each corpus and split that is held out: their files are hashed, and not read."""
    return [described(corpus, [split], data) for corpus, split in held_out]


def most(wanted: Wanted, data: DataArguments) -> int | None:
    """At most so many documents of a corpus are trained on; None: all."""
    caps = [data.cap, None if wanted.corpus.distant else data.gold_documents]
    return min((cap for cap in caps if cap is not None), default=None)


@cache
def code() -> str:
    """Hash of the code that makes Texts of a file, so that another version of it reads the file again."""
    root = Path(vaner.__file__).parent
    files = [file for name in _CODE for file in sorted((root / name).rglob("*.py")) or [root / name]]
    digest = hashlib.sha256(vaner.__version__.encode())
    for file in files:
        digest.update(f"\0{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


class Reading:
    """The documents of a corpus, as a stream that can be read more than once.

    Args:
        wanted: the corpus.
        data: how it is read.
        report: of the last reading, the one that is kept.

    Attributes:
        dropped: how many documents the last reading left out for what held-out ones share with them.
    """

    def __init__(self, wanted: Wanted, data: DataArguments, report: Report) -> None:
        self._wanted, self._data, self._report = wanted, data, report
        self._held_back: frozenset[int] = frozenset()
        self.dropped = 0

    def _documents(self, report: Report, what: str) -> Iterator[Document]:
        corpus = self._wanted.corpus
        for split in self._wanted.splits:
            found = corpus.documents(split, self._data.data_root, self._data.on_error, report)
            yield from progress(found, f"{what} {corpus.name} {split}")

    def held_back(self, seed: int) -> list[Document]:
        """The documents that choose the model: those of the seed, none of fewer than five."""
        share = self._wanted.dev_share
        total = sum(1 for _ in self._documents(Report(), "counting")) if share else 0
        if total < 5:
            return []
        number = max(round(share * total), 1)
        self._held_back = frozenset(np.random.default_rng(seed).permutation(total)[:number].tolist())
        return [d for i, d in enumerate(self._documents(Report(), "reading")) if i in self._held_back]

    def kept(self, left_out: Fingerprints | None, seed: int, number: int) -> Iterator[Document]:
        """The documents to train on.

        Args:
            left_out: what they must not share.
            seed, number: with the number of the corpus in the mix, chooses those that ``--cap`` and
                ``--gold_documents`` keep.
        """
        cap = most(self._wanted, self._data)
        if cap is None:
            yield from (d for _, d in self._without(left_out, self._report))
            return
        places = [i for i, _ in self._without(left_out, Report())]
        if len(places) > cap:
            chosen = np.random.default_rng([seed, number]).permutation(len(places))[:cap]
            places = [places[i] for i in chosen]
        wanted = frozenset(places)
        yield from (d for i, d in enumerate(self._documents(self._report, "reading")) if i in wanted)

    def _without(self, left_out: Fingerprints | None, report: Report) -> Iterator[tuple[int, Document]]:
        """Number and document of those that are neither held back nor share anything with what is left out."""
        self.dropped = 0
        for i, document in enumerate(self._documents(report, "reading")):
            if i in self._held_back:
                continue
            # One by one: ids are unique within a file, not over all splits.
            if left_out is not None and overlapping([document], left_out):
                self.dropped += 1
                continue
            yield i, document
