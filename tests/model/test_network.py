"""Logits do not depend on batch or padding; the loss is exact under accumulation; folders load as they were saved."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vaner.errors import VanerError
from vaner.inputs.batching import collate
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import TYPE_VECTORS, Template
from vaner.model.adapting import Adapter, choose_dtype
from vaner.model.attention import copies
from vaner.model.config import CONFIG_NAME, ModelConfig
from vaner.model.network import VanerModel
from vaner.model.saving import load_tokenizer

FAMILIES = ["llama", "mistral", "qwen2", "bert"]
# Each way in which a type is read, and an instruction after the text.
TEMPLATES = [
    *(Template(type_vector=vector) for vector in TYPE_VECTORS),
    Template(type_vector="mean", place="after"),
]
WORDS = "Famotidine - associated delirium in six patients with renal failure .".split()


def build(folder, head="typed", adapter=None, **settings):
    config = ModelConfig(
        backbone=folder, head=head, head_rank=8, max_tokens=384, types=["Disease", "Chemical"]
    )
    model = VanerModel.build(
        dataclasses.replace(config, **settings), adapter or Adapter(r=4), dtype="float32", seed=3
    ).eval()
    # Fresh LoRA adds nothing; a test wants adapters that count, and the same ones whatever ran before.
    drawn = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1, generator=drawn)
    return model


def rows(
    tokenizer,
    lengths=(4, 11, 7),
    types=("Disease", "Chemical"),
    labelled=False,
    template=None,
    mode="bidirectional",
):
    tokenisation = Tokenisation(tokenizer, 384, copies(mode))
    instruction = (template or Template()).render(list(types), "bc5cdr")
    rng = np.random.default_rng(0)
    found = []
    for length in lengths:
        labels = rng.integers(0, 3, (len(types), length)).astype(np.int8) if labelled else None
        found.append(tokenisation.row(instruction, (WORDS * 4)[:length], labels))
    return found


def tensors(found, side="right"):
    return {k: torch.from_numpy(v) for k, v in collate(found, 0, side).items()}


def logits(model, found, side="right"):
    with torch.inference_mode():
        return model(**tensors(found, side))["logits"]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_do_not_depend_on_the_batch_or_the_padding_side(
    tiny_backbones, tiny_tokenizer, family, implementation
):
    model = build(tiny_backbones[family])
    model.backbone.base_model.model.set_attn_implementation(implementation)
    found = rows(tiny_tokenizer)
    alone = [logits(model, [row])[0] for row in found]
    for side in ("right", "left"):
        together = logits(model, found, side)
        for row, expected, got in zip(found, alone, together, strict=True):
            torch.testing.assert_close(got[:, : len(row.word_positions)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_a_row_may_ask_fewer_types_than_its_neighbour(tiny_backbones, tiny_tokenizer, template):
    model = build(tiny_backbones["llama"])
    asked = ("Disease",), ("Chemical", "Adverse drug reaction"), ("Disease",)
    found = [rows(tiny_tokenizer, (7,), types, template=template)[0] for types in asked]
    for side in ("right", "left"):
        for row, got in zip(found, logits(model, found, side), strict=True):
            torch.testing.assert_close(
                got[: len(row.type_positions)], logits(model, [row])[0], rtol=1e-4, atol=1e-5
            )


def test_a_type_is_the_mean_of_the_states_of_its_tokens(tiny_backbones, tiny_tokenizer):
    model = build(tiny_backbones["llama"])
    (row,) = rows(
        tiny_tokenizer, (5,), ("Adverse drug reaction", "Gene"), template=Template(type_vector="mean")
    )
    seen = []
    model.head.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    logits(model, [row])
    with torch.inference_mode():
        ids = torch.from_numpy(row.input_ids).long()[None]
        states = model.backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
    assert (row.type_positions >= 0).sum(1).min() > 1
    for line, got in zip(row.type_positions, seen[0][0], strict=True):
        torch.testing.assert_close(got, states[line[line >= 0]].mean(0), rtol=1e-4, atol=1e-5)


def test_accumulated_batches_give_the_gradient_of_one_large_batch(tiny_backbones, tiny_tokenizer):
    model = build(tiny_backbones["llama"])
    found = rows(tiny_tokenizer, (4, 11, 7, 3, 9, 2, 5, 8), labelled=True)
    items = sum(r.labels.size for r in found)

    def gradient(groups):
        model.zero_grad()
        loss = 0.0
        for group in groups:
            out = model(**tensors(group), num_items_in_batch=items)["loss"]
            out.backward()
            loss += out.item()
        return loss, [p.grad.clone() for p in model.parameters() if p.grad is not None]

    whole_loss, whole = gradient([found])
    parts_loss, parts = gradient([found[i : i + 2] for i in range(0, 8, 2)])
    assert parts_loss == pytest.approx(whole_loss, rel=1e-5)
    assert len(whole) == len(parts) > 10
    for a, b in zip(parts, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
    mean = model(**tensors(found))["loss"].item()
    assert mean == pytest.approx(whole_loss, rel=1e-5)


def test_ignored_labels_give_no_gradient(tiny_backbones, tiny_tokenizer):
    model = build(tiny_backbones["llama"])
    (row,) = rows(tiny_tokenizer, (6,), labelled=True)
    row.labels = np.full_like(row.labels, -100)
    loss = model(**tensors([row]))["loss"]
    loss.backward()
    assert loss.item() == 0.0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("head", ["typed", "shared"])
@pytest.mark.parametrize("family", ["llama", "bert"])
def test_save_load_and_merge_give_equal_logits(tiny_backbones, tiny_tokenizer, tmp_path, family, head):
    model = build(tiny_backbones[family], head)
    found = rows(tiny_tokenizer, types=("Disease", "Chemical") if head == "typed" else ("Disease",))
    expected = logits(model, found)
    model.save_pretrained(tmp_path / "saved", tiny_tokenizer)

    loaded = VanerModel.from_pretrained(tmp_path / "saved", dtype="float32", device="cpu")
    torch.testing.assert_close(logits(loaded, found), expected, rtol=0, atol=0)
    assert loaded.settings == model.settings

    merged = VanerModel.from_pretrained(tmp_path / "saved", dtype="float32", device="cpu", merge=True)
    assert not merged.is_adapted
    torch.testing.assert_close(logits(merged, found), expected, rtol=1e-4, atol=1e-4)

    model.save_merged(tmp_path / "merged", tiny_tokenizer)
    alone = VanerModel.from_pretrained(tmp_path / "merged", dtype="float32", device="cpu")
    assert not alone.is_adapted and alone.settings.backbone == "backbone"
    torch.testing.assert_close(logits(alone, found), expected, rtol=1e-4, atol=1e-4)
    assert load_tokenizer(tmp_path / "merged").vocab_size == tiny_tokenizer.vocab_size


@pytest.mark.parametrize("kind", ["full", "none"])
def test_full_and_frozen_backbones_are_saved_and_loaded(tiny_backbones, tiny_tokenizer, tmp_path, kind):
    model = build(tiny_backbones["llama"], adapter=Adapter(kind=kind))
    trained = sum(p.requires_grad for p in model.backbone.parameters())
    assert (trained > 0) == (kind == "full")
    if kind == "full":
        with torch.no_grad():
            next(model.backbone.parameters()).add_(0.1)
    found = rows(tiny_tokenizer)
    expected = logits(model, found)
    model.save_pretrained(tmp_path, tiny_tokenizer)
    assert (tmp_path / "backbone").is_dir() == (kind == "full")
    loaded = VanerModel.from_pretrained(tmp_path, dtype="float32", device="cpu")
    torch.testing.assert_close(logits(loaded, found), expected)


def test_upper_layers_only(tiny_backbones):
    model = build(tiny_backbones["llama"], adapter=Adapter(r=4, upper_layers=1))
    adapted = {n.split(".layers.")[1][0] for n, p in model.named_parameters() if "lora_" in n}
    assert adapted == {"1"}
    with pytest.raises(VanerError, match="3 of 2 layers"):
        build(tiny_backbones["llama"], adapter=Adapter(upper_layers=3))


def test_same_seed_same_weights(tiny_backbones):
    first, second = (build_plain(tiny_backbones["llama"], seed) for seed in (7, 7))
    other = build_plain(tiny_backbones["llama"], 8)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def build_plain(folder, seed):
    model = VanerModel.build(ModelConfig(backbone=folder, max_tokens=384), dtype="float32", seed=seed)
    return [p for p in model.parameters() if p.requires_grad]


def test_gradient_checkpointing_gives_the_same_gradient(tiny_backbones, tiny_tokenizer):
    model = build(tiny_backbones["llama"]).train()
    found = tensors(rows(tiny_tokenizer, labelled=True))

    def gradient():
        model.zero_grad()
        model(**found)["loss"].backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    before = gradient()
    model.gradient_checkpointing_enable()
    for a, b in zip(gradient(), before, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_quantised_bases_train_on_cpu(tiny_backbones, tiny_tokenizer, quantization):
    pytest.importorskip("bitsandbytes")
    config = ModelConfig(backbone=tiny_backbones["llama-wide"], max_tokens=384, head_rank=8)
    model = VanerModel.build(config, Adapter(r=4), dtype="float32", quantization=quantization, device="cpu")
    out = model(**tensors(rows(tiny_tokenizer, labelled=True)))
    out["loss"].backward()
    gradients = [p.grad for n, p in model.named_parameters() if "lora_B" in n]
    assert "bnb" in {type(m).__module__.split(".")[-1] for m in model.modules()}, "nothing was quantised"
    assert all(g is not None for g in gradients) and any(g.abs().max() > 0 for g in gradients)
    assert torch.isfinite(out["logits"]).all()


# --- bad input ---


@pytest.fixture
def saved(tiny_backbones, tiny_tokenizer, tmp_path):
    build(tiny_backbones["llama"]).save_pretrained(tmp_path / "model", tiny_tokenizer)
    return tmp_path / "model"


def test_another_base_is_refused(saved, tiny_backbones, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(tiny_backbones["llama"], changed)
    state = load_file(changed / "model.safetensors")
    name = sorted(state)[0]
    state[name].view(-1)[0] += 1
    save_file(state, changed / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((saved / CONFIG_NAME).read_text())
    config["backbone"] = str(changed)
    (saved / CONFIG_NAME).write_text(json.dumps(config))
    with pytest.raises(VanerError, match="hash"):
        VanerModel.from_pretrained(saved, device="cpu")
    VanerModel.from_pretrained(saved, device="cpu", check_hash=False)


@pytest.mark.parametrize("name", ["head.safetensors", "adapter_model.safetensors"])
def test_missing_weights(saved, name):
    (saved / name).unlink()
    with pytest.raises(VanerError, match=f"{name} is missing"):
        VanerModel.from_pretrained(saved, device="cpu")


def test_not_a_model_folder(tmp_path):
    with pytest.raises(VanerError, match=CONFIG_NAME):
        VanerModel.from_pretrained(tmp_path)


def test_pickled_weights_are_not_loaded(tiny_backbones, tmp_path):
    shutil.copytree(tiny_backbones["llama"], tmp_path / "pickled")
    state = load_file(tmp_path / "pickled" / "model.safetensors")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(VanerError, match="safetensors"):
        build(str(tmp_path / "pickled"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(adapter=Adapter(kind="prompt")), "prompt"),
        (dict(adapter=Adapter(targets=["w_pack"])), "w_pack"),
        (dict(head="crf"), "crf"),
        (dict(attention="sideways"), "sideways"),
        (dict(max_tokens=4096), "max_tokens"),
        (dict(attention="prefix", template=Template(place="after")), "--instruction before"),
    ],
)
def test_wrong_settings_are_named(tiny_backbones, change, message):
    with pytest.raises(VanerError, match=message):
        build(tiny_backbones["llama"], **change)


def test_full_training_of_a_quantised_base_is_refused(tiny_backbones):
    config = ModelConfig(backbone=tiny_backbones["llama"], max_tokens=384)
    with pytest.raises(VanerError, match="lora"):
        VanerModel.build(config, Adapter(kind="full"), quantization="4bit")


def test_unknown_dtype():
    with pytest.raises(VanerError, match="float8"):
        choose_dtype("float8")
