"""In: rows, a model. Out: log-probabilities of O, B, I of every word and type; how many tokens that took.

Rows of one instruction that does not see the text read it once, and not again for as long as the same is asked:

    instruction  ->  its keys and values --+
                                           +-->  text of row 1, 2, 3 ...  ->  head  ->  log-softmax
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from vaner.inputs.batching import collate
from vaner.inputs.features import Features
from vaner.model.network import Prefix, VanerModel
from vaner.tagging.forking import ForkedLock
from vaner.tagging.heap import heap

# Instructions that are kept; a run asks one or two, a server as many as its clients think of.
_KEPT = 64


class Forward:
    """A model's forward pass over rows; threads may share one.

    Args:
        model: in evaluation mode.
        pad_id: token of the padding.

    Attributes:
        tokens: that were read since `count_anew`, by all threads together.
        padded_tokens: the same, padding included.
    """

    def __init__(self, model: VanerModel, pad_id: int) -> None:
        self.model = model
        self.pad_id = pad_id
        self.tokens = 0
        self.padded_tokens = 0
        self._counting = ForkedLock()
        self._prefixes: dict[bytes, Prefix] = {}
        self._reading_prefix = ForkedLock()

    def count_anew(self) -> None:
        """Count tokens from none again."""
        self.tokens = self.padded_tokens = 0

    def forget_instructions(self) -> None:
        """Read every instruction again when it is next asked."""
        self._prefixes.clear()

    def log_probs(
        self, rows: Sequence[Features], sequences: Sequence[Sequence[int]] | None = None
    ) -> np.ndarray:
        """Log-probabilities of O, B, I: float32 ``(rows, types, words, 3)``, padded with zeros at the end.

        Args:
            rows: what is read in one forward pass. Where several share an instruction that does not see the text,
                it is not read with every row, but once for as long as this tagger is asked the same.
            sequences: which rows lie in each sequence, if they are packed.
        """
        with torch.inference_mode():
            key = rows[0].instruction_key()
            shared = self.model.reuses_instructions and sequences is None
            # By the batch alone: what was read before, perhaps by another thread this moment, must not decide.
            if shared and len(rows) > 1 and all(row.instruction_key() == key for row in rows):
                prefix = self._prefix(key, rows[0])
                batch = self._tensors([row.text() for row in rows])
                logits = self.model.score_texts(
                    prefix,
                    batch["input_ids"],
                    batch["attention_mask"],
                    batch["word_positions"],
                    batch.get("lookups"),
                )
            else:
                batch = self._tensors(rows, sequences)
                logits = self.model(**batch)["logits"]
            padded_tokens = batch["attention_mask"].numel()
            self._count(int((batch["attention_mask"] != 0).sum()), padded_tokens)
            found = logits.float().log_softmax(-1).cpu().numpy()
        del batch, logits
        if self.model.device.type == "cpu":
            heap.read(padded_tokens)
        return found

    def _tensors(
        self, rows: Sequence[Features], sequences: Sequence[Sequence[int]] | None = None
    ) -> dict[str, torch.Tensor]:
        arrays = collate(rows, self.pad_id, sequences=sequences)
        return {key: torch.from_numpy(value).to(self.model.device) for key, value in arrays.items()}

    def _count(self, tokens: int, padded_tokens: int) -> None:
        with self._counting:
            self.tokens += tokens
            self.padded_tokens += padded_tokens

    def _prefix(self, key: bytes, row: Features) -> Prefix:
        # One thread reads it, the others wait for what it read.
        with self._reading_prefix:
            if key not in self._prefixes:
                if len(self._prefixes) >= _KEPT:
                    self._prefixes.clear()
                ids = torch.from_numpy(row.input_ids[: row.instruction_length]).long().to(self.model.device)
                places = torch.from_numpy(row.type_positions).long().to(self.model.device)
                self._prefixes[key] = self.model.read_instruction(ids, places)
                self._count(len(ids), len(ids))
            return self._prefixes[key]
