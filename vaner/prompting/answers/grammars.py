"""In: rules of texts and names. Out: the same grammar as llguidance (Lark) and as llama.cpp (GBNF) read it.

Rules name each other to the right only (``p3: "aspirin : " c3``), so that neither parser's work grows with what was
read before. No regular expression is written: a tag depends on the one before, and a pattern that counts
words would have to spell out every state at every word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Name:
    """The name of another rule: small letters and digits."""

    name: str


Item = str | Name
"""A text to be written as it is, or what another rule allows."""


@dataclass
class Rules:
    """A grammar under construction; `start` is where an answer begins."""

    start: str
    rules: dict[str, list[tuple[Item, ...]]] = field(default_factory=dict)

    def add(self, name: str, *alternatives: Sequence[Item]) -> None:
        """One more rule, or alternatives to one that is there."""
        self.rules.setdefault(name, []).extend(tuple(a) for a in alternatives)

    def lark(self) -> str:
        """For llguidance."""
        lines = [f"start: {self.start}"]
        lines += [
            f"{name}: {' | '.join(_sequence(a, _quoted) for a in ways)}" for name, ways in self.rules.items()
        ]
        return "\n".join(lines) + "\n"

    def gbnf(self) -> str:
        """For llama.cpp."""
        lines = [f"root ::= {self.start}"]
        lines += [
            f"{name} ::= {' | '.join(_sequence(a, _quoted_gbnf) for a in ways)}"
            for name, ways in self.rules.items()
        ]
        return "\n".join(lines) + "\n"


def _sequence(items: tuple[Item, ...], quoted) -> str:  # type: ignore[no-untyped-def]
    # An empty text beside others says nothing; alone it is the way to write nothing.
    kept = [item for item in items if item != ""]
    return " ".join(item.name if isinstance(item, Name) else quoted(item) for item in kept) or '""'


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _quoted_gbnf(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda sign: f"\\x{ord(sign[0]):02X}", escaped) + '"'


def tag_rules(
    before: Sequence[str], types: Sequence[str], block_starts: frozenset[int] = frozenset()
) -> Rules:
    """Rules of a tag for each word, in which no I- follows but a B- or I- of its type.

    Args:
        before: what is written before each word's tag, the line break to the line above included.
        types: that may be tagged.
        block_starts: words at which no mention goes on.

    Returns:
        two rules a word and type: as many as words times types, not the exponential number of ways.
    """
    rules, count = Rules("p0"), len(before)
    if not count:
        rules.add("p0", [""])
    for i, text in enumerate(before):
        # p: the tag before was O; c: the choices that never depend on it; q0, q1, ...: a mention is open.
        following = [Name(f"q{i + 1}x{t}") if i + 1 < count else "" for t in range(len(types))]
        outside: Item = Name(f"p{i + 1}") if i + 1 < count else ""
        rules.add(f"p{i}", [text, Name(f"c{i}")])
        rules.add(f"c{i}", ["O", outside], *(["B-" + type, following[t]] for t, type in enumerate(types)))
        for t, type in enumerate(types if i else ()):
            go_on = [] if i in block_starts else [[text, "I-" + type, following[t]]]
            rules.add(f"q{i}x{t}", [text, Name(f"c{i}")], *go_on)
    return rules
