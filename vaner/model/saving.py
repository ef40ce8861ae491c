"""In: a ModelConfig, an Adapter; or a model's folder. Out: the model, built or loaded; and its folder, written whole.

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
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer

from vaner.errors import VanerError
from vaner.model.adapting import Adapter, adapt, choose_dtype, load_backbone, quiet, with_lora
from vaner.model.catalogue import backbone_folder
from vaner.model.config import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BACKBONE_FOLDER,
    CONFIG_NAME,
    HEAD_WEIGHTS,
    ModelConfig,
)
from vaner.model.hashing import weight_files, weights_hash
from vaner.model.heads import LookedUp, TypedHead, build_head
from vaner.model.merging import is_plain, read_config
from vaner.model.merging import merge as merge_adapter

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from typing_extensions import Self, TypeIs

    from vaner.model.adapting import Backbone


def _has_adapter(backbone: Backbone) -> TypeIs[PeftModel]:
    # Asked in this way, tagging does without peft.
    return hasattr(backbone, "peft_config")


class Saved(nn.Module):
    """A backbone and a head that are built, saved, loaded and merged; `vaner.model.network` says what they compute.

    Attributes:
        settings: the ModelConfig that is saved with the weights.
        backbone: a transformers model, or a peft model around one.
        head: TypedHead or SharedHead, always float32.
    """

    def __init__(self, backbone: Backbone, head: nn.Module, settings: ModelConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head.float()
        self.settings = settings

    @property
    def is_adapted(self) -> bool:
        """Whether the backbone is a peft model."""
        return _has_adapter(self.backbone)

    @property
    def plain_backbone(self) -> PreTrainedModel:
        """The transformers model, inside peft's or bare."""
        if _has_adapter(self.backbone):
            return cast("PreTrainedModel", self.backbone.get_base_model())
        return self.backbone

    def merge(self) -> Self:
        """Fold LoRA into the backbone's weights, in place; the sum is taken in float32 and rounded once."""
        if _has_adapter(self.backbone):
            for module in self.backbone.modules():
                # The fused forward looks at `merged` itself, but a merged layer has no use for it.
                module.__dict__.pop("forward", None)
            self.backbone = self.backbone.merge_and_unload()
        return self

    def read_lookups(self) -> None:
        """Let a typed head, trained without, read lookups too; until it is trained on, it scores as before.

        Raises:
            VanerError: another head, which reads none.
        """
        if not isinstance(self.head, TypedHead):
            raise VanerError("a shared head reads no lookups of an index; leave --kb_lookups out")
        if self.head.lookups is None:
            self.head.lookups = LookedUp(self.plain_backbone.config.hidden_size).to(
                next(self.head.parameters()).device
            )

    def train_lookups_only(self) -> None:
        """Freeze everything but what reads lookups."""
        self.requires_grad_(False)
        if isinstance(self.head, TypedHead) and self.head.lookups is not None:
            self.head.lookups.requires_grad_(True)

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
    ) -> Self:
        """A fresh model for training: pretrained backbone, new adapter, new head.

        Args:
            settings: ``weights_hash`` is filled in.
            adapter: LoRA with its defaults when None.
            dtype: of the frozen weights and the activations: ``auto``, ``float32``, ``bfloat16``.
            quantization: ``none``, ``8bit`` or ``4bit`` (NF4, double quantisation) through bitsandbytes.
            device: for a quantised base, where it is put while loading.
            seed: of the new weights.

        Raises:
            VanerError: no such backbone, or settings and an adapter that do not fit it or each other.
        """
        adapter = adapter or Adapter()
        folder = backbone_folder(settings.backbone, settings.revision)
        settings = dataclasses.replace(settings, weights_hash=weights_hash(folder))
        model_dtype = choose_dtype(dtype, device or "cpu")
        if adapter.kind == "full" and quantization != "none":
            raise VanerError("a quantised backbone cannot be trained in full; use --adapter lora")
        if adapter.kind == "full":
            # These weights are the optimiser's master weights; rounding them would stop small steps.
            model_dtype = torch.float32
        bare = load_backbone(folder, settings, model_dtype, quantization, device)
        # Adapter and head are drawn on their own generator state: same seed, same weights.
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            backbone = adapt(bare, adapter, settings)
            head = build_head(
                settings.head,
                backbone.config.hidden_size,
                settings.head_rank,
                lookups=bool(settings.lookups),
            )
        return cls(backbone, head, settings)

    def save_pretrained(
        self,
        folder: str | Path,
        tokenizer: PreTrainedTokenizerBase | None = None,
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

        Raises:
            VanerError: the gathered weights hold none of the adapter.
        """
        state = self.state_dict() if state_dict is None else state_dict
        backbone_state = {
            k.removeprefix("backbone."): v for k, v in state.items() if k.startswith("backbone.")
        }
        head_state = {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_NAME).unlink(missing_ok=True)
        settings = self.settings
        if _has_adapter(self.backbone):
            name = self.backbone.active_adapter
            from peft import get_peft_model_state_dict

            weights = get_peft_model_state_dict(self.backbone, state_dict=backbone_state)
            if not weights:
                raise VanerError(f"{folder}: the adapter was lost when its weights were gathered")
            save_tensors(weights, folder / ADAPTER_WEIGHTS, dtype)
            config = self.backbone.peft_config[name]
            shown = dataclasses.replace(
                config, base_model_name_or_path=settings.backbone, inference_mode=True
            )
            shown.save_pretrained(str(folder))
        elif any(p.requires_grad for p in self.backbone.parameters()) or settings.backbone == BACKBONE_FOLDER:
            self.backbone.save_pretrained(folder / BACKBONE_FOLDER, state_dict=backbone_state)
            backbone_hash = weights_hash(folder / BACKBONE_FOLDER)
            settings = dataclasses.replace(
                settings, backbone=BACKBONE_FOLDER, revision=None, weights_hash=backbone_hash
            )
        save_tensors(head_state, folder / HEAD_WEIGHTS, dtype)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        settings.save(folder)

    def save_merged(self, folder: str | Path, tokenizer: PreTrainedTokenizerBase | None) -> None:
        """Write a folder that stands alone: merged backbone and head, no adapter, no peft needed to load.

        Args:
            folder, tokenizer: as of `save_pretrained`. This model stays merged.
        """
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
        token: str | bool | None = None,
    ) -> Self:
        """Load a saved model.

        Args:
            folder: what `save_pretrained` wrote.
            dtype: ``auto``, ``float32``, ``bfloat16``.
            device: ``cuda`` where there is one, by default.
            quantization: of the base: ``none``, ``8bit``, ``4bit``.
            merge: fold LoRA into the base, for tagging.
            check_hash: refuse a base whose weights are not those that the adapter was trained on.
            token: for a base on the hub, as of `vaner.model.catalogue.backbone_folder`.

        Raises:
            VanerError: not a model folder, missing or damaged weights, or another base.
        """
        folder = Path(folder)
        if (folder / ADAPTER_WEIGHTS).exists() and not (folder / ADAPTER_CONFIG).exists():
            # The backbone without its adapter would tag, and find nothing.
            _check_whole(folder, [ADAPTER_CONFIG])
        try:
            return cls._load(folder, dtype, device, quantization, merge, check_hash, token)
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
        token: str | bool | None,
    ) -> Self:
        settings = ModelConfig.load(folder)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        own = settings.backbone == BACKBONE_FOLDER
        base = (
            str(folder / BACKBONE_FOLDER)
            if own
            else backbone_folder(settings.backbone, settings.revision, token)
        )
        if check_hash and settings.weights_hash:
            found = weights_hash(base)
            if found != settings.weights_hash:
                raise VanerError(
                    f"{folder}: was trained on a {settings.backbone} whose weights hash to "
                    f"{settings.weights_hash[:12]}..., but {base} hashes to {found[:12]}...; its scores do not "
                    "hold for other weights: fetch the original base, or train again on this one"
                )
        bare = load_backbone(base, settings, choose_dtype(dtype, device), quantization, str(device))
        backbone: Backbone = bare
        with torch.random.fork_rng():
            head = build_head(
                settings.head,
                bare.config.hidden_size,
                settings.head_rank,
                lookups=bool(settings.lookups),
            )
            adapter = folder / ADAPTER_CONFIG
            at_once = (
                merge and quantization == "none" and adapter.is_file() and is_plain(read_config(adapter))
            )
            if adapter.is_file() and not at_once:
                from peft import LoraConfig

                config = LoraConfig.from_pretrained(str(folder))
                config.inference_mode = False
                backbone = with_lora(bare, config)
            elif not own:
                # The head alone was trained, and would be if training went on.
                bare.requires_grad_(False)
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
        """Put the trained head of a folder, and its adapter into the weights of this model's bare backbone.

        Raises:
            VanerError: a file is missing, damaged, or does not fit the backbone.
        """
        folder = Path(folder)
        _check_whole(folder, [HEAD_WEIGHTS, ADAPTER_WEIGHTS])
        self.head.load_state_dict(load_file(folder / HEAD_WEIGHTS))
        config = read_config(folder / ADAPTER_CONFIG)
        if merge_adapter(self.backbone, config, load_file(folder / ADAPTER_WEIGHTS)):
            raise VanerError(f"{folder}: {ADAPTER_WEIGHTS} does not fit its config; copy the model again")
        self.backbone.requires_grad_(False)

    def load_trained(self, folder: str | Path) -> None:
        """Put the trained weights of a folder (adapter and head, or backbone and head) into this model.

        Raises:
            VanerError: a file is missing, or the adapter does not fit the backbone.
        """
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
            self.backbone.load_state_dict(_backbone_state(folder))

    def trained_state(self, folder: str | Path) -> dict[str, torch.Tensor]:
        """The trained weights of a folder by this model's names for them, for a model whose weights are sharded.

        Raises:
            VanerError: a file is missing, or the adapter does not fit the backbone.
        """
        folder = Path(folder)
        _check_whole(folder, [HEAD_WEIGHTS] + [ADAPTER_WEIGHTS] * self.is_adapted)
        state = {f"head.{name}": tensor for name, tensor in load_file(folder / HEAD_WEIGHTS).items()}
        if _has_adapter(self.backbone):
            # peft leaves the adapter's name out of the file's.
            infix = f".{self.backbone.active_adapter}."
            names = {name.replace(infix, "."): name for name, _ in self.named_parameters() if infix in name}
            saved = {
                f"backbone.{name}": tensor for name, tensor in load_file(folder / ADAPTER_WEIGHTS).items()
            }
            if saved.keys() != names.keys():
                raise VanerError(f"{folder}: {ADAPTER_WEIGHTS} does not fit its config; copy the model again")
            state |= {names[name]: tensor for name, tensor in saved.items()}
        elif (folder / BACKBONE_FOLDER).is_dir():
            state |= {f"backbone.{name}": tensor for name, tensor in _backbone_state(folder).items()}
        return state


def copy_saved(source: Path, target: Path, settings: ModelConfig, dtype: torch.dtype | None = None) -> None:
    """Write a saved model again, elsewhere.

    Args:
        source: what `Saved.save_pretrained` wrote.
        target: made if missing; its ``vaner.json`` is written last.
        settings: in place of the source's.
        dtype: round adapter and head to this; None keeps them as they are.
    """
    target.mkdir(parents=True, exist_ok=True)
    (target / CONFIG_NAME).unlink(missing_ok=True)
    for path in sorted(source.iterdir()):
        if path.name in (ADAPTER_WEIGHTS, HEAD_WEIGHTS):
            save_tensors(load_file(path), target / path.name, dtype)
        elif path.is_dir():
            shutil.rmtree(target / path.name, ignore_errors=True)
            shutil.copytree(path, target / path.name)
        elif path.name != CONFIG_NAME:
            shutil.copyfile(path, target / path.name)
    settings.save(target)


def _backbone_state(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for path in weight_files(folder / BACKBONE_FOLDER):
        state |= load_file(path)
    return state


def _check_whole(folder: Path, names: list[str]) -> None:
    for name in names:
        if not (folder / name).is_file():
            raise VanerError(f"{folder}: {name} is missing; copy the whole model folder")


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model's or a backbone's folder; VanerError if it cannot be read."""
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise VanerError(
            f"{folder}: its tokenizer cannot be read ({reason}); copy the folder again"
        ) from error


def save_tensors(tensors: dict[str, torch.Tensor], path: Path, dtype: torch.dtype | None) -> None:
    """Write tensors to a file, whole or not at all, rounded to ``dtype`` where one is named."""
    tensors = {k: v.detach().to("cpu", dtype or v.dtype).contiguous() for k, v in tensors.items()}
    scratch = path.with_name(f".{path.name}.tmp")
    save_file(tensors, scratch, metadata={"format": "pt"})
    os.replace(scratch, path)
