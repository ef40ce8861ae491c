"""In: an index of names and a unit. Out: which names of the asked types stand in it, and whose they are.

    "aspirin" is a Chemical (MESH:D001241, Aspirin)

The index says so of the name, not of the sentence: a name may mean something else there, and what the index lacks is
not said to be nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from vaner.errors import VanerError
from vaner.knowledge import Entry, KnowledgeBase
from vaner.prompting.retrieval import Retrieved
from vaner.prompting.unit import Unit, plain

_MOST_IDS = 3  # of one name


class Names:
    """Entries of a knowledge base for the names in a text.

    Args:
        kb: the index, or its path.
        most: so many names in a unit at most; those with the most characters come first.

    Raises:
        VanerError: ``most`` below 1.
        FormatError: no index.
    """

    def __init__(self, kb: KnowledgeBase | str | os.PathLike[str], most: int = 8) -> None:
        if most < 1:
            raise VanerError(
                f"names: at most {most} would be none; set most to 1 or more, or leave names out"
            )
        if not isinstance(kb, KnowledgeBase) and not os.path.isfile(kb):
            raise VanerError(f"{kb}: no such index; make one with python -m vaner kb build")
        self.kb = kb if isinstance(kb, KnowledgeBase) else KnowledgeBase(kb)
        self.most = most

    @property
    def fingerprint(self) -> str:
        """Hash of the index and of how many names are told."""
        return hashlib.sha256(f"{self.kb.fingerprint} {self.most}".encode()).hexdigest()

    def missing(self, types: Sequence[str]) -> list[str]:
        """Those of the types that the index has no name of."""
        return [type for type in types if type not in self.kb.types]

    def of(self, unit: Unit, types: Sequence[str], prompt: str = "") -> list[Retrieved]:
        """The names of the types in the unit, in the order of the text; each name once for each type."""
        known = [type for type in types if type in self.kb.types]
        if not known or not unit.words:
            return []
        start, end = unit.offsets[0][0], unit.offsets[-1][1]
        text = unit.text.document.text[start:end]
        (matches,) = self.kb.match([text], known)
        places: dict[tuple[str, str], int] = {}
        for match in matches:
            places.setdefault((text[match.start : match.end], match.type), match.start)
        kept = sorted(places, key=lambda name: (-len(name[0]), places[name]))[: self.most]
        # In the order of the text, then of the asked types.
        ordered = sorted(kept, key=lambda name: (places[name], known.index(name[1])))
        return [Retrieved(self._told(name, type), "knowledge base") for name, type in ordered]

    def _told(self, name: str, type: str) -> str:
        entries: dict[str, Entry] = {}
        for found in self.kb.lookup(name):
            for entry in found.concepts:
                if not found.muted and type in entry.types and entry.id:
                    entries.setdefault(entry.id, entry)
        ids = [_id(entry) for entry in list(entries.values())[:_MOST_IDS]]
        more = [f"and {len(entries) - _MOST_IDS} more"] if len(entries) > _MOST_IDS else []
        whose = f" ({'; '.join([*ids, *more])})" if ids else ""
        return plain(f'"{name}" is {"an" if type[0] in "AEIOUaeiou" else "a"} {type}{whose}')


def _id(entry: Entry) -> str:
    return f"{entry.id}, {entry.preferred_name}" if entry.preferred_name else entry.id
