"""In: trained models, an index of names, corpora. Out: what the index is worth: F1 of all and of unseen mentions.

    python benchmarks/lookups.py --config configs/compare-lookups.yaml --kb names.idx --data_root CORPORA \\
        --runs runs/lookups --scores runs/lookups-scores --json out.json --markdown out.md --seeds 1 2 3 \\
        --variant "none:" --variant "lookups: --kb {kb} --kb_lookups --kb_ratio 0"

Each variant is trained with each seed, as in compare.py; without --variant the runs are scored that stand in --runs, as
NAME-SEED. A model is asked in several ways (WAYS). What was scored is kept in --scores and not tagged again, so that a
comparison which was cut off goes on, and tables are made anew as runs are added.

A backbone sees nothing of an index, so it reads each batch once for all ways; before anything is counted, a few
documents are read anew for each, and must give the same mentions and scores (`reread`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compare
import lookup_tables
import lookup_time
import machine
import numpy as np
import thinned
from reread import ReadOnce, bare, check

from vaner.cli import guarded
from vaner.corpora.registry import Registry, read_registry
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation import metrics
from vaner.evaluation.pairing import pair
from vaner.files import read_yaml, replacing_text, sha256
from vaner.knowledge import DictionaryTagger, KnowledgeBase, normalise_all
from vaner.knowledge.shipped import NO_INDEX, named_index
from vaner.tagging.labeler import Vaner
from vaner.training.dev import sample

#: How a model is asked -> what that is.
WAYS = {
    "none": "without an index",
    "index": "with the index",
    "tenth": "with a tenth of the index's names",
    "removed": "with the index without the names that dev annotates and train does not",
}
_SHARE = 0.1
#: What is asked of models that were trained with all of these types; corpora that none was trained on adaptively.
ASKED = {
    "ncbi-disease-pubtator": ["Disease"],
    "bc5cdr-pubtator": ["Chemical", "Disease"],
    "s800": ["Species"],
    "linnaeus": ["Species"],
    "bc2gm": ["Gene"],
    "biored": ["Chemical", "Disease", "Gene", "Species"],
}
#: What is asked of models that never had the type: by its names alone where there is an index, else by its own name.
LISTED = [
    ("anatem", "Anatomy"),
    ("biored", "CellLine"),
    ("jnlpba", "CellLine"),
    ("linnaeus", "Species"),
    ("s800", "Species"),
]
DICTIONARY = "dictionary"
_CHECKED = 2


@dataclass(frozen=True)
class Question:
    """Documents, and what is asked of them.

    Attributes:
        name: of the corpus, and of the type where training never had it.
        types: that are asked and scored.
        dataset: the corpus's name in instructions, which a model is told that was trained on it.
        documents: with their gold.
        listed: whether it is for models that never had the type.
    """

    name: str
    types: list[str]
    dataset: str | None
    documents: list[Document]
    listed: bool = False

    def is_for(self, known: Sequence[str]) -> bool:
        """Whether a model that was trained with these types is asked this."""
        return set(self.types).isdisjoint(known) if self.listed else set(self.types) <= set(known)

    def print(self) -> str:
        """A hash of what is asked and of the gold."""
        gold = [
            [d.id, d.text, sorted((s.start, s.end, s.type) for s in d.spans if s.type in self.types)]
            for d in self.documents
        ]
        return _hash([self.types, self.dataset, self.listed, gold])


class Served:
    """The dictionary alone, asked for types that names of others serve, as they do in lookups.

    Args:
        kb: the index.
        names: type -> types of an index whose names serve it.
    """

    def __init__(self, kb: KnowledgeBase, names: Mapping[str, Sequence[str]]) -> None:
        self._dictionary = DictionaryTagger(kb)
        self._names = names

    def tag_documents(self, documents: Sequence[Document], types: Sequence[str]) -> Iterator[Document]:
        """Of a type's names that overlap the longest stays."""
        serving = {t: set(self._names.get(t, [t])) & set(self._dictionary.types) for t in types}
        asked = sorted(set().union(*serving.values()))
        if not asked:
            yield from (one.with_spans([]) for one in documents)
            return
        for one in self._dictionary.tag_documents(documents, asked):
            found = []
            for type, served in serving.items():
                kept: list[tuple[int, int]] = []
                own = [span for span in one.spans if span.type in served]
                for span in sorted(own, key=lambda span: (span.start - span.end, span.start)):
                    if not any(a < span.end and span.start < b for a, b in kept):
                        kept.append((span.start, span.end))
                        found.append(one.span(span.start, span.end, type, score=1.0))
            yield one.with_spans(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kb", required=True, metavar="INDEX")
    parser.add_argument("--config", default="configs/compare-lookups.yaml", help="default: %(default)s")
    parser.add_argument(
        "--variant", action="append", default=[], metavar="'NAME: FLAGS'", help="trained unless it was"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="default: 1 2 3; without --variant, all there are"
    )
    parser.add_argument("--runs", default="runs/lookups", metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--arms", nargs="+", metavar="NAME", help="score these of the runs; default: all")
    parser.add_argument("--base", default="none", metavar="NAME", help="what all are compared with")
    parser.add_argument(
        "--scores", default="runs/lookups-scores", metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument("--data_root", metavar="FOLDER")
    parser.add_argument(
        "--documents",
        nargs="+",
        default=["60"],
        metavar="N",
        help="of each corpus; CORPUS=N for one of them; default: 60",
    )
    parser.add_argument("--questions", nargs="+", metavar="NAME", help="score these corpora only")
    parser.add_argument(
        "--samples", type=int, default=2000, help="draws of the bootstrap; default: %(default)s"
    )
    parser.add_argument("--json", metavar="FILE", help="write every number")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables")
    parser.add_argument("--speed", action="store_true", help="time lookups beside the shipped model instead")
    parser.add_argument("--rounds", type=int, default=5, help="of --speed; default: %(default)s")
    args = parser.parse_args()
    path = named_index(args.kb)
    if path is None:
        raise VanerError(f"--kb {args.kb}: lookups need an index; python -m vaner kb build makes one")
    kb = KnowledgeBase(path)
    page: dict[str, Any] = {
        "machine": machine.describe("cpu"),
        "versions": machine.versions(),
        "index": {"names": len(kb), "types": list(kb.types), "fingerprint": kb.fingerprint},
    }
    if args.speed:
        page |= lookup_time.timed(kb, args.data_root, rounds=args.rounds)
        shown = lookup_time.table(page)
    else:
        registry = read_registry()
        mix = list(read_yaml(Path(args.config))["mix"])
        asked = questions(registry, args.data_root, args.documents, args.questions)
        seen = _mentions(registry, mix, args.data_root)
        runs = _runs(args)
        gold = [one for name in ASKED for one in registry[name].documents("dev", args.data_root)]
        indexes = _indexes(kb, Path(args.scores), gold, seen)
        page |= {"mix": mix, "questions": {one.name: _described(one, seen) for one in asked}}
        counts = score_all(runs, asked, indexes, seen, registry, Path(args.scores))
        page["results"] = lookup_tables.results(counts, asked, args.base, args.samples)
        shown = lookup_tables.tables(page, args.base)
    print(shown)
    if args.json:
        with replacing_text(args.json) as file:
            file.write(json.dumps(page, indent=1) + "\n")
    if args.markdown:
        with replacing_text(args.markdown) as file:
            file.write(shown + "\n")


def questions(
    registry: Registry, data_root: str | None, numbers: Sequence[str], names: Sequence[str] | None
) -> list[Question]:
    """Those of ASKED and LISTED, with samples of dev."""
    most = {"": 60}
    for word in numbers:
        corpus, _, number = word.rpartition("=")
        if not number.isdigit() or (corpus and corpus not in registry):
            raise VanerError(f"--documents {word}: write a number, or CORPUS=NUMBER")
        most[corpus] = int(number)
    found = []
    asked = [(corpus, types, False) for corpus, types in ASKED.items()]
    for corpus, types, listed in asked + [(corpus, [type], True) for corpus, type in LISTED]:
        name = f"{corpus} {types[0]}" if listed else corpus
        if names is not None and name not in names and corpus not in names:
            continue
        documents = list(registry[corpus].documents("dev", data_root))
        some = sample(documents, most.get(corpus, most[""]), seed=0)
        dataset = None if listed else registry[corpus].instruction_name
        found.append(Question(name, types, dataset, some, listed))
    if not found:
        raise VanerError(f"--questions {' '.join(names or [])}: none of {', '.join(ASKED)}")
    return found


def _mentions(registry: Registry, mix: Sequence[str], data_root: str | None) -> list[Document]:
    """The documents whose mentions are seen: the train splits of the mix."""
    return [one for name in mix for one in registry[name].documents("train", data_root)]


def _runs(args: argparse.Namespace) -> dict[tuple[str, int], Path]:
    """(arm, seed) -> the folder of a finished run; variants are trained first."""
    runs = Path(args.runs)
    variants = compare.parse_all([word.replace("{kb}", args.kb) for word in args.variant])
    for seed in (args.seeds or [1, 2, 3]) if variants else []:
        for name, flags in variants.items():
            compare.run(runs / f"{name}-{seed}", args, flags, seed)
    found = {}
    for record in sorted(runs.glob("*/run.json")):
        named = re.fullmatch(r"(.+)-(\d+)", record.parent.name)
        if named and (args.arms is None or named[1] in args.arms):
            if args.seeds is None or int(named[2]) in args.seeds:
                found[named[1], int(named[2])] = record.parent
    if not found:
        raise VanerError(f"--runs {args.runs}: no finished run NAME-SEED there; train some with --variant")
    return found


def _indexes(
    kb: KnowledgeBase, folder: Path, gold: Sequence[Document], seen: Sequence[Document]
) -> dict[str, KnowledgeBase]:
    """Way -> the index of it, built unless it was."""
    trained = set(normalise_all(sorted({span.text for one in seen for span in one.spans})))
    texts = sorted({span.text for one in gold for span in one.spans})
    removed = [text for text, form in zip(texts, normalise_all(texts), strict=True) if form not in trained]
    found = {"index": kb}
    forms: list[str] = []
    for way, made_of in (("tenth", [_SHARE]), ("removed", removed)):
        path = folder / "indexes" / f"{way}-{_hash([kb.fingerprint, made_of])[:16]}.idx"
        if not path.is_file():
            print(f"{path.name}: building", file=sys.stderr, flush=True)
            forms = forms or thinned.normal_forms(kb)
            keep = (
                thinned.at_random(forms, _SHARE, seed=0)
                if way == "tenth"
                else thinned.without(forms, removed)
            )
            thinned.thinned(kb, keep, path)
        found[way] = KnowledgeBase(path)
    return found


def score_all(
    runs: Mapping[tuple[str, int], Path],
    asked: Sequence[Question],
    indexes: Mapping[str, KnowledgeBase],
    seen: Sequence[Document],
    registry: Registry,
    folder: Path,
) -> dict[tuple[str, str, str], dict[int, np.ndarray]]:
    """(arm, way, question) -> seed -> counts ``(documents, kinds, 3)``; what is in ``folder`` already is read there.

    The dictionary is an arm of its own, of seed 0.
    """
    keys = metrics.mention_keys(seen)
    known_mentions = _hash(sorted(keys))
    prints = {one.name: one.print() for one in asked}
    found: dict[tuple[str, str, str], dict[int, np.ndarray]] = {}

    def made_of(one: Question, way: str, model: str) -> str:
        index = indexes[way].fingerprint if way in indexes else ""
        return _hash([prints[one.name], known_mentions, index, model])

    def place(arm: str, seed: int, one: Question, way: str) -> Path:
        return folder / f"{arm}-{seed}" / f"{one.name.replace(' ', '-')}.{way}.json"

    def stored(arm: str, seed: int, one: Question, way: str, model: str) -> bool:
        path = place(arm, seed, one, way)
        if path.is_file():
            record = json.loads(path.read_text())
            if record["made_of"] == made_of(one, way, model):
                found.setdefault((arm, way, one.name), {})[seed] = np.array(record["counts"])
                return True
        return False

    def keep(arm: str, seed: int, one: Question, way: str, model: str, tagged: Sequence[Document]) -> None:
        counts = counted(one, tagged, keys)
        path = place(arm, seed, one, way)
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "made_of": made_of(one, way, model),
            "kinds": ["all", *metrics.SEEN],
            "documents": [document.id for document in one.documents],
            "counts": counts.tolist(),
        }
        with replacing_text(path) as file:
            file.write(json.dumps(record) + "\n")
        found.setdefault((arm, way, one.name), {})[seed] = counts

    names = {type: one.names for type, one in registry.types.items() if one.names}
    for way, kb in indexes.items():
        for one in asked:
            if not stored(DICTIONARY, 0, one, way, ""):
                tagged = list(Served(kb, names).tag_documents(bare(one.documents), one.types))
                keep(DICTIONARY, 0, one, way, "", tagged)
    for (arm, seed), run in runs.items():
        model = sha256(run / "run.json")
        settings = json.loads((run / "vaner.json").read_text())
        ways = list(WAYS) if settings.get("lookups") or settings.get("hints") else ["none"]
        missing: dict[str, list[str]] = {}
        for one in asked:
            # Of a type that training never had, a few names are no fair way to ask it.
            here = [way for way in ways if not one.listed or way in ("none", "index")]
            if one.is_for(settings["types"]):
                missing[one.name] = [w for w in here if not stored(arm, seed, one, w, model)]
        if not any(missing.values()):
            continue
        print(f"{arm}-{seed}: tagging", file=sys.stderr, flush=True)
        taggers = _taggers(run, ways, indexes)
        with ReadOnce(taggers["none"].model) as once:
            for one in asked:
                asking = {way: taggers[way] for way in missing.get(one.name, ())}
                for way, tagger in asking.items():
                    dataset = one.dataset if one.dataset in tagger.datasets else None
                    if way == next(iter(asking)):
                        check(once, asking, one.documents[:_CHECKED], one.types, dataset)
                    tagged = list(tagger.tag_documents(bare(one.documents), one.types, dataset))
                    keep(arm, seed, one, way, model, tagged)
                once.forget()
    return found


def _taggers(run: Path, ways: Sequence[str], indexes: Mapping[str, KnowledgeBase]) -> dict[str, Vaner]:
    """A model, once for each way to ask it; all share its weights."""
    loaded = Vaner.from_pretrained(run, kb=NO_INDEX, allow_new_types=True)
    found = {}
    for way in ways:
        index = indexes.get(way)
        # Types that training never had are asked by their names alone where there are some, else by their own.
        found[way] = Vaner(
            loaded.model,
            loaded.tokenisation.tokenizer,
            kb=index if loaded.settings.lookups and index else NO_INDEX,
            hints=index if loaded.settings.hints else None,
            allow_new_types=True,
        )
    return found


def counted(one: Question, tagged: Sequence[Document], seen: set[tuple[str, str]]) -> np.ndarray:
    """Hits, predicted and gold mentions of each document: all, seen, unseen; whole numbers ``(documents, 3, 3)``."""
    scores = metrics.score(pair(one.documents, tagged, types=one.types), training_mentions=seen)
    rows = [scores.rows[metrics.MICRO], *(scores.rows["seen", kind] for kind in metrics.SEEN)]
    return np.stack(rows, axis=1).astype(int)


def _described(one: Question, seen: Sequence[Document]) -> dict[str, Any]:
    empty = counted(one, bare(one.documents), metrics.mention_keys(seen)).sum(0)[:, 2]
    gold = dict(zip(("all", *metrics.SEEN), empty.tolist(), strict=True))
    return {"types": one.types, "documents": len(one.documents), "gold": gold, "listed": one.listed}


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(guarded(main))
