"""In: a prompted tagger's settings. Out: what they name, opened: who answers, the format, shots, what is retrieved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaner.corpora.own import all_corpora
from vaner.prompting.answers import AnswerFormat, answer_format
from vaner.prompting.backends import open_backend
from vaner.prompting.prices import Price, known_price
from vaner.prompting.prompt import Prompter, Told
from vaner.prompting.replaying import Remembered, Replayed, name_of
from vaner.prompting.request import Backend
from vaner.prompting.retrieval.definitions import Definitions
from vaner.prompting.sending import Sender
from vaner.prompting.settings import BackendSettings, PromptSettings, default_store
from vaner.prompting.store import RequestStore

if TYPE_CHECKING:
    from vaner.prompting.retrieval import Retriever
    from vaner.prompting.shots import Shots


def opened_backend(settings: BackendSettings, store: RequestStore | None = None) -> Backend:
    """Who answers, loaded.

    Args:
        settings: of the file.
        store: where a server's batches are remembered while they are worked on.

    Raises:
        VanerError: no such model, or a package that is missing.
    """
    options: dict[str, Any] = dict(settings.options)
    # An adapter's folder names the model that it is of.
    model = options.pop("adapter", settings.model)
    if options.get("batch_api") and store is not None:
        options["notes"] = store.notes
    return open_backend(settings.name, model, **options)


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


def opened(settings: PromptSettings) -> tuple[Prompter, Sender]:
    """What writes the prompts, and what has them answered.

    Raises:
        VanerError, FileNotFoundError: something that the settings name cannot be had.
    """
    sender = opened_sender(settings)
    return prompter(settings, sender.backend), sender


def opened_sender(settings: PromptSettings) -> Sender:
    """What has prompts answered, and keeps the answers.

    Raises:
        VanerError, FileNotFoundError: the backend's model or the store cannot be had.
    """
    store: RequestStore | None = None
    if settings.store is not None:
        if settings.store == str(default_store()):
            Path(settings.store).parent.mkdir(parents=True, exist_ok=True)
        store = RequestStore(settings.store, replay=settings.replay)
    backend: Backend
    name = name_of(settings.backend)
    if settings.replay and store is not None:
        backend = Replayed(name, store)
    else:
        backend = opened_backend(settings.backend, store)
        if store is not None:
            backend = Remembered(backend, name, store)
    return Sender(backend, store)


def price_of(settings: PromptSettings) -> Price | None:
    """What tokens cost: as the file says, else what is known of a served model; None where nobody says."""
    price, backend = settings.price, settings.backend
    if price is not None:
        return Price(price.input, price.output, price.cached, price.currency)
    if backend.name != "openai":
        return None
    return known_price(
        backend.model, backend.options.get("base_url"), batch=bool(backend.options.get("batch_api"))
    )


def check_packages(settings: PromptSettings) -> None:
    """Say before the first prompt what only the first answer would miss.

    Raises:
        VanerError: answers are to be forced here, and llguidance is missing.
    """
    if settings.decoding == "forced" and settings.backend.name == "transformers" and not settings.replay:
        from vaner.prompting.backends import forcing

        forcing.check_installed()


def prompter(settings: PromptSettings, backend: Backend) -> Prompter:
    """What writes the prompts of these settings; errors as of `told` and `check_packages`."""
    check_packages(settings)
    return Prompter(settings, format_of(settings), backend, told(settings))


def format_of(settings: PromptSettings) -> AnswerFormat:
    """The format of the answers, with its options."""
    least = {} if settings.fuzzy is None else {"least": settings.fuzzy}
    return answer_format(settings.answer.name, **settings.answer.options, **least)
