"""In: the options of a run over many files, settings of a tagger. Out: the run: its exit status, and what it says.

Whoever tags many files (predict.py, `python -m vaner annotate`) does it by this one function.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vaner.cli.many import at_least_one
from vaner.cli.options import input_format, notes
from vaner.errors import VanerError
from vaner.files import write_text
from vaner.formats import check_reader, check_writer
from vaner.jobs import ranks, record
from vaner.jobs.pool import Pool, ProcessPool
from vaner.jobs.ray_cluster import imported
from vaner.jobs.ray_pool import RayPool
from vaner.jobs.run import Interrupted, Job, Result
from vaner.jobs.run import run as run_job
from vaner.jobs.sources import DELETED, REJECTED, SUMMARY, ending, plan
from vaner.jobs.summary import Summary
from vaner.jobs.units import UNIT_CHARACTERS, UNIT_DOCUMENTS, Cut, FileReader
from vaner.tagging.settings import TaggingSettings

# What is counted of every run; a tagger may count more.
_OF_EVERY_RUN = {"documents", "characters", "spans", "tokens", "padded_tokens", "units", "files", "rejected"}


def check_corpus_run(args: argparse.Namespace) -> None:
    """Refuse options of `vaner.cli.many.add_corpus_run` that do not go together.

    Raises:
        VanerError: they do not, or a number below 1.
    """
    at_least_one(args, "processes", "unit_documents", "unit_characters")
    if args.ray_address and args.on != "ray":
        raise VanerError(f"--ray_address {args.ray_address}: is for --on ray; add that, or leave it out")
    if args.on == "ray":
        if ranks.several():
            raise VanerError(
                "--on ray: Ray begins the processes itself; start the command without a launcher"
            )
        imported()  # or what to install is said
    elif ranks.several() and args.processes is not None:
        raise VanerError("--processes: the launcher says how many there are; leave it out")


def corpus_run(args: argparse.Namespace, settings: TaggingSettings, summary: type[Summary] = Summary) -> int:
    """Tag what is not tagged yet, and write what is not written yet.

    Args:
        args: with the options of `add_corpus_run`, `add_formats`, ``input`` and ``output``; checked.
        settings: what is computed.
        summary: what counts over the documents.

    Returns:
        the exit status: 0; 3 where documents were rejected; 128 and the signal's number where one ended it.

    Raises:
        VanerError: as of `vaner.jobs.run.run`.
    """
    if args.on == "ray":
        return _run(args, settings, _on_ray(args, settings), summary)
    if not ranks.several():
        return _run(args, settings, partial(ProcessPool, settings, args.processes or 1), summary)
    with ranks.meeting() as met:
        if ranks.first():
            return _run(args, settings, partial(ranks.pool, settings, met), summary)
        ranks.work(settings, met)
        return 0


def _on_ray(args: argparse.Namespace, settings: TaggingSettings) -> Callable[[], Pool]:
    """The workers that Ray places."""
    device = settings.device or ""
    gpus = True if device.startswith("cuda") else False if device == "cpu" else None
    return partial(
        RayPool,
        settings,
        processes=args.processes,
        address=args.ray_address,
        gpus=gpus,
        models=settings.hashes(),
    )


def _run(
    args: argparse.Namespace, settings: TaggingSettings, workers: Callable[[], Pool], summary: type[Summary]
) -> int:
    job = _job(args, settings, summary)
    try:
        return _told(job, summary, run_job(job, workers, overwrite=args.overwrite, progress=args.progress))
    except Interrupted as stopped:
        print(
            f"stopped by {stopped.signal.name}; finished units are kept, and the same command goes on from there",
            file=sys.stderr,
        )
        return 128 + stopped.signal


def _job(args: argparse.Namespace, settings: TaggingSettings, summary: type[Summary]) -> Job:
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
    return Job(sources, Path(args.output), made, output_format, reader, cut, summary)


def _told(job: Job, kind: type[Summary], result: Result) -> int:
    """Say what a run did; its exit status."""
    notes(f"{count:,} x {what}: {first}".removesuffix(": ") for what, (count, first) in result.told.items())
    notes(result.notes)
    counts, here = result.counts, result.here
    summary = kind()
    for counted in filter(None, result.tallies):
        summary.update(kind.from_record(counted))
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
