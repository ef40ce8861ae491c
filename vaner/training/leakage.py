"""In: an index, training documents, the corpora's dev and test splits. Out: what of it not to train on; counts.

    gold mentions of dev and test  -  gold mentions of training   =   held out     (by type and normal form)
    held out                       &  names of the index          =   dropped      (from what is drawn)

Such a name a model could otherwise learn from the knowledge base alone, although it scores as never seen. Lookups draw
no names: they say what the index has at each word, in training and in tagging alike. For them the index has to be
honest, which `gate_lookups` checks of each of its vocabularies (`vaner.corpora.origin`).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vaner.corpora.coverage import Coverage, Types, coverage, forms, forms_of_splits
from vaner.corpora.origin import Suspect, suspects
from vaner.corpora.registry import Corpus
from vaner.document import Document
from vaner.errors import VanerError
from vaner.knowledge import KnowledgeBase
from vaner.knowledge.normalise import join, normal_words
from vaner.progress import progress

MODES = ("drop", "report", "off")


def keys_of(names: Sequence[str]) -> np.ndarray:
    """`vaner.knowledge.key_of` of each name: 64-bit hashes of the normal forms, uint64, shape ``(len(names),)``."""
    joined, starts = join(names)
    words = normal_words(joined)
    first = np.searchsorted(words.start, starts[:-1])
    end = np.searchsorted(words.start, starts[1:] - 1)
    return words.keys(first, end - first)


def keys_by_type(documents: Iterable[Document]) -> dict[str, frozenset[int]]:
    """Type -> keys of the gold mentions that documents have of it."""
    mentions: dict[str, set[str]] = defaultdict(set)
    for document in documents:
        for span in document.spans:
            mentions[span.type].add(span.text)
    return {type: frozenset(keys_of(sorted(texts)).tolist()) - {0} for type, texts in mentions.items()}


@dataclass(frozen=True)
class Leak:
    """What the gold of one corpus and type would give away.

    Attributes:
        mentions: distinct mentions (normal forms) of dev and test that training does not have with this type.
        keys: of those among them that the index has.
        names: spellings that the index has of these.
    """

    mentions: int
    keys: frozenset[int]
    names: int


def leaks(
    kb: KnowledgeBase,
    trained: Mapping[str, frozenset[int]],
    held_out: Iterable[tuple[Corpus, str]],
    data_root: str | os.PathLike | None = None,
) -> dict[tuple[str, str], Leak]:
    """What dev and test splits annotate, training does not, and the index has.

    This opens test gold. Hashes of normal forms and counts leave it, and neither text nor annotation.

    Args:
        kb: the index.
        trained: type -> keys of what training has, see ``keys_by_type``.
        held_out: ``(corpus, split)`` pairs, whose files must be there.
        data_root: folder of the corpora.

    Returns:
        ``(corpus's name, type)`` -> Leak.
    """
    # Ordered sets of texts.
    mentions: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for corpus, split in held_out:
        for document in corpus.documents(split, data_root, on_error="skip"):
            for span in document.spans:
                mentions[corpus.name, span.type][span.text] = None
    found = {}
    for (corpus_name, type), texts in sorted(mentions.items()):
        distinct = dict(zip(keys_of(list(texts)).tolist(), texts, strict=True))
        unseen = {key: text for key, text in distinct.items() if key and key not in trained.get(type, ())}
        bar = progress(unseen.items(), f"held-out {type} of {corpus_name}")
        spellings = {key: sum(not name.muted for name in kb.lookup(text)) for key, text in bar}
        known = frozenset(key for key, count in spellings.items() if count)
        found[corpus_name, type] = Leak(len(unseen), known, sum(spellings.values()))
    return found


@dataclass(frozen=True)
class Gate:
    """Which names must not be drawn, and why.

    Attributes:
        mode: ``drop``; ``report``, which counts and drops nothing; ``off``, which opens no file.
        keys: of the names to drop; none unless the mode is ``drop``.
        found: ``(corpus, type)`` -> Leak.
        unread: splits, as ``corpus split``, whose files are not there: nothing of them is dropped.
    """

    mode: str = "off"
    keys: frozenset[int] = frozenset()
    found: Mapping[tuple[str, str], Leak] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report: one line a corpus and type, and what was not there."""
        if self.mode == "off":
            return ["leakage gate: off; names may be mentions that only dev or test have"]
        what = "dropped" if self.mode == "drop" else "found, NOT dropped"
        lines = [
            f"leakage gate: {corpus}: {len(leak.keys):,} of {leak.mentions:,} {type} mentions that only dev and "
            f"test have are in the index ({leak.names:,} names): {what}"
            for (corpus, type), leak in self.found.items()
        ]
        if self.unread:
            lines.append(f"leakage gate: no files of {', '.join(self.unread)}: nothing of theirs is dropped")
        return lines

    def record(self) -> dict[str, Any]:
        """The report for run.json."""
        return {
            "mode": self.mode,
            "dropped": len(self.keys),
            "held_out_mentions": {
                corpus: {
                    type: {
                        "only_in_dev_or_test": leak.mentions,
                        "in_index": len(leak.keys),
                        "names_in_index": leak.names,
                    }
                    for (of, type), leak in self.found.items()
                    if of == corpus
                }
                for corpus in dict.fromkeys(name for name, _ in self.found)
            },
            "unread": list(self.unread),
        }


def gate(
    kb: KnowledgeBase,
    training: Iterable[Document],
    held_out: Iterable[tuple[Corpus, str]],
    data_root: str | os.PathLike | None = None,
    mode: str = "drop",
) -> Gate:
    """Decide which names of an index training must not draw.

    A mention counts as seen only where training annotates its normal form with the same type.

    Args:
        kb: the index.
        training: the documents that are trained on.
        held_out: ``(corpus, split)`` pairs that must stay unseen; those without files are named in the report.
        data_root: folder of the corpora.
        mode: one of MODES.

    Returns:
        the keys to drop, and the report.

    Raises:
        VanerError: an unknown mode.
    """
    _check_mode(mode)
    if mode == "off":
        return Gate()
    present, unread = _present(held_out, data_root)
    found = leaks(kb, keys_by_type(training), present, data_root)
    dropped = frozenset().union(*(leak.keys for leak in found.values())) if mode == "drop" else frozenset()
    return Gate(mode, dropped, found, unread)


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise VanerError(f"--kb_leakage {mode}: choose {', '.join(MODES)}")


def _present(
    held_out: Iterable[tuple[Corpus, str]], data_root: str | os.PathLike | None
) -> tuple[list[tuple[Corpus, str]], tuple[str, ...]]:
    """The pairs whose files are there, and as ``corpus split`` those whose files are not."""
    present, unread = [], []
    for corpus, split in held_out:
        if split in corpus.present(data_root):
            present.append((corpus, split))
        elif split in corpus.files:
            unread.append(f"{corpus.name} {split}")
    return present, tuple(unread)


@dataclass(frozen=True)
class LookupGate:
    """What the index of lookups has of each split, and which of its vocabularies look made from a corpus.

    Attributes:
        mode: ``drop``, which refuses an index with such a vocabulary; ``report``; ``off``, which opens no file.
        covered: one for each corpus, split and type.
        suspects: why a vocabulary looks made from a corpus.
        unread: splits, as ``corpus split``, whose files are not there: nothing of them is counted.
    """

    mode: str = "off"
    covered: tuple[Coverage, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    unread: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report: one line for each held-out split and type, and what is suspected."""
        if self.mode == "off":
            return ["lookups: what the index has of dev and test was not counted (--kb_leakage off)"]
        lines = [
            f"lookups: {one.corpus} {one.split}: the index has {one.all.mentions_as_type:,} of {one.all.mentions:,} "
            f"{one.type} mentions, {one.unseen.mentions_as_type:,} of the {one.unseen.mentions:,} unseen in training"
            for one in self.covered
            if one.split != "train"
        ]
        lines += [
            f"lookups: {suspect}; trained on all the same (--kb_leakage report)" for suspect in self.suspects
        ]
        if self.unread:
            lines.append(f"lookups: no files of {', '.join(self.unread)}: nothing of theirs is counted")
        return lines

    def record(self) -> dict[str, Any]:
        """The report for run.json."""
        return {
            "mode": self.mode,
            "covered": [asdict(one) for one in self.covered],
            "suspects": [str(suspect) for suspect in self.suspects],
            "unread": list(self.unread),
        }


def gate_lookups(
    kb: KnowledgeBase,
    training: Mapping[str, Iterable[Document]],
    held_out: Iterable[tuple[Corpus, str]],
    data_root: str | os.PathLike | None = None,
    mode: str = "drop",
    *,
    held_back: Mapping[str, Iterable[Document]] | None = None,
    types: Types | None = None,
) -> LookupGate:
    """Count what an index has of what is annotated, and look for vocabularies that were made from a corpus.

    Args:
        kb: the index that lookups read.
        training: corpus's name -> the documents of it that are trained on.
        held_out: ``(corpus, split)`` pairs that must stay unseen; those without files are named in the report.
        data_root: folder of the corpora.
        mode: one of MODES.
        held_back: corpus's name -> documents that choose the model and are in none of these files.
        types: of the registry, which say what serves a type.

    Raises:
        VanerError: an unknown mode; in mode ``drop``, a vocabulary that looks made from a corpus.
    """
    _check_mode(mode)
    if mode == "off":
        return LookupGate()
    present, unread = _present(held_out, data_root)
    trained = {(name, "train"): forms(kb, documents, types) for name, documents in training.items()}
    annotated = {
        **trained,
        **{(name, "dev"): forms(kb, documents, types) for name, documents in (held_back or {}).items()},
        **forms_of_splits(kb, present, data_root, types),
    }
    suspected = tuple(suspects(kb, annotated))
    if mode == "drop" and suspected:
        raise VanerError(
            f"{kb.path}: {suspected[0]}; build the index without it, or train all the same with --kb_leakage report"
        )
    return LookupGate(mode, tuple(coverage(annotated, trained)), suspected, unread)
