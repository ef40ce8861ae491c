"""In: the relation lines of the ADE corpus. Out: one Document a sentence, with its drugs and adverse effects.

    10030778|Intravenous azithromycin-induced ototoxicity.|ototoxicity|43|54|azithromycin|22|34
    PubMed id|sentence                                    |effect      |begin,end |drug  |begin,end

A sentence is repeated for each of its relations. Offsets count in the whole abstract, which the file does
not hold, so that a sentence's own offset is what all its mentions agree on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import partial

from vaner.document import Document, Span
from vaner.errors import FormatError
from vaner.files import decode, lines
from vaner.formats.blocks import documents
from vaner.report import Report

_COLUMNS = 8
Relation = tuple[int, list[str]]
"""Line number and columns."""


def read(path: str | os.PathLike, *, on_error: str, report: Report) -> Iterator[Document]:
    """Stream the Documents of a ``DRUG-AE.rel`` file, in the order in which its sentences first appear.

    Ids are ``<PubMed id>-<n>``, n counting the abstract's sentences from 1. Types are ``Drug`` and
    ``Adverse-Effect``. Drugs and effects that take part in no relation are not annotated in this corpus.

    Raises:
        FormatError: for a line without its eight columns, offsets that are no numbers, or mentions that
            no single offset of the sentence explains; with file and line.
    """
    return documents(path, _sentences(path), partial(_document, path=path), on_error, report)


def _sentences(path: str | os.PathLike) -> Iterable[tuple[int, tuple[str, list[Relation]]]]:
    sentences: dict[tuple[str, str], list[Relation]] = {}
    for number, line in lines(path):
        if not line.strip():
            continue
        columns = decode(line, f"{path}:{number}").split("|")
        if len(columns) != _COLUMNS or not all(columns[i].isdecimal() for i in (3, 4, 6, 7)):
            raise FormatError(
                f"{path}:{number}: expected 8 columns separated by | (PubMed id, sentence, effect, "
                "begin, end, drug, begin, end); is this the corpus's DRUG-AE.rel?"
            )
        sentences.setdefault((columns[0], columns[1]), []).append((number, columns))
    seen: dict[str, int] = {}
    for (pmid, _), relations in sentences.items():
        seen[pmid] = seen.get(pmid, 0) + 1
        yield relations[0][0], (f"{pmid}-{seen[pmid]}", relations)


def _document(line: int, block: tuple[str, list[Relation]], path: str | os.PathLike) -> Document:
    id, relations = block
    text = relations[0][1][1]
    mentions = {}
    for _, columns in relations:
        mentions[int(columns[3]), columns[2]] = "Adverse-Effect"
        mentions[int(columns[6]), columns[5]] = "Drug"
    # Where the sentence may begin: a mention's offset in the abstract minus its place in the sentence.
    begins = [{offset - place for place in _places(text, words)} for offset, words in mentions]
    agreed = set.intersection(*begins)
    if len(agreed) != 1:
        raise FormatError(
            f"{path}:{line}: document {id}: {len(agreed)} offsets of the sentence fit all its mentions "
            f"({', '.join(repr(words) for _, words in mentions)}) where one must; correct their offsets"
        )
    begin = agreed.pop()
    spans = [
        Span(offset - begin, offset - begin + len(words), type, words)
        for (offset, words), type in mentions.items()
    ]
    return Document(id, text, spans)


def _places(text: str, words: str) -> Iterator[int]:
    return (match.start() for match in re.finditer(f"(?={re.escape(words)})", text))
