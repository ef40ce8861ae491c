"""In: a model, a Mixture, dev documents. Out: trained weights, whole checkpoints, the best model on dev.

Mixture (whole batches) -> transformers' Trainer -> checkpoint-N/, best/
                                |
                              Clock: updates or time -> learning rate, when dev is scored, when to stop
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import SCHEDULER_NAME
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import rotate_checkpoints

from vaner.errors import VanerError
from vaner.model.network import VanerModel
from vaner.training import sharding
from vaner.training.arguments import VanerTrainingArguments
from vaner.training.averaging import Averaging
from vaner.training.clock import Clock
from vaner.training.continuing import write_settings
from vaner.training.dev import Dev, mean_f1
from vaner.training.generator import Generator
from vaner.training.interruption import Interruption
from vaner.training.mixture import Mixture

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BEST_FOLDER = "best"

log = logging.getLogger(__name__)


class Printer(TrainerCallback):
    """One short line an entry in the log, in place of Trainer's dictionaries."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the line of an entry that has a loss or dev scores; called by Trainer."""
        if not state.is_world_process_zero or not logs:
            return
        if "loss" in logs:
            left = f"{logs['minutes_left']:.0f} min left" if "minutes_left" in logs else ""
            log.info(
                f"  step {state.global_step}/{state.max_steps}  epoch {logs['passes']:.2f}  loss {logs['loss']:.4f}  "
                f"lr {logs['learning_rate']:.1e}  {logs['tokens_per_second']:,.0f} tokens/s  {left}"
            )
        elif "eval_f1" in logs:
            scores = "  ".join(
                f"{k[5:-3]} {v:.4f}" for k, v in logs.items() if k.endswith("_f1") and k != "eval_f1"
            )
            log.info(f"  dev at step {state.global_step}: mean F1 {logs['eval_f1']:.4f}   {scores}")


class _AfterUpdates(TrainerCallback):
    """Has the weights averaged that an update left, before dev is scored; and at the end leaves their mean."""

    def __init__(self, trainer: VanerTrainer) -> None:
        self.trainer = trainer

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.trainer.averaging.add(self.trainer.clock.share(state.global_step, state.max_steps))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.trainer.averaging.settle()


class VanerTrainer(Trainer):
    """transformers' Trainer over a Mixture: its items are batches, its score is dev F1, its files are a model's.

    Args:
        model: is trained.
        args: of training; ``num_train_epochs`` must be 1, for the mixture holds all epochs.
        mixture: the batches.
        epochs: passes over the mix that these are.
        dev: what chooses the model.
        clock: says how far the run is.
        tokenizer: is saved with the model.
        settings: what every checkpoint says that it was made with.

    Raises:
        VanerError: the launch shards weights in a way that would not train them as one GPU does.
    """

    args: VanerTrainingArguments

    def __init__(
        self,
        model: VanerModel | Generator,
        args: VanerTrainingArguments,
        *,
        mixture: Mixture,
        epochs: int,
        dev: Dev,
        clock: Clock,
        tokenizer: PreTrainedTokenizerBase,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.interruption = Interruption()
        sharding.check(args, model)
        _keep_unpacked(model)
        super().__init__(
            model,
            args,
            train_dataset=mixture,
            data_collator=_as_tensors,
            callbacks=[clock, self.interruption, Printer()],
        )
        if isinstance(model, Generator) and self.is_sharded:
            raise VanerError(
                "--head generate: its weights cannot be sharded (FSDP, ZeRO-3) here; use one replica on each GPU (DDP)"
            )
        self.remove_callback(PrinterCallback)
        self.add_callback(_AfterUpdates(self))
        self.mixture = mixture
        self.epochs = epochs
        self.dev = dev
        self.clock = clock
        self.tokenizer = tokenizer
        self.averaging = Averaging((p for p in model.parameters() if p.requires_grad), args.average_last)
        if args.average_last and self.is_sharded:
            raise VanerError(
                "--average_last: the mean of weights that are sharded (FSDP, ZeRO-3) is not kept; leave it out, or use "
                "one replica on each GPU (DDP)"
            )
        self._logged = (0, 0.0)
        self._checkpoints: Path | None = None
        self.settings = settings or {}

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> SequentialSampler:
        # The mixture is shuffled already, by the seed and the epoch.
        return SequentialSampler(self.mixture)

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """Trainer's schedule or, with ``--max_minutes``, a linear one by the clock, warm-up included."""
        if not self.clock.max_seconds:
            return super().create_scheduler(num_training_steps, optimizer)
        warmup = self.args.get_warmup_steps(num_training_steps) / num_training_steps

        def factor(step: int) -> float:
            # Not below the share of one update, so that the first one moves at all.
            share = max(self.clock.share(step, num_training_steps), 1 / num_training_steps)
            return min(1.0, share / warmup if warmup else 1.0, (1 - share) / (1 - warmup))

        # Trainer makes the optimiser first.
        self.lr_scheduler = LambdaLR(cast("Optimizer", optimizer or self.optimizer), factor)
        return self.lr_scheduler

    @property
    def updates_of_all(self) -> int:
        """Updates that go through the mixture once; ``--max_steps`` may stop before or go on from its start."""
        return math.ceil(len(self.mixture) / (self.args.world_size * self.args.gradient_accumulation_steps))

    def tokens_of(self, updates: int) -> int:
        """Tokens that so many updates read, as batches of the mixture are on average."""
        return round(self.mixture.tokens * updates / self.updates_of_all)

    def updates_that_read(self, tokens: int) -> int:
        """The fewest updates that read so many tokens, as `tokens_of` counts them."""
        return max(1, math.ceil(tokens * self.updates_of_all / self.mixture.tokens))

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Trainer's; the run ends where it has diverged, for no later update brings such weights back.

        Raises:
            VanerError: the loss is not a number.
        """
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise VanerError(
                f"the loss is not a number at update {self.state.global_step + 1}: training diverged; choose a lower "
                f"--learning_rate (it is {self.args.learning_rate:g}) or more --warmup_steps"
            )
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add passes over the mix and, to an entry with a loss, tokens a second and minutes left; then log it."""
        step = self.state.global_step
        logs["passes"] = round(self.epochs * step / self.updates_of_all, 4)
        if "loss" in logs:
            seconds = self.clock.seconds()
            before_step, before_seconds = self._logged
            tokens = self.tokens_of(step - before_step)
            logs["tokens_per_second"] = round(tokens / max(seconds - before_seconds, 1e-9))
            share = self.clock.share(step, self.state.max_steps)
            logs["minutes_left"] = round(seconds / max(share, 1e-9) * (1 - share) / 60, 1)
            self._logged = (step, seconds)
        super().log(logs, start_time)

    def evaluate(
        self,
        eval_dataset: Dataset[Any] | dict[str, Dataset[Any]] | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Mean strict micro-F1 over the dev corpora, each process scoring a share of the documents.

        Args:
            eval_dataset, ignore_keys: Trainer's, of no effect: dev is scored as `Dev` says.
            metric_key_prefix: of the names below.

        Returns:
            ``eval_f1``, the mean, and ``eval_<corpus>_f1``, all in [0, 1].
        """
        with self.averaging.in_place():
            return self._score(metric_key_prefix)

    def _score(self, metric_key_prefix: str) -> dict[str, float]:
        found = self.score_dev()
        values = {f"{metric_key_prefix}_{name}_f1": one["f1"] for name, one in found.items()}
        values[f"{metric_key_prefix}_f1"] = mean_f1(found)
        self.log(values)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, values)
        if self.clock.better(values[f"{metric_key_prefix}_f1"], self.state.global_step, found):
            self.save_best()
        if not self.clock.is_patient:
            log.info(f"  no better dev F1 in {self.clock.patience} evaluations: stopping early")
            self.control.should_training_stop = True
        # The clock of tokens/s stands still during evaluation.
        self._logged = (self.state.global_step, self.clock.seconds())
        return values

    def score_dev(self, dev: Dev | None = None) -> dict[str, dict[str, Any]]:
        """Scores of the model as it is, on dev (or another `Dev`); every process must ask."""
        dev = dev or self.dev
        model = self.accelerator.unwrap_model(self.model)
        if not self.is_sharded:
            return dev.scores(model, self.tokenizer)
        # A forward pass collects weights from all processes: all must make the same passes, one after the other.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            if self.is_fsdp_enabled:
                sharding.open_for_tagging(model)
            with self.compute_loss_context_manager():
                return replace(dev, process=0, processes=1).scores(model, self.tokenizer)
        finally:
            torch.set_num_threads(threads)

    @property
    def is_sharded(self) -> bool:
        """Whether no process has all of the weights (FSDP, ZeRO-3)."""
        if self.is_deepspeed_enabled:
            return self.accelerator.state.deepspeed_plugin.zero_stage == 3
        return bool(self.is_fsdp_enabled)

    def create_accelerator_and_postprocess(self) -> None:
        """Read what the launch says of sharding, and let all kinds compute as one GPU does; called by Trainer."""
        super().create_accelerator_and_postprocess()
        sharding.adjust(self.accelerator.state)

    def autocast_smart_context_manager(
        self, cache_enabled: bool | None = True
    ) -> contextlib.AbstractContextManager[Any]:
        """Products in bfloat16 where weights are sharded; elsewhere accelerate and DeepSpeed see to that themselves."""
        if self.is_fsdp_enabled and self.args.bf16:
            return torch.autocast(self.args.device.type, torch.bfloat16, cache_enabled=bool(cache_enabled))
        return super().autocast_smart_context_manager(cache_enabled)

    def save_best(self) -> None:
        """Put the model as it is into the folder of the best; every process must ask."""
        best = Path(self.args.output_dir) / BEST_FOLDER
        writing = best.with_name(f".{BEST_FOLDER}.writing")
        self.save_model(str(writing))
        if self.args.should_save:
            _swap(writing, best)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model as it is; every process must ask.

        Args:
            output_dir: by default the run's.
            _internal_call: Trainer's, of no effect.
        """
        self._save(output_dir, self._gathered_state())

    def _gathered_state(self) -> dict[str, torch.Tensor] | None:
        if not self.is_sharded:
            return None
        if self.is_deepspeed_enabled:
            return self.accelerator.get_state_dict(self.model_wrapped)
        # The frozen weights of an adapted backbone are not saved, and need not be gathered.
        model = cast("VanerModel", self.model)
        return sharding.gathered(model, frozen=not model.is_adapted)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        if not self.args.should_save:
            return
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        model.save_pretrained(output_dir or self.args.output_dir, self.tokenizer, state_dict=state_dict)

    def _get_output_dir(self, trial: Any = None) -> str:
        return str(self._checkpoints or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: nn.Module, trial: Any = None) -> None:
        # Trainer writes a checkpoint file by file, in place; a run that is killed meanwhile would leave one that
        # cannot be resumed from. Here it appears under its name when it is whole.
        folder = Path(self.args.output_dir)
        self._checkpoints = folder / ".writing"
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._checkpoints = None
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            name = f"checkpoint-{self.state.global_step}"
            write_settings(folder / ".writing" / name, self.settings)
            self.averaging.save(folder / ".writing" / name)
            _swap(folder / ".writing" / name, folder / name)
            shutil.rmtree(folder / ".writing", ignore_errors=True)
            rotate_checkpoints(str(folder), self.args.save_total_limit)
        self.accelerator.wait_for_everyone()

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # Of a run that was stopped where dev was to be scored: it is scored before the weights change.
        if self.clock.due:
            self.evaluate()
        # Trainer asks whether the run is over after an update alone: a checkpoint of the last one would get another.
        over = (
            self.clock.share(self.state.global_step, self.state.max_steps) >= 1 or not self.clock.is_patient
        )
        if over:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        # It was given no other kind.
        wanted = cast("VanerModel", model or self.model)
        if self.is_fsdp_enabled:
            sharding.load_trained(wanted, resume_from_checkpoint)
        else:
            wanted.load_trained(resume_from_checkpoint)
        self.averaging.load(Path(resume_from_checkpoint))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        # Trainer would write all frozen weights into every checkpoint; the trained ones are there already.
        model = cast("VanerModel", self.model)
        sharding.save_optimizer(self.accelerator, self.optimizer, model, output_dir)
        if self.args.should_save:
            torch.save(cast("LRScheduler", self.lr_scheduler).state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_callback_state(self) -> None:
        # Trainer makes new callbacks from what was saved; the clock that is asked here would stay as it was.
        # transformers types what is a dictionary of saved states as a list of callbacks.
        states = cast("dict[str, Any]", self.state.stateful_callbacks)
        saved = states.pop(Clock.__name__, None)
        super()._load_callback_state()
        if saved is not None:
            self.clock.restore(saved[-1] if isinstance(saved, list) else saved)
            states[Clock.__name__] = saved


def _swap(new: Path, place: Path) -> None:
    """Put a folder in the place of another, so that at any moment one of them is whole there or beside it."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(new, place)
    shutil.rmtree(old, ignore_errors=True)


def _keep_unpacked(model: nn.Module) -> None:
    # Once it has tagged on a CPU, a 4-bit layer of bitsandbytes keeps its weights packed for that, and hands on no
    # gradient any more, without an error.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010  # no field of a torch Module


def _as_tensors(items: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    (batch,) = items
    return {name: torch.from_numpy(array) for name, array in batch.items()}
