"""In: a config and flags. Out: a trained tagger's folder. Several processes: ``accelerate launch train.py ...``.

Its flags come from dataclasses (`vaner.training.arguments`), transformers' TrainingArguments among them, and are
parsed there: this command has ``main`` in place of ``add_arguments`` and ``run``.
"""

from __future__ import annotations

from collections.abc import Sequence

HELP = "train a tagger, on one or several processes"


def main(argv: Sequence[str]) -> None:
    # Here, so that other commands do not wait for torch.
    from vaner.training.run import run

    run(argv)
