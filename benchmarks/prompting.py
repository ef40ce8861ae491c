"""In: dev documents, a language model. Out: what each way to ask it gives and takes; one table.

    python benchmarks/prompting.py --model Qwen/Qwen2.5-Coder-0.5B-Instruct --data_root CORPORA --json prompting.json
    python benchmarks/prompting.py --arms "no shots" "5 fixed shots" --documents 4 --rounds 3        what shots cost

Every arm is a prompted tagger: one base (below) with a few keys changed. All of them ask the same sentences of the
same model, loaded once, greedily; nothing comes from a store but the answers of one free arm, which is read in three
ways. Scores are strict micro-F1 with 95 % intervals over documents, beside them what the answers lost, by cause, and
where the mistakes lie. Seconds are of the clock; with ``--rounds`` the arms take turns, and the median counts. Keys of
the JSON file: rows, documents, sentences, words, gold, model, machine, versions.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import machine
from tabulate import tabulate

from vaner import provenance
from vaner.cli import guarded
from vaner.corpora.registry import read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation.run import Gold, evaluate
from vaner.files import replacing_text
from vaner.prompting.found import CAUSES
from vaner.prompting.opening import opened_backend, prompter
from vaner.prompting.request import Backend, Spent
from vaner.prompting.sending import Sender
from vaner.prompting.settings import BackendSettings, PromptSettings
from vaner.prompting.store import RequestStore
from vaner.tagging.prompted import PromptedTagger
from vaner.text.units import Text

BASE: dict[str, Any] = {
    "types": {
        "Disease": "a disease, disorder, syndrome, symptom or other abnormal condition",
        "Chemical": "a chemical or a drug, by name, abbreviation or formula",
    },
    "answer": "token_tags",
    "decoding": "forced",
    "max_words": 1,
    "store": "none",
}
_FREE = {"decoding": "free"}
# What each arm changes; of those with the same "asked" the model is asked once.
ARMS: dict[str, dict[str, Any]] = {
    "token : TAG, forced": {},
    "token : TAG, free, index": {**_FREE, "alignment": "index", "asked": "token"},
    "token : TAG, free, difflib": {**_FREE, "alignment": "difflib", "asked": "token"},
    "token : TAG, free, exact": {**_FREE, "alignment": "exact", "asked": "token"},
    "tags alone, forced": {"answer": "tags"},
    "inline, free": {**_FREE, "answer": "inline"},
    "inline, forced": {"answer": "inline"},
    "json, free": {**_FREE, "answer": "json"},
    "json, forced": {"answer": "json"},
    "json, forced, one type a call": {"answer": "json", "one_type_per_call": True},
    "no shots": {"answer": "json", "shots": {"k": 0}},
    "5 fixed shots": {"answer": "json"},
    "5 random shots": {"answer": "json", "shots": {"choose": "random"}},
    "5 shots by BM25": {"answer": "json", "shots": {"choose": "bm25"}},
    "5 shots by vectors": {"answer": "json", "shots": {"choose": "dense"}},
    "4 by BM25, 1 hard": {"answer": "json", "shots": {"choose": {"bm25": 4, "hard": 1}}},
    "no definitions": {"answer": "json", "retrieval": {"definitions": False}},
    "names of an index": {"answer": "json", "retrieval": {"names": "KB"}},
    "passages of a guideline": {"answer": "json", "retrieval": {"passages": {"from": "GUIDELINE", "top": 2}}},
}


def main() -> None:
    args = _arguments()
    corpus = read_registry()[args.corpus]
    documents = list(corpus.documents(args.split, args.data_root, on_error="skip"))[:: args.every]
    documents = documents[: args.documents]
    _check(args.arms)
    backend = opened_backend(
        BackendSettings(args.backend, args.model, {"dtype": args.dtype} if args.dtype else {})
    )
    arms = [one for one in args.arms or ARMS if _possible(one, args)]
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.rounds):
            for name in arms:
                print(f"round {number + 1}: {name}", flush=True)
                row = _asked(name, args, documents, backend, Path(folder) / f"{number}.sqlite")
                before = rows.setdefault(name, row)
                before.setdefault("rounds", []).append(row["seconds"])
    words = sum(len(Text.of(one).words) for one in documents)
    found = {
        "rows": rows,
        "documents": len(documents),
        "sentences": sum(len(Text.of(one).sentence_starts) for one in documents),
        "words": words,
        "gold": sum(len({s.key for s in one.spans}) for one in documents),
        "model": dict(backend.identity),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "machine": machine.describe("cpu"),
        "versions": provenance.versions(("torch", "transformers", "llguidance", "bm25s")),
    }
    print(_table(rows, words))
    if args.json:
        with replacing_text(args.json) as file:
            json.dump(found, file, indent=1)


def _asked(
    name: str, args: argparse.Namespace, documents: list[Document], backend: Backend, store: Path
) -> dict[str, Any]:
    """One arm, tagged and scored."""
    arm = copy.deepcopy(ARMS[name])
    same = arm.pop("asked", None)
    values = copy.deepcopy(BASE)
    values["shots"] = {"k": args.shots, "choose": "fixed", "from": [args.corpus], "seed": 1} | arm.pop(
        "shots", {}
    )
    if arm.get("retrieval", {}).get("names"):
        arm["retrieval"]["names"] = args.kb
    if passages := arm.get("retrieval", {}).get("passages"):
        passages["from"] = [args.guideline]
    settings = PromptSettings.of(
        values | arm | {"backend": {"name": args.backend, "model": args.model}}, f"{name}.yaml"
    )
    sender = Sender(backend, RequestStore(store) if same else None, Spent())
    tagger = PromptedTagger(settings, prompter(settings, backend), sender, on_failed="leave")
    gold = Gold(args.corpus, documents, split=args.split)
    started = time.monotonic()
    page = evaluate(gold, tagger, types=list(BASE["types"]))
    seconds = time.monotonic() - started
    (result,) = page.results
    spent = sender.spent
    return {
        **{key: result["overall"]["micro"][key] for key in ("precision", "recall", "f1")},
        "interval": result["overall"]["micro"].get("interval", {}).get("f1"),
        "by_type": {kind: one["f1"] for kind, one in result["type"].items()},
        "mistakes": result["mistakes"]["overall"]["micro"],
        "lost": dict(_lost(tagger)),
        "spent": vars(spent) | {"steps_per_token": spent.model_steps / max(1, spent.output_tokens)},
        "seconds": seconds,
        "remarks": tagger.remarks(),
    }


def _lost(tagger: PromptedTagger) -> Counter[str]:
    """Cause -> how often, and the words that no answer speaks of."""
    named = {what.removeprefix("answers lost: "): n for what, n in tagger.counts.items()}
    return Counter(
        {what: n for what, n in named.items() if n and (what in CAUSES or what.startswith("words"))}
    )


def _possible(name: str, args: argparse.Namespace) -> bool:
    """Whether an arm has what it needs; what is left out is said."""
    retrieval = ARMS[name].get("retrieval", {})
    for key, flag in (("names", "kb"), ("passages", "guideline")):
        if retrieval.get(key) and getattr(args, flag) is None:
            print(f"left out: {name} (--{flag})")
            return False
    return True


def _check(arms: list[str] | None) -> None:
    for one in arms or ():
        if one not in ARMS:
            raise VanerError(f"--arms {one!r}: unknown; choose of {', '.join(map(repr, ARMS))}")


def _interval(of_f1: list[float] | None) -> str:
    return f" ({100 * of_f1[0]:.1f} - {100 * of_f1[1]:.1f})" if of_f1 else ""


def _table(rows: dict[str, dict[str, Any]], words: int) -> str:
    lines = []
    for name, row in rows.items():
        spent, wrong = row["spent"], row["mistakes"]
        asked = spent["requests"] > 0
        lines.append(
            (
                name,
                f"{100 * (row['f1'] or 0):.1f}" + _interval(row["interval"]),
                f"{100 * (row['precision'] or 0):.1f}",
                f"{100 * (row['recall'] or 0):.1f}",
                f"{spent['output_tokens']:,} / {spent['model_steps']:,}" if asked else "the same",
                f"{statistics.median(row['rounds']) / words * 1000:.1f}" if asked else "",
                ", ".join(f"{n} {what}" for what, n in row["lost"].items()),
                " / ".join(str(wrong[k]) for k in ("boundary", "type", "both", "missed", "spurious")),
            )
        )
    headers = (
        "arm",
        "F1",
        "P",
        "R",
        "tokens / steps",
        "s per 1,000 words",
        "lost",
        "boundary/type/both/missed/spurious",
    )
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="smollm2-135m", help="that is asked: a hub id, a folder, a GGUF file")
    add("--backend", default="transformers", choices=["transformers", "llamacpp"])
    add("--dtype", help="of the backend transformers")
    add("--corpus", default="bc5cdr-sample", help="of the registry, with train and dev splits")
    add("--split", default="dev", help="that is asked")
    add("--data_root", help="where the corpora are; without it $VANER_DATA")
    add("--documents", type=int, default=8, help="how many")
    add("--every", type=int, default=1, help="take every so many-th document of the split")
    add("--shots", type=int, default=5, help="examples in a prompt")
    add("--arms", nargs="+", metavar="ARM", help="these only")
    add("--kb", metavar="INDEX", help="of the arm with names")
    add("--guideline", metavar="PATH", help="of the arm with passages: a file or a folder")
    add("--rounds", type=int, default=1, help="how often each arm is asked")
    add("--json", metavar="FILE", help="write every number")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(guarded(main))
