"""In: a spaCy Doc, the mentions that a tagger found in its text. Out: spans of tokens, entities, what fits no token.

    text          p53-/- mice        mention p53 (0-3), the token is p53-/-
    expand        [p53-/-]           all tokens that it touches: no mention is lost
    contract                         all tokens that lie in it: here there is none, so it is left out and counted
    strict                           the tokens that are it exactly: so here, too

A group of spans (``doc.spans[key]``) holds in its ``attrs`` what spans have no room for, and ``Doc.to_bytes`` keeps it:
``scores``, ``mentions`` (one a span, with exact offsets), ``left_out`` and, where a text was not tagged in full,
``failed``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vaner.document import Concept, Document, Span
from vaner.formats.json_writing import span_record
from vaner.report import Report
from vaner.tagger import FAILED

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.tokens import Span as TokenSpan

ALIGNMENTS = ("expand", "contract", "strict")
ENTS = ("score", "longest", "none")
EXISTING = ("keep", "override", "replace")

LEFT_OUT = "mention left out: it does not fit the tokens"
SAME_TOKENS = "mention left out: a better one of its type has the same tokens"
WIDENED = "mention widened to whole tokens"
NARROWED = "mention narrowed to whole tokens"
NOT_IN_ENTS = "mention only in doc.spans: another entity has some of its tokens"
NOT_IN_FULL = "text not tagged in full"
LOST = (LEFT_OUT, SAME_TOKENS, NOT_IN_FULL)
"""What a user must hear of at once."""

_SHOWN = 40


def mark(
    doc: Doc, tagged: Document, key: str, alignment: str, report: Report
) -> list[tuple[TokenSpan, Span]]:
    """Put a text's mentions into ``doc.spans[key]``, in place of what is there.

    Args:
        doc: the text's tokens.
        tagged: the text, with its mentions.
        alignment: one of ALIGNMENTS.
        report: is told of every mention that is not exactly its tokens.

    Returns:
        the spans of the group, each with its mention.
    """
    kept: dict[tuple[int, int, str], tuple[TokenSpan, Span]] = {}
    left_out: list[dict[str, Any]] = []

    def leave_out(mention: Span, why: str) -> None:
        report.warn(why, _said(mention, doc))
        left_out.append({**record(mention), "why": why})

    # The best first, so that it is the one that has its tokens.
    for mention in sorted(tagged.spans, key=lambda one: (-(one.score or 0.0), one.key)):
        found = doc.char_span(
            mention.start, mention.end, mention.type, kb_id=_kb_id(mention), alignment_mode=alignment
        )
        if found is None:
            leave_out(mention, LEFT_OUT)
            continue
        place = found.start, found.end, mention.type
        if place in kept:
            leave_out(mention, SAME_TOKENS)
            continue
        kept[place] = found, mention
        if (found.start_char, found.end_char) != (mention.start, mention.end):
            kind = WIDENED if alignment == "expand" else NARROWED
            report.warn(kind, f"{_said(mention, doc)} is {found.text!r} in doc.spans")
    spans = [kept[place] for place in sorted(kept)]
    attrs: dict[str, Any] = {
        "scores": np.array([np.nan if m.score is None else m.score for _, m in spans], dtype=np.float32),
        "mentions": [{**record(m), "at": [s.start_char, s.end_char]} for s, m in spans],
        "left_out": left_out,
    }
    if (why := tagged.metadata.get(FAILED)) is not None:
        attrs[FAILED] = str(why)
        report.warn(NOT_IN_FULL, f"{_beginning(doc)}: {why}")
    doc.spans[key] = [span for span, _ in spans]
    doc.spans[key].attrs.update(attrs)
    return spans


def set_ents(
    doc: Doc, spans: Sequence[tuple[TokenSpan, Span]], rule: str, existing: str, report: Report
) -> None:
    """Put the best mentions that share no token into ``doc.ents``.

    Args:
        doc: the text's tokens.
        spans: as `mark` gives them.
        rule: one of ENTS; ``none`` leaves ``doc.ents`` as they are.
        existing: one of EXISTING; what becomes of entities that are there.
        report: is told of every mention that finds no room.
    """
    if rule == "none":
        return
    there = [] if existing == "replace" else list(doc.ents)
    taken = set() if existing == "override" else _tokens(there)
    chosen = []
    for span, mention in sorted(spans, key=lambda one: _rank(one[0], one[1], rule)):
        tokens = range(span.start, span.end)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            chosen.append(span)
        else:
            report.warn(NOT_IN_ENTS, _said(mention, doc))
    if existing == "override":
        there = [one for one in there if taken.isdisjoint(range(one.start, one.end))]
    doc.set_ents([*there, *chosen])


def _rank(span: TokenSpan, mention: Span, rule: str) -> tuple[float, ...]:
    score, length = -(mention.score or 0.0), float(span.start - span.end)
    return (*((length, score) if rule == "longest" else (score, length)), span.start)


def _tokens(spans: Iterable[TokenSpan]) -> set[int]:
    return {token for span in spans for token in range(span.start, span.end)}


def _kb_id(mention: Span) -> str:
    """The best concept's id; where it does not name its vocabulary (``MESH:D003920``), that is put before it."""
    if not mention.concepts:
        return ""
    best = mention.concepts[0]
    return best.id if best.source is None or ":" in best.id else f"{best.source}:{best.id}"


def record(mention: Span) -> dict[str, Any]:
    """A mention as ``attrs`` have it: what JSON Lines say of one, without its words."""
    said = {name: value for name, value in span_record(mention).items() if name != "text"}
    return said | ({"fragments": [list(one) for one in mention.fragments]} if mention.fragments else {})


def mention_of(said: Mapping[str, Any], text: str) -> Span:
    """The mention of a record in its text."""
    start, end = said["start"], said["end"]
    return Span(
        start,
        end,
        said["type"],
        text[start:end],
        said.get("score"),
        tuple(Concept(**one) for one in said.get("concepts", ())),
        tuple((first, last) for first, last in said.get("fragments", ())),
        said.get("grounded"),
    )


def mention_at(span: TokenSpan) -> Span | None:
    """The mention behind a span of ``doc.spans`` or ``doc.ents``; None for a span that is none."""
    place = [span.start_char, span.end_char]
    for group in span.doc.spans.values():
        for said in group.attrs.get("mentions", ()):
            if said["at"] == place and said["type"] == span.label_:
                return mention_of(said, span.doc.text)
    return None


def _said(mention: Span, doc: Doc) -> str:
    return f"{_beginning(doc)}: {mention.type} {mention.text[:_SHOWN]!r} at {mention.start}-{mention.end}"


def _beginning(doc: Doc) -> str:
    return f"text {doc.text[:_SHOWN]!r}"
