"""In: the name of a generator. Out: its model and tokenizer, and what tells its answers from another's.

A generator is a folder that transformers saved, with or without its output layer where that is its embedding again;
an adapter's folder as peft saves it; a hub id; or an embedded backbone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from vaner.errors import VanerError
from vaner.model.adapting import choose_dtype, quiet
from vaner.model.catalogue import EMBEDDED, backbone_folder
from vaner.model.config import CONFIG_NAME, ModelConfig
from vaner.model.hashing import weights_hash

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_ADAPTER = "adapter_config.json"


def load_causal_lm(
    name: str, *, revision: str | None, device: str, dtype: str, quantization: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, str]]:
    """Load a generator.

    Args:
        name: a folder, a hub id, or an embedded backbone.
        revision: branch, tag or commit of a hub id.
        device: ``auto`` (the first GPU, else the CPU) or as torch names it.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        quantization: ``none``, ``8bit`` or ``4bit`` (NF4, double quantisation).

    Returns:
        the model, the tokenizer, and its identity: ``model``, ``weights``, ``revision`` where one was asked for,
        ``dtype``, ``quantization`` where there is one.

    Raises:
        VanerError: no such model, no safetensors, one that writes no text, an unknown dtype or quantisation.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = choose_dtype(dtype, device)
    options = _quantised(quantization, chosen, device)
    local = Path(name).expanduser()
    if (local / _ADAPTER).is_file() and not (local / "config.json").is_file():
        model, weights = _adapted(local, chosen, options)
        folder = str(local)
    else:
        folder = backbone_folder(name, revision)
        model, weights = _load(folder, chosen, options), weights_hash(folder)
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if quantization == "none":
        torch.nn.Module.to(model, torch.device(device))
    is_name = name in EMBEDDED or not local.is_dir()
    identity = {
        "model": name if is_name else local.resolve().name,
        "weights": weights,
        "dtype": str(chosen).removeprefix("torch."),
    }
    if revision is not None and is_name:
        identity["revision"] = revision
    if quantization != "none":
        identity["quantization"] = quantization
    return model.eval(), tokenizer, identity


def _quantised(quantization: str, dtype: torch.dtype, device: str) -> dict[str, Any]:
    if quantization == "none":
        return {}
    if quantization == "8bit":
        config = BitsAndBytesConfig(load_in_8bit=True)
    elif quantization == "4bit":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    else:
        raise VanerError(f"quantization: unknown {quantization!r}; choose none, 8bit or 4bit")
    return {"quantization_config": config, "device_map": {"": device}}


def _load(folder: str, dtype: torch.dtype, options: dict[str, Any]) -> PreTrainedModel:
    if not list(Path(folder).glob("*.safetensors")):
        raise VanerError(
            f"{folder}: no .safetensors files; pickled weights are not loaded, convert them first"
        )
    with quiet():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
        except ValueError as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise VanerError(f"{folder}: not a model that writes text ({reason[:200]})") from error
    model: PreTrainedModel
    model, found = loaded
    if found["missing_keys"]:
        missing = sorted(found["missing_keys"])[0]
        raise VanerError(
            f"{folder}: has no {missing}, so it cannot write; name the whole model, not its backbone alone"
        )
    return model


def _adapted(folder: Path, dtype: torch.dtype, options: dict[str, Any]) -> tuple[PreTrainedModel, str]:
    """An adapter's folder: its base with the adapter added to the weights, and a hash over both."""
    from peft import PeftModel

    try:
        base = json.loads((folder / _ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, LookupError, TypeError) as error:
        raise VanerError(
            f"{folder / _ADAPTER}: names no base model; write base_model_name_or_path"
        ) from error
    # A folder of `train.py --head generate` says which base it was trained on, and at which revision.
    trained = ModelConfig.load(folder) if (folder / CONFIG_NAME).is_file() else None
    under = backbone_folder(str(base), trained.revision if trained else None)
    below = weights_hash(under)
    if trained and trained.weights_hash and trained.weights_hash != below:
        raise VanerError(
            f"{folder}: was trained on a {base} whose weights hash to {trained.weights_hash[:12]}..., but {under} "
            f"hashes to {below[:12]}...; fetch the original base, or train again on this one"
        )
    with quiet():
        adapted: Any = PeftModel.from_pretrained(_load(under, dtype, options), str(folder))
        merged: PreTrainedModel = adapted if options else adapted.merge_and_unload()
    both = f"{below} {weights_hash(folder)} {(folder / _ADAPTER).read_text(encoding='utf-8')}"
    return merged, hashlib.sha256(both.encode()).hexdigest()
