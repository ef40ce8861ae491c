"""The invariants once more on the real 135M backbone, which is fetched if it is not in the cache."""

import dataclasses

import pytest
import torch

from tests.conftest import SAMPLES
from tests.model.test_network import rows, tensors
from vaner.formats import read
from vaner.kernels.machine import multiplies_bfloat16
from vaner.model.adapting import Adapter
from vaner.model.catalogue import backbone_folder
from vaner.model.config import ModelConfig
from vaner.model.hashing import weights_hash
from vaner.model.network import VanerModel
from vaner.model.saving import load_tokenizer
from vaner.tagging.labeler import Vaner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    """Then back to what it was: the bits of a sum depend on how many threads share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder():
    return backbone_folder("smollm2-135m")


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def model(folder):
    settings = ModelConfig(types=["Disease", "Chemical"], max_words=60)
    built = VanerModel.build(settings, Adapter(r=4), dtype="float32", seed=1).eval()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
        built.head.word_bias.bias.copy_(torch.tensor([0.5, 0.0, 0.0]))
    return built


def test_the_embedded_backbone_is_what_was_measured(folder):
    found = weights_hash(folder)
    assert found == "720fbb75e3744d3e2774fe3f2bc2dd4bae6eb8d1bb6fce008c3c3429d8c5ccd0"


@pytest.mark.parametrize("implementation", ["sdpa", "eager", "grouped"])
def test_logits_alone_and_in_a_batch(model, tokenizer, implementation):
    usual = model.config._attn_implementation
    model.backbone.base_model.model.set_attn_implementation(implementation)
    found = rows(tokenizer, (3, 40, 17))
    with torch.inference_mode():
        alone = [model(**tensors([row]))["logits"][0] for row in found]
        for side in ("right", "left"):
            together = model(**tensors(found, side))["logits"]
            for row, expected, got in zip(found, alone, together, strict=True):
                torch.testing.assert_close(got[:, : len(row.word_positions)], expected, rtol=1e-3, atol=1e-3)
    model.backbone.base_model.model.set_attn_implementation(usual)


def test_attention_by_products_gives_what_sdpa_gives(model, tokenizer):
    found = tensors(rows(tokenizer, (3, 40, 17)))
    kept = found["word_positions"] >= 0
    usual = model.config._attn_implementation
    assert usual == "grouped"
    with torch.inference_mode():
        ours = model(**found)["logits"]
        model.backbone.base_model.model.set_attn_implementation("sdpa")
        torchs = model(**found)["logits"]
    model.backbone.base_model.model.set_attn_implementation(usual)
    for mine, theirs, words in zip(ours, torchs, kept, strict=True):
        torch.testing.assert_close(mine[:, words], theirs[:, words], rtol=1e-3, atol=1e-3)


def test_spans_of_a_corpus_do_not_depend_on_batches():
    documents = list(read(SAMPLES / "abstracts.pubtator"))[:5]
    # The trained model: among the scores of a random head are ties, which rounding decides.
    large = Vaner.from_pretrained(dtype="float32", device="cpu", batch_tokens=4096)
    small = Vaner(large.model, large.tokenisation.tokenizer, batch_tokens=300)
    first = [[s.key for s in d.spans] for d in large.tag_documents(documents)]
    second = [[s.key for s in d.spans] for d in small.tag_documents(documents)]
    assert first == second and sum(map(len, first)) > 50


def test_two_threads_repeat_a_corpus_to_the_last_bit():
    """Fused products (in bfloat16, where there are any), two batches at a time: which thread reads which is chance."""
    documents = list(read(SAMPLES / "abstracts.pubtator"))[:6]
    # Types that the model is sure of: of those that overlap in meaning many spans stand at the border.
    types = ["Disease", "Chemical", "Gene", "Species"]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        tagger = Vaner.from_pretrained(device="cpu", batch_tokens=512)
        first, second = (
            [[(*s.key, s.score) for s in d.spans] for d in tagger.tag_documents(documents, types)]
            for _ in range(2)
        )
        stock = Vaner.from_pretrained(device="cpu", batch_tokens=512, fuse=False)
        plain = {(d.id, *s.key) for d in stock.tag_documents(documents, types) for s in d.spans}
    finally:
        torch.set_num_threads(before)
    assert first == second and sum(map(len, first)) > 50
    fused = {(d.id, *key[:-1]) for d, keys in zip(documents, first, strict=True) for key in keys}
    assert len(fused ^ plain) <= 0.02 * len(plain), "more than rounding can change"


def test_saved_loaded_and_merged(model, tokenizer, tmp_path):
    found = tensors(rows(tokenizer, (12, 30)))
    with torch.inference_mode():
        expected = model(**found)["logits"]
        model.save_pretrained(tmp_path / "saved", tokenizer)
        loaded = VanerModel.from_pretrained(tmp_path / "saved", dtype="float32", device="cpu")
        torch.testing.assert_close(loaded(**found)["logits"], expected, rtol=0, atol=0)
        loaded.save_merged(tmp_path / "merged", tokenizer)
        merged = VanerModel.from_pretrained(tmp_path / "merged", dtype="float32", device="cpu")
        torch.testing.assert_close(merged(**found)["logits"], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor emulates bfloat16, in minutes a row")
def test_bfloat16_agrees_to_rounding(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path, tokenizer)
    half = VanerModel.from_pretrained(tmp_path, dtype="bfloat16", device="cpu", merge=True)
    found = tensors(rows(tokenizer, (12, 30)))
    with torch.inference_mode():
        exact = model(**found)["logits"].softmax(-1)
        rounded = half(**found)["logits"].softmax(-1)
    assert (exact - rounded).abs().mean() < 0.02


def test_quantised_training_step(tokenizer):
    pytest.importorskip("bitsandbytes")
    settings = dataclasses.replace(ModelConfig(), head_rank=8)
    built = VanerModel.build(settings, Adapter(r=4), quantization="4bit", device="cpu")
    built(**tensors(rows(tokenizer, (5,), labelled=True)))["loss"].backward()
    gradients = [p.grad for n, p in built.named_parameters() if "lora_B" in n]
    assert len(gradients) == 210 and all(torch.isfinite(g).all() for g in gradients)
