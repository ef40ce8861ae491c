"""In: Documents. Out: one self-contained web page with their mentions highlighted (write only).

Colour per type, a legend that switches types on and off, score and concept ids in the tooltip; beside the texts a list
of the documents, with search and filter. Nothing is loaded from elsewhere; light and dark follow the reader's system.
The browser lays out what is on the screen, so that a thousand documents open as fast as one. The page's script adds
search and filter; it alone may run, whatever a document holds, and without it all is there to read.

Overlapping mentions cannot nest in HTML, so a mention that would cross another is closed and opened again:

    [breast [cancer] cell lines]        nested: as it is
    [breast [cancer)( cell] lines]      crossing: the inner one in two pieces without a border between
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from string import Template

from vaner.document import Document, Span
from vaner.files import replacing_text
from vaner.formats.lossy import PARTS, tell
from vaner.provenance import TAGGED_BY
from vaner.report import Report

# Characters that HTML forbids even as references; tab and line ends are allowed.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_SHOWS = PARTS.keys() - {"sentences", "words", "annotated types"}
_GOLDEN_ANGLE = 137.508  # successive hues stay far apart, however many types there are
_BEGINNING = 80  # characters of a document that the list shows
_MOST_TAGGERS = 8  # that the foot of the page names
# What an article that was not yet laid out is taken for; the browser corrects it when it comes into sight.
_LINE_CHARACTERS, _LINE_HEIGHT, _FRAME_HEIGHT = 80, 1.85, 5.0


def write(
    path: str | os.PathLike, documents: Iterable[Document], *, report: Report, title: str = "Entities"
) -> int:
    """Write the page; each document has the anchor ``#d<n>``, n from 1.

    Documents are written as they come. Types and list are known only at the end; they are written there, and the
    style sheet shows them beside the documents.

    Args:
        title: the page's heading.
    """
    types: dict[str, int] = {}  # type -> number in order of first appearance, which chooses its colour
    counts: Counter[str] = Counter()
    entries: list[str] = []
    taggers: dict[str, None] = {}
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    with replacing_text(path) as file:
        file.write(
            Template(_file("page.html")).substitute(title=_safe(title), script_hash=f"sha256-{digest}")
        )
        for number, document in enumerate(documents, 1):
            tell(document, "HTML", _SHOWS, set(), path, report)
            for span in document.spans:
                types.setdefault(span.type, len(types))
                counts[span.type] += 1
            if len(taggers) < _MOST_TAGGERS and (said := _tagger(document)):
                taggers[said] = None
            entries.append(_entry(document, number))
            file.write(_article(document, number, types))
            file.writelines(_paragraphs(document, types))
            file.write("</article>\n")
        file.write("</main>\n")
        file.write(_aside(types, counts, entries, taggers))
        file.write(f"<script>{script}</script>\n</body>\n</html>\n")
    return len(entries)


def _file(name: str) -> str:
    return importlib.resources.files("vaner.formats").joinpath(name).read_text(encoding="utf-8")


def _article(document: Document, number: int, types: dict[str, int]) -> str:
    """The beginning of a document's element."""
    marked = " ".join(f"t{n}" for n in sorted({types[span.type] for span in document.spans}))
    lines = len(document.text) // _LINE_CHARACTERS + document.text.count("\n") + len(document.passages) + 1
    height = lines * _LINE_HEIGHT + _FRAME_HEIGHT
    return (
        f'<article id="d{number}" data-types="{marked}" style="contain-intrinsic-size:auto {height:.0f}rem">\n'
        f'<h2><a href="#d{number}">{_safe(document.id)}</a></h2>\n'
    )


def _entry(document: Document, number: int) -> str:
    """The document's line in the list: id, number of mentions, how it begins."""
    beginning = " ".join(document.text[: 4 * _BEGINNING].split())
    if len(beginning) > _BEGINNING:
        beginning = beginning[:_BEGINNING].rstrip() + "\u2026"
    return (
        f'<li><a href="#d{number}"><i>{_safe(document.id)}</i><b>{len(document.spans):,}</b>'
        f"<span>{_safe(beginning)}</span></a></li>\n"
    )


def _tagger(document: Document) -> str:
    """Who tagged it, in a line; empty where it does not say."""
    told = document.metadata.get(TAGGED_BY)
    if not isinstance(told, Mapping):
        return ""
    return " \u00b7 ".join(
        str(value) if name == "tagger" else f"{name.replace('_', ' ')} {value}"
        for name, value in told.items()
    )


def _safe(text: str) -> str:
    """Text for an element or an attribute."""
    return escape(_FORBIDDEN.sub("\ufffd", text), quote=True).replace("\r", "&#13;")


def _hue(number: int) -> str:
    return f"{(210 + number * _GOLDEN_ANGLE) % 360:.0f}"


def _paragraphs(document: Document, types: dict[str, int]) -> Iterator[str]:
    if not document.text.strip():
        yield '<p class="empty">no text</p>\n'
        return
    pieces = _pieces(document.spans)
    for start, end, kind in _parts(document):
        if kind == "title":
            yield f'<p class="title">{_marked(document.text, start, end, pieces, types)}</p>\n'
        elif document.text[start:end].strip():
            yield f"<p>{_marked(document.text, start, end, pieces, types)}</p>\n"


def _parts(document: Document) -> Iterator[tuple[int, int, str]]:
    """``(start, end, kind)`` of the paragraphs: the passages in order, and what lies between them."""
    reached = 0
    for passage in document.passages:
        if passage.start < reached:
            continue
        yield reached, passage.start, ""
        yield passage.start, passage.end, passage.kind
        reached = passage.end
    yield reached, len(document.text), ""


Piece = tuple[int, int, Span, bool]
"""Start, end, span, and whether it is the gap inside a discontinuous span."""


def _pieces(spans: Iterable[Span]) -> list[Piece]:
    pieces: list[Piece] = []
    for span in spans:
        if not span.fragments:
            pieces.append((span.start, span.end, span, False))
            continue
        reached = span.start
        for start, end in sorted(span.fragments):
            if reached < start:
                pieces.append((reached, start, span, True))
            if reached < end:
                pieces.append((max(start, reached), end, span, False))
            reached = max(reached, end)
    # The longest first where several start together: it is the outer one.
    return sorted(pieces, key=lambda p: (p[0], -p[1], p[2].type))


def _marked(text: str, start: int, end: int, pieces: list[Piece], types: dict[str, int]) -> str:
    """The text of one paragraph with its pieces as nested ``<mark>`` elements."""
    inside = [piece for piece in pieces if piece[0] < end and piece[1] > start]
    borders = sorted({start, end, *(b for p in inside for b in p[:2] if start < b < end)})
    out: list[str] = []
    stack: list[tuple[Piece, int, int]] = []  # open elements: piece, where it opened in text and in out

    def open_(piece: Piece, at: int) -> None:
        stack.append((piece, at, len(out)))
        out.append("")

    def close(at: int) -> Piece:
        piece, since, index = stack.pop()
        # Only now is it known whether this element reaches the end of its mention.
        out[index] = _tag(piece, since, at, types)
        out.append("</mark>")
        return piece

    waiting = list(reversed(inside))
    for at, until in zip(borders, borders[1:], strict=False):
        crossing = []
        while any(piece[1] <= at for piece, _, _ in stack):
            piece = close(at)
            if piece[1] > at:
                crossing.append(piece)
        for piece in reversed(crossing):
            open_(piece, at)
        while waiting and waiting[-1][0] <= at:
            open_(waiting.pop(), at)
        out.append(_safe(text[at:until]))
    while stack:
        close(end)
    return "".join(out)


def _tag(piece: Piece, start: int, end: int, types: dict[str, int]) -> str:
    """The opening tag of one element that shows ``start`` to ``end`` of a mention."""
    _, _, span, is_gap = piece
    number = types[span.type]
    classes = [f"t{number}"]
    if is_gap:
        classes.append("gap")
    if start > span.start:
        classes.append("from")
    if end < span.end:
        classes.append("to")
    return (
        f'<mark class="{" ".join(classes)}" data-type="{_safe(span.type)}" title="{_safe(_tooltip(span))}">'
    )


def _tooltip(span: Span) -> str:
    parts = [span.type]
    if span.score is not None:
        parts.append(f"score {span.score:.3f}")
    if span.grounded is not None:
        parts.append(f"grounded: {span.grounded}")
    for concept in span.concepts:
        name = concept.id
        if concept.source and not name.startswith(f"{concept.source}:"):
            name = f"{concept.source} {name}"
        how = [concept.match] if concept.match else []
        how += [f"{concept.score:.3f}"] if concept.score is not None else []
        parts.append(f"{name} ({', '.join(how)})" if how else name)
    return " \u00b7 ".join(parts)


def _aside(types: dict[str, int], counts: Counter[str], entries: list[str], taggers: Iterable[str]) -> str:
    """What stands beside the documents: search, types, list, and who tagged them."""
    total = f"{len(entries):,} documents, {counts.total():,} mentions"
    parts = ["<aside>\n"]
    if entries:
        parts.append(
            '<div class="script"><input type="search" placeholder="Search text, id, concept id ( / )" '
            'aria-label="Search the documents"></div>\n'
        )
    parts += _legend(types, counts)
    if entries:
        several = (
            '<button id="all">all types</button><button id="none">none</button>' if len(types) > 1 else ""
        )
        parts.append(
            '<div class="choices"><label><input type="checkbox" id="labels" checked>show type names</label>'
            '<div class="script"><label><input type="checkbox" id="only">only documents with chosen types</label>'
            f"{several}</div></div>\n"
        )
    parts.append(f'<p class="shown" aria-live="polite" title="j, k: next, previous document">{total}</p>\n')
    parts += ['<ol class="contents">\n', *entries, "</ol>\n"]
    said = [f"<div>Tagged by {_safe(one)}</div>" for one in taggers]
    parts += ["<footer>", *said, "</footer>\n"] if said else []
    return "".join([*parts, "</aside>\n"])


def _legend(types: dict[str, int], counts: Counter[str]) -> Iterator[str]:
    """A switch for each type, the most frequent first, and the style sheet that colours and obeys them."""
    if not types:
        return
    yield '<nav class="types" aria-label="Entity types">'
    for name in sorted(types, key=lambda name: (-counts[name], types[name])):
        yield (
            f'<label class="t{types[name]}"><input type="checkbox" id="t{types[name]}" checked>'
            f"{_safe(name)}<b>{counts[name]:,}</b></label>"
        )
    yield "</nav>\n<style>\n"
    for number in types.values():
        off = f"body:has(#t{number}:not(:checked)) mark.t{number}"
        yield f".t{number} {{ --h:{_hue(number)} }}\n"
        yield f"{off} {{ background: none; border-color: transparent; padding-inline: 0; }}\n"
        yield f"{off}::after {{ content: none; }}\n"
    yield "</style>\n"
