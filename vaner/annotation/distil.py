"""In: a teacher, raw texts, a student's backbone. Out: a folder with the student and all that it was taught.

    DIR/texts/a.jsonl            what the student may learn from (texts)
    DIR/tagged/a.jsonl           what the teacher said of it: a corpus run (vaner.jobs)
    DIR/taught/bc5cdr/a.jsonl    what of that is taught (taught_corpus), with DIR/registry.yaml
    DIR/student/                 the model (vaner.training)
    DIR/distil.json              who taught whom, on what and how
    DIR/.vaner/                  what is finished of each file, and the lock

Each stage writes whole files and notes them, so that the same run goes on where it was ended.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from vaner.annotation import taught_corpus, texts
from vaner.annotation.student import Student, StudentSettings
from vaner.annotation.teacher import ADAPTIVE, Teacher, asked_as, is_labeler, known
from vaner.corpora.overlap import Fingerprints, held_out_fingerprints
from vaner.errors import VanerError
from vaner.files import sha256, write_text
from vaner.jobs import record
from vaner.jobs.lock import locked
from vaner.jobs.pool import Pool, ProcessPool
from vaner.jobs.run import Job
from vaner.jobs.run import run as run_job
from vaner.jobs.sources import REJECTED, WORK, Source, plan
from vaner.jobs.units import Cut, FileReader
from vaner.progress import progress
from vaner.report import Report
from vaner.tagging.settings import TaggingSettings

RECORD = "distil.json"
TEXTS, TAGGED, TAUGHT, REGISTRY, STUDENT = "texts", "tagged", "taught", "registry.yaml", "student"
#: What training writes last.
CARD = "README.md"
#: What a student learns of a text: the spans that the teacher found, or what it says of every word.
SPANS, SCORES = "spans", "scores"
WAYS = (SPANS, SCORES)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Distillation:
    """What is to be done.

    Attributes:
        settings: of the teacher; no dataset.
        student: how it is trained.
        inputs: files, folders and patterns with raw texts (`vaner.jobs.sources.plan`).
        output: the folder of the run.
        ways: how the teacher is asked, ``NAME`` or ``NAME:WEIGHT`` (`vaner.annotation.teacher.asked_as`).
        learn_from: SPANS or SCORES; None for SCORES where the teacher is one labeler, else SPANS.
        min_score: see `vaner.annotation.taught_corpus.write`.
        held_out: corpora whose dev and test must be here.
        reader: of the texts.
        cut: units of the corpus run.
        command: as it was typed, for the record.
    """

    settings: TaggingSettings
    student: StudentSettings
    inputs: Sequence[str]
    output: Path
    ways: Sequence[str] | None = None
    learn_from: str | None = None
    min_score: float | None = None
    held_out: Sequence[str] = ()
    reader: FileReader = field(default_factory=FileReader)
    cut: Cut = field(default_factory=Cut)
    command: str | None = None


def run(
    asked: Distillation,
    *,
    workers: Callable[[Teacher], Pool] | None = None,
    overwrite: bool = False,
    progress: str = "none",
    say: Say = print,
) -> Path:
    """Do what is left to be done.

    Args:
        asked: what is to be done.
        workers: begins those that tag; by default one process.
        overwrite: start anew, whatever an earlier run left in the folder.
        progress: of tagging: ``bar``, ``json`` or ``none``.
        say: is given a line for everything that a user should know.

    Returns:
        the student's folder.

    Raises:
        VanerError: what cannot work, before anything is written; a folder of another run; and what tagging and training
            raise.
        vaner.jobs.run.Interrupted: by SIGTERM or Ctrl-C while the teacher tags.
    """
    ours = _Run(asked, say)
    folder = asked.output
    if not overwrite and folder.exists() and not (folder / RECORD).is_file() and _others(folder):
        raise VanerError(
            f"--output {folder}: holds {_others(folder)[0]} and no {RECORD}; name a folder of its own"
        )
    (folder / WORK).mkdir(parents=True, exist_ok=True)
    with locked(folder / WORK / "lock"):
        if overwrite:
            _clear(folder)
        ours.same_run()
        ours.write_texts()
        ours.tag(workers or partial(ProcessPool, processes=1), progress)
        ours.write_taught()
        return ours.train()


def _others(folder: Path) -> list[str]:
    """What lies in a folder besides what a run that came to nothing leaves."""
    return sorted(entry.name for entry in folder.iterdir() if entry.name != WORK)


def _clear(folder: Path) -> None:
    """Remove what a run wrote, and nothing else."""
    if _others(folder) and not (folder / RECORD).is_file():
        raise VanerError(
            f"--overwrite: {folder} holds no {RECORD}, so no run of this kind wrote it; remove it by hand"
        )
    # The record goes last: without it nothing here would be known for a run's.
    for name in (STUDENT, REGISTRY, TAUGHT, TAGGED, TEXTS):
        _remove(folder / name)
    for entry in (folder / WORK).iterdir():
        if entry.name != "lock":
            _remove(entry)
    _remove(folder / RECORD)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Run:
    """The stages; whatever cannot work is refused when it is made.

    Attributes:
        ways: how texts are asked -> share of them.
        learn_from: SPANS or SCORES.
        record: what decides the bytes of the run.
    """

    def __init__(self, asked: Distillation, say: Say) -> None:
        self.asked, self.say = asked, say
        self.folder = asked.output
        self.learn_from = _learn_from(asked)
        _check_score(asked.min_score)
        asked.settings.check()
        self.student = Student(asked.student, self.learn_from == SCORES)
        teacher = known(asked.settings)
        self.ways = asked_as(asked.ways, teacher, asked.settings.types)
        self.sources = plan(asked.inputs, self.folder / TEXTS, "jsonl")
        self.held_out, self.absent = texts.held_out_splits(
            self.student.corpora, self.student.gold, self.student.data_root
        )
        self._check_held_out()
        hashes = asked.settings.hashes()
        told = {**asked.settings.to_dict(), "models": list(hashes), "kb": asked.settings.kb is not None}
        self.teacher = Teacher(
            replace(asked.settings, word_scores=self.learn_from == SCORES), tuple(self.ways)
        )
        self.record = record.of_run(
            told,
            hashes,
            asked={"as": self.ways, "learn_from": self.learn_from, "min_score": asked.min_score},
            inputs={source.name: sha256(source.path) for source in self.sources},
            reading={
                "input_format": asked.reader.format,
                "on_error": asked.reader.on_error,
                **vars(asked.cut),
            },
            held_out=texts.held_out_hashes(self.held_out, self.student.data_root),
            student=self.student.settings,
        )

    def _check_held_out(self) -> None:
        here = {corpus.name for corpus, _ in self.held_out}
        for name in self.asked.held_out:
            if self.student.corpora[name].name not in here:
                raise VanerError(
                    f"--held_out {name}: its dev and test are not here; give --data_root, or leave it out"
                )

    # --- the same run? ---

    def same_run(self) -> None:
        """Refuse to go on with another run's work; note this one's settings where there is none."""
        path = self.folder / RECORD
        if path.exists():
            before = record.load(path)["run"]
            if (self.folder / STUDENT).exists():
                what = "or start anew with --overwrite"
                found = record.differences(before, self.record)
            else:
                # Nothing was trained yet: another student may learn from the same texts.
                what = "or start anew with --overwrite (the student's own may change until it is trained)"
                found = record.differences({**before, "student": {}}, {**self.record, "student": {}})
            if found:
                raise VanerError(
                    f"{self.folder}: holds a run with other settings ({'; '.join(found[:5])}); take those to go on, "
                    f"{what}"
                )
        self._note({})

    def _note(self, done: Mapping[str, Any]) -> None:
        path = self.folder / RECORD
        content = {**(record.load(path) if path.exists() else {}), "run": self.record, **done}
        write_text(self.folder / RECORD, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    # --- texts ---

    def write_texts(self) -> None:
        """What the student may learn from, one file an input."""

        @cache
        def held_out() -> Fingerprints:
            return held_out_fingerprints(
                progress(self.held_out, "reading held-out splits"), self.student.data_root
            )

        for source in self.sources:
            if self._finished(TEXTS, self._name(source)) is None or not source.output.is_file():
                report = Report()
                counts = texts.write(source, self.asked.reader, held_out, self.ways, report)
                for line in report.summary():
                    self.say(line)
                self._finish(TEXTS, self._name(source), counts)
        counts = self._counts(TEXTS)
        total = _total(counts)
        self.say(
            f"texts: {total[texts.KEPT]:,} of {total[texts.READ]:,} documents of {len(self.sources):,} files, compared "
            f"with {len(self.held_out):,} dev and test splits -> {self.folder / TEXTS}"
        )
        for why in texts.LEFT_OUT:
            if total[why]:
                self.say(f"texts: {total[why]:,} documents {why}")
        if self.absent:
            self.say(
                f"texts: not compared, for want of files: {', '.join(self.absent[:6])}"
                + (f" and {len(self.absent) - 6} more" if len(self.absent) > 6 else "")
                + " (--data_root says where corpora are)"
            )
        texts.check_not_empty(counts.values())

    # --- tagged ---

    def tag(self, workers: Callable[[Teacher], Pool], progress: str) -> None:
        """The corpus run of the teacher."""
        sources = self._tagged()
        made = {
            key: value
            for key, value in self.record.items()
            if key in ("vaner", "models", "settings", "asked")
        }
        job = Job(sources, self.folder / TAGGED, made, "jsonl", FileReader("jsonl", "raise"), self.asked.cut)
        result = run_job(job, partial(workers, self.teacher), progress=progress)
        for line in result.notes:
            self.say(line)
        self.say(
            f"teacher: {result.counts['documents']:,} documents tagged, {result.counts['spans']:,} mentions -> "
            f"{self.folder / TAGGED}"
        )
        if result.counts["rejected"]:
            self.say(
                f"teacher: {result.counts['rejected']:,} documents are not taught, for it failed on them; "
                f"{self.folder / TAGGED / REJECTED} says why"
            )

    def _tagged(self) -> list[Source]:
        """What the teacher reads, and writes; nothing of an input of which no text is left."""
        counts = self._counts(TEXTS)
        left = [one for one in self.sources if counts[self._name(one)][texts.KEPT]]
        return [
            Source(str(one.output), self._name(one), self.folder / TAGGED / self._name(one)) for one in left
        ]

    def _name(self, source: Source) -> str:
        return source.output.relative_to(self.folder / TEXTS).as_posix()

    # --- taught ---

    def write_taught(self) -> None:
        """What of that is taught, and the registry of it."""
        folder = self.folder / TAUGHT
        for tagged in self._tagged():
            if self._finished(TAUGHT, tagged.name) is None:
                counts = taught_corpus.write(
                    tagged.output, tagged.name, folder, list(self.ways), self.asked.min_score
                )
                self._finish(TAUGHT, tagged.name, counts)
        counts = self._counts(TAUGHT)
        self.corpora = taught_corpus.corpora_of(counts, list(self.ways), TAUGHT)
        teacher = ", ".join(self.record["models"])
        taught_corpus.write_registry(self.folder / REGISTRY, self.corpora, teacher, self.student.registry)
        total = _total(counts)
        for why in (taught_corpus.NOT_TAGGED, taught_corpus.NOTHING):
            if total[why]:
                self.say(f"taught: {total[why]:,} {why}")
        for way, one in self._taught().items():
            unsure = sum(one["unsure_sentences"].values())
            self.say(
                f"taught as {way}: {one['documents']:,} documents, {sum(one['mentions'].values()):,} mentions"
                + (
                    f"; {unsure:,} times a sentence teaches nothing of a type, for a low score"
                    if unsure
                    else ""
                )
            )

    def _taught(self) -> dict[str, dict[str, Any]]:
        """Way -> what is taught, over all files."""
        found: dict[str, dict[str, Any]] = {}
        for counts in self._counts(TAUGHT).values():
            for way, one in counts["taught"].items():
                so_far = found.setdefault(
                    way, {"documents": 0, "pieces": 0, "mentions": Counter(), "unsure_sentences": Counter()}
                )
                for key, value in one.items():
                    if isinstance(value, dict):
                        so_far[key].update(value)
                    else:
                        so_far[key] += value
        # Plain dictionaries: a record of a model holds nothing else.
        plain: dict[str, dict[str, Any]] = json.loads(json.dumps(found))
        return {way: plain[way] for way in self.ways if way in plain}

    # --- the student ---

    def train(self) -> Path:
        """The student, trained as far as it is not."""
        folder = self.folder / STUDENT
        words = self.student.words(
            folder,
            self.folder / REGISTRY,
            [taught_corpus.corpus_name(one.way) for one in self.corpora],
            self._guarded(),
        )
        said = self._said()
        if (folder / CARD).is_file():
            self.say(f"the student is finished: {folder}")
        else:
            self.student.train(words, folder, said)
        self._note({"distilled": said, "train": words})
        return folder

    def _guarded(self) -> list[str]:
        """Corpora of which training is to learn nothing that dev or test has; those of paths it knows by itself."""
        here = dict.fromkeys(corpus.name for corpus, _ in self.held_out)
        return [name for name in here if name in self.student.corpora]

    def _said(self) -> dict[str, Any]:
        """What the student's record and card say of how it was taught."""
        of_texts, of_taught = self._counts(TEXTS), self._counts(TAUGHT)
        total = _total(of_texts)
        left_out = {why: total[why] for why in texts.LEFT_OUT if total[why]}
        more = _total(of_taught)
        tagged = more[taught_corpus.DOCUMENTS]
        if rejected := total[texts.KEPT] - tagged:
            left_out["not taught: the teacher failed on them"] = rejected
        left_out |= {why: more[why] for why in (taught_corpus.NOT_TAGGED, taught_corpus.NOTHING) if more[why]}
        return {
            **({"command": self.asked.command} if self.asked.command else {}),
            "teacher": self.record["models"],
            "learn_from": self.learn_from,
            **self.student.teaching,
            "min_score": self.asked.min_score,
            "inputs": {
                source.name: {
                    "sha256": self.record["inputs"][source.name],
                    "documents": of_texts[self._name(source)][texts.READ],
                    "kept": of_texts[self._name(source)][texts.KEPT],
                }
                for source in self.sources
            },
            "left_out": left_out,
            "compared_with": [f"{corpus.name} {split}" for corpus, split in self.held_out],
            "not_compared": self.absent,
            "taught": {
                way: {**one, "dataset": None if way == ADAPTIVE else way}
                for way, one in self._taught().items()
            },
        }

    # --- what is finished ---

    def _marker(self, stage: str, name: str) -> Path:
        return self.folder / WORK / stage / f"{name}.json"

    def _finished(self, stage: str, name: str) -> dict[str, Any] | None:
        """What was counted of a file whose stage is finished; None where it is not."""
        marker = self._marker(stage, name)
        return json.loads(marker.read_text(encoding="utf-8")) if marker.is_file() else None

    def _finish(self, stage: str, name: str, counts: Mapping[str, Any]) -> None:
        marker = self._marker(stage, name)
        marker.parent.mkdir(parents=True, exist_ok=True)
        write_text(marker, json.dumps(counts, ensure_ascii=False, indent=1) + "\n")

    def _counts(self, stage: str) -> dict[str, dict[str, Any]]:
        """Name of each file that has something of a stage -> what was counted, in the order of the inputs."""
        found = {name: self._finished(stage, name) for name in map(self._name, self.sources)}
        return {name: counts for name, counts in found.items() if counts is not None}


def _learn_from(asked: Distillation) -> str:
    """What the student learns of a text; raises VanerError where the teacher cannot say it."""
    models = asked.settings.models
    gives_scores = len(models) == 1 and is_labeler(models[0])
    chosen = asked.learn_from or (SCORES if gives_scores else SPANS)
    if chosen not in WAYS:
        raise VanerError(f"--learn_from {chosen}: choose {' or '.join(WAYS)}")
    if chosen == SCORES and not gives_scores:
        who = f"{len(models)} teachers do" if len(models) > 1 else f"{models[0]} does"
        raise VanerError(
            f"--learn_from {SCORES}: {who} not say what it finds of every word, as one labeler does; leave it out, or "
            f"write --learn_from {SPANS}"
        )
    return chosen


def _check_score(least: float | None) -> None:
    if least is not None and not 0 <= least <= 1:
        raise VanerError(f"--min_score {least:g}: a score is a number from 0 to 1")


def _total(counts: Mapping[str, Mapping[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts.values():
        total.update({what: number for what, number in one.items() if isinstance(number, int)})
    return total
