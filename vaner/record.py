"""In: what a run read, drew and trained. Out: the lines it says, and the record that its model keeps."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vaner import provenance
from vaner.arguments import KnowledgeArguments, VanerTrainingArguments, command_line
from vaner.features import Tokenisation
from vaner.gathering import Gathered
from vaner.leakage import Gate
from vaner.mixture import Mixture
from vaner.trainer import VanerTrainer


def say_data(say, gathered: Gathered, mixture: Mixture, tokenisation: Tokenisation) -> None:
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


def say_names(say, mixture: Mixture, gate: Gate) -> None:
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


def names_record(knowledge: KnowledgeArguments, mixture: Mixture, gate: Gate) -> dict[str, Any]:
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


def run_record(
    trainer: VanerTrainer,
    gathered: Gathered,
    names: dict[str, Any],
    groups: tuple,
    scores: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """What made a model: command, sizes, versions, hashes, arguments, dev scores.

    Args:
        trainer: after training.
        gathered: the data.
        names: of `names_record`, empty without dense recognition.
        groups: the four groups of arguments, as `vaner.arguments.parse` returns them.
        scores: of dev.
        seconds: the run took.
    """
    model_args, data_args, args, knowledge_args = groups
    return {
        "command": command_line(),
        **({"started_from": model_args.model} if model_args.model else {}),
        "minutes": round(seconds / 60, 1),
        "training_minutes": round(trainer.progress.seconds() / 60, 1),
        "updates": trainer.state.global_step,
        "tokens": trainer.tokens_of(trainer.state.global_step),
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
        "arguments": _placeless(
            {**asdict(model_args), **asdict(data_args), **asdict(knowledge_args), **_plain(args)}
        ),
        "dev": scores,
    }


def _placeless(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same without where on this machine things lie, as `vaner.arguments.command_line` has it."""
    found = {
        name: Path(value).name if isinstance(value, str) and os.path.isabs(value) else value
        for name, value in arguments.items()
    }
    return {**found, "data_root": "CORPORA" if found.get("data_root") else None}


def _plain(args: VanerTrainingArguments) -> dict[str, Any]:
    """The arguments that were set away from transformers' own defaults, and ours."""
    own = {"batch_tokens", "max_minutes", "patience", "evaluations", "save_dtype"}
    named = {
        "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "seed", "gradient_accumulation_steps",
        "max_grad_norm", "bf16", "optim", "max_steps",
    }  # fmt: skip
    found = {name: str(getattr(args, name)) for name in sorted(own | named)}
    return {**found, "num_train_epochs": args.passes}
