"""In: a config and flags. Out: a trained tagger's folder. ``accelerate launch train.py ...`` for many GPUs."""

import sys

from vaner.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]], prog="train.py"))
