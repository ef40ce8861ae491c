"""In: a quotation, the text it is from. Out: where it stands there, verbatim up to runs of white space, or nowhere.

Lines are wrapped in YAML, in PDF text and in Markdown, each at other places; so a run of white space stands for any
other. Every other character has to be the same one: capitals, dashes, quotation marks and hyphens at line ends too.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

# Runs of these are one; what Python's \s takes for white space, with the no-break space that DOCX and HTML have.
_SPACE = re.compile(r"\s+")
_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Place:
    """Where a quotation stands.

    Attributes:
        start, end: code points of the text as read.
        exact: its white space is that of the text, too.
        page: from 1; None where the file has no pages.
    """

    start: int
    end: int
    exact: bool = True
    page: int | None = None


def squeezed(quote: str) -> str:
    """The quotation with single spaces between its words, and none around them."""
    return _SPACE.sub(" ", quote).strip()


def digest(quote: str) -> str:
    """Twelve hexadecimal digits of the quotation, whatever its white space: under them its place is recorded."""
    return hashlib.sha256(squeezed(quote).encode()).hexdigest()[:12]


def find(quote: str, text: str, start: int = 0) -> Place | None:
    """The first place from ``start`` on where it stands as it is, else up to runs of white space; or None."""
    words = squeezed(quote).split(" ")
    if words == [""]:
        return None
    if (at := text.find(quote.strip(), start)) >= 0:
        return Place(at, at + len(quote.strip()))
    found = re.compile(r"\s+".join(map(re.escape, words))).search(text, start)
    return Place(found.start(), found.end(), exact=False) if found else None


def find_words(quote: str, text: str, start: int = 0) -> Place | None:
    """The first place from ``start`` on with the words of a quotation, whatever their signs and capitals."""
    words = _WORDS.findall(quote)
    if not words:
        return None
    pattern = r"(?<!\w)" + r"[\W_]{1,12}?".join(map(re.escape, words)) + r"(?!\w)"
    found = re.compile(pattern, re.IGNORECASE).search(text, start)
    return Place(found.start(), found.end(), exact=False) if found else None


def departs(quote: str, text: str) -> str:
    """Where a quotation that does not stand in a text departs from it: ``behind 'a b' it has 'c', not 'd'``."""
    words = squeezed(quote).split(" ")
    if found := re.search(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE):
        return f"it has other capitals: {squeezed(found[0])[:60]!r}"
    best: tuple[int, int] | None = None
    low, high = 0, len(words)
    # Where more words stand, fewer do too.
    while low < high:
        middle = (low + high + 1) // 2
        if (place := find(" ".join(words[:middle]), text)) is not None:
            low, best = middle, (place.start, place.end)
        else:
            high = middle - 1
    if best is None:
        return f"not even its first word, {words[0][:40]!r}"
    there = squeezed(text[best[1] : best[1] + 60])[:30]
    before, here = " ".join(words[max(0, low - 4) : low]), " ".join(words[low:])[:30]
    return f"behind {before!r} it has {there!r}, not {here!r}"
