"""In: a text. Out: where its blocks begin (paragraphs, items of lists, cells of tables), which no mention crosses.

    Patients took                 a wrapped line goes on: it was full, or the next begins with a small letter
    metformin daily.
                                  an empty line ends a paragraph
    Medication:                   a label ends with its line
    - Metformin                   a bullet or a number begins an item
    - Aspirin
    Drug<tab>Dose                 a tab parts cells; a row is a line of its own

The rules are those of `borders`.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

_LINE_BREAK = regex.compile(r"\n\s*+")
_TABS = regex.compile(r"\t\s*+")

_MARK = regex.compile(r"[-*+•·▪‣◦●○■□–—]\s|[(\[]?(?:\p{N}{1,3}|\p{L}|[ivxIVX]{1,5})[.)\]]\s")
_STOPS = (".", "!", "?", ":", ";")
# Diagnosis: ..., Past medical history: ...
_LABEL = regex.compile(r"\p{Lu}[\p{L}\p{N}/&()-]{0,30}+(?:\s[\p{L}\p{N}/&()-]{1,30}+){0,3}+:(?:\s|$)")
_WORD = regex.compile(r"\S{1,80}+")

# Lines of a list have few words each, and there are some of them.
_FEW_WORDS = 4
_SOME_LINES = 3
# Nobody wraps prose to fewer characters.
_NARROWEST = 40
# A line had room for the next word where it would have left a quarter of the width all the same.
_FULL = 0.75


def borders(text: str) -> list[int]:
    """Where a block begins, in order; the text's own beginning is not among them.

    An empty line always ends a block, and so does a tab. A single line break ends one where

    - the line before or behind it has a tab: it is a row of a table;
    - the line before ends with a colon, in no open bracket;
    - the line behind begins with a label and a colon, or with a bullet, or a number or letter and a stop or bracket,
      and another beside it does too, or the line before ended with a stop or had room for the next word;
    - three lines or more between empty ones have at most four words each: they are a list.

    The others are of one kind in a text: where no more than a third of them go on with a small letter, each ends a
    block. Else the text is wrapped to a width, and they mean no more than a space, but where a line had room for the
    next word, which begins with no small letter: such a line was ended on purpose.
    """
    found = [match.end() for match in _TABS.finditer(text)] if "\t" in text else []
    open_: list[tuple[int, bool]] = []
    first = 0
    paragraph: list[tuple[int, int]] = []
    for match in _LINE_BREAK.finditer(text):
        paragraph.append((first, match.start()))
        first = match.end()
        if match[0].count("\n") > 1:
            found.append(first)
            found += _items(text, paragraph, open_)
            paragraph = []
    paragraph.append((first, len(text)))
    found += _items(text, paragraph, open_)
    wrapped = 3 * sum(text[start : start + 1].islower() for start, _ in open_) > len(open_)
    found += [start for start, on_purpose in open_ if on_purpose or not wrapped]
    return sorted(found)


def _items(text: str, lines: Sequence[tuple[int, int]], open_: list[tuple[int, bool]]) -> list[int]:
    """Where the items, rows and entries of a paragraph begin.

    Args:
        text: that it is of.
        lines: its lines.
        open_: takes in where its other lines begin, and whether the one before was ended on purpose.
    """
    if len(lines) < 2:
        return []
    if len(lines) >= _SOME_LINES and all(_few_words(text, start, end) for start, end in lines):
        return [start for start, _ in lines[1:]]
    lengths = sorted(end - start for start, end in lines)
    # Of a wrapped paragraph nearly all lines are full; a few have a word that is longer than that.
    width = lengths[3 * len(lengths) // 4] if len(lines) >= _SOME_LINES else 0
    tabbed = ["\t" in text[start:end] for start, end in lines]
    marked = [_MARK.match(text, start, end) is not None for start, end in lines]
    labelled = [_LABEL.match(text, start, end) is not None for start, end in lines]
    found = []
    for i in range(1, len(lines)):
        before, (start, end) = text[slice(*lines[i - 1])].rstrip(), lines[i]
        word = _WORD.match(text, start, end)
        room = 0 < len(before) + 1 + len(word[0]) <= _FULL * width if word and width >= _NARROWEST else False
        ended = room or before.endswith(_STOPS)
        inside = before.rfind("(") > before.rfind(")")
        if (
            tabbed[i]
            or tabbed[i - 1]
            or (before.endswith(":") and not inside)
            or (labelled[i] and (ended or labelled[i - 1]))
            or (marked[i] and not inside and (ended or marked[i - 1] or any(marked[i + 1 : i + 2])))
        ):
            found.append(start)
        else:
            open_.append((start, room and not text[start].islower()))
    return found


def _few_words(text: str, start: int, end: int) -> bool:
    return len(text[start:end].split(maxsplit=_FEW_WORDS)) <= _FEW_WORDS
