"""In: a study's folder. Out: what was asked; of every finished cell its counts per document; which are missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaner.document import Document
from vaner.errors import FormatError, VanerError, place
from vaner.evaluation.metrics import Scores, score
from vaner.evaluation.pairing import Mention, Pair, Pairing, pair
from vaner.formats import read
from vaner.progress import progress
from vaner.study.cells import NO_SEED
from vaner.study.settings import DICTIONARY, PROMPTED
from vaner.text.segment import words

#: The row of the scores that counts words, not mentions.
TOKEN = ("token", "token")


@dataclass(frozen=True)
class Cell:
    """One arm on one corpus with one seed.

    Attributes:
        told: what its cell.json says.
        scores: counts of every row per gold document, `TOKEN` among them.
    """

    told: dict[str, Any]
    scores: Scores


@dataclass(frozen=True)
class Corpus:
    """The gold documents that every arm was scored on.

    Attributes:
        documents: in the order of the file.
        words: how many their texts have.
        seen: keys of the mentions of its train documents.
        gold: their counts, where nothing is predicted.
        told: what study.json says of it.
    """

    documents: list[Document]
    words: int
    seen: set[tuple[str, str]]
    gold: Scores
    told: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """A study's folder, read and counted.

    Attributes:
        asked: study.json.
        arms: arm -> what study.json says of it, in its order.
        corpora: in its order.
        seeds: (arm, corpus) -> the planned seeds.
        cells: (arm, corpus, seed) -> the finished cells.
        missing: (arm, corpus, seed) -> why it is not there.
        left_out: arm -> corpus -> why it is not asked about it: no cells are planned.
        costs: costs.json; None where there is none.
        remarks: what was lost on the way to the scores, a line each.
    """

    asked: dict[str, Any]
    arms: dict[str, dict[str, Any]]
    corpora: dict[str, Corpus]
    seeds: dict[tuple[str, str], list[str]]
    cells: dict[tuple[str, str, str], Cell]
    missing: dict[tuple[str, str, str], str]
    left_out: dict[str, dict[str, str]]
    costs: dict[str, Any] | None
    remarks: list[str]

    def finished(self, arm: str, corpus: str) -> list[Cell]:
        """The cells of an arm on a corpus that are there, by seed."""
        planned = self.seeds[arm, corpus]
        return [self.cells[arm, corpus, seed] for seed in planned if (arm, corpus, seed) in self.cells]

    def whole(self, arm: str, corpora: Iterable[str]) -> bool:
        """Whether the arm has cells on all of these corpora, every one of them finished."""
        return all(
            self.seeds[arm, corpus]
            and all((arm, corpus, seed) in self.cells for seed in self.seeds[arm, corpus])
            for corpus in corpora
        )

    def trained(self, arm: str, corpus: str) -> bool:
        """Whether another seed would give another model."""
        return self.seeds[arm, corpus] != [NO_SEED]


def count(folder: Path) -> Study:
    """Read a study's folder and count every finished cell.

    Raises:
        VanerError: the folder is no study; a file of it is broken or belongs to other documents.
    """
    asked = _json(
        folder / "study.json", f"{folder}: is no study; run `python -m vaner study FILE.yaml` first"
    )
    arms = {str(name): told if isinstance(told, dict) else {} for name, told in _of(asked, "arms", folder)}
    corpora = {str(name): _corpus(folder, str(name), told) for name, told in _of(asked, "corpora", folder)}
    seeds = [str(seed) for seed in asked.get("seeds") or []]
    left_out = asked.get("left_out") or {}
    planned = {
        (arm, corpus): []
        if corpus in left_out.get(arm, {})
        else _planned(folder / "cells" / arm / corpus, told, seeds)
        for arm, told in arms.items()
        for corpus in corpora
    }
    cells: dict[tuple[str, str, str], Cell] = {}
    missing: dict[tuple[str, str, str], str] = {}
    remarks: Counter[str] = Counter()
    said: list[str] = []
    everything = [(arm, corpus, seed) for (arm, corpus), seeds in planned.items() for seed in seeds]
    for arm, corpus, seed in progress(everything, "counting", len(everything)):
        path = folder / "cells" / arm / corpus / seed
        if not (path / "cell.json").is_file():
            missing[arm, corpus, seed] = _why(path)
            continue
        cell = _cell(path, corpora[corpus])
        cells[arm, corpus, seed] = cell
        for what, times in _lost(cell):
            remarks[f"{arm} on {corpus}: {what}"] += times
        said += [
            f"{arm} on {corpus}: {line}" for line in (cell.told.get("tagging") or {}).get("remarks") or []
        ]
    if not cells:
        raise VanerError(f"{folder}: no cell is finished; run `python -m vaner study FILE.yaml` on")
    costs = folder / "costs.json"
    return Study(
        asked,
        arms,
        corpora,
        planned,
        cells,
        missing,
        left_out,
        _json(costs, "") if costs.is_file() else None,
        [*(f"{what}: {times:,}" for what, times in remarks.items()), *dict.fromkeys(said)],
    )


def counted(pairing: Pairing, seen: set[tuple[str, str]]) -> Scores:
    """Everything a study counts of one cell: what `vaner.evaluation.metrics.score` does, and `TOKEN`."""
    scores = score(pairing, training_mentions=seen, cut_at_gold=True)
    scores.rows[TOKEN] = np.array([_tokens(one) for one in pairing.pairs], float).reshape(-1, 3)
    return scores


def _tokens(pair: Pair) -> tuple[int, int, int]:
    """Hits, predicted and gold of (word, type): a word under mentions of two types counts for each."""
    at = words(pair.text)
    gold, predicted = _under(pair.gold, at), _under(pair.predicted, at)
    return len(gold & predicted), len(predicted), len(gold)


def _under(mentions: Iterable[Mention], at: list[tuple[int, int]]) -> set[tuple[int, str]]:
    return {
        (number, mention.type)
        for mention in mentions
        for first, past in mention.pieces
        for number, (start, end) in enumerate(at)
        if start < past and first < end
    }


def _corpus(folder: Path, name: str, told: Any) -> Corpus:
    documents = list(read(folder / "gold" / f"{name}.jsonl", "jsonl"))
    path = folder / "gold" / f"{name}.seen.json"
    listed = _json(path, f"{path}: is missing; it lists the mentions of the train documents")
    seen = {(str(key), str(type)) for key, type in listed}
    return Corpus(
        documents,
        sum(len(words(document.text)) for document in documents),
        seen,
        counted(pair(documents, [document.with_spans([]) for document in documents]), seen),
        told if isinstance(told, dict) else {},
    )


def _planned(path: Path, arm: dict[str, Any], seeds: list[str]) -> list[str]:
    if arm.get("kind") in (PROMPTED, DICTIONARY) or (path / NO_SEED).is_dir() or not seeds:
        return [NO_SEED]
    return seeds


def _cell(path: Path, corpus: Corpus) -> Cell:
    told = _json(path / "cell.json", "")
    tagged = path / "tagged.jsonl"
    if not tagged.is_file():
        raise FormatError(
            f"{tagged}: is missing, but cell.json says that the cell is finished; remove cell.json"
        )
    try:
        pairing = pair(corpus.documents, read(tagged, "jsonl"))
    except FormatError:
        raise
    except VanerError as error:
        raise VanerError(f"{tagged}: {error}") from None
    return Cell(told, counted(pairing, corpus.seen))


def _lost(cell: Cell) -> Iterable[tuple[str, int]]:
    """What a reader must know beside a cell's scores."""
    notes = cell.scores.notes
    if failed := (cell.told.get("tagging") or {}).get("failed"):
        yield "documents that the tagger failed on", int(failed)
    if times := notes["documents_without_prediction"]:
        yield "documents that were not tagged, their mentions missed", times
    if times := notes["mentions_that_tags_cannot_hold"]:
        yield "mentions, gold and predicted, that tags cannot hold; gold-cut counts what tags say", times
    if times := cell.scores.unannotated.total():
        yield "mentions of types that gold does not annotate, left out", times


def _why(path: Path) -> str:
    """Why a cell is missing."""
    failed = path / "failed.json"
    return f"failed: {_json(failed, '').get('why')}" if failed.is_file() else "not finished"


def _of(asked: dict[str, Any], key: str, folder: Path) -> list[tuple[Any, Any]]:
    """Names, and what is said of each: an object's items, or a list's names."""
    found = asked.get(key)
    if not found or not isinstance(found, dict | list):
        raise FormatError(f'{folder / "study.json"}: "{key}" names none; it is a list of names, or an object')
    return list(found.items()) if isinstance(found, dict) else [(name, None) for name in found]


def _json(path: Path, missing: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VanerError(missing or f"{path}: is missing") from None
    except json.JSONDecodeError as error:
        raise FormatError(f"{place(path, error.lineno)}: not JSON ({error.msg}); write it again") from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: byte {error.start} is not UTF-8; write it again") from None
