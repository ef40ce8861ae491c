"""In: a corpus, how many documents. Out: files: gold documents to tag, documents to train on and to choose a model by.

    split that is scored --sample--> gold/CORPUS.jsonl          every arm and seed tags these
    dev, without those   ----------> data/CORPUS.dev.jsonl      chooses the model, and draws its learning curve
    train                ----------> data/CORPUS.train.jsonl    training drops what shares something with the others

So no model is chosen by a document that it is scored on. Where a corpus has no dev split, or none of it is left, whole
abstracts of its train split take the place; the study's record says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vaner import provenance
from vaner.corpora.own import named
from vaner.corpora.registry import Corpus, Registry, read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.metrics import mention_keys
from vaner.files import replacing_text, sha256, write_text
from vaner.formats import write
from vaner.report import Report
from vaner.study.folder import StudyFolder
from vaner.study.settings import StudySettings
from vaner.text.segment import words

#: Of a train split that has to give them: the share of its documents that are scored, or choose a model.
SHARE = 0.1


@dataclass
class _Read:
    """A corpus's documents, and where they are from.

    Attributes:
        gold, dev, train: as in the files.
        said: where the first two are from.
    """

    gold: list[Document]
    dev: list[Document]
    train: list[Document]
    said: dict[str, str]


def corpus_name(corpus: str) -> str:
    """What a corpus is called in the study's registry, and in training."""
    return f"study-{corpus}"


def corpora_of(settings: StudySettings) -> dict[str, Corpus]:
    """The corpora of a study, by their names in its file.

    Raises:
        VanerError: one that is not there.
    """
    known = settings.corpora_known()
    return {name: named(name, known) for name in settings.corpora}


def prepare(
    settings: StudySettings, folder: StudyFolder, before: dict[str, Any], data_root: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Write the files of corpora that are new, and look whether those of the others are still what they were.

    Args:
        settings: of the study.
        folder: that is written into.
        before: what the folder's record says.
        data_root: where the corpora are.

    Returns:
        corpus -> what was read of it, for the record; and lines that a user should know.

    Raises:
        VanerError: a corpus without the split, files that are not there or have changed.
    """
    found: dict[str, Any] = {}
    notes: list[str] = []
    corpora = corpora_of(settings)
    for name, corpus in corpora.items():
        known = before.get("corpora", {}).get(name)
        if known is None:
            found[name], said = _write(settings, folder, name, corpus, data_root)
            notes += said
        else:
            _check_unchanged(folder, name, corpus, known, data_root)
            found[name] = known
    _write_registry(folder, corpora, settings.corpora_known())
    return found, notes


def _write(
    settings: StudySettings, folder: StudyFolder, name: str, corpus: Corpus, data_root: str | None
) -> tuple[dict[str, Any], list[str]]:
    report = Report()
    read = _read(settings, name, corpus, data_root, report)
    if not read.gold:
        raise VanerError(f"{settings.file}: corpora: {name}: its {settings.split} split has no document")
    for path in (folder.gold(name), folder.training(name, "dev")):
        path.parent.mkdir(parents=True, exist_ok=True)
    for path, documents in (
        (folder.gold(name), read.gold),
        (folder.training(name, "dev"), read.dev),
        (folder.training(name, "train"), read.train),
    ):
        write(path, documents, "jsonl")
    keys = sorted(mention_keys(read.train))
    write_text(folder.seen(name), json.dumps([list(key) for key in keys], ensure_ascii=False) + "\n")
    counted = {
        "dataset": corpus.instruction_name or None,
        "types": sorted(corpus.annotated),
        "split": settings.split,
        **read.said,
        "documents": len(read.gold),
        "words": count_words(read.gold),
        "mentions": sum(len(one.spans) for one in read.gold),
        "dev_documents": len(read.dev),
        "train_documents": len(read.train),
        "read": dict(report.counts),
        "files": provenance.file_hashes(map(str, _paths(settings.split, corpus, data_root))),
    }
    notes = [f"{name}: {line}" for line in report.summary()]
    notes += [
        f"{name}: {which} documents are {where}" for which, where in read.said.items() if "held" in where
    ]
    return counted, notes


def _read(settings: StudySettings, name: str, corpus: Corpus, data_root: str | None, report: Report) -> _Read:
    split, seed, most = settings.split, settings.sample_seed, settings.documents_of(name)

    def documents(of: str) -> list[Document]:
        return list(corpus.documents(of, data_root, report=report))

    train = documents("train")
    said: dict[str, str] = {}
    if split in corpus.files:
        gold, left = _sampled(documents(split), most, seed)
        said["gold_from"] = f"of the {split} split"
    elif split == "dev":
        gold, train = _held_out(train, most or round(SHARE * len(train)), seed)
        left, said["gold_from"] = [], "held out of the train split (there is no dev split)"
    else:
        have = ", ".join(corpus.files)
        raise VanerError(f"{settings.file}: split: corpus {name} has no {split} split; it has {have}")
    dev = left if split == "dev" else documents("dev") if "dev" in corpus.files else []
    said["dev_from"] = "of the dev split, without the gold ones" if split == "dev" else "of the dev split"
    if not dev:
        dev, train = _held_out(train, round(SHARE * len(train)), seed + 1)
        said["dev_from"] = "held out of the train split (nothing of a dev split is left)"
    return _Read(gold, dev, train, said)


def _sampled(
    documents: Sequence[Document], most: int | None, seed: int
) -> tuple[list[Document], list[Document]]:
    """At most so many, chosen by the seed, and the others; both in the order of the file."""
    if most is None or most >= len(documents):
        return list(documents), []
    chosen = set(np.random.default_rng(seed).permutation(len(documents))[:most].tolist())
    return (
        [one for number, one in enumerate(documents) if number in chosen],
        [one for number, one in enumerate(documents) if number not in chosen],
    )


def _held_out(documents: Sequence[Document], most: int, seed: int) -> tuple[list[Document], list[Document]]:
    """About so many, and the others; documents of one abstract stay together."""
    groups = list(dict.fromkeys(map(_abstract, documents)))
    sizes: dict[str, int] = dict.fromkeys(groups, 0)
    for one in documents:
        sizes[_abstract(one)] += 1
    chosen: set[str] = set()
    count = 0
    for number in np.random.default_rng(seed).permutation(len(groups)).tolist():
        if count >= max(most, 1):
            break
        chosen.add(groups[number])
        count += sizes[groups[number]]
    return (
        [one for one in documents if _abstract(one) in chosen],
        [one for one in documents if _abstract(one) not in chosen],
    )


def _abstract(document: Document) -> str:
    return str(document.metadata.get("pmid") or document.id)


def _paths(split: str, corpus: Corpus, data_root: str | None) -> Iterator[Path]:
    """The files that a study reads of a corpus."""
    for one in dict.fromkeys(("train", "dev", split)):
        if one in corpus.files:
            yield from corpus.paths(one, data_root)


def _check_unchanged(
    folder: StudyFolder, name: str, corpus: Corpus, known: dict[str, Any], data_root: str | None
) -> None:
    """Refuse a corpus whose files have changed; of one that is not here any more the study's own files are enough."""
    missing = [path for path in (folder.gold(name), folder.training(name, "train")) if not path.is_file()]
    if missing:
        raise VanerError(f"{missing[0]}: is missing; copy the whole folder of the study, or begin a new one")
    if any(one not in corpus.present(data_root) for one in {"train", known["split"]} & set(corpus.files)):
        return
    now = provenance.file_hashes(map(str, _paths(known["split"], corpus, data_root)))
    if list(now.values()) != list(known["files"].values()):
        changed = [file for file, digits in now.items() if digits not in known["files"].values()]
        raise VanerError(
            f"--output {folder.path}: corpus {name} has changed since ({', '.join(changed) or 'files'}); "
            "name another folder"
        )


def _write_registry(folder: StudyFolder, corpora: dict[str, Corpus], known: Registry) -> None:
    """The study's corpora as training reads them; gold is their test split, so that nothing of it is trained on."""
    entries = {
        corpus_name(name): {
            "format": "jsonl",
            "files": {
                "train": [f"data/{name}.train.jsonl"],
                "dev": [f"data/{name}.dev.jsonl"],
                "test": [f"gold/{name}.jsonl"],
            },
            "types": {type: type for type in sorted(corpus.annotated)},
            "granularity": corpus.granularity,
            "licence": corpus.licence,
            "citation": corpus.citation,
            "url": corpus.url,
            **({"instruction_name": corpus.instruction_name} if corpus.instruction_name else {}),
            **({"template": corpus.template} if corpus.template else {}),
        }
        for name, corpus in corpora.items()
    }
    shipped = read_registry().types
    types = {
        name: {k: list(v) if isinstance(v, tuple) else v for k, v in vars(one).items() if k != "name" and v}
        for name, one in known.types.items()
        if name not in shipped
    }
    with replacing_text(folder.registry) as file:
        file.write(
            "# The corpora of this study, as its models are trained on them; written by python -m vaner study.\n"
        )
        yaml.safe_dump(
            {**({"types": types} if types else {}), "corpora": entries},
            file,
            sort_keys=False,
            allow_unicode=True,
        )


def count_words(documents: Iterable[Document]) -> int:
    """Words of texts, each punctuation mark one of its own."""
    return sum(len(words(document.text)) for document in documents)


def bare(document: Document) -> Document:
    """What a tagger gets: the text alone, so that nothing that it returns can come from gold."""
    return replace(document, spans=[], metadata={}, types=None)


def gold_hash(folder: StudyFolder, corpus: str) -> str:
    """A hash of what is tagged and trained on of a corpus."""
    paths = (folder.gold(corpus), folder.training(corpus, "train"), folder.training(corpus, "dev"))
    return "".join(sha256(path)[:8] for path in paths if os.path.exists(path))
