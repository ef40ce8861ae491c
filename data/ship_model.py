"""In: a model that train.py wrote. Out: the same under data/models/, adapter and head rounded to bfloat16.

With --rank, the adapter becomes the nearest one of a lower rank (peft's save_as_lora): a small file of a model that was
trained with a high rank.

python data/ship_model.py runs/vaner-smollm2-135m vaner-smollm2-135m --scores dev.json test.json \
    --beside "MiniLM-L6 encoder: minilm-dev.json minilm-test.json" --mistakes mistakes.md
"""

import argparse
import csv
import dataclasses
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import save_as_lora

from vaner.files import write_text
from vaner.model import card
from vaner.model.network import VanerModel
from vaner.model.saving import load_tokenizer

MODELS = Path(__file__).parent / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description="Put a trained model among those that vaner ships.")
    parser.add_argument("model", help="folder that train.py wrote")
    parser.add_argument("name", help="name to load it by")
    parser.add_argument(
        "--scores", nargs="+", default=[], metavar="FILE", help="for the card: what evaluate --json wrote"
    )
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="'NAME: FILE ...'",
        help="for the card: the same of another model",
    )
    parser.add_argument("--mistakes", metavar="FILE", help="for the card: what evaluate --mistakes wrote")
    parser.add_argument(
        "--command", help="for the card: the command that trains it, where it is written anew"
    )
    parser.add_argument("--rank", type=int, help="lower the adapter to this rank")
    args = parser.parse_args()
    model = load(args.model, args.rank)
    training = dict(model.settings.training)
    training["command"] = args.command or re.sub(
        r"--data_root[ =]\S+", "--data_root CORPORA", training["command"]
    )
    model.settings = dataclasses.replace(model.settings, training=training)
    folder = MODELS / args.name
    model.save_pretrained(folder, load_tokenizer(args.model), dtype=torch.bfloat16)
    beside = {}
    for word in args.beside:
        name, _, files = word.partition(":")
        beside[name.strip()] = pages(files.split())
    mistakes = Path(args.mistakes).read_text(encoding="utf-8") if args.mistakes else None
    text = card.render(
        model.settings,
        pages(args.scores),
        mistakes,
        beside=beside,
        published=published() if args.scores else None,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    # Half of the file is indentation.
    tokenizer = folder / "tokenizer.json"
    found = json.loads(tokenizer.read_text(encoding="utf-8"))
    write_text(tokenizer, json.dumps(found, ensure_ascii=False, separators=(",", ":")))
    for path in folder.iterdir():
        path.chmod(0o644)


def load(folder: str, rank: int | None) -> VanerModel:
    """The model, its adapter lowered to a rank where one is given."""
    model = VanerModel.from_pretrained(folder, dtype="float32", device="cpu")
    if rank is None:
        return model
    with tempfile.TemporaryDirectory() as scratch:
        lowered = Path(scratch) / "model"
        shutil.copytree(folder, lowered)
        save_as_lora(lowered, model.backbone, rank=rank)
        return VanerModel.from_pretrained(str(lowered), dtype="float32", device="cpu")


def pages(files: Sequence[str]) -> list[dict]:
    """Evaluations that were written as JSON."""
    return [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]


def published() -> dict[tuple[str, str], dict[str, float]]:
    """(corpus, type) -> model -> F1, from published.tsv."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    lines = (Path(__file__).parent / "published.tsv").read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader((one for one in lines if not one.startswith("#")), delimiter="\t"):
        found.setdefault((row["corpus"], row["type"]), {})[row["model"]] = float(row["f1"])
    return found


if __name__ == "__main__":
    main()
