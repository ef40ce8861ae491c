"""In: prompts as tokens, in one batch. Out: their answers, each as soon as it is whole.

One pass reads what is pending of every row: at first the prompts, then the token that was chosen last and those that a
grammar forces behind it. A row that is done leaves; the others do not wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from vaner.errors import VanerError
from vaner.prompting.backends.chat_tokens import ChatTokens
from vaner.prompting.backends.choosing import choose, generator
from vaner.prompting.backends.forcing import Match
from vaner.prompting.backends.slots import Prefix, Rows
from vaner.prompting.backends.written import Written
from vaner.prompting.request import CUT_OFF, STOPPED, Answer, Failure, Request

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class Row:
    """One request while it is answered.

    Attributes:
        number: of the request in its call.
        request: what was asked.
        prompt: its tokens.
        most: tokens that the answer may have.
        match: the grammar's state; None where the answer is free.
        cached: of the prompt's tokens, those that were not read for it.
        steps: passes that read tokens of the answer.
        seconds: its share of what passes took.
        finish: STOPPED or CUT_OFF, once it is over.
        why: what went wrong, where something did.
    """

    number: int
    request: Request
    prompt: list[int]
    most: int
    match: Match | None
    cached: int = 0
    steps: int = 0
    seconds: float = 0.0
    finish: str = ""
    why: str = ""
    written: Written = field(init=False)
    pending: list[int] = field(init=False)

    def start(self, tokens: ChatTokens, ends: frozenset[int], prefix: int) -> None:
        """Make ready for the first pass, which reads the prompt behind ``prefix`` and what a grammar begins with."""
        self._ends = ends
        self._draws = generator(self.request.sampling, self.request.repeat)
        self.written = Written(tokens, self.request.stop)
        self.pending = self.prompt[prefix:]
        self._force()

    @property
    def greedy(self) -> bool:
        """Whether its next token is simply the likeliest."""
        return self.match is None and not self.request.logprobs and self.request.sampling.temperature == 0

    def go_on(self, logits: torch.Tensor) -> None:
        """Choose the next token by its logits, ``(vocabulary,)``."""
        try:
            if self.match is None:
                token, logprob = choose(logits, self.request.sampling, self._draws)
            else:
                allowed = torch.from_numpy(self.match.allowed())
                chosen, logprob = choose(
                    logits[allowed.to(logits.device)], self.request.sampling, self._draws
                )
                token = int(allowed[chosen])
        except VanerError as error:
            self.why = str(error)
            return
        self.take(token, logprob if self.request.logprobs else None)

    def take(self, token: int, logprob: float | None = None) -> None:
        """Write the token that was chosen, and what a grammar forces behind it."""
        if token in self._ends:
            self.finish = STOPPED
            return
        self.pending = [token]
        self._write(token, logprob)
        if self.match is not None and not self.written.stopped:
            try:
                self.match.take(token)
            except VanerError as error:
                self.why = str(error)
                return
            self._force()

    def _force(self) -> None:
        if self.match is None:
            return
        try:
            forced = self.match.forced()
        except VanerError as error:
            self.why = str(error)
            return
        for token in forced:
            if self.finish:
                return
            self.pending.append(token)
            self._write(token)
        if self.match.over:
            self.finish = STOPPED

    def _write(self, token: int, logprob: float | None = None) -> None:
        self.written.add(token, logprob)
        if self.written.stopped:
            self.finish = STOPPED
        elif self.written.count >= self.most:
            self.finish = CUT_OFF

    @property
    def over(self) -> bool:
        """Whether there is an answer, or none to come."""
        return bool(self.finish or self.why)

    def answer(self, model: str) -> Answer | Failure:
        """What it came to."""
        if self.why:
            return Failure(self.why)
        self.written.end()
        return Answer(
            text=self.written.text,
            finish=self.finish,
            prompt_tokens=len(self.prompt),
            output_tokens=self.written.count,
            model_steps=self.steps,
            cached_tokens=self.cached,
            seconds=self.seconds,
            tokens=self.written.chosen() if self.request.logprobs else None,
            model=model,
        )


def decode(
    model: PreTrainedModel, tokens: ChatTokens, batch: Sequence[Row], prefix: Prefix | None
) -> Iterator[Row]:
    """Answer the requests of one batch.

    Args:
        model: within `vaner.prompting.backends.slots.attention`.
        tokens: of the model.
        batch: rows whose prompts all begin with the prefix and go on behind it.
        prefix: what was read before.

    Yields:
        each row once, when it is over.
    """
    ends = frozenset(tokens.ends)
    for row in batch:
        row.start(tokens, ends, len(prefix.tokens) if prefix else 0)
    yield from (row for row in batch if row.over)
    active = [row for row in batch if not row.over]
    if not active:
        return
    read = Rows(model, len(active), prefix)
    first = True
    while active:
        before = time.perf_counter()
        logits = read.read([row.pending for row in active])[:, : tokens.size]
        likeliest = logits.argmax(-1).tolist() if any(row.greedy for row in active) else []
        for number, row in enumerate(active):
            row.steps += not first
            if row.greedy:
                row.take(likeliest[number])
            else:
                row.go_on(logits[number])
        share = (time.perf_counter() - before) / len(active)
        for row in active:
            row.seconds += share
        first = False
        # From the last on, so that the row that takes a number is one that goes on.
        for number in range(len(active) - 1, -1, -1):
            if active[number].over:
                done = active[number]
                read.drop(number)
                active[number] = active[-1]
                active.pop()
                yield done
