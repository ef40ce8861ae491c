"""In: an index of names; the Forms of corpora's splits. Out: which vocabularies of it look made from a corpus, and why.

A form that one document of a corpus alone annotates got into train, dev or test by the throw that put its document
there. A vocabulary made without the corpus cannot know of that throw, so it has such forms about as often in every
split. One that was made from a split, or had its mentions mixed in, has nearly all of them in that split and no more
than before in the others. A list made from all splits alike shows none of this, but little of it is anything else:

    of the forms of one document, much more in one split than in another   -> Uneven
    most of its names are mentions of one corpus                           -> MadeOf
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from vaner.corpora.coverage import Annotated, Forms
from vaner.knowledge import KnowledgeBase

#: Odds of one split over those of another from which on a vocabulary is suspected ...
LEAST_ODDS = 3.0
#: ... where chance gives such a difference less often than this, in all comparisons together.
MOST_CHANCE = 0.001
#: Share of a vocabulary's names that are mentions of one corpus, from which on it is suspected ...
LEAST_SHARE = 0.5
#: ... where it has so many of them: of the fifty commonest drugs all may be mentions of a corpus.
FEWEST_MENTIONS = 50


@dataclass(frozen=True)
class Uneven:
    """A vocabulary that has far more of one split than of another, among forms that one document alone annotates.

    Attributes:
        vocabulary, corpus, type: which, and whose mentions.
        split: the split that it has more of.
        has, of: so many of so many forms of it.
        other: the split that it has less of.
        other_has, other_of: so many of so many forms of it.
        odds: ratio of the two odds, a half added to each count.
        chance: probability of such a difference or a greater one where splits are alike (one-sided Fisher's exact
            test), times the number of comparisons.
    """

    vocabulary: str
    corpus: str
    type: str
    split: str
    has: int
    of: int
    other: str
    other_has: int
    other_of: int
    odds: float
    chance: float

    def __str__(self) -> str:
        return (
            f"vocabulary {self.vocabulary} looks made from {self.corpus} {self.split}: of the {self.type} mentions "
            f"that one document alone annotates it has {self.has:,} of {self.of:,} of {self.split}, but "
            f"{self.other_has:,} of {self.other_of:,} of {self.other} (odds {self.odds:.1f} to 1, by chance "
            f"{self.chance:.1g})"
        )


@dataclass(frozen=True)
class MadeOf:
    """A vocabulary of which most names are mentions of one corpus.

    Attributes:
        vocabulary, corpus: which, and whose mentions.
        mentions: so many of its normal forms are.
        names: so many it has.
    """

    vocabulary: str
    corpus: str
    mentions: int
    names: int

    def __str__(self) -> str:
        return (
            f"vocabulary {self.vocabulary} looks made from {self.corpus}: {self.mentions:,} of its {self.names:,} "
            "names are mentions of it"
        )


Suspect = Uneven | MadeOf


def suspects(kb: KnowledgeBase, annotated: Annotated) -> list[Suspect]:
    """Why vocabularies of an index look made from a corpus; empty where none does.

    Args:
        kb: the index.
        annotated: the Forms of every split that may be looked at, of what is trained on too.
    """
    return [*made_of(kb, annotated), *uneven(kb, annotated)]


def uneven(kb: KnowledgeBase, annotated: Annotated) -> list[Uneven]:
    """Vocabularies that have one split of a corpus and not another, the least likely first.

    Args:
        kb: the index.
        annotated: the Forms of every split; a corpus with one split is passed over.
    """
    # One row for each pair of splits of a corpus and type, one column for each vocabulary.
    pairs: list[tuple[str, str, str, str]] = []
    has, of, other_has, other_of = [], [], [], []
    for corpus, type, splits in _by_type(annotated):
        rare = _of_one_document(splits)
        found = {split: kb.vocabularies.having(keys).sum(axis=1) for split, keys in rare.items()}
        for split, other in permutations(rare, 2):
            pairs.append((corpus, type, split, other))
            has.append(found[split])
            of.append(len(rare[split]))
            other_has.append(found[other])
            other_of.append(len(rare[other]))
    if not pairs:
        return []
    yes, no = np.stack(has), np.stack(other_has)
    total, rest = np.array(of)[:, None], np.array(other_of)[:, None]
    odds = ((yes + 0.5) / (total - yes + 0.5)) / ((no + 0.5) / (rest - no + 0.5))
    chance = hypergeom.sf(yes - 1, total + rest, yes + no, total)
    # Where a vocabulary has nothing of both there is nothing to compare.
    chance = np.minimum(chance * max(1, np.count_nonzero(yes + no)), 1)
    names = kb.vocabularies.names
    suspected = [
        Uneven(
            names[v],
            *pairs[p][:3],
            int(yes[p, v]),
            of[p],
            pairs[p][3],
            int(no[p, v]),
            other_of[p],
            round(float(odds[p, v]), 2),
            float(chance[p, v]),
        )
        for p, v in np.argwhere((odds >= LEAST_ODDS) & (chance <= MOST_CHANCE)).tolist()
    ]
    return sorted(suspected, key=lambda one: one.chance)


def made_of(kb: KnowledgeBase, annotated: Annotated) -> list[MadeOf]:
    """Vocabularies of which most names are mentions of one corpus, whatever their types and splits."""
    names = kb.vocabularies.names
    sizes = kb.vocabularies.sizes()
    suspected: list[MadeOf] = []
    for corpus in dict.fromkeys(name for name, _ in annotated):
        keys = [f.keys for (of, _), types in annotated.items() if of == corpus for f in types.values()]
        found = kb.vocabularies.having(np.unique(np.concatenate(keys))).sum(axis=1) if keys else 0 * sizes
        many = (found >= FEWEST_MENTIONS) & (found >= LEAST_SHARE * sizes)
        suspected += [
            MadeOf(names[v], corpus, int(found[v]), int(sizes[v])) for v in np.flatnonzero(many).tolist()
        ]
    return suspected


def _by_type(annotated: Annotated) -> Iterator[tuple[str, str, dict[str, Forms]]]:
    """Corpus, type, and the Forms of each split that has any."""
    for corpus in dict.fromkeys(name for name, _ in annotated):
        splits = {split: types for (of, split), types in annotated.items() if of == corpus}
        for type in sorted({type for types in splits.values() for type in types}):
            yield corpus, type, {split: types[type] for split, types in splits.items() if type in types}


def _of_one_document(splits: Mapping[str, Forms]) -> dict[str, Any]:
    """Keys of the forms that one document of all splits alone annotates, by split."""
    keys, form = np.unique(np.concatenate([found.keys for found in splits.values()]), return_inverse=True)
    documents = np.bincount(form, np.concatenate([found.documents for found in splits.values()]), len(keys))
    once = keys[documents == 1]
    return {split: found.keys[np.isin(found.keys, once)] for split, found in splits.items()}
