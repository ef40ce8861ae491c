"""In: SIGTERM or Ctrl-C during training. Out: a whole checkpoint after the update under way, and how to go on.

A scheduler that takes its machine back sends SIGTERM and kills some time later; whoever presses Ctrl-C waits for the
update to end, or presses it again.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from vaner.training.processes import of_any


class Interruption(TrainerCallback):
    """Stops a run between two updates, with a checkpoint, once a signal came to any of its processes.

    Attributes:
        signal: what came, None as long as nothing did.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._caught: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Meanwhile signals are noted here; a second Ctrl-C interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self._note) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._caught == signal.SIGINT == number:
            raise KeyboardInterrupt
        self._caught = number

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for a checkpoint and the end where a signal came; called by Trainer after every update."""
        if of_any(self._caught is not None):
            # Another process may have it: a scheduler's comes to all, a person's to those of one terminal.
            self.signal = signal.Signals(self._caught or signal.SIGTERM)
            control.should_evaluate = False
            control.should_save = True
            control.should_training_stop = True
