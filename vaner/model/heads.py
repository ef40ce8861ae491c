"""In: hidden states of words and of type names. Out: scores of O, B and I for every (type, word)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from vaner.errors import VanerError
from vaner.model.config import GENERATE


class TypedHead(nn.Module):
    """Scores any set of types in one pass: what a word and a type's name say together, plus the word alone.

    For tag k, word w and type t, with rank-r maps U_k and V_k::

        score[t, w, k] = <U_k w, V_k t> / sqrt(r)  +  a_k . w  +  b_k . t

    Args:
        hidden_size: size of the backbone's hidden states.
        rank: r, the size of the interaction.
    """

    def __init__(self, hidden_size: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.word_map = nn.Linear(hidden_size, 3 * rank)
        self.type_map = nn.Linear(hidden_size, 3 * rank)
        self.word_bias = nn.Linear(hidden_size, 3)
        self.type_bias = nn.Linear(hidden_size, 3, bias=False)

    def forward(self, words: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """``(batch, words, hidden)`` and ``(batch, types, hidden)`` to float32 ``(batch, types, words, 3)``."""
        words, types = _unit_scale(words), _unit_scale(types)
        u = self.word_map(words).unflatten(-1, (3, self.rank))
        v = self.type_map(types).unflatten(-1, (3, self.rank))
        together = torch.einsum("bwkr,btkr->btwk", u, v) / self.rank**0.5
        return together + self.word_bias(words)[:, None] + self.type_bias(types)[:, :, None]


class SharedHead(nn.Module):
    """VANER's own head: one linear layer over the words, whatever type the instruction asks for.

    Bian et al. 2024, arXiv:2404.17835.

    Args:
        hidden_size: size of the backbone's hidden states.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 3)

    def forward(self, words: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """``(batch, words, hidden)`` to float32 ``(batch, 1, words, 3)``; the type is in the instruction alone.

        Raises:
            VanerError: ``types``, ``(batch, types, hidden)``, holds more than one.
        """
        if types.shape[1] != 1:
            raise VanerError("the shared head answers one type a pass; ask types one by one")
        return self.score(_unit_scale(words))[:, None]


def _unit_scale(states: torch.Tensor) -> torch.Tensor:
    # Backbones differ by orders of magnitude in the size of their last hidden states.
    return F.rms_norm(states.float(), states.shape[-1:], eps=1e-6)


def build_head(kind: str, hidden_size: int, rank: int) -> TypedHead | SharedHead:
    """The head named ``typed`` or ``shared``.

    Args:
        kind: its name.
        hidden_size: size of the backbone's hidden states.
        rank: of the typed head's interaction.

    Raises:
        VanerError: another name.
    """
    if kind == "typed":
        return TypedHead(hidden_size, rank)
    if kind == "shared":
        return SharedHead(hidden_size)
    if kind == GENERATE:
        raise VanerError("this model is a generator and labels no words; vaner.tagging.loading.load loads it")
    raise VanerError(f"head: unknown kind {kind!r}; choose typed or shared")
