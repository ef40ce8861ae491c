"""In: a file of documents, a tagger, entity types. Out: the same documents with spans, in another file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tqdm import tqdm

from vaner.cli.options import add_formats, check_files, input_format, notes, say
from vaner.document import Document
from vaner.errors import VanerError
from vaner.formats import read, write
from vaner.knowledge import KnowledgeBase, Linker
from vaner.model.config import DEFAULT_MODEL
from vaner.report import Report
from vaner.tagging.loading import load

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
    add("--output", required=True, metavar="FILE", help="where to write; - for standard output")
    add_formats(parser)
    add("--types", nargs="+", metavar="TYPE", help="entity types; default: those of --dataset, or all")
    add("--dataset", metavar="NAME", help="tag as this training dataset does; default: adaptive")
    add("--link", action="store_true", help="give every span the ids of concepts that --kb has for it")
    add(
        "--kb",
        metavar="INDEX",
        help="of --link and --hints (python -m vaner kb build); default of --link: that of a kb:INDEX model",
    )
    add(
        "--hints",
        action="store_true",
        help="tell a model trained with --kb_hints which names of --kb the text has",
    )
    model = parser.add_argument_group("of models, not of dictionaries")
    add = model.add_argument
    add("--allow_new_types", action="store_true", help="accept types that training never asked")
    add("--flat", action="store_true", help="of overlapping spans keep only the best-scored")
    add("--decoding", choices=("viterbi", "argmax"), help="default: viterbi")
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
        choices=("none", "int8", "8bit", "4bit"),
        help="int8: faster on CPU. 8bit, 4bit: a base that needs less memory. Default: none",
    )


@dataclass
class _Counts:
    documents: int = 0
    characters: int = 0
    spans: int = 0
    linked: int = 0


def run(args: argparse.Namespace) -> int:
    # What cannot work is said before the model is loaded, which may take minutes.
    output_format = check_files(args.input, args.output, input_format(args), args.output_format)
    linker = _linker(args.link, args.hints, args.kb, args.model)
    tagger = load(
        args.model,
        dtype=args.dtype,
        device=args.device,
        quantization=args.quantization,
        batch_tokens=args.batch_tokens,
        decoding=args.decoding,
        flat=args.flat or None,
        max_words=args.max_words,
        allow_new_types=args.allow_new_types or None,
        hints=_hints(args.kb, args.model) if args.hints else None,
    )
    report = Report()
    documents = read(args.input, input_format(args), on_error=args.on_error, report=report, to_tag=True)
    counts = _Counts()
    started = time.monotonic()
    tagged = tagger.tag_documents(documents, args.types, args.dataset)
    if linker:
        tagged = linker.link_documents(tagged)
    with tqdm(desc="tagging", unit=" documents", delay=2, file=sys.stderr) as bar:
        write(args.output, _counted(tagged, counts, bar), output_format, report=report)
    seconds = time.monotonic() - started
    say(report)
    print(
        f"{counts.documents:,} documents, {counts.characters:,} characters, {counts.spans:,} spans "
        f"in {seconds:.1f} s ({counts.documents / max(seconds, 1e-9):.2f} documents/s) -> {args.output}",
        file=sys.stderr,
    )
    if linker:
        print(f"{counts.linked:,} spans have a concept id", file=sys.stderr)
    notes(tagger.remarks())
    return 0


def _linker(link: bool, hints: bool, kb: str | None, model: str) -> Linker | None:
    """What adds concept ids, opened before the model is: a wrong index is said at once."""
    if not link:
        if kb and not hints:
            raise VanerError(
                f"--kb {kb} is for concept ids and for hints; add --link or --hints, or leave it out"
            )
        return None
    path = kb or (model.removeprefix("kb:") if model.startswith("kb:") else None)
    if path is None:
        raise VanerError("--link needs an index; name one with --kb (python -m vaner kb build makes it)")
    return Linker(KnowledgeBase(path))


def _hints(kb: str | None, model: str) -> KnowledgeBase:
    if model.startswith("kb:"):
        raise VanerError("--hints is for models; a dictionary reads no instruction, so leave it out")
    if kb is None:
        raise VanerError("--hints needs an index; name one with --kb (python -m vaner kb build makes it)")
    return KnowledgeBase(kb)


def _counted(documents: Iterable[Document], counts: _Counts, bar: tqdm) -> Iterator[Document]:
    for document in documents:
        counts.documents += 1
        counts.characters += len(document.text)
        counts.spans += len(document.spans)
        counts.linked += sum(bool(span.concepts) for span in document.spans)
        bar.update()
        yield document
