"""In: row lengths, then Features. Out: batches under a token budget, and padded arrays for the model.

Rows of like length share a batch, so little is padded:

    budget 24 tokens      [======--]  [====]          = token   - padding
                          [========]  [====]
                          [=======-]  [====]  ...     rows x longest row <= budget
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaner.features import IGNORED, Features


def plan(lengths: Sequence[int], budget: int, rng: np.random.Generator | None = None) -> list[list[int]]:
    """Group row indices into batches of at most ``budget`` tokens, padding included.

    Args:
        lengths: tokens of each row.
        budget: tokens a batch; a row longer than that is a batch of its own.
        rng: for training: rows of equal length are shuffled and so are the batches. None keeps the result a
            function of the lengths alone, longest first, so that memory runs out at once or never.
    """
    lengths = np.asarray(lengths)
    if rng is None:
        order = np.argsort(-lengths, kind="stable")
    else:
        # A little noise on the length lets other neighbours meet in every epoch.
        order = np.argsort(-(lengths + rng.uniform(0, 4, len(lengths))), kind="stable")
    batches: list[list[int]] = []
    longest = 0
    for row in order.tolist():
        longest_with = max(longest, int(lengths[row]))
        if batches and (len(batches[-1]) + 1) * longest_with <= budget:
            batches[-1].append(row)
            longest = longest_with
        else:
            batches.append([row])
            longest = int(lengths[row])
    if rng is not None:
        rng.shuffle(batches)
    return batches


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Share of the batches' tokens that are padding."""
    total = sum(len(b) * max(lengths[i] for i in b) for b in batches)
    return 1 - sum(lengths[i] for b in batches for i in b) / total if total else 0.0


def collate(rows: Sequence[Features], pad_id: int, padding_side: str = "right") -> dict[str, np.ndarray]:
    """Pad rows into arrays.

    Returns:
        input_ids: int64 ``(batch, tokens)``; attention_mask: int64, 1 for tokens and 0 for padding;
        word_positions: int64 ``(batch, words)`` and type_positions: int64 ``(batch, types)``, -1 where a row
        has fewer; labels: int64 ``(batch, types, words)``, IGNORED where there is none, if the rows have any.
    """
    size = len(rows)
    tokens = max(len(r) for r in rows)
    most_words = max(len(r.word_positions) for r in rows)
    most_types = max(len(r.type_positions) for r in rows)
    batch = {
        "input_ids": np.full((size, tokens), pad_id, dtype=np.int64),
        "attention_mask": np.zeros((size, tokens), dtype=np.int64),
        "word_positions": np.full((size, most_words), -1, dtype=np.int64),
        "type_positions": np.full((size, most_types), -1, dtype=np.int64),
    }
    labelled = rows[0].labels is not None
    if labelled:
        batch["labels"] = np.full((size, most_types, most_words), IGNORED, dtype=np.int64)
    for i, row in enumerate(rows):
        shift = tokens - len(row) if padding_side == "left" else 0
        batch["input_ids"][i, shift : shift + len(row)] = row.input_ids
        batch["attention_mask"][i, shift : shift + len(row)] = 1
        batch["word_positions"][i, : len(row.word_positions)] = row.word_positions + shift
        batch["type_positions"][i, : len(row.type_positions)] = row.type_positions + shift
        if labelled:
            batch["labels"][i, : row.labels.shape[0], : row.labels.shape[1]] = row.labels
    return batch
