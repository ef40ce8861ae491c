"""In: nothing. Out: Found: mentions that an answer holds, how each was placed, and what could not be, by cause."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

# Why something of an answer has no place in the text.
WRONG_LINE_COUNT = "wrong line count"
INVALID_TAG = "invalid tag"
UNKNOWN_TYPE = "unknown type"
NOT_IN_TEXT = "not in the text"
CUT_OFF = "cut off"
MALFORMED = "malformed answer"
REFUSED = "refused"
REPEATED = "repeated"  # listed more often than the text has it
CHATTER = "text around the answer"  # skipped: it says nothing of any word
FAILED_CALL = "failed call"
CAUSES = (
    WRONG_LINE_COUNT,
    INVALID_TAG,
    UNKNOWN_TYPE,
    NOT_IN_TEXT,
    CUT_OFF,
    MALFORMED,
    REFUSED,
    REPEATED,
    CHATTER,
    FAILED_CALL,
)

# How a mention got its place.
FORCED = "forced"  # the grammar left no other
INDEX = "index"  # by the number of its line
DIFFLIB = "difflib"  # by aligning words with lines
EXACT = "exact"  # its text is there as written
FOLDED = "folded"  # capitals, hyphens, spaces or Greek letters aside
FUZZY = "fuzzy"  # its text is nearly there
INLINE = "inline"  # marked in a copy of the text
PROPAGATED = "propagated"  # another occurrence of a mention that was placed
HOW = (FORCED, INDEX, DIFFLIB, EXACT, FOLDED, FUZZY, INLINE, PROPAGATED)


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention with its place.

    Attributes:
        start, end: document offsets.
        type: as it was asked.
        how: one of HOW.
        score: in [0, 1]; None where nothing says.
    """

    start: int
    end: int
    type: str
    how: str
    score: float | None = None


@dataclass
class Found:
    """What one answer came to.

    Attributes:
        mentions: those that have a place.
        lost: cause (one of CAUSES) -> how many mentions, lines or answers were lost to it.
        unread_words: words of the unit of which the answer says nothing: their O is not an answer.
        repaired: I- tags that continued nothing, and were read as the beginning of a mention.
        examples: cause -> the first thing that was lost to it, for messages.
    """

    mentions: list[Mention] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    unread_words: int = 0
    repaired: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    def lose(self, cause: str, what: str = "", times: int = 1) -> None:
        """Count something that has no place."""
        self.lost[cause] += times
        self.examples.setdefault(cause, what[:80])
