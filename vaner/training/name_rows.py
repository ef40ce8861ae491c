"""In: the units of an epoch, names related to them. Out: rows of names, and units with names in place of mentions.

Both have generators of their own, from the seed and the epoch, so that they change nothing of the units drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vaner.inputs.features import Tokenisation, windows
from vaner.inputs.instructions import Template
from vaner.text.tags import IGNORED
from vaner.training.drawing import NameRows, Units
from vaner.training.names import Example, RelatedNames
from vaner.training.texts import Texts


class Source(Protocol):
    """What is read here of a corpus of the mix (`vaner.training.mixture.TrainingCorpus`)."""

    dataset: str | None
    types: tuple[str, ...]
    texts: Texts


class NameDrawing:
    """Draws what names of an index add to the units of an epoch.

    Args:
        names: related to the units.
        sources: the corpora of the units.
        tokenisation: of the backbone.
        template: of the instruction.
        seed: of everything drawn.
    """

    def __init__(
        self,
        names: RelatedNames,
        sources: Sequence[Source],
        tokenisation: Tokenisation,
        template: Template,
        seed: int,
    ) -> None:
        self.names = names
        self.sources = sources
        self.tokenisation = tokenisation
        self.template = template
        self.seed = seed

    def draw(self, epoch: int, units: Units) -> NameRows:
        """Rows of names for about ``names.ratio`` times as many units, each asked what its unit is asked."""
        found = NameRows()
        rng = np.random.default_rng([self.seed, epoch, 2])
        for unit in range(len(units)):
            for _ in range(int(self.names.ratio + rng.random())):
                state = rng.bit_generator.state
                for number, example in enumerate(self._examples(rng, units, unit)):
                    found.add(unit, state, number, self._length(example))
        return found

    def row(self, units: Units, drawn: tuple[int, np.random.Generator, int]) -> Example:
        """A row of names as it was drawn."""
        unit, rng, window = drawn
        return self._examples(rng, units, unit)[window]

    def replace(self, epoch: int, units: Units, share: float) -> None:
        """Put names in the place of mentions in about that share of the rows of units, and note how long these are.

        A row stays as it is where no mention can be replaced, where it would be too long for the model, where its
        instruction has hints, which would name what is not there, and where its type is asked by its names alone.
        """
        coin = np.random.default_rng([self.seed, epoch, 8])
        for unit in np.flatnonzero(coin.random(len(units)) < share).tolist():
            example = self._replaced(epoch, units, unit)
            if example is None:
                continue
            length = self._length(example)
            if length <= self.tokenisation.max_tokens:
                units.replaced[unit], units.lengths[unit] = True, length

    def replaced(self, epoch: int, units: Units, unit: int) -> Example | None:
        """The row of a unit that was drawn with names in place of mentions; None of one that was not."""
        return self._replaced(epoch, units, unit) if units.replaced[unit] else None

    def _replaced(self, epoch: int, units: Units, unit: int) -> Example | None:
        source, text, window, asked, named, hinted = units[unit]
        if hinted:
            return None
        corpus = self.sources[source]
        types = [corpus.types[i] for i in asked]
        tags = corpus.texts.tags(text)[asked, window.start : window.end]
        dataset = corpus.dataset if named else None
        rng = np.random.default_rng([self.seed, epoch, 9, unit])
        return self.names.replacement(rng, source, text, window, types, tags, dataset)

    def _examples(self, rng: np.random.Generator, units: Units, unit: int) -> list[Example]:
        """A row of names for a unit, in windows where it is too long; none where no name is related to it."""
        source, text, window, asked, *_ = units[unit]
        start, end = window.keep_start, window.keep_end
        types = [self.sources[source].types[i] for i in asked]
        tags = self.sources[source].texts.tags(text)[asked, start:end]
        example = self.names.example(rng, source, text, start, end, types, tags)
        return self._fitting(example) if example is not None else []

    def _length(self, example: Example) -> int:
        words = sum(map(len, self.tokenisation.words(example.words)))
        return self.tokenisation.length(self.template.render(example.types, example.dataset), words)

    def _fitting(self, example: Example) -> list[Example]:
        """The example, in overlapping windows where it is too long for a row."""
        counts = list(map(len, self.tokenisation.words(example.words)))
        cut = windows(0, len(counts), counts, self.tokenisation.room(self.template.render(example.types)))
        if len(cut) == 1:
            return [example]
        labels = np.array(example.labels)
        found = []
        for w in cut:
            kept = np.full_like(labels[:, w.start : w.end], IGNORED)
            inside = slice(w.keep_start - w.start, w.keep_end - w.start)
            kept[:, inside] = labels[:, w.keep_start : w.keep_end]
            words = example.words[w.start : w.end]
            found.append(Example(example.types, words, tuple(map(tuple, kept.tolist()))))
        return found
