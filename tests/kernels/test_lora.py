"""The one-step LoRA layer gives peft's own outputs and gradients, and leaves alone what it does not cover."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModel

from vaner.kernels.lora import fuse

TARGETS = ["q_proj", "v_proj", "up_proj", "down_proj"]


def _adapted(folder, **options):
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=12, target_modules=TARGETS, init_lora_weights=False, **options)
    return get_peft_model(AutoModel.from_pretrained(folder), config)


def _run(model):
    model.zero_grad()
    states = model(input_ids=torch.tensor([[5, 6, 7, 8, 9]])).last_hidden_state
    states.pow(2).sum().backward()
    return states.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_same_states_and_gradients_as_peft(tiny_backbones):
    model = _adapted(tiny_backbones["llama"])
    states, gradients = _run(model)
    assert fuse(model) == 8
    fused_states, fused_gradients = _run(model)
    torch.testing.assert_close(fused_states, states, rtol=1e-5, atol=1e-5)
    assert fused_gradients.keys() == gradients.keys() and len(gradients) == 16
    for name, gradient in gradients.items():
        torch.testing.assert_close(fused_gradients[name], gradient, rtol=1e-4, atol=1e-4)


def test_layers_with_a_bias(tiny_backbones):
    model = _adapted(tiny_backbones["qwen2"])  # its q and v projections have one
    states, _ = _run(model)
    fuse(model)
    torch.testing.assert_close(_run(model)[0], states, rtol=1e-5, atol=1e-5)


def test_disabled_and_merged_adapters_fall_back_on_peft(tiny_backbones):
    model = _adapted(tiny_backbones["llama"]).eval()
    fuse(model)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        adapted = model(input_ids=ids).last_hidden_state
        with model.disable_adapter():
            plain = model(input_ids=ids).last_hidden_state
        expected = AutoModel.from_pretrained(tiny_backbones["llama"])(input_ids=ids).last_hidden_state
        torch.testing.assert_close(plain, expected)
        assert (adapted - plain).abs().max() > 1e-3
        model.merge_adapter()
        torch.testing.assert_close(model(input_ids=ids).last_hidden_state, adapted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{"lora_dropout": 0.1}, {"use_dora": True}])
def test_what_it_does_not_cover_keeps_pefts_forward(tiny_backbones, options):
    assert fuse(_adapted(tiny_backbones["llama"], **options)) == 0


def test_bfloat16_base_keeps_float32_adapters(tiny_backbones):
    config = LoraConfig(r=4, target_modules=TARGETS, init_lora_weights=False)
    model = get_peft_model(AutoModel.from_pretrained(tiny_backbones["llama"], dtype=torch.bfloat16), config)
    fuse(model)
    states, gradients = _run(model)
    assert states.dtype == torch.bfloat16
    assert all(g.dtype == torch.float32 for g in gradients.values())


def test_under_autocast_a_float32_base_gives_what_peft_gives(tiny_backbones):
    """--bf16 true with --dtype float32: the weights stay float32, the products are bfloat16."""
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    torch.manual_seed(0)
    model = get_peft_model(AutoModel.from_pretrained(tiny_backbones["llama"]), config)
    ids = torch.arange(12)[None]

    def step() -> list[torch.Tensor]:
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(input_ids=ids).last_hidden_state.float().square().mean().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    expected = step()
    assert fuse(model) > 0
    for found, before in zip(step(), expected, strict=True):
        assert torch.equal(found, before)
