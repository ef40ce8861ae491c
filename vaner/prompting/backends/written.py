"""In: tokens of an answer, one after the other. Out: its text, where in it each token ends, and whether it is over."""

from __future__ import annotations

from collections.abc import Sequence

from vaner.prompting.backends.chat_tokens import ChatTokens

_UNFINISHED = "\ufffd"
# Longer than any character in tokens: what is no text by then never becomes one.
_PATIENCE = 8


class Written:
    """An answer as it is written.

    Attributes:
        text: so far, without a character that is not whole.
        count: of tokens.
        stopped: whether a stop text came; it is cut off.
    """

    def __init__(self, tokens: ChatTokens, stop: Sequence[str] = ()) -> None:
        self._tokens = tokens
        self._stop = [one for one in stop if one]
        self._pending: list[int] = []
        self._ends: list[int] = []
        self._chosen: list[tuple[int, float]] = []
        self.text = ""
        self.count = 0
        self.stopped = False

    def add(self, token: int, logprob: float | None = None) -> None:
        """Take one more token; with a log-probability where it was chosen."""
        if logprob is not None:
            self._chosen.append((self.count, logprob))
        self.count += 1
        self._pending.append(token)
        piece = self._tokens.written(self._pending)
        if not piece.endswith(_UNFINISHED) or len(self._pending) >= _PATIENCE:
            self._write(piece)

    def end(self) -> None:
        """Nothing more comes: a character that is not whole is written as U+FFFD."""
        if self._pending and not self.stopped:
            self._write(self._tokens.written(self._pending))

    def _write(self, piece: str) -> None:
        before = len(self.text)
        self.text += piece
        # Tokens that share a character end where it ends.
        self._ends += [len(self.text)] * len(self._pending)
        self._pending = []
        for stop in self._stop:
            at = self.text.find(stop, max(0, before - len(stop) + 1))
            if at >= 0:
                self.text, self.stopped = self.text[:at], True

    def chosen(self) -> tuple[tuple[int, float], ...]:
        """``(end in the text, log-probability)`` of the tokens that were chosen and are in the text."""
        ends = [*self._ends, *[len(self.text)] * len(self._pending)]
        return tuple(
            (min(ends[number], len(self.text)), logprob)
            for number, logprob in self._chosen
            if ends[number] <= len(self.text) or (ends[number - 1] if number else 0) < len(self.text)
        )
