"""In: a tagger. Out: it pickled, as the name and options that it was loaded by; copies of it; what its answers hang on.

pickle.dumps(tagger)     name + options: whoever reads it loads the model for himself, as with an index
copy.copy(tagger)        another tagger of the same weights
copy.deepcopy(tagger)    another tagger of weights of its own
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vaner.errors import VanerError
from vaner.knowledge import KnowledgeBase
from vaner.model.hashing import model_files, model_hash
from vaner.provenance import versions

if TYPE_CHECKING:
    from typing_extensions import Self

OPTIONS = (
    "batch_tokens",
    "decoding",
    "flat",
    "allow_new_types",
    "max_words",
    "buffer_batches",
    "pack",
    "hints",
    "kb",
    "calibrated",
    "word_scores",
    "repeats",
)

#: Packages that compute what a model says.
COMPUTING = ("torch", "transformers", "tokenizers")
IN_MEMORY = (
    "this tagger was made of a model in memory and pickles only as the folder of a model; save the model "
    "(save_pretrained) and load it with from_pretrained"
)


class Copied:
    """What makes a tagger pickle and copy; its class has ``from_pretrained`` and takes OPTIONS."""

    _name: str | None = None
    _folder: Path = Path()
    _loading: Mapping[str, Any] = {}
    _given: Mapping[str, Any] = {}
    _at_first: Mapping[str, Any] = {}
    _files: tuple[tuple[str, int, int], ...] = ()

    def _loaded_as(
        self, name: str | Path, folder: str | Path, loading: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Self:
        """Remember how it was loaded: the name, a folder's in full, and the options of loading and of the tagger."""
        self._name = str(Path(name).resolve()) if Path(name).is_dir() else str(name)
        self._folder = Path(folder).resolve()
        self._files = _files(self._folder)
        self._loading, self._given, self._at_first = loading, given, self._options()
        return self

    def fingerprint(self) -> dict[str, Any]:
        """All that its answers hang on, beside texts, types and dataset, as JSON: for a cache of what it said.

        Raises:
            VanerError: the model was made in memory, or its files are others than those that were loaded.
        """
        if self._name is None:
            raise VanerError(IN_MEMORY)
        if _files(self._folder) != self._files:
            raise VanerError(
                f"{self._folder}: its files changed after this model was loaded, so nothing says what it is; load it "
                "again"
            )
        options = {
            name: value.fingerprint if isinstance(value, KnowledgeBase) else value
            for name, value in self._options().items()
        }
        network: Any = self.model  # type: ignore[attr-defined]
        return {
            "model": model_hash(self._folder),
            "dtype": str(network.plain_backbone.dtype),
            "device": network.device.type,
            **{name: self._loading.get(name) for name in ("quantization", "merge", "fuse")},
            **options,
            "versions": versions(COMPUTING),
        }

    def _options(self) -> dict[str, Any]:
        """The tagger's options as they are now."""
        now = {name: getattr(self, name) for name in OPTIONS}
        # Hints are given as an index.
        return now | {"hints": None if now["hints"] is None else now["hints"].kb}

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        if self._name is None:
            raise VanerError(IN_MEMORY)
        # What was set since is said, and the index by its own path; the rest the machine that loads it chooses.
        now = self._options()
        indexes = {k for k, v in now.items() if isinstance(v, KnowledgeBase)}
        changed = {k: v for k, v in now.items() if v is not self._at_first[k] or k in indexes}
        return _load, (type(self), self._name, {**self._loading, **self._given, **changed})

    def __copy__(self) -> Self:
        made = cast(Any, type(self))(self.model, self.tokenisation.tokenizer, **self._options())  # type: ignore[attr-defined]
        for name in ("_name", "_folder", "_files", "_loading", "_given", "_at_first"):
            setattr(made, name, getattr(self, name))
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self._name is not None:
            load, how = self.__reduce__()
            return load(*how)
        model, tokenizer = copy.deepcopy((self.model, self.tokenisation.tokenizer), memo)  # type: ignore[attr-defined]
        return cast(Any, type(self))(model, tokenizer, **self._options())


def _files(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Path, size and time of every file that makes the model of a folder."""
    files = ((str(path), path.stat()) for path in model_files(folder))
    return tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in files)


def _load(kind: Any, name: str, options: Mapping[str, Any]) -> Any:
    return kind.from_pretrained(name, **options)
