"""In: a prompted tagger's settings. Out: what they name, opened: who answers, the format, shots, what is retrieved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vaner.corpora.own import all_corpora
from vaner.prompting.answers import AnswerFormat, answer_format
from vaner.prompting.prompt import Prompter, Told
from vaner.prompting.request import Backend
from vaner.prompting.retrieval.definitions import Definitions
from vaner.prompting.settings import BackendSettings, PromptSettings

if TYPE_CHECKING:
    from vaner.prompting.retrieval import Retriever
    from vaner.prompting.shots import Shots


def opened_backend(settings: BackendSettings) -> Backend:
    """Who answers, loaded.

    Raises:
        VanerError: no such model, a package that is missing, a variable that is not set.
    """
    options: dict[str, Any] = dict(settings.options)
    if settings.name == "transformers":
        from vaner.prompting.backends.transformers import TransformersBackend

        # An adapter's folder names the model that it is of.
        return TransformersBackend(options.pop("adapter", settings.model), **options)
    if settings.name == "openai":
        from vaner.prompting.backends.openai import OpenAIBackend

        return OpenAIBackend(settings.model, **options)
    from vaner.prompting.backends.llamacpp import LlamaCppBackend

    return LlamaCppBackend(settings.model, **options)


def told(settings: PromptSettings) -> Told:
    """What prompts tell beside their wording: examples, definitions, names, passages.

    Raises:
        VanerError, FileNotFoundError: a corpus, an index or a document that is not there.
    """
    retrieval = settings.retrieval
    registry = all_corpora(settings.shots.registry)
    own = {type: line for type, line in settings.types.items() if line}
    definitions = Definitions(registry.types, own) if retrieval.definitions else None
    return Told(_shots(settings), definitions, _names(settings), _passages(settings))


def _shots(settings: PromptSettings) -> Shots | None:
    shots = settings.shots
    if not shots.k:
        return None
    from vaner.prompting.shots import ShotPool, Shots

    pool = ShotPool.of(
        shots.source, registry=shots.registry, type_map=shots.type_map, max_words=shots.max_words
    )
    return Shots(
        pool,
        shots.k,
        shots.choose,
        shots.order,
        shots.seed,
        near=shots.near,
        ids=shots.ids,
        partial=shots.partial,
    )


def _names(settings: PromptSettings) -> Retriever | None:
    if settings.retrieval.names is None:
        return None
    from vaner.prompting.retrieval.names import Names

    return Names(settings.retrieval.names, settings.retrieval.most_names)


def _passages(settings: PromptSettings) -> Retriever | None:
    passages = settings.retrieval.passages
    if passages is None:
        return None
    from vaner.prompting.retrieval.passages import Passages

    return Passages(
        passages.source,
        words=passages.words,
        overlap=passages.overlap,
        most=passages.top,
        by=passages.search,
        query=passages.query,
    )


def prompter(settings: PromptSettings, backend: Backend) -> Prompter:
    """What writes the prompts of these settings; errors as of `told`."""
    return Prompter(settings, format_of(settings), backend, told(settings))


def format_of(settings: PromptSettings) -> AnswerFormat:
    """The format of the answers, with its options."""
    least = {} if settings.fuzzy is None else {"least": settings.fuzzy}
    return answer_format(settings.answer.name, **settings.answer.options, **least)
