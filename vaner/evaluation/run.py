"""In: gold documents; a tagger, or predictions. Out: a Page: every score of them, ready to be shown or written.

    page = evaluate(gold_documents, vaner.Vaner.from_pretrained(), types=["Disease"])
    page = evaluate(Gold("bc5cdr", documents, split="dev", dataset="bc5cdr"), predicted_documents, bootstrap=0)
    print(page.terminal())
    page.results[0]["overall"]["micro"]["f1"]

The command line (``python -m vaner evaluate``) and the trainer's dev scores come from here too.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from vaner import provenance
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation import page as pages
from vaner.evaluation.agreement import Columns, agreement
from vaner.evaluation.bootstrap import compare, intervals
from vaner.evaluation.metrics import Scores, mention_keys, score
from vaner.evaluation.mistakes import Mistake, mistakes
from vaner.evaluation.page import Page
from vaner.evaluation.pairing import Pairing, pair
from vaner.progress import progress
from vaner.tagger import Tagger, can_be_asked
from vaner.text.tags import encode_tags
from vaner.text.units import Text

_PACKAGES = ("numpy", "scipy", "seqeval", "scikit-learn", "tabulate")


@dataclass
class Gold:
    """One gold set.

    Attributes:
        name: of the corpus or the file, for the page.
        documents: with their gold spans.
        split: ``train``, ``dev`` or ``test`` where it is one.
        dataset: what instructions call it; a tagger that knows the name is told it.
        read: what its reader repaired or skipped -> how often, for the page.
        lengths_in: what lengths of mentions are counted in: ``words`` (a punctuation mark is one), or ``tokens``, the
            words that the documents' file marks.
    """

    name: str
    documents: Sequence[Document]
    split: str | None = None
    dataset: str | None = None
    read: dict[str, int] = field(default_factory=dict)
    lengths_in: str = "words"


Predicted = Tagger | Iterable[Document] | Mapping[str, Iterable[Document]]


def evaluate(
    gold: Gold | Sequence[Gold] | Iterable[Document],
    predicted: Predicted,
    *,
    types: Sequence[str] | None = None,
    type_map: Mapping[str, str] | None = None,
    adaptive: bool = False,
    ignore_extra: bool = False,
    training: Iterable[Document] | None = None,
    baseline: Tagger | None = None,
    compared: Iterable[Document] | None = None,
    columns: tuple[Columns, Columns] | None = None,
    length_bins: Sequence[str] = ("honest",),
    bootstrap: int = 1000,
    seed: int = 0,
    on_tagged: Callable[[Gold, list[Document]], None] | None = None,
) -> Page:
    """Score a tagger or predictions against gold.

    Args:
        gold: one gold set or several, or plain documents.
        predicted: a tagger, which gets the texts alone; documents, ids as in gold; or, for several gold sets, the
            documents of each by its name.
        types: score these types only.
        type_map: old type -> new type, on both sides, first.
        adaptive: do not tell a tagger which dataset it reads.
        ignore_extra: skip predicted documents that gold does not have, instead of raising.
        training: documents whose mentions count as seen; the page then has seen and unseen mentions apart.
        baseline: another tagger, asked the same, to be shown beside.
        compared: other predictions, for a paired bootstrap test; of one gold set only, and with ``bootstrap``.
        columns: tags of gold and predictions as two CoNLL files have them (`vaner.evaluation.agreement`).
        length_bins: ``honest`` always; ``gold-cut`` is shown beside (`vaner.evaluation.lengths`).
        bootstrap: draws of documents for 95 % intervals; 0 for none.
        seed: of the draws.
        on_tagged: is given each gold set and what the tagger made of it, as soon as that is there.

    Returns:
        the page; scores in [0, 1]. Types that a tagger does not know are not asked: their mentions are misses, and
        the page's remarks say so.

    Raises:
        VanerError: before anything is tagged, no type that the tagger could be asked for, or a type that gold does
            not have; see `pair` for the rest. A tagger that gives back other documents than it got.
    """
    golds = _golds(gold)
    given, tagger = _split(predicted, golds)
    type_map = dict(type_map or {})
    if compared is not None and (len(golds) > 1 or not bootstrap):
        raise VanerError(
            "a comparison is drawn by bootstrap, of one gold set: give one, and draws (bootstrap=1000)"
        )
    remarks: list[str] = []
    seen = None if training is None else mention_keys(training, type_map)
    # Of all gold sets before the first is tagged: what cannot be asked is said at once.
    asked = [
        asked_types(tagger, one, types, type_map, remarks) if tagger is not None else [] for one in golds
    ]
    beside = [
        asked_types(baseline, one, types, type_map, remarks, baseline=True) if baseline is not None else []
        for one in golds
    ]
    if tagger is not None:
        for one in golds:
            pair(one.documents, _bare(one), types=types, type_map=type_map)
        remarks += _said_of_datasets(tagger, golds, adaptive)

    def paired(one: Gold, documents: Iterable[Document], *, asked: bool = False) -> Pairing:
        # Who was asked was asked for the new names, and has to find them so in gold: renamed once more, types that
        # change places would change back.
        gold = renamed(one.documents, type_map) if asked else one.documents
        names = {} if asked else type_map
        return pair(gold, documents, types=types, type_map=names, ignore_extra=ignore_extra)

    def scored(one: Gold, pairing: Pairing, unreachable: int = 0) -> Scores:
        return score(
            pairing,
            training_mentions=seen,
            unreachable=unreachable,
            lengths_in=one.lengths_in,
            cut_at_gold="gold-cut" in length_bins,
        )

    results: list[dict[str, Any]] = []
    scored_types: set[str] = set()
    wrong: dict[str, list[Mistake]] = {}
    for number, one in enumerate(golds):
        unreachable = 0
        if tagger is not None:
            found = _tag(tagger, one, asked[number], adaptive)
            said = tagger.remarks()
            remarks += [f"{one.name}: {line}" for line in said] if len(golds) > 1 else said
            if on_tagged is not None:
                on_tagged(one, found)
            unreachable = _unreachable(tagger, one, asked[number], type_map)
        else:
            found = list(given[one.name])
        pairing = paired(one, found, asked=tagger is not None)
        wrong[one.name] = mistakes(pairing)
        scores = scored(one, pairing, unreachable)
        theirs: Scores | None = None
        if baseline is not None:
            answers = _tag(baseline, one, beside[number], adaptive)
            said = [f"baseline: {line}" for line in baseline.remarks()]
            remarks += [f"{one.name}: {line}" for line in said] if len(golds) > 1 else said
            against = paired(one, answers, asked=True)
            theirs = scored(one, against)
            wrong[f"{one.name} (baseline)"] = mistakes(against)
        scored_types |= set(pairing.types)
        results.append(
            pages.result(
                scores,
                name=one.name,
                split=one.split,
                intervals=intervals(scores, samples=bootstrap, seed=seed) if bootstrap else None,
                baseline=theirs,
                baseline_intervals=intervals(theirs, samples=bootstrap, seed=seed)
                if theirs and bootstrap
                else None,
                agreement=agreement(pairing, columns),
                comparison=None
                if compared is None
                else compare(
                    scores,
                    scored(one, paired(one, compared)),
                    samples=bootstrap,
                    seed=seed,
                ),
                read=one.read,
                lengths_in=one.lengths_in,
            )
        )
    several = len(results) > 1
    return Page(
        protocol={
            "predictions": "predictions",
            "adaptive": tagger is not None
            and bool(tagger.datasets)
            and not any(_dataset(tagger, one, adaptive) for one in golds),
            "baseline": None,
            "compare": None,
            "types": sorted(scored_types),
            "type_map": type_map,
            "matching": "strict: same start, end, type and fragments",
            "bootstrap": bootstrap,
            "seed": seed,
            "remarks": list(dict.fromkeys(remarks)),
        },
        versions=provenance.versions(_PACKAGES),
        results=results,
        mean=pages.mean(results) if several else None,
        baseline_mean=pages.mean(r["baseline"] for r in results)
        if several and baseline is not None
        else None,
        mistakes=wrong,
    )


def _golds(gold: Gold | Sequence[Gold] | Iterable[Document]) -> list[Gold]:
    if isinstance(gold, Gold):
        return [gold]
    listed = list(gold)
    sets = [one for one in listed if isinstance(one, Gold)]
    documents = [one for one in listed if isinstance(one, Document)]
    if sets and documents:
        raise VanerError("gold mixes gold sets and bare documents; give one or the other")
    names = [one.name for one in sets]
    if twice := [name for name in names if names.count(name) > 1]:
        raise VanerError(f"two gold sets are named {twice[0]!r}; give each a name of its own")
    return sets or [Gold("gold", documents)]


def _split(
    predicted: Predicted, golds: Sequence[Gold]
) -> tuple[Mapping[str, Iterable[Document]], Tagger | None]:
    """Documents by the gold set's name, or the tagger that is to make them."""
    if isinstance(predicted, Mapping):
        if missing := [one.name for one in golds if one.name not in predicted]:
            raise VanerError(f"predictions: none for the gold set {missing[0]}; give a list for each")
        return predicted, None
    if isinstance(predicted, Iterable):
        if len(golds) != 1:
            raise VanerError(
                f"predictions: one list for {len(golds)} gold sets; give a list for each, by name"
            )
        return {golds[0].name: predicted}, None
    return {}, predicted


def asked_types(
    tagger: Tagger,
    gold: Gold,
    types: Iterable[str] | None,
    type_map: Mapping[str, str],
    remarks: list[str],
    *,
    baseline: bool = False,
) -> list[str]:
    """The types to ask a tagger for: those that gold annotates, are scored, and the tagger knows.

    Args:
        remarks: receives which were not asked.
        baseline: the tagger is shown beside another; then none it knows is no error.

    Raises:
        VanerError: there is none.
    """
    annotated: set[str] = set()
    for document in gold.documents:
        found = {span.type for span in document.spans} if document.types is None else document.types
        annotated |= {type_map.get(type, type) for type in found}
    wanted = sorted(annotated.intersection(types) if types else annotated)
    if not wanted:
        known = ", ".join(sorted(annotated)) or "none"
        raise VanerError(f"{gold.name}: no type to ask for; the types annotated there: {known}")
    asked = [type for type in wanted if can_be_asked(tagger, type)]
    new = ", ".join(type for type in wanted if type not in asked)
    if not asked and not baseline:
        raise VanerError(
            f"{gold.name}: the tagger does not know {new}, but {', '.join(tagger.types)}; rename what means the "
            "same (--type_map FROM=TO), or ask a model all the same (--allow_new_types)"
        )
    by_names = ", ".join(type for type in asked if type not in tagger.types)
    if by_names and not tagger.allow_new_types:
        remarks.append(f"{gold.name}: training never had {by_names}; asked by the names of the index alone")
    if new:
        who = "the baseline" if baseline else "the tagger"
        remarks.append(
            f"{gold.name}: {who} does not know {new} and was not asked for it: those mentions are misses"
        )
    return asked


def _dataset(tagger: Tagger, gold: Gold, adaptive: bool) -> str | None:
    """The name by which the tagger is told of a gold set: none where it never learned its guideline."""
    return gold.dataset if not adaptive and gold.dataset in tagger.datasets else None


def _said_of_datasets(tagger: Tagger, golds: Sequence[Gold], adaptive: bool) -> list[str]:
    """Of which gold sets the tagger is told the name."""
    if not tagger.datasets:
        return []
    nameless = [one.name for one in golds if not _dataset(tagger, one, adaptive)]
    said = []
    if adaptive or all(one.dataset is None for one in golds):
        said.append("instruction without a dataset (adaptive)")
    elif nameless:
        said.append(
            f"instruction without a dataset (adaptive) for {', '.join(nameless)}, which the model was not trained on"
        )
    if len(nameless) < len(golds):
        said.append("instruction names the dataset" + (" of the others" if nameless else ""))
    return said


def _tag(tagger: Tagger, gold: Gold, types: Sequence[str], adaptive: bool) -> list[Document]:
    """The documents as a tagger marks them."""
    if not types:
        return [document.with_spans([]) for document in gold.documents]
    tagged = tagger.tag_documents(_bare(gold), types, _dataset(tagger, gold, adaptive))
    found = list(progress(tagged, f"tagging {gold.name}", total=len(gold.documents)))
    for number, (one, document) in enumerate(zip_longest(found, gold.documents), 1):
        if one is None or document is None or one.id != document.id:
            raise VanerError(
                f"{gold.name}: document {number} that the tagger gave back is {one.id if one else 'missing'}, where "
                f"{document.id if document else 'none'} was due; it has to give back every document in order"
            )
    return [
        replace(one, metadata=document.metadata) for one, document in zip(found, gold.documents, strict=True)
    ]


def renamed(documents: Iterable[Document], type_map: Mapping[str, str]) -> list[Document]:
    """Documents with other names of types; those that are not in ``type_map`` stay."""
    return [
        replace(
            document,
            spans=[replace(span, type=type_map.get(span.type, span.type)) for span in document.spans],
            types=None if document.types is None else frozenset(type_map.get(t, t) for t in document.types),
        )
        for document in documents
    ]


def _bare(gold: Gold) -> list[Document]:
    """What a tagger gets: the text alone, so that nothing that it returns can come from gold.

    Some formats keep mentions' ids and relations beside them; what they keep is put back afterwards.
    """
    return [replace(document, spans=[], metadata={}, types=None) for document in gold.documents]


def _unreachable(tagger: Tagger, gold: Gold, types: Sequence[str], type_map: Mapping[str, str]) -> int:
    """How many gold mentions cut a word of the model, share words, or cross from one unit or block to the next."""
    if tagger.max_words is None:
        return 0
    count = 0
    for document in gold.documents:
        text = Text.of(document)
        spans = [replace(span, type=type_map.get(span.type, span.type)) for span in document.spans]
        _, lost = encode_tags(text.offsets, spans, types, text.block_starts)
        borders = [text.offsets[first][0] for first, _ in text.units(tagger.max_words)]
        across = {
            s
            for s in spans
            if s.type in types and bisect_right(borders, s.start) < bisect_left(borders, s.end)
        }
        count += len(across.union(lost))
    return count
