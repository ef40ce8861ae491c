"""In: words, and an answer with a line for each (``aspirin : B-Chemical``). Out: a tag for each word, or None.

index     line n is about word n (arXiv 2407.00731); words behind the last line get None, never a silent O
difflib   runs of equal words take their lines' tags (arXiv 2504.00664); words without an equal get None
exact     mentions are read from the answer's own words, and looked for in the text (`grounding`)
fuzzy     as exact, and what is nearly in the text is taken
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from vaner.errors import VanerError, near
from vaner.formats.conll import mentions as runs
from vaner.prompting.answers.bio import Labels, role_and_type
from vaner.prompting.found import (
    CHATTER,
    INVALID_TAG,
    MALFORMED,
    NOT_IN_TEXT,
    REPEATED,
    WRONG_LINE_COUNT,
    Found,
)

ALIGNMENTS = ("index", "difflib", "exact", "fuzzy")
#: Similarity that `fuzzy` asks for.
LEAST = 0.9

# What free answers put before a word: a number, a bullet, a quote, a cell border.
_BEFORE = re.compile(r"(?:\(?\d{1,4}[.):]\s*|[-*\u2022]\s+|\|\s*)")
_QUOTES = "`\"'*|"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an answer.

    Attributes:
        word: that it names.
        tag: that it gives; None where it gives none that may be.
        start, end: where the tag stands in the answer.
    """

    word: str
    tag: str | None
    start: int
    end: int


@dataclass
class Aligned:
    """What an answer says of each word.

    Attributes:
        tags: of each word; None where the answer says nothing.
        lost: cause (`found.CAUSES`) -> how many lines or mentions were lost to it.
        examples: cause -> the first that was.
        lines: which line gave each word its tag; None where none did.
    """

    tags: list[str | None]
    lost: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    lines: list[Line | None] = field(default_factory=list)


def tags_of_answer(
    tokens: Sequence[str],
    answer: str,
    how: str,
    *,
    types: Sequence[str] | None = None,
    separator: str = ":",
    every: bool = True,
    least: float = LEAST,
) -> Aligned:
    """Read an answer that has a ``token:TAG`` line for each token.

    Args:
        tokens: the words that were asked about.
        answer: what was written.
        how: one of ALIGNMENTS.
        types: that were asked; None takes tags of any type.
        separator: between token and tag; lines are split at the last one, and space around it does not matter.
        every: with ``exact``, whether a mention that is listed once stands wherever the text has it.
        least: with ``fuzzy``, the similarity in [0, 1] that is near enough.

    Raises:
        VanerError: no such alignment.
    """
    lost = Found()
    lines = read_lines(answer, tokens, separator, Labels(types), lost)
    return align(tokens, lines, how, lost, every=every, least=least)


def read_lines(
    answer: str, words: Sequence[str], separator: str, labels: Labels, lost: Found, *, whole: bool = True
) -> list[Line]:
    """The lines of an answer that are about words.

    Talk before and behind, headers, fences and empty lines are skipped; between the first and the last line that
    gives a tag or names a word, each line counts, so that those behind it keep their numbers.

    Args:
        answer: what was written.
        words: that were asked about.
        separator: between word and tag.
        labels: tags that may be given.
        lost: takes what was skipped (CHATTER) and tags that may not be given.
        whole: False where the answer was cut off: its last line may be half of one, and is left out.
    """
    known, sign = set(words), separator.strip() or separator
    found: list[tuple[Line, bool, str, str]] = []
    at = 0
    rows = answer.split("\n")
    for number, row in enumerate(rows):
        start, at = at, at + len(row) + 1
        text = row.strip()
        if not text or text.startswith("```") or (not whole and number == len(rows) - 1):
            continue
        written, where = _cut(text, sign, labels)
        tag, why = labels.read(written) if written is not None else (None, INVALID_TAG)
        word = _word(text[:where].rstrip().removesuffix(sign).strip() if written is not None else text, known)
        begin = start + row.find(text) + where
        line = Line(word, tag, begin, start + len(row.rstrip()))
        found.append((line, tag is not None or (word in known and word != ""), why, text))
    about = [i for i, (_, is_about, _, _) in enumerate(found) if is_about]
    inside = range(about[0], about[-1] + 1) if about else range(0)
    lines = []
    for i, (line, _, why, text) in enumerate(found):
        if i not in inside:
            lost.lose(CHATTER, text)
            continue
        if line.tag is None:
            lost.lose(why, text)
        lines.append(line)
    return lines


def _cut(text: str, sign: str, labels: Labels) -> tuple[str | None, int]:
    """The tag as it is written at the end of a line, and where it begins; None where there is no separator."""
    label = labels.at_end(text)
    if label is not None and text[: -len(label)].rstrip().endswith(sign):
        return label, len(text) - len(label)
    at = text.rfind(sign)
    if at < 0:
        return None, len(text)
    rest = text[at + len(sign) :]
    return rest, len(text) - len(rest.lstrip())


def _word(text: str, known: set[str]) -> str:
    """The word that a line names, without a number, bullet or quotes that are not part of it."""
    for candidate in (
        text,
        text.strip(_QUOTES),
        (bare := _BEFORE.sub("", text, count=1)),
        bare.strip(_QUOTES),
    ):
        if candidate.strip() in known:
            return candidate.strip()
    return text


def align(
    words: Sequence[str],
    lines: Sequence[Line],
    how: str,
    lost: Found | None = None,
    *,
    whole: bool = True,
    every: bool = True,
    least: float = LEAST,
) -> Aligned:
    """Give each word the tag of its line; see the top of the file for the ways.

    A number of lines other than that of the words is counted whatever the way, unless the answer was cut off.
    """
    lost = lost or Found()
    check_count(words, lines, lost, whole)
    if how == "index":
        found: list[Line | None] = [*lines[: len(words)], *[None] * (len(words) - len(lines))]
        tags = _tags(found)
    elif how == "difflib":
        found = _equal_runs(words, lines, lost)
        tags = _tags(found)
    elif how in ("exact", "fuzzy"):
        found = [None] * len(words)
        tags = _grounded(words, lines, lost, every, least if how == "fuzzy" else None)
    else:
        raise VanerError(
            f"alignment {how!r}: no such alignment; {near(how, ALIGNMENTS) or 'choose ' + ', '.join(ALIGNMENTS)}"
        )
    return Aligned(tags, lost.lost, lost.examples, found)


def _tags(lines: Sequence[Line | None]) -> list[str | None]:
    return [line.tag if line else None for line in lines]


def check_count(words: Sequence[str], lines: Sequence[Line], lost: Found, whole: bool) -> None:
    """Count an answer that has no line at all, or another number of lines than there are words."""
    if not whole and len(lines) <= len(words):
        return
    if not lines and words:
        lost.lose(MALFORMED, "no line names a word and its tag")
    elif len(lines) != len(words):
        lost.lose(WRONG_LINE_COUNT, f"{len(lines)} lines for {len(words)} words")


@dataclass(frozen=True, slots=True)
class Said:
    """A mention that an answer's lines say: ``lines[first:last]``."""

    first: int
    last: int
    type: str


def said(lines: Sequence[Line]) -> tuple[list[Said], int]:
    """The mentions that the tags of lines make, and how many I- began one."""
    parts = [role_and_type(line.tag) for line in lines]
    found, breaks = runs(parts, "iob2")
    return [Said(first, last + 1, type) for first, last, type in found], len(breaks)


def _equal_runs(words: Sequence[str], lines: Sequence[Line], lost: Found) -> list[Line | None]:
    found: list[Line | None] = [None] * len(words)
    used = [False] * len(lines)
    matcher = difflib.SequenceMatcher(None, list(words), [line.word for line in lines])
    for block in matcher.get_matching_blocks():
        for i in range(block.size):
            found[block.a + i], used[block.b + i] = lines[block.b + i], True
    for line, is_used in zip(lines, used, strict=True):
        if not is_used and line.tag and line.tag != "O":
            lost.lose(NOT_IN_TEXT, f"{line.word} {line.tag}")
    return found


def _grounded(
    words: Sequence[str], lines: Sequence[Line], lost: Found, every: bool, least: float | None
) -> list[str | None]:
    # Imported here: grounding reads numpy.
    from vaner.prompting.grounding import Grounds, ground

    listed = [(" ".join(line.word for line in lines[m.first : m.last]), m.type) for m in said(lines)[0]]
    placed, nowhere, repeated = ground(listed, Grounds.of_words(words), every=every, least=least)
    for numbers, cause in ((nowhere, NOT_IN_TEXT), (repeated, REPEATED)):
        for number in numbers:
            lost.lose(cause, " ".join(listed[number]))
    tags: list[str | None] = ["O" if lines else None] * len(words)
    for place in sorted(placed, key=lambda p: p.first - p.last):
        if all(tag == "O" for tag in tags[place.first : place.last]):
            type = listed[place.item][1]
            tags[place.first : place.last] = [f"B-{type}", *[f"I-{type}"] * (place.last - place.first - 1)]
    return tags
