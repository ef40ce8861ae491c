"""In: real abstracts. Out: how fast they are tagged, ours compared with other systems; one table, one JSON.

    python benchmarks/tagging.py --data_root CORPORA --json tagging.json
    python benchmarks/tagging.py --shape llama2-7b --device cuda --documents 1000 --json tagging-7b.json

Four types are asked of every abstract. Contestants:

    ours, typed            all types in one pass (also with one and with six types, and in int8)
    ours, shared           the same backbone with VANER's head: one pass per type
    pipeline               transformers' pipeline("token-classification") around that backbone and head, adapters
                           merged, the same number format, the same units of text, one pass per type, at the best of
                           several batch sizes
    VANER's protocol       the same model sentence by sentence, one pass per type, four rows per batch in the order
                           of the text, padded to the longest; adapters merged, which is faster than the published
                           code
    GLiNER                 the package's span model with the sizes of its medium model (deberta-v3-base) and random
                           weights; all types in one pass, whole abstracts up to its 384 words; it reads the backbone's
                           tokens, whose vocabulary is smaller than its own
    encoder                a small encoder (--encoder) with a random typed head, through the same code as ours
    NAME; NAME, int8       the other models that ship (--shipped), whole: their own depth and mask, all types in one
                           pass, in the number format that is fastest here, and in int8

Before anything is timed, in float32: an abstract alone and among others must have the same spans (typed), and ours
(shared, decoded word by word) must find exactly what the pipeline finds, and what VANER's protocol finds.

``text tokens`` are the tokens of the abstracts' words by the backbone's tokenizer, each counted once whatever a
system makes of them, so that systems compare. Slow systems read the first --slow_documents of the same abstracts.
Each system is printed as soon as it has worked, and the JSON file written anew; a run that is stopped keeps and shows
what it has, and says in ``finished`` that it is not all.

Keys of the JSON file:

    ratio_vs_vaner_protocol, ratio_vs_pipeline    text tokens per second, ours (typed) over theirs
    shipped               text tokens per second of each model that ships, the first as ours (typed), over those of the
                          other systems; with its mean dev F1 of the corpora of its scores (--scores), as measured in
                          the model's own number format
    six_types_over_one    seconds for six types over seconds for one
    share_of_matmul       operations for real tokens per second of the forward pass, over the measured matrix rate
                          (machine.py has the formula); share_of_matmul_whole: per second of the whole time
    padding_share         padding among the tokens that ours (typed) computes of the first --stream abstracts, whose
                          batches a tiny model goes through; the table has that of the timed abstracts
    rows, spread, identity, matmul, machine, versions
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import contest
import machine
import peers
import shapes
import torch
from peers import Found, windows_of

from vaner.cli import guarded
from vaner.document import Document
from vaner.errors import VanerError
from vaner.inputs.features import Tokenisation
from vaner.kernels import int8
from vaner.model.attention import MODES
from vaner.model.catalogue import shipped_models
from vaner.progress import progress
from vaner.tagging.labeler import Vaner
from vaner.text.units import Text

FOUR = shapes.TYPES[:4]
BATCH_SIZES = {"cpu": (1, 4, 8, 16), "cuda": (8, 32, 128)}
GLINER_BATCH_SIZES = {"cpu": (1, 4), "cuda": (8, 32)}
KERNELS = ("sdpa", "eager", "flex_attention")
# Share of a row that its tokens see on average, where it is not all of it.
SEEN = {"causal": 0.5, "layerwise": 0.75, "twice": 0.5}


def main() -> None:
    args = _arguments()
    stream = shapes.abstracts(args.data_root, args.seed)
    documents = shapes.first(stream, args.documents)
    stream = stream[: args.stream]
    slow = documents[: args.slow_documents]
    print("checking that the systems agree (float32) ...", file=sys.stderr)
    identity = contest.apart(
        functools.partial(check_identity, args, documents[: args.identity_documents]), args.device
    )
    counts = contest.apart(functools.partial(count_tokens, documents), args.device)["text_tokens"]
    fast_tokens, slow_tokens = sum(counts), sum(counts[: len(slow)])
    entries, left_out = contest.gather(
        [
            ("matmul", functools.partial(matmul, args)),
            ("ours, typed", functools.partial(ours_typed, args, documents)),
            ("ours, typed, int8", functools.partial(ours_int8, args, documents)),
            ("ours, shared", functools.partial(ours_shared, args, slow)),
            ("pipeline", functools.partial(stock_pipeline, args, slow)),
            ("VANER's protocol", functools.partial(vaner_protocol, args, slow)),
            ("GLiNER", functools.partial(gliner, args, slow)),
            ("encoder", functools.partial(encoder, args, documents)),
            *(
                (row, functools.partial(shipped, args, documents, name, quantization))
                for name in args.shipped
                for quantization, row in rows_of_shipped(name).items()
            ),
        ],
        args.device,
    )
    padding = contest.apart(functools.partial(stream_padding, args, stream), args.device)
    about = {
        "padding_share": padding["padding_share"],
        "stream": padding,
        "identity": identity,
        "machine": contest.apart(functools.partial(machine.describe, args.device), args.device),
        "versions": machine.versions("gliner"),
        "documents": len(documents),
        "slow_documents": len(slow),
        "text_tokens": fast_tokens,
        "settings": {k: v for k, v in vars(args).items() if k not in ("data_root", "json")},
    }
    found: dict = {}

    def keep(entry: contest.Entry) -> None:
        last = entry.rounds[-1]
        if "documents" in last:
            last["text_tokens"] = fast_tokens if last["documents"] == len(documents) else slow_tokens
            speed = last["documents"] / last["seconds"]
            print(f"round {len(entry.rounds)}  {entry.name}: {speed:.2f} abstracts/s", file=sys.stderr)
        measured = {one.name: one for one in entries if one.rounds}
        finished = all(len(one.rounds) == args.rounds for one in entries)
        found.update({**results(measured, left_out), **about, "finished": finished})
        found["shipped"] = beside_theirs(measured, args)
        contest.write_json(args.json, found)

    try:
        contest.run(entries, args.rounds, keep)
    finally:
        # Stopped, too: what was measured took long.
        if found:
            show(found)


def _arguments() -> argparse.Namespace:
    parser = contest.parser(__doc__, shapes.SHAPES)
    add = parser.add_argument
    add("--documents", type=int, default=40, help="abstracts that ours and the encoder read in a round")
    add("--slow_documents", type=int, default=8, help="how many of them the other systems read")
    add("--identity_documents", type=int, default=3, help="how many of them are compared first, in float32")
    add(
        "--stream",
        type=int,
        default=1000,
        help="abstracts, or all there are, whose batches' padding is counted",
    )
    add("--model", default=shapes.SHIPPED, help="trained model, for the shape smollm2-135m")
    add("--encoder", default="minilm-l6", help="embedded encoder, a backbone's folder, or a hub id")
    add("--batch_tokens", type=int, help="tokens per batch of ours; by default the tagger's own")
    add("--max_words", type=int, help="longest unit in words; by default the model's own")
    add("--attention", choices=MODES, help="of ours (typed); by default the model's own")
    add("--pack", type=int, help="ours (typed) packs rows into sequences of this many tokens")
    add(
        "--kernel",
        choices=KERNELS,
        help="what computes attention of ours (typed); by default the tagger's own",
    )
    add("--quantization", default="none", choices=("none", "int8", "8bit", "4bit"), help="of ours")
    add(
        "--shipped",
        nargs="*",
        metavar="NAME",
        help="models that ship, read whole, besides --model; by default the others, and none of a shape of random "
        "weights",
    )
    add("--scores", default="docs/results", help="folder where NAME/dev.json has the scores of a model")
    args = parser.parse_args()
    if args.shipped is None:
        args.shipped = (
            [one for one in shipped_models() if one != args.model] if args.shape == shapes.REAL else []
        )
    contest.check_arguments(
        args, "documents", "slow_documents", "identity_documents", "batch_tokens", "pack", "stream"
    )
    args.slow_documents = min(args.slow_documents, args.documents)
    return args


# --- contestants: each returns name -> work, in its own process ---


def matmul(args: argparse.Namespace) -> dict[str, contest.Work]:
    config = shapes.config(args.shape)
    rate = machine.MatmulRate(config.hidden_size, config.intermediate_size, args.device)
    rate()
    dtype = machine.name_of(rate.dtype)
    return {"matmul": lambda _: {"operations_per_second": rate(), "dtype": dtype}}


def ours_typed(args: argparse.Namespace, documents: list[Document]) -> dict[str, contest.Work]:
    tagger = _quiet_tagger(args, quantization=args.quantization, pack=args.pack, kernel=args.kernel)
    works = {}
    clock = machine.ForwardClock(tagger.model.plain_backbone, args.device)
    for name, types in {
        "ours, typed": FOUR,
        "ours, typed, one type": shapes.TYPES[:1],
        "ours, typed, six types": shapes.TYPES[:6],
    }.items():
        works[name] = _ours(tagger, documents, types, clock)
    list(tagger.tag_documents(documents[:2], FOUR))
    clock.take()
    return works


def ours_int8(args: argparse.Namespace, documents: list[Document]) -> dict[str, contest.Work]:
    _check_int8(args)
    tagger = _quiet_tagger(args, quantization="int8", pack=args.pack, kernel=args.kernel)
    clock = machine.ForwardClock(tagger.model.plain_backbone, args.device)
    list(tagger.tag_documents(documents[:2], FOUR))
    clock.take()
    return {"ours, typed, int8": _ours(tagger, documents, FOUR, clock)}


def shipped(
    args: argparse.Namespace, documents: list[Document], name: str, quantization: str
) -> dict[str, contest.Work]:
    if quantization == "int8":
        _check_int8(args)
    tagger = Vaner.from_pretrained(
        name, device=args.device, quantization=quantization, batch_tokens=args.batch_tokens
    )
    clock = machine.ForwardClock(tagger.model.plain_backbone, args.device)
    list(tagger.tag_documents(documents[:2], FOUR))
    clock.take()
    return {rows_of_shipped(name)[quantization]: _ours(tagger, documents, FOUR, clock)}


def rows_of_shipped(name: str) -> dict[str, str]:
    """The rows of a model that is read whole, by number format."""
    return {"none": name, "int8": f"{name}, int8"}


def _check_int8(args: argparse.Namespace) -> None:
    if args.device != "cpu" or not int8.is_supported() or args.quantization != "none":
        raise contest.LeftOut("int8 needs a CPU with AVX2, and --quantization none beside it")


def ours_shared(args: argparse.Namespace, documents: list[Document]) -> dict[str, contest.Work]:
    tagger = _quiet_tagger(args, head="shared", quantization=args.quantization)
    clock = machine.ForwardClock(tagger.model.plain_backbone, args.device)
    list(tagger.tag_documents(documents[:1], FOUR))
    clock.take()
    return {"ours, shared": _ours(tagger, documents, FOUR, clock)}


def encoder(args: argparse.Namespace, documents: list[Document]) -> dict[str, contest.Work]:
    try:
        tagger = shapes.encoder(args.encoder, args.shape, args.device, batch_tokens=args.batch_tokens)
    except VanerError as error:
        raise contest.LeftOut(str(error)) from None
    clock = machine.ForwardClock(tagger.model.plain_backbone, args.device)
    list(tagger.tag_documents(documents[:2], FOUR))
    clock.take()
    return {"encoder": _ours(tagger, documents, FOUR, clock)}


def _ours(
    tagger: Vaner, documents: list[Document], types: Sequence[str], clock: machine.ForwardClock
) -> contest.Work:
    operations = machine.forward_operations(tagger.model.backbone, rows_of(tagger, documents, types))

    def work(_: int) -> dict:
        mentions = sum(len(one.spans) for one in tagger.tag_documents(documents, types))
        forward = clock.take()
        if not forward:
            raise VanerError("no forward pass of the backbone was seen; the clock must stand elsewhere")
        return {
            "documents": len(documents),
            "mentions": mentions,
            "tokens": tagger.tokens,
            "padded_tokens": tagger.padded_tokens,
            "forward_seconds": forward,
            "operations": operations,
        }

    return work


def rows_of(tagger: Vaner, documents: Sequence[Document], types: Sequence[str]) -> list[tuple[int, float]]:
    """Of every row that the task needs: tokens to compute, and tokens that each sees on average.

    Where the instruction does not see the text, it needs to be read once for all rows.
    """
    once = tagger.model.reuses_instructions
    questions = [types] if tagger.settings.head == "typed" else [[one] for one in types]
    rows: list[tuple[int, float]] = []
    for question in questions:
        instruction = tagger.settings.template.render(question)
        ids, _ = tagger.tokenisation.instruction(instruction)
        around = len(ids) + len(tagger.tokenisation.suffix)
        if once:
            rows.append((around, around))
        for _, _, words, counts in windows_of(tagger, documents, instruction):
            tokens = tagger.tokenisation.copies * sum(counts[words.start : words.stop])
            rows.append((tokens if once else around + tokens, around + tokens))
    share = SEEN.get(tagger.settings.attention, 1.0)
    return [(tokens, seen * share) for tokens, seen in rows]


def stock_pipeline(args: argparse.Namespace, documents: list[Document]) -> dict[str, contest.Work]:
    tagger = _quiet_tagger(args, head="shared", fused=False)
    tag = peers.PipelineTagger(tagger, args.device)
    few = documents[:2]
    tag(few, FOUR[:1], 1)
    times = {}
    for size in BATCH_SIZES[args.device]:
        times[size] = min(_seconds(args.device, lambda size=size: tag(few, FOUR[:1], size)) for _ in range(2))
    best = min(times, key=times.get)

    def work(_: int) -> dict:
        found = tag(documents, FOUR, best)
        return {
            "documents": len(documents),
            "mentions": sum(map(len, found)),
            "batch_size": best,
            **tag.counted,
        }

    return {"pipeline": work}


def vaner_protocol(args: argparse.Namespace, documents: list[Document]) -> dict[str, contest.Work]:
    tagger = _quiet_tagger(args, head="shared", max_words=1, fused=False)
    tag = peers.ProtocolTagger(tagger, args.device)
    tag(documents[:1], FOUR[:1])

    def work(_: int) -> dict:
        found = tag(documents, FOUR)
        return {"documents": len(documents), "mentions": sum(map(len, found)), "batch_size": 4, **tag.counted}

    return {"VANER's protocol": work}


def gliner(args: argparse.Namespace, documents: list[Document]) -> dict[str, contest.Work]:
    try:
        from gliner import GLiNER
    except ImportError as error:
        raise contest.LeftOut(f"{error}; pip install -e .[bench]") from None
    _quiet()
    model = peers.gliner_model(GLiNER, args.shape, args.device)
    texts = [one.text for one in documents]
    # Not bfloat16 where the processor emulates it: one call would take minutes.
    dtypes = dict.fromkeys([torch.float32, machine.dtype_of(args.device)])
    options = [(dtype, size) for dtype in dtypes for size in GLINER_BATCH_SIZES[args.device]]
    times: dict = {}
    for dtype, size in options:
        model.to(dtype)
        try:
            model.inference(texts[:1], FOUR)
        except RuntimeError:
            continue  # a layer of it that has no such kernel here
        times[dtype, size] = _seconds(
            args.device, lambda size=size: model.inference(texts[:4], FOUR, batch_size=size)
        )
    dtype, size = min(times, key=times.get)
    model.to(dtype)
    longer = sum(len(Text.of(one).words) > peers.GLINER_WORDS for one in documents)

    def work(_: int) -> dict:
        found = model.inference(texts, FOUR, batch_size=size)
        return {
            "documents": len(documents),
            "mentions": sum(map(len, found)),
            "batch_size": size,
            "dtype": machine.name_of(dtype),
            "documents_cut": longer,
        }

    return {"GLiNER": work}


def _seconds(device: str, work: Callable[[], object]) -> float:
    import time

    machine.synchronize(device)
    began = time.perf_counter()
    work()
    machine.synchronize(device)
    return time.perf_counter() - began


def _quiet_tagger(args: argparse.Namespace, kernel: str | None = None, **options) -> Vaner:
    _quiet()
    options = {"max_words": args.max_words, "batch_tokens": args.batch_tokens, **options}
    found = shapes.tagger(args.shape, args.device, model=args.model, attention=args.attention, **options)
    if kernel:
        found.model.plain_backbone.set_attn_implementation(kernel)
    return found


def _quiet() -> None:
    # The pipeline speaks of a model class it does not know, GLiNER of its random weights.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


# --- what must agree ---


def stream_padding(args: argparse.Namespace, documents: list[Document]) -> dict:
    """Padding in the batches that ours (typed) makes of a long stream.

    The batches follow from the text alone, so a tiny model goes through them in the place of the real one.
    """
    tagger = shapes.light(_quiet_tagger(args, pack=args.pack))
    for _ in progress(tagger.tag_documents(documents, FOUR), "padding of a stream", len(documents)):
        pass
    share = 1 - tagger.tokens / tagger.padded_tokens
    return {"padding_share": share, "documents": len(documents), "tokens": tagger.tokens}


def count_tokens(documents: Sequence[Document]) -> dict:
    tokenisation = Tokenisation(shapes.tokenizer(), 512)
    counts = [sum(map(len, tokenisation.words(Text.of(one).words))) for one in documents]
    return {"text_tokens": counts}


def check_identity(args: argparse.Namespace, documents: list[Document]) -> dict:
    """Compare systems that should find the same, in float32.

    Raises:
        VanerError: the first document on which two differ, or nothing was found that could differ.
    """
    typed = _quiet_tagger(args, dtype="float32", pack=args.pack, kernel=args.kernel)
    together = _spans(typed.tag_documents(documents, FOUR))
    alone = [_spans(typed.tag_documents([one], FOUR))[0] for one in documents]
    same(documents, "ours, typed, together", together, "ours, typed, one by one", alone)
    del typed
    # Other systems read no two places of a name together.
    shared = _quiet_tagger(args, head="shared", dtype="float32", decoding="argmax", repeats=False)
    mine = _spans(shared.tag_documents(documents, FOUR))
    same(
        documents,
        "ours, shared",
        mine,
        "pipeline",
        peers.PipelineTagger(shared, args.device)(documents, FOUR, 4),
    )
    shared.max_words = 1
    by_sentence = _spans(shared.tag_documents(documents, FOUR))
    theirs = peers.ProtocolTagger(shared, args.device)(documents, FOUR)
    same(documents, "ours, shared, by sentence", by_sentence, "VANER's protocol", theirs)
    counted = {
        "ours, typed: together and one by one": sum(map(len, together)),
        "ours, shared and pipeline": sum(map(len, mine)),
        "ours, shared, by sentence and VANER's protocol": sum(map(len, by_sentence)),
    }
    if empty := [name for name, count in counted.items() if not count]:
        raise VanerError(f"{empty[0]}: no mention was found, so nothing was compared; read more documents")
    return {"documents": len(documents), "mentions_that_agree": counted}


def _spans(documents) -> Found:
    return [{s.key for s in one.spans} for one in documents]


def same(documents: Sequence[Document], name: str, mine: Found, other: str, theirs: Found) -> None:
    """Raise VanerError at the first document on which two systems differ."""
    for document, a, b in zip(documents, mine, theirs, strict=True):
        if a != b:
            start, end, kind = min(a ^ b)
            who = name if (start, end, kind) in a else other
            raise VanerError(
                f"document {document.id}: {name} and {other} differ: only {who} has {kind} "
                f"{document.text[start:end]!r} at {start}-{end}; their times would not compare"
            )


# --- results ---


def results(by_name: dict[str, contest.Entry], left_out: dict[str, str]) -> dict:
    """Everything that is measured so far, as numbers.

    Args:
        by_name: entries that have worked at least once.
        left_out: name of each system that cannot run here, with the reason.
    """
    rate = by_name["matmul"].values("operations_per_second") if "matmul" in by_name else []
    rows = [row_of(entry, rate) for name, entry in by_name.items() if name != "matmul"]
    ratios = {
        key: contest.ratio(by_name[above].rates(what), by_name[below].rates(what))
        for key, above, below, what in (
            ("ratio_vs_vaner_protocol", "ours, typed", "VANER's protocol", "text_tokens"),
            ("ratio_vs_pipeline", "ours, typed", "pipeline", "text_tokens"),
            # Of seconds for the same abstracts.
            ("six_types_over_one", "ours, typed, one type", "ours, typed, six types", "text_tokens"),
        )
        if above in by_name and below in by_name
    }
    mine = next((row for row in rows if row["system"] == "ours, typed"), {})
    ratios |= {key: mine[key] for key in ("share_of_matmul", "share_of_matmul_whole") if key in mine}
    spreads = {key: {k: value[k] for k in ("min", "max", "rounds")} for key, value in ratios.items()}
    found = {
        **{key: value["median"] for key, value in ratios.items()},
        "rows": rows,
        "left_out": left_out,
        "spread": spreads,
    }
    if rate:
        dtype = by_name["matmul"].rounds[0]["dtype"]
        found["matmul"] = {"operations_per_second": contest.summary(rate), "dtype": dtype}
    return found


def beside_theirs(by_name: dict[str, contest.Entry], args: argparse.Namespace) -> list[dict]:
    """How much faster each model that ships is than the others' ways to read, with the F1 that it has."""
    rows = {"ours, typed": args.model, "ours, typed, int8": args.model} if args.shape == shapes.REAL else {}
    rows |= {row: name for name in args.shipped for row in rows_of_shipped(name).values()}
    found = []
    for row, name in rows.items():
        if row not in by_name:
            continue
        mine = by_name[row].rates("text_tokens")
        over = {
            other: contest.ratio(mine, by_name[other].rates("text_tokens"))
            for other in ("VANER's protocol", "pipeline", "GLiNER")
            if other in by_name
        }
        found.append({"system": row, "model": name, "dev_f1": dev_f1(args.scores, name), "over": over})
    return found


def dev_f1(folder: str, name: str) -> float | None:
    """Mean strict micro-F1 over the dev corpora of a model's scores (`evaluate --json`); None where there are none."""
    path = Path(folder, name, "dev.json")
    return json.loads(path.read_text())["mean"]["micro"]["f1"] if path.is_file() else None


def row_of(entry: contest.Entry, rate: list[float]) -> dict:
    """What was measured of one system; ``rate`` is that of matrix products, of each round."""
    last = entry.rounds[-1]
    row = {
        "system": entry.name,
        "documents_per_second": contest.summary(entry.rates("documents")),
        "text_tokens_per_second": contest.summary(entry.rates("text_tokens")),
        "peak_mb": max(entry.values("peak_mb")),
        "documents": last["documents"],
        "mentions": last["mentions"],
    }
    if "padded_tokens" in last:
        row["padding_share"] = 1 - last["tokens"] / last["padded_tokens"]
        row["tokens_computed"] = last["tokens"]
    if "operations" in last:
        if rate:
            for key, seconds in {
                "share_of_matmul": "forward_seconds",
                "share_of_matmul_whole": "seconds",
            }.items():
                row[key] = contest.ratio([r["operations"] / r[seconds] for r in entry.rounds], rate)
        row["forward_share_of_time"] = contest.summary(
            [r["forward_seconds"] / r["seconds"] for r in entry.rounds]
        )
    return row | {k: last[k] for k in ("batch_size", "dtype", "documents_cut") if k in last}


def show(found: dict) -> None:
    table = []
    for row in found["rows"]:
        speed = row["text_tokens_per_second"]
        table.append(
            {
                "system": row["system"],
                "abstracts": row["documents"],
                "abstracts/s": f"{row['documents_per_second']['median']:.2f}",
                "text tokens/s": f"{speed['median']:,.0f}",
                "spread": contest.spread(speed),
                "padding": f"{100 * row['padding_share']:.1f} %" if "padding_share" in row else "",
                "peak MB": f"{row['peak_mb']:,.0f}",
                "of matmul rate": f"{100 * row['share_of_matmul']['median']:.0f} %"
                if "share_of_matmul" in row
                else "",
            }
        )
    contest.print_table(table)
    if found["shipped"]:
        contest.print_table(
            [
                {
                    "models that ship": one["system"]
                    if one["system"].startswith(one["model"])
                    else f"{one['model']} ({one['system']})",
                    "mean dev F1": "" if one["dev_f1"] is None else f"{100 * one['dev_f1']:.1f}",
                    **{
                        f"times {other}": f"{of['median']:.1f} ({of['min']:.1f} to {of['max']:.1f})"
                        for other, of in one["over"].items()
                    },
                }
                for one in found["shipped"]
            ]
        )
    for name, reason in found["left_out"].items():
        print(f"{name} was left out: {reason}")
    checked = found["identity"]
    print(
        f"\nidentical spans on {checked['documents']} abstracts before timing: {checked['mentions_that_agree']}"
    )
    if "matmul" in found:
        rate = found["matmul"]["operations_per_second"]
        print(
            f"matrix multiplication, {found['matmul']['dtype']}: {rate['median'] / 1e12:.3f} TFLOP/s "
            f"({contest.spread(rate)})"
        )
    for key in ("ratio_vs_vaner_protocol", "ratio_vs_pipeline", "six_types_over_one", "share_of_matmul"):
        if key not in found:
            continue
        low, high = found["spread"][key]["min"], found["spread"][key]["max"]
        print(f"{key}: {found[key]:.2f} ({low:.2f} to {high:.2f})")
    print(
        f"padding_share: {found['padding_share']:.4f} of the batches of {found['stream']['documents']:,} abstracts"
    )
    if not found["finished"]:
        print("stopped: not all rounds of all systems are in this")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
