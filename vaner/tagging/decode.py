"""In: log-probabilities of O, B, I for every word and type. Out: BIO tags that are legal, and scored Spans.

O, B and I are independent per type, so types may overlap or nest; `flat` keeps the best of those that do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np

from vaner.document import Document, Span
from vaner.scores import DIGITS, calibrated
from vaner.text.markup import Readable
from vaner.text.tags import B, I, O


def viterbi(log_probs: np.ndarray) -> np.ndarray:
    """The likeliest tag sequence in which no I follows O or the start.

    Args:
        log_probs: shape ``(words, 3)`` or ``(types, words, 3)``, the last axis O, B, I.

    Returns:
        tags: int8, ``log_probs.shape[:-1]``.
    """
    scores = np.asarray(log_probs, dtype=np.float64)
    single = scores.ndim == 2
    if single:
        scores = scores[None]
    types, length, _ = scores.shape
    tags = np.zeros((types, length), dtype=np.int8)
    if length:
        # Only I has a choice to make about its predecessor (B or I); O and B accept all three.
        best = scores[:, 0].copy()
        best[:, I] = -np.inf
        before = np.zeros((length, types, 3), dtype=np.int8)
        for t in range(1, length):
            any_before = best.argmax(axis=1)
            inside_before = np.where(best[:, I] > best[:, B], I, B)
            before[t, :, O] = before[t, :, B] = any_before
            before[t, :, I] = inside_before
            rows = np.arange(types)
            best = scores[:, t] + np.stack(
                [best[rows, any_before], best[rows, any_before], best[rows, inside_before]], axis=1
            )
        current = best.argmax(axis=1)
        rows = np.arange(types)
        for t in range(length - 1, -1, -1):
            tags[:, t] = current
            current = before[t, rows, current]
    return tags[0] if single else tags


def argmax(log_probs: np.ndarray) -> np.ndarray:
    """The likeliest tag of each word on its own; `mentions` repairs an I without a B by starting a mention.

    Args:
        log_probs: shape ``(..., 3)``, the last axis O, B, I.

    Returns:
        tags: int8, ``log_probs.shape[:-1]``.
    """
    return np.asarray(log_probs).argmax(axis=-1).astype(np.int8)


def illegal(tags: np.ndarray) -> np.ndarray:
    """For tags of shape ``(types, words)``, which rows hold an I after O or at the start; bool ``(types,)``."""
    return np.any(_illegal(tags), axis=1)


def _illegal(tags: np.ndarray) -> np.ndarray:
    """Where an I stands after O or at the start; bool, of the shape of the tags."""
    before = np.concatenate([np.zeros_like(tags[:, :1]), tags[:, :-1]], axis=1)
    return (tags == I) & (before == O)


def mentions(tags: np.ndarray) -> list[tuple[int, int]]:
    """Word ranges ``(first, one past the last)`` of one type's tags.

    An I that follows O or the start begins a mention, as conlleval reads it.

    Args:
        tags: O, B or I of each word, shape ``(words,)``.
    """
    ranges: list[tuple[int, int]] = []
    open_at: int | None = None
    last = -1
    for position in np.flatnonzero(np.asarray(tags)):
        tag = tags[position]
        if open_at is not None and (tag == B or position != last + 1):
            ranges.append((open_at, last + 1))
            open_at = None
        if open_at is None:
            open_at = int(position)
        last = int(position)
    if open_at is not None:
        ranges.append((open_at, last + 1))
    return ranges


def tags_of(log_probs: np.ndarray, unit_starts: Sequence[int] = (), decoding: str = "viterbi") -> np.ndarray:
    """The tags of a document's words, int8 ``(types, words)``.

    Args:
        log_probs, unit_starts, decoding: as of `spans`.
    """
    starts = list(unit_starts)
    if decoding == "argmax":
        tags = argmax(log_probs)
        at_starts = tags[:, starts]
        tags[:, starts] = np.where(at_starts == I, B, at_starts)
        return tags
    allowed = log_probs.copy()
    allowed[:, starts, I] = -np.inf
    tags = argmax(allowed)
    # A legal sequence of likeliest tags is the likeliest legal sequence: most stretches need no search. As no I may
    # stand at the beginning of a unit, what is likeliest in one says nothing of the next.
    broken = _illegal(tags)
    if broken.any():
        borders = np.unique([0, *starts, tags.shape[1]])
        units = np.searchsorted(borders, np.arange(tags.shape[1]), side="right") - 1
        places = sorted({(row, units[word]) for row, word in np.argwhere(broken).tolist()})
        _search(tags, allowed, [(row, borders[unit], borders[unit + 1]) for row, unit in places])
    return tags


def _search(tags: np.ndarray, allowed: np.ndarray, stretches: Sequence[tuple[int, int, int]]) -> None:
    """Put the likeliest legal sequence into stretches ``(row, first, last)`` of the tags; all of them in one search."""
    longest = max(last - first for _, first, last in stretches)
    padded = np.zeros(
        (len(stretches), longest, 3)
    )  # behind a stretch all tags are alike: nothing is asked of it
    for number, (row, first, last) in enumerate(stretches):
        padded[number, : last - first] = allowed[row, first:last]
    for (row, first, last), found in zip(stretches, viterbi(padded), strict=True):
        tags[row, first:last] = found[: last - first]


def spans(
    document: Document,
    offsets: Sequence[tuple[int, int]],
    types: Sequence[str],
    log_probs: np.ndarray,
    *,
    unit_starts: Sequence[int] = (),
    decoding: str = "viterbi",
    flat: bool = False,
    temperatures: Mapping[str, float] = {},
) -> list[Span]:
    """Scored spans of a document.

    Args:
        document: where the words lie.
        offsets: ``(start, end)`` of each word in ``document.text``.
        types: row names of ``log_probs``.
        log_probs: shape ``(len(types), len(offsets), 3)``.
        unit_starts: indices of words that begin a unit or a block. No mention runs from one unit into the next: they
            were read apart; nor from one block into the next.
        decoding: ``viterbi``, or ``argmax``, in which an I that follows no B of its unit starts a mention.
        flat: keep only the best-scored of overlapping spans.
        temperatures: type -> temperature of its spans' scores (`vaner.scores`); 1 where a type has none.

    Returns:
        spans sorted by offset; ``score`` is the geometric mean of the probabilities of the span's tags, calibrated by
        its type's temperature. What holds nothing but markup is none.
    """
    readable = Readable(document.text)
    tags = tags_of(log_probs, unit_starts, decoding)
    found: list[Span] = []
    for row, kind in enumerate(types):
        if not tags[row].any():
            continue
        temperature = temperatures.get(kind, 1.0)
        for first, last in mentions(tags[row]):
            if not readable(offsets[first][0], offsets[last - 1][1]):
                continue
            chosen = log_probs[row, np.arange(first, last), tags[row, first:last]]
            score = round(float(np.exp(np.mean(chosen, dtype=np.float64))), DIGITS)
            if temperature != 1:
                score = float(calibrated(score, temperature))
            found.append(document.span(offsets[first][0], offsets[last - 1][1], kind, score=score))
    if flat:
        found = best_of_overlapping(found)
    return sorted(found, key=lambda s: s.key)


def best_of_overlapping(found: Sequence[Span]) -> list[Span]:
    """Take spans by score, then length, then position; drop whatever overlaps one already taken."""
    taken: list[Span] = []  # by offset; as none overlap, only the neighbours of a new one can
    for span in sorted(found, key=lambda s: (-(s.score or 0.0), s.start - s.end, s.start, s.type)):
        at = bisect_left(taken, span.end, key=lambda s: s.start)
        if at == 0 or taken[at - 1].end <= span.start:
            taken.insert(at, span)
    return taken
