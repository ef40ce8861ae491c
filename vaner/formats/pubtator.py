"""In: PubTator files, titles and abstracts with mentions and concept ids. Out: Documents; and back.

    227508|t|Naloxone reverses the effect of clonidine.
    227508|a|In rats the decrease was inhibited by naloxone.
    227508<TAB>0<TAB>8<TAB>Naloxone<TAB>Chemical<TAB>D009270
    227508<TAB>CID<TAB>D008750<TAB>D007022                          a relation

Offsets run through the title, one separating character and the abstract; a Document's text has a line
break there. Nothing is stripped: many abstracts start or end with a space that offsets count.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from vaner.document import Document, Passage, Span
from vaner.errors import FormatError
from vaner.files import decode, lines, replacing_text
from vaner.formats import concepts
from vaner.formats.blocks import documents
from vaner.formats.lossy import tell
from vaner.formats.offsets import Placer, check_options
from vaner.report import Report

TEXT_LINE = re.compile(rb"([^|\t]+)\|([ta])\|")
_KINDS = {"t": "title", "a": "abstract"}
_SEPARATOR = "\n"
_LONGEST_OFFSET = 18  # characters
_HOLDS = {"concept ids", "passages"}
_KEPT = {"relations", "individual_names"}


def read(
    path: str | os.PathLike,
    *,
    on_error: str,
    report: Report,
    offsets: str = "raise",
    unit: str = "codepoints",
    type: str = "Entity",
) -> Iterator[Document]:
    """Stream the Documents of a PubTator file; a title line starts each, blank lines are optional.

    Mention lines have 4 columns or more: id, start, end, words; type; concept ids; the names that a
    composite mention stands for. Relation lines go to ``metadata["relations"]`` (lists of the columns
    after the id), the seventh column to ``metadata["individual_names"]``, those after it to
    ``metadata["more_columns"]``, which is not written again.

    Args:
        offsets: what to do with a mention whose words are not at its offsets: ``raise``, ``repair``
            or ``drop``; see :mod:`vaner.formats.offsets`.
        unit: what offsets count: ``codepoints``, ``utf16`` or ``utf8``.
        type: the type of mentions in files without a type column.

    Raises:
        FormatError: for a line that is no text, mention or relation of its document.
        OffsetError: for wrong offsets, naming file, line, document and both strings.
    """
    check_options(offsets, unit)
    build = partial(_document, path=path, offsets=offsets, unit=unit, default_type=type, report=report)
    return documents(path, _blocks(path), build, on_error, report)


def _blocks(path: str | os.PathLike) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
    block: list[tuple[int, bytes]] = []
    id = None
    for number, line in lines(path):
        if not line.strip():
            continue
        match = TEXT_LINE.match(line)
        if match and block and (match[2] == b"t" or match[1] != id):
            yield block[0][0], block
            block = []
        if match:
            id = match[1]
        block.append((number, line))
    if block:
        yield block[0][0], block


def _document(
    line: int,
    block: list[tuple[int, bytes]],
    path: str | os.PathLike,
    offsets: str,
    unit: str,
    default_type: str,
    report: Report,
) -> Document:
    match = TEXT_LINE.match(block[0][1])
    if match is None:
        raise FormatError(f"{path}:{line}: expected a title line id|t|title before anything else")
    id = decode(match[1], f"{path}:{line}")
    text, passages, rest = _text(id, block, path)
    placer = Placer(text, id, offsets, unit, report)
    spans, relations, names, more = [], [], [], []
    for number, raw in rest:
        where = f"{path}:{number}"
        head, *columns = decode(raw, where).split("\t", 3)
        if head.strip() != id.strip():
            raise FormatError(
                f"{where}: line of document {head[:40]!r} inside document {id!r}; "
                "give it the id of its title, or its own title line"
            )
        if len(columns) == 3 and _is_offset(columns[0]) and _is_offset(columns[1]):
            if max(len(columns[0]), len(columns[1])) > _LONGEST_OFFSET:
                raise FormatError(
                    f"{where}: a mention at {columns[0][:_LONGEST_OFFSET]}... lies in no text; correct its offsets"
                )
            start, end = int(columns[0]), int(columns[1])
            # The mention's own words may hold tabs: where they stand at the offsets, they say where they end.
            there = text[placer.point(start) : placer.point(end)].replace("\n", " ")
            words, columns = _split_mention(columns[2], there)
            mention_type = (columns[0] if columns else "") or default_type
            placed = placer.place(start, end, words, mention_type, where)
            if placed is None:
                continue
            ids = concepts.parse(columns[1]) if len(columns) > 1 else ()
            spans.append(Span(*placed, mention_type, text[placed[0] : placed[1]], concepts=ids))
            key: dict[str, Any] = {"start": placed[0], "end": placed[1], "type": mention_type}
            if len(columns) > 2 and columns[2]:
                names.append({**key, "names": columns[2]})
            if any(columns[3:]):
                more.append({**key, "columns": columns[3:]})
        elif len(columns) >= 2 and not _is_offset(columns[0]):
            relations.append("\t".join(columns).split("\t"))
        else:
            raise FormatError(
                f"{where}: neither a mention (id, start, end, words, type, concept id) nor a relation "
                "(id, type, two arguments), separated by tabs"
            )
    metadata = {"relations": relations, "individual_names": names, "more_columns": more}
    return Document(
        id.strip(), text, spans, passages, metadata={key: value for key, value in metadata.items() if value}
    )


def _text(
    id: str, block: list[tuple[int, bytes]], path: str | os.PathLike
) -> tuple[str, list[Passage], list[tuple[int, bytes]]]:
    """Text, passages and the lines that are left; an empty or missing abstract adds no separator."""
    parts: dict[str, str] = {}
    rest = []
    for number, raw in block:
        if TEXT_LINE.match(raw) is None:
            rest.append((number, raw))
            continue
        _, letter, part = decode(raw, f"{path}:{number}").split("|", 2)
        if letter in parts:
            raise FormatError(f"{path}:{number}: document {id!r} has a second |{letter}| line; join the two")
        parts[letter] = part
    title, abstract = parts.get("t", ""), parts.get("a", "")
    passages = [Passage(0, len(title), "title")] if "t" in parts else []
    if not abstract:
        return title, passages, rest
    start = len(title) + len(_SEPARATOR) if "t" in parts else 0
    text = title + _SEPARATOR + abstract if "t" in parts else abstract
    return text, [*passages, Passage(start, len(text), "abstract")], rest


def _is_offset(column: str) -> bool:
    column = column.strip()
    return column.isascii() and column.isdigit()


def _split_mention(rest: str, expected: str) -> tuple[str, list[str]]:
    """A mention's words and the columns after them."""
    if expected and (rest == expected or rest.startswith(expected + "\t")):
        after = rest[len(expected) + 1 :]
        return expected, after.split("\t") if after else []
    words, *columns = rest.split("\t")
    return words, columns


def write(path: str | os.PathLike, documents: Iterable[Document], *, report: Report) -> int:
    """Write Documents as PubTator, mentions with their concept ids in the sixth column.

    A Document whose first passage is a title gets it as its title line and all the rest as its abstract;
    any other gets all its text as the title line: offsets hold either way. Line breaks in the text become
    spaces. This, and whatever else PubTator has no room for, is counted in ``report``.
    """
    count = 0
    with replacing_text(path) as file:
        for document in documents:
            tell(document, "PubTator", _HOLDS, _KEPT, path, report)
            file.writelines(f"{line}\n" for line in _lines(document, path, report))
            file.write("\n")
            count += 1
    return count


def _lines(document: Document, path: object, report: Report) -> Iterator[str]:
    def changed(what: str, change: str) -> None:
        report.warn(f"{what} changed", f"{path}: document {document.id}: {change}")

    def cell(content: str, what: str) -> str:
        cleaned = re.sub(r"[\t\r\n]", " ", content)
        if cleaned != content:
            changed(what, f"tab or line break in {content[:60]!r} written as a space")
        return cleaned

    id = re.sub(r"[|\t\r\n]", "_", document.id.strip()) or "_"
    if id != document.id:
        changed("id", f"PubTator cannot write its id {document.id!r}; written as {id!r}")
    text = document.text
    cut = len(text)
    if document.passages and document.passages[0].kind == "title" and document.passages[0].start == 0:
        if document.passages[0].end + 1 < len(text):
            cut = document.passages[0].end
    title, separator, abstract = text[:cut], text[cut : cut + 1], text[cut + 1 :]
    if re.search(r"[\r\n]", title + abstract):
        changed("text", "line breaks written as spaces")
    if separator not in ("", _SEPARATOR):
        changed("text", f"{separator!r} between title and abstract will be read as a line break")
    kept = [Passage(0, cut, "title"), Passage(cut + 1, len(text), "abstract")][: 1 + bool(abstract)]
    if document.passages and document.passages != kept:
        changed("passages", "PubTator knows a title and an abstract")
    title, abstract = (re.sub(r"[\r\n]", " ", part) for part in (title, abstract))
    yield f"{id}|t|{title}"
    yield f"{id}|a|{abstract}"
    names = {
        (n["start"], n["end"], n["type"]): n["names"] for n in document.metadata.get("individual_names", ())
    }
    for span in document.spans:
        ids = concepts.join(span.concepts)
        if [c.id for c in concepts.parse(ids)] != [c.id for c in span.concepts]:
            changed("concept ids", f"the ids of {span.text[:60]!r} will be read as {ids!r}")
        columns = [
            id,
            str(span.start),
            str(span.end),
            re.sub(r"[\r\n]", " ", span.text),
            cell(span.type, "type"),
            cell(ids, "concept ids"),
            cell(names.get(span.key, ""), "individual names"),
        ]
        while not columns[-1]:
            columns.pop()
        yield "\t".join(columns)
    for relation in document.metadata.get("relations", ()):
        if isinstance(relation, list):
            yield "\t".join([id, *(cell(column, "relation") for column in relation)])
        else:
            report.warn(
                "relation not written", f"{path}: document {document.id}: not PubTator's kind: {relation}"
            )
