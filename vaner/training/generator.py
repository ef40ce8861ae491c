"""In: a ModelConfig, an Adapter; batches of prompts and answers. Out: a causal LM with LoRA, its loss, its folder.

A generator's folder::

    vaner.json                   what it is: backbone, types, datasets, what made it
    generator.yaml               how it is asked, as any prompted tagger's file (`vaner.prompting.settings`)
    adapter_model.safetensors    LoRA, with adapter_config.json as peft writes it
    tokenizer files, README.md   the model card
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM

from vaner.errors import VanerError
from vaner.files import replacing_text
from vaner.model.adapting import Adapter, adapt, choose_dtype, load_backbone
from vaner.model.catalogue import backbone_folder
from vaner.model.checkpointing import Checkpointed
from vaner.model.config import ADAPTER_WEIGHTS, CONFIG_NAME, GENERATOR_NAME, ModelConfig
from vaner.model.hashing import weights_hash
from vaner.model.saving import save_tensors
from vaner.text.tags import IGNORED

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
    from typing_extensions import Self


class _Lines(yaml.SafeDumper):
    """Writes a text of several lines as such."""


def _text(dumper: _Lines, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Lines.add_representer(str, _text)


class Generator(Checkpointed, nn.Module):
    """A causal language model with LoRA, for `vaner.training.trainer.VanerTrainer`.

    Attributes:
        settings: the ModelConfig that is saved with the weights.
        backbone: peft's model around the language model, its own output layer included.
        asked: what ``generator.yaml`` says.
    """

    # Trainer asks whether the forward scales its own loss by num_items_in_batch: it does.
    accepts_loss_kwargs = True

    def __init__(self, backbone: PeftModel, settings: ModelConfig, asked: Mapping[str, Any]) -> None:
        super().__init__()
        self.backbone = backbone
        self.settings = settings
        self.asked = asked
        most = getattr(backbone.config, "max_position_embeddings", None)
        if most and settings.max_tokens > most:
            raise VanerError(
                f"max_tokens is {settings.max_tokens} but {settings.backbone} reads at most {most}; lower --max_tokens"
            )

    @classmethod
    def build(
        cls,
        settings: ModelConfig,
        adapter: Adapter,
        asked: Mapping[str, Any],
        *,
        dtype: str = "auto",
        quantization: str = "none",
        device: str | None = None,
        seed: int = 0,
    ) -> Self:
        """Fresh LoRA on a pretrained language model.

        Args:
            settings: ``weights_hash`` is filled in.
            adapter: LoRA.
            asked: what ``generator.yaml`` is to say.
            dtype, quantization, device: as of `vaner.model.saving.Saved.build`.
            seed: of the new weights.

        Raises:
            VanerError: no such backbone, one that writes no text, or an adapter that does not fit it.
        """
        folder = backbone_folder(settings.backbone, settings.revision)
        settings = dataclasses.replace(settings, weights_hash=weights_hash(folder))
        bare = load_backbone(
            folder, settings, choose_dtype(dtype, device or "cpu"), quantization, device, AutoModelForCausalLM
        )
        # LoRA is drawn on its own generator state: same seed, same weights.
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            adapted = adapt(bare, adapter, settings)
        return cls(cast("PeftModel", adapted), settings, asked)

    @property
    def config(self) -> PreTrainedConfig:
        """The language model's transformers config, which Trainer and DeepSpeed ask for sizes."""
        return self.backbone.config

    @property
    def plain_backbone(self) -> PreTrainedModel:
        """The language model inside peft's."""
        return cast("PreTrainedModel", self.backbone.get_base_model())

    @property
    def is_adapted(self) -> bool:
        """Always: nothing else of it is trained."""
        return True

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        """The loss: cross-entropy, in float32, of each token that has a label, given those before it.

        Args:
            input_ids, attention_mask, labels: of `vaner.training.generation.collate`.
            num_items_in_batch: labels counted over all accumulated batches and all processes; the loss is the sum
                over this batch divided by it, so that accumulation does not change the gradient.

        Returns:
            ``loss``.
        """
        wanted = labels[:, 1:]
        # The output layer is a fifth of a small model's work: it is left out where no row has a label.
        places = (wanted != IGNORED).any(dim=0).nonzero()[:, 0]
        logits = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask, logits_to_keep=places, use_cache=False
        ).logits
        wanted = wanted[:, places]
        total = F.cross_entropy(
            logits.float().flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        items = (wanted != IGNORED).sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
        return {"loss": total / items}

    def save_pretrained(
        self,
        folder: str | Path,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        dtype: torch.dtype | None = None,
        state_dict: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Write the folder; arguments as of `vaner.model.saving.Saved.save_pretrained`."""
        from peft import get_peft_model_state_dict

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_NAME).unlink(missing_ok=True)
        # Embeddings are not trained, and peft would look for them on the hub.
        weights = get_peft_model_state_dict(self.backbone, state_dict=state_dict, save_embedding_layers=False)
        save_tensors(weights, folder / ADAPTER_WEIGHTS, dtype)
        config = self.backbone.peft_config[self.backbone.active_adapter]
        dataclasses.replace(
            config, base_model_name_or_path=self.settings.backbone, inference_mode=True
        ).save_pretrained(str(folder))
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        with replacing_text(folder / GENERATOR_NAME) as file:
            yaml.dump(dict(self.asked), file, _Lines, sort_keys=False, allow_unicode=True, width=120)
        self.settings.save(folder)

    def load_trained(self, folder: str | Path) -> None:
        """Put the trained weights of a folder into this model.

        Raises:
            VanerError: the weights are missing or do not fit.
        """
        from peft import set_peft_model_state_dict

        path = Path(folder) / ADAPTER_WEIGHTS
        if not path.is_file():
            raise VanerError(f"{folder}: {path.name} is missing; copy the whole model folder")
        result = set_peft_model_state_dict(self.backbone, load_file(path))
        missing = [k for k in getattr(result, "missing_keys", []) if "lora_" in k]
        if missing or getattr(result, "unexpected_keys", None):
            raise VanerError(f"{folder}: {path.name} does not fit its config; copy the model again")
