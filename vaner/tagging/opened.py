"""In: settings of tagging. Out: a Tagger that is loaded when it is first needed, in whichever process that is.

It pickles as its settings: whoever reads it loads the model for himself. So it travels to worker processes, and can be
made where nothing may take long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from vaner.document import Document
from vaner.tagger import Tagger
from vaner.tagging.identity import unloaded
from vaner.tagging.settings import TaggingSettings


class Opened:
    """What settings of tagging make of documents.

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
    def tagger(self) -> Tagger:
        """The tagger; the first to ask waits until it is loaded."""
        return self.settings.open()

    @property
    def types(self) -> tuple[str, ...]:
        """The types that are looked for, as far as it is known without loading; none for a model of the hub."""
        if self.settings.types is not None:
            return self.settings.types
        known = [unloaded(name) for name in self.settings.models]
        found: dict[str, None] = {}
        for one in known:
            if one is None:
                return ()
            dataset = self.settings.dataset
            found |= dict.fromkeys(one.types if dataset is None else one.datasets.get(dataset, ()))
        return tuple(found)

    def tag(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Tag documents, in input order, as the settings say; see `vaner.tagger.Tagger`."""
        return self.tagger.tag_documents(documents, self.settings.types, self.settings.dataset)
