"""In: a training corpus. Out: how fast LoRA is trained, ours compared with the stock way; one table, one JSON.

    python benchmarks/training.py --data_root CORPORA --json training.json
    python benchmarks/training.py --shape llama2-7b --device cuda --max_words 360 --gradient_checkpointing

Contestants, all on the rows of the same mixture of the NCBI disease corpus (of its shipped sample where there is no
data root), with Trainer's own loop and AdamW:

    ours, LoRA     what train.py does: rows of like length under a token budget, one autograd step per LoRA layer,
                   no dropout, activations in bfloat16 where the machine multiplies it
    ours, QLoRA    the same on a 4-bit base (NF4, double quantisation); on a CPU it reads the first quarter of
                   every round's batches
    stock          Trainer and LlamaForTokenClassification (AutoModelForTokenClassification) under peft as they are
                   usually set: bf16=True (autocast; not on a CPU that emulates it), dropout 0.05, 8 rows per batch
                   in random order, padded to the longest; the causal mask is off, as in ours

Before anything is timed: on one batch in float32 the gradients of ours must equal those of peft's own layers, and each
contestant's loss must fall when it repeats one small batch a few times.

``text tokens`` are those of the words, without instruction and padding. Keys of the JSON file:

    ratio_vs_stock         text tokens per second, ours (LoRA) over stock
    share_of_matmul        operations for real tokens, forward and backward, per second of the whole step, over the
                           measured matrix rate (machine.py has the formula)
    rows, spread, checks, matmul, machine, versions
"""

from __future__ import annotations

import argparse
import functools
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence

import contest
import machine
import numpy as np
import shapes
import torch
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging as transformers_logging

from vaner.cli import guarded
from vaner.corpora.registry import read_registry
from vaner.errors import VanerError
from vaner.inputs.features import Tokenisation
from vaner.inputs.instructions import Template
from vaner.report import Report
from vaner.text.tags import IGNORED
from vaner.text.units import Text
from vaner.training.arguments import VanerTrainingArguments
from vaner.training.clock import Clock
from vaner.training.dev import Dev
from vaner.training.drawing import Drawing
from vaner.training.mixture import Mixture, TrainingCorpus
from vaner.training.trainer import Printer, VanerTrainer

CORPORA = ("ncbi-disease-pubtator", "ncbi-disease-sample")
LEARNING_RATE = 1e-3
STOCK_ROWS = 8
CHECKED_TOKENS = 400
CHECKED_STEPS = 6
TOLERANCE = 1e-3

Batch = dict[str, np.ndarray]


class Batches(list):
    """Batches in a row, as VanerTrainer wants its mixture."""

    @property
    def tokens(self) -> int:
        return sum(int((one["attention_mask"] != 0).sum()) for one in self)


def main() -> None:
    args = _arguments()
    drawn = contest.apart(functools.partial(draw, args), args.device)
    rounds, small = drawn["rounds"], drawn["small"]
    print("checking gradients (float32) ...", file=sys.stderr)
    checks = contest.apart(functools.partial(check_gradients, args, small), args.device)
    entries, left_out = contest.gather(
        [
            ("matmul", functools.partial(matmul, args)),
            ("ours, LoRA", functools.partial(ours, args, rounds, small, "none")),
            ("stock", functools.partial(stock, args, rounds, small)),
            ("ours, QLoRA", functools.partial(ours, args, rounds, small, "4bit")),
        ],
        args.device,
    )
    contest.run(entries, args.rounds)
    found = results({entry.name: entry for entry in entries}, left_out)
    found |= {
        "checks": checks,
        "corpus": drawn["corpus"],
        "machine": contest.apart(functools.partial(machine.describe, args.device), args.device),
        "versions": machine.versions(),
        "settings": {k: v for k, v in vars(args).items() if k not in ("data_root", "json")},
    }
    show(found)
    contest.write_json(args.json, found)


def _arguments() -> argparse.Namespace:
    parser = contest.parser(__doc__, shapes.SHAPES)
    add = parser.add_argument
    add("--tokens", type=int, default=6000, help="text tokens per round, rounded up to whole batches")
    add("--batch_tokens", type=int, default=2048, help="tokens per batch of ours, padding included")
    add("--max_words", type=int, default=96, help="longest unit in words")
    add("--gradient_checkpointing", action="store_true", help="recompute activations, in all contestants")
    args = parser.parse_args()
    contest.check_arguments(args, "tokens", "batch_tokens", "max_words")
    return args


# --- data ---


def draw(args: argparse.Namespace) -> dict:
    """Every round's batches, and a small one for the checks."""
    corpus = next(c for name in CORPORA if "train" in (c := read_registry()[name]).present(args.data_root))
    texts = [Text.of(one) for one in corpus.documents("train", args.data_root, report=Report())]
    source = TrainingCorpus(corpus.name, corpus.instruction_name, texts, tuple(sorted(corpus.annotated)))
    tokenisation = Tokenisation(shapes.tokenizer(), max(512, 4 * args.max_words))
    drawing = Drawing(max_words=args.max_words)

    def mixture(batch_tokens: int, epochs: int) -> Mixture:
        options = {"batch_tokens": batch_tokens, "epochs": epochs, "seed": args.seed}
        return Mixture([source], tokenisation, Template(), drawing, **options)

    wanted = args.tokens * args.rounds
    words_tokens = sum(len(ids) for text in texts for ids in tokenisation.words(text.words))
    # A round takes up to a batch more than asked.
    epochs = -(-(wanted + args.batch_tokens * args.rounds) // words_tokens)
    batches = iter(mixture(args.batch_tokens, epochs))
    rounds = []
    for _ in range(args.rounds):
        taken = Batches()
        while sum(map(text_tokens, taken)) < args.tokens:
            taken.append(next(batches))
        rounds.append(taken)
    return {"rounds": rounds, "small": mixture(CHECKED_TOKENS, 1)[0], "corpus": corpus.name}


def text_tokens(batch: Batch) -> int:
    """Tokens behind the instruction (the backbone's tokenizer ends a row with none of its own)."""
    return int((batch["attention_mask"] != 0).sum() - batch["word_positions"][:, 0].sum())


def rows_of(batches: Sequence[Batch]) -> list[tuple[int, int]]:
    return [(int(n), int(n)) for one in batches for n in (one["attention_mask"] != 0).sum(1)]


def stock_rows(batches: Sequence[Batch]) -> list[dict[str, list[int]]]:
    """The same rows for a token classifier: no padding, the first token of every word labelled.

    The corpus has one type, so a row of ours has one line of labels.
    """
    rows = []
    for one in batches:
        for i, length in enumerate((one["attention_mask"] != 0).sum(1)):
            labels = np.full(length, IGNORED)
            positions = one["word_positions"][i]
            known = positions >= 0
            labels[positions[known]] = one["labels"][i, 0, : len(positions)][known]
            rows.append({"input_ids": one["input_ids"][i, :length].tolist(), "labels": labels.tolist()})
    return rows


# --- contestants ---


def matmul(args: argparse.Namespace) -> dict[str, contest.Work]:
    config = shapes.config(args.shape)
    rate = machine.MatmulRate(config.hidden_size, config.intermediate_size, args.device)
    rate()
    dtype = machine.name_of(rate.dtype)
    return {"matmul": lambda _: {"operations_per_second": rate(), "dtype": dtype}}


def ours(
    args: argparse.Namespace, rounds: Sequence[Batches], small: Batch, quantization: str
) -> dict[str, contest.Work]:
    _quiet()
    if quantization == "4bit":
        rounds = _shorter(args, rounds)
    model = shapes.trainable(args.shape, args.device, quantization, max_words=args.max_words)
    name = "ours, LoRA" if quantization == "none" else "ours, QLoRA"

    def train(batches: Batches) -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            options = _common(args, folder) | {"batch_tokens": args.batch_tokens}
            settings = VanerTrainingArguments(**options)
            trainer = VanerTrainer(
                model,
                settings,
                mixture=batches,
                epochs=1,
                dev=Dev({}),
                clock=Clock(0, None, None),
                tokenizer=None,
            )
            trainer.remove_callback(Printer)
            trainer.train()
            return [one["loss"] for one in trainer.state.log_history if "loss" in one]

    losses = falls(name, train(Batches([small] * CHECKED_STEPS)))
    operations = [machine.training_operations(model.backbone, rows_of(one)) for one in rounds]
    return {name: _work(train, rounds, rounds, operations, losses)}


def stock(args: argparse.Namespace, rounds: Sequence[Batches], small: Batch) -> dict[str, contest.Work]:
    _quiet()
    model = shapes.stock_trainable(args.shape, args.device)
    collator = DataCollatorForTokenClassification(shapes.tokenizer())

    def train(rows: list[dict]) -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            settings = TrainingArguments(
                **_common(args, folder),
                bf16=machine.dtype_of(args.device) == torch.bfloat16,
                per_device_train_batch_size=STOCK_ROWS,
            )
            trainer = Trainer(model, settings, train_dataset=rows, data_collator=collator)
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            return [one["loss"] for one in trainer.state.log_history if "loss" in one]

    same_rows = (stock_rows([small]) * STOCK_ROWS)[:STOCK_ROWS]
    losses = falls("stock", train(same_rows * CHECKED_STEPS))
    operations = [machine.training_operations(model, rows_of(one)) for one in rounds]
    return {"stock": _work(train, rounds, [stock_rows(one) for one in rounds], operations, losses)}


def _work(
    train: Callable,
    rounds: Sequence[Batches],
    data: Sequence,
    operations: Sequence[float],
    losses: list[float],
) -> contest.Work:
    def work(number: int) -> dict:
        batches = rounds[number]
        return {
            "text_tokens": sum(map(text_tokens, batches)),
            "tokens": batches.tokens,
            "operations": operations[number],
            "losses": train(data[number]),
            "checked_losses": losses,
        }

    return work


def _shorter(args: argparse.Namespace, rounds: Sequence[Batches]) -> list[Batches]:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise contest.LeftOut(f"{error}; pip install bitsandbytes") from None
    share = 1 if args.device == "cuda" else 4
    return [Batches(one[: -(-len(one) // share)]) for one in rounds]


def _common(args: argparse.Namespace, folder: str) -> dict:
    return {
        "output_dir": folder,
        "num_train_epochs": 1,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": args.device == "cpu",
        "gradient_checkpointing": args.gradient_checkpointing,
        "dataloader_pin_memory": args.device == "cuda",
        "seed": args.seed,
    }


def _quiet() -> None:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore")


# --- checks ---


def falls(name: str, losses: list[float]) -> list[float]:
    """The losses, if the last is below the first; VanerError else."""
    if not losses[-1] < losses[0]:
        raise VanerError(
            f"{name}: the loss does not fall on one batch repeated ({losses[0]:.4f} to {losses[-1]:.4f}); "
            "what does not learn is not worth timing"
        )
    return losses


def check_gradients(args: argparse.Namespace, batch: Batch) -> dict:
    """The largest relative difference between the gradients of our LoRA layers and peft's, in float32.

    Raises:
        VanerError: it is above the tolerance.
    """
    _quiet()
    mine = shapes.trainable(args.shape, args.device, dtype="float32", max_words=args.max_words)
    with torch.no_grad():
        draw = torch.Generator(args.device).manual_seed(args.seed)
        for name, parameter in mine.named_parameters():
            if "lora_B" in name:  # starts at zero, and nothing would reach A
                parameter.normal_(std=0.02, generator=draw)
    state = {k: v for k, v in mine.state_dict().items() if "lora_" in k or k.startswith("head.")}
    tensors = {name: torch.from_numpy(array).to(args.device) for name, array in batch.items()}
    found = gradients(mine, tensors)
    del mine
    theirs = shapes.trainable(args.shape, args.device, dtype="float32", max_words=args.max_words, fused=False)
    if theirs.load_state_dict(state, strict=False).unexpected_keys:
        raise VanerError(
            "our LoRA layers have parameters that peft's do not; their gradients cannot be compared"
        )
    return compare(found, gradients(theirs, tensors))


def gradients(model, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    model.train()
    model(**tensors)["loss"].backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad and p.grad is not None}


def compare(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> dict:
    if mine.keys() != theirs.keys():
        raise VanerError(
            f"{sorted(mine.keys() ^ theirs.keys())[0]}: only one of ours and peft's has a gradient"
        )
    worst, where = max(
        (float((mine[name] - theirs[name]).norm() / theirs[name].norm().clamp(min=1e-12)), name)
        for name in mine
    )
    if not worst <= TOLERANCE:
        raise VanerError(
            f"{where}: the gradients of ours and of peft differ by {worst:.1e} of their size in float32; "
            "their times would not compare"
        )
    return {"gradients": len(mine), "largest_relative_difference": worst}


# --- results ---


def results(by_name: dict[str, contest.Entry], left_out: dict[str, str]) -> dict:
    rate = by_name["matmul"].values("operations_per_second")
    rows = []
    for name, entry in by_name.items():
        if name == "matmul":
            continue
        per_second = entry.rates("operations")
        rows.append(
            {
                "system": name,
                "text_tokens_per_second": contest.summary(entry.rates("text_tokens")),
                "tokens_per_second": contest.summary(entry.rates("tokens")),
                "share_of_matmul": contest.ratio(per_second, rate),
                "peak_mb": max(entry.values("peak_mb")),
                "text_tokens": sum(entry.values("text_tokens")),
                "updates": sum(map(len, entry.values("losses"))),
                "checked_losses": entry.rounds[0]["checked_losses"],
            }
        )
    mine, other = by_name["ours, LoRA"], by_name["stock"]
    ratio = contest.ratio(mine.rates("text_tokens"), other.rates("text_tokens"))
    share = rows[0]["share_of_matmul"]
    return {
        "ratio_vs_stock": ratio["median"],
        "share_of_matmul": share["median"],
        "rows": rows,
        "left_out": left_out,
        "spread": {"ratio_vs_stock": ratio, "share_of_matmul": share},
        "matmul": {
            "operations_per_second": contest.summary(rate),
            "dtype": by_name["matmul"].rounds[0]["dtype"],
        },
    }


def show(found: dict) -> None:
    contest.print_table(
        [
            {
                "system": row["system"],
                "text tokens/s": f"{row['text_tokens_per_second']['median']:,.0f}",
                "spread": contest.spread(row["text_tokens_per_second"]),
                "with instructions": f"{row['tokens_per_second']['median']:,.0f}",
                "of matmul rate": f"{100 * row['share_of_matmul']['median']:.0f} %",
                "peak MB": f"{row['peak_mb']:,.0f}",
                "updates": row["updates"],
            }
            for row in found["rows"]
        ]
    )
    for name, reason in found["left_out"].items():
        print(f"{name} was left out: {reason}")
    checked = found["checks"]
    print(
        f"\n{checked['gradients']} gradients equal peft's in float32 "
        f"(largest relative difference {checked['largest_relative_difference']:.1e}); every loss falls"
    )
    rate = found["matmul"]["operations_per_second"]
    print(
        f"matrix multiplication, {found['matmul']['dtype']}: {rate['median'] / 1e12:.3f} TFLOP/s "
        f"({contest.spread(rate)})"
    )
    for key in ("ratio_vs_stock", "share_of_matmul"):
        low, high = found["spread"][key]["min"], found["spread"][key]["max"]
        print(f"{key}: {found[key]:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
