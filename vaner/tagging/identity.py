"""In: the name of a tagger. Out: what it is called wherever it lies, and a hash of what it is made of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from vaner.files import sha256
from vaner.knowledge import KnowledgeBase
from vaner.model.catalogue import model_folder
from vaner.model.config import CONFIG_NAME
from vaner.model.hashing import weights_hash

_BACKBONE = "backbone"
_TOKENISERS = ("tokenizer.json", "tokenizer_config.json")


def plain_name(name: str) -> str:
    """The name without where it lies: ``mine`` for ``/data/runs/mine``, ``kb:names.kb`` for ``kb:/data/names.kb``."""
    prefix, colon, rest = name.rpartition(":")
    if colon and not Path(name).exists():
        return f"{prefix}:{plain_name(rest)}"
    return Path(name).resolve().name if os.path.exists(name) else name


def tagger_hash(name: str) -> str:
    """A hash of what a tagger is made of, the same wherever it lies.

    Of a model: settings, tokenizer and all weights, those of its backbone by the hash that its settings hold or by
    what is in its folder. Of a dictionary: its index's fingerprint. Of others: that of the file or folder that the
    name has behind its prefix, or ``""`` where there is none.

    Raises:
        VanerError: no such model.
        FileNotFoundError: no such index.
    """
    prefix, colon, rest = name.partition(":")
    if colon and not Path(name).exists():
        if prefix == "kb":
            return KnowledgeBase(rest).fingerprint
        return sha256(rest) if os.path.exists(rest) else ""
    folder = Path(model_folder(name))
    digest = hashlib.sha256()
    for file in (CONFIG_NAME, *_TOKENISERS):
        if (folder / file).is_file():
            digest.update(f"{file} {sha256(folder / file)}\n".encode())
    for part in (folder, folder / _BACKBONE):
        if any(part.glob("*.safetensors")):
            digest.update(f"{part.name if part != folder else ''} {weights_hash(part)}\n".encode())
    return digest.hexdigest()
