"""In: a text. Out: the (start, end) offsets of its words and of its sentences, the text itself untouched."""

from __future__ import annotations

from collections.abc import Iterable

import regex

from vaner.document import Passage

_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+|\S")


def words(text: str) -> list[tuple[int, int]]:
    """Offsets of the model's words: runs of letters, digits and combining marks, or one other character.

    This is how the CoNLL files of the MTL collection are split, so that a text read from them and the
    same text read raw give the same words::

        T-cell 11p15.5   ->   T - cell 11p15 . 5

    Args:
        text: any text.

    Returns:
        ``(start, end)`` in code points, in order; together they cover every non-space character.
    """
    return [match.span() for match in _WORD.finditer(text)]


# A full stop, question or exclamation mark, whatever closes after it, then white space.
_STOP = regex.compile(r"""[.!?…][)\]}"'”’»]*(\s+)(?=\S)""")
_ABBREVIATION = regex.compile(
    r"""(?:^|[\s(\[{/"'-])(?:
        e\.?g|i\.?e|vs|cf|ca|viz|approx|resp|al|etc|Figs?|figs?|Eqs?|eqs?|Refs?|refs?|Tabs?|Nos?|nos?|vol|pp|
        Drs?|Prof|Mrs?|Ms|St|Jr|Inc|Ltd|Co|Corp|Dept|Univ|[ia]\.[vmpcd]|sp|spp|subsp|ssp|var|cv|str|gen|nov|
        b\.i\.d|t\.i\.d|q\.d|p\.o|s\.c|[A-Za-z]
    )\.$""",
    regex.VERBOSE,
)
_STARTS = regex.compile(r"""["'“‘(\[{«]*(?:[\p{Lu}\p{Lt}\p{N}]|\p{Ll}+[-\p{N}\p{Lu}])""")


def sentences(text: str, passages: Iterable[Passage] = ()) -> list[tuple[int, int]]:
    """Offsets of the sentences.

    Args:
        text: any text.
        passages: parts of the text (title, abstract, paragraph) that no sentence may cross.

    Returns:
        ``(start, end)`` in code points, in order, without white space at either end; together they
        cover every non-space character.
    """
    cuts = {0, len(text)}
    for passage in passages:
        cuts |= {passage.start, passage.end}
    for match in regex.finditer(r"\n\s*\n", text):
        cuts.add(match.end())
    for match in _STOP.finditer(text):
        if not _STARTS.match(text, match.end()):
            continue
        if text[match.start()] == "." and _ABBREVIATION.search(text[max(0, match.start() - 12) : match.start() + 1]):
            continue
        cuts.add(match.end())
    borders = sorted(cuts)
    found = []
    for start, end in zip(borders, borders[1:], strict=False):
        piece = text[start:end]
        left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
        if left < right:
            found.append((start + left, start + right))
    return found
