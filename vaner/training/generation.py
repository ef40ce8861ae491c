"""In: corpora's training Texts, a Prompter, a tokenizer. Out: rows of a prompt and its right answer, in seeded batches.

    [prompt as tagging writes it][answer as tagging reads it][end of turn]
     no loss, unless --loss_on full                loss

Which units meet which types and datasets is drawn as for the labeler (`vaner.training.mixture`). Rows are padded on the
right and attend to the left alone, so that none reads another's tokens or any padding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vaner.errors import VanerError
from vaner.inputs.features import Tokenisation, Window
from vaner.inputs.instructions import Template
from vaner.prompting.backends.chat_tokens import ChatTokens
from vaner.prompting.found import FORCED, Mention
from vaner.prompting.prompt import Prompter
from vaner.prompting.request import Message
from vaner.prompting.unit import Unit
from vaner.tagging.decode import mentions
from vaner.text.tags import IGNORED, I
from vaner.text.units import Text
from vaner.training.drawing import Draw, Drawing
from vaner.training.mixture import Cutter, Mixture, TrainingCorpus
from vaner.training.names import Example
from vaner.training.tokens import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What became of what does not fit, as `Generation.changed` counts it.
PARTED = "units asked in parts, for lack of room"
INSIDE = "of these inside a sentence"
TOO_LONG = "rows left out: one word and its prompt are too long"
CONTINUES = "rows left out: they begin within a mention"
UNHELD = "mentions left out of answers: the format cannot hold them beside others"


@dataclass(frozen=True)
class Row:
    """A prompt and its answer.

    Attributes:
        ids: int32, tokens of both and of the end of the turn.
        prompt: how many of them are the prompt's.
    """

    ids: np.ndarray
    prompt: int

    def __len__(self) -> int:
        return len(self.ids)


class Encoding:
    """Prompts and answers as token ids, just as the backend reads and writes them.

    The answer is tokenised by itself: a model writes it behind the prompt's last token, whatever that is.

    Args:
        tokenizer: of the model.
        chat: whether its chat template wraps the turns.

    Raises:
        VanerError: a tokenizer without a chat template, or without a token that ends an answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat: bool) -> None:
        if chat and not tokenizer.chat_template:
            raise VanerError(
                "--prompt_template chat: the backbone's tokenizer has no chat template; use --prompt_template plain"
            )
        self.tokens, self.chat = ChatTokens(tokenizer), chat
        if not self.tokens.ends:
            raise VanerError(
                "the backbone's tokenizer has no token that ends a text (eos_token); set one there"
            )
        # Behind a turn its template's own sign; tagging ends at either.
        self.end = self.tokens.ends[-1 if chat else 0]
        self.pad_id = self.end if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def row(self, messages: Sequence[Message], answer: str) -> Row:
        """A prompt, its answer and the end."""
        prompt = self.tokens.prompt(messages, self.chat)
        return Row(np.array([*prompt, *self.tokens.behind(answer), self.end], dtype=np.int32), len(prompt))


class Generation(Mixture):
    """All batches of a generator's training, as a map-style dataset whose items are whole batches.

    A unit that has no room is asked in parts, cut between sentences or, within one, between words and never within a
    mention.

    Args:
        sources, drawing: as of `Mixture`.
        prompter: writes prompts and answers.
        tokenizer: of the backbone.
        max_tokens: longest row.
        loss_on: ``completion``: the loss is on answers alone; ``full``: on prompts too, as papers did.
        batch_tokens, epochs, seed: as of `Mixture`.

    Attributes:
        changed: what was left out or parted, in all epochs -> how often.

    Raises:
        VanerError: no row is left to train on.
    """

    def __init__(
        self,
        sources: Sequence[TrainingCorpus],
        drawing: Drawing,
        *,
        prompter: Prompter,
        tokenizer: PreTrainedTokenizerBase,
        max_tokens: int,
        loss_on: str = "completion",
        batch_tokens: int,
        epochs: int,
        seed: int,
    ) -> None:
        self.prompter = prompter
        self.encoding = Encoding(tokenizer, prompter.settings.template == "chat")
        self.max_tokens = max_tokens
        self.loss_on = loss_on
        self._counting: Counter[str] = Counter()
        super().__init__(
            sources,
            Tokenisation(tokenizer, max_tokens),
            Template(),
            drawing,
            batch_tokens=batch_tokens,
            epochs=epochs,
            seed=seed,
        )
        # Planning an epoch again would count again.
        self.changed = {what: count for what, count in self._counting.items() if count}

    def _tokenised(self) -> list[Tokens]:
        return []

    def _cutter(self, index: int, number: int) -> Cutter:
        source = self.sources[index]
        text = source.texts[number]
        tags = source.texts.tags(number)
        inside = (tags == I).any(axis=0)  # where no cut may be

        def cut(
            start: int, end: int, asked: Sequence[int], named: bool, hinted: bool
        ) -> Iterator[tuple[Window, bool, int]]:
            if (tags[asked, start] == I).any():
                self._counting[CONTINUES] += 1
                return
            types = [source.types[i] for i in asked]
            unit = Unit(text, start, end)
            found = self._mentions(text, tags[asked], types, start, end)
            row = self._row(unit, types, source.dataset if named else None, found)
            if len(row) <= self.max_tokens:
                self._counting[UNHELD] += len(self.prompter.format.left_out(unit, found, types))
                yield Window(start, end, start, end), False, len(row)
                return
            at = _middle(start, end, text.sentence_starts)
            if at is None:
                at = _middle(start, end, np.flatnonzero(~inside).tolist())
                self._counting[INSIDE] += at is not None
            if at is None:
                self._counting[TOO_LONG] += 1
                return
            self._counting[PARTED] += 1
            yield from cut(start, at, asked, named, hinted)
            yield from cut(at, end, asked, named, hinted)

        return cut

    def _mentions(
        self, text: Text, tags: np.ndarray, types: Sequence[str], start: int, end: int
    ) -> list[Mention]:
        """Gold of a unit, as the labeler's tags have it."""
        found = [
            Mention(text.offsets[start + first][0], text.offsets[start + last - 1][1], type, FORCED)
            for type, line in zip(types, tags, strict=True)
            for first, last in mentions(line[start:end])
        ]
        found.sort(key=lambda one: (one.start, -one.end, one.type))
        return found

    def _row(self, unit: Unit, types: Sequence[str], dataset: str | None, found: Sequence[Mention]) -> Row:
        answer = self.prompter.format.write(unit, found, types)
        return self.encoding.row(self.prompter.messages(unit, list(types), dataset), answer)

    def prompted(self, draw: Draw) -> Row:
        """The row of a draw."""
        source, window = self.sources[draw.source], draw.window
        text = source.texts[draw.text]
        tags = source.texts.tags(draw.text)[[source.types.index(type) for type in draw.types]]
        found = self._mentions(text, tags, draw.types, window.start, window.end)
        return self._row(Unit(text, window.start, window.end), draw.types, draw.dataset, found)

    def _collated(self, draws: Sequence[Draw | Example]) -> dict[str, np.ndarray]:
        rows = [self.prompted(draw) for draw in draws if isinstance(draw, Draw)]
        return collate(rows, self.encoding.pad_id, self.loss_on)


def collate(rows: Sequence[Row], pad_id: int, loss_on: str) -> dict[str, np.ndarray]:
    """Pad rows into arrays.

    Args:
        rows: at least one.
        pad_id: of the padding.
        loss_on: ``completion`` or ``full``.

    Returns:
        int64 ``(rows, tokens)`` each: input_ids; attention_mask, 0 for padding; labels, the ids once more, IGNORED
        where there is no loss: in padding, at the first token, which nothing precedes, and for ``completion`` in
        prompts.
    """
    shape = (len(rows), max(map(len, rows)))
    batch = {
        "input_ids": np.full(shape, pad_id, dtype=np.int64),
        "attention_mask": np.zeros(shape, dtype=np.int64),
        "labels": np.full(shape, IGNORED, dtype=np.int64),
    }
    for number, row in enumerate(rows):
        begin = row.prompt if loss_on == "completion" else 1
        batch["input_ids"][number, : len(row)] = row.ids
        batch["attention_mask"][number, : len(row)] = 1
        batch["labels"][number, begin : len(row)] = row.ids[begin:]
    return batch


def _middle(start: int, end: int, places: Sequence[int]) -> int | None:
    """Of the places strictly between start and end the one nearest their middle; None where there is none."""
    return min(
        (place for place in places if start < place < end),
        key=lambda place: abs(2 * place - start - end),
        default=None,
    )
