"""In: texts. Out: a vector of each: the mean of a small encoder's outputs, of length 1.

    texts -> rows of at most 256 tokens -> encoder -> sum over each text's tokens -> / length

all-MiniLM-L6-v2 (embedded as ``minilm-l6``) was trained to be read in this way. A text longer than a row takes
several, and nothing of it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from vaner.model.catalogue import EMBEDDED, backbone_folder
from vaner.progress import progress

MINILM = "minilm-l6"

_MOST_TOKENS = 256  # of a row; as the encoder was trained
_ROWS = 64


class Embedder:
    """An encoder of sentences.

    Args:
        backbone: an embedded backbone, a folder or a hub id, of an encoder whose sentence vector is the mean of its
            outputs.
    """

    def __init__(self, backbone: str = MINILM) -> None:
        self.backbone = backbone

    @property
    def identity(self) -> str:
        """What its vectors depend on: a hash of the weights."""
        if self.backbone in EMBEDDED:
            return EMBEDDED[self.backbone].wheel_sha256
        from vaner.model.hashing import weights_hash

        return weights_hash(backbone_folder(self.backbone))

    def __call__(self, texts: Sequence[str], what: str = "embedding") -> np.ndarray:
        """The vectors of texts.

        A vector depends, in its last bits, on the texts beside it; that of a text alone always is the same.

        Returns:
            float32, shape ``(len(texts), width)``, each row of length 1; zeros for a text without a token.

        Raises:
            VanerError: no such backbone.
        """
        import torch

        tokenizer, model = _loaded(self.backbone)
        found = np.zeros((len(texts), model.config.hidden_size), np.float32)
        if not len(texts):
            return found
        most = min(_MOST_TOKENS, model.config.max_position_embeddings)
        encoded = tokenizer(
            list(texts), truncation=True, max_length=most, return_overflowing_tokens=True, padding=False
        )
        rows, owner = encoded["input_ids"], encoded["overflow_to_sample_mapping"]
        # Rows of one length share a batch: little padding.
        order = sorted((i for i in range(len(rows)) if rows[i]), key=lambda i: (len(rows[i]), i))
        batches = [order[i : i + _ROWS] for i in range(0, len(order), _ROWS)]
        for batch in progress(batches, what) if len(batches) > 4 else batches:
            padded = tokenizer.pad({"input_ids": [rows[i] for i in batch]}, return_tensors="pt")
            with torch.inference_mode():
                hidden = model(**padded).last_hidden_state
            sums = (hidden * padded["attention_mask"].unsqueeze(-1)).sum(1)
            np.add.at(found, [owner[i] for i in batch], sums.numpy())
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.divide(found, lengths, out=found, where=lengths > 0)


@cache
def _loaded(backbone: str) -> tuple[Any, Any]:
    """Tokenizer and model, in float32, once a process."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    from vaner.model.adapting import quiet

    folder = backbone_folder(backbone)
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return tokenizer, AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
