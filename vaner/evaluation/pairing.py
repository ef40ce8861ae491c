"""In: gold and predicted Documents. Out: for each gold document its two sets of mentions, on one text."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.text.segment import words

_SHOWN = 20

_Carry = Callable[[int, int], tuple[int, int]]


class Mention(NamedTuple):
    """What is compared: two mentions are the same if all four fields are.

    Attributes:
        start: first code point.
        end: one past the last code point.
        type: entity type.
        pieces: the ``(start, end)`` parts of the mention, in order. Overlapping parts, and parts with
            only white space between them (a brat mention broken over two lines), are one part, so a
            contiguous mention always has exactly one.
    """

    start: int
    end: int
    type: str
    pieces: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One gold document and what was predicted for it, offsets into the gold document's text.

    Attributes:
        id: the document's id.
        text: the gold document's text.
        words: ``(start, end)`` of the words that the gold file marks, else those of ``segment.words``.
        gold: gold mentions.
        predicted: predicted mentions.
    """

    id: str
    text: str
    words: list[tuple[int, int]]
    gold: frozenset[Mention]
    predicted: frozenset[Mention]


@dataclass
class Pairing:
    """Pairs in the gold documents' order, with everything that was dropped or changed on the way.

    Attributes:
        pairs: one for every gold document.
        types: the entity types that are scored, sorted.
        notes: name of a repair or a loss -> how often it happened; absent means never.
        unannotated: type -> predicted mentions dropped because the gold document does not annotate it.
    """

    pairs: list[Pair]
    types: tuple[str, ...]
    notes: Counter[str] = field(default_factory=Counter)
    unannotated: Counter[str] = field(default_factory=Counter)


def pair(
    gold: Iterable[Document],
    predicted: Iterable[Document],
    *,
    types: Iterable[str] | None = None,
    type_map: Mapping[str, str] | None = None,
    ignore_extra: bool = False,
) -> Pairing:
    """Match documents by id and bring their mentions onto the gold text.

    Documents whose ids the other side does not have are matched one after the other where their texts are the same,
    white space aside, in the same order: ids made from a file's name, and those of a file without ids, differ. Without
    a single document in common, nothing is scored.

    Texts may differ in white space only (``T - cell`` against ``T-cell``); offsets are then carried
    over by counting the characters that are not white space. A mention given twice counts once.

    A predicted type that a gold document does not annotate is no false positive there; it is dropped and
    counted. A document annotates ``document.types``; where that is None, the requested ``types``; without
    those, the types of all mentions in the gold documents whose ``types`` is None.

    Args:
        gold: gold documents.
        predicted: predicted documents, in any order. A gold document without one counts as predicted empty.
        types: the types to score; None scores all.
        type_map: old type -> new type, applied to both sides first.
        ignore_extra: skip predicted documents whose id no gold document has, instead of raising.

    Raises:
        VanerError: on an id that occurs twice, a predicted document without a gold one, no document in common, texts
            that differ in more than white space, or a type in ``types`` or ``type_map`` that nothing has.
    """
    gold_by_id = _by_id(gold, "gold")
    predicted_by_id = _by_id(predicted, "predictions")
    notes: Counter[str] = Counter()
    by_order = _same_in_order(gold_by_id, predicted_by_id)
    predicted_by_id = {by_order.get(id, id): document for id, document in predicted_by_id.items()}
    notes["documents_paired_by_their_order"] = len(by_order)
    extra = [id for id in predicted_by_id if id not in gold_by_id]
    if extra and not ignore_extra:
        raise VanerError(
            f"predictions: document {extra[0]!r} is not in the gold documents ({len(extra)} such), nor are the texts "
            "the same in the same order; score against the file they were predicted on, or pass --ignore_extra"
        )
    if extra and len(extra) == len(predicted_by_id) and gold_by_id:
        raise VanerError(
            f"predictions: none of the {len(extra)} documents is in the gold documents ({extra[0]!r} against "
            f"{next(iter(gold_by_id))!r}), nor are the texts the same in the same order; give both sides the same ids"
        )
    notes["extra_documents_ignored"] = len(extra)

    type_map = dict(type_map or {})
    in_gold, in_predicted = _present(gold_by_id.values()), _present(predicted_by_id.values())
    _must_be_present("type_map", type_map, in_gold | in_predicted)
    wanted = None if types is None else frozenset(types)
    if any(document.types is None for document in gold_by_id.values()):
        in_gold |= in_predicted  # gold may annotate a type of which it has no mention
    _must_be_present("types", wanted or (), {type_map.get(t, t) for t in in_gold})

    # What the gold file annotates as far as its mentions tell, for documents that do not say.
    default = wanted or {
        type_map.get(span.type, span.type)
        for document in gold_by_id.values()
        if document.types is None
        for span in document.spans
    }
    unannotated: Counter[str] = Counter()
    scored: set[str] = set(wanted or ())
    pairs = []
    for id, gold_document in gold_by_id.items():
        predicted_document = predicted_by_id.get(id)
        if predicted_document is None:
            notes["documents_without_prediction"] += 1
            predicted_document = gold_document.with_spans([])
        carry = _carrier(gold_document, predicted_document)
        if carry is not None:
            notes["documents_differing_in_white_space"] += 1
        gold_mentions = _mentions(gold_document, type_map, wanted, carry and carry[0])
        found = _mentions(predicted_document, type_map, wanted, carry and carry[1])
        if gold_document.types is None:
            annotated = default
        else:
            annotated = {type_map.get(t, t) for t in gold_document.types} | {m.type for m in gold_mentions}
        gold_set, kept = frozenset(gold_mentions), frozenset(m for m in found if m.type in annotated)
        unannotated.update(m.type for m in set(found) - kept)
        notes["duplicate_gold_mentions"] += len(gold_mentions) - len(gold_set)
        notes["duplicate_predicted_mentions"] += len(found) - len(set(found))
        notes["discontinuous_gold_mentions"] += sum(len(m.pieces) > 1 for m in gold_set)
        scored |= {m.type for m in gold_set | kept}
        marked = words(gold_document.text) if gold_document.words is None else gold_document.words
        pairs.append(Pair(id, gold_document.text, marked, gold_set, kept))
    return Pairing(pairs, tuple(sorted(scored)), +notes, unannotated)


def pieces(span: Span, text: str) -> tuple[tuple[int, int], ...]:
    """The parts of a span in order, joined where nothing but white space parts them."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(span.fragments) or [(span.start, span.end)]:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def _by_id(documents: Iterable[Document], side: str) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for document in documents:
        if document.id in found:
            raise VanerError(f"{side}: document id {document.id!r} occurs twice; make the ids unique")
        found[document.id] = document
    return found


def _same_in_order(gold: Mapping[str, Document], predicted: Mapping[str, Document]) -> dict[str, str]:
    """Predicted id -> gold id of the documents that the other side does not have, where their texts are the same."""
    lacking = [document for id, document in gold.items() if id not in predicted]
    extra = [document for id, document in predicted.items() if id not in gold]
    if len(lacking) != len(extra):
        return {}
    pairs = list(zip(lacking, extra, strict=True))
    if any("".join(ours.text.split()) != "".join(theirs.text.split()) for ours, theirs in pairs):
        return {}
    return {theirs.id: ours.id for ours, theirs in pairs}


def _present(documents: Iterable[Document]) -> set[str]:
    present: set[str] = set()
    for document in documents:
        present |= document.types or set()
        present |= {span.type for span in document.spans}
    return present


def _must_be_present(option: str, asked: Iterable[str], present: set[str]) -> None:
    for type in sorted(asked):
        if type not in present:
            known = ", ".join(sorted(present)) or "none"
            raise VanerError(f"--{option}: no document has the entity type {type!r}; there are: {known}")


def _mentions(
    document: Document,
    type_map: Mapping[str, str],
    wanted: Set[str] | None,
    carry: _Carry | None,
) -> list[Mention]:
    """The document's mentions in the gold text, mapped and restricted; duplicates still in."""
    mentions = []
    for span in document.spans:
        type = type_map.get(span.type, span.type)
        if wanted is not None and type not in wanted:
            continue
        parts = pieces(span, document.text)
        start, end = span.start, span.end
        if carry is not None:
            parts = tuple(carry(*part) for part in parts)
            start, end = carry(start, end)
        mentions.append(Mention(start, end, type, parts))
    return mentions


def _carrier(gold: Document, predicted: Document) -> tuple[_Carry, _Carry] | None:
    """None where the texts are equal, else two functions (start, end) -> (start, end) in the gold text.

    The first takes gold offsets, the second predicted ones; both leave white space at a mention's ends
    out, so that the two sides are treated alike:

        predicted   T-cell line        start 0 end 6 = the 1st to the 6th character that is not white space
        gold        T - cell line      -> start 0 end 8

    Raises:
        VanerError: if the texts differ in more than white space.
    """
    if gold.text == predicted.text:
        return None
    gold_at = [i for i, c in enumerate(gold.text) if not c.isspace()]
    predicted_at = [i for i, c in enumerate(predicted.text) if not c.isspace()]
    for i, j in zip(gold_at, predicted_at, strict=False):
        if gold.text[i] != predicted.text[j]:
            break
    else:
        shared = min(len(gold_at), len(predicted_at))
        i = gold_at[shared] if shared < len(gold_at) else len(gold.text)
        j = predicted_at[shared] if shared < len(predicted_at) else len(predicted.text)
        if len(gold_at) == len(predicted_at):
            return _carry(gold_at, gold_at, len(gold.text)), _carry(predicted_at, gold_at, len(gold.text))
    raise VanerError(
        f"document {gold.id}: gold and predicted text differ at character {i} of the gold text: "
        f"{gold.text[i : i + _SHOWN]!r} against {predicted.text[j : j + _SHOWN]!r}; "
        "score predictions made on the same text"
    )


def _carry(source: list[int], target: list[int], length: int) -> _Carry:
    """(start, end) in one text -> (start, end) in another, given where each has its non-space characters."""

    def carry(start: int, end: int) -> tuple[int, int]:
        first, past = bisect_left(source, start), bisect_left(source, end)
        if first == past:  # nothing but white space: an empty range, which matches no mention
            at = target[first] if first < len(target) else length
            return at, at
        return target[first], target[past - 1] + 1

    return carry
