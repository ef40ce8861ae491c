"""In: what a run read, drew and trained. Out: the lines it logs, and the record that its model keeps."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaner import provenance
from vaner.training.arguments import KnowledgeArguments, Run, command_line
from vaner.training.gathering import Gathered
from vaner.training.generation import Generation
from vaner.training.leakage import Gate, LookupGate
from vaner.training.mixture import Mixture
from vaner.training.names import RelatedNames
from vaner.training.schedule import THROUGHOUT
from vaner.training.trainer import VanerTrainer

log = logging.getLogger(__name__)


def log_data(gathered: Gathered, mixture: Mixture) -> None:
    """What is trained on, and what was left out or repaired."""
    for source in mixture.sources:
        sizes = source.texts.sizes
        lost = f", {sizes.unreachable} that BIO over words cannot hold" if sizes.unreachable else ""
        shared = gathered.dropped.get(source.name)
        dropped = f"; {shared} documents dropped: dev or test has them" if shared else ""
        weight = f" x {source.weight:g}" if source.weight != 1 else ""
        log.info(
            f"train on {source.name}{weight}: {sizes.documents:,} documents, {sizes.words:,} words, "
            f"{sizes.mentions:,} mentions of {', '.join(source.types)}{lost}{dropped}"
        )
    for what, count in gathered.repaired.items():
        log.info(f"reading: {count} x {what}")
    log.info(
        f"{len(mixture):,} batches, {mixture.tokens:,} tokens, "
        f"padding {100 * float(np.mean(mixture.padding)):.1f} %"
    )
    if mixture.shortened:
        log.info(f"{mixture.shortened} very long words are read by their first tokens only")


def log_changed(mixture: Generation) -> None:
    """What a generator's rows could not hold as it was drawn."""
    for what, count in mixture.changed.items():
        log.info(f"rows of all epochs: {count:,} {what}")


def log_names(names: RelatedNames, mixture: Mixture, gate: Gate) -> None:
    """Which names can be drawn, and which must not be."""
    for line in gate.lines():
        log.info(line)
    counts = ", ".join(f"{count:,} {type}" for type, count in names.counts().items())
    log.info(
        f"names to draw: {counts}, related to {names.sentences - names.without_candidates:,} of "
        f"{names.sentences:,} sentences; {mixture.name_rows[0]:,} rows of them in the first epoch"
    )
    if mixture.schedule.kind != THROUGHOUT:
        read, of_names = mixture.read_batches
        log.info(
            f"--kb_schedule {mixture.schedule.kind}: of {read:,} batches that the run reads {of_names:,} are of names"
        )
    if any(mixture.replaced_rows):
        log.info(f"names in place of mentions in {mixture.replaced_rows[0]:,} rows of the first epoch")
    if names.without_names:
        log.info(
            f"the index has no name of type {', '.join(names.without_names)}: not asked in rows of names"
        )


def log_lookups(gate: LookupGate) -> None:
    """What the index of lookups has of the held-out splits."""
    for line in gate.lines():
        log.info(line)


def lookups_record(index: Path, gate: LookupGate) -> dict[str, Any]:
    """What run.json says of lookups in an index."""
    return {"index": provenance.file_hashes([str(index)]), "leakage": gate.record()}


def names_record(
    knowledge: KnowledgeArguments, names: RelatedNames, mixture: Mixture, gate: Gate
) -> dict[str, Any]:
    """What run.json says of rows of names."""
    return {
        "index": provenance.file_hashes([str(knowledge.kb)]),
        "style": knowledge.kb_style,
        "ratio": knowledge.kb_ratio,
        "schedule": knowledge.kb_schedule,
        "replace": knowledge.kb_replace,
        "asked": knowledge.kb_asked,
        "others": knowledge.kb_others,
        "names": names.counts(),
        "types_without_names": names.without_names,
        "sentences": names.sentences,
        "sentences_without_names": names.without_candidates,
        "rows": mixture.name_rows,
        "replaced_rows": mixture.replaced_rows,
        "leakage": gate.record(),
    }


def _hints_record(mixture: Mixture, knowledge: KnowledgeArguments) -> dict[str, Any]:
    if mixture.hints is None:
        return {}
    return {
        "index": provenance.file_hashes([str(knowledge.kb)]),
        "types": list(mixture.hints.types),
        "rows": mixture.hinted_rows,
    }


def run_record(
    run: Run,
    trainer: VanerTrainer,
    gathered: Gathered,
    names: dict[str, Any],
    scores: dict[str, Any],
    seconds: float,
    lookups: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What made a model: command, sizes, versions, hashes, arguments, dev scores.

    Args:
        run: what was asked for.
        trainer: after training.
        gathered: the data.
        names: of `names_record`, empty without rows of names.
        scores: of dev.
        seconds: the run took.
        lookups: of `lookups_record`, None without lookups.
    """
    return {
        "command": command_line(run.words),
        **({"started_from": _named(run.model.model)} if run.model.model else {}),
        "minutes": round(seconds / 60, 1),
        "training_minutes": round(trainer.clock.seconds() / 60, 3),
        "updates": trainer.state.global_step,
        "tokens": trainer.tokens_of(trainer.state.global_step),
        "device": _device(run.training.device),
        "processes": run.training.world_size,
        "chosen_at_update": trainer.clock.best_step,
        "seed": run.training.seed,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "corpora": {
            s.name: {
                "documents": s.texts.sizes.documents,
                "words": s.texts.sizes.words,
                "weight": round(s.weight, 4),
                "dropped_as_held_out": gathered.dropped.get(s.name, 0),
            }
            for s in gathered.sources
        },
        **({"knowledge": names} if names else {}),
        **({"lookups": lookups} if lookups else {}),
        **({"hints": hints} if (hints := _hints_record(trainer.mixture, run.knowledge)) else {}),
        **(
            {
                "generation": {
                    "answer": run.model.answer,
                    "loss_on": run.model.loss_on,
                    "changed": trainer.mixture.changed,
                }
            }
            if isinstance(trainer.mixture, Generation)
            else {}
        ),
        "files": provenance.file_hashes(gathered.files),
        "arguments": _placeless(
            {
                **asdict(run.model),
                **asdict(run.data),
                **asdict(run.knowledge),
                **asdict(run.teacher),
                **_plain(run),
            }
        ),
        "dev": scores,
    }


def _device(device: torch.device) -> str:
    """What trained: ``cpu``, or the name of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _named(model: str) -> str:
    """A model as people call it: the last part of a place on this machine, anything else as it is."""
    return Path(model).name if os.path.isabs(model) else model


def _placeless(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same without where on this machine things lie, as `vaner.training.arguments.command_line` has it."""
    found = {
        name: Path(value).name if isinstance(value, str) and os.path.isabs(value) else value
        for name, value in arguments.items()
    }
    return {**found, "data_root": "CORPORA" if found.get("data_root") else None}


def _plain(run: Run) -> dict[str, Any]:
    """The arguments that were set away from transformers' own defaults, and ours."""
    own = {"batch_tokens", "max_minutes", "max_tokens_read", "patience", "evaluations", "save_dtype"}
    named = {
        "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "seed", "gradient_accumulation_steps",
        "max_grad_norm", "bf16", "optim", "max_steps",
    }  # fmt: skip
    found = {name: str(vars(run.training)[name]) for name in sorted(own | named)}
    return {**found, "num_train_epochs": float(run.epochs)}
