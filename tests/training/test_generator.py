"""The loss of a generator: cross-entropy of labelled tokens, whatever shares the batch; as trl computes it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from tests.training import tiny_lm
from vaner.errors import VanerError
from vaner.model.adapting import Adapter
from vaner.model.catalogue import backbone_folder
from vaner.model.config import GENERATE, ModelConfig
from vaner.prompting.backends.transformers import TransformersBackend
from vaner.training.generation import Row, collate
from vaner.training.generator import Generator

ASKED = {"backend": {"name": "transformers", "model": "."}, "types": {"Disease": "an illness"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_lm.make(tmp_path_factory.mktemp("lm"))


def build(folder, **options):
    settings = ModelConfig(backbone=str(folder), head=GENERATE, attention="causal")
    model = Generator.build(settings, Adapter(r=4), ASKED, **{"dtype": "float32"} | options)
    # peft's B is zero, which hides what A does.
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.train()


def some_rows(seed=0, sizes=((12, 5), (30, 20), (21, 3))):
    rng = np.random.default_rng(seed)
    return [Row(rng.integers(4, 900, length).astype(np.int32), prompt) for length, prompt in sizes]


def tensors(rows, loss_on="completion"):
    return {name: torch.from_numpy(array) for name, array in collate(rows, 0, loss_on).items()}


@pytest.mark.parametrize("loss_on", ["completion", "full"])
def test_the_loss_is_the_mean_over_labelled_tokens_row_by_row(loss_on, folder):
    model, rows = build(folder), some_rows()
    total, count = 0.0, 0
    for row in rows:
        ids = torch.from_numpy(row.ids.astype(np.int64))
        likely = model.plain_backbone(ids[None]).logits[0].log_softmax(-1)
        for at in range(row.prompt if loss_on == "completion" else 1, len(row)):
            total -= likely[at - 1, ids[at]].item()
            count += 1
    assert model(**tensors(rows, loss_on))["loss"].item() == pytest.approx(total / count, abs=1e-5)


def test_a_row_reads_neither_its_neighbours_nor_padding_nor_what_comes_later(folder):
    model, rows = build(folder), some_rows()
    ones = [model(**tensors([row]), num_items_in_batch=1)["loss"].item() for row in rows]
    together = model(**tensors(rows), num_items_in_batch=1)["loss"].item()
    assert together == pytest.approx(sum(ones), rel=1e-5)
    # A later token changes nothing before it: of a row with only its first token to learn, the rest is free.
    row = rows[1]
    batch = tensors([row])
    batch["labels"][:, row.prompt + 1 :] = -100
    before = model(**batch)["loss"].item()
    batch["input_ids"][:, row.prompt + 1 :] = 7
    assert model(**batch)["loss"].item() == before


def test_accumulated_batches_give_the_gradient_of_one(folder):
    model, rows = build(folder), some_rows()

    def gradient(batches):
        model.zero_grad()
        items = sum((batch["labels"] != -100).sum() for batch in batches)
        for batch in batches:
            model(**batch, num_items_in_batch=items)["loss"].backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}

    whole, parts = gradient([tensors(rows)]), gradient([tensors([row]) for row in rows])
    assert whole.keys() == parts.keys() and len(whole) == 2 * 7 * 2
    for name in whole:
        assert torch.allclose(whole[name], parts[name], atol=1e-6), name


def test_checkpointing_changes_no_gradient(folder):
    def gradient(checkpointing):
        model = build(folder)
        if checkpointing:
            model.gradient_checkpointing_enable()
        model(**tensors(some_rows()))["loss"].backward()
        return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}

    kept, again = gradient(False), gradient(True)
    assert all(torch.equal(kept[name], again[name]) and kept[name].abs().sum() > 0 for name in kept)


def test_what_is_saved_is_loaded_again(folder, tmp_path):
    model, batch = build(folder), tensors(some_rows())
    model.save_pretrained(tmp_path)
    written = {path.name for path in tmp_path.iterdir()} - {"README.md"}
    assert written == {"adapter_config.json", "adapter_model.safetensors", "generator.yaml", "vaner.json"}
    other = Generator.build(model.settings, Adapter(r=4), ASKED, dtype="float32", seed=9).train()
    assert other(**batch)["loss"] != model(**batch)["loss"]
    other.load_trained(tmp_path)
    assert torch.equal(other(**batch)["loss"], model(**batch)["loss"])
    weights = load_file(tmp_path / "adapter_model.safetensors")
    save_file({name.replace("q_proj", "x_proj"): tensor for name, tensor in weights.items()},
              tmp_path / "adapter_model.safetensors")  # fmt: skip
    with pytest.raises(VanerError, match="does not fit its config"):
        other.load_trained(tmp_path)


def test_another_base_than_it_was_trained_on_is_refused(folder, tmp_path):
    build(folder).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    TransformersBackend(str(tmp_path), device="cpu", dtype="float32")
    said = json.loads((tmp_path / "vaner.json").read_text())
    said["weights_hash"] = "0" * 64
    (tmp_path / "vaner.json").write_text(json.dumps(said))
    with pytest.raises(VanerError, match="was trained on a .* whose weights hash to 000000000000"):
        TransformersBackend(str(tmp_path), device="cpu", dtype="float32")


def test_the_output_layer_can_be_adapted_too(folder, tmp_path):
    settings = ModelConfig(backbone=folder, head=GENERATE, attention="causal")
    model = Generator.build(settings, Adapter(r=4, targets=["q_proj", "lm_head"]), ASKED, dtype="float32")
    model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "adapter_model.safetensors")
    assert any("lm_head.lora_A" in name for name in names) and not any("base_layer" in name for name in names)


def test_a_backbone_without_its_output_layer_is_refused(tiny_backbones):
    """Its embedding is not its output layer, and a new one would write at random."""
    with pytest.raises(VanerError, match=r"has no lm_head.weight, so it cannot write; name the whole"):
        build(tiny_backbones["llama"])
    with pytest.raises(VanerError, match="so it cannot write"):
        build(tiny_backbones["bert"])


@pytest.mark.slow
def test_the_embedded_backbone_writes_by_its_embedding():
    model = build(backbone_folder("smollm2-135m"), dtype="bfloat16")
    backbone = model.plain_backbone
    assert (
        backbone.get_output_embeddings().weight.data_ptr()
        == backbone.get_input_embeddings().weight.data_ptr()
    )


@pytest.mark.slow
@pytest.mark.parametrize("loss_on", ["completion", "full"])
def test_the_loss_is_that_of_trl(loss_on, folder, tmp_path):
    trl = pytest.importorskip("trl", reason="peer implementation of the loss: pip install 'vaner[peers]'")
    datasets = pytest.importorskip("datasets")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rows = some_rows()
    model = AutoModelForCausalLM.from_pretrained(folder)
    dataset = datasets.Dataset.from_list(
        [
            {
                "input_ids": row.ids.tolist(),
                "completion_mask": [0] * row.prompt + [1] * (len(row) - row.prompt),
            }
            for row in rows
        ]
    )
    config = trl.SFTConfig(
        output_dir=str(tmp_path),
        completion_only_loss=loss_on == "completion",
        per_device_train_batch_size=len(rows),
        gradient_checkpointing=False,
        max_length=None,
        bf16=False,
        use_cpu=True,
        report_to="none",
    )
    trainer = trl.SFTTrainer(
        model, config, train_dataset=dataset, processing_class=AutoTokenizer.from_pretrained(folder)
    )
    (batch,) = trainer.get_train_dataloader()
    theirs = trainer.compute_loss(trainer.model, dict(batch))
    ours = Generator.build(
        ModelConfig(backbone=folder, head=GENERATE, attention="causal"), Adapter(r=4), ASKED, dtype="float32"
    )(**tensors(rows, loss_on))["loss"]
    assert (batch["labels"] != -100).sum() == sum(
        len(r) - (r.prompt if loss_on == "completion" else 0) for r in rows
    )
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
