"""In: a file of rows as `datasets` writes them: Parquet, JSON or Arrow. Out: Documents.

tokens, ner_tags        words and their tags, BIO or IOBES, as strings or as numbers of a ClassLabel
passages, entities      BigBio's kb schema: a document a row, mentions of one piece or several
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from vaner.document import Concept, Document, Passage, Span
from vaner.errors import FormatError, OffsetError
from vaner.files import stem
from vaner.formats.conll import REPAIRED, mentions, split_tag
from vaner.formats.offsets import Placer, check_options
from vaner.report import SKIPPED, Report

_LOADERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}

Row = Mapping[str, Any]


def tag_names(features: Any, column: str) -> tuple[str, ...]:
    """The names of a column's tags where they are numbers of a ClassLabel."""
    inner = getattr((features or {}).get(column), "feature", None)
    return tuple(getattr(inner, "names", ()))


class Rows:
    """The rows of a file, and what they are.

    Attributes:
        names: what tags that are numbers mean; empty where they are strings.
        kb: whether rows are of BigBio's kb schema.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        tokens: str = "tokens",
        tags: str = "ner_tags",
        names: Sequence[str] = (),
    ) -> None:
        from datasets import load_dataset

        ending = next((e for e in Path(path).suffixes[::-1] if e in _LOADERS), "")
        if not ending:
            raise FormatError(f"{path}: not a file of datasets; name one that ends in {', '.join(_LOADERS)}")
        self._path = path
        try:
            self._dataset = load_dataset(
                _LOADERS[ending], data_files=[os.fspath(path)], split="train", streaming=True
            )
            self._first: Row = next(iter(self._dataset), {})
        except (OSError, RuntimeError, ValueError) as error:
            raise self._bad(error) from error
        self.kb = {"passages", "entities"} <= self._first.keys()
        self.names = tuple(names) or tag_names(self._dataset.features, tags)
        if not self.kb and self._first and not {tokens, tags} <= self._first.keys():
            raise FormatError(
                f"{path}: its columns are {', '.join(self._first)}; it needs {tokens} and {tags} (or tokens= and tags= "
                "in a registry), or passages and entities as BigBio has them"
            )

    def _bad(self, error: Exception) -> FormatError:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return FormatError(f"{self._path}: cannot be read ({said}); check that it was written completely")

    def __iter__(self) -> Iterator[Row]:
        try:
            yield from self._dataset
        except (OSError, RuntimeError, ValueError) as error:
            raise self._bad(error) from error


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    tokens: str = "tokens",
    tags: str = "ner_tags",
    tag_names: Sequence[str] = (),
    id: str = "",
    offsets: str = "raise",
    sentences_per_document: int = 1,
) -> Iterator[Document]:
    """Stream the Documents of a Parquet, JSON or Arrow file.

    Args:
        tokens, tags: columns that hold words and their tags, BIO or IOBES, as strings or as numbers.
        tag_names: what tags that are numbers mean, where the file does not say so.
        id: column of the documents' ids; ``id`` or, of BigBio, ``document_id`` where there is one, else they are
            numbered. Where several rows make a document, they are numbered.
        offsets: of BigBio: ``raise``, ``repair`` or ``drop`` a mention whose words are not at its offsets.
        sentences_per_document: of rows of words, how many consecutive ones make a Document.

    Raises:
        FormatError: a file that is none of these, or a row of another form, with its number from 1.
        OffsetError: a mention that does not select its words.
    """
    check_options(offsets, "codepoints")
    rows = Rows(path, tokens, tags, tag_names)
    name = stem(path)

    def words(number: int, some: Sequence[Row]) -> Document:
        own = str(some[0][id]) if id and len(some) == 1 else f"{name}-{number}"
        last = number * sentences_per_document
        numbered = enumerate(some, last - sentences_per_document + 1)
        return _of_words(
            own, [(f"{path}: row {n}", row[tokens], row[tags]) for n, row in numbered], rows.names, report
        )

    def kb(number: int, some: Sequence[Row]) -> Document:
        (row,) = some
        own = str(row[id] if id else row.get("document_id") or row.get("id") or f"{name}-{number}")
        return _of_kb(own, row, f"{path}: row {number}", offsets, report)

    return _documents(
        rows, kb if rows.kb else words, 1 if rows.kb else sentences_per_document, path, on_error, report
    )


def _documents(
    rows: Rows,
    build: Callable[[int, Sequence[Row]], Document],
    together: int,
    path: str | os.PathLike,
    on_error: str,
    report: Report,
) -> Iterator[Document]:
    stream = iter(rows)
    number = 0
    while some := list(islice(stream, together)):
        number += 1
        try:
            document = build(number, some)
        except (FormatError, OffsetError) as error:
            said = str(error) if str(error).startswith(str(path)) else f"{path}: row {number}: {error}"
            if on_error == "raise":
                raise type(error)(said) from None
            report.warn(SKIPPED, said)
            continue
        yield document
    if not number:
        raise FormatError(f"{path}: holds no row; check that it was written completely")


def _of_words(
    id: str, sentences: Sequence[tuple[str, Any, Any]], names: Sequence[str], report: Report
) -> Document:
    """Words joined by spaces and sentences by line breaks, as CoNLL files are read."""
    pieces: list[str] = []
    words: list[tuple[int, int]] = []
    bounds, spans = [], []
    at = 0
    for where, tokens, tags in sentences:
        if not isinstance(tokens, list) or not isinstance(tags, list) or len(tokens) != len(tags):
            raise FormatError(f"{where}: needs as many tags as tokens; correct the row")
        begin, first_word = at, len(words)
        for token in tokens:
            if not isinstance(token, str) or not token:
                raise FormatError(f"{where}: {token!r} is no word; take it out")
            words.append((at, at + len(token)))
            at += len(token) + 1
        if not tokens:
            continue
        pieces.append(" ".join(tokens))
        bounds.append((begin, at - 1))
        roles = [_role(tag, names, where) for tag in tags]
        used = {role for role, _ in roles}
        found, breaks = mentions(roles, "iobes" if "S" in used or {"B", "E"} <= used else "iob2")
        for index, message in breaks:
            report.warn(REPAIRED, f"{where}: tag {index}: {message}")
        for first, last, type in found:
            spans.append((words[first_word + first][0], words[first_word + last][1], type))
    text = "\n".join(pieces)
    return Document(id, text, [Span(s, e, t, text[s:e]) for s, e, t in spans], sentences=bounds, words=words)


def _role(tag: Any, names: Sequence[str], where: str) -> tuple[str, str]:
    if isinstance(tag, int) and not isinstance(tag, bool):
        if not names:
            raise FormatError(
                f"{where}: its tags are numbers without names; give them in a registry, as in options: "
                "{tag_names: [O, B-Disease, I-Disease]}"
            )
        if not 0 <= tag < len(names):
            raise FormatError(f"{where}: tag {tag}, but there are {len(names)} names of tags")
        tag = names[tag]
    role = split_tag(tag) if isinstance(tag, str) else None
    if role is None:
        raise FormatError(f"{where}: {tag!r} is no tag; a tag is O, or B- or I- (E-, S-) and a type")
    return role


def _of_kb(id: str, row: Row, where: str, offsets: str, report: Report) -> Document:
    """A row of BigBio's kb schema: its passages stand at their offsets, what is between them is blank."""
    text = ""
    passages = []
    parts = [(place, part) for p in row["passages"] for place, part in _parts(p, where)]
    kinds = [p.get("type") or "passage" for p in row["passages"] for _ in _parts(p, where)]
    for ((start, end), part), kind in sorted(zip(parts, kinds, strict=True)):
        if start < len(text) or end - start != len(part):
            raise FormatError(
                f"{where}: a {kind} passage of {len(part)} characters is at {start}-{end} of a text that is "
                f"{len(text)} long before it; correct its offsets"
            )
        text += " " * (start - len(text)) + part
        passages.append(Passage(start, end, kind))
    placer = Placer(text, id, offsets, "codepoints", report)
    spans = []
    for entity in row["entities"]:
        found = _parts(entity, where)
        pieces, claimed = [place for place, _ in found], " ".join(part for _, part in found)
        type = entity.get("type")
        if not isinstance(type, str) or not pieces:
            raise FormatError(f"{where}: entity {entity.get('id')!r} has no type or no offsets; add them")
        if len(pieces) == 1:
            placed = placer.place(*pieces[0], claimed, type, where)
            places = [placed] if placed else []
        else:
            places = placer.place_fragments(pieces, claimed, type, where) or []
        if places:
            start, end = places[0][0], places[-1][1]
            concepts = tuple(
                Concept(str(one["db_id"]), one.get("db_name"))
                for one in entity.get("normalized") or ()
                if one.get("db_id")
            )
            fragments = tuple(places) if len(places) > 1 else ()
            spans.append(Span(start, end, type, text[start:end], None, concepts, fragments))
    return Document(id, text, spans, passages)


def _parts(record: Row, where: str) -> list[tuple[tuple[int, int], str]]:
    """The pieces of a passage or an entity: where each stands, and its words."""
    texts, offsets = record.get("text"), record.get("offsets")
    texts = [texts] if isinstance(texts, str) else texts
    if (
        not isinstance(texts, list)
        or not isinstance(offsets, list)
        or not all(isinstance(t, str) for t in texts)
    ):
        raise FormatError(f"{where}: {record.get('id')!r} needs a text and offsets, as lists; correct it")
    # An entity whose words are written once has several places all the same.
    texts = texts if len(texts) == len(offsets) else [" ".join(texts), *[""] * (len(offsets) - 1)]
    if not all(isinstance(o, list) and len(o) == 2 and all(isinstance(at, int) for at in o) for o in offsets):
        raise FormatError(
            f"{where}: {record.get('id')!r}: offsets are {offsets!r}; make them pairs of numbers"
        )
    return [((start, end), text) for (start, end), text in zip(offsets, texts, strict=True)]
