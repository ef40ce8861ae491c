"""In: nothing. Out: Term, the one thing that every vocabulary reader gives."""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """One name of one concept.

    Attributes:
        id: the concept's identifier, ``""`` in lists of names without ids.
        name: as the vocabulary writes it.
        types: canonical types, at least one.
        preferred: whether it is the concept's preferred name.
    """

    id: str
    name: str
    types: tuple[str, ...]
    preferred: bool
