"""In: raw text, an index, a model. Out: a corpus to train on, of sentences on which dictionary and model agree."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from vaner.cli.options import (
    add_data_root,
    add_input_format,
    add_on_error,
    check_files,
    input_format,
    notes,
    say,
)
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import stem
from vaner.formats import jsonl, read
from vaner.knowledge.shipped import NO_INDEX, needed_index
from vaner.model.config import DEFAULT_MODEL
from vaner.provenance import tagged_by
from vaner.report import Report

HELP = "label raw text where dictionary and model agree, to train on (distant labels)"
DESCRIPTION = (
    "Reads raw text, tags it with the dictionary of an index and with a model, and writes the sentences on which they "
    "agree as a corpus: train.py --mix ncbi-disease distant.jsonl:0.5. Each sentence names the types of which both "
    "find exactly the same; of a type on which they differ it says nothing, and training does not ask for it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        default=DEFAULT_MODEL,
        metavar="MODEL",
        help="what confirms names: model folder, shipped model or hub id; default: %(default)s",
    )
    add("--kb", required=True, metavar="INDEX", help="the index: a path, or open for what vaner ships")
    add(
        "--input",
        required=True,
        nargs="+",
        metavar="FILE",
        help="raw text in any format that VANER reads; mentions that it has are not looked at",
    )
    add("--output", required=True, metavar="FILE.jsonl", help="the corpus; it appears when it is complete")
    add_input_format(parser)
    add_on_error(parser)
    add(
        "--types", nargs="+", metavar="TYPE", help="entity types; default: all that index and model both know"
    )
    what = parser.add_argument_group("what is taught")
    add = what.add_argument
    add(
        "--least",
        type=float,
        default=0.8,
        metavar="SCORE",
        help="least score that the model gives a name of the dictionary, 0 to 1; default: %(default)s",
    )
    add(
        "--sure",
        type=float,
        metavar="SCORE",
        help="from this score on the model's mention is taught whatever the dictionary says; default: never",
    )
    add(
        "--negatives",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="of the sentences in which neither finds a type, the share that teaches its absence; default: %(default)s",
    )
    add("--seed", type=int, default=0, metavar="N", help="chooses these; default: %(default)s")
    held = parser.add_argument_group("what must not be taught")
    held.add_argument(
        "--held_out",
        nargs="+",
        default=[],
        metavar="CORPUS",
        help="leave out documents that share a PubMed id or a sentence with dev or test of these; training looks "
        "for them too, but among the sentences, not the whole documents",
    )
    add_data_root(held)
    of_model = parser.add_argument_group("of the model")
    of_model.add_argument(
        "--batch_tokens", type=int, metavar="N", help="tokens in a batch; default: as predict.py"
    )
    of_model.add_argument("--device", help="cpu, cuda, ...; default: cuda where there is one")


def run(args: argparse.Namespace) -> None:
    from vaner.corpora.overlap import held_out_fingerprints
    from vaner.corpora.registry import read_registry
    from vaner.tagging.distant import DistantLabels, Rule
    from vaner.tagging.identity import plain_name, tagger_hash
    from vaner.tagging.loading import load, options_of

    _check(args)
    rule = Rule(args.least, args.sure, args.negatives, args.seed)
    registry = read_registry()
    held_out = [(registry[name], split) for name in args.held_out for split in ("dev", "test")]
    for name in args.held_out:
        if not registry[name].present(args.data_root).keys() & {"dev", "test"}:
            raise VanerError(
                f"--held_out {name}: its dev and test are not here; give --data_root, or leave it out"
            )
    index = f"kb:{args.kb}"
    dictionary = load(index)
    # What looks names up itself would confirm the dictionary with the dictionary.
    lookups = NO_INDEX if "kb" in options_of(args.model) else None
    model = load(args.model, batch_tokens=args.batch_tokens, device=args.device, kb=lookups)
    settings = {name: str(value) for name, value in vars(rule).items() if value is not None}
    record = tagged_by({plain_name(name): tagger_hash(name) for name in (args.model, index)}, **settings)
    left_out = held_out_fingerprints(held_out, args.data_root) if held_out else None
    labels = DistantLabels(dictionary, model, record, types=args.types, rule=rule, left_out=left_out)
    report = Report()

    def sentences() -> Iterator[Document]:
        with tqdm(desc="labelling", unit=" documents", delay=2, file=sys.stderr) as bar:

            def counted(documents: Iterator[Document]) -> Iterator[Document]:
                for document in documents:
                    bar.update()
                    yield document

            for path in args.input:
                documents = read(path, input_format(args), on_error=args.on_error, report=report, to_tag=True)
                yield from labels.sentences(counted(documents), stem(path))

    # Not formats.write, which remembers every id; these differ, since those of a file do.
    jsonl.write(args.output, sentences(), report=report)
    say(report)
    print(labels.table(), file=sys.stderr)
    counts = labels.counts
    notes(f"{count:,} {what}" for what, count in counts.items() if what.startswith("documents "))
    if unasked := [type for type in model.types if type not in dictionary.types]:
        notes([f"the index has no name of {', '.join(unasked)}; nothing is taught of them"])
    if absent := labels.only_absent:
        without = " ".join(f"{type}=" for type in absent)
        names = ", ".join(absent)
        notes(
            [
                f"of {names} only absence is taught; leave out with --types, or by train.py --type_map {without}"
            ]
        )
    notes(model.remarks())
    print(
        f"{counts['documents']:,} documents, {counts['sentences']:,} sentences, of which {counts['written']:,} teach "
        f"something -> {args.output}",
        file=sys.stderr,
    )


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot work before anything long begins."""
    if not args.output.removesuffix(".gz").endswith(".jsonl") and args.output != "-":
        raise VanerError(
            f"--output {args.output}: is written as JSON Lines; name it {Path(args.output).stem}.jsonl"
        )
    needed_index(args.kb)
    named: dict[str, str] = {}
    for path in args.input:
        check_files(path, args.output, input_format(args), "jsonl")
        if (other := named.setdefault(stem(path), path)) != path or args.input.count(path) > 1:
            raise VanerError(
                f"--input {other} and {path}: ids begin with the files' names, and these are the same; rename one, or "
                "label it by itself"
            )
