"""In: documents, a dictionary, a model. Out: sentences that teach what both say of them (distant labels).

    insulin in breast cancer      dictionary    model             the sentence teaches
    [-----]                       Chemical      Chemical .97      Chemical: insulin
    [-----]                       Gene          -                 of Gene nothing: they differ, and either may be right
               [-----------]      Disease       Disease .99       Disease: breast cancer
    (nothing)                     -             -                 Species: none; of a share of the sentences only

Each sentence becomes a document whose ``types`` are those of which all that is found is agreed on. Training asks a
document for no other type, so nothing that only one of the two found is ever taught as absent.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import tee
from typing import Any

from tabulate import tabulate

from vaner.corpora.overlap import Fingerprints, overlapping, with_pmid
from vaner.document import Document, Span
from vaner.errors import VanerError, near
from vaner.provenance import DISTANT, TAGGED_BY
from vaner.tagger import FAILED, Tagger
from vaner.text.units import Text

# Why a sentence teaches nothing of a type; the first that holds is counted.
_IN_PIECES = "not in one piece"
_BORDERS = "other borders"
_ONLY_MODEL = "only the model"
_ONLY_DICTIONARY = "only the dictionary"
_UNSURE = "scored too low"
CAUSES = (_IN_PIECES, _UNSURE, _BORDERS, _ONLY_MODEL, _ONLY_DICTIONARY)

# What else is counted of each type: mentions, then sentences.
_MENTIONS = ("dictionary", "model", "agreed", "taught")
_SENTENCES = ("with", "without")

# What is counted of documents.
HELD_OUT = "documents left out: dev or test has them"
NOT_TAGGED = "documents left out: the model did not tag them in full"


@dataclass(frozen=True)
class Rule:
    """What is taught.

    Attributes:
        least: the score that the model must give a name of the dictionary, in [0, 1].
        sure: the score from which its own mentions are taught too, whatever the dictionary says of the place; None:
            never.
        negatives: of sentences in which neither finds a type, the share that teaches that none is there.
        seed: chooses these.

    Raises:
        VanerError: a number outside [0, 1], or ``sure`` below ``least``.
    """

    least: float = 0.8
    sure: float | None = None
    negatives: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("least", "sure", "negatives"):
            if (value := getattr(self, name)) is not None and not 0 <= value <= 1:
                raise VanerError(f"--{name} {value}: give a number from 0 to 1")
        if self.sure is not None and self.sure < self.least:
            raise VanerError(
                f"--sure {self.sure}: is below --least {self.least}; what the model finds alone needs no lower score"
            )


class DistantLabels:
    """Turns documents into sentences that a dictionary and a model agree on.

    Args:
        dictionary: usually a `vaner.knowledge.DictionaryTagger`.
        model: finds the same mentions in its own way; its spans have scores.
        record: of the two, as `vaner.provenance.tagged_by` gives it; written into every sentence.
        types: entity types; by default all that both know.
        rule: what is taught.
        left_out: documents that share something with these are not labelled.

    Attributes:
        counts: what happened to documents -> how often; ``documents``, ``sentences`` and ``written`` among them.
        types: entity types that are looked for.

    Raises:
        VanerError: a type that one of the two does not know, or none that both do.
    """

    def __init__(
        self,
        dictionary: Tagger,
        model: Tagger,
        record: Mapping[str, str],
        *,
        types: Sequence[str] | None = None,
        rule: Rule | None = None,
        left_out: Fingerprints | None = None,
    ) -> None:
        self.dictionary, self.model = dictionary, model
        self.record = dict(record)
        self.rule = rule or Rule()
        self.left_out = left_out
        for type in types or ():
            for who, known in (("the index", dictionary.types), ("the model", model.types)):
                if type not in known:
                    hint = near(type, known) or f"it knows {', '.join(known)}"
                    raise VanerError(f"--types {type}: {who} does not know it ({hint}); both must")
        wanted = model.types if types is None else types
        self.types = [type for type in dict.fromkeys(wanted) if type in dictionary.types]
        if not self.types:
            raise VanerError(
                f"index and model know no type in common; the index has {', '.join(dictionary.types)}, the model "
                f"{', '.join(model.types)}"
            )
        self.counts: Counter[str] = Counter()
        self._by_type: dict[str, Counter[str]] = {type: Counter() for type in self.types}

    def sentences(self, documents: Iterable[Document], source: str) -> Iterator[Document]:
        """The sentences that teach something, in order; documents are read as they are needed.

        Args:
            documents: with unique ids; spans that they have are not looked at.
            source: what they were read from; ids begin with it.

        Yields:
            documents of one sentence each. ``metadata`` has what the whole document says in strings and numbers,
            its PubMed id as ``pmid``, where the sentence is from (``distant``) and who labelled it (``tagged_by``).
        """
        first, second = tee(self._to_label(documents))
        named = self.dictionary.tag_documents(first, self.types)
        found = self.model.tag_documents(second, self.types)
        for by_dictionary, by_model in zip(named, found, strict=True):
            if FAILED in by_model.metadata:
                self.counts[NOT_TAGGED] += 1
                continue
            yield from self._of_document(by_dictionary, by_model, source)

    def _to_label(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            self.counts["documents"] += 1
            document = with_pmid(document)
            if self.left_out is not None and overlapping([document], self.left_out):
                self.counts[HELD_OUT] += 1
                continue
            yield document

    def _of_document(self, by_dictionary: Document, by_model: Document, source: str) -> Iterator[Document]:
        text = Text.of(by_dictionary)
        names, found = self._by_types(by_dictionary.spans), self._by_types(by_model.spans)
        for type, counts in self._by_type.items():
            places = {(name.start, name.end) for name in names[type]}
            counts["dictionary"] += len(names[type])
            counts["model"] += len(found[type])
            counts["agreed"] += sum((span.start, span.end) in places for span in found[type])
        for first, end_word in text.sentence_ranges():
            start, end = text.offsets[first][0], text.offsets[end_word - 1][1]
            sentence = self._of_sentence(by_dictionary, start, end, names, found, source)
            self.counts["sentences"] += 1
            if sentence is not None:
                self.counts["written"] += 1
                yield sentence

    def _by_types(self, spans: Iterable[Span]) -> dict[str, list[Span]]:
        sorted_out: dict[str, list[Span]] = {type: [] for type in self.types}
        for span in spans:
            if span.type in sorted_out:
                sorted_out[span.type].append(span)
        return sorted_out

    def _of_sentence(
        self,
        document: Document,
        start: int,
        end: int,
        names: Mapping[str, Sequence[Span]],
        found: Mapping[str, Sequence[Span]],
        source: str,
    ) -> Document | None:
        """A sentence as a document; None where it teaches nothing."""
        id = f"{source}/{document.id}:{start}"
        with_absent = share_of(self.rule.seed, id) < self.rule.negatives
        spans: list[Span] = []
        types: list[str] = []
        for type in self.types:
            counts = self._by_type[type]
            agreed = agreement(
                [name for name in names[type] if name.start < end and name.end > start],
                [span for span in found[type] if span.start < end and span.end > start],
                start,
                end,
                self.rule,
            )
            if isinstance(agreed, str):
                counts[agreed] += 1
            elif agreed or with_absent:
                types.append(type)
                spans += agreed
                counts["with" if agreed else "without"] += 1
                counts["taught"] += len(agreed)
        if not types:
            return None
        told: dict[str, Any] = {
            key: value for key, value in document.metadata.items() if isinstance(value, str | int | float)
        }
        told[DISTANT] = {"source": source, "document": document.id, "start": start}
        told[TAGGED_BY] = self.record
        return Document(
            id,
            document.text[start:end],
            [replace(span, start=span.start - start, end=span.end - start) for span in spans],
            # Alone, it might be split in another way than in its document.
            sentences=[(0, end - start)],
            types=frozenset(types),
            metadata=told,
        )

    @property
    def only_absent(self) -> list[str]:
        """Types of which sentences teach that none is there, and never a mention."""
        return [type for type, counts in self._by_type.items() if counts["without"] and not counts["taught"]]

    def table(self) -> str:
        """Of each type, what was found and taught, and why sentences teach nothing of it."""
        heads = [
            "",
            *(f"{name} mentions" for name in _MENTIONS),
            *(f"sentences {name}" for name in _SENTENCES),
        ]
        rows = [
            [type, *(counts[name] for name in (*_MENTIONS, *_SENTENCES, *CAUSES))]
            for type, counts in self._by_type.items()
        ]
        return tabulate(rows, headers=[*heads, *CAUSES], intfmt=",", maxheadercolwidths=12)


def agreement(
    names: Sequence[Span], found: Sequence[Span], start: int, end: int, rule: Rule
) -> list[Span] | str:
    """What a sentence teaches of one type.

    Args:
        names: what the dictionary marks of the type, as far as it touches the sentence.
        found: what the model finds of it there.
        start, end: of the sentence.
        rule: which scores are enough.

    Returns:
        the mentions, which are all that either found, possibly none; or the first of ``CAUSES`` for which nothing is
        to be taught.
    """
    taught: list[Span] = []
    causes: set[str] = set()
    settled: list[Span] = []  # where the dictionary is not asked
    places = {(name.start, name.end) for name in names}
    for span in found:
        score = span.score or 0.0
        named = (span.start, span.end) in places
        if span.start < start or span.end > end or span.fragments:
            causes.add(_IN_PIECES)
        elif rule.sure is not None and score >= rule.sure:
            taught.append(span)
            settled.append(span)
        elif named and score >= rule.least:
            taught.append(span)
        elif named:
            causes.add(_UNSURE)
        else:
            causes.add(_BORDERS if _touches(span, names) else _ONLY_MODEL)
    agreed = {(span.start, span.end) for span in taught}
    for name in names:
        if not _touches(name, found):
            causes.add(_ONLY_DICTIONARY)
        elif (name.start, name.end) not in agreed and not _touches(name, settled):
            causes.add(_BORDERS)
    return next((cause for cause in CAUSES if cause in causes), None) or taught


def _touches(span: Span, others: Collection[Span]) -> bool:
    return any(other.start < span.end and other.end > span.start for other in others)


def share_of(seed: int, id: str) -> float:
    """A number in [0, 1) that follows from seed and id alone, so that no order of documents matters."""
    digest = hashlib.blake2b(f"{seed}\0{id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
