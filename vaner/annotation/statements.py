"""In: what a guideline says of a type. Out: statements and examples, each with the quotation it rests on; checks."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """One thing that a guideline says.

    Attributes:
        text: as prompts say it, which people may edit; the quotation itself where they wrote none.
        quote: words of the guideline; empty where nothing could be quoted.
        file: the guideline they stand in, as the instructions name it; empty without a quotation.
        start, end: code points of the quotation in the text as read; 0, 0 where it was not found.
        page: the page it begins on, from 1; None where the file has none.
        verified: the quotation stands in the guideline, verbatim up to runs of white space.
    """

    text: str
    quote: str = ""
    file: str = ""
    start: int = 0
    end: int = 0
    page: int | None = None
    verified: bool = False


@dataclass(frozen=True)
class Example(Statement):
    """A piece of text and what of it is marked; of a counter-example, what of it must not be.

    Attributes:
        mentions: substrings of ``text``, in its order. An example without any is a text in which nothing is marked.
    """

    mentions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checks:
    """What a machine can hold a mention to.

    Attributes:
        never: names that are not marked, whatever their capitals.
        without_leading, without_trailing: words that neither begin nor end a mention, with the capitals that they are
            written with: ``a`` is not the A of ``A. nidulans``.
        most_words: of a mention; 0 for no limit.
        pattern_never: regular expressions (``re``); a mention in which one is found is none.
    """

    never: tuple[str, ...] = ()
    without_leading: tuple[str, ...] = ()
    without_trailing: tuple[str, ...] = ()
    most_words: int = 0
    pattern_never: tuple[str, ...] = ()

    def broken(self, mention: str) -> tuple[str, ...]:
        """Which of these a mention breaks, by their names; empty where none. Words are what white space parts."""
        words = mention.split()
        said = {
            "never": " ".join(words).casefold() in _folded(self.never),
            "without_leading": words[:1] != [] and words[0] in self.without_leading,
            "without_trailing": words[:1] != [] and words[-1] in self.without_trailing,
            "most_words": 0 < self.most_words < len(words),
            "pattern_never": any(re.search(pattern, mention) for pattern in self.pattern_never),
        }
        return tuple(name for name, broken in said.items() if broken)


@dataclass(frozen=True)
class TypeInstructions:
    """What a guideline says of one type.

    Attributes:
        definition: what the type is; None where the guideline does not say.
        mark: what is marked.
        leave: what is not.
        boundaries: where a mention begins and ends.
    """

    definition: Statement | None = None
    mark: tuple[Statement, ...] = ()
    leave: tuple[Statement, ...] = ()
    boundaries: tuple[Statement, ...] = ()
    examples: tuple[Example, ...] = ()
    counter_examples: tuple[Example, ...] = ()
    checks: Checks = Checks()


@dataclass(frozen=True)
class Conflict:
    """Two statements that cannot both be followed.

    Attributes:
        about: what they differ on.
        between: both, quoted.
        follow: what a person decided, which prompts say; empty while nobody has.
        types: which it concerns; none: all.
    """

    about: str
    between: tuple[Statement, Statement]
    follow: str = ""
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guideline:
    """A file that was read.

    Attributes:
        name: what the instructions call it.
        file: its path below the folder of guidelines, or beside the instructions.
        sha256: of its bytes when its quotations were last verified; empty before that.
        source, licence, url: who wrote it, what may be done with it, where it is to be had.
        types: which it tells of; none: all.
        begins, ends: words between which the text lies that a prompt says whole; empty: from its first, to its last.
        whole: prompts may say it whole.
    """

    name: str
    file: str
    sha256: str = ""
    source: str = ""
    licence: str = ""
    url: str = ""
    types: tuple[str, ...] = ()
    begins: str = ""
    ends: str = ""
    whole: bool = True


def _folded(names: tuple[str, ...]) -> set[str]:
    return {" ".join(name.casefold().split()) for name in names}
