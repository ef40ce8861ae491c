"""In: token ids, and where words and types lie. Out: BIO scores for every (type, word), and the loss.

input_ids -> backbone (+ LoRA) -> hidden states -> states of first sub-tokens and of type names -> head
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import DynamicCache

from vaner.errors import VanerError
from vaner.model.attention import (
    INSTRUCTION_APART,
    WHOLE_ROWS,
    check_place,
    check_takes_masks,
    keeps_keys,
    make_mask,
)
from vaner.model.checkpointing import Checkpointed
from vaner.model.config import ModelConfig
from vaner.model.heads import TypedHead
from vaner.model.loss import Teaching, summed
from vaner.model.saving import Saved
from vaner.text.tags import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from vaner.model.adapting import Backbone


@dataclass
class Prefix:
    """An instruction that was read, for all the texts that follow it.

    Attributes:
        keys_values: for each layer ``(1, heads, tokens, head size)`` twice.
        types: float, ``(types, hidden)``, the vectors of the asked types.
    """

    keys_values: list[tuple[torch.Tensor, torch.Tensor]]
    types: torch.Tensor

    @property
    def length(self) -> int:
        """Tokens of the instruction."""
        return self.keys_values[0][0].shape[2]


class VanerModel(Saved, Checkpointed):
    """A backbone that sees what its attention mode says, and a BIO head over words.

    After VANER (Bian et al. 2024, arXiv:2404.17835), with a choice of attention modes and heads.

    Attributes:
        settings: the ModelConfig that is saved with the weights.
        backbone: a transformers model, or a peft model around one.
        head: TypedHead or SharedHead, always float32.
        max_positions: tokens that the backbone reads at most, None where it does not say.
        teaching: how much of the loss is that of a teacher's scores, where a batch has some; None: nothing of it.

    Raises:
        VanerError: rows that are longer than the backbone reads, or an instruction where the mode cannot use it.
    """

    # Trainer asks whether the forward scales its own loss by num_items_in_batch: it does.
    accepts_loss_kwargs = True

    def __init__(self, backbone: Backbone, head: nn.Module, settings: ModelConfig) -> None:
        super().__init__(backbone, head, settings)
        check_place(settings.attention, settings.template.place)
        self.teaching: Teaching | None = None
        self.max_positions: int | None = getattr(backbone.config, "max_position_embeddings", None)
        if self.max_positions and settings.max_tokens > self.max_positions:
            raise VanerError(
                f"max_tokens is {settings.max_tokens} but {settings.backbone} reads at most "
                f"{self.max_positions}; lower --max_tokens"
            )
        window = getattr(backbone.config, "sliding_window", None)
        if window and settings.attention in WHOLE_ROWS and settings.max_tokens > window:
            raise VanerError(
                f"max_tokens is {settings.max_tokens} but {settings.backbone} looks {window} tokens far, and "
                f"attention {settings.attention} needs the whole row in sight; lower --max_tokens"
            )

    @property
    def config(self) -> PreTrainedConfig:
        """The backbone's transformers config, which Trainer and DeepSpeed ask for sizes."""
        return self.backbone.config

    @property
    def device(self) -> torch.device:
        """Where the head is; what the model is given must be there too."""
        return next(self.head.parameters()).device

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        word_positions: torch.Tensor,
        type_positions: torch.Tensor,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        instruction_mask: torch.Tensor | None = None,
        row_sequences: torch.Tensor | None = None,
        lookups: torch.Tensor | None = None,
        taught: torch.Tensor | None = None,
        label_weights: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Score every asked type at every word. The arrays are those of `vaner.inputs.batching.collate`.

        Args:
            input_ids, attention_mask: ``(batch, tokens)``; the mask numbers the rows of a sequence from 1, and 0 is
                padding, on either side.
            word_positions: ``(rows, words)``, -1 where a row has fewer words.
            type_positions: ``(rows, types, tokens)``, -1 where a row asks fewer types or a type has fewer tokens.
            labels: ``(rows, types, words)`` of O, B, I or IGNORED.
            num_items_in_batch: labels counted over all accumulated batches and all processes; the loss is the
                sum over this batch divided by it, so that accumulation does not change the gradient.
            instruction_mask: ``(batch, tokens)``, 1 for the tokens of an instruction before a text; needed by
                ``prefix``.
            row_sequences: ``(rows,)``, the sequence in which each row lies, if they are packed.
            lookups: ``(rows, types, words, fields)``, what an index says; None where nothing is looked up.
            taught, label_weights: what a teacher says of the words, and what each label counts, as `vaner.model.loss`
                has them; None where there is none, and all count the same.

        Returns:
            ``logits``: float32 ``(rows, types, words, 3)``; ``loss`` if there are labels.

        Raises:
            VanerError: packed rows where the backbone takes no mask of ours, ``prefix`` without an
                instruction_mask, or several types asked of the shared head.
        """
        packed = row_sequences is not None
        if packed:
            check_takes_masks(self.plain_backbone, "packing")
        mask = make_mask(
            self.config,
            self.settings.attention,
            attention_mask,
            instruction_mask,
            packed,
            self.plain_backbone.dtype,
        )
        hidden: torch.Tensor = self.backbone(
            input_ids=input_ids, attention_mask=mask, position_ids=_positions(attention_mask)
        ).last_hidden_state
        if row_sequences is None:
            row_sequences = torch.arange(len(hidden), device=hidden.device)
        rows = row_sequences[:, None]
        words = hidden[rows, word_positions.clamp(min=0)]
        types = _mean(hidden[rows[..., None], type_positions.clamp(min=0)], type_positions)
        if labels is None or lookups is None or not isinstance(self.head, TypedHead):
            logits = self.head(words, types, lookups)
            losses = [logits]
        else:
            # Both ways of reading are taught in one pass. What an index says teaches its own part of the head alone:
            # the rest learns what it would learn without one, and loses nothing when there is none.
            plain = self.head.without_lookups(words, types)
            logits = self.head.with_lookups(plain.detach(), types.detach(), lookups)
            losses = [plain, logits]
        output = {"logits": logits}
        if labels is not None:
            total = sum(summed(one, labels, taught, label_weights, self.teaching) for one in losses)
            items = (
                num_items_in_batch
                if num_items_in_batch is not None
                else (labels != IGNORED).sum().clamp(min=1)
            )
            output = {"loss": total / items, **output}
        return output

    @property
    def reuses_instructions(self) -> bool:
        """Whether an instruction can be read once for many texts: it does not see them, and its keys are kept."""
        return self.settings.attention in INSTRUCTION_APART and keeps_keys(self.plain_backbone)

    def read_instruction(self, input_ids: torch.Tensor, type_positions: torch.Tensor) -> Prefix:
        """Read an instruction alone.

        Args:
            input_ids: ``(tokens,)``, the special tokens in front included.
            type_positions: ``(types, tokens)``, as of `forward`.

        Returns:
            what `score_texts` puts before every text.
        """
        cache = DynamicCache()
        hidden = self.backbone(
            input_ids=input_ids[None],
            attention_mask=torch.ones_like(input_ids)[None],
            position_ids=torch.arange(len(input_ids), device=input_ids.device)[None],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        types = _mean(hidden[0, type_positions.clamp(min=0)], type_positions)
        return Prefix([(keys, values) for keys, values, *_ in cache], types)

    def score_texts(
        self,
        prefix: Prefix,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        word_positions: torch.Tensor,
        lookups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Score texts that stand behind an instruction: what `forward` gives for both, to rounding.

        Args:
            prefix: of `read_instruction`.
            input_ids, attention_mask, word_positions, lookups: as of `forward`, of the texts alone, unpacked.

        Returns:
            logits: float32 ``(rows, types, words, 3)``.
        """
        size = len(input_ids)
        cache = DynamicCache(
            [(k.expand(size, -1, -1, -1), v.expand(size, -1, -1, -1)) for k, v in prefix.keys_values]
        )
        hidden = self.backbone(
            input_ids=input_ids,
            attention_mask=torch.cat([attention_mask.new_ones(size, prefix.length), attention_mask], dim=1),
            position_ids=_positions(attention_mask) + prefix.length,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        rows = torch.arange(size, device=hidden.device)[:, None]
        return self.head(
            hidden[rows, word_positions.clamp(min=0)], prefix.types.expand(size, -1, -1), lookups
        )


def _positions(rows: torch.Tensor) -> torch.Tensor:
    """How far each token is into its row: a row's logits depend neither on the padding's side nor on neighbours."""
    index = torch.arange(rows.shape[1], device=rows.device).expand_as(rows)
    first = torch.ones_like(rows, dtype=torch.bool)
    first[:, 1:] = rows[:, 1:] != rows[:, :-1]
    return index - (index * first).cummax(dim=1).values


def _mean(states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """``(..., tokens, hidden)`` to float ``(..., hidden)``: the mean of the states whose position is not -1."""
    there = (positions >= 0)[..., None]
    return (states.float() * there).sum(-2) / there.sum(-2).clamp(min=1)


def describe(model: nn.Module) -> str:
    """One line: trained and all parameters, in millions."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    everything = sum(p.numel() for p in model.parameters())
    return f"{trained / 1e6:.2f} M trained parameters of {everything / 1e6:.1f} M"
