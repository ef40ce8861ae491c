"""In: the name of a shape. Out: a tagger, or a model to train, of that shape; real abstracts to read.

``smollm2-135m`` is the embedded backbone. The others are built on the device with random weights, never read from
a disk: how fast a model runs does not depend on its weights' values. They use the embedded backbone's tokenizer,
so their vocabulary has its 49,152 tokens.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, BertConfig, LlamaConfig

from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import read
from vaner.kernels.fused import to_fused
from vaner.kernels.grouped import use_grouped
from vaner.kernels.int8 import to_int8
from vaner.kernels.lora import fuse
from vaner.model.adapting import LLAMA_PROJECTIONS, Adapter, choose_dtype, load_backbone
from vaner.model.attention import copies, set_attention
from vaner.model.catalogue import backbone_folder, model_folder
from vaner.model.config import DEFAULT_MODEL, ModelConfig
from vaner.model.heads import build_head
from vaner.model.network import VanerModel
from vaner.model.saving import load_tokenizer
from vaner.report import Report
from vaner.tagging.labeler import Vaner

SHIPPED = DEFAULT_MODEL
REAL = "smollm2-135m"
_RANDOM = {
    "tiny": dict(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    ),
    "llama2-7b": dict(
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
        rms_norm_eps=1e-5,
    ),
}
SHAPES = (REAL, *_RANDOM)

# The first four are the question of every table; the others fill it up where more are asked.
TYPES = ["Disease", "Chemical", "Gene", "Species"]
TYPES += ["CellLine", "Variant", "Anatomy", "CellType", "DNA", "RNA", "Organ", "Pathway"]

# How much more a random head likes O: about as few mentions come out as of a trained one.
_LIKES_O = 1.5


def abstracts(data_root: str | None, seed: int) -> list[Document]:
    """Real abstracts without their annotations, in an order that the seed draws.

    Those of the training splits of every PubTator corpus below the data root, each PMID once; of the shipped
    samples where there is no data root.
    """
    corpora = [c for c in read_registry().values() if c.format == "pubtator" and "train" in c.files]
    found: dict[str, Document] = {}
    for shipped in (False, True):
        for corpus in corpora:
            if corpus.shipped is shipped and "train" in corpus.present(data_root):
                for one in corpus.documents("train", data_root, report=Report()):
                    found.setdefault(one.metadata.get("pmid") or one.id, one)
        if found:
            break
    else:
        for one in read(shipped("data") / "samples" / "abstracts.pubtator"):
            found.setdefault(one.id, one)
    documents = [one.with_spans([]) for one in found.values()]
    return [documents[i] for i in np.random.default_rng(seed).permutation(len(documents))]


def first(documents: list[Document], count: int) -> list[Document]:
    """The first ``count`` abstracts; VanerError if there are fewer."""
    if count > len(documents):
        raise VanerError(
            f"--documents is {count}, but there are {len(documents)} abstracts; name more corpora with --data_root"
        )
    return documents[:count]


def tokenizer():
    """Of the embedded backbone, as the shipped model carries it."""
    return load_tokenizer(model_folder(SHIPPED))


def tagger(
    shape: str,
    device: str,
    head: str = "typed",
    model: str = SHIPPED,
    dtype: str = "auto",
    max_words: int | None = None,
    attention: str | None = None,
    quantization: str = "none",
    fused: bool = True,
    **options,
) -> Vaner:
    """A tagger, adapters merged, that answers any type.

    Args:
        shape: one of SHAPES.
        head: ``typed``, or ``shared`` with random weights on the same backbone, which is VANER's and like VANER
            reads bidirectionally.
        model: the trained model, for the embedded backbone.
        max_words: length of a unit; by default the model's.
        attention: in place of the model's own; its spans are then worth nothing, its speed is that mode's.
        fused: products in fused steps, as the tagger has them on a CPU; False: the stock modules, for stock systems.
        options: of `Vaner`.
    """
    options = {k: v for k, v in options.items() if v is not None}
    attention = "bidirectional" if head == "shared" else attention
    if shape == REAL:
        found = Vaner.from_pretrained(
            model,
            device=device,
            dtype=dtype,
            quantization=quantization,
            fuse=fused,
            allow_new_types=True,
            max_words=max_words,
            **options,
        )
        settings = found.settings
        if attention and attention != settings.attention:
            if settings.attention == "layerwise":
                raise VanerError(
                    f"{model}: attention layerwise cannot be taken back; benchmark another model"
                )
            settings.attention = attention
            # As a decoder is before it is opened: set_attention tells it from an encoder by that.
            for module in found.model.plain_backbone.modules():
                if isinstance(getattr(module, "is_causal", None), bool):
                    module.is_causal = True
            settings.causal_layers = set_attention(found.model.plain_backbone, attention)
            found.tokenisation.copies = copies(attention)
        if head != settings.head:
            settings.head = head
            found.model.head = _random_head(head, found.model).to(found.model.device)
        return found
    settings = ModelConfig(
        backbone=shape, head=head, attention=attention or ModelConfig.attention, types=TYPES[:4]
    )
    backbone = random_backbone(settings, device, dtype)
    if quantization == "int8":
        to_int8(backbone)
    elif quantization == "4bit":
        quantize(backbone)
    elif quantization != "none":
        raise VanerError(f"--quantization {quantization}: random weights take int8 or 4bit")
    elif fused:
        to_fused(backbone)
    made = VanerModel(backbone, nn.Identity(), settings)
    made.head = _random_head(head, made).to(device)
    return Vaner(made.eval(), tokenizer(), allow_new_types=True, max_words=max_words, **options)


def _random_head(kind: str, model: VanerModel) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = build_head(kind, model.config.hidden_size, model.settings.head_rank)
    bias = head.score.bias if kind == "shared" else head.word_bias.bias
    with torch.no_grad():
        bias += torch.tensor([_LIKES_O, 0.0, 0.0])
    return head


def random_backbone(settings: ModelConfig, device: str, dtype: str = "auto") -> nn.Module:
    """A LLaMA of the shape named as backbone, its random weights drawn on the device in the type it computes in."""
    return _from_config(_llama(settings.backbone), settings, device, dtype)


def config(shape: str):
    """The backbone's config, without its weights."""
    return AutoConfig.from_pretrained(backbone_folder(shape)) if shape == REAL else _llama(shape)


def _llama(shape: str) -> LlamaConfig:
    return LlamaConfig(vocab_size=49_152, max_position_embeddings=4096, pad_token_id=2, **_RANDOM[shape])


def _from_config(config, settings: ModelConfig, device: str, dtype: str = "auto") -> nn.Module:
    torch.manual_seed(0)
    with torch.device(device):
        backbone = AutoModel.from_config(config, dtype=choose_dtype(dtype, device))
    settings.causal_layers = set_attention(backbone, settings.attention)
    use_grouped(backbone)
    backbone.config.use_cache = False
    return backbone.eval()


def encoder(name: str, shape: str, device: str, **options) -> Vaner:
    """An encoder with a random typed head, through the same door: an embedded name, a folder, or a hub id."""
    if shape == "tiny":
        sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
        settings = ModelConfig(backbone="tiny BERT", types=TYPES[:4])
        config = BertConfig(vocab_size=49_152, max_position_embeddings=512, pad_token_id=2, **sizes)
        model = VanerModel(_from_config(config, settings, device), nn.Identity(), settings)
        reads = tokenizer()
    else:
        settings = ModelConfig(backbone=name, types=TYPES[:4])
        model = VanerModel.build(settings, Adapter("none"), device=device).to(device)
        reads = load_tokenizer(backbone_folder(name))
    model.head = _random_head("typed", model).to(device)
    options = {k: v for k, v in options.items() if v is not None}
    return Vaner(model.eval(), reads, allow_new_types=True, **options)


def light(tagger: Vaner) -> Vaner:
    """A tagger that makes the same batches as this one, of the same rows, for a tiny model."""
    settings = dataclasses.replace(tagger.settings, backbone="tiny", causal_layers=None)
    made = VanerModel(random_backbone(settings, "cpu"), nn.Identity(), settings)
    made.head = _random_head(settings.head, made)
    options = {
        name: getattr(tagger, name) for name in ("batch_tokens", "buffer_batches", "max_words", "pack")
    }
    return Vaner(made.eval(), tagger.tokenisation.tokenizer, allow_new_types=True, **options)


class ScaledScore(nn.Module):
    """The shared head as the score layer of a stock token classifier: the same numbers, token by token."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``(batch, tokens, hidden)`` to ``(batch, tokens, 3)``."""
        return self.head(hidden, hidden[:, :1])[:, 0]


def stock(tagger: Vaner):
    """transformers' own token classifier around the backbone of a tagger with a shared head.

    The shared head scales a word's state before its linear layer. That scale differs from word to word and the
    layer has a bias, so it cannot be folded into stock weights; the score layer is replaced instead.
    """
    backbone = tagger.model.plain_backbone
    # transformers' default, in place of the tagger's own way to compute attention on a CPU.
    backbone.set_attn_implementation("sdpa")
    config = copy.deepcopy(backbone.config)
    config.num_labels = 3
    config.id2label = {0: "O", 1: "B-MENTION", 2: "I-MENTION"}
    config.label2id = {label: i for i, label in config.id2label.items()}
    with torch.device("meta"):
        model = AutoModelForTokenClassification.from_config(config)
    setattr(model, model.base_model_prefix, backbone)
    model.dropout = nn.Identity()
    model.score = ScaledScore(tagger.model.head)
    return model.eval()


# --- models to train ---


def trainable(
    shape: str,
    device: str,
    quantization: str = "none",
    dtype: str = "auto",
    max_words: int = 96,
    fused: bool = True,
) -> VanerModel:
    """A model with fresh LoRA on the seven projections and a typed head, as train.py makes it.

    Args:
        quantization: ``none`` or ``4bit``.
        fused: False leaves peft's own LoRA layers as they are.
    """
    sizes = {"max_words": max_words, "max_tokens": max(512, 4 * max_words)}
    settings = ModelConfig(backbone=shape, types=TYPES[:1], **sizes)
    if shape == REAL and fused:
        model = VanerModel.build(settings, Adapter(), quantization=quantization, dtype=dtype, device=device)
        return model.to(device) if quantization == "none" else model
    if shape == REAL:
        backbone = load_backbone(backbone_folder(shape), settings, choose_dtype(dtype, device)).to(device)
    else:
        backbone = random_backbone(settings, device, dtype)
    if quantization == "4bit":
        quantize(backbone)
    backbone = with_lora(backbone)
    if fused:
        fuse(backbone)
    head = build_head("typed", backbone.config.hidden_size, settings.head_rank).to(device)
    return VanerModel(backbone, head, settings)


def stock_trainable(shape: str, device: str) -> nn.Module:
    """LlamaForTokenClassification under peft with its usual settings, without its causal mask, as ours."""
    torch.manual_seed(0)
    if shape == REAL:
        model = AutoModelForTokenClassification.from_pretrained(backbone_folder(shape), num_labels=3).to(
            device
        )
    else:
        with torch.device(device):
            config = _llama(shape)
            config.num_labels = 3
            model = AutoModelForTokenClassification.from_config(config, dtype=choose_dtype("auto", device))
    set_attention(model, "bidirectional")
    return with_lora(model, dropout=0.05, task_type=TaskType.TOKEN_CLS)


def with_lora(backbone: nn.Module, dropout: float = 0.0, **options) -> nn.Module:
    """peft's LoRA, of the rank and scale that train.py uses, on the seven projections of a frozen backbone."""
    usual = Adapter()
    backbone.requires_grad_(False)
    config = LoraConfig(
        r=usual.r,
        lora_alpha=usual.alpha,
        lora_dropout=dropout,
        target_modules=LLAMA_PROJECTIONS,
        **options,
    )
    return get_peft_model(backbone, config)


def quantize(backbone: nn.Module) -> None:
    """Turn the linear layers into 4-bit ones (NF4, double quantisation), one by one, where they lie."""
    import bitsandbytes as bnb

    for parent in list(backbone.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear:
                weight = layer.weight.data
                small = bnb.nn.Linear4bit(
                    layer.in_features,
                    layer.out_features,
                    bias=layer.bias is not None,
                    compute_dtype=weight.dtype,
                    compress_statistics=True,
                    quant_type="nf4",
                    quant_storage=weight.dtype,
                    device="meta",
                )
                small.weight = bnb.nn.Params4bit(
                    weight,
                    requires_grad=False,
                    compress_statistics=True,
                    quant_type="nf4",
                    quant_storage=weight.dtype,
                ).to(weight.device)
                if layer.bias is not None:
                    small.bias = layer.bias
                setattr(parent, name, small)
                layer.weight = None
    # What peft asks to choose its 4-bit layers.
    backbone.is_loaded_in_4bit = True
