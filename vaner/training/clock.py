"""In: updates done, seconds gone. Out: how far a run is, when dev is scored, when it stops, the best score so far.

A run is as long as its updates or, with ``max_minutes``, as the clock says, whichever is over first:

    0 --------|---------|---------|---------|---------> 1      share of the way
              dev       dev       dev       dev       dev      evaluations at equal shares of it
"""

from __future__ import annotations

import logging
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from vaner.training.processes import of_first, several

#: Updates after which a run by the clock says how far it will get. The first, slower than the others, is not counted.
_TIMED = 6

log = logging.getLogger(__name__)


class Clock(TrainerCallback, ExportableState):
    """How far a run is, and when dev is scored; saved with every checkpoint and restored from it.

    Args:
        evaluations: how many times dev is scored, at equal shares of the way.
        max_minutes: the run is over after so long; None leaves it to the updates.
        patience: evaluations without a better score after which `is_patient` ends; None never.

    Attributes:
        best: the best score so far, None before the first.
        best_step: update at which it was reached.
        due: an evaluation was to be made and was not yet: the run was stopped at that update.
        best_scores: of every dev corpus then, as `vaner.training.dev.Dev.scores` gives them.
    """

    def __init__(self, evaluations: int, max_minutes: float | None, patience: int | None) -> None:
        self.evaluations = evaluations
        self.max_seconds = max_minutes * 60 if max_minutes else None
        self.patience = patience
        self.elapsed = 0.0
        self.evaluated = 0
        self.due = False
        self.best: float | None = None
        self.best_step: int | None = None
        self.since_best = 0
        self.best_scores: dict[str, dict[str, Any]] | None = None
        self._started: float | None = None
        self._agreed = 0.0
        self._after_first: float | None = None

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; transformers asks for it."""
        self.elapsed = self.seconds()
        if self._started is not None:
            self._started = time.monotonic()
        return {
            "args": {
                "evaluations": self.evaluations,
                "max_minutes": self.max_seconds / 60 if self.max_seconds else None,
                "patience": self.patience,
            },
            "attributes": {
                "elapsed": self.elapsed,
                "evaluated": self.evaluated,
                "due": self.due,
                "best": self.best,
                "best_step": self.best_step,
                "since_best": self.since_best,
                "best_scores": self.best_scores,
            },
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take up what `state` gave when the checkpoint was made; how long the run is, and its patience, may be new."""
        for name, value in saved.get("attributes", {}).items():
            setattr(self, name, value)

    def seconds(self) -> float:
        """Training time so far in seconds, over all resumed parts."""
        return self.elapsed + (time.monotonic() - self._started if self._started is not None else 0.0)

    def share(self, step: int, steps: int) -> float:
        """0 at the start, 1 at the end.

        Args:
            step: updates done.
            steps: updates of the whole run.
        """
        by_steps = step / steps if steps else 1.0
        if not self.max_seconds:
            return by_steps
        # Of several processes all go by what the first one's clock said after the last update.
        seconds = self._agreed if several() else self.seconds()
        return max(by_steps, seconds / self.max_seconds)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock; called by Trainer."""
        self._started = time.monotonic()
        self._agreed = of_first(self.seconds())

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say whether dev is to be scored and whether the run is over; called by Trainer after every update."""
        if self.max_seconds:
            self._agreed = of_first(self.seconds())
            self._say_how_far(state)
        share = self.share(state.global_step, state.max_steps)
        if share >= 1:
            control.should_training_stop = True
        if self.evaluations and share >= (self.evaluated + 1) / self.evaluations - 1e-9:
            self.evaluated = int(share * self.evaluations + 1e-9)
            control.should_evaluate = self.due = True

    def _say_how_far(self, state: TrainerState) -> None:
        """Once, after the first updates: how many there will be at this speed, without what scoring dev takes."""
        if state.global_step == 1:
            self._after_first = self._agreed
        if state.global_step != _TIMED or self._after_first is None or not state.is_world_process_zero:
            return
        assert self.max_seconds is not None
        one = (self._agreed - self._after_first) / (_TIMED - 1)
        more = (self.max_seconds - self._agreed) / one if one else float("inf")
        updates = int(min(state.max_steps, _TIMED + max(more, 0)))
        log.info(
            f"  {60 / one if one else float('inf'):,.0f} updates a minute on this machine now: about {updates:,} of "
            f"{state.max_steps:,} updates fit into {self.max_seconds / 60:g} minutes"
        )

    def better(self, score: float, step: int, scores: dict[str, dict[str, Any]] | None = None) -> bool:
        """Note an evaluation; true if it is the best so far.

        Args:
            score: the higher, the better.
            step: updates done.
            scores: of every dev corpus.
        """
        self.due = False
        if self.best is None or score > self.best:
            self.best, self.best_step, self.best_scores, self.since_best = score, step, scores, 0
            return True
        self.since_best += 1
        return False

    @property
    def is_patient(self) -> bool:
        """Whether a better score may still come."""
        return self.patience is None or self.since_best < self.patience
