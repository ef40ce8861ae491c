"""In: the types that are asked. Out: what each of them is: a line of the registry, or of one's own.

Disease: a disease, disorder, syndrome, symptom or other abnormal condition of an organism
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from vaner.corpora.registry import EntityType
from vaner.prompting.retrieval import Retrieved
from vaner.prompting.unit import Unit, plain


class Definitions:
    """Definitions of types.

    Args:
        registry: canonical type -> EntityType, as `Registry.types` has them.
        own: type -> one line, in place of the registry's or beside it; an empty line takes one away.
    """

    def __init__(self, registry: Mapping[str, EntityType], own: Mapping[str, str] | None = None) -> None:
        lines = {name: type.definition for name, type in registry.items()} | dict(own or {})
        self._lines = {name: plain(line) for name, line in lines.items() if line.strip()}

    @property
    def fingerprint(self) -> str:
        """Hash of all definitions."""
        return hashlib.sha256(json.dumps(self._lines, sort_keys=True).encode()).hexdigest()

    def missing(self, types: Sequence[str]) -> list[str]:
        """Those of the types that have no definition."""
        return [type for type in types if type not in self._lines]

    def of(self, unit: Unit, types: Sequence[str], prompt: str = "") -> list[Retrieved]:
        """The definitions of the types that have one, in the types' order."""
        return [
            Retrieved(f"{plain(type)}: {self._lines[type]}", "definition")
            for type in types
            if type in self._lines
        ]
