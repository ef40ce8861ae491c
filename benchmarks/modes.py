"""In: real abstracts. Out: how fast each attention mode tags them, by units and by sentences; one table, one JSON.

    python benchmarks/modes.py --data_root CORPORA --json modes.json

The masks are switched on one model, so this says nothing about scores: those are compared by training with each mode
(compare.py). Before anything is timed, in float32: an abstract alone and among others must have the same spans in every
mode, whether its instruction was read once or with every row. Keys of the JSON file:

    rows        for each mode and way of reading: text tokens per second, and over `bidirectional` in the same round
    identity, machine, versions
"""

from __future__ import annotations

import argparse
import functools
import logging
import sys
import warnings
from collections.abc import Sequence

import contest
import machine
import shapes

from vaner.cli import guarded
from vaner.document import Document
from vaner.errors import VanerError
from vaner.model.attention import MODES
from vaner.tagging.labeler import Vaner
from vaner.text.units import Text

TYPES = shapes.TYPES[:4]
# None: the model's own units; 1: sentence by sentence.
READINGS = {"units": None, "sentences": 1}


def main() -> None:
    parser = contest.parser(__doc__, shapes.SHAPES)
    parser.add_argument("--documents", type=int, default=24, help="abstracts that each mode reads in a round")
    parser.add_argument("--model", default=shapes.SHIPPED, help="trained model, for the shape smollm2-135m")
    args = parser.parse_args()
    contest.check_arguments(args, "documents")
    documents = shapes.first(shapes.abstracts(args.data_root, args.seed), args.documents)
    print("checking that batches do not matter in any mode (float32) ...", file=sys.stderr)
    identity = contest.apart(functools.partial(check_identity, args, documents[:3]), args.device)
    entries, _ = contest.gather(
        [(mode, functools.partial(works, args, documents, mode)) for mode in MODES], args.device
    )
    contest.run(entries, args.rounds)
    by_name = {entry.name: entry for entry in entries}
    rows = []
    for mode in MODES:
        for reading in READINGS:
            entry = by_name[f"{mode}, {reading}"]
            stock = by_name[f"{MODES[0]}, {reading}"]
            rows.append(
                {
                    "mode": mode,
                    "reading": reading,
                    "text_tokens_per_second": contest.summary(entry.rates("text_tokens")),
                    "over_bidirectional": contest.ratio(
                        entry.rates("text_tokens"), stock.rates("text_tokens")
                    ),
                    "tokens_computed": entry.rounds[-1]["tokens"],
                    "padding_share": 1 - entry.rounds[-1]["tokens"] / entry.rounds[-1]["padded_tokens"],
                }
            )
    found = {
        "rows": rows,
        "documents": len(documents),
        "identity": identity,
        "machine": contest.apart(functools.partial(machine.describe, args.device), args.device),
        "versions": machine.versions(),
        "settings": {k: v for k, v in vars(args).items() if k not in ("data_root", "json")},
    }
    contest.print_table(
        [
            {
                "mode": row["mode"],
                "read by": row["reading"],
                "text tokens/s": f"{row['text_tokens_per_second']['median']:,.0f}",
                "spread": contest.spread(row["text_tokens_per_second"]),
                "over bidirectional": "{median:.2f} ({min:.2f} to {max:.2f})".format(
                    **row["over_bidirectional"]
                ),
                "tokens computed": f"{row['tokens_computed']:,}",
                "padding": f"{100 * row['padding_share']:.1f} %",
            }
            for row in rows
        ]
    )
    contest.write_json(args.json, found)


def _tagger(args: argparse.Namespace, mode: str, **options) -> Vaner:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    return shapes.tagger(args.shape, args.device, model=args.model, attention=mode, **options)


def works(args: argparse.Namespace, documents: list[Document], mode: str) -> dict[str, contest.Work]:
    tagger = _tagger(args, mode)
    own = tagger.max_words
    text_tokens = sum(len(ids) for one in documents for ids in tagger.tokenisation.words(Text.of(one).words))

    def work(max_words: int | None) -> contest.Work:
        def tag(_: int) -> dict:
            tagger.max_words = own if max_words is None else max_words
            for _ in tagger.tag_documents(documents, TYPES):
                pass
            return {
                "text_tokens": text_tokens,
                "tokens": tagger.tokens,
                "padded_tokens": tagger.padded_tokens,
            }

        return tag

    list(tagger.tag_documents(documents[:2], TYPES))
    return {f"{mode}, {reading}": work(max_words) for reading, max_words in READINGS.items()}


def check_identity(args: argparse.Namespace, documents: Sequence[Document]) -> dict:
    """Raise VanerError unless every mode finds in an abstract alone what it finds in it among others."""
    counted = {}
    for mode in MODES:
        tagger = _tagger(args, mode, dtype="float32")
        together = [{s.key for s in one.spans} for one in tagger.tag_documents(documents, TYPES)]
        for document, spans in zip(documents, together, strict=True):
            tagger.forget_instructions()
            (alone,) = tagger.tag_documents([document], TYPES)
            if {s.key for s in alone.spans} != spans:
                raise VanerError(
                    f"document {document.id}: its spans in mode {mode} depend on what is read with it; times would "
                    "not compare"
                )
        counted[mode] = sum(map(len, together))
    return {"documents": len(documents), "mentions": counted}


if __name__ == "__main__":
    raise SystemExit(guarded(main))
