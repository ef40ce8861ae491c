"""In: updates, and a clock set by hand. Out: the share of the way, when dev is scored, when a run stops, the best."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from vaner.training import clock as module
from vaner.training.clock import Clock


@pytest.fixture
def time(monkeypatch):
    """What the clock takes for the time: ``now``, in seconds since nobody knows when."""
    time = SimpleNamespace(now=5_000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.now))
    return time


def begin(clock: Clock) -> Clock:
    clock.on_train_begin(None, TrainerState(), TrainerControl())
    return clock


def step(clock: Clock, number: int, steps: int) -> TrainerControl:
    """What the clock asks for after an update."""
    control = TrainerControl()
    clock.on_step_end(None, TrainerState(global_step=number, max_steps=steps), control)
    return control


def drive(clock: Clock, steps: int, time=None, seconds: float = 0.0, first: int = 1):
    """Updates after which dev is scored, and the one at which the run stops."""
    scored = []
    for number in range(first, steps + 1):
        if time is not None:
            time.now += seconds
        control = step(clock, number, steps)
        if control.should_evaluate:
            scored.append(number)
        if control.should_training_stop:
            return scored, number
    return scored, None


# --- the share of the way ---


def test_the_share_is_that_of_the_updates(time):
    clock = begin(Clock(5, None, None))
    time.now += 1e6
    assert [clock.share(n, 8) for n in (0, 1, 4, 8)] == [0.0, 0.125, 0.5, 1.0]
    assert clock.share(0, 0) == 1.0, "a run without updates is over"


def test_the_share_is_that_of_the_updates_or_of_the_time_whichever_is_further(time):
    clock = begin(Clock(5, max_minutes=2, patience=None))
    assert clock.share(0, 100) == 0.0 and clock.share(25, 100) == 0.25
    time.now += 30
    assert [clock.share(n, 100) for n in (0, 25, 50, 100)] == [0.25, 0.25, 0.5, 1.0]
    time.now += 90
    assert clock.share(1, 100) == 1.0
    time.now += 30
    assert clock.share(1, 100) == 1.25


def test_time_is_counted_from_the_first_update_on(time):
    clock = Clock(5, max_minutes=1, patience=None)
    time.now += 1000
    assert clock.seconds() == 0.0 and clock.share(0, 10) == 0.0
    begin(clock)
    assert clock.seconds() == 0.0
    time.now += 15
    assert clock.seconds() == 15.0 and clock.share(0, 10) == 0.25


def test_time_before_training_is_not_counted_although_the_trainer_asks_for_a_state_then(time):
    clock = Clock(5, max_minutes=1, patience=None)
    clock.state()
    time.now += 1000
    clock.state()
    assert begin(clock).seconds() == 0.0


# --- when dev is scored, and when the run stops ---


@pytest.mark.parametrize(
    ("evaluations", "steps", "expected"),
    [
        (5, 20, [4, 8, 12, 16, 20]),
        (1, 7, [7]),
        (3, 7, [3, 5, 7]),
        (4, 50, [13, 25, 38, 50]),
        (5, 2, [1, 2]),
        (5, 1, [1]),
        (0, 7, []),
    ],
)
def test_dev_is_scored_at_equal_shares_of_the_updates(time, evaluations, steps, expected):
    assert drive(begin(Clock(evaluations, None, None)), steps) == (expected, steps)


def test_no_rounding_moves_an_evaluation(time):
    # With 22 evaluations of 44 updates, int(30 / 44 * 22) would be 14.
    for evaluations in (*range(1, 12), 22):
        for steps in (*range(1, 130), 1000, 4999):
            expected = sorted({math.ceil(n * steps / evaluations) for n in range(1, evaluations + 1)})
            found = drive(begin(Clock(evaluations, None, None)), steps)
            assert found == (expected, steps), (evaluations, steps)


def test_dev_is_scored_at_equal_shares_of_the_time(time):
    clock = begin(Clock(5, max_minutes=1, patience=None))
    assert drive(clock, 1000, time, seconds=6) == ([2, 4, 6, 8, 10], 10)
    # A fifth of a second is no exact number, and five of them may be a little less than one.
    clock = begin(Clock(5, max_minutes=2 / 60, patience=None))
    assert drive(clock, 1000, time, seconds=0.2)[0][:4] == [2, 4, 6, 8]


def test_a_pause_that_passes_several_shares_scores_dev_once(time):
    clock = begin(Clock(5, max_minutes=1, patience=None))
    time.now += 40
    assert step(clock, 1, 1000).should_evaluate
    time.now += 7
    assert not step(clock, 2, 1000).should_evaluate
    time.now += 1
    assert step(clock, 3, 1000).should_evaluate, "at 48 of 60 seconds"
    time.now += 100
    late = step(clock, 4, 1000)
    assert late.should_evaluate and late.should_training_stop


def test_a_run_stops_by_its_updates_or_by_the_time_and_not_before(time):
    assert drive(begin(Clock(0, None, None)), 6) == ([], 6)
    assert drive(begin(Clock(0, max_minutes=1, patience=None)), 6, time, seconds=1) == ([], 6)
    assert drive(begin(Clock(0, max_minutes=1, patience=None)), 600, time, seconds=20) == ([], 3)
    clock = begin(Clock(0, max_minutes=1, patience=None))
    time.now += 59.9
    assert not step(clock, 1, 600).should_training_stop


def test_what_others_asked_for_is_left_as_it_is(time):
    control = TrainerControl(should_training_stop=True, should_evaluate=True, should_save=True)
    clock = begin(Clock(5, None, None))
    clock.on_step_end(None, TrainerState(global_step=1, max_steps=100), control)
    assert control.should_training_stop and control.should_evaluate and control.should_save


# --- what a checkpoint keeps ---


def test_a_resumed_run_goes_on_where_it_stood(time):
    clock = begin(Clock(5, max_minutes=2, patience=3))
    time.now += 50
    assert [n for n in range(1, 5) if step(clock, n, 10).should_evaluate] == [1], (
        "at 0.42: two shares at once"
    )
    clock.better(0.5, 1), clock.better(0.4, 4)
    kept = json.loads(json.dumps(clock.state()))
    # Hours later, in another process, whose clock began elsewhere.
    time.now = 17.0
    resumed = Clock.from_state(kept)
    time.now += 1000
    assert resumed.seconds() == 50.0, "the time between is not training time"
    begin(resumed)
    assert resumed.seconds() == 50.0 and resumed.share(4, 10) == 50 / 120
    assert (resumed.best, resumed.best_step, resumed.since_best) == (0.5, 1, 1)
    assert (resumed.evaluations, resumed.max_seconds, resumed.patience) == (5, 120.0, 3)
    assert [step(resumed, n, 10).should_evaluate for n in (5, 6)] == [False, True]
    time.now += 69
    assert not step(resumed, 7, 10).should_training_stop
    time.now += 1
    assert resumed.share(7, 10) == 1.0 and step(resumed, 7, 10).should_training_stop


def test_checkpoints_on_the_way_count_no_second_twice(time):
    clock = begin(Clock(5, max_minutes=2, patience=None))
    for _ in range(3):
        time.now += 10
        clock.state()
        clock.state()
    assert clock.seconds() == 30.0 and clock.state()["attributes"]["elapsed"] == 30.0
    time.now += 5
    assert clock.seconds() == 35.0


def test_a_state_makes_the_clock_that_it_is_of(time):
    for clock in (Clock(0, None, None), Clock(7, 0.05, 2)):
        time.now += 3
        same = Clock.from_state(clock.state())
        assert same.state() == clock.state()
        assert same.max_seconds == (None if clock.max_seconds is None else pytest.approx(3.0))


# --- the best so far, and patience ---


def test_the_best_is_the_highest_and_the_first_of_equals():
    clock = Clock(5, None, None)
    assert clock.best is None and clock.best_step is None
    said = [clock.better(score, number) for number, score in enumerate([0.0, 0.3, 0.3, 0.2, 0.4], 1)]
    assert said == [True, True, False, False, True]
    assert (clock.best, clock.best_step) == (0.4, 5)


def test_patience_ends_after_so_many_evaluations_without_a_better_one():
    clock = Clock(9, None, patience=2)
    patient = [(clock.better(score, n), clock.is_patient)[1] for n, score in
               enumerate([0.3, 0.2, 0.4, 0.4, 0.1])]  # fmt: skip
    assert patient == [True, True, True, True, False]


def test_without_patience_every_run_goes_to_its_end():
    clock = Clock(9, None, None)
    for number in range(20):
        clock.better(0.5, number)
    assert clock.since_best == 19 and clock.is_patient


# --- how far it will get ---


def test_a_run_by_the_clock_says_after_six_updates_how_far_it_will_get(time, caplog):
    caplog.set_level("INFO", "vaner.training.clock")
    clock = begin(Clock(0, 2, None))
    time.now += 30  # the first update is slow
    step(clock, 1, 400)
    drive(clock, 5, time, 2.0, first=2)
    assert not caplog.messages
    drive(clock, 400, time, 2.0, first=6)
    assert caplog.messages == [
        "  30 updates a minute on this machine now: about 46 of 400 updates fit into 2 minutes"
    ]


def test_it_is_not_more_than_the_updates_of_the_run_and_said_of_no_other_run(time, caplog):
    caplog.set_level("INFO", "vaner.training.clock")
    drive(begin(Clock(0, 2, None)), 20, time, 0.5)
    assert "about 20 of 20 updates fit" in caplog.text
    caplog.clear()
    drive(begin(Clock(0, None, None)), 20, time, 0.5)
    assert not caplog.messages
