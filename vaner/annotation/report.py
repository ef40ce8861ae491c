"""In: runs that annotated documents, gold, a checked sample. Out: a Page: agreement, what changed, cost, precision.

page = report([load("annotated", report=Report())], gold=documents)
page.markdown(); page.to_json()
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean
from typing import Any

from vaner import provenance
from vaner.annotation import report_tables
from vaner.annotation.comparing import Compared, Draws, difference, of_annotators, of_runs, with_gold
from vaner.annotation.runs import Annotated, annotation
from vaner.document import Document
from vaner.evaluation.mistakes import Mistake
from vaner.prompting.prices import Price
from vaner.prompting.request import Spent

_PACKAGES = ("numpy", "scipy", "tabulate")


@dataclass
class Page:
    """What was found out.

    Attributes:
        found: all numbers, scores in [0, 1]: ``runs``, ``gold``, ``agreement``, ``annotators``, ``guideline``,
            ``audit``, ``draws``, ``inputs``, ``versions``.
        mistakes: of each two sides.
    """

    found: dict[str, Any]
    mistakes: dict[str, list[Mistake]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Every number."""
        return json.dumps(self.found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def markdown(self) -> str:
        """The tables as Markdown."""
        return report_tables.markdown(self.found)

    def terminal(self) -> str:
        """The tables as plain text."""
        return report_tables.terminal(self.found)


def report(
    runs: Sequence[Annotated],
    *,
    gold: Sequence[Document] | None = None,
    without: Annotated | None = None,
    types: Sequence[str] | None = None,
    draws: Draws | None = None,
    prices: Mapping[str, Price] = {},
) -> Page:
    """Count everything that runs, and gold where there is some, say of each other.

    Args:
        runs: at least one, names apart.
        gold: documents with gold mentions.
        without: a run made without the guideline, or with whatever else is to be compared with each of ``runs``.
        types: the types to compare.
        draws: of the intervals; by default 1,000, with seed 0.
        prices: name of a run -> what its model's tokens cost.

    Raises:
        VanerError: two sides have no document or type in common, or texts that differ.
    """
    draws = draws or Draws()
    everything = [*runs, *([without] if without is not None else [])]
    with_it = [with_gold(run, gold, draws, types) for run in everything] if gold is not None else []
    between = [of_runs(a, b, draws, types) for a, b in combinations(everything, 2)]
    inside = {run.name: of_annotators(run, draws) for run in everything}
    found: dict[str, Any] = {
        "runs": [_run(run, prices.get(run.name)) for run in everything],
        "gold": [_compared(one) for one in with_it],
        "agreement": [_compared(one) for one in between],
        "annotators": [
            {"run": name, **_compared(one)} for name, compared in inside.items() for one in compared
        ],
        "guideline": []
        if without is None
        else [difference(run, without, draws, gold, types) for run in runs],
        "draws": {"samples": max(0, draws.samples), "seed": draws.seed, "confidence": 0.95},
        "versions": provenance.versions(_PACKAGES),
    }
    wrong = {f"{one.right} against gold": one.wrong for one in with_it}
    wrong |= {f"{one.right} against {one.left}": one.wrong for one in between}
    return Page(found, wrong)


def _compared(one: Compared) -> dict[str, Any]:
    return {"left": one.left, "right": one.right, **one.found, "remarks": one.notes}


def _run(run: Annotated, price: Price | None) -> dict[str, Any]:
    """What a run holds, and what it cost."""
    spans: dict[str, list[float | None]] = {}
    said = Counter[str]()
    changed = Counter[str]()
    annotators: dict[str, None] = {}
    instructions: dict[str, None] = {}
    for document in run.documents.values():
        for span in document.spans:
            spans.setdefault(span.type, []).append(span.score)
        how = annotation(document)
        said["people"] += "people" in how
        changed.update(how.get("changed", {}))
        annotators.update(dict.fromkeys(how.get("annotators", ())))
        instructions.update(dict.fromkeys([how["instructions"]] if how.get("instructions") else []))
    return {
        "name": run.name,
        "hash": run.hash,
        "documents": len(run.documents),
        "rejected": len(run.rejected),
        "characters": sum(len(document.text) for document in run.documents.values()),
        "returned_by_people": said["people"],
        "types": sorted(run.types) if run.types is not None else None,
        "instructions": list(instructions),
        "annotators": list(annotators),
        "mentions": {
            type: {
                "mentions": len(scores),
                "confidence": fmean(known) if (known := [s for s in scores if s is not None]) else None,
                "without_confidence": scores.count(None),
            }
            for type, scores in sorted(spans.items())
        },
        "changed": dict(changed.most_common()),
        "cost": None if run.counts is None else _cost(run, run.counts, price),
    }


def _cost(run: Annotated, counts: Mapping[str, int], price: Price | None) -> dict[str, Any]:
    spent = Spent(
        requests=counts.get("requests", 0),
        prompt_tokens=counts.get("prompt tokens", 0),
        output_tokens=counts.get("answer tokens", 0),
    )
    return {
        "seconds": round(run.seconds, 3),
        "counts": {name: number for name, number in counts.items() if number},
        "price": None if price is None else price.cost(spent),
        "currency": None if price is None else price.currency,
    }
