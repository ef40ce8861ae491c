"""In: requests. Out: answers of OpenAI or of any server that speaks its language, through `openai`.

Retries, back-off, Retry-After and time-outs are the package's own. The key is read from an environment variable when
the first request is sent, and is kept nowhere else.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vaner.errors import VanerError
from vaner.prompting.backends import completions, openai_batch, workers
from vaner.prompting.request import GRAMMARS, Abilities, Answer, Failure, Message, Request, Unavailable

if TYPE_CHECKING:
    from openai import OpenAI

# Statuses that every other request would meet as well: the key, the account, or the address is wrong.
_STOPS = {
    401: "the key is refused",
    402: "the account is empty",
    403: "the key may not do this",
    404: "not found",
}


class OpenAIBackend:
    """A server that speaks OpenAI's language.

    Args:
        model: as the server names it.
        base_url: of the server, such as ``http://localhost:8000/v1``; None is OpenAI's own.
        key_variable: environment variable that holds the key; None: the server wants none.
        concurrency: requests under way at once.
        timeout: seconds that one try may take.
        retries: tries after the first, where the server is busy, broken, silent or not there.
        grammar: how this server takes a grammar: ``none``; ``gbnf`` (llama.cpp: ``grammar``); ``regex`` or ``lark``
            (vLLM: ``structured_outputs``); ``json_schema`` (``response_format``, OpenAI and most others).
        logprobs: whether this server gives log-probabilities.
        seed: whether it takes a seed.
        context: tokens of a prompt and its answer together; None: not known.
        more: what else each body holds, by its name there; None as a value leaves one of ours out, such as
            ``{"temperature": None}`` for models that take none.
        batch_api: whether requests go through the Batch API: cheaper, and answered within a day.
        poll_seconds: between two questions whether a batch is done.
        notes: where ids of batches are kept, so that an interrupted run finds its batch again: `RequestStore.notes`.

    Raises:
        VanerError: a setting that is none, or a base URL with a password in it.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        key_variable: str | None = "OPENAI_API_KEY",
        concurrency: int = 4,
        timeout: float = 120.0,
        retries: int = 5,
        grammar: str = "none",
        logprobs: bool = False,
        seed: bool = False,
        context: int | None = None,
        more: Mapping[str, Any] | None = None,
        batch_api: bool = False,
        poll_seconds: float = 60.0,
        notes: MutableMapping[str, str] | None = None,
    ) -> None:
        if grammar != "none" and grammar not in GRAMMARS:
            raise VanerError(
                f"backend openai: grammar: {grammar!r} is unknown; one of none, {', '.join(GRAMMARS)}"
            )
        if concurrency < 1 or timeout <= 0 or retries < 0 or poll_seconds <= 0:
            raise VanerError(
                "backend openai: concurrency, timeout and poll_seconds are above 0, retries 0 or more"
            )
        where = urlsplit(base_url or "https://api.openai.com/v1")
        if where.scheme not in ("http", "https") or not where.hostname:
            raise VanerError(f"backend openai: base_url: {base_url!r} is none; write http://HOST:PORT/v1")
        if where.username or where.password or where.query:
            raise VanerError(
                "backend openai: base_url: holds a name, a password or a query; put the key into an environment "
                "variable and name it in key_variable"
            )
        self.model = model
        self.base_url = base_url
        self.key_variable = key_variable
        self.concurrency = concurrency
        self.timeout = timeout
        self.retries = retries
        self.grammar = grammar
        self.more = dict(more or {})
        self.batch_api = batch_api
        self.poll_seconds = poll_seconds
        self.notes: MutableMapping[str, str] = {} if notes is None else notes
        self._server = where.netloc + where.path.rstrip("/")
        self._can = Abilities(
            grammars=frozenset() if grammar == "none" else frozenset({grammar}), logprobs=logprobs, seed=seed
        )
        self._context = context
        self._made: OpenAI | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        """Kind, model, server, notation of grammars, and what else bodies hold."""
        said = {"backend": "openai", "model": self.model, "server": self._server, "grammar": self.grammar}
        if self.more:
            said["more"] = json.dumps(self.more, sort_keys=True)
        return said

    @property
    def can(self) -> Abilities:
        return self._can

    @property
    def context(self) -> int | None:
        return self._context

    def count(self, text: str) -> int:
        """Tokens of a text: an estimate, rather too high, since the tokenizer is the server's."""
        return completions.estimate(text)

    def count_prompt(self, messages: Sequence[Message], chat: bool = True) -> int:
        """Tokens of the messages: an estimate, rather too high."""
        return completions.estimate_prompt(messages)

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """Ask; see `Backend.answers`. A request that fails after all tries fails alone."""
        if not requests:
            return iter(())
        if self.batch_api:
            return openai_batch.batched(self, requests)
        client = self.client()
        return workers.answers(requests, lambda request: self._ask(client, request), self.concurrency)

    def _ask(self, client: OpenAI, request: Request) -> Answer | Failure | Unavailable:
        begun = time.monotonic()
        try:
            written = self.without_key(
                client.post(completions.path(request), cast_to=str, body=self.body(request))
            )
        except Exception as error:  # whatever one request meets must not end the others' thread
            return self.outcome(error)
        try:
            came = json.loads(written)
        except ValueError:
            return self.failure(f"the server's answer is not JSON: {completions.shown(written)}")
        return completions.answer(came, request, time.monotonic() - begun)

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent for a request."""
        # OpenAI's newer models take no other name for it, many other servers only the older one.
        limit = "max_completion_tokens" if self.base_url is None and request.chat else "max_tokens"
        return completions.body(request, self.model, self.grammar, max_tokens=limit, more=self.more)

    def outcome(self, error: Exception) -> Answer | Failure | Unavailable:
        """What an error of `openai` means."""
        import openai

        if isinstance(error, openai.APITimeoutError):
            if type(error.__cause__).__name__ in ("ConnectTimeout", "PoolTimeout"):
                return Unavailable(
                    f"{self._server}: cannot be reached within {self.timeout:g} s; look at base_url"
                )
            return self.failure(f"no answer within {self.timeout:g} s, {self._tries}")
        if isinstance(error, openai.APIConnectionError):
            cause = error.__cause__
            if type(cause).__name__ == "ConnectError":
                return Unavailable(
                    self.without_key(f"{self._server}: nobody answers ({cause}); look at base_url")
                )
            return self.failure(f"the connection broke ({cause or error}), {self._tries}")
        if isinstance(error, openai.APIStatusError):
            said = completions.shown(self.without_key(error.message))
            if (refused := completions.refusal(error.code)) is not None:
                return refused
            stops = _STOPS.get(error.status_code)
            if error.code == "insufficient_quota":
                stops = _STOPS[402]
            if stops is not None:
                look = (
                    f"look at {self.key_variable}"
                    if error.status_code in (401, 403)
                    else "look at model and base_url"
                )
                return Unavailable(self.without_key(f"{self._server}: {stops} ({said}); {look}"))
            return self.failure(f"the server says {error.status_code}: {said}")
        return self.failure(f"{type(error).__name__}: {completions.shown(self.without_key(str(error)))}")

    def failure(self, why: str) -> Failure:
        """A Failure whose text holds no key."""
        return Failure(self.without_key(why))

    @property
    def _tries(self) -> str:
        return f"tried {self.retries + 1} times" if self.retries else "tried once"

    def without_key(self, text: str) -> str:
        """What a server said, should it repeat the key."""
        key = os.environ.get(self.key_variable or "", "").strip()
        return text.replace(key, "[key]") if key else text

    def client(self) -> OpenAI:
        """The package's client; made at the first call.

        Raises:
            VanerError: where the package or the key is missing.
        """
        if self._made is None:
            try:
                import openai
            except ImportError:
                raise VanerError(
                    "backend openai: needs the package openai; pip install 'vaner[prompted]'"
                ) from None
            key = "none"
            if self.key_variable is not None:
                key = os.environ.get(self.key_variable, "").strip()
                if not key:
                    raise Unavailable(
                        f"backend openai: the environment variable {self.key_variable} holds no key; set it, or write "
                        "key_variable: null for a server that wants none"
                    )
            self._made = openai.OpenAI(
                api_key=key,
                base_url=self.base_url or "https://api.openai.com/v1",
                timeout=self.timeout,
                max_retries=self.retries,
            )
        return self._made

    def close(self) -> None:
        """Close connections; they are opened again when they are needed."""
        if self._made is not None:
            self._made.close()
            self._made = None
