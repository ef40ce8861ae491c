"""The model sees the future in bidirectional mode and not in causal mode, in eager and sdpa, padded or not."""

import pytest
import torch
from transformers import AutoModel

from vaner.attention import set_attention
from vaner.errors import VanerError


def _states(folder, mode, implementation, ids, mask=None):
    model = AutoModel.from_pretrained(folder, attn_implementation=implementation).eval()
    set_attention(model, mode)
    mask = torch.ones_like(ids) if mask is None else mask
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=mask).last_hidden_state


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2"])
@pytest.mark.parametrize("mode", ["bidirectional", "causal"])
def test_who_sees_the_future(tiny_backbones, family, mode, implementation, padded):
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16]])
    changed = ids.clone()
    changed[0, 5] = 99
    mask = torch.ones_like(ids)
    if padded:
        mask[1, 4:] = 0
    before = _states(tiny_backbones[family], mode, implementation, ids, mask)
    after = _states(tiny_backbones[family], mode, implementation, changed, mask)
    moved = (before - after)[0, :5].abs().max().item()
    if mode == "causal":
        assert moved < 1e-6
    else:
        assert moved > 1e-3
    assert (before - after)[1].abs().max() < 1e-6, "another row's text changed this row"


def test_an_encoder_reads_both_ways_and_has_no_causal_mode(tiny_backbones):
    ids = torch.tensor([[5, 6, 7, 8]])
    changed = torch.tensor([[5, 6, 7, 99]])
    before = _states(tiny_backbones["bert"], "bidirectional", "sdpa", ids)
    after = _states(tiny_backbones["bert"], "bidirectional", "sdpa", changed)
    assert (before - after)[0, 0].abs().max() > 1e-3
    with pytest.raises(VanerError, match="encoder"):
        set_attention(AutoModel.from_pretrained(tiny_backbones["bert"]), "causal")


def test_unknown_mode(tiny_backbones):
    with pytest.raises(VanerError, match="sideways.*bidirectional"):
        set_attention(AutoModel.from_pretrained(tiny_backbones["llama"]), "sideways")
