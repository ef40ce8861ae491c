"""In: annotated corpora, an index, a model. Out: how right distant labels are, one row a corpus, rule and type.

python benchmarks/distant.py --model vaner-smollm2-135m-20l --kb names.idx --data_root CORPORA --documents 60 \
    --corpus bc5cdr-pubtator s800 --least 0.8 0.95 --sure 0 0.99 --json distant.json

The gold mentions of dev are put aside, the text is labelled as `python -m vaner kb label` does, and both are compared,
every mention with its borders and its type:

precision      of the mentions that are taught, how many are gold
reached        of the gold mentions, how many are taught
denied         of the gold mentions, how many lie in a sentence that teaches their type, and are taught as O there or
               with other borders
absent         sentences that teach that there is no mention of the type
absent_wrong   the share of these that has one

Tagged once, labelled anew by every rule; all absences are taught (``--negatives 1``) unless told otherwise.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

from tabulate import tabulate

from vaner.cli import guarded
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.progress import progress
from vaner.provenance import DISTANT
from vaner.tagger import Tagger
from vaner.tagging.distant import DistantLabels, Rule
from vaner.tagging.loading import load
from vaner.training.dev import sample


def replayed(tagged: Sequence[Document], types: Sequence[str]) -> Tagger:
    """A tagger that answers what it has answered before."""

    def tag_documents(documents: Iterable[Document], asked: Sequence[str]) -> Iterator[Document]:
        return (answer for _, answer in zip(documents, tagged, strict=True))

    return SimpleNamespace(types=types, tag_documents=tag_documents)  # type: ignore[return-value]


def compared(
    gold: Sequence[Document], labels: DistantLabels, types: Sequence[str]
) -> list[dict[str, object]]:
    """A row for each type."""
    counts: dict[str, Counter[str]] = {type: Counter() for type in types}
    by_id = {document.id: document for document in gold}
    for document in gold:
        for span in document.spans:
            if span.type in counts:
                counts[span.type]["gold"] += 1
    for sentence in labels.sentences(gold, "gold"):
        start = sentence.metadata[DISTANT]["start"]
        end = start + len(sentence.text)
        of_document = by_id[sentence.metadata[DISTANT]["document"]].spans
        for type in counts.keys() & (sentence.types or ()):
            taught = {(s.start + start, s.end + start) for s in sentence.spans if s.type == type}
            right = {
                (s.start, s.end) for s in of_document if s.type == type and s.start < end and s.end > start
            }
            found = counts[type]
            found["taught"] += len(taught)
            found["right"] += len(taught & right)
            found["denied"] += len(right - taught)
            found["absent"] += not taught
            found["absent_wrong"] += bool(right) and not taught
    return [
        {
            "type": type,
            "gold": found["gold"],
            "taught": found["taught"],
            "precision": 100 * found["right"] / (found["taught"] or 1),
            "reached": 100 * found["right"] / (found["gold"] or 1),
            "denied": 100 * found["denied"] / (found["gold"] or 1),
            "absent": found["absent"],
            "absent_wrong": 100 * found["absent_wrong"] / (found["absent"] or 1),
        }
        for type, found in counts.items()
        if found["gold"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="precision of distant labels against gold")
    parser.add_argument("--model", required=True)
    parser.add_argument("--kb", required=True)
    parser.add_argument("--corpus", nargs="+", required=True)
    parser.add_argument("--data_root")
    parser.add_argument("--documents", type=int, help="at most so many of each corpus")
    parser.add_argument("--least", type=float, nargs="+", default=[0.8])
    parser.add_argument("--sure", type=float, nargs="+", default=[0.0], help="0: never")
    parser.add_argument("--negatives", type=float, default=1.0)
    parser.add_argument("--json")
    args = parser.parse_args()
    dictionary, model = load(f"kb:{args.kb}"), load(args.model)
    rows = []
    for name in args.corpus:
        corpus = read_registry()[name]
        documents = sample(list(corpus.documents("dev", args.data_root)), args.documents, 0)
        # As kb label asks: all types that both know.
        types = [type for type in model.types if type in dictionary.types]
        named = list(dictionary.tag_documents(documents, types))
        found = list(progress(model.tag_documents(documents, types), name, len(documents)))
        for least in args.least:
            for sure in args.sure:
                if sure and sure < least:
                    continue
                rule = Rule(least, sure or None, args.negatives)
                labels = DistantLabels(replayed(named, types), replayed(found, types), {}, rule=rule)
                setting = {"corpus": name, "least": str(least), "sure": str(sure or "never")}
                annotated = [type for type in types if type in corpus.annotated]
                rows += [setting | row for row in compared(documents, labels, annotated)]
    print(tabulate(rows, headers="keys", floatfmt=".1f", disable_numparse=[1, 2]))
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
