"""In: a model with an adapter. Out: a folder that stands alone, adapter folded into the backbone."""

from __future__ import annotations

import argparse
from pathlib import Path

from vaner.errors import VanerError

HELP = "fold a model's adapter into its backbone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="model folder or hub id")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="new folder")
    parser.add_argument("--dtype", default="auto", help="of the merged weights; default: %(default)s")


def run(args: argparse.Namespace) -> int:
    output = Path(args.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise VanerError(f"{output}: is there already; name a new folder")
    from vaner.model.catalogue import model_folder
    from vaner.model.network import VanerModel
    from vaner.model.saving import load_tokenizer

    folder = model_folder(args.model)
    model = VanerModel.from_pretrained(folder, dtype=args.dtype, device="cpu")
    model.save_merged(output, load_tokenizer(folder))
    card = Path(folder) / "README.md"
    if card.is_file():
        (output / "README.md").write_bytes(card.read_bytes())
    print(f"merged model written to {output}")
    return 0
