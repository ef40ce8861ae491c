"""vaner.study.frontier: who beats whom, and which arm a budget buys."""

from vaner.study.frontier import Point, above, answer, changes, frontier


def never(a, b):
    return False


def always(a, b):
    return True


CHEAP = Point("cheap", 0.5, (1.0, 1.2, 0.9))
GOOD = Point("good", 0.8, (5.0, 5.5, 5.2))
WASTE = Point("waste", 0.7, (6.0, 6.1, 6.2))
NEAR = Point("near", 0.79, (4.0, 4.4, 4.2))


def by_arm(found):
    return {one["arm"]: one for one in found}


def test_an_arm_that_another_beats_in_both_is_not_on_the_frontier():
    found = frontier([WASTE, GOOD, CHEAP], always)
    assert [one["arm"] for one in found] == ["cheap", "good", "waste"]
    assert [one["on_frontier"] for one in found] == [True, True, False]
    assert by_arm(found)["waste"]["beaten_by"] == [{"arm": "good", "for_sure": True}]
    assert (found[0]["cost"], found[0]["least"], found[0]["most"]) == (1.0, 0.9, 1.2)


def test_it_is_beaten_for_sure_only_beyond_chance_and_in_every_repeat():
    assert by_arm(frontier([WASTE, GOOD], never))["waste"]["beaten_by"][0]["for_sure"] is False
    slow_once = Point("good", 0.8, (5.0, 5.5, 6.05))
    assert by_arm(frontier([WASTE, slow_once], always))["waste"]["beaten_by"][0]["for_sure"] is False


def test_equal_arms_are_both_on_the_frontier_and_the_same_f1_for_less_is_better():
    twins = [Point("a", 0.5, (1.0,)), Point("b", 0.5, (1.0,))]
    assert all(one["on_frontier"] for one in frontier(twins, always))
    dear = Point("c", 0.5, (2.0,))
    assert by_arm(frontier([twins[0], dear], always))["c"]["beaten_by"] == [{"arm": "a", "for_sure": True}]


def test_a_budget_buys_the_highest_f1_that_fits_in_every_repeat():
    points = frontier([CHEAP, NEAR, GOOD, WASTE], always)
    assert answer(points, always, 5.3)["arm"] == "near"
    assert answer(points, always, 5.5)["arm"] == "good"
    assert answer(points, always, 0.5) == {"budget": 0.5, "arm": None, "not_told_apart": [], "cheapest": None}
    assert changes(points) == [1.2, 4.4, 5.5]


def test_what_is_not_told_apart_is_said_with_the_cheapest_of_it():
    points = frontier([CHEAP, NEAR, GOOD, WASTE], never)
    told = {("good", "cheap")}
    found = answer(points, lambda a, b: (a, b) in told, 10)
    assert found == {"budget": 10, "arm": "good", "not_told_apart": ["near", "waste"], "cheapest": "near"}


def test_above_needs_a_difference_told_apart_in_its_direction():
    pairs = [
        {"a": "x", "b": "y", "difference": -0.1, "told_apart": True},
        {"a": "x", "b": "z", "difference": 0.1, "told_apart": False},
    ]
    assert above(pairs, "y", "x") and not above(pairs, "x", "y")
    assert not above(pairs, "x", "z") and not above(pairs, "z", "x")
    assert not above(pairs, "y", "z")
