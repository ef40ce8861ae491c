"""In: rows as they are drawn. Out: the same in columns, a few bytes each; each a Draw again when it is asked for.

A row of names is not stored at all, only the state of the generator that drew it: it is drawn again when it is needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from vaner.inputs.features import Window
from vaner.inputs.hints import Hints, Names
from vaner.inputs.lookups import LeftOut, Lookups
from vaner.training.names import Example
from vaner.training.texts import Texts

_TEXTS = 500  # whose names are looked for together


@dataclass(frozen=True)
class Draw:
    """One row to be: a window of a text and the question asked about it.

    Attributes:
        source, text: number of the corpus in the mix, and of the text in it.
        window: its words.
        types: the asked types, in the order in which they are named.
        dataset: as the instruction names it, None in adaptive mode.
        hints: sentences for the instruction.
        noise: what the seed of what its lookups leave out is made of.
    """

    source: int
    text: int
    window: Window
    types: tuple[str, ...]
    dataset: str | None
    hints: tuple[str, ...] = ()
    noise: tuple[int, ...] = ()


@dataclass
class Drawing:
    """How rows are drawn.

    Attributes:
        head: ``typed`` asks several types in a row; ``shared`` makes one row a type.
        max_words: the longest unit; units of training are drawn from one sentence up to this.
        single_sentence: share of units that are one sentence, so that the model reads those too.
        drop_dataset: probability that the dataset is not named (adaptive mode).
        one_type: probability that one type is asked alone.
        all_types: probability that, otherwise, all are; else a random number of them.
        absent_types: share kept of the asked types that the unit does not mention; one is asked at least.
        keep_empty: share kept of the units in which nothing is annotated.
        hinted: share of the units whose instruction has hints of the index, where there is one.
        left_out: of lookups.
        replaced: share of the rows some of whose mentions are replaced by names of the index, where there is one.
        taught: whether rows have what a teacher said of their words, where it did.
        confidence: whether a label counts by the score of its mention, where that has one.
    """

    head: str = "typed"
    max_words: int = 96
    single_sentence: float = 0.25
    drop_dataset: float = 0.15
    one_type: float = 0.15
    all_types: float = 0.7
    absent_types: float = 1.0
    keep_empty: float = 1.0
    hinted: float = 0.5
    left_out: LeftOut = field(default_factory=LeftOut)
    replaced: float = 0.0
    taught: bool = False
    confidence: bool = False


class Units:
    """The rows of units of text that an epoch draws, in columns.

    Attributes:
        lengths: tokens of each row.
        hinted: 1 where a row's instruction has hints.
        replaced: 1 where names stand in place of some of a row's mentions.
    """

    def __init__(self) -> None:
        self._sources, self._texts = array("H"), array("I")
        self._windows = array("i")  # start, end, keep_start and keep_end of each
        self._types, self._type_ends = array("H"), array("q", [0])
        self._named = array("b")
        self.hinted, self.replaced = array("b"), array("b")
        self.lengths = array("i")

    def __len__(self) -> int:
        return len(self._sources)

    def add(
        self,
        source: int,
        text: int,
        window: Window,
        types: Sequence[int],
        *,
        named: bool,
        hinted: bool,
        length: int,
    ) -> None:
        """Add a row; types are places in those of its corpus, ``named`` says whether it names the dataset."""
        self._sources.append(source)
        self._texts.append(text)
        self._windows.extend((window.start, window.end, window.keep_start, window.keep_end))
        self._types.extend(types)
        self._type_ends.append(len(self._types))
        self._named.append(named)
        self.hinted.append(hinted)
        self.replaced.append(False)
        self.lengths.append(length)

    def __getitem__(self, number: int) -> tuple[int, int, Window, list[int], bool, bool]:
        """Source, text, window, types; whether the dataset is named, and there are hints."""
        window = Window(*self._windows[4 * number : 4 * number + 4])
        types = self._types[self._type_ends[number] : self._type_ends[number + 1]].tolist()
        how = bool(self._named[number]), bool(self.hinted[number])
        return self._sources[number], self._texts[number], window, types, *how


class NameRows:
    """The rows of names that an epoch draws: for each its unit and the state in which the generator drew it.

    Attributes:
        lengths: tokens of each row.
    """

    def __init__(self) -> None:
        self._units = array("q")
        self._states = array("Q")  # upper and lower half of each, and what is left of the number before
        self._windows = array("H")
        self._increment = 0  # the same of all states
        self.lengths = array("i")

    def __len__(self) -> int:
        return len(self._units)

    def add(self, unit: int, state: Mapping[str, Any], window: int, length: int) -> None:
        """Add a row: its unit, the generator's state before it was drawn, and its number where it was cut."""
        inner = state["state"]
        self._increment = inner["inc"]
        self._units.append(unit)
        left = state["uinteger"] << 1 | state["has_uint32"]
        self._states.extend((inner["state"] >> 64, inner["state"] & (1 << 64) - 1, left))
        self._windows.append(window)
        self.lengths.append(length)

    def __getitem__(self, number: int) -> tuple[int, np.random.Generator, int]:
        """Unit, a generator in the state in which it drew the row, and the row's number where it was cut."""
        upper, lower, left = self._states[3 * number : 3 * number + 3]
        generator = np.random.PCG64(0)
        generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": upper << 64 | lower, "inc": self._increment},
            "has_uint32": left & 1,
            "uinteger": left >> 1,
        }
        return self._units[number], np.random.Generator(generator), self._windows[number]


class Draws(Sequence["Draw | Example"]):
    """The rows of an epoch, those of names last, each built when it is asked for.

    Args:
        units, names: the rows in columns.
        build: builds the row of a number.

    Attributes:
        lengths: tokens of each row, int32.
    """

    def __init__(self, units: Units, names: NameRows, build: Callable[[Draws, int], Draw | Example]) -> None:
        self.units, self.names = units, names
        self._build = build
        self.lengths = np.concatenate([np.asarray(rows.lengths, np.int32) for rows in (units, names)])

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, number: int) -> Draw | Example: ...
    @overload
    def __getitem__(self, number: slice) -> list[Draw | Example]: ...
    def __getitem__(self, number: int | slice) -> Draw | Example | list[Draw | Example]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        return self._build(self, number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)


class Hinted:
    """Names in a corpus's Texts that hints may be given of, in columns."""

    def __init__(self, hints: Hints, texts: Texts) -> None:
        self._kinds = hints.types
        self._starts, self._ends, self._types = array("i"), array("i"), array("H")
        self._text_ends = array("q", [0])
        place = {type: i for i, type in enumerate(hints.types)}
        for at in range(0, len(texts), _TEXTS):
            for names in hints.names(texts[at : at + _TEXTS]):
                self._add((start, end, place[type]) for start, end, type in names)

    def _add(self, names: Iterable[tuple[int, int, int]]) -> None:
        for start, end, type in names:
            self._starts.append(start)
            self._ends.append(end)
            self._types.append(type)
        self._text_ends.append(len(self._starts))

    def of(self, text: int) -> Names:
        """The names in a text, as `Hints.names` has them."""
        those = slice(self._text_ends[text], self._text_ends[text + 1])
        types = [self._kinds[i] for i in self._types[those]]
        return list(zip(self._starts[those], self._ends[those], types, strict=True))


class FoundNames:
    """What an index has of a corpus's Texts, in columns."""

    def __init__(self, lookups: Lookups, texts: Texts) -> None:
        self._ends = array("q", [0])
        parts = []
        for at in range(0, len(texts), _TEXTS):
            for found in lookups.found(texts[at : at + _TEXTS]):
                parts.append(found)
                self._ends.append(self._ends[-1] + len(found))
        self._rows = np.concatenate(parts)

    def of(self, text: int) -> np.ndarray:
        """The names in a text, as `Lookups.found` has them."""
        return self._rows[self._ends[text] : self._ends[text + 1]]
