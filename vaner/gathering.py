"""In: corpora's names and splits. Out: training Sources and dev documents, without overlap between them.

Only train (or the splits asked for) is trained on, and only dev chooses the model. A test split is opened in one
place, to leave out of training what its documents share (`vaner.corpora.held_out_fingerprints`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from vaner.arguments import DataArguments
from vaner.corpora import Corpus, held_out_fingerprints, overlapping, registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import Report
from vaner.instructions import Text
from vaner.mixture import Source, temperature_weights


@dataclass
class Gathered:
    """What a training run reads.

    Attributes:
        sources: training Texts of each corpus.
        dev: corpus name -> dev documents.
        dropped: corpus name -> training documents left out because dev or test has them.
        repaired: what the readers repaired or skipped -> how often.
        files: every file that was trained or selected on.
    """

    sources: list[Source]
    dev: dict[str, list[Document]]
    dropped: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def progress(items: Iterable, what: str, total: int | None = None):
    """A progress bar that shows up only where something takes longer than two seconds."""
    return tqdm(items, desc=what, total=total, delay=2, leave=False, file=sys.stderr)


def parse_mix(mix: Sequence[str]) -> dict[str, float]:
    """``name`` and ``name:weight`` words to weights.

    Raises:
        VanerError: a weight that is no positive number, a corpus named twice.
    """
    weights: dict[str, float] = {}
    for word in mix:
        name, colon, weight = word.partition(":")
        try:
            value = float(weight) if colon else 1.0
        except ValueError:
            value = 0.0
        if not 0 < value < math.inf:
            raise VanerError(f"--mix {word}: the weight must be a positive number, as in {name}:0.5")
        if name in weights:
            raise VanerError(f"--mix names {name} twice; give it a weight instead, as in {name}:2")
        weights[name] = value
    return weights


def gather(data: DataArguments, seed: int) -> Gathered:
    """Read, clean and segment everything a run needs.

    Raises:
        VanerError: an unknown corpus or split, a missing file, a wrong mix, a dev split that is trained on.
        FormatError, OffsetError: a bad document, unless ``--on_error skip``.
    """
    corpora = registry()
    weights = parse_mix(data.mix)
    if "test" in data.train_splits:
        raise VanerError("--train_splits test: test splits are for the final score; train on train and dev")
    trained_on = {(name, split) for name in weights for split in data.train_splits}
    dev_names = data.dev or [n for n in weights if "dev" in corpora[n].files and (n, "dev") not in trained_on]
    for name in dev_names:
        if (name, "dev") in trained_on:
            raise VanerError(
                f"--dev {name}: its dev split is trained on and cannot choose the model too; take dev out of "
                "--train_splits, or name a corpus outside the mix"
            )
    report = Report()
    gathered = Gathered([], {})
    for name in dev_names:
        paths = corpora[name].paths("dev", data.data_root)
        gathered.files += [str(p) for p in paths]
        gathered.dev[name] = list(corpora[name].documents("dev", data.data_root, data.on_error, report))
    held_out = None
    if data.drop_overlap:
        guarded = dict.fromkeys([*weights, *dev_names, *data.held_out])
        pairs = [(corpora[n], s) for n in guarded for s in ("dev", "test") if (n, s) not in trained_on]
        held_out = held_out_fingerprints(progress(pairs, "reading held-out splits"), data.data_root)
    sizes = []
    for number, (name, weight) in enumerate(weights.items()):
        documents = _training_documents(corpora[name], data, gathered, report)
        if held_out is not None:
            # One by one: ids are unique within a file, not over all splits.
            kept = [d for d in documents if not overlapping([d], held_out)]
            gathered.dropped[name] = len(documents) - len(kept)
            documents = kept
        if data.cap is not None and len(documents) > data.cap:
            chosen = np.random.default_rng([seed, number]).permutation(len(documents))[: data.cap]
            documents = [documents[i] for i in sorted(chosen)]
        texts = [Text.of(d) for d in progress(documents, f"splitting {name}")]
        texts = [t for t in texts if t.words]
        source = Source(
            name, corpora[name].instruction_name, texts, tuple(sorted(corpora[name].annotated)), weight
        )
        sizes.append(sum(len(t.words) for t in texts))
        gathered.sources.append(source)
    for source, factor in zip(
        gathered.sources, temperature_weights(sizes, data.mix_temperature), strict=True
    ):
        source.weight *= factor
    gathered.repaired = dict(report.counts)
    return gathered


def _training_documents(
    corpus: Corpus, data: DataArguments, gathered: Gathered, report: Report
) -> list[Document]:
    documents: list[Document] = []
    for split in data.train_splits:
        gathered.files += [str(p) for p in corpus.paths(split, data.data_root)]
        found = corpus.documents(split, data.data_root, data.on_error, report)
        documents += progress(found, f"reading {corpus.name} {split}")
    return documents


def sample(documents: Sequence[Document], most: int | None, seed: int) -> list[Document]:
    """At most ``most`` documents, the same for the same seed, in their own order."""
    if most is None or len(documents) <= most:
        return list(documents)
    chosen = np.random.default_rng(seed).permutation(len(documents))[:most]
    return [documents[i] for i in sorted(chosen)]
