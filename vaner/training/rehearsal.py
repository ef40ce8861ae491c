"""In: what a model was trained on before, the corpora that are here. Out: how much of it is kept; rows to rehearse it.

A model that learns a new type forgets old ones: nothing asks it for them any more. Its old types are scored before and
after training, on dev documents of corpora that it knows by name, and rows of these corpora can be trained on along
with the new ones (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal").
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vaner.corpora.overlap import Fingerprints, fingerprints, held_out_fingerprints
from vaner.corpora.registry import Corpus
from vaner.model.config import ModelConfig
from vaner.progress import progress
from vaner.report import Report
from vaner.training.arguments import DataArguments
from vaner.training.dev import Dev
from vaner.training.gathering import Gathered
from vaner.training.mixture import TrainingCorpus
from vaner.training.reading import Wanted, held_out_described, read

log = logging.getLogger(__name__)

#: Documents of each corpus at most that old types are scored on, before training and after it.
_MOST = 25
#: From this loss of F1 on, the remedy is named.
_LOSS = 0.01

Scores = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Known:
    """What a model knew before.

    Attributes:
        corpora: those that are here, one for each dataset name that it knows.
        dev: their dev documents, those that the run scores anyway left out.
    """

    corpora: list[Corpus]
    dev: Dev


def what_it_knows(before: ModelConfig, gathered: Gathered, data: DataArguments, seed: int) -> Known:
    """The corpora of a model that are here.

    Args:
        before: of the model, as it was.
        gathered: the run's data.
        data: where it is.
        seed: of the sample that is scored.
    """
    found: list[Corpus] = []
    for dataset, types in before.datasets.items():
        # Whole corpora come before samples; of several spellings of one the first that is here.
        of_that_name = [
            c
            for c in gathered.corpora.values()
            if c.instruction_name == dataset and c.annotated & set(types) and not c.distant
        ]
        here = [c for c in of_that_name if {"train", "dev"} & c.present(data.data_root).keys()]
        found += sorted(here, key=lambda c: (c.shipped, -len(c.annotated)))[:1]
    scored = {gathered.corpora[name].instruction_name for name in gathered.dev}
    report = Report()
    documents = {
        corpus.name: list(corpus.documents("dev", data.data_root, data.on_error, report))
        for corpus in progress(found, "reading what the model knows")
        if corpus.instruction_name not in scored and "dev" in corpus.present(data.data_root)
    }
    dev = Dev(documents, gathered.corpora, seed=seed, most=min(_MOST, data.eval_documents or _MOST))
    return Known(found, dev)


def rehearsal(known: Known, gathered: Gathered, data: DataArguments) -> list[TrainingCorpus]:
    """Training documents of the corpora that the model knows, weighted to ``--rehearse`` of the mix, by words.

    Those of the mix are left out, and documents that share something with a held-out one, as in the mix.
    """
    if not data.rehearse:
        return []
    mixed = {source.dataset for source in gathered.sources}
    chosen = [
        corpus
        for corpus in known.corpora
        if corpus.instruction_name not in mixed and "train" in corpus.present(data.data_root)
    ]
    if not chosen:
        log.warning(
            "--rehearse: no corpus that the model knows is here besides those of the mix; nothing is rehearsed"
        )
        return []
    guarded = [(corpus, split) for corpus in chosen for split in ("dev", "test")] + gathered.held_out
    opened = guarded if data.open_held_out and data.drop_overlap else []

    dev = [d for found in (*gathered.dev.values(), *known.dev.documents.values()) for d in found]

    def held_out() -> Fingerprints | None:
        if not data.drop_overlap:
            return None
        return fingerprints(dev) | held_out_fingerprints(opened, data.data_root)

    held_out_from = {
        "dev": [[d.text, d.sentences, str(d.passages), d.metadata.get("pmid")] for d in dev],
        "opened": held_out_described(opened, data),
    }
    wanted = [Wanted(corpus, ("train",), tuple(sorted(corpus.annotated))) for corpus in chosen]
    uncapped = replace(data, cap=None)
    reads, _ = read(wanted, held_out, held_out_from if data.drop_overlap else {}, uncapped)
    words = sum(source.weight * source.texts.sizes.words for source in gathered.sources)
    found = []
    for one, got in zip(wanted, reads, strict=True):
        corpus = one.corpus
        gathered.files += [str(path) for path in corpus.paths("train", data.data_root)]
        gathered.dropped[corpus.name] = got.dropped or 0
        if not got.texts:
            log.warning(
                f"--rehearse: {corpus.name} is left out: all its training documents share something with held-out ones"
            )
            continue
        source = TrainingCorpus(corpus.name, corpus.instruction_name, got.texts, one.types)
        source.weight = data.rehearse * words / len(chosen) / got.texts.sizes.words
        found.append(source)
    return found


def compared(before: Scores, after: Scores) -> dict[str, dict[str, dict[str, float | None]]]:
    """Corpus -> type -> F1 ``before`` and ``after``, in [0, 1]; for run.json."""
    return {
        name: {
            type: {"before": f1, "after": after[name]["types"].get(type)}
            for type, f1 in scores["types"].items()
        }
        for name, scores in before.items()
        if name in after
    }


def log_known(found: Mapping[str, Mapping[str, Mapping[str, float | None]]], rehearsed: float) -> None:
    """Say what old types have lost or won, and the remedy where they have lost."""
    lost = False
    for name, types in found.items():
        for type, f1 in types.items():
            before, after = f1["before"], f1["after"]
            if before is None or after is None:
                continue
            lost |= after < before - _LOSS
            log.info(
                f"known before: {type} on {name} dev: F1 {before:.4f} -> {after:.4f} ({100 * (after - before):+.1f})"
            )
    if lost:
        more = "a larger --rehearse" if rehearsed else "--rehearse 0.3"
        log.info(f"old types lost; {more} trains more on corpora that the model knows")
