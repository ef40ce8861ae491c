"""In: a text and its mentions, how one is drawn. Out: the text as HTML with nested elements around its mentions.

Overlapping mentions cannot nest in HTML, so a mention that would cross another is closed and opened again:

    [breast [cancer] cell lines]        nested: as it is
    [breast [cancer)( cell] lines]      crossing: the inner one in two pieces without a border between
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from html import escape

from vaner.document import Document, Span

# Characters that HTML forbids even as references; tab and line ends are allowed.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_GOLDEN_ANGLE = 137.508  # successive hues stay far apart, however many types there are


def safe(text: str) -> str:
    """Text for an element or an attribute."""
    return escape(_FORBIDDEN.sub("\ufffd", text), quote=True).replace("\r", "&#13;")


def hue(number: int) -> str:
    """The hue of a type by its number, in degrees."""
    return f"{(210 + number * _GOLDEN_ANGLE) % 360:.0f}"


def parts(document: Document) -> Iterator[tuple[int, int, str]]:
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


def pieces_of(spans: Iterable[Span]) -> list[Piece]:
    """The pieces of mentions, gaps among them, in the order in which they are opened."""
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


Drawn = Callable[[Piece, int, int], tuple[str, str]]
"""The tags before and behind one element, of a piece, that shows the text from where to where."""


def marked(text: str, start: int, end: int, pieces: list[Piece], drawn: Drawn) -> str:
    """The text of one paragraph with its pieces as nested elements."""
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
        out[index], behind = drawn(piece, since, at)
        out.append(behind)
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
        out.append(safe(text[at:until]))
    while stack:
        close(end)
    return "".join(out)


def tooltip(span: Span) -> str:
    """Type, score and concept ids in a line."""
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
