"""Attention by plain products gives what torch's fused attention gives, forward and backward."""

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from vaner.kernels import grouped
from vaner.model.network import VanerModel


class Layer(torch.nn.Module):
    is_causal = False
    num_key_value_groups = 3


def _inputs(seen: int, dtype=torch.float32):
    torch.manual_seed(0)
    shapes = [(2, 6, 5, 8), (2, 2, seen, 8), (2, 2, seen, 8)]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def _masks(seen: int):
    padded = torch.ones(2, 1, 5, seen, dtype=torch.bool)
    padded[1, :, :, -2:] = False
    # A query that sees nothing, as padding on the left of causal attention does.
    nothing = padded.clone()
    nothing[1, :, 0] = False
    return {"none": None, "padded": padded, "nothing": nothing}


@pytest.mark.parametrize("name", ["none", "padded", "nothing"])
@pytest.mark.parametrize("seen", [5, 9])
def test_values_and_gradients_are_those_of_torch(name, seen):
    mask = _masks(seen)[name]
    # What a query makes of nothing is nobody's business, as long as it is a number.
    counted = torch.ones(2, 5, 1, 1) if mask is None else mask.any(-1)[:, 0, :, None, None].float()
    found = []
    for function in (grouped.attend, sdpa_attention_forward):
        inputs = _inputs(seen)
        out = function(Layer(), *inputs, mask, scaling=0.3)[0]
        assert out.isfinite().all()
        weights = torch.arange(out.numel(), dtype=torch.float32).view_as(out) / out.numel()
        (out * weights * counted).sum().backward()
        found.append([out * counted, *(i.grad for i in inputs)])
    for ours, torchs in zip(*found, strict=True):
        torch.testing.assert_close(ours, torchs)


def test_a_causal_layer_without_a_mask_does_not_look_ahead():
    layer = Layer()
    layer.is_causal = True
    inputs = _inputs(5)
    before = grouped.attend(layer, *inputs, None)[0]
    with torch.no_grad():
        inputs[2][:, :, -1] += 1
    after = grouped.attend(layer, *inputs, None)[0]
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.allclose(before[:, -1], after[:, -1])


def test_long_rows_are_left_to_torch(monkeypatch):
    inputs = _inputs(9)
    ours = grouped.attend(Layer(), *inputs, None)[0]
    monkeypatch.setattr(grouped, "LONGEST", 8)
    monkeypatch.setattr(grouped, "_Attention", None)
    torch.testing.assert_close(grouped.attend(Layer(), *inputs, None)[0], ours)


def test_backbones_are_loaded_with_it(tiny_backbones):
    from vaner.model.config import ModelConfig

    for kind in ("llama", "bert"):
        model = VanerModel.build(ModelConfig(backbone=str(tiny_backbones[kind])), dtype="float32")
        assert model.config._attn_implementation == grouped.NAME


def test_under_autocast_forward_and_backward_round_alike():
    """--bf16 true: queries and keys come in float32 from the rotation, values in bfloat16."""
    mask = _masks(5)["padded"]
    exact, rounded = _inputs(5), _inputs(5)
    expected = grouped.attend(Layer(), *exact, mask)[0]
    expected.square().sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        query, key, value = rounded
        found = grouped.attend(Layer(), query, key, value.bfloat16(), mask)[0]
    assert found.dtype == torch.bfloat16
    found.float().square().sum().backward()
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.grad.dtype == torch.float32
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0.1, atol=0.2)
