"""In: row lengths and rows, drawn. Out: batches hold every row once, within budget, padded on the asked side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaner.batching import collate, padding_share, plan
from vaner.features import IGNORED, Features

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


def test_padding_share_counts_padding():
    assert padding_share([4, 2, 3], [[0, 1], [2]]) == pytest.approx(2 / 11)
    assert padding_share([], []) == 0.0


def rows() -> list[Features]:
    return [
        Features(
            np.array([7, 8, 9, 10], dtype=np.int32),
            np.array([2, 3], dtype=np.int32),
            np.array([0, 1], dtype=np.int32),
            np.array([[0, 1], [1, 2]], dtype=np.int8),
        ),
        Features(
            np.array([5, 6], dtype=np.int32),
            np.array([1], dtype=np.int32),
            np.array([0], dtype=np.int32),
            np.array([[1]], dtype=np.int8),
        ),
    ]


def test_collate_pads_on_the_right():
    batch = collate(rows(), pad_id=99)
    assert batch["input_ids"].tolist() == [[7, 8, 9, 10], [5, 6, 99, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["word_positions"].tolist() == [[2, 3], [1, -1]]
    assert batch["type_positions"].tolist() == [[0, 1], [0, -1]]
    assert batch["labels"].tolist() == [[[0, 1], [1, 2]], [[1, IGNORED], [IGNORED, IGNORED]]]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}


def test_collate_pads_on_the_left_and_positions_move_along():
    batch = collate(rows(), pad_id=99, padding_side="left")
    assert batch["input_ids"].tolist() == [[7, 8, 9, 10], [99, 99, 5, 6]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert batch["word_positions"].tolist() == [[2, 3], [3, -1]]
    assert batch["type_positions"].tolist() == [[0, 1], [2, -1]]
    assert batch["labels"].tolist() == collate(rows(), pad_id=99)["labels"].tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), min_size=1, max_size=5), st.booleans())
def test_positions_select_the_same_tokens_on_either_side(shapes, left):
    made = []
    for number, (size, types) in enumerate(shapes):
        ids = np.arange(size, dtype=np.int32) + 100 * number
        made.append(Features(ids, np.arange(size, dtype=np.int32), np.zeros(types, dtype=np.int32)))
    batch = collate(made, pad_id=-5, padding_side="left" if left else "right")
    assert "labels" not in batch
    for i, row in enumerate(made):
        kept = batch["word_positions"][i][batch["word_positions"][i] >= 0]
        assert batch["input_ids"][i, kept].tolist() == row.input_ids.tolist()
        assert batch["input_ids"][i][batch["attention_mask"][i] == 1].tolist() == row.input_ids.tolist()
        assert (batch["type_positions"][i] >= 0).sum() == len(row.type_positions)
