"""In: nothing. Out: what is asked of a language model and what comes back, as every backend understands it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from vaner.errors import VanerError

GRAMMARS = ("lark", "gbnf", "regex", "json_schema")

STOPPED, CUT_OFF, REFUSED = "stop", "length", "refusal"


@dataclass(frozen=True)
class Message:
    """One turn; ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True)
class Grammar:
    """What an answer may be, in the notations that this grammar was written in; None where it was not.

    Attributes:
        lark: as llguidance reads it.
        gbnf: as llama.cpp reads it.
        regex: as vLLM and others read it.
        json_schema: JSON text of a schema, for servers that know nothing else; it may allow more than the others.
    """

    lark: str | None = None
    gbnf: str | None = None
    regex: str | None = None
    json_schema: str | None = None

    def kinds(self) -> frozenset[str]:
        """Those of GRAMMARS that it is written in."""
        return frozenset(kind for kind in GRAMMARS if getattr(self, kind) is not None)


@dataclass(frozen=True)
class Sampling:
    """How an answer's tokens are chosen.

    Attributes:
        temperature: 0 takes the likeliest token each time.
        top_p: mass of the likeliest tokens that are drawn from.
        seed: of the draws; None lets the backend choose.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True)
class Request:
    """One call of a language model.

    Attributes:
        messages: turns in order.
        max_tokens: of the answer; one that needs more is cut off, and says so.
        chat: whether the model's chat template wraps the turns; without it their contents are joined as they are,
            and the model goes on from there.
        grammar: what the answer may be; None leaves it free.
        sampling: how tokens are chosen.
        repeat: number of this call among several of the same.
        logprobs: whether the answer must come with the log-probabilities of its tokens.
        stop: texts at which the answer ends (they are not part of it).
    """

    messages: tuple[Message, ...]
    max_tokens: int
    chat: bool = True
    grammar: Grammar | None = None
    sampling: Sampling = Sampling()
    repeat: int = 0
    logprobs: bool = False
    stop: tuple[str, ...] = ()

    def key(self, identity: Mapping[str, str]) -> str:
        """What tells this request from all others: a hash of it and of who is asked (`Backend.identity`)."""
        whole = {"identity": dict(identity), "request": asdict(self)}
        return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What a model wrote.

    Attributes:
        text: exactly as it was written.
        finish: STOPPED, CUT_OFF (at ``max_tokens``) or REFUSED.
        prompt_tokens: of the messages, kept prefixes included.
        output_tokens: of the text.
        model_steps: forward passes that read the answer's tokens; fewer than these where a grammar left no choice.
            None where a server does not say.
        cached_tokens: of the prompt, those that were not read again.
        seconds: that this call took; in a batch its share.
        tokens: ``(one past its last character in text, log-probability)`` of each token that was chosen; None where
            they were not asked for.
        model: what the server says has answered.
    """

    text: str
    finish: str = STOPPED
    prompt_tokens: int = 0
    output_tokens: int = 0
    model_steps: int | None = None
    cached_tokens: int = 0
    seconds: float = 0.0
    tokens: tuple[tuple[int, float], ...] | None = None
    model: str = ""


@dataclass(frozen=True)
class Failure:
    """A call that gave no answer, after all retries; one line that says why, without any key in it."""

    why: str


class Unavailable(VanerError):
    """Nobody answers at all (no server there, a key refused): the next request would fail in the same way."""


@dataclass(frozen=True)
class Abilities:
    """What a backend can do; what is asked beyond it is refused before the first request.

    Attributes:
        grammars: notations of GRAMMARS that it holds an answer to.
        logprobs: whether it gives log-probabilities.
        seed: whether the same seed gives the same answer.
        plain: whether it can go on from a text without a chat template.
    """

    grammars: frozenset[str] = frozenset()
    logprobs: bool = False
    seed: bool = False
    plain: bool = True


class Backend(Protocol):
    """Who answers."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What its answers depend on beside the request: kind, model, revision or hash of weights, number format.
        Never a key, and never a path."""
        ...

    @property
    def can(self) -> Abilities: ...

    @property
    def context(self) -> int | None:
        """Tokens that a prompt and its answer may have together; None where nobody says."""
        ...

    def count(self, text: str) -> int:
        """Tokens of a text; where the tokenizer is not to be had an estimate that is rather too high."""
        ...

    def count_prompt(self, messages: Sequence[Message], chat: bool = True) -> int:
        """Tokens of the messages as the model reads them; estimated as in ``count``."""
        ...

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """Ask.

        Args:
            requests: what to ask, in any number; the backend batches them or sends several at a time.

        Yields:
            ``(number of the request, what came of it)``, each once, in any order, as soon as it is there.

        Raises:
            Unavailable: nobody answers at all; what was answered before has been yielded.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass
class Spent:
    """What requests took.

    Attributes:
        requests: answered by the backend.
        stored: answered from the store, for nothing.
        failed: not answered.
        prompt_tokens, cached_tokens, output_tokens, model_steps, seconds: of those that the backend answered.
    """

    requests: int = 0
    stored: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    model_steps: int = 0
    seconds: float = 0.0
    why: dict[str, int] = field(default_factory=dict)

    def add(self, answer: Answer | Failure, *, stored: bool = False) -> None:
        """Count one answer."""
        if isinstance(answer, Failure):
            self.failed += 1
            self.why[answer.why] = self.why.get(answer.why, 0) + 1
        elif stored:
            self.stored += 1
        else:
            self.requests += 1
            self.prompt_tokens += answer.prompt_tokens
            self.cached_tokens += answer.cached_tokens
            self.output_tokens += answer.output_tokens
            self.model_steps += answer.output_tokens if answer.model_steps is None else answer.model_steps
            self.seconds += answer.seconds


def refuse(backend: Backend, requests: Iterable[Request]) -> None:
    """Refuse requests that ask what the backend cannot do.

    Raises:
        VanerError: a grammar that it does not read, log-probabilities, a seed, or no chat template.
    """
    kind = backend.identity.get("backend", "this backend")
    for request in requests:
        if request.grammar is not None and not request.grammar.kinds() & backend.can.grammars:
            knows = ", ".join(sorted(backend.can.grammars)) or "no grammar"
            raise VanerError(
                f"backend {kind}: cannot hold an answer to this grammar ({', '.join(sorted(request.grammar.kinds()))}; "
                f"it takes {knows}); set decoding: free"
            )
        if request.logprobs and not backend.can.logprobs:
            raise VanerError(f"backend {kind}: gives no log-probabilities; set scores: none or votes")
        if request.sampling.seed is not None and not backend.can.seed:
            raise VanerError(f"backend {kind}: takes no seed; leave seed out")
        if not request.chat and not backend.can.plain:
            raise VanerError(f"backend {kind}: wants chat turns; set template: chat")
