"""In: a text. Out: the abbreviations it defines, each with the place of its short and of its long form.

The algorithm is that of A. Schwartz and M. Hearst, A simple algorithm for identifying abbreviation definitions
in biomedical text, PSB 2003: of ``long form (SF)`` and ``SF (long form)``, the letters of the short form are
found from right to left in the words beside it, the first one at the start of a word.

    familial adenomatous polyposis (FAP) is ...
    ^        ^           ^          FAP

Only the last words before a bracket are looked at, so time grows with the length of the text, however long its lines.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from vaner.text.segment import sentences

_BRACKETS = re.compile(r"\(([^()\[\]]{2,200})\)|\[([^()\[\]]{2,200})\]")
_WORD = re.compile(r"\S+")
_SPACE = re.compile(r"[\s-]")
_LONGEST_SHORT_FORM = 10
_LONGEST_LONG_FORM = 1_000  # characters


class Abbreviation(NamedTuple):
    """One definition; offsets in code points, half-open."""

    short: str
    long: str
    short_start: int
    long_start: int


def find(text: str) -> list[Abbreviation]:
    """The definitions in a text, in order; a short form may be defined more than once."""
    found = []
    brackets = list(_BRACKETS.finditer(text))
    borders = [start for start, _ in sentences(text)] if brackets else []
    for match in brackets:
        group = 1 if match[1] is not None else 2
        inside, start = match[group], match.start(group)
        left = len(inside) - len(inside.lstrip())
        inside, start = inside.strip(), start + left
        # (FAP; see text) and (FAP, n = 3) define FAP.
        head = re.split(r"[;,] ", inside, maxsplit=1)[0]
        # A long form lies in the sentence of its short form, behind the last white space out of reach.
        sentence = borders[bisect_right(borders, match.start()) - 1]
        offset = max(sentence, match.start() - _LONGEST_LONG_FORM)
        before = text[offset : match.start()].rstrip()
        if offset > sentence and not text[offset - 1].isspace():
            cut = _WORD.match(before)
            offset, before = offset + (cut.end() if cut else 0), before[cut.end() if cut else 0 :]
        if _is_short_form(head):
            pair = _pair(head, start, before, offset)
        else:
            # SF (long form)
            word = before.split()[-1:]
            if not word or not _is_short_form(word[0]):
                continue
            pair = _pair(word[0], offset + len(before) - len(word[0]), inside, start)
        if pair:
            found.append(pair)
    return found


def expansions(text: str) -> dict[str, str]:
    """Short form -> long form; the first definition counts."""
    table: dict[str, str] = {}
    for abbreviation in find(text):
        table.setdefault(abbreviation.short, abbreviation.long)
    return table


def _is_short_form(text: str) -> bool:
    return (
        2 <= len(text) <= _LONGEST_SHORT_FORM
        and text.count(" ") <= 1
        and text[0].isalnum()
        and any(c.isalpha() for c in text)
        # Ordinary words in brackets are no short forms.
        and (len(text) <= 3 or any(c.isupper() or c.isdigit() for c in text))
    )


def _pair(short: str, short_start: int, beside: str, offset: int) -> Abbreviation | None:
    """The long form at the end of ``beside``, which starts at ``offset``, if it has the letters of ``short``."""
    letters = sum(c.isalnum() for c in short)
    words = list(_WORD.finditer(beside))[-min(letters + 5, letters * 2) :]
    if not words:
        return None
    first = words[0].start()
    begin = _match(short, beside[first:])
    if begin is None:
        return None
    begin += first
    long = beside[begin:].rstrip()
    number = len(long.split())
    if (
        len(long) <= len(short)
        or number > min(letters + 5, letters * 2)
        or short in _SPACE.split(long)
        or long.count("(") != long.count(")")
    ):
        return None
    return Abbreviation(short, long, short_start, offset + begin)


def _match(short: str, long: str) -> int | None:
    """Where the long form starts in ``long``: each letter of ``short`` is looked for leftwards from the end."""
    at = len(long) - 1
    for i in range(len(short) - 1, -1, -1):
        if not short[i].isalnum():
            continue
        # Of U+0130 this is two characters, the second no letter.
        wanted = short[i].lower()
        while at >= 0 and (long[at].lower() != wanted or (i == 0 and at > 0 and long[at - 1].isalnum())):
            at -= 1
        if at < 0:
            return None
        at -= 1
    # The rest of the word that the first letter stands in, with what is joined to it by a hyphen.
    while at >= 0 and not long[at].isspace():
        at -= 1
    return at + 1
