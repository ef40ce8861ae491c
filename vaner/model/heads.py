"""In: hidden states of words and of type names. Out: scores of O, B and I for every (type, word)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from vaner.errors import VanerError
from vaner.inputs.lookups import FIELDS
from vaner.model.config import GENERATE


class TypedHead(nn.Module):
    """Scores any set of types in one pass: what a word and a type's name say together, plus the word alone.

    For tag k, word w and type t, with rank-r maps U_k and V_k::

        score[t, w, k] = <U_k w, V_k t> / sqrt(r)  +  a_k . w  +  b_k . t

    Where the model reads lookups, `LookedUp` adds to these what an index says of the word.

    Args:
        hidden_size: size of the backbone's hidden states.
        rank: r, the size of the interaction.
        lookups: whether it reads lookups.
    """

    def __init__(self, hidden_size: int, rank: int, *, lookups: bool = False) -> None:
        super().__init__()
        self.rank = rank
        self.word_map = nn.Linear(hidden_size, 3 * rank)
        self.type_map = nn.Linear(hidden_size, 3 * rank)
        self.word_bias = nn.Linear(hidden_size, 3)
        self.type_bias = nn.Linear(hidden_size, 3, bias=False)
        self.lookups = LookedUp(hidden_size) if lookups else None

    def forward(
        self, words: torch.Tensor, types: torch.Tensor, lookups: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``(batch, words, hidden)`` and ``(batch, types, hidden)`` to float32 ``(batch, types, words, 3)``.

        Args:
            words, types: hidden states.
            lookups: whole numbers ``(batch, types, words, fields)``, of `vaner.inputs.lookups`.
        """
        scores = self.without_lookups(words, types)
        return scores if lookups is None else self.with_lookups(scores, types, lookups)

    def with_lookups(self, scores: torch.Tensor, types: torch.Tensor, lookups: torch.Tensor) -> torch.Tensor:
        """The scores of `without_lookups` with what an index says; arguments as of `forward`."""
        if self.lookups is None:
            return scores
        return scores + self.lookups(scores, unit_scale(types), lookups)

    def without_lookups(self, words: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """As `forward`, without an index."""
        words, types = unit_scale(words), unit_scale(types)
        u = self.word_map(words).unflatten(-1, (3, self.rank))
        v = self.type_map(types).unflatten(-1, (3, self.rank))
        together = torch.einsum("bwkr,btkr->btwk", u, v) / self.rank**0.5
        return together + self.word_bias(words)[:, None] + self.type_bias(types)[:, :, None]


class LookedUp(nn.Module):
    """What an index says of a (type, word), as scores to be added; exactly 0 where it says nothing.

    The codes of a word and of its neighbours, and which other asked types have a name there, make a small vector f;
    what the type says, and what the model believes without the index, decide what it counts::

        f[t, w]        = e[t, w] + gelu(conv(e[t])[w]),   e[t, w] = embedded codes + M . sum of other types there
        score[t, w, k] = <Q_k t + S_k softmax(belief[t, w]) + c_k, R_k f[t, w]> / sqrt(r)

    Nothing in f has a bias, and code 0 is embedded as zeros. R begins as zeros: a model that gets lookups scores as it
    did before. The word's own vector has no part: it made the head learn the words of training by heart.

    Args:
        hidden_size: size of the backbone's hidden states.
        width: size of f.
        rank: r.
        reach: words that a convolution sees, the word itself in their middle.
    """

    def __init__(self, hidden_size: int, width: int = 32, rank: int = 16, reach: int = 5) -> None:
        super().__init__()
        self.rank = rank
        tables = {name: nn.Embedding(size, width, padding_idx=0) for name, size in FIELDS.items()}
        for table in tables.values():
            nn.init.normal_(table.weight, std=len(FIELDS) ** -0.5)
            nn.init.zeros_(table.weight[0])
        self.codes = nn.ModuleDict(tables)
        self.others = nn.Linear(hidden_size, width, bias=False)
        self.near = nn.Conv1d(width, width, reach, padding=reach // 2, bias=False)
        self.type_map = nn.Linear(hidden_size, 3 * rank)
        self.belief_map = nn.Linear(3, 3 * rank, bias=False)
        self.out = nn.Linear(width, 3 * rank, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, scores: torch.Tensor, types: torch.Tensor, lookups: torch.Tensor) -> torch.Tensor:
        """Scores to be added.

        Args:
            scores: float ``(batch, types, words, 3)``, without the index.
            types: float ``(batch, types, hidden)``.
            lookups: whole numbers ``(batch, types, words, fields)``.

        Returns:
            the shape of ``scores``.
        """
        codes = lookups.long()
        vectors = sum(table(codes[..., field]) for field, table in enumerate(self.codes.values()))
        # Of a (type, word): whether the type is looked up at all, and whether one of its names is there.
        known = (codes[..., :1] > 0).float()
        there = (codes[..., :1] > 1).float()
        of_types = self.others(types)[:, :, None] * there
        vectors = vectors + (of_types.sum(1, keepdim=True) - of_types) * known
        near = self.near(vectors.flatten(0, 1).transpose(1, 2)).transpose(1, 2).unflatten(0, codes.shape[:2])
        vectors = vectors + F.gelu(near)
        weight = self.type_map(types)[:, :, None] + self.belief_map(scores.softmax(-1))
        by_tag = (weight * self.out(vectors)).unflatten(-1, (3, self.rank))
        return by_tag.sum(-1) / self.rank**0.5


class SharedHead(nn.Module):
    """VANER's own head: one linear layer over the words, whatever type the instruction asks for.

    Bian et al. 2024, arXiv:2404.17835.

    Args:
        hidden_size: size of the backbone's hidden states.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 3)

    def forward(
        self, words: torch.Tensor, types: torch.Tensor, lookups: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``(batch, words, hidden)`` to float32 ``(batch, 1, words, 3)``; the type is in the instruction alone.

        Lookups are not read.

        Raises:
            VanerError: ``types``, ``(batch, types, hidden)``, holds more than one.
        """
        if types.shape[1] != 1:
            raise VanerError("the shared head answers one type a pass; ask types one by one")
        return self.score(unit_scale(words))[:, None]


def unit_scale(states: torch.Tensor) -> torch.Tensor:
    """States of any shape, the last axis scaled to a mean square of 1, in float32."""
    # Backbones differ by orders of magnitude in the size of their last hidden states.
    return F.rms_norm(states.float(), states.shape[-1:], eps=1e-6)


def build_head(kind: str, hidden_size: int, rank: int, *, lookups: bool = False) -> TypedHead | SharedHead:
    """The head named ``typed`` or ``shared``.

    Args:
        kind: its name.
        hidden_size: size of the backbone's hidden states.
        rank: of the typed head's interaction.
        lookups: whether it reads lookups.

    Raises:
        VanerError: another name, or lookups for a head that reads none.
    """
    if kind == "typed":
        return TypedHead(hidden_size, rank, lookups=lookups)
    if lookups:
        raise VanerError(f"head {kind} reads no lookups of an index; choose typed, or leave --kb_lookups out")
    if kind == "shared":
        return SharedHead(hidden_size)
    if kind == GENERATE:
        raise VanerError("this model is a generator and labels no words; vaner.tagging.loading.load loads it")
    raise VanerError(f"head: unknown kind {kind!r}; choose typed or shared")
