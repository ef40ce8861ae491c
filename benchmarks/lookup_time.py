"""In: an index, abstracts. Out: time of tagging with lookups and without, in turn, and the share that is matching."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from reread import bare
from tabulate import tabulate

from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.inputs.lookups import Lookups
from vaner.knowledge import KnowledgeBase
from vaner.knowledge.shipped import NO_INDEX
from vaner.model.config import DEFAULT_MODEL
from vaner.tagging.labeler import Vaner
from vaner.training.dev import sample

_CORPUS, _DOCUMENTS = "bc5cdr-pubtator", 60
_TYPES = ["Chemical", "Disease", "Gene", "Species"]


class _Clocked(Lookups):
    """Counts the CPU seconds that looking up takes, in whatever thread."""

    seconds = 0.0

    def found(self, *given: Any) -> list[np.ndarray]:
        return self._clocked(super().found, given)

    def codes(self, *given: Any) -> np.ndarray:  # type: ignore[override]  # nothing is left out in tagging
        return self._clocked(super().codes, given)

    def _clocked(self, what: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        started = time.thread_time()
        result = what(*given)
        self.seconds += time.thread_time() - started
        return result


def timed(kb: KnowledgeBase, data_root: str | None, *, rounds: int) -> dict[str, Any]:
    """Time the shipped model, with an untrained part for lookups where it was trained without.

    Returns:
        ``speed``: seconds, CPU seconds and tokens of each round, by way; ``ratio`` of CPU seconds with lookups to those
        without, and ``matching``, the share that looking up has of the former: median, lowest and highest round.

    Raises:
        VanerError: an untrained part changes a mention.
    """
    names = {type: list(one.names) for type, one in read_registry().types.items() if one.names}
    plain = Vaner.from_pretrained(DEFAULT_MODEL, kb=NO_INDEX)
    trained = bool(plain.settings.lookups)
    if not trained:
        plain.model.read_lookups()
        plain.model.eval()
        plain.model.settings = dataclasses.replace(plain.settings, lookups={"names": names})
    tokenizer = plain.tokenisation.tokenizer
    taggers = {"without": plain, "with": Vaner(plain.model, tokenizer, kb=kb)}
    clocked = taggers["with"].lookups = _Clocked(kb, plain.model.settings.lookups["names"])
    documents = bare(sample(list(read_registry()[_CORPUS].documents("train", data_root)), _DOCUMENTS, seed=0))
    # The first pass is not counted: it fills what is remembered of words and names.
    found = {name: _run(tagger, documents)[1] for name, tagger in taggers.items()}
    if not trained and found["with"] != found["without"]:
        raise VanerError("a part for lookups that was not trained changes mentions; it has to add zeros")
    times: dict[str, list[dict[str, float]]] = {name: [] for name in taggers}
    for number in range(rounds):
        for name in list(taggers)[:: 1 if number % 2 else -1]:
            clocked.seconds = 0.0
            took, _ = _run(taggers[name], documents)
            times[name].append(took | {"matching": clocked.seconds, "tokens": taggers[name].tokens})
    pairs = list(zip(times["with"], times["without"], strict=True))
    return {
        "speed": {
            "model": DEFAULT_MODEL,
            "documents": len(documents),
            "types": _TYPES,
            "rounds": times,
            "ratio": _middle([a["cpu"] / b["cpu"] for a, b in pairs]),
            "matching": _middle([a["matching"] / a["cpu"] for a, _ in pairs]),
        }
    }


def _run(tagger: Vaner, documents: list[Document]) -> tuple[dict[str, float], list[Document]]:
    seconds, cpu = time.perf_counter(), time.process_time()
    found = list(tagger.tag_documents(documents, _TYPES))
    return {"seconds": time.perf_counter() - seconds, "cpu": time.process_time() - cpu}, found


def _middle(values: list[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "lowest": min(values), "highest": max(values)}


def table(page: dict[str, Any]) -> str:
    """Markdown."""
    speed = page["speed"]
    rows = [
        [
            name,
            f"{np.median([r['seconds'] for r in rounds]):.1f}",
            f"{np.median([r['cpu'] for r in rounds]):.1f}",
        ]
        for name, rounds in speed["rounds"].items()
    ]
    ratio, matching = speed["ratio"], speed["matching"]
    return "\n\n".join(
        [
            tabulate(rows, ["lookups", "seconds", "CPU seconds"], tablefmt="github", disable_numparse=True),
            f"{speed['documents']} abstracts, {len(speed['types'])} types, median of {len(speed['rounds']['with'])} "
            f"rounds. CPU seconds with lookups over those without: {ratio['median']:.3f} ({ratio['lowest']:.3f} to "
            f"{ratio['highest']:.3f}). Matching and codes are {100 * matching['median']:.1f} % "
            f"({100 * matching['lowest']:.1f} to {100 * matching['highest']:.1f}) of tagging's CPU seconds.",
        ]
    )
