"""In: where a file says a mention stands, and its words. Out: where it stands in code points, or an error.

Files in the wild are shifted by a few characters from some point on, count in another unit, or spell a
mention as the annotator typed it. ``offsets="raise"`` stops at the first such mention, ``"repair"`` finds
it nearby, ``"drop"`` leaves it out; the last two count and name every mention they touch.

Programs that read a text in Python's or a browser's way count its line breaks as one character where the file
has two (``\\r\\n``), and a byte order mark as none. :func:`uncounted` finds that out from the mentions' words.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, product

from vaner.errors import OffsetError, VanerError
from vaner.report import Report

REACH = 30
"""How many characters from where it should be a mention is looked for. The corpora's drift is at most 7."""

REPAIRED = "mention offsets repaired"
GUESSED = "mention offsets repaired, another place as near"
DROPPED = "mention dropped"
RECOUNTED = "offsets counted otherwise than the file's characters"
AMBIGUOUS = "offsets that can be counted two ways"
_SHOWN = 60
_BOM = "\ufeff"
_UNITS: dict[str, Callable[[str], int]] = {
    "codepoints": lambda c: 1,
    "utf16": lambda c: 1 + (c > "\uffff"),
    "utf8": lambda c: 1 + (c > "\x7f") + (c > "\u07ff") + (c > "\uffff"),
}
UNITS = tuple(_UNITS)
"""What offsets may count; code points come first."""

_SAID = {
    frozenset({"crlf"}): "where a line break (\\r\\n) counts one (crlf=1)",
    frozenset({"bom"}): "where the byte order mark counts nothing (bom=0)",
    frozenset(
        {"crlf", "bom"}
    ): "where a line break (\\r\\n) counts one and the byte order mark nothing (crlf=1,bom=0)",
    frozenset[str](): "as the file has them (crlf=2,bom=1)",
}

Pieces = Sequence[tuple[int, int]]
Mention = tuple[Pieces, str | None]
"""Where a file says that a mention stands, in its unit, and its words, None where the file does not say them."""


def width(text: str, unit: str) -> int:
    """Length of ``text`` in ``unit``: ``codepoints``, ``utf16`` (Java, JavaScript) or ``utf8`` (bytes)."""
    return len(text) if unit == "codepoints" else sum(map(_UNITS[unit], text))


def check_options(offsets: str, unit: str, crlf: str = "auto", bom: str = "auto") -> None:
    """Raise VanerError for a policy, a unit or a way to count that does not exist."""
    if offsets not in ("raise", "repair", "drop"):
        raise VanerError(f"offsets={offsets} is unknown; choose raise, repair or drop")
    if unit not in _UNITS:
        raise VanerError(f"unit={unit} is unknown; choose codepoints, utf16 or utf8")
    for name, value, known in (("crlf", crlf, ("auto", "1", "2")), ("bom", bom, ("auto", "0", "1"))):
        if value not in known:
            raise VanerError(f"{name}={value} is unknown; choose {', '.join(known[:-1])} or {known[-1]}")


def uncounted(
    text: str,
    mentions: Iterable[Mention],
    where: str,
    unit: str,
    report: Report,
    crlf: str = "auto",
    bom: str = "auto",
    elsewhere: Callable[[], frozenset[str] | None] = lambda: None,
) -> frozenset[str]:
    """What of a text its file's offsets leave out: ``crlf`` (the ``\\r`` of a ``\\r\\n``), ``bom``, both or nothing.

    With ``auto`` it is what lets most mentions stand where their words are; nothing where that is no better. In
    ``report`` is counted what is left out so, and a document whose mentions fit two ways at different places.

    Args:
        where: file and document, for messages.
        crlf: what ``\\r\\n`` counts: ``1``, ``2`` or ``auto``.
        bom: what a byte order mark counts: ``0``, ``1`` or ``auto``.
        elsewhere: what the offsets of the document's neighbours leave out, asked where its own do not tell.
    """
    choices = _choices(text, crlf, bom)
    if len(choices) == 1:
        return choices[0]
    fitting = ways(text, mentions, unit, crlf, bom)
    left = fitting[0] if fitting else choices[0]
    if len(fitting) > 1:
        settled = elsewhere()
        if settled not in fitting:
            fit = " as well as ".join(_SAID[way] for way in fitting)
            report.warn(AMBIGUOUS, f"{where}: the offsets fit {fit}; taken {_SAID[left]}")
            return left
        left = settled
    if left:
        report.warn(RECOUNTED, f"{where}: the offsets fit {_SAID[left]}")
    return left


def ways(
    text: str, mentions: Iterable[Mention], unit: str, crlf: str = "auto", bom: str = "auto"
) -> list[frozenset[str]]:
    """What the offsets may leave out so that most mentions stand where their words are, each way at other places.

    Empty where nothing tells: no mention stands anywhere, or all stand at the same places whatever is left out.
    """
    told = [mention for mention in mentions if mention[1]]
    found = {left: _standing(text, told, unit, left) for left in _choices(text, crlf, bom)}
    most = max(len(places) for places in found.values())
    different: list[frozenset[str]] = []
    for left, places in found.items():
        if len(places) == most and all(found[other] != places for other in different):
            different.append(left)
    tells = most and any(places != found[different[0]] for places in found.values())
    return different if tells else []


def _choices(text: str, crlf: str, bom: str) -> list[frozenset[str]]:
    """What may be left out of a text, nothing first."""
    if "\r\n" not in text and not text.startswith(_BOM):
        return [frozenset()]
    options = {
        "crlf": {"1": (True,), "2": (False,)}.get(crlf, (False, True)) if "\r\n" in text else (False,),
        "bom": {"0": (True,), "1": (False,)}.get(bom, (False, True)) if text.startswith(_BOM) else (False,),
    }
    return [
        frozenset(name for name, left in zip(options, chosen, strict=True) if left)
        for chosen in product(*options.values())
    ]


def _standing(text: str, mentions: Sequence[Mention], unit: str, left: frozenset[str]) -> dict[int, object]:
    """The mentions, by number, whose words stand where the offsets say, and where that is."""
    placer = Placer(text, "", "drop", unit, Report(), left)
    places = {n: placer.fit(pieces, words) for n, (pieces, words) in enumerate(mentions)}
    return {n: place for n, place in places.items() if place}


class Placer:
    """Places the mentions of one document, in the order of the file.

    Args:
        text: the document's text.
        document_id: for messages.
        policy: ``raise``, ``repair`` or ``drop``.
        unit: what the file's offsets count.
        report: receives what was repaired and dropped.
        left: what the offsets leave out, as :func:`uncounted` finds it.
    """

    def __init__(
        self,
        text: str,
        document_id: str,
        policy: str,
        unit: str,
        report: Report,
        left: frozenset[str] = frozenset(),
    ) -> None:
        self.text = text
        self.id = document_id
        self.policy = policy
        self.unit = unit
        self.report = report
        # The shift of the mention repaired last: a drift stays until the next one.
        self.drift = 0
        self.starts = None
        if left or unit != "codepoints" and not text.isascii():
            self.starts = [0, *accumulate(_widths(text, unit, left))]

    def point(self, offset: int) -> int:
        """The code point at an offset in the file's unit."""
        if self.starts is None:
            return offset
        if offset > self.starts[-1]:
            return len(self.text) + offset - self.starts[-1]
        return bisect_left(self.starts, offset)

    def points(self, start: int, end: int) -> tuple[int, int]:
        """The code points of a range in the file's unit; it begins behind what is not counted."""
        first, last = self.point(start), self.point(end)
        while (
            self.starts and first < min(last, len(self.text)) and self.starts[first] == self.starts[first + 1]
        ):
            first += 1
        return first, last

    def fit(self, pieces: Pieces, words: str | None) -> list[tuple[int, int]] | None:
        """The code points of a mention in text order, None where its words do not stand there.

        How the pieces of a discontinuous mention are joined differs between files: white space is not compared.
        """
        points = [self.points(start, end) for start, end in pieces]
        if not all(0 <= start < end <= len(self.text) for start, end in points):
            return None
        found = " ".join(self.text[start:end] for start, end in points)
        if words is None:
            return sorted(points)
        if len(points) > 1:
            return sorted(points) if "".join(found.split()) == "".join(words.split()) else None
        # A line cannot hold a line break: a mention across one is written with a space.
        same = words in (found, found.replace("\n", " "), found.replace("\r\n", " "))
        return points if same else None

    def place(
        self, start: int, end: int, claimed: str | None, type: str, where: str
    ) -> tuple[int, int] | None:
        """``(start, end)`` in code points with ``text[start:end]`` the mention; None where it was dropped.

        Args:
            start, end: as the file says, in its unit.
            claimed: the mention's words as the file says, None where it does not.
            where: ``file:line``, for messages.

        Raises:
            OffsetError: under the policy ``raise``, where the words are not at the offsets.
        """
        if self.starts is None and 0 <= start < end <= len(self.text):
            if claimed is None or self.text.startswith(claimed, start) and start + len(claimed) == end:
                return start, end  # as nearly all are
        fitting = self.fit([(start, end)], claimed)
        if fitting:
            return fitting[0]
        first, last = self.points(start, end)
        found = self.text[first:last] if 0 <= first < last <= len(self.text) else ""
        at = f"{where}: document {self.id}: {type} mention at {first}-{last}"
        if claimed is None:
            said = f"{at} selects nothing of the text of {len(self.text)} characters"
        else:
            said = f"{at} says {claimed[:_SHOWN]!r} but the text there is {found[:_SHOWN]!r}"
        if self.policy == "raise":
            raise OffsetError(
                f"{said}{self._cause([(start, end)], claimed)}; correct the file, or have its format repair or drop "
                "such mentions (as in pubtator:offsets=repair)"
            )
        return self._settle(first, last, claimed, found, said)

    def place_fragments(
        self, pieces: Pieces, claimed: str | None, type: str, where: str
    ) -> list[tuple[int, int]] | None:
        """:meth:`place` for a discontinuous mention: its pieces in text order, or None where dropped.

        Such a mention is never moved.
        """
        fitting = self.fit(pieces, claimed)
        if fitting:
            return fitting
        points = [self.points(start, end) for start, end in pieces]
        inside = all(0 <= start < end <= len(self.text) for start, end in points)
        found = " ".join(self.text[start:end] for start, end in points) if inside else ""
        shown = ";".join(f"{start}-{end}" for start, end in points)
        said = (
            f"{where}: document {self.id}: {type} mention at {shown} says {(claimed or '')[:_SHOWN]!r} "
            f"but the text there is {found[:_SHOWN]!r}"
        )
        if self.policy == "raise":
            raise OffsetError(
                f"{said}{self._cause(pieces, claimed)}; correct the file, or read it with offsets=drop "
                "(brat:offsets=drop)"
            )
        self.report.warn(DROPPED, said)
        return None

    def _cause(self, pieces: Pieces, claimed: str | None) -> str:
        """What the offsets may count instead, where the words would then be there."""
        for unit in _UNITS:
            for left, said in _SAID.items():
                if (unit, left) == (self.unit, frozenset()) or "crlf" in left and "\r\n" not in self.text:
                    continue
                if "bom" in left and not self.text.startswith(_BOM) or unit != self.unit and left:
                    continue
                if claimed and Placer(self.text, self.id, "drop", unit, Report(), left).fit(pieces, claimed):
                    return f" (it is {said if left else f'there if offsets count {unit} (unit={unit})'})"
        return ""

    def _settle(
        self, start: int, end: int, claimed: str | None, found: str, said: str
    ) -> tuple[int, int] | None:
        if self.policy == "repair" and claimed:
            if 0 <= start and self.text.startswith(claimed, start):
                end = start + len(claimed)
                self.report.warn(REPAIRED, f"{said}: ended at {end}")
                return start, end
            if _spelt_alike(found, claimed):
                self.report.warn(REPAIRED, f"{said}: taken as the text spells it")
                return start, end
            nearest, other = self._nearest(claimed, start + self.drift)
            if nearest is not None:
                self.drift = nearest - start
                if other is None:
                    self.report.warn(REPAIRED, f"{said}: moved by {self.drift:+d}")
                else:
                    self.report.warn(
                        GUESSED, f"{said}: moved by {self.drift:+d}; {other - start:+d} is as near"
                    )
                return nearest, nearest + len(claimed)
        self.report.warn(DROPPED, said)
        return None

    def _nearest(self, claimed: str, near: int) -> tuple[int | None, int | None]:
        """Where the words stand nearest, and where they stand as near."""
        first, last = max(0, near - REACH), max(0, near + REACH + len(claimed))
        best = other = None
        at = self.text.find(claimed, first, last)
        while at >= 0:
            if best is None or abs(at - near) < abs(best - near):
                best, other = at, None
            elif abs(at - near) == abs(best - near):
                other = at
            at = self.text.find(claimed, at + 1, last)
        return best, other


def _widths(text: str, unit: str, left: frozenset[str]) -> list[int]:
    """What each character of a text counts."""
    widths = [1] * len(text) if unit == "codepoints" else list(map(_UNITS[unit], text))
    if "crlf" in left:
        for match in re.finditer("\r\n", text):
            widths[match.start()] = 0
    if "bom" in left and text.startswith(_BOM):
        widths[0] = 0
    return widths


def _spelt_alike(found: str, claimed: str) -> bool:
    """Whether the words are what a program makes of those of the text that it writes in plain letters.

    Capitals, white space and punctuation aside, or with a Greek letter as its name or as the Latin letter that its name
    begins with (``TNF-\N{GREEK SMALL LETTER ALPHA}`` as ``TNF-alpha`` or ``TNF-a``), or with another sign in the
    place of each that ASCII does not have, where most are the same.
    """
    said = _letters(claimed)
    if said and said in (_letters(found), _letters(_plain(found, False)), _letters(_plain(found, True))):
        return True
    if not found or len(found) != len(claimed):
        return False
    other = [f for f, c in zip(found, claimed, strict=True) if f.casefold() != c.casefold()]
    return 2 * len(other) < len(found) and not any(f.isascii() for f in other)


def _letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum()).casefold()


def _plain(text: str, names: bool) -> str:
    """The text without accents, ligatures and superscripts, Greek letters as names or Latin letters."""
    plain = []
    for c in unicodedata.normalize("NFKD", text):
        name = unicodedata.name(c, "")
        if name.startswith("GREEK ") and " LETTER " in name:
            letter = name.partition(" WITH ")[0].split()[-1].lower()
            c = letter if names else letter[0]
        plain.append(c)
    return "".join(plain)
