"""In: a backbone, a number of its layers. Out: its lower layers, saved, loaded, merged and refused as they should."""

from __future__ import annotations

import pytest
import torch

from tests.model.test_network import FAMILIES, build, logits, rows
from vaner.errors import VanerError
from vaner.model.adapting import Adapter
from vaner.model.network import VanerModel


def states(model, ids):
    """What the backbone says after its last layer, before anything is normalised."""
    found = []
    layers = getattr(model.plain_backbone, "layers", None) or model.plain_backbone.encoder.layer
    handle = layers[0].register_forward_hook(lambda _, __, out: found.append(out))
    with torch.inference_mode():
        model.plain_backbone(input_ids=ids, attention_mask=torch.ones_like(ids))
    handle.remove()
    (first,) = found
    return first if isinstance(first, torch.Tensor) else first[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_lower_layers_are_kept(tiny_backbones, family):
    bare = Adapter(kind="none")
    whole = build(tiny_backbones[family], adapter=bare)
    cut = build(tiny_backbones[family], adapter=bare, keep_layers=1)
    assert cut.plain_backbone.config.num_hidden_layers == 1
    ids = torch.arange(5, 17)[None]
    assert torch.equal(states(cut, ids), states(whole, ids))
    kept = dict(whole.plain_backbone.named_parameters())
    for name, weight in cut.plain_backbone.named_parameters():
        assert torch.equal(weight, kept[name]), name
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in whole.parameters())
    assert cut.settings.weights_hash == whole.settings.weights_hash, "the base is the same file"


@pytest.mark.parametrize("kind", ["lora", "full", "none"])
@pytest.mark.parametrize("attention", ["bidirectional", "prefix"])
def test_it_is_saved_with_the_model(tiny_backbones, tiny_tokenizer, tmp_path, kind, attention):
    adapter = Adapter(kind=kind, r=4)
    model = build(tiny_backbones["llama"], adapter=adapter, keep_layers=1, attention=attention)
    model.save_pretrained(tmp_path, tiny_tokenizer)
    found = rows(tiny_tokenizer)
    for merge in (False, True):
        loaded = VanerModel.from_pretrained(tmp_path, dtype="float32", device="cpu", merge=merge)
        assert loaded.settings.keep_layers == 1
        assert loaded.plain_backbone.config.num_hidden_layers == 1
        torch.testing.assert_close(logits(loaded, found), logits(model, found), rtol=1e-4, atol=1e-5)


def test_a_merged_folder_holds_the_kept_layers_only(tiny_backbones, tiny_tokenizer, tmp_path):
    model = build(tiny_backbones["llama"], keep_layers=1)
    found = rows(tiny_tokenizer)
    expected = logits(model, found)
    model.save_merged(tmp_path, tiny_tokenizer)
    loaded = VanerModel.from_pretrained(tmp_path, dtype="float32", device="cpu")
    assert len(loaded.plain_backbone.layers) == 1
    torch.testing.assert_close(logits(loaded, found), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [0, 3])
def test_layers_that_it_has_not_are_refused(tiny_backbones, layers):
    with pytest.raises(VanerError, match=f"keep_layers: {layers} of the 2 layers of .*; choose 1 to 2"):
        build(tiny_backbones["llama"], keep_layers=layers)


def test_other_counts_go_by_the_kept_layers(tiny_backbones):
    with pytest.raises(VanerError, match="lora_upper_layers: 2 of 1 layers"):
        build(tiny_backbones["llama"], adapter=Adapter(upper_layers=2), keep_layers=1)
    with pytest.raises(VanerError, match="attention layerwise|causal_layers"):
        build(tiny_backbones["llama"], attention="layerwise", keep_layers=1)
