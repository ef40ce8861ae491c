"""In: training arguments, a ModelConfig. Out: how a generator is asked: its generator.yaml, what writes its prompts.

Training writes its prompts by the very code that tagging does (`vaner.prompting.prompt`), from the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from vaner.model.config import GENERATOR_NAME, ModelConfig
from vaner.prompting.backends.transformers import TransformersBackend
from vaner.prompting.opening import prompter
from vaner.prompting.sending import Sender
from vaner.prompting.settings import PromptSettings
from vaner.prompting.wording import SYSTEM, USER
from vaner.tagging.prompted import PromptedTagger
from vaner.training.arguments import ModelArguments

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from vaner.training.generator import Generator


def generator_file(asked: ModelArguments, settings: ModelConfig) -> dict[str, Any]:
    """What ``generator.yaml`` says; the wording is written out, for the model knows no other.

    Args:
        asked: format of the answer, template.
        settings: backbone, types with their definitions, datasets, sizes.
    """
    return {
        "backend": {"name": "transformers", "model": "."},
        "types": {type: settings.template.definitions.get(type, "") for type in settings.types},
        "datasets": {name: list(types) for name, types in settings.datasets.items()},
        "template": asked.prompt_template,
        "system": SYSTEM,
        "user": USER,
        "answer": asked.answer,
        "decoding": "forced",
        "max_words": settings.max_words,
        "store": "none",
    }


def tagger_of(model: Generator, tokenizer: PreTrainedTokenizerBase) -> PromptedTagger:
    """The tagger that a generator in training would be if it were saved now; its prompter writes the prompts of rows.

    No answer is kept: the next update changes them.
    """
    settings = PromptSettings.of(model.asked, GENERATOR_NAME)
    # As peft's: the language model inside has the adapter's config too, which says nothing then.
    whole = cast("PreTrainedModel", model.backbone)
    backend = TransformersBackend.of(whole, tokenizer, identity={"model": model.settings.backbone})
    return PromptedTagger(settings, prompter(settings, backend), Sender(backend))
