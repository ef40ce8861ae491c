"""In: models, corpora. Out: strict F1 with a document's repeated names read together and apart, one table, one JSON.

    python benchmarks/repeats.py --model vaner-smollm2-135m-20l vaner-minilm --data_root CORPORA --json repeats.json

Every document is read once; what the model says of its words is decoded in several ways:

    apart                  every place of a name by what its unit says
    SHARE                  that much of a place's evidence is that of all places of its name (`vaner.tagging.repeats`),
                           abbreviations with their long forms; 0.7 is what the tagger does
    0.7, no abbreviations  places of the same words alone

Differences to `apart` have the 95 % interval of a paired bootstrap over documents. ``ms``: CPU milliseconds for 1,000
words that reading them together takes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import machine
import numpy as np
from tabulate import tabulate

from vaner.cli import guarded
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.evaluation import metrics
from vaner.evaluation.bootstrap import compare
from vaner.evaluation.pairing import pair
from vaner.progress import progress
from vaner.tagging import decode, labeler, repeats
from vaner.text import abbreviations
from vaner.text.units import Text
from vaner.training.dev import sample

CORPORA = [
    "ncbi-disease-pubtator", "bc5cdr-pubtator", "bc2gm", "jnlpba", "linnaeus", "s800", "anatem", "biored"
]  # fmt: skip
SHARES = (0.3, 0.5, 0.7, 0.9, 1.0)
CHOSEN = repeats.SHARE
APART, NO_ABBREVIATIONS = "apart", f"{CHOSEN}, no abbreviations"
Read = tuple[Text, np.ndarray, np.ndarray, list[int], bool]


def main() -> None:
    parser = argparse.ArgumentParser(description="names that a document repeats, read together and apart")
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--corpus", nargs="+", default=CORPORA)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--data_root", metavar="FOLDER")
    parser.add_argument("--documents", type=int, help="at most so many of each corpus")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    found = {name: of_model(name, args) for name in args.model}
    for name, rows in found.items():
        print(f"\n{name}: F1 in percent, and differences to {APART}")
        print(tabulate([_shown(row) for row in rows], headers="keys", disable_numparse=True))
    if args.json:
        about = {"machine": machine.describe("cpu"), "versions": machine.versions()}
        page = {"split": args.split, "documents": args.documents, "models": found, **about}
        Path(args.json).write_text(json.dumps(page, indent=2) + "\n", encoding="utf-8")


def of_model(name: str, args: argparse.Namespace) -> list[dict]:
    """One row a corpus, and their mean."""
    tagger = labeler.Vaner.from_pretrained(name)
    rows = []
    for corpus_name in args.corpus:
        corpus = read_registry()[corpus_name]
        gold = sample(list(corpus.documents(args.split, args.data_root, on_error="skip")), args.documents, 0)
        types = [type for type in sorted(corpus.annotated) if type in tagger.types]
        dataset = corpus.instruction_name if corpus.instruction_name in tagger.datasets else None
        read = words_of(tagger, gold, types, dataset)
        rows.append({"corpus": corpus_name, "documents": len(gold), "dataset": dataset})
        rows[-1] |= scored(gold, read, types)
    differences = [{way: one["difference"] for way, one in row["ways"].items()} for row in rows]
    mean = {way: float(np.mean([one[way] for one in differences])) for way in differences[0]}
    return [*rows, {"corpus": "mean", "ways": {way: {"difference": value} for way, value in mean.items()}}]


def words_of(
    tagger: labeler.Vaner, gold: Sequence[Document], types: Sequence[str], dataset: str | None
) -> list[Read]:
    """What the tagger gives to `repeats.together` of every document."""
    read: list[Read] = []
    original = labeler.together

    def kept(text, log_probs, tags, borders, *, types_apart):
        read.append((text, log_probs, tags, borders, types_apart))
        return log_probs

    labeler.together = kept
    try:
        tagged = tagger.tag_documents([one.with_spans([]) for one in gold], types, dataset)
        for _ in progress(tagged, "tagging", len(gold)):
            pass
    finally:
        labeler.together = original
    return read


def scored(gold: Sequence[Document], read: Sequence[Read], types: Sequence[str]) -> dict:
    """F1 of every way, and what reading together costs."""
    asked = [
        one.with_spans([span for span in one.spans if span.type in types and not span.fragments])
        for one in gold
    ]
    words = sum(len(text.words) for text, *_ in read)
    apart = metrics.score(pair(asked, [spans(one, types, one[1]) for one in read]))
    ways = {APART: {"f1": apart[metrics.MICRO].f1, "difference": 0.0}}
    seconds = 0.0
    for way in [*map(str, SHARES), NO_ABBREVIATIONS]:
        with_share(float(way.split(",")[0]), abbreviated=way != NO_ABBREVIATIONS)
        began = time.thread_time()
        agreed = [repeats.together(*one, types_apart=types_apart) for *one, types_apart in read]
        if way == str(CHOSEN):
            seconds = time.thread_time() - began
        scores = metrics.score(
            pair(asked, [spans(one, types, new) for one, new in zip(read, agreed, strict=True)])
        )
        difference = compare(scores, apart)[metrics.MICRO]
        ways[way] = {
            "precision": scores[metrics.MICRO].precision,
            "recall": scores[metrics.MICRO].recall,
            "f1": scores[metrics.MICRO].f1,
            "difference": difference.difference,
            "interval": list(difference.interval),
        }
    with_share(CHOSEN)
    return {"words": words, "ways": ways, "cpu_seconds_per_1000_words": seconds * 1000 / words}


def with_share(share: float, abbreviated: bool = True) -> None:
    repeats.SHARE = share
    repeats.find = abbreviations.find if abbreviated else lambda text: []


def spans(read: Read, types: Sequence[str], log_probs: np.ndarray) -> Document:
    text, _, _, borders, _ = read
    found = decode.spans(text.document, text.offsets, types, log_probs, unit_starts=borders)
    return text.document.with_spans(found)


def _shown(row: dict) -> dict:
    shown = {"corpus": row["corpus"], "documents": row.get("documents", "")}
    for way, one in row["ways"].items():
        if way == APART:
            shown[way] = f"{100 * one['f1']:.1f}" if "f1" in one else ""
            continue
        shown[way] = f"{100 * one['difference']:+.1f}"
        if "interval" in one and way == str(CHOSEN):
            low, high = one["interval"]
            shown[way] += f" ({100 * low:+.1f} to {100 * high:+.1f})"
    if "cpu_seconds_per_1000_words" in row:
        shown["ms"] = f"{1000 * row['cpu_seconds_per_1000_words']:.1f}"
    return shown


if __name__ == "__main__":
    raise SystemExit(guarded(main))
