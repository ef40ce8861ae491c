"""In: documents with spans, and a knowledge base. Out: the same, each span with its concept ids, best first.

Four steps, the first that finds something counts:

    exact         a name spelt like the mention
    normalised    a name with its normal form, or with its words in another order
    abbreviation  the same for the mention with the abbreviations spelt out that its document defines
    ngram         names whose three-letter sequences are similar enough

A mention that the document defines as an abbreviation is spelt out first: ``APC`` means what the author says.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from vaner.document import Concept, Document
from vaner.errors import VanerError
from vaner.knowledge.index import KnowledgeBase, Name
from vaner.knowledge.normalise import normalise
from vaner.text.abbreviations import expansions

#: How far a step is trusted; the score of its concepts, times the similarity in the last one.
SCORES = {"exact": 1.0, "normalised": 0.95, "abbreviation": 0.9, "ngram": 0.8}

_WORDS_THAT_MAY_MOVE = frozenset(["of", "the", "in", "and", "with", "a", "an", ",", "to", "for", "by"])


class Linker:
    """Finds concept ids for mentions.

    Args:
        kb: the knowledge base.
        least: similarity below which the n-gram step finds nothing, in [0, 1]; 1 switches it off.
        limit: concepts a span gets at most.
        sources: names of vocabularies to take ids from, preferred ones first; None for all, as compiled.

    Raises:
        VanerError: for another similarity, or a vocabulary that the index does not have.
    """

    def __init__(
        self,
        kb: KnowledgeBase,
        *,
        least: float = 0.5,
        limit: int = 5,
        sources: Sequence[str] | None = None,
    ) -> None:
        if not 0 <= least <= 1:
            raise VanerError(f"least {least}: a similarity is a number from 0 to 1")
        self.kb, self._least, self._limit = kb, least, limit
        known = [v["name"] for v in kb.description["vocabularies"]]
        kb.check_sources(sources)
        self._order = {name: place for place, name in enumerate(sources or known)}
        self._candidates = lru_cache(maxsize=100_000)(self._find)

    def link_documents(
        self, documents: Iterable[Document], labels: Mapping[str, str] = {}
    ) -> Iterator[Document]:
        """Give every span of every document its concepts; those it had are replaced."""
        for document in documents:
            yield self.link_document(document, labels)

    def link_document(self, document: Document, labels: Mapping[str, str] = {}) -> Document:
        """The document with the concepts of every span.

        Args:
            document: any; its definitions of abbreviations are used.
            labels: type of a span -> canonical type, where they differ.
        """
        table = expansions(document.text)
        return document.with_spans(
            replace(span, concepts=self.link(span.text, labels.get(span.type, span.type), table))
            for span in document.spans
        )

    def link(self, mention: str, type: str, abbreviations: Mapping[str, str] = {}) -> tuple[Concept, ...]:
        """The concepts of one mention, best first.

        Args:
            mention: its text.
            type: its canonical type; concepts of other types are left out. A type that the knowledge base does
                not have leaves all in.
            abbreviations: short form -> long form, as its document defines them.
        """
        wanted = type if type in self.kb.types else None
        spelt_out = _spelt_out(mention, abbreviations)
        if spelt_out != mention:
            found = self._candidates(spelt_out, wanted)
            if found:
                score = SCORES["abbreviation"]
                return tuple(replace(c, match="abbreviation", score=min(score, c.score or 0)) for c in found)
        return self._candidates(mention, wanted)

    def _find(self, mention: str, type: str | None) -> tuple[Concept, ...]:
        names = [n for n in self.kb.lookup(mention) if type is None or type in n.types]
        found = self._ranked([(n, 1.0) for n in names], type, "normalised", mention)
        if found or self._least >= 1:
            return found
        # Word order is looked at among the names that share rare words, which the last step needs as well.
        related = self.kb.related(mention, None if type is None else [type], limit=50, least=self._least)
        similar = [(self.kb.name(number), similarity) for number, similarity in related]
        bag = _bag(mention)
        found = self._ranked(
            [(n, 1.0) for n, _ in similar if _bag(n.text) == bag], type, "normalised", mention
        )
        return found or self._ranked(similar, type, "ngram", mention)

    def _ranked(
        self, names: Iterable[tuple[Name, float]], type: str | None, match: str, mention: str
    ) -> tuple[Concept, ...]:
        """The concepts of the names by similarity, source, preferred name, and how many names say so.

        Spelling does not rank: vocabularies differ in capitals, not in meaning.
        """
        best: dict[str, float] = {}
        votes: dict[str, int] = defaultdict(int)
        preferred: dict[str, bool] = defaultdict(bool)
        source: dict[str, str] = {}
        exact: set[str] = set()
        for name, similarity in names:
            for entry in name.concepts:
                if not entry.id or entry.source not in self._order:
                    continue
                if type is not None and type not in entry.types:
                    continue
                best[entry.id] = max(best.get(entry.id, 0.0), similarity)
                votes[entry.id] += 1
                preferred[entry.id] |= normalise(entry.preferred_name) == normalise(name.text)
                if name.text == mention:
                    exact.add(entry.id)
                if entry.id not in source or self._order[entry.source] < self._order[source[entry.id]]:
                    source[entry.id] = entry.source
        ranked = sorted(
            best,
            key=lambda i: (-best[i], self._order[source[i]], not preferred[i], -votes[i], i),
        )
        steps = {i: "exact" if i in exact else match for i in ranked[: self._limit]}
        return tuple(
            Concept(i, source[i], round(SCORES[step] * best[i], 4), step) for i, step in steps.items()
        )


def _bag(text: str) -> tuple[str, ...]:
    return tuple(sorted(word for word in normalise(text).split() if word not in _WORDS_THAT_MAY_MOVE))


def _spelt_out(mention: str, abbreviations: Mapping[str, str]) -> str:
    """The mention with the short forms in it replaced; a plural s of a short form goes with it."""
    for short, long in abbreviations.items():
        if short in mention and long not in mention:
            literal = long.replace("\\", r"\\")
            mention = re.sub(rf"(?<!\w){re.escape(short)}s?(?!\w)", literal, mention)
    return mention


class Accuracy:
    """Accuracy@1 of concept ids against gold ids, by type and by the step that found them.

    A mention counts as right if its first concept is one of its gold ids (a composite mention has several).
    Mentions without a gold id (``-1``) are left out; mentions without any concept found count as wrong.
    """

    _ROW = "{:12}{:14}{:>9}{:>9}{:>12}"

    def __init__(self) -> None:
        self.mentions: dict[tuple[str, str], int] = defaultdict(int)
        self.right: dict[tuple[str, str], int] = defaultdict(int)
        self.without_gold = 0

    def add(self, gold: Document, linked: Document, labels: Mapping[str, str] = {}) -> None:
        """Compare the same document before and after linking."""
        for before, after in zip(gold.spans, linked.spans, strict=True):
            wanted = {_bare(part) for c in before.concepts for part in c.id.split("+")} - {"-1", ""}
            if not wanted:
                self.without_gold += 1
                continue
            type_ = labels.get(before.type, before.type)
            first = after.concepts[0] if after.concepts else None
            step = (first.match or "") if first else "nothing found"
            is_right = first is not None and _bare(first.id) in wanted
            for key in ((type_, step), (type_, "all")):
                self.mentions[key] += 1
                self.right[key] += is_right

    def table(self) -> list[str]:
        """Lines of text: type, step, mentions, right ones, accuracy in percent."""
        lines = [self._ROW.format("type", "step", "mentions", "right", "accuracy@1")]
        order = [*SCORES, "nothing found", "all"]
        for type_, step in sorted(self.mentions, key=lambda k: (k[0], order.index(k[1]))):
            mentions, right = self.mentions[type_, step], self.right[type_, step]
            lines.append(self._ROW.format(type_, step, mentions, right, f"{100 * right / mentions:.1f}"))
        lines.append(f"{self.without_gold} mentions have no gold id and are left out")
        return lines


def _bare(identifier: str) -> str:
    """Gold files write MeSH ids with and without their prefix."""
    return identifier.removeprefix("MESH:")
