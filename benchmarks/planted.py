"""In: an index of honest vocabularies, corpora. Out: which name lists made from a corpus the leakage gate catches.

    python benchmarks/planted.py --kb names.idx --data_root CORPORA --json planted.json

From the mentions of every corpus and type, lists are made as somebody might make them: of one split, of what one split
alone annotates, of a part of that, of several splits, each by itself and mixed into honest names of that type, drawn
from the index. All lists of one corpus and type become the vocabularies of one index, which the gate then looks at. The
lists stay in memory and in a folder that is removed. The vocabularies of ``--kb`` are looked at as well; none should be
suspected. Keys of the JSON file: honest (what is suspected of ``--kb``), rows; ``by_chance`` is the least likely
difference between splits.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from vaner.cli import guarded
from vaner.corpora.coverage import forms_of_splits
from vaner.corpora.origin import MadeOf, Suspect, suspects
from vaner.corpora.registry import Corpus, read_registry
from vaner.files import shipped, write_text
from vaner.knowledge import KnowledgeBase, Rules, build, normalise_all
from vaner.report import Report
from vaner.vocabularies.terms import Term

CORPORA = "ncbi-disease-pubtator bc5cdr-pubtator bc2gm jnlpba linnaeus s800 anatem biored".split()
AMONG = ", among honest names"
SHARES = {"all": 1.0, "half": 0.5, "quarter": 0.25, "tenth": 0.1}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kb", required=True, help="an index of honest vocabularies")
    parser.add_argument("--corpus", nargs="+", default=CORPORA, metavar="NAME", help="default: eight corpora")
    parser.add_argument("--data_root", help="where the corpora are; default: $VANER_DATA")
    parser.add_argument(
        "--honest", type=int, default=20_000, metavar="N", help="names that a list is mixed into"
    )
    parser.add_argument("--fewest", type=int, default=20, metavar="N", help="names of a list, at least")
    parser.add_argument("--json", metavar="FILE", help="write every row")
    args = parser.parse_args()
    registry = read_registry()
    kb = KnowledgeBase(args.kb)
    corpora = [registry[name] for name in args.corpus]
    splits = [(c, s) for c in corpora for s in ("train", "dev", "test") if s in c.present(args.data_root)]
    honest = [str(suspect) for suspect in suspects(kb, forms_of_splits(kb, splits, args.data_root))]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for corpus in corpora:
            own = [(c, s) for c, s in splits if c is corpus]
            for type, mentions in by_type(corpus, [s for _, s in own], args.data_root):
                lists = planted(mentions, honest_names(kb, type, args.honest), args.fewest)
                if not lists:
                    continue
                vocabularies = [
                    ({"name": name}, [Term("", form, (type,), True) for form in forms])
                    for name, forms in lists.items()
                ]
                index = build(Path(folder) / "kb.idx", vocabularies, Rules.load(shipped("kb")), Report())
                found = suspects(index, forms_of_splits(index, own, args.data_root))
                rows += [
                    {
                        "corpus": corpus.name,
                        "type": type,
                        "list": name,
                        **found_of(name, lists, found),
                    }
                    for name in lists
                ]
    for line in honest or ["no vocabulary of the index is suspected"]:
        print(line)
    print(summary(rows))
    if args.json:
        write_text(args.json, json.dumps({"honest": honest, "rows": rows}, indent=2) + "\n")


def by_type(
    corpus: Corpus, splits: list[str], data_root: str | None
) -> Iterator[tuple[str, dict[str, set[str]]]]:
    """Type, and the normal forms of its mentions in each split."""
    texts: dict[str, dict[str, set[str]]] = {}
    for split in splits:
        for document in corpus.documents(split, data_root, on_error="skip"):
            for span in document.spans:
                texts.setdefault(span.type, {s: set() for s in splits})[split].add(span.text)
    for type in sorted(texts):
        yield type, {s: set(normalise_all(sorted(found))) - {""} for s, found in texts[type].items()}


def honest_names(kb: KnowledgeBase, type: str, count: int) -> list[str]:
    """So many names of a type, or of any where the index has none of it, the same every time."""
    numbers = kb.name_numbers(type if type in kb.types else None).tolist()
    return [kb.text(number) for number in random.Random(1).sample(numbers, min(count, len(numbers)))]


def planted(mentions: Mapping[str, set[str]], honest: list[str], fewest: int) -> dict[str, list[str]]:
    """Name of a list -> its names."""
    rng = random.Random(2)
    lists: dict[str, list[str]] = {}
    for split, forms in mentions.items():
        others = set().union(*(found for other, found in mentions.items() if other != split))
        only = sorted(forms - others)
        rng.shuffle(only)
        for share, part in SHARES.items():
            lists[f"{share} of {split} only"] = only[: round(part * len(only))]
        lists[split] = sorted(forms)
    if len(mentions) > 2:
        lists["train + test"] = sorted(mentions["train"] | mentions["test"])
    lists["all splits"] = sorted(set().union(*mentions.values()))
    lists = {name: forms for name, forms in lists.items() if len(forms) >= fewest}
    return {**lists, **{name + AMONG: forms + honest for name, forms in lists.items()}}


def summary(rows: list[dict[str, Any]]) -> str:
    """A row for each kind of list: how many of them were caught, and the largest that were not."""
    table = []
    for kind in dict.fromkeys(row["list"] for row in rows):
        own = [row for row in rows if row["list"] == kind]
        missed = sorted((row for row in own if not row["caught"]), key=lambda row: -row["mentions"])
        named = ", ".join(f"{row['corpus']} {row['type']} ({row['mentions']})" for row in missed[:3])
        table.append([kind, len(own), len(own) - len(missed), named])
    header = ["list", "lists", "caught", "not caught (mentions in the list), the longest three"]
    return tabulate(table, header, tablefmt="github")


def found_of(name: str, lists: Mapping[str, list[str]], found: list[Suspect]) -> dict[str, Any]:
    """A list's size, and how it was caught, if it was."""
    own = [suspect for suspect in found if suspect.vocabulary == name]
    chances = [suspect.chance for suspect in own if not isinstance(suspect, MadeOf)]
    return {
        "names": len(lists[name]),
        "mentions": len(lists[name.removesuffix(AMONG)]),
        "caught": bool(own),
        "by_share": len(own) > len(chances),
        "by_chance": min(chances, default=None),
    }


if __name__ == "__main__":
    sys.exit(guarded(main))
