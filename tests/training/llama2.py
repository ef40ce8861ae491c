"""In: nothing. Out: a tiny backbone shaped like LLaMA-2, with a tokenizer like its own: Metaspace, byte fallback."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import SAMPLES


def make(folder: Path) -> str:
    """Write the backbone; returns its folder.

    LLaMA-2's tokenizer is a SentencePiece BPE: spaces are ``▁``, one is put before the text, and a character that the
    vocabulary lacks becomes its UTF-8 bytes (``<0xE2>``).
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import AutoModel, LlamaConfig, PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    text = (SAMPLES / "abstracts.pubtator").read_text(encoding="utf-8")
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False)
    # Words, so that no token reaches over a space, as in the original.
    tokenizer.train_from_iterator((word for line in text.splitlines() for word in line.split()), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        # LLaMA-2-7B has as many key heads as query heads.
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    AutoModel.from_config(config).eval().save_pretrained(folder)
    fast.save_pretrained(folder)
    return str(folder)
