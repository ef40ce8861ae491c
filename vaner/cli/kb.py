"""In: vocabularies or an index. Out: an index; what it holds, finds for a name or in a file, and has of corpora."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from vaner.cli import kb_label
from vaner.cli.options import add_data_root, add_registry, notes, say
from vaner.errors import VanerError

if TYPE_CHECKING:
    from vaner.corpora.coverage import Counts, Coverage
    from vaner.document import Document
    from vaner.knowledge import KnowledgeBase
    from vaner.vocabularies.sources import Source
    from vaner.vocabularies.terms import Term

HELP = "compile vocabularies into a knowledge base, look names up in it, match and link text with it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")

    build = actions.add_parser("build", help="compile vocabularies into an index")
    build.add_argument(
        "--sources",
        nargs="+",
        required=True,
        metavar="NAME|PATH",
        help="names in the registry ('python -m vaner kb sources'), a UMLS META folder, .obo, .json, MeSH .xml "
        "or .bin, or .tsv/.csv with id, name, type[, synonym...]; the first ones are preferred for concept ids",
    )
    build.add_argument(
        "--output", required=True, metavar="KB", help="the index; it appears when it is complete"
    )
    build.add_argument(
        "--kb_root", metavar="FOLDER", help="where the registry's files are (default: $VANER_KB)"
    )
    build.add_argument("--registry", metavar="YAML", help="another registry than kb/sources.yaml")
    build.add_argument(
        "--rules", metavar="FOLDER", help="another rules.yaml and stoplist.tsv than those in kb/"
    )
    build.add_argument("--type", help="canonical type of the terms of an ontology given by path")
    umls = build.add_argument_group("UMLS")
    umls.add_argument("--languages", nargs="*", metavar="LAT", help="languages kept (default ENG; none: all)")
    umls.add_argument(
        "--suppress", nargs="*", metavar="FLAG", help="SUPPRESS values kept (default N; none: all)"
    )
    umls.add_argument(
        "--vocabularies", nargs="*", metavar="SAB", help="source vocabularies kept (default all)"
    )

    lookup = actions.add_parser("lookup", help="the names and concepts with a name's normal form")
    lookup.add_argument("kb", metavar="KB", help="the index, or open")
    lookup.add_argument("names", nargs="+", metavar="NAME", help="names to look up")
    lookup.add_argument("--related", type=int, default=0, metavar="N", help="also the N most similar names")
    lookup.add_argument(
        "--types", nargs="+", metavar="TYPE", help="canonical types of the similar names (default all)"
    )

    stats = actions.add_parser("stats", help="what an index holds and was made from")
    stats.add_argument("kb", metavar="KB", help="the index, or open")
    stats.add_argument("--verify", action="store_true", help="read the whole file, compare its checksums")
    stats.add_argument("--json", action="store_true", help="print one JSON object")

    match = actions.add_parser("match", help="mark the names in documents (the dictionary tagger)")
    match.add_argument("kb", metavar="KB", help="the index, or open")
    match.add_argument("--input", required=True, metavar="FILE", help="in any format that VANER reads")
    match.add_argument("--input_format", default="auto", metavar="FORMAT", help="default: %(default)s")
    match.add_argument(
        "--output", metavar="FILE", help="where to write them (default: print one name a line)"
    )
    match.add_argument("--output_format", default="jsonl", metavar="FORMAT", help="default: %(default)s")
    match.add_argument("--types", nargs="+", metavar="TYPE", help="canonical types (default all)")
    match.add_argument("--link", action="store_true", help="add concept ids")

    link = actions.add_parser(
        "link", help="add concept ids to the spans of documents; score them against gold"
    )
    link.add_argument("kb", metavar="KB", help="the index, or open")
    link.add_argument("--input", required=True, metavar="FILE", help="documents with spans")
    link.add_argument("--input_format", default="auto", metavar="FORMAT", help="default: %(default)s")
    link.add_argument("--output", metavar="FILE", help="where to write them (default: only print the scores)")
    link.add_argument("--output_format", default="pubtator", metavar="FORMAT", help="default: %(default)s")
    link.add_argument("--sources", nargs="+", metavar="NAME", help="take ids from these vocabularies only")
    link.add_argument(
        "--least",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="least similarity in the n-gram step, 0 to 1",
    )
    link.add_argument(
        "--map", nargs="*", default=[], metavar="LABEL=TYPE", help="corpus type -> canonical type"
    )

    coverage = actions.add_parser(
        "coverage", help="how many mentions of corpora an index has; whether a vocabulary was made from one"
    )
    coverage.add_argument("kb", metavar="KB", help="the index")
    coverage.add_argument(
        "--corpus", nargs="+", required=True, metavar="NAME", help="corpora, paths or hf:DATASET"
    )
    coverage.add_argument(
        "--splits",
        nargs="+",
        default=["train", "dev", "test"],
        metavar="SPLIT",
        help="those that are opened; a split without files is named and passed over (default: train dev test)",
    )
    coverage.add_argument("--json", metavar="FILE", help="write all counts, distinct forms too, as JSON")
    coverage.add_argument("--markdown", action="store_true", help="print Markdown")
    add_data_root(coverage)
    add_registry(coverage)
    kb_label.add_arguments(actions.add_parser("label", help=kb_label.HELP, description=kb_label.DESCRIPTION))

    sources = actions.add_parser("sources", help="the registered vocabularies")
    sources.add_argument("--registry", metavar="YAML", help="another registry than kb/sources.yaml")
    sources.add_argument("--kb_root", metavar="FOLDER", help="where their files are (default: $VANER_KB)")


def run(args: argparse.Namespace) -> int | None:
    return {
        "build": _build,
        "lookup": _lookup,
        "stats": _stats,
        "match": _match,
        "link": _link,
        "coverage": _coverage,
        "label": kb_label.run,
        "sources": _sources,
    }[args.action](args)


def _build(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from vaner.files import check_parent, shipped
    from vaner.knowledge import Rules, build
    from vaner.report import Report
    from vaner.vocabularies.sources import read_sources, resolve

    check_parent(args.output)
    if Path(args.output).is_dir():
        raise VanerError(f"{args.output}: is a folder; name a file to write")
    known = read_sources(args.registry)
    umls = {
        name: tuple(vars(args)[name])
        for name in ("languages", "suppress", "vocabularies")
        if vars(args)[name] is not None
    }
    sources = [resolve(s, known, type=args.type, umls=umls) for s in args.sources]
    if umls and not any(source.reader == "umls" for source in sources):
        raise VanerError(f"--{next(iter(umls))} is of UMLS, and no source is; leave it out")
    if args.type and not any(s.reader == "ontology" and s.name not in known for s in sources):
        raise VanerError("--type is of an ontology given by its path, and no source is one; leave it out")
    twice = [name for name, count in Counter(s.name for s in sources).items() if count > 1]
    if twice:
        raise VanerError(f"source {twice[0]} is given twice; give it once")
    sources = [part for source in sources for part in source.parts or (source,)]
    for source in sources:
        source.paths(args.kb_root)
    rules = Rules.load(args.rules or shipped("kb"))
    report = Report()
    started = time.perf_counter()

    def terms(source: Source) -> Iterator[Term]:
        bar = tqdm(
            source.terms(args.kb_root, report), desc=source.name, unit=" names", disable=None, mininterval=1
        )
        yield from bar

    try:
        kb = build(args.output, [(s.record(args.kb_root), terms(s)) for s in sources], rules, report)
    except VanerError:
        # What was skipped before may be why.
        say(report)
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        raise VanerError(f"{args.output}: {error.strerror}; it was not written") from None
    seconds = time.perf_counter() - started
    for kind, count in report.counts.most_common():
        print(f"{count:>12,}  {kind}")
    for message in report.messages:
        print(f"note: {message}", file=sys.stderr)
    size = Path(args.output).stat().st_size
    print(f"{len(kb):>12,}  names of {kb.description['concepts']:,} concepts")
    print(f"{args.output}: {size / 1e6:.1f} MB, {seconds:.0f} s")


def _index(name: str) -> KnowledgeBase:
    from vaner.knowledge import KnowledgeBase
    from vaner.knowledge.shipped import needed_index

    return KnowledgeBase(needed_index(name))


def _lookup(args: argparse.Namespace) -> int:
    from vaner.knowledge import normalise

    if args.related < 0:
        raise VanerError(f"--related {args.related}: give a number from 0")
    kb = _index(args.kb)
    missing = 0
    for name in args.names:
        found = kb.lookup(name)
        missing += not found
        print(
            f"{name}  (normal form: {normalise(name)!r})" + ("" if found else ": not in the knowledge base")
        )
        for entry in found:
            how = "exact" if entry.text == name else "normalised"
            muted = ", muted" if entry.muted else ""
            capitals = ", where the text has capitals too" if entry.capitals else ""
            print(f"  {entry.text}  ({how}{muted}{capitals})")
            for concept in entry.concepts:
                types = "/".join(concept.types)
                print(f"    {concept.id or '-'}\t{types}\t{concept.source}\t{concept.preferred_name}")
        if args.related:
            for number, similarity in kb.related(name, args.types, limit=args.related):
                like = kb.name(number)
                print(f"  {similarity:.2f}  {like.text}  {'/'.join(like.types)}")
    return 1 if missing == len(args.names) else 0


def _stats(args: argparse.Namespace) -> None:
    kb = _index(args.kb)
    if args.verify:
        kb.verify()
    counts = kb.counts()
    if args.json:
        print(json.dumps({**kb.description, "by_type": counts, "bytes": kb.sizes()}, ensure_ascii=False))
        return
    print(f"{args.kb}: {kb.path.stat().st_size / 1e6:.1f} MB" + (", verified" if args.verify else ""))
    print(
        f"{len(kb):,} names, {kb.description['keys']:,} normal forms, {kb.description['concepts']:,} concepts"
    )
    for type_, count in counts.items():
        print(f"{count:>12,}  {type_}")
    for vocabulary in kb.description["vocabularies"]:
        print(
            f"{vocabulary['terms']:>12,}  names read from {vocabulary['name']} "
            f"({vocabulary['title'] or 'no title'}; {vocabulary['version']}; {vocabulary['licence']})"
        )
    for kind, count in kb.description["counts"].items():
        print(f"{count:>12,}  {kind}")


def _match(args: argparse.Namespace) -> None:
    from vaner.formats import read, write
    from vaner.knowledge import DictionaryTagger, Linker
    from vaner.report import Report

    kb = _index(args.kb)
    report = Report()
    documents = DictionaryTagger(kb).tag_documents(
        read(args.input, args.input_format, report=report), args.types
    )
    if args.link:
        documents = Linker(kb).link_documents(documents)
    if args.output:
        number = write(args.output, documents, args.output_format)
        print(f"{args.output}: {number} documents")
    else:
        for document in documents:
            for span in document.spans:
                ids = ",".join(concept.id for concept in span.concepts)
                print(
                    f"{document.id}\t{span.start}\t{span.end}\t{span.text}\t{span.type}\t{ids}".rstrip("\t")
                )
    say(report)


def _link(args: argparse.Namespace) -> None:
    from vaner.formats import read, write
    from vaner.knowledge import Linker
    from vaner.knowledge.linking import Accuracy
    from vaner.report import Report

    kb = _index(args.kb)
    linker = Linker(kb, least=args.least, sources=args.sources)
    labels = dict(pair.split("=", 1) for pair in args.map if "=" in pair)
    if len(labels) != len(args.map):
        raise VanerError("--map takes LABEL=TYPE, for instance --map Modifier=Disease")
    report, accuracy = Report(), Accuracy()

    def linked() -> Iterator[Document]:
        for document in read(args.input, args.input_format, on_error="skip", report=report):
            after = linker.link_document(document, labels)
            accuracy.add(document, after, labels)
            yield after

    if args.output:
        write(args.output, linked(), args.output_format)
    else:
        for _ in linked():
            pass
    for line in accuracy.table():
        print(line)
    say(report)


def _coverage(args: argparse.Namespace) -> int:
    from vaner.corpora.coverage import coverage, forms_of_splits
    from vaner.corpora.origin import suspects
    from vaner.corpora.own import all_corpora, named
    from vaner.files import check_parent, write_text

    if args.json:
        check_parent(args.json)
    kb = _index(args.kb)
    known = all_corpora(args.registry)
    corpora = [named(name, known) for name in args.corpus]
    if unknown := [split for split in args.splits if not any(split in corpus.files for corpus in corpora)]:
        raise VanerError(
            f"--splits {unknown[0]}: none of these corpora has it; splits are called train, dev, test"
        )
    annotated = {}
    for corpus in corpora:
        there = corpus.present(args.data_root)
        wanted = [split for split in args.splits if split in corpus.files]
        if not any(split in there for split in wanted):
            # Says which folder was looked into, and where to get it.
            corpus.paths(wanted[0] if wanted else args.splits[0], args.data_root)
        for split in wanted:
            if split in there:
                annotated.update(forms_of_splits(kb, [(corpus, split)], args.data_root, known.types))
            else:
                notes([f"{corpus.name}: no files of its {split} split; nothing of it is counted"])
    covered = coverage(annotated, [of for of in annotated if of[1] == "train"])
    suspected = suspects(kb, annotated)
    if args.json:
        counts = {
            "index": kb.fingerprint,
            "covered": [asdict(one) for one in covered],
            "suspects": [asdict(one) for one in suspected],
        }
        write_text(args.json, json.dumps(counts, indent=2, ensure_ascii=False) + "\n")
    print(_covered(covered, "github" if args.markdown else "simple"))
    for suspect in suspected:
        print(suspect)
    if not suspected:
        print("no vocabulary of the index looks made from one of these corpora")
    return 1 if suspected else 0


def _covered(covered: list[Coverage], style: str) -> str:
    """The table of `kb coverage`: of each type, then of all types of a split."""
    from tabulate import tabulate

    from vaner.corpora.coverage import Counts

    rows = []
    for (corpus, split), group in groupby(covered, key=lambda one: (one.corpus, one.split)):
        found = {one.type: (one.all, one.unseen) for one in group}
        if len(found) > 1:
            every, unseen = (sum(counts, Counts()) for counts in zip(*found.values(), strict=True))
            found["all"] = (every, unseen)
        for type, (every, unseen) in found.items():
            last = ["", "", ""] if split == "train" else _shares(unseen)
            rows.append([corpus, split, type, *_shares(every), *last])
    shares = ["in index %", "any type %"]
    header = ["corpus", "split", "type", "mentions", *shares, "unseen", *shares]
    return tabulate(
        rows, header, tablefmt=style, colalign=["left"] * 3 + ["right"] * 6, disable_numparse=True
    )


def _shares(counts: Counts) -> list[str]:
    parts = (counts.mentions_as_type, counts.mentions_as_any)
    shares = [f"{100 * part / counts.mentions:.1f}" if counts.mentions else "-" for part in parts]
    return [f"{counts.mentions:,}", *shares]


def _sources(args: argparse.Namespace) -> None:
    from vaner.vocabularies.sources import read_sources

    for name, source in read_sources(args.registry).items():
        try:
            source.paths(args.kb_root)
            there = "here"
        except VanerError:
            there = "not here"
        shared = "may be passed on" if source.redistribution else "for the licensee only"
        print(f"{name:27} {there:9} {source.version:22} {source.licence} ({shared})")
