"""In: where a file says a mention stands, and its words. Out: where it stands in code points, or an error.

Files in the wild are shifted by a few characters from some point on, count in another unit, or spell a
mention as the annotator typed it. ``offsets="raise"`` stops at the first such mention, ``"repair"`` finds
it nearby, ``"drop"`` leaves it out; the last two count and name every mention they touch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate

from vaner.errors import OffsetError, VanerError
from vaner.report import Report

REACH = 30
"""How many characters from where it should be a mention is looked for. The corpora's drift is at most 7."""

REPAIRED = "mention offsets repaired"
DROPPED = "mention dropped"
_SHOWN = 60
_UNITS: dict[str, Callable[[str], int]] = {
    "utf8": lambda c: 1 + (c > "\x7f") + (c > "\u07ff") + (c > "\uffff"),
    "utf16": lambda c: 1 + (c > "\uffff"),
}


def width(text: str, unit: str) -> int:
    """Length of ``text`` in ``unit``: ``codepoints``, ``utf16`` (Java, JavaScript) or ``utf8`` (bytes)."""
    return len(text) if unit == "codepoints" else sum(map(_UNITS[unit], text))


def check_options(offsets: str, unit: str) -> None:
    """Raise VanerError for a policy or unit that does not exist."""
    if offsets not in ("raise", "repair", "drop"):
        raise VanerError(f"offsets={offsets} is unknown; choose raise, repair or drop")
    if unit != "codepoints" and unit not in _UNITS:
        raise VanerError(f"unit={unit} is unknown; choose codepoints, utf16 or utf8")


class Placer:
    """Places the mentions of one document, in the order of the file.

    Args:
        text: the document's text.
        document_id: for messages.
        policy: ``raise``, ``repair`` or ``drop``.
        unit: what the file's offsets count.
        report: receives what was repaired and dropped.
    """

    def __init__(self, text: str, document_id: str, policy: str, unit: str, report: Report) -> None:
        self.text = text
        self.id = document_id
        self.policy = policy
        self.report = report
        # The shift of the mention repaired last: a drift stays until the next one.
        self.drift = 0
        self.starts = None
        if unit != "codepoints" and not text.isascii():
            self.starts = [0, *accumulate(map(_UNITS[unit], text))]

    def point(self, offset: int) -> int:
        """The code point at an offset in the file's unit."""
        if self.starts is None:
            return offset
        if offset > self.starts[-1]:
            return len(self.text) + offset - self.starts[-1]
        return bisect_left(self.starts, offset)

    def place(self, start: int, end: int, claimed: str, type: str, where: str) -> tuple[int, int] | None:
        """``(start, end)`` in code points with ``text[start:end]`` the mention; None where it was dropped.

        Args:
            start, end: as the file says, in its unit.
            claimed: the mention's words as the file says.
            where: ``file:line``, for messages.

        Raises:
            OffsetError: under the policy ``raise``, where the words are not at the offsets.
        """
        start, end = self.point(start), self.point(end)
        found = self.text[start:end] if 0 <= start < end <= len(self.text) else ""
        # A line cannot hold a line break: a mention across one is written with a space.
        if found and claimed in (found, found.replace("\n", " ")):
            return start, end
        said = (
            f"{where}: document {self.id}: {type} mention at {start}-{end} says {claimed[:_SHOWN]!r} "
            f"but the text there is {found[:_SHOWN]!r}"
        )
        return self._settle(start, end, claimed, found, said)

    def place_fragments(
        self, pieces: list[tuple[int, int]], claimed: str, type: str, where: str
    ) -> list[tuple[int, int]] | None:
        """:meth:`place` for a discontinuous mention: its pieces in text order, or None where dropped.

        How the pieces are joined in ``claimed`` differs between files, so white space is not compared;
        such a mention is never moved.
        """
        points = [(self.point(start), self.point(end)) for start, end in pieces]
        inside = all(0 <= start < end <= len(self.text) for start, end in points)
        found = " ".join(self.text[start:end] for start, end in points) if inside else ""
        if found and "".join(found.split()) == "".join(claimed.split()):
            return sorted(points)
        shown = ";".join(f"{start}-{end}" for start, end in points)
        said = (
            f"{where}: document {self.id}: {type} mention at {shown} says {claimed[:_SHOWN]!r} "
            f"but the text there is {found[:_SHOWN]!r}"
        )
        if self.policy == "raise":
            raise OffsetError(f"{said}; correct the file, or read it with offsets=drop (brat:offsets=drop)")
        self.report.warn(DROPPED, said)
        return None

    def _settle(self, start: int, end: int, claimed: str, found: str, said: str) -> tuple[int, int] | None:
        if self.policy == "raise":
            raise OffsetError(
                f"{said}; correct the file, or have its format repair or drop such mentions "
                "(as in pubtator:offsets=repair)"
            )
        if self.policy == "repair" and claimed:
            if 0 <= start and self.text.startswith(claimed, start):
                end = start + len(claimed)
                self.report.warn(REPAIRED, f"{said}: ended at {end}")
                return start, end
            if _letters(found) and _letters(found) == _letters(claimed):
                self.report.warn(REPAIRED, f"{said}: taken as the text spells it")
                return start, end
            nearest = self._nearest(claimed, start + self.drift)
            if nearest is not None:
                self.drift = nearest - start
                self.report.warn(REPAIRED, f"{said}: moved by {self.drift:+d}")
                return nearest, nearest + len(claimed)
        self.report.warn(DROPPED, said)
        return None

    def _nearest(self, claimed: str, near: int) -> int | None:
        first, last = max(0, near - REACH), max(0, near + REACH + len(claimed))
        best = None
        at = self.text.find(claimed, first, last)
        while at >= 0:
            if best is None or abs(at - near) < abs(best - near):
                best = at
            at = self.text.find(claimed, at + 1, last)
        return best


def _letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum()).casefold()
