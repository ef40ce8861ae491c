"""In: token ids, and where words and types lie. Out: BIO scores for every (type, word), and the loss.

    input_ids -> backbone (+ LoRA) -> hidden states -> states of first sub-tokens and of type names -> head

A saved model is one folder::

    vaner.json                   what it is: backbone, template, types, attention, window, what made it
    head.safetensors             the head
    adapter_model.safetensors    LoRA, with adapter_config.json as peft writes it   (adapter: lora)
    backbone/                    the whole backbone                                 (full, or merged)
    tokenizer files, README.md   the model card
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer, DynamicCache

from vaner import backbone as backbones
from vaner.adapting import Adapter, adapt, choose_dtype, load_backbone, quiet, with_lora
from vaner.attention import (
    INSTRUCTION_APART,
    check_place,
    check_takes_masks,
    keeps_keys,
    make_mask,
)
from vaner.config import CONFIG_NAME, ModelConfig
from vaner.errors import VanerError
from vaner.features import IGNORED
from vaner.heads import build_head
from vaner.merging import is_plain, read_config
from vaner.merging import merge as merge_adapter

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
HEAD_WEIGHTS = "head.safetensors"
BACKBONE_FOLDER = "backbone"


@dataclass
class Prefix:
    """An instruction that was read, for all the texts that follow it.

    Attributes:
        keys_values: for each layer ``(1, heads, tokens, head size)`` twice.
        types: float, ``(types, hidden)``, the vectors of the asked types.
    """

    keys_values: list[tuple[torch.Tensor, torch.Tensor]]
    types: torch.Tensor

    @property
    def length(self) -> int:
        return self.keys_values[0][0].shape[2]


class VanerModel(nn.Module):
    """A backbone that sees what its attention mode says, and a BIO head over words.

    Attributes:
        settings: the ModelConfig that is saved with the weights.
        backbone: a transformers model, or a peft model around one.
        head: TypedHead or SharedHead, always float32.
    """

    # Trainer asks whether the forward scales its own loss by num_items_in_batch: it does.
    accepts_loss_kwargs = True

    def __init__(self, backbone: nn.Module, head: nn.Module, settings: ModelConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head.float()
        self.settings = settings
        check_place(settings.attention, settings.template.place)
        self.max_positions = getattr(backbone.config, "max_position_embeddings", None)
        if self.max_positions and settings.max_tokens > self.max_positions:
            raise VanerError(
                f"max_tokens is {settings.max_tokens} but {settings.backbone} reads at most "
                f"{self.max_positions}; lower --max_tokens"
            )
        window = getattr(backbone.config, "sliding_window", None)
        if window and settings.attention in ("prefix", "layerwise") and settings.max_tokens > window:
            raise VanerError(
                f"max_tokens is {settings.max_tokens} but {settings.backbone} looks {window} tokens far, which "
                f"attention {settings.attention} does not honour; lower --max_tokens"
            )

    @property
    def config(self):
        """The backbone's transformers config, which Trainer and DeepSpeed ask for sizes."""
        return self.backbone.config

    @property
    def device(self) -> torch.device:
        return next(self.head.parameters()).device

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        word_positions: torch.Tensor,
        type_positions: torch.Tensor,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        instruction_mask: torch.Tensor | None = None,
        row_sequences: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Score every asked type at every word. The arrays are those of `vaner.batching.collate`.

        Args:
            input_ids, attention_mask: ``(batch, tokens)``; the mask numbers the rows of a sequence from 1, and 0 is
                padding, on either side.
            word_positions: ``(rows, words)``, -1 where a row has fewer words.
            type_positions: ``(rows, types, tokens)``, -1 where a row asks fewer types or a type has fewer tokens.
            labels: ``(rows, types, words)`` of O, B, I or IGNORED.
            num_items_in_batch: labels counted over all accumulated batches and all processes; the loss is the
                sum over this batch divided by it, so that accumulation does not change the gradient.
            instruction_mask: ``(batch, tokens)``, 1 for the tokens of an instruction before a text; needed by
                ``prefix``.
            row_sequences: ``(rows,)``, the sequence in which each row lies, if they are packed.

        Returns:
            ``logits``: float32 ``(rows, types, words, 3)``; ``loss`` if there are labels.
        """
        mode = self.settings.attention
        packed = row_sequences is not None
        if packed:
            check_takes_masks(self.plain_backbone, "packing")
        if mode == "prefix" and instruction_mask is None:
            raise VanerError("attention prefix: the batch does not say where the instruction ends")
        hidden = self.backbone(
            input_ids=input_ids,
            attention_mask=make_mask(
                self.config, mode, attention_mask, instruction_mask, packed, self.plain_backbone.dtype
            ),
            position_ids=_positions(attention_mask),
        ).last_hidden_state
        rows = row_sequences if packed else torch.arange(len(hidden), device=hidden.device)
        rows = rows[:, None]
        logits = self.head(
            hidden[rows, word_positions.clamp(min=0)],
            _mean(hidden[rows[..., None], type_positions.clamp(min=0)], type_positions),
        )
        output = {"logits": logits}
        if labels is not None:
            total = F.cross_entropy(
                logits.flatten(0, 2), labels.flatten(), ignore_index=IGNORED, reduction="sum"
            )
            items = (
                num_items_in_batch
                if num_items_in_batch is not None
                else (labels != IGNORED).sum().clamp(min=1)
            )
            output = {"loss": total / items, **output}
        return output

    @property
    def reuses_instructions(self) -> bool:
        """Whether an instruction can be read once for many texts: it does not see them, and its keys are kept."""
        return self.settings.attention in INSTRUCTION_APART and keeps_keys(self.plain_backbone)

    def read_instruction(self, input_ids: torch.Tensor, type_positions: torch.Tensor) -> Prefix:
        """Read an instruction alone.

        Args:
            input_ids: ``(tokens,)``, the special tokens in front included.
            type_positions: ``(types, tokens)``, as of `forward`.
        """
        cache = DynamicCache()
        hidden = self.backbone(
            input_ids=input_ids[None],
            attention_mask=torch.ones_like(input_ids)[None],
            position_ids=torch.arange(len(input_ids), device=input_ids.device)[None],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        types = _mean(hidden[0, type_positions.clamp(min=0)], type_positions)
        return Prefix([(layer.keys, layer.values) for layer in cache.layers], types)

    def score_texts(
        self,
        prefix: Prefix,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        word_positions: torch.Tensor,
    ) -> torch.Tensor:
        """Score texts that stand behind an instruction: what `forward` gives for both, to rounding.

        Args:
            prefix: of `read_instruction`.
            input_ids, attention_mask, word_positions: as of `forward`, of the texts alone, unpacked.

        Returns:
            logits: float32 ``(rows, types, words, 3)``.
        """
        size = len(input_ids)
        cache = DynamicCache(
            [(k.expand(size, -1, -1, -1), v.expand(size, -1, -1, -1)) for k, v in prefix.keys_values]
        )
        hidden = self.backbone(
            input_ids=input_ids,
            attention_mask=torch.cat([attention_mask.new_ones(size, prefix.length), attention_mask], dim=1),
            position_ids=_positions(attention_mask) + prefix.length,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        rows = torch.arange(size, device=hidden.device)[:, None]
        return self.head(hidden[rows, word_positions.clamp(min=0)], prefix.types.expand(size, -1, -1))

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict | None = None) -> None:
        """Recompute activations in the backward pass; called by Trainer."""
        self.backbone.enable_input_require_grads()
        self.backbone.gradient_checkpointing_enable(
            gradient_checkpointing_kwargs=gradient_checkpointing_kwargs or {"use_reentrant": False}
        )

    @property
    def is_adapted(self) -> bool:
        return hasattr(self.backbone, "peft_config")

    @property
    def plain_backbone(self) -> nn.Module:
        """The transformers model, inside peft's or bare."""
        return self.backbone.get_base_model() if self.is_adapted else self.backbone

    def merge(self) -> VanerModel:
        """Fold LoRA into the backbone's weights, in place; the sum is taken in float32 and rounded once."""
        if self.is_adapted:
            for module in self.backbone.modules():
                # The fused forward looks at `merged` itself, but a merged layer has no use for it.
                module.__dict__.pop("forward", None)
            self.backbone = self.backbone.merge_and_unload()
        return self

    # --- building, saving, loading ---

    @classmethod
    def build(
        cls,
        settings: ModelConfig,
        adapter: Adapter | None = None,
        *,
        dtype: str = "auto",
        quantization: str = "none",
        device: str | None = None,
        seed: int = 0,
    ) -> VanerModel:
        """A fresh model for training: pretrained backbone, new adapter, new head.

        Args:
            settings: ``weights_hash`` is filled in.
            adapter: LoRA with its defaults when None.
            dtype: of the frozen weights and the activations: ``auto``, ``float32``, ``bfloat16``.
            quantization: ``none``, ``8bit`` or ``4bit`` (NF4, double quantisation) through bitsandbytes.
            device: for a quantised base, where it is put while loading.
            seed: of the new weights.
        """
        adapter = adapter or Adapter()
        folder = backbones.resolve(settings.backbone, settings.revision)
        settings = dataclasses.replace(settings, weights_hash=backbones.weights_hash(folder))
        model_dtype = choose_dtype(dtype, device or "cpu")
        if adapter.kind == "full" and quantization != "none":
            raise VanerError("a quantised backbone cannot be trained in full; use --adapter lora")
        if adapter.kind == "full":
            # These weights are the optimiser's master weights; rounding them would stop small steps.
            model_dtype = torch.float32
        backbone = load_backbone(folder, settings, model_dtype, quantization, device)
        # Adapter and head are drawn on their own generator state: same seed, same weights.
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            backbone = adapt(backbone, adapter, settings)
            head = build_head(settings.head, backbone.config.hidden_size, settings.head_rank)
        return cls(backbone, head, settings)

    def save_pretrained(
        self,
        folder: str | Path,
        tokenizer=None,
        *,
        dtype: torch.dtype | None = None,
        state_dict: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Write the model's folder.

        Args:
            folder: made if missing; ``vaner.json`` is written last, so a folder that has one is whole.
            tokenizer: saved beside the weights.
            dtype: round adapter and head to this (to ship a small file); None keeps float32.
            state_dict: this model's gathered weights where they are sharded over processes.
        """
        state = state_dict or self.state_dict()
        backbone_state = {
            k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")
        }
        head_state = {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_NAME).unlink(missing_ok=True)
        settings = self.settings
        if self.is_adapted:
            name = self.backbone.active_adapter
            from peft import get_peft_model_state_dict

            weights = get_peft_model_state_dict(self.backbone, state_dict=backbone_state)
            _save_tensors(weights, folder / ADAPTER_WEIGHTS, dtype)
            config = self.backbone.peft_config[name]
            shown = dataclasses.replace(
                config, base_model_name_or_path=settings.backbone, inference_mode=True
            )
            shown.save_pretrained(str(folder))
        elif any(p.requires_grad for p in self.backbone.parameters()) or settings.backbone == BACKBONE_FOLDER:
            self.backbone.save_pretrained(folder / BACKBONE_FOLDER, state_dict=backbone_state)
            backbone_hash = backbones.weights_hash(folder / BACKBONE_FOLDER)
            settings = dataclasses.replace(
                settings, backbone=BACKBONE_FOLDER, revision=None, weights_hash=backbone_hash
            )
        _save_tensors(head_state, folder / HEAD_WEIGHTS, dtype)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        settings.save(folder)

    def save_merged(self, folder: str | Path, tokenizer) -> None:
        """Write a folder that stands alone: merged backbone and head, no adapter, no peft needed to load."""
        self.merge()
        self.settings = dataclasses.replace(self.settings, backbone=BACKBONE_FOLDER)
        self.save_pretrained(folder, tokenizer)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        dtype: str = "auto",
        device: str | torch.device | None = None,
        quantization: str = "none",
        merge: bool = False,
        check_hash: bool = True,
    ) -> VanerModel:
        """Load a saved model.

        Args:
            folder: what `save_pretrained` wrote.
            dtype: ``auto``, ``float32``, ``bfloat16``.
            device: ``cuda`` where there is one, by default.
            quantization: of the base: ``none``, ``8bit``, ``4bit``.
            merge: fold LoRA into the base, for tagging.
            check_hash: refuse a base whose weights are not those that the adapter was trained on.

        Raises:
            VanerError: not a model folder, missing or damaged weights, or another base.
        """
        folder = Path(folder)
        if (folder / ADAPTER_WEIGHTS).exists() and not (folder / ADAPTER_CONFIG).exists():
            # The backbone without its adapter would tag, and find nothing.
            _check_whole(folder, [ADAPTER_CONFIG])
        try:
            return cls._load(folder, dtype, device, quantization, merge, check_hash)
        except SafetensorError as error:
            raise VanerError(
                f"{folder}: its weights or its backbone's are damaged ({error}); copy the model again"
            ) from None

    @classmethod
    def _load(
        cls,
        folder: Path,
        dtype: str,
        device: str | torch.device | None,
        quantization: str,
        merge: bool,
        check_hash: bool,
    ) -> VanerModel:
        settings = ModelConfig.load(folder)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        own = settings.backbone == BACKBONE_FOLDER
        base = (
            str(folder / BACKBONE_FOLDER) if own else backbones.resolve(settings.backbone, settings.revision)
        )
        if check_hash and settings.weights_hash:
            found = backbones.weights_hash(base)
            if found != settings.weights_hash:
                raise VanerError(
                    f"{folder}: was trained on a {settings.backbone} whose weights hash to "
                    f"{settings.weights_hash[:12]}..., but {base} hashes to {found[:12]}...; its scores do not "
                    "hold for other weights: fetch the original base, or train again on this one"
                )
        backbone = load_backbone(base, settings, choose_dtype(dtype, device), quantization, str(device))
        with torch.random.fork_rng():
            head = build_head(settings.head, backbone.config.hidden_size, settings.head_rank)
            adapter = folder / ADAPTER_CONFIG
            at_once = (
                merge and quantization == "none" and adapter.is_file() and is_plain(read_config(adapter))
            )
            if adapter.is_file() and not at_once:
                from peft import LoraConfig

                config = LoraConfig.from_pretrained(str(folder))
                config.inference_mode = False
                backbone = with_lora(backbone, config)
            elif not own:
                # The head alone was trained, and would be if training went on.
                backbone.requires_grad_(False)
        model = cls(backbone, head, settings)
        if at_once:
            model.load_merged(folder)
        else:
            model.load_trained(folder)
        if quantization == "none":
            model.to(device)
        else:
            model.head.to(device)
        return (model.merge() if merge else model).eval()

    def load_merged(self, folder: str | Path) -> None:
        """Put the trained head of a folder, and its adapter into the weights of this model's bare backbone."""
        folder = Path(folder)
        _check_whole(folder, [HEAD_WEIGHTS, ADAPTER_WEIGHTS])
        self.head.load_state_dict(load_file(folder / HEAD_WEIGHTS))
        config = read_config(folder / ADAPTER_CONFIG)
        if merge_adapter(self.backbone, config, load_file(folder / ADAPTER_WEIGHTS)):
            raise VanerError(f"{folder}: {ADAPTER_WEIGHTS} does not fit its config; copy the model again")
        self.backbone.requires_grad_(False)

    def load_trained(self, folder: str | Path) -> None:
        """Put the trained weights of a folder (adapter and head, or backbone and head) into this model."""
        folder = Path(folder)
        _check_whole(folder, [HEAD_WEIGHTS] + [ADAPTER_WEIGHTS] * self.is_adapted)
        self.head.load_state_dict(load_file(folder / HEAD_WEIGHTS))
        if self.is_adapted:
            from peft import set_peft_model_state_dict

            result = set_peft_model_state_dict(self.backbone, load_file(folder / ADAPTER_WEIGHTS))
            missing = [k for k in getattr(result, "missing_keys", []) if "lora_" in k]
            if missing or getattr(result, "unexpected_keys", None):
                raise VanerError(f"{folder}: {ADAPTER_WEIGHTS} does not fit its config; copy the model again")
        elif (folder / BACKBONE_FOLDER).is_dir():
            state = {}
            for path in backbones.weight_files(folder / BACKBONE_FOLDER):
                state |= load_file(path)
            self.backbone.load_state_dict(state)


def _check_whole(folder: Path, names: list[str]) -> None:
    for name in names:
        if not (folder / name).is_file():
            raise VanerError(f"{folder}: {name} is missing; copy the whole model folder")


def _positions(rows: torch.Tensor) -> torch.Tensor:
    """How far each token is into its row: a row's logits depend neither on the padding's side nor on neighbours."""
    index = torch.arange(rows.shape[1], device=rows.device).expand_as(rows)
    first = torch.ones_like(rows, dtype=torch.bool)
    first[:, 1:] = rows[:, 1:] != rows[:, :-1]
    return index - (index * first).cummax(dim=1).values


def _mean(states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """``(..., tokens, hidden)`` to float ``(..., hidden)``: the mean of the states whose position is not -1."""
    there = (positions >= 0)[..., None]
    return (states.float() * there).sum(-2) / there.sum(-2).clamp(min=1)


def load_tokenizer(folder: str | Path):
    """The tokenizer of a model's or a backbone's folder; VanerError if it cannot be read."""
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise VanerError(
            f"{folder}: its tokenizer cannot be read ({reason}); copy the folder again"
        ) from error


def _save_tensors(tensors: dict[str, torch.Tensor], path: Path, dtype: torch.dtype | None) -> None:
    tensors = {k: v.detach().to("cpu", dtype or v.dtype).contiguous() for k, v in tensors.items()}
    scratch = path.with_name(f".{path.name}.tmp")
    save_file(tensors, scratch, metadata={"format": "pt"})
    os.replace(scratch, path)


def describe(model: VanerModel) -> str:
    """One line: trained and all parameters, in millions."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    everything = sum(p.numel() for p in model.parameters())
    return f"{trained / 1e6:.2f} M trained parameters of {everything / 1e6:.1f} M"


__all__ = ["Adapter", "VanerModel", "choose_dtype", "describe", "load_backbone", "load_tokenizer"]
