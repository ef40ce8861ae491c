"""In: everything that decides what a tagging run computes. Out: the one Tagger that computes it.

    models -> min_score -> several, flat -> link -> existing -> tagged_by

Each arrow is a Tagger around the one before, in a file of its own name in this room; what is not asked for is left
out. The same settings give the same spans in every process; they pickle, and are JSON both ways.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from vaner.errors import VanerError
from vaner.knowledge import KnowledgeBase, Linker
from vaner.knowledge.shipped import NO_INDEX, OPEN, named_index, needed_index
from vaner.knowledge.store import Store
from vaner.model.config import DEFAULT_MODEL, check_keys
from vaner.provenance import tagged_by
from vaner.tagger import Tagger, can_be_asked
from vaner.tagging.existing import Existing, check_existing
from vaner.tagging.identity import plain_name, tagger_hash, unloaded
from vaner.tagging.linked import Linked
from vaner.tagging.loading import AllOptions, is_generator, load, options_of, split
from vaner.tagging.min_score import MinScore, check_scores, check_types
from vaner.tagging.recorded import Recorded
from vaner.tagging.several import Several, check_conflicts

if TYPE_CHECKING:
    from typing_extensions import Self

DECODINGS = ("viterbi", "argmax")
QUANTIZATIONS = ("none", "int8", "8bit", "4bit")
_TUPLES = ("models", "types")


@dataclass(frozen=True)
class TaggingSettings:
    """What a tagging run computes, whatever it reads and wherever it writes.

    Attributes:
        models: names of taggers (`vaner.tagging.loading.load`), the preferred one first.
        types: entity types to look for; None for those of ``dataset``, or all.
        dataset: name of the training dataset whose guideline to follow.
        min_score: what a span's score must reach, in [0, 1]; see `vaner.tagging.min_score.MinScore`.
        min_scores: type -> the same for its spans.
        link: give spans the concept ids that ``kb`` has for them.
        kb: path of the index in which models look words up that were trained to, and of ``link`` and ``hints``;
            ``open`` for the vocabulary that vaner ships, ``none`` for no lookups. By default the open one or, of
            ``link``, that of a ``kb:`` model.
        hints: tell models which names of ``kb`` the text has.
        existing: what becomes of mentions that documents have: ``replace``, ``keep`` or ``merge``
            (`vaner.tagging.existing.Existing`).
        conflicts: between models: ``first``, ``score`` or ``all`` (`vaner.tagging.several.Several`).
        flat: of overlapping spans keep only the best-scored.
        decoding, batch_tokens, max_words, dtype, device, quantization, allow_new_types: of models, see
            `vaner.Vaner`; None for what they do by themselves.
        word_scores: leave what the model says of every word in the documents' metadata (`vaner.inputs.taught`).
        repeats: of models: decide the places of a name that a document repeats together (`vaner.tagging.repeats`).
        on_failed: what prompted taggers do with a document whose calls give no answer (`vaner.tagging.prompted`).
        dry_run, show_prompt: of a prompted tagger: send nothing, and say what would be sent.
        date: ``YYYY-MM-DD`` to be written into the documents; None for none, so that runs compare.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    types: tuple[str, ...] | None = None
    dataset: str | None = None
    min_score: float | None = None
    min_scores: Mapping[str, float] = field(default_factory=dict)
    link: bool = False
    kb: str | None = None
    hints: bool = False
    existing: str = "replace"
    conflicts: str = "first"
    flat: bool = False
    decoding: str | None = None
    batch_tokens: int | None = None
    max_words: int | None = None
    dtype: str | None = None
    device: str | None = None
    quantization: str | None = None
    allow_new_types: bool = False
    word_scores: bool = False
    repeats: bool = True
    on_failed: str | None = None
    dry_run: bool = False
    show_prompt: int | None = None
    date: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        found = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The settings of `to_dict`.

        Raises:
            VanerError: an unknown setting.
        """
        check_keys(values, [f.name for f in fields(cls)], "tagging settings")
        given: dict[str, Any] = {
            k: tuple(v) if k in _TUPLES and v is not None else v for k, v in values.items()
        }
        return cls(**given)

    @property
    def replaces(self) -> bool:
        """Whether the documents' own mentions are dropped, so that wrong ones do no harm (``to_tag`` of `read`)."""
        return self.existing == "replace"

    def check(self) -> None:
        """Refuse what cannot work before anything is loaded; nothing is fetched.

        Raises:
            VanerError: a setting that does not exist or does not go with another, a model that is not there, or a
                type or dataset that no model knows (only loading tells what a model of the hub knows).
            FileNotFoundError: an index that is not there.
        """
        if not self.models:
            raise VanerError("no model; name one with --model")
        for name in self.models:
            if self.models.count(name) > 1:
                raise VanerError(f"--model {name} is named twice; name each model once")
        if self.types is not None and not self.types:
            raise VanerError("no entity type asked; name at least one, such as Disease")
        check_scores(self.min_score, self.min_scores)
        check_existing(self.existing, self.flat)
        check_conflicts(self.conflicts, self.flat)
        for option, value, known in (
            ("decoding", self.decoding, DECODINGS),
            ("quantization", self.quantization, QUANTIZATIONS),
        ):
            if value is not None and value not in known:
                raise VanerError(f"{option}: unknown {value!r}; choose {', '.join(known)}")
        for option, number in (
            ("batch_tokens", self.batch_tokens),
            ("max_words", self.max_words),
            ("show_prompt", self.show_prompt),
        ):
            if number is not None and number < 1:
                raise VanerError(f"{option} is {number}; choose 1 or more, or leave it out")
        if self.date is not None:
            _check_date(self.date)
        if (self.dry_run or self.show_prompt) and len(self.models) > 1:
            raise VanerError("--dry_run and --show_prompt: are for one prompted tagger; name one --model")
        if self.word_scores and len(self.models) > 1:
            raise VanerError("--word_scores: says what one model finds of each word; name one --model")
        index = self._index()
        if index is not None:
            Store(index)
        before = {}
        for name in self.models:
            options_of(name)
            before[name] = unloaded(
                name,
                allow_new_types=self.allow_new_types,
                kb=self._lookup_path,
            )
        taggers = {name: tagger for name, tagger in before.items() if tagger is not None}
        if len(taggers) == len(self.models):
            Several(taggers).asked(self.types, self.dataset)
            self._check_min_scores(taggers)

    def open(self) -> Tagger:
        """Load the models and put everything around them.

        The caller tags with ``tagger.tag_documents(documents, settings.types, settings.dataset)``.

        Raises:
            VanerError, FileNotFoundError: as `check`, or what cannot be loaded, or a type of ``min_scores`` that no
                model knows.
        """
        self.check()
        taggers, linker = self.load()
        return Recorded(self.around(taggers, linker), self.provenance())

    def load(self) -> tuple[dict[str, Tagger], Linker | None]:
        """The models by name as `open` loads them, nothing around them yet; and what links, where ``link`` says so."""
        index = self._index()
        kb = None if index is None else KnowledgeBase(index)
        taggers = {name: load(name, **self._options(name, kb)) for name in self.models}
        return taggers, Linker(kb) if self.link and kb is not None else None

    def around(self, taggers: Mapping[str, Tagger], linker: Linker | None) -> Tagger:
        """What `load` gave, as the one Tagger of these settings.

        Raises:
            VanerError: a type of ``min_scores`` that no model knows.
        """
        tagger = self._together(taggers)
        if linker is not None:
            tagger = Linked(tagger, linker)
        return tagger if self.replaces else Existing(tagger, self.existing, flat=self.flat)

    def hashes(self) -> dict[str, str]:
        """Name of each model, and of the index, without where it lies -> a hash of what is in it.

        Raises:
            VanerError, FileNotFoundError: one that is not there.
        """
        index = self._index()
        names = [*self.models, *([f"kb:{index}"] if index else [])]
        return {plain_name(name): tagger_hash(name) for name in names}

    def provenance(self) -> dict[str, str]:
        """What tagged documents say of who tagged them: `vaner.provenance.tagged_by`."""
        more = {} if self.replaces else {"existing": self.existing}
        models = {plain_name(name): tagger_hash(name) for name in self.models}
        return tagged_by(models, date=self.date, **more)

    def _together(self, taggers: Mapping[str, Tagger]) -> Tagger:
        """The models as one, without spans that score too little."""
        self._check_min_scores(taggers)
        if self._scores_matter:
            taggers = {
                name: MinScore(tagger, self.min_score, self._min_scores_of(tagger))
                for name, tagger in taggers.items()
            }
        if len(taggers) > 1 or self._flat_at_the_end:
            return Several(taggers, conflicts=self.conflicts, flat=self.flat)
        (tagger,) = taggers.values()
        return tagger

    @property
    def _scores_matter(self) -> bool:
        return self.min_score is not None or bool(self.min_scores)

    @property
    def _flat_at_the_end(self) -> bool:
        """A span that scores too little for its type must not have driven out another before."""
        return self.flat and (self._scores_matter or len(self.models) > 1)

    def _min_scores_of(self, tagger: Tagger) -> dict[str, float]:
        return {type: score for type, score in self.min_scores.items() if can_be_asked(tagger, type)}

    def _options(self, name: str, kb: KnowledgeBase | None) -> AllOptions:
        """The options for a model; beside others, only those that its kind takes."""
        options: AllOptions = {
            "dtype": self.dtype,
            "device": self.device,
            "quantization": self.quantization,
            "batch_tokens": self.batch_tokens,
            "decoding": self.decoding,
            "flat": None if self._flat_at_the_end else self.flat or None,
            "max_words": self.max_words,
            "allow_new_types": self.allow_new_types or None,
            "word_scores": self.word_scores or None,
            "repeats": None if self.repeats else False,
            "hints": kb if self.hints else None,
            "kb": self._lookup_index(name, kb),
            "dry_run": self.dry_run or None,
            "show_prompt": self.show_prompt,
        }
        if "on_failed" in options_of(name):
            options["on_failed"] = self.on_failed
        if len(self.models) > 1:
            takes = options_of(name)
            taken_by_one = frozenset().union(*map(options_of, self.models))
            for option in taken_by_one - takes:
                options.pop(option, None)  # type: ignore[misc]  # the names are those of Options
        return options

    def _lookup_index(self, name: str, kb: KnowledgeBase | None) -> KnowledgeBase | str | None:
        """The index in which a model looks words up; what cannot be told before it is loaded is left to it."""
        if split(name)[0] or is_generator(name):
            return None
        known = unloaded(name)
        if known is None:
            return self.kb
        if not known.looks_up:
            return None
        # By default it takes the open vocabulary, whatever index gives concept ids.
        return None if self.kb is None else NO_INDEX if kb is None else kb

    def _index(self) -> str | None:
        """Path of the index of ``link``, ``hints`` and lookups; what goes with none of them is refused."""
        if self.hints and all(split(name)[0] == "kb" for name in self.models):
            raise VanerError("--hints is for models; a dictionary reads no instruction, so leave it out")
        if self.kb == NO_INDEX and (self.hints or self.link):
            option = "--hints" if self.hints else "--link"
            raise VanerError(f"{option} needs an index, and --kb none names none; leave one of the two out")
        if self.hints and self.kb is None:
            raise VanerError(
                "--hints needs an index; name one with --kb: open, or what python -m vaner kb build makes"
            )
        if self.kb is not None:
            if self.kb != NO_INDEX and not (self.link or self.hints or self._can_look_up):
                raise VanerError(
                    f"--kb {self.kb} is for concept ids, hints, and models trained with --kb_lookups; add --link or "
                    "--hints, or leave it out"
                )
            path = named_index(self.kb)
            return None if path is None else str(path)
        if self.link:
            indexes = [rest for prefix, rest in map(split, self.models) if prefix == "kb"]
            if len(indexes) == 1:
                return str(needed_index(indexes[0]))
        return str(named_index(OPEN)) if self.link or self._looks_up else None

    @property
    def _lookup_path(self) -> str | None:
        """Path of the index in which models look words up."""
        path = named_index(self.kb or OPEN) if self._looks_up else None
        return None if path is None else str(path)

    @property
    def _looks_up(self) -> bool:
        """Whether a model here was trained to look words up; of one that only loading tells, it is not said."""
        known = (unloaded(name) for name in self.models if not split(name)[0])
        return any(one.looks_up for one in known if one is not None)

    @property
    def _can_look_up(self) -> bool:
        """Whether a model here was, or may have been."""
        known = [unloaded(name) for name in self.models if not split(name)[0]]
        return any(one is None or one.looks_up for one in known)

    def _check_min_scores(self, taggers: Mapping[str, Tagger]) -> None:
        known = [
            type for tagger in taggers.values() for type in [*tagger.types, *getattr(tagger, "listed", ())]
        ]
        check_types(self.min_scores, known, self.allow_new_types)


def _check_date(date: str) -> None:
    try:
        if datetime.date.fromisoformat(date).isoformat() == date:
            return
    except ValueError:
        pass
    raise VanerError(f"--date {date}: not a date; write YYYY-MM-DD")
