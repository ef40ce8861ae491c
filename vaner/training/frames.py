"""In: kb/frames.txt, names with their types. Out: sentences with slots, and which names are put into which of them.

{Chemical} was given for {Disease} .        slots for names of a type
The role of {} is unclear .                 a slot for a name of any type
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaner.errors import FormatError, VanerError, place
from vaner.files import decode, lines, shipped
from vaner.knowledge import KnowledgeBase
from vaner.text.segment import words
from vaner.training.leakage import keys_of

# Words of a frame that are compared with mentions of the training texts: up to so many in a row.
_LONGEST = 3

_SLOT = re.compile(r"\{(\w*)\}")
_IN_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Frame:
    """A sentence with slots.

    Attributes:
        words: before the first slot, between two, and behind the last: one more than there are slots.
        slots: the type that each takes, "" for any; at least one.
    """

    words: tuple[tuple[str, ...], ...]
    slots: tuple[str, ...]


def read_frames(path: str | os.PathLike | None = None) -> list[Frame]:
    """Read frames, one a line; empty lines and those that begin with ``#`` are none.

    Args:
        path: by default ``kb/frames.txt``, which is shipped.

    Raises:
        FormatError: a line without a slot, with a stray brace, or with a slot that is a part of a word.
        VanerError: no frame at all, or no such file.
    """
    path = Path(path or shipped("kb") / "frames.txt")
    found = []
    for number, line in lines(path):
        text = decode(line, place(path, number)).strip()
        if text and not text.startswith("#"):
            found.append(_frame(text, place(path, number)))
    if not found:
        raise VanerError(f"{path}: no frame in it; write sentences with slots, as in 'We measured {{}} .'")
    return found


def _frame(text: str, where: str) -> Frame:
    # Words, slot, words, slot, words.
    parts = _SLOT.split(text)
    pieces, slots = parts[::2], parts[1::2]
    if any(brace in piece for piece in pieces for brace in "{}"):
        raise FormatError(f"{where}: a stray brace; write slots as {{}} or {{Disease}}")
    if not slots:
        raise FormatError(f"{where}: no slot; write {{}} or {{Disease}} where a name belongs")
    for before, after in zip(pieces, pieces[1:], strict=False):
        if _IN_WORD.match(before[-1:]) or _IN_WORD.match(after[:1]):
            raise FormatError(f"{where}: a slot is a part of a word; put a space or a sign between them")
    return Frame(tuple(tuple(piece[a:b] for a, b in words(piece)) for piece in pieces), tuple(slots))


class Frames:
    """Frames for the names of an index.

    Args:
        frames: those with a slot for a type that the index lacks are of no use.
        bits: of each type of the index.
        kb: the index; words of frames that are names of it are no negatives.
        annotated: type -> keys of the mentions of the training texts; these are none either.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        bits: Mapping[str, np.uint64],
        kb: KnowledgeBase,
        annotated: Mapping[str, Collection[int]],
    ) -> None:
        every = np.bitwise_or.reduce(list(bits.values()))
        self._frames = [frame for frame in frames if all(not slot or slot in bits for slot in frame.slots)]
        self._slots = [[bits[slot] if slot else every for slot in frame.slots] for frame in self._frames]
        self._any = np.array([np.bitwise_or.reduce(slots) for slots in self._slots], np.uint64)
        #: Of each frame's words, grouped as they are, bits of the types that they may be mentions of.
        self.holds = [[_held(piece, bits, kb, annotated) for piece in frame.words] for frame in self._frames]

    def __getitem__(self, number: int) -> Frame:
        return self._frames[number]

    def __len__(self) -> int:
        return len(self._frames)

    def draw(
        self, rng: np.random.Generator, names: Sequence[int], types: np.ndarray
    ) -> tuple[int, list[int]] | None:
        """Draw a frame that takes the first name, and as many others as it has slots.

        Args:
            rng: what is drawn depends on its state and the names alone.
            names: places of their types.
            types: uint64, bits of the types of every name.

        Returns:
            the frame's number and the names in its slots; None where none fits.
        """
        fitting = np.flatnonzero(self._any & types[names[0]])
        for number in rng.permutation(fitting).tolist():
            put: list[int] = []
            for slot in self._slots[number]:
                put += [name for name in names if types[name] & slot and name not in put][:1]
            if len(put) == len(self._slots[number]) and names[0] in put:
                return number, put
        return None


def _held(
    piece: Sequence[str],
    bits: Mapping[str, np.uint64],
    kb: KnowledgeBase,
    annotated: Mapping[str, Collection[int]],
) -> np.ndarray:
    """Bits of the types that each word may be, or be a part of, a mention of: uint64 ``(words,)``."""
    held = np.zeros(len(piece), np.uint64)
    ends = np.cumsum([len(word) + 1 for word in piece])
    (matches,) = kb.match([" ".join(piece)], all=True)
    for match in matches:
        first, last = np.searchsorted(ends, [match.start, match.end - 1], side="right")
        held[first : last + 1] |= bits[match.type]
    runs = [(a, b) for a in range(len(piece)) for b in range(a + 1, min(a + _LONGEST, len(piece)) + 1)]
    keys = keys_of([" ".join(piece[a:b]) for a, b in runs]).tolist() if runs else []
    for (a, b), key in zip(runs, keys, strict=True):
        for type, bit in bits.items():
            if key and key in annotated.get(type, ()):
                held[a:b] |= bit
    return held
