"""In: tiny models. Out: fused products say what the stock ones say, and nothing is kept too long."""

from __future__ import annotations

import copy
import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import nn

from tests.model.test_network import build, logits, rows
from vaner.kernels import fused
from vaner.kernels.fused import FusedMLP, to_fused
from vaner.kernels.machine import fuses
from vaner.kernels.sharing import Part, Shared
from vaner.tagging.labeler import Vaner

DTYPES = [torch.float32, torch.bfloat16]
needs_fused = pytest.mark.skipif(
    not fuses(torch.float32), reason="oneDNN's fused products are no faster here"
)


def skip_emulated(dtype: torch.dtype) -> None:
    if not fuses(dtype):
        pytest.skip(f"this processor emulates {dtype}")


def off(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((found.float() - expected.float()).abs().max() / expected.float().abs().max())


@needs_fused
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2"])
def test_a_fused_backbone_is_as_near_to_float32_as_the_stock_one(kind, dtype, tiny_backbones, tiny_tokenizer):
    skip_emulated(dtype)
    exact = build(tiny_backbones[kind]).merge().eval()
    batch = rows(tiny_tokenizer)
    expected = logits(exact, batch)
    stock = copy.deepcopy(exact)
    stock.backbone.to(dtype)
    small = copy.deepcopy(stock)
    layers = small.config.num_hidden_layers
    assert to_fused(small.backbone) == 4 * layers, "an MLP and three projections a layer"
    kinds = [type(one) for one in small.backbone.modules()]
    assert kinds.count(FusedMLP) == layers and kinds.count(Part) == 3 * layers
    found, before = logits(small, batch), logits(stock, batch)
    assert not torch.equal(found, before), "nothing was replaced"
    least = 0.02 if dtype == torch.bfloat16 else 1e-4
    assert off(found, expected) < max(2 * off(before, expected), least)


@needs_fused
def test_a_row_does_not_depend_on_its_batch_in_float32(tiny_backbones, tiny_tokenizer):
    model = build(tiny_backbones["llama"]).merge().eval()
    assert to_fused(model.backbone)
    batch = rows(tiny_tokenizer)
    for row, found in zip(batch, logits(model, batch), strict=True):
        alone = logits(model, [row])[0]
        torch.testing.assert_close(found[:, : len(row.word_positions)], alone, rtol=1e-4, atol=1e-5)


@needs_fused
def test_what_is_of_other_numbers_or_not_gated_by_silu_is_left_alone(tiny_backbones):
    half = build(tiny_backbones["llama"]).merge()
    half.backbone.to(torch.float16)
    assert to_fused(half.backbone) == 0
    encoder = build(tiny_backbones["bert"]).merge()
    assert to_fused(encoder.backbone) == 0


@needs_fused
def test_an_mlp_that_does_more_than_its_parts_say_is_left_alone(tiny_backbones):
    model = build(tiny_backbones["llama"]).merge()

    class Scaled(type(model.backbone.layers[0].mlp)):
        def forward(self, x):
            return 1.5 * super().forward(x)

    for layer in model.backbone.layers:
        layer.mlp.__class__ = Scaled
    to_fused(model.backbone)
    assert not any(isinstance(one, FusedMLP) for one in model.backbone.modules())


def test_what_layers_share_is_made_once_and_goes_with_its_activations():
    made = []
    together = Shared(lambda x: made.append(x.sum()) or x + 1)
    x, other = torch.ones(3), torch.zeros(3)
    assert together(x) is together(x) and len(made) == 1
    assert torch.equal(together(other), other + 1), "not what other activations gave"
    assert torch.equal(together(x), x + 1)
    del x
    gc.collect()
    assert not hasattr(together.own, "kept"), "activations of the last batch would stay in memory"


def test_threads_do_not_share_what_layers_share():
    together = Shared(lambda x: x.clone())
    barrier = Barrier(2)

    def read(number: int) -> bool:
        x = torch.full((4,), float(number))
        first = together(x)
        barrier.wait()  # the other has come in between
        return together(x) is first and torch.equal(first, x)

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(read, range(2)))


@needs_fused
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tagger_on_a_cpu_is_fused_unless_it_is_told_not_to_be(
    dtype, tiny_backbones, tiny_tokenizer, tmp_path
):
    skip_emulated(dtype)
    model = build(tiny_backbones["llama"])
    model.save_pretrained(tmp_path, tiny_tokenizer)
    options = dict(dtype=str(dtype).removeprefix("torch."), device="cpu")

    def is_fused(**more) -> bool:
        tagger = Vaner.from_pretrained(tmp_path, **options | more)
        assert isinstance(tagger("Aspirin reduces fever."), list)
        return any(isinstance(one, FusedMLP) for one in tagger.model.backbone.modules())

    assert is_fused()
    assert not is_fused(fuse=False)
    assert not is_fused(merge=False)


def test_without_onednn_nothing_changes(tiny_backbones, monkeypatch):
    monkeypatch.setattr(fused, "fuses", lambda dtype: False)
    model = build(tiny_backbones["llama"]).merge()
    assert to_fused(model.backbone) == 0
    assert all(type(layer.mlp.up_proj) is nn.Linear for layer in model.backbone.layers)
