"""In: what instructions let a machine check, a mention. Out: accepted, shortened, or rejected, and by which rule.

    "the breast cancer"   without_leading: the      ->  "breast cancer"
    "patients"            never: patients           ->  rejected
    "of more than six words which is surely none"   most_words: 6  ->  rejected

A mention is shortened first, and what is left is checked; words are what white space parts. A counter-example rejects
the same words: anywhere where it is nothing but these words, else where the document has the whole of it around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vaner.annotation.marked import ACCEPTED, CORRECTED, REJECTED, Marked, Verdict
from vaner.annotation.statements import Checks, Example
from vaner.document import Document, Span
from vaner.errors import VanerError

# Why a mention is rejected or shortened, beside the names of checks.
NOTHING_LEFT = "nothing but words that begin or end none"
COUNTER_EXAMPLE = "counter_example"
BORDER = "words at its border"

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class TypeRules:
    """What mentions of a type are held to.

    Attributes:
        checks: as the instructions have them.
        counter_examples: ``(text, mentions)`` of texts in which these mentions are none.
    """

    checks: Checks = Checks()
    counter_examples: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, checks: Checks, examples: Iterable[Example], unverified: bool = False) -> TypeRules:
        """Of instructions; counter-examples that stand in no guideline only where ``unverified`` says so."""
        return cls(checks, tuple((one.text, one.mentions) for one in examples if one.verified or unverified))

    def to_dict(self) -> dict[str, Any]:
        """As YAML holds it; what is empty is left out."""
        said = {name: _listed(value) for name, value in asdict(self.checks).items() if value}
        counter = [{"text": text, "mentions": list(mentions)} for text, mentions in self.counter_examples]
        return said | ({"counter_examples": counter} if counter else {})

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> TypeRules:
        """Of what `to_dict` gave."""
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in said.items() if k != "counter_examples"
        }
        counter = said.get("counter_examples", ())
        return cls(Checks(**given), tuple((one["text"], tuple(one["mentions"])) for one in counter))

    def __bool__(self) -> bool:
        return bool(self.to_dict())


@dataclass
class Rules:
    """A verifier that needs no model.

    Args:
        by_type: type -> what its mentions are held to; mentions of other types are accepted.

    Raises:
        VanerError: a pattern that is no regular expression.
    """

    by_type: Mapping[str, TypeRules]
    name: str = "rules"
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._held = {type: _Held(type, rules) for type, rules in self.by_type.items()}

    def verify(self, marked: Iterator[Marked], types: Sequence[str]) -> Iterator[Marked]:
        """Judge the mentions of documents, in order."""
        for one in marked:
            one.follow(self.name, [self._verdict(one.document, span) for span in one.spans])
            yield one

    def remarks(self) -> list[str]:
        """Nothing: what it changed is counted with the documents."""
        return []

    def _verdict(self, document: Document, span: Span) -> Verdict:
        rules = self._held.get(span.type)
        return Verdict() if rules is None or span.fragments else rules.verdict(document, span)


class _Held:
    """Mentions of one type, held to its rules."""

    def __init__(self, type: str, rules: TypeRules) -> None:
        self.checks = rules.checks
        for pattern in self.checks.pattern_never:
            try:
                re.compile(pattern)
            except re.error as error:
                raise VanerError(
                    f"{type}: pattern_never: {pattern!r} is no regular expression ({error}); correct it"
                ) from None
        self.contexts: dict[str, list[tuple[str, int]]] = {}
        for text, mentions in rules.counter_examples:
            whole, at = _squeezed(text), 0
            for mention in map(_squeezed, mentions):
                # They stand in the order of the text.
                if (place := whole.find(mention, at)) >= 0:
                    self.contexts.setdefault(mention, []).append((whole, place))
                    at = place + len(mention)

    def verdict(self, document: Document, span: Span) -> Verdict:
        words = [
            (span.start + found.start(), span.start + found.end()) for found in _WORD.finditer(span.text)
        ]
        said = [document.text[start:end] for start, end in words]
        first, last = 0, len(words)
        while first < last and said[first] in self.checks.without_leading:
            first += 1
        while first < last and said[last - 1] in self.checks.without_trailing:
            last -= 1
        if first == last:
            return Verdict(REJECTED, why=NOTHING_LEFT)
        start, end = span.start, span.end
        if (first, last) != (0, len(words)):
            start, end = words[first][0], words[last - 1][1]
        for broken in self.checks.broken(document.text[start:end]):
            return Verdict(REJECTED, why=broken)
        if self._is_counter_example(document.text, start, end):
            return Verdict(REJECTED, why=COUNTER_EXAMPLE)
        if (start, end) == (span.start, span.end):
            return Verdict(ACCEPTED)
        return Verdict(CORRECTED, start=start, end=end, why=BORDER)

    def _is_counter_example(self, text: str, start: int, end: int) -> bool:
        said = _squeezed(text[start:end])
        for whole, place in self.contexts.get(said, ()):
            # As much around the mention as the example has; white space may be more of it in the document.
            behind = len(whole) - place - len(said)
            before = _folded(text[:start][-2 * place - 20 :])
            after = _folded(text[end : end + 2 * behind + 20])
            if before.endswith(whole[:place]) and after.startswith(whole[len(whole) - behind :]):
                return True
        return False


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _folded(text: str) -> str:
    """Without capitals, white space as single spaces."""
    return re.sub(r"\s+", " ", text).casefold()


def _squeezed(text: str) -> str:
    return _folded(text).strip()
