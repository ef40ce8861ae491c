"""In: a file of documents, a model, entity types. Out: the same documents with spans, in another file."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

from vaner.config import DEFAULT_MODEL
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import READERS, WRITERS, Report, check_reader, check_writer, format_to_write, read, write
from vaner.formats.files import check_parent
from vaner.knowledge import KnowledgeBase, Linker

HELP = "tag a file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        default=DEFAULT_MODEL,
        help="model folder, shipped model or hub id; kb:INDEX for a dictionary; default: %(default)s",
    )
    add(
        "--input", required=True, metavar="FILE", help="documents to tag; - for standard input, *.gz accepted"
    )
    add(
        "--input_format",
        default="auto",
        metavar="FORMAT",
        help=f"auto, {', '.join(READERS)}; options may follow, as in text:per=line or pubtator:offsets=repair; "
        "default: auto",
    )
    add("--output", required=True, metavar="FILE", help="where to write; - for standard output")
    add("--output_format", metavar="FORMAT", help=f"{', '.join(WRITERS)}; default: by the output's extension")
    add("--types", nargs="+", metavar="TYPE", help="entity types; default: those of --dataset, or all")
    add("--dataset", metavar="NAME", help="tag as this training dataset does; default: adaptive")
    add("--link", action="store_true", help="give every span the ids of concepts that --kb has for it")
    add(
        "--kb",
        metavar="INDEX",
        help="of --link and --hints (python -m vaner kb build); default of --link: that of a kb:INDEX model",
    )
    add("--hints", action="store_true", help="note in the instruction which names of --kb the text has")
    add("--allow_new_types", action="store_true", help="accept types that training never asked")
    add("--flat", action="store_true", help="of overlapping spans keep only the best-scored")
    add("--decoding", default="viterbi", choices=("viterbi", "argmax"), help="default: %(default)s")
    add(
        "--batch_tokens",
        type=int,
        metavar="N",
        help="tokens a batch; default: 1024 on a CPU, 4096 on an accelerator",
    )
    add(
        "--max_words",
        type=int,
        metavar="N",
        help="words read at once; 1: sentence by sentence; default: the model's",
    )
    add("--dtype", default="auto", help="auto, float32 or bfloat16; default: %(default)s")
    add("--device", help="cpu, cuda, ...; default: cuda where there is one")
    add(
        "--quantization",
        default="none",
        choices=("none", "int8", "8bit", "4bit"),
        help="int8: faster on CPU. 8bit, 4bit: a base that needs less memory. Default: none",
    )
    add(
        "--on_error",
        choices=("raise", "skip"),
        default="raise",
        help="on a bad document: stop, or leave it out and count it; default: %(default)s",
    )


def run(args: argparse.Namespace) -> int:
    output_format = args.output_format or format_to_write(args.output)
    # What cannot work is said before the model is loaded, which may take minutes.
    check_reader(args.input_format)
    check_writer(output_format)
    if args.input != "-" and not os.path.exists(args.input):
        raise VanerError(f"--input {args.input}: no such file")
    if args.input != "-" and os.path.exists(args.output) and os.path.samefile(args.input, args.output):
        raise VanerError(f"--output {args.output} is the input; name another file")
    if args.output != "-":
        check_parent(args.output)
    linker = _linker(args)
    hints = _hints(args)
    from vaner import tagging

    tagger = tagging.load(
        args.model,
        dtype=args.dtype,
        device=args.device,
        quantization=args.quantization,
        batch_tokens=args.batch_tokens,
        decoding=args.decoding,
        flat=args.flat,
        max_words=args.max_words,
        allow_new_types=args.allow_new_types,
        **({"kb": hints} if hints else {}),
    )
    report = Report()
    documents = read(args.input, args.input_format, on_error=args.on_error, report=report)
    counts = {"documents": 0, "characters": 0, "spans": 0, "linked": 0}
    started = time.monotonic()
    bar = tqdm(desc="tagging", unit=" documents", delay=2, file=sys.stderr)
    tagged = tagger.tag_documents(documents, args.types, args.dataset)
    if linker:
        tagged = linker.link_documents(tagged)
    tagged = _counted(tagged, counts, bar)
    write(args.output, tagged, output_format, report=report)
    bar.close()
    seconds = time.monotonic() - started
    for line in report.summary():
        print(f"note: {line}", file=sys.stderr)
    print(
        f"{counts['documents']:,} documents, {counts['characters']:,} characters, {counts['spans']:,} spans "
        f"in {seconds:.1f} s ({counts['documents'] / max(seconds, 1e-9):.2f} documents/s) -> {args.output}",
        file=sys.stderr,
    )
    if linker:
        print(f"{counts['linked']:,} spans have a concept id", file=sys.stderr)
    for line in getattr(tagger, "remarks", list)():
        print(f"note: {line}", file=sys.stderr)
    return 0


def _linker(args: argparse.Namespace) -> Linker | None:
    """What adds concept ids, opened before the model is: a wrong index is said at once."""
    if not args.link:
        if args.kb and not args.hints:
            raise VanerError(
                f"--kb {args.kb} is for concept ids and for hints; add --link or --hints, or leave it out"
            )
        return None
    path = args.kb or (args.model.removeprefix("kb:") if args.model.startswith("kb:") else None)
    if path is None:
        raise VanerError("--link needs an index; name one with --kb (python -m vaner kb build makes it)")
    return Linker(KnowledgeBase(path))


def _hints(args: argparse.Namespace) -> KnowledgeBase | None:
    if not args.hints:
        return None
    if args.model.startswith("kb:"):
        raise VanerError("--hints is for models; a dictionary reads no instruction, so leave it out")
    if args.kb is None:
        raise VanerError("--hints needs an index; name one with --kb (python -m vaner kb build makes it)")
    return KnowledgeBase(args.kb)


def _counted(documents: Iterable[Document], counts: dict[str, int], bar) -> Iterator[Document]:
    for document in documents:
        counts["documents"] += 1
        counts["characters"] += len(document.text)
        counts["spans"] += len(document.spans)
        counts["linked"] += sum(bool(span.concepts) for span in document.spans)
        bar.update()
        yield document
