"""In: mentions that an answer lists by their text, and the unit. Out: its mentions, each with how it was found."""

from __future__ import annotations

from collections.abc import Sequence

from vaner.prompting.found import EXACT, FORCED, NOT_IN_TEXT, REPEATED, Found, Mention
from vaner.prompting.grounding import Grounds, ground
from vaner.prompting.unit import Unit


def add_placed(
    listed: Sequence[tuple[str, str]],
    scores: Sequence[float | None],
    unit: Unit,
    found: Found,
    *,
    grounds: Grounds | None = None,
    every: bool,
    least: float | None = None,
    forced: bool = False,
) -> None:
    """Add listed mentions to what was found, wherever the unit has them; count those that have no place.

    Args:
        listed: ``(text, type)`` of each.
        scores: of each.
        unit: what was asked about.
        found: takes them.
        grounds: where they are looked for; by default in `Unit.shown`.
        every, least: as in `vaner.prompting.grounding.ground`.
        forced: whether a grammar held the texts to the unit's.
    """
    grounds = grounds or Grounds(unit.shown, unit.places, unit.block_starts)
    placed, nowhere, repeated = ground(listed, grounds, every=every, least=least)
    for place in placed:
        start, end = unit.offsets[place.first][0], unit.offsets[place.last - 1][1]
        how = FORCED if forced and place.how == EXACT else place.how
        score = scores[place.item]
        if score is not None:
            score *= place.similarity
        found.mentions.append(Mention(start, end, listed[place.item][1], how, score))
    for numbers, cause in ((nowhere, NOT_IN_TEXT), (repeated, REPEATED)):
        for number in numbers:
            found.lose(cause, " ".join(listed[number]))
