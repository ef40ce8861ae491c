"""In: a teacher, raw texts, a student's backbone. Out: a folder with the student and all that it was taught.

    DIR/texts/a.jsonl            what the student may learn from (texts)
    DIR/tagged/a.jsonl           what the teacher said of it: a corpus run (vaner.jobs)
    DIR/taught/bc5cdr/a.jsonl    what of that is taught (taught_corpus), with DIR/registry.yaml
    DIR/taught-gold/bc2gm.jsonl  if asked: gold, with what the teacher says of it (scored_gold)
    DIR/student/                 the model (vaner.training)
    DIR/distil.json              who taught whom, on what and how
    DIR/.vaner/                  what is finished of each file, and the lock

Each stage writes whole files and notes them, so that the same run goes on where it was ended.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from vaner.annotation import taught_corpus, texts
from vaner.annotation.distil_folder import CARD, TAUGHT, TEXTS, DistilFolder
from vaner.annotation.scored_gold import ScoredGold
from vaner.annotation.student import Student, StudentSettings
from vaner.annotation.teacher import ADAPTIVE, SCORES, Teacher, asked_as, known, learn_from, types_of
from vaner.corpora.overlap import Fingerprints, held_out_fingerprints
from vaner.errors import VanerError
from vaner.files import sha256
from vaner.jobs import record
from vaner.jobs.lock import locked
from vaner.jobs.pool import Pool, ProcessPool
from vaner.jobs.run import Job
from vaner.jobs.run import run as run_job
from vaner.jobs.sources import REJECTED, Source, plan
from vaner.jobs.units import Cut, FileReader, Reader
from vaner.progress import progress
from vaner.report import Report
from vaner.tagger import Tagger
from vaner.tagging.settings import TaggingSettings

Say = Callable[[str], None]


@dataclass(frozen=True)
class Distillation:
    """What is to be done.

    Attributes:
        settings: of the teacher; no dataset.
        student: how it is trained.
        inputs: files, folders and patterns with raw texts (`vaner.jobs.sources.plan`); none with ``score_gold``.
        output: the folder of the run.
        ways: how the teacher is asked, ``NAME`` or ``NAME:WEIGHT`` (`vaner.annotation.teacher.asked_as`).
        learn_from: SPANS or SCORES; None for SCORES where the teacher is one labeler, else SPANS.
        min_score: see `vaner.annotation.taught_corpus.write`.
        score_gold: the teacher also says what it finds in the train texts of gold (`vaner.annotation.scored_gold`).
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
    score_gold: bool = False
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
    ours.folder.prepare(overwrite)
    with locked(ours.folder.lock):
        if overwrite:
            ours.folder.clear()
        ours.folder.same_run(ours.record)
        ours.write_texts()
        if ours.gold:
            ours.gold.write(ours.fingerprints)
        ours.tag(workers or partial(ProcessPool, processes=1), progress)
        if ours.gold:
            ours.gold.attach()
        ours.write_taught()
        return ours.train()


class _Run:
    """The stages; whatever cannot work is refused when it is made.

    Attributes:
        ways: how texts are asked -> share of them.
        learn_from: SPANS or SCORES.
        fingerprints: gives what nothing may be learnt from; read when it is first called.
        gold: the stages of gold that the teacher scores; None where it does not.
        record: what decides the bytes of the run.
    """

    def __init__(self, asked: Distillation, say: Say) -> None:
        self.asked, self.say = asked, say
        self.folder = DistilFolder(asked.output)
        self.learn_from = learn_from(asked.settings.models, asked.learn_from)
        _check_score(asked.min_score)
        asked.settings.check()
        self.student = Student(asked.student, self.learn_from == SCORES)
        teacher = known(asked.settings)
        self.ways = asked_as(asked.ways, teacher, asked.settings.types)
        if teacher is not None:
            taught = types_of(self.ways, teacher, asked.settings.types) if asked.inputs else ()
            self.student.check_types(taught)
        self.gold = self._scored_gold(teacher) if asked.score_gold else None
        if not asked.inputs and not self.gold:
            raise VanerError("no raw text; name files with --input, or learn of gold alone with --score_gold")
        self.sources = plan(asked.inputs, self.folder.texts, "jsonl")
        self.held_out, self.absent = texts.held_out_splits(
            self.student.corpora, self.student.gold, self.student.data_root
        )
        self._check_held_out()
        self.fingerprints = cache(self._fingerprints)
        hashes = asked.settings.hashes()
        told = {**asked.settings.to_dict(), "models": list(hashes), "kb": asked.settings.kb is not None}
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
            **({"score_gold": self.gold.record()} if self.gold else {}),
        )

    def _scored_gold(self, teacher: Tagger | None) -> ScoredGold:
        if self.learn_from != SCORES:
            raise VanerError(
                f"--score_gold: is of --learn_from {SCORES}, what one labeler says of every word; leave it out"
            )
        self.student.check_dev()
        return ScoredGold(self.student, teacher, self.asked.settings.types, self.folder, self.say)

    def _check_held_out(self) -> None:
        here = {corpus.name for corpus, _ in self.held_out}
        for name in self.asked.held_out:
            if self.student.corpora[name].name not in here:
                raise VanerError(
                    f"--held_out {name}: its dev and test are not here; give --data_root, or leave it out"
                )

    def _fingerprints(self) -> Fingerprints:
        splits = progress(self.held_out, "reading held-out splits")
        return held_out_fingerprints(splits, self.student.data_root)

    # --- texts ---

    def write_texts(self) -> None:
        """What the student may learn from, one file an input."""
        if not self.sources:
            return
        for source in self.sources:
            if self.folder.finished(TEXTS, self._name(source)) is None or not source.output.is_file():
                report = Report()
                counts = texts.write(source, self.asked.reader, self.fingerprints, self.ways, report)
                for line in report.summary():
                    self.say(line)
                self.folder.finish(TEXTS, self._name(source), counts)
        counts = self._counts(TEXTS)
        total = _total(counts)
        self.say(
            f"texts: {total[texts.KEPT]:,} of {total[texts.READ]:,} documents of {len(self.sources):,} files, compared "
            f"with {len(self.held_out):,} dev and test splits -> {self.folder.texts}"
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
        """The corpus runs of the teacher: raw text, and gold."""
        if self.sources:
            reader = FileReader("jsonl", "raise")
            failed = self._tag(workers, progress, self._tagged(), self.folder.tagged, reader, self.ways)
            self._say_failed(failed, "are not taught", self.folder.tagged)
        if self.gold:
            sources, alone = self.gold.sources()
            failed = self._tag(workers, progress, sources, self.folder.scored, alone, self.gold.datasets)
            self._say_failed(failed, "keep their labels alone", self.folder.scored)

    def _tag(
        self,
        workers: Callable[[Teacher], Pool],
        progress: str,
        sources: list[Source],
        output: Path,
        reader: Reader,
        ways: Iterable[str],
    ) -> int:
        """One of them; how many documents the teacher failed on."""
        made = {
            key: value
            for key, value in self.record.items()
            if key in ("vaner", "models", "settings", "asked")
        }
        job = Job(sources, output, made, "jsonl", reader, self.asked.cut)
        teacher = Teacher(replace(self.asked.settings, word_scores=self.learn_from == SCORES), tuple(ways))
        result = run_job(job, partial(workers, teacher), progress=progress)
        for line in result.notes:
            self.say(line)
        self.say(
            f"teacher: {result.counts['documents']:,} documents tagged, {result.counts['spans']:,} mentions -> "
            f"{output}"
        )
        return result.counts["rejected"]

    def _say_failed(self, documents: int, what: str, folder: Path) -> None:
        if documents:
            self.say(
                f"teacher: {documents:,} documents {what}, for it failed on them; {folder / REJECTED} says why"
            )

    def _tagged(self) -> list[Source]:
        """What the teacher reads, and writes; nothing of an input of which no text is left."""
        counts = self._counts(TEXTS)
        left = [one for one in self.sources if counts[self._name(one)][texts.KEPT]]
        return [
            Source(str(one.output), self._name(one), self.folder.tagged / self._name(one)) for one in left
        ]

    # --- taught ---

    def write_taught(self) -> None:
        """What of that is taught, and the registry of it."""
        folder = self.folder.taught
        for tagged in self._tagged():
            before = self.folder.finished(TAUGHT, tagged.name)
            if before is None or not taught_corpus.are_there(folder, tagged.name, before):
                counts = taught_corpus.write(
                    tagged.output, tagged.name, folder, list(self.ways), self.asked.min_score
                )
                self.folder.finish(TAUGHT, tagged.name, counts)
        counts = self._counts(TAUGHT)
        self.corpora = taught_corpus.corpora_of(counts, list(self.ways), TAUGHT) if self.sources else []
        teacher = ", ".join(self.record["models"])
        scored = self.gold.entries(teacher) if self.gold else {}
        taught_corpus.write_registry(
            self.folder.registry, self.corpora, teacher, self.student.registry, scored
        )
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
        folder = self.folder.student
        words = self.student.words(
            folder,
            self.folder.registry,
            [taught_corpus.corpus_name(one.way) for one in self.corpora],
            self._guarded(),
            self.gold.instead() if self.gold else None,
        )
        said = self._said()
        if (folder / CARD).is_file():
            self.say(f"the student is finished: {folder}")
        else:
            self.student.train(words, folder, said)
        self.folder.note(distilled=said, train=words)
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
            **({"score_gold": self.gold.said()} if self.gold else {}),
        }

    def _name(self, source: Source) -> str:
        """Of the files of an input, in each of the folders."""
        return source.output.relative_to(self.folder.texts).as_posix()

    def _counts(self, stage: str) -> dict[str, dict[str, Any]]:
        return self.folder.counts(stage, map(self._name, self.sources))


def _check_score(least: float | None) -> None:
    if least is not None and not 0 <= least <= 1:
        raise VanerError(f"--min_score {least:g}: a score is a number from 0 to 1")


def _total(counts: Mapping[str, Mapping[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts.values():
        total.update({what: number for what, number in one.items() if isinstance(number, int)})
    return total
