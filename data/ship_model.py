"""In: a model that train.py wrote. Out: the same under data/models/, adapter and head rounded to bfloat16.

python data/ship_model.py runs/ncbi-bc5cdr vaner-ncbi-bc5cdr
"""

import argparse
import dataclasses
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
    args = parser.parse_args()
    model = VanerModel.from_pretrained(args.model, dtype="float32", device="cpu")
    training = dict(model.settings.training)
    training["command"] = re.sub(r"--data_root[ =]\S+", "--data_root CORPORA", training["command"])
    model.settings = dataclasses.replace(model.settings, training=training)
    folder = MODELS / args.name
    model.save_pretrained(folder, load_tokenizer(args.model), dtype=torch.bfloat16)
    (folder / "README.md").write_text(card.render(model.settings), encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)


if __name__ == "__main__":
    main()
