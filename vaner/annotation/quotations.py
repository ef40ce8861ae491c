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


def find(quote: str, text: str) -> Place | None:
    """The first place where it stands as it is, else the first up to runs of white space; None where neither."""
    words = squeezed(quote).split(" ")
    if words == [""]:
        return None
    if (start := text.find(quote.strip())) >= 0:
        return Place(start, start + len(quote.strip()))
    found = re.search(r"\s+".join(map(re.escape, words)), text)
    return Place(found.start(), found.end(), exact=False) if found else None
