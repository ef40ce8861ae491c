"""In: Texts as Python's objects. Out: what a Mixture draws of them, drawn the plain way: every row is an object.

What the columns of `vaner.training.mixture.Mixture` are compared with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaner.inputs.batching import collate, padding_share
from vaner.inputs.features import Features, Tokenisation, Window, windows
from vaner.inputs.hints import Hints, Names
from vaner.inputs.instructions import Template
from vaner.text.tags import IGNORED, I, encode_tags
from vaner.text.units import Text, group
from vaner.training.drawing import Draw, Drawing
from vaner.training.names import Example, RelatedNames


@dataclass
class PlainCorpus:
    name: str
    dataset: str
    texts: list[Text]
    types: tuple[str, ...]
    weight: float = 1.0


def plan(sizes: Sequence[int], budget: int, rng: np.random.Generator) -> list[list[int]]:
    """Batches of rows of like length, in the order in which they are trained on."""
    lengths = np.asarray(sizes, dtype=np.int64)
    order = np.argsort(-(lengths + rng.uniform(0, 4, len(lengths))), kind="stable")
    batches: list[list[int]] = []
    longest = 0
    for row in order.tolist():
        longest_with = max(longest, int(lengths[row]))
        if batches and (len(batches[-1]) + 1) * longest_with <= budget:
            batches[-1].append(row)
            longest = longest_with
        else:
            batches.append([row])
            longest = int(lengths[row])
    rng.shuffle(batches)
    return batches


class PlainMixture:
    """`vaner.training.mixture.Mixture`, with the same arguments."""

    def __init__(
        self,
        sources: Sequence[PlainCorpus],
        tokenisation: Tokenisation,
        template: Template,
        drawing: Drawing,
        *,
        batch_tokens: int,
        epochs: int,
        seed: int,
        names: RelatedNames | None = None,
        hints: Hints | None = None,
    ) -> None:
        self.sources = list(sources)
        self.tokenisation = tokenisation
        self.template = template
        self.drawing = drawing
        self.batch_tokens = batch_tokens
        self.seed = seed
        self.names = names
        self.hints = hints
        self._hinted: list[list[Names]] = [hints.names(s.texts) for s in self.sources] if hints else []
        self._tags: list[list[np.ndarray]] = []
        self._token_counts: list[list[np.ndarray]] = []
        for source in self.sources:
            tags = []
            for text in source.texts:
                tags.append(
                    encode_tags(text.offsets, text.document.spans, source.types, text.block_starts)[0]
                )
            self._tags.append(tags)
            self._token_counts.append(
                [
                    np.fromiter(map(len, tokenisation.words(t.words)), dtype=np.int64, count=len(t.words))
                    for t in source.texts
                ]
            )
        # Planning an epoch takes a while and is done once more when its first batch is asked for; the plan is
        # kept until another epoch's is needed.
        self._planned: tuple[int, tuple[list[Draw | Example], list[list[int]]]] | None = None
        self._batch_ends: list[int] = []
        self.padding: list[float] = []
        self.name_rows: list[int] = []
        self.hinted_rows: list[int] = []
        self.tokens = 0
        for epoch in range(epochs):
            draws, batches = self._plan(epoch)
            lengths = [self.length(d) for d in draws]
            self.tokens += sum(lengths)
            self.name_rows.append(sum(isinstance(d, Example) for d in draws))
            self.hinted_rows.append(sum(isinstance(d, Draw) and bool(d.hints) for d in draws))
            self.padding.append(padding_share(lengths, batches))
            self._batch_ends.append((self._batch_ends[-1] if self._batch_ends else 0) + len(batches))

    def __len__(self) -> int:
        return self._batch_ends[-1] if self._batch_ends else 0

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        epoch = bisect_right(self._batch_ends, index)
        if self._planned is None or self._planned[0] != epoch:
            self._planned = epoch, self._plan(epoch)
        draws, batches = self._planned[1]
        first = self._batch_ends[epoch - 1] if epoch else 0
        rows = [self.row(draws[i]) for i in batches[index - first]]
        return collate(rows, self.tokenisation.pad_id)

    def _plan(self, epoch: int) -> tuple[list[Draw | Example], list[list[int]]]:
        draws = self.draws(epoch)
        order = np.random.default_rng([self.seed, epoch, 1])
        return draws, plan([self.length(d) for d in draws], self.batch_tokens, order)

    def draws(self, epoch: int) -> list[Draw | Example]:
        """The rows of one epoch, counted from 0, before batching; those of names come last."""
        found: list[Draw] = []
        for index, source in enumerate(self.sources):
            rng = np.random.default_rng([self.seed, epoch, 0, index])
            # One of their own, so that the same units are drawn with hints and without.
            coin = np.random.default_rng([self.seed, epoch, 3, index])
            for passing in range(int(np.ceil(source.weight))):
                share = min(1.0, source.weight - passing)
                for number in range(len(source.texts)):
                    found += self._draw_text(rng, coin, index, number, share)
        # A generator of their own, so that they change nothing of the rows before them.
        rng = np.random.default_rng([self.seed, epoch, 2])
        return [*found, *(self._examples(self.names, rng, found) if self.names else [])]

    def _draw_text(
        self, rng: np.random.Generator, coin: np.random.Generator, index: int, number: int, share: float
    ) -> list[Draw]:
        source = self.sources[index]
        text = source.texts[number]
        drawing = self.drawing

        def limit() -> int:
            if drawing.max_words < 2 or rng.random() < drawing.single_sentence:
                return 1
            return int(rng.integers(2, drawing.max_words + 1))

        found: list[Draw] = []
        annotated = source.types
        if text.document.types is not None:
            annotated = tuple(t for t in source.types if t in text.document.types)
        for start, end in group(text.sentence_ranges(), limit):
            if not annotated or (share < 1 and rng.random() >= share):
                continue
            unit_tags = self._tags[index][number][:, start:end]
            if not unit_tags.any() and drawing.keep_empty < 1 and rng.random() >= drawing.keep_empty:
                continue
            dataset = None if rng.random() < drawing.drop_dataset else source.dataset
            order = [annotated[i] for i in rng.permutation(len(annotated))]
            if drawing.head == "shared":
                questions = [(t,) for t in order]
            elif rng.random() < drawing.one_type:
                questions = [(order[0],)]
            elif rng.random() < drawing.all_types:
                questions = [tuple(order)]
            else:
                questions = [tuple(order[: int(rng.integers(1, len(order) + 1))])]
            if drawing.absent_types < 1:
                here = {t for t, tags in zip(source.types, unit_tags, strict=True) if tags.any()}
                kept = [
                    tuple(t for t in types if t in here or rng.random() < drawing.absent_types)
                    for types in questions
                ]
                # A unit of which nothing would be asked is a negative that `keep_empty` decides on.
                questions = [types for types in kept if types] or [questions[0][:1]]
            counts = self._token_counts[index][number][start:end]
            writer = self.hints if self.hints is not None and coin.random() < drawing.hinted else None
            for types in questions:
                asked = self.template.render(types, dataset)
                room = writer.room(self.tokenisation, asked) if writer else self.tokenisation.room(asked)
                for w in windows(start, end, counts, room):
                    hints = self._hints(writer, index, number, w, types, dataset) if writer else ()
                    found.append(Draw(index, number, w, types, dataset, hints))
        return found

    def _hints(
        self,
        writer: Hints,
        index: int,
        number: int,
        window: Window,
        types: tuple[str, ...],
        dataset: str | None,
    ) -> tuple[str, ...]:
        words, names = self.sources[index].texts[number].words, self._hinted[index][number]
        return writer.of_row(
            self.tokenisation, self.template, types, dataset, words, names, window.start, window.end
        )

    def _examples(
        self, names: RelatedNames, rng: np.random.Generator, draws: Sequence[Draw]
    ) -> list[Example]:
        """Rows of names for about ``names.ratio`` times as many units, each asked what its unit is asked."""
        found: list[Example] = []
        for draw in draws:
            types = self.sources[draw.source].types
            start, end = draw.window.keep_start, draw.window.keep_end
            for _ in range(int(names.ratio + rng.random())):
                tags = self._tags[draw.source][draw.text][[types.index(t) for t in draw.types], start:end]
                example = names.example(rng, draw.source, draw.text, start, end, draw.types, tags)
                if example is not None:
                    found += self._fitting(example)
        return found

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

    def length(self, draw: Draw | Example) -> int:
        """Tokens of a row, without building it."""
        if isinstance(draw, Example):
            head, _ = self.tokenisation.instruction(self.template.render(draw.types))
            words = sum(map(len, self.tokenisation.words(draw.words)))
            return len(head) + self.tokenisation.copies * words + len(self.tokenisation.suffix)
        head, _ = self.tokenisation.instruction(self.template.render(draw.types, draw.dataset, draw.hints))
        counts = self._token_counts[draw.source][draw.text][draw.window.start : draw.window.end]
        return len(head) + self.tokenisation.copies * int(counts.sum()) + len(self.tokenisation.suffix)

    def row(self, draw: Draw | Example) -> Features:
        """Build a row; in an overlapping window only the words that are kept carry labels.

        The rest of a mention that began in the unit before carries none either: no legal tags say that.
        """
        if isinstance(draw, Example):
            labels = np.array(draw.labels, dtype=np.int8)
            return self.tokenisation.row(self.template.render(draw.types), draw.words, labels)
        source = self.sources[draw.source]
        window = draw.window
        rows = [source.types.index(t) for t in draw.types]
        labels = self._tags[draw.source][draw.text][rows, window.start : window.end].copy()
        if window.keep_start == window.start:
            labels[np.logical_and.accumulate(labels == I, axis=1)] = IGNORED
        labels[:, : window.keep_start - window.start] = IGNORED
        labels[:, window.keep_end - window.start :] = IGNORED
        words = source.texts[draw.text].words[window.start : window.end]
        return self.tokenisation.row(
            self.template.render(draw.types, draw.dataset, draw.hints), words, labels
        )
