"""In: a model that train.py wrote. Out: the same under data/models/, adapter and head rounded to bfloat16.

python data/ship_model.py runs/ncbi-bc5cdr vaner-ncbi-bc5cdr --scores dev.json --mistakes mistakes.md
"""

import argparse
import dataclasses
import json
import re
from pathlib import Path

import torch

from vaner import card
from vaner.model import VanerModel, load_tokenizer

MODELS = Path(__file__).parent / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description="Put a trained model among those that vaner ships.")
    parser.add_argument("model", help="folder that train.py wrote")
    parser.add_argument("name", help="name to load it by")
    parser.add_argument("--scores", metavar="FILE", help="for the card: what evaluate --json wrote for dev")
    parser.add_argument("--mistakes", metavar="FILE", help="for the card: what evaluate --mistakes wrote")
    args = parser.parse_args()
    model = VanerModel.from_pretrained(args.model, dtype="float32", device="cpu")
    training = dict(model.settings.training)
    training["command"] = re.sub(r"--data_root[ =]\S+", "--data_root CORPORA", training["command"])
    model.settings = dataclasses.replace(model.settings, training=training)
    folder = MODELS / args.name
    model.save_pretrained(folder, load_tokenizer(args.model), dtype=torch.bfloat16)
    scores = json.loads(Path(args.scores).read_text(encoding="utf-8")) if args.scores else None
    mistakes = Path(args.mistakes).read_text(encoding="utf-8") if args.mistakes else None
    (folder / "README.md").write_text(card.render(model.settings, scores, mistakes), encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    main()
