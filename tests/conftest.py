"""In: nothing but what the repository ships. Out: tiny random models of every family, and where real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# The tests are many small forwards; more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "data" / "samples"


@pytest.fixture(scope="session")
def corpora_root() -> Path:
    """The folder of the real corpora, VANER_DATA; without it the test skips."""
    root = os.environ.get("VANER_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("VANER_DATA names no folder of corpora")
    return Path(root)


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A byte-level BPE tokenizer of 600 tokens, trained on a sample corpus."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    text = (SAMPLES / "abstracts.pubtator").read_text(encoding="utf-8")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<pad>", "<s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(text.splitlines(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>")


def _configs():
    from transformers import BertConfig, LlamaConfig, MistralConfig, Qwen2Config

    decoder = dict(
        vocab_size=600,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        pad_token_id=0,
        initializer_range=0.2,
    )
    return {
        "llama": LlamaConfig(**decoder),
        # 4-bit blocks hold 64 weights, so no matrix may be narrower.
        "llama-wide": LlamaConfig(**decoder | {"hidden_size": 64, "intermediate_size": 128}),
        "mistral": MistralConfig(**decoder, sliding_window=None),
        "qwen2": Qwen2Config(**decoder),
        "bert": BertConfig(
            vocab_size=600,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            pad_token_id=0,
            initializer_range=0.2,
        ),
    }


@pytest.fixture(scope="session")
def tiny_backbones(tmp_path_factory, tiny_tokenizer) -> dict[str, str]:
    """Folders of random two-layer backbones: llama, llama-wide, mistral, qwen2, bert."""
    import torch
    from transformers import AutoModel

    folders = {}
    for name, config in _configs().items():
        folder = tmp_path_factory.mktemp("backbones") / name
        torch.manual_seed(0)
        AutoModel.from_config(config).eval().save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        folders[name] = str(folder)
    return folders


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Hashes of the tests' models do not go to the user's cache; the backbone there is still found."""
    from vaner import backbone

    real = backbone.cache_dir()
    own = tmp_path_factory.mktemp("cache")
    if (real / "backbones").is_dir():
        (own / "backbones").symlink_to(real / "backbones")
    before = os.environ.get("VANER_CACHE")
    os.environ["VANER_CACHE"] = str(own)
    yield
    if before is None:
        del os.environ["VANER_CACHE"]
    else:
        os.environ["VANER_CACHE"] = before
