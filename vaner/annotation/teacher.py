"""In: a teacher's settings, names of datasets. Out: the Tagger that tags each text as one of them.

    e3c/17   asked as bc5cdr      the types of bc5cdr, as its guideline has them
    e3c/18   asked as adaptive    all types that are asked, no dataset named
    e3c/19   asked as bc2gm       ...

A student that is to follow the names of datasets must see what they mean in raw text too. Which document is asked how
follows from its id alone, so neither order nor interruption changes it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vaner.document import Document
from vaner.errors import VanerError, near
from vaner.model.catalogue import model_folder
from vaner.tagger import Tagger
from vaner.tagging.around import Around
from vaner.tagging.distant import share_of
from vaner.tagging.identity import unloaded
from vaner.tagging.loading import is_generator, split
from vaner.tagging.settings import TaggingSettings
from vaner.tagging.several import Several

#: How a text is asked where no dataset is named.
ADAPTIVE = "adaptive"
#: Where a document says, in its ``metadata``, how it is asked: the name of a dataset, or ADAPTIVE.
ASKED_AS = "asked_as"
#: What a student learns of a text: the spans that the teacher found, or what it says of every word.
SPANS, SCORES = "spans", "scores"
WAYS = (SPANS, SCORES)


def is_labeler(name: str) -> bool:
    """Whether a name is that of a labeler, which says what it finds of every word."""
    return not split(name)[0] and not is_generator(name)


def learn_from(models: Sequence[str], asked: str | None) -> str:
    """What a student learns of a text.

    Args:
        models: the teachers' names.
        asked: SPANS or SCORES; None for SCORES where there is one labeler, else SPANS.

    Raises:
        VanerError: neither of them, or SCORES of teachers that do not give any.
    """
    gives_scores = len(models) == 1 and is_labeler(models[0])
    chosen = asked or (SCORES if gives_scores else SPANS)
    if chosen not in WAYS:
        raise VanerError(f"--learn_from {chosen}: choose {' or '.join(WAYS)}")
    if chosen == SCORES and not gives_scores:
        who = f"{len(models)} teachers do" if len(models) > 1 else f"{models[0]} does"
        raise VanerError(
            f"--learn_from {SCORES}: {who} not say what it finds of every word, as one labeler does; leave it out, or "
            f"write --learn_from {SPANS}"
        )
    return chosen


def known(settings: TaggingSettings) -> Tagger | None:
    """What the teacher knows, without loading it; a labeler of the hub is fetched. None where only loading tells.

    Raises:
        VanerError, FileNotFoundError: it is not there.
    """
    found = {}
    for name in settings.models:
        tagger = unloaded(model_folder(name) if is_labeler(name) else name)
        if tagger is None:
            return None
        found[name] = tagger
    return Several(found)


def asked_as(
    words: Sequence[str] | None, teacher: Tagger | None, types: Sequence[str] | None
) -> dict[str, float]:
    """How texts are asked: name of a dataset, or ADAPTIVE -> its share of the texts; the shares add up to 1.

    Args:
        words: ``NAME`` or ``NAME:WEIGHT``; None for ADAPTIVE and every dataset that the teacher knows, alike.
        teacher: what is known of it; None where nothing is.
        types: that are asked; None for all. A dataset that annotates none of them is not asked unless it is named.

    Raises:
        VanerError: a dataset that the teacher does not know or that annotates no type that is asked, a wrong weight, a
            name said twice.
    """
    datasets = teacher.datasets if teacher else {}
    if words is None:
        wanted = [name for name, has in datasets.items() if types is None or set(has) & set(types)]
        weights = dict.fromkeys([ADAPTIVE, *wanted], 1.0)
    else:
        weights = {}
        for word in words:
            name, weight = _weighted(word, datasets)
            if name in weights:
                raise VanerError(f"--as {name} is said twice; give it a weight instead, as in {name}:2")
            weights[name] = weight
    for name in weights:
        if name == ADAPTIVE:
            continue
        if teacher is not None and name not in datasets:
            hint = near(name, datasets) or f"it knows {', '.join(datasets) or 'none'}"
            raise VanerError(f"--as {name}: the teacher knows no dataset of that name ({hint})")
        if teacher is not None and types is not None and not set(types) & set(datasets[name]):
            raise VanerError(
                f"--as {name}: annotates {', '.join(datasets[name])} and none of --types; leave it out"
            )
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def types_of(ways: Iterable[str], teacher: Tagger, types: Sequence[str] | None) -> set[str]:
    """Entity types that are asked of a teacher in some way; ``types`` restricts them."""
    said = {type for way in ways for type in (teacher.types if way == ADAPTIVE else teacher.datasets[way])}
    return said if types is None else said & set(types)


def _weighted(word: str, datasets: Mapping[str, Sequence[str]]) -> tuple[str, float]:
    name, colon, number = word.rpartition(":")
    if not colon or word in datasets:
        return word, 1.0
    try:
        weight = float(number)
    except ValueError:
        weight = 0.0
    if not 0 < weight < math.inf:
        raise VanerError(f"--as {word}: the weight must be a positive number, as in {name}:0.5")
    return name, weight


def choose(id: str, shares: Mapping[str, float]) -> str:
    """How the document of this id is asked, one of the names in ``shares``; it follows from the id alone."""
    place, up_to = share_of(0, f"{ASKED_AS} {id}"), 0.0
    for name, share in shares.items():
        up_to += share
        if place < up_to:
            return name
    return list(shares)[-1]  # where rounding left the sum below 1


@dataclass(frozen=True)
class Teacher:
    """What opens a teacher in any process (`vaner.jobs.worker.Settings`).

    Attributes:
        settings: of the tagger inside; no dataset.
        ways: how texts are asked, names of datasets and ADAPTIVE.
    """

    settings: TaggingSettings
    ways: tuple[str, ...] = (ADAPTIVE,)

    @property
    def types(self) -> Sequence[str] | None:
        """Entity types that are asked; None for all."""
        return self.settings.types

    @property
    def dataset(self) -> str | None:
        """None: each document says itself how it is asked."""
        return self.settings.dataset

    def open(self) -> Tagger:
        """Load the tagger; raises VanerError as `TaggingSettings.open`."""
        return Asked(self.settings.open(), self.ways)


class Asked(Around):
    """A tagger that reads in each document how it is asked (ASKED_AS in its metadata).

    Its documents say in ``types`` which entity types were asked. Documents that are tagged by one call share batches
    with those that are asked alike.

    Args:
        tagger: the one that tags.
        ways: that may be asked; each is tried once, with no document, when the tagger is called.
    """

    def __init__(self, tagger: Tagger, ways: Sequence[str]) -> None:
        super().__init__(tagger)
        self.ways = tuple(ways)
        self._counted: Counter[str] = Counter()

    @property
    def tokens(self) -> int:
        """That the tagger inside read in the last run."""
        return self._counted["tokens"]

    @property
    def padded_tokens(self) -> int:
        """The same with padding."""
        return self._counted["padded_tokens"]

    @property
    def counts(self) -> dict[str, int]:
        """What else the tagger inside counted in the last run."""
        return {name: n for name, n in self._counted.items() if name not in ("tokens", "padded_tokens")}

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order, all of which are read at once; see `vaner.tagger.Tagger`.

        Args:
            types: entity types to look for; of a dataset, those among its own.
            dataset: how documents are asked that do not say it.
        """
        self._counted = Counter()
        for way in self.ways:
            for _ in self._asked(iter(()), way, types):
                pass
        return self._tagged(list(documents), types, dataset or ADAPTIVE)

    def _tagged(
        self, documents: list[Document], types: Sequence[str] | None, otherwise: str
    ) -> Iterator[Document]:
        ways: dict[str, list[int]] = {}
        for number, document in enumerate(documents):
            ways.setdefault(document.metadata.get(ASKED_AS, otherwise), []).append(number)
        found: dict[int, Document] = {}
        for way, numbers in ways.items():
            found.update(zip(numbers, self._asked((documents[i] for i in numbers), way, types), strict=True))
            self._counted.update(tokens=super().tokens, padded_tokens=super().padded_tokens, **super().counts)
        yield from (found[number] for number in range(len(documents)))

    def _asked(
        self, documents: Iterable[Document], way: str, types: Sequence[str] | None
    ) -> Iterator[Document]:
        if way == ADAPTIVE:
            asked, dataset = list(self.types if types is None else types), None
        else:
            has = self.datasets.get(way, ())
            asked, dataset = [type for type in has if types is None or type in types], way
        for document in self.tagger.tag_documents(documents, asked, dataset):
            yield replace(document, types=frozenset(asked))
