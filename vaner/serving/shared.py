"""In: TaggingSettings, what requests ask. Out: each request's documents, tagged as the settings would tag them alone.

    documents of many requests  ->  models  ->  what each model says of each document       shared, by what is asked
    one request's documents     ->  least score -> several, flat -> link -> existing        its own

So requests share what is slow, and whether they do changes nothing in what they get.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vaner.document import Document
from vaner.errors import VanerError
from vaner.tagger import FAILED, Tagger
from vaner.tagging.around import Around
from vaner.tagging.identity import plain_name
from vaner.tagging.loading import is_generator, split
from vaner.tagging.recorded import Recorded
from vaner.tagging.settings import TaggingSettings
from vaner.tagging.several import Several

#: What each model says of one document.
Said = Mapping[str, Document]


@dataclass(frozen=True)
class Asked:
    """What the models are asked: for each the types, and the dataset; requests with the same share runs."""

    types: tuple[tuple[str, tuple[str, ...]], ...]
    dataset: str | None


@dataclass(frozen=True)
class Wish:
    """What a request asks; None is what the server was started with."""

    types: tuple[str, ...] | None = None
    dataset: str | None = None
    min_score: float | None = None
    link: bool | None = None


class SharedTagger:
    """The models of a server.

    Args:
        settings: what they are, and what requests get that ask nothing else.

    Raises:
        VanerError, FileNotFoundError: as of `TaggingSettings.open`.
    """

    def __init__(self, settings: TaggingSettings) -> None:
        # A request's least score must come before overlaps are settled, so that is done for each by itself.
        settings = replace(settings, on_failed="leave", min_score=settings.min_score or 0.0)
        settings.check()
        self.settings = settings
        self.taggers, self.linker = settings.load()
        self.together: Tagger = settings.around(self.taggers, self.linker)
        self.record = settings.provenance()
        self._several = Several(self.taggers, conflicts=settings.conflicts, flat=settings.flat)
        self.asked(Wish())

    @property
    def name(self) -> str:
        """The models' plain names."""
        return " + ".join(map(plain_name, self.settings.models))

    @property
    def shares(self) -> bool:
        """Whether several threads may ask the models at once; prompted ones count what one run asks."""
        return all(split(name)[0] in ("", "kb") and not is_generator(name) for name in self.settings.models)

    def asked(self, wish: Wish) -> Asked:
        """What the models are asked for a request.

        Raises:
            VanerError: an unknown type or dataset, or concept ids where there are none.
        """
        if wish.link and self.linker is None:
            raise VanerError("link: this server gives no concept ids; leave it out, or start it with --link")
        dataset = self.settings.dataset if wish.dataset is None else wish.dataset
        types = wish.types
        if types is None and wish.dataset is None:
            types = self.settings.types
        each = self._several.asked(types, dataset)
        return Asked(tuple((name, tuple(types)) for name, types in each.items()), dataset)

    def read(self, asked: Asked, documents: Sequence[Document]) -> list[Said]:
        """What each model says of each document."""
        answers = {}
        for name, types in asked.types:
            tagger = self.taggers[name]
            dataset = asked.dataset if asked.dataset in tagger.datasets else None
            answers[name] = list(tagger.tag_documents(documents, list(types), dataset))
        return [dict(zip(answers, one, strict=True)) for one in zip(*answers.values(), strict=True)]

    def finish(
        self, wish: Wish, asked: Asked, documents: Sequence[Document], said: Sequence[Said]
    ) -> tuple[list[Document], list[str]]:
        """A request's documents with their spans, and what its sender should know."""
        settings = self.settings
        if wish.min_score is not None:
            settings = replace(settings, min_score=wish.min_score)
        linker = None if wish.link is False else self.linker
        given: dict[str, Tagger] = {
            name: _Given(tagger, [one[name] for one in said]) for name, tagger in self.taggers.items()
        }
        types = list(dict.fromkeys(type for _, types in asked.types for type in types))
        tagger = Recorded(settings.around(given, linker), self.record)
        tagged = list(tagger.tag_documents(documents, types, asked.dataset))
        failed = [
            f"document {one.id} is not tagged in full: {one.metadata[FAILED]}"
            for one in tagged
            if FAILED in one.metadata
        ]
        return tagged, [*tagger.remarks(), *failed]


class _Given(Around):
    """A tagger whose answers were given before."""

    def __init__(self, tagger: Tagger, answers: Sequence[Document]) -> None:
        super().__init__(tagger)
        self._answers = answers

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        return (answer for _, answer in zip(documents, self._answers, strict=True))

    def remarks(self) -> list[str]:
        return []
