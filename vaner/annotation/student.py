"""In: a student's name, gold corpora, flags of train.py. Out: the student, trained on gold and on what it was taught.

Everything that training would refuse is refused before the teacher begins, which may take hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaner.corpora.own import all_corpora, is_path, named
from vaner.corpora.registry import Corpus
from vaner.errors import VanerError
from vaner.files import read_yaml
from vaner.model.catalogue import backbone_folder
from vaner.training import run as training
from vaner.training.arguments import parse
from vaner.training.continuing import settings_of
from vaner.training.gathering import Gathered, check_skipped, is_own, parse_mix

#: Of the loss on words of which a teacher's scores are known, the share that is the teacher's.
WEIGHT = 0.5

# Flags of training that are said in another way here.
_SAID = {
    "backbone": "--student",
    "config": "--config",
    "confidence_weight": "--confidence_weight",
    "data_root": "--data_root",
    "distil_temperature": "--temperature",
    "distil_weight": "--weight",
    "gold_documents": "--gold_documents",
    "held_out": "--held_out",
    "mix": "--gold",
    "output_dir": "--output",
    "registry": "--registry",
}


@dataclass(frozen=True)
class StudentSettings:
    """How a student is trained.

    Attributes:
        name: its backbone; None for that of ``config``.
        gold: corpora that people annotated, as of ``--mix``; none: the mix of ``config``.
        gold_documents: at most so many documents of each.
        taught_weight: how often what it is taught is drawn in an epoch.
        weight: of the loss, the share that is the teacher's; None: that of ``config``, else WEIGHT.
        temperature: at which teacher and student are compared; None: that of ``config``, else 1.
        confidence_weight: labels count by the score of their mention.
        config: a file of flags of train.py.
        flags: more of them, as words.
        registry, data_root: as of train.py.
    """

    name: str | None = None
    gold: Sequence[str] = ()
    gold_documents: int | None = None
    taught_weight: float = 1.0
    weight: float | None = None
    temperature: float | None = None
    confidence_weight: bool = False
    config: str | None = None
    flags: Sequence[str] = ()
    registry: str | None = None
    data_root: str | None = None


class Student:
    """A student that can be trained, as far as that can be told before there is anything to learn.

    Args:
        asked: how.
        scores: it learns from what the teacher says of every word.

    Attributes:
        corpora: the registry, and one's own.
        gold: corpora that it learns from besides.
        data, seed: what training is told of its data; they choose the documents of ``gold_documents``.
        settings: all that decides how it is trained, but for what it is taught.
        teaching: what its record says of how it is taught.

    Raises:
        VanerError: what training would refuse; a flag that is said in another way; a backbone that is not there.
    """

    def __init__(self, asked: StudentSettings, scores: bool) -> None:
        self.asked = asked
        self._check_flags()
        from_config = read_yaml(asked.config) if asked.config and Path(asked.config).is_file() else {}
        if asked.name is None and not from_config.get("backbone"):
            raise VanerError("no student; name its backbone with --student, such as minilm-l6")
        gold = list(asked.gold)
        if not gold and not from_config.get("mix"):
            # Training must have something to learn; this stands for what will be taught.
            run = parse([*self._words(), "--mix", "taught"])
        else:
            run = parse([*self._words(), *(["--mix", *gold] if gold else [])])
            gold = run.data.mix
        self._gold_words = gold
        self.registry = run.data.registry
        self.data_root = run.data.data_root
        self.data, self.seed = run.data, run.training.seed
        self._skip_types = run.data.skip_types
        if run.model.model is not None:
            raise VanerError("--model: a student begins as a backbone; name that with --student")
        _check_data(run.data.drop_overlap, run.data.open_held_out, run.data.train_splits)
        if run.training.resume_from_checkpoint:
            raise VanerError("--resume_from_checkpoint: the same command goes on by itself; leave it out")
        if run.training.overwrite_output_dir:
            raise VanerError("--overwrite_output_dir: --overwrite starts the whole run anew; leave it out")
        if not 0 < asked.taught_weight < float("inf"):
            raise VanerError(f"--taught_weight is {asked.taught_weight:g}; choose more than 0")
        self._scores = self._teacher_flags(scores, run.teacher.distil_weight)
        run = parse([*run.words, *self._scores])
        self.teaching: dict[str, Any] = {"gold": gold, "gold_documents": run.data.gold_documents}
        self.teaching["taught_weight"] = asked.taught_weight
        if scores:
            self.teaching["weight"] = run.teacher.distil_weight
            self.teaching["temperature"] = run.teacher.distil_temperature
        self.teaching["confidence_weight"] = run.teacher.confidence_weight
        self.corpora = all_corpora(self.registry)
        self.gold = self._corpora_of(run.data.on_error)
        for name in run.data.dev:
            if not is_path(name, self.corpora):
                self.corpora[name].paths("dev", self.data_root)
        backbone_folder(run.model.backbone, run.model.revision)
        settings = settings_of(run, Gathered(self.corpora, [], {}))
        self.settings = {**settings, "taught_weight": asked.taught_weight}

    def check_types(self, taught: Iterable[str]) -> None:
        """Raise VanerError for a type to skip that neither gold annotates nor the teacher says."""
        check_skipped(self._skip_types, {t for corpus in self.gold for t in corpus.annotated} | set(taught))

    def _check_flags(self) -> None:
        for word in self.asked.flags:
            name = word[2:].split("=")[0].replace("-", "_") if word.startswith("--") else ""
            if name in _SAID:
                raise VanerError(f"{word.split('=')[0]}: write {_SAID[name]}, before --")

    def _words(self) -> list[str]:
        """Flags of training that do not depend on what is taught."""
        asked = self.asked
        words = [*(["--config", asked.config] if asked.config else []), *asked.flags]
        for flag, value in (
            ("backbone", asked.name),
            ("registry", asked.registry),
            ("data_root", asked.data_root),
            ("gold_documents", asked.gold_documents),
        ):
            if value is not None:
                words += [f"--{flag}", str(value)]
        return words

    def _teacher_flags(self, scores: bool, weight: float) -> list[str]:
        """Flags of how it is taught."""
        asked = self.asked
        if not scores and (asked.weight is not None or asked.temperature is not None or weight):
            name = "weight" if asked.weight is not None or weight else "temperature"
            raise VanerError(
                f"--{name}: is of --learn_from scores, which this run does not learn from; leave it out"
            )
        words = ["--confidence_weight", "true"] if asked.confidence_weight else []
        if scores:
            share = asked.weight if asked.weight is not None else weight or WEIGHT
            if not 0 < share <= 1:
                raise VanerError(f"--weight is {share:g}; choose more than 0 and at most 1")
            words += ["--distil_weight", f"{share:g}"]
            if asked.temperature is not None:
                words += ["--distil_temperature", f"{asked.temperature:g}"]
        return words

    def _corpora_of(self, on_error: str) -> list[Corpus]:
        """The gold corpora, whose train splits must be here."""
        found = [named(name, self.corpora, on_error) for name in parse_mix(self._gold_words)]
        for corpus in found:
            corpus.paths("train", self.data_root)
        return found

    def check_dev(self) -> None:
        """Refuse that a part of a gold corpus chooses the model; other gold is to take the place of gold.

        Raises:
            VanerError: names the corpus.
        """
        for corpus in self.gold:
            if is_own(corpus) and "dev" not in corpus.files and not (corpus.distant or self.data.dev):
                raise VanerError(
                    f"--score_gold: {corpus.name} has no dev split, so that a part of it would choose the model; name "
                    "corpora that do with -- --dev"
                )

    def words(
        self,
        folder: Path,
        registry: Path,
        taught: Sequence[str],
        held_out: Sequence[str],
        instead: Mapping[str, str] | None = None,
    ) -> list[str]:
        """The command line of train.py that trains it.

        Args:
            folder: that the model is written into.
            registry: which has the taught corpora.
            taught: their names.
            held_out: corpora of whose dev and test it learns nothing.
            instead: names of gold corpora -> those that take their place in the mix, not in choosing the model.
        """
        weight = f":{self.asked.taught_weight:g}" if self.asked.taught_weight != 1 else ""
        # Gold first: which of its documents are drawn follows from its place.
        mix = [*self._gold_mix(instead or {}), *(f"{name}{weight}" for name in taught)]
        guarded = ["--held_out", *held_out] if held_out else []
        own = ["--mix", *mix, "--registry", str(registry), "--output_dir", str(folder)]
        return [*self._words(), *self._scores, *own, *guarded, *(self._dev() if instead else [])]

    def _gold_mix(self, instead: Mapping[str, str]) -> list[str]:
        """The gold of the mix, each corpus in its place and with its weight."""
        found = []
        for word, name, corpus in zip(self._gold_words, parse_mix(self._gold_words), self.gold, strict=True):
            found.append(instead[corpus.name] + word.removeprefix(name) if corpus.name in instead else word)
        return found

    def _dev(self) -> list[str]:
        """What chooses the model where gold corpora have others in their place, which have no dev split."""
        if self.data.dev:
            return []
        names = parse_mix(self._gold_words)
        dev = [
            n
            for n, corpus in zip(names, self.gold, strict=True)
            if "dev" in corpus.files and not corpus.distant
        ]
        return ["--dev", *dev] if dev else ["--dev_share", "0"]

    def train(self, words: Sequence[str], folder: Path, distilled: Mapping[str, Any]) -> None:
        """Train it, from its last checkpoint where there is one.

        Args:
            words: the command line.
            folder: that the model is written into.
            distilled: for its record and its card.
        """
        more: list[str] = []
        if any((path / "trainer_state.json").is_file() for path in folder.glob("checkpoint-*")):
            more = ["--resume_from_checkpoint", "last"]
        elif folder.is_dir() and any(folder.iterdir()):
            # What was left by a run that was killed before its first checkpoint.
            more = ["--overwrite_output_dir", "true"]
        training.run([*words, *more], distilled)


def _check_data(drop_overlap: bool, open_held_out: bool, splits: Sequence[str]) -> None:
    """Refuse what would let a student learn from what it is scored on."""
    if not drop_overlap:
        raise VanerError("--no_drop_overlap: a student learns nothing that dev or test has; leave it out")
    if not open_held_out:
        raise VanerError(
            "--no_open_held_out: raw text must be compared with dev and test splits, or a student may learn from them; "
            "leave it out"
        )
    if list(splits) != ["train"]:
        raise VanerError(f"--train_splits {' '.join(splits)}: gold is its train split here; leave it out")
