"""In: the name of a tagger. Out: what can be said of it before it is loaded: its plain name, a hash, what it knows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import sha256
from vaner.inputs.lookups import Lookups
from vaner.knowledge import KnowledgeBase
from vaner.knowledge.shipped import NO_INDEX, named_index, needed_index
from vaner.knowledge.store import Store
from vaner.model.catalogue import model_folder, shipped_models
from vaner.model.config import ModelConfig
from vaner.model.hashing import model_hash
from vaner.prompting.fingerprint import fingerprint
from vaner.prompting.settings import PromptSettings
from vaner.tagging.loading import AllOptions, hash_of, is_generator, split


@dataclass(frozen=True)
class Unloaded:
    """A Tagger that says what it knows and cannot tag yet; ``looks_up``: whether it can use an index."""

    types: Sequence[str]
    datasets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    max_words: int | None = None
    allow_new_types: bool = False
    listed: Sequence[str] = ()
    looks_up: bool = False

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Raise VanerError."""
        raise VanerError("this tagger only says what it knows; vaner.tagging.loading.load loads it")

    def remarks(self) -> list[str]:
        """Nothing."""
        return []


def unloaded(
    name: str, *, allow_new_types: bool = False, kb: str | os.PathLike | None = None
) -> Unloaded | None:
    """What a model in a folder, a shipped one, a dictionary or a prompted tagger knows; None for others.

    Of those only loading can tell.

    Args:
        name: of the tagger.
        allow_new_types: as it will be told.
        kb: path of the index in which it will look words up, if it can.

    Raises:
        VanerError: no such model, or a damaged one.
        FileNotFoundError: no such index.
    """
    prefix, rest = split(name)
    if prefix == "prompt" or (not prefix and is_generator(name)):
        asked = PromptSettings.load(rest)
        return Unloaded(list(asked.types), asked.datasets, asked.max_words, allow_new_types=True)
    if prefix:
        return Unloaded(Store(needed_index(rest)).description["types"]) if prefix == "kb" else None
    if not Path(name).is_dir() and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return None  # a hub id
    settings = ModelConfig.load(model_folder(name))
    listed: list[str] = []
    if settings.lookups and kb is not None:
        known = Lookups(KnowledgeBase(kb), settings.lookups["names"]).types
        listed = [type for type in known if type not in settings.types]
    return Unloaded(
        settings.types,
        settings.datasets,
        settings.max_words,
        allow_new_types,
        listed,
        looks_up=bool(settings.lookups),
    )


def reads(name: str) -> tuple[bool, bool]:
    """Whether a tagger reads hints, and whether it looks words up; a model of the hub is fetched to tell."""
    if split(name)[0] or is_generator(name):
        return False, False
    settings = ModelConfig.load(model_folder(name))
    return bool(settings.hints), bool(settings.lookups)


def of_index(name: str, kb: str | None) -> AllOptions:
    """Options of a tagger for an index (``--kb``): for its hints, to look words up, or both; as it was trained to.

    Args:
        name: of the tagger.
        kb: path of the index, ``open``, ``none``, or None for what the tagger does by itself.

    Raises:
        VanerError: it reads neither.
        FileNotFoundError: no such index.
    """
    if kb is None:
        return {}
    hints, lookups = reads(name)
    if not hints and not lookups and kb != NO_INDEX:
        raise VanerError(
            f"--kb {kb}: {name} was trained with neither hints nor lookups of an index; leave it out, or train with "
            "--kb_lookups"
        )
    index = named_index(kb)
    options: AllOptions = {"hints": index} if hints and index is not None else {}
    return options | {"kb": NO_INDEX if index is None else index} if lookups else options


def plain_name(name: str) -> str:
    """The name without where it lies: ``mine`` for ``/data/runs/mine``, ``kb:names.kb`` for ``kb:/data/names.kb``."""
    prefix, rest = split(name)
    if prefix:
        return f"{prefix}:{plain_name(rest)}"
    return Path(name).resolve().name if os.path.exists(name) else name


def tagger_hash(name: str) -> str:
    """A hash of what a tagger is made of, the same wherever it lies.

    Of a model: settings, tokenizer and all weights, those of its backbone by the hash that its settings hold or by
    what is in its folder. Of a dictionary: its index's fingerprint. Of a prompted tagger: all that its file names
    (`vaner.prompting.fingerprint`). Of others: what was registered for them, or that of the
    file or folder that the name has behind its prefix, or ``""`` where there is none.

    Raises:
        VanerError: no such model.
        FileNotFoundError: no such index.
    """
    prefix, rest = split(name)
    if prefix == "prompt" or (not prefix and is_generator(name)):
        return fingerprint(PromptSettings.load(rest))
    if prefix:
        if prefix == "kb":
            return Store(needed_index(rest)).fingerprint
        if (registered := hash_of(prefix)) is not None:
            return registered(rest)
        return sha256(rest) if os.path.exists(rest) else ""
    return model_hash(model_folder(name))


def folder_hash(name: str) -> str | None:
    """The hash of the model's folder that a name means, by which its scores are known; None of other taggers."""
    here = Path(name).is_dir() or name in shipped_models()
    if split(name)[0] or not (here or name.count("/") == 1):
        return None
    return model_hash(model_folder(name))
