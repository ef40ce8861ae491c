"""In: a prompted tagger's settings. Out: a hash of all that its answers depend on, the same wherever the files lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaner.corpora.own import all_corpora, is_path
from vaner.files import sha256
from vaner.knowledge.store import Store
from vaner.model.catalogue import EMBEDDED
from vaner.model.hashing import weights_hash
from vaner.prompting.settings import BackendSettings, PromptSettings

# Of a tagger that answers the same without them, or elsewhere.
_NOT_ASKED = ("backend", "store", "replay", "price", "file", "shots", "retrieval")
# Of a backend's options, those that decide what a model says.
_DECIDE = ("dtype", "quantization", "revision", "context")


def fingerprint(settings: PromptSettings) -> str:
    """A hash of wording, types, model, examples, index and documents; the files are read, no model is loaded.

    Raises:
        VanerError, FileNotFoundError: something that the settings name is not there.
    """
    said: dict[str, Any] = {k: v for k, v in asdict(settings).items() if k not in _NOT_ASKED}
    said["backend"] = _backend(settings.backend)
    shots, retrieval = settings.shots, settings.retrieval
    if shots.k:
        said["shots"] = asdict(shots) | {"source": _corpora(shots.source, shots.registry), "registry": None}
    said["retrieval"] = asdict(retrieval)
    if retrieval.names:
        said["retrieval"]["names"] = Store(retrieval.names).fingerprint
    if retrieval.passages:
        said["retrieval"]["passages"]["source"] = [sha256(one) for one in retrieval.passages.source]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def _backend(backend: BackendSettings) -> dict[str, Any]:
    said: dict[str, Any] = {"name": backend.name}
    said |= {option: backend.options[option] for option in _DECIDE if option in backend.options}
    said["model"] = _weights(backend.model) if backend.name != "openai" else backend.model
    if adapter := backend.options.get("adapter"):
        said["adapter"] = weights_hash(adapter)
    return said


def _weights(model: str) -> str:
    """What is in a model: of one that the hub has, its name."""
    path = Path(model)
    if model in EMBEDDED:
        return EMBEDDED[model].wheel_sha256
    if path.is_dir():
        return weights_hash(path)
    return sha256(path) if path.is_file() else model


def _corpora(names: Iterable[str], registry: str | None) -> dict[str, list[str]]:
    """Name of each corpus, without where it lies -> hashes of its train split."""
    known = all_corpora(registry)
    found = {}
    for name in names:
        if name in known:
            found[name] = [sha256(path) for path in known[name].paths("train")]
        elif is_path(name, known) and Path(name).exists():
            found[Path(name).name] = [sha256(name)]
        else:
            found[name] = []
    return found
