"""In: row lengths and rows, drawn. Out: batches hold every row once, within budget, padded on the asked side."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaner.inputs.batching import (
    BATCH_COST,
    SHARED_BY,
    collate,
    pack,
    padding_share,
    plan,
    plan_packed,
    plan_rows,
)
from vaner.inputs.features import Features
from vaner.text.tags import IGNORED

LENGTHS = st.lists(st.integers(1, 300), max_size=40)
SEEDS = st.one_of(st.none(), st.integers(0, 99))


def generator(seed):
    return None if seed is None else np.random.default_rng(seed)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 600), SEEDS)
def test_every_row_is_in_one_batch_and_batches_are_within_budget(lengths, budget, seed):
    batches = plan(lengths, budget, generator(seed))
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 600), SEEDS)
def test_the_same_seed_plans_the_same_batches(lengths, budget, seed):
    assert plan(lengths, budget, generator(seed)) == plan(lengths, budget, generator(seed))


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 600))
def test_for_tagging_the_longest_come_first_and_the_order_is_that_of_the_lengths_alone(lengths, budget):
    batches = plan(lengths, budget)
    order = [i for b in batches for i in b]
    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


def test_another_seed_brings_other_neighbours_together():
    lengths = [20] * 60
    plans = {
        tuple(sorted(map(tuple, map(sorted, plan(lengths, 100, np.random.default_rng(s)))))) for s in range(5)
    }
    assert len(plans) == 5


def test_training_does_not_begin_with_the_longest():
    lengths = list(range(10, 210))
    firsts = [plan(lengths, 400, np.random.default_rng(s))[0] for s in range(20)]
    assert len({max(lengths[i] for i in batch) for batch in firsts}) > 10


def test_a_longer_row_that_noise_put_behind_a_shorter_one_counts():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(10, 15, 60).tolist()
        for batch in plan(lengths, 50, rng):
            assert len(batch) * max(lengths[i] for i in batch) <= 50


def test_batches_are_full():
    assert plan([10] * 9, 30) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert plan([31, 10, 10, 10], 30) == [[0], [1, 2, 3]], "what is too long is alone"


def test_little_is_padded_where_rows_of_like_length_meet():
    lengths = np.random.default_rng(0).integers(20, 200, 2000).tolist()
    batches = plan(lengths, 2048, np.random.default_rng(1))
    assert padding_share(lengths, batches) < 0.03
    in_order = [list(range(i, i + 10)) for i in range(0, 2000, 10)]
    assert padding_share(lengths, in_order) > 0.3


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_stream_is_padded_by_two_percent_at_most(corpora_root, device):
    """NCBI-disease and BC5CDR dev abstracts, as the shipped model reads them on a device (no model is run)."""
    import torch

    from vaner.corpora.registry import read_registry
    from vaner.model.catalogue import model_folder
    from vaner.model.config import ModelConfig
    from vaner.model.saving import load_tokenizer
    from vaner.tagging.labeler import Vaner

    folder = model_folder("vaner-smollm2-135m")
    settings = ModelConfig.load(folder)
    model = SimpleNamespace(settings=settings, reuses_instructions=False, device=torch.device(device))
    tagger = Vaner(model, load_tokenizer(folder))
    documents = [
        d
        for name in ("ncbi-disease-pubtator", "bc5cdr-pubtator")
        for d in read_registry()[name].documents("dev")
    ]
    tokens = read = 0
    for texts, failure in tagger._stream(settings.types, None)._texts(documents):
        assert failure is None
        buffer = tagger._prepare(texts, settings.types, None)
        lengths = [len(r) for r in buffer.rows]
        batches = [[i for sequence in batch for i in sequence] for batch in buffer.batches]
        tokens += sum(lengths)
        read += sum(len(b) * max(lengths[i] for i in b) for b in batches)
        assert max(len(b) * max(lengths[i] for i in b) for b in batches) <= tagger.batch_tokens
    assert tokens > 200_000
    assert 1 - tokens / read < 0.02


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 150))
def test_no_other_cut_of_the_sorted_rows_costs_less(lengths, budget):
    def cost(batches):
        return sum(len(b) * max(lengths[i] for i in b) + budget / BATCH_COST for b in batches)

    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    allowed = []
    for cuts in itertools.product((0, 1), repeat=len(order) - 1):
        batches = [[order[0]]]
        for cut, row in zip(cuts, order[1:], strict=True):
            batches.append([row]) if cut else batches[-1].append(row)
        if all(len(b) == 1 or len(b) * lengths[b[0]] <= budget for b in batches):
            allowed.append(cost(batches))
    assert cost(plan(lengths, budget)) == pytest.approx(min(allowed))


def test_padding_share_counts_padding():
    assert padding_share([4, 2, 3], [[0, 1], [2]]) == pytest.approx(2 / 11)
    assert padding_share([], []) == 0.0


def rows() -> list[Features]:
    return [
        Features(
            np.array([7, 8, 9, 10], dtype=np.int32),
            np.array([2, 3], dtype=np.int32),
            np.array([[0], [1]], dtype=np.int32),
            np.array([[0, 1], [1, 2]], dtype=np.int8),
        ),
        Features(
            np.array([5, 6], dtype=np.int32),
            np.array([1], dtype=np.int32),
            np.array([[0]], dtype=np.int32),
            np.array([[1]], dtype=np.int8),
        ),
    ]


def test_collate_pads_on_the_right():
    batch = collate(rows(), pad_id=99)
    assert batch["input_ids"].tolist() == [[7, 8, 9, 10], [5, 6, 99, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["word_positions"].tolist() == [[2, 3], [1, -1]]
    assert batch["type_positions"].tolist() == [[[0], [1]], [[0], [-1]]]
    assert batch["labels"].tolist() == [[[0, 1], [1, 2]], [[1, IGNORED], [IGNORED, IGNORED]]]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}


def test_collate_pads_on_the_left_and_positions_move_along():
    batch = collate(rows(), pad_id=99, padding_side="left")
    assert batch["input_ids"].tolist() == [[7, 8, 9, 10], [99, 99, 5, 6]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert batch["word_positions"].tolist() == [[2, 3], [3, -1]]
    assert batch["type_positions"].tolist() == [[[0], [1]], [[2], [-1]]]
    assert batch["labels"].tolist() == collate(rows(), pad_id=99)["labels"].tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), min_size=1, max_size=5), st.booleans())
def test_positions_select_the_same_tokens_on_either_side(shapes, left):
    made = []
    for number, (size, types) in enumerate(shapes):
        ids = np.arange(size, dtype=np.int32) + 100 * number
        tokens = np.where(np.arange(types)[:, None] >= np.arange(number + 1), 0, -1).astype(np.int32)
        made.append(Features(ids, np.arange(size, dtype=np.int32), tokens))
    batch = collate(made, pad_id=-5, padding_side="left" if left else "right")
    assert "labels" not in batch
    for i, row in enumerate(made):
        kept = batch["word_positions"][i][batch["word_positions"][i] >= 0]
        assert batch["input_ids"][i, kept].tolist() == row.input_ids.tolist()
        assert batch["input_ids"][i][batch["attention_mask"][i] == 1].tolist() == row.input_ids.tolist()
        standing = batch["type_positions"][i][batch["type_positions"][i] >= 0]
        assert (
            batch["input_ids"][i, standing].tolist() == [row.input_ids[0]] * (row.type_positions >= 0).sum()
        )


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 600))
def test_every_row_is_packed_once_and_sequences_are_within_capacity(lengths, capacity):
    sequences = pack(lengths, capacity)
    assert sorted(i for s in sequences for i in s) == list(range(len(lengths)))
    for sequence in sequences:
        assert len(sequence) == 1 or sum(lengths[i] for i in sequence) <= capacity
    assert sequences == pack(lengths, capacity)


def test_packing_fills_sequences():
    assert pack([5, 7, 3, 5], 10) == [[1, 2], [0, 3]]
    lengths = np.random.default_rng(0).integers(20, 200, 2000).tolist()
    assert sum(lengths) / (len(pack(lengths, 512)) * 512) > 0.99
    batches = plan_packed(lengths, 2048, 512)
    assert sorted(i for b in batches for s in b for i in s) == list(range(2000))
    assert max(len(b) for b in batches) == 4


def test_collate_packs_and_numbers_the_rows_of_a_sequence():
    first, second = rows()
    first.instruction_length = 2
    batch = collate([first, second, second], pad_id=99, sequences=[[2, 0], [1]])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 10], [5, 6, 99, 99, 99, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1, 2, 2, 2, 2], [1, 1, 0, 0, 0, 0]]
    assert batch["instruction_mask"].tolist() == [[0, 0, 1, 1, 0, 0], [0] * 6]
    assert batch["word_positions"].tolist() == [[4, 5], [1, -1], [1, -1]]
    assert batch["type_positions"].tolist() == [[[2], [3]], [[0], [-1]], [[0], [-1]]]
    assert batch["row_sequences"].tolist() == [0, 1, 0]
    left = collate([first, second], pad_id=99, padding_side="left")
    assert left["instruction_mask"].tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("shared", [True, False])
def test_rows_of_an_instruction_that_is_read_once_lie_with_each_other(shared):
    def row(asked: int, length: int) -> Features:
        ids = np.full(length, asked, dtype=np.int32)
        ids[4:] = 9
        return Features(ids, np.zeros(1, np.int32), np.zeros((1, 1), np.int32), None, 4)

    often = [row(1, 5 + i % 7) for i in range(2 * SHARED_BY)]
    rows = [row(2, 8), *often, *(row(3, 6) for _ in range(SHARED_BY - 1))]
    batches = plan_rows(rows, 40, shared=shared)
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
    asked = [{int(rows[i].input_ids[0]) for i in batch} for batch in batches]
    # The rare ones are batched together; only what is read of a row counts.
    assert any(1 in one and len(one) > 1 for one in asked) is not shared
    cut = [4 if shared and one == {1} else 0 for one in asked]
    assert all(
        len(batch) * (max(len(rows[i]) for i in batch) - less) <= 40
        for batch, less in zip(batches, cut, strict=True)
    )
