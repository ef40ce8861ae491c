"""In: training arguments. Out: a model folder, chosen on dev, with the record of what made it.

corpora -> gathering -> Mixture (batches of all epochs) -> Trainer -> best on dev -> folder
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from transformers import set_seed

from vaner.errors import VanerError
from vaner.files import cache_folder, write_text
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.inputs.lookups import LeftOut, Lookups
from vaner.model import card
from vaner.model.adapting import Adapter, choose_dtype
from vaner.model.attention import copies
from vaner.model.catalogue import backbone_folder, model_folder
from vaner.model.config import BACKBONE_FOLDER, CARD_NAME, CONFIG_NAME, GENERATE, ModelConfig
from vaner.model.loss import Teaching
from vaner.model.network import VanerModel, describe
from vaner.model.saving import copy_saved, load_tokenizer
from vaner.prompting.backends import forcing
from vaner.training.arguments import DataArguments, ModelArguments, Run, VanerTrainingArguments, parse
from vaner.training.asking import generator_file, tagger_of
from vaner.training.clock import Clock
from vaner.training.continuing import check_same, checkpoint_of, overwritten, remove, settings_of
from vaner.training.dev import Dev
from vaner.training.drawing import Drawing
from vaner.training.gathering import (
    Gathered,
    gate_of_lookups,
    gather,
    gather_hints,
    gather_lookups,
    gather_names,
)
from vaner.training.generation import Generation
from vaner.training.generator import Generator
from vaner.training.mixture import Mixture
from vaner.training.record import (
    log_changed,
    log_data,
    log_lookups,
    log_names,
    lookups_record,
    names_record,
    run_record,
)
from vaner.training.rehearsal import Known, compared, log_known, rehearsal, what_it_knows
from vaner.training.schedule import THROUGHOUT, Schedule
from vaner.training.trainer import BEST_FOLDER, VanerTrainer
from vaner.training.upload import Upload

RECORD = "run.json"

log = logging.getLogger(__name__)


def run(argv: Sequence[str], distilled: Mapping[str, Any] | None = None) -> Path:
    """Train as the words of a command line say, and log on standard output; see `train`.

    Args:
        argv: the words, without the script's name.
        distilled: as of `train`.

    Returns:
        the folder of the finished model.

    Raises:
        VanerError: bad arguments or data, before anything is written.
    """
    asked = parse(argv)
    with _on_standard_output(asked.training.process_index == 0):
        return train(asked, distilled)


def train(asked: Run, distilled: Mapping[str, Any] | None = None) -> Path:
    """Train as asked.

    Args:
        asked: the run.
        distilled: who taught the model, on what and how (`vaner.annotation.distil`), for its record and its card.

    Returns:
        the folder of the finished model.

    Raises:
        VanerError: bad data, before anything is written.
    """
    started = time.monotonic()
    data, args, knowledge = asked.data, asked.training, asked.knowledge
    # What cannot work is said before any data is read.
    if asked.model.head == GENERATE:
        # By dev scores, in the middle of the run.
        forcing.check_installed()
    checkpoint = checkpoint_of(asked)
    upload = Upload.of(args) if args.push_to_hub else None
    trained = model_folder(asked.model.model) if asked.model.model else None
    if trained and ModelConfig.load(trained).head == GENERATE:
        raise VanerError(f"--model {asked.model.model}: is a generator; training goes on from labelers only")
    if data.rehearse and not trained:
        raise VanerError(
            "--rehearse is of what a model knows already; name one with --model, or leave it out"
        )
    set_seed(args.seed)

    gathered = gather(data, args.seed)
    kept = None
    knows = ModelConfig.load(trained) if trained else None
    if knows:
        kept = what_it_knows(knows, gathered, data, args.seed)
        gathered.sources += rehearsal(kept, gathered, data)
    made_with = settings_of(asked, gathered)
    if checkpoint:
        check_same(checkpoint, made_with)
    settings = _settings(asked.model, data, gathered, knows)
    names = gate = hints = lookups = lookup_gate = None
    if knowledge.kb_hints:
        hints = gather_hints(knowledge, gathered, settings.types)
        limits = {"notes": knowledge.kb_hint_notes, "tokens": knowledge.kb_hint_tokens}
        settings = replace(settings, hints={**limits, "share": knowledge.kb_hint_share})
    if settings.hints:
        settings = replace(settings, template=settings.template.with_hints())
    left_out = LeftOut(knowledge.kb_lookup_rows, knowledge.kb_lookup_types, knowledge.kb_lookup_names)
    if knowledge.kb_lookups:
        lookups = gather_lookups(knowledge, gathered, settings.types)
        lookup_gate = gate_of_lookups(lookups.kb, knowledge, gathered, data)
        settings = replace(settings, lookups=_lookups(lookups, left_out, gathered))
    if knowledge.kb and (knowledge.kb_ratio or knowledge.kb_replace):
        # One process looks for related names, the others read what it found.
        with args.main_process_first():
            names, gate = gather_names(
                knowledge, gathered, data, settings.max_words, cache_folder() / "related"
            )
    tokenizer = load_tokenizer(trained or backbone_folder(settings.backbone, settings.revision))
    drawing = Drawing(
        head=settings.head,
        max_words=settings.max_words,
        single_sentence=data.single_sentence,
        drop_dataset=data.drop_dataset,
        one_type=data.one_type,
        all_types=data.all_types,
        absent_types=data.absent_types,
        keep_empty=data.keep_empty,
        hinted=knowledge.kb_hint_share,
        replaced=knowledge.kb_replace,
        left_out=left_out,
        taught=asked.teacher.distil_weight > 0,
        confidence=asked.teacher.confidence_weight,
    )
    batching: dict[str, Any] = {"batch_tokens": args.batch_tokens, "epochs": asked.epochs, "seed": args.seed}
    mixture: Mixture
    model = None
    if settings.head == GENERATE:
        # Its rows are written by what will ask it.
        model = _model(asked.model, settings, trained, args)
        assert isinstance(model, Generator)
        mixture = Generation(
            gathered.sources,
            drawing,
            prompter=tagger_of(model, tokenizer).prompter,
            tokenizer=tokenizer,
            max_tokens=settings.max_tokens,
            loss_on=asked.model.loss_on,
            **batching,
        )
    else:
        tokenisation = Tokenisation(tokenizer, settings.max_tokens, copies(settings.attention))
        batches = args.max_steps * args.world_size * args.gradient_accumulation_steps
        mixture = Mixture(
            gathered.sources,
            tokenisation,
            settings.template,
            drawing,
            names=names,
            hints=hints,
            lookups=lookups,
            schedule=Schedule(knowledge.kb_schedule, batches if args.max_steps > 0 else None),
            **batching,
        )
    log_data(gathered, mixture)
    if isinstance(mixture, Generation):
        log_changed(mixture)
    if unseen := {t for name in gathered.dev for t in gathered.corpora[name].annotated} - set(settings.types):
        log.info(f"dev asks what training does not: {', '.join(sorted(unseen))}; scored as types never seen")
    if names and gate:
        log_names(names, mixture, gate)
        if knowledge.kb_schedule != THROUGHOUT and args.max_minutes and args.max_steps <= 0:
            log.warning(
                f"--kb_schedule {knowledge.kb_schedule} spans all {asked.epochs} epochs, and --max_minutes may end the "
                "run before text has its share; say with --max_steps how many updates fit"
            )
    if hints:
        log.info(
            f"hints of {', '.join(hints.types)}: {mixture.hinted_rows[0]:,} rows of the first epoch have hints of "
            "names in the index; dev is scored with them"
        )
    if lookups and lookup_gate:
        log_lookups(lookup_gate)
        there = [type for type in settings.types if type in lookups.types]
        log.info(f"lookups of {', '.join(there)} in {lookups.kb.path}; dev is scored with them")

    model = model or _model(asked.model, settings, trained, args)
    if asked.teacher.distil_weight and isinstance(model, VanerModel):
        _check_taught(gathered)
        model.teaching = Teaching(asked.teacher.distil_weight, asked.teacher.distil_temperature)
    if knowledge.kb_lookups_only and isinstance(model, VanerModel):
        model.train_lookups_only()
    origin = f"{asked.model.model} on {settings.backbone}" if trained else settings.backbone
    log.info(f"model: {origin}, {settings.attention}, {settings.head} head, {describe(model)}")

    # Trainer runs one long epoch: the mixture already holds all of them. What is uploaded is the finished model.
    args.num_train_epochs = 1
    args.disable_tqdm = True
    args.push_to_hub = False
    trainer = VanerTrainer(
        model,
        args,
        mixture=mixture,
        epochs=asked.epochs,
        dev=Dev(
            gathered.dev,
            gathered.corpora,
            seed=args.seed,
            most=data.eval_documents,
            batch_tokens=max(args.batch_tokens, 2048),
            hints=hints.kb if hints else None,
            kb=lookups.kb if lookups else None,
            process=args.process_index,
            processes=args.world_size,
        ),
        clock=Clock(args.evaluations if gathered.dev else 0, args.max_minutes, args.patience),
        tokenizer=tokenizer,
        settings=made_with,
    )
    if args.max_tokens_read is not None:
        args.max_steps = trainer.updates_that_read(args.max_tokens_read)
    if args.process_index == 0 and (old := overwritten(asked)):
        log.info(f"removing what an earlier run wrote: {', '.join(str(path) for path in old)}")
        remove(old)
    if checkpoint:
        log.info(f"resuming from {checkpoint}")
    before = trainer.score_dev(kept.dev) if kept else {}
    with trainer.interruption.listening():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.interruption.signal is not None:
        _stopped(trainer)
    kept_names = names_record(knowledge, names, mixture, gate) if names and gate else {}
    kept_lookups = lookups_record(lookups.kb.path, lookup_gate) if lookups and lookup_gate else {}
    folder = _finish(
        asked,
        trainer,
        gathered,
        kept_names,
        kept_lookups,
        started,
        (kept, before) if kept else None,
        distilled or {},
    )
    if upload and args.process_index == 0:
        log.info(f"uploaded to {upload.send(folder)}")
    return folder


def _stopped(trainer: VanerTrainer) -> NoReturn:
    """Say how to go on, and end as a program does that a signal ended."""
    came = trainer.interruption.signal or signal.SIGTERM
    step = trainer.state.global_step
    log.info(
        f"stopped by {came.name} after update {step}; {trainer.args.output_dir}/checkpoint-{step} is whole: go on with "
        "the same command and --resume_from_checkpoint last"
    )
    sys.exit(128 + came)


@contextlib.contextmanager
def _on_standard_output(first: bool) -> Iterator[None]:
    """Meanwhile what training logs goes to standard output, a line each, from one process of several."""
    room = logging.getLogger("vaner.training")
    handler = _Lines(logging.INFO if first else logging.WARNING)
    level = room.level
    room.addHandler(handler)
    room.setLevel(logging.INFO)
    try:
        yield
    finally:
        room.removeHandler(handler)
        room.setLevel(level)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def _settings(
    model_args: ModelArguments, data_args: DataArguments, gathered: Gathered, trained: ModelConfig | None
) -> ModelConfig:
    """What the model will know: of the mix and, where training goes on from a model, of what that one knew."""
    corpora = gathered.corpora
    before = trained or ModelConfig(
        backbone=model_args.backbone,
        revision=model_args.revision,
        keep_layers=model_args.keep_layers,
        attention="causal" if model_args.head == GENERATE else model_args.attention,
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
        if not (corpus.template and corpus.instruction_name):
            continue
        if own.setdefault(corpus.instruction_name, corpus.template) != corpus.template:
            raise VanerError(
                f"corpus {corpus.name}: another corpus of the mix is called {corpus.instruction_name} in "
                "instructions too, with another template; give both the same one in corpora.yaml"
            )
    datasets = {name: list(types) for name, types in before.datasets.items()}
    for source in gathered.sources:
        if source.dataset is not None:
            asked = dict.fromkeys([*datasets.get(source.dataset, []), *source.types])
            datasets[source.dataset] = list(asked)
    trained_on = [*datasets.values(), *(source.types for source in gathered.sources)]
    types = list(dict.fromkeys([*before.types, *(t for types in trained_on for t in types)]))
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
    # Temperatures hold for the weights that they were fitted on.
    return replace(before, template=template, types=types, datasets=datasets, temperatures={}, training={})


def _check_taught(gathered: Gathered) -> None:
    """Say of which words a teacher's scores are known; raise VanerError where of none."""
    sizes = [source.texts.sizes for source in gathered.sources]
    taught = sum(one.taught for one in sizes)
    if not taught:
        raise VanerError(
            "--distil_weight: no document of the mix has what a teacher says of its words; tag them with predict.py "
            "--word_scores into jsonl, or leave it out"
        )
    log.info(
        f"a teacher's scores are known of {taught:,} of {sum(one.words for one in sizes):,} words of the mix"
    )


def _lookups(lookups: Lookups, left_out: LeftOut, gathered: Gathered) -> dict[str, Any]:
    """What the model says of the index that it was trained with; see `vaner.model.config.ModelConfig`."""
    index = lookups.kb.description
    names = {type: list(one.names) for type, one in gathered.corpora.types.items() if one.names}
    return {
        "names": names,
        "vocabularies": [{key: one.get(key) for key in ("name", "version")} for one in index["vocabularies"]],
        "types": list(lookups.types),
        "fingerprint": lookups.kb.fingerprint,
        "left_out": asdict(left_out),
    }


def _model(
    model_args: ModelArguments,
    settings: ModelConfig,
    trained: str | None,
    args: VanerTrainingArguments,
) -> VanerModel | Generator:
    # A quantised base is put on its device while it loads; others are moved by Trainer.
    device = str(args.device) if model_args.quantization != "none" else None
    # "auto" is what suits the device that trains, which is not where the weights are loaded.
    dtype = str(choose_dtype(model_args.dtype, args.device)).removeprefix("torch.")
    if trained is None:
        adapter = Adapter(
            model_args.adapter,
            model_args.lora_r,
            model_args.lora_alpha,
            model_args.lora_dropout,
            model_args.lora_targets,
            model_args.lora_upper_layers,
        )
        how: dict[str, Any] = {"dtype": dtype, "quantization": model_args.quantization, "device": device}
        if settings.head == GENERATE:
            return Generator.build(
                settings, adapter, generator_file(model_args, settings), seed=args.seed, **how
            )
        return VanerModel.build(settings, adapter, seed=args.seed, **how)
    full = settings.backbone == BACKBONE_FOLDER
    model = VanerModel.from_pretrained(
        trained,
        # All weights are trained then, and rounding them would stop small steps.
        dtype="float32" if full else dtype,
        device=device or "cpu",
        quantization=model_args.quantization,
    )
    if settings.lookups and not model.settings.lookups:
        with torch.random.fork_rng():
            torch.manual_seed(args.seed)
            model.read_lookups()
    model.settings = replace(settings, weights_hash=model.settings.weights_hash)
    return model.train()


def _finish(
    asked: Run,
    trainer: VanerTrainer,
    gathered: Gathered,
    names: dict[str, Any],
    lookups: dict[str, Any],
    started: float,
    kept: tuple[Known, dict[str, dict[str, Any]]] | None,
    distilled: Mapping[str, Any],
) -> Path:
    """Score the chosen model where that is still to be done, and write the folder; every process must come here."""
    args = asked.training
    folder = Path(args.output_dir)
    best = folder / BEST_FOLDER
    chosen = trainer.clock.best is not None and (best / CONFIG_NAME).is_file()
    if chosen and not trainer.is_sharded:
        trainer.accelerator.unwrap_model(trainer.model).load_trained(best)
    scores = trainer.clock.best_scores if chosen else None
    if scores is None:
        if gathered.dev:
            log.info("scoring the chosen model on dev")
        scores = trainer.score_dev()
    if not chosen:
        trainer.save_best()
    after = trainer.score_dev(kept[0].dev) if kept and not (chosen and trainer.is_sharded) else {}
    if args.process_index == 0:
        forgotten = compared(kept[1], after) if kept else {}
        record = run_record(asked, trainer, gathered, names, scores, time.monotonic() - started, lookups)
        if forgotten:
            record["known_before"] = forgotten
        if distilled:
            record["distilled"] = dict(distilled)
        shown = {k: v for k, v in record.items() if k not in ("arguments",)}
        settings = replace(ModelConfig.load(best), training=shown)
        copy_saved(best, folder, settings, torch.bfloat16 if args.save_dtype == "bfloat16" else None)
        history = [h for h in trainer.state.log_history if "loss" in h or "eval_f1" in h]
        write_text(folder / RECORD, json.dumps({**record, "history": history}, indent=2, default=str) + "\n")
        write_text(folder / CARD_NAME, card.render(settings))
        for scratch in (best, folder / ".writing"):
            shutil.rmtree(scratch, ignore_errors=True)
        for name, one in scores.items():
            log.info(f"dev {name}: F1 {one['f1']:.4f} (P {one['precision']:.4f}, R {one['recall']:.4f})")
        log_known(forgotten, asked.data.rehearse)
        log.info(
            f"model written to {folder} ({record['minutes']:.1f} min); tag with: python predict.py --model {folder} ..."
        )
    trainer.accelerator.wait_for_everyone()
    return folder
