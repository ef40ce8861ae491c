"""In: an index of names; documents and held-out splits. Out: how many of their mentions the index has, as counts.

mentions of a split, by type and normal form  ->  Forms: hashes and counts, no text
Forms of all splits                           ->  Coverage: what the index has of them, unseen ones apart
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from vaner.corpora.registry import Corpus, EntityType
from vaner.document import Document
from vaner.knowledge import KnowledgeBase

#: ``(corpus, split)`` -> type -> what is annotated there.
Annotated = Mapping[tuple[str, str], Mapping[str, "Forms"]]

#: What the registry says of types, among it which names of an index serve one.
Types = Mapping[str, EntityType]


@dataclass(frozen=True)
class Forms:
    """The distinct mentions of one type, by normal form: hashes and counts, each array of shape ``(forms,)``.

    Attributes:
        keys: `vaner.knowledge.key_of` each, sorted, uint64.
        documents: how many documents annotate it.
        mentions: how often it is annotated.
        as_type: how many of these mentions the index matches as a name that serves this type, capitals as in the text.
        as_any: how many it matches as a name of any type.
    """

    keys: np.ndarray
    documents: np.ndarray
    mentions: np.ndarray
    as_type: np.ndarray
    as_any: np.ndarray

    def of(self, chosen: np.ndarray) -> Forms:
        """Those that ``chosen`` (bool, or numbers) picks."""
        return Forms(*(getattr(self, field.name)[chosen] for field in fields(self)))


def forms(kb: KnowledgeBase, documents: Iterable[Document], types: Types | None = None) -> dict[str, Forms]:
    """Type -> what documents annotate of it. Mentions without a letter, digit or sign are left out.

    Args:
        kb: the index.
        documents: with gold spans.
        types: what each type may be called in the index, as genes serve proteins; another is served by its own names.
    """
    mentions: dict[str, Counter[str]] = defaultdict(Counter)
    appears: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for number, document in enumerate(documents):
        for type, text in {(span.type, span.text) for span in document.spans}:
            appears[type].append((text, number))
        for span in document.spans:
            mentions[span.type][span.text] += 1
    served = {type: (types[type].names if types and type in types else ()) or (type,) for type in mentions}
    return {type: _forms(kb, served[type], mentions[type], appears[type]) for type in sorted(mentions)}


def _forms(
    kb: KnowledgeBase, served_by: Sequence[str], mentions: Counter[str], appears: list[tuple[str, int]]
) -> Forms:
    texts = list(mentions)
    spelt, types = kb.keys_and_types(texts)
    wanted = kb.mask([type for type in served_by if type in kb.types])
    often = np.array([mentions[text] for text in texts])
    as_type = types & np.uint64(wanted) > 0
    keys, form = np.unique(spelt, return_inverse=True)

    def count(of: np.ndarray) -> np.ndarray:
        return np.bincount(form, of, len(keys)).astype(np.int64)

    # Two spellings in one document are one document with the form.
    form_of = dict(zip(texts, form.tolist(), strict=True))
    pairs = {(form_of[text], number) for text, number in appears}
    documents = np.bincount([of for of, _ in pairs], minlength=len(keys))
    found = Forms(keys, documents, count(often), count(often * as_type), count(often * (types > 0)))
    return found.of(keys > 0)


@dataclass(frozen=True)
class Counts:
    """How many mentions there are, and how many of them an index has.

    Attributes:
        forms: distinct normal forms.
        forms_as_type: those with a mention that the index matches as a name that serves the mention's type.
        forms_as_any: those with a mention that it matches as a name of any type.
        mentions, mentions_as_type, mentions_as_any: the same of all mentions.
    """

    forms: int = 0
    forms_as_type: int = 0
    forms_as_any: int = 0
    mentions: int = 0
    mentions_as_type: int = 0
    mentions_as_any: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Coverage:
    """What an index has of the mentions of one type in one split.

    Attributes:
        corpus, split, type: whose.
        seen: mentions that training annotates with the same type, whichever of its corpora does.
        unseen: all others; none in what is trained on.
    """

    corpus: str
    split: str
    type: str
    seen: Counts
    unseen: Counts

    @property
    def all(self) -> Counts:
        return self.seen + self.unseen


def forms_of_splits(
    kb: KnowledgeBase,
    splits: Iterable[tuple[Corpus, str]],
    data_root: str | os.PathLike | None = None,
    types: Types | None = None,
) -> dict[tuple[str, str], dict[str, Forms]]:
    """The Forms of ``(corpus, split)`` pairs, whose files must be there.

    This opens test gold. Hashes of normal forms and counts leave it, and neither text nor annotation.
    """
    return {
        (corpus.name, split): forms(kb, corpus.documents(split, data_root, on_error="skip"), types)
        for corpus, split in splits
    }


def coverage(annotated: Annotated, trained: Iterable[tuple[str, str]]) -> list[Coverage]:
    """What the index that the Forms were counted with has of each split and type.

    Args:
        annotated: the Forms of training and of the held-out splits.
        trained: the ``(corpus, split)`` pairs among them that are trained on.
    """
    known: dict[str, list[np.ndarray]] = defaultdict(list)
    for of in trained:
        for type, found in annotated[of].items():
            known[type].append(found.keys)
    return list(_covered(annotated, {type: np.concatenate(keys) for type, keys in known.items()}))


def _covered(annotated: Annotated, known: Mapping[str, np.ndarray]) -> Iterator[Coverage]:
    none = np.zeros(0, np.uint64)
    for (corpus, split), types in annotated.items():
        for type, found in types.items():
            seen = np.isin(found.keys, known.get(type, none))
            yield Coverage(corpus, split, type, _counted(found.of(seen)), _counted(found.of(~seen)))


def _counted(found: Forms) -> Counts:
    parts = (found.mentions, found.as_type, found.as_any)
    return Counts(*(int((part > 0).sum()) for part in parts), *(int(part.sum()) for part in parts))
