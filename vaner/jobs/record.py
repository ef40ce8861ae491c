"""In: a run's settings, model, sources. Out: a record of what decides its bytes, and in what another run's differs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import vaner
from vaner.errors import VanerError
from vaner.files import replacing_text, sha256
from vaner.jobs.sources import Source
from vaner.provenance import commit, versions

#: What is told of a run but may change while it goes on.
_MADE = "made"


def of_run(
    settings: Mapping[str, Any], models: Mapping[str, str], **others: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of a run, as JSON holds it.

    Args:
        settings: of the tagger.
        models: name of each model or index -> hash of what is in it.
        others: of reading, cutting and writing.
    """
    made = {"versions": versions(), "commit": commit(), "command": sys.argv}
    found = {"vaner": vaner.__version__, "models": models, "settings": settings, **others, _MADE: made}
    return json.loads(json.dumps(found))


def stamp(source: Source) -> dict[str, Any]:
    """What a source is now: the sha256 of its file or folder, and what makes it unlikely to have changed since."""
    if source.path == "-" or not os.path.exists(source.path):
        return {}
    return {"sha256": sha256(source.path), **_looks(source)}


def _looks(source: Source) -> dict[str, Any]:
    if not os.path.isfile(source.path):
        return {}
    status = os.stat(source.path)
    return {"size": status.st_size, "modified_ns": status.st_mtime_ns}


def changed(source: Source, before: Mapping[str, Any], *, read_again: bool) -> bool:
    """Whether a source has another content than when it was begun.

    Args:
        before: its stamp.
        read_again: it will be read, so that the hash is taken; else only where size or time differ.
    """
    if "sha256" not in before:
        return False
    looks = _looks(source)
    if looks and not read_again and all(before.get(key) == value for key, value in looks.items()):
        return False
    return sha256(source.path) != before["sha256"]


def save(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record."""
    with replacing_text(path) as file:
        file.write(json.dumps(record, ensure_ascii=False, indent=2) + "\n")


def load(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        VanerError: it is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise VanerError(f"{path}: is no record of a run; start anew with --overwrite") from None
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A clause for each setting, model or version in which a run differs from the one that is to go on."""
    old, new = dict(_flat(before)), dict(_flat(now))
    names = [name for name in {**old, **new} if name.split(".")[0] != _MADE]
    return [
        f"{name.removeprefix('settings.')} was {_shown(old.get(name))}, is {_shown(new.get(name))}"
        for name in names
        if old.get(name) != new.get(name)
    ]


def moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The same of what may change while a run goes on, but makes its bytes another run's."""
    old, new = (one.get(_MADE, {}).get("versions", {}) for one in (before, now))
    return [
        f"{name} was {_shown(old.get(name))}, is {_shown(new.get(name))}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _flat(record: Mapping[str, Any], inside: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{inside}{name}.")
        else:
            yield f"{inside}{name}", value


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
