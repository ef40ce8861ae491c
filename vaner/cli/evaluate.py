"""In: gold documents and predictions, or a tagger to make them. Out: scores on terminal, as JSON, Markdown."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from vaner.cli.answers import ALIGNMENTS, Answered, read_answered
from vaner.cli.options import add_data_root, add_on_error, add_registry
from vaner.cli.tagging_options import add_no_repeats
from vaner.corpora.own import all_corpora, named
from vaner.corpora.registry import Corpus, Registry, root_folder
from vaner.document import Document
from vaner.errors import VanerError
from vaner.evaluation import mistakes
from vaner.evaluation.agreement import Columns, read_columns
from vaner.evaluation.lengths import BINNINGS
from vaner.evaluation.run import Gold, Predicted, evaluate
from vaner.files import check_parent, sha256, write_text
from vaner.formats import check_reader, check_writer, detect, format_to_write, read, write
from vaner.knowledge.shipped import named_index
from vaner.progress import progress
from vaner.report import Report
from vaner.tagger import Tagger
from vaner.tagging.identity import folder_hash, of_index
from vaner.tagging.loading import AllOptions, Options, load, options_of

HELP = "score predictions against gold, or a model on a corpus"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("gold")
    gold = group.add_mutually_exclusive_group(required=True)
    gold.add_argument("--gold", metavar="FILE", help="gold documents")
    gold.add_argument(
        "--corpus",
        metavar="NAME",
        nargs="+",
        help="registered corpora (python -m vaner corpora), paths, or hf:DATASET",
    )
    gold.add_argument(
        "--answers",
        metavar="FILE",
        help="stored answers of a language model, gold with them: JSON Lines of tokens, gold, answer",
    )
    group.add_argument(
        "--gold_format",
        default="auto",
        metavar="FORMAT",
        help="options may follow, as in pubtator:offsets=repair; default: %(default)s",
    )
    add_registry(group)
    group.add_argument("--split", metavar="SPLIT", help="train, dev or test, of --corpus; default: dev")
    add_data_root(group)

    group = parser.add_argument_group("predictions")
    predicted = group.add_mutually_exclusive_group()
    predicted.add_argument("--predictions", metavar="FILE", help="predicted documents, ids as in gold")
    predicted.add_argument(
        "--model", metavar="MODEL", help="model folder or hub id; kb:INDEX for a dictionary"
    )
    group.add_argument("--predictions_format", default="auto", metavar="FORMAT", help="default: %(default)s")
    group.add_argument(
        "--alignment",
        choices=ALIGNMENTS,
        help="how the lines of --answers get to tokens: by their number, by runs of equal tokens, or mentions by their "
        "text; default: index",
    )
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
    add_no_repeats(group)
    group.add_argument(
        "--kb",
        metavar="INDEX",
        help="names that a model looks words up in (default: open, the vocabulary that vaner ships; none: no lookups), "
        "or reads hints of, as it was trained to",
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
        "--length_bins",
        nargs="+",
        choices=BINNINGS,
        default=["honest"],
        help="also by length as arXiv 2504.00664 counts it (gold-cut), where false positives can only hurt length 1",
    )
    add_on_error(group)
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


def run(args: argparse.Namespace) -> None:
    type_map = _check(args)
    reading = _Reading(args.data_root, args.on_error, all_corpora(args.registry))
    training, inputs = _training_documents(args.seen_in, args.train_corpus, reading)
    answered = _answered(args, reading, type_map, inputs) if args.answers else None
    if answered:
        golds = [answered.gold]
    else:
        golds = _golds(args.gold, args.gold_format, args.corpus, args.split or "dev", reading, inputs)
    options: Options = {
        "batch_tokens": args.batch_tokens,
        "max_words": args.max_words,
        "allow_new_types": args.allow_new_types or None,
        "repeats": False if args.no_repeats else None,
    }
    predicted: Predicted
    if answered:
        predicted = answered.predicted
    elif args.model:
        of_model: AllOptions = {**options, **of_index(args.model, args.kb)}
        if "on_failed" in options_of(args.model):
            # What a model does not answer is missed, and said; the rest is scored.
            of_model["on_failed"] = "leave"
        predicted = load(args.model, **of_model)
    else:
        predicted = reading.file(args.predictions, args.predictions_format, golds[0].read)
    output_format = args.output_format or (format_to_write(args.output) if args.output else "")

    def write_tagged(_: Gold, documents: list[Document]) -> None:
        write(args.output, documents, output_format)

    page = evaluate(
        golds,
        predicted,
        types=args.types,
        type_map=type_map,
        adaptive=args.adaptive,
        ignore_extra=args.ignore_extra,
        training=training,
        baseline=_beside(args.baseline, options) if args.baseline else None,
        compared=reading.file(args.compare, args.compare_format, golds[0].read) if args.compare else None,
        columns=answered.columns
        if answered
        else _columns((args.gold, args.gold_format), (args.predictions, args.predictions_format), type_map),
        length_bins=args.length_bins,
        bootstrap=args.bootstrap,
        seed=args.seed,
        on_tagged=write_tagged if args.output else None,
    )
    page.protocol |= {
        "predictions": args.predictions or args.model or "answers",
        "baseline": args.baseline,
        "compare": args.compare,
        # By which `push --scores` knows whose they are.
        "model_hash": folder_hash(args.model) if args.model else None,
    }
    page.protocol["remarks"] = [*_remarks(args), *page.protocol["remarks"]]
    if answered:
        page.results[0]["answers"] = answered.lost
    roles = {name: vars(args)[name] for name in ("predictions", "model", "kb", "baseline", "compare")}
    if args.kb:
        roles["kb"] = named_index(args.kb)
    page.inputs = inputs + [_input(role, path) for role, path in roles.items() if path]
    for path, text in (
        (args.json, page.to_json),
        (args.markdown, page.markdown),
        (args.mistakes, lambda: mistakes.markdown(page.mistakes)),
    ):
        if path:
            write_text(path, text())
    print(page.terminal(), end="")


def _check(args: argparse.Namespace) -> dict[str, str]:
    """Refuse what cannot work before anything long begins; return the type map."""
    given = vars(args)
    if args.answers and (args.predictions or args.model):
        option = "predictions" if args.predictions else "model"
        raise VanerError(f"--answers {args.answers} holds gold and what was answered; leave --{option} out")
    if args.alignment and not args.answers:
        raise VanerError("--alignment belongs to --answers; leave it out")
    if not (args.answers or args.predictions or args.model):
        raise VanerError("what is to be scored? Give --predictions FILE or --model MODEL")
    if args.split and not args.corpus:
        with_what = "answers" if args.answers else "gold"
        raise VanerError(f"--split belongs to --corpus; with --{with_what}, leave it out")
    if args.corpus and len(args.corpus) > 1:
        for option in ("predictions", "compare", "output"):
            if given[option]:
                raise VanerError(
                    f"--{option} is one file, --corpus names {len(args.corpus)}; name one corpus"
                )
    if args.model and args.model.startswith("kb:") and args.kb:
        raise VanerError(f"--kb {args.kb} is for models, and {args.model} is a dictionary; leave it out")
    if not args.model:
        for option in (
            "adaptive", "allow_new_types", "batch_tokens", "max_words", "no_repeats", "kb", "output"
        ):  # fmt: skip
            if given[option] and not (args.baseline and option not in ("kb", "output")):
                with_what = "answers" if args.answers else "predictions"
                raise VanerError(f"--{option} belongs to --model; with --{with_what}, leave it out")
    for format in (args.gold_format, args.predictions_format, args.compare_format):
        check_reader(format)
    if args.output_format:
        check_writer(args.output_format)
    if [args.gold, args.answers, args.predictions, args.compare, args.seen_in].count("-") > 1:
        raise VanerError("standard input (-) can be only one of the files; name the others")
    for option, least in (("batch_tokens", 1), ("bootstrap", 1 if args.compare else 0), ("seed", 0)):
        if given[option] is not None and given[option] < least:
            raise VanerError(f"--{option} {given[option]}: give a number from {least}")
    for path in filter(None, (args.json, args.markdown, args.mistakes, args.output)):
        check_parent(path)
    type_map: dict[str, str] = {}
    for item in args.type_map:
        old, _, new = item.partition("=")
        if not old or not new or old in type_map:
            raise VanerError(f"--type_map {item}: write FROM=TO, each FROM once")
        type_map[old] = new
    return type_map


@dataclass(frozen=True)
class _Reading:
    """How files and corpora are read: bad documents, and where the corpora are."""

    data_root: str | None
    on_error: str
    corpora: Registry

    def named(self, names: Iterable[str]) -> list[Corpus]:
        """Corpora of the registry, of paths and of datasets."""
        return [named(name, self.corpora, self.on_error) for name in names]

    def file(self, path: str, format: str, counts: dict[str, int]) -> Iterator[Document]:
        """Documents of a file; what its reader repaired or skipped is added to counts."""
        report = Report()
        documents = read(path, format, on_error=self.on_error, report=report)
        yield from progress(documents, f"reading {os.path.basename(path)}")
        _tell(report, path, counts)

    def corpus(self, corpus: Corpus, split: str, counts: dict[str, int]) -> Iterator[Document]:
        """Documents of a corpus's split."""
        report = Report()
        documents = corpus.documents(split, self.data_root, self.on_error, report)
        yield from progress(documents, f"reading {corpus.name} {split}")
        _tell(report, f"{corpus.name} {split}", counts)

    def inputs(self, role: str, corpus: Corpus, split: str) -> list[dict[str, str]]:
        """The files of a split, with their hashes."""
        # As seen from the data root: where that lies on this machine is nobody else's business.
        root = corpus.folder if corpus.shipped else root_folder(self.data_root)
        return [
            {
                **_input(f"{role}: {corpus.name} {split}", path),
                "path": f"CORPORA/{os.path.relpath(path, root)}",
            }
            for path in corpus.paths(split, self.data_root)
        ]


def _golds(
    gold: str | None,
    format: str,
    corpora: Sequence[str] | None,
    split: str,
    reading: _Reading,
    inputs: list[dict[str, str]],
) -> list[Gold]:
    """The gold sets, read; their files are added to inputs."""
    counts: dict[str, int] = {}
    if gold is not None:
        inputs.append(_input("gold", gold))
        return [Gold(gold, list(reading.file(gold, format, counts)), read=counts)]
    golds = []
    for corpus in reading.named(corpora or ()):
        counts = {}
        inputs += reading.inputs("gold", corpus, split)
        documents = list(reading.corpus(corpus, split, counts))
        golds.append(Gold(corpus.name, documents, split, corpus.instruction_name, counts))
    return golds


def _answered(
    args: argparse.Namespace, reading: _Reading, type_map: dict[str, str], inputs: list[dict[str, str]]
) -> Answered:
    """Stored answers, read; their file is added to inputs."""
    inputs.append(_input("answers", args.answers))
    report = Report()
    found = read_answered(
        args.answers,
        args.alignment or ALIGNMENTS[0],
        on_error=reading.on_error,
        report=report,
        type_map=type_map,
    )
    _tell(report, args.answers, found.gold.read)
    return found


def _training_documents(
    seen_in: str | None, names: Sequence[str] | None, reading: _Reading
) -> tuple[Iterable[Document] | None, list[dict[str, str]]]:
    """The documents whose mentions count as seen, and their files; None without such an option."""
    if seen_in:
        return reading.file(seen_in, "auto", {}), [_input("seen_in", seen_in)]
    if not names:
        return None, []
    corpora = reading.named(names)
    inputs = [one for corpus in corpora for one in reading.inputs("train_corpus", corpus, "train")]
    return (d for corpus in corpora for d in reading.corpus(corpus, "train", {})), inputs


def _tell(report: Report, source: str, counts: dict[str, int]) -> None:
    """Warn of what a reader repaired or skipped, and keep its counts for the page."""
    for line in report.summary():
        print(f"warning: {line}", file=sys.stderr)
    for kind, n in report.counts.items():
        counts[f"{source}: {kind}"] = n


def _columns(
    gold: tuple[str | None, str], predictions: tuple[str | None, str], type_map: dict[str, str]
) -> tuple[Columns, Columns] | None:
    """The tags of gold and predictions as their files have them, where both are plain CoNLL files."""
    found = []
    for path, format in (gold, predictions):
        # With options (conll:tag_column=1) the tags may stand elsewhere.
        if path in (None, "-") or (detect(path) if format == "auto" else format) != "conll":
            return None
        columns = read_columns(path, type_map)
        if columns is None:
            return None
        found.append(columns)
    return found[0], found[1]


def _beside(name: str, options: Options) -> Tagger:
    """The baseline, with those of the model's options that its kind takes."""
    takes = options_of(name)
    given = cast(Options, {option: value for option, value in options.items() if option in takes})
    return load(name, **given)


def _remarks(args: argparse.Namespace) -> list[str]:
    """What the page must say of the command."""
    said = []
    if args.answers:
        said.append(
            f"answers aligned by {args.alignment or ALIGNMENTS[0]}; a word that none has a tag for is O; tags that "
            "break BIO are cut as by seqeval's default mode; intervals draw lines of the file"
        )
    if "gold-cut" in args.length_bins:
        said.append(
            "gold-cut lengths (arXiv 2504.00664): gold and prediction cut at gold mentions, each by itself in the bin "
            "of its length; every other word by itself in bin 1. Biased: wrong borders may turn right, and false "
            "positives can only hurt length 1; for comparison with figures published so"
        )
    if args.no_repeats:
        said.append("every place of a name is decided by itself (--no_repeats)")
    if args.kb:
        said.append(f"the model is told which names of {args.kb} the text has (--kb)")
    if args.baseline:
        said.append(f"baseline: {args.baseline}, asked the same types; (baseline) in the tables")
    if args.seen_in or args.train_corpus:
        training = args.seen_in or f"{' + '.join(args.train_corpus)} (train)"
        said.append(f"seen: a mention with this surface and type is in {training}; case and spacing aside")
    if args.compare:
        said.append(
            f"compared with {args.compare}: same draws, two-sided p (Berg-Kirkpatrick et al. 2012) in each row"
        )
    return said


def _input(role: str, path: str | os.PathLike[str]) -> dict[str, str]:
    """What was read, with its hash; a hub id and standard input are no files and have none."""
    file = str(path).removeprefix("kb:")
    return {"role": role, "path": str(path), "sha256": sha256(file) if os.path.exists(file) else ""}
