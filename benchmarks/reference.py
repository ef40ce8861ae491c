"""In: names and a text. Out: the matches, found character by character, by dictionary look-up: slow, but easy to check.

The benchmark and the tests compare the compiled index with this.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

HYPHENS = set("-_\u02d7\u2010\u2011\u2012\u2013\u2043\u2212\u2796")
APOSTROPHES = set(
    "'`\"\u00b4\u02b9\u02ba\u02bb\u02bc\u02bd\u2018\u2019\u201b\u201c\u201d\u2032\u2033\u2035\u2036"
)
TRADE_MARKS = set("\u00a9\u00ae\u2117\u2120\u2122")
FILLERS = set("\u115f\u1160\u3164\uffa0")
SPELT = {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "\u2206": "δ"}


class Word(NamedTuple):
    normal: str
    start: int
    end: int
    opens: bool
    closes: bool


def _kind(char: str) -> str:
    """letter, digit, greek, sign, space, hyphen, apostrophe, newline, break or ignored."""
    category = unicodedata.category(char)
    if char == "\x1e":
        return "break"
    if char == "\n":
        return "newline"
    if char in HYPHENS:
        return "hyphen"
    if char in APOSTROPHES:
        return "apostrophe"
    if char.isspace() or category in ("Zs", "Cc") or char in TRADE_MARKS:
        return "space"
    if category in ("Mn", "Me", "Cf", "Cs", "Cn") or char in FILLERS:
        return "ignored"
    if category == "Mc":
        return "letter"
    folded = _fold(char)
    if (category[0] not in "LN" and char != "\u2206") or not folded or (category == "No" and len(folded) > 1):
        plain = _plain(char)
        return "sign" if plain == char else _kind(plain)
    if _greek(folded):
        return "greek"
    return "digit" if folded.isdigit() else "letter"


def _fold(char: str) -> str:
    decomposed = unicodedata.normalize("NFKD", char).casefold()
    spelt = "".join(SPELT.get(c, c) for c in unicodedata.normalize("NFKD", decomposed))
    return "".join(c for c in spelt if c.isalnum())


def _plain(char: str) -> str:
    """The sign that a superscript, a subscript or a wide form is one of; the prime of several in one."""
    decomposed = unicodedata.normalize("NFKD", char)
    return decomposed[0] if len(decomposed) == 1 or set(decomposed) <= APOSTROPHES else char


def _greek(letter: str) -> str:
    if len(letter) == 1 and "\u0370" <= letter <= "\u03ff":
        name = unicodedata.name(letter, "")
        if name.startswith("GREEK SMALL LETTER "):
            return name.split()[-1].lower().replace("lamda", "lambda")
    return ""


def words(text: str) -> list[Word]:
    """Normal words of a text, with their offsets."""
    # Characters that count, each with the offset of the next one: marks belong to the character before.
    chars = [(i, c, _kind(c)) for i, c in enumerate(text)]
    chars = [c for c in chars if c[2] != "ignored"]
    ends = [i for i, _, _ in chars[1:]] + [len(text)]
    found: list[tuple[str, str, int, int, str]] = []  # kind, folded, start, end, spelling
    previous = "space"
    for (i, char, kind), end in zip(chars, ends, strict=False):
        blank_line = kind == "newline" and previous == "newline"
        if kind in ("letter", "digit") and kind == previous:
            last = found[-1]
            spelt = char if unicodedata.category(char) == "Mc" else _fold(char)
            found[-1] = (kind, last[1] + spelt, last[2], end, last[4] + char)
        elif kind in ("letter", "digit"):
            spelt = char if unicodedata.category(char) == "Mc" else _fold(char)
            found.append((kind, spelt, i, end, char))
        elif kind == "greek":
            found.append((kind, _greek(_fold(char)), i, end, char))
        elif kind == "sign":
            found.append((kind, _plain(char), i, end, char))
        elif kind == "break" or blank_line:
            found.append(("break", "\n", i, end, char))
        else:
            found.append(("gap", kind, i, end, char))
        previous = kind
    result = []
    solid = ("letter", "digit", "greek")
    for n, (kind, spelt, start, end, written) in enumerate(found):
        before = found[n - 1] if n else ("gap", "space", 0, 0, "")
        after = found[n + 1] if n + 1 < len(found) else ("gap", "space", 0, 0, "")
        if kind == "gap":
            continue
        if (
            kind == "letter"
            and spelt == "s"
            and len(written.strip("".join(c for c in written if unicodedata.combining(c)))) == 1
            and before[:2] == ("gap", "apostrophe")
            and n >= 2
            and found[n - 2][0] in solid
            and after[0] not in solid
        ):
            continue
        if kind == "letter":
            spelt = _singular(spelt, written)
        opens = kind not in solid or before[0] not in solid
        closes = kind not in solid or after[0] not in solid
        result.append(Word(spelt, start, end, opens, closes))
    return result


def _singular(word: str, written: str) -> str:
    shown = [c for c in written if _kind(c) != "ignored"]
    if len(word) < 4 or word[-1] != "s" or (shown[-1].isupper() and len(word) < 6):
        return word
    if word.endswith("ies") and len(word) >= 5:
        return word[:-3] + "y"
    return word if word[-2] in "sui" else word[:-1]


def normal_form(name: str) -> str:
    return " ".join(word.normal for word in words(name))


class Reference:
    """Names in a plain dictionary.

    Args:
        names: ``(name, types, capitals needed)``; muted names are not given.
    """

    def __init__(self, names: Iterable[tuple[str, Iterable[str], int]]) -> None:
        self.names: dict[str, dict[str, int]] = {}
        for name, types, needed in names:
            table = self.names.setdefault(normal_form(name), {})
            for type_ in types:
                table[type_] = min(needed, table.get(type_, 9))
        self.longest = max(form.count(" ") + 1 for form in self.names)

    def candidates(self, text: str) -> set[tuple[int, int, str]]:
        """All matches at word boundaries, overlapping ones too: ``(start, end, type)``."""
        found = set()
        all_words = words(text)
        for first, word in enumerate(all_words):
            if not word.opens:
                continue
            for last in range(first, min(len(all_words), first + self.longest)):
                if not all_words[last].closes:
                    continue
                form = " ".join(w.normal for w in all_words[first : last + 1])
                capitals = sum(c.isupper() for c in text[word.start : all_words[last].end])
                for type_, needed in self.names.get(form, {}).items():
                    if capitals >= needed:
                        found.add((word.start, all_words[last].end, type_))
        return found

    def match(self, text: str) -> list[tuple[int, int, str]]:
        """The longest first, for each type by itself, without overlaps."""
        return longest(self.candidates(text))


def longest(candidates: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Of overlapping candidates of one type the longest, the leftmost of equals; sorted."""
    kept: Mapping[str, list[tuple[int, int]]] = {}
    result = []
    for start, end, type_ in sorted(candidates, key=lambda c: (c[0] - c[1], c[0], c[2])):
        taken = kept.setdefault(type_, [])
        if all(end <= a or start >= b for a, b in taken):
            taken.append((start, end))
            result.append((start, end, type_))
    return sorted(result)
