"""In: taggers. Out: one Tagger that asks each what it knows, and settles by a rule what they say differently.

    BRCA1 and breast cancer in Ashkenazi women
              [----A, Disease----]                both models know Disease: a conflict
              [B-----------]                      first: A's stays   score: the better-scored stays   all: both stay
    [B--]                                         B's Gene overlaps nothing of its type: no conflict

Types of one model may overlap and nest, as those of the labeler do; so may different types of different models. Only
spans of the same type from different models are in conflict; with ``flat`` all that overlap are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import tee, zip_longest

from vaner.document import Document, Span
from vaner.errors import VanerError, near
from vaner.tagger import Tagger, can_be_asked
from vaner.tagging.overlap import Places

#: How conflicts may be settled.
CONFLICTS = ("first", "score", "all")


class Several:
    """Several taggers as one.

    Each is asked the types that it knows, and told the dataset if it knows that. What all of them find in a document
    is put together; of two spans with the same place and type, one stays. Documents wait in memory for as long as one
    tagger reads ahead of another.

    Args:
        taggers: name -> tagger, the preferred one first.
        conflicts: of overlapping spans of the same type from different taggers, keep that of the tagger named
            ``first``, that with the best ``score`` (a span without one counts as 0; of equal ones the first tagger's
            stays), or ``all``.
        flat: settle all overlaps so, whatever the types and whoever found them; within a tagger by score.

    Raises:
        VanerError: an unknown rule, or ``flat`` with ``all``.
    """

    def __init__(
        self, taggers: Mapping[str, Tagger], *, conflicts: str = "first", flat: bool = False
    ) -> None:
        check_conflicts(conflicts, flat)
        self.taggers = dict(taggers)
        self.conflicts, self.flat = conflicts, flat

    @property
    def types(self) -> list[str]:
        """Those of all taggers, in order."""
        return list(dict.fromkeys(type for tagger in self.taggers.values() for type in tagger.types))

    @property
    def datasets(self) -> dict[str, list[str]]:
        """Those of all taggers; what each annotates as any of them says."""
        merged: dict[str, list[str]] = {}
        for tagger in self.taggers.values():
            for name, types in tagger.datasets.items():
                merged[name] = list(dict.fromkeys([*merged.get(name, ()), *types]))
        return merged

    @property
    def max_words(self) -> int | None:
        """The most that one of them reads at once."""
        known = [tagger.max_words for tagger in self.taggers.values()]
        return None if None in known else max(words for words in known if words is not None)

    @property
    def allow_new_types(self) -> bool:
        """Whether one of them may be asked for others."""
        return any(tagger.allow_new_types for tagger in self.taggers.values())

    @property
    def listed(self) -> list[str]:
        """Types that one of them finds by their names alone."""
        found = (type for tagger in self.taggers.values() for type in getattr(tagger, "listed", ()))
        return list(dict.fromkeys(found))

    @property
    def tokens(self) -> int:
        """That all of them read in their last runs; 0 where they read none."""
        return sum(getattr(one, "tokens", 0) for one in self.taggers.values())

    @property
    def padded_tokens(self) -> int:
        """The same with padding."""
        return sum(getattr(one, "padded_tokens", 0) for one in self.taggers.values())

    @property
    def counts(self) -> dict[str, int]:
        """What else all of them counted in their last runs."""
        counted: Counter[str] = Counter()
        for one in self.taggers.values():
            counted.update(getattr(one, "counts", {}))
        return dict(counted)

    def tag_documents(
        self, documents: Iterable[Document], types: Sequence[str] | None = None, dataset: str | None = None
    ) -> Iterator[Document]:
        """Tag documents, in input order; see `vaner.tagger.Tagger`.

        Args:
            types: each is asked of the taggers that know it, one that none knows of those that allow new types.
            dataset: told to the taggers that know it.

        Raises:
            VanerError: an unknown type or dataset, or a tagger that knows none of the types.
        """
        asked = self.asked(types, dataset)
        streams = tee(documents, len(asked))
        answers = [
            tagger.tag_documents(stream, asked[name], dataset if dataset in tagger.datasets else None)
            for (name, tagger), stream in zip(self.taggers.items(), streams, strict=True)
        ]
        looked_for = frozenset(type for types in asked.values() for type in types)
        return (self._together(given, looked_for) for given in zip_longest(*answers))

    def remarks(self) -> list[str]:
        """What each has to say, behind its name where there are several."""
        if len(self.taggers) == 1:
            return [said for tagger in self.taggers.values() for said in tagger.remarks()]
        return [f"{name}: {said}" for name, tagger in self.taggers.items() for said in tagger.remarks()]

    def asked(self, types: Sequence[str] | None = None, dataset: str | None = None) -> dict[str, list[str]]:
        """The types that each tagger is asked; arguments and errors as of `tag_documents`."""
        if dataset is not None and dataset not in self.datasets:
            hint = near(dataset, self.datasets) or f"known: {', '.join(self.datasets) or 'none'}"
            raise VanerError(
                f"dataset {dataset!r} was not in training of any model ({hint}); leave it out for adaptive mode"
            )
        if types is None:
            types = self.types if dataset is None else self.datasets[dataset]
        wanted = list(dict.fromkeys([types] if isinstance(types, str) else types))
        for type in wanted:
            if not can_be_asked(self, type):
                hint = near(type, self.types) or f"known: {', '.join(self.types)}"
                raise VanerError(
                    f"type {type!r} was not in training of any model ({hint}); --allow_new_types asks it anyway"
                )
        if not wanted:
            raise VanerError(
                f"{', '.join(self.taggers)}: names no entity types and none are asked; name some with --types"
            )
        asked = {}
        for name, tagger in self.taggers.items():
            asked[name] = [
                t for t in wanted if t in tagger.types or (t not in self.types and can_be_asked(tagger, t))
            ]
            if not asked[name]:
                raise VanerError(
                    f"{name}: knows none of the types asked ({', '.join(wanted)}); leave this model out, or ask for "
                    f"one of its types with --types: {', '.join(tagger.types)}"
                )
        return asked

    def _together(self, given: Sequence[Document | None], looked_for: frozenset[str]) -> Document:
        answers = [document for document in given if document is not None]
        first = answers[0]
        if len(answers) < len(given) or any(document.id != first.id for document in answers):
            each = ", ".join(
                f"{name} {'none' if document is None else document.id}"
                for name, document in zip(self.taggers, given, strict=True)
            )
            raise VanerError(
                f"document {first.id}: the taggers are not at the same document ({each}); a tagger must give every "
                "document once, in order"
            )
        together = first.with_spans(
            settled([document.spans for document in answers], self.conflicts, self.flat)
        )
        # Where one says what it looked for, the document must not say that the others' types are unknown.
        if any(document.types != first.types for document in answers):
            together.types = looked_for
        return together


def check_conflicts(conflicts: str, flat: bool) -> None:
    """Raise VanerError for a rule that does not exist, and for one that says both to keep and to drop."""
    if conflicts not in CONFLICTS:
        raise VanerError(f"conflicts: unknown {conflicts!r}; choose {', '.join(CONFLICTS)}")
    if flat and conflicts == "all":
        raise VanerError(
            "--flat keeps one of overlapping spans and --conflicts all keeps them all; leave one of the two out"
        )


def settled(found: Sequence[Sequence[Span]], conflicts: str, flat: bool) -> list[Span]:
    """The spans of a document that stay, sorted.

    Args:
        found: what each tagger found, the preferred tagger first.
        conflicts, flat: as of `Several`.
    """
    ranked = [(rank, span) for rank, spans in enumerate(found) for span in spans]

    def by_score(one: tuple[int, Span]) -> tuple[object, ...]:
        rank, span = one
        place = (span.start - span.end, span.start, span.type) if flat else ()
        return (-(span.score or 0.0), *place, rank)

    ranked.sort(key=by_score if conflicts == "score" else lambda one: (one[0], by_score(one)))
    places: dict[str, Places] = {}
    whose: dict[Span, int] = {}
    for rank, span in ranked:
        others = places.setdefault("" if flat else span.type, Places())
        rivals = [one for one in others.overlapping(span) if flat or whose[one] != rank]
        if conflicts == "all":
            rivals = [one for one in rivals if (one.key, one.fragments) == (span.key, span.fragments)]
        if not rivals:
            others.add(span)
            whose.setdefault(span, rank)
    return sorted(whose, key=lambda span: span.key)
