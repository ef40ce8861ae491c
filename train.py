"""In: a config and flags. Out: a trained tagger's folder. ``accelerate launch train.py ...`` for many GPUs."""

import sys

from vaner.cli import guarded


def main() -> None:
    from vaner.training import run

    run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(guarded(main))
