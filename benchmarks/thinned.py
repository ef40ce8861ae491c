"""In: an index, which of its names to keep. Out: an index of these alone, built from its terms by the same rules.

A name stands here for all spellings that are looked up as the same: what goes, goes in every spelling and of every
type.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from vaner.errors import VanerError
from vaner.files import shipped
from vaner.knowledge import KnowledgeBase, Rules, build, normalise_all
from vaner.report import Report
from vaner.vocabularies.terms import Term

_AT_ONCE = 100_000


def normal_forms(kb: KnowledgeBase) -> list[str]:
    """The normal form of each name of an index, by the name's number."""
    forms: list[str] = []
    for at in range(0, len(kb), _AT_ONCE):
        forms += normalise_all([kb.text(number) for number in range(at, min(at + _AT_ONCE, len(kb)))])
    return forms


def at_random(forms: Collection[str], share: float, seed: int) -> np.ndarray:
    """Whether each name is kept: bool ``(names,)``; of the normal forms a share is, the same for the same seed."""
    distinct = sorted(set(forms))
    drawn = np.random.default_rng(seed).permutation(len(distinct))[: round(share * len(distinct))]
    kept = {distinct[number] for number in drawn.tolist()}
    return np.array([form in kept for form in forms], dtype=bool)


def without(forms: Collection[str], names: Collection[str]) -> np.ndarray:
    """Whether each name is kept: bool ``(names,)``; those with the normal form of one of ``names`` are not."""
    gone = set(normalise_all(list(names))) if names else set()
    return np.array([form not in gone for form in forms], dtype=bool)


def thinned(kb: KnowledgeBase, keep: np.ndarray, path: str | os.PathLike) -> KnowledgeBase:
    """Build an index of some of an index's names.

    Args:
        kb: the index, built by the rules of kb/.
        keep: bool ``(names,)``.
        path: where it goes; it appears when it is complete.

    Raises:
        VanerError: an index that was built by other rules, or no name is kept.
    """
    rules = Rules.load(shipped("kb"))
    if rules.description != kb.description["rules"]:
        raise VanerError(f"{kb.path}: was built by other rules than those in kb/; build it again with these")
    # The index has both orders of "Abdomen, Acute" already: undone once more, one that was left out would come back.
    rules.undo_inversion = False
    terms: dict[str, list[Term]] = {one["name"]: [] for one in kb.description["vocabularies"]}
    for source, term in _terms(kb, np.flatnonzero(keep).tolist()):
        terms[source].append(term)
    described = [(one, terms[one["name"]]) for one in kb.description["vocabularies"]]
    kept = [(one, found) for one, found in described if found]
    if not kept:
        raise VanerError(f"{kb.path}: all of its names would be left out; keep some")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return build(path, kept, rules, Report())


def _terms(kb: KnowledgeBase, numbers: list[int]) -> Iterator[tuple[str, Term]]:
    """The terms of names, each with its vocabulary."""
    # In their own order, which is many times faster than in that of the names.
    entries = [kb.entry(number) for number in range(kb.description["concepts"])]
    for number in numbers:
        text = kb.text(number)
        for concept in kb.concepts_of(number):
            entry = entries[concept]
            yield entry.source, Term(entry.id, text, entry.types, text == entry.preferred_name)
