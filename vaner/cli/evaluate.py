"""In: gold documents and predictions, or a model to make them. Out: scores on terminal, as JSON, Markdown."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vaner.document import Document
from vaner.errors import VanerError

HELP = "score predictions against gold, or a model on a corpus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("gold")
    gold = group.add_mutually_exclusive_group(required=True)
    gold.add_argument("--gold", metavar="FILE", help="gold documents")
    gold.add_argument(
        "--corpus", metavar="NAME", nargs="+", help="registered corpora: python -m vaner corpora"
    )
    group.add_argument(
        "--gold_format",
        default="auto",
        metavar="FORMAT",
        help="options may follow, as in pubtator:offsets=repair; default: %(default)s",
    )
    group.add_argument("--split", metavar="SPLIT", help="train, dev or test, of --corpus; default: dev")
    group.add_argument("--data_root", metavar="FOLDER", help="where the corpora are; default: $VANER_DATA")

    group = parser.add_argument_group("predictions")
    predicted = group.add_mutually_exclusive_group(required=True)
    predicted.add_argument("--predictions", metavar="FILE", help="predicted documents, ids as in gold")
    predicted.add_argument(
        "--model", metavar="MODEL", help="model folder or hub id; kb:INDEX for a dictionary"
    )
    group.add_argument("--predictions_format", default="auto", metavar="FORMAT", help="default: %(default)s")
    group.add_argument(
        "--adaptive",
        action="store_true",
        help="do not tell the model which dataset it reads; so it is anyway for one it was not trained on",
    )
    group.add_argument(
        "--allow_new_types",
        action="store_true",
        help="ask the model for types that training never asked, too; default: their mentions are misses",
    )
    group.add_argument("--batch_tokens", type=int, metavar="N", help="tokens in a batch of the model")
    group.add_argument(
        "--max_words", type=int, metavar="N", help="words the model reads at once; 1: sentence by sentence"
    )
    group.add_argument(
        "--kb", metavar="INDEX", help="hints: tell a model trained with --kb_hints which names the text has"
    )
    group.add_argument("--output", metavar="FILE", help="write what the model predicts")
    group.add_argument("--output_format", metavar="FORMAT", help="default: by the output's extension")
    group.add_argument(
        "--baseline",
        metavar="MODEL",
        help="score this beside it, asked the same: kb:INDEX for a dictionary, or a model as for --model",
    )
    group.add_argument("--compare", metavar="FILE", help="other predictions, for a paired bootstrap test")
    group.add_argument("--compare_format", default="auto", metavar="FORMAT", help="default: %(default)s")

    group = parser.add_argument_group("what is scored")
    group.add_argument("--types", nargs="+", metavar="TYPE", help="score these entity types only")
    group.add_argument(
        "--type_map", nargs="+", default=[], metavar="FROM=TO", help="rename types on both sides first"
    )
    seen = group.add_mutually_exclusive_group()
    seen.add_argument("--seen_in", metavar="FILE", help="training documents: seen and unseen mentions apart")
    seen.add_argument(
        "--train_corpus", metavar="NAME", nargs="+", help="the same from corpora's train splits"
    )
    group.add_argument(
        "--ignore_extra", action="store_true", help="skip predicted documents gold does not have"
    )
    group.add_argument(
        "--on_error",
        choices=("raise", "skip"),
        default="raise",
        help="on a bad document; default: %(default)s",
    )
    group.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="draws of documents; 0 for none; default: 1000",
    )
    group.add_argument("--seed", type=int, default=0, help="of the draws; default: %(default)s")

    group = parser.add_argument_group("output, beside the terminal")
    group.add_argument("--json", metavar="FILE", help="write every number")
    group.add_argument("--markdown", metavar="FILE", help="write the tables as Markdown")
    group.add_argument("--mistakes", metavar="FILE", help="write the most frequent mistakes, with their text")


@dataclass
class _Gold:
    """One gold set: its documents, where they came from, what the model is told of it."""

    name: str
    split: str | None
    dataset: str | None
    inputs: list[dict[str, str]]
    documents: list[Document]
    read: dict[str, int] = field(default_factory=dict)


def run(args: argparse.Namespace) -> None:
    from vaner import report
    from vaner.agreement import agreement
    from vaner.bootstrap import compare, intervals
    from vaner.formats import format_to_write, write
    from vaner.metrics import mention_keys, score
    from vaner.mistakes import markdown, mistakes
    from vaner.pairing import pair

    type_map = _check(args)
    settings: dict[str, Any] = {"types": args.types, "type_map": type_map, "ignore_extra": args.ignore_extra}
    draws = {"samples": args.bootstrap, "seed": args.seed}

    training, inputs = _training_documents(args)
    training_mentions = None if training is None else mention_keys(training, type_map)
    golds = list(_golds(args))
    tagger = _tagger(args.model, args, kb=args.kb) if args.model else None
    baseline = _tagger(args.baseline, args) if args.baseline else None
    remarks = _remarks(args, tagger, baseline, golds)
    # Of all the corpora before the first is tagged: what cannot be asked is said at once.
    asked, asked_of_baseline = (
        [one and _asked(one, gold, args, type_map, remarks) for gold in golds] for one in (tagger, baseline)
    )

    results, types, wrong = [], set(), {}
    for number, gold in enumerate(golds):
        unreachable = 0
        if tagger is None:
            predicted = _read(args.predictions, args.predictions_format, args, gold.read)
        else:
            predicted = _tag(tagger, gold, asked[number], args)
            if args.output:
                write(args.output, predicted, args.output_format or format_to_write(args.output))
            unreachable = _unreachable(tagger, gold, asked[number], type_map)
        pairing = pair(gold.documents, predicted, **settings)
        scores = score(pairing, training_mentions=training_mentions, unreachable=unreachable)
        beside = None
        if baseline is not None:
            found = _tag(baseline, gold, asked_of_baseline[number], args)
            beside = score(pair(gold.documents, found, **settings), training_mentions=training_mentions)
        difference = None
        if args.compare:
            others = pair(
                gold.documents, _read(args.compare, args.compare_format, args, gold.read), **settings
            )
            difference = compare(scores, score(others, training_mentions=training_mentions), **draws)
        types |= set(pairing.types)
        wrong[gold.name] = mistakes(pairing)
        results.append(
            report.result(
                scores,
                name=gold.name,
                split=gold.split,
                intervals=intervals(scores, **draws) if args.bootstrap else None,
                baseline=beside,
                baseline_intervals=intervals(beside, **draws) if beside and args.bootstrap else None,
                agreement=agreement(pairing, _columns(args, type_map)),
                comparison=difference,
                read=gold.read,
            )
        )
        inputs += gold.inputs
    inputs += [
        _input(role, getattr(args, role))
        for role in ("predictions", "model", "kb", "baseline", "compare")
        if getattr(args, role)
    ]
    page = {
        "protocol": {
            "predictions": args.predictions or args.model,
            "adaptive": hasattr(tagger, "datasets")
            and not any(_dataset(tagger, gold, args) for gold in golds),
            "baseline": args.baseline,
            "compare": args.compare,
            "types": sorted(types),
            "type_map": type_map,
            "matching": "strict: same start, end, type and fragments",
            "bootstrap": args.bootstrap,
            "seed": args.seed,
            "remarks": list(dict.fromkeys(remarks)),
        },
        "inputs": inputs,
        "versions": report.versions(),
        "results": results,
    }
    if len(results) > 1:
        page["mean"] = report.mean(results)
        if baseline is not None:
            page["baseline_mean"] = report.mean(r["baseline"] for r in results)
    if args.json:
        report.write(args.json, report.to_json(page))
    if args.markdown:
        report.write(args.markdown, report.markdown(page))
    if args.mistakes:
        report.write(args.mistakes, markdown(wrong))
    print(report.terminal(page), end="")


def _check(args: argparse.Namespace) -> dict[str, str]:
    """Refuse what cannot work before anything long begins; return the type map."""
    from vaner.formats import check_reader, check_writer
    from vaner.formats.files import check_parent

    if args.gold and args.split:
        raise VanerError("--split belongs to --corpus; with --gold, leave it out")
    if args.corpus and len(args.corpus) > 1:
        for option in ("predictions", "compare", "output"):
            if getattr(args, option):
                raise VanerError(
                    f"--{option} is one file, --corpus names {len(args.corpus)}; name one corpus"
                )
    if not args.model:
        for option in ("adaptive", "allow_new_types", "batch_tokens", "max_words", "kb", "output"):
            if getattr(args, option) and not (args.baseline and option not in ("kb", "output")):
                raise VanerError(f"--{option} belongs to --model; with --predictions, leave it out")
    for format in (args.gold_format, args.predictions_format, args.compare_format):
        check_reader(format)
    if args.output_format:
        check_writer(args.output_format)
    if [args.gold, args.predictions, args.compare, args.seen_in].count("-") > 1:
        raise VanerError("standard input (-) can be only one of the files; name the others")
    for option, least in (("batch_tokens", 1), ("bootstrap", 1 if args.compare else 0), ("seed", 0)):
        value = getattr(args, option)
        if value is not None and value < least:
            raise VanerError(f"--{option} {value}: give a number from {least}")
    for path in filter(None, (args.json, args.markdown, args.mistakes, args.output)):
        check_parent(path)
    type_map: dict[str, str] = {}
    for item in args.type_map:
        old, _, new = item.partition("=")
        if not old or not new or old in type_map:
            raise VanerError(f"--type_map {item}: write FROM=TO, each FROM once")
        type_map[old] = new
    return type_map


def _golds(args: argparse.Namespace) -> Iterator[_Gold]:
    if args.gold:
        counts: dict[str, int] = {}
        documents = list(_read(args.gold, args.gold_format, args, counts))
        yield _Gold(args.gold, None, None, [_input("gold", args.gold)], documents, counts)
        return
    split = args.split or "dev"
    for corpus in _corpora(args.corpus):
        counts = {}
        inputs = _corpus_inputs("gold", corpus, split, args)
        documents = list(_corpus_documents(corpus, split, args, counts))
        yield _Gold(corpus.name, split, corpus.instruction_name, inputs, documents, counts)


def _training_documents(
    args: argparse.Namespace,
) -> tuple[Iterable[Document] | None, list[dict[str, str]]]:
    """The documents whose mentions count as seen, and their files; None without such an option."""
    if args.seen_in:
        return _read(args.seen_in, "auto", args, {}), [_input("seen_in", args.seen_in)]
    if not args.train_corpus:
        return None, []
    corpora = _corpora(args.train_corpus)
    inputs = [i for corpus in corpora for i in _corpus_inputs("train_corpus", corpus, "train", args)]
    return (d for corpus in corpora for d in _corpus_documents(corpus, "train", args, {})), inputs


def _corpora(names: Iterable[str]) -> list:
    from vaner.corpora import registry

    available = registry()
    return [available[name] for name in names]


def _corpus_inputs(role: str, corpus, split: str, args: argparse.Namespace) -> list[dict[str, str]]:
    from vaner.corpora import root_folder

    found = []
    for path in corpus.paths(split, args.data_root):
        one = _input(f"{role}: {corpus.name} {split}", path)
        # As seen from the data root: where that lies on this machine is nobody else's business.
        root = corpus.folder if corpus.shipped else root_folder(args.data_root)
        found.append({**one, "path": f"CORPORA/{os.path.relpath(path, root)}"})
    return found


def _corpus_documents(
    corpus, split: str, args: argparse.Namespace, counts: dict[str, int]
) -> Iterator[Document]:
    from vaner.formats import Report

    log = Report()
    documents = corpus.documents(split, data_root=args.data_root, on_error=args.on_error, report=log)
    yield from _bar(documents, f"reading {corpus.name} {split}")
    _tell(log, f"{corpus.name} {split}", counts)


def _read(path: str, format: str, args: argparse.Namespace, counts: dict[str, int]) -> Iterator[Document]:
    """Documents of a file; what its reader repaired or skipped is added to counts."""
    from vaner.formats import Report, read

    log = Report()
    documents = read(path, format, on_error=args.on_error, report=log)
    yield from _bar(documents, f"reading {os.path.basename(path)}")
    _tell(log, path, counts)


def _tell(log, source: str, counts: dict[str, int]) -> None:
    """Warn of what a reader repaired or skipped, and keep its counts for the report."""
    for line in log.summary():
        print(f"warning: {line}", file=sys.stderr)
    for kind, n in log.counts.items():
        counts[f"{source}: {kind}"] = n


def _columns(args: argparse.Namespace, type_map: Mapping[str, str]):
    """The tags of gold and predictions as their files have them, where both are plain CoNLL files."""
    from vaner.agreement import read_columns
    from vaner.formats import detect

    files = (args.gold, args.gold_format), (args.predictions, args.predictions_format)
    for path, format in files:
        # With options (conll:tag_column=1) the tags may stand elsewhere.
        if path in (None, "-") or (detect(path) if format == "auto" else format) != "conll":
            return None
    columns = [read_columns(path, type_map) for path, _ in files]
    return None if None in columns else columns


def _tagger(model: str, args: argparse.Namespace, kb: str | None = None):
    if model.startswith("kb:"):
        from vaner.knowledge import DictionaryTagger

        if kb:
            raise VanerError(f"--kb {kb} is for hints, and a dictionary reads none; leave it out")
        return DictionaryTagger(model.removeprefix("kb:"))
    from vaner.tagging import load

    options = {
        "batch_tokens": args.batch_tokens,
        "max_words": args.max_words,
        "allow_new_types": args.allow_new_types,
        "kb": kb,
    }
    return load(model, **{name: value for name, value in options.items() if value})


def _asked(
    tagger, gold: _Gold, args: argparse.Namespace, type_map: Mapping[str, str], remarks: list[str]
) -> list[str]:
    """The types to ask for: those that gold annotates, are scored, and the tagger knows; others are said."""
    from vaner.knowledge import DictionaryTagger

    annotated: set[str] = set()
    for document in gold.documents:
        found = {span.type for span in document.spans} if document.types is None else document.types
        annotated |= {type_map.get(type, type) for type in found}
    types = sorted(annotated.intersection(args.types) if args.types else annotated)
    if not types:
        known = ", ".join(sorted(annotated)) or "none"
        raise VanerError(f"{gold.name}: no type to ask the model for; the types annotated there: {known}")
    new = ", ".join(type for type in types if type not in tagger.types)
    if isinstance(tagger, DictionaryTagger):
        if new:
            remarks.append(
                f"{gold.name}: {tagger.kb.path} has no name of type {new}: those mentions are misses"
            )
    elif args.allow_new_types:
        return types
    elif not set(types) & set(tagger.types):
        raise VanerError(
            f"{gold.name}: the model was not trained on {new}, but on {', '.join(tagger.types)}; rename what "
            "means the same (--type_map FROM=TO), or ask all the same (--allow_new_types)"
        )
    elif new:
        remarks.append(
            f"{gold.name}: not asked for {new}, which the model was not trained on (--allow_new_types asks): "
            "those mentions are misses"
        )
    return [type for type in types if type in tagger.types]


def _dataset(tagger, gold: _Gold, args: argparse.Namespace) -> str | None:
    """The name that the instruction gives the corpus: none where the model never learned its guideline."""
    named = not args.adaptive and gold.dataset in getattr(tagger, "datasets", ())
    return gold.dataset if named else None


def _tag(tagger, gold: _Gold, types: list[str], args: argparse.Namespace) -> list[Document]:
    """The documents as a tagger marks them."""
    # The model gets the text alone, so that nothing it returns can come from gold.
    bare = [document.with_spans([]) for document in gold.documents]
    if not types:
        return bare
    tagged = tagger.tag_documents(bare, types=types, dataset=_dataset(tagger, gold, args))
    return list(_bar(tagged, f"tagging {gold.name}", total=len(bare)))


def _unreachable(tagger, gold: _Gold, types: list[str], type_map: Mapping[str, str]) -> int:
    """How many gold mentions cut a word of the model, share words, or cross from one unit to the next."""
    from vaner.instructions import Text, encode_tags

    max_words = getattr(tagger, "max_words", None)
    if max_words is None:  # a dictionary matches in the whole text
        return 0
    count = 0
    for document in gold.documents:
        text = Text.of(document)
        spans = [replace(span, type=type_map.get(span.type, span.type)) for span in document.spans]
        _, lost = encode_tags(text.offsets, spans, types)
        borders = [text.offsets[first][0] for first, _ in text.units(max_words)]
        across = {s for s in spans if s.type in types and any(s.start < border < s.end for border in borders)}
        count += len(across.union(lost))
    return count


def _remarks(args: argparse.Namespace, tagger, baseline, golds: Sequence[_Gold]) -> list[str]:
    said = []
    if args.kb:
        said.append(f"the instruction notes names of {args.kb} that the text has (hints)")
    elif tagger is not None and getattr(getattr(tagger, "settings", None), "hints", None):
        said.append("the model was trained to read hints of a knowledge base and got none (--kb)")
    if baseline is not None:
        said.append(f"baseline: {args.baseline}, asked the same types; (baseline) in the tables")
    if args.model and not args.model.startswith("kb:"):
        nameless = [gold.name for gold in golds if not _dataset(tagger, gold, args)]
        if args.gold or args.adaptive:
            said.append("instruction without a dataset (adaptive)")
        elif nameless:
            said.append(
                f"instruction without a dataset (adaptive) for {', '.join(nameless)}, which the model was not "
                "trained on"
            )
        if len(nameless) < len(golds):
            said.append("instruction names the dataset" + (" of the others" if nameless else ""))
    if args.seen_in or args.train_corpus:
        training = args.seen_in or f"{' + '.join(args.train_corpus)} (train)"
        said.append(f"seen: a mention with this surface and type is in {training}; case and spacing aside")
    if args.compare:
        said.append(
            f"compared with {args.compare}: same draws, two-sided p (Berg-Kirkpatrick et al. 2012) per row"
        )
    return said


def _input(role: str, path: str | os.PathLike[str]) -> dict[str, str]:
    """What was read, with its hash; a hub id and standard input are no files and have none."""
    from vaner.report import sha256

    file = str(path).removeprefix("kb:")
    return {"role": role, "path": str(path), "sha256": sha256(file) if os.path.exists(file) else ""}


def _bar(documents: Iterable[Document], what: str, total: int | None = None) -> Iterable[Document]:
    """Progress on stderr for whatever takes longer than two seconds."""
    from tqdm import tqdm

    return tqdm(documents, desc=what, total=total, unit=" documents", delay=2, disable=None)
