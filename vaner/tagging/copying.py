"""In: a tagger. Out: it pickled, as the name and options that it was loaded by; and copies of it.

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
)


class Copied:
    """What makes a tagger pickle and copy; its class has ``from_pretrained`` and takes OPTIONS."""

    _name: str | None = None
    _loading: Mapping[str, Any] = {}
    _given: Mapping[str, Any] = {}
    _at_first: Mapping[str, Any] = {}

    def _loaded_as(self, name: str | Path, loading: Mapping[str, Any], given: Mapping[str, Any]) -> Self:
        """Remember how it was loaded: the name, a folder's in full, and the options of loading and of the tagger."""
        self._name = str(Path(name).resolve()) if Path(name).is_dir() else str(name)
        self._loading, self._given, self._at_first = loading, given, self._options()
        return self

    def _options(self) -> dict[str, Any]:
        """The tagger's options as they are now."""
        now = {name: getattr(self, name) for name in OPTIONS}
        # Hints are given as an index.
        return now | {"hints": None if now["hints"] is None else now["hints"].kb}

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        if self._name is None:
            raise VanerError(
                "this tagger was made of a model in memory and pickles only as the folder of a model; save the model "
                "(save_pretrained) and load it with from_pretrained"
            )
        # What was set since is said, and the index by its own path; the rest the machine that loads it chooses.
        now = self._options()
        indexes = {k for k, v in now.items() if isinstance(v, KnowledgeBase)}
        changed = {k: v for k, v in now.items() if v is not self._at_first[k] or k in indexes}
        return _load, (type(self), self._name, {**self._loading, **self._given, **changed})

    def __copy__(self) -> Self:
        made = cast(Any, type(self))(self.model, self.tokenisation.tokenizer, **self._options())  # type: ignore[attr-defined]
        for name in ("_name", "_loading", "_given", "_at_first"):
            setattr(made, name, getattr(self, name))
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self._name is not None:
            load, how = self.__reduce__()
            return load(*how)
        model, tokenizer = copy.deepcopy((self.model, self.tokenisation.tokenizer), memo)  # type: ignore[attr-defined]
        return cast(Any, type(self))(model, tokenizer, **self._options())


def _load(kind: Any, name: str, options: Mapping[str, Any]) -> Any:
    return kind.from_pretrained(name, **options)
