"""In: the tiny tokenizer. Out: tiny random models that write, with a chat template."""

from __future__ import annotations

import json

import pytest

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "</s>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def chat_tokenizer(tiny_tokenizer):
    """The tiny tokenizer with ChatML's signs and template."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    whole = Tokenizer.from_str(tiny_tokenizer.backend_tokenizer.to_str())
    whole.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=whole, pad_token="<pad>", eos_token="<|endoftext|>", chat_template=TEMPLATE
    )


@pytest.fixture(scope="session")
def spaced_tokenizer():
    """A tokenizer as LLaMA 2 has: ``▁`` for spaces, one before the first word, bytes for what it does not know."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *"abcdefghijklmnopqrstuvwxyz:\n",
    ]
    merges = [("▁", "a"), ("i", "n"), ("▁", "in"), ("▁", "u")]
    vocab = {piece: number for number, piece in enumerate([*pieces, *("".join(m) for m in merges)])}
    whole = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    whole.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    whole.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    whole.add_special_tokens(["<unk>", "<s>", "</s>"])
    whole.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocab["<s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=whole,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template="{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content | trim }} "
        "[/INST]{% else %} {{ m.content | trim }}{{ eos_token }}{% endif %}{% endfor %}",
    )


@pytest.fixture(scope="session")
def make_generator():
    """Makes a tiny random model for a tokenizer: llama, qwen2, or mistral that sees 24 tokens back."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

    def make(tokenizer, kind="llama", seed=0, **more):
        config = (
            dict(
                vocab_size=len(tokenizer) + 5,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=1024,
                initializer_range=0.5,
                bos_token_id=None,
                eos_token_id=None,
                pad_token_id=None,
            )
            | more
        )
        kinds = {"llama": LlamaConfig, "qwen2": Qwen2Config, "mistral": MistralConfig}
        if kind == "mistral":
            config["sliding_window"] = 24
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(kinds[kind](**config)).float().eval()

    return make


@pytest.fixture(scope="session")
def tag_lines():
    """Makes the grammar of ``word : TAG`` lines."""
    from vaner.prompting.request import Grammar

    def make(words, tags=("O", "B-Chemical", "B-Disease")):
        lines = " ".join(json.dumps(("\n" if n else "") + word + " :") + " T" for n, word in enumerate(words))
        choice = " | ".join(json.dumps(f" {tag}") for tag in tags)
        return Grammar(lark=f"start: {lines}\nT: {choice}\n")

    return make
