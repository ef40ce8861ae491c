"""In: a grammar. Out: which tokens an answer may go on with, and those that it must go on with (llguidance).

Where a grammar leaves one way only, its tokens are known without the model and cost no pass of their own.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from vaner.errors import VanerError
from vaner.prompting.backends.chat_tokens import ChatTokens
from vaner.prompting.request import Grammar

if TYPE_CHECKING:
    from llguidance import LLMatcher

# Notations that are read here, the first that a grammar has is taken.
NOTATIONS = ("lark", "regex", "json_schema")


def check_installed() -> None:
    """Raise VanerError where llguidance is missing."""
    if importlib.util.find_spec("llguidance") is None:
        raise VanerError(
            "decoding: forced needs llguidance; pip install 'vaner[prompted]', or set decoding: free"
        )


class Forcing:
    """Makes matchers for one tokenizer.

    Args:
        tokens: of the model.
        ends: tokens that end an answer.
    """

    def __init__(self, tokens: ChatTokens, ends: tuple[int, ...]) -> None:
        """
        Raises:
            VanerError: llguidance is not installed, or no token ends an answer.
        """
        check_installed()
        from llguidance import LLTokenizer

        if not ends:
            raise VanerError("decoding: forced: this tokenizer has no token that ends an answer (eos_token)")
        self.ends = frozenset(ends)
        # Text that spells a special token must become letters here too.
        self._tokenizer = LLTokenizer(tokens.text_json, n_vocab=tokens.size, eos_token=list(ends))

    def match(self, grammar: Grammar) -> Match:
        """The state of one answer under a grammar.

        Raises:
            VanerError: llguidance refuses the grammar.
        """
        from llguidance import LLMatcher

        if grammar.lark is not None:
            source = LLMatcher.grammar_from_lark(grammar.lark)
        elif grammar.regex is not None:
            source = LLMatcher.grammar_from_regex(grammar.regex)
        else:
            source = LLMatcher.grammar_from_json_schema(grammar.json_schema or "{}")
        return Match(LLMatcher(self._tokenizer, source, log_level=0), self.ends)


class Match:
    """One answer under a grammar, token by token."""

    def __init__(self, matcher: LLMatcher, ends: frozenset[int]) -> None:
        self._matcher = matcher
        self._ends = ends
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = " ".join(self._matcher.get_error().split())
            raise VanerError(f"grammar: llguidance refuses it ({reason[:300]}); set decoding: free")

    @property
    def over(self) -> bool:
        """Whether nothing more may come."""
        return bool(self._matcher.is_stopped())

    def forced(self) -> list[int]:
        """The tokens that must come next; they are taken.

        Raises:
            VanerError: the grammar became too complex for llguidance.
        """
        tokens: list[int] = []
        while not self.over and (more := self._matcher.compute_ff_tokens()):
            self._matcher.consume_tokens(more)
            tokens += more
        self._check()
        return tokens

    def allowed(self) -> np.ndarray:
        """Ids of the tokens that may come next, in order; those that end an answer where it may end.

        Raises:
            VanerError: the grammar became too complex for llguidance.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        return np.flatnonzero(np.unpackbits(bits, bitorder="little"))

    def take(self, token: int) -> None:
        """Go on with one of the tokens that are allowed."""
        self._matcher.consume_token(token)
        self._check()
