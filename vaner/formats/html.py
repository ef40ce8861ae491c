"""In: Documents. Out: one self-contained web page with their mentions highlighted (write only).

Colour per type, a legend that switches types on and off, score and concept ids in the tooltip. No script
and nothing loaded from elsewhere; light and dark follow the reader's system.

Overlapping mentions cannot nest in HTML, so a mention that would cross another is closed and opened again:

    [breast [cancer] cell lines]        nested: as it is
    [breast [cancer)( cell] lines]      crossing: the inner one in two pieces without a border between
"""

from __future__ import annotations

import importlib.resources
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from string import Template

from vaner.document import Document, Span
from vaner.files import replacing_text
from vaner.formats.lossy import PARTS, tell
from vaner.report import Report

# Characters that HTML forbids even as references; tab and line ends are allowed.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_SHOWS = PARTS.keys() - {"sentences", "words", "annotated types"}
_GOLDEN_ANGLE = 137.508  # successive hues stay far apart, however many types there are


def write(
    path: str | os.PathLike, documents: Iterable[Document], *, report: Report, title: str = "Entities"
) -> int:
    """Write the page; each document has the anchor ``#d<n>``, n from 1.

    Documents are written as they come. Legend and contents are known only at the end; they are written
    there, and the style sheet shows them at the top.

    Args:
        title: the page's heading.
    """
    types: dict[str, int] = {}  # type -> number in order of first appearance, which chooses its colour
    counts: Counter[str] = Counter()
    ids: list[str] = []
    with replacing_text(path) as file:
        file.write(_head().substitute(title=_safe(title)))
        for number, document in enumerate(documents, 1):
            tell(document, "HTML", _SHOWS, set(), path, report)
            ids.append(document.id)
            for span in document.spans:
                types.setdefault(span.type, len(types))
                counts[span.type] += 1
            file.write(f'<article id="d{number}">\n<h2><a href="#d{number}">{_safe(document.id)}</a></h2>\n')
            file.writelines(_paragraphs(document, types))
            file.write("</article>\n")
        file.write(_legend(types, counts))
        file.write(_contents(ids))
        mentions = sum(counts.values())
        file.write(f"<footer>{len(ids):,} documents, {mentions:,} mentions</footer>\n</body>\n</html>\n")
    return len(ids)


def _head() -> Template:
    """What stands before the first document: heading and style sheet."""
    return Template(
        importlib.resources.files("vaner.formats").joinpath("page.html").read_text(encoding="utf-8")
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
        f'<mark class="{" ".join(classes)}" style="--h:{_hue(number)}" data-type="{_safe(span.type)}" '
        f'title="{_safe(_tooltip(span))}">'
    )


def _tooltip(span: Span) -> str:
    parts = [span.type]
    if span.score is not None:
        parts.append(f"score {span.score:.3f}")
    for concept in span.concepts:
        name = concept.id
        if concept.source and not name.startswith(f"{concept.source}:"):
            name = f"{concept.source} {name}"
        how = [concept.match] if concept.match else []
        how += [f"{concept.score:.3f}"] if concept.score is not None else []
        parts.append(f"{name} ({', '.join(how)})" if how else name)
    return " \u00b7 ".join(parts)


def _legend(types: dict[str, int], counts: Counter[str]) -> str:
    if not types:
        return ""
    labels, rules = [], []
    for name, number in types.items():
        labels.append(
            f'<label style="--h:{_hue(number)}"><input type="checkbox" id="t{number}" checked>'
            f"{_safe(name)}<b>{counts[name]:,}</b></label>"
        )
        off = f"body:has(#t{number}:not(:checked)) mark.t{number}"
        rules.append(f"{off} {{ background: none; border-color: transparent; padding-inline: 0; }}")
        rules.append(f"{off}::after {{ content: none; }}")
    labels.append('<label class="plain"><input type="checkbox" id="labels" checked>labels</label>')
    return (
        f'<nav class="legend" aria-label="Entity types">{"".join(labels)}</nav>\n'
        "<style>\n{}\n</style>\n".format("\n".join(rules))
    )


def _contents(ids: list[str]) -> str:
    if len(ids) < 2:
        return ""
    items = "\n".join(f'<li><a href="#d{n}">{_safe(id)}</a></li>' for n, id in enumerate(ids, 1))
    return (
        f'<nav class="contents"><details><summary>{len(ids):,} documents</summary>'
        f"<ul>\n{items}\n</ul></details></nav>\n"
    )
