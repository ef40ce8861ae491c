"""In: codes of an index and a typed head. Out: scores that they change where they say something, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.model.test_network import build, rows, tensors
from vaner.errors import VanerError
from vaner.inputs.batching import collate
from vaner.inputs.features import Features
from vaner.inputs.lookups import FIELDS
from vaner.model.heads import TypedHead, build_head


@pytest.fixture
def head() -> TypedHead:
    torch.manual_seed(3)
    made = TypedHead(24, 8, lookups=True)
    torch.nn.init.normal_(made.lookups.out.weight)
    return made


@pytest.fixture
def states():
    torch.manual_seed(4)
    return torch.randn(2, 9, 24), torch.randn(2, 3, 24)


def some_codes(seed: int = 0, shape=(2, 3, 9)) -> torch.Tensor:
    """Codes as they may come: none, or a place and whatever else."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, size, shape) for size in FIELDS.values()], axis=-1)
    codes[..., 0] = rng.integers(1, FIELDS["place"], shape)
    return torch.from_numpy(codes.astype(np.uint8))


def test_zeros_say_nothing_at_all(head, states):
    assert torch.equal(head(*states), head(*states, torch.zeros(2, 3, 9, len(FIELDS), dtype=torch.uint8)))


def test_a_fresh_part_changes_no_score(states):
    torch.manual_seed(3)
    fresh = TypedHead(24, 8, lookups=True)
    assert torch.equal(fresh(*states), fresh(*states, some_codes()))


def test_codes_change_the_scores_of_their_type_and_row(head, states):
    plain = head(*states)
    codes = torch.zeros(2, 3, 9, len(FIELDS), dtype=torch.uint8)
    codes[0, 1] = some_codes()[0, 1]
    changed = (head(*states, codes) - plain).abs().amax((2, 3))
    assert changed[0, 1] > 0.1
    changed[0, 1] = 0
    assert not changed.any()


def test_a_type_that_is_not_looked_up_is_left_alone_beside_others(head, states):
    codes = some_codes()
    codes[:, 2] = 0
    assert torch.equal(head(*states, codes)[:, 2], head(*states)[:, 2])


def test_which_other_type_has_a_name_there_is_told(head, states):
    words, types = states
    codes = some_codes()
    other = types.clone()
    other[:, 2] = torch.randn(24)
    with torch.no_grad():
        before, after = head(words, types, codes)[:, 0], head(words, other, codes)[:, 0]
    assert (before - after).abs().max() > 1e-3
    codes[:, 2, :, 0] = 1  # no name of it is there
    with torch.no_grad():
        before, after = head(words, types, codes)[:, 0], head(words, other, codes)[:, 0]
    assert torch.equal(before, after)


def test_a_type_is_not_among_the_others(head, states):
    codes = some_codes()
    codes[:, 1:] = 0
    before = head(*states, codes)
    torch.nn.init.normal_(head.lookups.others.weight, std=9.0)
    assert torch.equal(head(*states, codes), before)


def test_padding_and_neighbours_in_a_batch_change_nothing(head, states):
    words, types = states
    codes = some_codes()
    together = head(words, types, codes)
    for row in range(2):
        alone = head(words[row : row + 1, :6], types[row : row + 1], codes[row : row + 1, :, :6])
        padded = codes[row : row + 1].clone()
        padded[:, :, 6:] = 0
        torch.testing.assert_close(
            head(words[row : row + 1], types[row : row + 1], padded)[:, :, :6], alone, rtol=1e-5, atol=1e-6
        )
        assert torch.allclose(
            together[row], head(words[row][None], types[row][None], codes[row][None])[0], atol=1e-6
        )


def one_row(words: int, types: int, codes: np.ndarray | None) -> Features:
    places = np.arange(words, dtype=np.int32) + types
    return Features(
        np.arange(words + types, dtype=np.int32),
        places,
        np.arange(types, dtype=np.int32)[:, None],
        lookups=codes,
    )


def test_rows_with_and_without_lookups_share_a_batch():
    codes = some_codes(1, (2, 5)).numpy()
    batch = collate([one_row(7, 3, None), one_row(5, 2, codes)], 0)
    assert batch["lookups"].shape == (2, 3, 7, len(FIELDS)) and batch["lookups"].dtype == np.uint8
    assert not batch["lookups"][0].any() and (batch["lookups"][1, :2, :5] == codes).all()
    assert batch["lookups"].sum() == codes.sum()
    assert "lookups" not in collate([one_row(7, 3, None)], 0)


def test_a_shared_head_reads_none():
    with pytest.raises(VanerError, match="head shared reads no lookups of an index; choose typed"):
        build_head("shared", 24, 8, lookups=True)


def test_all_of_it_learns(head, states):
    head(*states, some_codes()).logsumexp(-1).sum().backward()
    without = {name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()}
    assert not without


def test_what_an_index_says_teaches_its_own_part_alone(tiny_backbones, tiny_tokenizer):
    """Else a model that reads lookups would be worse without an index than one that never read any."""

    def gradients(codes):
        model = build(tiny_backbones["llama"], lookups={"names": {}}).train()
        with torch.no_grad():
            torch.manual_seed(2)
            model.head.lookups.out.weight.normal_()
        batch = tensors(rows(tiny_tokenizer, labelled=True))
        if codes:
            shape = batch["labels"].shape
            batch["lookups"] = some_codes(3, tuple(shape))
        output = model(**batch)
        output["loss"].backward()
        found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        return output, found

    (plain, without), (told, having) = gradients(False), gradients(True)
    own = {name for name in having if "head.lookups" in name}
    assert own and having.keys() - own == without.keys()
    for name, gradient in without.items():
        torch.testing.assert_close(having[name], gradient, rtol=1e-5, atol=1e-7)
    assert told["loss"] > plain["loss"] and not torch.allclose(told["logits"], plain["logits"])


def test_only_what_reads_lookups_is_trained_where_asked(tiny_backbones):
    model = build(tiny_backbones["llama"], lookups={"names": {}})
    model.train_lookups_only()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all(name.startswith("head.lookups.") for name in trained)
