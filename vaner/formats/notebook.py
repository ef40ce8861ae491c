"""In: a Document. Out: a piece of HTML that shows its text with the mentions highlighted, as notebooks want it.

It styles nothing but itself, needs nothing from elsewhere, has no script, and shows whatever a document holds as text.
"""

from __future__ import annotations

from collections import Counter

from vaner.document import Document
from vaner.formats.marks import Piece, hue, marked, parts, pieces_of, safe, tooltip

# Text in dollars is no formula: MathJax passes over these classes.
_CLASSES = "vaner tex2jax_ignore mathjax_ignore"
_BOX = (
    "border:1px solid rgba(128,128,128,.4);border-radius:6px;padding:.6em 1em;max-height:32em;overflow:auto;"
    "line-height:1.9;text-align:left"
)
_TEXT = "margin:.3em 0;white-space:pre-wrap;overflow-wrap:anywhere"
_HEAD = "font-size:.85em;line-height:1.9;opacity:.9"
_LABEL = "font-size:.65em;font-weight:600;margin-left:.35em;user-select:none"
_INK = "color:#1f2328"  # on light fills, whatever the notebook's colours


def fragment(document: Document) -> str:
    """The Document as one ``<div>``: its id, how many mentions of each type, its paragraphs.

    A mention's score and concept ids are in its tooltip.
    """
    counts = Counter(span.type for span in document.spans)
    hues = {type: hue(number) for number, type in enumerate(sorted(counts))}

    def drawn(piece: Piece, start: int, end: int) -> tuple[str, str]:
        return _mark(piece, start, end, hues[piece[2].type])

    chips = "".join(
        f' <span style="{_INK};background:{_fill(hues[type])};border-radius:4px;padding:.1em .4em">'
        f"{safe(type)} {counts[type]:,}</span>"
        for type in sorted(counts)
    )
    pieces = pieces_of(document.spans)
    shown = [
        f'<div style="{_TEXT}{";font-weight:600" if kind == "title" else ""}">'
        f"{marked(document.text, start, end, pieces, drawn)}</div>"
        for start, end, kind in parts(document)
        if document.text[start:end].strip()
    ]
    if not shown:
        shown = [f'<div style="{_TEXT};font-style:italic">no text</div>']
    return (
        f'<div class="{_CLASSES}" style="{_BOX}"><div style="{_HEAD}"><b>{safe(document.id)}</b>{chips}</div>'
        f"{''.join(shown)}</div>"
    )


def _mark(piece: Piece, start: int, end: int, degrees: str) -> tuple[str, str]:
    """The tags around one element that shows ``start`` to ``end`` of a mention."""
    _, _, span, is_gap = piece
    edge = f"1px {'dashed' if is_gap else 'solid'} hsl({degrees},55%,55%)"
    if is_gap:
        style = f"background:none;color:inherit;border-bottom:{edge}"
    else:
        left, right = ("0" if start > span.start else ".3em"), ("0" if end < span.end else ".3em")
        style = f"{_INK};background:{_fill(degrees)};border:{edge};padding:.1em {right} .1em {left}"
        style += f";border-radius:{left} {right} {right} {left}"
        style += ";border-left:0" * (left == "0") + ";border-right:0" * (right == "0")
    label = ""
    if end == span.end and not is_gap:
        label = f'<span style="{_LABEL};color:hsl({degrees},60%,30%)">{safe(span.type)}</span>'
    return f'<mark style="{style}" title="{safe(tooltip(span))}">', f"{label}</mark>"


def _fill(degrees: str) -> str:
    return f"hsl({degrees},84%,90%)"
