"""In: tiny models. Out: in 8 bits they say nearly the same, token by token, whatever else is in the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.model.test_network import build, logits, rows
from vaner.errors import VanerError
from vaner.kernels.fused import Shared
from vaner.kernels.int8 import Int8Linear, _rounded, is_supported, to_int8
from vaner.tagging.labeler import Vaner

needs_vnni = pytest.mark.skipif(not is_supported(), reason="this processor has no AVX-512 VNNI")


@needs_vnni
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_in_bytes_is_off_by_about_one_percent(dtype, bias):
    torch.manual_seed(0)
    linear = nn.Linear(96, 40, bias=bias).to(dtype)
    small = Int8Linear(linear, Shared(_rounded))
    # One token a thousand times as large as the others, one of zeros: each is rounded on its own scale.
    x = torch.randn(2, 7, 96).mul_(torch.logspace(-1, 3, 7)[None, :, None])
    x[1, 3] = 0
    x = x.to(dtype)
    expected, found = linear(x).float(), small(x).float()
    assert small(x).dtype == dtype and found.shape == expected.shape
    off = (found - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-3)
    assert off.max() < 0.03
    assert off.max() > 1e-5, "nothing was rounded"


@needs_vnni
def test_the_largest_and_the_smallest_value_do_not_wrap_around():
    linear = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(4))
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.tensor([[3.3, -3.3, 0.0, 1.65]]).to(dtype)
        found = Int8Linear(linear.to(dtype), Shared(_rounded))(x).float()
        torch.testing.assert_close(found, x.float(), rtol=0, atol=0.03)


@needs_vnni
def test_layers_that_share_their_activations_round_them_once():
    rounded = Shared(_rounded)
    first, second = (Int8Linear(nn.Linear(16, 8), rounded) for _ in range(2))
    x, other = torch.randn(3, 16), torch.randn(3, 16)
    first(x)
    kept = rounded(x)
    second(x)
    assert rounded(x) is kept
    alone = Int8Linear(nn.Linear(16, 8), Shared(_rounded))
    alone.weight, alone.scales, alone.bias = first.weight, first.scales, first.bias
    assert torch.equal(first(other), alone(other)), (
        "what was rounded before is not used for other activations"
    )


@needs_vnni
@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_model_in_bytes_scores_nearly_the_same(tiny_backbones, tiny_tokenizer, family):
    model = build(tiny_backbones[family]).merge()
    found = rows(tiny_tokenizer)
    expected = logits(model, found)
    count = to_int8(model.backbone)
    assert count >= 2 * 6 and sum(isinstance(m, Int8Linear) for m in model.modules()) == count
    got = logits(model, found)
    off = (got - expected).norm() / expected.norm()
    assert 1e-5 < off < 0.1
    for row, one in zip(found, got, strict=True):
        alone = logits(model, [row])[0]
        torch.testing.assert_close(one[:, : len(row.word_positions)], alone, rtol=0.02, atol=0.02)


@needs_vnni
def test_a_tagger_in_bytes(tiny_backbones, tiny_tokenizer, tmp_path):
    build(tiny_backbones["llama"]).save_pretrained(tmp_path, tiny_tokenizer)
    tagger = Vaner.from_pretrained(tmp_path, quantization="int8")
    assert any(isinstance(m, Int8Linear) for m in tagger.model.backbone.modules())
    assert not any(isinstance(m, Int8Linear) for m in tagger.model.head.modules())
    assert isinstance(tagger("Famotidine-associated delirium."), list)


def test_where_bytes_are_no_faster_it_says_so(tiny_backbones, monkeypatch):
    monkeypatch.setattr("vaner.kernels.int8.is_supported", lambda: False)
    with pytest.raises(VanerError, match="no AVX-512 VNNI; leave --quantization out"):
        to_int8(build(tiny_backbones["llama"]).merge().backbone)
    with pytest.raises(VanerError, match="int8 is for CPU"):
        to_int8(nn.Linear(4, 4, device="meta"))
