"""In: settings of tagging. Out: a Tagger that is loaded when it is first needed, in whichever process that is.

It pickles as its settings: whoever reads it loads the model for himself. So it travels to worker processes, and can be
made where nothing may take long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from vaner.document import Document
from vaner.provenance import versions
from vaner.tagger import Tagger
from vaner.tagging.around import Around
from vaner.tagging.copying import COMPUTING
from vaner.tagging.identity import unloaded
from vaner.tagging.settings import TaggingSettings


class Opened(Around):
    """What settings of tagging make of documents, as a Tagger.

    Args:
        settings: checked at once, so that what cannot work is refused before anything is loaded.

    Raises:
        VanerError, FileNotFoundError: as `vaner.tagging.settings.TaggingSettings.check`.
    """

    def __init__(self, settings: TaggingSettings) -> None:
        settings.check()
        self.settings = settings

    def __reduce__(self) -> tuple[Callable[..., Opened], tuple[TaggingSettings]]:
        return Opened, (self.settings,)

    @cached_property
    def tagger(self) -> Tagger:  # type: ignore[override]  # what others are given, it makes
        """The tagger; the first to ask waits until it is loaded."""
        return self.settings.open()

    @property
    def types(self) -> Sequence[str]:
        """The types that the settings name; else those it knows, as far as that is known without loading."""
        if self.settings.types is not None:
            return self.settings.types
        found: dict[str, None] = {}
        for known in map(unloaded, self.settings.models):
            if known is None:  # of the hub, say
                return self.tagger.types if "tagger" in vars(self) else ()
            dataset = self.settings.dataset
            found |= dict.fromkeys(known.types if dataset is None else known.datasets.get(dataset, ()))
        return tuple(found)

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order; see `vaner.tagger.Tagger`. What is not said is as in the settings."""
        types = self.settings.types if types is None else types
        dataset = self.settings.dataset if dataset is None else dataset
        return self.tagger.tag_documents(documents, types, dataset)

    def remarks(self) -> list[str]:
        """Of the tagger; none before it is loaded."""
        return self.tagger.remarks() if "tagger" in vars(self) else []

    def fingerprint(self) -> dict[str, Any]:
        """All that its answers hang on, beside texts, as JSON: for a cache of what it said.

        Raises:
            VanerError, FileNotFoundError: a model that is not there.
        """
        return {**self.settings.to_dict(), "hashes": self.settings.hashes(), "versions": versions(COMPUTING)}
