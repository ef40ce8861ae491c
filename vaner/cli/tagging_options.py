"""In: a parser. Out: the options of commands that tag, and the TaggingSettings of what was given."""

from __future__ import annotations

import argparse
import datetime
import os

from vaner.errors import FormatError, VanerError
from vaner.files import decode, lines
from vaner.model.config import DEFAULT_MODEL
from vaner.tagging.existing import EXISTING
from vaner.tagging.settings import DECODINGS, QUANTIZATIONS, TaggingSettings
from vaner.tagging.several import CONFLICTS


def add_tagging(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Everything that decides which spans documents get; `settings_of` reads it."""
    add = parser.add_argument
    add(
        "--model",
        nargs="+",
        action="extend",
        metavar="MODEL",
        help="model folder, shipped model or hub id; kb:INDEX for a dictionary; several are asked in turn; default: "
        + DEFAULT_MODEL,
    )
    add(
        "--types",
        nargs="+",
        metavar="TYPE",
        help="entity types; @FILE: one a line, # begins a comment; default: those of --dataset, or all",
    )
    add("--dataset", metavar="NAME", help="tag as this training dataset does; default: adaptive")
    add(
        "--min_score",
        nargs="+",
        default=[],
        metavar="SCORE",
        help="leave out spans with a lower score (0 to 1); TYPE=SCORE for one type, as in 0.5 Disease=0.6 Gene=0.4",
    )
    add(
        "--existing",
        choices=EXISTING,
        default="replace",
        help="mentions that documents have: replace them; keep them, without found spans of their type that overlap "
        "them; or merge both, what is the same once; default: %(default)s",
    )
    add(
        "--conflicts",
        choices=CONFLICTS,
        default="first",
        help="of overlapping spans of one type from several models keep that of the model named first, that with the "
        "best score, or all; default: %(default)s",
    )
    add("--flat", action="store_true", help="of overlapping spans keep only the best-scored")
    add(
        "--link",
        action="store_true",
        help="give every span the ids of concepts that --kb has for it; default of that: a kb:INDEX model's, else open",
    )
    add(
        "--kb",
        metavar="INDEX",
        help="names in which models look words up that were trained with --kb_lookups, and of --link and --hints: what "
        "python -m vaner kb build made; open: the vocabulary that vaner ships, the default; none: no lookups",
    )
    add(
        "--hints",
        action="store_true",
        help="tell a model trained with --kb_hints which names of --kb the text has",
    )
    add(
        "--date",
        nargs="?",
        const="today",
        metavar="YYYY-MM-DD",
        help="write the date beside the model's name; without one today's; default: none, so that runs compare",
    )
    group = parser.add_argument_group("of models, not of dictionaries") if isinstance(
        parser, argparse.ArgumentParser) else parser  # fmt: skip
    add = group.add_argument
    add("--allow_new_types", action="store_true", help="accept types that training never asked")
    add(
        "--word_scores",
        action="store_true",
        help="leave what the model says of every word in the documents' metadata, for a student to learn from (python "
        "-m vaner distil); jsonl keeps it",
    )
    add("--decoding", choices=DECODINGS, help="default: viterbi")
    add_no_repeats(group)
    add_device(group)


def add_device(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """How models are computed: ``--batch_tokens``, ``--max_words``, ``--dtype``, ``--device``, ``--quantization``."""
    add = parser.add_argument
    add(
        "--batch_tokens",
        type=int,
        metavar="N",
        help="tokens in a batch; default: 1024 on a CPU, 4096 on an accelerator",
    )
    add(
        "--max_words",
        type=int,
        metavar="N",
        help="words read at once; 1: sentence by sentence; default: the model's",
    )
    add("--dtype", help="auto, float32 or bfloat16; default: auto")
    add("--device", help="cpu, cuda, ...; default: cuda where there is one")
    add(
        "--quantization",
        choices=QUANTIZATIONS,
        help="int8: faster on CPU. 8bit, 4bit: a base that needs less memory. Default: none",
    )


def add_no_repeats(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """``--no_repeats``: `vaner.tagging.repeats` is left out."""
    parser.add_argument(
        "--no_repeats",
        action="store_true",
        help="decide every place of a name by itself; by default the places of a name that a document repeats, and of "
        "its abbreviation, are decided together",
    )


def settings_of(args: argparse.Namespace) -> TaggingSettings:
    """The settings that the options of `add_tagging` name; nothing is loaded.

    Raises:
        VanerError: a score that is none, a file of types that has none; and what ``check`` of the settings refuses.
        FileNotFoundError: a file of types that is not there.
    """
    least, by_type = min_scores(args.min_score)
    settings = TaggingSettings(
        models=tuple(args.model or [DEFAULT_MODEL]),
        types=None if args.types is None else tuple(types_of(args.types)),
        dataset=args.dataset,
        min_score=least,
        min_scores=by_type,
        link=args.link,
        kb=args.kb,
        hints=args.hints,
        existing=args.existing,
        conflicts=args.conflicts,
        flat=args.flat,
        decoding=args.decoding,
        batch_tokens=args.batch_tokens,
        max_words=args.max_words,
        dtype=args.dtype,
        device=args.device,
        quantization=args.quantization,
        allow_new_types=args.allow_new_types,
        word_scores=args.word_scores,
        repeats=not args.no_repeats,
        date=datetime.date.today().isoformat() if args.date == "today" else args.date,
    )
    settings.check()
    return settings


def min_scores(words: list[str]) -> tuple[float | None, dict[str, float]]:
    """``0.5 Disease=0.6`` as the score for all and those of types.

    Raises:
        VanerError: not a number, or the same said twice.
    """
    least: float | None = None
    by_type: dict[str, float] = {}
    for word in words:
        type, equals, number = word.rpartition("=")
        try:
            score = float(number)
        except ValueError:
            raise VanerError(
                f"--min_score {word}: {number!r} is no number; write 0.5 or Disease=0.5"
            ) from None
        if (not equals and least is not None) or type in by_type:
            raise VanerError(f"--min_score {word}: said twice; say each once")
        if equals:
            by_type[type] = score
        else:
            least = score
    return least, by_type


def types_of(words: list[str]) -> list[str]:
    """The types that are named, each once; ``@FILE`` stands for those in a file, one a line.

    Empty lines, and what follows a ``#`` at the beginning of a line or behind a space, say nothing.

    Raises:
        VanerError: a file without types or not in UTF-8.
        FileNotFoundError: no such file.
    """
    found: list[str] = []
    for word in words:
        if not word.startswith("@"):
            if os.path.splitext(word)[1] and os.path.isfile(word):
                raise VanerError(f"--types {word}: is a file; write @{word} for the types in it")
            found.append(word)
            continue
        path = word.removeprefix("@")
        if not path:
            raise VanerError("--types @: no file is named; write @FILE")
        named = [_without_comment(decode(line, f"{path}:{number}")) for number, line in lines(path)]
        if not any(named):
            raise FormatError(f"{path}: no types; write one a line, such as Disease")
        found += filter(None, named)
    return list(dict.fromkeys(found))


def _without_comment(line: str) -> str:
    return "" if line.startswith("#") else line.partition(" #")[0].partition("\t#")[0].strip()
