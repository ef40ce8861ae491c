"""In: documents that several annotated, gold. Out: scores, agreement and differences of each two, by type and class.

Agreement is the F1 of one side against the other, which is the same whichever is called gold. Nobody can say how many
spans were rightly left unmarked, so no measure corrects for chance; F1 is what such measures become when that number is
large (Hripcsak and Rothschild 2005, "Agreement, the F-Measure, and Reliability in Information Retrieval").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from vaner.annotation.runs import Annotated, annotation
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation import page
from vaner.evaluation.bootstrap import compare, intervals
from vaner.evaluation.metrics import Scores, score
from vaner.evaluation.mistakes import Mistake, mistakes
from vaner.evaluation.pairing import Pairing, pair


@dataclass(frozen=True)
class Draws:
    """Of the paired bootstrap over documents; no intervals with fewer than one."""

    samples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Compared:
    """Two sides on the same documents, the left one standing where gold does.

    Attributes:
        left, right: names.
        found: what `vaner.evaluation.page.result` gives: scores in [0, 1] by type, classes of mistakes.
        scores: the counts that it is made of.
        wrong: every mistake, with its text.
        notes: what was left out, a sentence each.
    """

    left: str
    right: str
    found: dict[str, Any]
    scores: Scores
    wrong: list[Mistake]
    notes: list[str]


def with_gold(
    run: Annotated,
    gold: Sequence[Document],
    draws: Draws,
    types: Sequence[str] | None = None,
    inputs: frozenset[str] | None = None,
) -> Compared:
    """A run against gold.

    Gold documents that were no input of the run are left out, and said; those that it rejected are there, and all their
    mentions missed. Of gold's types those count that the run was asked, where that is known.

    Args:
        types: score these.
        inputs: ids of the documents to score, in place of the run's own.

    Raises:
        VanerError: as of `pair`; no type in common.
    """
    notes: list[str] = []
    inputs = run.inputs if inputs is None else inputs
    scored = [document for document in gold if document.id in inputs]
    if scored and len(scored) < len(gold):
        notes.append(f"{len(gold) - len(scored):,} gold documents were no input of the run: left out")
    # Without an id in common, documents may still be paired by their order.
    documents, found = (scored, run.of(inputs)) if scored else (list(gold), list(run.documents.values()))
    annotated = _annotated(documents)
    if types is None and run.types is not None:
        if unasked := sorted(annotated - run.types):
            notes.append(f"gold's {', '.join(unasked)} was not asked of the run: left out")
        types = sorted(annotated & run.types)
        if not types:
            raise VanerError(
                f"{run.name}: was asked for {', '.join(sorted(run.types))}, and gold annotates "
                f"{', '.join(sorted(annotated)) or 'none'}; rename what means the same (--type_map FROM=TO)"
            )
    extra = sum(document.id not in {d.id for d in documents} for document in found) if scored else 0
    if extra:
        notes.append(f"{extra:,} documents of the run are not in gold: left out")
    return _compared("gold", run.name, pair(documents, found, types=types, ignore_extra=True), draws, notes)


def of_runs(a: Annotated, b: Annotated, draws: Draws, types: Sequence[str] | None = None) -> Compared:
    """Two runs on the documents that both have; types that one was not asked are left out, and said.

    Raises:
        VanerError: no document or no type in common, texts that differ.
    """
    notes = []
    shared = a.documents.keys() & b.documents.keys()
    left, right = (one.of(shared) if shared else list(one.documents.values()) for one in (a, b))
    if shared and (others := len(a.documents) + len(b.documents) - 2 * len(shared)):
        notes.append(f"{others:,} documents that only one of the two has: left out")
    asked = [
        one.types or frozenset(s.type for d in one.documents.values() for s in d.spans) for one in (a, b)
    ]
    both = asked[0] & asked[1]
    if types is None and (apart := asked[0] ^ asked[1]):
        notes.append(f"{', '.join(sorted(apart))}: of one of the two only, left out")
    kept = both if types is None else frozenset(types)
    if not kept:
        raise VanerError(
            f"{a.name} and {b.name} have no type in common ({', '.join(sorted(asked[0])) or 'none'} against "
            f"{', '.join(sorted(asked[1])) or 'none'}); rename what means the same (--type_map FROM=TO)"
        )
    return _compared(a.name, b.name, pair(_only(left, kept), _only(right, kept)), draws, notes)


def of_annotators(run: Annotated, draws: Draws) -> list[Compared]:
    """Each two annotators of a run, by what each marked before votes and verifier; none where documents do not say.

    An annotator that marked nothing of a type in any document is taken as one that was not asked for it.
    """
    sides: dict[str, dict[str, Document]] = {}
    for document in run.documents.values():
        said = annotation(document)
        if "votes" not in said or len(said.get("annotators", ())) < 2:
            continue
        names = said["annotators"]
        for number, name in enumerate(names):
            name = name if names.count(name) == 1 else f"{name} ({number + 1})"
            spans = [
                document.span(start, end, type) for start, end, type, by in said["votes"] if number in by
            ]
            sides.setdefault(name, {})[document.id] = document.with_spans(spans)
    asked = {
        name: frozenset(span.type for document in documents.values() for span in document.spans)
        for name, documents in sides.items()
    }
    made = {name: Annotated(name, documents, types=asked[name]) for name, documents in sides.items()}
    return [of_runs(made[a], made[b], draws) for a, b in combinations(made, 2) if asked[a] & asked[b]]


def difference(
    run: Annotated,
    without: Annotated,
    draws: Draws,
    gold: Sequence[Document] | None = None,
    types: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What a run changed against another, as one with a guideline against one without.

    Returns:
        ``run``, ``without``, ``changed``: type -> classes, the other run standing where gold does (missed: gone,
        spurious: new), ``notes``; and with gold ``comparison``: of each row F1 of the two, its difference, the 95 %
        interval of paired draws of documents, and p (`vaner.evaluation.bootstrap.compare`).
    """
    changed = of_runs(without, run, draws, types)
    found: dict[str, Any] = {
        "run": run.name,
        "without": without.name,
        "documents": changed.found["documents"],
        "changed": {
            **changed.found["mistakes"].get("type", {}),
            "all": changed.found["mistakes"]["overall"]["micro"],
        },
        "notes": list(changed.notes),
    }
    if gold is None:
        return found
    inputs = run.inputs & without.inputs
    known = [one.types for one in (run, without) if one.types is not None]
    asked = frozenset.intersection(*known) if known else None
    a, b = (with_gold(replace(one, types=asked), gold, Draws(0), types, inputs) for one in (run, without))
    found["notes"] += [note for note in a.notes if note not in found["notes"]]
    if draws.samples > 0:
        found["comparison"] = [
            {"table": table, "row": row, **_plain(one)}
            for (table, row), one in compare(
                a.scores, b.scores, samples=draws.samples, seed=draws.seed
            ).items()
            if table in ("overall", "type")
        ]
    return found


def _annotated(gold: Iterable[Document]) -> frozenset[str]:
    return frozenset(
        type
        for document in gold
        for type in {span.type for span in document.spans} | (document.types or frozenset())
    )


def _plain(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("a", "b", "difference", "interval", "p")}


def _only(documents: Iterable[Document], types: frozenset[str]) -> list[Document]:
    """Documents in which these types were annotated, and no others."""
    return [
        replace(document, spans=[s for s in document.spans if s.type in types], types=types)
        for document in documents
    ]


def _compared(left: str, right: str, pairing: Pairing, draws: Draws, notes: list[str]) -> Compared:
    scores = score(pairing)
    drawn = intervals(scores, samples=draws.samples, seed=draws.seed) if draws.samples > 0 else None
    found = page.result(scores, name=right, intervals=drawn)
    for table in ("length", "relaxed"):
        del found[table]
    del found["mistakes"]["length"]
    return Compared(left, right, found, scores, mistakes(pairing), notes + page.remarks(found))
