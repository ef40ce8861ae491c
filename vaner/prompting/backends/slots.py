"""In: a causal language model, rows of tokens to read. Out: logits after each row; keys and values of what was read.

The slot of a token's keys and values is its position, so that rows of any lengths go on together and a token sees
exactly the slots up to its own:

    row 1   pending        8 9     slots  0 1 2 3 4 5 6 7 [8 9]
    row 2   pending    3 4 5 6     slots  0 1 2 [3 4 5 6]
    row 3   pending          5     slots  0 1 2 3 4 [5]

One pass reads all that is pending, aligned at its end. transformers' own caches put all rows' new tokens side by side
and copy everything at every step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.masking_utils import sdpa_mask

from vaner.errors import VanerError

NAME = "slots"
# Tokens that one pass reads at most, over all rows: bounds the scores of attention, which are held.
PASS = 2048
_GROW = 256


@dataclass(frozen=True)
class Prefix:
    """What was read of the beginning of a prompt.

    Attributes:
        tokens: that were read.
        layers: ``(keys, values)`` of each layer, ``(key heads, tokens, size)``.
    """

    tokens: tuple[int, ...]
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    def cut(self, length: int) -> Prefix:
        """Its first tokens."""
        if length == len(self.tokens):
            return self
        return Prefix(
            self.tokens[:length],
            tuple((keys[:, :length], values[:, :length]) for keys, values in self.layers),
        )


class Rows:
    """Rows that are read side by side; ``lengths`` of them are tokens read so far.

    Args:
        model: whose attention is `attention` here.
        count: of rows.
        prefix: that all of them begin with.
    """

    def __init__(self, model: PreTrainedModel, count: int, prefix: Prefix | None = None) -> None:
        self._model = model
        self._step = _Step()
        self.lengths = [len(prefix.tokens) if prefix else 0] * count
        layers = model.config.get_text_config(decoder=True).num_hidden_layers
        kept = prefix.layers if prefix else (None,) * layers
        self._layers = [_Layer(self._step, count, one) for one in kept]
        self._cache = Cache(layers=list(self._layers))

    def read(self, pending: Sequence[Sequence[int]]) -> torch.Tensor:
        """Read on.

        Args:
            pending: of each row, its next tokens; at least one.

        Returns:
            logits after each row's last token, float32, ``(rows, vocabulary)``.
        """
        longest = max(map(len, pending))
        width = max(1, PASS // len(pending))
        for behind in range((longest - 1) // width * width, -1, -width):
            # Shorter rows join in the last passes.
            part = [one[max(0, len(one) - behind - width) : max(0, len(one) - behind)] for one in pending]
            logits = self._pass(part)
        return logits

    def _pass(self, pending: Sequence[Sequence[int]]) -> torch.Tensor:
        device = self._model.device
        width = max(map(len, pending))
        tokens = torch.zeros(len(pending), width, dtype=torch.long)
        positions = torch.zeros_like(tokens)
        real = torch.zeros_like(tokens, dtype=torch.bool)
        for row, (one, start) in enumerate(zip(pending, self.lengths, strict=True)):
            if one:
                tokens[row, -len(one) :] = torch.tensor(one)
                positions[row, -len(one) :] = torch.arange(start, start + len(one))
                real[row, -len(one) :] = True
            self.lengths[row] = start + len(one)
        step = self._step
        rows, columns = real.nonzero(as_tuple=True)
        step.slots = positions[rows, columns].to(device)
        step.rows, step.columns, step.seen = rows.to(device), columns.to(device), max(self.lengths)
        tokens, positions = tokens.to(device), positions.to(device)
        mask = torch.arange(step.seen, device=device) <= positions[:, None, :, None]
        with torch.no_grad():
            found = self._model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self._cache,
                use_cache=True,
                # As an index: a slice of the last states would not be contiguous, and torch multiplies such a batch
                # matrix by matrix, with a copy of the vocabulary's weights for every row.
                logits_to_keep=torch.tensor([width - 1], device=device),
            )
        logits: torch.Tensor = found.logits[:, -1].float()
        return logits

    def drop(self, row: int) -> None:
        """Let a row go; the last one takes its number."""
        last = len(self.lengths) - 1
        for layer in self._layers:
            layer.move(last, row)
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()

    def prefix(self, tokens: Sequence[int]) -> Prefix:
        """What the first row has read, its tokens being these."""
        assert self.lengths[0] == len(tokens)
        return Prefix(tuple(tokens), tuple(layer.first(len(tokens)) for layer in self._layers))


class _Step:
    """Where one pass writes: row, column of the pass and slot of each real token."""

    rows: torch.Tensor
    columns: torch.Tensor
    slots: torch.Tensor
    seen: int


class _Layer(CacheLayerMixin):
    """Keys and values of one layer, ``(rows, key heads, slots, size)``."""

    def __init__(
        self, step: _Step, count: int, prefix: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> None:
        super().__init__()
        self._step = step
        self._count = count
        self._prefix = prefix

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = self._room(key_states, self._prefix[0] if self._prefix else None)
        self.values = self._room(value_states, self._prefix[1] if self._prefix else None)
        self._prefix = None
        self.is_initialized = True

    def _room(self, new: torch.Tensor, filled: torch.Tensor | None) -> torch.Tensor:
        """Room for the slots that are seen, and some more; zeros, since a masked NaN would still be one."""
        slots = self._step.seen + _GROW
        room = new.new_zeros(self._count, new.shape[1], slots, new.shape[3])
        if filled is not None:
            room[..., : filled.shape[-2], :] = filled
        return room

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        step = self._step
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None and self.values is not None
        if step.seen > self.keys.shape[2]:
            self.keys = self._room(key_states, self.keys)
            self.values = self._room(value_states, self.values)
        self.keys[step.rows, :, step.slots] = key_states[step.rows, :, step.columns]
        self.values[step.rows, :, step.slots] = value_states[step.rows, :, step.columns]
        rows = len(key_states)
        return self.keys[:rows, :, : step.seen], self.values[:rows, :, : step.seen]

    def move(self, source: int, target: int) -> None:
        if self.is_initialized and source != target:
            assert self.keys is not None and self.values is not None
            self.keys[target] = self.keys[source]
            self.values[target] = self.values[source]

    def first(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.keys is not None and self.values is not None
        return self.keys[0, :, :length].clone(), self.values[0, :, :length].clone()

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._step.seen, 0

    def get_seq_length(self) -> int:
        return self._step.seen if self.is_initialized else 0

    def get_max_length(self) -> int:
        return -1


@contextlib.contextmanager
def attention(model: PreTrainedModel) -> Iterator[None]:
    """Meanwhile the model reads slots, in evaluation mode; afterwards it is as it was."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    before, training = model.config._attn_implementation, model.training
    model.set_attn_implementation(NAME)
    model.eval()
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        model.train(training)


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention function: ``(batch, heads, tokens, size)`` to ``(batch, tokens, heads, size)``.

    The query heads that share a key head are rows of one product, so that keys and values are not repeated.

    Args:
        module: the layer.
        query: ``(batch, heads, tokens, size)``.
        key, value: ``(batch, key heads, seen, size)``.
        attention_mask: True up to the token's own slot, ``(batch, 1, tokens, seen)``.
        scaling: of the scores; by default one over the square root of ``size``.
        sliding_window: how many tokens back this layer sees.
        softcap: bound of the scores.
        kwargs: what transformers passes on beside.

    Returns:
        the mixed values; None in place of the shares, which nobody asks for.
    """
    if kwargs.get("s_aux") is not None:
        raise VanerError("this model's attention has sinks; serve it, and use backend openai or llamacpp")
    batch, heads, tokens, size = query.shape
    groups, seen = key.shape[1:3]
    if sliding_window is not None and seen > sliding_window:
        own = attention_mask.sum(-1, keepdim=True) - 1
        near = torch.arange(seen, device=own.device) > own - sliding_window
        attention_mask = attention_mask & near
    scaling = size**-0.5 if scaling is None else scaling
    scores = (query * scaling).reshape(batch, groups, -1, size) @ key.transpose(2, 3)
    scores = scores.view(batch, groups, heads // groups, tokens, seen)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.masked_fill_(~attention_mask[:, :, None], torch.finfo(scores.dtype).min)
    shares = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    mixed = shares.view(batch, groups, -1, seen) @ value
    return mixed.reshape(batch, heads, tokens, -1).transpose(1, 2).contiguous(), None
