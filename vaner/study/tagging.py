"""In: a cell whose model is there, gold documents. Out: the documents as its arm tags them, and how long that took.

A tagger gets texts alone and is asked as ``python -m vaner evaluate`` asks it: for the types that gold annotates and it
knows, by the dataset's name where it learned that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.run import Gold, asked_types
from vaner.files import read_yaml
from vaner.formats import read, write
from vaner.model.config import GENERATOR_NAME
from vaner.prompting.settings import PromptSettings
from vaner.report import Report
from vaner.study.cells import Cell
from vaner.study.data import bare, corpus_name, count_words
from vaner.study.folder import StudyFolder
from vaner.study.settings import DICTIONARY, GENERATES, LABELS, StudySettings
from vaner.tagger import FAILED, Tagger
from vaner.tagging.loading import load

TAGGED = "tagged.jsonl"


def open_tagger(
    settings: StudySettings, folder: StudyFolder, cell: Cell, *, batch: int | None = None, store: bool = True
) -> Tagger:
    """The tagger of a cell.

    Args:
        settings, folder, cell: of the study.
        batch: of a labeler in tokens, of a model that writes here in requests; None for what the file says.
        store: whether a prompted tagger may take answers from its store.

    Raises:
        VanerError: it cannot be loaded.
    """
    arm = cell.arm
    if arm.kind == DICTIONARY:
        return load(f"kb:{arm.index}")
    if arm.kind == LABELS:
        options = {**arm.tagging, **({} if batch is None else {"batch_tokens": batch})}
        return load(str(cell.model), **options)
    prompted = _generator(cell) if arm.kind == GENERATES else _prompted(settings, folder, cell)
    prompted = prompted.with_options(arm.tagging)
    if batch is not None and prompted.backend.name == "transformers":
        more = {**prompted.backend.options, "batch_size": batch, "batch_tokens": batch * _LONGEST}
        prompted = replace(prompted, backend=replace(prompted.backend, options=more))
    return _opened(prompted if store else replace(prompted, store=None, replay=False))


# Tokens of a request and its answer for which room is left where a batch is counted in requests.
_LONGEST = 4096


def batches(settings: StudySettings, cell: Cell) -> Sequence[int]:
    """Batches that an arm can be tried with; none where it has no say in them."""
    arm = cell.arm
    if arm.kind == LABELS:
        return settings.cost.batch_tokens
    if arm.kind == DICTIONARY:
        return ()
    if arm.kind != GENERATES and settings.prompt_of(arm, None).backend.name != "transformers":
        return ()
    return settings.cost.batch_size


def _generator(cell: Cell) -> PromptSettings:
    assert cell.model is not None
    file = cell.model / GENERATOR_NAME
    decoding = {k: v for k in ("decoding", "alignment") if (v := getattr(cell.arm, k)) is not None}
    return PromptSettings.of({**read_yaml(file), **decoding}, str(file))


def _prompted(settings: StudySettings, folder: StudyFolder, cell: Cell) -> PromptSettings:
    return settings.prompt_of(cell.arm, corpus_name(cell.corpus), str(folder.registry))


def _opened(settings: PromptSettings) -> Tagger:
    from vaner.prompting.opening import opened, price_of
    from vaner.tagging.prompted import PromptedTagger

    # A document that is not answered in full is missed, and counted.
    return PromptedTagger(settings, *opened(settings), price=price_of(settings), on_failed="leave")


def gold_of(folder: StudyFolder, corpus: str, most: int | None = None) -> Gold:
    """The gold documents of a corpus, or the first of them, as a gold set that knows its dataset."""
    record = folder.load()["corpora"][corpus]
    documents = list(read(folder.gold(corpus), "jsonl", report=Report()))[:most]
    return Gold(corpus, documents, record["split"], record["dataset"])


def ask(tagger: Tagger, gold: Gold, remarks: list[str] | None = None) -> list[Document]:
    """The documents of a gold set as a tagger marks them, from their texts alone.

    Raises:
        VanerError: it knows none of the types, or gives back other documents.
    """
    types = asked_types(tagger, gold, None, {}, [] if remarks is None else remarks)
    dataset = gold.dataset if gold.dataset in tagger.datasets else None
    found = list(tagger.tag_documents(map(bare, gold.documents), types, dataset))
    if [one.id for one in found] != [one.id for one in gold.documents]:
        raise VanerError(f"{gold.name}: the tagger gave back other documents than it got")
    return found


def tag(
    settings: StudySettings,
    folder: StudyFolder,
    cell: Cell,
    most: int | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """Tag the gold documents of a cell and write them.

    Args:
        settings, folder, cell: of the study.
        most: so many of the documents.
        output: the file; by default that of the cell.

    Returns:
        ``documents``, ``words``, ``seconds`` (of tagging alone), ``failed`` (documents that were not answered in full),
        ``remarks``.
    """
    gold = gold_of(folder, cell.corpus, most)
    tagger = open_tagger(settings, folder, cell)
    remarks: list[str] = []
    began = time.perf_counter()
    found = ask(tagger, gold, remarks)
    seconds = time.perf_counter() - began
    write(output or cell.path / TAGGED, found, "jsonl")
    return {
        "documents": len(found),
        "words": count_words(found),
        "seconds": round(seconds, 3),
        "failed": sum(FAILED in one.metadata for one in found),
        "remarks": [*remarks, *tagger.remarks()],
        "counts": _counts(tagger),
    }


def _counts(tagger: Any) -> Mapping[str, int]:
    """What a prompted tagger counts of its run; nothing of others."""
    counts: Mapping[str, int] = json.loads(json.dumps(getattr(tagger, "counts", {})))
    return counts
