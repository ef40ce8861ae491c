"""In: PromptSettings. Out: what a file of them says, every path in full, so that it may lie anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from vaner.prompting.settings import AnswerSettings, BackendSettings, PromptSettings


def values_of(settings: PromptSettings) -> dict[str, Any]:
    """What `PromptSettings.of` makes the same settings of, as YAML holds it; what is empty is left out."""
    found: dict[str, Any] = _plain(settings)
    # Left out it would be the user's own.
    return found | {"store": settings.store or "none"}


def _plain(value: Any) -> Any:
    if isinstance(value, BackendSettings):
        return {"name": value.name, "model": value.model, **_plain(value.options)}
    if isinstance(value, AnswerSettings):
        return {"name": value.name, **_plain(value.options)}
    if is_dataclass(value):
        said = {
            one.metadata["name"] or one.name: getattr(value, one.name)
            for one in fields(value)
            if one.metadata
        }
        return {name: _plain(one) for name, one in said.items() if one not in (None, (), {})}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
