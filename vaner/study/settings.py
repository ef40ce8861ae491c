"""In: a study's YAML file. Out: StudySettings: which arms are compared, on which corpora and seeds, at which budget.

    corpora: [bc5cdr-pubtator, jnlpba]
    seeds: [1, 2]
    budget: {updates: 300}
    flags: {batch_tokens: 2048}
    arms:
      encoder: {kind: labels, flags: {backbone: minilm-l6, adapter: full}}
      dictionary: {kind: dictionary, index: open}

docs/study.md explains every key; configs/study/ has files to start from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from vaner.corpora.own import all_corpora, is_path
from vaner.corpora.registry import Registry
from vaner.errors import VanerError, near
from vaner.files import read_yaml, sha256
from vaner.prompting.keys import (
    Where,
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
    whole,
)
from vaner.prompting.settings import ALIGNMENTS, PromptSettings

LABELS, GENERATES, PROMPTED, DICTIONARY = "labels", "generates", "prompted", "dictionary"
#: Kinds of arms; those of TRAINED have a model for each corpus and seed.
KINDS = (LABELS, GENERATES, PROMPTED, DICTIONARY)
TRAINED = (LABELS, GENERATES)
#: In a prompted arm's file: the train split of the corpus that is tagged.
CORPUS = "@corpus"

# Flags of train.py that the study says itself, and how.
_SAID = {
    "mix": "corpora",
    "dev": "corpora",
    "held_out": "corpora",
    "train_splits": "corpora",
    "type_map": "corpora",
    "skip_types": "corpora",
    "registry": "registry",
    "data_root": "--data_root",
    "output_dir": "--output",
    "overwrite_output_dir": "--output",
    "resume_from_checkpoint": "--output",
    "push_to_hub": "nothing",
    "seed": "seeds",
    "max_steps": "budget.updates",
    "max_tokens_read": "budget.tokens",
    "max_minutes": "budget.minutes",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Options of taggers, by kind.
_OF_BOTH = ("batch_tokens", "dtype", "device", "quantization", "max_words")
_OPTIONS = {
    LABELS: (*_OF_BOTH, "decoding", "kb", "repeats"),
    GENERATES: (*_OF_BOTH, "batch_size"),
    PROMPTED: (*_OF_BOTH, "batch_size"),
    DICTIONARY: (),
}


@dataclass(frozen=True)
class Budget:
    """What each training may take: exactly one of these."""

    updates: int | None = key(None, whole(1))
    tokens: int | None = key(None, whole(1))
    minutes: float | None = key(None, number(0))

    @property
    def said(self) -> dict[str, float]:
        """The one that was named -> how much."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class CostSettings:
    """The timing pass.

    Attributes:
        corpus: whose gold texts are tagged; None: the first that most arms tag.
        documents: of them, the same for every arm.
        repeats: measured ones, after one that warms up.
        batch_tokens: batches that labelers are tried with, in tokens.
        batch_size: batches that generators are tried with, in requests.
        keep_loaded: all arms' models are in memory at once; else each is loaded anew for every repeat.
        price_per_hour: of the machine; None where nobody says.
        currency: of it.
    """

    corpus: str | None = key(None, text)
    documents: int = key(20, whole(1))
    repeats: int = key(3, whole(0))
    batch_tokens: tuple[int, ...] = key((1024, 4096, 16384), lambda value, where: _wholes(value, where))
    batch_size: tuple[int, ...] = key((16, 64, 256), lambda value, where: _wholes(value, where))
    keep_loaded: bool = key(True, flag)
    price_per_hour: float | None = key(None, number(0))
    currency: str = key("USD", text)


@dataclass(frozen=True)
class Arm:
    """One way to tag.

    Attributes:
        kind: one of KINDS.
        config: of a trained arm: a file of flags of train.py.
        flags: of a trained arm: those that come after it; flags of train.py.
        model_of: a trained arm whose models this one tags with, instead of its own.
        decoding, alignment: of an arm that generates: how its answers are written and read.
        prompt: of a prompted arm: its file, or what would stand in it.
        index: of a dictionary: ``open``, or the path of an index.
        tagging: options of its tagger (``batch_tokens``, ``dtype``, ``quantization``, ...), ``batch_size`` of a model
            that writes here: requests at a time.
        price_per_hour: of the machine that it runs on, in place of the study's.
        name: of the arm.
    """

    kind: str = key(LABELS, one_of(*KINDS))
    config: str | None = key(None, path)
    flags: Mapping[str, Any] = key(dict, lambda value, where: _flags(value, where))
    model_of: str | None = key(None, text)
    decoding: str | None = key(None, one_of("forced", "free"))
    alignment: str | None = key(None, one_of(*ALIGNMENTS))
    prompt: str | Mapping[str, Any] | None = key(None, lambda value, where: _prompt(value, where))
    index: str | None = key(None, lambda value, where: value if value == "open" else path(value, where))
    tagging: Mapping[str, Any] = key(dict, mapping)
    price_per_hour: float | None = key(None, number(0))
    name: str = ""

    @property
    def trained(self) -> bool:
        """Whether it has models of its own."""
        return self.kind in TRAINED and self.model_of is None

    @property
    def seeded(self) -> bool:
        """Whether it has a cell for every seed."""
        return self.kind in TRAINED


@dataclass(frozen=True)
class StudySettings:
    """A study, as its file describes it.

    Attributes:
        corpora: names of the registry, paths or datasets.
        arms: name -> Arm.
        split: that is tagged and scored.
        documents: of each corpus at most, or corpus -> that; None for all.
        sample_seed: chooses them.
        seeds: of trainings.
        budget: of each training.
        flags: of every training, before those of the arm.
        cost: the timing pass.
        registry: path of a registry of one's own.
        reference: the arm that others are compared with; None for the first.
        budgets: cost -> amounts for which the page says what to use.
        file: the YAML file.
    """

    corpora: tuple[str, ...] = key((), texts)
    arms: Mapping[str, Arm] = key(dict, lambda value, where: _arms(value, where))
    split: str = key("dev", text)
    documents: int | Mapping[str, int] | None = key(None, lambda value, where: _documents(value, where))
    sample_seed: int = key(0, whole(0))
    seeds: tuple[int, ...] = key((1,), lambda value, where: _wholes(value, where))
    budget: Budget = key(Budget(), section(Budget))
    flags: Mapping[str, Any] = key(dict, lambda value, where: _flags(value, where))
    cost: CostSettings = key(CostSettings(), section(CostSettings))
    registry: str | None = key(None, path)
    reference: str | None = key(None, text)
    budgets: Mapping[str, list[float]] = key(dict, lambda value, where: _budgets(value, where))
    file: str = ""

    @classmethod
    def load(cls, file: str | PathLike[str]) -> StudySettings:
        """Read a file.

        Raises:
            VanerError: an unknown key, corpus or arm, a wrong value, or keys that do not go together; names file and
                key.
            FileNotFoundError: no such file.
        """
        values = read_yaml(file)
        where = Where(str(file))
        refuse_secrets(values, where)
        found = replace(made(cls, values, where), file=str(file))
        found._check(where)
        return found

    def corpora_known(self) -> Registry:
        """The shipped registry, and one's own."""
        return all_corpora(self.registry)

    def documents_of(self, corpus: str) -> int | None:
        """How many documents of a corpus are tagged at most."""
        if isinstance(self.documents, Mapping):
            return self.documents.get(corpus)
        return self.documents

    def flags_of(self, arm: Arm) -> dict[str, Any]:
        """Flags of train.py of an arm, without those that the study says itself."""
        read = {} if arm.config is None else read_yaml(arm.config)
        common = {name: value for name, value in read.items() if name not in _SAID}
        head = {"head": "generate"} if arm.kind == GENERATES else {}
        return {**common, **self.flags, **arm.flags, **head}

    def trained_by(self, arm: Arm) -> Arm:
        """The arm whose models an arm tags with."""
        return arm if arm.model_of is None else self.arms[arm.model_of]

    def told(self, arm: Arm) -> dict[str, Any]:
        """All that decides what an arm computes, as JSON holds it; files are told by what is in them."""
        found: dict[str, Any] = {"kind": arm.kind}
        if arm.trained:
            found["flags"] = self.flags_of(arm)
        if arm.model_of is not None:
            found["model_of"] = arm.model_of
        for name in ("decoding", "alignment"):
            if (value := getattr(arm, name)) is not None:
                found[name] = value
        if arm.prompt is not None:
            found["prompt"] = read_yaml(arm.prompt) if isinstance(arm.prompt, str) else dict(arm.prompt)
        if arm.index is not None:
            found["index"] = arm.index if arm.index == "open" else sha256(arm.index)[:16]
        if arm.tagging:
            found["tagging"] = dict(arm.tagging)
        return found

    def _check(self, where: Where) -> None:
        if not self.corpora:
            raise where.under("corpora").wrong(
                "names none; name corpora of the registry (python -m vaner corpora)"
            )
        if not self.arms:
            raise where.under("arms").wrong(
                "names none; write NAME: {kind: labels, flags: {backbone: minilm-l6}}"
            )
        known = self.corpora_known()
        for name in self.corpora:
            if self.corpora.count(name) > 1:
                raise where.under("corpora").wrong(f"{name} is named twice; name it once")
            if name not in known and not is_path(name, known):
                hint = near(name, known) or "python -m vaner corpora lists them"
                raise where.under("corpora").wrong(f"unknown corpus {name!r}; {hint}")
        if self.reference is not None and self.reference not in self.arms:
            hint = near(self.reference, self.arms) or f"there are {', '.join(self.arms)}"
            raise where.under("reference").wrong(f"unknown arm {self.reference!r}; {hint}")
        if isinstance(self.documents, Mapping):
            for name in self.documents:
                if name not in self.corpora:
                    raise where.under("documents").wrong(f"{name} is none of corpora; add it there")
        if self.cost.corpus is not None and self.cost.corpus not in self.corpora:
            raise where.under("cost.corpus").wrong(f"{self.cost.corpus} is none of corpora")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise where.under("seeds").wrong("must name at least one, and each once")
        if any(arm.trained for arm in self.arms.values()) and len(self.budget.said) != 1:
            named = " and ".join(self.budget.said) or "nothing"
            raise where.under("budget").wrong(
                f"names {named}; name one of updates, tokens, minutes, which every training gets"
            )
        if self.budget.minutes == 0:
            raise where.under("budget.minutes").wrong("must be more than 0")
        for name, arm in self.arms.items():
            self._check_arm(arm, where.under("arms").under(name))

    def _check_arm(self, arm: Arm, where: Where) -> None:
        """Refuse keys that an arm of its kind does not have, and those that it lacks."""
        takes = {
            LABELS: {"config", "flags", "model_of"},
            GENERATES: {"config", "flags", "model_of", "decoding", "alignment"},
            PROMPTED: {"prompt"},
            DICTIONARY: {"index"},
        }[arm.kind]
        for name in ("config", "flags", "model_of", "decoding", "alignment", "prompt", "index"):
            if name not in takes and getattr(arm, name):
                raise where.under(name).wrong(f"is not of kind: {arm.kind}; leave it out")
        needed = {PROMPTED: "prompt", DICTIONARY: "index"}.get(arm.kind)
        if needed and getattr(arm, needed) is None:
            raise where.under(needed).wrong(f"is missing; kind: {arm.kind} needs it")
        for name in arm.tagging:
            known = _OPTIONS[arm.kind]
            if name not in known:
                hint = near(name, known) or f"kind: {arm.kind} takes {', '.join(known) or 'none'}"
                raise where.under("tagging").wrong(f"unknown option {name!r}; {hint}")
        if arm.alignment is not None and arm.decoding != "free":
            raise where.under("alignment").wrong("is for decoding: free; set that, or leave it out")
        if arm.config is not None and not Path(arm.config).is_file():
            raise where.under("config").wrong(f"{arm.config}: no such file")
        if isinstance(arm.prompt, str) and not Path(arm.prompt).is_file():
            raise where.under("prompt").wrong(f"{arm.prompt}: no such file")
        if arm.kind == PROMPTED:
            try:
                self.prompt_of(arm, None)
            except VanerError as error:
                raise where.wrong(str(error)) from None
        if arm.index not in (None, "open") and not Path(arm.index).is_file():
            raise where.under("index").wrong(
                f"{arm.index}: no such index (python -m vaner kb build makes one)"
            )
        if arm.model_of is not None:
            other = self.arms.get(arm.model_of)
            if other is None:
                hint = near(arm.model_of, self.arms) or f"there are {', '.join(self.arms)}"
                raise where.under("model_of").wrong(f"unknown arm {arm.model_of!r}; {hint}")
            if other.kind != arm.kind or not other.trained:
                raise where.under("model_of").wrong(f"{arm.model_of} trains no model of kind: {arm.kind}")
            if arm.flags or arm.config:
                raise where.under("flags").wrong(
                    f"are those of {arm.model_of}, whose models it uses; leave them out"
                )

    def prompt_of(self, arm: Arm, corpus: str | None, registry: str | None = None) -> PromptSettings:
        """A prompted arm's settings for a corpus.

        Args:
            arm: of kind PROMPTED.
            corpus: name of the corpus in ``registry`` whose train split ``@corpus`` stands for; None where it is only
                looked whether the file is right.
            registry: path of the study's registry.

        Raises:
            VanerError: as of `PromptSettings.of`.
        """
        assert arm.prompt is not None
        from_file = isinstance(arm.prompt, str)
        file = str(arm.prompt) if from_file else self.file
        values = dict(read_yaml(file) if from_file else arm.prompt)  # type: ignore[arg-type]
        shots = values.get("shots")
        if isinstance(shots, Mapping) and CORPUS in (source := _listed(shots.get("from"))):
            named = [corpus or one if one == CORPUS else one for one in source]
            values["shots"] = {**shots, "from": named, **({"registry": registry} if registry else {})}
        return PromptSettings.of(values, file)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _wholes(value: Any, where: Where) -> tuple[int, ...]:
    """A whole number from 0, or a list of them."""
    return tuple(whole(0)(one, where) for one in _listed(value))


def _documents(value: Any, where: Where) -> int | dict[str, int]:
    """A number, or corpus -> number."""
    if isinstance(value, Mapping):
        return {str(name): whole(1)(most, where.under(name)) for name, most in value.items()}
    most: int = whole(1)(value, where)
    return most


def _budgets(value: Any, where: Where) -> dict[str, list[float]]:
    """Name of a cost -> amounts of it."""
    return {
        name: [number(0)(one, where.under(name)) for one in _listed(amounts)]
        for name, amounts in mapping(value, where).items()
    }


def _flags(value: Any, where: Where) -> dict[str, Any]:
    """Flags of train.py, but for those that a study says itself."""
    found = mapping(value, where)
    for name in found:
        if name in _SAID:
            said = _SAID[name]
            raise where.under(name).wrong(
                "a study uploads nothing; leave it out"
                if said == "nothing"
                else f"is said under {said}; leave it out"
            )
    return found


def _prompt(value: Any, where: Where) -> str | dict[str, Any]:
    """The path of a prompted tagger's file, or what would stand in it."""
    if isinstance(value, Mapping):
        return mapping(value, where)
    found: str = path(value, where)
    return found


def _arms(value: Any, where: Where) -> dict[str, Arm]:
    """Name -> Arm."""
    found = {}
    for name, given in mapping(value, where).items():
        if not _NAME.fullmatch(name):
            raise where.wrong(f"{name!r} is no name for a folder; use letters, digits, dots, dashes")
        if not isinstance(given, Mapping) or given.get("kind") is None:
            raise where.under(name).wrong(f"names no kind; write kind: one of {', '.join(KINDS)}")
        found[name] = replace(made(Arm, given, where.under(name)), name=name)
    return found
