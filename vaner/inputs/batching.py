"""In: row lengths, then Features. Out: batches under a token budget, and padded arrays for the model.

Rows of like length share a batch, so little is padded; or several rows share a sequence:

    budget 24 tokens      [======--]  [====]          = token   - padding
                          [========]  [====]
                          [=======-]  [====]  ...     rows x longest row <= budget

    packed, capacity 12   [========|====]             | border of two rows, which the mask closes
                          [=======|====-]             sequences x longest sequence <= budget
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np

from vaner.inputs.features import Features
from vaner.inputs.lookups import FIELDS
from vaner.text.tags import IGNORED

# Starting a batch counts as much as so many budgets' part of tokens: less, and batches become too small to run
# fast; more, and rows of unlike length are padded to fill them. (64: 1.3 % padding, batches 60 % full.)
BATCH_COST = 64

# Rows whose lengths are Python's numbers at a time.
_BLOCK = 100_000

# An instruction that so many rows share is read once for all of them, where the attention allows it.
SHARED_BY = 8


def plan(lengths: Sequence[int], budget: int, rng: np.random.Generator | None = None) -> list[list[int]]:
    """Group row indices into batches of at most ``budget`` tokens, padding included.

    Args:
        lengths: tokens of each row.
        budget: tokens a batch; a row longer than that is a batch of its own.
        rng: for training: rows of equal length are shuffled and so are the batches. None keeps the result a
            function of the lengths alone, longest first, so that memory runs out at once or never.

    Returns:
        row indices of each batch; every row is in one.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if rng is None:
        return _plan_tightly(sizes, budget)
    rows, ends = shuffled(sizes, budget, rng)
    return [batch.tolist() for batch in np.split(rows, ends[:-1])] if len(ends) else []


def shuffled(lengths: np.ndarray, budget: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`plan` for training, in arrays: of ten million rows as well.

    Args:
        lengths: whole numbers, tokens of each row.
        budget: tokens a batch, padding included.
        rng: rows of equal length are shuffled and so are the batches.

    Returns:
        rows: uint32, the row indices batch by batch; ends: int64, where each batch ends in them.
    """
    # A little noise on the length lets other neighbours meet in every epoch.
    order = np.argsort(-(lengths + rng.uniform(0, 4, len(lengths))), kind="stable").astype(np.uint32)
    starts = array("q")
    longest = 0
    for at in range(0, len(order), _BLOCK):
        for row, length in enumerate(lengths[order[at : at + _BLOCK]].tolist(), at):
            longest = max(longest, length)
            if not starts or (row - starts[-1] + 1) * longest > budget:
                starts.append(row)
                longest = length
    begins = np.array(starts, dtype=np.int64)
    sizes = np.diff(begins, append=len(order))
    places = np.arange(len(begins))
    rng.shuffle(places)
    ends = np.cumsum(sizes[places])
    # Where each batch stood, less where it will stand.
    moved = np.repeat(begins[places] - (ends - sizes[places]), sizes[places])
    return order[moved + np.arange(len(order))], ends


def _plan_tightly(lengths: np.ndarray, budget: int) -> list[list[int]]:
    """Of all ways to cut the rows, longest first, into batches, the one that costs least.

    A batch costs its tokens, padding included, and ``budget / BATCH_COST`` more: the last rows that would fill it
    are put into the next one where they are so much shorter that padding them costs more than that.
    """
    order = np.argsort(-lengths, kind="stable")
    longest = lengths[order]
    cost = np.zeros(len(order) + 1)
    begin = np.zeros(len(order) + 1, dtype=np.int64)
    first = 0
    for end in range(1, len(order) + 1):
        while first < end - 1 and (end - first) * longest[first] > budget:
            first += 1
        starts = np.arange(first, end)
        found = cost[first:end] + (end - starts) * longest[first:end]
        best = int(found.argmin())
        cost[end] = found[best] + budget / BATCH_COST
        begin[end] = first + best
    batches = []
    end = len(order)
    while end:
        batches.append(order[begin[end] : end].tolist())
        end = int(begin[end])
    return batches[::-1]


def padding_share(
    lengths: Sequence[int] | np.ndarray, batches: Sequence[Sequence[int]] | Sequence[np.ndarray]
) -> float:
    """Share, in [0, 1], of the batches' tokens that are padding.

    Args:
        lengths: tokens of each row.
        batches: row indices of each batch.
    """
    total = sum(len(b) * max(lengths[i] for i in b) for b in batches)
    return 1 - sum(lengths[i] for b in batches for i in b) / total if total else 0.0


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Put rows into sequences of at most ``capacity`` tokens: the longest first, each where it fits tightest.

    Args:
        lengths: tokens of each row; a row longer than the capacity is a sequence of its own.
        capacity: tokens a sequence.

    Returns:
        row indices of each sequence (best-fit decreasing: at most 11/9 of the fewest sequences, and one).
    """
    sequences: list[list[int]] = []
    spaces: list[tuple[int, int]] = []
    for row in np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable").tolist():
        at = bisect_left(spaces, (lengths[row], -1))
        if at < len(spaces):
            space, number = spaces.pop(at)
            sequences[number].append(row)
        else:
            space, number = capacity, len(sequences)
            sequences.append([row])
        if space > lengths[row]:
            insort(spaces, (space - lengths[row], number))
    return sequences


def plan_rows(rows: Sequence[Features], budget: int, *, shared: bool) -> list[list[int]]:
    """Group rows into batches (`plan`); those of an instruction that is read once lie with each other.

    Args:
        rows: what is batched.
        budget: tokens a batch, padding included.
        shared: whether the model can read an instruction once for all rows that begin with it.

    Returns:
        row indices of each batch; every row is in one.
    """
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.instruction_key() if shared else b"", []).append(number)
    alike = [members for members in groups.values() if shared and len(members) >= SHARED_BY]
    apart = sorted(set(range(len(rows))).difference(*alike))
    batches: list[list[int]] = []
    for members, cut in [*((one, rows[one[0]].instruction_length) for one in alike), (apart, 0)]:
        batches += [
            [members[i] for i in batch] for batch in plan([len(rows[i]) - cut for i in members], budget)
        ]
    return batches


def plan_packed(lengths: Sequence[int], budget: int, capacity: int) -> list[list[list[int]]]:
    """Group rows into sequences (`pack`) and those into batches (`plan`): ``batches[batch][sequence][row]``.

    Args:
        lengths: tokens of each row.
        budget: tokens a batch, padding included.
        capacity: tokens a sequence.
    """
    sequences = pack(lengths, capacity)
    filled = [sum(lengths[i] for i in one) for one in sequences]
    return [[sequences[i] for i in batch] for batch in plan(filled, budget)]


def collate(
    rows: Sequence[Features],
    pad_id: int,
    padding_side: str = "right",
    sequences: Sequence[Sequence[int]] | None = None,
) -> dict[str, np.ndarray]:
    """Pad rows into arrays.

    Args:
        rows: at least one.
        pad_id: of the padding.
        padding_side: ``right`` or ``left``.
        sequences: which rows lie one after the other in each sequence; by default each row is a sequence.

    Returns:
        input_ids: int64 ``(batch, tokens)``; attention_mask: int64, for each token the number of its row in the
        sequence, from 1 (so 1 everywhere unless packed), and 0 for padding; instruction_mask: int64, 1 for the
        tokens of an instruction that stands before the words; word_positions: int64 ``(rows, words)`` and
        type_positions: int64 ``(rows, types, tokens)``, places in the row's sequence, -1 where a row has fewer;
        labels: int64 ``(rows, types, words)``, IGNORED where there is none, if the rows have any; lookups: uint8
        ``(rows, types, words, fields)``, zeros where a row has none, if one has; taught: float32 ``(rows, types, words,
        2)``, NaN where a row has none, if one has; label_weights: float32 ``(rows, types, words)``, 1 where a row has
        none, if one has; if packed, row_sequences: int64
        ``(rows,)``, the sequence of each row.
    """
    layout = [[i] for i in range(len(rows))] if sequences is None else sequences
    filled = [sum(len(rows[i]) for i in one) for one in layout]
    shape = (len(layout), max(filled))
    most_words = max(len(r.word_positions) for r in rows)
    most_types, most_tokens = np.max([r.type_positions.shape for r in rows], axis=0)
    batch = {
        "input_ids": np.full(shape, pad_id, dtype=np.int64),
        "attention_mask": np.zeros(shape, dtype=np.int64),
        "instruction_mask": np.zeros(shape, dtype=np.int64),
        "word_positions": np.full((len(rows), most_words), -1, dtype=np.int64),
        "type_positions": np.full((len(rows), most_types, most_tokens), -1, dtype=np.int64),
    }
    labelled = rows[0].labels is not None
    if labelled:
        batch["labels"] = np.full((len(rows), most_types, most_words), IGNORED, dtype=np.int64)
    looked_up = [row.lookups.shape[0] for row in rows if row.lookups is not None]
    if looked_up:
        batch["lookups"] = np.zeros(
            (len(rows), max(most_types, *looked_up), most_words, len(FIELDS)), dtype=np.uint8
        )
    if any(row.taught is not None for row in rows):
        batch["taught"] = np.full((len(rows), most_types, most_words, 2), np.nan, dtype=np.float32)
    if any(row.label_weights is not None for row in rows):
        batch["label_weights"] = np.ones((len(rows), most_types, most_words), dtype=np.float32)
    if sequences is not None:
        batch["row_sequences"] = np.zeros(len(rows), dtype=np.int64)
    for number, members in enumerate(layout):
        start = shape[1] - filled[number] if padding_side == "left" else 0
        for place, i in enumerate(members, start=1):
            row = rows[i]
            end = start + len(row)
            batch["input_ids"][number, start:end] = row.input_ids
            batch["attention_mask"][number, start:end] = place
            batch["instruction_mask"][number, start : start + row.instruction_length] = 1
            words, (types, tokens) = len(row.word_positions), row.type_positions.shape
            batch["word_positions"][i, :words] = row.word_positions + start
            batch["type_positions"][i, :types, :tokens] = np.where(
                row.type_positions < 0, -1, row.type_positions + start
            )
            if labelled:
                batch["labels"][i, :types, :words] = row.labels
            if row.lookups is not None:
                batch["lookups"][i, : len(row.lookups), :words] = row.lookups
            if row.taught is not None:
                batch["taught"][i, :types, :words] = row.taught
            if row.label_weights is not None:
                batch["label_weights"][i, :types, :words] = row.label_weights
            if sequences is not None:
                batch["row_sequences"][i] = number
            start = end
    return batch
