"""In: what several answers to one question came to. Out: the mentions that most have, and how far they agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vaner.prompting.found import Found, Mention


@dataclass
class Spread:
    """How far repeats agree, over all questions.

    Attributes:
        any: mentions that some answer has.
        most: that more than half of the answers have: those that count.
        all: that every answer has.
        questions: that were asked more than once.
        alike: questions whose answers all have the same mentions.
    """

    any: int = 0
    most: int = 0
    all: int = 0
    questions: int = 0
    alike: int = 0

    def remark(self) -> str:
        """One sentence; empty where nothing was repeated."""
        if not self.questions:
            return ""
        return (
            f"repeats: of {self.any:,} mentions that an answer has, {self.most:,} are in most answers and count, "
            f"{self.all:,} are in all; {self.alike:,} of {self.questions:,} questions were answered alike"
        )


def majority(answers: Sequence[Found], spread: Spread, *, score: bool) -> list[Mention]:
    """The mentions that more than half of the answers have.

    Args:
        answers: to one question, one or more.
        spread: is added to.
        score: whether a mention's score is the share of the answers that have it.
    """
    if len(answers) == 1:
        return answers[0].mentions
    votes: dict[tuple[int, int, str], int] = {}
    first: dict[tuple[int, int, str], Mention] = {}
    for found in answers:
        for place, mention in {(m.start, m.end, m.type): m for m in found.mentions}.items():
            votes[place] = votes.get(place, 0) + 1
            first.setdefault(place, mention)
    kept = [place for place, count in votes.items() if 2 * count > len(answers)]
    spread.any += len(votes)
    spread.most += len(kept)
    spread.all += sum(count == len(answers) for count in votes.values())
    spread.questions += 1
    spread.alike += all(count == len(answers) for count in votes.values())
    return [
        replace(first[place], score=votes[place] / len(answers)) if score else first[place]
        for place in sorted(kept)
    ]
