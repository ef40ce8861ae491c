"""In: a VanerModel, a Mixture, dev documents. Out: trained weights, whole checkpoints, the best model on dev.

Mixture (whole batches) -> transformers' Trainer -> checkpoint-N/, best/
                                |
                  Progress: updates or the clock -> learning rate, when dev is scored, when to stop
"""

from __future__ import annotations

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import ExportableState, PrinterCallback
from transformers.trainer_utils import rotate_checkpoints

from vaner import metrics
from vaner.arguments import VanerTrainingArguments
from vaner.config import CONFIG_NAME
from vaner.corpora import registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.gathering import sample
from vaner.hints import Hints
from vaner.mixture import Mixture
from vaner.model import VanerModel
from vaner.pairing import pair
from vaner.tagging import Vaner

BEST_FOLDER = "best"


class Progress(TrainerCallback, ExportableState):
    """How far a run is (by updates or by the clock), and when dev is scored: at equal shares of the way.

    Holds the best score as well; all of it is saved with every checkpoint and restored from it.
    """

    def __init__(self, evaluations: int, max_minutes: float | None, patience: int | None) -> None:
        self.evaluations = evaluations
        self.max_seconds = max_minutes * 60 if max_minutes else None
        self.patience = patience
        self.elapsed = 0.0
        self.evaluated = 0
        self.best: float | None = None
        self.best_step: int | None = None
        self.since_best = 0
        self._started: float | None = None

    def state(self) -> dict[str, Any]:
        names = ("elapsed", "evaluated", "best", "best_step", "since_best")
        self.elapsed = self.seconds()
        self._started = time.monotonic()
        return {
            "args": {
                "evaluations": self.evaluations,
                "max_minutes": self.max_seconds / 60 if self.max_seconds else None,
                "patience": self.patience,
            },
            "attributes": {name: getattr(self, name) for name in names},
        }

    def seconds(self) -> float:
        """Training time so far, over all resumed parts."""
        return self.elapsed + (time.monotonic() - self._started if self._started is not None else 0.0)

    def share(self, step: int, steps: int) -> float:
        """0 at the start, 1 at the end."""
        by_steps = step / steps if steps else 1.0
        return max(by_steps, self.seconds() / self.max_seconds) if self.max_seconds else by_steps

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._started = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        share = self.share(state.global_step, state.max_steps)
        if share >= 1:
            control.should_training_stop = True
        if self.evaluations and share >= (self.evaluated + 1) / self.evaluations - 1e-9:
            self.evaluated = int(share * self.evaluations + 1e-9)
            control.should_evaluate = True

    def better(self, score: float, step: int) -> bool:
        """Note an evaluation; true if it is the best so far."""
        if self.best is None or score > self.best:
            self.best, self.best_step, self.since_best = score, step, 0
            return True
        self.since_best += 1
        return False


class Printer(TrainerCallback):
    """One short line an entry, in place of Trainer's dictionaries."""

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if not state.is_world_process_zero or not logs:
            return
        if "loss" in logs:
            left = f"{logs['minutes_left']:.0f} min left" if "minutes_left" in logs else ""
            print(
                f"  step {state.global_step}/{state.max_steps}  epoch {logs['passes']:.2f}  loss {logs['loss']:.4f}  "
                f"lr {logs['learning_rate']:.1e}  {logs['tokens_per_second']:,.0f} tokens/s  {left}",
                flush=True,
            )
        elif "eval_f1" in logs:
            scores = "  ".join(
                f"{k[5:-3]} {v:.4f}" for k, v in logs.items() if k.endswith("_f1") and k != "eval_f1"
            )
            print(f"  dev at step {state.global_step}: mean F1 {logs['eval_f1']:.4f}   {scores}", flush=True)


class VanerTrainer(Trainer):
    """transformers' Trainer over a Mixture: its items are batches, its score is dev F1, its files are a model's."""

    def __init__(
        self, *args, mixture: Mixture, dev: dict[str, list[Document]], progress: Progress, tokenizer, **kw
    ):
        super().__init__(
            *args, train_dataset=mixture, data_collator=_as_tensors, callbacks=[progress, Printer()], **kw
        )
        self.remove_callback(PrinterCallback)
        self.mixture = mixture
        self.dev = dev
        self.progress = progress
        self.tokenizer = tokenizer
        self._logged = (0, 0.0)
        self._checkpoints: Path | None = None
        self.best_scores: dict[str, dict[str, Any]] | None = None

    def _get_train_sampler(self, train_dataset=None):
        # The mixture is shuffled already, by the seed and the epoch.
        return SequentialSampler(self.mixture)

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        if not self.progress.max_seconds:
            return super().create_scheduler(num_training_steps, optimizer)
        warmup = self.args.get_warmup_steps(num_training_steps) / num_training_steps

        def factor(step: int) -> float:
            # Not below the share of one update, so that the first one moves at all.
            share = max(self.progress.share(step, num_training_steps), 1 / num_training_steps)
            return min(1.0, share / warmup if warmup else 1.0, (1 - share) / (1 - warmup))

        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler

    @property
    def updates_of_all(self) -> int:
        """Updates that go through the mixture once; ``--max_steps`` may stop before or go on from its start."""
        return math.ceil(len(self.mixture) / (self.args.world_size * self.args.gradient_accumulation_steps))

    def tokens_of(self, updates: int) -> int:
        """Tokens that so many updates read, as batches of the mixture are on average."""
        return round(self.mixture.tokens * updates / self.updates_of_all)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        step = self.state.global_step
        logs["passes"] = round(self.args.passes * step / self.updates_of_all, 4)
        if "loss" in logs:
            seconds = self.progress.seconds()
            before_step, before_seconds = self._logged
            tokens = self.tokens_of(step - before_step)
            logs["tokens_per_second"] = round(tokens / max(seconds - before_seconds, 1e-9))
            share = self.progress.share(step, self.state.max_steps)
            logs["minutes_left"] = round(seconds / max(share, 1e-9) * (1 - share) / 60, 1)
            self._logged = (step, seconds)
        super().log(logs, start_time)

    def evaluate(
        self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Mean strict micro-F1 over the dev corpora, each process scoring a share of the documents."""
        documents = {
            name: sample(found, self.args.eval_documents, self.args.seed) for name, found in self.dev.items()
        }
        found = score_dev(
            self.accelerator.unwrap_model(self.model),
            self.tokenizer,
            documents,
            self.args,
            self.mixture.hints,
        )
        values = {f"{metric_key_prefix}_{name}_f1": one["f1"] for name, one in found.items()}
        values[f"{metric_key_prefix}_f1"] = float(np.mean([one["f1"] for one in found.values()]))
        self.log(values)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, values)
        if self.progress.better(values[f"{metric_key_prefix}_f1"], self.state.global_step):
            self.best_scores = found
            best = Path(self.args.output_dir) / BEST_FOLDER
            writing = best.with_name(f".{BEST_FOLDER}.writing")
            self._save(str(writing), self._gathered_state())
            if self.args.should_save:
                _swap(writing, best)
        patience = self.progress.patience
        if patience is not None and self.progress.since_best >= patience:
            print(f"  no better dev F1 in {patience} evaluations: stopping early", flush=True)
            self.control.should_training_stop = True
        # The clock of tokens/s stands still during evaluation.
        self._logged = (self.state.global_step, self.progress.seconds())
        return values

    def _gathered_state(self):
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return self.accelerator.get_state_dict(self.model)
        return None

    def _save(self, output_dir: str | None = None, state_dict=None) -> None:
        if not self.args.should_save:
            return
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        model.save_pretrained(output_dir or self.args.output_dir, self.tokenizer, state_dict=state_dict)

    def _get_output_dir(self, trial=None) -> str:
        return str(self._checkpoints or super()._get_output_dir(trial))

    def _save_checkpoint(self, model, trial=None) -> None:
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
            _swap(folder / ".writing" / name, folder / name)
            shutil.rmtree(folder / ".writing", ignore_errors=True)
            rotate_checkpoints(str(folder), self.args.save_total_limit)
        self.accelerator.wait_for_everyone()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        if not (Path(resume_from_checkpoint) / CONFIG_NAME).is_file():
            raise VanerError(f"{resume_from_checkpoint}: no whole checkpoint; resume from an earlier one")
        (model or self.model).load_trained(resume_from_checkpoint)


def _swap(new: Path, place: Path) -> None:
    """Put a folder in the place of another, so that at any moment one of them is whole there or beside it."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(new, place)
    shutil.rmtree(old, ignore_errors=True)


def _as_tensors(items: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    (batch,) = items
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def score_dev(
    model: VanerModel,
    tokenizer,
    dev: dict[str, list[Document]],
    args: VanerTrainingArguments,
    hints: Hints | None = None,
) -> dict[str, dict[str, Any]]:
    """Strict scores of a model on dev documents, asked the way its corpora are: by their names, types and hints."""
    corpora = registry()
    was_training = model.training
    model.eval()
    # A dev corpus may annotate a type that training does not ask: its score is that of a type never seen.
    tagger = Vaner(
        model,
        tokenizer,
        batch_tokens=max(args.batch_tokens, 2048),
        kb=hints and hints.kb,
        allow_new_types=True,
    )
    found: dict[str, dict[str, Any]] = {}
    for name, documents in dev.items():
        dataset = corpora[name].instruction_name
        known = dataset if dataset in model.settings.datasets else None
        types = sorted(corpora[name].annotated)
        mine = documents[args.process_index :: args.world_size]
        tagged = list(tagger.tag_documents(mine, types, known))
        if args.world_size > 1:
            parts: list[Any] = [None] * args.world_size
            torch.distributed.all_gather_object(parts, tagged)
            tagged = [d for part in parts for d in part]
        scores = metrics.score(pair(documents, tagged))
        micro = scores["overall", "micro"]
        found[name] = {
            "f1": micro.f1 or 0.0,
            "precision": micro.precision or 0.0,
            "recall": micro.recall or 0.0,
            "documents": len(documents),
            "types": {t: s.f1 for t, s in scores.table("type").items()},
        }
    model.train(was_training)
    return found
