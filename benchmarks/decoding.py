"""In: a model and corpora. Out: strict F1 of Viterbi against argmax with repair on the same scores, one table.

python benchmarks/decoding.py --model runs/ncbi-bc5cdr --corpus bc5cdr-pubtator --data_root CORPORA --json out.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tabulate import tabulate

from vaner.cli import guarded
from vaner.corpora.registry import read_registry
from vaner.evaluation import metrics
from vaner.evaluation.pairing import pair
from vaner.progress import progress
from vaner.tagging import decode, labeler
from vaner.training.dev import sample


def main() -> None:
    parser = argparse.ArgumentParser(description="Viterbi against argmax with repair")
    parser.add_argument("--model", required=True)
    parser.add_argument("--corpus", nargs="+", required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--data_root")
    parser.add_argument("--documents", type=int, help="at most so many of each corpus")
    parser.add_argument("--json")
    args = parser.parse_args()
    tagger = labeler.Vaner.from_pretrained(args.model)
    counts = {"rows": 0, "illegal": 0}
    repaired: dict[str, list] = {}
    original = decode.spans

    def both(document, offsets, types, log_probs, **options):
        counts["rows"] += len(types)
        counts["illegal"] += int(decode.illegal(decode.argmax(log_probs)).sum())
        starts = options["unit_starts"]
        repaired[document.id] = original(
            document, offsets, types, log_probs, unit_starts=starts, decoding="argmax"
        )
        return original(document, offsets, types, log_probs, unit_starts=starts, decoding="viterbi")

    labeler.decode.spans = both
    rows = []
    for name in args.corpus:
        corpus = read_registry()[name]
        documents = sample(list(corpus.documents(args.split, args.data_root)), args.documents, 0)
        counts.update(rows=0, illegal=0)
        repaired.clear()
        dataset = corpus.instruction_name if corpus.instruction_name in tagger.datasets else None
        found = tagger.tag_documents(documents, sorted(corpus.annotated), dataset)
        viterbi = list(progress(found, name, len(documents)))
        argmax = [d.with_spans(repaired[d.id]) for d in documents]
        scores = [metrics.score(pair(documents, p))[metrics.MICRO] for p in (viterbi, argmax)]
        differ = sum(a.spans != b.spans for a, b in zip(viterbi, argmax, strict=True))
        rows.append(
            {
                "corpus": name,
                "documents": len(documents),
                "viterbi_f1": scores[0].f1,
                "argmax_f1": scores[1].f1,
                "difference": scores[0].f1 - scores[1].f1,
                "rows": counts["rows"],
                "illegal_rows": counts["illegal"],
                "documents_that_differ": differ,
            }
        )
    print(tabulate(rows, headers="keys", floatfmt=".4f"))
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
