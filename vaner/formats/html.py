"""In: Documents. Out: one self-contained web page with their mentions highlighted (write only).

Colour per type, a legend that switches types on and off, score and concept ids in the tooltip; beside the texts a list
of the documents, with search and filter. Nothing is loaded from elsewhere; light and dark follow the reader's system.
The browser lays out what is on the screen, so that a thousand documents open as fast as one. The page's script adds
search and filter; it alone may run, whatever a document holds, and without it all is there to read.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from string import Template

from vaner.document import Document
from vaner.files import replacing_text
from vaner.formats.lossy import PARTS, tell
from vaner.formats.marks import Piece, hue, marked, parts, pieces_of, safe, tooltip
from vaner.provenance import TAGGED_BY
from vaner.report import Report

_SHOWS = PARTS.keys() - {"sentences", "words", "annotated types"}
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
        file.write(Template(_file("page.html")).substitute(title=safe(title), script_hash=f"sha256-{digest}"))
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
        f'<h2><a href="#d{number}">{safe(document.id)}</a></h2>\n'
    )


def _entry(document: Document, number: int) -> str:
    """The document's line in the list: id, number of mentions, how it begins."""
    beginning = " ".join(document.text[: 4 * _BEGINNING].split())
    if len(beginning) > _BEGINNING:
        beginning = beginning[:_BEGINNING].rstrip() + "\u2026"
    return (
        f'<li><a href="#d{number}"><i>{safe(document.id)}</i><b>{len(document.spans):,}</b>'
        f"<span>{safe(beginning)}</span></a></li>\n"
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


def _paragraphs(document: Document, types: dict[str, int]) -> Iterator[str]:
    def drawn(piece: Piece, start: int, end: int) -> tuple[str, str]:
        return _tag(piece, start, end, types), "</mark>"

    if not document.text.strip():
        yield '<p class="empty">no text</p>\n'
        return
    pieces = pieces_of(document.spans)
    for start, end, kind in parts(document):
        if kind == "title":
            yield f'<p class="title">{marked(document.text, start, end, pieces, drawn)}</p>\n'
        elif document.text[start:end].strip():
            yield f"<p>{marked(document.text, start, end, pieces, drawn)}</p>\n"


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
    return f'<mark class="{" ".join(classes)}" data-type="{safe(span.type)}" title="{safe(tooltip(span))}">'


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
    said = [f"<div>Tagged by {safe(one)}</div>" for one in taggers]
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
            f"{safe(name)}<b>{counts[name]:,}</b></label>"
        )
    yield "</nav>\n<style>\n"
    for number in types.values():
        off = f"body:has(#t{number}:not(:checked)) mark.t{number}"
        yield f".t{number} {{ --h:{hue(number)} }}\n"
        yield f"{off} {{ background: none; border-color: transparent; padding-inline: 0; }}\n"
        yield f"{off}::after {{ content: none; }}\n"
    yield "</style>\n"
