"""In: models, the scores that `evaluate --json` wrote of each. Out: F1 beside documents a second, and gaps that closed.

    python benchmarks/students.py --data_root CORPORA --json students.json \
        --models runs/distil/student vaner-smollm2-135m-20l vaner-smollm2-135m \
        --scores runs/distil/student=student.json vaner-smollm2-135m=teacher.json gold=gold.json

Every model tags the same abstracts in a process of its own, in turn (contest.py). Where scores are given of the
student (the first of --models), its teacher (the last) and the same student by gold alone (``gold``), the table says
which share of the way from gold alone to the teacher the student went. Keys of the JSON file:

    models    documents and text tokens a second, over the last model in the same round, peak memory
    scores    strict F1 of each, by corpus; closed: share of the gap
    machine, versions, settings
"""

from __future__ import annotations

import functools
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import contest
import machine
import shapes

from vaner.cli import guarded
from vaner.document import Document
from vaner.errors import VanerError
from vaner.tagging.labeler import Vaner
from vaner.text.units import Text

GOLD = "gold"


def main() -> None:
    parser = contest.parser(__doc__, shapes.SHAPES)
    parser.add_argument("--models", nargs="+", required=True, help="student first, teacher last")
    parser.add_argument(
        "--scores", nargs="*", default=[], metavar="NAME=FILE", help="of models, and of gold alone"
    )
    parser.add_argument("--documents", type=int, default=24, help="abstracts that each model tags in a round")
    args = parser.parse_args()
    contest.check_arguments(args, "documents")
    if len(args.models) != len(set(args.models)):
        raise VanerError("--models: one is named twice; name each once")
    scores = _scores(args.scores)
    documents = shapes.first(shapes.abstracts(args.data_root, args.seed), args.documents)
    entries, _ = contest.gather(
        [(name, functools.partial(works, name, args.device, documents)) for name in args.models], args.device
    )
    contest.run(entries, args.rounds)
    last = entries[-1]
    rows = [
        {
            "model": one.name,
            "documents_per_second": contest.summary(one.rates("documents")),
            "text_tokens_per_second": contest.summary(one.rates("text_tokens")),
            "over_last": contest.ratio(one.rates("documents"), last.rates("documents")),
            "peak_mb": max(one.values("peak_mb")),
        }
        for one in entries
    ]
    found = {
        "models": rows,
        "scores": scores,
        "closed": closed(scores, args.models[0], args.models[-1]),
        "documents": len(documents),
        "machine": contest.apart(functools.partial(machine.describe, args.device), args.device),
        "versions": machine.versions(),
        "settings": {k: v for k, v in vars(args).items() if k not in ("data_root", "json", "scores")},
    }
    contest.print_table(
        [
            {
                "model": row["model"],
                "documents/s": f"{row['documents_per_second']['median']:.2f}",
                "spread": contest.spread(row["documents_per_second"]),
                f"over {last.name}": "{median:.2f} ({min:.2f} to {max:.2f})".format(**row["over_last"]),
                "peak MB": f"{row['peak_mb']:,.0f}",
            }
            for row in rows
        ]
    )
    if scores:
        names = list(scores)
        corpora = list(dict.fromkeys(corpus for one in scores.values() for corpus in one))
        contest.print_table(
            [
                {
                    "corpus": corpus,
                    **{name: _percent(scores[name].get(corpus)) for name in names},
                    "gap closed": _percent(found["closed"].get(corpus), 0),
                }
                for corpus in corpora
            ],
            "strict F1",
        )
    contest.write_json(args.json, found)


def _percent(share: float | None, digits: int = 1) -> str:
    return "" if share is None else f"{100 * share:.{digits}f}"


def _scores(words: Sequence[str]) -> dict[str, dict[str, float]]:
    """Strict F1, in [0, 1], by name and corpus."""
    found: dict[str, dict[str, float]] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or not Path(file).is_file():
            raise VanerError(f"--scores {word}: write NAME=FILE, a file that evaluate --json wrote")
        page = json.loads(Path(file).read_text(encoding="utf-8"))
        found[name] = {one["name"]: one["overall"]["micro"]["f1"] for one in _results(page, file)}
    return found


def _results(page: Mapping[str, Any], file: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(page.get("results"), list):
        raise VanerError(f"{file}: has no scores by corpus; give a file that evaluate --json wrote")
    return page["results"]


def closed(scores: Mapping[str, Mapping[str, float]], student: str, teacher: str) -> dict[str, float]:
    """Which share of the way from gold alone to the teacher the student went, of corpora of which all three are known.

    Nothing is said of a corpus on which the teacher is no better than gold alone.
    """
    if not {student, teacher, GOLD} <= scores.keys():
        return {}
    shares = {}
    for corpus, alone in scores[GOLD].items():
        if corpus in scores[student] and scores[teacher].get(corpus, 0.0) > alone:
            shares[corpus] = (scores[student][corpus] - alone) / (scores[teacher][corpus] - alone)
    return shares


def works(name: str, device: str, documents: list[Document]) -> dict[str, contest.Work]:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    tagger = Vaner.from_pretrained(name, device=device)
    types = [type for type in shapes.TYPES if type in tagger.types] or tagger.types[:4]
    text_tokens = sum(len(ids) for one in documents for ids in tagger.tokenisation.words(Text.of(one).words))

    def tag(_: int) -> dict:
        for _ in tagger.tag_documents(documents, types):
            pass
        return {"documents": len(documents), "text_tokens": text_tokens}

    list(tagger.tag_documents(documents[:2], types))
    return {name: tag}


if __name__ == "__main__":
    raise SystemExit(guarded(main))
