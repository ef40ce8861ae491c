"""In: annotated documents; what a person said of some mentions. Out: which to check, how many; their precision.

    needed(0.95, 0.05)                                       59 mentions, all of them right, show 0.95 at 95 %
    to_check(0.95, 0.95, wrong=1)                            93 where one is wrong
    drawn = draw(run, Design(seed=0, size=150))              the mentions to check, each with its text around it
    bounds(run, design, answers, confidence=0.95)            "at least 0.921", over all and by type

A sample is drawn without replacement from the mentions of one run, and its bound is for the precision over these
mentions: what a person would count who checked them all. Two bounds are given. `binomial` is the exact one-sided bound
of Clopper and Pearson (1934); drawing without replacement varies less than that supposes (Hoeffding 1963), so it is on
the safe side, whatever their number. `exact` inverts the hypergeometric distribution: the same for large runs, tighter
for small ones, and the precision itself once all are checked.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binom, hypergeom

from vaner.annotation.runs import Annotated
from vaner.document import Document, Span
from vaner.errors import VanerError
from vaner.evaluation.calibration import lower_bound
from vaner.evaluation.pairing import pieces
from vaner.evaluation.thresholds import needed

YES, NO, UNSURE = "yes", "no", "unsure"
#: The chance that `to_draw` plans for.
CHANCE = 0.8
_MOST = 100_000
_AROUND = 80
_STAMP = re.compile(r"vaner-audit-1 seed=(\d+) size=(\d+) per_type=(\d+) run=([0-9a-f]{16})")


@dataclass(frozen=True)
class Design:
    """What is drawn.

    Attributes:
        seed: of the draw.
        size: mentions drawn from all mentions, whatever their type.
        per_type: mentions of each type that are drawn at least; those that ``size`` drew are among them.
    """

    seed: int = 0
    size: int = 0
    per_type: int = 0

    def stamp(self, run: Annotated) -> str:
        """What a sample says of itself, so that it is known again."""
        return f"vaner-audit-1 seed={self.seed} size={self.size} per_type={self.per_type} run={run.hash[:16]}"

    @classmethod
    def of(cls, stamp: str, run: Annotated, where: object) -> Design:
        """The design of a sample.

        Raises:
            VanerError: it is none, or was drawn from another run.
        """
        found = _STAMP.fullmatch(stamp.strip())
        if found is None:
            raise VanerError(
                f"{where}: {stamp[:60]!r} names no sample; give back the file that was drawn, its last column as it was"
            )
        design = cls(int(found[1]), int(found[2]), int(found[3]))
        if found[4] != run.hash[:16]:
            raise VanerError(
                f"{where}: was drawn from another run, or {run.name} has changed since (its hash was {found[4]}, is "
                f"{run.hash[:16]}); name the run that it was drawn from"
            )
        return design


@dataclass(frozen=True)
class Drawn:
    """A mention to check.

    Attributes:
        number: in the sample, from 1, in the order of the documents.
        document: that it stands in.
        span: the mention.
        of_all: whether it was drawn from all mentions, so that it counts for the bound over all.
    """

    number: int
    document: Document
    span: Span
    of_all: bool

    def context(self, around: int = _AROUND) -> str:
        """The text around the mention on one line, its parts in square brackets."""
        text, parts = self.document.text, pieces(self.span, self.document.text)
        left, right = max(0, parts[0][0] - around), min(len(text), parts[-1][1] + around)
        shown, at = "", left
        for start, end in parts:
            shown += f"{text[at:start]}[{text[start:end]}]"
            at = end
        line = " ".join((shown + text[at:right]).split())
        return f"{'...' if left else ''}{line}{'...' if right < len(text) else ''}"


def draw(run: Annotated, design: Design) -> list[Drawn]:
    """A random sample without replacement, the same for the same run and seed on every machine.

    Mentions are put in the order of a hash of the seed, the run and the mention; the first ``size`` are drawn from all,
    and the first ``per_type`` of each type. So a larger sample holds the smaller one, and what was drawn of a type is a
    random sample of that type, too.

    Raises:
        VanerError: nothing is to be drawn, or the run has no mention.
    """
    if design.size < 1 and design.per_type < 1:
        raise VanerError("an audit draws at least one mention; give --audit_size or --audit_per_type")
    everything = population(run)
    if not everything:
        raise VanerError(f"{run.name}: has no mention to check")

    def rank(one: tuple[Document, Span]) -> bytes:
        document, span = one
        said = (
            f"{design.seed}\n{run.hash}\n{document.id}\n{span.start} {span.end} {span.type}\n{span.fragments}"
        )
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()

    ordered = sorted(range(len(everything)), key=lambda at: rank(everything[at]))
    of_all = set(ordered[: design.size])
    chosen, times = set(of_all), Counter[str]()
    for at in ordered:
        type = everything[at][1].type
        if times[type] < design.per_type:
            chosen.add(at)
        times[type] += 1
    return [Drawn(n, *everything[at], at in of_all) for n, at in enumerate(sorted(chosen), 1)]


def population(run: Annotated) -> list[tuple[Document, Span]]:
    """The run's mentions, each once, in the order of the documents."""
    return [
        (document, span)
        for document in run.documents.values()
        for span in {(*span.key, span.fragments): span for span in document.spans}.values()
    ]


def bounds(
    run: Annotated, design: Design, answers: Mapping[int, str], confidence: float
) -> list[dict[str, Any]]:
    """What the answers say of the run's precision, over all and by type.

    Args:
        answers: number of each mention of the sample -> YES, NO or UNSURE, which counts as wrong.
        confidence: that each bound has by itself, in (0, 1).

    Returns:
        of all mentions (``type`` is None; only where some were drawn from all), then of each type that the run has:
        ``mentions``, ``checked``, ``right``, ``wrong``, ``unsure`` (counts), ``precision`` of the checked or None,
        ``binomial`` and ``exact``: the run's precision is at least this.
    """
    drawn = draw(run, design)
    numbers = Counter(span.type for _, span in population(run))
    parts: list[tuple[str | None, int, list[Drawn]]] = []
    if design.size:
        parts.append((None, numbers.total(), [one for one in drawn if one.of_all]))
    parts += [
        (type, number, [o for o in drawn if o.span.type == type]) for type, number in sorted(numbers.items())
    ]
    return [
        _bound(type, number, Counter(answers[one.number] for one in checked), confidence)
        for type, number, checked in parts
    ]


def _bound(type: str | None, mentions: int, said: Counter[str], confidence: float) -> dict[str, Any]:
    checked, right = said.total(), said[YES]
    return {
        "type": type,
        "mentions": mentions,
        "checked": checked,
        "right": right,
        "wrong": said[NO],
        "unsure": said[UNSURE],
        "precision": right / checked if checked else None,
        "binomial": lower_bound(right, checked, confidence),
        "exact": lower_bound_of(mentions, right, checked, confidence),
    }


def lower_bound_of(mentions: int, right: int, checked: int, confidence: float) -> float:
    """The exact one-sided lower bound of the share that is right among finitely many, in [0, 1].

    It is the least number of right mentions under which it would not be rarer than 1 - ``confidence`` to find so many
    right among ``checked`` that are drawn without replacement.
    """
    if not checked:
        return 0.0
    # So many are right at least, and so many wrong; the chance to find as many right rises with the number that is.
    low, high = right, mentions - (checked - right)
    while low < high:
        middle = (low + high) // 2
        if hypergeom.sf(right - 1, mentions, middle, checked) > 1 - confidence:
            high = middle
        else:
            low = middle + 1
    return low / mentions


# --- how many ---


def to_check(precision: float, confidence: float, wrong: int = 0) -> int:
    """The fewest mentions that show a precision, where so many of them turn out wrong (`binomial`).

    Args:
        precision, confidence: in (0, 1).
    """
    low = needed(precision, 1 - confidence) + wrong
    if not wrong:
        return low
    high = low
    while lower_bound(high - wrong, high, confidence) < precision:
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if lower_bound(middle - wrong, middle, confidence) >= precision:
            high = middle
        else:
            low = middle + 1
    return low


def to_draw(precision: float, confidence: float, expected: float, chance: float = CHANCE) -> int:
    """The fewest mentions that show a precision with some chance, where another, higher one is true (`binomial`).

    Raises:
        VanerError: the expected precision is not above the one to show, or so close that it takes more than 100,000.
    """
    if not 0 < precision < expected <= 1:
        raise VanerError(
            f"a precision of {precision:g} cannot be shown where {expected:g} is expected; expect more, or show less"
        )
    if expected == 1:
        return needed(precision, 1 - confidence)
    for first in range(1, _MOST, 1000):
        sizes = np.arange(first, first + 1000)
        # The fewest right ones that show it; more than the size where not even that many would.
        right = binom.isf(1 - confidence, sizes, precision) + 1
        enough = np.flatnonzero((right <= sizes) & (binom.sf(right - 1, sizes, expected) >= chance))
        if len(enough):
            return int(sizes[enough[0]])
    raise VanerError(
        f"to show a precision of {precision:g} where {expected:g} is expected takes more than {_MOST:,} mentions; "
        "show less"
    )


def plan(
    run: Annotated,
    precision: float,
    confidence: float,
    expected: float,
    wrong: Sequence[int] = (0, 1, 2, 5, 10),
) -> dict[str, Any]:
    """How many mentions of a run a person must check.

    Returns:
        ``wrong``: number of wrong ones -> `to_check`; ``expecting``: `to_draw`; ``mentions``: type -> how many there
        are, where checking all of them tells more; and what was asked.
    """
    return {
        "precision": precision,
        "confidence": confidence,
        "expected": expected,
        "chance": CHANCE,
        "wrong": {number: to_check(precision, confidence, number) for number in wrong},
        "expecting": to_draw(precision, confidence, expected),
        "mentions": dict(sorted(Counter(span.type for _, span in population(run)).items())),
    }
