"""In: training arguments. Out: a model folder, chosen on dev, with the record of what made it.

corpora -> gathering -> Mixture (batches of all epochs) -> Trainer -> best on dev -> folder
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from vaner import backbone as backbones
from vaner import card
from vaner.arguments import (
    DataArguments,
    ModelArguments,
    VanerTrainingArguments,
    parse,
)
from vaner.config import CONFIG_NAME, ModelConfig
from vaner.corpora import registry
from vaner.errors import VanerError
from vaner.features import Tokenisation
from vaner.gathering import Gathered, gather, gather_hints, gather_names, sample
from vaner.instructions import Template
from vaner.mixture import Drawing, Mixture
from vaner.model import BACKBONE_FOLDER, Adapter, VanerModel, describe, load_tokenizer
from vaner.record import names_record, run_record, say_data, say_names
from vaner.tagging import model_folder
from vaner.trainer import BEST_FOLDER, Progress, VanerTrainer, score_dev

RECORD = "run.json"


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
            absent_types=data_args.absent_types,
            keep_empty=data_args.keep_empty,
            hinted=knowledge_args.kb_hint_share,
        ),
        batch_tokens=args.batch_tokens,
        epochs=_whole_epochs(args),
        seed=args.seed,
        dense=dense,
        hints=hints,
    )
    say_data(say, gathered, mixture, tokenisation)
    corpora = registry()
    if unseen := {t for name in gathered.dev for t in corpora[name].annotated} - set(settings.types):
        say(f"dev asks what training does not: {', '.join(sorted(unseen))}; scored as types never seen")
    if dense:
        say_names(say, mixture, gate)
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
    names = names_record(knowledge_args, mixture, gate) if dense else {}
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
        template=Template(type_vector=model_args.type_vector, place=model_args.instruction),
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
    # Dev may ask types that were not trained on; their definitions are then said too.
    asked = dict.fromkeys([*types, *(t for name in gathered.dev for t in sorted(corpora[name].annotated))])
    described = {t: corpora.types[t] for t in asked if t in corpora.types}
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
    _, data_args, args, _ = groups
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
        record = run_record(trainer, gathered, names, groups, scores, time.monotonic() - started)
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
