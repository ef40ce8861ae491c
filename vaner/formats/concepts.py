"""In: the concept id column of a file. Out: Concepts, and the column again.

D014262                          one id
D003110|D009369                  a composite mention: several ids, separated by | , or ;
OMIM:604370                      an id that names its vocabulary
D009794+D007592                  one meaning made of two ids: kept as one
-1    -                          looked for, not in the vocabulary: kept as the file writes it
c|SUB|T|920|G;Gene:23417         a variant in tmVar's notation: | belongs to the id, only ; separates
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from vaner.document import Concept

_SEPARATORS = re.compile(r"[|,;]")
_TMVAR = re.compile(r"(?:^|;)[a-z]?\|[A-Z][A-Za-z0-9]*\||;VariantGroup:")
_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_.]*):\S")


def parse(column: str, source: str | None = None) -> tuple[Concept, ...]:
    """The Concepts of an id column; white space around an id and empty ids are dropped.

    Args:
        column: the column as the file writes it.
        source: the vocabulary, where the file names it elsewhere; else taken from an id's own prefix.
    """
    pieces = column.split(";") if _TMVAR.search(column) else _SEPARATORS.split(column)
    ids = [piece.strip() for piece in pieces]
    return tuple(Concept(id, source or _prefix(id)) for id in ids if id)


def join(concepts: Iterable[Concept]) -> str:
    """The id column: ids as they are, with the separator at which :func:`parse` will cut them again."""
    ids = [concept.id for concept in concepts]
    for separator in ("|", ";"):
        column = separator.join(ids)
        if [concept.id for concept in parse(column)] == ids:
            return column
    return "|".join(ids)


def _prefix(id: str) -> str | None:
    match = _PREFIX.match(id)
    return match[1] if match else None
