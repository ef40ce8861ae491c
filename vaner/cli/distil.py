"""In: a teacher, raw texts, a student's backbone. Out: the student, trained on what the teacher says of the texts."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from vaner.cli.many import at_least_one
from vaner.cli.options import add_data_root, add_input_format, add_on_error, add_registry, input_format
from vaner.errors import VanerError
from vaner.jobs.progress import KINDS
from vaner.jobs.units import UNIT_CHARACTERS, UNIT_DOCUMENTS
from vaner.tagging.several import CONFLICTS

HELP = "teach a small model what a tagger says of raw text"
#: What stands behind ``--`` is given on to training.
GIVEN_ON = "flags of train.py"
EPILOG = (
    "What stands behind -- are flags of train.py (python train.py --help). A run that was ended in any way goes on "
    "with the same command. Status: 0; 2 for bad input or use; 130 and 143 after Ctrl-C and SIGTERM."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add(
        "--teacher",
        required=True,
        nargs="+",
        metavar="MODEL",
        help="any tagger: a model folder, a shipped model or a hub id; kb:INDEX; prompt:FILE; annotate:FILE; several "
        "are asked together",
    )
    add(
        "--student",
        metavar="BACKBONE",
        help="what is trained: minilm-l6, smollm2-135m, a folder or a hub id of an encoder or a LLaMA; default: the "
        "backbone of --config",
    )
    add(
        "--input",
        nargs="+",
        default=[],
        metavar="PATH",
        help="raw texts: files in any format that VANER reads, folders, patterns in quotes; mentions that they have "
        "are not looked at. Needed but for --score_gold",
    )
    add("--output", required=True, metavar="DIR", help="folder of the run; DIR/student becomes the model")
    add("--overwrite", action="store_true", help="start anew, whatever an earlier run left in the folder")
    add_input_format(parser)
    add_on_error(parser)

    group = parser.add_argument_group("of the teacher")
    add = group.add_argument
    add(
        "--as",
        dest="ways",
        nargs="+",
        metavar="DATASET",
        help="as which datasets the teacher tags: each text as one of them, NAME or NAME:WEIGHT; adaptive: no dataset "
        "named; default: adaptive and every dataset that the teacher knows, alike",
    )
    add("--types", nargs="+", metavar="TYPE", help="entity types; default: all that the teacher knows")
    add("--allow_new_types", action="store_true", help="ask it for types that its training never asked")
    add(
        "--conflicts",
        choices=CONFLICTS,
        default="first",
        help="of overlapping spans of one type from several teachers keep that of the one named first, that with the "
        "best score, or all; default: %(default)s",
    )
    add("--teacher_kb", metavar="INDEX", help="names in which it looks words up, as --kb of predict.py")
    add("--teacher_batch_tokens", type=int, metavar="N", help="tokens in a batch; default: as predict.py")
    add("--teacher_device", metavar="DEVICE", help="cpu, cuda, ...; default: cuda where there is one")
    add("--teacher_quantization", metavar="KIND", help="as --quantization of predict.py; default: none")
    add("--processes", type=int, default=1, metavar="N", help="processes that tag; default: %(default)s")
    add(
        "--progress",
        choices=KINDS,
        default="bar",
        help="of tagging, on standard error: a bar, a JSON object every few seconds, or nothing; default: %(default)s",
    )
    add(
        "--unit_documents",
        type=int,
        default=UNIT_DOCUMENTS,
        metavar="N",
        help="documents that are tagged together and kept when they are; default: %(default)s",
    )

    group = parser.add_argument_group("what is taught")
    add = group.add_argument
    add(
        "--learn_from",
        choices=("spans", "scores"),
        help="spans: the mentions that the teacher found. scores: what it says of every word (one labeler); default: "
        "scores where the teacher gives them",
    )
    add(
        "--weight",
        type=float,
        metavar="W",
        help="of scores: the share of the loss that is the teacher's, the rest is that of the mentions; default: 0.5",
    )
    add(
        "--temperature",
        type=float,
        metavar="T",
        help="of scores: at which teacher and student are compared; default: 1",
    )
    add(
        "--min_score",
        type=float,
        metavar="SCORE",
        help="a sentence with a mention that scores lower teaches nothing of its type; default: all is taught",
    )
    add(
        "--confidence_weight",
        action="store_true",
        help="a mention counts by its score",
    )
    add(
        "--taught_weight",
        type=float,
        default=1.0,
        metavar="W",
        help="how often what is taught is drawn in an epoch, beside --gold; default: %(default)g",
    )

    group = parser.add_argument_group("of the student")
    add = group.add_argument
    add(
        "--gold",
        nargs="+",
        default=[],
        metavar="CORPUS",
        help="corpora that people annotated, to learn from as well, as NAME or NAME:WEIGHT (--mix of train.py); their "
        "dev splits choose the model; default: the mix of --config, or none",
    )
    add(
        "--gold_documents", type=int, metavar="K", help="at most so many documents of each (chosen by --seed)"
    )
    add(
        "--score_gold",
        action="store_true",
        help="the teacher, one labeler, also says what it finds of every word of the gold corpora's train texts, "
        "each asked as its dataset; the labels stay those of people",
    )
    add("--config", metavar="FILE", help="flags of train.py as YAML, such as configs/vaner-minilm.yaml")
    add_registry(group)
    add_data_root(group)
    add(
        "--held_out",
        nargs="+",
        default=[],
        metavar="CORPUS",
        help="corpora whose dev and test must be here to be compared with; those of all corpora that are here are",
    )


def run(args: argparse.Namespace) -> int:
    # Here, so that other commands do not wait for torch.
    from vaner.annotation import distil
    from vaner.annotation.student import StudentSettings
    from vaner.jobs import ranks
    from vaner.jobs.pool import ProcessPool
    from vaner.jobs.run import Interrupted
    from vaner.jobs.units import Cut, FileReader
    from vaner.tagging.settings import TaggingSettings
    from vaner.training.arguments import command_line

    if ranks.several():
        raise VanerError(
            "a run is one process, which begins its own (--processes); start the command without a launcher"
        )
    at_least_one(args, "processes", "unit_documents")
    asked = distil.Distillation(
        settings=TaggingSettings(
            models=tuple(args.teacher),
            types=None if args.types is None else tuple(args.types),
            conflicts=args.conflicts,
            kb=args.teacher_kb,
            batch_tokens=args.teacher_batch_tokens,
            device=args.teacher_device,
            quantization=args.teacher_quantization,
            allow_new_types=args.allow_new_types,
        ),
        student=StudentSettings(
            name=args.student,
            gold=args.gold,
            gold_documents=args.gold_documents,
            taught_weight=args.taught_weight,
            weight=args.weight,
            temperature=args.temperature,
            confidence_weight=args.confidence_weight,
            config=args.config,
            flags=args.given_on,
            registry=args.registry,
            data_root=args.data_root,
        ),
        inputs=args.input,
        output=Path(args.output),
        ways=args.ways,
        learn_from=args.learn_from,
        min_score=args.min_score,
        score_gold=args.score_gold,
        held_out=args.held_out,
        reader=FileReader(input_format(args), args.on_error),
        cut=Cut(args.unit_documents, UNIT_CHARACTERS),
        command=command_line(sys.argv[1:]) if sys.argv[1:2] == ["distil"] else None,
    )
    workers = partial(ProcessPool, processes=args.processes)
    try:
        folder = distil.run(
            asked, workers=workers, overwrite=args.overwrite, progress=args.progress, say=_say
        )
    except Interrupted as stopped:
        _say(f"stopped by {stopped.signal.name}; the same command goes on from there")
        return 128 + stopped.signal
    _say(f"tag with: python predict.py --model {folder} ...")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
