"""In: a YAML file. Out: PromptSettings: who is asked, in which words, and how the answers are read.

    backend: {name: transformers, model: smollm2-135m}
    types: {Disease: a disease or a symptom, Chemical: a drug or a chemical}
    answer: token_tags
    decoding: forced

docs/prompting.md explains every key; configs/prompts/ has files to start from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

from vaner.corpora.registry import read_registry
from vaner.errors import near
from vaner.files import cache_folder, read_yaml
from vaner.model.config import GENERATOR_NAME
from vaner.prompting.keys import (
    Where,
    check_names,
    flag,
    key,
    made,
    mapping,
    number,
    one_of,
    path,
    refuse_secrets,
    section,
    text,
    texts,
    variable,
    whole,
)
from vaner.prompting.wording import CORRECT, REASON, SYSTEM, USER, shows, wording

#: Options of each backend, beside its name and its model.
BACKENDS: dict[str, dict[str, Any]] = {
    "transformers": {
        "dtype": one_of("auto", "float32", "bfloat16", "float16"),
        "device": text,
        "quantization": one_of("none", "8bit", "4bit"),
        "revision": text,
        "adapter": path,
        "batch_size": whole(1),
        "batch_tokens": whole(1),
        "keep": whole(0),
    },
    "openai": {
        "base_url": text,
        "key_variable": variable,
        "concurrency": whole(1),
        "timeout": number(0),
        "retries": whole(0),
        "grammar": one_of("none", "gbnf", "regex", "lark", "json_schema"),
        "logprobs": flag,
        "seed": flag,
        "context": whole(1),
        "more": mapping,
        "batch_api": flag,
        "poll_seconds": number(0),
    },
    "llamacpp": {
        "context": whole(1),
        "threads": whole(1),
        "gpu_layers": whole(-1),
        "concurrency": whole(1),
        "sha256": text,
    },
}
# Those that the command line has, too.
_ALSO_TOLD = {"dtype", "device", "quantization", "revision", "batch_tokens"}
#: Formats of answers (`vaner.prompting.answers`), and what may be said of each beside its name.
ANSWERS: dict[str, dict[str, Any]] = {
    "token_tags": {"separator": text, "shows": one_of("lines", "sentence"), "every": flag},
    "tags": {},
    "inline": {"every": flag},
    "json": {"every": flag},
}
ALIGNMENTS = ("index", "difflib", "exact", "fuzzy")
#: What may be asked about a text, in this order (`vaner.prompting.steps`).
STEPS = ("reason", "mark", "correct")
# Words of a unit, where the file does not say: as of the labeler's models.
MAX_WORDS = 96


@dataclass(frozen=True)
class BackendSettings:
    """Who answers.

    Attributes:
        name: one of BACKENDS.
        model: an embedded model, a folder, a GGUF file, a hub id, or what a server calls it.
        options: of that backend, as its class takes them.
    """

    name: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerSettings:
    """How an answer is written.

    Attributes:
        name: one of ANSWERS.
        options: of that format, as its class takes them.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ShotSettings:
    """Examples in the prompt; `vaner.prompting.shots.Shots` explains each.

    Attributes:
        k: how many.
        choose: which ones, or how many of which.
        order: in which order they stand.
        source: corpora whose train splits they are from: names of the registry, paths, datasets.
        seed: of what is drawn.
        near: what ``coverage`` and ``hard`` call near.
        ids: examples that ``fixed`` takes first.
        partial: whether an example may annotate some of the asked types only.
        max_words: of an example; 1 is single sentences.
        type_map: label -> type, for paths and datasets.
        registry: path of a registry of one's own.
    """

    k: int = key(0, whole(0))
    choose: str | Mapping[str, int] = key("fixed", lambda value, where: _choose(value, where))
    order: str = key("nearest_last", one_of("nearest_last", "nearest_first", "random"))
    source: tuple[str, ...] = key((), lambda value, where: _corpora(value, where), name="from")
    seed: int = key(0, whole(0))
    near: str = key("bm25", one_of("fixed", "random", "bm25", "dense"))
    ids: tuple[str, ...] = key((), texts)
    partial: bool = key(False, flag)
    max_words: int = key(1, whole(1))
    type_map: Mapping[str, str] = key(dict, lambda value, where: _type_map(value, where))
    registry: str | None = key(None, path)


@dataclass(frozen=True)
class PassageSettings:
    """Passages of documents in the prompt.

    Attributes:
        source: files and folders.
        search: ``bm25`` or ``dense``.
        query: what is searched with: the ``unit``, or the whole ``prompt``.
        top: so many of the nearest.
        words, overlap: of a passage at most; that it repeats of the one before at most.
    """

    source: tuple[str, ...] = key((), lambda value, where: _paths(value, where), name="from")
    search: str = key("bm25", one_of("bm25", "dense"))
    query: str = key("unit", one_of("unit", "prompt"))
    top: int = key(2, whole(1))
    words: int = key(200, whole(10))
    overlap: int = key(40, whole(0))


@dataclass(frozen=True)
class RetrievalSettings:
    """What else a prompt tells.

    Attributes:
        definitions: whether types are defined: as under ``types``, else as in the registry.
        names: path of an index; names that it has are told where a text has them.
        most_names: so many in a unit.
        passages: of documents; None for none.
    """

    definitions: bool = key(True, flag)
    names: str | None = key(None, path)
    most_names: int = key(8, whole(1))
    passages: PassageSettings | None = key(None, section(PassageSettings))


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are chosen; as `vaner.prompting.request.Sampling`."""

    temperature: float = key(0.0, number(0))
    top_p: float = key(1.0, number(0, 1))
    seed: int | None = key(None, whole(0))


@dataclass(frozen=True)
class PriceSettings:
    """Of a million tokens, in one currency."""

    input: float = key(0.0, number(0))
    output: float = key(0.0, number(0))
    cached: float | None = key(None, number(0))
    currency: str = key("USD", text)


@dataclass(frozen=True)
class BudgetSettings:
    """How long an answer may be.

    Attributes:
        extra: tokens beside those that the longest sensible answer has, for a model that reasons first.
        max_tokens: so many whatever the text is, as papers did; what is longer is cut off, and counted.
    """

    extra: int = key(0, whole(0))
    max_tokens: int | None = key(None, whole(1))


@dataclass(frozen=True)
class PromptSettings:
    """A prompted tagger, as its file describes it.

    Attributes:
        backend: who answers.
        types: entity types that are asked where none are named, and what they are ("" where it is not said).
        datasets: corpora that the prompt may name -> the types that they annotate.
        template: ``chat``: turns, wrapped by the model's own template; ``plain``: one text that the model goes on with.
        system, user: the wording, as Jinja.
        guideline: what prompts say of how mentions are marked: type -> text; under "" what they say whatever is asked.
        steps: what is asked about a text: one of STEPS or several; ``mark`` is always among them.
        reason, correct: what the steps of these names ask for, as Jinja.
        answer: format of the answer.
        one_type_per_call: ask for each type by itself.
        decoding: ``forced``: a grammar of the text leaves no other answer than one that can be read; or ``free``.
        alignment: of free answers; None takes the format's own.
        fuzzy: similarity that ``alignment: fuzzy`` asks, in [0, 1]; None takes the format's own.
        max_words: a unit is as many whole sentences as fit into it; 1 is single sentences.
        shots, retrieval, sampling, budget: as their classes say.
        stop: texts at which an answer ends.
        repeats: how often the same is asked; the majority of the answers counts.
        scores: of spans: ``none``, ``logprobs``, or ``votes``, the share of the repeats.
        store: path of the file that keeps answers; None keeps none.
        replay: take answers from the store alone, without any model.
        price: what tokens cost; None where nobody says.
        file: the YAML file.
    """

    backend: BackendSettings = key(
        lambda: BackendSettings("transformers", "smollm2-135m"), lambda value, where: _backend(value, where)
    )
    types: Mapping[str, str] = key(dict, lambda value, where: _types(value, where))
    datasets: Mapping[str, tuple[str, ...]] = key(dict, lambda value, where: _datasets(value, where))
    template: str = key("chat", one_of("chat", "plain"))
    system: str = key(SYSTEM, wording)
    user: str = key(USER, wording)
    guideline: Mapping[str, str] = key(dict, lambda value, where: _guideline(value, where))
    steps: tuple[str, ...] = key(("mark",), lambda value, where: _steps(value, where))
    reason: str = key(REASON, wording)
    correct: str = key(CORRECT, wording)
    answer: AnswerSettings = key(
        lambda: AnswerSettings("token_tags"), lambda value, where: _answer(value, where)
    )
    one_type_per_call: bool = key(False, flag)
    decoding: str = key("forced", one_of("forced", "free"))
    alignment: str | None = key(None, one_of(*ALIGNMENTS))
    fuzzy: float | None = key(None, number(0, 1))
    max_words: int = key(MAX_WORDS, whole(1))
    shots: ShotSettings = key(ShotSettings, section(ShotSettings))
    retrieval: RetrievalSettings = key(RetrievalSettings, section(RetrievalSettings))
    sampling: SamplingSettings = key(SamplingSettings, section(SamplingSettings))
    budget: BudgetSettings = key(BudgetSettings, section(BudgetSettings))
    stop: tuple[str, ...] = key((), texts)
    repeats: int = key(1, whole(1))
    scores: str = key("none", one_of("none", "logprobs", "votes"))
    store: str | None = key(lambda: str(default_store()), lambda value, where: _store(value, where))
    replay: bool = key(False, flag)
    price: PriceSettings | None = key(None, section(PriceSettings))
    file: str = ""

    @classmethod
    def load(cls, file: str | PathLike[str]) -> PromptSettings:
        """Read a file, or that of a folder which ``train.py --head generate`` wrote.

        Raises:
            VanerError: an unknown key, a wrong value, or keys that do not go together; names file and key.
            FileNotFoundError: no such file.
        """
        if Path(file).is_dir():
            file = Path(file) / GENERATOR_NAME
        return cls.of(read_yaml(file), str(file))

    @classmethod
    def of(cls, values: Mapping[str, Any], file: str) -> PromptSettings:
        """The settings of what a file has under its keys; errors as of `load`."""
        where = Where(file)
        refuse_secrets(values, where)
        found = replace(made(cls, values, where), file=file)
        found._check(where)
        return found

    def with_options(self, options: Mapping[str, Any]) -> PromptSettings:
        """These settings with what was said beside the file.

        Args:
            options: ``max_words``, and options of the backend; those that are None say nothing.

        Raises:
            VanerError: one that the backend does not take, or a wrong value.
        """
        where = Where(self.file, "backend")
        known = BACKENDS[self.backend.name]
        given = {name: value for name, value in options.items() if value is not None}
        max_words = given.pop("max_words", self.max_words)
        for name, value in given.items():
            if name not in known:
                takes = ", ".join(sorted(set(known) & _ALSO_TOLD)) or "none of these options"
                raise where.wrong(
                    f"{self.backend.name} takes no {name}; it takes {takes}; leave --{name} out"
                )
            known[name](value, where.under(name))
        backend = replace(self.backend, options={**self.backend.options, **given})
        return replace(self, backend=backend, max_words=whole(1)(max_words, Where(self.file, "max_words")))

    def _check(self, where: Where) -> None:
        """Refuse keys that do not go together."""
        if self.alignment is not None and self.decoding == "forced":
            raise where.under("alignment").wrong(
                "is for free answers; a forced one needs none: set decoding: free, or leave it out"
            )
        if self.fuzzy is not None and self.alignment != "fuzzy":
            raise where.under("fuzzy").wrong("is for alignment: fuzzy; set that, or leave it out")
        if self.repeats > 1 and self.sampling.temperature == 0:
            raise where.under("repeats").wrong(
                "at temperature 0 every answer is the same; set sampling: {temperature: 0.7}, or leave repeats out"
            )
        if self.scores == "votes" and self.repeats == 1:
            raise where.under("scores").wrong("votes need repeats: 3 or more")
        if self.guideline and not any(shows(one, "guideline") for one in (self.system, self.user)):
            raise where.under("guideline").wrong(
                "is said nowhere; write {{ guideline }} where it is to stand in system, or in user"
            )
        if self.shots.k and not self.shots.source:
            raise where.under("shots.from").wrong(
                "names no corpus; name one of the registry (python -m vaner corpora) or a path, or set k: 0"
            )
        if self.retrieval.passages is not None and not self.retrieval.passages.source:
            raise where.under("retrieval.passages.from").wrong("names no file or folder")
        if self.replay and self.store is None:
            raise where.under("replay").wrong("takes answers from a store; name one (store: PATH)")


def default_store() -> Path:
    """Where answers are kept if a file does not say: in the user's cache."""
    return cache_folder() / "answers.sqlite"


def _backend(value: Any, where: Where) -> BackendSettings:
    if not isinstance(value, Mapping):
        raise where.wrong("must have name and model, as in {name: transformers, model: smollm2-135m}")
    name = one_of(*BACKENDS)(value.get("name", "transformers"), where.under("name"))
    known = BACKENDS[name]
    check_names(value, ["name", "model", *known], where)
    if value.get("model") is None:
        raise where.under("model").wrong("names no model; write its name, folder, file or hub id")
    model = text(value["model"], where.under("model"))
    if name != "openai":
        model = _beside(model, where)
    # Of a server that wants no key the variable is null; any other null says nothing.
    options = {
        option: None if given is None else known[option](given, where.under(option))
        for option, given in value.items()
        if option in known and (given is not None or option == "key_variable")
    }
    return BackendSettings(name, model, options)


def _answer(value: Any, where: Where) -> AnswerSettings:
    """The name of a format, or a mapping with ``name`` and its options."""
    if not isinstance(value, Mapping):
        return AnswerSettings(one_of(*ANSWERS)(value, where))
    name = one_of(*ANSWERS)(value.get("name"), where.under("name"))
    known = ANSWERS[name]
    check_names(value, ["name", *known], where)
    return AnswerSettings(
        name,
        {
            o: known[o](given, where.under(o))
            for o, given in value.items()
            if o in known and given is not None
        },
    )


def _choose(value: Any, where: Where) -> str | dict[str, int]:
    """One way to choose, or way -> number."""
    known = one_of("fixed", "random", "bm25", "dense", "coverage", "hard")
    if not isinstance(value, Mapping):
        found: str = known(value, where)
        return found
    return {known(one, where): whole(0)(number, where.under(one)) for one, number in value.items()}


def _corpora(value: Any, where: Where) -> tuple[str, ...]:
    """Names of the registry and of datasets as they are, paths relative to the file."""
    beside = Path(where.file).parent
    return tuple(
        str((beside / one).resolve()) if (beside / one).exists() else one for one in texts(value, where)
    )


def _type_map(value: Any, where: Where) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise where.wrong("must be a mapping of labels to types")
    return {str(label): text(type, where.under(label)) for label, type in value.items()}


def _beside(model: str, where: Where) -> str:
    """A model that lies beside the file that names it, by its path; else the name as it is."""
    beside = Path(where.file).parent / Path(model).expanduser()
    return str(beside.resolve()) if beside.exists() else model


def _types(value: Any, where: Where) -> dict[str, str]:
    """A list of types, or type -> definition."""
    if isinstance(value, Mapping):
        said = {one: text(line, where.under(one)) if line else "" for one, line in value.items()}
    else:
        said = dict.fromkeys(texts(value, where), "")
    for one in said:
        text(one, where)
    if not said:
        raise where.wrong("names none; leave it out, or name one")
    return said


def _guideline(value: Any, where: Where) -> dict[str, str]:
    """A text, or type -> text."""
    if not isinstance(value, Mapping):
        return {"": text(value, where)}
    return {str(type): text(said, where.under(type)) for type, said in value.items()}


def _steps(value: Any, where: Where) -> tuple[str, ...]:
    """Names of STEPS, in their order."""
    named = tuple(one_of(*STEPS)(one, where) for one in texts(value, where))
    if "mark" not in named or list(named) != [step for step in STEPS if step in named]:
        raise where.wrong(
            f"are {', '.join(named)}; name mark, and of {', '.join(STEPS)} others, each once, in this order"
        )
    return named


def _datasets(value: Any, where: Where) -> dict[str, tuple[str, ...]]:
    """Names of registered corpora, or name -> types."""
    if isinstance(value, Mapping):
        return {str(name): texts(types, where.under(name)) for name, types in value.items()}
    registry = read_registry()
    found = {}
    for name in texts(value, where):
        if name not in registry:
            raise where.wrong(
                f"no registered corpus is called {name!r}; {near(name, registry) or 'write its types: {NAME: [TYPE]}'}"
            )
        found[registry[name].instruction_name] = tuple(sorted(registry[name].annotated))
    return found


def _paths(value: Any, where: Where) -> tuple[str, ...]:
    found = tuple(path(one, where) for one in texts(value, where))
    for one in found:
        if not Path(one).exists():
            raise where.wrong(f"{one}: no such file or folder")
    return found


def _store(value: Any, where: Where) -> str | None:
    """A path; ``none`` (or false) keeps nothing."""
    return None if value is False or value == "none" else path(value, where)
