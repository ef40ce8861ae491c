"""In: F1 and cost of each arm, which differences are beyond chance. Out: the frontier, and the arm for a budget.

An arm is on the frontier if no other has at least its F1 at no more than its cost (medians over repeats; better in
one of the two). That is a matter of the numbers as they are. Whether it would be so again is said beside: an arm is
beaten *for sure* where the other's F1 is higher beyond chance (Holm-corrected p below 0.05) and every repeat of
the other was cheaper than each of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from vaner.study.spent import COSTS, SECONDS

Told = Callable[[str, str], bool]
"""Whether the first arm's F1 is above the second's beyond chance."""


@dataclass(frozen=True)
class Point:
    """An arm: its mean F1 in [0, 1], and what each repeat of the timing cost."""

    arm: str
    f1: float
    repeats: tuple[float, ...]

    @property
    def cost(self) -> float:
        return median(self.repeats)

    def beaten_by(self, other: Point) -> bool:
        no_worse = other.f1 >= self.f1 and other.cost <= self.cost
        return no_worse and (other.f1 > self.f1 or other.cost < self.cost)


def frontier(points: Iterable[Point], above: Told) -> list[dict[str, Any]]:
    """Every arm by rising cost: whether it is on the frontier, and who beats it.

    Returns:
        ``arm``, ``f1``, ``cost`` (median), ``least`` and ``most`` of the repeats, ``on_frontier``, ``beaten_by``:
        ``arm`` and ``for_sure`` of each.
    """
    points = sorted(points, key=lambda one: (one.cost, -one.f1))
    found = []
    for one in points:
        better = [other for other in points if one.beaten_by(other)]
        found.append(
            {
                "arm": one.arm,
                "f1": one.f1,
                "cost": one.cost,
                "least": min(one.repeats),
                "most": max(one.repeats),
                "on_frontier": not better,
                "beaten_by": [
                    {
                        "arm": other.arm,
                        "for_sure": above(other.arm, one.arm) and max(other.repeats) < min(one.repeats),
                    }
                    for other in better
                ],
            }
        )
    return found


def changes(points: Sequence[Mapping[str, Any]]) -> list[float]:
    """The budgets at which the answer changes: the cost, in its dearest repeat, of every arm on the frontier."""
    return sorted({one["most"] for one in points if one["on_frontier"]})


def answer(points: Sequence[Mapping[str, Any]], above: Told, budget: float) -> dict[str, Any]:
    """Which arm to use for a budget: the highest F1 among those that fit, and what is not told apart from it.

    An arm fits if all its repeats did.

    Args:
        points: what `frontier` gives.
        budget: in the unit of their cost.

    Returns:
        ``budget``, ``arm`` (None where none fits), ``not_told_apart`` (arms that fit and are not below it beyond
        chance, by rising cost), ``cheapest`` (of those and the arm itself).
    """
    fitting = [one for one in points if one["most"] <= budget]
    if not fitting:
        return {"budget": budget, "arm": None, "not_told_apart": [], "cheapest": None}
    best = max(fitting, key=lambda one: (one["f1"], -one["cost"]))
    equal = [one for one in fitting if one is not best and not above(best["arm"], one["arm"])]
    return {
        "budget": budget,
        "arm": best["arm"],
        "not_told_apart": [one["arm"] for one in equal],
        "cheapest": min([best, *equal], key=lambda one: one["cost"])["arm"],
    }


def above(comparisons: Iterable[Mapping[str, Any]], a: str, b: str) -> bool:
    """Whether arm ``a``'s F1 is above ``b``'s beyond chance, by the comparisons of one family."""
    for one in comparisons:
        if {one["a"], one["b"]} == {a, b}:
            higher = one["a"] if one["difference"] > 0 else one["b"]
            return bool(one["told_apart"]) and higher == a
    return False


def frontiers(found: Mapping[str, Any]) -> dict[str, Any]:
    """The frontier by each kind of cost that an arm with a mean F1 has.

    Args:
        found: ``cost``, ``scores`` and ``comparisons`` as `vaner.study.results.results` has them.

    Returns:
        kind of cost -> ``arms`` as `frontier` gives them, and ``without``: the arms that have no such cost.
    """
    if found["cost"] is None:
        return {}
    made: dict[str, Any] = {}
    for name in COSTS:
        points, without = [], []
        for arm, scores in found["scores"]["mean"].items():
            paid = found["cost"]["arms"].get(arm, {}).get(name)
            repeats = paid["repeats"] if isinstance(paid, dict) else [] if paid is None else [float(paid)]
            micro = scores["tables"].get("overall", {}).get("micro")
            if repeats and micro:
                points.append(Point(arm, micro["f1"]["mean"], tuple(repeats)))
            else:
                without.append(arm)
        if points:
            made[name] = {"arms": frontier(points, _told(found)), "without": without}
    return made


def which(found: Mapping[str, Any], stated: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Kind of cost -> the arm for each budget.

    Args:
        found: as of `frontiers`, and what that gives as ``frontier``.
        stated: kind of cost -> budgets. Of seconds, without any, those at which the answer changes. Of a cost that was
            not measured there is no answer.
    """
    made: dict[str, Any] = {}
    for name in dict.fromkeys([*found["frontier"], *stated]):
        if name in stated or name == SECONDS:
            points = found["frontier"].get(name, {}).get("arms", [])
            budgets = sorted(float(budget) for budget in stated.get(name) or changes(points))
            made[name] = [answer(points, _told(found), budget) for budget in budgets if points]
    return made


def _told(found: Mapping[str, Any]) -> Told:
    return lambda a, b: above(found["comparisons"]["mean"], a, b)
