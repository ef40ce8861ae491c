"""In: requests. Out: answers of a model that is read here, by transformers; batched, its fixed beginning read once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from vaner.errors import VanerError
from vaner.prompting.backends.causal_lm import load_causal_lm
from vaner.prompting.backends.chat_tokens import ChatTokens
from vaner.prompting.backends.decoding import Row, decode
from vaner.prompting.backends.forcing import NOTATIONS, Forcing
from vaner.prompting.backends.kept_prefix import KeptPrefixes, groups
from vaner.prompting.backends.slots import Prefix, Rows, attention
from vaner.prompting.request import Abilities, Answer, Failure, Message, Request

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from typing_extensions import Self


class TransformersBackend:
    """A causal language model of transformers, on this machine.

    Args:
        model: a folder that transformers or peft saved, a hub id, or an embedded backbone (``smollm2-135m``).
        revision: branch, tag or commit of a hub id.
        device: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` ...
        dtype: ``auto`` (what the machine multiplies fast), ``float32``, ``bfloat16`` or ``float16``. In float32 an
            answer is the same whatever it is batched with; in the others products of another shape are rounded in
            another way, and two tokens that are nearly as likely may change places.
        quantization: ``none``, ``8bit`` or ``4bit``, through bitsandbytes.
        batch_size: requests that are read at a time; by default 16 on a CPU, 64 on a GPU.
        batch_tokens: of a batch, prompts and answers; bounds the memory of keys and values. By default 16,384 on a
            CPU, 131,072 on a GPU.
        keep: beginnings of prompts whose keys and values are kept from one call to the next.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        quantization: str = "none",
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        keep: int = 4,
    ) -> None:
        """
        Raises:
            VanerError: no such model, or one that cannot be read in this way.
        """
        loaded, tokenizer, identity = load_causal_lm(
            model, revision=revision, device=device, dtype=dtype, quantization=quantization
        )
        self._set(loaded, tokenizer, identity, batch_size, batch_tokens, keep)

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        identity: Mapping[str, str],
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        keep: int = 0,
    ) -> Self:
        """A backend of a model that is loaded, or that is being trained.

        Between calls the model is as it was: its mode, its attention. By default nothing read is kept from one call
        to the next, since the weights may have changed.

        Args:
            model: a causal language model, bare or inside peft's.
            tokenizer: of the model.
            identity: what its answers depend on, beside ``backend`` and ``tokens``, which are added.
            batch_size, batch_tokens, keep: as for the class.
        """
        self = cls.__new__(cls)
        self._set(model, tokenizer, identity, batch_size, batch_tokens, keep)
        return self

    def _set(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        identity: Mapping[str, str],
        batch_size: int | None,
        batch_tokens: int | None,
        keep: int,
    ) -> None:
        # Inside peft's the same layers are read, adapters and all.
        around: Any = model
        bare: PreTrainedModel = around.get_base_model() if hasattr(model, "peft_config") else model
        _check_layers(bare)
        on_cpu = bare.device.type == "cpu"
        self._model: PreTrainedModel = bare
        self._tokens = ChatTokens(tokenizer)
        template = f"{tokenizer.backend_tokenizer.to_str()}{tokenizer.chat_template}"
        self._identity = {
            "backend": "transformers",
            **identity,
            "tokens": hashlib.sha256(template.encode()).hexdigest()[:16],
        }
        self._batch_size = batch_size or (16 if on_cpu else 64)
        self._batch_tokens = batch_tokens or (16384 if on_cpu else 131072)
        self._kept = KeptPrefixes(keep)
        self._forcing: Forcing | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        """``backend``, ``model``, ``weights`` (their hash), ``dtype``, and ``tokens``: tokenizer and template."""
        return dict(self._identity)

    @property
    def can(self) -> Abilities:
        """Grammars (by llguidance), log-probabilities, seeds, and plain text."""
        return Abilities(grammars=frozenset(NOTATIONS), logprobs=True, seed=True, plain=True)

    @property
    def context(self) -> int | None:
        """Positions that the model was trained on, as its config says."""
        found = getattr(self._model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        return int(found) if found else None

    @property
    def tokens(self) -> ChatTokens:
        """How it reads prompts: what is to be trained on the same must be tokenised by it."""
        return self._tokens

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokens.text(text))

    def count_prompt(self, messages: Sequence[Message], chat: bool = True) -> int:
        """Tokens of the messages as the model reads them.

        Raises:
            VanerError: with ``chat``, where the model has no chat template or its template refuses the turns.
        """
        return len(self._tokens.prompt(messages, chat))

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """Answer requests, batch by batch.

        A request that cannot be answered (its prompt is longer than the context, llguidance refuses its grammar) is
        a Failure of its own.

        Yields:
            ``(number of the request, what came of it)``, in the order in which they are done.

        Raises:
            VanerError: a chat is asked of a model without a chat template, or a grammar without llguidance.
        """
        rows: list[Row] = []
        for number, request in enumerate(requests):
            row = self._row(number, request)
            if isinstance(row, Failure):
                yield number, row
            else:
                rows.append(row)
        if not rows:
            return
        model = self._identity.get("model", "")
        for length, members in self._groups([row.prompt for row in rows]):
            group = [rows[member] for member in members]
            prefix = self._read_prefix(group, length) if length else None
            for batch in self._batches(group):
                for row in self._decode(batch, prefix):
                    yield row.number, row.answer(model)

    def _row(self, number: int, request: Request) -> Row | Failure:
        if request.grammar is not None and self._forcing is None:
            self._forcing = Forcing(self._tokens, self._tokens.ends)
        prompt = self._tokens.prompt(request.messages, request.chat)
        most = request.max_tokens
        if self.context is not None:
            if len(prompt) >= self.context:
                return Failure(
                    f"the prompt has {len(prompt)} tokens and the model reads {self.context}; ask for fewer shots "
                    "or passages, or for shorter units"
                )
            most = min(most, self.context - len(prompt))
        if not prompt:
            return Failure("the prompt is empty; write a message")
        try:
            match = None
            if request.grammar is not None and self._forcing is not None:
                match = self._forcing.match(request.grammar)
        except VanerError as error:
            return Failure(str(error))
        return Row(number, request, prompt, most, match)

    def _groups(self, prompts: Sequence[list[int]]) -> list[tuple[int, list[int]]]:
        if len(prompts) > 1:
            return groups(prompts)
        # One alone shares with those of the calls before and after.
        return [(len(prompts[0]) - 1 if self._kept.most else 0, [0])]

    def _read_prefix(self, group: Sequence[Row], length: int) -> Prefix | None:
        """Read what the prompts of a group begin with, as far as it was not read before."""
        wanted = group[0].prompt[:length]
        before = time.perf_counter()
        prefix = self._kept.longest(wanted)
        known = len(prefix.tokens) if prefix else 0
        if known < length:
            with attention(self._model):
                read = Rows(self._model, 1, prefix)
                read.read([wanted[known:]])
                prefix = read.prefix(wanted)
            self._kept.keep(prefix)
        for row in group:
            row.cached = length
            row.seconds = (time.perf_counter() - before) / len(group)
        # One of them had to read what nobody had.
        group[0].cached = known
        return prefix

    def _batches(self, group: Sequence[Row]) -> Iterator[list[Row]]:
        """Rows of nearly the same length, the longest first."""
        batch: list[Row] = []
        widest = 0
        for row in sorted(group, key=lambda row: (-len(row.prompt), row.number)):
            width = max(widest, len(row.prompt) + row.most)
            if batch and (len(batch) >= self._batch_size or (len(batch) + 1) * width > self._batch_tokens):
                yield batch
                batch, width = [], len(row.prompt) + row.most
            batch.append(row)
            widest = width
        if batch:
            yield batch

    def _decode(self, batch: list[Row], prefix: Prefix | None) -> Iterator[Row]:
        done = decode(self._model, self._tokens, batch, prefix)
        while True:
            # Only while it reads: whoever takes an answer may use the model in between.
            with ExitStack() as stack:
                stack.enter_context(attention(self._model))
                row = next(done, None)
            if row is None:
                return
            yield row

    def forget(self) -> None:
        """Forget what was read of earlier prompts: the weights have changed."""
        self._kept.forget()

    def close(self) -> None:
        """Give the model's memory back."""
        self.forget()
        on_gpu = self._model.device.type == "cuda"
        del self._model
        if on_gpu:
            torch.cuda.empty_cache()


def _check_layers(model: PreTrainedModel) -> None:
    """Refuse models whose layers are more than attention over keys and values."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds - {"full_attention", "sliding_attention"} or not model._supports_attention_backend:
        odd = ", ".join(sorted(kinds - {"full_attention", "sliding_attention"})) or "attention of its own"
        raise VanerError(
            f"model type {config.model_type}: has {odd}, which backend transformers does not read; serve it, and use "
            "backend openai or llamacpp"
        )
