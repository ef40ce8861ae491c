"""In: kb/rules.yaml and kb/stoplist.tsv. Out: which names are junk, which only match in capitals, and why.

A name can be *dropped* (not in the index at all: nothing but signs, or far too long), *muted* (in the index and
found by lookup, but never matched in text nor drawn for training: numbers, single letters, ordinary English
words) or an *acronym* (matches only where the text has capitals too: ``CAT`` does not match ``cat``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaner.errors import FormatError, place
from vaner.files import decode, lines, read_yaml
from vaner.knowledge.normalise import BREAK, DIGITS, GREEK, LETTERS, Words, key_of
from vaner.report import Report

# Bits of a name's flags: the last name of its key; not matched; two bits for the capitals that the text needs.
LAST, MUTED, CAPITALS = 1, 2, 4 + 8

_SETTINGS = {
    "shortest": int,
    "shortest_by_type": dict,
    "longest": int,
    "acronym": int,
    "undo_inversion": bool,
    "strip": list,
}


class Rules:
    """The rules that names are put through when an index is compiled.

    Args:
        shortest: letters and digits that a name needs to be matched in text.
        shortest_by_type: canonical type -> the same for names of that type.
        longest: code points; longer names are dropped.
        acronym: a name without spaces of up to this many characters needs capitals in the text: two if it has
            two or more (``CAT``), one if it is one capital and digits (``A26``).
        undo_inversion: whether ``Abdomen, Acute`` also becomes ``Acute Abdomen``.
        strip: regular expressions, what they match is cut off names.
        stoplist: key of a normal form -> (types it is muted for, or None for all; reason).
    """

    def __init__(
        self,
        shortest: int = 1,
        shortest_by_type: Mapping[str, int] | None = None,
        longest: int = 1000,
        acronym: int = 0,
        undo_inversion: bool = False,
        strip: Sequence[str] = (),
        stoplist: Mapping[int, tuple[frozenset[str] | None, str]] | None = None,
    ) -> None:
        self.shortest, self.shortest_by_type = shortest, dict(shortest_by_type or {})
        self.longest, self.acronym, self.undo_inversion = longest, acronym, undo_inversion
        self._strip = re.compile("|".join(f"(?:{pattern})" for pattern in strip)) if strip else None
        self._stoplist = dict(stoplist or {})
        # Words that say nothing in a name made of them and numbers only ("in 2", "12 mg", but not "S100").
        self._function_words = self._keys_for("a function word")
        self._units = self._keys_for("a unit or reference")
        self._stop_keys = np.sort(np.array(list(self._stoplist), np.uint64))
        self.description: dict[str, Any] = {
            "shortest": shortest,
            "shortest_by_type": self.shortest_by_type,
            "longest": longest,
            "acronym": acronym,
            "undo_inversion": undo_inversion,
            "strip": list(strip),
            "stoplist": len(self._stoplist),
        }

    def _keys_for(self, wanted: str) -> np.ndarray:
        return np.sort(
            np.array([key for key, (_, why) in self._stoplist.items() if why == wanted], np.uint64)
        )

    @classmethod
    def load(cls, folder: str | os.PathLike) -> Rules:
        """Read ``rules.yaml`` and ``stoplist.tsv`` (name, types or ``*``, reason) of a folder.

        Raises:
            FormatError: if a setting is unknown or of the wrong kind, or a line of the stop-list is not
                three columns.
        """
        path = Path(folder) / "rules.yaml"
        settings = read_yaml(path)
        for name, value in settings.items():
            if name not in _SETTINGS or not isinstance(value, _SETTINGS[name]):
                raise FormatError(
                    f"{path}: setting {name!r} is unknown or not {_SETTINGS.get(name, object).__name__}; "
                    f"use {', '.join(_SETTINGS)}"
                )
        for type_, least in settings.get("shortest_by_type", {}).items():
            if not isinstance(least, int):
                raise FormatError(f"{path}: shortest_by_type: {type_} has {least!r}; write a whole number")
        for pattern in settings.get("strip", ()):
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise FormatError(f"{path}: strip {pattern!r} is no regular expression: {error}") from None
        stoplist: dict[int, tuple[frozenset[str] | None, str]] = {}
        path = Path(folder) / "stoplist.tsv"
        for number, raw in lines(path):
            line = decode(raw, place(path, number))
            if not line or line.startswith("#"):
                continue
            cells = line.split("\t")
            if len(cells) != 3:
                raise FormatError(f"{place(path, number)}: {len(cells)} columns; write name, types, reason")
            name, types, reason = cells
            # Both the word and its plural-like look-alikes share a normal form, so one line covers them.
            stoplist[key_of(name)] = (None if types == "*" else frozenset(types.split(",")), reason)
        return cls(stoplist=stoplist, **settings)

    def clean(self, name: str, preferred: bool) -> Sequence[tuple[str, bool]]:
        """The spellings under which a vocabulary's name is kept, each with whether it is the preferred one."""
        name = " ".join(name.replace(BREAK, " ").split())
        if self._strip is not None:
            name = self._strip.sub("", name)
        if self.undo_inversion and ", " in name:
            other = turned(name)
            if other:
                return ((name, preferred), (other, False))
        return ((name, preferred),)

    def usable(
        self, names: Sequence[str], words: Words, first: np.ndarray, count: np.ndarray, report: Report
    ) -> np.ndarray:
        """Which names are kept at all, shape ``(len(names),)`` bool; the others are counted in the report.

        Args:
            names: as cleaned.
            words: the normal words of all of them.
            first, count: index of each name's first word, and how many it has, shape ``(len(names),)``.
            report: counts how many are dropped for which reason.
        """
        solid = _per_name(words.size * _has_letters_or_digits(words), first, count)
        empty = solid == 0
        long = np.array([len(name) for name in names]) > self.longest
        _count(report, "dropped: no letter or digit", empty)
        _count(report, "dropped: too long", long & ~empty)
        return ~(empty | long)

    def flags(
        self,
        names: Sequence[str],
        keys: np.ndarray,
        masks: Sequence[int],
        bits: Mapping[str, int],
        words: Words,
        first: np.ndarray,
        count: np.ndarray,
        report: Report,
    ) -> np.ndarray:
        """MUTED and CAPITALS bits of each usable name, shape ``(len(names),)`` uint8.

        Args:
            names: as cleaned.
            keys: 64-bit keys of their normal forms.
            masks: bit ``bits[type]`` set for each type of the name's concept.
            bits: canonical type -> bit number.
            words, first, count: their normal words.
            report: counts how many are muted for which reason.
        """
        letters = _per_name((words.kind == LETTERS) | (words.kind == GREEK), first, count)
        size = _per_name(words.size * _has_letters_or_digits(words), first, count)
        type_masks = np.array(masks, np.uint64)
        shortest = np.full(len(names), self.shortest)
        for name, least in self.shortest_by_type.items():
            if name in bits:
                shortest[(type_masks >> np.uint64(bits[name])) & np.uint64(1) > 0] = least
        number = letters == 0
        capitals = words.uppercase[first + count] - words.uppercase[first]
        # The key of a single word is that of a run of one word.
        one = words.keys(np.arange(len(words)), 1)
        says = (words.kind == LETTERS) | (words.kind == GREEK)
        says &= ~np.isin(one, self._function_words)
        empty = (_per_name(says, first, count) == 0) & (capitals < 2)
        says &= ~np.isin(one, self._units)
        empty |= (_per_name(says, first, count) == 0) & (capitals == 0)
        empty &= ~number & (count > 1)
        short = (size < shortest) & ~number & ~empty
        stopped = np.zeros(len(names), bool)
        for i in np.flatnonzero(np.isin(keys, self._stop_keys)).tolist():
            types, reason = self._stoplist[int(keys[i])]
            among = sum(1 << bits[t] for t in types if t in bits) if types is not None else -1
            # Muted only if every type of the concept is among those listed.
            if not masks[i] & ~among and not (number[i] or short[i] or empty[i]):
                stopped[i] = True
                report.counts[f"muted: {reason}"] += 1
        _count(report, "muted: a number", number)
        _count(report, "muted: too short", short)
        _count(report, "muted: function words, units and numbers only", empty)
        flags = np.where(number | short | empty | stopped, MUTED, 0).astype(np.uint8)
        alphabetic = _per_name(words.size * (words.kind == LETTERS), first, count)
        for i in np.flatnonzero((capitals >= 2) | (capitals == 1) & (alphabetic == 1)).tolist():
            if len(names[i]) <= self.acronym and " " not in names[i]:
                flags[i] |= min(2, capitals[i]) << 2
        return flags


def _has_letters_or_digits(words: Words) -> np.ndarray:
    return (words.kind == LETTERS) | (words.kind == DIGITS) | (words.kind == GREEK)


def _per_name(values: np.ndarray, first: np.ndarray, count: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0], np.cumsum(values)])
    return sums[first + count] - sums[first]


def _count(report: Report, kind: str, which: np.ndarray) -> None:
    number = int(which.sum())
    if number:
        report.counts[kind] += number


def turned(name: str) -> str | None:
    """``Acute Abdomen`` for ``Abdomen, Acute``; None unless it has the form of a MeSH inversion."""
    head, comma, modifier = name.partition(", ")
    if not comma or "," in modifier or not 1 <= modifier.count(" ") + 1 <= 3:
        return None
    if not all(part.replace(" ", "").replace("-", "").isalpha() for part in (head, modifier)):
        return None
    if modifier.split()[0].lower() in (
        "and",
        "or",
        "with",
        "without",
        "due",
        "of",
        "in",
        "by",
        "not",
        "except",
    ):
        return None
    return f"{modifier} {head}"
