"""In: JSON Lines of stored answers of a language model. Out: gold Documents, and with each what was answered.

    {"id": "7", "tokens": ["No", "fever"], "gold": ["O", "B-Sign"], "answer": "No : O\\nfever : B-Sign"}

An answer that never came (a failed call) is null, "", or an object that says so: {"error": "time-out"}. Without an id a
line is called after the file and its number. Other keys are left alone.

Gold may be in any scheme that CoNLL files have (IOB1, IOB2, IOBES, BILOU), its prefixes in small letters, with spaces,
or missing: neighbours of one type are then one mention. Types that differ in capitals are one, written as it is first.
What was read otherwise than it stands is counted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vaner.document import Document
from vaner.errors import FormatError
from vaner.evaluation.lengths import decoded
from vaner.files import lines, stem
from vaner.formats.blocks import documents
from vaner.formats.conll import mentions, split_tag
from vaner.formats.json_records import parse
from vaner.report import Report

# Small letters are prefixes for B and I only: a type may well be called e-cigarette.
_TAG = re.compile(r"([BIESLUMWbi])\s*[-_]\s*(.+)", re.DOTALL)
_BARE = re.compile(r"[BIESLUMWbi]")
NO_PREFIX = "gold tag without B- or I-: neighbours of one type are one mention"
STARTS_WITH_I = "gold mention that begins with I- (as in IOB1)"
OTHER_SPELLING = "gold type in other capitals than where it stands first"


@dataclass(frozen=True)
class Stored:
    """One line of the file.

    Attributes:
        document: the tokens joined by single spaces, ``words`` where they stand, gold as spans.
        tokens: as in the file.
        gold: a tag a token, IOB2.
        answer: what the model wrote; None where the call failed.
        error: what the file says of a failed call; may be empty.
    """

    document: Document
    tokens: list[str]
    gold: list[str]
    answer: str | None
    error: str = ""


def read_answers(
    path: str | os.PathLike[str], *, on_error: str = "raise", report: Report
) -> Iterator[Stored]:
    """Stream the lines of a file of stored answers.

    Args:
        path: JSON Lines; ``-`` for standard input.
        on_error: ``raise``, or ``skip`` to count a bad line in ``report`` and go on.
        report: counts what was read otherwise than it stands.

    Raises:
        FormatError: a line that is no such object, an id that occurs twice, a file without lines.
    """
    name = stem(path)
    spelled: dict[str, str] = {}
    built: list[Stored] = []

    def build(number: int | None, line: bytes) -> Document:
        one = _stored(line, f"{path}:{number}", f"{name}-{number}", spelled, report)
        built.append(one)
        return one.document

    blocks = ((number, line) for number, line in lines(path) if line.strip())
    for document in documents(path, blocks, build, on_error, report):
        # A line with an id that was there before was built, and is not given out.
        yield next(one for one in built if one.document is document)
        built.clear()


def predicted(document: Document, tags: Sequence[str]) -> Document:
    """The document with the mentions that BIO tags of its words say, cut as seqeval cuts them by default."""
    assert document.words is not None, "a stored answer has words"
    words = document.words
    return document.with_spans(
        document.span(words[first][0], words[last][1], type) for first, last, type in decoded(tags)
    )


def _stored(line: bytes, where: str, id: str, spelled: dict[str, str], report: Report) -> Stored:
    record = parse(line, where)
    if not isinstance(record, dict):
        raise FormatError(
            f'{where}: a line is an object with "tokens", "gold" and "answer"; this is {_shown(record)}'
        )
    for key in ("tokens", "gold"):
        if key not in record:
            raise FormatError(
                f'{where}: no "{key}"; a line has "tokens", "gold" (a tag a token) and "answer"'
            )
    tokens, gold = record["tokens"], record["gold"]
    if not isinstance(tokens, list) or not tokens or not all(isinstance(t, str) and t for t in tokens):
        raise FormatError(
            f'{where}: "tokens" is a list of texts, none of them empty; this is {_shown(tokens)}'
        )
    if not isinstance(gold, list) or len(gold) != len(tokens):
        n = f"{len(gold)} tags" if isinstance(gold, list) else _shown(gold)
        raise FormatError(
            f'{where}: "gold" is a list of a tag a token; there are {len(tokens)} tokens and {n}'
        )
    answer, error = _answer(record, where)
    named = record.get("id")
    if isinstance(named, int | str) and not isinstance(named, bool) and str(named).strip():
        id = str(named)
    elif named is not None and named != "":
        raise FormatError(f'{where}: "id" is a text or a number; this is {_shown(named)}')
    tags = _iob2(gold, where, spelled, report)
    words, at = [], 0
    for token in tokens:
        words.append((at, at + len(token)))
        at += len(token) + 1
    document = predicted(Document(id, " ".join(tokens), words=words), tags)
    return Stored(document, tokens, tags, answer, error)


def _answer(record: dict[str, Any], where: str) -> tuple[str | None, str]:
    """What was written, or None and why nothing was."""
    if "answer" not in record and not record.get("error"):
        raise FormatError(f'{where}: no "answer"; give what the model wrote, null where the call failed')
    answer = record.get("answer")
    if isinstance(answer, dict) and "error" in answer:
        return None, str(answer["error"])
    if isinstance(answer, list) and all(isinstance(row, str) for row in answer):
        answer = "\n".join(answer)
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        return None, str(record.get("error") or "")
    if not isinstance(answer, str):
        raise FormatError(
            f'{where}: "answer" is a text, null, or {{"error": ...}} for a failed call; this is {_shown(answer)}'
        )
    return answer.replace("\r\n", "\n").replace("\r", "\n"), ""


def _iob2(gold: Sequence[object], where: str, spelled: dict[str, str], report: Report) -> list[str]:
    """Gold tags of any scheme and spelling as IOB2."""
    roles: list[tuple[str, str]] = []
    bare = set()
    for number, tag in enumerate(gold):
        text = " ".join(tag.split()) if isinstance(tag, str) else ""
        if not text:
            raise FormatError(
                f"{where}: gold tag {number} is {_shown(tag)}; a tag is O, or B- or I- and a type"
            )
        if text in ("O", "o"):
            roles.append(("O", ""))
            continue
        found = _TAG.fullmatch(text)
        role, type = (found[1].upper(), found[2].strip()) if found else ("I", text)
        if _BARE.fullmatch(text):
            role, type = text.upper(), "Entity"
        elif not found:
            bare.add(number)
            report.warn(NO_PREFIX, f"{where}: {text!r}")
        first = spelled.setdefault(type.casefold(), type)
        if first != type:
            report.warn(OTHER_SPELLING, f"{where}: {type!r} read as {first!r}")
        roles.append(split_tag(f"{role}-{first}") or ("O", ""))
    tags = ["O"] * len(roles)
    ending = any(role in "ES" for role, _ in roles)
    spans, breaks = mentions(roles, "iob2")
    for number, message in breaks:
        if number not in bare and not ending:
            report.warn(STARTS_WITH_I, f"{where}: {message}")
    for first_word, last_word, type in spans:
        tags[first_word : last_word + 1] = [f"B-{type}", *[f"I-{type}"] * (last_word - first_word)]
    return tags


def _shown(value: object) -> str:
    return repr(value)[:60]
