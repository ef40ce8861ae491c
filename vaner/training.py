"""In: training arguments. Out: a model folder, chosen on dev, with the record of what made it.

corpora -> gathering -> Mixture (batches of all epochs) -> Trainer -> best on dev -> folder
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, set_seed
from transformers.trainer_callback import ExportableState, PrinterCallback
from transformers.trainer_utils import rotate_checkpoints

from vaner import backbone as backbones
from vaner import card, metrics, provenance
from vaner.arguments import (
    DataArguments,
    KnowledgeArguments,
    ModelArguments,
    VanerTrainingArguments,
    command_line,
    parse,
)
from vaner.config import CONFIG_NAME, ModelConfig
from vaner.corpora import registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.features import Tokenisation
from vaner.gathering import Gathered, gather, gather_hints, gather_names, sample
from vaner.hints import Hints
from vaner.leakage import Gate
from vaner.mixture import Drawing, Mixture
from vaner.model import BACKBONE_FOLDER, Adapter, VanerModel, describe, load_tokenizer
from vaner.pairing import pair
from vaner.tagging import Vaner, model_folder

BEST_FOLDER = "best"
RECORD = "run.json"


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

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        step, steps = self.state.global_step, max(self.state.max_steps, 1)
        logs["passes"] = round(self.args.passes * step / steps, 4)
        if "loss" in logs:
            seconds = self.progress.seconds()
            per_step = self.mixture.tokens / steps
            before_step, before_seconds = self._logged
            logs["tokens_per_second"] = round(
                (step - before_step) * per_step / max(seconds - before_seconds, 1e-9)
            )
            share = self.progress.share(step, steps)
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
    tagger = Vaner(model, tokenizer, batch_tokens=max(args.batch_tokens, 2048), kb=hints and hints.kb)
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


def run(argv: list[str]) -> Path:
    """Train as the arguments say; returns the folder of the finished model.

    Raises:
        VanerError: bad arguments or data, before anything is written.
    """
    started = time.monotonic()
    model_args, data_args, args, knowledge_args = parse(argv)
    args.passes = args.num_train_epochs
    args.eval_documents = data_args.eval_documents
    first = args.process_index == 0
    say = print if first else (lambda *a, **k: None)
    set_seed(args.seed)

    gathered = gather(data_args, args.seed)
    trained = model_folder(model_args.model) if model_args.model else None
    settings = _settings(model_args, data_args, gathered, ModelConfig.load(trained) if trained else None)
    dense = gate = hints = None
    if knowledge_args.kb_hints:
        hints = gather_hints(knowledge_args, gathered, settings.types)
        kept = {"notes": knowledge_args.kb_hint_notes, "tokens": knowledge_args.kb_hint_tokens}
        settings = replace(settings, hints={**kept, "share": knowledge_args.kb_hint_share})
    if settings.hints:
        settings = replace(settings, template=settings.template.with_notes())
    if knowledge_args.kb and knowledge_args.kb_ratio:
        # One process looks for related names, the others read what it found.
        with args.main_process_first():
            dense, gate = gather_names(
                knowledge_args, gathered, data_args, settings.max_words, backbones.cache_dir() / "related"
            )
    tokenizer = load_tokenizer(trained or backbones.resolve(settings.backbone, settings.revision))
    tokenisation = Tokenisation(tokenizer, settings.max_tokens)
    mixture = Mixture(
        gathered.sources,
        tokenisation,
        settings.template,
        Drawing(
            head=settings.head,
            max_words=settings.max_words,
            single_sentence=data_args.single_sentence,
            drop_dataset=data_args.drop_dataset,
            one_type=data_args.one_type,
            all_types=data_args.all_types,
            keep_empty=data_args.keep_empty,
            hinted=knowledge_args.kb_hint_share,
        ),
        batch_tokens=args.batch_tokens,
        epochs=_whole_epochs(args),
        seed=args.seed,
        dense=dense,
        hints=hints,
    )
    _report_data(say, gathered, mixture, tokenisation)
    if dense:
        _report_names(say, mixture, gate)
    if hints:
        say(
            f"hints of {', '.join(hints.types)}: {mixture.hinted_rows[0]:,} rows of the first epoch have notes on "
            "names of the index; dev is scored with them"
        )

    model = _model(model_args, settings, trained, args)
    origin = f"{model_args.model} on {settings.backbone}" if trained else settings.backbone
    say(f"model: {origin}, {settings.attention}, {settings.head} head, {describe(model)}", flush=True)

    # Trainer runs one long epoch: the mixture already holds all of them.
    args.num_train_epochs = 1
    args.disable_tqdm = True
    progress = Progress(args.evaluations if gathered.dev else 0, args.max_minutes, args.patience)
    trainer = VanerTrainer(
        model, args, mixture=mixture, dev=gathered.dev, progress=progress, tokenizer=tokenizer
    )
    resume = _checkpoint(args)
    if resume:
        say(f"resuming from {resume}", flush=True)
    trainer.train(resume_from_checkpoint=resume)
    names = _names_record(knowledge_args, mixture, gate) if dense else {}
    groups = (model_args, data_args, args, knowledge_args)
    return _finish(trainer, gathered, names, groups, started, say)


def _settings(
    model_args: ModelArguments, data_args: DataArguments, gathered: Gathered, trained: ModelConfig | None
) -> ModelConfig:
    """What the model will know: of the mix and, where training goes on from a model, of what that one knew."""
    corpora = registry()
    before = trained or ModelConfig(
        backbone=model_args.backbone,
        revision=model_args.revision,
        attention=model_args.attention,
        causal_layers=model_args.causal_layers,
        head=model_args.head,
        head_rank=model_args.head_rank,
        max_tokens=model_args.max_tokens,
        max_words=model_args.max_words,
    )
    wording = {"known": data_args.template, "adaptive": data_args.adaptive_template}
    names = [s.name for s in gathered.sources]
    own: dict[str, str] = {}
    for corpus in (corpora[n] for n in names):
        if corpus.template and own.setdefault(corpus.instruction_name, corpus.template) != corpus.template:
            raise VanerError(
                f"corpus {corpus.name}: another corpus of the mix is called {corpus.instruction_name} in "
                "instructions too, with another template; give both the same one in corpora.yaml"
            )
    datasets = {name: list(types) for name, types in before.datasets.items()}
    for source in gathered.sources:
        asked = dict.fromkeys([*datasets.get(source.dataset, []), *source.types])
        datasets[source.dataset] = list(asked)
    types = list(dict.fromkeys([*before.types, *(t for types in datasets.values() for t in types)]))
    described = {t: corpora.types[t] for t in types if t in corpora.types}
    template = replace(
        before.template,
        **{k: v for k, v in wording.items() if v},
        definitions={
            **before.template.definitions,
            **{t: d.definition for t, d in described.items() if d.definition},
        },
        datasets={**before.template.datasets, **own},
        alone={**before.template.alone, **{t: d.template for t, d in described.items() if d.template}},
    )
    return replace(before, template=template, types=types, datasets=datasets, training={})


def _model(
    model_args: ModelArguments,
    settings: ModelConfig,
    trained: str | None,
    args: VanerTrainingArguments,
) -> VanerModel:
    # A quantised base is put on its device while it loads; others are moved by Trainer.
    device = str(args.device) if model_args.quantization != "none" else None
    if trained is None:
        return VanerModel.build(
            settings,
            Adapter(
                model_args.adapter,
                model_args.lora_r,
                model_args.lora_alpha,
                model_args.lora_dropout,
                model_args.lora_targets,
                model_args.lora_upper_layers,
            ),
            dtype=model_args.dtype,
            quantization=model_args.quantization,
            device=device,
            seed=args.seed,
        )
    full = settings.backbone == BACKBONE_FOLDER
    model = VanerModel.from_pretrained(
        trained,
        # All weights are trained then, and rounding them would stop small steps.
        dtype="float32" if full else model_args.dtype,
        device=device or "cpu",
        quantization=model_args.quantization,
    )
    model.settings = replace(settings, weights_hash=model.settings.weights_hash)
    return model.train()


def _whole_epochs(args: VanerTrainingArguments) -> int:
    epochs = int(args.num_train_epochs)
    if epochs != args.num_train_epochs or epochs < 1:
        raise VanerError(f"num_train_epochs is {args.num_train_epochs:g}; choose a whole number from 1")
    return epochs


def _report_data(say, gathered: Gathered, mixture: Mixture, tokenisation: Tokenisation) -> None:
    for source in mixture.sources:
        words = sum(len(t.words) for t in source.texts)
        mentions = sum(len(t.document.spans) for t in source.texts)
        lost = f", {source.unreachable} that BIO over words cannot hold" if source.unreachable else ""
        dropped = gathered.dropped.get(source.name)
        dropped = f"; {dropped} documents dropped: dev or test has them" if dropped else ""
        weight = f" x {source.weight:g}" if source.weight != 1 else ""
        say(
            f"train on {source.name}{weight}: {len(source.texts):,} documents, {words:,} words, "
            f"{mentions:,} mentions of {', '.join(source.types)}{lost}{dropped}"
        )
    for what, count in gathered.repaired.items():
        say(f"reading: {count} x {what}")
    say(
        f"{len(mixture):,} batches, {mixture.tokens:,} tokens, "
        f"padding {100 * float(np.mean(mixture.padding)):.1f} %"
    )
    if tokenisation.shortened:
        say(f"{len(tokenisation.shortened)} very long words are read by their first tokens only")


def _report_names(say, mixture: Mixture, gate: Gate) -> None:
    dense = mixture.dense
    for line in gate.lines():
        say(line)
    counts = ", ".join(f"{count:,} {type}" for type, count in dense.counts().items())
    say(
        f"names to draw: {counts}, related to {dense.sentences - dense.without_candidates:,} of "
        f"{dense.sentences:,} sentences; {mixture.dense_rows[0]:,} rows of them in the first epoch"
    )
    if dense.without_names:
        say(f"the index has no name of type {', '.join(dense.without_names)}: not asked in rows of names")


def _names_record(knowledge: KnowledgeArguments, mixture: Mixture, gate: Gate) -> dict[str, Any]:
    return {
        "index": provenance.file_hashes([knowledge.kb]),
        "style": knowledge.kb_style,
        "ratio": knowledge.kb_ratio,
        "asked": knowledge.kb_asked,
        "others": knowledge.kb_others,
        "names": mixture.dense.counts(),
        "types_without_names": mixture.dense.without_names,
        "sentences": mixture.dense.sentences,
        "sentences_without_names": mixture.dense.without_candidates,
        "rows": mixture.dense_rows,
        "leakage": gate.record(),
    }


def _hints_record(mixture: Mixture, knowledge: KnowledgeArguments) -> dict[str, Any]:
    if mixture.hints is None:
        return {}
    return {
        "index": provenance.file_hashes([knowledge.kb]),
        "types": list(mixture.hints.types),
        "rows": mixture.hinted_rows,
    }


def _checkpoint(args: VanerTrainingArguments) -> str | None:
    wanted = args.resume_from_checkpoint
    if wanted in (None, "", "False", "false"):
        return None
    if wanted in ("True", "true", "last"):
        found = [
            p for p in Path(args.output_dir).glob("checkpoint-*") if (p / "trainer_state.json").is_file()
        ]
        if not found:
            raise VanerError(
                f"{args.output_dir}: no checkpoint to resume from; leave --resume_from_checkpoint out"
            )
        return str(max(found, key=lambda p: int(p.name.split("-")[1])))
    if not (Path(wanted) / "trainer_state.json").is_file():
        raise VanerError(
            f"{wanted}: not a checkpoint; name a folder such as {args.output_dir}/checkpoint-100"
        )
    return wanted


def _finish(trainer: VanerTrainer, gathered, names: dict[str, Any], groups, started: float, say) -> Path:
    model_args, data_args, args, knowledge_args = groups
    folder = Path(args.output_dir)
    model = trainer.accelerator.unwrap_model(trainer.model)
    best = folder / BEST_FOLDER
    if trainer.progress.best is not None and (best / CONFIG_NAME).is_file():
        model.load_trained(best)
    scores = {}
    if trainer.best_scores is not None:
        scores = trainer.best_scores
    elif gathered.dev:
        say("scoring the chosen model on dev", flush=True)
        dev = {n: sample(d, data_args.eval_documents, args.seed) for n, d in gathered.dev.items()}
        scores = score_dev(model, trainer.tokenizer, dev, args, trainer.mixture.hints)
    if args.process_index == 0:
        record = {
            "command": command_line(),
            **({"started_from": model_args.model} if model_args.model else {}),
            "minutes": round((time.monotonic() - started) / 60, 1),
            "training_minutes": round(trainer.progress.seconds() / 60, 1),
            "updates": trainer.state.global_step,
            "tokens": round(
                trainer.mixture.tokens * trainer.state.global_step / max(trainer.state.max_steps, 1)
            ),
            "processes": args.world_size,
            "chosen_at_update": trainer.progress.best_step,
            "seed": args.seed,
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "corpora": {
                s.name: {
                    "documents": len(s.texts),
                    "words": sum(len(t.words) for t in s.texts),
                    "weight": round(s.weight, 4),
                    "dropped_as_held_out": gathered.dropped.get(s.name, 0),
                }
                for s in gathered.sources
            },
            **({"knowledge": names} if names else {}),
            **({"hints": hints} if (hints := _hints_record(trainer.mixture, knowledge_args)) else {}),
            "files": provenance.file_hashes(gathered.files),
            "arguments": {
                **asdict(model_args),
                **asdict(data_args),
                **asdict(knowledge_args),
                **_plain(args),
            },
            "dev": scores,
        }
        shown = {k: v for k, v in record.items() if k not in ("arguments",)}
        model.settings = replace(model.settings, training=shown)
        dtype = torch.bfloat16 if args.save_dtype == "bfloat16" else None
        model.save_pretrained(folder, trainer.tokenizer, dtype=dtype)
        history = [h for h in trainer.state.log_history if "loss" in h or "eval_f1" in h]
        (folder / RECORD).write_text(json.dumps({**record, "history": history}, indent=2, default=str) + "\n")
        (folder / "README.md").write_text(card.render(model.settings))
        for scratch in (best, folder / ".writing"):
            shutil.rmtree(scratch, ignore_errors=True)
        for name, one in scores.items():
            say(f"dev {name}: F1 {one['f1']:.4f} (P {one['precision']:.4f}, R {one['recall']:.4f})")
        say(
            f"model written to {folder} ({record['minutes']:.1f} min); tag with: python predict.py --model {folder} ..."
        )
    return folder


def _plain(args: VanerTrainingArguments) -> dict[str, Any]:
    """The arguments that were set away from transformers' own defaults, and ours."""
    own = {"batch_tokens", "max_minutes", "patience", "evaluations", "save_dtype"}
    named = {
        "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "seed", "gradient_accumulation_steps",
        "max_grad_norm", "bf16", "optim", "max_steps",
    }  # fmt: skip
    found = {name: str(getattr(args, name)) for name in sorted(own | named)}
    return {**found, "num_train_epochs": args.passes}
