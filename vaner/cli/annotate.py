"""In: instructions, texts, annotators, verifiers. Out: annotated documents."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from vaner.annotation import queue
from vaner.annotation.compiling import GUIDELINES, Wanted, compiled
from vaner.annotation.instructions import Instructions
from vaner.annotation.plan import Plan, check_folder
from vaner.annotation.summary import AnnotationSummary
from vaner.cli.corpus_run import check_corpus_run, corpus_run
from vaner.cli.many import add_corpus_run, at_least_one
from vaner.cli.options import add_input_format, add_on_error, input_format, notes, say
from vaner.cli.tagging_options import add_device, types_of
from vaner.errors import VanerError
from vaner.formats import check_reader, read
from vaner.jobs import ranks
from vaner.jobs.lock import locked
from vaner.jobs.sources import WORK, ending
from vaner.jobs.sources import plan as sources_of
from vaner.report import Report
from vaner.tagging.settings import TaggingSettings

HELP = "annotate texts by instructions taken from a guideline (report, merge: what became of it)"
EPILOG = (
    "python -m vaner annotate report FOLDER: is it good; annotate merge: what people returned. "
    "The output folder is that of a run over many files: one that was ended in any way goes on with the same command. "
    "Status: 0; 2 for bad input or use; 3 where documents were rejected (rejected.jsonl); 130 and 143 after Ctrl-C and "
    "SIGTERM."
)
_NEEDED = ("instructions", "input", "output", "model")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add(
        "--instructions",
        metavar="FILE",
        help="what python -m vaner guideline extract wrote, and people corrected",
    )
    add(
        "--guidelines",
        metavar="FOLDER",
        help="where the guidelines are that the instructions quote; for --guideline full and retrieved; default: "
        "$VANER_GUIDELINES, or beside the instructions",
    )
    add(
        "--input",
        nargs="+",
        metavar="PATH",
        help="texts: files (*.gz accepted), folders, patterns in quotes, - for standard input",
    )
    add("--output", metavar="FOLDER", help="where to write: a file of JSON Lines for each input")
    add_input_format(parser)
    add_on_error(parser, many=True)
    add(
        "--model",
        nargs="+",
        action="extend",
        metavar="MODEL",
        help="annotators: prompt:FILE, a model folder or shipped model, kb:INDEX or kb:open; several vote",
    )
    add(
        "--types",
        nargs="+",
        metavar="TYPE",
        help="of the instructions' types; @FILE: one a line; default: all",
    )
    add("--dataset", metavar="NAME", help="what is told to annotators that know this training dataset")
    add(
        "--guideline",
        choices=GUIDELINES,
        default="short",
        help="what prompts say of the instructions: nothing, the list, the guideline's own text, or the passages of it "
        "that are nearest to the text; default: %(default)s",
    )
    add("--unverified", action="store_true", help="say statements that have no verified quotation, too")
    add(
        "--steps",
        metavar="STEP,...",
        help="of prompted annotators: mark; reason,mark; mark,correct; or reason,mark,correct; default: as their files "
        "say",
    )
    add(
        "--least_votes",
        type=int,
        metavar="N",
        help="annotators that must have a mention; default: more than half of those that know its type",
    )
    add(
        "--verify",
        nargs="+",
        default=[],
        metavar="VERIFIER",
        help="what accepts, corrects or rejects each mention: rules (of the instructions), same (the annotating model, "
        "asked again), prompt:FILE, or a tagger; several judge one after the other",
    )
    add("--propagate", action="store_true", help="mark every place that has the words of a mention")
    add(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="at the end, write documents with mentions below this confidence (0 to 1) for people to correct",
    )
    add("--queue_format", choices=tuple(queue.FORMATS), default="brat", help="of these; default: %(default)s")
    add(
        "--dry_run",
        action="store_true",
        help="say how many requests prompted annotators would send, and what they would cost; nothing is sent or "
        "written",
    )
    add("--show_prompt", type=int, metavar="N", help="print the first N requests; nothing is sent or written")
    add_device(parser.add_argument_group("of annotators and verifiers that are models"))
    add_corpus_run(parser)


def run(args: argparse.Namespace) -> int:
    _check(args)
    planned = args.dry_run or args.show_prompt is not None
    if planned:
        with tempfile.TemporaryDirectory() as folder:
            plan, beside = _plan(args, Path(folder))
            plan.write(beside)
            return _planned(args, plan)
    check_corpus_run(args)
    output = Path(args.output)
    plan, beside = _plan(args, output)
    if ranks.first():
        (output / WORK).mkdir(parents=True, exist_ok=True)
        # A run that lives reads its plan: nobody writes another in its place.
        with locked(output / WORK / "lock"):
            if not args.overwrite:
                check_folder(output, plan)
            plan.write(beside)
    status = corpus_run(args, _settings(args, plan), AnnotationSummary)
    if args.threshold is not None and status in (0, 3) and ranks.first():
        notes(queue.write(output, args.threshold, args.queue_format))
    return status


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot work before anything is read."""
    missing = [f"--{name}" for name in _NEEDED if not getattr(args, name)]
    if missing:
        raise VanerError(
            f"the following arguments are required: {', '.join(missing)}; see python -m vaner annotate --help"
        )
    at_least_one(args, "show_prompt", "batch_tokens", "max_words")
    output = Path(args.output)
    if args.output == "-" or (output.exists() and not output.is_dir()):
        raise VanerError(f"--output {args.output}: is a file; annotations become a folder, so name one")
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise VanerError(f"--threshold {args.threshold:g}: a confidence is a number from 0 to 1")
    args.output_format = None
    check_reader(input_format(args))


def _plan(args: argparse.Namespace, output: Path) -> tuple[Plan, dict[str, str]]:
    """What is to be done, and the files that lie beside the plan in the output folder."""
    # What names nothing is said before anything is made.
    sources_of(args.input, args.output, ending("jsonl"), gzip=args.gzip, verbatim=_verbatim(args))
    instructions = Instructions.load(args.instructions, args.guidelines)
    notes(instructions.remarks)
    wanted = Wanted(
        models=tuple(args.model),
        types=None if args.types is None else tuple(types_of(args.types)),
        steps=tuple(step.strip() for step in args.steps.split(",")) if args.steps else (),
        guideline=args.guideline,
        unverified=args.unverified,
        verify=tuple(args.verify),
        least_votes=args.least_votes,
        propagate=args.propagate,
    )
    return compiled(instructions, wanted, output)


def _settings(args: argparse.Namespace, plan: Plan) -> TaggingSettings:
    settings = TaggingSettings(
        models=(f"annotate:{plan.path.resolve()}",),
        types=plan.types,
        dataset=args.dataset,
        batch_tokens=args.batch_tokens,
        max_words=args.max_words,
        dtype=args.dtype,
        device=args.device,
        quantization=args.quantization,
        dry_run=args.dry_run,
        show_prompt=args.show_prompt,
    )
    settings.check()
    return settings


def _planned(args: argparse.Namespace, plan: Plan) -> int:
    """Print what prompted annotators would send."""
    settings = _settings(args, plan)
    sources = sources_of(args.input, args.output, ending("jsonl"), gzip=args.gzip, verbatim=_verbatim(args))
    tagger = settings.open()
    report = Report()
    documents = (
        document
        for source in sources
        for document in read(
            source.path, input_format(args), on_error=args.on_error or "skip", report=report, to_tag=True
        )
    )
    for _ in tagger.tag_documents(documents, settings.types, settings.dataset):
        pass
    say(report)
    for line in tagger.remarks():
        print(line)
    if plan.verifiers:
        print("what verifiers would ask hangs on what is marked, and is not counted", file=sys.stderr)
    return 0


def _verbatim(args: argparse.Namespace) -> bool:
    return input_format(args).partition(":")[0] == "datasets"
