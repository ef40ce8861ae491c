"""In: gold corpora, a teacher. Out: the same gold, with what the teacher says of every word of its texts.

    gold/bc2gm.jsonl         the train documents that may be learnt from, as the registry reads them
    scored/bc2gm.jsonl       the teacher's: it was given their texts alone, and asked as bc2gm
    taught-gold/bc2gm.jsonl  those of gold/, each with the teacher's scores of its words in its metadata

In the student's mix ``scored-bc2gm`` takes the place of ``bc2gm``, with its weight. People's mentions stay the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vaner.annotation.distil_folder import GOLD, SCORED_GOLD, DistilFolder
from vaner.annotation.student import Student
from vaner.annotation.teacher import ASKED_AS
from vaner.corpora.overlap import Fingerprints
from vaner.corpora.registry import Corpus, Registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import jsonl
from vaner.inputs import taught
from vaner.jobs.sources import Source
from vaner.report import Report
from vaner.tagger import FAILED, Tagger
from vaner.text.units import Text
from vaner.training.arguments import DataArguments
from vaner.training.reading import Reading, Wanted, described, most

PREFIX = "scored-"

# What is counted of documents.
DOCUMENTS = "documents"
SHARED = "dropped, shared with dev or test"
SCORED = "scored"

# Why a corpus stays as it is.
_DISTANT = "a dictionary or a model made its labels"
_BY_PATH = "it is named by its path; give it an entry in a --registry"
_UNKNOWN = "the teacher knows no dataset {}"
_OTHER_TYPES = "the teacher knows none of its types"


@dataclass(frozen=True)
class Gold:
    """A gold corpus whose texts the teacher reads.

    Attributes:
        corpus: as the registry has it.
        place: of the corpus in the mix.
        types: that the teacher is asked for.
    """

    corpus: Corpus
    place: int
    types: tuple[str, ...]

    @property
    def dataset(self) -> str:
        """As which dataset the teacher is asked."""
        return self.corpus.instruction_name

    @property
    def name(self) -> str:
        """The name in the registry, and in the mix, of the corpus that has the scores."""
        return PREFIX + self.corpus.name

    @property
    def file(self) -> str:
        """Name of its files, in each of the folders."""
        return f"{quote(self.corpus.name, safe=' ')}.jsonl"

    @property
    def wanted(self) -> Wanted:
        """How training reads the corpus."""
        return Wanted(self.corpus, ("train",), tuple(sorted(self.corpus.annotated)))


def choose(
    gold: Sequence[Corpus],
    corpora: Registry,
    teacher: Tagger | None,
    types: Sequence[str] | None,
    skipped: Sequence[str] = (),
) -> tuple[list[Gold], dict[str, str]]:
    """The gold corpora that the teacher can be asked about, and why it cannot be about the others.

    Args:
        gold: corpora of the mix, in its order.
        corpora: the registry.
        teacher: what is known of it.
        types: that the teacher is asked for; None for all.
        skipped: types that nothing is learnt of.

    Raises:
        VanerError: there is none.
    """
    datasets = teacher.datasets if teacher else {}
    found, others = [], {}
    for place, corpus in enumerate(gold):
        has = datasets.get(corpus.instruction_name, ())
        asked = tuple(type for type in has if types is None or type in types)
        if corpus.distant:
            others[corpus.name] = _DISTANT
        elif corpora.get(corpus.name) is not corpus:
            others[corpus.name] = _BY_PATH
        elif not has:
            others[corpus.name] = _UNKNOWN.format(corpus.instruction_name)
        elif not (corpus.annotated - set(skipped)) & set(asked):
            others[corpus.name] = _OTHER_TYPES
        else:
            found.append(Gold(corpus, place, asked))
    if not found:
        why = "; ".join(f"{name}: {reason}" for name, reason in others.items()) or "there is none; name some"
        raise VanerError(f"--score_gold: needs --gold of datasets that the teacher knows ({why})")
    return found, others


def record(gold: Sequence[Gold], data: DataArguments, seed: int) -> dict[str, Any]:
    """All that the documents depend on that the teacher reads, but for what dev and test have."""
    found: dict[str, Any] = {"on_error": data.on_error}
    for one in gold:
        cap = most(one.wanted, data)
        chosen = {} if cap is None else {"at_most": cap, "seed": seed, "place": one.place}
        found[one.corpus.name] = {"as": one.dataset, **chosen, **described(one.corpus, ["train"], data)}
    return found


def write(
    gold: Gold, path: Path, held_out: Fingerprints, data: DataArguments, seed: int, report: Report
) -> dict[str, Any]:
    """Write the train documents of a corpus that training would keep, in their order.

    Args:
        gold: the corpus.
        path: of the file, which appears whole or not at all.
        held_out: what nothing may be learnt from.
        data, seed: as of the student's training; they choose the documents of ``--gold_documents``.
        report: gets what the reader repaired or skipped.

    Returns:
        documents that were written, and that were left out for what dev or test has.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    reading = Reading(gold.wanted, data, report)
    documents = _apart(reading.kept(held_out, seed, gold.place))
    written = jsonl.write(path, documents, report=report)
    return {DOCUMENTS: written, SHARED: reading.dropped}


def _apart(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents with an id each: ids are unique in a file, and a split may have several."""
    seen: Counter[str] = Counter()
    for document in documents:
        id = document.id
        while id in seen:
            seen[document.id] += 1
            id = f"{document.id}#{seen[document.id]}"
        seen[id] = 1
        yield replace(document, id=id)


@dataclass(frozen=True)
class TextsAlone:
    """Reads documents without what people found in them (`vaner.jobs.units.Reader`).

    Attributes:
        datasets: name of a source -> as which dataset its documents are asked.
    """

    datasets: Mapping[str, str]

    @property
    def skips(self) -> bool:
        return False

    def documents(self, source: Source, report: Report) -> Iterator[Document]:
        # Metadata may say something of mentions too, such as relations between them.
        metadata = {ASKED_AS: self.datasets[source.name]}
        for document in jsonl.read(source.path, on_error="raise", report=report):
            yield replace(document, spans=[], types=None, metadata=dict(metadata))


def attach(gold: Path, tagged: Path, path: Path) -> dict[str, Any]:
    """Write the documents of a gold file, each with the scores of its words where the teacher gave them.

    Args:
        gold: what `write` wrote.
        tagged: the same documents in the same order, as the corpus run of the teacher left them; those on which it
            failed are missing.
        path: of the file, which appears whole or not at all.

    Returns:
        how many documents there are, and how many have scores.

    Raises:
        VanerError: a tagged document that gold has not, or that has other words.
    """
    counts = {DOCUMENTS: 0, SCORED: 0}
    # Readers refuse a file that holds nothing: here the teacher failed on all of it.
    there = tagged.stat().st_size > 0
    scored = jsonl.read(tagged, on_error="raise", report=Report()) if there else iter(())

    def documents() -> Iterator[Document]:
        coming = next(scored, None)
        for document in jsonl.read(gold, on_error="raise", report=Report()):
            counts[DOCUMENTS] += 1
            if coming is not None and (coming.id, coming.text) == (document.id, document.text):
                counts[SCORED] += _give(document, coming)
                coming = next(scored, None)
            yield document
        if coming is not None:
            raise VanerError(
                f"{tagged}: document {coming.id} is not that of {gold}; start anew with --overwrite"
            )

    path.parent.mkdir(parents=True, exist_ok=True)
    jsonl.write(path, documents(), report=Report())
    return counts


def _give(document: Document, tagged: Document) -> bool:
    """Put what the teacher says of a document's words into its metadata; whether it says anything."""
    if FAILED in tagged.metadata or taught.read(tagged, len(Text.of(document).words)) is None:
        return False
    document.metadata[taught.WORD_SCORES] = tagged.metadata[taught.WORD_SCORES]
    return True


def entry(gold: Gold, folder: str, teacher: str) -> dict[str, Any]:
    """What the registry says of the corpus that has the scores.

    Args:
        gold: the corpus that it takes the place of.
        folder: of its file, relative to the registry.
        teacher: whose scores they are, for people.
    """
    corpus = gold.corpus
    return {
        "format": "jsonl",
        "files": {"train": f"{folder}/{gold.file}"},
        # Beside the registry, never below a data root that has a file of the same name.
        "shipped": True,
        "types": {type: type for type in sorted(corpus.annotated)},
        "instruction_name": gold.dataset,
        **({"template": corpus.template} if corpus.template else {}),
        "granularity": corpus.granularity,
        "licence": corpus.licence,
        "citation": corpus.citation,
        "url": corpus.url,
        "notes": f"train split of {corpus.name}, each word with what {teacher} says of it",
    }


class ScoredGold:
    """The stages, from the gold corpora of a student to those that take their place.

    Args:
        student: whose gold it is.
        teacher: what is known of it.
        types: that the teacher is asked for; None for all.
        folder: of the run.
        say: is given a line for everything that a user should know.

    Attributes:
        gold: corpora whose texts the teacher reads.
        others: name of each gold corpus that stays as it is -> why.

    Raises:
        VanerError: there is nothing that the teacher could score.
    """

    def __init__(
        self,
        student: Student,
        teacher: Tagger | None,
        types: Sequence[str] | None,
        folder: DistilFolder,
        say: Callable[[str], None],
    ) -> None:
        self.student, self.folder, self.say = student, folder, say
        self.gold, self.others = choose(
            student.gold, student.corpora, teacher, types, student.data.skip_types
        )

    @property
    def datasets(self) -> tuple[str, ...]:
        """As which datasets the teacher is asked."""
        return tuple(dict.fromkeys(one.dataset for one in self.gold))

    def record(self) -> dict[str, Any]:
        """What decides the bytes of what the teacher reads."""
        return record(self.gold, self.student.data, self.student.seed)

    def write(self, held_out: Callable[[], Fingerprints]) -> None:
        """The documents, a file for each corpus."""
        for one in self.gold:
            path = self.folder.gold / one.file
            if self.folder.finished(GOLD, one.file) is None or not path.is_file():
                report = Report()
                counts = write(one, path, held_out(), self.student.data, self.student.seed, report)
                for line in report.summary():
                    self.say(f"gold {one.corpus.name}: {line}")
                self.folder.finish(GOLD, one.file, counts)
        counts = self.folder.counts(GOLD, (one.file for one in self.gold))
        documents, shared = (sum(one[what] for one in counts.values()) for what in (DOCUMENTS, SHARED))
        self.say(
            f"gold: {documents:,} documents of {len(self.gold):,} corpora are scored"
            + (f", {shared:,} {SHARED}" if shared else "")
            + f" -> {self.folder.gold}"
        )
        for name, why in self.others.items():
            self.say(f"gold: {name} stays as it is: {why}")

    def sources(self) -> tuple[list[Source], TextsAlone]:
        """What the teacher reads, and what reads it."""
        sources = [
            Source(str(self.folder.gold / one.file), one.file, self.folder.scored / one.file)
            for one in self._written()
        ]
        return sources, TextsAlone({one.file: one.dataset for one in self.gold})

    def attach(self) -> None:
        """The same documents with their scores."""
        for one in self._written():
            path = self.folder.taught_gold / one.file
            if self.folder.finished(SCORED_GOLD, one.file) is None or not path.is_file():
                counts = attach(self.folder.gold / one.file, self.folder.scored / one.file, path)
                self.folder.finish(SCORED_GOLD, one.file, counts)
        total: Counter[str] = Counter()
        for counts in self.folder.counts(SCORED_GOLD, (one.file for one in self.gold)).values():
            total.update(counts)
        self.say(
            f"gold: {total[SCORED]:,} of {total[DOCUMENTS]:,} documents have what the teacher says of their words"
        )

    def entries(self, teacher: str) -> dict[str, dict[str, Any]]:
        """What the registry says of the corpora with scores, by their names."""
        return {one.name: entry(one, SCORED_GOLD, teacher) for one in self._written()}

    def instead(self) -> dict[str, str]:
        """Name of each corpus -> that of the one with scores, which takes its place."""
        return {one.corpus.name: one.name for one in self._written()}

    def said(self) -> dict[str, Any]:
        """What the student's record and card say of it."""
        written = self.folder.counts(GOLD, (one.file for one in self.gold))
        scored = self.folder.counts(SCORED_GOLD, (one.file for one in self.gold))
        return {
            "corpora": {
                one.corpus.name: {
                    "as": one.dataset,
                    "types": list(one.types),
                    **written[one.file],
                    SCORED: scored.get(one.file, {}).get(SCORED, 0),
                }
                for one in self.gold
            },
            "as_they_are": self.others,
        }

    def _written(self) -> list[Gold]:
        """Corpora of which a document is left; of another, training says that there is none."""
        counts = self.folder.counts(GOLD, (one.file for one in self.gold))
        return [one for one in self.gold if counts[one.file][DOCUMENTS]]
