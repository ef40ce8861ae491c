"""In: tiny models. Out: in 8 bits they say nearly the same, token by token, whatever else is in the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.model.test_network import build, logits, rows
from vaner.errors import VanerError
from vaner.kernels.int8 import Int8Linear, Int8MLP, is_supported, rounded, to_int8, weight_limit, would_help
from vaner.kernels.machine import instructions
from vaner.kernels.sharing import Part, Shared
from vaner.tagging import labeler
from vaner.tagging.labeler import Vaner

needs_bytes = pytest.mark.skipif(not is_supported(), reason="this processor has no AVX2, or may not use it")


@needs_bytes
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_in_bytes_is_off_by_about_one_percent(dtype, bias):
    torch.manual_seed(0)
    linear = nn.Linear(96, 40, bias=bias).to(dtype)
    small = Int8Linear.of(linear)
    # One token a thousand times as large as the others, one of zeros: each is rounded on its own scale.
    x = torch.randn(2, 7, 96).mul_(torch.logspace(-1, 3, 7)[None, :, None])
    x[1, 3] = 0
    x = x.to(dtype)
    expected, found = linear(x).float(), small(x).float()
    assert small(x).dtype == dtype and found.shape == expected.shape
    off = (found - expected).norm(dim=-1) / expected.norm(dim=-1).clamp(min=1e-3)
    assert off.max() < 0.03
    assert off.max() > 1e-5, "nothing was rounded"


@needs_bytes
def test_the_largest_and_the_smallest_value_do_not_wrap_around():
    linear = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(4))
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.tensor([[3.3, -3.3, 0.0, 1.65]]).to(dtype)
        found = Int8Linear.of(linear.to(dtype))(x).float()
        torch.testing.assert_close(found, x.float(), rtol=0, atol=0.03)


@needs_bytes
@pytest.mark.parametrize("tokens", [1, 5, 64, 300])
def test_the_largest_products_are_summed_right(tokens):
    """Two products of 255 and 127 do not fit into 16 bits, in which older instructions sum them."""
    for sign in (1, -1):
        weight = torch.full((40, 96), 0.5 * sign)
        found = Int8Linear(weight)(torch.ones(tokens, 96))
        torch.testing.assert_close(found, torch.full((tokens, 40), 48.0 * sign), rtol=0.01, atol=0)


@needs_bytes
def test_weights_have_as_many_bits_as_the_processor_sums_rightly():
    sums_in_32_bits = {"avx_vnni", "avx512_vnni"} & set(instructions())
    assert weight_limit() == (127 if sums_in_32_bits else 64)
    assert 255 * 64 * 2 < 2**15 < 255 * 127 * 2


def test_activations_may_be_written_over_only_where_that_is_said():
    x = torch.randn(3, 8)
    kept = x.clone()
    first = rounded(x)
    assert torch.equal(x, kept)
    again = rounded(x, reuse=True)
    assert torch.equal(first.bytes, again.bytes) and torch.equal(first.scales, again.scales)
    restored = (first.bytes.float() - 128) * first.scales
    assert ((restored - kept).abs() <= first.scales / 2 * 1.001).all(), "off by at most half a step"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_largest_value_becomes_the_smallest(dtype):
    """In bfloat16 a value times 127 over itself may be 128, which a signed byte has not."""
    x = torch.linspace(1, 2, 500)[:, None].mul(torch.tensor([[1.0, -1.0, 0.0]])).to(dtype)
    found = rounded(x).bytes
    assert (found[:, 0] >= 254).all() and ((found[:, 1] == 1) | (found[:, 1] == 2)).all()
    assert (found[:, 2] == 128).all()


@needs_bytes
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_mlp_in_bytes_says_nearly_what_the_stock_one_says(dtype, tiny_backbones):
    mlp = build(tiny_backbones["llama"]).merge().backbone.layers[0].mlp
    # Tokens of very different sizes: their scales are carried along, and must come back.
    x = torch.randn(2, 5, mlp.gate_proj.in_features).mul_(torch.logspace(-1, 1, 5)[None, :, None])
    expected = mlp(x)
    small = Int8MLP(mlp)
    kept = x.to(dtype)
    found = small(kept)
    assert torch.equal(kept, x.to(dtype)), "others read the same activations"
    assert found.dtype == dtype and found.shape == expected.shape
    off = (found.float() - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert 1e-5 < off.max() < 0.06


@needs_bytes
def test_layers_that_share_their_activations_round_them_once():
    share = Shared(rounded)
    first, second = (Int8Linear.of(nn.Linear(16, 8), share) for _ in range(2))
    x, other = torch.randn(3, 16), torch.randn(3, 16)
    first(x)
    kept = share(x)
    second(x)
    assert share(x) is kept
    alone = Int8Linear.of(nn.Linear(16, 8))
    alone.weight, alone.scales, alone.bias = first.weight, first.scales, first.bias
    assert torch.equal(first(other), alone(other)), (
        "what was rounded before is not used for other activations"
    )


@needs_bytes
@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_model_in_bytes_scores_nearly_the_same(tiny_backbones, tiny_tokenizer, family):
    model = build(tiny_backbones[family]).merge()
    found = rows(tiny_tokenizer)
    expected = logits(model, found)
    count = to_int8(model.backbone)
    kinds = [type(one) for one in model.backbone.modules()]
    layers = model.config.num_hidden_layers
    if family == "llama":
        assert kinds.count(Part) == 3 * layers and kinds.count(Int8MLP) == layers
        assert count == 7 * layers
    else:
        assert kinds.count(Int8Linear) == count >= 6 * layers
    assert nn.Linear not in kinds
    got = logits(model, found)
    off = (got - expected).norm() / expected.norm()
    assert 1e-5 < off < 0.1
    for row, one in zip(found, got, strict=True):
        alone = logits(model, [row])[0]
        torch.testing.assert_close(one[:, : len(row.word_positions)], alone, rtol=0.02, atol=0.02)


@needs_bytes
def test_a_tagger_in_bytes(tiny_backbones, tiny_tokenizer, tmp_path):
    build(tiny_backbones["llama"]).save_pretrained(tmp_path, tiny_tokenizer)
    tagger = Vaner.from_pretrained(tmp_path, quantization="int8")
    assert any(isinstance(m, Int8Linear) for m in tagger.model.backbone.modules())
    assert not any(isinstance(m, Int8Linear) for m in tagger.model.head.modules())
    assert isinstance(tagger("Famotidine-associated delirium."), list)


def test_where_bytes_are_no_faster_it_says_so(tiny_backbones, monkeypatch):
    monkeypatch.setattr("vaner.kernels.int8.is_supported", lambda: False)
    with pytest.raises(VanerError, match="no AVX2 or may not use it; leave --quantization out"):
        to_int8(build(tiny_backbones["llama"]).merge().backbone)
    with pytest.raises(VanerError, match="int8 is for CPU"):
        to_int8(nn.Linear(4, 4, device="meta"))


@needs_bytes
def test_an_mlp_that_does_more_than_its_parts_say_keeps_its_own_forward(tiny_backbones):
    model = build(tiny_backbones["llama"]).merge()

    class Scaled(type(model.backbone.layers[0].mlp)):
        def forward(self, x):
            return 1.5 * super().forward(x)

    for layer in model.backbone.layers:
        layer.mlp.__class__ = Scaled
    to_int8(model.backbone)
    for layer in model.backbone.layers:
        assert type(layer.mlp) is Scaled and type(layer.mlp.up_proj) is Int8Linear


def test_a_long_run_tells_that_bytes_would_be_faster(tiny_backbones, tiny_tokenizer, tmp_path, monkeypatch):
    build(tiny_backbones["llama"]).save_pretrained(tmp_path, tiny_tokenizer)

    def said(quantization: str = "none", long: int = 1) -> bool:
        monkeypatch.setattr(labeler, "LONG", long)
        tagger = Vaner.from_pretrained(tmp_path, quantization=quantization, device="cpu")
        tagger("Famotidine-associated delirium.")
        return any("--quantization int8" in line for line in tagger.remarks())

    assert said() == is_supported()
    assert not said(long=1_000_000)
    if is_supported():
        assert not said("int8")
    monkeypatch.setattr("vaner.kernels.int8.is_supported", lambda: False)
    assert not said()
    assert not would_help(nn.Linear(2, 2, device="meta"))
