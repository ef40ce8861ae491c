"""In: raw documents, corpora's dev and test splits. Out: the texts that a student may learn from, counted.

    read -> without their mentions -> without what dev or test has -> how each is asked -> texts/NAME.jsonl

What a document shares with a held-out split is looked for as training does it (`vaner.corpora.overlap`): a PubMed id,
or a sentence of more than five words, anywhere in the whole document.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaner.annotation.teacher import ASKED_AS, choose
from vaner.corpora.overlap import Fingerprints, overlapping, with_pmid
from vaner.corpora.registry import Corpus, Registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import sha256
from vaner.formats import jsonl
from vaner.jobs.sources import Source
from vaner.jobs.units import Reader
from vaner.progress import progress
from vaner.report import Report
from vaner.text.units import Text

# What is counted of documents.
READ = "documents read"
KEPT = "documents kept"
SAME_PMID = "left out: dev or test has a document with its PubMed id"
SAME_SENTENCE = "left out: dev or test has one of its sentences"
EMPTY = "left out: no word"
LEFT_OUT = (SAME_PMID, SAME_SENTENCE, EMPTY)


def held_out_splits(
    corpora: Registry, more: Sequence[Corpus], data_root: str | os.PathLike | None
) -> tuple[list[tuple[Corpus, str]], list[str]]:
    """Every dev and test split that is here, and as ``corpus split`` those whose files are not.

    Args:
        corpora: the registry.
        more: further corpora.
        data_root: folder of the corpora.
    """
    here: list[tuple[Corpus, str]] = []
    absent: list[str] = []
    for corpus in {one.name: one for one in (*corpora.values(), *more)}.values():
        present = corpus.present(data_root)
        for split in ("dev", "test"):
            # What a model labelled is no split that anything is scored on.
            if split in corpus.files and not corpus.distant:
                if split in present:
                    here.append((corpus, split))
                else:
                    absent.append(f"{corpus.name} {split}")
    return here, absent


def held_out_hashes(
    held_out: Iterable[tuple[Corpus, str]], data_root: str | os.PathLike | None
) -> dict[str, str]:
    """``corpus split`` -> sha256 of its files; they are hashed and not read."""
    return {
        f"{corpus.name} {split}": " ".join(sha256(path) for path in corpus.present(data_root)[split])
        for corpus, split in held_out
    }


def write(
    source: Source,
    reader: Reader,
    held_out: Callable[[], Fingerprints],
    ways: Mapping[str, float],
    report: Report,
) -> dict[str, Any]:
    """Write the texts of a source that a student may learn from; the file appears whole or not at all.

    Args:
        source: what is read, and the file that it becomes.
        reader: reads it.
        held_out: gives what nothing may be learnt from; called when it is first needed.
        ways: how texts are asked -> share of the texts (`vaner.annotation.teacher`).
        report: gets what the reader repaired or skipped.

    Returns:
        what happened to documents -> how often; ``asked`` has how often each way was chosen.

    Raises:
        VanerError: a bad document, unless the reader skips it.
    """
    counts: Counter[str] = Counter({what: 0 for what in (READ, KEPT, *LEFT_OUT)})
    asked: Counter[str] = Counter()
    name = Path(source.name)
    prefix = name.with_name(source.output.name.removesuffix(".jsonl")).as_posix()

    def kept() -> Iterator[Document]:
        documents = reader.documents(source, report)
        for document in progress(documents, f"reading {source.name}"):
            counts[READ] += 1
            raw = _raw(with_pmid(document))
            if (why := _reason(raw, held_out())) is not None:
                counts[why] += 1
                continue
            counts[KEPT] += 1
            raw.id = f"{prefix}/{raw.id}"
            raw.metadata[ASKED_AS] = way = choose(raw.id, ways)
            asked[way] += 1
            yield raw

    source.output.parent.mkdir(parents=True, exist_ok=True)
    jsonl.write(source.output, kept(), report=report)
    return {**counts, "asked": dict(sorted(asked.items()))}


def _raw(document: Document) -> Document:
    """A document without what anybody found in it: text, borders, and of its metadata what is plain."""
    plain = {key: value for key, value in document.metadata.items() if isinstance(value, str | int | float)}
    return replace(document, spans=[], types=None, metadata=plain)


def _reason(document: Document, held_out: Fingerprints) -> str | None:
    """Why nothing may be learnt from a document; None where it may."""
    if not Text.of(document).words:
        return EMPTY
    if not overlapping([document], held_out):
        return None
    return SAME_PMID if document.metadata.get("pmid") in held_out.pmids else SAME_SENTENCE


def check_not_empty(counts: Iterable[Mapping[str, Any]]) -> None:
    """Raise VanerError where no text is left to learn from."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update({what: number for what, number in one.items() if isinstance(number, int)})
    if not total[KEPT]:
        why = ", ".join(f"{total[what]:,} {what}" for what in LEFT_OUT if total[what])
        raise VanerError(
            f"--input: no text is left to learn from ({total[READ]:,} documents read{f'; {why}' if why else ''}); "
            "name other texts"
        )
