"""In: corpora's training Texts, names related to them. Out: every epoch's seeded rows, batched under a budget.

A row is drawn, not stored: which sentences share a unit, which types are asked in which order, and whether the
dataset is named, are chosen anew in every epoch from the seed and the epoch's number, so that any process and
any resumed run draws the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from functools import partial

import numpy as np

from vaner.errors import VanerError
from vaner.inputs.batching import collate, padding_share, shuffled
from vaner.inputs.features import Features, Tokenisation, Window, windows
from vaner.inputs.hints import Hints
from vaner.inputs.instructions import Instruction, Template
from vaner.inputs.lookups import Lookups
from vaner.text.tags import IGNORED, I
from vaner.text.units import Text, group
from vaner.training.drawing import Draw, Drawing, Draws, FoundNames, Hinted, NameRows, Units
from vaner.training.name_rows import NameDrawing
from vaner.training.names import Example, RelatedNames
from vaner.training.schedule import NAMES, TEXT, THROUGHOUT, Order, Schedule
from vaner.training.texts import Texts
from vaner.training.tokens import Tokens

# A unit's first word and the one past its last, places of the asked types, whether the dataset is named, and hints
# are wanted -> its rows: the window, whether it has hints, how many tokens it has.
Cutter = Callable[[int, int, Sequence[int], bool, bool], "Iterator[tuple[Window, bool, int]]"]


@dataclass
class TrainingCorpus:
    """One corpus in the mix.

    Attributes:
        name: its name in the registry.
        dataset: its name in the instruction; None where no guideline made its labels, and no row names one.
        texts: training documents, segmented; a list of Texts is taken into columns in memory.
        types: what it annotates; only these are asked of it. A document may annotate fewer.
        weight: how many times its units are drawn per epoch, relative to one pass; 0.5 draws each unit with
            probability one half.
    """

    name: str
    dataset: str | None
    given: InitVar[Sequence[Text]]
    types: tuple[str, ...]
    weight: float = 1.0
    texts: Texts = field(init=False)

    def __post_init__(self, given: Sequence[Text]) -> None:
        self.texts = given if isinstance(given, Texts) else Texts.of(given, self.types)
        if not self.texts:
            raise VanerError(f"{self.name}: no training document is left; check its train split and --cap")

    @property
    def unreachable(self) -> int:
        """Mentions that the tags cannot hold."""
        return self.texts.sizes.unreachable


class Mixture:
    """All batches of a training run, as a map-style dataset whose items are whole batches.

    Args:
        sources: the corpora.
        tokenisation: of the backbone.
        template: of the instruction.
        drawing: how rows are drawn.
        batch_tokens: tokens a batch, padding included.
        epochs: passes over the mix.
        seed: of everything drawn.
        names: draws rows of knowledge-base names for the units of an epoch, which are added to its rows.
        hints: writes the hints of instructions; none without it.
        lookups: looks the words of rows up; none without it.
        schedule: when rows of names are read. Unless ``throughout``, they have batches of their own, and those of text
            are, bit for bit and in their order, what they are without names.

    Attributes:
        name_rows: how many rows of names each epoch has.
        hinted_rows: how many of an epoch's rows have hints.
        replaced_rows: how many of them have names in place of mentions.
        schedule: when rows of names are read.
        padding: share of each epoch's tokens that are padding.
        shortened: different words that are read by their first tokens only.
        tokens: of all epochs, without padding.

    Raises:
        VanerError: no row is left to train on, or the instruction leaves too little of a row for words.
    """

    def __init__(
        self,
        sources: Sequence[TrainingCorpus],
        tokenisation: Tokenisation,
        template: Template,
        drawing: Drawing,
        *,
        batch_tokens: int,
        epochs: int,
        seed: int,
        names: RelatedNames | None = None,
        hints: Hints | None = None,
        lookups: Lookups | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.sources = list(sources)
        self.tokenisation = tokenisation
        self.template = template
        self.drawing = drawing
        self.batch_tokens = batch_tokens
        self.seed = seed
        self.names = names
        self.hints = hints
        self.lookups = lookups
        self._named = NameDrawing(names, self.sources, tokenisation, template, seed) if names else None
        self._hinted = [Hinted(hints, source.texts) for source in self.sources] if hints else []
        self._found = [FoundNames(lookups, source.texts) for source in self.sources] if lookups else []
        self._tokens = self._tokenised()
        self.shortened = len(frozenset().union(*(tokens.shortened for tokens in self._tokens)))
        self.schedule = schedule or Schedule()
        apart = names is not None and self.schedule.kind != THROUGHOUT
        self._streams = (TEXT, NAMES) if apart else (TEXT,)
        # Of each stream of batches the epoch that is planned, its rows, and which of them each batch has.
        self._planned: dict[int, tuple[int, Draws, np.ndarray, np.ndarray]] = {}
        self.padding: list[float] = [0.0] * epochs
        self.name_rows, self.hinted_rows, self.replaced_rows = ([0] * epochs for _ in range(3))
        batches = [[0] * epochs for _ in self._streams]
        self.tokens = 0
        # Planning an epoch takes a while. Its plan is kept until another epoch's is needed, so the first comes last.
        for epoch in reversed(range(epochs)):
            members: list[np.ndarray] = []
            for stream in self._streams:
                draws, rows, ends = self._plan(epoch, stream)
                batches[stream][epoch] = len(ends)
                members += np.split(rows, ends[:-1]) if len(ends) else []
            lengths = draws.lengths.astype(np.int64)
            self.tokens += int(lengths.sum())
            self.name_rows[epoch] = len(draws.names)
            self.hinted_rows[epoch] = sum(draws.units.hinted)
            self.replaced_rows[epoch] = sum(draws.units.replaced)
            self.padding[epoch] = float(padding_share(lengths, members))
        self._order = Order(batches, self.schedule)
        if not len(self):
            raise VanerError(
                "no row is left to train on; raise the corpora's weights, --keep_empty or --num_train_epochs"
            )

    def __len__(self) -> int:
        return len(self._order)

    @property
    def read_batches(self) -> tuple[int, int]:
        """Batches that a run reads once, and how many of them are of names alone."""
        read = min(self.schedule.batches or len(self), len(self))
        return read, self._order.names_before(read)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        stream, epoch, at = self._order[index]
        draws, rows, ends = self._plan(epoch, stream)
        chosen = rows[ends[at - 1] if at else 0 : ends[at]]
        return self._collated([draws[i] for i in chosen.tolist()])

    def _collated(self, draws: Sequence[Draw | Example]) -> dict[str, np.ndarray]:
        """A batch of rows."""
        return collate([self.row(draw) for draw in draws], self.tokenisation.pad_id)

    def _tokenised(self) -> list[Tokens]:
        """The tokens of every corpus's words, as far as rows are made of these."""
        return [Tokens.of(source.texts, self.tokenisation) for source in self.sources]

    def _plan(self, epoch: int, stream: int = TEXT) -> tuple[Draws, np.ndarray, np.ndarray]:
        """The rows of an epoch, the numbers of a stream's batch by batch, and where each batch ends in these."""
        held = self._planned.get(stream)
        if held is None or held[0] != epoch:
            self._planned.pop(stream, None)  # so that two are never held
            drawn = [draws for of, draws, _, _ in self._planned.values() if of == epoch]
            draws = drawn[0] if drawn else self.draws(epoch)
            held = self._planned[stream] = epoch, draws, *self._batched(draws, epoch, stream)
        return held[1:]

    def _batched(self, draws: Draws, epoch: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
        begin, end = 0, len(draws)
        if len(self._streams) > 1:
            begin, end = (0, len(draws.units)) if stream == TEXT else (len(draws.units), len(draws))
        # That of text is the same with names in batches of their own and without any.
        order = np.random.default_rng([self.seed, epoch, 1 if stream == TEXT else 7])
        rows, ends = shuffled(draws.lengths[begin:end], self.batch_tokens, order)
        return rows + np.uint32(begin), ends

    def draws(self, epoch: int) -> Draws:
        """The rows of one epoch, counted from 0, before batching; those of names come last."""
        units = Units()
        for index, source in enumerate(self.sources):
            rng = np.random.default_rng([self.seed, epoch, 0, index])
            # One of their own, so that the same units are drawn with hints and without.
            coin = np.random.default_rng([self.seed, epoch, 3, index])
            for passing in range(int(np.ceil(source.weight))):
                share = min(1.0, source.weight - passing)
                for number in range(len(source.texts)):
                    self._draw_text(units, rng, coin, index, number, share)
        names = self._named.draw(epoch, units) if self._named else NameRows()
        if self._named:
            self._named.replace(epoch, units, self.drawing.replaced)
        return Draws(units, names, partial(self._drawn, epoch))

    def _draw_text(
        self,
        units: Units,
        rng: np.random.Generator,
        coin: np.random.Generator,
        index: int,
        number: int,
        share: float,
    ) -> None:
        source = self.sources[index]
        drawing = self.drawing

        def limit() -> int:
            if drawing.max_words < 2 or rng.random() < drawing.single_sentence:
                return 1
            return int(rng.integers(2, drawing.max_words + 1))

        # Types are their places in those of the corpus.
        annotated = source.texts.annotated(number)
        tags = source.texts.tags(number)
        cut = self._cutter(index, number)
        for start, end in group(source.texts.sentence_ranges(number), limit):
            if not annotated or (share < 1 and rng.random() >= share):
                continue
            unit_tags = tags[:, start:end]
            if not unit_tags.any() and drawing.keep_empty < 1 and rng.random() >= drawing.keep_empty:
                continue
            named = rng.random() >= drawing.drop_dataset
            order = [annotated[i] for i in rng.permutation(len(annotated))]
            if drawing.head == "shared":
                questions = [[t] for t in order]
            elif rng.random() < drawing.one_type:
                questions = [order[:1]]
            elif rng.random() < drawing.all_types:
                questions = [order]
            else:
                questions = [order[: int(rng.integers(1, len(order) + 1))]]
            if drawing.absent_types < 1:
                here = set(np.flatnonzero(unit_tags.any(axis=1)).tolist())
                kept = [
                    [t for t in asked if t in here or rng.random() < drawing.absent_types]
                    for asked in questions
                ]
                # A unit of which nothing would be asked is a negative that `keep_empty` decides on.
                questions = [asked for asked in kept if asked] or [questions[0][:1]]
            hinted = self.hints is not None and coin.random() < drawing.hinted
            for asked in questions:
                for window, has_hints, length in cut(start, end, asked, named, hinted):
                    units.add(
                        index,
                        number,
                        window,
                        asked,
                        named=named,
                        hinted=has_hints,
                        length=length,
                    )

    def _cutter(self, index: int, number: int) -> Cutter:
        """What cuts the units of a text into rows."""
        counts = self._tokens[index].counts(number)

        def cut(
            start: int, end: int, asked: Sequence[int], named: bool, hinted: bool
        ) -> Iterator[tuple[Window, bool, int]]:
            room = self._room(index, asked, named, hinted)
            for window in windows(start, end, counts[start:end], room):
                draw = self._draw(index, number, window, asked, named, hinted)
                inside = counts[window.start : window.end]
                yield window, bool(draw.hints), self._length(draw, int(inside.sum()))

        return cut

    def _room(self, index: int, asked: Sequence[int], named: bool, hinted: bool) -> int:
        source = self.sources[index]
        types = tuple(source.types[i] for i in asked)
        instruction = self.template.render(types, source.dataset if named else None)
        if self.hints and hinted:
            return self.hints.room(self.tokenisation, instruction)
        return self.tokenisation.room(instruction)

    def _draw(
        self,
        index: int,
        number: int,
        window: Window,
        asked: Sequence[int],
        named: bool,
        hinted: bool,
        noise: tuple[int, ...] = (),
    ) -> Draw:
        source = self.sources[index]
        types, dataset = tuple(source.types[i] for i in asked), source.dataset if named else None
        hints: tuple[str, ...] = ()
        if self.hints and hinted:
            words, names = source.texts.words(number), self._hinted[index].of(number)
            hints = self.hints.of_row(
                self.tokenisation, self.template, types, dataset, words, names, window.start, window.end
            )
        return Draw(index, number, window, types, dataset, hints, noise)

    def _drawn(self, epoch: int, draws: Draws, number: int) -> Draw | Example:
        """A row as it was drawn."""
        if number < len(draws.units):
            replaced = self._named.replaced(epoch, draws.units, number) if self._named else None
            noise = (self.seed, epoch, 5, number) if self.lookups else ()
            return replaced or self._draw(*draws.units[number], noise=noise)
        assert self._named
        return self._named.row(draws.units, draws.names[number - len(draws.units)])

    def _length(self, draw: Draw | Example, tokens: int) -> int:
        """Tokens of a row whose words have so many."""
        return self.tokenisation.length(self._instruction(draw), tokens)

    def _instruction(self, draw: Draw | Example) -> Instruction:
        if isinstance(draw, Example):
            return self.template.render(draw.types, draw.dataset)
        return self.template.render(draw.types, draw.dataset, draw.hints)

    def length(self, draw: Draw | Example) -> int:
        """Tokens of a row, without building it."""
        if isinstance(draw, Example):
            return self._length(draw, sum(map(len, self.tokenisation.words(draw.words))))
        counts = self._tokens[draw.source].counts(draw.text)
        return self._length(draw, int(counts[draw.window.start : draw.window.end].sum()))

    def row(self, draw: Draw | Example) -> Features:
        """Build a row; in an overlapping window only the words that are kept carry labels.

        The rest of a mention that began in the unit before carries none either: no legal tags say that.
        """
        if isinstance(draw, Example):
            labels = np.array(draw.labels, dtype=np.int8)
            return self.tokenisation.row(self._instruction(draw), draw.words, labels)
        source, window = self.sources[draw.source], draw.window
        rows = [source.types.index(t) for t in draw.types]
        labels = source.texts.tags(draw.text)[rows, window.start : window.end]
        if window.keep_start == window.start:
            labels[np.logical_and.accumulate(labels == I, axis=1)] = IGNORED
        labels[:, : window.keep_start - window.start] = IGNORED
        labels[:, window.keep_end - window.start :] = IGNORED
        tokens = self._tokens[draw.source]
        counts = tokens.counts(draw.text)
        first = int(counts[: window.start].sum())
        counts = counts[window.start : window.end]
        ids = tokens.ids(draw.text)[first : first + int(counts.sum())]
        row = self.tokenisation.assembled(self._instruction(draw), ids, counts, labels)
        inside = slice(window.start, window.end)
        if self.drawing.taught and (taught := source.texts.taught(draw.text)) is not None:
            row.taught = taught[rows, inside]
        if self.drawing.confidence and (weights := source.texts.label_weights(draw.text)) is not None:
            row.label_weights = weights[rows, inside]
        if self.lookups:
            row.lookups = self.lookups.codes(
                self._found[draw.source].of(draw.text),
                draw.types,
                window.start,
                window.end,
                np.random.default_rng(draw.noise),
                self.drawing.left_out,
            )
        return row


def temperature_weights(sizes: Sequence[int], temperature: float) -> list[float]:
    """How often to draw from each corpus so that corpus shares follow size ** (1 / temperature).

    Temperature 1 keeps every corpus as it is; a higher one draws less of the large corpora. The smallest keeps
    weight 1 (Arivazhagan et al. 2019, arXiv:1907.05019, for languages).

    Args:
        sizes: of each corpus, in words, above 0.
        temperature: 1 or more.

    Returns:
        the weight of each corpus, in (0, 1].

    Raises:
        VanerError: a temperature below 1.
    """
    if not 1 <= temperature < np.inf:
        raise VanerError(f"mix_temperature is {temperature}; choose 1 or more")
    counts = np.asarray(sizes, dtype=float)
    wanted = counts ** (1 / temperature) / counts
    return (wanted / wanted.max()).tolist()
