"""In: texts that a teacher tagged. Out: corpora that teach what it said, one for each way it was asked; their registry.

    tagged/a.jsonl -> taught/bc5cdr/a.jsonl  taught/adaptive/a.jsonl  ...
    registry.yaml     taught-bc5cdr: read with the dataset named;  taught-adaptive: with none

With a least score, a sentence in which the teacher is less sure of a mention teaches nothing of its type:

    insulin in breast cancer. It helped.      Chemical .97   Disease .41
    piece of the first sentence: types Chemical
    piece of the second:         types Chemical, Disease (none is there)

Neighbouring sentences that teach the same types stay together, so that units of several sentences can be drawn.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import numpy as np
import yaml

from vaner.annotation.teacher import ADAPTIVE, ASKED_AS
from vaner.document import Document, Passage, Span
from vaner.errors import VanerError
from vaner.files import read_yaml, replacing_text, write_text
from vaner.formats import jsonl
from vaner.formats.json_writing import to_record
from vaner.inputs import taught
from vaner.progress import progress
from vaner.report import Report
from vaner.tagger import FAILED
from vaner.text.units import Text

# What is counted.
DOCUMENTS = "documents"
NOT_TAGGED = "documents not taught: the teacher did not tag them in full"
NOTHING = "documents not taught: a mention of every type scores too low in every sentence"

PREFIX = "taught-"


def corpus_name(way: str) -> str:
    """The name in the registry, and in a mix, of the corpus of texts that were asked in a way."""
    return PREFIX + quote(way, safe=" ")


def write(
    tagged: Path, name: str, folder: Path, ways: Sequence[str], least: float | None = None
) -> dict[str, Any]:
    """Write what the tagged documents of one source teach, a file for each way they were asked.

    Args:
        tagged: the file that the corpus run wrote.
        name: of the files to write, below a folder for each way.
        folder: of these folders.
        ways: how texts may have been asked.
        least: the score below which a mention makes its sentence teach nothing of its type; None: all is taught.

    Returns:
        what happened to documents -> how often; ``taught``: way -> documents, pieces, mentions by type, and sentences
        that teach nothing of a type.

    Raises:
        VanerError: a document that was asked in another way.
    """
    counts: Counter[str] = Counter({what: 0 for what in (DOCUMENTS, NOT_TAGGED, NOTHING)})
    told = {way: _Counts() for way in ways}
    with ExitStack() as stack:
        files: dict[str, TextIO] = {}
        # Readers refuse a file that holds nothing: here the teacher failed on all of it.
        documents = jsonl.read(tagged, on_error="raise", report=Report()) if tagged.stat().st_size else ()
        for document in progress(documents, f"reading {name}"):
            counts[DOCUMENTS] += 1
            if FAILED in document.metadata:
                counts[NOT_TAGGED] += 1
                continue
            way = document.metadata.get(ASKED_AS)
            if way not in told:
                raise VanerError(
                    f"{tagged}: document {document.id}: was asked as {way}, which is not among --as"
                )
            found = list(pieces(document, least, told[way].unsure))
            if not found:
                counts[NOTHING] += 1
                continue
            told[way].documents += 1
            if way not in files:
                path = _file(folder, way, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                files[way] = stack.enter_context(replacing_text(path))
            for piece in found:
                told[way].add(piece)
                files[way].write(json.dumps(to_record(piece), ensure_ascii=False, allow_nan=False) + "\n")
    return {**counts, "taught": {way: one.record() for way, one in told.items() if one.documents}}


def are_there(folder: Path, name: str, counts: Mapping[str, Any]) -> bool:
    """Whether the files of a source that `write` wrote, and counted so, are there still."""
    return all(_file(folder, way, name).is_file() for way in counts["taught"])


def _file(folder: Path, way: str, name: str) -> Path:
    return folder / quote(way, safe=" ") / name


class _Counts:
    """What texts teach that were asked in one way."""

    def __init__(self) -> None:
        self.documents = self.pieces = 0
        self.mentions: Counter[str] = Counter()
        self.unsure: Counter[str] = Counter()

    def add(self, piece: Document) -> None:
        self.pieces += 1
        self.mentions.update(span.type for span in piece.spans)
        # Types of which nothing was found are taught too: as absent.
        self.mentions.update(dict.fromkeys(piece.types or (), 0))

    def record(self) -> dict[str, Any]:
        return {
            "documents": self.documents,
            "pieces": self.pieces,
            "mentions": dict(sorted(self.mentions.items())),
            "unsure_sentences": dict(sorted(self.unsure.items())),
        }


def pieces(document: Document, least: float | None, unsure: Counter[str]) -> Iterator[Document]:
    """The parts of a tagged document that teach something; the document as it is where nothing is filtered.

    Args:
        document: with the types that were asked; a mention without a score is sure.
        least: the score that mentions need; None: any.
        unsure: type -> sentences that teach nothing of it, counted on.

    Yields:
        neighbouring whole sentences that teach the same types, as documents with these ``types``.
    """
    types = document.types or frozenset()
    if least is None:
        if types:
            yield document
        return
    text = Text.of(document)
    parts: list[tuple[int, int, frozenset[str]]] = []
    for first, end in _blocks(text, document.spans):
        start, stop = text.offsets[first][0], text.offsets[end - 1][1]
        here = (s for s in document.spans if s.start < stop and s.end > start)
        low = {s.type for s in here if s.score is not None and s.score < least} & types
        unsure.update(low)
        if parts and parts[-1][2] == types - low:
            parts[-1] = (parts[-1][0], end, types - low)
        else:
            parts.append((first, end, types - low))
    for first, end, taught_types in parts:
        if taught_types:
            yield _piece(document, text, first, end, taught_types)


def _blocks(text: Text, spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Word ranges of the sentences, those joined that a mention runs across."""
    joined: list[tuple[int, int]] = []
    for first, end in text.sentence_ranges():
        border = text.offsets[first][0]
        if joined and any(s.start < border < s.end for s in spans):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined


def _piece(document: Document, text: Text, first: int, end: int, types: frozenset[str]) -> Document:
    """Some whole sentences of a document as a document."""
    if (first, end) == (0, len(text.words)):
        return replace(document, spans=[s for s in document.spans if s.type in types], types=types)
    start, stop = text.offsets[first][0], text.offsets[end - 1][1]

    def moved(span: Span) -> Span:
        fragments = tuple((a - start, b - start) for a, b in span.fragments)
        return replace(span, start=span.start - start, end=span.end - start, fragments=fragments)

    piece = Document(
        f"{document.id}:{start}",
        document.text[start:stop],
        [moved(s) for s in document.spans if s.type in types and start <= s.start and s.end <= stop],
        [
            Passage(max(p.start, start) - start, min(p.end, stop) - start, p.kind)
            for p in document.passages
            if p.start < stop and p.end > start
        ],
        # By themselves they might be split in another way than in their document.
        sentences=[
            (text.offsets[a][0] - start, text.offsets[b - 1][1] - start)
            for a, b in text.sentence_ranges()
            if first <= a and b <= end
        ],
        types=types,
        metadata={key: value for key, value in document.metadata.items() if key != taught.WORD_SCORES},
    )
    if (scored := taught.read(document, len(text.words))) is not None:
        asked, scores = scored
        of_o = np.zeros_like(scores[:, first:end, :1])
        log_odds = np.concatenate([of_o, scores[:, first:end]], axis=-1).astype(np.float32)
        piece.metadata[taught.WORD_SCORES] = taught.written(asked, log_odds)
    return piece


@dataclass(frozen=True)
class Taught:
    """A corpus of what a teacher said.

    Attributes:
        way: how it was asked.
        files: relative to the registry.
        types: that were asked.
    """

    way: str
    files: tuple[str, ...]
    types: tuple[str, ...]


def corpora_of(counts: Mapping[str, Mapping[str, Any]], ways: Sequence[str], folder: str) -> list[Taught]:
    """The corpora that were written, in the order of the ways.

    Args:
        counts: name of each file -> what `write` said of it.
        ways: how texts were asked.
        folder: of the files, relative to the registry.

    Raises:
        VanerError: nothing is taught at all.
    """
    found = []
    for way in ways:
        of_way = {name: one["taught"][way] for name, one in counts.items() if way in one["taught"]}
        types = sorted({type for one in of_way.values() for type in one["mentions"]})
        if of_way:
            files = tuple(_file(Path(folder), way, name).as_posix() for name in of_way)
            found.append(Taught(way, files, tuple(types)))
    if not found:
        total: Counter[str] = Counter()
        for one in counts.values():
            total.update({what: one[what] for what in (DOCUMENTS, NOT_TAGGED, NOTHING)})
        why = ", ".join(f"{total[what]:,} {what}" for what in (NOT_TAGGED, NOTHING) if total[what])
        raise VanerError(
            f"the teacher's {total[DOCUMENTS]:,} documents teach nothing{f' ({why})' if why else ''}; look at the "
            "teacher, at --types and at --min_score"
        )
    return found


def write_registry(
    path: Path,
    corpora: Sequence[Taught],
    teacher: str,
    own: str | None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write the registry of taught corpora, with those of a registry of one's own.

    Args:
        path: of the file; the corpora's files are relative to its folder.
        corpora: that were taught.
        teacher: who taught them, for people.
        own: a registry to be taken in; its files are found where they were.
        more: further entries, by name.
    """
    content = _taken_in(own) if own else {}
    entries = {
        corpus_name(one.way): {
            "format": "jsonl",
            "files": {"train": [list(one.files)]},
            # Beside this file, never below a data root that has a file of the same name.
            "shipped": True,
            "types": {type: type for type in one.types},
            "distant": True,
            **({"instruction_name": one.way} if one.way != ADAPTIVE else {}),
            "granularity": "abstract",
            "licence": "that of the texts",
            "citation": "none",
            "url": "none",
            "notes": f"tagged by {teacher}",
        }
        for one in corpora
    }
    entries |= {name: dict(entry) for name, entry in (more or {}).items()}
    if twice := sorted(content.get("corpora", {}).keys() & entries.keys()):
        raise VanerError(f"{own}: corpus {twice[0]} has the name of one that is taught; rename yours")
    content["corpora"] = {**content.get("corpora", {}), **entries}
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _taken_in(own: str) -> dict[str, Any]:
    """The content of a registry whose files are looked for where they were, wherever the new one lies."""
    content = read_yaml(own)
    folder = Path(own).absolute().parent

    def where_it_was(alternative: Any) -> Any:
        if isinstance(alternative, str):
            return str(folder / alternative)
        return [str(folder / file) for file in alternative]

    for entry in content.get("corpora", {}).values():
        for split, paths in entry["files"].items():
            alternatives = [paths] if isinstance(paths, str) else list(paths)
            there = [where_it_was(one) for one in alternatives]
            # Below the data root first, as before.
            entry["files"][split] = there if entry.get("shipped") else [*alternatives, *there]
    return content
