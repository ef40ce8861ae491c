"""In: a saved model's vaner.json, or values from training. Out: ModelConfig, checked field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from vaner.errors import VanerError, near
from vaner.files import replacing_text
from vaner.inputs.instructions import Template
from vaner.text.tags import TAGS

CONFIG_NAME = "vaner.json"
# The other files of a model's folder (`vaner.model.saving`).
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
HEAD_WEIGHTS = "head.safetensors"
BACKBONE_FOLDER = "backbone"
CARD_NAME = "README.md"
FORMAT_VERSION = 1
# Shipped with the project; used where no model is named.
DEFAULT_MODEL = "vaner-smollm2-135m"

# A head that is none: the language model is tuned to write its answer (`vaner.training.generator`).
GENERATE = "generate"
# Beside vaner.json in a generator's folder: how it is asked, as `vaner.prompting.settings` reads it.
GENERATOR_NAME = "generator.yaml"

_HINTS = ("notes", "tokens", "share")
_LOOKUPS = ("names", "vocabularies", "types", "fingerprint", "left_out")
_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


@dataclass
class ModelConfig:
    """What a saved model must know besides its weights; ``vaner.json`` in its folder.

    Attributes:
        backbone: embedded name, hub id, or ``backbone`` for a folder of that name inside the model's folder.
        revision: branch, tag or commit of a hub id.
        weights_hash: sha256 of the backbone's tensors (`vaner.model.hashing.weights_hash`), checked on load.
        keep_layers: how many of the backbone's layers are used, from the lowest; None is all of them.
        attention: ``bidirectional``, ``causal``, ``prefix``, ``layerwise`` or ``twice`` (`vaner.model.attention`).
        causal_layers: in ``layerwise`` how many layers, from the lowest, look back only.
        head: ``typed`` (any set of types a pass), ``shared`` (one type a pass), or GENERATE.
        head_rank: size of the typed head's interaction.
        template: the instruction's wording.
        types: entity types seen in training; the default question.
        datasets: dataset name in the instruction -> the types that it annotates.
        max_tokens: longest row in tokens, instruction and, in ``twice``, both copies of the text included.
        max_words: a unit is as many whole sentences as fit into this many words; 1 means single sentences.
        hints: how it was trained to read knowledge-base hints: ``notes`` and ``tokens`` a row at most, ``share`` of
            the training rows that had them; empty if it was not.
        lookups: where its head reads lookups of an index (`vaner.inputs.lookups`): ``names``, type -> types of an index
            whose names serve it; and of the index that it was trained with ``vocabularies`` (name, version), ``types``
            and ``fingerprint``; ``left_out`` of it in training. Empty if it reads none.
        temperatures: type -> temperature of its spans' scores (`vaner.scores`), as ``python -m vaner calibrate`` fits
            them; a type that it does not have has 1.
        labels: the tags, in the order of the head's scores.
        training: what made the model: command, seed, versions, data hashes, scores.
        version: of this file's layout.
    """

    backbone: str = "smollm2-135m"
    revision: str | None = None
    weights_hash: str | None = None
    keep_layers: int | None = None
    attention: str = "bidirectional"
    causal_layers: int | None = None
    head: str = "typed"
    head_rank: int = 128
    template: Template = field(default_factory=Template)
    types: list[str] = field(default_factory=list)
    datasets: dict[str, list[str]] = field(default_factory=dict)
    max_tokens: int = 512
    max_words: int = 96
    hints: dict[str, float] = field(default_factory=dict)
    lookups: dict[str, Any] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)
    labels: list[str] = field(default_factory=lambda: list(TAGS))
    training: dict[str, Any] = field(default_factory=dict)
    version: int = FORMAT_VERSION

    def save(self, folder: str | Path) -> None:
        """Write ``vaner.json``, whole or not at all."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False, default=str)
        with replacing_text(Path(folder) / CONFIG_NAME) as file:
            file.write(text + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> ModelConfig:
        """Read ``vaner.json``.

        Raises:
            VanerError: not a model folder, a damaged file, a newer layout, an unknown field, or a value of the
                wrong kind.
        """
        path = Path(folder) / CONFIG_NAME
        if not path.is_file():
            raise VanerError(
                f"{folder}: no {CONFIG_NAME} here, so not a VANER model; name a folder that train.py wrote"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise VanerError(
                f"{path}:{error.lineno}: not JSON ({error.msg}); copy the model again"
            ) from error
        except UnicodeDecodeError as error:
            raise VanerError(f"{path}: byte {error.start} is not UTF-8; copy the model again") from error
        if not isinstance(values, dict):
            raise VanerError(f"{path}: not a JSON object; copy the model again")
        version = values.get("version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise VanerError(f"{path}: written by a newer vaner (layout {version}); upgrade vaner")
        check_keys(values, [f.name for f in fields(cls)], str(path))
        template = values.pop("template", {})
        if not isinstance(template, dict):
            raise VanerError(f"{path}: template must be an object, not {template!r}; copy the model again")
        check_keys(template, [f.name for f in fields(Template)], f"{path}: template")
        defaults = vars(cls())
        for name, hint in get_type_hints(cls).items():
            value = values.get(name, defaults[name])
            kinds = [get_origin(k) or k for k in (get_args(hint) if isinstance(hint, UnionType) else [hint])]
            if type(value) not in kinds:
                raise VanerError(
                    f"{path}: {name} must be {_KINDS[kinds[0]]}, not {value!r}; copy the model again"
                )
        if hints := values.get("hints"):
            check_keys(hints, _HINTS, f"{path}: hints")
            for name in _HINTS:
                if type(hints.get(name)) not in (int, float):
                    raise VanerError(
                        f"{path}: hints: {name} must be a number, not {hints.get(name)!r}; copy the model again"
                    )
        if lookups := values.get("lookups"):
            check_keys(lookups, _LOOKUPS, f"{path}: lookups")
            if not isinstance(lookups.get("names"), dict):
                raise VanerError(f"{path}: lookups: names must be an object; copy the model again")
        for kind, temperature in (values.get("temperatures") or {}).items():
            if type(temperature) not in (int, float) or not 0 < temperature < math.inf:
                raise VanerError(
                    f"{path}: temperatures: that of {kind} must be a number above 0, not {temperature!r}; calibrate "
                    "the model again (python -m vaner calibrate)"
                )
        if values.get("labels", list(TAGS)) != list(TAGS):
            raise VanerError(f"{path}: labels are {values['labels']}; this vaner reads {list(TAGS)} only")
        return cls(**values, template=Template(**template))


def check_keys(found: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise VanerError naming the first unknown key and the nearest known one.

    Args:
        found: the keys of a file's object.
        known: those that it may have.
        where: the file, and what in it, for the message.
    """
    for key in found:
        if key not in known:
            hint = near(key, known) or f"known: {', '.join(sorted(known))}"
            raise VanerError(f"{where}: unknown setting {key!r}; {hint}")
