"""In: saved adapters. Out: the weights that peft's own merge gives, bit by bit; what is not plain goes to peft."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.model.test_network import build
from vaner.errors import VanerError
from vaner.model.adapting import Adapter
from vaner.model.config import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from vaner.model.merging import is_plain, read_config
from vaner.model.network import VanerModel


@pytest.fixture
def saved(tiny_backbones, tiny_tokenizer, tmp_path):
    build(tiny_backbones["llama"]).save_pretrained(tmp_path / "model", tiny_tokenizer)
    return tmp_path / "model"


def weights(model):
    return dict(model.backbone.named_parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["llama", "bert"])
def test_merged_at_once_is_merged_by_peft(
    tiny_backbones, tiny_tokenizer, tmp_path, monkeypatch, family, dtype
):
    build(tiny_backbones[family]).save_pretrained(tmp_path, tiny_tokenizer)
    by_peft = VanerModel.from_pretrained(tmp_path, dtype=dtype, device="cpu").merge()
    with monkeypatch.context() as without:
        without.setattr("vaner.model.saving.with_lora", None)
        at_once = VanerModel.from_pretrained(tmp_path, dtype=dtype, device="cpu", merge=True)
    assert not at_once.is_adapted
    expected, found = weights(by_peft), weights(at_once)
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name
    unmerged = VanerModel.from_pretrained(tmp_path, dtype=dtype, device="cpu").plain_backbone
    before = {n.replace(".base_layer", ""): p for n, p in unmerged.named_parameters()}
    changed = [n for n in found if not torch.equal(found[n], before[n])]
    assert len(changed) >= 2 * 6, "the adapter added nothing"


def test_only_the_adapted_layers_change(tiny_backbones, tiny_tokenizer, tmp_path):
    model = build(tiny_backbones["llama"], adapter=Adapter(r=4, upper_layers=1))
    model.save_pretrained(tmp_path, tiny_tokenizer)
    expected = weights(VanerModel.from_pretrained(tmp_path, dtype="float32", device="cpu").merge())
    found = weights(VanerModel.from_pretrained(tmp_path, dtype="float32", device="cpu", merge=True))
    assert all(torch.equal(found[n], expected[n]) for n in expected)


def test_what_is_not_plain_is_left_to_peft(saved):
    config = read_config(saved / ADAPTER_CONFIG)
    assert is_plain(config)
    for change in (
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 2}},
        {"bias": "all"},
        {"peft_type": "IA3"},
        {"fan_in_fan_out": True},
        {"modules_to_save": ["norm"]},
        {"invented_tomorrow": 1},
    ):
        assert not is_plain(config | change), change
    (saved / ADAPTER_CONFIG).write_text(json.dumps(config | {"alpha_pattern": {"q_proj": 8}}))
    expected = weights(VanerModel.from_pretrained(saved, dtype="float32", device="cpu").merge())
    found = weights(VanerModel.from_pretrained(saved, dtype="float32", device="cpu", merge=True))
    assert all(torch.equal(found[n], expected[n]) for n in expected)


@pytest.mark.parametrize("damage", ["renamed", "cut", "alone"])
def test_weights_that_fit_nowhere_are_refused(saved, damage):
    state = load_file(saved / ADAPTER_WEIGHTS)
    name = sorted(state)[0]
    tensor = state.pop(name)
    if damage == "renamed":
        state[name.replace("layers.0", "layers.9")] = tensor
    elif damage == "cut":
        state[name] = tensor[:, :-1].contiguous()
    save_file(state, saved / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(VanerError, match="does not fit its config"):
        VanerModel.from_pretrained(saved, device="cpu", merge=True)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_config_is_refused(saved, text):
    (saved / ADAPTER_CONFIG).write_text(text)
    with pytest.raises(VanerError, match="adapter_config.json: not"):
        VanerModel.from_pretrained(saved, device="cpu", merge=True)
