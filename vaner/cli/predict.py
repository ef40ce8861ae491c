"""In: files of documents, a tagger, entity types. Out: the same documents with spans, in other files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from vaner.cli.many import add_corpus_run, at_least_one, is_many, refuse_corpus_run
from vaner.cli.options import add_formats, check_files, input_format, notes, say
from vaner.cli.tagging_options import add_tagging, settings_of
from vaner.document import Document
from vaner.errors import VanerError
from vaner.files import check_parent, write_text
from vaner.formats import check_reader, check_writer, is_elsewhere, read, write
from vaner.jobs import ranks, record
from vaner.jobs.pool import Pool, ProcessPool
from vaner.jobs.ray_cluster import imported
from vaner.jobs.ray_pool import RayPool
from vaner.jobs.run import Interrupted, Job, Result
from vaner.jobs.run import run as run_job
from vaner.jobs.sources import DELETED, REJECTED, SUMMARY, ending, plan
from vaner.jobs.summary import Summary
from vaner.jobs.units import UNIT_CHARACTERS, UNIT_DOCUMENTS, Cut, FileReader
from vaner.report import SKIPPED, Report
from vaner.tagger import FAILED
from vaner.tagging.settings import TaggingSettings

HELP = "tag a file, or many"
# What is counted of every run; a tagger may count more.
_OF_EVERY_RUN = {"documents", "characters", "spans", "tokens", "padded_tokens", "units", "files", "rejected"}
EPILOG = (
    "Status: 0; 2 for bad input or use; 3 where documents were rejected (rejected.jsonl) or not tagged in full; 130 "
    "and 143 after Ctrl-C and SIGTERM. A run over many files that was ended in any way goes on with the same command."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add(
        "--input",
        required=True,
        nargs="+",
        metavar="PATH",
        help="documents to tag: files (*.gz accepted), folders, patterns in quotes ('pubmed/**/*.xml.gz'), - for "
        "standard input",
    )
    add(
        "--output",
        required=True,
        metavar="PATH",
        help="where to write: a file, or - for standard output; a folder (with / at its end) for a file for each input",
    )
    add_formats(parser, many=True)
    add_tagging(parser)
    add(
        "--dry_run",
        action="store_true",
        help="of a prompted tagger (prompt:FILE): read everything, and say how many requests and tokens there would be "
        "and what they would cost; nothing is sent, nothing is written",
    )
    add(
        "--show_prompt",
        type=int,
        metavar="N",
        help="of a prompted tagger: print the first N requests as they would be sent; nothing is sent or written",
    )
    add(
        "--summary",
        metavar="FILE",
        help="print what was found of each type, and write it as JSON; a run over many files always does, into "
        "summary.json of its folder",
    )
    add_corpus_run(parser)


def run(args: argparse.Namespace) -> int:
    if args.dry_run or args.show_prompt is not None:
        return _planned(args)
    if is_many(args.input, args.output):
        return _corpus(args)
    refuse_corpus_run(args)
    if ranks.several():
        raise VanerError(
            "one file is tagged by one process; name a folder as --output, or do without a launcher"
        )
    return _file(args)


# --- nothing is sent ---


def _planned(args: argparse.Namespace) -> int:
    """Print what a prompted tagger would send; nothing is sent or written."""
    at_least_one(args, "show_prompt")
    settings = replace(settings_of(args), dry_run=args.dry_run, show_prompt=args.show_prompt)
    settings.check()
    check_reader(input_format(args))
    verbatim = input_format(args).partition(":")[0] == "datasets"
    many = is_many(args.input, args.output)
    sources = plan(args.input, args.output, ending("jsonl"), verbatim=verbatim) if many else []
    paths = [source.path for source in sources] or args.input
    tagger = settings.open()
    report = Report()
    documents = (
        document
        for path in paths
        for document in read(
            path,
            input_format(args),
            on_error=args.on_error or "raise",
            report=report,
            to_tag=settings.replaces,
        )
    )
    for _ in tagger.tag_documents(documents, settings.types, settings.dataset):
        pass
    say(report)
    for line in tagger.remarks():
        print(line)
    return 0


# --- one file ---


def _file(args: argparse.Namespace) -> int:
    (source,) = args.input
    # What cannot work is said before the model is loaded, which may take minutes.
    output_format = check_files(source, args.output, input_format(args), args.output_format)
    if args.summary is not None:
        _check_summary(args.summary, source, args.output)
    # What a model does not answer is no reason to give up the rest of the file.
    settings = replace(settings_of(args), on_failed="leave")
    tagger = settings.open()
    report = Report()
    documents = read(
        source, input_format(args), on_error=args.on_error or "raise", report=report, to_tag=settings.replaces
    )
    summary = Summary()
    started = time.monotonic()
    tagged = tagger.tag_documents(documents, settings.types, settings.dataset)
    with tqdm(desc="tagging", unit=" documents", delay=2, file=sys.stderr) as bar:
        failed: list[str] = []
        write(args.output, _counted(tagged, summary, bar, failed), output_format, report=report)
    seconds = time.monotonic() - started
    say(report)
    if args.summary is not None:
        summary.rejected = report.counts[SKIPPED]
        write_text(args.summary, summary.to_json())
        print(summary.table(), file=sys.stderr)
    print(
        f"{summary.documents:,} documents, {summary.characters:,} characters, {summary.mentions.total():,} spans "
        f"in {seconds:.1f} s ({summary.documents / max(seconds, 1e-9):.2f} documents/s) -> {args.output}",
        file=sys.stderr,
    )
    if settings.link:
        print(f"{summary.linked.total():,} spans have a concept id", file=sys.stderr)
    notes(tagger.remarks())
    if not failed:
        return 0
    print(
        f"{len(failed):,} documents are not tagged in full, for calls gave no answer; their metadata says why "
        "(failed), and the same command asks again for what failed",
        file=sys.stderr,
    )
    return 3


def _check_summary(summary: str, source: str, output: str) -> None:
    """Refuse a summary that cannot be written, or would replace what was read or tagged."""
    check_parent(summary)
    if os.path.isdir(summary):
        raise VanerError(f"--summary {summary}: is a folder; name a file to write")
    for what, path in (("input", source), ("output", output)):
        if not (what == "input" and is_elsewhere(path)) and os.path.realpath(summary) == os.path.realpath(
            path
        ):
            raise VanerError(f"--summary {summary}: is the {what}; name another file to write")


def _counted(
    documents: Iterable[Document], summary: Summary, bar: tqdm, failed: list[str]
) -> Iterator[Document]:
    for document in documents:
        summary.add(document)
        if FAILED in document.metadata:
            failed.append(document.id)
        bar.update()
        yield document


# --- many files ---


def _corpus(args: argparse.Namespace) -> int:
    if args.summary is not None:
        raise VanerError(f"--summary: a run over many files writes {SUMMARY} into its folder; leave it out")
    at_least_one(args, "processes", "unit_documents", "unit_characters")
    if args.ray_address and args.on != "ray":
        raise VanerError(f"--ray_address {args.ray_address}: is for --on ray; add that, or leave it out")
    if args.on == "ray":
        return _run(args, *_on_ray(args))
    if not ranks.several():
        settings = settings_of(args)
        return _run(args, settings, partial(ProcessPool, settings, args.processes or 1))
    if args.processes is not None:
        raise VanerError("--processes: the launcher says how many there are; leave it out")
    settings = settings_of(args)
    with ranks.meeting() as met:
        if ranks.first():
            return _run(args, settings, partial(ranks.pool, settings, met))
        ranks.work(settings, met)
        return 0


def _on_ray(args: argparse.Namespace) -> tuple[TaggingSettings, Callable[[], Pool]]:
    """What is computed, and the workers that Ray places for it."""
    if ranks.several():
        raise VanerError("--on ray: Ray begins the processes itself; start the command without a launcher")
    imported()  # or what to install is said
    settings = settings_of(args)
    device = settings.device or ""
    gpus = True if device.startswith("cuda") else False if device == "cpu" else None
    return settings, partial(
        RayPool,
        settings,
        processes=args.processes,
        address=args.ray_address,
        gpus=gpus,
        models=settings.hashes(),
    )


def _run(args: argparse.Namespace, settings: TaggingSettings, workers: Callable[[], Pool]) -> int:
    job = _job(args, settings)
    try:
        return _told(job, run_job(job, workers, overwrite=args.overwrite, progress=args.progress))
    except Interrupted as stopped:
        print(
            f"stopped by {stopped.signal.name}; finished units are kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 128 + stopped.signal


def _job(args: argparse.Namespace, settings: TaggingSettings) -> Job:
    """What is to be done; what cannot be is refused before anything long begins."""
    output_format = args.output_format or "jsonl"
    check_reader(input_format(args))
    check_writer(output_format)
    verbatim = input_format(args).partition(":")[0] == "datasets"
    sources = plan(args.input, args.output, ending(output_format), gzip=args.gzip, verbatim=verbatim)
    reader = FileReader(input_format(args), args.on_error or "skip", settings.replaces)
    cut = Cut(args.unit_documents or UNIT_DOCUMENTS, args.unit_characters or UNIT_CHARACTERS)
    hashes = settings.hashes()
    # Models and indexes are told by what is in them, not by where they lie.
    of_settings = {**settings.to_dict(), "models": list(hashes), "kb": settings.kb is not None}
    made = record.of_run(
        of_settings,
        hashes,
        units=vars(cut),
        files={"input_format": input_format(args), "on_error": reader.on_error}
        | {"output_format": output_format, "gzip": args.gzip},
    )
    return Job(sources, Path(args.output), made, output_format, reader, cut, Summary)


def _told(job: Job, result: Result) -> int:
    """Say what a run did; its exit status."""
    notes(f"{count:,} x {kind}: {first}".removesuffix(": ") for kind, (count, first) in result.told.items())
    notes(result.notes)
    counts, here = result.counts, result.here
    summary = Summary()
    for counted in filter(None, result.tallies):
        summary.update(Summary.from_record(counted))
    summary.rejected = counts["rejected"]
    write_text(job.output / SUMMARY, summary.to_json())
    print(f"{summary.table()}\n{counts['files']:,} files -> {job.output} ({SUMMARY})", file=sys.stderr)
    if counts["deleted"]:
        print(
            f"{counts['deleted']:,} documents exist no longer, say the files; {job.output / DELETED} has their ids",
            file=sys.stderr,
        )
    rate = here["documents"] / max(result.seconds, 1e-9)
    said = f"this run: {here['documents']:,} documents in {result.seconds:.1f} s ({rate:.2f} documents/s)"
    if here["padded_tokens"]:
        padding = 100 * (1 - here["tokens"] / here["padded_tokens"])
        said += f", {here['tokens']:,} tokens, padding {padding:.1f} %"
    print(said, file=sys.stderr)
    notes(f"{name}: {here[name]:,}" for name in sorted(here.keys() - _OF_EVERY_RUN) if here[name])
    if not counts["rejected"]:
        return 0
    print(
        f"{counts['rejected']:,} documents or files were rejected; {job.output / REJECTED} says which and why",
        file=sys.stderr,
    )
    return 3
