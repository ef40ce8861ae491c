"""In: corpora's names and splits. Out: training corpora, dev documents, names to train on: all without overlap.

Only train (or the splits asked for) is trained on, and only dev chooses the model. A test split is read in three
places: to leave out of training what its documents share (`vaner.corpora.overlap.held_out_fingerprints`;
``--no_drop_overlap`` leaves that out); where names of an index are trained on, for what only it annotates
(`vaner.training.leakage.leaks`); and where words are looked up in one, to count what it has of it and to see that no
list in it was made from it (`vaner.training.leakage.gate_lookups`; ``--kb_leakage off`` leaves both out). For the first
its bytes are hashed too, so that nothing is read again where nothing changed. ``--no_open_held_out`` opens none at all.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from vaner.cache import kept
from vaner.corpora.hub import PREFIX
from vaner.corpora.overlap import Fingerprints, fingerprints, held_out_fingerprints
from vaner.corpora.own import all_corpora, is_path, named, read_type_map, with_types
from vaner.corpora.registry import Corpus, Registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import sha256, shipped
from vaner.inputs.hints import Hints
from vaner.inputs.lookups import Lookups
from vaner.knowledge import KnowledgeBase
from vaner.knowledge.shipped import named_index
from vaner.progress import progress
from vaner.report import Report
from vaner.training.arguments import DataArguments, KnowledgeArguments
from vaner.training.leakage import Gate, LookupGate, gate, gate_lookups
from vaner.training.mixture import TrainingCorpus, temperature_weights
from vaner.training.names import RelatedNames
from vaner.training.reading import Wanted, code, described, held_out_described, read


@dataclass
class Gathered:
    """What a training run reads.

    Attributes:
        corpora: the registry.
        sources: training Texts of each corpus.
        dev: corpus name -> dev documents.
        dropped: corpus name -> training documents left out because dev or test has them.
        repaired: what the readers repaired or skipped -> how often.
        files: every file that was trained or selected on.
        held_out: corpora and splits that nothing may be learnt from.
    """

    corpora: Registry
    sources: list[TrainingCorpus]
    dev: dict[str, list[Document]]
    dropped: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    held_out: list[tuple[Corpus, str]] = field(default_factory=list)


def parse_mix(mix: Sequence[str]) -> dict[str, float]:
    """``name`` and ``name:weight`` words, or paths in place of names, to weights.

    Raises:
        VanerError: a weight that is no positive number, a corpus named twice.
    """
    weights: dict[str, float] = {}
    for word in mix:
        # A path may have a colon of its own; a name has none but that of hf:.
        kind = PREFIX if word.startswith(PREFIX) else ""
        bare = word.removeprefix(kind)
        parts = bare.rpartition(":") if os.path.exists(bare.rpartition(":")[0]) else bare.partition(":")
        name, colon, weight = (bare, "", "") if os.path.exists(bare) else parts
        name = kind + name
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

    Args:
        data: what is trained on.
        seed: chooses the documents that ``--cap`` keeps.

    Raises:
        VanerError: an unknown corpus or split, a missing file, a wrong mix, a dev split that is trained on.
        FormatError, OffsetError: a bad document, unless ``--on_error skip``.
    """
    corpora = all_corpora(data.registry)
    weights = {_corpus(word, corpora, data): weight for word, weight in parse_mix(data.mix).items()}
    wanted_dev = [_corpus(word, corpora, data, only_dev=True) for word in data.dev]
    _check_type_map(corpora, data.type_map)
    types = _trained_types(corpora, list(weights), data.skip_types)
    if "test" in data.train_splits:
        raise VanerError("--train_splits test: test splits are for the final score; train on train and dev")
    trained_on = {(name, split) for name in weights for split in data.train_splits}
    # A model is chosen by what people annotated.
    if machine := [name for name in wanted_dev if corpora[name].distant]:
        raise VanerError(
            f"--dev {machine[0]}: a dictionary or a model made its labels, and a model is chosen by what people "
            "annotated; name another corpus"
        )
    dev_names = wanted_dev or [
        n
        for n in weights
        if "dev" in corpora[n].files and (n, "dev") not in trained_on and not corpora[n].distant
    ]
    for name in dev_names:
        if (name, "dev") in trained_on:
            raise VanerError(
                f"--dev {name}: its dev split is trained on and cannot choose the model too; take dev out of "
                "--train_splits, or name a corpus outside the mix"
            )
    report = Report()
    gathered = Gathered(corpora, [], {})
    for name in dev_names:
        paths = corpora[name].paths("dev", data.data_root)
        gathered.files += [str(p) for p in paths]
        gathered.dev[name] = list(corpora[name].documents("dev", data.data_root, data.on_error, report))
    guarded = dict.fromkeys([*weights, *dev_names, *data.held_out])
    gathered.held_out = [
        (corpora[n], s) for n in guarded for s in ("dev", "test") if (n, s) not in trained_on
    ]

    def held_out() -> Fingerprints | None:
        if not data.drop_overlap:
            return None
        if data.open_held_out:
            splits = progress(gathered.held_out, "reading held-out splits")
            return held_out_fingerprints(splits, data.data_root)
        return fingerprints(document for found in gathered.dev.values() for document in found)

    wanted = []
    for name in weights:
        gathered.files += [str(p) for s in data.train_splits for p in corpora[name].paths(s, data.data_root)]
        holds_back = is_own(corpora[name]) and not wanted_dev and "dev" not in corpora[name].files
        holds_back = holds_back and not corpora[name].distant
        share = data.dev_share if holds_back else 0.0
        wanted.append(Wanted(corpora[name], tuple(data.train_splits), types[name], share))
    found, repaired = read(wanted, held_out, _held_out_from(gathered, data), data, seed)
    for one, got, weight in zip(wanted, found, weights.values(), strict=True):
        if got.dev:
            gathered.dev[one.corpus.name] = got.dev
        if got.dropped is not None:
            gathered.dropped[one.corpus.name] = got.dropped
        dataset = one.corpus.instruction_name or None
        source = TrainingCorpus(one.corpus.name, dataset, got.texts, one.types, weight)
        gathered.sources.append(source)
    sizes = [source.texts.sizes.words for source in gathered.sources]
    for source, factor in zip(
        gathered.sources, temperature_weights(sizes, data.mix_temperature), strict=True
    ):
        source.weight *= factor
    gathered.repaired = dict(report.counts + Counter(repaired))
    return gathered


def _held_out_from(gathered: Gathered, data: DataArguments) -> dict[str, Any]:
    """All that the fingerprints of held-out documents depend on."""
    if not data.drop_overlap:
        return {}
    if data.open_held_out:
        return {"splits": held_out_described(gathered.held_out, data)}
    return {"dev": [described(gathered.corpora[name], ["dev"], data) for name in gathered.dev]}


def _corpus(word: str, corpora: Registry, data: DataArguments, only_dev: bool = False) -> str:
    """The name of a corpus that a word names, added to the registry where the word is its path.

    Args:
        only_dev: all documents of a path without splits choose the model.
    """
    if not is_path(word, corpora):
        return corpora[word].name
    corpus = with_types(_looked_through(word, corpora, data.on_error), read_type_map(data.type_map))
    if only_dev and "dev" not in corpus.files and corpus.name not in corpora:
        corpus = replace(corpus, files={"dev": corpus.files["train"]})
    if corpus.name in corpora and corpora[corpus.name] != corpus:
        raise VanerError(f"{word}: another corpus is called {corpus.name} too; rename the file or folder")
    corpora[corpus.name] = corpus
    return corpus.name


def _looked_through(word: str, corpora: Registry, on_error: str) -> Corpus:
    """The corpus of a path or a dataset; a file is read once to find out which types it annotates."""
    path = Path(word.removeprefix(PREFIX))
    if not path.is_file():
        return named(word, corpora, on_error)

    def look(_: Path) -> dict[str, Any]:
        return {k: v for k, v in asdict(named(word, corpora, on_error)).items() if k != "folder"}

    made_from = {
        "code": code(),
        "name": path.name,
        "dataset": word.startswith(PREFIX),
        "sha256": sha256(path),
        "on_error": on_error,
    }
    told = kept("corpus", made_from, look).told
    files = {split: tuple(map(tuple, found)) for split, found in told["files"].items()}
    return Corpus(**{**told, "files": files, "folder": path.absolute().parent})


def _check_type_map(corpora: Registry, words: Sequence[str]) -> None:
    """Raise VanerError for a label of ``--type_map`` that nothing has which was named by its path."""
    labels = {label for corpus in corpora.values() if is_own(corpus) for label in corpus.types}
    for label in read_type_map(words):
        if label not in labels:
            raise VanerError(
                f"--type_map {label}: no path or dataset of --mix or --dev annotates it; they annotate "
                f"{', '.join(sorted(labels)) or 'nothing'}"
            )


def is_own(corpus: Corpus) -> bool:
    """Whether a corpus was named by its path."""
    return corpus.folder != shipped("data") and corpus.shipped


def check_skipped(skipped: Sequence[str], known: Collection[str]) -> None:
    """Raise VanerError for a type to skip that is not among those that the mix annotates."""
    if unknown := [t for t in skipped if t not in known]:
        raise VanerError(
            f"--skip_types {unknown[0]}: no corpus of the mix annotates it; they annotate {', '.join(sorted(known))}"
        )


def _trained_types(
    corpora: Registry, names: Sequence[str], skipped: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """What is asked of each corpus of the mix."""
    check_skipped(skipped, {t for name in names for t in corpora[name].annotated})
    kept = {name: tuple(sorted(corpora[name].annotated - set(skipped))) for name in names}
    if bare := [name for name, types in kept.items() if not types]:
        raise VanerError(f"--skip_types leaves no type of {bare[0]} to train on; take it out of --mix")
    return kept


def gather_names(
    knowledge: KnowledgeArguments,
    gathered: Gathered,
    data: DataArguments,
    max_words: int,
    cache: Path | None = None,
) -> tuple[RelatedNames, Gate]:
    """Names of ``--kb`` related to the training sentences, without those that only dev or test annotate.

    Args:
        knowledge: the index, and how it is drawn from.
        gathered: what is trained on; the index is added to its files.
        data: where the corpora lie, and whether held-out files may be opened.
        max_words: of a row of names.
        cache: folder that keeps which names are related, for the next process or run.

    Raises:
        VanerError: no such index, a damaged one, or one without a name for the types of the mix.
    """
    kb = _index(knowledge, gathered)
    texts = [source.texts for source in gathered.sources]
    documents = chain.from_iterable(source.documents() for source in texts)
    mode = knowledge.kb_leakage if data.open_held_out else "off"
    found = gate(kb, documents, gathered.held_out, data.data_root, mode)
    names = RelatedNames(
        kb,
        texts,
        dropped=found.keys,
        style=knowledge.kb_style,
        ratio=knowledge.kb_ratio,
        asked=knowledge.kb_asked,
        others=knowledge.kb_others,
        max_words=max_words,
        cache=cache,
    )
    return names, found


def gather_hints(knowledge: KnowledgeArguments, gathered: Gathered, types: Sequence[str]) -> Hints:
    """What writes hints of the names of ``--kb`` into instructions, in training and when dev is scored.

    The leakage gate has no part in it: a hint says what the dictionary finds in a text that is read anyway, and the
    label comes from that text's own gold. To leave out what only dev or test annotates would carry their gold into
    the rows of training, and tagging has these hints as well.

    Args:
        knowledge: the index, and how many hints a row has.
        gathered: the index is added to its files.
        types: those that may be asked.

    Raises:
        VanerError: no such index, a damaged one, or one without a name of the types.
    """
    kb = _index(knowledge, gathered)
    return Hints(kb, types, most=knowledge.kb_hint_notes, tokens=knowledge.kb_hint_tokens)


def gather_lookups(knowledge: KnowledgeArguments, gathered: Gathered, types: Sequence[str]) -> Lookups:
    """What looks words up in ``--kb``, in training and when dev is scored.

    As with hints, no name is dropped for being annotated in dev or test: what is looked up in a text of training says
    nothing of theirs. `gate_of_lookups` checks instead that no list in the index came from a corpus.

    Args:
        knowledge: the index.
        gathered: the index is added to its files.
        types: those that may be asked.

    Raises:
        VanerError: no such index, a damaged one, or one without a name of the types.
    """
    kb = _index(knowledge, gathered)
    known = gathered.corpora.types
    names = {type: list(one.names) for type, one in known.items() if one.names}
    lookups = Lookups(kb, names, nested=True)
    lookups.check(types)
    return lookups


def gate_of_lookups(
    kb: KnowledgeBase, knowledge: KnowledgeArguments, gathered: Gathered, data: DataArguments
) -> LookupGate:
    """What the index of lookups has of dev and test, and that no list in it came from a corpus.

    Args:
        kb: the index.
        knowledge: what to do about such a list.
        gathered: what is trained on, chooses the model and stays unseen.
        data: where the corpora lie, and whether held-out files may be opened.

    Raises:
        VanerError: a vocabulary that looks made from a corpus, unless ``--kb_leakage report``.
    """
    mode = knowledge.kb_leakage if data.open_held_out else "off"
    held_back = {name: dev for name, dev in gathered.dev.items() if "dev" not in gathered.corpora[name].files}
    training = {source.name: source.texts.documents() for source in gathered.sources}
    return gate_lookups(
        kb,
        training,
        gathered.held_out,
        data.data_root,
        mode,
        held_back=held_back,
        types=gathered.corpora.types,
    )


def _index(knowledge: KnowledgeArguments, gathered: Gathered) -> KnowledgeBase:
    """The index of ``--kb``, noted as a file that is trained on."""
    path = None if knowledge.kb is None else named_index(knowledge.kb)
    if path is None or not path.is_file():
        raise VanerError(
            f"--kb {knowledge.kb}: no such index; make one with python -m vaner kb build, or write open for the "
            "vocabulary that vaner ships"
        )
    gathered.files.append(str(path))
    return KnowledgeBase(path)
